//! The ingest thread: takes the streams in from their publishers, cuts them into chunks and hands these to the workers.
//!
//! One `mio::Poll` for everything. A turn of the loop reads what has come, bounded for each socket so that a fast
//! publisher does not hold up the others, seals what is due, and wakes each worker that got something, once. Then it
//! rests for a moment, so that what comes close together is dealt with together.

mod connections;
pub mod framer;
mod gate;
mod http;
mod port;
mod pull;
mod report;
mod route;
pub mod rtp;
mod stream;
mod streams;
mod subscribers;
mod tcp;
mod timer;
mod udp;
mod wall;

pub use port::{Port, open};

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use nix::sys::prctl;

use crate::config::{self, Authority, STREAMS_MAX};
use crate::identity::NodeId;
use crate::ingest::connections::Connections;
use crate::ingest::gate::Gate;
use crate::ingest::pull::Pulls;
use crate::ingest::stream::Outlet;
use crate::ingest::streams::Streams;
use crate::ingest::timer::Timer;
use crate::ingest::wall::Wall;
use crate::inquiry::ToAdmin;
use crate::mailbox::{Mailbox, Sender, StreamId, ToIngest, ToWorker, mailbox};
use crate::metrics::InputMetrics;
use crate::net::BindError;
use crate::pulse;

const MAIL: Token = Token(0);
const TIMER: Token = Token(1);
/// The ports' tokens begin here, of which there is at most one for each stream; then come those of what is pulled, then
/// those of connections.
const FIRST_PORT: usize = 2;
const FIRST_PULL: usize = FIRST_PORT + STREAMS_MAX;
const FIRST_CONNECTION: usize = FIRST_PULL + pull::TOKENS_MAX;

/// What one read can bring; one for all sockets.
const BUFFER_BYTES: usize = 256 * 1024;

/// Messages of workers and front that may wait. A worker keeps what finds no room and posts it again.
const MAIL_MAX: usize = 4096;

/// From the beginning of a turn to that of the next, at least, for each stream that has bytes waiting to be sealed: so that
/// hundreds of streams don't cost a wake-up each, nor a burst one for each of its segments or datagrams.
const REST_PER_STREAM: Duration = Duration::from_micros(100);

/// From the beginning of a turn to that of the next, at most: what comes meanwhile must find room in the sockets.
const REST_MAX: Duration = Duration::from_millis(1);

/// How late a rest may end.
const TIMER_SLACK_NS: u64 = 1_000;

/// How often time is looked at for all that need not be exact: timeouts, and what has to be tried again.
const TICK: Duration = Duration::from_millis(100);

/// The input side with every socket open, not running yet.
#[derive(Debug)]
pub struct Ingest {
    poll: Poll,
    mailbox: Mailbox<ToIngest>,
    timer: Timer,
    ports: Vec<Port>,
    pulls: Pulls,
    connections: Connections,
    node: NodeId,
    settings: Vec<config::Stream>,
    authority: Authority,
    metrics: Arc<InputMetrics>,
}

/// What the thread is told when the configuration has been read again.
#[derive(Debug)]
pub struct Renewal {
    /// Who may publish.
    pub authority: Authority,
    /// All streams: those that there are, and then further ones.
    pub streams: Vec<config::Stream>,
    /// What [`open`] has opened for those.
    pub ports: Vec<Port>,
}

/// What a socket may use while it is served.
#[derive(Debug)]
struct Turn<'a> {
    now: Instant,
    buffer: &'a mut [u8],
    streams: &'a mut Streams,
    gate: &'a mut Gate,
}

/// How far serving a socket has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Until it would block: an event will announce more.
    Drained,
    /// Only as far as a turn allows: no event will announce the rest.
    More,
    /// It failed for now: no event will announce what is left.
    Later,
    /// It is to be closed.
    Closed,
}

