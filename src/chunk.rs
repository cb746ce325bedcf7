//! The chunk: one sealed, immutable, reference-counted piece of a stream.
//!
//! A chunk is made once, by the ingest thread, and from then on shared by every receiver of the stream on every worker.
//! Its WebSocket frame header is written once, in front of the payload in the same memory: a server's frames are not
//! masked (RFC 6455 §5.1), so the header is the same for every client. A WebSocket receiver is sent header and payload,
//! every other receiver the payload alone. A node that pulls the stream is sent a little more: in front of the header
//! stands a frame of its own with the chunk's [`Stamp`], written when the chunk is given its number.

use std::sync::Arc;
use std::time::Instant;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::proto::relay::{STAMP_BYTES, Stamp};

/// Bytes of one MPEG-TS packet (ISO/IEC 13818-1 §2.4.3.2).
pub const TS_PACKET_BYTES: usize = 188;

/// The most payload that one chunk carries: the whole TS packets that fit a WebSocket frame with a 16-bit length.
pub const PAYLOAD_BYTES_MAX: usize = 65_535 / TS_PACKET_BYTES * TS_PACKET_BYTES;

/// The frame with the stamp: a WebSocket header with a 7-bit length, then the stamp.
const STAMP_FRAME_BYTES: usize = 2 + STAMP_BYTES;

/// Room in front of a payload: the frame with the stamp, then a WebSocket header with a 16-bit length, unmasked
/// (RFC 6455 §5.2).
const HEADER_ROOM: usize = STAMP_FRAME_BYTES + 4;

/// A piece of a stream as it goes to receivers. Cloning the [`Arc`] around it is all that sharing costs.
#[derive(Debug)]
pub struct Chunk {
    /// Number of this chunk in its stream: one more than the number of the chunk before, whoever the publisher was.
    pub sequence: u64,
    /// The content, as sealed.
    pub sealed: Sealed,
}

/// What the framer made: a chunk that has not been given its number yet.
#[derive(Debug)]
pub struct Sealed {
    /// What was published: whole TS packets for a TS stream, never empty.
    pub body: Framed,
    /// When its beginning was read from the publisher: the first byte, or the whole first packet of a TS stream.
    pub received: Instant,
    /// Present where a receiver may begin: a keyframe, as a rule.
    pub entry: Option<Entry>,
    /// The first chunk of a new publisher: what came before does not continue here.
    pub follows_discontinuity: bool,
    /// No video frame is open where this chunk starts, so a receiver may leave the stream just before it.
    pub starts_at_frame: bool,
}

/// What a receiver must be sent just before a chunk at which it begins or to which it jumps.
#[derive(Debug, Default)]
pub struct Entry {
    /// For a receiver that had nothing before: PAT and PMT.
    pub join: Framed,
    /// For a receiver that had something else before: discontinuity indicators on every PID, then PAT and PMT.
    pub jump: Framed,
}

/// Bytes with the header of the WebSocket frame that holds just them.
#[derive(Debug, Default)]
pub struct Framed {
    memory: Box<[u8]>,
    header_start: u8,
    /// Where the frame with the stamp begins; `header_start` if there is none.
    stamp_start: u8,
}

impl Framed {
    /// The complete WebSocket frame: header, then payload. Empty if the payload is.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.memory[usize::from(self.header_start)..]
    }

    /// The payload alone.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.memory.get(HEADER_ROOM..).unwrap_or_default()
    }

    /// The same after the frame with the stamp, if there is one.
    #[must_use]
    pub fn relayed(&self) -> &[u8] {
        &self.memory[usize::from(self.stamp_start)..]
    }

    /// The stamp, if there is one.
    #[must_use]
    pub fn stamp(&self) -> Option<Stamp> {
        let frame = &self.memory[usize::from(self.stamp_start)..usize::from(self.header_start)];
        Stamp::from_bytes(frame.get(STAMP_FRAME_BYTES - STAMP_BYTES..)?)
    }

    /// Writes the stamp. There must be a payload.
    pub fn set_stamp(&mut self, stamp: Stamp) {
        let end = usize::from(self.header_start);
        let start = end - STAMP_FRAME_BYTES;
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
        let (mut head, stamp_room) = self.memory[start..end].split_at_mut(STAMP_FRAME_BYTES - STAMP_BYTES);
        header.format(STAMP_BYTES as u64, &mut head).expect("the header fits the room made for it");
        stamp_room.copy_from_slice(&stamp.to_bytes());
        self.stamp_start = start as u8;
    }

    /// `payload` in a binary frame. Copies; for the small and rare.
    #[must_use]
    pub fn binary(payload: &[u8]) -> Framed {
        let mut builder = FrameBuilder::default();
        builder.extend(payload);
        builder.seal()
    }
}

