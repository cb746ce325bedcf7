//! The mark: the packet that ends a burst and says which it is and when it was sent.

use super::packet::{PACKET_BYTES, Packet, SYNC_BYTE};

/// PID of marks. Not one that a muxer chooses by itself.
pub const PID_MARK: u16 = 0x1f0d;

/// What the payload of a mark starts with.
const MAGIC: [u8; 8] = *b"tsload/1";

/// Where the time stands in the packet: all else is the same whenever the burst is sent.
const SENT: std::ops::Range<usize> = 24..32;

/// What a mark says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Number of the stream.
    pub stream: u32,
    /// Number of the burst in its stream.
    pub burst: u64,
    /// When the burst was sent, on the clock of [`now_ns`](crate::host::now_ns).
    pub sent_ns: u64,
}

impl Mark {
    /// The packet that says so.
    #[must_use]
    pub fn packet(self) -> [u8; PACKET_BYTES] {
        let mut packet = [0xff; PACKET_BYTES];
        let counter = (self.burst & 15) as u8;
        packet[..4].copy_from_slice(&[SYNC_BYTE, (PID_MARK >> 8) as u8, PID_MARK as u8, 0x10 | counter]);
        packet[4..12].copy_from_slice(&MAGIC);
        packet[12..16].copy_from_slice(&self.stream.to_be_bytes());
        packet[16..24].copy_from_slice(&self.burst.to_be_bytes());
        packet[SENT].copy_from_slice(&self.sent_ns.to_be_bytes());
        packet
    }

    /// What `packet` says; `None` if it is no mark.
    #[must_use]
    pub fn read(packet: Packet<'_>) -> Option<Mark> {
        if packet.pid() != PID_MARK || packet.0[4..12] != MAGIC {
            return None;
        }
        let (stream, rest) = packet.0[12..].split_first_chunk()?;
        let (burst, rest) = rest.split_first_chunk()?;
        let (sent_ns, _) = rest.split_first_chunk()?;
        Some(Mark {
            stream: u32::from_be_bytes(*stream),
            burst: u64::from_be_bytes(*burst),
            sent_ns: u64::from_be_bytes(*sent_ns),
        })
    }
}

/// Writes the time into the mark that ends `burst`.
pub fn stamp(burst: &mut [u8], sent_ns: u64) {
    if let Some(mark) = burst.last_chunk_mut::<PACKET_BYTES>() {
        mark[SENT].copy_from_slice(&sent_ns.to_be_bytes());
    }
}

/// Takes the time out of the mark that ends `burst`, so that it can be compared.
pub fn unstamp(burst: &mut [u8]) {
    stamp(burst, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_written() {
        let mark = Mark { stream: 7, burst: 0x1_0000_0003, sent_ns: u64::MAX - 5 };
        let packet = mark.packet();
        assert_eq!(Mark::read(Packet(&packet)), Some(mark));
        let mut bytes = packet;
        unstamp(&mut bytes);
        assert_eq!(bytes, Mark { sent_ns: 0, ..mark }.packet());
        bytes[4] ^= 1;
        assert_eq!(Mark::read(Packet(&bytes)), None);
    }
}
