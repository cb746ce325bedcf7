//! Whether what a receiver got is what was fed: byte for byte, in order, and where something is missing, how it was left
//! out.
//!
//! A relay may start a receiver anywhere in a burst, put tables before what it sends, and leave out whole pieces of the
//! stream if it says so (ISO/IEC 13818-1 §2.4.3.5: `discontinuity_indicator`). After such a word a publisher may begin
//! again with its first burst. All else counts against it.

use std::ops::AddAssign;

use serde::Serialize;

use crate::content::packet::{PID_PAT, SYNC_BYTE};
use crate::content::{Expected, Mark, PACKET_BYTES, Packet, mark};

/// Bytes held until a mark comes; with more than that, marks are missing and the bytes are given up.
const PENDING_BYTES_MAX: usize = 64 << 20;

/// What was found, added up over receivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Bursts that came, whole or from where the receiver began.
    pub bursts: u64,
    /// Places where something is left out and a `discontinuity_indicator` says so.
    pub skips: u64,
    /// Places where something is left out and nothing says so.
    pub gaps: u64,
    /// Bursts missing at skips and gaps.
    pub bursts_missing: u64,
    /// Bursts that came again, or late.
    pub repeated: u64,
    /// Packets that are not what was fed, and no table or discontinuity indicator either.
    pub packets_wrong: u64,
    /// Packets that the server put in: tables, discontinuity indicators.
    pub packets_added: u64,
    /// Bytes passed over in search of packets.
    pub bytes_unaligned: u64,
    /// Starts of pictures and of audio (PES packets), where what was fed is not known.
    pub units: u64,
}

impl AddAssign for Findings {
    fn add_assign(&mut self, other: Findings) {
        self.bursts += other.bursts;
        self.skips += other.skips;
        self.gaps += other.gaps;
        self.bursts_missing += other.bursts_missing;
        self.repeated += other.repeated;
        self.packets_wrong += other.packets_wrong;
        self.packets_added += other.packets_added;
        self.bytes_unaligned += other.bytes_unaligned;
        self.units += other.units;
    }
}

impl Findings {
    /// Whether every byte that came was right; something may still be missing.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.packets_wrong == 0 && self.bytes_unaligned == 0 && self.repeated == 0
    }
}

/// One receiver's view of the stream.
#[derive(Debug, Default)]
pub struct Verifier {
    /// Since the last mark.
    pending: Vec<u8>,
    /// So many bytes of `pending` are packets without a mark.
    scanned: usize,
    /// Number of the last burst.
    last: Option<u64>,
    in_sync: bool,
    /// What was found so far.
    pub findings: Findings,
}

impl Verifier {
    /// Takes what came, and tells `on_burst` of each burst that is complete with it.
    pub fn take(&mut self, bytes: &[u8], expected: &mut Expected, mut on_burst: impl FnMut(Mark)) {
        self.pending.extend_from_slice(bytes);
        let mut start = 0;
        while let Some(packet) = self.next_packet() {
            if let Some(mark) = Mark::read(Packet(&packet)) {
                let end = self.scanned;
                self.judge(start..end, mark, expected);
                start = end;
                on_burst(mark);
            }
        }
        self.pending.drain(..start);
        self.scanned -= start;
        if self.pending.len() > PENDING_BYTES_MAX {
            self.findings.packets_wrong += (self.pending.len() / PACKET_BYTES) as u64;
            self.pending.clear();
            self.scanned = 0;
        }
    }

    /// Takes what came of a stream of which nothing is known but that it is a transport stream.
    pub fn watch(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        while let Some(packet) = self.next_packet() {
            self.findings.units += u64::from(Packet(&packet).starts_pes());
        }
        self.pending.drain(..self.scanned);
        self.scanned = 0;
    }

