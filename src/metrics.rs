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
}
