//! The clock on the wall, for what is told to other machines.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What the time was at one moment, by both clocks. To be read anew now and then: the one on the wall may be set.
#[derive(Clone, Copy, Debug)]
pub struct Wall {
    at: Instant,
    unix_us: u64,
}

impl Wall {
    /// Reads the clock on the wall, `now`.
    #[allow(clippy::disallowed_methods, reason = "the loop of the thread calls it")]
    pub fn read(now: Instant) -> Wall {
        // Before 1970 it is a clock that has not been set.
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall { at: now, unix_us: unix.as_micros() as u64 }
    }

    /// The time at `instant` in microseconds since 1970.
    pub fn unix_us(self, instant: Instant) -> u64 {
        match instant.checked_duration_since(self.at) {
            Some(after) => self.unix_us.saturating_add(after.as_micros() as u64),
            None => self.unix_us.saturating_sub((self.at - instant).as_micros() as u64),
        }
    }
}
