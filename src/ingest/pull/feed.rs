//! What becomes of that which an upstream says: whether it is what comes next in the stream.

use std::time::Instant;

use mio::Token;

use super::failure::Failure;
use super::link::Heard;
use crate::identity::NodeId;
use crate::ingest::streams::Streams;
use crate::mailbox::StreamId;
use crate::metrics::PullMetrics;
use crate::proto::relay::{HOPS_MAX, Origin, Path, Stamp};

/// The hop's latency is a mean over about so many chunks.
const LATENCY_CHUNKS: u64 = 32;

/// How far the stream has come here.
#[derive(Debug, Default)]
pub struct Position {
    /// The last chunk that was taken, if it had an origin.
    pub last: Option<Origin>,
    /// Something has been taken, ever.
    begun: bool,
}

/// What an upstream has said that matters later.
#[derive(Debug, Default)]
pub struct Memory {
    /// The nodes that the stream comes through.
    pub path: Path,
    /// What is to go before the next chunk if that does not continue.
    preamble: Vec<u8>,
    /// The upstream's number of the last chunk.
    sequence: Option<u64>,
}

/// What an upstream is to this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The stream comes from it.
    Source,
    /// It is to be the source as soon as it has something.
    Candidate,
    /// Likewise, but there is a source, which a gap would be a bad exchange for.
    Rival,
}

/// How a candidate has become the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The stream goes on without a gap.
    Resumed,
    /// It begins anew.
    Anew,
}

/// Hears one upstream for one turn.
#[derive(Debug)]
pub struct Ear<'a> {
    /// The stream that it has.
    pub stream: StreamId,
    /// All streams.
    pub streams: &'a mut Streams,
    /// Its counters.
    pub metrics: &'a PullMetrics,
    /// This node.
    pub node: NodeId,
    /// How far the stream has come here.
    pub position: &'a mut Position,
    /// What the upstream has said before.
    pub memory: &'a mut Memory,
    /// What it is to this node; a candidate becomes the source while it is heard.
    pub standing: Standing,
    /// The upstream's connection: token and other end.
    pub peer: (Token, std::net::SocketAddr),
    /// The time of this turn.
    pub now: Instant,
    /// Something of use has come.
    pub useful: bool,
    /// It has become the source.
    pub started: Option<Start>,
}

impl Ear<'_> {
    /// Takes what has been said.
    ///
    /// # Errors
    /// When the upstream can't be used any further.
    pub fn hear(&mut self, heard: Heard) -> Result<(), Failure> {
        match heard {
            Heard::Path(path) => self.hear_path(path),
            Heard::Preamble(preamble) => {
                self.memory.preamble = preamble.to_vec();
                Ok(())
            }
            Heard::Chunk(stamp, chunk) => {
                let preamble = std::mem::take(&mut self.memory.preamble);
                self.hear_chunk(stamp, &preamble, chunk)
            }
            Heard::Bytes(bytes) => self.hear_bytes(bytes),
        }
    }

    fn hear_path(&mut self, path: Path) -> Result<(), Failure> {
        if path.contains(&self.node) {
            return Err(Failure::Loop);
        }
        if path.len() >= HOPS_MAX {
            return Err(Failure::TooFar);
        }
        // Also of one that is yet to bring anything: in a loop without a source none ever does.
        if self.standing != Standing::Rival {
            self.streams.set_path(self.stream, Path::clone(&path));
        }
        self.memory.path = path;
        Ok(())
    }

    fn hear_chunk(&mut self, stamp: Stamp, preamble: &[u8], chunk: &[u8]) -> Result<(), Failure> {
        let last = self.position.last;
        let before = self.memory.sequence;
        let skipped = before.map_or(0, |before| stamp.sequence.saturating_sub(before + 1));
        self.memory.sequence = Some(stamp.sequence.min(u64::MAX - 1));
        if last.is_some_and(|last| stamp.origin.is_at_most(last)) {
            return Ok(());
        }
        let continues = !stamp.follows_discontinuity && last.is_some_and(|last| stamp.origin.follows(last));
        if !continues {
            let same_origin = last.is_some_and(|last| last.node == stamp.origin.node);
            if self.standing == Standing::Rival && same_origin && !stamp.follows_discontinuity {
                return Err(Failure::Gap);
            }
            if !stamp.entry {
                return Ok(());
            }
        }
        self.metrics.chunks_skipped.add(skipped);
        self.start(if continues { Start::Resumed } else { Start::Anew });
        if !continues {
            let missed = last.map_or(0, |last| missed(last, stamp.origin));
            self.metrics.chunks_missed.add(missed);
            let missed_by_upstream = stamp.follows_discontinuity && before.is_some() && skipped == 0;
            self.metrics.chunks_lost.add(if missed_by_upstream { 0 } else { missed });
            self.begin_anew(preamble)?;
        }
        self.publish();
        self.streams.feed_chunk(self.stream, chunk, stamp, self.now)?;
        self.position.last = Some(stamp.origin);
        self.useful = true;
        self.measure(stamp);
        Ok(())
    }

    /// Of an upstream that says no more than the stream itself, nothing is known to continue.
    fn hear_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.standing != Standing::Source {
            self.start(Start::Anew);
            self.begin_anew(&[])?;
            self.position.last = None;
        }
        self.publish();
        self.streams.feed(self.stream, bytes, self.now);
        self.useful |= !bytes.is_empty();
        Ok(())
    }

    /// From now on, the stream comes from here.
    fn start(&mut self, start: Start) {
        if self.standing == Standing::Source {
            return;
        }
        self.standing = Standing::Source;
        self.started = Some(start);
        self.metrics.upstreams.add(1);
        self.metrics.resumed.add(u64::from(start == Start::Resumed));
        self.streams.set_path(self.stream, Path::clone(&self.memory.path));
    }

    /// The stream has a publisher; it may have been given up while nothing came.
    fn publish(&mut self) {
        let (token, address) = self.peer;
        self.streams.take_over(self.stream, token, address, self.now);
    }

    fn begin_anew(&mut self, preamble: &[u8]) -> Result<(), Failure> {
        if std::mem::replace(&mut self.position.begun, true) {
            self.metrics.discontinuities.add(1);
        }
        Ok(self.streams.restart(self.stream, preamble, self.now)?)
    }

    fn measure(&self, stamp: Stamp) {
        let latency = self.streams.unix_us(self.now).saturating_sub(stamp.received_us);
        let mean = self.metrics.hop_latency_us.value();
        let mean = if mean == 0 {
            latency
        } else {
            (mean * (LATENCY_CHUNKS - 1)).saturating_add(latency) / LATENCY_CHUNKS
        };
        self.metrics.hop_latency_us.set(mean);
    }
}

/// How many chunks lie between two of the same origin.
fn missed(last: Origin, next: Origin) -> u64 {
    if last.node == next.node { next.number.saturating_sub(last.number.saturating_add(1)) } else { 0 }
}
