//! MPEG-TS into RTP (RFC 3550 §5.1, RFC 2250 §2). Pure.

use std::time::{Duration, Instant};

/// MP2T (RFC 3551 table 5).
const PAYLOAD_TYPE_MP2T: u8 = 33;

/// Bytes of a header without contributing sources.
pub const HEADER_BYTES: usize = 12;

/// Numbers the datagrams of one stream. All hops are sent the same ones.
#[derive(Debug)]
pub struct Numbering {
    source: u32,
    /// Number of the datagram to come, modulo 2^16.
    next: u16,
    /// When the 90 kHz clock was at zero.
    started: Instant,
}

impl Numbering {
    /// Begins at a number and with a source that `random` decides, as RFC 3550 wants.
    #[must_use]
    pub fn new(random: u64, started: Instant) -> Numbering {
        Numbering { source: (random >> 32) as u32, next: random as u16, started }
    }

    /// Appends to `out` the datagrams that hold `payload`, `payload_bytes` each but the last, with the next numbers.
    pub fn write_next(&mut self, payload: &[u8], payload_bytes: usize, received: Instant, out: &mut Vec<u8>) {
        self.write(self.next, payload, payload_bytes, received, out);
        self.next = self.next.wrapping_add(payload.len().div_ceil(payload_bytes) as u16);
    }

    /// The same for a hop that has had nothing before, with the numbers just before the next: others have had other
    /// datagrams with these numbers, and it misses none.
    pub fn write_before_next(
        &self,
        payload: &[u8],
        payload_bytes: usize,
        received: Instant,
        out: &mut Vec<u8>,
    ) {
        let first = self.next.wrapping_sub(payload.len().div_ceil(payload_bytes) as u16);
        self.write(first, payload, payload_bytes, received, out);
    }

    fn write(&self, first: u16, payload: &[u8], payload_bytes: usize, received: Instant, out: &mut Vec<u8>) {
        let timestamp = ticks(received.saturating_duration_since(self.started)).to_be_bytes();
        let mut sequence = first;
        for piece in payload.chunks(payload_bytes) {
            out.extend_from_slice(&[0x80, PAYLOAD_TYPE_MP2T]);
            out.extend_from_slice(&sequence.to_be_bytes());
            out.extend_from_slice(&timestamp);
            out.extend_from_slice(&self.source.to_be_bytes());
            out.extend_from_slice(piece);
            sequence = sequence.wrapping_add(1);
        }
    }
}

/// Of 90 kHz, modulo 2^32.
fn ticks(elapsed: Duration) -> u32 {
    (elapsed.as_nanos() * 9 / 100_000) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn each_datagram_has_its_number_and_who_joins_misses_none() {
        let start = Instant::now();
        let mut numbering = Numbering::new(0x0102_0304_0000_ffff, start);
        let received = start + Duration::from_millis(10);
        let mut joined = Vec::new();
        numbering.write_before_next(&[7; 376], 188, received, &mut joined);
        numbering.write_next(&[8; 300], 188, received, &mut joined);
        let datagrams: Vec<&[u8]> = joined.chunks(HEADER_BYTES + 188).collect();
        let lengths: Vec<usize> = datagrams.iter().map(|datagram| datagram.len()).collect();
        assert_eq!(lengths, [200, 200, 200, 124]);
        assert_eq!(datagrams[0][..12], [0x80, 33, 0xff, 0xfd, 0, 0, 3, 132, 1, 2, 3, 4]);
        let numbers: Vec<[u8; 2]> = datagrams.iter().map(|datagram| [datagram[2], datagram[3]]).collect();
        assert_eq!(numbers, [[0xff, 0xfd], [0xff, 0xfe], [0xff, 0xff], [0, 0]]);
        assert_eq!(numbering.next, 1);
    }
}
