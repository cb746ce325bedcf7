//! What clients send, frame by frame (RFC 6455 §5). The content of messages is checked and dropped: a viewer has nothing
//! to say.

use std::fmt;
use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::control::{CONTROL_PAYLOAD_BYTES_MAX, ControlPayload, close_code};
use super::utf8::{NotUtf8, Text};

/// The largest message that is put up with, in bytes, all of its fragments together. None of it is kept.
pub const MESSAGE_BYTES_MAX: u32 = 64 * 1024;

/// The longest header of a frame (RFC 6455 §5.2).
pub(super) const HEADER_BYTES_MAX: usize = 14;

/// Tells the frames apart in bytes that arrive in portions of any size.
///
/// One of these is kept for each viewer, so it is small, and has memory of its own only within a control frame.
#[derive(Debug)]
pub struct Reader {
    /// The start of a frame's header, while it is not complete.
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    /// A message has been begun whose last fragment is still to come: how many bytes it has so far.
    message_bytes: Option<u32>,
    /// That message as far as it has come, if it is one of text.
    text: Option<Text>,
    frame: Frame,
}

/// What is being read.
#[derive(Debug)]
enum Frame {
    Header,
    Data { mask: [u8; 4], bytes: u32, left: u32, is_final: bool },
    Control(Box<ControlFrame>),
}

#[derive(Debug)]
struct ControlFrame {
    opcode: Control,
    mask: [u8; 4],
    left: usize,
    payload: ControlPayload,
}

/// What a client has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// To be answered by [`pong`](super::pong).
    Ping(ControlPayload),
    /// It is alive.
    Pong,
    /// It ends the conversation, with this code if any; to be answered in kind. What follows is to be ignored.
    Close(Option<u16>),
    /// A complete message, which is ignored.
    Message,
}

/// The client broke the protocol: nothing more can be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Of a rule of framing.
    Protocol(&'static str),
    /// A text, or the reason it closes for, is not UTF-8.
    NotUtf8,
    /// A message of more than [`MESSAGE_BYTES_MAX`].
    TooBig,
}

impl Reader {
    /// At the first byte after the handshake.
    #[must_use]
    pub fn new() -> Reader {
        Reader {
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            message_bytes: None,
            text: None,
            frame: Frame::Header,
        }
    }

