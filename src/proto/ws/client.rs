//! The client's side (RFC 6455 §4.1, §5), for a stream that is pulled: the request, the check of the answer, what servers
//! send, and masked control frames to them.

use std::fmt::Write;
use std::io::Cursor;

use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::control::{CONTROL_PAYLOAD_BYTES_MAX, ControlPayload, close_code};
use super::reader::{HEADER_BYTES_MAX, Violation};
use crate::proto::http::{HEAD_BYTES_MAX, HEADERS_MAX};

/// A request that opens a WebSocket at `target` of `host` (with its port). `headers` are names and values of our own.
#[must_use]
pub fn request(host: &str, target: &str, key: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
    );
    for (name, value) in headers {
        debug_assert!(!value.contains(['\r', '\n']), "a header field is one line");
        write!(head, "{name}: {value}\r\n").expect("a string can be written to");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// An answer that has opened the WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub struct Opened {
    /// Bytes of the answer; what follows is the server's frames.
    pub head_len: usize,
    headers: Vec<(String, String)>,
}

impl Opened {
    /// The value of the first header field of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    fn has_token(&self, name: &str, token: &str) -> bool {
        self.header(name)
            .is_some_and(|value| value.split(',').any(|it| it.trim().eq_ignore_ascii_case(token)))
    }
}

/// Why an answer has not opened the WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOpened {
    /// It is no HTTP, or too long.
    Malformed,
    /// It has this status instead of 101: a page, a redirect, a refusal. With it comes the start of what it says.
    Status(u16, String),
    /// It does not agree to a WebSocket, or with the key of another request.
    WrongKey,
}

/// Reads the answer to a request with `key` from the start of what the server has sent so far. `Ok(None)` asks to be
/// called again with more; that ends at [`HEAD_BYTES_MAX`].
///
/// # Errors
/// When the WebSocket is not open.
pub fn parse_answer(bytes: &[u8], key: &str) -> Result<Option<Opened>, NotOpened> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let head_len = match head.parse(&bytes[..bytes.len().min(HEAD_BYTES_MAX)]) {
        Ok(httparse::Status::Complete(head_len)) => head_len,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) | Err(_) => return Err(NotOpened::Malformed),
    };
    let status = head.code.ok_or(NotOpened::Malformed)?;
    if status != 101 {
        return Err(NotOpened::Status(status, first_line(&bytes[head_len..])));
    }
    let text = |value| String::from_utf8_lossy(value).into_owned();
    let headers = head.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
    let opened = Opened { head_len, headers };
    let agrees = opened.has_token("Upgrade", "websocket")
        && opened.has_token("Connection", "upgrade")
        && opened.header("Sec-WebSocket-Accept") == Some(&*derive_accept_key(key.as_bytes()));
    if agrees { Ok(Some(opened)) } else { Err(NotOpened::WrongKey) }
}

/// What may be said in the log of the body of an answer.
fn first_line(body: &[u8]) -> String {
    const LETTERS_MAX: usize = 120;
    let text = String::from_utf8_lossy(body);
    text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).take(LETTERS_MAX).collect()
}

/// A complete frame of a client: `payload`, of which there may be [`CONTROL_PAYLOAD_BYTES_MAX`], in a control frame.
/// `mask` must be such as the server's peers can't foresee (RFC 6455 §5.3).
#[must_use]
pub fn masked(control: Control, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    debug_assert!(payload.len() <= CONTROL_PAYLOAD_BYTES_MAX, "it is a control frame");
    let header = FrameHeader { opcode: OpCode::Control(control), mask: Some(mask), ..FrameHeader::default() };
    let mut frame = Vec::with_capacity(6 + payload.len());
    header.format(payload.len() as u64, &mut frame).expect("a vector can be written to");
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Tells the frames of a server apart in bytes that arrive in portions of any size. Keeps none of their content.
#[derive(Debug, Default)]
pub struct FrameReader {
    /// The start of a frame's header, while it is not complete.
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    /// The message begun whose last fragment is still to come.
    message: Option<Kind>,
    frame: Option<Frame>,
}

#[derive(Debug)]
enum Frame {
    Data { kind: Kind, left: u64, is_final: bool },
    Control { opcode: Control, left: usize, payload: Box<ControlPayload> },
}

/// What a message is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Bytes.
    Binary,
}

/// What a server has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// More of a message, which `ends` with it or goes on.
    Part {
        /// Of which kind it is.
        kind: Kind,
        /// What has come of it.
        bytes: &'a [u8],
        /// There is no more of this message.
        ends: bool,
    },
    /// To be answered by a pong with the same content.
    Ping(Box<ControlPayload>),
    /// It is alive.
    Pong,
    /// It ends the conversation, with this code if any.
    Close(Option<u16>),
}

