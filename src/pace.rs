//! How long to wait before another node is tried again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Bounds of the waits.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// No wait is shorter.
    pub shortest: Duration,
    /// No wait is longer.
    pub longest: Duration,
    /// A connection that has lasted so long was a success: the next wait is a short one again. One that breaks sooner
    /// is not, so that a node that comes and goes is not run after.
    pub steady: Duration,
}

impl Default for Waits {
    /// As a node runs. A connection is given up after 11 s in which nothing is taken (see `net::hop_options`), so that
    /// one has to last longer to be a success.
    fn default() -> Waits {
        Waits {
            shortest: Duration::from_millis(200),
            longest: Duration::from_secs(5),
            steady: Duration::from_secs(15),
        }
    }
}

/// The waits of one next hop, or for one stream's upstreams.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    waits: Waits,
    /// What the next wait is cut from.
    next: Duration,
}

impl Pace {
    /// Before the first try.
    #[must_use]
    pub fn new(waits: Waits) -> Pace {
        Pace { waits, next: 2 * waits.shortest }
    }

    /// The wait after a failure: twice as long as the one before, less up to a half that `random` decides, so that many
    /// hops that failed together do not come back together.
    pub fn fail(&mut self, random: u64) -> Duration {
        let whole = self.next.min(self.waits.longest);
        self.next = (2 * whole).min(self.waits.longest);
        let share = random as f64 / u64::MAX as f64;
        whole.mul_f64(0.5 + share / 2.0).clamp(self.waits.shortest, self.waits.longest)
    }

    /// No wait is shorter.
    #[must_use]
    pub fn shortest(&self) -> Duration {
        self.waits.shortest
    }

    /// A connection has ended that lasted so long.
    pub fn end(&mut self, lasted: Duration) {
        if lasted >= self.waits.steady {
            *self = Pace::new(self.waits);
        }
    }
}

/// Not for secrets: what the standard library seeds its hash tables with.
#[must_use]
pub fn random() -> u64 {
    RandomState::new().hash_one(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_are_bounded_and_a_steady_connection_ends_them() {
        let mut pace = Pace::new(Waits::default());
        let longest: Vec<u128> = (0..7).map(|_| pace.fail(u64::MAX).as_millis()).collect();
        assert_eq!(longest, [400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(pace.fail(0).as_millis(), 2500);
        pace.end(Duration::from_secs(2));
        assert_eq!(pace.fail(0).as_millis(), 2500, "it came and went");
        pace.end(Duration::from_secs(15));
        assert_eq!(pace.fail(0).as_millis(), 200);
    }
}