impl Ingest {
    /// Opens every socket that the streams need. `node` is who this node is.
    ///
    /// # Errors
    /// The first that can't be opened.
    pub fn bind(
        streams: &[config::Stream],
        authority: Authority,
        node: NodeId,
    ) -> Result<(Ingest, Sender<ToIngest>), BindError> {
        let no_resources = |source| {
            let section = streams.first().map_or("backstream", |stream| &stream.section).to_owned();
            BindError { section, address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), source }
        };
        let poll = Poll::new().map_err(no_resources)?;
        let (sender, mailbox) = mailbox(MAIL_MAX, poll.registry(), MAIL).map_err(no_resources)?;
        let timer = Timer::new(poll.registry(), TIMER).map_err(no_resources)?;
        let registry = poll.registry().try_clone().map_err(no_resources)?;
        let mut ports = port::open(streams, 0)?;
        for (index, port) in ports.iter_mut().enumerate() {
            port.register(&registry, Token(FIRST_PORT + index)).map_err(no_resources)?;
        }
        let metrics = Arc::new(InputMetrics::new(streams.len()));
        let pulls = registry.try_clone().and_then(|registry| {
            let mut pulls =
                Pulls::new(node, registry, FIRST_PULL, sender.clone(), Arc::clone(&metrics), clock());
            pulls.renew(streams, clock())?;
            Ok(pulls)
        });
        let pulls = pulls.map_err(no_resources)?;
        let connections = Connections::new(FIRST_CONNECTION, registry);
        let settings = streams.to_vec();
        let ingest =
            Ingest { poll, mailbox, timer, ports, pulls, connections, node, settings, authority, metrics };
        Ok((ingest, sender))
    }

    /// Where each stream is taken in; with the real port where the configuration says 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<(StreamId, SocketAddr)> {
        let mut addresses: Vec<_> = self.ports.iter().flat_map(Port::addresses).collect();
        addresses.sort();
        addresses
    }

    /// The counters of the input side, which go on after [`run`](Self::run) has taken this.
    #[must_use]
    pub fn metrics(&self) -> Arc<InputMetrics> {
        Arc::clone(&self.metrics)
    }

    /// Takes streams in and hands them to `workers`, until it is told to stop.
    pub fn run(self, workers: Vec<Sender<ToWorker>>) {
        if let Err(error) = Loop::new(self, workers).run() {
            log::error!("the input has ended: {error}");
        }
    }
}

/// The thread at work.
#[derive(Debug)]
struct Loop {
    poll: Poll,
    mailbox: Mailbox<ToIngest>,
    timer: Timer,
    ports: Vec<Port>,
    pulls: Pulls,
    connections: Connections,
    streams: Streams,
    gate: Gate,
    metrics: Arc<InputMetrics>,
    buffer: Box<[u8]>,
    /// Sockets to be served in this turn.
    ready: Vec<Token>,
    /// Sockets to be served at the next tick.
    later: Vec<Token>,
    next_tick: Instant,
    /// When something has to be sealed.
    seal_at: Option<Instant>,
    /// The turn comes after a rest.
    rested: bool,
}

