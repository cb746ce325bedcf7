//! A thread of receivers: one poll, connections, and what is due by the clock.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::Socket;

use super::connection::{Connection, DISCARD_BYTES, Progress, Reader, State};
use super::outcome::{GroupOutcome, Outcome};
use super::plan::{Begin, Behaviour, Plan, Precedence, Receiver};
use super::socket::{self, Buffer};
use super::{Control, Drain};
use crate::content::{Content, Expected};
use crate::decode::{Decoder, Frames};
use crate::handshake::{self, Body};
use crate::host::{now_ns, take_precedence};
use crate::verify::{Findings, Verifier};

/// Connections begun in one turn, so that those that stream are not held up.
const CONNECTS_PER_TURN: usize = 128;

/// Events taken in one turn.
const EVENTS_PER_TURN: usize = 1024;

/// How often slow receivers read.
const SLOW_TICK_NS: u64 = 20_000_000;

/// What is read at once; also the most that a slow receiver saves up.
const SCRATCH_BYTES: usize = 256 * 1024;

/// The longest sleep: the end of the run is noticed after it at the latest.
const SLEEP_NS_MAX: u64 = 50_000_000;

/// Token of the waker; connections have the index of their slot.
const WAKER: Token = Token(usize::MAX);

const NS_PER_MS: u64 = 1_000_000;

pub(super) struct Fleet {
    poll: Poll,
    control: Arc<Control>,
    plan: Plan,
    receivers: Vec<Receiver>,
    /// Requests by target.
    requests: Vec<Vec<u8>>,
    /// What is expected by stream; none if that is not known.
    expected: Vec<Expected>,
    drain: Drain,
    /// By receiver. Without a connection: not begun yet, failed, closed, or on leave.
    connections: Vec<Option<Connection>>,
    outcome: Vec<GroupOutcome>,
    /// Receivers that connect or leave at a time.
    due: BinaryHeap<Reverse<(u64, usize)>>,
    slow: Vec<usize>,
    slow_tick_ns: u64,
    /// With [`Drain::EveryMs`]: receivers to be emptied, the next of them, and when the round began.
    swept: Vec<usize>,
    sweep_next: usize,
    sweep_began_ns: u64,
    is_measuring: bool,
    /// Receivers that should have got all that was fed since measuring began, connected or not any more.
    steady: Vec<Steady>,
    scratch: Vec<u8>,
    nothing: Vec<u8>,
    random: u64,
}

/// Bytes that a receiver got.
struct Steady {
    group: usize,
    stream: usize,
    bytes: u64,
}

impl Fleet {
    pub(super) fn new(
        receivers: Vec<Receiver>,
        plan: &Plan,
        contents: &[Arc<Content>],
        drain: Drain,
        control: Arc<Control>,
    ) -> io::Result<(Fleet, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let fleet = Fleet {
            poll,
            control,
            requests: plan.targets.iter().map(|target| handshake::request(&target.address)).collect(),
            expected: contents.iter().map(|content| Expected::new(Arc::clone(content))).collect(),
            drain,
            connections: receivers.iter().map(|_| None).collect(),
            receivers,
            outcome: plan.groups.iter().map(|_| GroupOutcome::default()).collect(),
            plan: plan.clone(),
            due: BinaryHeap::new(),
            slow: Vec::new(),
            slow_tick_ns: 0,
            swept: Vec::new(),
            sweep_next: 0,
            sweep_began_ns: 0,
            is_measuring: false,
            steady: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            nothing: vec![0; DISCARD_BYTES],
            random: 0x2545_f491_4f6c_dd1d,
        };
        Ok((fleet, waker))
    }

