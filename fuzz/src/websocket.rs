//! What WebSocket clients send, read by the server.

use tsstream::proto::ws::{CONTROL_PAYLOAD_BYTES_MAX, Incoming, Reader, Violation, close, pong};

use crate::portions::{portions, seed};

/// The input is what a client sends after the handshake.
pub fn check(data: &[u8]) {
    let whole = read(std::iter::once(data));
    assert_eq!(whole, read(portions(data, seed(data))));
    assert_eq!(whole, read(data.chunks(1)));
}

/// What is said up to a goodbye, or to a violation.
fn read<'a>(portions: impl Iterator<Item = &'a [u8]>) -> (Vec<Incoming>, Option<Violation>) {
    let mut reader = Reader::new();
    let mut said = Vec::new();
    for mut portion in portions {
        while !portion.is_empty() {
            match reader.read(portion) {
                Ok((consumed, None)) => {
                    assert_eq!(consumed, portion.len());
                    break;
                }
                Ok((consumed, Some(incoming))) => {
                    assert!(consumed > 0 && consumed <= portion.len());
                    check_incoming(&incoming);
                    let is_goodbye = matches!(incoming, Incoming::Close(_));
                    said.push(incoming);
                    if is_goodbye {
                        return (said, None);
                    }
                    portion = &portion[consumed..];
                }
                Err(violation) => {
                    assert!([1002, 1007, 1009].contains(&violation.close_code()));
                    let goodbye = close(violation.close_code(), &violation.to_string());
                    assert!(goodbye.len() <= 2 + CONTROL_PAYLOAD_BYTES_MAX);
                    return (said, Some(violation));
                }
            }
        }
    }
    (said, None)
}

fn check_incoming(incoming: &Incoming) {
    match incoming {
        Incoming::Ping(payload) => {
            assert!(payload.as_bytes().len() <= CONTROL_PAYLOAD_BYTES_MAX);
            assert_eq!(&pong(payload)[2..], payload.as_bytes(), "it is answered in kind");
        }
        Incoming::Close(Some(code)) => {
            assert!(
                (1000..5000).contains(code) && ![1004, 1005, 1006, 1015].contains(code),
                "{code} is not to be sent"
            );
        }
        Incoming::Close(None) | Incoming::Pong | Incoming::Message => {}
    }
}
