//! What WebSocket servers send, read by a node that pulls: the answer to the handshake, and frames.

use tsstream::proto::http::HEAD_BYTES_MAX;
use tsstream::proto::ws::client::{FrameReader, Kind, Said, parse_answer};
use tsstream::proto::ws::{CONTROL_PAYLOAD_BYTES_MAX, Violation};

use crate::portions::{portions, seed};

/// The example of RFC 6455 §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The input is what a server sends: first, it is taken for the answer and what follows; then for frames alone.
pub fn check(data: &[u8]) {
    match parse_answer(data, KEY) {
        Ok(Some(opened)) => {
            assert!(opened.head_len <= data.len().min(HEAD_BYTES_MAX));
            let step = 1 + opened.head_len / 16;
            for less in (0..opened.head_len).step_by(step).chain([opened.head_len - 1]) {
                assert_eq!(parse_answer(&data[..less], KEY), Ok(None));
            }
            check_frames(&data[opened.head_len..]);
        }
        Ok(None) => assert!(data.len() < HEAD_BYTES_MAX, "it asks for no more than that"),
        Err(_) => {}
    }
    check_frames(data);
}

/// What is said, messages put together again.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    messages: Vec<(Kind, Vec<u8>)>,
    /// Of the message that is not complete.
    begun: Option<(Kind, Vec<u8>)>,
    pings: Vec<Vec<u8>>,
    pongs: usize,
    goodbye: Option<Option<u16>>,
    violation: Option<Violation>,
}

fn check_frames(data: &[u8]) {
    let whole = read(std::iter::once(data));
    assert_eq!(whole, read(portions(data, seed(data))));
    assert_eq!(whole, read(data.chunks(1)));
}

fn read<'a>(portions: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = FrameReader::default();
    let mut outcome = Outcome::default();
    for mut portion in portions {
        while !portion.is_empty() {
            match reader.read(portion) {
                Ok((consumed, None)) => {
                    assert_eq!(consumed, portion.len());
                    break;
                }
                Ok((consumed, Some(said))) => {
                    assert!(consumed > 0 && consumed <= portion.len());
                    outcome.hear(said);
                    portion = &portion[consumed..];
                }
                Err(violation) => outcome.violation = Some(violation),
            }
            if outcome.goodbye.is_some() || outcome.violation.is_some() {
                return outcome;
            }
        }
    }
    outcome
}

impl Outcome {
    fn hear(&mut self, said: Said<'_>) {
        match said {
            Said::Part { kind, bytes, ends } => {
                let (begun, message) = self.begun.get_or_insert((kind, Vec::new()));
                assert_eq!(*begun, kind, "a message is of one kind");
                message.extend_from_slice(bytes);
                if ends {
                    self.messages.extend(self.begun.take());
                } else if self.begun.as_ref().is_some_and(|(_, message)| message.is_empty()) {
                    // That one has begun without a byte may be told now or later.
                    self.begun = None;
                }
            }
            Said::Ping(payload) => {
                assert!(payload.as_bytes().len() <= CONTROL_PAYLOAD_BYTES_MAX);
                self.pings.push(payload.as_bytes().to_vec());
            }
            Said::Pong => self.pongs += 1,
            Said::Close(code) => self.goodbye = Some(code),
        }
    }
}
