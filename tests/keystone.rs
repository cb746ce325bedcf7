//! The keystone: ring, outbox and streaming together, against a socket that takes short writes, blocks and breaks by a
//! seeded plan. Whatever the plan, a receiver gets an undamaged run of the stream: every piece whole and in order, a
//! preamble wherever it begins or jumps, control frames only between frames, and every jump counted.
//!
//! A failure prints the seed of its plan.

use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tsstream::chunk::{Chunk, Entry, Framed, Sealed};
use tsstream::config::Buffer;
use tsstream::ring::Ring;
use tsstream::worker::outbox::{Form, Outbox};
use tsstream::worker::streaming::{Patience, Pumped, Streaming};

const SEEDS: u64 = 500;
const STEPS: u64 = 400;
const PATIENCE: Patience = Patience { lag_max: Duration::from_secs(2), stall_max: Duration::from_secs(10) };

#[test]
fn every_plan_leaves_an_undamaged_stream() {
    for seed in 0..SEEDS {
        let form = if seed % 2 == 0 { Form::Frames } else { Form::Payloads };
        let run = Run::of(seed, form, Trouble::Any);
        if let Err(complaint) = run.check() {
            panic!("seed {seed}, {form:?}: {complaint}");
        }
    }
}

#[test]
fn without_trouble_nothing_is_left_out() {
    for seed in 0..SEEDS / 10 {
        let run = Run::of(seed, Form::Payloads, Trouble::ShortWritesOnly);
        run.check().unwrap_or_else(|complaint| panic!("seed {seed}: {complaint}"));
        assert_eq!(run.skips, 0, "seed {seed}: skipped without having been blocked for long");
        let bodies: Vec<u64> = run.bodies().collect();
        let last = *bodies.last().expect("something was sent");
        assert_eq!(bodies.len() as u64, last - bodies[0] + 1, "seed {seed}: a chunk is missing");
    }
}

#[test]
fn plans_do_cause_what_they_are_to_test() {
    let runs: Vec<Run> = (0..200).map(|seed| Run::of(seed, Form::Frames, Trouble::Any)).collect();
    assert!(runs.iter().any(|run| run.skips > 1), "no plan made a receiver skip");
    assert!(runs.iter().any(|run| run.broken), "no plan broke a connection");
    assert!(
        runs.iter().any(|run| run.pieces.iter().any(|piece| piece.kind == b'P')),
        "no control frame was sent"
    );
    assert!(runs.iter().any(|run| run.evicted), "no plan dropped a chunk in flight from the ring");
}

#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    Any,
    ShortWritesOnly,
}

/// What came out of one seeded plan.
struct Run {
    pieces: Vec<Piece>,
    damage: Option<String>,
    /// Which chunks begin anew: a jump preamble must stand before them.
    discontinuities: Vec<u64>,
    skips: u64,
    broken: bool,
    evicted: bool,
}

/// A piece found in the output: `J`oin, jum`K`, `B`ody or `P`ong, and the number of its chunk.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    kind: u8,
    sequence: u64,
}

impl Run {
    fn of(seed: u64, form: Form, trouble: Trouble) -> Run {
        let mut plan = Plan(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let bytes_max = if trouble == Trouble::Any { 1 + plan.below(60_000) as usize } else { usize::MAX };
        let mut ring = Ring::new(Buffer { time: Duration::from_secs(600), bytes: bytes_max });
        let mut now = clock();
        let mut streaming = Streaming::new(Outbox::at_entry(form, 0), now);
        let mut socket = Socket { taken: Vec::new(), mood: Mood::Healthy };
        let (mut sequence, mut discontinuities, mut broken, mut evicted) =
            (plan.below(3), vec![], false, false);
        for step in 0..STEPS {
            now += Duration::from_millis(plan.below(200));
            if trouble == Trouble::Any && plan.one_in(60) {
                sequence += 1 + plan.below(3);
            }
            if plan.one_in(2) {
                let restart = trouble == Trouble::Any && plan.one_in(30);
                if restart {
                    discontinuities.push(sequence);
                }
                ring.push(Arc::new(chunk(sequence, restart || plan.one_in(8), restart, &mut plan, now)));
                sequence += 1;
            }
            if form == Form::Frames && plan.one_in(20) {
                streaming.outbox.control(&pong(step));
            }
            socket.mood = plan.mood(socket.mood, trouble);
            if streaming.is_blocked() {
                evicted |= streaming.outbox.is_mid_frame() && streaming.outbox.sequence() < ring.first();
                if socket.mood == Mood::Blocked {
                    continue;
                }
                streaming.unblock();
            }
            match streaming.pump(
                &mut Choppy { socket: &mut socket, plan: &mut plan },
                &ring,
                || PATIENCE,
                now,
            ) {
                Ok(pumped) => assert_ne!(pumped, Pumped::Ended, "seed {seed}: nobody ended it"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "seed {seed}");
                    broken = true;
                    break;
                }
            }
        }
        let (pieces, damage) = match form {
            Form::Frames => frames(&socket.taken),
            Form::Relayed => unreachable!("the same as frames, but for the stamps"),
            Form::Payloads => payloads(&socket.taken),
        };
        Run { pieces, damage, discontinuities, skips: streaming.tally.skips, broken, evicted }
    }

    fn bodies(&self) -> impl Iterator<Item = u64> {
        self.pieces.iter().filter(|piece| piece.kind == b'B').map(|piece| piece.sequence)
    }