    pub(super) fn run(mut self, precedence: Precedence) -> Outcome {
        if precedence == Precedence::First {
            take_precedence();
        }
        self.schedule(|begin| begin == Begin::AtStart, now_ns());
        let mut events = Events::with_capacity(EVENTS_PER_TURN);
        while !self.control.end.load(Ordering::Acquire) {
            let measure_from_ns = self.control.measure_from_ns.load(Ordering::Acquire);
            if !self.is_measuring && measure_from_ns != u64::MAX {
                self.begin_measuring(measure_from_ns);
            }
            let now = now_ns();
            self.meet_what_is_due(now);
            self.read_slowly(now);
            self.sweep(now);
            let sleep = Duration::from_nanos(self.sleep_ns(now_ns()));
            if let Err(error) = self.poll.poll(&mut events, Some(sleep)) {
                assert_eq!(error.kind(), io::ErrorKind::Interrupted, "polling our own poll: {error}");
                continue;
            }
            for event in &events {
                if event.token() != WAKER {
                    self.on_ready(event.token().0, event.is_read_closed() || event.is_error());
                }
            }
        }
        self.finish()
    }

    /// Plans the connecting of all receivers whose group begins as `is_now` says.
    fn schedule(&mut self, is_now: impl Fn(Begin) -> bool, begin_ns: u64) {
        for (index, receiver) in self.receivers.iter().enumerate() {
            let begin = self.plan.groups[receiver.group].begin;
            if is_now(begin) {
                let after_ns = if let Begin::Measuring(after_ns) = begin { after_ns } else { 0 };
                self.due.push(Reverse((begin_ns + after_ns + receiver.due_ns, index)));
            }
        }
    }

    /// What was until now does not count, but for what was wrong.
    fn begin_measuring(&mut self, from_ns: u64) {
        self.is_measuring = true;
        self.schedule(|begin| begin != Begin::AtStart, from_ns);
        for connection in self.connections.iter_mut().flatten() {
            if matches!(connection.state, State::Streaming) {
                connection.bytes_before = Some(connection.bytes);
            }
            if let Some(reader) = &mut connection.reader {
                let Findings { packets_wrong, bytes_unaligned, repeated, .. } = reader.verifier.findings;
                reader.verifier.findings =
                    Findings { packets_wrong, bytes_unaligned, repeated, ..Findings::default() };
                reader.decoder.frames = Frames { errors: reader.decoder.frames.errors, ..Frames::default() };
            }
        }
        self.control.measuring.fetch_add(1, Ordering::Release);
    }

    fn sleep_ns(&self, now: u64) -> u64 {
        let mut until = now + SLEEP_NS_MAX;
        if let Some(Reverse((due_ns, _))) = self.due.peek() {
            until = until.min(*due_ns);
        }
        if !self.slow.is_empty() {
            until = until.min(self.slow_tick_ns);
        }
        if !self.swept.is_empty() {
            until = until.min(now + NS_PER_MS);
        }
        until.saturating_sub(now)
    }

    /// Connects who is to come, and disconnects who is to go.
    fn meet_what_is_due(&mut self, now: u64) {
        for _ in 0..CONNECTS_PER_TURN {
            let Some(Reverse((_, index))) =
                self.due.peek().copied().filter(|Reverse((due_ns, _))| *due_ns <= now)
            else {
                return;
            };
            self.due.pop();
            if self.connections[index].is_some() {
                self.leave(index, now);
            } else {
                self.begin(index, now);
            }
        }
    }

    fn begin(&mut self, index: usize, now: u64) {
        let receiver = self.receivers[index];
        let behaviour = self.plan.groups[receiver.group].behaviour;
        let buffer = match behaviour {
            Behaviour::Slow(_) | Behaviour::Stalled => Buffer::Small,
            Behaviour::Steady | Behaviour::Visiting(_) => Buffer::Usual,
        };
        let address = &self.plan.targets[receiver.target].address;
        let opened = socket::open(address, receiver.source, buffer).and_then(|opened| {
            self.watch(&opened.0, index)?;
            Ok(opened)
        });
        match opened {
            Ok((socket, carriage, state)) => {
                let is_streaming = matches!(state, State::Streaming);
                self.connections[index] = Some(Connection {
                    socket,
                    carriage,
                    state,
                    receiver: index,
                    began_ns: now,
                    bytes: 0,
                    bytes_before: None,
                    reader: None,
                });
                if is_streaming {
                    self.served(index, Body::Plain, &[]);
                }
            }
            Err(error) => self.failed(index, error.to_string()),
        }
    }

