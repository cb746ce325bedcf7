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

/// How often a round of visits is left for those who came first.
const DETOURS_MAX: usize = 2;

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
    /// Number of the first chunk that the last publisher did not leave behind.
    offered_from: u64,
    subscription: Subscription,
    /// Keys of the connections that receive this stream, in no order.
    receivers: Vec<usize>,
    round: Round,
}

/// A round of visits through the slots of the receivers, from first to last.
///
/// Who came first is served first, on a node that keeps up and on one that just doesn't: a chunk that comes in the midst
/// of a round goes to the first quarter at once, before the round goes on; to the others with the rest of it or the next one.
/// A round that meets more than [`DETOURS_MAX`] chunks is followed by one without such detours, so that everybody has their
/// turn where the node has far too much to do.
#[derive(Debug, Default)]
struct Round {
    /// It goes on; the stream is in `dirty`.
    is_on: bool,
    /// The slot to be visited next.
    next: usize,
    /// The slot at which it goes on after a detour.
    resume_at: Option<usize>,
    /// Chunks that have come since it began: there is another round after it if there are any.
    met: usize,
    /// The last one met too many.
    is_crowded: bool,
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
        Shard { streams: buffers.map(Stream::new).collect(), dirty: VecDeque::new(), ingest, worker }
    }

    /// The bounds of the streams are these from now on. There may be more streams than before.
    pub fn set_buffers(&mut self, buffers: impl Iterator<Item = Buffer>) {
        for (index, buffer) in buffers.enumerate() {
            match self.streams.get_mut(index) {
                Some(stream) => {
                    stream.buffer = buffer;
                    stream.ring.set_buffer(buffer);
                }
                None => self.streams.push(Stream::new(buffer)),
            }
        }
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

    /// The number of the first chunk at which a receiver that comes now may begin: of those that the ring holds, any that
    /// no publisher has left behind, be the stream said to be live yet or not.
    #[must_use]
    pub fn first_to_offer(&self, stream: StreamId) -> u64 {
        self.streams[stream.0].offered_from
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
        if state.round.is_on {
            // The one that moved may have moved from those to be visited to those that have been.
            state.round.met = state.round.met.max(1);
            state.round.settle(state.receivers.len());
            if !state.round.is_on {
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
        }
        state.ring.set_current();
        self.mark_dirty(stream);
    }

    /// The stream's publisher has come, gone, or told more.
    pub fn set_status(&mut self, stream: StreamId, status: Arc<StreamStatus>) {
        let state = &mut self.streams[stream.0];
        if state.status.live && !status.live {
            state.offered_from = state.ring.next();
        }
        state.status = status;
    }

    /// Some receivers wait to be visited.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Visits up to `most` receivers of one stream that wait for it: calls `visit` with the key of each. Each call goes on
    /// where the last one of that stream ended, unless a chunk has come since. Returns how many there were.
    pub fn visit(&mut self, most: usize, mut visit: impl FnMut(usize, &Ring)) -> usize {
        let Some(id) = self.dirty.pop_front() else { return 0 };
        let Stream { ring, receivers, round, .. } = &mut self.streams[id.0];
        let mut visits = 0;
        while round.is_on && visits < most {
            visit(receivers[round.next], ring);
            visits += 1;
            round.step(receivers.len());
        }
        if round.is_on {
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
        let was_on = state.round.is_on;
        state.round.chunk(state.receivers.len());
        if state.round.is_on && !was_on {
            self.dirty.push_back(stream);
        }
    }
}

impl Round {
    /// A chunk has come for the receivers, of which there are so many.
    fn chunk(&mut self, receivers: usize) {
        if !self.is_on {
            *self = Round { is_on: receivers > 0, ..Round::default() };
        } else if self.next > 0 {
            if !self.is_crowded && self.met < DETOURS_MAX {
                self.resume_at.get_or_insert(self.next);
                self.next = 0;
            }
            self.met += 1;
        }
    }

    /// The next slot has been visited.
    fn step(&mut self, receivers: usize) {
        self.next += 1;
        self.settle(receivers);
    }

    /// Ends a detour, and the round, if the next slot is behind it.
    fn settle(&mut self, receivers: usize) {
        if let Some(at) = self.resume_at
            && self.next >= at.min(receivers / 4)
        {
            (self.next, self.resume_at) = (at, None);
        }
        if self.next >= receivers {
            let is_on = self.met > 0 && receivers > 0;
            *self = Round { is_on, is_crowded: self.met > DETOURS_MAX, ..Round::default() };
        }
    }
}

impl Stream {
    fn new(buffer: Buffer) -> Stream {
        Stream {
            ring: Ring::new(buffer),
            buffer,
            status: Arc::default(),
            offered_from: 0,
            subscription: Subscription::None,
            receivers: Vec::new(),
            round: Round::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use mio::{Poll, Token};
    use proptest::prelude::*;

    use super::*;
    use crate::chunk::{Chunk, Entry, Framed, Sealed};
    use crate::mailbox::{Mailbox, mailbox};

    const LIVE: StreamId = StreamId(0);

    struct Bench {
        shard: Shard,
        to_ingest: Mailbox<ToIngest>,
        now: Instant,
        _poll: Poll,
    }

    impl Bench {
        fn new() -> Bench {
            let poll = Poll::new().unwrap();
            let (ingest, to_ingest) = mailbox(2, poll.registry(), Token(0)).unwrap();
            let buffer = Buffer { time: Duration::from_secs(10), bytes: 1 << 20 };
            let shard = Shard::new([buffer; 3].into_iter(), ingest, WorkerId(0));
            #[allow(clippy::disallowed_methods, reason = "any instant will do to begin with")]
            let now = Instant::now();
            Bench { shard, to_ingest, now, _poll: poll }
        }

        fn set_live(&mut self, live: bool) {
            let status = StreamStatus { live, ..StreamStatus::default() };
            self.shard.set_status(LIVE, Arc::new(status));
        }

        fn chunk(&self, sequence: u64) -> SharedChunk {
            let sealed = Sealed {
                body: Framed::binary(&[7; 188]),
                received: self.now,
                entry: Some(Entry::default()),
                follows_discontinuity: false,
                starts_at_frame: true,
            };
            Arc::new(Chunk { sequence, sealed })
        }

        fn asked(&self) -> Vec<&'static str> {
            let words = |message| match message {
                ToIngest::Subscribe(..) => "subscribe",
                ToIngest::Unsubscribe(..) => "unsubscribe",
                ToIngest::Resolved(..) => "resolved",
                ToIngest::Renew(..) => "renew",
                ToIngest::Dismiss(..) => "dismiss",
                ToIngest::Stop => "stop",
            };
            std::iter::from_fn(|| self.to_ingest.take()).map(words).collect()
        }
    }

    #[test]
    fn a_stream_is_had_as_long_as_somebody_wants_it() {
        let mut bench = Bench::new();
        let first = bench.shard.join(LIVE, 10);
        bench.shard.join(LIVE, 11);
        assert_eq!(bench.asked(), ["subscribe"]);
        bench.shard.chunk(LIVE, bench.chunk(4));
        assert_eq!(bench.shard.ring(LIVE).next(), 0, "of an earlier subscription");
        bench.set_live(true);
        bench.shard.backlog(LIVE, vec![bench.chunk(5), bench.chunk(6)]);
        bench.shard.chunk(LIVE, bench.chunk(7));
        assert_eq!((bench.shard.ring(LIVE).first(), bench.shard.ring(LIVE).next()), (5, 8));

        assert_eq!(bench.shard.leave(LIVE, first), Some(11), "who stands in its place now");
        assert_eq!(bench.shard.leave(LIVE, first), None);
        assert!(!bench.shard.is_dirty());
        bench.shard.tick(bench.now);
        bench.shard.tick(bench.now + UNSUBSCRIBE_AFTER / 2);
        bench.shard.join(LIVE, 12);
        bench.shard.tick(bench.now + UNSUBSCRIBE_AFTER);
        assert_eq!(bench.asked(), [""; 0], "it came back in time");
        bench.shard.leave(LIVE, 0);
        bench.shard.tick(bench.now + UNSUBSCRIBE_AFTER);
        bench.shard.tick(bench.now + 2 * UNSUBSCRIBE_AFTER);
        assert_eq!(bench.asked(), ["unsubscribe"]);
        bench.shard.chunk(LIVE, bench.chunk(8));
        assert_eq!(bench.shard.ring(LIVE).bytes(), 0);
    }

    #[test]
    fn what_ingest_had_no_room_to_hear_is_asked_again() {
        let mut bench = Bench::new();
        for stream in 0..3 {
            bench.shard.join(StreamId(stream), stream);
        }
        assert_eq!(bench.asked().len(), 2);
        bench.shard.tick(bench.now);
        assert_eq!(bench.asked(), ["subscribe"]);
    }

    #[test]
    fn what_a_publisher_left_behind_is_not_offered() {
        let mut bench = Bench::new();
        bench.shard.join(LIVE, 10);
        bench.shard.backlog(LIVE, vec![bench.chunk(5)]);
        assert_eq!(bench.shard.ring(LIVE).bytes(), 0, "it had gone before anybody asked");
        bench.set_live(true);
        bench.shard.chunk(LIVE, bench.chunk(6));
        assert_eq!(bench.shard.first_to_offer(LIVE), 0);
        bench.set_live(false);
        assert_eq!(bench.shard.first_to_offer(LIVE), 7);
        bench.shard.chunk(LIVE, bench.chunk(7));
        assert_eq!(bench.shard.first_to_offer(LIVE), 7, "the next one is there, though not said to be live");
        bench.set_live(true);
        assert_eq!(bench.shard.first_to_offer(LIVE), 7, "what came before is still left behind");
    }

    #[test]
    fn who_came_first_is_visited_first_unless_the_others_would_wait_for_ever() {
        let mut bench = Bench::new();
        bench.set_live(true);
        for key in 0..8 {
            bench.shard.join(LIVE, key);
        }
        bench.shard.backlog(LIVE, Vec::new());
        let visited = |shard: &mut Shard, most| {
            let mut keys = Vec::new();
            shard.visit(most, |key, _| keys.push(key));
            keys
        };
        assert_eq!(visited(&mut bench.shard, 9), [0, 1, 2, 3, 4, 5, 6, 7]);
        bench.shard.chunk(LIVE, bench.chunk(0));
        bench.shard.chunk(LIVE, bench.chunk(1));
        assert_eq!(visited(&mut bench.shard, 4), [0, 1, 2, 3], "of both chunks at once");
        bench.shard.chunk(LIVE, bench.chunk(2));
        assert_eq!(visited(&mut bench.shard, 4), [0, 1, 4, 5], "first the first quarter");
        bench.shard.chunk(LIVE, bench.chunk(3));
        assert_eq!(visited(&mut bench.shard, 3), [0, 1, 6], "and once more");
        bench.shard.chunk(LIVE, bench.chunk(4));
        assert_eq!(visited(&mut bench.shard, 3), [7, 0, 1], "but no more than twice in a round");
        bench.shard.chunk(LIVE, bench.chunk(5));
        assert_eq!(visited(&mut bench.shard, 6), [2, 3, 4, 5, 6, 7], "and not at all in the next");
        assert_eq!(visited(&mut bench.shard, 3), [0, 1, 2]);
        bench.shard.chunk(LIVE, bench.chunk(6));
        assert_eq!(visited(&mut bench.shard, 3), [0, 1, 3], "unless that has had no need of it");
        assert_eq!(visited(&mut bench.shard, 99), [4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(!bench.shard.is_dirty());
    }

    proptest! {
        #[test]
        fn everybody_is_visited_after_the_last_chunk(
            steps in proptest::collection::vec((0_u8..5, 0_usize..8), 1..200),
        ) {
            let mut bench = Bench::new();
            bench.set_live(true);
            // Slot by slot, as the connections know it; and who has not been visited since it had something to get.
            let mut slots = vec![0];
            let mut waiting = BTreeSet::new();
            bench.shard.join(LIVE, 0);
            bench.shard.backlog(LIVE, Vec::new());
            let visit = |shard: &mut Shard, waiting: &mut BTreeSet<usize>, most| {
                shard.visit(most, |key, _| {
                    waiting.remove(&key);
                })
            };
            for (number, (step, which)) in steps.into_iter().enumerate() {
                let key = number + 1;
                match step {
                    0 => {
                        bench.shard.chunk(LIVE, bench.chunk(number as u64));
                        waiting.extend(&slots);
                    }
                    1 => {
                        prop_assert_eq!(bench.shard.join(LIVE, key), slots.len());
                        slots.push(key);
                    }
                    2 if slots.len() > 1 => {
                        let slot = which % slots.len();
                        waiting.remove(&slots.swap_remove(slot));
                        prop_assert_eq!(bench.shard.leave(LIVE, slot), slots.get(slot).copied());
                    }
                    _ => {
                        visit(&mut bench.shard, &mut waiting, which);
                    }
                }
            }
            while bench.shard.is_dirty() {
                prop_assert!(visit(&mut bench.shard, &mut waiting, 3) > 0);
            }
            prop_assert!(waiting.is_empty(), "{:?} were not visited", waiting);
        }
    }
}