    /// The next packet after `scanned`, if it is all there. Out of sync, bytes are passed over until one packet follows
    /// another.
    fn next_packet(&mut self) -> Option<[u8; PACKET_BYTES]> {
        loop {
            let rest = &self.pending[self.scanned..];
            let packet = rest.first_chunk::<PACKET_BYTES>()?;
            let is_packet = packet[0] == SYNC_BYTE
                && match rest.get(PACKET_BYTES) {
                    Some(next) => self.in_sync || *next == SYNC_BYTE,
                    None => self.in_sync || self.findings == Findings::default(),
                };
            if is_packet {
                self.in_sync = true;
                self.scanned += PACKET_BYTES;
                return Some(*packet);
            }
            if packet[0] == SYNC_BYTE && rest.len() <= PACKET_BYTES {
                return None;
            }
            self.in_sync = false;
            self.findings.bytes_unaligned += 1;
            self.pending.remove(self.scanned);
        }
    }

    /// Compares the packets of `range`, which end in `mark`, with what was fed.
    fn judge(&mut self, range: std::ops::Range<usize>, mark: Mark, expected: &mut Expected) {
        let got = &mut self.pending[range];
        mark::unstamp(got);
        let begins_again = mark.burst == 0 && Packet::all(got).any(|packet| packet.only_says_discontinuity());
        let before = self.last.replace(mark.burst).filter(|_| !begins_again);
        let findings = &mut self.findings;
        if mark.stream != expected.stream() {
            findings.packets_wrong += (got.len() / PACKET_BYTES) as u64;
            return;
        }
        findings.bursts += 1;
        let follows = before.is_some_and(|before| before + 1 == mark.burst);
        let is_whole = got == expected.burst(mark.burst);
        if follows && is_whole {
            return;
        }
        if before.is_some_and(|before| before >= mark.burst) {
            findings.repeated += 1;
            return;
        }
        // What was still sent of the burst before the place that was left out; then what the server put in; then the
        // burst from where it goes on.
        let head = before.map_or(0, |before| common(Packet::all(got), expected.burst(before + 1)));
        let whole = expected.burst(mark.burst);
        let tail = common_tail(got, whole);
        let count = got.len() / PACKET_BYTES;
        let added = head..(count - tail).max(head);
        let mut says_so = false;
        for packet in Packet::all(got).skip(added.start).take(added.len()) {
            says_so |= packet.only_says_discontinuity();
            match packet.only_says_discontinuity() || is_table(packet) {
                true => findings.packets_added += 1,
                false => findings.packets_wrong += 1,
            }
        }
        let Some(before) = before else { return };
        let missing = mark.burst - before - 1;
        let is_complete = follows && head + tail >= whole.len() / PACKET_BYTES;
        match (is_complete, says_so) {
            (true, _) => (),
            (false, true) => findings.skips += 1,
            (false, false) => findings.gaps += 1,
        }
        findings.bursts_missing += missing;
    }
}

/// How many packets of `got` are those that `expected` starts with.
fn common<'a>(got: impl Iterator<Item = Packet<'a>>, expected: &'a [u8]) -> usize {
    got.zip(Packet::all(expected)).take_while(|(got, expected)| got.0 == expected.0).count()
}

/// How many packets of `got` are those that `expected` ends with. The counter of tables may differ: a server that puts
/// its own in front of a keyframe has no way to know what the counter was.
fn common_tail(got: &[u8], expected: &[u8]) -> usize {
    let pairs = Packet::all(got).rev().zip(Packet::all(expected).rev());
    pairs.take_while(|(got, expected)| got.0 == expected.0).count()
}

