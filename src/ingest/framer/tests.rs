//! The framer as its caller sees it.

use proptest::prelude::*;

use super::*;
use crate::chunk::{Entry, PAYLOAD_BYTES_MAX};
use crate::proto::ts::packet::{PID_PAT, Packet};
use crate::proto::ts::testing::{Mux, packets, some_instant};

const MS: Duration = Duration::from_millis(1);

/// A framer with its clock and what it has sealed.
struct Bench {
    framer: Framer,
    now: Instant,
    sealed: Vec<Sealed>,
}

impl Bench {
    fn new(format: Format, coalesce: Duration, quiet: Option<Duration>) -> Bench {
        let mut framer = Framer::new(FramerSettings { format, coalesce, quiet });
        let now = some_instant();
        framer.start_session(now);
        Bench { framer, now, sealed: Vec::new() }
    }

    /// Seals late, so that what is sealed early has another reason.
    fn patient() -> Bench {
        Bench::new(Format::Ts, 3600 * 1000 * MS, None)
    }

    fn push(&mut self, bytes: &[u8]) -> &mut Bench {
        self.framer.push(bytes, self.now, &mut self.sealed);
        self
    }

    fn wait(&mut self, time: Duration) -> &mut Bench {
        self.now += time;
        self.framer.seal_due(self.now, &mut self.sealed);
        self
    }

    fn end(&mut self) -> &mut Bench {
        self.framer.end_session(&mut self.sealed);
        self
    }

    fn out(&self) -> Vec<u8> {
        self.sealed.iter().flat_map(|sealed| sealed.body.payload()).copied().collect()
    }

    fn first_pids(&self) -> Vec<u16> {
        self.sealed
            .iter()
            .filter_map(|sealed| packets(sealed.body.payload()).next())
            .map(Packet::pid)
            .collect()
    }
}

/// Two seconds' worth of everything, with a keyframe every ten frames.
fn stream(mux: &mut Mux) -> Vec<u8> {
    for _ in 0..5 {
        mux.tables().keyframe(40).audio_frame();
        for _ in 0..9 {
            mux.video_frame(7).audio_frame().nulls(1);
        }
    }
    mux.take()
}

fn is_keyframe(packet: &Packet) -> bool {
    packet.pid() == Mux::VIDEO && packet.unit_start() && packet.random_access()
}

#[test]
fn every_keyframe_starts_a_chunk_and_nothing_leaves_before_the_first() {
    let mut bench = Bench::patient();
    let mut mux = Mux::with_video_and_audio();
    let early = mux.tables().video_frame(30).audio_frame().tables().take();
    let stream = [early.clone(), mux.keyframe(9).take(), stream(&mut mux)].concat();
    bench.push(&stream).end();

    assert_eq!(bench.out(), stream[early.len()..]);
    assert_eq!(bench.framer.health().bytes_before_entry, early.len() as u64);
    assert_eq!(bench.sealed.len(), 6);
    for sealed in &bench.sealed {
        assert!(sealed.entry.is_some() && sealed.starts_at_frame);
        assert_eq!(packets(sealed.body.payload()).filter(is_keyframe).count(), 1);
        assert!(packets(sealed.body.payload()).next().is_some_and(|packet| is_keyframe(&packet)));
    }
    let discontinuities: Vec<_> = bench.sealed.iter().map(|sealed| sealed.follows_discontinuity).collect();
    assert_eq!(discontinuities, [true, false, false, false, false, false]);
}

#[test]
fn a_chunk_is_sealed_at_the_size_cap() {
    let mut bench = Bench::patient();
    let mut mux = Mux::with_video_and_audio();
    bench.push(&mux.tables().keyframe(1000).take());
    let lengths: Vec<_> = bench.sealed.iter().map(|sealed| sealed.body.payload().len()).collect();
    assert_eq!(lengths, [PAYLOAD_BYTES_MAX; 2]);
    assert!(bench.sealed[0].starts_at_frame && !bench.sealed[1].starts_at_frame);
    assert!(bench.sealed[1].entry.is_none());
}

