//! A made-up stream of constant rate: tables and a keyframe once a second, one picture a burst, its clock in each.
//!
//! Nothing in it can be decoded, but all that a relay may look at is right: tables, continuity counters, clocks,
//! random access indicators, starts of PES packets.

use std::sync::LazyLock;

use super::mark::Mark;
use super::packet::{PACKET_BYTES, PID_PAT, SYNC_BYTE, section_packet};

const PID_PMT: u16 = 0x1000;
const PID_VIDEO: u16 = 0x100;

/// Tables (two packets), one packet of video and the mark.
const PACKETS_PER_BURST_MIN: u64 = 4;

/// Bits of one packet.
const PACKET_BITS: u64 = PACKET_BYTES as u64 * 8;

/// A stream of constant rate.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// Number of the stream.
    pub stream: u32,
    /// Of all packets together, in bits a second.
    bits_per_second: u64,
    bursts_per_second: u64,
}

impl Synthetic {
    /// A stream of `bits_per_second` in `bursts_per_second` bursts.
    ///
    /// # Errors
    /// When a burst would not have room for its packets; the error says what is possible.
    pub fn new(stream: u32, bits_per_second: u64, bursts_per_second: u32) -> Result<Synthetic, String> {
        let bursts_per_second = u64::from(bursts_per_second);
        let least = (PACKETS_PER_BURST_MIN + 1) * PACKET_BITS * bursts_per_second;
        if bursts_per_second == 0 || bits_per_second < least {
            return Err(format!(
                "{bits_per_second} bit/s in {bursts_per_second} bursts a second is too little: it takes {least} bit/s at least"
            ));
        }
        Ok(Synthetic { stream, bits_per_second, bursts_per_second })
    }

    /// When burst `number` is due, in nanoseconds after burst 0.
    #[must_use]
    pub fn due_ns(&self, number: u64) -> u64 {
        (u128::from(number) * 1_000_000_000 / u128::from(self.bursts_per_second)) as u64
    }

    /// Appends burst `number`: in the first of each second PAT and PMT; video; the mark.
    pub fn burst(&self, number: u64, out: &mut Vec<u8>) {
        let keyframe = number.is_multiple_of(self.bursts_per_second);
        if keyframe {
            let counter = self.keyframes_before(number) as u8;
            out.extend_from_slice(&section_packet(PID_PAT, counter, &pat()));
            out.extend_from_slice(&section_packet(PID_PMT, counter, &pmt()));
        }
        let first = self.video_before(number);
        let count = self.video_before(number + 1) - first;
        for index in 0..count {
            let noise = self.noise(first + index);
            let counter = (first + index) as u8 & 15;
            match index {
                0 => out.extend_from_slice(&self.picture_start(number, counter, keyframe, noise)),
                _ => {
                    let head = [SYNC_BYTE, (PID_VIDEO >> 8) as u8, PID_VIDEO as u8, 0x10 | counter];
                    out.extend_from_slice(&head);
                    out.extend_from_slice(&noise[4..]);
                }
            }
        }
        out.extend_from_slice(&Mark { stream: self.stream, burst: number, sent_ns: 0 }.packet());
    }

    /// The packet that a picture starts with: clock, random access indicator if it is a keyframe, PES header.
    fn picture_start(&self, number: u64, counter: u8, keyframe: bool, noise: &[u8]) -> [u8; PACKET_BYTES] {
        let ticks =
            (u128::from(number) * 27_000_000 / u128::from(self.bursts_per_second)) as u64 % (300 << 33);
        let (base, extension) = (ticks / 300, ticks % 300);
        let pcr = (base << 15 | 0x3f << 9 | extension).to_be_bytes();
        let shown = (base + 18_000) % (1 << 33);
        let flags = 0x10 | if keyframe { 0x40 } else { 0 };
        let mut packet = [0; PACKET_BYTES];
        packet.copy_from_slice(&noise[..PACKET_BYTES]);
        packet[..6].copy_from_slice(&[
            SYNC_BYTE,
            0x40 | (PID_VIDEO >> 8) as u8,
            PID_VIDEO as u8,
            0x30 | counter,
            7,
            flags,
        ]);
        packet[6..12].copy_from_slice(&pcr[2..]);
        packet[12..21].copy_from_slice(&[0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5]);
        packet[21..26].copy_from_slice(&[
            0x21 | (shown >> 29) as u8 & 0x0e,
            (shown >> 22) as u8,
            1 | (shown >> 14) as u8 & 0xfe,
            (shown >> 7) as u8,
            1 | (shown << 1) as u8,
        ]);
        packet
    }

