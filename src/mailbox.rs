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
use crate::places::Admission;
use crate::proto::ts::Codecs;

/// Index of a stream in the order of the configuration; the same on every thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub usize);

/// Index of a worker thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WorkerId(pub usize);

/// What a worker is told.
#[derive(Debug)]
pub enum ToWorker {
    /// From front: a receiver has connected and is this worker's from now on.
    Newcomer(Newcomer),
    /// From ingest: the next chunk of a stream that this worker has subscribed to.
    Chunk(StreamId, SharedChunk),
    /// From ingest, first answer to a subscription: the ring as it stands, oldest chunk first.
    Backlog(StreamId, Vec<SharedChunk>),
    /// From ingest: a publisher came or went, or its codecs became known. Sent for every stream to every worker.
    Status(StreamId, Arc<StreamStatus>),
    /// From front: say goodbye to every receiver, then end.
    Drain,
    /// From front: end now.
    Stop,
}

/// A connection just accepted, non-blocking, its socket options set.
#[derive(Debug)]
pub struct Newcomer {
    /// The connection.
    pub socket: TcpStream,
    /// Its other end.
    pub peer: SocketAddr,
    /// Index of the listening port it came through, in the order of the configuration.
    pub port: usize,
    /// Where it must find a place to be sent a stream.
    pub admission: Admission,
    /// Held as long as the connection lives: how front counts the connections of a worker.
    pub counted: Arc<()>,
}

/// What ingest is told.
#[derive(Debug)]
pub enum ToIngest {
    /// From a worker: it has its first receiver of the stream.
    Subscribe(WorkerId, StreamId),
    /// From a worker: its last receiver of the stream has left.
    Unsubscribe(WorkerId, StreamId),
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