#[test]
fn a_chunk_is_sealed_by_the_clock() {
    let mut mux = Mux::with_video_and_audio();
    let mut bench = Bench::new(Format::Ts, 20 * MS, Some(5 * MS));
    assert_eq!(bench.framer.deadline(), None);
    bench.push(&mux.tables().keyframe(9).take());
    let start = bench.now;
    assert_eq!(bench.framer.deadline(), Some(start + 5 * MS));
    for _ in 0..4 {
        bench.wait(4 * MS).push(&mux.video_frame(1).take());
    }
    assert_eq!(bench.framer.deadline(), Some(start + 20 * MS));
    bench.wait(3 * MS);
    assert!(bench.sealed.is_empty());
    bench.wait(MS);
    assert_eq!((bench.sealed.len(), bench.sealed[0].received), (1, start));
    assert_eq!(bench.framer.deadline(), None);
    // A quiet source.
    bench.push(&mux.audio_frame().take()).wait(5 * MS);
    assert_eq!(bench.sealed.len(), 2);
    // The start of a packet is nothing that could be sealed.
    bench.push(&mux.audio_frame().take()[..100]);
    assert_eq!(bench.framer.deadline(), None);
}

#[test]
fn without_coalescing_a_chunk_ends_with_the_read() {
    let mut bench = Bench::new(Format::Ts, Duration::ZERO, None);
    let mut mux = Mux::with_video_and_audio();
    bench.push(&mux.tables().keyframe(9).take()).push(&mux.video_frame(3).take());
    assert_eq!(bench.sealed.len(), 2);
}

#[test]
fn a_chunk_says_whether_a_frame_is_open_at_its_start() {
    let mut bench = Bench::new(Format::Ts, Duration::ZERO, None);
    let mut mux = Mux::with_video_and_audio();
    bench.push(&mux.tables().keyframe(9).take());
    bench.push(&mux.raw(Mux::VIDEO).video_frame(2).take());
    bench.push(&mux.audio_frame().video_frame(2).take());
    bench.push(&mux.audio_frame().take());
    let frames: Vec<_> = bench.sealed.iter().map(|sealed| sealed.starts_at_frame).collect();
    assert_eq!(frames, [true, false, true, false]);
}

#[test]
fn audio_alone_may_be_begun_with_every_half_second() {
    let mut bench = Bench::new(Format::Ts, Duration::ZERO, None);
    let mut mux = Mux::with_audio();
    for _ in 0..100 {
        bench.push(&mux.tables().audio_frame().take()).wait(24 * MS);
    }
    let entries: Vec<_> = bench.sealed.iter().filter(|sealed| sealed.entry.is_some()).collect();
    assert_eq!(entries.len(), 5, "within 2.4 s");
    for sealed in entries {
        let first = packets(sealed.body.payload()).next().unwrap();
        assert!(first.pid() == Mux::AUDIO && first.unit_start());
    }
    assert!(bench.sealed.iter().all(|sealed| sealed.starts_at_frame));
}

#[test]
fn a_stream_without_keyframes_is_begun_at_a_pat_until_there_is_one() {
    let mut bench = Bench::new(Format::Ts, Duration::ZERO, None);
    let mut mux = Mux::with_video_and_audio();
    for _ in 0..120 {
        bench.push(&mux.tables().video_frame(5).take()).wait(100 * MS);
    }
    let entries = |bench: &Bench| bench.sealed.iter().filter(|sealed| sealed.entry.is_some()).count();
    assert_eq!(entries(&bench), 4, "after 10, 10.5, 11 and 11.5 s");
    assert!(bench.first_pids().iter().all(|&pid| pid == PID_PAT));
    assert!(!bench.sealed[0].entry.as_ref().unwrap().join.payload().is_empty());

    bench.push(&mux.keyframe(9).take());
    for _ in 0..590 {
        bench.push(&mux.tables().video_frame(5).take()).wait(100 * MS);
    }
    assert_eq!(entries(&bench), 5, "from then on keyframes alone count");
    assert_eq!(bench.framer.lacks(), Lacks::default());
    for _ in 0..20 {
        bench.push(&mux.tables().video_frame(5).take()).wait(100 * MS);
    }
    assert_eq!(entries(&bench), 7, "but not after a minute without: after 60 and 60.5 s");
    assert_eq!(bench.framer.lacks(), Lacks { pat: false, keyframe: true });
}