impl FrameReader {
    /// Goes as far as the next thing said in `input`: how many bytes that took, and what it was. With `None`, all of the
    /// input was taken.
    ///
    /// # Errors
    /// The first violation ends it.
    pub fn read<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Option<Said<'a>>), Violation> {
        let mut rest = input;
        let frame = match &mut self.frame {
            Some(frame) => frame,
            None => match self.read_header(&mut rest)? {
                Some(frame) => self.frame.insert(frame),
                None => return Ok((input.len(), None)),
            },
        };
        match frame {
            Frame::Data { kind, left, is_final } => {
                let len = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
                let (bytes, after) = rest.split_at(len);
                *left -= len as u64;
                let (kind, complete, is_final) = (*kind, *left == 0, *is_final);
                if complete {
                    self.frame = None;
                    self.message = (!is_final).then_some(kind);
                }
                let said = Said::Part { kind, bytes, ends: complete && is_final };
                Ok((input.len() - after.len(), Some(said)))
            }
            Frame::Control { opcode, left, payload } => {
                let (taken, after) = rest.split_at(rest.len().min(*left));
                payload.extend(taken, [0; 4]);
                *left -= taken.len();
                if *left > 0 {
                    return Ok((input.len(), None));
                }
                let said = match opcode {
                    Control::Ping => Said::Ping(payload.clone()),
                    Control::Close => Said::Close(close_code(payload.as_bytes())?),
                    Control::Pong | Control::Reserved(_) => Said::Pong,
                };
                self.frame = None;
                Ok((input.len() - after.len(), Some(said)))
            }
        }
    }

    /// Takes bytes of the header; gives the frame to be read once it is complete.
    fn read_header(&mut self, rest: &mut &[u8]) -> Result<Option<Frame>, Violation> {
        while let Some((&byte, after)) = rest.split_first() {
            *rest = after;
            self.header[usize::from(self.header_len)] = byte;
            self.header_len += 1;
            let bytes = &self.header[..usize::from(self.header_len)];
            let parsed = FrameHeader::parse(&mut Cursor::new(bytes));
            if let Some((header, length)) = parsed.map_err(|_| Violation::Protocol("unknown opcode"))? {
                let frame = self.begin(&header, length)?;
                self.header_len = 0;
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// All that `FrameHeader::parse` leaves to be checked.
    fn begin(&self, header: &FrameHeader, length: u64) -> Result<Frame, Violation> {
        if header.mask.is_some() {
            return Err(Violation::Protocol("a masked frame"));
        }
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::Protocol("a reserved bit is set"));
        }
        if header.len(length) != usize::from(self.header_len) {
            return Err(Violation::Protocol("a length in more bytes than it takes"));
        }
        match (header.opcode, self.message) {
            (OpCode::Control(_), _) if !header.is_final => {
                Err(Violation::Protocol("a fragmented control frame"))
            }
            (OpCode::Control(opcode), _) => match usize::try_from(length) {
                Ok(left @ ..=CONTROL_PAYLOAD_BYTES_MAX) => {
                    Ok(Frame::Control { opcode, left, payload: Box::new(ControlPayload::EMPTY) })
                }
                _ => Err(Violation::Protocol("a control frame that is too long")),
            },
            (OpCode::Data(Data::Continue), None) => Err(Violation::Protocol("a continuation of nothing")),
            (OpCode::Data(Data::Continue), Some(kind)) => {
                Ok(Frame::Data { kind, left: length, is_final: header.is_final })
            }
            (OpCode::Data(_), Some(_)) => Err(Violation::Protocol("a message within a message")),
            (OpCode::Data(opcode), None) => {
                let kind = if opcode == Data::Text { Kind::Text } else { Kind::Binary };
                Ok(Frame::Data { kind, left: length, is_final: header.is_final })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::proto::http::parse_request;
    use crate::proto::ws::{handshake, ping};

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    /// What is heard: parts of a message put together, and the rest in words.
    fn hear(mut sent: &[u8], portions: &[usize]) -> (Vec<(String, Vec<u8>)>, Option<Violation>) {
        let mut reader = FrameReader::default();
        let (mut heard, mut message) = (Vec::new(), Vec::new());
        for len in portions.iter().copied().chain([usize::MAX]) {
            let (mut portion, rest) = sent.split_at(len.min(sent.len()));
            sent = rest;
            while !portion.is_empty() {
                let (consumed, said) = match reader.read(portion) {
                    Ok(outcome) => outcome,
                    Err(violation) => return (heard, Some(violation)),
                };
                portion = &portion[consumed..];
                match said {
                    None => {}
                    Some(Said::Part { kind, bytes, ends }) => {
                        message.extend_from_slice(bytes);
                        if ends {
                            heard.push((format!("{kind:?}"), std::mem::take(&mut message)));
                        }
                    }
                    Some(Said::Ping(payload)) => heard.push(("ping".into(), payload.as_bytes().to_vec())),
                    Some(other) => heard.push((format!("{other:?}"), Vec::new())),
                }
            }
        }
        (heard, None)
    }

    #[test]
    fn our_own_server_agrees() {
        let request = request("a:1", "/live", KEY, &[("Sec-WebSocket-Protocol", "x")]);
        let (request, _) = parse_request(&request).unwrap().unwrap();
        let answer = handshake(&request, None, &[("X", "y")]).unwrap();
        for len in 0..answer.len() {
            assert_eq!(parse_answer(&answer[..len], KEY), Ok(None));
        }
        let opened = parse_answer(&answer, KEY).unwrap().unwrap();
        assert_eq!((opened.head_len, opened.header("sec-websocket-protocol")), (answer.len(), Some("x")));
        assert_eq!(opened.header("x"), Some("y"));
        assert_eq!(parse_answer(&answer, "AAAAAAAAAAAAAAAAAAAAAA=="), Err(NotOpened::WrongKey));
    }

    #[test]
    fn what_is_no_websocket_is_told_apart() {
        let status = |code, words: &str| Err(NotOpened::Status(code, words.into()));
        assert_eq!(parse_answer(b"HTTP/1.1 200 OK\r\n\r\n<html>\r\n\x07", KEY), status(200, "<html>"));
        assert_eq!(parse_answer(b"HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n", KEY), status(301, ""));
        assert_eq!(parse_answer(b"SSH-2.0-OpenSSH\r\n", KEY), Err(NotOpened::Malformed));
        assert_eq!(parse_answer(b"HTTP/1.1 101 Sure\r\n\r\n", KEY), Err(NotOpened::WrongKey));
        let long = [b"HTTP/1.1 101 Sure\r\nX: ".as_slice(), &[b'x'; HEAD_BYTES_MAX]].concat();
        assert_eq!(parse_answer(&long, KEY), Err(NotOpened::Malformed));
    }

    #[test]
    fn a_masked_frame_is_what_a_server_reads() {
        let frame = masked(Control::Ping, b"hello", [1, 2, 3, 4]);
        let (_, said) = super::super::Reader::new().read(&frame).unwrap();
        let Some(super::super::Incoming::Ping(payload)) = said else { panic!("{said:?}") };
        assert_eq!(payload.as_bytes(), b"hello");
    }

    #[test]
    fn framing_is_checked() {
        let violation = |sent: &[u8]| hear(sent, &[]).1.is_some();
        assert!(violation(&[0x82, 0x80, 0, 0, 0, 0]), "masked");
        assert!(violation(&[0xc2, 0]) && violation(&[0xa2, 0]) && violation(&[0x92, 0]));
        assert!(violation(&[0x83, 0]) && violation(&[0x8b, 0]), "unknown opcodes");
        assert!(violation(&[0x89, 126, 0, 126]) && violation(&[0x09, 0]), "control frames");
        assert!(violation(&[0x82, 126, 0, 125]), "not the shortest length");
        assert!(violation(&[0x80, 0]) && violation(&[0x02, 0, 0x82, 0]));
        assert!(violation(&[0x88, 1, 3]) && violation(&[0x88, 2, 0, 0]));
        assert_eq!(hear(&[0x88, 2, 3, 0xe9], &[]).0, [("Close(Some(1001))".to_owned(), vec![])]);
    }

    proptest! {
        #[test]
        fn portions_do_not_matter(
            messages in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..300)), 1..6),
            portions in proptest::collection::vec(1_usize..20, 0..60),
        ) {
            let (mut sent, mut expected) = (Vec::new(), Vec::new());
            for (text, message) in messages {
                let (first, rest) = message.split_at(message.len().min(100));
                sent.extend([if text { 0x01 } else { 0x02 }, first.len() as u8]);
                sent.extend(first);
                sent.extend(&*ping(b"between"));
                let header = FrameHeader { opcode: OpCode::Data(Data::Continue), ..FrameHeader::default() };
                header.format(rest.len() as u64, &mut sent).unwrap();
                sent.extend(rest);
                expected.push(("ping".to_owned(), b"between".to_vec()));
                expected.push((if text { "Text" } else { "Binary" }.to_owned(), message));
            }
            prop_assert_eq!(hear(&sent, &portions), (expected, None));
        }

        #[test]
        fn any_bytes_in_any_portions_come_to_the_same(
            sent in proptest::collection::vec(prop_oneof![0x80_u8..0x8b, 0_u8..5], 0..60),
            portions in proptest::collection::vec(1_usize..9, 0..60),
        ) {
            prop_assert_eq!(hear(&sent, &portions), hear(&sent, &[]));
        }
    }
}
