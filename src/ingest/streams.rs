//! All streams, as the sockets of their publishers reach them, and the way from there to the workers.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use mio::Token;

use crate::chunk::Sealed;
use crate::config;
use crate::ingest::report::Departure;
use crate::ingest::stream::{Admission, Publisher, Stream};
use crate::mailbox::{Sender, StreamId, ToWorker, WorkerId};
use crate::metrics::{InputMetrics, StreamInputMetrics};

/// See the module.
#[derive(Debug)]
pub struct Streams {
    streams: Vec<Stream>,
    senders: Vec<Sender<ToWorker>>,
    /// Those with bytes not sealed yet.
    waiting: Vec<StreamId>,
    /// How many have a publisher.
    published: usize,
    /// Whether workers are owed anything. Together with the count before, this saves looking at all streams each turn.
    owing: bool,
    /// Sockets whose publisher is gone, though they don't know it yet.
    orphans: Vec<Token>,
    /// Scratch space; empty between calls.
    sealed: Vec<Sealed>,
}

impl Streams {
    /// The streams as configured, and the workers that may subscribe to them.
    pub fn new(
        settings: Vec<config::Stream>,
        senders: Vec<Sender<ToWorker>>,
        metrics: &Arc<InputMetrics>,
    ) -> Streams {
        let stream =
            |(index, settings)| Stream::new(StreamId(index), settings, senders.len(), Arc::clone(metrics));
        let streams = settings.into_iter().enumerate().map(stream).collect();
        Streams {
            streams,
            senders,
            waiting: Vec::new(),
            published: 0,
            owing: true,
            orphans: Vec::new(),
            sealed: Vec::new(),
        }
    }

    /// How the stream is configured.
    pub fn settings(&self, id: StreamId) -> &config::Stream {
        &self.streams[id.0].settings
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

    /// Takes bytes of the stream's publisher.
    pub fn feed(&mut self, id: StreamId, bytes: &[u8], now: Instant) {
        let stream = &mut self.streams[id.0];
        let waited = stream.deadline().is_some();
        stream.feed(bytes, now, &mut self.sealed, &mut self.senders);
        self.owing |= stream.owing();
        if !waited && stream.deadline().is_some() && !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
    }

    /// The stream's publisher, if there is one, is gone.
    pub fn leave(&mut self, id: StreamId, departure: &Departure, now: Instant) -> Option<Publisher> {
        let stream = &mut self.streams[id.0];
        let publisher = stream.leave(departure, now, &mut self.sealed, &mut self.senders)?;
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
            stream.seal_due(now, &mut self.sealed, &mut self.senders);
            self.owing |= stream.owing();
            let deadline = stream.deadline();
            earliest = earliest.into_iter().chain(deadline).min();
            deadline.is_some()
        });
        earliest
    }

    /// Parts with publishers that have been silent for too long.
    pub fn tick(&mut self, now: Instant) {
        for index in 0..self.streams.len() {
            let timeout = self.streams[index].settings.timeout;
            let silent = |publisher: &Publisher| now.saturating_duration_since(publisher.heard) >= timeout;
            if self.streams[index].publisher().is_some_and(silent) {
                let silent = self.leave(StreamId(index), &Departure::Silent(timeout), now);
                self.orphans.extend(silent.map(|publisher| publisher.socket));
            }
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
                stream.settle(&mut self.senders);
                self.owing |= stream.owing();
            }
        }
        for sender in &mut self.senders {
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