#[test]
fn an_entry_costs_no_more_than_what_came_before_it() {
    let mut bench = Bench::new(Format::Ts, Duration::ZERO, None);
    let mut mux = Mux::with_video_and_audio();
    for pid in 0x400..0x500 {
        mux.raw(pid);
    }
    bench.push(&mux.tables().keyframe(9).take());
    for _ in 0..5_000 {
        bench.push(&mux.keyframe(1).take());
    }
    let entries = || bench.sealed.iter().filter_map(|sealed| sealed.entry.as_ref());
    let preambles: usize =
        entries().map(|entry| entry.join.payload().len() + entry.jump.payload().len()).sum();
    let stream = bench.out().len();
    assert!(entries().count() > 10, "{} entries", entries().count());
    assert!(preambles < 2 * stream, "{preambles} bytes of preambles to {stream} of the stream");
    assert_eq!(bench.framer.health().keyframe_interval.max, Duration::ZERO, "all of them are keyframes");
}

#[test]
fn a_stream_that_lacks_a_pat_is_said_to_once_it_has_sent_enough() {
    let mut bench = Bench::new(Format::Ts, Duration::ZERO, None);
    let mut mux = Mux::with_video_and_audio();
    bench.push(&mux.tables().keyframe(9).take()).wait(3600 * 1000 * MS);
    assert_eq!(bench.framer.lacks(), Lacks::default(), "it has just been silent");
    bench.push(&mux.keyframe(1).take());
    assert_eq!(bench.framer.lacks(), Lacks { pat: true, keyframe: false });
    bench.push(&mux.tables().take());
    assert_eq!(bench.framer.lacks(), Lacks::default());
}

#[test]
fn a_stream_without_tables_is_begun_anywhere_after_a_while() {
    let mut bench = Bench::new(Format::Ts, Duration::ZERO, None);
    let mut mux = Mux::with_video_and_audio();
    for _ in 0..108 {
        bench.push(&mux.keyframe(5).take()).wait(100 * MS);
    }
    let entries: Vec<_> = bench.sealed.iter().map(|sealed| sealed.entry.is_some()).collect();
    assert_eq!(entries, [true, false, false, false, false, true, false, false]);
    assert!(bench.sealed[0].entry.as_ref().unwrap().join.payload().is_empty());
}

#[test]
fn nothing_of_one_publisher_continues_with_the_next() {
    let mut bench = Bench::patient();
    let mut first = Mux::with_video_and_audio();
    bench.push(&stream(&mut first)).push(&first.audio_frame().take()[..100]).end();
    assert_eq!(bench.framer.health().bytes_dropped, 100);
    let before = bench.sealed.len();

    let mut second = Mux::new();
    second.add_program(1, 0x20, 0x21, &[(0x01, 0x21, &[])]);
    bench.framer.start_session(bench.now);
    assert_eq!(bench.framer.codecs(), Codecs::default());
    bench.push(&second.tables().raw(0x21).raw(Mux::VIDEO).raw(0x21).take()).end();
    assert_eq!(bench.sealed.len(), before, "no keyframe yet");
    assert_eq!(bench.framer.health().continuity_errors, 0);

    bench.framer.start_session(bench.now);
    bench.push(&Mux::with_video_and_audio().tables().keyframe(4).take()).end();
    assert!(bench.sealed[before].follows_discontinuity);
}

