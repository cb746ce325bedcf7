//! A worker thread: owns a shard of the receivers, waits for their sockets and for its mailbox, and writes the shared
//! chunks to them. It never waits for anything else and never holds up ingest.

mod census;
pub mod client;
pub mod conn;
pub mod directory;
pub mod leave;
pub mod outbox;
pub mod pages;
pub mod routes;
pub mod shard;
pub mod streaming;
mod surveys;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use census::Census;
use conn::{Conn, Desk, Next, Over};
use directory::Directory;
use leave::Leave;
use shard::Shard;
use streaming::Tally;
use surveys::Surveys;

use crate::config::{Buffer, IpList, ReceiverPort};
use crate::identity::NodeId;
use crate::inquiry::{Inquiry, OfWorker, Outcome, ToAdmin};
use crate::logging::LogBudget;
use crate::mailbox::{Mailbox, Newcomer, Sender, Served, Service, ToIngest, ToWorker, WorkerId, mailbox};
use crate::metrics::{InputMetrics, OutputMetrics};
use crate::places::Places;

/// Messages that a worker's mailbox holds: at 1,000 chunks a second, four seconds of a worker that does not look.
const MAILBOX_MESSAGES_MAX: usize = 4096;

/// Readiness events taken from the system at once: each may be a request to read and answer.
const EVENTS_PER_TURN_MAX: usize = 64;

/// Receivers visited before the worker looks at its mailbox and at its sockets again, so that one stream with 20,000
/// receivers does not hold up another, nor a newcomer.
const VISITS_PER_TURN_MAX: usize = 256;

/// Connections called back in a turn. Most are newcomers, who are sent a group of pictures at once: who streams already
/// must not wait long for that.
const RESUMES_PER_TURN_MAX: usize = 32;

/// The same while receivers still wait to be visited: a rush of newcomers has what time they leave, and a little more.
const RESUMES_PER_BUSY_TURN_MAX: usize = 6;

/// How often timeouts are looked at.
const TICK: Duration = Duration::from_millis(250);

/// Where reads go to. Receivers have little to say.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Arrivals logged at once, and per second from then on; the others are counted. So for departures, lest a rush of
/// newcomers hides why others leave.
const LOG_LINES: (u32, u32) = (100, 20);

const WAKER: Token = Token(usize::MAX);

/// What a worker runs on.
#[derive(Debug)]
pub struct Settings {
    /// Name and bounds of every stream; [`StreamId`](crate::mailbox::StreamId) is an index into this.
    pub streams: Vec<(String, Buffer)>,
    /// The listening ports for receivers.
    pub ports: Vec<ReceiverPort>,
    /// Whose word is taken for whom they speak for.
    pub trusted_proxies: IpList,
    /// Where a receiver must find a place; shared by all workers.
    pub places: Arc<Places>,
    /// Who the node is.
    pub identity: NodeId,
    /// What ingest counts.
    pub input: Arc<InputMetrics>,
    /// Where workers publish their counts.
    pub metrics: Arc<OutputMetrics>,
}

/// A worker before it has a thread.
#[derive(Debug)]
pub struct Worker {
    poll: Poll,
    mailbox: Mailbox<ToWorker>,
    settings: Arc<Settings>,
    shard: Shard,
    conns: Slab<Conn>,
    /// Connections that want another turn without an event, each once.
    resume: VecDeque<usize>,
    /// Connections that have ended in this turn. Freed at its end, so that no event of it meets a reused key.
    ended: Vec<(usize, Leave)>,
    scratch: Box<[u8]>,
    now: Instant,
    tick_at: Instant,
    arrivals: LogBudget,
    departures: LogBudget,
    total: Total,
    census: Census,
    directory: Directory,
    surveys: Surveys,
    id: WorkerId,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    Draining,
    Stopped,
}

/// What a worker has done in its life.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    newcomers: u64,
    receivers: u64,
    chunks: u64,
    sent: Tally,
}

