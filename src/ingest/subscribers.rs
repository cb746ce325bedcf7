//! The workers that have receivers of one stream, and what each of them has yet to be told.

use std::sync::Arc;

use crate::chunk::SharedChunk;
use crate::mailbox::{Sender, StreamId, StreamStatus, ToWorker, WorkerId};
use crate::ring::Ring;

/// One entry for each worker. What a full mailbox refuses is owed, not queued: a mark here is all it takes.
#[derive(Debug)]
pub struct Subscribers {
    stream: StreamId,
    workers: Vec<Link>,
    /// Whether anything is owed to anyone.
    owing: bool,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    subscription: Subscription,
    status_owed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subscription {
    None,
    /// Subscribed, but must get the backlog before any chunk.
    BacklogOwed,
    Current,
}

impl Subscribers {
    /// None of `count` workers has subscribed; each is owed the status.
    pub fn new(stream: StreamId, count: usize) -> Subscribers {
        let link = Link { subscription: Subscription::None, status_owed: true };
        Subscribers { stream, workers: vec![link; count], owing: true }
    }

    /// From now on `worker` is owed the backlog and then every chunk.
    pub fn subscribe(&mut self, worker: WorkerId) {
        self.workers[worker.0].subscription = Subscription::BacklogOwed;
        self.owing = true;
    }

    /// `worker` wants no more.
    pub fn unsubscribe(&mut self, worker: WorkerId) {
        self.workers[worker.0].subscription = Subscription::None;
    }

    /// Every worker is owed the status.
    pub fn status_changed(&mut self) {
        for link in &mut self.workers {
            link.status_owed = true;
        }
        self.owing = true;
    }

    /// Posts the next chunk to all who subscribed. Returns how many did not get it, because their mailboxes are full.
    pub fn post_chunk(&self, chunk: &SharedChunk, senders: &mut [Sender<ToWorker>]) -> u64 {
        let current = |(link, _): &(&Link, _)| link.subscription == Subscription::Current;
        let mut lost = 0;
        for (_, sender) in self.workers.iter().zip(senders).filter(current) {
            let message = ToWorker::Chunk(self.stream, Arc::clone(chunk));
            lost += u64::from(sender.post(message).is_err());
        }
        lost
    }

    /// Posts what is owed, as far as it finds room.
    pub fn settle(&mut self, status: &Arc<StreamStatus>, ring: &Ring, senders: &mut [Sender<ToWorker>]) {
        if !self.owing {
            return;
        }
        for (link, sender) in self.workers.iter_mut().zip(senders) {
            if link.status_owed {
                link.status_owed = sender.post(ToWorker::Status(self.stream, Arc::clone(status))).is_err();
            }
            if link.subscription == Subscription::BacklogOwed {
                let backlog = ToWorker::Backlog(self.stream, ring.chunks().cloned().collect());
                if sender.post(backlog).is_ok() {
                    link.subscription = Subscription::Current;
                }
            }
        }
        self.owing = self.workers.iter().any(Link::is_owed);
    }

    /// Whether anything is owed to anyone.
    pub fn owing(&self) -> bool {
        self.owing
    }
}

impl Link {
    fn is_owed(&self) -> bool {
        self.status_owed || self.subscription == Subscription::BacklogOwed
    }
}
