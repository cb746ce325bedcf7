//! All streams, as the sockets of their publishers reach them, and the way from there to the workers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Token;

use crate::config::{self, InputProtocol};
use crate::identity::NodeId;
use crate::ingest::framer::NotPackets;
use crate::ingest::report::Departure;
use crate::ingest::stream::{Admission, Outlet, Publisher, Stream};
use crate::ingest::wall::Wall;
use crate::inquiry::Outcome;
use crate::mailbox::{StreamId, WorkerId};
use crate::metrics::{InputMetrics, StreamInputMetrics};
use crate::proto::relay::{Path, Stamp};

/// See the module.
#[derive(Debug)]
pub struct Streams {
    streams: Vec<Stream>,
    node: NodeId,
    metrics: Arc<InputMetrics>,
    outlet: Outlet,
    /// Those with bytes not sealed yet.
    waiting: Vec<StreamId>,
    /// How many have a publisher.
    published: usize,
    /// Whether workers are owed anything. Together with the count before, this saves looking at all streams each turn.
    owing: bool,
    /// Sockets whose publisher is gone, though they don't know it yet.
    orphans: Vec<Token>,
}

impl Streams {
    /// The streams as configured, and the workers that may subscribe to them.
    pub fn new(
        settings: Vec<config::Stream>,
        node: NodeId,
        outlet: Outlet,
        metrics: &Arc<InputMetrics>,
    ) -> Streams {
        let mut streams = Streams {
            streams: Vec::with_capacity(settings.len()),
            node,
            metrics: Arc::clone(metrics),
            outlet,
            waiting: Vec::new(),
            published: 0,
            owing: false,
            orphans: Vec::new(),
        };
        streams.renew(settings);
        streams
    }

    /// The streams are configured like this from now on. There may be more than before.
    pub fn renew(&mut self, settings: Vec<config::Stream>) {
        let workers = self.outlet.senders.len();
        for (index, settings) in settings.into_iter().enumerate() {
            if let Some(stream) = self.streams.get_mut(index) {
                stream.renew(settings);
                continue;
            }
            let metrics = Arc::clone(&self.metrics);
            self.streams.push(Stream::new(StreamId(index), settings, self.node, workers, metrics));
            // Its status, to every worker.
            self.owing = true;
        }
    }

    /// How the stream is configured.
    pub fn settings(&self, id: StreamId) -> &config::Stream {
        &self.streams[id.0].settings
    }

    /// How long bytes may wait for more; it is the same for all streams.
    pub fn coalesce(&self) -> Duration {
        self.streams.first().map_or(Duration::ZERO, |stream| stream.settings.coalesce)
    }

    /// How many streams have bytes that wait for more.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The stream's counters.
    pub fn metrics(&self, id: StreamId) -> &StreamInputMetrics {
        self.streams[id.0].metrics()
    }

    /// Who publishes the stream.
    pub fn publisher(&self, id: StreamId) -> Option<&Publisher> {
        self.streams[id.0].publisher()
    }

    /// Whether somebody at `address` may become the stream's publisher.
    pub fn admission(&self, id: StreamId, address: IpAddr) -> Admission {
        self.streams[id.0].admission(address)
    }

    /// `peer` publishes the stream from now on, in place of whoever did before.
    pub fn begin(&mut self, id: StreamId, socket: Token, peer: SocketAddr, now: Instant) {
        if let Some(replaced) = self.leave(id, &Departure::Replaced(peer), now)
            && replaced.socket != socket
        {
            self.orphans.push(replaced.socket);
        }
        self.streams[id.0].begin(socket, peer, now);
        self.owing |= self.streams[id.0].owing();
        self.published += 1;
    }

    /// As [`begin`](Self::begin) for a stream that is pulled: if it has a publisher it goes on, with another upstream.
    pub fn take_over(&mut self, id: StreamId, socket: Token, peer: SocketAddr, now: Instant) {
        let stream = &mut self.streams[id.0];
        self.published += usize::from(stream.publisher().is_none());
        stream.take_over(socket, peer, now);
    }

    /// Takes bytes of the stream's publisher.
    pub fn feed(&mut self, id: StreamId, bytes: &[u8], now: Instant) {
        let stream = &mut self.streams[id.0];
        let waited = stream.deadline().is_some();
        stream.feed(bytes, now, &mut self.outlet);
        self.owing |= stream.owing();
        if !waited && stream.deadline().is_some() && !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
    }

