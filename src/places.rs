//! How many may receive at once: `MaxClients` and `MaxClientsPerIp`, counted by all workers together.
//!
//! What takes a place is a receiver, from the first byte of its stream to the end of its connection. A connection that
//! asks for the page, or has asked for nothing yet, takes none: a browser opens half a dozen for one viewer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many receivers there may be, and so many there are.
#[derive(Debug)]
pub struct Places {
    most: usize,
    taken: AtomicUsize,
}

impl Places {
    /// Room for `most` receivers; 0 is no limit.
    #[must_use]
    pub fn new(most: usize) -> Arc<Places> {
        Arc::new(Places { most, taken: AtomicUsize::new(0) })
    }

    /// Takes a place, if there is one.
    fn take(self: &Arc<Places>) -> Option<Place> {
        let more = |taken| (self.most == 0 || taken < self.most).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Place(Arc::clone(self)))
    }
}

/// A place taken; given back when dropped, so that nobody has to say so.
#[derive(Debug)]
struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Where a connection must find a place to become a receiver.
#[derive(Clone, Debug)]
pub struct Admission {
    /// Among all receivers of the node.
    pub node: Arc<Places>,
    /// Among those of its address.
    pub address: Arc<Places>,
}

/// The right to receive, held as long as the connection lives.
#[derive(Debug)]
pub struct Admitted {
    _node: Place,
    _address: Place,
}

impl Admission {
    /// Takes a place in both; `None`, and none taken, if either is full.
    #[must_use]
    pub fn admit(&self) -> Option<Admitted> {
        Some(Admitted { _node: self.node.take()?, _address: self.address.take()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_leaves_makes_room_and_who_is_refused_takes_none() {
        let node = Places::new(2);
        let at = |address: &Arc<Places>| Admission { node: Arc::clone(&node), address: Arc::clone(address) };
        let (here, there) = (Places::new(1), Places::new(0));
        let first = at(&here).admit();
        assert!(first.is_some() && at(&here).admit().is_none(), "one from here is all");
        let second = at(&there).admit();
        assert!(second.is_some() && at(&there).admit().is_none(), "two are all");
        drop(first);
        assert!(at(&here).admit().is_some_and(|_| at(&there).admit().is_none()));
        assert!(at(&there).admit().is_some());
    }

    #[test]
    fn no_limit_is_none() {
        let open = Admission { node: Places::new(0), address: Places::new(0) };
        let all: Vec<_> = (0..10_000).map_while(|_| open.admit()).collect();
        assert_eq!(all.len(), 10_000);
    }
}
