//! Counters that one thread adds to and any other may read.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::config::{NEXT_HOPS_MAX, STREAMS_MAX};
use crate::growing::Growing;
use crate::identity::NodeId;
use crate::mailbox::WorkerId;
use crate::notices::Notices;
use crate::proto::ts::Codecs;
use crate::proto::ts::health::Health;
use crate::pulse::Pulse;
use crate::worker::leave::REASONS;

/// Something counted since the program began.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `more` of it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The count. Counters read together need not be of the same moment.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number as its owner last set it: of something that comes and goes, or counted where the owner has it anyway.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets it. One thread only does so.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The number.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Something larger than a number, put up by one thread, which never waits for those who read it.
#[derive(Debug, Default)]
pub struct Notice<T>(Mutex<T>);

impl<T: Copy> Notice<T> {
    /// Puts up `value`; `false` if somebody is reading just now: to be tried again later.
    #[must_use]
    pub fn try_set(&self, value: T) -> bool {
        self.0.try_lock().map(|mut held| *held = value).is_ok()
    }

    /// The same for a thread that may wait while somebody reads: for a copy of the value.
    pub fn set(&self, value: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value;
    }

    /// What was put up last.
    #[must_use]
    pub fn value(&self) -> T {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The input side.
#[derive(Debug)]
pub struct InputMetrics {
    /// Would-be publishers refused, whatever the reason and the stream; of UDP, datagrams.
    pub refused: Counter,
    /// By [`StreamId`](crate::mailbox::StreamId).
    pub streams: Growing<StreamInputMetrics>,
    /// Of the ingest thread.
    pub pulse: Pulse,
}

/// The input of one stream.
#[derive(Debug, Default)]
pub struct StreamInputMetrics {
    /// Publishers that were let in.
    pub publishers: Counter,
    /// Bytes of the stream that publishers sent, without what carried them.
    pub bytes: Counter,
    /// Chunks sealed.
    pub chunks: Counter,
    /// Chunks that a worker did not get, because its mailbox was full; counted for each worker.
    pub chunks_lost: Counter,
    /// Datagrams that the kernel dropped, because the receive buffer was full.
    pub kernel_drops: Counter,
    /// RTP packets that are missing by their numbers.
    pub rtp_lost: Counter,
    /// RTP packets dropped, because they came twice or after later ones.
    pub rtp_late: Counter,
    /// Of a stream that is pulled.
    pub pull: PullMetrics,
    /// Continuity_count_error of ETSI TR 101 290.
    pub continuity_errors: Gauge,
    /// TS_sync_loss of the same.
    pub sync_losses: Gauge,
    /// When the stream's clock was seen last.
    pub sightings: Notice<Sightings>,
    /// How the stream is doing, as of a tenth of a second ago.
    pub health: Notice<Health>,
    /// What is not a number.
    pub state: Notice<InputState>,
}

/// The most sightings of a clock that are kept: as many seconds, twice the time between two reports.
pub const SIGHTINGS_MAX: usize = 4;

/// PCRs of a stream in ticks of 27 MHz, and when each came in microseconds since 1970; the newest first. They are those
/// that begin a second by their own value, the same at every node.
pub type Sightings = [Option<(u64, u64)>; SIGHTINGS_MAX];

/// How pulling one stream goes.
#[derive(Debug, Default)]
pub struct PullMetrics {
    /// Times that an upstream was taken up, the first included.
    pub upstreams: Counter,
    /// Of those, the times that the stream went on without a gap.
    pub resumed: Counter,
    /// Times that what came did not continue what had come: receivers jump to a keyframe.
    pub discontinuities: Counter,
    /// Chunks that the upstream did not send, by its own numbers: it let this node skip.
    pub chunks_skipped: Counter,
    /// Chunks that are missing by the numbers of the node where they were made, wherever on the way they were lost.
    pub chunks_missed: Counter,
    /// Of those, the ones that the upstream did have, as far as can be told.
    pub chunks_lost: Counter,
    /// From the upstream's having a chunk to this node's having it, by the clocks of the two, in microseconds: a mean over
    /// the last some chunks.
    pub hop_latency_us: Gauge,
    /// Upstreams given up, by reason.
    pub failures: PullFailures,
}

/// Upstreams given up.
#[derive(Debug, Default)]
pub struct PullFailures {
    /// The name has no address.
    pub unresolved: Counter,
    /// There is no connection to be had.
    pub unreachable: Counter,
    /// It sent nothing for `Timeout`.
    pub silent: Counter,
    /// It ended the connection, or the connection broke.
    pub closed: Counter,
    /// It answered with something else than a WebSocket.
    pub refused: Counter,
    /// It broke the protocol.
    pub malformed: Counter,
    /// The stream comes through this node already, or through too many.
    pub looped: Counter,
}

impl PullFailures {
    /// Each count with the word for its reason.
    #[must_use]
    pub fn by_reason(&self) -> [(&'static str, u64); 7] {
        [
            ("unresolved", self.unresolved.value()),
            ("unreachable", self.unreachable.value()),
            ("silent", self.silent.value()),
            ("closed", self.closed.value()),
            ("refused", self.refused.value()),
            ("malformed", self.malformed.value()),
            ("looped", self.looped.value()),
        ]
    }
}

/// The input of one stream, as far as it is not a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InputState {
    /// A publisher is connected and has sent something that can be played.
    pub live: bool,
    /// See [`StreamStatus`](crate::mailbox::StreamStatus).
    pub codecs: Codecs,
    /// The other end of the socket by which the stream comes.
    pub publisher: Option<SocketAddr>,
    /// The node that it comes from, if that has said who it is.
    pub upstream: Option<Upstream>,
    /// What an operator should know of it.
    pub notices: Notices,
}

/// The node that a stream comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Who it is.
    pub node: NodeId,
    /// Nodes between the origin of the stream and this one.
    pub hops: u8,
}

/// The output side.
#[derive(Debug)]
pub struct OutputMetrics {
    /// By [`WorkerId`], then by [`StreamId`](crate::mailbox::StreamId): a worker writes its
    /// own only.
    pub workers: Vec<Growing<StreamOutputMetrics>>,
    /// In the order of the configuration.
    pub hops: Growing<HopMetrics>,
    /// By worker, connections that ended without having been sent a stream, by [reason](REASONS).
    pub unserved: Vec<[Gauge; REASONS.len()]>,
    /// Of the front thread.
    pub front: Pulse,
    /// 1 once the node has been asked to end.
    pub is_ending: Gauge,
    /// Of the workers and of the hops thread, which is numbered like one.
    pulses: Vec<Pulse>,
}

/// The receivers of one stream at one worker; as of its last tick.
#[derive(Debug, Default)]
pub struct StreamOutputMetrics {
    /// Receivers connected over WebSocket.
    pub websocket: Gauge,
    /// Receivers connected over HTTP.
    pub http: Gauge,
    /// Receivers connected over TCP.
    pub tcp: Gauge,
    /// Nodes that pull.
    pub relay: Gauge,
    /// Bytes sent, framing included.
    pub bytes: Gauge,
    /// System calls that sent something.
    pub writes: Gauge,
    /// Times that a receiver skipped to a later entry.
    pub skips: Gauge,
    /// Receivers disconnected because they stalled.
    pub stalled: Gauge,
    /// The time by which the slowest of those whose socket is blocked lags, in milliseconds.
    pub lag_ms: Gauge,
    /// Receivers that have left, by [reason](REASONS).
    pub left: [Gauge; REASONS.len()],
    /// How often a look at a receiver, four times a second at each, has found which lag: by [`LAG_BOUNDS_MS`], and beyond.
    pub lags: [Gauge; LAG_BOUNDS_MS.len() + 1],
    /// The sum of those lags, in milliseconds.
    pub lags_ms: Gauge,
}

/// Upper bounds, in milliseconds, by which lags are told apart. One that has its stream in time has none.
pub const LAG_BOUNDS_MS: [u64; 8] = [0, 100, 250, 500, 1_000, 2_000, 5_000, 10_000];

/// A next hop.
#[derive(Debug, Default)]
pub struct HopMetrics {
    /// Connections made; over UDP, sockets opened.
    pub connections: Counter,
    /// Connections that ended, whatever the reason.
    pub lost: Counter,
    /// Tries that led to no connection.
    pub failed_tries: Counter,
    /// Bytes sent.
    pub bytes: Counter,
    /// Times that it skipped; over UDP, chunks missing or a publisher's restart.
    pub skips: Counter,
    /// Datagrams sent.
    pub datagrams: Counter,
    /// Datagrams not sent, because the send buffer was full or for an error.
    pub datagrams_dropped: Counter,
    /// Errors of sending: nobody listens there, there is no way.
    pub send_errors: Counter,
    /// What is not a number.
    pub state: Notice<HopState>,
}

/// A next hop, as far as it is not a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HopState {
    /// The connection is up; over UDP, the address is known and takes datagrams.
    pub connected: bool,
    /// This end of the socket.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub peer: Option<SocketAddr>,
}

