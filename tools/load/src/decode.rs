//! Takes the framing off what a receiver gets: WebSocket frames (RFC 6455 §5.2), chunks of HTTP (RFC 9112 §7.1), or none.

use std::ops::AddAssign;

use serde::Serialize;

use crate::content::PACKET_BYTES;
use crate::handshake::Body;

/// The most that a control frame may carry (RFC 6455 §5.5), and a line with the length of a chunk here.
const CONTROL_BYTES_MAX: usize = 125;

/// What was seen of the framing, added up over receivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frames {
    /// WebSocket messages, or chunks of HTTP.
    pub messages: u64,
    /// Of these, how many were not whole packets.
    pub messages_unaligned: u64,
    /// Rules broken: reserved bits, masks, unknown opcodes, lengths not minimal, chunks without end.
    pub errors: u64,
}

impl AddAssign for Frames {
    fn add_assign(&mut self, other: Frames) {
        self.messages += other.messages;
        self.messages_unaligned += other.messages_unaligned;
        self.errors += other.errors;
    }
}

/// What a receiver has to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Answer with a pong of this payload.
    Ping(Vec<u8>),
    /// The server says goodbye.
    Close,
}

/// A receiver's place in the framing.
#[derive(Debug)]
pub struct Decoder {
    body: Body,
    /// What has come of a header.
    header: Vec<u8>,
    /// Bytes of the payload that are still to come.
    left: u64,
    part: Part,
    message_bytes: u64,
    /// What was seen so far.
    pub frames: Frames,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Header,
    /// Of a data frame or a chunk; whether the message ends with it.
    Data(Finality),
    Ping,
    Pong,
    Close,
    /// After an error or the last chunk: nothing more can be read.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finality {
    Last,
    MoreFollow,
}

impl Decoder {
    /// At the start of `body`.
    #[must_use]
    pub fn new(body: Body) -> Decoder {
        Decoder {
            body,
            header: Vec::new(),
            left: 0,
            part: Part::Header,
            message_bytes: 0,
            frames: Frames::default(),
        }
    }

    /// Takes `bytes`, gives the payload among them to `on_data`, and what is to be done to `on_event`.
    pub fn take(
        &mut self,
        mut bytes: &[u8],
        mut on_data: impl FnMut(&[u8]),
        mut on_event: impl FnMut(Event),
    ) {
        if self.body == Body::Plain {
            return on_data(bytes);
        }
        while !bytes.is_empty() && self.part != Part::Nothing {
            if self.part == Part::Header {
                let (byte, rest) = (bytes[0], &bytes[1..]);
                self.header.push(byte);
                bytes = rest;
                match self.body {
                    Body::Frames => self.frame_header(),
                    Body::Chunked | Body::Plain => self.chunk_header(),
                }
            } else {
                let (payload, rest) =
                    bytes.split_at(bytes.len().min(usize::try_from(self.left).unwrap_or(usize::MAX)));
                self.left -= payload.len() as u64;
                bytes = rest;
                match self.part {
                    Part::Data(_) => on_data(payload),
                    _ => self.header.extend_from_slice(payload),
                }
            }
            if self.part != Part::Header && self.left == 0 {
                self.end(&mut on_event);
            }
        }
    }

    /// The payload is complete.
    fn end(&mut self, on_event: &mut impl FnMut(Event)) {
        match std::mem::replace(&mut self.part, Part::Header) {
            Part::Data(Finality::Last) => {
                self.frames.messages += 1;
                let is_aligned = self.message_bytes.is_multiple_of(PACKET_BYTES as u64);
                self.frames.messages_unaligned += u64::from(!is_aligned);
                self.message_bytes = 0;
            }
            Part::Ping => on_event(Event::Ping(std::mem::take(&mut self.header))),
            Part::Close => on_event(Event::Close),
            Part::Nothing => self.part = Part::Nothing,
            Part::Data(Finality::MoreFollow) | Part::Pong | Part::Header => (),
        }
        self.header.clear();
    }