#[test]
fn a_jump_restarts_what_is_in_use_and_forgets_the_rest() {
    let mut bench = Bench::patient();
    let mut mux = Mux::with_video_and_audio();
    bench.push(&mux.tables().raw(0x77).take());
    for _ in 0..10 {
        bench.push(&mux.keyframe(5).audio_frame().tables().take());
    }
    bench.end();
    let restarts = |sealed: &Sealed| -> Vec<_> {
        let jump = sealed.entry.as_ref().unwrap().jump.payload();
        packets(jump).filter(|packet| packet.discontinuity()).map(Packet::pid).collect()
    };
    assert_eq!(restarts(&bench.sealed[0]), [PID_PAT, 0x77, Mux::VIDEO, Mux::AUDIO, Mux::MAP]);
    assert_eq!(restarts(&bench.sealed[9]), [PID_PAT, Mux::VIDEO, Mux::AUDIO, Mux::MAP]);
}

#[test]
fn damage_is_counted() {
    let mut bench = Bench::patient();
    let mut mux = Mux::with_video_and_audio();
    let mut input = [mux.tables().keyframe(10).take(), stream(&mut mux)].concat();
    input[6 * 188 + 1] |= 0x80;
    input.drain(30 * 188..31 * 188);
    bench.push(&input).end();
    let health = bench.framer.health();
    assert_eq!(health.transport_errors, 1);
    // The packet after the one marked as damaged, and the one after the one missing.
    assert_eq!(health.continuity_errors, 2);
    assert_eq!(health.continuity_errors_by_pid.iter().map(|(_, count)| count).sum::<u64>(), 2);
    assert_eq!(bench.out(), input[2 * 188..], "forwarded as it came");
}

#[test]
fn intervals_are_measured() {
    let mut bench = Bench::patient();
    let mut mux = Mux::with_video_and_audio();
    for time in [100, 300, 200, 0] {
        bench.push(&mux.tables().keyframe(5).take()).wait(time * MS);
    }
    let health = bench.framer.health();
    assert_eq!((health.keyframe_interval.last, health.keyframe_interval.max), (200 * MS, 300 * MS));
    assert_eq!(health.pat_interval, health.keyframe_interval);
    assert_eq!(health.pmt_interval, health.keyframe_interval);
    assert_eq!((health.pat_errors, health.pmt_errors, health.pcr_errors), (0, 0, 0));
    // The multiplexer's clock goes one tick of 90 kHz a keyframe.
    assert_eq!(health.pcr_interval.max, Duration::from_micros(11));
}

#[test]
fn opaque_bytes_are_kept_as_they_are() {
    let mut bench = Bench::new(Format::Bytes, 2 * MS, Some(MS));
    let input: Vec<u8> = (0..200_000_u32).map(|number| number as u8).collect();
    bench.push(&input[..10]).push(&input[10..]).wait(MS).push(b"more").end();
    assert_eq!(bench.out(), [&input, &b"more"[..]].concat());
    let lengths: Vec<_> = bench.sealed.iter().map(|sealed| sealed.body.payload().len()).collect();
    assert_eq!(lengths[..3], [PAYLOAD_BYTES_MAX; 3]);
    assert_eq!(lengths[3..], [200_000 - 3 * PAYLOAD_BYTES_MAX, 4]);
    assert!(bench.sealed.iter().all(|sealed| sealed.starts_at_frame));
    assert!(bench.sealed.iter().all(|sealed| sealed.entry.as_ref().is_some_and(is_empty)));
    assert!(bench.sealed[0].follows_discontinuity && !bench.sealed[1].follows_discontinuity);
}