/// A PAT or another table whole in one packet.
fn is_table(packet: Packet<'_>) -> bool {
    const TABLE_ID_PMT: u8 = 2;
    packet.section().is_some_and(|section| match packet.pid() {
        PID_PAT => section[0] == 0,
        _ => section[0] == TABLE_ID_PMT,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::content::packet::section_packet;
    use crate::content::{Content, Synthetic};

    const BURSTS_PER_SECOND: u32 = 5;

    fn content() -> Arc<Content> {
        Arc::new(Content::Synthetic(Synthetic::new(1, 100_000, BURSTS_PER_SECOND).unwrap()))
    }

    /// Bursts as they are sent, each at a time that is a thousand times its number.
    fn sent(bursts: std::ops::Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in bursts {
            content().burst(number, &mut bytes);
            mark::stamp(&mut bytes, number * 1000);
        }
        bytes
    }

    fn findings(bytes: &[u8]) -> Findings {
        let mut verifier = Verifier::default();
        verifier.take(bytes, &mut Expected::new(content()), |_| ());
        verifier.findings
    }

    #[test]
    fn a_publisher_may_begin_again_if_that_is_said() {
        let said = findings(&[sent(3..8), discontinuity().to_vec(), sent(0..3)].concat());
        assert!(said.is_exact() && (said.skips, said.gaps, said.bursts) == (0, 0, 8), "{said:?}");
        assert_eq!(findings(&[sent(3..8), sent(0..3)].concat()).repeated, 1);
        assert_eq!(findings(&[sent(3..8), discontinuity().to_vec(), sent(1..3)].concat()).repeated, 1);
    }

    fn discontinuity() -> [u8; PACKET_BYTES] {
        let mut packet = [0xff; PACKET_BYTES];
        packet[..6].copy_from_slice(&[SYNC_BYTE, 1, 0, 0x20, 183, 0x80]);
        packet
    }

    fn pat() -> [u8; PACKET_BYTES] {
        section_packet(PID_PAT, 9, &[0, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0])
    }

    #[test]
    fn what_was_sent_is_right_however_it_is_cut() {
        let bytes = sent(0..20);
        for size in [1, 7, 188, 1000, 100_000] {
            let mut verifier = Verifier::default();
            let mut expected = Expected::new(content());
            let mut marks = Vec::new();
            for piece in bytes.chunks(size) {
                verifier.take(piece, &mut expected, |mark| marks.push((mark.burst, mark.sent_ns)));
            }
            assert_eq!(verifier.findings, Findings { bursts: 20, ..Findings::default() });
            assert_eq!(marks, (0..20).map(|number| (number, number * 1000)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_receiver_may_begin_anywhere() {
        let bytes = sent(4..8);
        assert_eq!(findings(&bytes[2 * PACKET_BYTES..]), Findings { bursts: 4, ..Findings::default() });
        let with_tables = [&pat()[..], &bytes].concat();
        assert_eq!(findings(&with_tables), Findings { bursts: 4, packets_added: 1, ..Findings::default() });
    }

    #[test]
    fn a_skip_says_so_and_a_gap_does_not() {
        // Left within burst 3, on at burst 10.
        let left = &sent(0..4)[..sent(0..3).len() + 2 * PACKET_BYTES];
        let skip = [left, &discontinuity(), &pat(), &sent(10..12)].concat();
        let expected =
            Findings { bursts: 5, skips: 1, bursts_missing: 7, packets_added: 2, ..Findings::default() };
        assert_eq!(findings(&skip), expected);
        let gap = [left, &sent(10..12)].concat();
        assert_eq!(findings(&gap), Findings { bursts: 5, gaps: 1, bursts_missing: 7, ..Findings::default() });
        let bytes = sent(0..3);
        let lost = sent(0..1).len() + PACKET_BYTES;
        let one_packet = [&bytes[..lost], &bytes[lost + PACKET_BYTES..]].concat();
        assert_eq!(findings(&one_packet), Findings { bursts: 3, gaps: 1, ..Findings::default() });
    }

    #[test]
    fn a_restart_without_loss_is_no_skip() {
        let bytes = [&sent(0..5), &discontinuity()[..], &pat(), &sent(5..7)].concat();
        assert_eq!(findings(&bytes), Findings { bursts: 7, packets_added: 2, ..Findings::default() });
    }

    #[test]
    fn damage_is_found() {
        let good = sent(0..3);
        for place in [4 + 188, 10, 188 * 20, good.len() - 1] {
            let mut bytes = good.clone();
            bytes[place] ^= 1;
            assert!(!findings(&bytes).is_exact(), "{place}");
        }
        let unaligned = [&good[..1000], &good[1001..]].concat();
        assert!(findings(&unaligned).bytes_unaligned > 0);
        assert_eq!(findings(&[&sent(0..2)[..], &sent(1..2)].concat()).repeated, 1);
        let mut other = Vec::new();
        Synthetic::new(2, 100_000, BURSTS_PER_SECOND).unwrap().burst(0, &mut other);
        assert!(!findings(&other).is_exact());
    }
}
