//! One stream on the input side: who publishes it, how it is cut, what is kept of it, and who gets it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use log::{info, warn};
use mio::Token;

use crate::chunk::{Chunk, Sealed};
use crate::config::{self, InputProtocol, Takeover};
use crate::identity::NodeId;
use crate::ingest::framer::{ChunkStart, Framer, FramerSettings, NotPackets};
use crate::ingest::report::{Counts, Departure, Description};
use crate::ingest::subscribers::Subscribers;
use crate::ingest::wall::Wall;
use crate::mailbox::{Sender, StreamId, StreamStatus, ToWorker};
use crate::metrics::{InputMetrics, InputState, Sightings, StreamInputMetrics, Upstream};
use crate::notices::{Notice, Notices};
use crate::proto::relay::{Origin, Path, Stamp};
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
    /// This node.
    node: NodeId,
    /// Where the chunk that is being taken was made, if not here.
    relayed: Option<Stamp>,
    metrics: Arc<InputMetrics>,
    /// As last put up for others to read.
    shown: InputState,
    /// What an operator should know at present.
    notices: Notices,
    /// What of that has been said of this publisher.
    stated: Vec<Notice>,
    /// When the newest of `sightings` came, by the framer.
    seen: Option<Instant>,
    sightings: Sightings,
    /// So has been its health, which has not changed since.
    health_shown: bool,
}

/// What is needed to hand chunks out.
#[derive(Debug)]
pub struct Outlet {
    /// The workers.
    pub senders: Vec<Sender<ToWorker>>,
    /// Between the monotonic clock and the one on the wall.
    pub wall: Wall,
    /// Scratch space; empty between calls.
    sealed: Vec<Sealed>,
}

impl Outlet {
    /// To these workers.
    pub fn new(senders: Vec<Sender<ToWorker>>, wall: Wall) -> Outlet {
        Outlet { senders, wall, sealed: Vec::new() }
    }
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
    pub fn new(
        id: StreamId,
        settings: config::Stream,
        node: NodeId,
        workers: usize,
        metrics: Arc<InputMetrics>,
    ) -> Stream {
        let framing = framer_settings(&settings);
        Stream {
            id,
            subscribers: Subscribers::new(id, workers),
            framer: Framer::new(framing),
            ring: Ring::new(settings.buffer),
            status: Arc::default(),
            publisher: None,
            node,
            relayed: None,
            metrics,
            shown: InputState::default(),
            notices: Notices::default(),
            stated: Vec::new(),
            seen: None,
            sightings: Sightings::default(),
            health_shown: true,
            settings,
        }
    }