impl Worker {
    /// Makes a worker and the sender by which it is spoken to.
    ///
    /// # Errors
    /// When the system gives no descriptor for polling.
    pub fn new(
        id: WorkerId,
        settings: Arc<Settings>,
        ingest: Sender<ToIngest>,
        now: Instant,
    ) -> io::Result<(Worker, Sender<ToWorker>)> {
        let poll = Poll::new()?;
        let (sender, mailbox) = mailbox(MAILBOX_MESSAGES_MAX, poll.registry(), WAKER)?;
        let shard = Shard::new(settings.streams.iter().map(|(_, buffer)| *buffer), ingest, id);
        let census = Census::new(Arc::clone(&settings.metrics), id, settings.streams.len());
        let directory = Directory::new(Arc::clone(&settings.input), Arc::clone(&settings.metrics), now);
        let worker = Worker {
            poll,
            mailbox,
            settings,
            shard,
            conns: Slab::new(),
            resume: VecDeque::new(),
            ended: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            now,
            tick_at: now + TICK,
            arrivals: LogBudget::new(LOG_LINES.0, LOG_LINES.1, now),
            departures: LogBudget::new(LOG_LINES.0, LOG_LINES.1, now),
            total: Total::default(),
            census,
            directory,
            surveys: Surveys::default(),
            id,
            phase: Phase::Serving,
        };
        Ok((worker, sender))
    }

