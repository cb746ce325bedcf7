//! The UDP hops of one stream: whole TS packets in datagrams, made once for all of them.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use super::rtp::{HEADER_BYTES, Numbering};
use super::target::Desk;
use super::udp::{SEND_BYTES_MAX, UdpHop};
use crate::chunk::{Chunk, TS_PACKET_BYTES};
use crate::config::Framing;
use crate::mailbox::StreamId;
use crate::pace::random;

/// What a datagram carries of the stream: what fits a packet of Ethernet.
pub const PAYLOAD_BYTES: usize = 7 * TS_PACKET_BYTES;

/// The hops of one stream with the same framing.
#[derive(Debug)]
pub struct Feed {
    /// What they are sent.
    pub stream: StreamId,
    /// How.
    pub framing: Framing,
    /// Those that are sent to.
    pub hops: Vec<UdpHop>,
    position: Position,
    packer: Packer,
}

impl Feed {
    /// Without hops.
    #[must_use]
    pub fn new(stream: StreamId, framing: Framing, now: Instant) -> Feed {
        let packer = match framing {
            Framing::Ts => Packer::Ts,
            Framing::Message => Packer::Message,
            Framing::Rtp => Packer::Rtp { numbering: Numbering::new(random(), now), datagrams: Vec::new() },
        };
        Feed { stream, framing, hops: Vec::new(), position: Position::default(), packer }
    }

    /// The addresses that the hop in `slot` asked for have come.
    pub fn resolved(&mut self, slot: usize, addresses: io::Result<Vec<SocketAddr>>, desk: &mut Desk) {
        self.hops[slot].resolved(addresses, self.packer.datagram_bytes(), desk);
    }

    /// Sends the stream's next chunk to all hops. One that has just come begins at an entry; one that had other bytes
    /// before is sent what makes the break legal.
    pub fn send(&mut self, chunk: &Chunk, desk: &mut Desk) {
        let step = self.position.take(chunk);
        let Feed { hops, packer, .. } = self;
        let received = chunk.sealed.received;
        let datagram_bytes = packer.datagram_bytes();
        if let (Step::Jumps, Some(entry)) = (step, &chunk.sealed.entry) {
            let jump = packer.pack(entry.jump.payload(), received);
            hops.iter_mut().for_each(|hop| hop.jump(jump, datagram_bytes, desk));
        }
        if let Some(entry) = &chunk.sealed.entry
            && hops.iter().any(UdpHop::wants_entry)
        {
            let join = packer.pack_before(entry.join.payload(), received);
            hops.iter_mut().for_each(|hop| hop.join(join, datagram_bytes, desk));
        }
        if step != Step::Waits {
            let body = packer.pack(chunk.sealed.body.payload(), received);
            hops.iter_mut().for_each(|hop| hop.send(body, datagram_bytes, desk));
        }
    }
}

/// Makes datagrams of bytes: successive ones of the same length, but for the last.
#[derive(Debug)]
enum Packer {
    /// The bytes as they are.
    Ts,
    /// So, and all in one datagram.
    Message,
    /// Each with a header in front. `datagrams` is scratch space: at most those of one chunk.
    Rtp { numbering: Numbering, datagrams: Vec<u8> },
}

impl Packer {
    fn datagram_bytes(&self) -> usize {
        match self {
            Packer::Ts => PAYLOAD_BYTES,
            Packer::Message => SEND_BYTES_MAX,
            Packer::Rtp { .. } => HEADER_BYTES + PAYLOAD_BYTES,
        }
    }

    fn pack<'a>(&'a mut self, payload: &'a [u8], received: Instant) -> &'a [u8] {
        match self {
            Packer::Ts | Packer::Message => payload,
            Packer::Rtp { numbering, datagrams } => {
                datagrams.clear();
                numbering.write_next(payload, PAYLOAD_BYTES, received, datagrams);
                datagrams
            }
        }
    }

    /// For hops that have had nothing before what comes next.
    fn pack_before<'a>(&'a mut self, payload: &'a [u8], received: Instant) -> &'a [u8] {
        match self {
            Packer::Ts | Packer::Message => payload,
            Packer::Rtp { numbering, datagrams } => {
                datagrams.clear();
                numbering.write_before_next(payload, PAYLOAD_BYTES, received, datagrams);
                datagrams
            }
        }
    }
}

/// How far the stream has been sent. Pure.
#[derive(Debug, Default)]
struct Position {
    /// Number of the chunk to come.
    next: Option<u64>,
    /// What comes next does not continue what was sent.
    broken: bool,
}

/// What a chunk is to hops that had the stream before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It continues what they had.
    Follows,
    /// It is where they go on, after a preamble.
    Jumps,
    /// It is nothing to them: they go on at the next entry.
    Waits,
}

impl Position {
    fn take(&mut self, chunk: &Chunk) -> Step {
        let is_gap = self.next.is_some_and(|next| next != chunk.sequence);
        self.next = Some(chunk.sequence + 1);
        if !self.broken && !is_gap && !chunk.sealed.follows_discontinuity {
            return Step::Follows;
        }
        self.broken = chunk.sealed.entry.is_none();
        if self.broken { Step::Waits } else { Step::Jumps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::{Entry, Framed, Sealed};

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn after_a_gap_or_a_restart_the_stream_goes_on_at_an_entry() {
        let received = Instant::now();
        let chunk = |sequence, entry: bool, follows_discontinuity| Chunk {
            sequence,
            sealed: Sealed {
                body: Framed::default(),
                received,
                entry: entry.then(Entry::default),
                follows_discontinuity,
                starts_at_frame: true,
            },
        };
        let mut position = Position::default();
        for (chunk, step) in [
            (chunk(5, true, false), Step::Follows),
            (chunk(6, false, false), Step::Follows),
            (chunk(8, false, false), Step::Waits),
            (chunk(9, false, false), Step::Waits),
            (chunk(10, true, false), Step::Jumps),
            (chunk(11, false, false), Step::Follows),
            (chunk(12, true, true), Step::Jumps),
            (chunk(13, true, false), Step::Follows),
            (chunk(20, true, false), Step::Jumps),
        ] {
            assert_eq!(position.take(&chunk), step, "{}", chunk.sequence);
        }
    }
}