#[test]
fn each_message_is_a_chunk() {
    let mut bench = Bench::new(Format::Messages, 2 * MS, Some(MS));
    let long = vec![7; PAYLOAD_BYTES_MAX];
    bench.push(b"one").push(b"").push(&long).push(&vec![8; PAYLOAD_BYTES_MAX + 1]).push(b"two");
    assert_eq!(bench.framer.deadline(), None, "nothing waits");
    let bodies: Vec<&[u8]> = bench.sealed.iter().map(|sealed| sealed.body.payload()).collect();
    assert_eq!(bodies, [&b"one"[..], &long, b"two"]);
    assert!(bench.sealed.iter().all(|sealed| sealed.entry.as_ref().is_some_and(is_empty)));
    assert_eq!(bench.framer.health().bytes_dropped, PAYLOAD_BYTES_MAX as u64 + 1);
}

fn is_empty(entry: &Entry) -> bool {
    entry.join.payload().is_empty() && entry.jump.payload().is_empty()
}

/// Sizes of portions, and milliseconds before each.
fn portions() -> impl Strategy<Value = Vec<(usize, u32)>> {
    prop::collection::vec((prop_oneof![1..400_usize, Just(1472), 1..20_000_usize], 0..4_u32), 1..40)
}

fn publish(bench: &mut Bench, mut input: &[u8], portions: &[(usize, u32)]) {
    let mut portions = portions.iter().cycle();
    while let Some(&(size, wait)) = portions.next().filter(|_| !input.is_empty()) {
        let (portion, rest) = input.split_at(size.min(input.len()));
        bench.push(portion).wait(wait * MS);
        assert!(bench.framer.deadline().is_none_or(|deadline| deadline > bench.now));
        input = rest;
    }
    bench.end();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_leaves_is_what_came_however_it_came(junk in 0..400_usize, portions in portions(), coalesce in 0..3_u32) {
        let mut mux = Mux::with_video_and_audio();
        let clean = stream(&mut mux);
        let mut bench = Bench::new(Format::Ts, coalesce * MS, Some(MS));
        publish(&mut bench, &[vec![0x12; junk], clean.clone()].concat(), &portions);

        prop_assert_eq!(bench.out(), &clean[2 * 188..]);
        let mut entries = 0;
        for sealed in &bench.sealed {
            let body = sealed.body.payload();
            prop_assert!(!body.is_empty() && body.len() <= PAYLOAD_BYTES_MAX);
            let keyframes = packets(body).filter(is_keyframe).count();
            prop_assert_eq!(keyframes, usize::from(sealed.entry.is_some()));
            prop_assert_eq!(keyframes == 1, packets(body).next().is_some_and(|packet| is_keyframe(&packet)));
            entries += keyframes;
        }
        prop_assert_eq!(entries, 5);
        prop_assert_eq!(bench.framer.health().continuity_errors, 0);
        prop_assert_eq!(bench.framer.health().bytes_dropped, junk as u64);
    }

    #[test]
    fn whatever_comes_whole_packets_leave(
        damage in prop::collection::vec((any::<prop::sample::Index>(), 0..300_usize, any::<[u8; 3]>()), 0..60),
        portions in portions(),
    ) {
        let mut mux = Mux::with_video_and_audio();
        let mut input = stream(&mut mux);
        for (at, removed, put) in damage {
            let at = at.index(input.len());
            let end = input.len().min(at + removed);
            input.splice(at..end, put);
        }
        let good = stream(&mut mux);
        input.extend_from_slice(&good);
        let mut bench = Bench::new(Format::Ts, 2 * MS, Some(MS));
        publish(&mut bench, &input, &portions);

        let out = bench.out();
        // Which also looks for the sync byte of each.
        let count = packets(&out).count() as u64;
        let health = bench.framer.health();
        prop_assert_eq!(health.bytes, input.len() as u64);
        prop_assert_eq!(health.packets * 188 + health.bytes_dropped, health.bytes);
        prop_assert_eq!(count * 188 + health.bytes_before_entry, health.packets * 188);
        let begun_before = out.ends_with(&good[5 * 188..]);
        let second_keyframe = good.len() / 5 + 2 * 188;
        prop_assert!(begun_before || out.ends_with(&good[second_keyframe..]), "in sync again within five packets");
    }
}