/// Where the bytes of the next chunk gather, with room for the frame header in front.
#[derive(Debug, Default)]
pub struct FrameBuilder {
    memory: Vec<u8>,
    /// Bytes that the last one came to. The next will be about as long: asking for the most there could be, to give
    /// nearly all of it back, costs a system call a chunk.
    expected: usize,
}

impl FrameBuilder {
    /// Payload gathered so far, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.memory.len().saturating_sub(HEADER_ROOM)
    }

    /// Nothing has been gathered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes may still be added: [`PAYLOAD_BYTES_MAX`] less [`len`](Self::len).
    #[must_use]
    pub fn room(&self) -> usize {
        PAYLOAD_BYTES_MAX - self.len()
    }

    /// Adds `bytes`, of which there must be [`room`](Self::room) for.
    pub fn extend(&mut self, bytes: &[u8]) {
        assert!(bytes.len() <= self.room(), "a chunk is sealed before it outgrows its bound");
        if self.memory.is_empty() {
            self.memory.reserve_exact(self.expected.max(HEADER_ROOM + bytes.len()));
            self.memory.extend_from_slice(&[0; HEADER_ROOM]);
        }
        self.memory.extend_from_slice(bytes);
    }

    /// Ends the frame and leaves the builder empty. The memory shrinks to what is used, as a rule without a copy, so
    /// that a receiver which holds on to a chunk holds on to nothing else.
    pub fn seal(&mut self) -> Framed {
        if self.is_empty() {
            return Framed::default();
        }
        self.expected = self.memory.len();
        let mut memory = std::mem::take(&mut self.memory).into_boxed_slice();
        let payload_len = memory.len() - HEADER_ROOM;
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
        let header_len = header.len(payload_len as u64);
        let header_start = HEADER_ROOM - header_len;
        let mut room = &mut memory[header_start..HEADER_ROOM];
        header.format(payload_len as u64, &mut room).expect("the header fits the room made for it");
        Framed { memory, header_start: header_start as u8, stamp_start: header_start as u8 }
    }
}

/// A chunk as threads share it.
pub type SharedChunk = Arc<Chunk>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::NodeId;
    use crate::proto::relay::Origin;

    #[test]
    fn header_has_the_length_of_the_payload() {
        for (len, header) in [(1, vec![0x82, 1]), (125, vec![0x82, 125]), (126, vec![0x82, 126, 0, 126])] {
            let framed = Framed::binary(&vec![7; len]);
            assert_eq!(framed.payload(), vec![7; len]);
            assert_eq!(framed.frame(), [header, vec![7; len]].concat());
        }
        let largest = Framed::binary(&vec![7; PAYLOAD_BYTES_MAX]);
        assert_eq!(largest.frame()[..4], [0x82, 126, 0xff, 0x90]);
        assert_eq!(largest.frame().len(), PAYLOAD_BYTES_MAX + 4);
    }

    #[test]
    fn a_stamp_stands_just_before_the_frame() {
        let origin = Origin { node: NodeId::random(), number: 7 };
        let stamp = Stamp {
            sequence: 5,
            origin,
            made_us: 1,
            received_us: 2,
            entry: true,
            follows_discontinuity: false,
        };
        for len in [1, 125, 126, PAYLOAD_BYTES_MAX] {
            let mut framed = Framed::binary(&vec![7; len]);
            let frame = framed.frame().to_vec();
            assert_eq!((framed.stamp(), framed.relayed()), (None, &frame[..]));
            framed.set_stamp(stamp);
            assert_eq!(
                (framed.stamp(), framed.frame(), framed.payload().len()),
                (Some(stamp), &frame[..], len)
            );
            assert_eq!(
                framed.relayed(),
                [&[0x82, STAMP_BYTES as u8], &stamp.to_bytes()[..], &frame].concat()
            );
        }
    }

    #[test]
    fn nothing_makes_no_frame() {
        assert!(Framed::default().frame().is_empty() && Framed::default().payload().is_empty());
        assert!(FrameBuilder::default().seal().frame().is_empty());
    }
}