    fn keyframes_before(&self, number: u64) -> u64 {
        number.div_ceil(self.bursts_per_second)
    }

    /// Packets of video before burst `number`: all packets at this rate, less marks and tables.
    fn video_before(&self, number: u64) -> u64 {
        let bits = u128::from(number) * u128::from(self.bits_per_second) / u128::from(self.bursts_per_second);
        (bits / u128::from(PACKET_BITS)) as u64 - number - 2 * self.keyframes_before(number)
    }

    /// What fills video packet `index` of this stream: [`PACKET_BYTES`] bytes, other ones for each packet.
    fn noise(&self, index: u64) -> &'static [u8] {
        let place = (index ^ u64::from(self.stream) << 44).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        &NOISE[place as usize..][..PACKET_BYTES]
    }
}

fn pat() -> [u8; 12] {
    [0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe0 | (PID_PMT >> 8) as u8, PID_PMT as u8]
}

/// Video by H.264, and the marks as private data.
fn pmt() -> [u8; 22] {
    let (video_high, video_low) = (0xe0 | (PID_VIDEO >> 8) as u8, PID_VIDEO as u8);
    let (mark_high, mark_low) = (0xe0 | (super::mark::PID_MARK >> 8) as u8, super::mark::PID_MARK as u8);
    [
        2, 0xb0, 23, 0, 1, 0xc1, 0, 0, video_high, video_low, 0xf0, 0, //
        0x1b, video_high, video_low, 0xf0, 0, //
        0x06, mark_high, mark_low, 0xf0, 0,
    ]
}

/// Bytes without meaning (xorshift), as many as there are places to start at and a packet more.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..(1 << 16) + PACKET_BYTES).map(|_| byte()).collect()
});

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Packet;
    use std::collections::HashMap;

    #[test]
    fn counters_clock_and_rate_are_right() {
        for (rate, bursts) in [(2_000_000, 25), (410_000, 25), (500_000, 30), (1_000_000_000, 1000)] {
            let content = Synthetic::new(3, rate, bursts).unwrap();
            let mut bytes = Vec::new();
            (0..u64::from(bursts) * 3).for_each(|number| content.burst(number, &mut bytes));
            let expected = rate * 3 / 8;
            assert!(
                bytes.len() as u64 <= expected && expected - (bytes.len() as u64) < 188,
                "{}",
                bytes.len()
            );
            let mut counters: HashMap<u16, u8> = HashMap::new();
            let (mut keyframes, mut clocks) = (0, Vec::new());
            for packet in Packet::all(&bytes) {
                assert_eq!(packet.0[0], SYNC_BYTE);
                let counter = packet.0[3] & 15;
                let before = counters.insert(packet.pid(), counter);
                assert!(before.is_none_or(|before| (before + 1) & 15 == counter), "{:#x}", packet.pid());
                clocks.extend(packet.pcr());
                keyframes += i32::from(packet.0[3] & 0x20 != 0 && packet.0[5] & 0x40 != 0);
                assert_eq!(packet.pid() < 0x100 || packet.pid() == PID_PMT, packet.section().is_some());
            }
            assert_eq!(keyframes, 3);
            assert_eq!(clocks.len(), bursts as usize * 3);
            assert_eq!(clocks[bursts as usize], 27_000_000);
        }
    }

    #[test]
    fn streams_and_bursts_differ() {
        let burst = |stream, number| {
            let mut bytes = Vec::new();
            Synthetic::new(stream, 2_000_000, 25).unwrap().burst(number, &mut bytes);
            bytes
        };
        assert_eq!(burst(1, 30), burst(1, 30));
        assert!(burst(1, 30)[..188 * 4] != burst(2, 30)[..188 * 4]);
        assert!(burst(1, 30)[..188 * 4] != burst(1, 31)[..188 * 4]);
    }

    #[test]
    fn too_little_is_refused() {
        assert!(Synthetic::new(1, 100_000, 25).unwrap_err().contains("188000 bit/s"));
        assert!(Synthetic::new(1, 188_000, 25).is_ok());
        assert!(Synthetic::new(1, 188_000, 0).is_err());
    }
}
