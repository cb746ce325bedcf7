use super::*;
use crate::identity::NodeId;

fn stream(number: u64, name: &str) -> api::Stream {
    api::Stream {
        name: name.to_owned(),
        live: number > 0,
        publisher: None,
        video: (number > 0).then(|| "h264".to_owned()),
        audio: (number > 0).then(|| "aac".to_owned()),
        notices: Vec::new(),
        input: api::Input {
            bits_per_second: number * 4_020_000,
            continuity_errors: number / 2,
            ..api::Input::default()
        },
        receivers: api::Receivers { websocket: number * 1_000, ..api::Receivers::default() },
        output: api::Output { bits_per_second: number * 4_000_000_000, ..api::Output::default() },
    }
}

fn client(number: u64) -> api::Client {
    api::Client {
        id: format!("0-{number}-0"),
        address: [10, 0, 0, number as u8].into(),
        peer: ([10, 0, 0, number as u8], 50_000).into(),
        protocol: "websocket".to_owned(),
        stream: "live".to_owned(),
        seconds: 3_723.0,
        bytes: 123_456_789,
        writes: 0,
        lag_seconds: 2.0 - 0.1 * number as f64,
        skips: number,
    }
}

fn snapshot(streams: &[&str], clients: u64) -> Snapshot {
    let thread = |name: &str, busy_share| api::Thread {
        name: name.to_owned(),
        busy_share,
        longest_turn_seconds: 0.0031,
        silent_seconds: 0.0,
    };
    let node = api::Node {
        id: NodeId::from_number(1),
        name: "tower".to_owned(),
        version: "0.1.0".to_owned(),
        uptime_seconds: 363_960.0,
        cpu_seconds: 1.0,
        memory_bytes: 123_000_000,
        descriptors: 1_260,
        descriptors_max: 20_000,
        threads: vec![thread("ingest", 0.02), thread("worker 0", 0.95)],
    };
    let streams = streams.iter().zip(0..).map(|(name, number)| stream(number, name)).collect();
    let clients =
        api::Clients { clients: (0..clients).map(client).collect(), next: None, missing_workers: 0 };
    Snapshot { streams: api::Streams { node, streams, next_hops: vec![] }, clients }
}

fn text(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| line.text().trim_end().to_owned()).collect()
}

#[test]
fn a_frame_of_80_by_24() {
    let snapshot = snapshot(&["cam2", "live"], 30);
    let view = View { address: "127.0.0.1:9000", snapshot: &snapshot, trouble: None };
    let lines = fitted(&view, 80, 24);
    assert!(lines.len() == 24 && lines.iter().all(|line| line.width() <= 80));
    let text = text(&lines);
    assert_eq!(text[0], " tower  tsstream 0.1.0 at 127.0.0.1:9000  up 4 d 05:06");
    assert_eq!(text[1], " 1 of 2 streams live  1,000 receivers  in 4.02 Mb/s  out 4.00 Gb/s");
    assert_eq!(text[2], " memory 123 MB  descriptors 1,260 of 20,000  longest turn 3.1 ms");
    assert_eq!(text[3], " busy: ingest 2 %  worker 0 95 %");
    assert_eq!(text[5], " STREAM      STATE          IN VIEWERS       OUT    LAG  SKIPS ERRORS CODECS");
    assert_eq!(text[6], " cam2        offline         -       0         -      -      0      0");
    assert_eq!(text[7], " live        live    4.02 Mb/s   1,000 4.00 Gb/s      -      0      0 h264 aac");
    assert_eq!(text[9], " WORST RECEIVERS         BY        STREAM            TIME    LAG  SKIPS     SENT");
    assert_eq!(text[10], " 10.0.0.0:50000          websocket live           1:02:03  2.0 s      0   123 MB");
    assert_eq!(text[22], " 10.0.0.12:50000         websocket live           1:02:03 800 ms     12   123 MB");
    assert_eq!(text[23], " q quits");
    let busy = lines[3].spans.iter().find(|span| span.text.contains("worker 0")).unwrap();
    assert_eq!((busy.tone, lines[10].spans.iter().any(|span| span.tone == Tone::Bad)), (Tone::Bad, true));
}

#[test]
fn whatever_the_size_nothing_overflows_and_both_tables_have_their_part() {
    let names: Vec<String> = (0..40).map(|number| format!("stream-of-a-long-name-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let snapshot = snapshot(&names, 40);
    let view = View { address: "a", snapshot: &snapshot, trouble: Some("nobody listens there") };
    for (width, height) in [(0, 0), (1, 1), (20, 5), (40, 12), (80, 24), (200, 60)] {
        let lines = fitted(&view, width, height);
        assert_eq!(lines.len(), height, "{width}×{height}");
        assert!(lines.iter().all(|line| line.width() <= width), "{width}×{height}");
    }
    let text = text(&fitted(&view, 80, 30));
    assert!(text[0].ends_with("NO ANSWER: nobody listens there"), "{text:?}");
    let of = |what: &str| text.iter().filter(|line| line.contains(what)).count();
    assert_eq!((of("h264"), of("websocket")), (11, 10), "{text:#?}");
    // Those with the most viewers are shown if not all can be.
    assert!(text[6].contains("39,0"), "{text:?}");
}

#[test]
fn what_a_node_says_does_not_speak_to_the_terminal() {
    let mut snapshot = snapshot(&["live"], 1);
    snapshot.streams.node.name = "a\u{1b}]0;x\u{7}b\nc".to_owned();
    snapshot.streams.streams[0].name = "電視台電視台電視台電視台".to_owned();
    let view = View { address: "a", snapshot: &snapshot, trouble: None };
    let lines = fitted(&view, 80, 24);
    assert!(lines.iter().all(|line| !line.text().contains(char::is_control)));
    assert!(lines[0].text().starts_with(" a]0;xbc"));
    assert!(lines[6].width() == 80 || lines[6].width() == 79, "{}", lines[6].text());
}
