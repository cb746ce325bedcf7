//! What a worker lets others read of its receivers. Nothing is counted where it happens: a tick adds up what the
//! connections know anyway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::conn::{Conn, Over};
use super::leave::{Leave, REASONS};
use super::shard::Shard;
use super::streaming::Tally;
use crate::mailbox::{StreamId, WorkerId};
use crate::metrics::{Gauge, LAG_BOUNDS_MS, OutputMetrics};

/// Sums by stream.
#[derive(Debug)]
pub struct Census {
    metrics: Arc<OutputMetrics>,
    worker: WorkerId,
    /// Of the receivers that have left.
    gone: Vec<Sums>,
    /// Scratch space for those and the living.
    all: Vec<Sums>,
    /// Those that left without a stream, by reason.
    unserved: [u64; REASONS.len()],
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    websocket: u64,
    http: u64,
    tcp: u64,
    relay: u64,
    sent: Tally,
    left: [u64; REASONS.len()],
    lag: Duration,
    /// Of the living as well, from all looks at them.
    lags: [u64; LAG_BOUNDS_MS.len() + 1],
    lags_ms: u64,
}

impl Census {
    /// All at zero.
    #[must_use]
    pub fn new(metrics: Arc<OutputMetrics>, worker: WorkerId, streams: usize) -> Census {
        Census {
            metrics,
            worker,
            gone: vec![Sums::default(); streams],
            all: Vec::with_capacity(streams),
            unserved: [0; REASONS.len()],
        }
    }

    /// From now on there are so many streams.
    pub fn grow(&mut self, streams: usize) {
        self.gone.resize(streams, Sums::default());
    }

    /// A receiver of `stream` has left.
    pub fn left(&mut self, stream: StreamId, sent: Tally, leave: Leave) {
        let gone = &mut self.gone[stream.0];
        gone.add(sent);
        gone.left[leave.reason()] += 1;
    }

    /// A connection has ended without having been sent a stream.
    pub fn left_unserved(&mut self, leave: Leave) {
        self.unserved[leave.reason()] += 1;
    }

    /// Adds up and publishes.
    pub fn take<'a>(&mut self, conns: impl Iterator<Item = &'a Conn>, shard: &Shard, now: Instant) {
        self.all.clone_from(&self.gone);
        for conn in conns {
            let Some(joined) = conn.joined else { continue };
            let lag = conn.lag(shard.ring(joined.stream), now);
            self.gone[joined.stream.0].look(lag);
            let sums = &mut self.all[joined.stream.0];
            sums.look(lag);
            sums.add(conn.tally());
            sums.lag = sums.lag.max(lag);
            match joined.over {
                Over::WebSocket => sums.websocket += 1,
                Over::Http => sums.http += 1,
                Over::Tcp => sums.tcp += 1,
                Over::Relay => sums.relay += 1,
                // No receiver that came to us: a next hop is counted by itself.
                Over::Hop => {}
            }
        }
        self.publish();
    }

    fn publish(&self) {
        let (Some(streams), Some(unserved)) =
            (self.metrics.workers.get(self.worker.0), self.metrics.unserved.get(self.worker.0))
        else {
            return;
        };
        set(unserved, &self.unserved);
        for (sums, stream) in self.all.iter().zip(streams.iter()) {
            stream.websocket.set(sums.websocket);
            stream.http.set(sums.http);
            stream.tcp.set(sums.tcp);
            stream.bytes.set(sums.sent.bytes);
            stream.writes.set(sums.sent.writes);
            stream.skips.set(sums.sent.skips);
            stream.relay.set(sums.relay);
            stream.stalled.set(sums.left[Leave::Stalled.reason()]);
            stream.lag_ms.set(millis(sums.lag));
            set(&stream.left, &sums.left);
            set(&stream.lags, &sums.lags);
            stream.lags_ms.set(sums.lags_ms);
        }
    }
}

impl Sums {
    fn add(&mut self, sent: Tally) {
        self.sent.bytes += sent.bytes;
        self.sent.writes += sent.writes;
        self.sent.skips += sent.skips;
    }

    fn look(&mut self, lag: Duration) {
        let lag_ms = millis(lag);
        self.lags[LAG_BOUNDS_MS.partition_point(|&bound| bound < lag_ms)] += 1;
        self.lags_ms += lag_ms;
    }
}

fn set<const COUNT: usize>(gauges: &[Gauge; COUNT], values: &[u64; COUNT]) {
    gauges.iter().zip(values).for_each(|(gauge, &value)| gauge.set(value));
}

fn millis(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}
