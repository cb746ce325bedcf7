//! How well a transport stream is doing: counters, and intervals after ETSI TR 101 290 priorities 1 and 2.

use std::fmt;
use std::time::{Duration, Instant};

use super::packet::Pcr;

/// The most PIDs whose continuity errors are counted one by one; those of further PIDs are in the total only.
const PIDS_COUNTED_MAX: usize = 64;

/// PAT_error (1.3) and PMT_error (1.5): a table that does not come again for so long.
const TABLE_INTERVAL_MAX: Duration = Duration::from_millis(500);

/// PCR_error (2.3): two clocks in a row that are further apart.
const PCR_INTERVAL_MAX: Duration = Duration::from_millis(100);

/// What has been seen of a stream since the process began, over all its publishers, but for the intervals, which are of
/// the current publisher. The main program is the first with video, else the first with audio. For opaque bytes only
/// `bytes` counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Bytes read from publishers.
    pub bytes: u64,
    /// Whole packets found in them.
    pub packets: u64,
    /// Bytes that were not part of any packet.
    pub bytes_dropped: u64,
    /// Bytes of whole packets not forwarded, because no receiver could have begun with them: they came before the first
    /// entry point of a publisher. No damage.
    pub bytes_before_entry: u64,
    /// TS_sync_loss (1.1): times that a stream in sync lost it.
    pub sync_losses: u64,
    /// PAT_error (1.3): sections on PID 0 that are no part of a PAT, and times that no PAT came for half a second.
    pub pat_errors: u64,
    /// Continuity_count_error (1.4), all PIDs.
    pub continuity_errors: u64,
    /// The same by PID, for the first 64 PIDs that had any.
    pub continuity_errors_by_pid: PidCounts,
    /// PMT_error (1.5): times that the PMT of the main program did not come for half a second.
    pub pmt_errors: u64,
    /// Transport_error (2.1): packets that the sender marked as damaged.
    pub transport_errors: u64,
    /// CRC_error (2.2): sections of PAT and PMT that failed their check.
    pub crc_errors: u64,
    /// PCR_error (2.3): times that two PCRs of the main program in a row were more than 100 ms apart, by their own values,
    /// or went backwards, without `discontinuity_indicator`.
    pub pcr_errors: u64,
    /// Between PATs, as they came in (1.3: 500 ms at most).
    pub pat_interval: Interval,
    /// Between PMTs of the main program, likewise (1.5: 500 ms at most).
    pub pmt_interval: Interval,
    /// Between PCRs of the main program, by their own values (2.3: 100 ms at most).
    pub pcr_interval: Interval,
    /// Between keyframes, as they came in.
    pub keyframe_interval: Interval,
    /// The newest PCR of the same program that begins a second by its own value, and when it came. Wherever the stream
    /// passes it is the same packets that do so: two places can tell how long it takes from one to the other.
    pub sighting: Option<(Pcr, Instant)>,
}

/// A time between repetitions; zero until there have been two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interval {
    /// The latest.
    pub last: Duration,
    /// The longest.
    pub max: Duration,
}

/// What a stream ought to have, and has not had for long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    /// There has been no PAT for 10 s (PAT_error, 1.3, allows 500 ms).
    pub pat: bool,
    /// There has been no keyframe of the video for 60 s.
    pub keyframe: bool,
}

impl Interval {
    pub(crate) fn record(&mut self, interval: Duration) {
        self.last = interval;
        self.max = self.max.max(interval);
    }
}

/// Numbers of something by PID, of at most 64 PIDs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PidCounts {
    counts: [(u16, u64); PIDS_COUNTED_MAX],
    len: usize,
}

impl PidCounts {
    /// PIDs with their counts, in the order in which they had their first.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> {
        self.counts[..self.len].iter().copied()
    }

    fn add(&mut self, pid: u16) {
        if let Some((_, count)) = self.counts[..self.len].iter_mut().find(|(counted, _)| *counted == pid) {
            *count += 1;
        } else if let Some(free) = self.counts.get_mut(self.len) {
            *free = (pid, 1);
            self.len += 1;
        }
    }
}

