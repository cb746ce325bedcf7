//! One stream on the input side: who publishes it, how it is cut, what is kept of it, and who gets it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::info;
use mio::Token;

use crate::chunk::{Chunk, Sealed};
use crate::config::{self, InputProtocol, Takeover};
use crate::ingest::framer::{Framer, FramerSettings};
use crate::ingest::subscribers::Subscribers;
use crate::mailbox::{Sender, StreamId, StreamStatus, ToWorker};
use crate::metrics::{InputMetrics, StreamInputMetrics};
use crate::proto::ts::{AudioCodec, Codecs, VideoCodec};
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

/// What the line about a publisher's leaving tells.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    bytes: u64,
    continuity_errors: u64,
    sync_losses: u64,
    rtp_lost: u64,
    kernel_drops: u64,
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

/// Why a publisher is gone.
#[derive(Debug)]
pub enum Departure {
    /// It closed the connection.
    Closed,
    /// It ended its HTTP request in order.
    Completed,
    /// It was silent for `Timeout`.
    Silent(Duration),
    /// This one took its place.
    Replaced(SocketAddr),
    /// The connection failed.
    Failed(io::Error),
    /// The body of its HTTP request can't be read on.
    Malformed,
    /// The program ends.
    Stopped,
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
        let counts = self.counts().since(publisher.before);
        let seconds = now.duration_since(publisher.since).as_secs_f64();
        info!(
            "publisher of {} left: {}: {departure}, {seconds:.1} s, {counts}",
            self.settings.name, publisher.peer
        );
        Some(publisher)
    }

    /// Posts what workers are owed, as far as it finds room.
    pub fn settle(&mut self, senders: &mut [Sender<ToWorker>]) {
        self.subscribers.settle(&self.status, &self.ring, senders);
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

impl Counts {
    fn since(self, before: Counts) -> Counts {
        Counts {
            bytes: self.bytes - before.bytes,
            continuity_errors: self.continuity_errors - before.continuity_errors,
            sync_losses: self.sync_losses - before.sync_losses,
            rtp_lost: self.rtp_lost - before.rtp_lost,
            kernel_drops: self.kernel_drops - before.kernel_drops,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        write!(f, "{megabytes:.1} MB, {} continuity errors", self.continuity_errors)?;
        write!(f, ", {} sync losses", self.sync_losses)?;
        if self.rtp_lost > 0 {
            write!(f, ", {} RTP packets lost", self.rtp_lost)?;
        }
        if self.kernel_drops > 0 {
            write!(f, ", {} datagrams dropped by the kernel", self.kernel_drops)?;
        }
        Ok(())
    }
}

impl fmt::Display for Departure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Departure::Closed => write!(f, "closed by publisher"),
            Departure::Completed => write!(f, "completed"),
            Departure::Silent(timeout) => write!(f, "silent for {:.1} s", timeout.as_secs_f64()),
            Departure::Replaced(by) => write!(f, "replaced by {by}"),
            Departure::Failed(error) => write!(f, "{error}"),
            Departure::Malformed => write!(f, "malformed body"),
            Departure::Stopped => write!(f, "stopped here"),
        }
    }
}

struct Description(Codecs);

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.video {
            Some(VideoCodec::Mpeg1) => write!(f, "MPEG-1 video"),
            Some(VideoCodec::Mpeg2) => write!(f, "MPEG-2 video"),
            Some(VideoCodec::H264) => write!(f, "H.264 video"),
            Some(VideoCodec::Hevc) => write!(f, "HEVC video"),
            Some(VideoCodec::Other(stream_type)) => write!(f, "video of type {stream_type:#04x}"),
            None => write!(f, "no video"),
        }?;
        match self.0.audio {
            Some(AudioCodec::Mpeg) => write!(f, ", MPEG audio"),
            Some(AudioCodec::Aac) => write!(f, ", AAC audio"),
            Some(AudioCodec::Ac3) => write!(f, ", AC-3 audio"),
            Some(AudioCodec::Other(stream_type)) => write!(f, ", audio of type {stream_type:#04x}"),
            None => Ok(()),
        }
    }
}
