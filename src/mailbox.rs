//! The only crossing between threads: a bounded queue whose owner sleeps in `mio::Poll` and is woken once per batch.
//!
//! A sender posts any number of messages and then calls [`Sender::flush`]; the owner's waker is written to only if the
//! owner has not been woken since it last looked. A full mailbox refuses the message: nobody ever waits for anybody.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, TrySendError, bounded};
use mio::net::TcpStream;
use mio::{Registry, Token, Waker};

use crate::chunk::SharedChunk;
use crate::front;
use crate::hops;
use crate::ingest;
use crate::inquiry::{Inquiry, OfWorker};
use crate::metrics::OutputMetrics;
use crate::proto::relay::Path;
use crate::proto::ts::Codecs;
use crate::resolver::Addresses;
use crate::worker::Settings;

/// Index of a stream in the order of the configuration; the same on every thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub usize);

/// Index of a worker thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub usize);

/// What a worker is told.
#[derive(Debug)]
pub enum ToWorker {
    /// From front or the hops thread: the connection is this worker's from now on.
    Newcomer(Newcomer),
    /// From ingest: the next chunk of a stream that this worker has subscribed to.
    Chunk(StreamId, SharedChunk),
    /// From ingest, first answer to a subscription: the ring as it stands, oldest chunk first.
    Backlog(StreamId, Vec<SharedChunk>),
    /// From ingest: a publisher came or went, or its codecs became known. Sent for every stream to every worker.
    Status(StreamId, Arc<StreamStatus>),
    /// The configuration has been read again: what the worker runs on from now on.
    Settings(Arc<Settings>),
    /// From the admin port: to be answered bit by bit.
    Inquiry(Inquiry<OfWorker>),
    /// From front: say goodbye to every receiver, then end.
    Drain,
    /// From front: end now.
    Stop,
}

/// A connection, non-blocking, its socket options set.
#[derive(Debug)]
pub struct Newcomer {
    /// The connection.
    pub socket: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// What it is there for.
    pub service: Service,
    /// Held as long as the connection lives: how the connections of a worker are counted.
    pub counted: Arc<()>,
}

/// What a connection is there for.
#[derive(Debug)]
pub enum Service {
    /// A receiver has connected to us.
    Port {
        /// The listening port it came through; see [`Settings::ports`].
        index: usize,
    },
    /// We have connected to a next hop.
    Hop(Box<Line>),
}

/// The hops thread's hold on a connection that a worker serves: when it is dropped with the connection, the hops thread
/// is told.
#[derive(Debug)]
pub struct Line {
    /// What the hop is sent.
    pub stream: StreamId,
    /// Why the connection ended and what had been sent, once the worker knows.
    pub served: Option<Served>,
    /// The hop, in the order of the configuration.
    pub hop: usize,
    hops: Sender<ToHops>,
    /// Bytes and skips that have been counted.
    counted: (u64, u64),
}

/// What came of a connection to a next hop.
#[derive(Debug)]
pub struct Served {
    /// Why it ended, in the words of the log.
    pub reason: String,
    /// Bytes that it was sent.
    pub bytes: u64,
    /// Times that it skipped to a later entry.
    pub skips: u64,
}

/// What the hops thread is told, beside what ingest tells it as it tells a worker.
#[derive(Debug)]
pub enum ToHops {
    /// From a resolver: the addresses of the hop with that index.
    Resolved(usize, io::Result<Vec<SocketAddr>>),
    /// From a worker: the connection to the hop with that index is closed; `None` if it was not even taken up.
    Closed(usize, Option<Served>),
    /// The configuration has been read again.
    Renew(hops::Renewal),
}

impl Line {
    /// For a connection to the hop with that index.
    #[must_use]
    pub fn new(hop: usize, stream: StreamId, hops: Sender<ToHops>) -> Line {
        Line { stream, served: None, hop, hops, counted: (0, 0) }
    }

    /// So much has been sent by now: counts what has not been counted yet.
    pub fn count(&mut self, metrics: &OutputMetrics, bytes: u64, skips: u64) {
        let Some(hop) = metrics.hops.get(self.hop) else { return };
        let (bytes_before, skips_before) = std::mem::replace(&mut self.counted, (bytes, skips));
        hop.bytes.add(bytes - bytes_before);
        hop.skips.add(skips - skips_before);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // A hop has one connection at a time, and the mailbox room for all: it refuses only if its owner has ended.
        let _ = self.hops.post(ToHops::Closed(self.hop, self.served.take()));
        self.hops.flush();
    }
}

