//! The header by which a proxy says for whom it connects.

use tsstream::proto::proxy::{HEADER_BYTES_MAX, Header, NoHeader, parse};

/// How each version begins.
const STARTS: [&[u8]; 2] = [b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n"];

/// The input is what a proxy sends first.
pub fn check(data: &[u8]) {
    match parse(data) {
        Ok(Some((header, length))) => {
            assert!(length <= data.len().min(HEADER_BYTES_MAX) && is_start(data));
            for less in 0..length {
                assert_eq!(parse(&data[..less]), Ok(None), "of {length} bytes, {less} are not enough");
            }
            assert_eq!(
                parse(&data[..length]),
                Ok(Some((header, length))),
                "what follows makes no difference"
            );
            if let Header::Client(address) = header {
                assert!(
                    !data.starts_with(STARTS[0])
                        || data[..length].windows(4).any(|word| word == b"TCP4" || word == b"TCP6")
                );
                assert_eq!(address.to_string().parse(), Ok(address));
            }
        }
        Ok(None) => {
            assert!(data.len() < HEADER_BYTES_MAX && is_start(data), "it asks for no more than that");
            assert!((0..data.len()).all(|less| parse(&data[..less]) == Ok(None)));
        }
        Err(NoHeader::Absent) => assert!(!is_start(data)),
        Err(NoHeader::Malformed) => {
            assert!(is_start(data));
            let more = [data, &[b'\n'; 8]].concat();
            assert_eq!(parse(&more), Err(NoHeader::Malformed), "no more bytes can mend it");
        }
    }
}

/// It begins as a header does, as far as it goes.
fn is_start(data: &[u8]) -> bool {
    STARTS.iter().any(|start| data.iter().zip(*start).all(|(byte, expected)| byte == expected))
}