impl Loop {
    fn new(ingest: Ingest, workers: Vec<Sender<ToWorker>>) -> Loop {
        let now = clock();
        let outlet = Outlet::new(workers, Wall::read(now));
        Loop {
            streams: Streams::new(ingest.settings, ingest.node, outlet, &ingest.metrics),
            gate: Gate::new(ingest.authority, Arc::clone(&ingest.metrics)),
            metrics: ingest.metrics,
            poll: ingest.poll,
            mailbox: ingest.mailbox,
            timer: ingest.timer,
            ports: ingest.ports,
            pulls: ingest.pulls,
            connections: ingest.connections,
            buffer: vec![0; BUFFER_BYTES].into(),
            ready: Vec::new(),
            later: Vec::new(),
            next_tick: now,
            seal_at: None,
            rested: false,
        }
    }

    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut now = clock();
        // The kernel lets a thread sleep 50 us longer than it asked for, to save wake-ups; we do that ourselves.
        if let Err(error) = prctl::set_timerslack(TIMER_SLACK_NS) {
            log::debug!("ingest sleeps longer than it need: {error}");
        }
        self.streams.settle();
        loop {
            let patience = pulse::rest(self.patience(now));
            match self.poll.poll(&mut events, patience) {
                // Stopped and continued, without having been told what has come meanwhile.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
                Ok(()) => now = clock(),
            }
            if self.turn(&events, now).is_break() {
                return Ok(());
            }
            self.metrics.pulse.turned(now.elapsed());
            now = self.rest(now);
        }
    }

    /// Waits until the turn that began at `begun` is long enough ago: until something is to be sealed, or longer if many
    /// streams wait for that, so that one wake-up serves them all; half of `Coalesce` at most, by which what is sealed
    /// next may be late. Returns the time.
    fn rest(&mut self, begun: Instant) -> Instant {
        let now = clock();
        self.rested = false;
        if !self.ready.is_empty() {
            return now;
        }
        let until_sealing = self.seal_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(begun));
        let rest = (REST_PER_STREAM * self.streams.waiting() as u32).max(until_sealing);
        let rest = rest.min(REST_MAX).min(self.streams.coalesce() / 2);
        let left = rest.saturating_sub(now.duration_since(begun));
        if left.is_zero() {
            return now;
        }
        thread::sleep(left);
        self.rested = true;
        clock()
    }

    fn turn(&mut self, events: &Events, now: Instant) -> ControlFlow<()> {
        for event in events {
            match event.token() {
                MAIL => {}
                TIMER => self.timer.fired(),
                socket => {
                    match event.is_read_closed() {
                        true if self.pulls.owns(socket) => self.pulls.peer_has_ended(socket),
                        true if self.connections.owns(socket) => self.connections.peer_has_ended(socket),
                        _ => {}
                    }
                    self.ready.push(socket);
                }
            }
        }
        self.read_mail(now)?;
        // What fell due before more came does not wait for that. After a rest it may have come before.
        if !self.rested {
            self.streams.seal_due(now);
        }
        self.serve_ready(now);
        // What has come is heard before anyone is found to have been silent: it may be us who slept.
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.tick(now);
        }
        self.seal_at = self.streams.seal_due(now);
        self.streams.settle();
        ControlFlow::Continue(())
    }

    /// How long to wait for events at most; the timer is one of them.
    fn patience(&mut self, now: Instant) -> Option<Duration> {
        if !self.ready.is_empty() || self.seal_at.is_some_and(|at| at <= now) {
            return Some(Duration::ZERO);
        }
        if let Some(at) = self.seal_at {
            self.timer.wake_by(at, now);
        }
        let awaits_tick = !self.pulls.is_empty()
            || !self.connections.is_empty()
            || !self.later.is_empty()
            || self.gate.is_waiting()
            || self.streams.is_waiting();
        awaits_tick.then(|| self.next_tick.saturating_duration_since(now))
    }

    fn read_mail(&mut self, now: Instant) -> ControlFlow<()> {
        self.mailbox.look();
        while let Some(message) = self.mailbox.take() {
            match message {
                ToIngest::Subscribe(worker, stream) => self.streams.subscribe(worker, stream),
                ToIngest::Unsubscribe(worker, stream) => self.streams.unsubscribe(worker, stream),
                ToIngest::Resolved(who, addresses) => self.pulls.resolved(who, addresses, now),
                ToIngest::Renew(renewal) => self.renew(*renewal, now),
                ToIngest::Dismiss(inquiry) => {
                    let outcome = self.streams.dismiss(inquiry.question, now);
                    self.connections.close_orphans(&mut self.streams);
                    let done = ToAdmin::Done(inquiry.ticket, outcome);
                    inquiry.answer(done);
                }
                ToIngest::Stop => {
                    self.streams.stop(now);
                    return ControlFlow::Break(());
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Takes over a configuration that has been read again.
    fn renew(&mut self, renewal: Renewal, now: Instant) {
        self.gate.set_authority(renewal.authority);
        for mut port in renewal.ports {
            let token = Token(FIRST_PORT + self.ports.len());
            if let Err(error) = port.register(self.poll.registry(), token) {
                log::error!("a new port for publishers can't be watched: {error}");
            }
            self.ports.push(port);
        }
        self.ports.iter_mut().for_each(|port| port.renew(&renewal.streams));
        if let Err(error) = self.pulls.renew(&renewal.streams, now) {
            log::error!("new upstreams can't be looked up: {error}");
        }
        self.streams.renew(renewal.streams);
    }

    fn tick(&mut self, now: Instant) {
        self.ready.append(&mut self.later);
        self.gate.tick(now);
        self.streams.tick(now);
        let Loop { pulls, connections, buffer, streams, gate, .. } = self;
        let mut turn = Turn { now, buffer, streams, gate };
        pulls.tick(&mut turn);
        connections.tick(&mut turn);
    }

    fn serve_ready(&mut self, now: Instant) {
        let Loop { ports, pulls, connections, buffer, streams, gate, ready, later, .. } = self;
        let mut turn = Turn { now, buffer, streams, gate };
        // A socket left over from the last turn may have had an event as well.
        ready.sort_unstable();
        ready.dedup();
        ready.retain(|&token| {
            let progress = match connections.owns(token) {
                _ if pulls.owns(token) => pulls.serve(token, &mut turn),
                true => connections.serve(token, &mut turn),
                false => serve_port(&mut ports[token.0 - FIRST_PORT], token, connections, &mut turn),
            };
            if progress == Progress::Later {
                later.push(token);
            }
            progress == Progress::More
        });
    }
}

fn serve_port(port: &mut Port, token: Token, connections: &mut Connections, turn: &mut Turn) -> Progress {
    match port {
        Port::Udp(input) => input.serve(token, turn),
        Port::Tcp(listener, stream) => tcp::accept(listener, turn, |socket, peer, turn| {
            connections.take_tcp(*stream, socket, peer, turn)
        }),
        Port::Http(listener, port) => {
            tcp::accept(listener, turn, |socket, peer, turn| connections.take_http(port, socket, peer, turn))
        }
    }
}

#[allow(clippy::disallowed_methods)] // The loop reads the clock, for all that it calls.
fn clock() -> Instant {
    Instant::now()
}
