//! Control frames (RFC 6455 §5.5): what they carry, and how a server writes them.

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::reader::Violation;

/// The most that a control frame carries, in bytes.
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;

/// A complete frame that asks for a pong with the same `payload`, of which there may be [`CONTROL_PAYLOAD_BYTES_MAX`].
#[must_use]
pub fn ping(payload: &[u8]) -> Box<[u8]> {
    frame(Control::Ping, &[payload])
}

/// The complete frame that answers a ping with `payload`.
#[must_use]
pub fn pong(payload: &ControlPayload) -> Box<[u8]> {
    frame(Control::Pong, &[payload.as_bytes()])
}

/// A complete frame that ends the conversation, or agrees to its end: `code` as of RFC 6455 §7.4.1, and a short
/// `reason` of ours for people.
#[must_use]
pub fn close(code: u16, reason: &str) -> Box<[u8]> {
    frame(Control::Close, &[&code.to_be_bytes(), reason.as_bytes()])
}

/// A complete text message.
#[must_use]
pub fn text(text: &str) -> Vec<u8> {
    let header = FrameHeader { opcode: OpCode::Data(Data::Text), ..FrameHeader::default() };
    let mut frame = Vec::with_capacity(4 + text.len());
    header.format(text.len() as u64, &mut frame).expect("a vector can be written to");
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// What a control frame carries.
#[derive(Clone, PartialEq, Eq)]
pub struct ControlPayload {
    bytes: [u8; CONTROL_PAYLOAD_BYTES_MAX],
    len: u8,
}

impl ControlPayload {
    /// The content.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    pub(super) const EMPTY: ControlPayload = ControlPayload { bytes: [0; CONTROL_PAYLOAD_BYTES_MAX], len: 0 };

    /// Adds `masked`, of which there must be room for, without its mask.
    pub(super) fn extend(&mut self, masked: &[u8], mask: [u8; 4]) {
        for byte in masked {
            let position = usize::from(self.len);
            self.bytes[position] = byte ^ mask[position % 4];
            self.len += 1;
        }
    }
}

impl std::fmt::Debug for ControlPayload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}

/// The code in the payload of a close frame, of those that may be sent (RFC 6455 §7.4 and the IANA registry).
pub(super) fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::Protocol("half a close code")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                return Err(Violation::Protocol("a close code that is not to be sent"));
            }
            std::str::from_utf8(reason).map_err(|_| Violation::NotUtf8)?;
            Ok(Some(code))
        }
    }
}

fn frame(control: Control, parts: &[&[u8]]) -> Box<[u8]> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    assert!(len <= CONTROL_PAYLOAD_BYTES_MAX, "what we put into control frames is short");
    let header = FrameHeader { opcode: OpCode::Control(control), ..FrameHeader::default() };
    let mut frame = Vec::with_capacity(2 + len);
    header.format(len as u64, &mut frame).expect("a vector can be written to");
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_complete_and_unmasked() {
        assert_eq!(*ping(b"12"), [0x89, 2, b'1', b'2']);
        assert_eq!(*close(1001, "bye"), [0x88, 5, 0x03, 0xe9, b'b', b'y', b'e']);
        let mut payload = ControlPayload::EMPTY;
        payload.extend(&[7; CONTROL_PAYLOAD_BYTES_MAX], [0; 4]);
        assert_eq!(pong(&payload)[..], [&[0x8a, 125], payload.as_bytes()].concat());
    }
}