#[test]
fn what_comes_just_before_a_keyframe_goes_out_with_it() {
    let mut mux = Mux::with_video_and_audio();
    let mut bench = Bench::new(Format::Ts, 2 * MS, None);
    bench.push(&mux.tables().keyframe(9).take()).wait(2 * MS);
    assert_eq!(bench.sealed.len(), 1);
    bench.push(&mux.tables().take()).wait(MS).push(&mux.keyframe(3).take());
    assert_eq!(bench.sealed.len(), 1, "the keyframe may not be complete, and the tables wait for it");
    bench.wait(MS);
    assert_eq!(bench.sealed.len(), 3, "no longer than tables of their own would have waited");
    assert!(bench.sealed[2].entry.is_some());
}

/// What a second node seals of what a first one has sealed, and sends from chunk `first` on.
fn relayed(sealed: &[Sealed], preamble: &[u8]) -> Bench {
    let mut next = Bench::patient();
    next.framer.learn(preamble, next.now).unwrap();
    for chunk in sealed {
        let start = if chunk.entry.is_some() { ChunkStart::Entry } else { ChunkStart::Within };
        next.framer.push_chunk(chunk.body.payload(), start, next.now, &mut next.sealed).unwrap();
    }
    next
}

#[test]
fn the_next_node_has_the_same_chunks_and_preambles() {
    let mut bench = Bench::new(Format::Ts, 2 * MS, None);
    for part in stream(&mut Mux::with_video_and_audio()).chunks(7 * 188) {
        bench.push(part).wait(3 * MS);
    }
    let entries: Vec<usize> = (0..bench.sealed.len()).filter(|&n| bench.sealed[n].entry.is_some()).collect();
    assert!(entries.len() >= 5);
    for &first in &entries[..3] {
        let entry = bench.sealed[first].entry.as_ref().unwrap();
        for preamble in [entry.join.payload(), entry.jump.payload()] {
            let next = relayed(&bench.sealed[first..], preamble);
            assert_eq!(next.sealed.len(), bench.sealed.len() - first);
            for (here, there) in next.sealed.iter().zip(&bench.sealed[first..]) {
                assert_eq!(here.body.payload(), there.body.payload());
                assert_eq!(here.starts_at_frame, there.starts_at_frame);
                let join = |sealed: &Sealed| sealed.entry.as_ref().map(|it| it.join.payload().to_vec());
                assert_eq!(join(here), join(there));
            }
            assert!(next.sealed[0].follows_discontinuity);
            assert_eq!(next.framer.health().continuity_errors, 0);
        }
    }
}

#[test]
fn a_chunk_that_is_not_whole_packets_is_not_taken() {
    let mut bench = Bench::patient();
    for chunk in [&[0x47; 187][..], &[0x48; 188], &[&[0x47; 188][..], &[0; 188]].concat()] {
        let taken = bench.framer.push_chunk(chunk, ChunkStart::Entry, bench.now, &mut bench.sealed);
        assert_eq!(taken, Err(NotPackets));
        assert_eq!(bench.framer.learn(chunk, bench.now), Err(NotPackets));
    }
    assert!(bench.sealed.is_empty() && bench.framer.health().bytes == 0);
}

#[test]
fn the_next_node_begins_at_an_entry() {
    let mut bench = Bench::new(Format::Ts, 2 * MS, None);
    for part in stream(&mut Mux::with_video_and_audio()).chunks(7 * 188) {
        bench.push(part).wait(3 * MS);
    }
    let second = (1..bench.sealed.len()).find(|&n| bench.sealed[n].entry.is_some()).unwrap();
    let next = relayed(&bench.sealed[1..], &[]);
    assert_eq!(next.sealed[0].body.payload(), bench.sealed[second].body.payload());
}
