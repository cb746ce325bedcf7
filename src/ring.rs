//! The last chunks of one stream, by number. Ingest keeps one per stream; so does every worker that has receivers of it.

use std::collections::VecDeque;
use std::time::Instant;

use crate::chunk::{Chunk, SharedChunk};
use crate::config::Buffer;

/// Chunks with successive numbers, bounded by time and bytes.
///
/// What is older than the time goes, except that the newest group of pictures (from the newest entry on) stays, so that
/// a newcomer has something to begin with. The bytes bound that as well; only the newest chunk always stays.
#[derive(Debug)]
pub struct Ring {
    buffer: Buffer,
    chunks: VecDeque<Kept>,
    /// Number of the chunk to come.
    next: u64,
    newest_entry: Option<u64>,
    bytes: usize,
    /// The last chunk that was let go of was young enough to stay, but for the bytes.
    is_cut_short: bool,
    is_current: bool,
}

/// A chunk, and beside it what is looked at while it is kept: the chunk itself has long left the cache by then.
#[derive(Debug)]
struct Kept {
    chunk: SharedChunk,
    received: Instant,
    bytes: usize,
}

/// Whether a ring holds what it is to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    #[default]
    Whole,
    /// So many bytes are less than the time.
    CutShort,
    /// They are less than the newest group of pictures: a newcomer has nothing to begin with.
    NoEntry,
}

impl Ring {
    /// An empty ring; the first chunk may have any number.
    #[must_use]
    pub fn new(buffer: Buffer) -> Ring {
        Ring {
            buffer,
            chunks: VecDeque::new(),
            next: 0,
            newest_entry: None,
            bytes: 0,
            is_cut_short: false,
            is_current: false,
        }
    }

    /// It has all of the past that it will have: what is pushed from now on is new.
    pub fn set_current(&mut self) {
        self.is_current = true;
    }

    /// What is pushed is new, and not of the past.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.is_current
    }

    /// Its bounds are these from now on.
    pub fn set_buffer(&mut self, buffer: Buffer) {
        self.buffer = buffer;
        self.trim();
    }

    /// Adds the newest chunk and lets go of what has become too much. If its number does not follow, everything older
    /// goes first: numbers in a ring have no gaps.
    pub fn push(&mut self, chunk: SharedChunk) {
        if chunk.sequence != self.next {
            self.clear();
        }
        self.next = chunk.sequence + 1;
        if chunk.sealed.entry.is_some() {
            self.newest_entry = Some(chunk.sequence);
        }
        let bytes = bytes_held(&chunk);
        self.bytes += bytes;
        self.chunks.push_back(Kept { received: chunk.sealed.received, bytes, chunk });
        self.trim();
    }

    /// The chunk of that number, if it is here.
    #[must_use]
    pub fn get(&self, sequence: u64) -> Option<&SharedChunk> {
        // A number before the first wraps around to an index that is not there either.
        self.chunks.get(sequence.wrapping_sub(self.first()) as usize).map(|kept| &kept.chunk)
    }

    /// Number of the oldest chunk here; [`next`](Self::next) if there is none.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.next - self.chunks.len() as u64
    }

    /// Number of the chunk to come.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Number of the newest chunk here that a receiver may begin with.
    #[must_use]
    pub fn newest_entry(&self) -> Option<u64> {
        self.newest_entry.filter(|&entry| entry >= self.first())
    }

    /// The same, if it is `sequence` or later.
    #[must_use]
    pub fn newest_entry_from(&self, sequence: u64) -> Option<u64> {
        self.newest_entry().filter(|&entry| entry >= sequence)
    }

    /// Number of the oldest chunk here, of `sequence` or later, that a receiver may begin with. Looks at every chunk from
    /// there on.
    #[must_use]
    pub fn first_entry_from(&self, sequence: u64) -> Option<u64> {
        self.newest_entry_from(sequence)?;
        let mut chunks = (sequence.max(self.first())..self.next).filter_map(|number| self.get(number));
        chunks.find(|chunk| chunk.sealed.entry.is_some()).map(|chunk| chunk.sequence)
    }

    /// All chunks, oldest first.
    pub fn chunks(&self) -> impl DoubleEndedIterator<Item = &SharedChunk> {
        self.chunks.iter().map(|kept| &kept.chunk)
    }

    /// Memory held, in bytes, the chunks' own bookkeeping included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds what it is to hold.
    #[must_use]
    pub fn fit(&self) -> Fit {
        match (self.is_cut_short, self.newest_entry) {
            (false, _) => Fit::Whole,
            (true, Some(entry)) if entry < self.first() => Fit::NoEntry,
            (true, _) => Fit::CutShort,
        }
    }

    fn trim(&mut self) {
        let Some(newest) = self.chunks.back() else { return };
        let newest_received = newest.received;
        while self.chunks.len() > 1
            && let Some(oldest) = self.chunks.front()
        {
            let age = newest_received.saturating_duration_since(oldest.received);
            let in_newest_group = self.newest_entry().is_some_and(|entry| self.first() >= entry);
            let expired = age > self.buffer.time && !in_newest_group;
            if !expired && self.bytes <= self.buffer.bytes {
                return;
            }
            self.is_cut_short = !expired;
            self.bytes -= oldest.bytes;
            self.chunks.pop_front();
        }
    }

    fn clear(&mut self) {
        self.chunks.clear();
        self.newest_entry = None;
        self.bytes = 0;
        self.is_cut_short = false;
    }
}