    /// Takes a chunk of a stream that is pulled.
    ///
    /// # Errors
    /// As [`Stream::feed_chunk`].
    pub fn feed_chunk(
        &mut self,
        id: StreamId,
        chunk: &[u8],
        stamp: Stamp,
        now: Instant,
    ) -> Result<(), NotPackets> {
        let stream = &mut self.streams[id.0];
        let fed = stream.feed_chunk(chunk, stamp, now, &mut self.outlet);
        self.owing |= stream.owing();
        fed
    }

    /// What is pulled from now on does not continue what came before.
    ///
    /// # Errors
    /// As [`Stream::restart`].
    pub fn restart(&mut self, id: StreamId, preamble: &[u8], now: Instant) -> Result<(), NotPackets> {
        let stream = &mut self.streams[id.0];
        let restarted = stream.restart(preamble, now, &mut self.outlet);
        self.owing |= stream.owing();
        restarted
    }

    /// The nodes that the stream comes through are these.
    pub fn set_path(&mut self, id: StreamId, path: Path) {
        let stream = &mut self.streams[id.0];
        stream.set_path(path);
        self.owing |= stream.owing();
    }

    /// What the clock on the wall says at `now`, in microseconds since 1970.
    pub fn unix_us(&self, now: Instant) -> u64 {
        self.outlet.wall.unix_us(now)
    }

    /// The stream's publisher, if there is one, is gone.
    pub fn leave(&mut self, id: StreamId, departure: &Departure, now: Instant) -> Option<Publisher> {
        let stream = &mut self.streams[id.0];
        let publisher = stream.leave(departure, now, &mut self.outlet)?;
        self.published -= 1;
        self.owing |= stream.owing();
        Some(publisher)
    }

    /// `worker` wants the backlog of the stream, then every chunk.
    pub fn subscribe(&mut self, worker: WorkerId, id: StreamId) {
        self.streams[id.0].subscribers.subscribe(worker);
        self.owing = true;
    }

    /// `worker` wants no more of the stream.
    pub fn unsubscribe(&mut self, worker: WorkerId, id: StreamId) {
        self.streams[id.0].subscribers.unsubscribe(worker);
    }

    /// Seals what has waited long enough. Returns when to call again, if anything still waits.
    pub fn seal_due(&mut self, now: Instant) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        self.waiting.retain(|id| {
            let stream = &mut self.streams[id.0];
            stream.seal_due(now, &mut self.outlet);
            self.owing |= stream.owing();
            let deadline = stream.deadline();
            earliest = earliest.into_iter().chain(deadline).min();
            deadline.is_some()
        });
        earliest
    }

    /// Parts with publishers that have been silent for too long, and looks at how the others are doing.
    pub fn tick(&mut self, now: Instant) {
        self.outlet.wall = Wall::read(now);
        for index in 0..self.streams.len() {
            self.streams[index].look();
            self.streams[index].show_health();
            self.owing |= self.streams[index].owing();
            if self.streams[index].settings.protocol == InputProtocol::Pull {
                // Who pulls it looks to that.
                continue;
            }
            let timeout = self.streams[index].settings.timeout;
            let silent = |publisher: &Publisher| now.saturating_duration_since(publisher.heard) >= timeout;
            if self.streams[index].publisher().is_some_and(silent) {
                let silent = self.leave(StreamId(index), &Departure::Silent(timeout), now);
                self.orphans.extend(silent.map(|publisher| publisher.socket));
            }
        }
    }

    /// An operator wants the stream's publisher to go.
    pub fn dismiss(&mut self, id: StreamId, now: Instant) -> Outcome {
        match self.streams.get(id.0) {
            Some(stream) if stream.settings.protocol == InputProtocol::Pull => Outcome::Pulled,
            Some(_) => match self.leave(id, &Departure::Dismissed, now) {
                Some(publisher) => {
                    self.orphans.push(publisher.socket);
                    Outcome::Done
                }
                None => Outcome::NobodyThere,
            },
            None => Outcome::NobodyThere,
        }
    }

    /// Whether [`tick`](Self::tick) or [`settle`](Self::settle) has something to wait for.
    pub fn is_waiting(&self) -> bool {
        self.published > 0 || self.owing
    }

    /// A socket that has lost its stream and must be closed.
    pub fn orphan(&mut self) -> Option<Token> {
        self.orphans.pop()
    }

    /// At the end of a turn: posts what the workers are still owed, and wakes those that got anything.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.owing) {
            for stream in &mut self.streams {
                stream.settle(&mut self.outlet.senders);
                self.owing |= stream.owing();
            }
        }
        for sender in &mut self.outlet.senders {
            sender.flush();
        }
    }

    /// The program ends: every publisher is left.
    pub fn stop(&mut self, now: Instant) {
        for index in 0..self.streams.len() {
            self.leave(StreamId(index), &Departure::Stopped, now);
        }
        self.settle();
    }
}