impl Default for PidCounts {
    fn default() -> PidCounts {
        PidCounts { counts: [(0, 0); PIDS_COUNTED_MAX], len: 0 }
    }
}

impl fmt::Debug for PidCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Health {
    pub(crate) fn continuity_error(&mut self, pid: u16) {
        self.continuity_errors += 1;
        self.continuity_errors_by_pid.add(pid);
    }

    pub(crate) fn pat(&mut self, interval: Duration) {
        self.pat_interval.record(interval);
        self.pat_errors += u64::from(interval > TABLE_INTERVAL_MAX);
    }

    pub(crate) fn pmt(&mut self, interval: Duration) {
        self.pmt_interval.record(interval);
        self.pmt_errors += u64::from(interval > TABLE_INTERVAL_MAX);
    }

    /// `None` is a clock that went backwards.
    pub(crate) fn pcr(&mut self, interval: Option<Duration>) {
        if let Some(interval) = interval {
            self.pcr_interval.record(interval);
        }
        self.pcr_errors += u64::from(interval.is_none_or(|interval| interval > PCR_INTERVAL_MAX));
    }

    /// A PCR has come that the one before leads up to.
    pub(crate) fn see(&mut self, pcr: Pcr, before: Pcr, now: Instant) {
        if pcr.seconds() != before.seconds() {
            self.sighting = Some((pcr, now));
        }
    }

    /// A publisher has come: its intervals are its own.
    pub(crate) fn start_session(&mut self) {
        self.pat_interval = Interval::default();
        self.pmt_interval = Interval::default();
        self.pcr_interval = Interval::default();
        self.keyframe_interval = Interval::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{clock, some_instant};
    use super::*;

    #[test]
    fn the_clock_is_seen_where_it_begins_a_second() {
        let (mut health, start) = (Health::default(), some_instant());
        let second = |number: u64, after: u64| clock(number * 90_000 + after);
        let steps = [second(6, 89_000), second(7, 10), second(7, 4_000), second(8, 200), second(8, 300)];
        let mut seen = Vec::new();
        for (pair, milliseconds) in steps.windows(2).zip(1_u64..) {
            health.see(pair[1], pair[0], start + Duration::from_millis(milliseconds));
            seen.push(health.sighting.map(|(pcr, at)| (pcr, (at - start).as_millis())));
        }
        let (first, then) = (Some((steps[1], 1)), Some((steps[3], 3)));
        assert_eq!(seen, [first, first, then, then]);
    }

    #[test]
    fn pids_beyond_the_bound_are_in_the_total_only() {
        let mut health = Health::default();
        for pid in (0..100).chain([7, 99]) {
            health.continuity_error(pid);
        }
        assert_eq!(health.continuity_errors, 102);
        let counts: Vec<_> = health.continuity_errors_by_pid.iter().collect();
        assert_eq!((counts.len(), counts[7], counts[63]), (PIDS_COUNTED_MAX, (7, 2), (63, 1)));
    }

    #[test]
    fn what_comes_too_late_is_an_error() {
        let ms = Duration::from_millis;
        let mut health = Health::default();
        [500, 501].into_iter().for_each(|time| health.pat(ms(time)));
        [499, 2_000, 600].into_iter().for_each(|time| health.pmt(ms(time)));
        [Some(ms(100)), Some(ms(101)), None].into_iter().for_each(|time| health.pcr(time));
        assert_eq!((health.pat_errors, health.pmt_errors, health.pcr_errors), (1, 2, 2));
        assert_eq!(health.pmt_interval, Interval { last: ms(600), max: ms(2_000) });
        health.start_session();
        assert_eq!((health.pmt_errors, health.pmt_interval), (2, Interval::default()));
    }
}