    /// Reads the header of a frame, once it is complete.
    fn frame_header(&mut self) {
        let [first, second, ref extended @ ..] = self.header[..] else { return };
        let length = match (second & 0x7f, extended) {
            (126, &[high, low]) => u64::from(u16::from_be_bytes([high, low])),
            (127, extended) if extended.len() == 8 => {
                extended.iter().fold(0, |length, byte| length << 8 | u64::from(*byte))
            }
            (126 | 127, _) => return,
            (short, _) => u64::from(short),
        };
        let is_minimal = match second & 0x7f {
            126 => length > 125,
            127 => length > 0xffff && length >> 63 == 0,
            _ => true,
        };
        let finality = if first & 0x80 == 0 { Finality::MoreFollow } else { Finality::Last };
        let is_masked = second & 0x80 != 0;
        self.part = match first & 0x0f {
            0..=2 => Part::Data(finality),
            8 => Part::Close,
            9 => Part::Ping,
            10 => Part::Pong,
            _ => Part::Nothing,
        };
        let is_control = matches!(self.part, Part::Close | Part::Ping | Part::Pong);
        let is_good_control = finality == Finality::Last && length <= CONTROL_BYTES_MAX as u64;
        if first & 0x70 != 0
            || is_masked
            || !is_minimal
            || self.part == Part::Nothing
            || is_control && !is_good_control
        {
            self.fail();
            return;
        }
        self.start(length);
    }

    /// Reads the line in front of a chunk, once it is complete; before it stands the end of the chunk before.
    fn chunk_header(&mut self) {
        if self.header == b"\r\n" {
            self.header.clear();
        }
        let Some(line) = self.header.strip_suffix(b"\r\n") else {
            if self.header.len() > CONTROL_BYTES_MAX {
                self.fail();
            }
            return;
        };
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let length =
            std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
        match length {
            Some(0) => self.part = Part::Nothing,
            Some(length) => {
                self.part = Part::Data(Finality::Last);
                self.start(length);
            }
            None => self.fail(),
        }
    }

    fn start(&mut self, length: u64) {
        self.header.clear();
        self.left = length;
        if matches!(self.part, Part::Data(_)) {
            self.message_bytes += length;
        }
    }

    fn fail(&mut self) {
        self.frames.errors += 1;
        self.part = Part::Nothing;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(body: Body, bytes: &[u8], size: usize) -> (Vec<u8>, Vec<Event>, Frames) {
        let mut decoder = Decoder::new(body);
        let (mut data, mut events) = (Vec::new(), Vec::new());
        for piece in bytes.chunks(size) {
            decoder.take(piece, |bytes| data.extend_from_slice(bytes), |event| events.push(event));
        }
        (data, events, decoder.frames)
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let length = payload.len();
        let header = match length {
            0..=125 => vec![first, length as u8],
            126..=0xffff => vec![first, 126, (length >> 8) as u8, length as u8],
            _ => [&[first, 127][..], &(length as u64).to_be_bytes()].concat(),
        };
        [header, payload.to_vec()].concat()
    }

    #[test]
    fn frames_come_off_however_they_are_cut() {
        let stream = [
            frame(0x82, &[1; 188]),
            frame(0x89, b"ping"),
            frame(0x02, &[2; 100]),
            frame(0x8a, b""),
            frame(0x80, &[3; 88]),
            frame(0x82, &vec![4; 188 * 400]),
            frame(0x82, &[5; 10]),
            frame(0x88, &[3, 232]),
        ]
        .concat();
        let expected = [vec![1; 188], vec![2; 100], vec![3; 88], vec![4; 188 * 400], vec![5; 10]].concat();
        for size in [1, 3, 190, 1_000_000] {
            let (data, events, frames) = decode(Body::Frames, &stream, size);
            assert!(data == expected);
            assert_eq!(events, [Event::Ping(b"ping".to_vec()), Event::Close]);
            assert_eq!(frames, Frames { messages: 4, messages_unaligned: 1, errors: 0 });
        }
    }

    #[test]
    fn broken_frames_are_counted() {
        for bytes in [
            &[0xc2, 1, 0][..],
            &[0x82, 0x81, 0, 0, 0, 0, 0],
            &[0x83, 0],
            &[0x82, 126, 0, 5],
            &[0x82, 127, 0, 0, 0, 0, 0, 0, 1, 0],
            &[0x89, 126, 0, 200],
            &[0x09, 0],
        ] {
            assert_eq!(decode(Body::Frames, bytes, 1).2.errors, 1, "{bytes:x?}");
        }
    }

    #[test]
    fn chunks_come_off() {
        let stream = b"5\r\nHello\r\nA;x=y\r\n, stranger\r\n0\r\n\r\n";
        for size in [1, 4, 100] {
            let (data, events, frames) = decode(Body::Chunked, stream, size);
            assert_eq!((data.as_slice(), events.len()), (&b"Hello, stranger"[..], 0));
            assert_eq!((frames.messages, frames.errors), (2, 0));
        }
        assert_eq!(decode(Body::Chunked, b"zz\r\n", 9).2.errors, 1);
        assert_eq!(decode(Body::Chunked, &[b'1'; 500], 9).2.errors, 1);
    }
}
