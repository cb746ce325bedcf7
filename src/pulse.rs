//! Whether and how fast the loop of a thread turns.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::metrics::Gauge;

/// A loop with nothing to do turns at least so often, so that one that has stopped can be told from it.
pub const REST_MAX: Duration = Duration::from_secs(1);

/// A loop that has not turned for so long has stopped.
pub const SILENCE_MAX: Duration = Duration::from_secs(10);

/// The turns of one thread's loop. The thread itself writes, anybody may read.
#[derive(Debug, Default)]
pub struct Pulse {
    turns: Gauge,
    busy_ns: Gauge,
    longest_ns: AtomicU64,
}

impl Pulse {
    /// A turn has ended, which `took` so long from hearing of events to waiting for the next.
    pub fn turned(&self, took: Duration) {
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.turns.set(self.turns.value() + 1);
        self.busy_ns.set(self.busy_ns.value().saturating_add(took_ns));
        self.longest_ns.fetch_max(took_ns, Ordering::Relaxed);
    }

    /// Turns so far.
    #[must_use]
    pub fn turns(&self) -> u64 {
        self.turns.value()
    }

    /// The time that all turns took.
    #[must_use]
    pub fn busy(&self) -> Duration {
        Duration::from_nanos(self.busy_ns.value())
    }

    /// The longest turn since this was last asked: there is one who asks.
    #[must_use]
    pub fn take_longest(&self) -> Duration {
        Duration::from_nanos(self.longest_ns.swap(0, Ordering::Relaxed))
    }
}

/// How long a loop may wait for events, if it need not wake up before.
#[must_use]
pub fn rest(patience: Option<Duration>) -> Option<Duration> {
    Some(patience.map_or(REST_MAX, |patience| patience.min(REST_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_added_up_and_the_longest_is_told_once() {
        let pulse = Pulse::default();
        [3, 9, 4].into_iter().for_each(|ms| pulse.turned(Duration::from_millis(ms)));
        assert_eq!((pulse.turns(), pulse.busy()), (3, Duration::from_millis(16)));
        assert_eq!(pulse.take_longest(), Duration::from_millis(9));
        pulse.turned(Duration::from_millis(2));
        assert_eq!(pulse.take_longest(), Duration::from_millis(2));
        assert_eq!(pulse.take_longest(), Duration::ZERO);
    }
}
