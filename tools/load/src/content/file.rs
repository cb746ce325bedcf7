//! A transport stream file at its own pace: a burst ends before each clock reference, and is due when that clock says.
//!
//! The file is repeated as it is: at its end, clocks and continuity counters jump back.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use super::mark::{Mark, PID_MARK};
use super::packet::{PACKET_BYTES, Packet, SYNC_BYTE};

/// A file is held in memory; this is the most that is.
const FILE_BYTES_MAX: u64 = 4 << 30;

/// Ticks of the clock per second.
const TICKS_PER_SECOND: u64 = 27_000_000;

/// A file cut into bursts.
#[derive(Debug)]
pub struct FileContent {
    bytes: Vec<u8>,
    /// Bursts of one round: where their bytes are and when they are due.
    bursts: Vec<(Range<usize>, u64)>,
    /// How long a round takes.
    round_ns: u64,
}

impl FileContent {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// When it can't be read, is no transport stream, or has no clock; the error names the file.
    pub fn open(path: &Path) -> Result<FileContent, String> {
        let named = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
        let length = std::fs::metadata(path).map_err(|error| named(&error))?.len();
        if length > FILE_BYTES_MAX {
            return Err(named(&format!("{length} bytes are more than the {FILE_BYTES_MAX} that are taken")));
        }
        FileContent::new(std::fs::read(path).map_err(|error| named(&error))?).map_err(|error| named(&error))
    }

    /// Cuts `bytes` into bursts.
    ///
    /// # Errors
    /// When they are no transport stream with a clock.
    pub fn new(mut bytes: Vec<u8>) -> Result<FileContent, String> {
        bytes.truncate(bytes.len() / PACKET_BYTES * PACKET_BYTES);
        let mut pids = BTreeSet::new();
        for (index, packet) in Packet::all(&bytes).enumerate() {
            if packet.0[0] != SYNC_BYTE {
                return Err(format!("packet {index} does not start with 0x47: not a transport stream"));
            }
            pids.insert(packet.pid());
        }
        if pids.contains(&PID_MARK) {
            return Err(format!("PID {PID_MARK:#x} is in use, which is needed for marks"));
        }
        let clocks = clocks(&bytes);
        let [(_, first), .., (_, last)] = clocks[..] else {
            return Err("it has no clock (PCR) to go by".to_owned());
        };
        // What comes after the last clock is taken to last as long as a burst does on average.
        let span_ns = ns(last - first);
        let round_ns = span_ns + span_ns / (clocks.len() as u64 - 1);
        let starts = clocks.iter().map(|(start, _)| *start).skip(1).chain([bytes.len()]);
        let mut begin = 0;
        let bursts = clocks.iter().zip(starts).map(|((_, ticks), end)| {
            let range = begin..end;
            begin = end;
            (range, ns(ticks - first))
        });
        Ok(FileContent { bursts: bursts.collect(), round_ns: round_ns.max(1), bytes })
    }

    /// When burst `number` is due, in nanoseconds after burst 0.
    #[must_use]
    pub fn due_ns(&self, number: u64) -> u64 {
        let (round, index) = self.place(number);
        round * self.round_ns + self.bursts[index].1
    }

    /// Appends burst `number` of this file as stream `stream`, and its mark.
    pub fn burst(&self, stream: u32, number: u64, out: &mut Vec<u8>) {
        let (_, index) = self.place(number);
        out.extend_from_slice(&self.bytes[self.bursts[index].0.clone()]);
        out.extend_from_slice(&Mark { stream, burst: number, sent_ns: 0 }.packet());
    }

    fn place(&self, number: u64) -> (u64, usize) {
        let bursts = self.bursts.len() as u64;
        (number / bursts, (number % bursts) as usize)
    }
}

/// Offset and time of each clock reference on the PID that has the first one, as long as it goes forward.
fn clocks(bytes: &[u8]) -> Vec<(usize, u64)> {
    let mut pid = None;
    let mut clocks: Vec<(usize, u64)> = Vec::new();
    for (index, packet) in Packet::all(bytes).enumerate() {
        let Some(ticks) = packet.pcr() else { continue };
        let is_next = clocks.last().is_none_or(|(_, before)| ticks > *before);
        if *pid.get_or_insert(packet.pid()) == packet.pid() && is_next {
            clocks.push((index * PACKET_BYTES, ticks));
        }
    }
    clocks
}

fn ns(ticks: u64) -> u64 {
    (u128::from(ticks) * 1_000_000_000 / u128::from(TICKS_PER_SECOND)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Synthetic;

    #[test]
    fn a_file_is_repeated_at_its_own_pace() {
        let synthetic = Synthetic::new(1, 1_000_000, 25).unwrap();
        let mut bytes = Vec::new();
        for number in 0..50 {
            synthetic.burst(number, &mut bytes);
            bytes.truncate(bytes.len() - PACKET_BYTES);
        }
        let file = FileContent::new(bytes.clone()).unwrap();
        assert_eq!(
            (file.due_ns(1), file.due_ns(49), file.due_ns(50)),
            (40_000_000, 1_960_000_000, 2_000_000_000)
        );
        let mut round = Vec::new();
        for number in 50..100 {
            file.burst(1, number, &mut round);
            let mark = round.split_off(round.len() - PACKET_BYTES);
            let mark = Mark::read(Packet(mark.first_chunk().unwrap())).unwrap();
            assert_eq!(mark, Mark { stream: 1, burst: number, sent_ns: 0 });
        }
        assert!(round == bytes);
    }

    #[test]
    fn what_is_no_stream_is_refused() {
        assert!(FileContent::new(vec![0; 400]).unwrap_err().contains("not a transport stream"));
        assert!(FileContent::new(Vec::new()).unwrap_err().contains("no clock"));
    }
}