/// What the front is told.
#[derive(Debug)]
pub enum ToFront {
    /// The configuration has been read again.
    Renew(front::Renewal),
}

/// What ingest is told.
#[derive(Debug)]
pub enum ToIngest {
    /// From a worker: it has its first receiver of the stream.
    Subscribe(WorkerId, StreamId),
    /// From a worker: its last receiver of the stream has left.
    Unsubscribe(WorkerId, StreamId),
    /// From a resolver: the addresses that were asked for, and who asked.
    Resolved(usize, Addresses),
    /// The configuration has been read again.
    Renew(Box<ingest::Renewal>),
    /// From the admin port: part with the publisher of the stream.
    Dismiss(Inquiry<StreamId>),
    /// From front: end now.
    Stop,
}

/// What a receiver may want to know of a stream before it plays it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStatus {
    /// A publisher is connected and has sent something that can be played.
    pub live: bool,
    /// From the PMT of the first program with video; empty for streams that are not TS.
    pub codecs: Codecs,
    /// The nodes that it comes through, if it is pulled from one; nearest first.
    pub path: Path,
}

/// Makes a mailbox of at most `capacity` messages whose owner polls `registry` and knows its waker by `token`.
///
/// # Errors
/// When the system has no descriptor left for the waker.
pub fn mailbox<T>(capacity: usize, registry: &Registry, token: Token) -> io::Result<(Sender<T>, Mailbox<T>)> {
    let (queue, messages) = bounded(capacity);
    let bell = Arc::new(Bell { waker: Waker::new(registry, token)?, rung: AtomicBool::new(false) });
    let sender = Sender { queue, bell: Arc::clone(&bell), posted: false };
    Ok((sender, Mailbox { messages, bell }))
}

/// The sending end; every sending thread has its own clone.
#[derive(Debug)]
pub struct Sender<T> {
    queue: crossbeam_channel::Sender<T>,
    bell: Arc<Bell>,
    posted: bool,
}

/// The owner's end.
#[derive(Debug)]
pub struct Mailbox<T> {
    messages: Receiver<T>,
    bell: Arc<Bell>,
}

#[derive(Debug)]
struct Bell {
    waker: Waker,
    /// The owner has been woken and has not looked since.
    rung: AtomicBool,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender { queue: self.queue.clone(), bell: Arc::clone(&self.bell), posted: false }
    }
}

impl<T> Sender<T> {
    /// Queues `message`; the owner sees it after [`flush`](Self::flush).
    ///
    /// # Errors
    /// Gives the message back when the mailbox is full or its owner has ended.
    pub fn post(&mut self, message: T) -> Result<(), T> {
        match self.queue.try_send(message) {
            Ok(()) => {
                self.posted = true;
                Ok(())
            }
            Err(TrySendError::Full(message) | TrySendError::Disconnected(message)) => {
                self.posted = true;
                Err(message)
            }
        }
    }

    /// Wakes the owner if something was posted since the last flush and it has not been woken yet.
    pub fn flush(&mut self) {
        if std::mem::take(&mut self.posted) && !self.bell.rung.swap(true, Ordering::AcqRel) {
            // Only a closed descriptor could fail here, and the bell keeps it open.
            self.bell.waker.wake().expect("the waker of a living mailbox can be written to");
        }
    }
}

impl<T> Mailbox<T> {
    /// A further mailbox of the same owner, of at most `capacity` messages. They have one bell: a
    /// [`look`](Self::look) at one is a look at both.
    #[must_use]
    pub fn beside<U>(&self, capacity: usize) -> (Sender<U>, Mailbox<U>) {
        let (queue, messages) = bounded(capacity);
        let sender = Sender { queue, bell: Arc::clone(&self.bell), posted: false };
        (sender, Mailbox { messages, bell: Arc::clone(&self.bell) })
    }

    /// To be called before a round of [`take`](Self::take): what is posted from now on wakes the owner again.
    pub fn look(&self) {
        // A swap, not a store: it acquires what a sender queued before it found the bell rung.
        self.bell.rung.swap(false, Ordering::AcqRel);
    }

    /// The next message, if there is one. `None` also when every sender is gone.
    #[must_use]
    pub fn take(&self) -> Option<T> {
        self.messages.try_recv().ok()
    }
}
