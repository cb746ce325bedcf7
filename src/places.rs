//! How many may receive at once: `MaxClients` and `MaxClientsPerIp`, counted by all workers together.
//!
//! What takes a place is a receiver, from the first byte of its stream to the end of its connection. A connection that
//! asks for the page, or has asked for nothing yet, takes none: a browser opens half a dozen for one viewer.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Into so many parts the count by address is divided, so that workers seldom meet there. Each is held for one look-up,
/// when a receiver comes and when it goes.
const PARTS: usize = 64;

/// So many receivers there may be, and so many there are.
#[derive(Debug)]
pub struct Places {
    most: AtomicUsize,
    most_per_address: AtomicUsize,
    taken: AtomicUsize,
    /// By address, how many: none that has none.
    by_address: [Mutex<HashMap<IpAddr, usize>>; PARTS],
    hasher: RandomState,
}

/// The right to receive, held as long as the connection lives.
#[derive(Debug)]
pub struct Admitted {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// Room for `most` receivers, and for `most_per_address` from each address; 0 is no limit.
    #[must_use]
    pub fn new(most: usize, most_per_address: usize) -> Arc<Places> {
        Arc::new(Places {
            most: most.into(),
            most_per_address: most_per_address.into(),
            taken: AtomicUsize::new(0),
            by_address: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        })
    }

    /// From now on there is room for so many. Nobody who is there has to go.
    pub fn set_limits(&self, most: usize, most_per_address: usize) {
        self.most.store(most, Ordering::Relaxed);
        self.most_per_address.store(most_per_address, Ordering::Relaxed);
    }

    /// Takes a place for a receiver at `address`. `None`, and none taken, if there is none left.
    #[must_use]
    pub fn admit(self: &Arc<Places>, address: IpAddr) -> Option<Admitted> {
        let (most, per_address) =
            (self.most.load(Ordering::Relaxed), self.most_per_address.load(Ordering::Relaxed));
        let address = address.to_canonical();
        {
            let mut part = self.part(address);
            let here = part.get(&address).copied().unwrap_or(0);
            if per_address != 0 && here >= per_address {
                return None;
            }
            let more = |taken| (most == 0 || taken < most).then_some(taken + 1);
            self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
            part.insert(address, here + 1);
        }
        Some(Admitted { places: Arc::clone(self), address })
    }

    fn part(&self, address: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let part = self.hasher.hash_one(address) as usize % PARTS;
        self.by_address[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
        let mut part = self.places.part(self.address);
        if let Entry::Occupied(mut here) = part.entry(self.address) {
            *here.get_mut() -= 1;
            if *here.get() == 0 {
                here.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    #[test]
    fn who_leaves_makes_room_and_who_is_refused_takes_none() {
        let places = Places::new(3, 2);
        let first = places.admit(HERE);
        let second = places.admit("::ffff:192.0.2.1".parse().unwrap());
        assert!(first.is_some() && second.is_some() && places.admit(HERE).is_none(), "two from here are all");
        let third = places.admit(THERE);
        assert!(third.is_some() && places.admit(THERE).is_none(), "three are all");
        drop(first);
        assert!(places.admit(HERE).is_some_and(|_| places.admit(THERE).is_none()));
        assert!(places.admit(THERE).is_some());
        drop((second, third));
        assert!(places.by_address.iter().all(|part| part.lock().unwrap().is_empty()), "nobody is remembered");
    }

    #[test]
    fn no_limit_is_none() {
        let places = Places::new(0, 0);
        let all: Vec<_> = (0..10_000).map_while(|_| places.admit(HERE)).collect();
        assert_eq!(all.len(), 10_000);
    }

    #[test]
    fn limits_may_change() {
        let places = Places::new(0, 0);
        let mut there: Vec<_> = (0..3).map_while(|_| places.admit(HERE)).collect();
        places.set_limits(0, 2);
        assert!(places.admit(HERE).is_none() && places.admit(THERE).is_some());
        there.truncate(1);
        assert!(places.admit(HERE).is_some());
        places.set_limits(1, 0);
        assert!(places.admit(THERE).is_none());
    }
}