fn bytes_held(chunk: &Chunk) -> usize {
    let entry = chunk.sealed.entry.as_ref();
    let preambles = entry.map_or(0, |entry| entry.join.frame().len() + entry.jump.frame().len());
    size_of::<Chunk>() + chunk.sealed.body.relayed().len() + preambles
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;
    use crate::chunk::{Entry, Framed, Sealed};

    fn chunk(sequence: u64, received: Instant, len: usize, entry: Option<Entry>) -> SharedChunk {
        let body = Framed::binary(&vec![0; len]);
        let sealed = Sealed { body, received, entry, follows_discontinuity: false, starts_at_frame: true };
        Arc::new(Chunk { sequence, sealed })
    }

    /// What the ring keeps, said in the plainest way: of the chunks since the last gap, the longest tail that fits the
    /// bytes, and of that what is young enough or belongs to the newest group of pictures.
    fn model(history: &[SharedChunk], buffer: Buffer) -> Vec<u64> {
        let mut kept: Vec<&SharedChunk> = Vec::new();
        for chunk in history {
            if kept.last().is_some_and(|last| last.sequence + 1 != chunk.sequence) {
                kept.clear();
            }
            kept.push(chunk);
            while kept.len() > 1 && kept.iter().map(|kept| bytes_held(kept)).sum::<usize>() > buffer.bytes {
                kept.remove(0);
            }
            let entry = kept.iter().rposition(|kept| kept.sealed.entry.is_some()).unwrap_or(kept.len() - 1);
            let young =
                kept.iter().position(|kept| chunk.sealed.received - kept.sealed.received <= buffer.time);
            kept.drain(..entry.min(young.unwrap_or(0)));
        }
        kept.iter().map(|kept| kept.sequence).collect()
    }

    proptest! {
        #[test]
        fn keeps_what_the_model_keeps(
            steps in proptest::collection::vec((0u64..400, 1usize..3000, 0u8..4, 0u8..30), 1..200),
            time_ms in 0u64..3000,
            bytes in 0usize..40_000,
        ) {
            #[allow(clippy::disallowed_methods)] // Any instant will do to count from.
            let mut now = Instant::now();
            let buffer = Buffer { time: Duration::from_millis(time_ms), bytes };
            let mut ring = Ring::new(buffer);
            let mut history = Vec::new();
            let mut sequence = 7;
            for (pause_ms, len, entry, gap) in steps {
                now += Duration::from_millis(pause_ms);
                sequence += if gap == 0 { 3 } else { 1 };
                let chunk = chunk(sequence, now, len, (entry == 0).then(Entry::default));
                history.push(Arc::clone(&chunk));
                ring.push(chunk);

                let kept: Vec<u64> = ring.chunks().map(|chunk| chunk.sequence).collect();
                prop_assert_eq!(&kept, &model(&history, buffer));
                prop_assert_eq!(ring.next(), sequence + 1);
                prop_assert_eq!(ring.first(), kept[0]);
                prop_assert_eq!(ring.bytes(), ring.chunks().map(|chunk| bytes_held(chunk)).sum::<usize>());
                let entries = ring.chunks().filter(|chunk| chunk.sealed.entry.is_some());
                let newest_entry = entries.map(|chunk| chunk.sequence).next_back();
                prop_assert_eq!(ring.newest_entry(), newest_entry);
                for number in sequence.saturating_sub(250)..sequence + 3 {
                    let found = ring.get(number).map(|chunk| chunk.sequence);
                    prop_assert_eq!(found, kept.contains(&number).then_some(number));
                    let later = newest_entry.filter(|&entry| entry >= number);
                    prop_assert_eq!(ring.newest_entry_from(number), later);
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_known() {
        #[allow(clippy::disallowed_methods)] // Any instant will do to count from.
        let start = Instant::now();
        let mut ring = Ring::new(Buffer { time: Duration::from_secs(10), bytes: 20_000 });
        let mut push = |second: u64, len, entry: bool| {
            let received = start + Duration::from_secs(second);
            ring.push(chunk(second, received, len, entry.then(Entry::default)));
            ring.fit()
        };
        let mut push_all = |seconds: std::ops::Range<u64>, len, entry_every| {
            seconds.map(|second| push(second, len, second % entry_every == 0)).last().expect("some chunks")
        };
        assert_eq!(push_all(0..20, 500, 5), Fit::Whole);
        assert_eq!(push_all(20..30, 5_000, 2), Fit::CutShort);
        assert_eq!(push_all(30..40, 5_000, 30), Fit::NoEntry);
        assert_eq!(push_all(40..41, 5_000, 1), Fit::CutShort, "there is one again");
        assert_eq!(push_all(41..70, 500, 5), Fit::Whole);
    }

    #[test]
    fn an_empty_ring_has_nothing() {
        let ring = Ring::new(Buffer { time: Duration::from_secs(1), bytes: 1 });
        assert_eq!((ring.first(), ring.next(), ring.bytes()), (0, 0, 0));
        assert!(ring.get(0).is_none() && ring.get(u64::MAX).is_none() && ring.newest_entry().is_none());
    }
}