    /// Goes as far as the next thing said in `input`: how many bytes that took, and what it was. With `None`, all of
    /// the input was taken.
    ///
    /// # Errors
    /// The first violation ends it.
    pub fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Incoming>), Violation> {
        let mut rest = input;
        loop {
            if let Frame::Header = self.frame {
                match self.header(&mut rest)? {
                    Some(frame) => self.frame = frame,
                    None => return Ok((input.len(), None)),
                }
            }
            if !self.payload(&mut rest)? {
                return Ok((input.len(), None));
            }
            if let Some(said) = self.complete()? {
                return Ok((input.len() - rest.len(), Some(said)));
            }
        }
    }

    /// Takes bytes of the header; gives the frame to be read once it is complete.
    fn header(&mut self, rest: &mut &[u8]) -> Result<Option<Frame>, Violation> {
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
    fn begin(&mut self, header: &FrameHeader, length: u64) -> Result<Frame, Violation> {
        let mask = header.mask.ok_or(Violation::Protocol("an unmasked frame"))?;
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(Violation::Protocol("a reserved bit is set"));
        }
        if header.len(length) != usize::from(self.header_len) {
            return Err(Violation::Protocol("a length in more bytes than it takes"));
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => Err(Violation::Protocol("a fragmented control frame")),
            OpCode::Control(opcode) => match usize::try_from(length) {
                Ok(left @ ..=CONTROL_PAYLOAD_BYTES_MAX) => {
                    let payload = ControlPayload::EMPTY;
                    Ok(Frame::Control(Box::new(ControlFrame { opcode, mask, left, payload })))
                }
                _ => Err(Violation::Protocol("a control frame that is too long")),
            },
            OpCode::Data(opcode) => self.begin_data(opcode, mask, header.is_final, length),
        }
    }

    fn begin_data(
        &mut self,
        opcode: Data,
        mask: [u8; 4],
        is_final: bool,
        length: u64,
    ) -> Result<Frame, Violation> {
        let before = match (opcode, self.message_bytes) {
            (Data::Continue, Some(bytes)) => bytes,
            (Data::Continue, None) => return Err(Violation::Protocol("a continuation of nothing")),
            (_, None) => 0,
            (_, Some(_)) => return Err(Violation::Protocol("a message within a message")),
        };
        if opcode != Data::Continue {
            self.text = (opcode == Data::Text).then(Text::default);
        }
        let left = u32::try_from(length).map_err(|_| Violation::TooBig)?;
        let bytes =
            before.checked_add(left).filter(|bytes| *bytes <= MESSAGE_BYTES_MAX).ok_or(Violation::TooBig)?;
        self.message_bytes = Some(bytes);
        Ok(Frame::Data { mask, bytes: left, left, is_final })
    }

    /// Takes bytes of the payload; whether the frame is complete with them.
    fn payload(&mut self, rest: &mut &[u8]) -> Result<bool, Violation> {
        match &mut self.frame {
            Frame::Header => Ok(false),
            Frame::Data { mask, bytes, left, .. } => {
                let (taken, after) = rest.split_at(rest.len().min(*left as usize));
                *rest = after;
                if let Some(text) = &mut self.text {
                    text.extend(taken, *mask, (*bytes - *left) as usize)?;
                }
                *left -= taken.len() as u32;
                Ok(*left == 0)
            }
            Frame::Control(control) => {
                let (taken, after) = rest.split_at(rest.len().min(control.left));
                *rest = after;
                control.left -= taken.len();
                control.payload.extend(taken, control.mask);
                Ok(control.left == 0)
            }
        }
    }

    /// What the complete frame says.
    fn complete(&mut self) -> Result<Option<Incoming>, Violation> {
        match std::mem::replace(&mut self.frame, Frame::Header) {
            Frame::Header | Frame::Data { is_final: false, .. } => Ok(None),
            Frame::Data { is_final: true, .. } => {
                self.message_bytes = None;
                self.text.take().map_or(Ok(()), Text::end)?;
                Ok(Some(Incoming::Message))
            }
            Frame::Control(control) => match control.opcode {
                Control::Ping => Ok(Some(Incoming::Ping(control.payload))),
                Control::Close => close_code(control.payload.as_bytes()).map(Incoming::Close).map(Some),
                Control::Pong | Control::Reserved(_) => Ok(Some(Incoming::Pong)),
            },
        }
    }
}

impl Default for Reader {
    fn default() -> Reader {
        Reader::new()
    }
}

impl Violation {
    /// What to close with (RFC 6455 §7.4.1).
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Violation::Protocol(_) => 1002,
            Violation::NotUtf8 => 1007,
            Violation::TooBig => 1009,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Violation::Protocol(rule) => rule,
            Violation::NotUtf8 => "a text that is not UTF-8",
            Violation::TooBig => "a message that is too big",
        })
    }
}

impl std::error::Error for Violation {}

impl From<NotUtf8> for Violation {
    fn from(_: NotUtf8) -> Violation {
        Violation::NotUtf8
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read, Write};

    use proptest::prelude::*;
    use tungstenite::Message;
    use tungstenite::protocol::frame::{CloseFrame, coding::CloseCode};
    use tungstenite::protocol::{Role, WebSocket};

    use super::*;

    type Outcome = (Vec<Incoming>, Option<Violation>);

