//! The streams as one worker has them: a ring of shared chunks each, and the list of the receivers to visit.
//!
//! A worker subscribes to a stream with its first receiver and unsubscribes some time after the last has left, so that
//! hundreds of streams do not wake every worker.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::chunk::SharedChunk;
use crate::config::Buffer;
use crate::mailbox::{Sender, StreamId, StreamStatus, ToIngest, WorkerId};
use crate::ring::Ring;

/// A stream without receivers is kept for so long, so that a page that reloads finds its ring still filled.
const UNSUBSCRIBE_AFTER: Duration = Duration::from_secs(5);

/// All streams of a worker.
#[derive(Debug)]
pub struct Shard {
    streams: Vec<Stream>,
    /// Streams of which some receivers have not been visited since the last chunk.
    dirty: VecDeque<StreamId>,
    ingest: Sender<ToIngest>,
    worker: WorkerId,
}

#[derive(Debug)]
struct Stream {
    ring: Ring,
    buffer: Buffer,
    status: Arc<StreamStatus>,
    subscription: Subscription,
    /// Keys of the connections that receive this stream, in no order.
    receivers: Vec<usize>,
    next_visit: usize,
    /// Receivers still to be visited; not 0 just when the stream is in `dirty`.
    visits_left: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscription {
    None,
    /// Ingest could not be asked: its mailbox was full. Asked again with the next tick.
    Wanted,
    /// The backlog has not come yet. Chunks that come before it belong to an earlier subscription.
    Asked,
    Held,
    /// Held, without receivers since then.
    Idle(Instant),
}

impl Shard {
    /// Streams without content, which this worker will ask `ingest` for.
    #[must_use]
    pub fn new(buffers: impl Iterator<Item = Buffer>, ingest: Sender<ToIngest>, worker: WorkerId) -> Shard {
        let stream = |buffer| Stream {
            ring: Ring::new(buffer),
            buffer,
            status: Arc::default(),
            subscription: Subscription::None,
            receivers: Vec::new(),
            next_visit: 0,
            visits_left: 0,
        };
        Shard { streams: buffers.map(stream).collect(), dirty: VecDeque::new(), ingest, worker }
    }

    /// The stream's past, as far as it is kept.
    #[must_use]
    pub fn ring(&self, stream: StreamId) -> &Ring {
        &self.streams[stream.0].ring
    }

    /// What is known of the stream.
    #[must_use]
    pub fn status(&self, stream: StreamId) -> &StreamStatus {
        &self.streams[stream.0].status
    }

    /// The number of the first chunk at which a receiver that comes now may begin: any that the ring holds while the
    /// stream is live, else one yet to come.
    #[must_use]
    pub fn first_to_offer(&self, stream: StreamId) -> u64 {
        let stream = &self.streams[stream.0];
        if stream.status.live { 0 } else { stream.ring.next() }
    }

    /// Adds the connection `key` to the receivers of `stream`. Returns its slot, which [`leave`](Self::leave) wants.
    pub fn join(&mut self, stream: StreamId, key: usize) -> usize {
        let state = &mut self.streams[stream.0];
        state.receivers.push(key);
        match state.subscription {
            Subscription::None => self.subscribe(stream),
            Subscription::Idle(_) => state.subscription = Subscription::Held,
            Subscription::Wanted | Subscription::Asked | Subscription::Held => {}
        }
        self.streams[stream.0].receivers.len() - 1
    }

    /// Takes the receiver in `slot` out of `stream`. The key returned, if any, is of the connection that has this slot
    /// from now on.
    pub fn leave(&mut self, stream: StreamId, slot: usize) -> Option<usize> {
        let state = &mut self.streams[stream.0];
        state.receivers.swap_remove(slot);
        if state.visits_left > 0 {
            // The one that moved may have moved from those to be visited to those that have been.
            state.visits_left = state.receivers.len();
            if state.visits_left == 0 {
                self.dirty.retain(|&dirty| dirty != stream);
            }
        }
        self.streams[stream.0].receivers.get(slot).copied()
    }

    /// The next chunk of `stream` has come.
    pub fn chunk(&mut self, stream: StreamId, chunk: SharedChunk) {
        let state = &mut self.streams[stream.0];
        if matches!(state.subscription, Subscription::Held | Subscription::Idle(_)) {
            state.ring.push(chunk);
            self.mark_dirty(stream);
        }
    }

    /// What was asked for by [`join`](Self::join) has come.
    pub fn backlog(&mut self, stream: StreamId, chunks: Vec<SharedChunk>) {
        let state = &mut self.streams[stream.0];
        if state.subscription != Subscription::Asked {
            return;
        }
        state.subscription = Subscription::Held;
        state.ring = Ring::new(state.buffer);
        if state.status.live {
            chunks.into_iter().for_each(|chunk| state.ring.push(chunk));
            self.mark_dirty(stream);
        }
    }

    /// The stream's publisher has come, gone, or told more.
    pub fn set_status(&mut self, stream: StreamId, status: Arc<StreamStatus>) {
        self.streams[stream.0].status = status;
    }

    /// Some receivers wait to be visited.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Takes up to `most` receivers of one stream off those to be visited and calls `visit` with the key of each.
    /// Each call begins where the last one of that stream ended. Returns how many there were.
    pub fn visit(&mut self, most: usize, mut visit: impl FnMut(usize, &Ring)) -> usize {
        let Some(id) = self.dirty.pop_front() else { return 0 };
        let stream = &mut self.streams[id.0];
        let visits = stream.visits_left.min(most);
        for _ in 0..visits {
            if stream.next_visit >= stream.receivers.len() {
                stream.next_visit = 0;
            }
            visit(stream.receivers[stream.next_visit], &stream.ring);
            stream.next_visit += 1;
        }
        stream.visits_left -= visits;
        if stream.visits_left > 0 {
            self.dirty.push_back(id);
        }
        visits
    }

    /// Asks again for what could not be asked for, and gives up what nobody receives any more.
    pub fn tick(&mut self, now: Instant) {
        for index in 0..self.streams.len() {
            match self.streams[index].subscription {
                Subscription::Wanted => self.subscribe(StreamId(index)),
                Subscription::Held if self.streams[index].receivers.is_empty() => {
                    self.streams[index].subscription = Subscription::Idle(now);
                }
                Subscription::Idle(since) if now.duration_since(since) >= UNSUBSCRIBE_AFTER => {
                    self.unsubscribe(StreamId(index));
                }
                _ => {}
            }
        }
    }

    fn subscribe(&mut self, stream: StreamId) {
        let asked = self.ingest.post(ToIngest::Subscribe(self.worker, stream)).is_ok();
        self.ingest.flush();
        self.streams[stream.0].subscription = if asked { Subscription::Asked } else { Subscription::Wanted };
    }

    fn unsubscribe(&mut self, stream: StreamId) {
        if self.ingest.post(ToIngest::Unsubscribe(self.worker, stream)).is_ok() {
            self.ingest.flush();
            let state = &mut self.streams[stream.0];
            state.subscription = Subscription::None;
            state.ring = Ring::new(state.buffer);
        }
    }

    fn mark_dirty(&mut self, stream: StreamId) {
        let state = &mut self.streams[stream.0];
        if state.visits_left == 0 && !state.receivers.is_empty() {
            self.dirty.push_back(stream);
        }
        state.visits_left = state.receivers.len();
    }
}
