//! What a receiver is sent just before it begins at an entry point: packets that make legal what would be a break.

use std::collections::BTreeMap;

use crate::chunk::{Entry, Framed, PAYLOAD_BYTES_MAX, TS_PACKET_BYTES};

use super::continuity::{Continuity, PIDS_MAX};
use super::packet::{Packet, Pcr, SYNC_BYTE};
use super::psi::{packet_count, packetise};
use super::tables::Tables;

/// The most packets of tables. PIDs whose tables don't fit any more are left out; the stream itself brings them soon.
const TABLE_PACKETS_MAX: usize = PAYLOAD_BYTES_MAX / TS_PACKET_BYTES - PIDS_MAX;

/// The counter before the first packet of a multiplexer that has just started: they all begin with zero.
const COUNTER_BEFORE_FIRST: u8 = 15;

/// Both preambles for the `entry` packet, which neither `tables` nor `continuity` have taken yet.
///
/// In each, the last packet on a PID has the counter that the stream's next packet on that PID continues.
pub(crate) fn before(entry: Packet, tables: &Tables, continuity: &Continuity) -> Entry {
    let mut counters = counters_before(entry, tables, continuity);
    let mut join = Vec::new();
    let mut jump = Vec::new();
    let mut room = TABLE_PACKETS_MAX;
    for (pid, sections) in tables.sections_by_pid() {
        let count = packet_count(&sections);
        let Some(left) = room.checked_sub(count) else { continue };
        room = left;
        let counter = counters.entry(pid).or_insert(COUNTER_BEFORE_FIRST);
        packetise(pid, &sections, *counter, &mut join);
        *counter = counter.wrapping_sub(count as u8) & 0x0f;
    }
    for (&pid, &counter) in counters.iter().take(PIDS_MAX) {
        let pcr = entry.pcr().filter(|_| entry.pid() == pid).or_else(|| continuity.pcr(pid));
        jump.extend_from_slice(&discontinuity(pid, counter, pcr));
    }
    jump.extend_from_slice(&join);
    Entry { join: Framed::binary(&join), jump: Framed::binary(&jump) }
}

/// By PID in use, the counter that the stream's next packet continues.
fn counters_before(entry: Packet, tables: &Tables, continuity: &Continuity) -> BTreeMap<u16, u8> {
    // A PID that the tables name and that has not been seen: as a rule the stream has just started.
    let mut counters: BTreeMap<u16, u8> =
        tables.elementary_pids().map(|pid| (pid, COUNTER_BEFORE_FIRST)).collect();
    counters.extend(continuity.counters());
    let counts_up = u8::from(entry.has_payload());
    counters.insert(entry.pid(), entry.continuity_counter().wrapping_sub(counts_up) & 0x0f);
    counters
}

