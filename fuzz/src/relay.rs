//! What nodes tell each other: paths, places in a stream, stamps.

use tsstream::proto::relay::{Origin, STAMP_BYTES, Stamp, parse_path, path_text};

/// The input is a text message, a header's value, and a binary message.
pub fn check(data: &[u8]) {
    if let Some(path) = parse_path(data) {
        let (&first, before) = path.split_first().expect("a path has a node");
        assert_eq!(parse_path(path_text(first, before).as_bytes()).as_ref(), Some(&path));
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(origin) = text.parse::<Origin>()
    {
        assert_eq!(origin.to_string().parse(), Ok(origin));
        assert!(origin.is_at_most(origin) && !origin.follows(origin));
    }
    if let Some(stamp) = Stamp::from_bytes(data) {
        let bytes = stamp.to_bytes();
        assert_eq!(data.len(), STAMP_BYTES);
        // Flags that a later version may add are not passed on.
        assert_eq!((bytes[0], bytes[1] & !data[1], &bytes[2..]), (data[0], 0, &data[2..]));
        assert_eq!(Stamp::from_bytes(&bytes), Some(stamp));
    }
}
