//! The clip as an endless transport stream: timestamps and continuity counters go on over the seam. Pure.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use crate::chunk::TS_PACKET_BYTES;

/// One turn of the picture; see `tools/demo-clip`, which also says why it is so long.
static CLIP: &[u8] = include_bytes!("clip.ts");

/// Length of the turn on the 90 kHz clock of the timestamps: 12 s.
const TURN_TICKS: u64 = 12 * TICKS_PER_SECOND;

const TICKS_PER_SECOND: u64 = 90_000;

/// Timestamps have 33 bits (ISO/IEC 13818-1 §2.4.3.5, §2.4.3.7) and wrap after 26.5 hours.
const TICKS_MASK: u64 = (1 << 33) - 1;

/// What an encoder sends at once: the packets of one video frame, and of the audio that lies between it and the next.
#[derive(Debug, PartialEq, Eq)]
pub struct Burst {
    /// When to send it, from the start of the first turn, by the PCR.
    pub due: Duration,
    /// Whole TS packets.
    pub packets: Vec<u8>,
}

/// Yields the bursts of turn after turn, without end.
#[derive(Debug)]
pub struct Looper {
    /// Of one turn: what to send when, the latter in ticks from the start of the turn.
    bursts: Vec<(u64, Range<usize>)>,
    /// By PID, how far the continuity counter gets in a turn.
    advance: BTreeMap<u16, u8>,
    next: usize,
    turn: u64,
}

impl Default for Looper {
    fn default() -> Looper {
        let mut advance = BTreeMap::new();
        for packet in CLIP.chunks_exact(TS_PACKET_BYTES).filter(|packet| has_payload(packet)) {
            let counter: &mut u8 = advance.entry(pid(packet)).or_default();
            *counter = (*counter + 1) % 16;
        }
        Looper { bursts: bursts(), advance, next: 0, turn: 0 }
    }
}

impl Iterator for Looper {
    type Item = Burst;

    fn next(&mut self) -> Option<Burst> {
        let (tick, range) = self.bursts[self.next].clone();
        let passed = self.turn * TURN_TICKS;
        let mut packets = CLIP[range].to_vec();
        for packet in packets.chunks_exact_mut(TS_PACKET_BYTES) {
            let advance = u64::from(self.advance.get(&pid(packet)).copied().unwrap_or_default());
            let counter = (u64::from(packet[3]) + advance * (self.turn % 16)) % 16;
            packet[3] = packet[3] & 0xf0 | counter as u8;
            shift_pcr(packet, passed);
            shift_pes(packet, passed);
        }
        self.next += 1;
        if self.next == self.bursts.len() {
            self.next = 0;
            self.turn += 1;
        }
        Some(Burst { due: Duration::from_secs(passed + tick) / TICKS_PER_SECOND as u32, packets })
    }
}

/// Cuts the clip before each packet with a PCR, of which every video frame has one, and before the tables in front of it.
fn bursts() -> Vec<(u64, Range<usize>)> {
    let packets: Vec<&[u8]> = CLIP.chunks_exact(TS_PACKET_BYTES).collect();
    let mut starts = Vec::new();
    let mut first = None;
    for (mut index, packet) in packets.iter().enumerate() {
        let Some(pcr) = pcr(packet) else { continue };
        while index > 0 && pes(packets[index - 1]).is_none() && is_start(packets[index - 1]) {
            index -= 1;
        }
        starts.push((pcr - *first.get_or_insert(pcr), index * TS_PACKET_BYTES));
    }
    let ends = starts.iter().skip(1).map(|&(_, start)| start).chain([CLIP.len()]);
    starts.iter().zip(ends).map(|(&(tick, start), end)| (tick, start..end)).collect()
}

fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

fn is_start(packet: &[u8]) -> bool {
    packet[1] & 0x40 != 0
}

fn has_payload(packet: &[u8]) -> bool {
    packet[3] & 0x10 != 0
}

/// Where the payload of the packet begins if it is the start of a PES packet (ISO/IEC 13818-1 §2.4.3.6).
fn pes(packet: &[u8]) -> Option<usize> {
    let start = if packet[3] & 0x20 != 0 { 5 + usize::from(packet[4]) } else { 4 };
    let prefixed = packet.get(start..)?.starts_with(&[0, 0, 1]);
    (is_start(packet) && has_payload(packet) && prefixed).then_some(start)
}

/// The base of the packet's PCR, in ticks (ISO/IEC 13818-1 §2.4.3.4).
fn pcr(packet: &[u8]) -> Option<u64> {
    let present = packet[3] & 0x20 != 0 && packet[4] > 0 && packet[5] & 0x10 != 0;
    present.then(|| {
        let high = u32::from_be_bytes([packet[6], packet[7], packet[8], packet[9]]);
        u64::from(high) << 1 | u64::from(packet[10] >> 7)
    })
}