    /// It is configured like this from now on. How it comes in stays the same.
    pub fn renew(&mut self, settings: config::Stream) {
        self.framer.set_settings(framer_settings(&settings));
        self.ring.set_buffer(settings.buffer);
        self.settings = settings;
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

    /// `peer` publishes from now on; whoever did before is [`leave`](Self::leave)d first. If the stream is pulled, whether
    /// it continues is seen later: see [`restart`](Self::restart).
    pub fn begin(&mut self, socket: Token, peer: SocketAddr, now: Instant) {
        let protocol = match self.settings.protocol {
            InputProtocol::Tcp => "TCP",
            InputProtocol::Udp => "UDP",
            InputProtocol::Http => "HTTP",
            InputProtocol::Pull => "pulled",
        };
        info!("publisher of {} connected: {peer} ({protocol})", self.settings.name);
        self.metrics().publishers.add(1);
        if self.settings.protocol != InputProtocol::Pull {
            self.framer.start_session(now);
        }
        self.publisher = Some(Publisher { socket, peer, heard: now, since: now, before: self.counts() });
        self.show();
    }

    /// A stream that is pulled comes from `peer` from now on. If it has a publisher, that is where it now comes from;
    /// whether the stream continues is for the caller to say, see [`restart`](Self::restart).
    pub fn take_over(&mut self, socket: Token, peer: SocketAddr, now: Instant) {
        match &mut self.publisher {
            Some(publisher) => (publisher.socket, publisher.peer) = (socket, peer),
            None => self.begin(socket, peer, now),
        }
    }

    /// Takes bytes of the publisher.
    pub fn feed(&mut self, bytes: &[u8], now: Instant, outlet: &mut Outlet) {
        self.heard(bytes.len(), now);
        self.framer.push(bytes, now, &mut outlet.sealed);
        self.hand_out(outlet);
    }

    /// Takes a chunk as another node has cut it.
    ///
    /// # Errors
    /// As [`Framer::push_chunk`].
    pub fn feed_chunk(
        &mut self,
        chunk: &[u8],
        stamp: Stamp,
        now: Instant,
        outlet: &mut Outlet,
    ) -> Result<(), NotPackets> {
        self.heard(chunk.len(), now);
        let start = if stamp.entry { ChunkStart::Entry } else { ChunkStart::Within };
        self.framer.push_chunk(chunk, start, now, &mut outlet.sealed)?;
        self.relayed = Some(stamp);
        self.hand_out(outlet);
        self.relayed = None;
        Ok(())
    }

    /// What is pulled from now on does not continue what came before; `preamble` is what the node that it is pulled from
    /// says before that.
    ///
    /// # Errors
    /// As [`Framer::learn`].
    pub fn restart(&mut self, preamble: &[u8], now: Instant, outlet: &mut Outlet) -> Result<(), NotPackets> {
        self.framer.end_session(&mut outlet.sealed);
        self.hand_out(outlet);
        self.framer.start_session(now);
        self.framer.learn(preamble, now)
    }

    /// The nodes that the stream comes through are these.
    pub fn set_path(&mut self, path: Path) {
        if self.status.path != path {
            self.set_status(StreamStatus { path, ..StreamStatus::clone(&self.status) });
        }
    }

    /// Looks at how the stream is doing; what there is to be said of that is said once for each publisher.
    pub fn look(&mut self) {
        if self.publisher.is_none() {
            return;
        }
        self.notices = Notices { lacks: self.framer.lacks(), buffer: self.ring.fit() };
        for notice in self.notices.all() {
            if !self.stated.contains(&notice) {
                self.stated.push(notice);
                warn!("{}: {notice}", self.settings.name);
            }
        }
    }

    fn heard(&mut self, bytes: usize, now: Instant) {
        self.health_shown = false;
        if let Some(publisher) = &mut self.publisher {
            publisher.heard = now;
        }
        self.metrics().bytes.add(bytes as u64);
    }

    /// When [`seal_due`](Self::seal_due) wants to be called at the latest, if anything waits.
    pub fn deadline(&self) -> Option<Instant> {
        self.framer.deadline()
    }

    /// Seals what has waited long enough.
    pub fn seal_due(&mut self, now: Instant, outlet: &mut Outlet) {
        if self.deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        self.framer.seal_due(now, &mut outlet.sealed);
        self.hand_out(outlet);
    }

    /// The publisher is gone, if there was one; its last bytes still go out. Returns it.
    pub fn leave(&mut self, departure: &Departure, now: Instant, outlet: &mut Outlet) -> Option<Publisher> {
        let publisher = self.publisher.take()?;
        self.notices = Notices::default();
        self.stated.clear();
        self.framer.end_session(&mut outlet.sealed);
        self.hand_out(outlet);
        self.set_status(StreamStatus { live: false, ..StreamStatus::clone(&self.status) });
        self.show_health();
        // Before the log tells of it: who comes to a worker after that is not to begin with what has ended.
        self.settle(&mut outlet.senders);
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
        if self.publisher.is_none() {
            self.show_health();
        }
    }

    /// Puts up how the stream is doing. To be called now and then: it is too much for every chunk.
    pub fn show_health(&mut self) {
        if !self.health_shown {
            self.health_shown = self.metrics().health.try_set(*self.framer.health());
        }
    }

    /// Whether [`settle`](Self::settle) still has something to do.
    pub fn owing(&self) -> bool {
        let health_lacks = self.publisher.is_none() && !self.health_shown;
        self.subscribers.owing() || self.shown != self.state() || health_lacks
    }

    fn show(&mut self) {
        let state = self.state();
        if state != self.shown && self.metrics().state.try_set(state) {
            self.shown = state;
        }
    }

    fn state(&self) -> InputState {
        let StreamStatus { live, codecs, path } = &*self.status;
        let hops = path.len().saturating_sub(1) as u8;
        let upstream = path.first().map(|&node| Upstream { node, hops });
        let publisher = self.publisher.as_ref().map(|publisher| publisher.peer);
        InputState { live: *live, codecs: *codecs, publisher, upstream, notices: self.notices }
    }

    fn hand_out(&mut self, outlet: &mut Outlet) {
        let mut live = self.status.live;
        for mut sealed in outlet.sealed.drain(..) {
            live |= sealed.entry.is_some();
            let sequence = self.ring.next();
            sealed.body.set_stamp(self.stamp(sequence, &sealed, outlet.wall));
            let chunk = Arc::new(Chunk { sequence, sealed });
            let lost = self.subscribers.post_chunk(&chunk, &mut outlet.senders);
            self.metrics().chunks.add(1);
            if lost > 0 {
                self.metrics().chunks_lost.add(lost);
            }
            self.ring.push(chunk);
        }
        let health = self.framer.health();
        self.metrics().continuity_errors.set(health.continuity_errors);
        self.metrics().sync_losses.set(health.sync_losses);
        self.show_sighting(outlet.wall);
        let codecs = self.framer.codecs();
        if live != self.status.live || codecs != self.status.codecs {
            self.set_status(StreamStatus { live, codecs, path: Path::clone(&self.status.path) });
        }
    }

    /// Puts up when the stream's clock was seen, if it has been since; whoever reads just now misses the newest.
    fn show_sighting(&mut self, wall: Wall) {
        let Some((pcr, at)) = self.framer.health().sighting else { return };
        if self.seen.replace(at) == Some(at) {
            return;
        }
        self.sightings.rotate_right(1);
        self.sightings[0] = Some((pcr.ticks(), wall.unix_us(at)));
        let _ = self.metrics().sightings.try_set(self.sightings);
    }

    /// What a node that pulls is told of a chunk.
    fn stamp(&self, sequence: u64, sealed: &Sealed, wall: Wall) -> Stamp {
        let received_us = wall.unix_us(sealed.received);
        let (origin, made_us) = match self.relayed {
            Some(stamp) => (stamp.origin, stamp.made_us),
            None => (Origin { node: self.node, number: sequence }, received_us),
        };
        Stamp {
            sequence,
            origin,
            made_us,
            received_us,
            entry: sealed.entry.is_some(),
            follows_discontinuity: sealed.follows_discontinuity,
        }
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

fn framer_settings(settings: &config::Stream) -> FramerSettings {
    FramerSettings { format: settings.format, coalesce: settings.coalesce, quiet: settings.quiet }
}
