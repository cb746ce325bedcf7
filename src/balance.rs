//! Which worker gets a connection: the one that has the fewest, whoever brings it.

use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpStream;

use crate::mailbox::{Newcomer, Sender, Service, ToWorker};

/// The workers as they are seen by a thread that brings them connections. Clones count together.
#[derive(Clone, Debug)]
pub struct Balance {
    senders: Vec<Sender<ToWorker>>,
    /// By worker, one strong reference more than it has connections.
    counted: Arc<[Arc<()>]>,
}

impl Balance {
    /// For these workers, which have no connections yet.
    #[must_use]
    pub fn new(senders: Vec<Sender<ToWorker>>) -> Balance {
        let counted = senders.iter().map(|_| Arc::default()).collect();
        Balance { senders, counted }
    }

    /// Gives a connection to the worker with the fewest, which sees it after [`flush`](Self::flush).
    ///
    /// # Errors
    /// When that worker's mailbox is full. The connection is closed then.
    pub fn assign(&mut self, socket: TcpStream, peer: SocketAddr, service: Service) -> Result<(), Overload> {
        let workers = self.senders.iter_mut().zip(&*self.counted);
        let (sender, counted) =
            workers.min_by_key(|(_, counted)| Arc::strong_count(counted)).ok_or(Overload)?;
        let newcomer = Newcomer { socket, peer, service, counted: Arc::clone(counted) };
        sender.post(ToWorker::Newcomer(newcomer)).map_err(|_| Overload)
    }

    /// Wakes the workers that were given something.
    pub fn flush(&mut self) {
        self.senders.iter_mut().for_each(Sender::flush);
    }

    /// How many workers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.senders.len()
    }

    /// How many connections all workers have together.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.counted.iter().map(|counted| Arc::strong_count(counted) - 1).sum()
    }
}

/// More connections come at once than a worker's mailbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload;