fn shift_pcr(packet: &mut [u8], ticks: u64) {
    if let Some(base) = pcr(packet) {
        let base = (base + ticks) & TICKS_MASK;
        packet[6..10].copy_from_slice(&((base >> 1) as u32).to_be_bytes());
        packet[10] = packet[10] & 0x7f | ((base & 1) as u8) << 7;
    }
}

/// Shifts PTS and DTS, whichever there are. The clip's PES headers fit the packet that they begin in.
fn shift_pes(packet: &mut [u8], ticks: u64) {
    let Some(start) = pes(packet) else { return };
    let count = match packet[start + 7] >> 6 {
        0b10 => 1,
        0b11 => 2,
        _ => 0,
    };
    for field in packet[start + 9..].chunks_exact_mut(5).take(count) {
        write_timestamp(field, (timestamp(field) + ticks) & TICKS_MASK);
    }
}

/// Reads a PTS or DTS: 33 bits among marker bits in 5 bytes.
fn timestamp(field: &[u8]) -> u64 {
    let middle = u16::from_be_bytes([field[1], field[2]]) >> 1;
    let low = u16::from_be_bytes([field[3], field[4]]) >> 1;
    u64::from(field[0] >> 1 & 0b111) << 30 | u64::from(middle) << 15 | u64::from(low)
}

fn write_timestamp(field: &mut [u8], ticks: u64) {
    field[0] = field[0] & 0xf1 | ((ticks >> 30) as u8 & 0b111) << 1;
    field[1..3].copy_from_slice(&(((ticks >> 15) as u16) << 1 | 1).to_be_bytes());
    field[3..5].copy_from_slice(&((ticks as u16) << 1 | 1).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES_PER_TURN: usize = 300;

    #[test]
    fn first_turn_is_the_clip() {
        let turn: Vec<u8> = Looper::default().take(FRAMES_PER_TURN).flat_map(|burst| burst.packets).collect();
        assert!(turn == CLIP);
    }

    #[test]
    fn a_frame_is_due_every_40_ms_and_over_the_seam() {
        for (index, burst) in Looper::default().take(FRAMES_PER_TURN * 3).enumerate() {
            assert_eq!(burst.due, Duration::from_millis(40) * index as u32);
            let first = burst.packets.chunks_exact(TS_PACKET_BYTES).find_map(pcr);
            assert_eq!(first, Some(18_000 + 3_600 * index as u64));
        }
    }

    #[test]
    fn tables_come_with_the_frame_after_them() {
        let keyframe = Looper::default().nth(25).unwrap();
        let pids: Vec<u16> = keyframe.packets.chunks_exact(TS_PACKET_BYTES).map(pid).take(3).collect();
        assert_eq!(pids, [0, 0x1000, 0x100]);
    }

    #[test]
    fn counters_and_timestamps_go_on_over_the_seams() {
        let mut counters: BTreeMap<u16, u8> = BTreeMap::new();
        let mut decoding_times: BTreeMap<u16, u64> = BTreeMap::new();
        let mut pushed = Looper::default();
        // Seventeen turns, since the counters are back where they were after sixteen.
        for burst in pushed.by_ref().take(FRAMES_PER_TURN * 17) {
            for packet in burst.packets.chunks_exact(TS_PACKET_BYTES) {
                let counter = packet[3] & 0x0f;
                if let Some(before) = counters.insert(pid(packet), counter) {
                    assert_eq!(counter, (before + u8::from(has_payload(packet))) % 16);
                }
                let Some(start) = pes(packet) else { continue };
                let field = start + if packet[start + 7] >> 6 == 0b11 { 14 } else { 9 };
                let time = timestamp(&packet[field..field + 5]);
                let step = if pid(packet) == 0x100 { 3_600 } else { 5 * 2_160 };
                if let Some(before) = decoding_times.insert(pid(packet), time) {
                    assert_eq!(time, before + step);
                }
            }
        }
        assert_eq!(pushed.turn, 17);
    }

    #[test]
    fn timestamps_wrap() {
        let mut field = [0x31, 0, 1, 0, 1];
        for ticks in [0, 1, 0x1_2345_6789, TICKS_MASK] {
            write_timestamp(&mut field, ticks);
            assert_eq!(timestamp(&field), ticks);
            assert_eq!([field[0] & 0xf1, field[2] & 1, field[4] & 1], [0x31, 1, 1]);
        }
        let late = Looper { turn: TICKS_MASK / TURN_TICKS, ..Looper::default() };
        let times: Vec<u64> = late
            .take(FRAMES_PER_TURN)
            .filter_map(|burst| burst.packets.chunks_exact(TS_PACKET_BYTES).find_map(pcr))
            .collect();
        assert_eq!(times.len(), FRAMES_PER_TURN);
        assert!(times.windows(2).any(|pair| pair[1] < pair[0]), "the clock has wrapped within the turn");
    }
}
