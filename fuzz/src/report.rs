//! Reports of nodes, as a monitor is sent them.

use tsstream::monitor::report::{ADDRESSES_MAX, NAME_LETTERS_MAX, Report, hash, parse};

/// The input is the body of the request.
pub fn check(data: &[u8]) {
    let report = match parse(data) {
        Ok(report) => report,
        Err(words) => return assert!(!words.is_empty()),
    };
    check_bounds(&report);
    let again = serde_json::to_vec(&report).expect("a report can be written");
    let mut again = parse(&again).expect("what we have taken, and written, can be taken again");
    // A number with a fraction may differ in its last digit.
    if let (Some(ours), Some(theirs)) = (&report.tsstream, &mut again.tsstream) {
        theirs.load = ours.load;
    }
    assert_eq!(again, report);
}

fn check_bounds(report: &Report) {
    let is_name =
        |name: &str| name.chars().count() <= NAME_LETTERS_MAX && !name.chars().any(char::is_control);
    for info in report.nextnode.iter().chain([&report.nodeinfo]) {
        assert!(is_name(&info.name), "{:?}", info.name);
        assert_eq!(info.hash, hash(&info.bind, &info.port));
    }
    let Some(details) = &report.tsstream else { return };
    assert!(is_name(&details.name) && is_name(&details.version));
    assert!(details.addresses.len() <= ADDRESSES_MAX);
    assert!(details.streams.len() <= 500 && details.next_hops.len() <= 1_000);
    assert!((100..=600_000).contains(&details.interval_ms));
    assert!(details.streams.iter().all(|stream| is_name(&stream.name) && is_name(&stream.codecs)));
}
