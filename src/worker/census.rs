//! What a worker lets others read of its receivers. Nothing is counted where it happens: a tick adds up what the
//! connections know anyway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conn::{Conn, Over};
use super::leave::Leave;
use super::shard::Shard;
use super::streaming::Tally;
use crate::mailbox::{StreamId, WorkerId};
use crate::metrics::OutputMetrics;

/// Sums by stream.
#[derive(Debug)]
pub struct Census {
    metrics: Arc<OutputMetrics>,
    worker: WorkerId,
    /// Of the receivers that have left.
    gone: Vec<Sums>,
    /// Scratch space for those and the living.
    all: Vec<Sums>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    websocket: u64,
    http: u64,
    tcp: u64,
    sent: Tally,
    stalled: u64,
    lag: Duration,
}

impl Census {
    /// All at zero.
    #[must_use]
    pub fn new(metrics: Arc<OutputMetrics>, worker: WorkerId, streams: usize) -> Census {
        Census { metrics, worker, gone: vec![Sums::default(); streams], all: Vec::with_capacity(streams) }
    }

    /// From now on there are so many streams.
    pub fn grow(&mut self, streams: usize) {
        self.gone.resize(streams, Sums::default());
    }

    /// A receiver of `stream` has left.
    pub fn left(&mut self, stream: StreamId, sent: Tally, leave: Leave) {
        let gone = &mut self.gone[stream.0];
        gone.add(sent);
        gone.stalled += u64::from(leave == Leave::Stalled);
    }

    /// Adds up and publishes.
    pub fn take<'a>(&mut self, conns: impl Iterator<Item = &'a Conn>, shard: &Shard, now: Instant) {
        self.all.clone_from(&self.gone);
        for conn in conns {
            let Some(joined) = conn.joined else { continue };
            let sums = &mut self.all[joined.stream.0];
            sums.add(conn.tally());
            sums.lag = sums.lag.max(conn.lag(shard.ring(joined.stream), now));
            match joined.over {
                Over::WebSocket => sums.websocket += 1,
                Over::Http => sums.http += 1,
                Over::Tcp => sums.tcp += 1,
                // Not viewers: a next hop is counted by itself, and a node that pulls says so itself.
                Over::Hop | Over::Relay => {}
            }
        }
        let Some(streams) = self.metrics.workers.get(self.worker.0) else { return };
        for (sums, stream) in self.all.iter().zip(streams.iter()) {
            stream.websocket.set(sums.websocket);
            stream.http.set(sums.http);
            stream.tcp.set(sums.tcp);
            stream.bytes.set(sums.sent.bytes);
            stream.writes.set(sums.sent.writes);
            stream.skips.set(sums.sent.skips);
            stream.stalled.set(sums.stalled);
            stream.lag_ms.set(sums.lag.as_millis().try_into().unwrap_or(u64::MAX));
        }
    }
}

impl Sums {
    fn add(&mut self, sent: Tally) {
        self.sent.bytes += sent.bytes;
        self.sent.writes += sent.writes;
        self.sent.skips += sent.skips;
    }
}