    /// Reads what is sent in portions of these lengths, and the rest at once.
    fn read(mut sent: &[u8], portions: &[usize]) -> Outcome {
        let mut reader = Reader::new();
        let mut said = Vec::new();
        for len in portions.iter().copied().chain([usize::MAX]) {
            let (mut portion, rest) = sent.split_at(len.min(sent.len()));
            while !portion.is_empty() {
                match reader.read(portion) {
                    Ok((consumed, Some(incoming))) => {
                        said.push(incoming);
                        portion = &portion[consumed..];
                    }
                    Ok((consumed, None)) => {
                        assert_eq!(consumed, portion.len());
                        portion = &[];
                    }
                    Err(violation) => return (said, Some(violation)),
                }
            }
            sent = rest;
        }
        (said, None)
    }

    /// What tungstenite's client sends of these messages.
    fn client(messages: Vec<Message>) -> Vec<u8> {
        struct Wire(Vec<u8>);
        impl Read for Wire {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::WouldBlock.into())
            }
        }
        impl Write for Wire {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut client = WebSocket::from_raw_socket(Wire(Vec::new()), Role::Client, None);
        for message in messages {
            client.send(message).expect("memory can be written to");
        }
        std::mem::take(&mut client.get_mut().0)
    }

    /// A frame with an all-zero mask.
    fn frame(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
        [&[first, length[0] | 0x80], &length[1..], &[0; 4], payload].concat()
    }

    fn violation(sent: &[&[u8]]) -> u16 {
        let (_, violation) = read(&sent.concat(), &[]);
        violation.expect("the protocol was broken").close_code()
    }

    fn payload(bytes: &[u8]) -> ControlPayload {
        let mut payload = ControlPayload::EMPTY;
        payload.extend(bytes, [0; 4]);
        payload
    }

    #[test]
    fn a_reader_is_small() {
        assert!(size_of::<Reader>() <= 64);
    }

    #[test]
    fn fragments_with_a_ping_between_them() {
        let sent = [
            frame(0x01, &[2], b"ab"),
            frame(0x89, &[1], b"p"),
            frame(0x00, &[0], b""),
            frame(0x80, &[1], b"c"),
        ];
        assert_eq!(read(&sent.concat(), &[]), (vec![Incoming::Ping(payload(b"p")), Incoming::Message], None));
    }

    #[test]
    fn texts_are_utf8_across_fragments_and_nothing_else() {
        let split = [frame(0x01, &[2], b"a\xe2"), frame(0x89, &[0], b""), frame(0x80, &[2], b"\x82\xac")];
        assert_eq!(read(&split.concat(), &[]).1, None);
        assert_eq!(
            violation(&[&frame(0x01, &[2], b"a\xe2"), &frame(0x80, &[0], b"")]),
            1007,
            "half a character"
        );
        assert_eq!(violation(&[&frame(0x81, &[9], b"a\xff")]), 1007, "known before the rest has come");
        let binary = [frame(0x02, &[1], b"\xff"), frame(0x80, &[1], b"\xff"), frame(0x81, &[1], b"a")];
        assert_eq!(read(&binary.concat(), &[]), (vec![Incoming::Message; 2], None));
    }

    #[test]
    fn framing_is_checked() {
        let ping = frame(0x89, &[0], b"");
        assert_eq!(violation(&[&[0x81, 0]]), 1002, "unmasked");
        for reserved in [0x40, 0x20, 0x10] {
            assert_eq!(violation(&[&ping, &frame(0x82 | reserved, &[0], b"")]), 1002);
        }
        for opcode in [3, 7, 0xb, 0xf] {
            assert_eq!(violation(&[&frame(0x80 | opcode, &[0], b"")]), 1002);
        }
        assert_eq!(violation(&[&frame(0x89, &[126, 0, 126], b"")]), 1002, "a long ping");
        assert_eq!(violation(&[&frame(0x09, &[0], b"")]), 1002, "half a ping");
        assert_eq!(violation(&[&frame(0x82, &[126, 0, 125], b"")]), 1002, "not the shortest length");
        assert_eq!(violation(&[&frame(0x82, &[127, 0, 0, 0, 0, 0, 0, 255, 255], b"")]), 1002);
        assert_eq!(violation(&[&frame(0x80, &[0], b"")]), 1002, "a continuation of nothing");
        assert_eq!(violation(&[&frame(0x82, &[0], b""), &frame(0x80, &[0], b"")]), 1002);
        assert_eq!(
            violation(&[&frame(0x01, &[0], b""), &frame(0x81, &[0], b"")]),
            1002,
            "a message in a message"
        );
    }

    #[test]
    fn close_payloads_are_checked() {
        let close = |payload: &[u8]| frame(0x88, &[payload.len() as u8], payload);
        assert_eq!(read(&close(b""), &[]).0, [Incoming::Close(None)]);
        assert_eq!(read(&close(b"\x03\xe9bye"), &[]).0, [Incoming::Close(Some(1001))]);
        assert_eq!(violation(&[&close(b"\x03")]), 1002);
        for code in [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535] {
            assert_eq!(violation(&[&close(&code.to_be_bytes())]), 1002, "{code}");
        }
        assert_eq!(violation(&[&close(b"\x03\xe8\xff")]), 1007);
    }

    #[test]
    fn messages_are_bounded_and_not_kept() {
        let largest = |first| frame(first, &[127, 0, 0, 0, 0, 0, 1, 0, 0], &[0; MESSAGE_BYTES_MAX as usize]);
        assert_eq!(read(&largest(0x82), &[]), (vec![Incoming::Message], None));
        assert_eq!(violation(&[&largest(0x02), &frame(0x80, &[1], b"x")]), 1009);
        assert_eq!(violation(&[&frame(0x82, &[127, 0, 0, 0, 0, 0, 1, 0, 1], b"")]), 1009);
        assert_eq!(violation(&[&frame(0x82, &[127, 0x80, 0, 0, 0, 0, 0, 0, 0], b"")]), 1009);
        assert_eq!(violation(&[&frame(0x82, &[127, 255, 255, 255, 255, 255, 255, 255, 255], b"")]), 1009);
    }

    #[test]
    fn what_a_client_sends() {
        let reason = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
        let messages = vec![
            Message::text("hello"),
            Message::Ping(vec![1, 2, 3].into()),
            Message::binary(vec![7; 300]),
            Message::Pong(Vec::new().into()),
            Message::Close(Some(reason)),
        ];
        let said = vec![
            Incoming::Message,
            Incoming::Ping(payload(&[1, 2, 3])),
            Incoming::Message,
            Incoming::Pong,
            Incoming::Close(Some(1001)),
        ];
        assert_eq!(read(&client(messages), &[]), (said, None));
    }

    proptest! {
        #[test]
        fn portions_do_not_matter(
            pings in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..126), 1..6),
            portions in proptest::collection::vec(1_usize..20, 0..60),
        ) {
            let messages = |ping: &Vec<u8>| [Message::Ping(ping.clone().into()), Message::binary(ping.clone())];
            let sent = client(pings.iter().flat_map(messages).collect());
            let said = pings.iter().flat_map(|ping| [Incoming::Ping(payload(ping)), Incoming::Message]).collect();
            prop_assert_eq!(read(&sent, &portions), (said, None));
        }

        #[test]
        fn any_bytes_in_any_portions_come_to_the_same(
            frames in proptest::collection::vec((any::<u8>(), 0_u8..130, any::<[u8; 4]>()), 0..12),
            noise in proptest::collection::vec(any::<u8>(), 0..60),
            portions in proptest::collection::vec(1_usize..9, 0..60),
        ) {
            // Mostly valid headers, so that it gets further than the first byte.
            let frame = |(first, length, mask): &(u8, u8, [u8; 4])| {
                [vec![first & 0x8b, length | 0x80], mask.to_vec(), vec![0; usize::from(length & 0x7f)]].concat()
            };
            let sent = [frames.iter().flat_map(frame).collect(), noise].concat();
            prop_assert_eq!(read(&sent, &portions), read(&sent, &[]));
        }
    }
}