    fn watch(&self, socket: &Socket, index: usize) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut SourceFd(&socket.as_raw_fd()), Token(index), interest)
    }

    /// The server has perhaps connected to the receiver that waits for it.
    fn accept(&mut self, index: usize) {
        let Some(connection) = &self.connections[index] else { return };
        let accepted = socket::accept(&connection.socket).and_then(|accepted| {
            accepted.as_ref().map_or(Ok(()), |socket| self.watch(socket, index))?;
            Ok(accepted)
        });
        match accepted {
            Ok(None) => {}
            Ok(Some(socket)) => {
                if let Some(connection) = &mut self.connections[index] {
                    // The listener closes: a server that comes back is not let in, and that is seen.
                    connection.socket = socket;
                    connection.state = State::Streaming;
                }
                self.served(index, Body::Plain, &[]);
                self.take_what_came(index, false);
            }
            Err(error) => self.failed(index, error.to_string()),
        }
    }

    /// Something has come, or a connection has succeeded or ended (`is_closed`).
    fn on_ready(&mut self, index: usize, is_closed: bool) {
        let Some(connection) = &mut self.connections[index] else { return };
        let receiver = self.receivers[index];
        let scheme = self.plan.targets[receiver.target].address.scheme;
        if matches!(connection.state, State::Listening) {
            return self.accept(index);
        }
        if matches!(connection.state, State::Connecting) {
            match connection.established(&self.requests[receiver.target]) {
                Ok(false) => return,
                Ok(true) if matches!(connection.state, State::Streaming) => {
                    self.served(index, Body::Plain, &[])
                }
                Ok(true) => (),
                Err(why) => return self.failed(index, why),
            }
        }
        let Some(connection) = &mut self.connections[index] else { return };
        match connection.state {
            State::Asking(_) => match connection.answered(scheme) {
                Ok(Some((body, rest))) => self.served(index, body, &rest),
                Ok(None) if is_closed => return self.failed(index, "closed without an answer".to_owned()),
                Ok(None) => return,
                Err(why) => return self.failed(index, why),
            },
            State::Listening | State::Connecting => return,
            State::Streaming => (),
        }
        self.take_what_came(index, is_closed);
    }

    fn take_what_came(&mut self, index: usize, is_closed: bool) {
        let receiver = self.receivers[index];
        match self.plan.groups[receiver.group].behaviour {
            Behaviour::Stalled if is_closed => self.closed(index, "closed by the server".to_owned()),
            Behaviour::Slow(_) | Behaviour::Stalled => (),
            Behaviour::Steady | Behaviour::Visiting(_) if receiver.is_sampled => {
                self.read(index, usize::MAX);
            }
            Behaviour::Steady | Behaviour::Visiting(_) => self.discard(index, is_closed),
        }
    }

    /// The server has agreed to send; `rest` is what it has sent already.
    fn served(&mut self, index: usize, body: Body, rest: &[u8]) {
        let receiver = self.receivers[index];
        let behaviour = self.plan.groups[receiver.group].behaviour;
        let Some(connection) = &mut self.connections[index] else { return };
        let outcome = &mut self.outcome[receiver.group];
        outcome.served += 1;
        outcome.connect_us.saturating_record((now_ns() - connection.began_ns) / 1000);
        if receiver.is_sampled || matches!(behaviour, Behaviour::Slow(_)) {
            connection.reader =
                Some(Box::new(Reader { decoder: Decoder::new(body), verifier: Verifier::default() }));
        }
        if let Behaviour::Visiting(life_ms) = behaviour {
            let life_ns = about(&mut self.random, life_ms * NS_PER_MS);
            self.due.push(Reverse((now_ns() + life_ns, index)));
        }
        if matches!(behaviour, Behaviour::Slow(_)) {
            self.slow.push(index);
        }
        if self.drain != Drain::OnEvent && behaviour == Behaviour::Steady && !receiver.is_sampled {
            // Nothing is to be known of it but what the sweep finds out.
            let _ = self.poll.registry().deregister(&mut SourceFd(&connection.socket.as_raw_fd()));
            self.swept.push(index);
        }
        if self.waits_at_start(index) {
            self.control.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.control.served.fetch_add(1, Ordering::Relaxed);
        if rest.is_empty() {
            return;
        }
        let Some(connection) = &mut self.connections[index] else { return };
        note_first_byte(connection, &mut self.outcome[receiver.group]);
        self.control.bytes.fetch_add(rest.len() as u64, Ordering::Relaxed);
        let stream = self.plan.targets[receiver.target].stream;
        connection.take(rest, self.expected.get_mut(stream), |_| ());
    }

    /// Reads at most `limit` bytes and checks them; gives how many there were.
    fn read(&mut self, index: usize, limit: usize) -> usize {
        let receiver = self.receivers[index];
        let Some(connection) = &mut self.connections[index] else { return 0 };
        let expected = self.expected.get_mut(self.plan.targets[receiver.target].stream);
        let outcome = &mut self.outcome[receiver.group];
        let measure_from_ns = self.control.measure_from_ns.load(Ordering::Relaxed).max(connection.began_ns);
        let had_none = connection.bytes == 0;
        let (count, progress) = connection.read(&mut self.scratch, limit, expected, |mark| {
            if mark.sent_ns >= measure_from_ns {
                outcome.latency_us.saturating_record(now_ns().saturating_sub(mark.sent_ns) / 1000);
            }
        });
        if had_none && count > 0 {
            note_first_byte(connection, outcome);
        }
        self.control.bytes.fetch_add(count as u64, Ordering::Relaxed);
        if let Progress::Closed(why) = progress {
            self.closed(index, why);
        }
        count
    }

    fn discard(&mut self, index: usize, until_end: bool) {
        let Some(connection) = &mut self.connections[index] else { return };
        let before = connection.bytes;
        let progress = connection.discard(&mut self.nothing, until_end);
        if before == 0 && connection.bytes > 0 {
            note_first_byte(connection, &mut self.outcome[self.receivers[index].group]);
        }
        self.control.bytes.fetch_add(connection.bytes - before, Ordering::Relaxed);
        if let Progress::Closed(why) = progress {
            self.closed(index, why);
        }
    }

    /// Lets slow receivers read what they may by now.
    fn read_slowly(&mut self, now: u64) {
        if self.slow.is_empty() || now < self.slow_tick_ns {
            return;
        }
        self.slow_tick_ns = now + SLOW_TICK_NS;
        for index in self.slow.clone() {
            let Behaviour::Slow(bytes_per_second) = self.plan.groups[self.receivers[index].group].behaviour
            else {
                continue;
            };
            self.read(index, (bytes_per_second * SLOW_TICK_NS / 1_000_000_000) as usize);
        }
    }

    /// Empties as many receivers as the time that has passed asks for.
    fn sweep(&mut self, now: u64) {
        let Drain::EveryMs(period_ms) = self.drain else { return };
        if self.swept.is_empty() {
            return;
        }
        let passed_ns = now - self.sweep_began_ns;
        let until =
            (passed_ns as u128 * self.swept.len() as u128 / u128::from(period_ms * NS_PER_MS)) as usize;
        while self.sweep_next < until.min(self.swept.len()) {
            self.discard(self.swept[self.sweep_next], false);
            self.sweep_next += 1;
        }
        if until >= self.swept.len() {
            self.sweep_next = 0;
            self.sweep_began_ns = now;
        }
    }

    /// A visitor goes, and will be back.
    fn leave(&mut self, index: usize, now: u64) {
        let Behaviour::Visiting(away_ms) = self.plan.groups[self.receivers[index].group].behaviour else {
            return;
        };
        self.control.served.fetch_sub(1, Ordering::Relaxed);
        self.drop_connection(index);
        let away_ns = about(&mut self.random, away_ms * NS_PER_MS);
        self.due.push(Reverse((now + away_ns, index)));
    }

    fn closed(&mut self, index: usize, why: String) {
        let outcome = &mut self.outcome[self.receivers[index].group];
        outcome.closed += 1;
        outcome.first_closing.get_or_insert(why);
        self.control.served.fetch_sub(1, Ordering::Relaxed);
        self.control.closed.fetch_add(1, Ordering::Relaxed);
        self.drop_connection(index);
    }

    fn failed(&mut self, index: usize, why: String) {
        let receiver = self.receivers[index];
        let outcome = &mut self.outcome[receiver.group];
        outcome.failed += 1;
        outcome
            .first_failure
            .get_or_insert_with(|| format!("{}: {why}", self.plan.targets[receiver.target].address));
        if self.waits_at_start(index) {
            self.control.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        self.control.failed.fetch_add(1, Ordering::Relaxed);
        self.connections[index] = None;
    }

    /// Whether the receiver's first connection is still counted as waiting: visitors are just once.
    fn waits_at_start(&mut self, index: usize) -> bool {
        let receiver = &mut self.receivers[index];
        let is_first = std::mem::replace(&mut receiver.due_ns, u64::MAX) != u64::MAX;
        is_first && self.plan.groups[receiver.group].begin == Begin::AtStart
    }

    /// Ends a connection and keeps what it was.
    fn drop_connection(&mut self, index: usize) {
        let Some(connection) = self.connections[index].take() else { return };
        self.slow.retain(|slow| *slow != index);
        self.account(&connection);
    }

    fn account(&mut self, connection: &Connection) {
        let receiver = self.receivers[connection.receiver];
        let group = &self.plan.groups[receiver.group];
        let outcome = &mut self.outcome[receiver.group];
        let bytes = connection.bytes - connection.bytes_before.unwrap_or(0);
        outcome.bytes += if self.is_measuring { bytes } else { 0 };
        if let Some(reader) = &connection.reader {
            outcome.findings += reader.verifier.findings;
            outcome.frames += reader.decoder.frames;
        }
        if let (Some(_), Behaviour::Steady) = (connection.bytes_before, group.behaviour) {
            let stream = self.plan.targets[receiver.target].stream;
            self.steady.push(Steady { group: receiver.group, stream, bytes });
        }
    }

    fn finish(mut self) -> Outcome {
        for index in 0..self.connections.len() {
            let Some(connection) = self.connections[index].take() else { continue };
            socket::abandon(&connection.socket);
            if matches!(connection.state, State::Streaming) {
                self.account(&connection);
            } else {
                self.failed(connection.receiver, "neither served nor refused in time".to_owned());
            }
        }
        if let Some([before, after]) = self.control.fed.get() {
            for Steady { group, stream, bytes } in &self.steady {
                let expected =
                    after.get(*stream).zip(before.get(*stream)).map_or(0, |(after, before)| after - before);
                self.outcome[*group].bytes_expected += expected;
                self.outcome[*group].bytes_missing += expected.saturating_sub(*bytes);
            }
        }
        Outcome { groups: self.outcome }
    }
}

/// From half of `amount` to one and a half times it.
fn about(random: &mut u64, amount: u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    amount / 2 + *random % amount.max(1)
}

fn note_first_byte(connection: &Connection, outcome: &mut GroupOutcome) {
    outcome.first_byte_us.saturating_record((now_ns() - connection.began_ns) / 1000);
}