/// A packet that says that neither counter nor clock of `pid` continue: an adaptation field and nothing else, so that
/// it does not count (ISO/IEC 13818-1 §2.4.3.5).
fn discontinuity(pid: u16, counter: u8, pcr: Option<Pcr>) -> [u8; TS_PACKET_BYTES] {
    let [pid_high, pid_low] = pid.to_be_bytes();
    let mut packet = [0xff; TS_PACKET_BYTES];
    packet[..6].copy_from_slice(&[SYNC_BYTE, pid_high, pid_low, 0x20 | counter, 183, 0x80]);
    if let Some(Pcr(pcr)) = pcr {
        packet[5] |= 0x10;
        packet[6..12].copy_from_slice(&pcr);
    }
    packet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::ts::continuity::Verdict;
    use crate::proto::ts::health::Health;
    use crate::proto::ts::testing::{Mux, clock, packets};

    fn taken(stream: &[u8]) -> (Tables, Continuity) {
        let (mut tables, mut continuity) = (Tables::default(), Continuity::default());
        for packet in packets(stream) {
            let verdict = continuity.take(packet);
            tables.take(packet, verdict, &mut Health::default());
            if let Some(pcr) = packet.pcr() {
                continuity.replace_pcr(packet.pid(), pcr);
            }
        }
        (tables, continuity)
    }

    /// Takes `after` where `taken` stopped; everything must follow.
    fn follows(mut continuity: Continuity, after: &[u8]) -> bool {
        packets(after).all(|packet| continuity.take(packet) == Verdict::Follows)
    }

    fn stream() -> Mux {
        let mut mux = Mux::with_video_and_audio();
        for _ in 0..20 {
            mux.tables().video_frame(4).audio_frame();
        }
        mux
    }

    #[test]
    fn a_join_has_the_tables_and_the_stream_continues_them() {
        let mut mux = stream();
        let (tables, continuity) = taken(&mux.take());
        let after = mux.keyframe(3).tables().audio_frame().take();
        let entry = before(packets(&after).next().unwrap(), &tables, &continuity);

        let (joined, counters) = taken(entry.join.payload());
        assert_eq!(joined.main(), tables.main());
        assert!(joined.main().video_pid.is_some());
        assert!(follows(counters, &after));
    }

    #[test]
    fn a_jump_restarts_every_pid_and_the_stream_continues_them() {
        let mut mux = stream();
        let (_, old) = taken(&mux.take());
        for _ in 0..34 {
            mux.tables().video_frame(6).audio_frame();
        }
        let (tables, continuity) = taken(&mux.take());
        let after = mux.keyframe(3).tables().audio_frame().take();
        let first = packets(&after).next().unwrap();
        let entry = before(first, &tables, &continuity);

        let jump = entry.jump.payload();
        let (restarts, rest): (Vec<_>, Vec<_>) = packets(jump).partition(|packet| !packet.has_payload());
        assert_eq!(restarts.len(), 4);
        assert!(restarts.iter().all(|packet| packet.discontinuity() && packet.payload().is_empty()));
        assert_eq!(
            restarts.iter().filter_map(|packet| packet.pcr()).collect::<Vec<_>>(),
            [first.pcr().unwrap()]
        );
        assert_eq!(rest.len(), 2);

        // A receiver that had `old` before.
        let mut receiver = old;
        for packet in packets(jump) {
            let verdict = receiver.take(packet);
            assert_eq!(verdict, if packet.has_payload() { Verdict::Follows } else { Verdict::Restarts });
        }
        assert!(follows(receiver, &after));
    }

    #[test]
    fn an_entry_without_a_clock_is_given_the_last_one() {
        let mut mux = stream();
        let (mut tables, mut continuity) = taken(&mux.take());
        continuity.replace_pcr(Mux::VIDEO, clock(77));
        let after = mux.audio_frame().take();
        let entry = before(packets(&after).next().unwrap(), &tables, &continuity);
        let clocks: Vec<_> = packets(entry.jump.payload()).filter_map(Packet::pcr).collect();
        assert_eq!(clocks, [clock(77)]);
        tables = Tables::default();
        let entry = before(packets(&after).next().unwrap(), &tables, &continuity);
        assert!(entry.join.payload().is_empty(), "no table has come");
    }

    #[test]
    fn a_stream_just_started_is_continued_on_pids_not_seen_yet() {
        let mut mux = Mux::with_video_and_audio();
        let (tables, continuity) = taken(&mux.tables().take());
        let after = mux.keyframe(3).audio_frame().take();
        let entry = before(packets(&after).next().unwrap(), &tables, &continuity);
        let (_, receiver) = taken(entry.jump.payload());
        assert!(follows(receiver, &after));
    }

    #[test]
    fn tables_longer_than_a_packet_are_continued() {
        let mut mux = Mux::new();
        for program in 1..=60_u16 {
            let map_pid = 0x100 + program / 3 * 16;
            mux.add_program(
                program,
                map_pid,
                map_pid + 1 + program % 3,
                &[(0x1b, 0x1000 + program, &[9; 200])],
            );
        }
        let (tables, continuity) = taken(&mux.tables().take());
        let after = mux.tables().take();
        let entry = before(packets(&after).next().unwrap(), &tables, &continuity);
        let (joined, receiver) = taken(entry.join.payload());
        assert_eq!(joined.main(), tables.main());
        assert!(follows(receiver, &after));
        let (_, receiver) = taken(entry.jump.payload());
        assert!(follows(receiver, &after));
    }

    #[test]
    fn fits_a_chunk_however_much_there_is() {
        let mut mux = Mux::new();
        for program in 1..=64 {
            mux.add_program(program, 0x100 + program, 0x200, &[(0x1b, 0x200 + program, &[7_u8; 250][..]); 3]);
        }
        for pid in 0x400..0x500 {
            mux.raw(pid);
        }
        let (tables, continuity) = taken(&mux.tables().take());
        let entry = before(packets(&mux.raw(0x200).take()).next().unwrap(), &tables, &continuity);
        assert!(entry.jump.payload().len() > 256 * TS_PACKET_BYTES);
    }
}