impl InputMetrics {
    /// For so many streams to begin with.
    #[must_use]
    pub fn new(streams: usize) -> InputMetrics {
        InputMetrics {
            refused: Counter::default(),
            streams: Growing::new(streams, STREAMS_MAX),
            pulse: Pulse::default(),
        }
    }
}

impl OutputMetrics {
    /// For so many workers, and so many streams and next hops to begin with.
    #[must_use]
    pub fn new(workers: usize, streams: usize, hops: usize) -> OutputMetrics {
        OutputMetrics {
            workers: (0..workers).map(|_| Growing::new(streams, STREAMS_MAX)).collect(),
            hops: Growing::new(hops, NEXT_HOPS_MAX),
            unserved: (0..workers).map(|_| Default::default()).collect(),
            front: Pulse::default(),
            is_ending: Gauge::default(),
            pulses: (0..=workers).map(|_| Pulse::default()).collect(),
        }
    }

    /// Of that worker, or of the hops thread, which comes after the last.
    #[must_use]
    pub fn pulse(&self, worker: WorkerId) -> &Pulse {
        &self.pulses[worker.0.min(self.workers.len())]
    }

    /// From now on there are so many streams.
    pub fn grow(&self, streams: usize) {
        self.workers.iter().for_each(|worker| worker.grow(streams));
    }
}
