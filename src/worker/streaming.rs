//! A receiver that is being sent a stream: when to write, how much, when to skip, when to give up. Pure but for the
//! socket it is handed, which may be any [`Write`].

use std::io::{self, ErrorKind, IoSlice, Write};
use std::time::{Duration, Instant};

use super::outbox::{Outbox, Verdict};
use crate::ring::Ring;

/// Pieces that one system call takes at most.
const SLICES_MAX: usize = 64;

/// System calls that one receiver may cause in a row before others get their turn.
const WRITES_PER_TURN_MAX: usize = 4;

/// A receiver that takes longer than this many stall limits for one chunk is stalled, even if a byte moves now and
/// then: so the memory that receivers hold on to beyond the ring is bounded in time.
const STALLS_PER_CHUNK_MAX: u32 = 6;

/// How patient a node is with a receiver.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A receiver that has been blocked and behind for longer skips.
    pub lag_max: Duration,
    /// A receiver that has taken no byte for so long is given up.
    pub stall_max: Duration,
}

/// How a turn of sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// Everything there was has been sent.
    CaughtUp,
    /// The socket takes no more; an event will tell when it does again.
    Blocked,
    /// There is more to send, and the socket may take it: come back without waiting.
    Unfinished,
    /// The last byte that there will ever be has been sent.
    Ended,
}

/// What a receiver has been sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Bytes, framing included.
    pub bytes: u64,
    /// System calls that sent something.
    pub writes: u64,
    /// Times that it skipped to a later entry.
    pub skips: u64,
    /// Chunks left out by that.
    pub chunks_skipped: u64,
}

/// A receiver's state while it is sent a stream.
#[derive(Debug)]
pub struct Streaming {
    /// Its place in the stream.
    pub outbox: Outbox,
    /// What it has been sent.
    pub tally: Tally,
    /// The socket refused bytes and has not been announced writable since.
    blocked: bool,
    /// When the socket first refused bytes after the receiver was last caught up. Lag counts only from here on, so
    /// that a busy core does not make everyone skip.
    behind_since: Option<Instant>,
    /// When the socket last took a byte.
    progress_at: Instant,
    /// When the chunk in flight was begun.
    piece_begun_at: Instant,
    /// It has not yet been sent all there was at one time since it came.
    is_joining: bool,
}

impl Streaming {
    /// Begins to send what `outbox` points to.
    #[must_use]
    pub fn new(outbox: Outbox, now: Instant) -> Streaming {
        Streaming {
            outbox,
            tally: Tally::default(),
            blocked: false,
            behind_since: None,
            progress_at: now,
            piece_begun_at: now,
            is_joining: true,
        }
    }

    /// It has come not long ago, and is being sent the stream from its beginning on, or waits for that: it has much to
    /// get, and nobody misses it yet.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.is_joining
    }

    /// The socket would refuse bytes: sending waits for [`unblock`](Self::unblock).
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// The socket has been announced writable.
    pub fn unblock(&mut self) {
        self.blocked = false;
    }

    /// When the socket last took a byte.
    #[must_use]
    pub fn progress_at(&self) -> Instant {
        self.progress_at
    }

    /// Whether the receiver has taken nothing, or next to nothing, for too long.
    #[must_use]
    pub fn is_stalled(&self, patience: &Patience, now: Instant) -> bool {
        let silence = now.saturating_duration_since(self.progress_at);
        let piece_age = now.saturating_duration_since(self.piece_begun_at);
        self.blocked
            && (silence >= patience.stall_max || piece_age >= STALLS_PER_CHUNK_MAX * patience.stall_max)
    }

    /// Sends what there is, as far as the socket takes it. `patience` is asked for where it matters.
    ///
    /// # Errors
    /// Those of the socket, except that it would block.
    pub fn pump(
        &mut self,
        socket: &mut impl Write,
        ring: &Ring,
        patience: impl Fn() -> Patience,
        now: Instant,
    ) -> io::Result<Pumped> {
        for _ in 0..WRITES_PER_TURN_MAX {
            let pieces_max = self.judge(ring, &patience, now);
            let mut pending = self.outbox.pending(ring);
            let Some(first) = pending.next() else { return Ok(self.caught_up()) };
            let second = if pieces_max > 1 { pending.next() } else { None };
            let (offered, pieces, result) = match second {
                // A vector of one costs more than the plain call.
                None => (first.len(), 1, socket.write(first)),
                Some(second) => {
                    let mut slices = [IoSlice::new(&[]); SLICES_MAX];
                    let mut pieces = 0;
                    let mut offered = 0;
                    for piece in [first, second].into_iter().chain(pending).take(SLICES_MAX) {
                        slices[pieces] = IoSlice::new(piece);
                        pieces += 1;
                        offered += piece.len();
                    }
                    (offered, pieces, socket.write_vectored(&slices[..pieces]))
                }
            };
            match result {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    self.sent(ring, sent, now);
                    if sent < offered {
                        return Ok(self.block(now));
                    }
                    if pieces < pieces_max {
                        return Ok(self.caught_up());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(self.block(now)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Pumped::Unfinished)
    }

    /// Settles the outbox, lets it skip if it must, and says how many pieces it may be sent in one call.
    fn judge(&mut self, ring: &Ring, patience: impl Fn() -> Patience, now: Instant) -> usize {
        let settled = self.outbox.settle(ring);
        self.count_skip(settled);
        let Some(since) = self.behind_since else { return SLICES_MAX };
        let (behind, lag_max) = (now.saturating_duration_since(since), patience().lag_max);
        if behind < lag_max {
            return SLICES_MAX;
        }
        let lag = self.outbox.lag(ring, now);
        if lag < lag_max {
            return SLICES_MAX;
        }
        match self.outbox.skip(ring, lag, lag_max) {
            Verdict::FinishFirst => 1,
            verdict => {
                self.count_skip(verdict);
                SLICES_MAX
            }
        }
    }

    fn count_skip(&mut self, verdict: Verdict) {
        if let Verdict::Skipped(chunks) = verdict {
            self.tally.skips += 1;
            self.tally.chunks_skipped += chunks;
        }
    }

    fn sent(&mut self, ring: &Ring, sent: usize, now: Instant) {
        let sequence_before = self.outbox.sequence();
        self.outbox.advance(ring, sent);
        if self.outbox.sequence() != sequence_before {
            self.piece_begun_at = now;
        }
        self.progress_at = now;
        self.tally.bytes += sent as u64;
        self.tally.writes += 1;
    }

    fn block(&mut self, now: Instant) -> Pumped {
        self.blocked = true;
        if self.behind_since.is_none() {
            self.behind_since = Some(now);
            // Time that passed with nothing to send is not the receiver's silence.
            self.progress_at = now;
            self.piece_begun_at = now;
        }
        Pumped::Blocked
    }

    fn caught_up(&mut self) -> Pumped {
        self.behind_since = None;
        self.is_joining &= self.outbox.is_waiting();
        if self.outbox.has_ended() { Pumped::Ended } else { Pumped::CaughtUp }
    }
}