    fn check(&self) -> Result<(), String> {
        if let Some(damage) = &self.damage {
            return Err(damage.clone());
        }
        let stream: Vec<Piece> = self.pieces.iter().copied().filter(|piece| piece.kind != b'P').collect();
        let mut jumps = 0;
        for (index, piece) in stream.iter().enumerate() {
            let before = index.checked_sub(1).map(|before| stream[before]);
            let last_body = stream[..index].iter().rev().find(|piece| piece.kind == b'B');
            let fits = match (piece.kind, before) {
                (b'J', before) => before.is_none(),
                (b'K', Some(_)) => {
                    let expected = last_body.map_or(stream[0].sequence, |body| body.sequence + 1);
                    jumps += u64::from(piece.sequence != expected);
                    piece.sequence >= expected
                }
                (b'B', Some(Piece { kind: b'J' | b'K', sequence })) => sequence == piece.sequence,
                (b'B', Some(before)) => {
                    piece.sequence == before.sequence + 1 && !self.discontinuities.contains(&piece.sequence)
                }
                _ => false,
            };
            if !fits {
                return Err(format!("{piece:?} after {before:?}"));
            }
        }
        if jumps > self.skips {
            return Err(format!("{jumps} jumps in the output, {} counted", self.skips));
        }
        Ok(())
    }
}

/// A pseudo-random plan (xorshift64*).
struct Plan(u64);

impl Plan {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    fn mood(&mut self, mood: Mood, trouble: Trouble) -> Mood {
        if trouble == Trouble::ShortWritesOnly {
            return if self.one_in(3) { Mood::Short } else { Mood::Healthy };
        }
        match self.below(40) {
            0..=4 => Mood::Healthy,
            5..=8 => Mood::Short,
            9..=10 => Mood::Blocked,
            11 if self.one_in(30) => Mood::Broken,
            _ => mood,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Healthy,
    Short,
    Blocked,
    Broken,
}

struct Socket {
    taken: Vec<u8>,
    mood: Mood,
}

struct Choppy<'a> {
    socket: &'a mut Socket,
    plan: &'a mut Plan,
}

impl Write for Choppy<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice]) -> io::Result<usize> {
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        assert!(offered > 0, "nothing was written");
        let taken = match self.socket.mood {
            Mood::Healthy => offered,
            Mood::Short => 1 + self.plan.below(offered as u64) as usize,
            Mood::Blocked => return Err(ErrorKind::WouldBlock.into()),
            Mood::Broken => return Err(ErrorKind::ConnectionReset.into()),
        };
        let mut left = taken;
        for slice in slices {
            let part = left.min(slice.len());
            self.socket.taken.extend_from_slice(&slice[..part]);
            left -= part;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "any instant will do to begin with")]
fn clock() -> Instant {
    Instant::now()
}

fn chunk(sequence: u64, is_entry: bool, restart: bool, plan: &mut Plan, now: Instant) -> Chunk {
    let mut framed = |kind, len_max| Framed::binary(&content(kind, sequence, plan.below(len_max) as usize));
    Chunk {
        sequence,
        sealed: Sealed {
            body: framed(b'B', 3_000),
            received: now,
            entry: is_entry.then(|| Entry { join: framed(b'J', 400), jump: framed(b'K', 400) }),
            follows_discontinuity: restart,
            starts_at_frame: sequence % 3 != 1,
        },
    }
}

/// A kind, a chunk's number, a length, and as many bytes that follow from the number.
fn content(kind: u8, sequence: u64, len: usize) -> Vec<u8> {
    let mut content = vec![kind];
    content.extend_from_slice(&sequence.to_be_bytes());
    content.extend_from_slice(&(len as u16).to_be_bytes());
    content.extend((0..len).map(|index| filler(sequence, index)));
    content
}

fn filler(sequence: u64, index: usize) -> u8 {
    (sequence as usize * 31 + index * 7) as u8
}

fn pong(step: u64) -> Vec<u8> {
    let payload = content(b'P', step, 0);
    [&[0x8a, payload.len() as u8], payload.as_slice()].concat()
}

/// Reads the pieces in `bytes`, and says what is wrong with the first that is damaged. The last one may be cut short.
fn payloads(mut bytes: &[u8]) -> (Vec<Piece>, Option<String>) {
    let mut pieces = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<11>() {
        let sequence = u64::from_be_bytes(head[1..9].try_into().expect("eight bytes"));
        let len = usize::from(u16::from_be_bytes([head[9], head[10]]));
        if !b"JKBP".contains(&head[0]) {
            return (pieces, Some(format!("no piece begins with {head:?}")));
        }
        let Some((content, rest)) = rest.split_at_checked(len) else { break };
        if content.iter().enumerate().any(|(index, &byte)| byte != filler(sequence, index)) {
            return (pieces, Some(format!("chunk {sequence} is damaged")));
        }
        pieces.push(Piece { kind: head[0], sequence });
        bytes = rest;
    }
    (pieces, None)
}

/// The same for WebSocket frames, each of which must hold just one piece.
fn frames(mut bytes: &[u8]) -> (Vec<Piece>, Option<String>) {
    let mut pieces = Vec::new();
    while let Some((&[first, short_len], mut rest)) = bytes.split_first_chunk::<2>() {
        let mut len = usize::from(short_len);
        if len == 126 {
            let Some((long, after)) = rest.split_first_chunk::<2>() else { break };
            (len, rest) = (usize::from(u16::from_be_bytes(*long)), after);
        }
        let Some((payload, rest)) = rest.split_at_checked(len) else { break };
        let (found, damage) = payloads(payload);
        let kind_fits = found.len() == 1 && (found[0].kind == b'P') == (first == 0x8a);
        if damage.is_some() || !kind_fits || (first != 0x82 && first != 0x8a) {
            return (pieces, Some(format!("a frame {first:#x} of {len} bytes holds {found:?} {damage:?}")));
        }
        pieces.extend(found);
        bytes = rest;
    }
    (pieces, None)
}
