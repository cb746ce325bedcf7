//! Counters that one thread adds to and any other may read.

use std::sync::atomic::{AtomicU64, Ordering};

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

/// Something measured.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Measured anew.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// As measured last.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The input side.
#[derive(Debug, Default)]
pub struct InputMetrics {
    /// Would-be publishers refused, whatever the reason and the stream; of UDP, datagrams.
    pub refused: Counter,
    /// By [`StreamId`](crate::mailbox::StreamId).
    pub streams: Vec<StreamInputMetrics>,
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
}

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

/// The next hops, in the order of the configuration.
#[derive(Debug, Default)]
pub struct HopsMetrics(pub Vec<HopMetrics>);

/// One next hop.
#[derive(Debug, Default)]
pub struct HopMetrics {
    /// Connections made; over UDP, sockets opened.
    pub connections: Counter,
    /// Connections that ended, whatever the reason.
    pub lost: Counter,
    /// Tries that led to no connection.
    pub failed_tries: Counter,
    /// Bytes sent, over TCP counted when a connection ends.
    pub bytes: Counter,
    /// Times that it skipped, over TCP counted when a connection ends; over UDP, chunks missing or a publisher's restart.
    pub skips: Counter,
    /// Datagrams sent.
    pub datagrams: Counter,
    /// Datagrams not sent, because the send buffer was full or for an error.
    pub datagrams_dropped: Counter,
    /// Errors of sending: nobody listens there, there is no way.
    pub send_errors: Counter,
}
