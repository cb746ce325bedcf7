//! One stream on the input side: who publishes it, how it is cut, what is kept of it, and who gets it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use log::info;
use mio::Token;

use crate::chunk::{Chunk, Sealed};
use crate::config::{self, InputProtocol, Takeover};
use crate::ingest::framer::{Framer, FramerSettings};
use crate::ingest::report::{Counts, Departure, Description};
use crate::ingest::subscribers::Subscribers;
use crate::mailbox::{Sender, StreamId, StreamStatus, ToWorker};
use crate::metrics::{InputMetrics, InputState, StreamInputMetrics};
use crate::proto::ts::Codecs;
use crate::ring::Ring;

/// See the module.
#[derive(Debug)]
pub struct Stream {
    /// As configured.
    pub settings: config::Stream,
    /// The workers that get it.
    pub subscribers: Subscribers,
    id: StreamId,
    framer: Framer,
    ring: Ring,
    status: Arc<StreamStatus>,
    publisher: Option<Publisher>,
    metrics: Arc<InputMetrics>,
    /// As last put up for others to read.
    shown: InputState,
}

/// Who publishes the stream at present.
#[derive(Debug)]
pub struct Publisher {
    /// The socket that its bytes come from.
    pub socket: Token,
    /// Its address.
    pub peer: SocketAddr,
    /// When the last byte came.
    pub heard: Instant,
    since: Instant,
    /// The stream's counts when it came.
    before: Counts,
}

/// Whether somebody else may publish now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Nobody publishes.
    Free,
    /// The publisher that there is has to go.
    Replaces,
    /// This one publishes, and stays.
    Refused(SocketAddr),
}

impl Stream {
    /// The stream `id`, without publisher, for so many workers.
    pub fn new(id: StreamId, settings: config::Stream, workers: usize, metrics: Arc<InputMetrics>) -> Stream {
        let framing =
            FramerSettings { format: settings.format, coalesce: settings.coalesce, quiet: settings.quiet };
        Stream {
            id,
            subscribers: Subscribers::new(id, workers),
            framer: Framer::new(framing),
            ring: Ring::new(settings.buffer),
            status: Arc::default(),
            publisher: None,
            metrics,
            shown: InputState::default(),
            settings,
        }
    }

    /// Who publishes it.
    pub fn publisher(&self) -> Option<&Publisher> {
        self.publisher.as_ref()
    }

    /// Its counters.
    pub fn metrics(&self) -> &StreamInputMetrics {
        &self.metrics.streams[self.id.0]
    }

    /// Whether somebody at `address` may become the publisher.
    pub fn admission(&self, address: IpAddr) -> Admission {
        let Some(current) = &self.publisher else { return Admission::Free };
        let replaces = match self.settings.takeover {
            Takeover::Always => true,
            Takeover::SameAddress => current.peer.ip() == address,
            Takeover::Never => false,
        };
        if replaces { Admission::Replaces } else { Admission::Refused(current.peer) }
    }

    /// `peer` publishes from now on; whoever did before is [`leave`](Self::leave)d first.
    pub fn begin(&mut self, socket: Token, peer: SocketAddr, now: Instant) {
        let protocol = match self.settings.protocol {
            InputProtocol::Tcp => "TCP",
            InputProtocol::Udp => "UDP",
            InputProtocol::Http => "HTTP",
        };
        info!("publisher of {} connected: {peer} ({protocol})", self.settings.name);
        self.metrics().publishers.add(1);
        self.framer.start_session(now);
        self.publisher = Some(Publisher { socket, peer, heard: now, since: now, before: self.counts() });
        self.show();
    }

    /// Takes bytes of the publisher. `sealed` is scratch space.
    pub fn feed(
        &mut self,
        bytes: &[u8],
        now: Instant,
        sealed: &mut Vec<Sealed>,
        senders: &mut [Sender<ToWorker>],
    ) {
        if let Some(publisher) = &mut self.publisher {
            publisher.heard = now;
        }
        self.metrics().bytes.add(bytes.len() as u64);
        self.framer.push(bytes, now, sealed);
        self.hand_out(sealed, senders);
    }

    /// When [`seal_due`](Self::seal_due) wants to be called at the latest, if anything waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.framer.deadline()
    }

    /// Seals what has waited long enough.
    pub fn seal_due(&mut self, now: Instant, sealed: &mut Vec<Sealed>, senders: &mut [Sender<ToWorker>]) {
        self.framer.seal_due(now, sealed);
        self.hand_out(sealed, senders);
    }

    /// The publisher is gone, if there was one; its last bytes still go out. Returns it.
    pub fn leave(
        &mut self,
        departure: &Departure,
        now: Instant,
        sealed: &mut Vec<Sealed>,
        senders: &mut [Sender<ToWorker>],
    ) -> Option<Publisher> {
        let publisher = self.publisher.take()?;
        self.framer.end_session(sealed);
        self.hand_out(sealed, senders);
        self.set_status(StreamStatus { live: false, ..*self.status });
        self.show();
        let counts = self.counts().since(publisher.before);
        let seconds = now.duration_since(publisher.since).as_secs_f64();
        info!(
            "publisher of {} left: {}: {departure}, {seconds:.1} s, {counts}",
            self.settings.name, publisher.peer
        );
        Some(publisher)
    }

    /// Posts what workers are owed, as far as it finds room, and what others read, if nobody is just reading it.
    pub fn settle(&mut self, senders: &mut [Sender<ToWorker>]) {
        self.subscribers.settle(&self.status, &self.ring, senders);
        self.show();
    }

    /// Whether [`settle`](Self::settle) still has something to do.
    pub fn owing(&self) -> bool {
        self.subscribers.owing() || self.shown != self.state()
    }

    fn show(&mut self) {
        let state = self.state();
        if state != self.shown && self.metrics().state.try_set(state) {
            self.shown = state;
        }
    }

    fn state(&self) -> InputState {
        let StreamStatus { live, codecs } = *self.status;
        let publisher = self.publisher.as_ref().map(|publisher| publisher.peer);
        InputState { live, codecs, publisher, upstream: None }
    }

    fn hand_out(&mut self, sealed: &mut Vec<Sealed>, senders: &mut [Sender<ToWorker>]) {
        let mut live = self.status.live;
        for sealed in sealed.drain(..) {
            live |= sealed.entry.is_some();
            let chunk = Arc::new(Chunk { sequence: self.ring.next(), sealed });
            let lost = self.subscribers.post_chunk(&chunk, senders);
            self.metrics().chunks.add(1);
            self.metrics().chunks_lost.add(lost);
            self.ring.push(chunk);
        }
        let health = self.framer.health();
        self.metrics().continuity_errors.set(health.continuity_errors);
        self.metrics().sync_losses.set(health.sync_losses);
        self.set_status(StreamStatus { live, codecs: self.framer.codecs() });
    }

    fn set_status(&mut self, status: StreamStatus) {
        if *self.status == status {
            return;
        }
        if status.codecs != self.status.codecs && status.codecs != Codecs::default() {
            info!("{}: {}", self.settings.name, Description(status.codecs));
        }
        self.status = Arc::new(status);
        self.subscribers.status_changed();
    }

    fn counts(&self) -> Counts {
        let health = self.framer.health();
        Counts {
            bytes: self.metrics().bytes.value(),
            continuity_errors: health.continuity_errors,
            sync_losses: health.sync_losses,
            rtp_lost: self.metrics().rtp_lost.value(),
            kernel_drops: self.metrics().kernel_drops.value(),
        }
    }
}