    /// Serves until told to stop, or until told to drain and the last receiver has gone.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_PER_TURN_MAX);
        while self.phase != Phase::Stopped {
            self.turn(&mut events);
            if self.phase == Phase::Draining && self.conns.is_empty() {
                break;
            }
        }
        self.abandon();
        let Total { receivers, chunks, sent, .. } = self.total;
        log::info!(
            "worker {} ends: {receivers} receivers, {chunks} chunks in, {} writes and {} bytes out, {} skips",
            self.id.0,
            sent.writes,
            sent.bytes,
            sent.skips
        );
    }

    /// One turn of the loop: wait, hear the sockets, hear the mailbox, send, look at the clock, bury the dead.
    fn turn(&mut self, events: &mut Events) {
        if let Err(error) = self.poll.poll(events, self.patience())
            && error.kind() != io::ErrorKind::Interrupted
        {
            log::error!("worker {}: polling failed: {error}", self.id.0);
        }
        self.read_clock();
        for event in events.iter().filter(|event| event.token() != WAKER) {
            self.on_event(event);
        }
        self.empty_mailbox();
        self.fan_out();
        self.resume_unfinished();
        self.surveys.go_on(&self.conns, &self.shard, self.id, self.now);
        if self.now >= self.tick_at {
            self.tick();
        }
        self.bury();
        self.settings.metrics.pulse(self.id).turned(self.now.elapsed());
    }

    /// How long the next turn may wait for an event.
    fn patience(&self) -> Option<Duration> {
        if self.shard.is_dirty() || !self.resume.is_empty() || self.surveys.are_under_way() {
            return Some(Duration::ZERO);
        }
        Some(self.tick_at.saturating_duration_since(self.now))
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the loop of the thread reads the clock for all that it calls"
    )]
    fn read_clock(&mut self) {
        self.now = Instant::now();
    }

    fn on_event(&mut self, event: &Event) {
        let key = event.token().0;
        if event.is_writable() {
            self.with(key, Conn::writable);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.with(key, Conn::readable);
        }
    }

    fn empty_mailbox(&mut self) {
        self.mailbox.look();
        // What is posted from now on wakes us again, so a bound on the messages of one round loses none.
        for _ in 0..MAILBOX_MESSAGES_MAX {
            match self.mailbox.take() {
                None => break,
                Some(ToWorker::Chunk(stream, chunk)) => {
                    self.total.chunks += 1;
                    self.shard.chunk(stream, chunk);
                }
                Some(ToWorker::Backlog(stream, chunks)) => self.shard.backlog(stream, chunks),
                Some(ToWorker::Status(stream, status)) => self.shard.set_status(stream, status),
                Some(ToWorker::Newcomer(newcomer)) => self.welcome(newcomer),
                Some(ToWorker::Settings(settings)) => self.set_settings(settings),
                Some(ToWorker::Inquiry(inquiry)) => self.hear(inquiry),
                Some(ToWorker::Drain) => self.drain(),
                Some(ToWorker::Stop) => self.phase = Phase::Stopped,
            }
        }
    }

    fn set_settings(&mut self, settings: Arc<Settings>) {
        self.shard.set_buffers(settings.streams.iter().map(|(_, buffer)| *buffer));
        self.census.grow(settings.streams.len());
        self.settings = settings;
    }

    fn welcome(&mut self, newcomer: Newcomer) {
        if self.phase != Phase::Serving {
            return;
        }
        let key = self.conns.insert(Conn::new(newcomer, self.now));
        self.conns[key].number = self.total.newcomers;
        self.total.newcomers += 1;
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut self.conns[key].socket, Token(key), interest) {
            log::error!("worker {}: a connection can't be watched: {error}", self.id.0);
            return self.end(key, Leave::NotWatched);
        }
        self.with(key, Conn::begin);
    }

    /// The admin port asks.
    fn hear(&mut self, inquiry: Inquiry<OfWorker>) {
        match inquiry.question {
            OfWorker::Clients(selection) => self.surveys.begin(inquiry, selection),
            OfWorker::Dismiss(id) => {
                let conn = self.conns.get(id.key).filter(|conn| conn.number == id.number);
                let is_there = conn.and_then(surveys::told).is_some();
                if is_there {
                    self.with(id.key, Conn::dismiss);
                }
                let outcome = if is_there { Outcome::Done } else { Outcome::NobodyThere };
                let done = ToAdmin::Done(inquiry.ticket, outcome);
                inquiry.answer(done);
            }
        }
    }

    /// Calls `act` on connection `key`, if it still lives, and does what comes of it.
    fn with(&mut self, key: usize, act: fn(&mut Conn, &mut Desk) -> Result<Next, Leave>) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let mut desk = Desk {
            key,
            now: self.now,
            settings: &self.settings,
            shard: &mut self.shard,
            directory: &mut self.directory,
            scratch: &mut self.scratch,
        };
        match act(conn, &mut desk) {
            Ok(Next::Wait) => {}
            Ok(Next::Resume) => line_up(&mut self.resume, key, conn),
            Err(leave) => self.end(key, leave),
        }
        self.announce(key);
    }

    /// The hot path: every receiver of a stream that has a new chunk is visited and written to.
    fn fan_out(&mut self) {
        let mut visits_left = VISITS_PER_TURN_MAX;
        while visits_left > 0 && self.shard.is_dirty() {
            let (conns, resume, ended) = (&mut self.conns, &mut self.resume, &mut self.ended);
            let (settings, now) = (&self.settings, self.now);
            visits_left -= self.shard.visit(visits_left, |key, ring| {
                let Some(conn) = conns.get_mut(key) else { return };
                match conn.deliver(settings, ring, now) {
                    Ok(Next::Wait) => {}
                    Ok(Next::Resume) => line_up(resume, key, conn),
                    Err(leave) => ended.push((key, leave)),
                }
            });
        }
    }

    fn resume_unfinished(&mut self) {
        let most = if self.shard.is_dirty() { RESUMES_PER_BUSY_TURN_MAX } else { RESUMES_PER_TURN_MAX };
        for _ in 0..self.resume.len().min(most) {
            let Some(key) = self.resume.pop_front() else { break };
            if let Some(conn) = self.conns.get_mut(key) {
                conn.lined_up = false;
            }
            self.with(key, Conn::resume);
        }
    }

    fn tick(&mut self) {
        self.tick_at = self.now + TICK;
        self.shard.tick(self.now);
        for key in 0..self.conns.capacity() {
            self.with(key, Conn::tick);
        }
        for (_, conn) in &mut self.conns {
            let tally = conn.tally();
            if let Service::Hop(line) = &mut conn.service {
                line.count(&self.settings.metrics, tally.bytes, tally.skips);
            }
        }
        self.census.take(self.conns.iter().map(|(_, conn)| conn), &self.shard, self.now);
        self.directory.tick(self.now);
    }

    fn drain(&mut self) {
        self.phase = Phase::Draining;
        for key in 0..self.conns.capacity() {
            self.with(key, Conn::drain);
        }
    }

    /// Told to stop while some are still connected: they get no goodbye, but their line in the log.
    fn abandon(&mut self) {
        self.ended.extend(self.conns.iter().map(|(key, _)| (key, Leave::NodeEnds)));
        self.bury();
    }

    fn end(&mut self, key: usize, leave: Leave) {
        self.ended.push((key, leave));
    }

    /// Frees the connections that ended in this turn.
    fn bury(&mut self) {
        while let Some((key, leave)) = self.ended.pop() {
            // A connection that met two errors in one turn is in the list twice.
            let Some(mut conn) = self.conns.try_remove(key) else { continue };
            self.total.receivers += 1;
            if let Some(joined) = conn.joined
                && let Some(moved) = self.shard.leave(joined.stream, joined.slot)
                && let Some(moved) = self.conns.get_mut(moved).and_then(|moved| moved.joined.as_mut())
            {
                moved.slot = joined.slot;
            }
            let leave = conn.leave.unwrap_or(leave);
            match conn.joined {
                Some(joined) => self.census.left(joined.stream, conn.tally(), leave),
                None => self.census.left_unserved(leave),
            }
            self.report(&mut conn, leave);
        }
    }

    fn announce(&mut self, key: usize) {
        let Some(conn) = self.conns.get_mut(key) else { return };
        let Some(joined) = conn.joined.filter(|joined| !conn.announced && joined.over != Over::Hop) else {
            return;
        };
        conn.announced = true;
        if let Some(spent) = self.arrivals.spend(self.now) {
            let (name, _) = &self.settings.streams[joined.stream.0];
            log::info!("receiver of {name} connected: {} ({}){spent}", conn.client, over(joined.over));
        }
    }

    fn report(&mut self, conn: &mut Conn, leave: Leave) {
        let tally = conn.tally();
        self.total.sent.bytes += tally.bytes;
        self.total.sent.writes += tally.writes;
        self.total.sent.skips += tally.skips;
        if let Service::Hop(line) = &mut conn.service {
            line.count(&self.settings.metrics, tally.bytes, tally.skips);
            // The hops thread has more to say of it.
            let served = Served { reason: leave.to_string(), bytes: tally.bytes, skips: tally.skips };
            return line.served = Some(served);
        }
        if conn.joined.is_none() && leave == Leave::ClosedByReceiver {
            return log::debug!("{} left without a stream", conn.client);
        }
        let seconds = self.now.duration_since(conn.opened).as_secs_f64();
        let Some(spent) = self.departures.spend(self.now) else { return };
        match conn.joined {
            Some(joined) => {
                let (name, _) = &self.settings.streams[joined.stream.0];
                log::info!(
                    "receiver of {name} left: {} ({}): {leave}; {seconds:.1} s, {} bytes, {} writes, {} skips{spent}",
                    conn.client,
                    over(joined.over),
                    tally.bytes,
                    tally.writes,
                    tally.skips
                );
            }
            None => log::info!("{} got no stream: {leave}; {seconds:.1} s{spent}", conn.client),
        }
    }
}

fn line_up(resume: &mut VecDeque<usize>, key: usize, conn: &mut Conn) {
    if !std::mem::replace(&mut conn.lined_up, true) {
        resume.push_back(key);
    }
}

fn over(over: Over) -> &'static str {
    match over {
        Over::WebSocket => "WebSocket",
        Over::Relay => "WebSocket, a node",
        Over::Http => "HTTP-TS",
        Over::Tcp => "TCP",
        Over::Hop => "next hop",
    }
}
