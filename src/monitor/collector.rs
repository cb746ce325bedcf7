//! The nodes that have reported, each with its last report and a minute of history. Pure.
//!
//! A node that falls silent stays, so that it can be seen that it did, until it is dismissed, comes back, or its place
//! is needed for another.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::report::{Report, hash};

/// The history that is kept of each node.
pub const HISTORY: Duration = Duration::from_secs(60);

/// Time between two samples of a history at least, but for the newest: so there are at most 62.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Reports that a node may miss before it counts as silent.
const MISSED_MAX: u32 = 3;

/// What a report may be late, on top.
const LATE_MAX: Duration = Duration::from_millis(500);

/// How often nodes of the original report, at most.
const ORIGINAL_INTERVAL: Duration = Duration::from_secs(60);

/// All nodes known.
#[derive(Debug)]
pub struct Collector {
    nodes: BTreeMap<String, Node>,
    nodes_max: usize,
}

/// A node as its reports show it.
#[derive(Debug)]
pub struct Node {
    /// By which the page knows it: its identity, or for a node of the original, which has none, where it is.
    pub key: String,
    /// The last report.
    pub report: Report,
    /// Where that came from.
    pub from: IpAddr,
    /// When it came.
    pub heard: Instant,
    /// When the first one came.
    pub known_since: Instant,
    /// At most [`HISTORY`], oldest first.
    pub history: VecDeque<Sample>,
}

/// What one report said, over all streams of the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Streams.
    pub streams: u64,
    /// Those of them that can be played.
    pub live: u64,
    /// Receivers connected.
    pub receivers: u64,
    /// Bits taken in per second.
    pub bits_in: u64,
    /// Bits sent per second, to receivers and next hops.
    pub bits_out: u64,
    /// By how much the slowest receiver lags, in milliseconds.
    pub lag_ms: u64,
    /// Continuity errors and losses of sync, since the node's start.
    pub errors: u64,
    /// What was lost on the way to the node or within it, likewise.
    pub lost: u64,
    /// Skips of receivers, and receivers given up as stalled, likewise.
    pub skips: u64,
}

/// [`Totals`] at a time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When the report came.
    pub at: Instant,
    /// What it said.
    pub totals: Totals,
}

/// Why a node can't be dismissed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDismissed {
    /// There is none of this key.
    Unknown,
    /// It reports.
    Alive,
}

/// `MaxNodes` nodes report, and none of them is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Collector {
    /// Without any node yet.
    #[must_use]
    pub fn new(nodes_max: usize) -> Collector {
        Collector { nodes: BTreeMap::new(), nodes_max }
    }

    /// All nodes, in an order that stays.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The node of this key.
    #[must_use]
    pub fn node(&self, key: &str) -> Option<&Node> {
        self.nodes.get(key)
    }

    /// Takes a report that came from `from`.
    ///
    /// # Errors
    /// When there is no room for one more node.
    pub fn take(&mut self, report: Report, from: IpAddr, now: Instant) -> Result<(), Full> {
        let key = key_of(&report, from);
        if !self.nodes.contains_key(&key) && self.nodes.len() >= self.nodes_max {
            let silent = self.nodes.values().filter(|node| node.is_silent(now)).min_by_key(|node| node.heard);
            let silent = silent.map(|node| node.key.clone()).ok_or(Full)?;
            self.nodes.remove(&silent);
        }
        self.forget_predecessor(&report, from, now);
        let totals = report.totals();
        let node = self.nodes.entry(key.clone()).or_insert_with(|| Node {
            key,
            report: Report::default(),
            from,
            heard: now,
            known_since: now,
            history: VecDeque::new(),
        });
        node.report = report;
        node.from = from;
        node.heard = now;
        node.remember(Sample { at: now, totals });
        Ok(())
    }

    /// Forgets a silent node.
    ///
    /// # Errors
    /// When there is none of this key, or it is not silent.
    pub fn dismiss(&mut self, key: &str, now: Instant) -> Result<(), NotDismissed> {
        let node = self.nodes.get(key).ok_or(NotDismissed::Unknown)?;
        if !node.is_silent(now) {
            return Err(NotDismissed::Alive);
        }
        self.nodes.remove(key);
        Ok(())
    }

    /// A node that is restarted has a new identity. What it was before is recognised by its name and place, and by
    /// having reported for the last time before the new one began.
    fn forget_predecessor(&mut self, report: &Report, from: IpAddr, now: Instant) {
        let Some(details) = &report.tsstream else { return };
        let uptime = Duration::from_millis(details.uptime_ms);
        let own_key = details.node.to_string();
        self.nodes.retain(|key, node| {
            let same_place = node.from == from
                && node.report.nodeinfo.name == report.nodeinfo.name
                && node.report.nodeinfo.hash == report.nodeinfo.hash
                && node.report.tsstream.as_ref().is_some_and(|before| before.network == details.network);
            let age = node.age(now);
            let ended_before = age > uptime && age > node.interval() + LATE_MAX;
            *key == own_key || !same_place || !ended_before
        });
    }
}

fn key_of(report: &Report, from: IpAddr) -> String {
    match &report.tsstream {
        Some(details) => details.node.to_string(),
        None => format!("original-{}", hash(&from.to_string(), &report.nodeinfo.hash)),
    }
}

impl Node {
    /// How long ago it reported.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// How often it says that it reports.
    #[must_use]
    pub fn interval(&self) -> Duration {
        let stated = |details: &super::report::Details| Duration::from_millis(details.interval_ms);
        self.report.tsstream.as_ref().map_or(ORIGINAL_INTERVAL, stated)
    }

    /// It has missed three reports.
    #[must_use]
    pub fn is_silent(&self, now: Instant) -> bool {
        self.age(now) > MISSED_MAX * self.interval() + LATE_MAX
    }

    /// What the last report said.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.history.back().map(|sample| sample.totals).unwrap_or_default()
    }

    /// What has been added within the history to a count that totals hold.
    #[must_use]
    pub fn recent(&self, count: impl Fn(&Totals) -> u64) -> u64 {
        let value = |sample: Option<&Sample>| sample.map_or(0, |sample| count(&sample.totals));
        value(self.history.back()).saturating_sub(value(self.history.front()))
    }

    fn remember(&mut self, sample: Sample) {
        // Two samples for one moment are none the wiser; the newest always counts.
        let mut newest = self.history.iter().rev();
        if let (Some(last), Some(previous)) = (newest.next(), newest.next())
            && last.at.duration_since(previous.at) < SAMPLE_EVERY
        {
            self.history.pop_back();
        }
        self.history.push_back(sample);
        while self.history.front().is_some_and(|oldest| sample.at.duration_since(oldest.at) > HISTORY) {
            self.history.pop_front();
        }
    }
}

impl Report {
    /// Sums over the streams.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let Some(details) = &self.tsstream else {
            return Totals { receivers: self.nodeinfo.connects, ..Totals::default() };
        };
        let mut sum = Totals { streams: details.streams.len() as u64, ..Totals::default() };
        // Whoever sends numbers this large lies, and need not be added up right; but nothing may overflow.
        let add =
            |to: &mut u64, values: &[u64]| values.iter().for_each(|value| *to = to.saturating_add(*value));
        for stream in &details.streams {
            sum.live += u64::from(stream.live);
            let receivers = stream.receivers;
            add(&mut sum.receivers, &[receivers.websocket, receivers.http, receivers.tcp]);
            add(&mut sum.bits_in, &[stream.bits_in]);
            add(&mut sum.bits_out, &[stream.bits_out]);
            sum.lag_ms = sum.lag_ms.max(stream.lag_ms);
            add(&mut sum.errors, &[stream.continuity_errors, stream.sync_losses]);
            add(&mut sum.lost, &[stream.lost, stream.chunks_lost]);
            add(&mut sum.skips, &[stream.skips, stream.stalled]);
        }
        for hop in &details.next_hops {
            add(&mut sum.bits_out, &[hop.bits]);
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{extra, from, id as id_of, normal, original};
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn start() -> Instant {
        Instant::now()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn identity_counts_not_bind_and_port() {
        let (mut collector, now) = (Collector::new(10), start());
        for node in [normal("a", 1), normal("b", 2), extra("c", 3), extra("d", 4)] {
            collector.take(node, from(1), now).unwrap();
        }
        assert_eq!(collector.nodes().count(), 4);
        // Those of the original have none: they are told apart by their address.
        for address in [1, 1, 2] {
            collector.take(original(55001), from(address), now).unwrap();
        }
        assert_eq!(collector.nodes().count(), 6);
    }

    #[test]
    fn a_node_is_silent_after_three_missed_reports_and_stays_until_dismissed() {
        let (mut collector, start) = (Collector::new(10), start());
        collector.take(normal("a", 1), from(1), start).unwrap();
        let key = collector.nodes().next().unwrap().key.clone();
        let silent = |collector: &Collector, now| collector.node(&key).unwrap().is_silent(now);
        assert!(!silent(&collector, start + 6 * SECOND) && silent(&collector, start + 7 * SECOND));
        assert_eq!(collector.dismiss(&key, start + 6 * SECOND), Err(NotDismissed::Alive));
        assert!(silent(&collector, start + 9999 * SECOND));
        assert_eq!(collector.dismiss(&key, start + 7 * SECOND), Ok(()));
        assert_eq!(collector.dismiss(&key, start + 7 * SECOND), Err(NotDismissed::Unknown));
    }

    #[test]
    fn there_is_a_bound_and_silent_nodes_give_way() {
        let (mut collector, start) = (Collector::new(2), start());
        collector.take(normal("a", 1), from(1), start).unwrap();
        collector.take(normal("b", 2), from(1), start + SECOND).unwrap();
        assert_eq!(collector.take(normal("c", 3), from(1), start + 2 * SECOND), Err(Full));
        assert_eq!(collector.take(normal("b", 2), from(1), start + 20 * SECOND), Ok(()));
        assert_eq!(collector.take(normal("c", 3), from(1), start + 20 * SECOND), Ok(()));
        let names: Vec<_> = collector.nodes().map(|node| node.report.nodeinfo.name.as_str()).collect();
        assert_eq!(names, ["b", "c"]);
    }

    #[test]
    fn a_restarted_node_takes_the_place_of_what_it_was() {
        let (mut collector, start) = (Collector::new(10), start());
        let report = |id, uptime_ms| {
            let mut report = normal("a", id);
            let details = report.tsstream.as_mut().unwrap();
            (details.uptime_ms, details.network) = (uptime_ms, id_of(99));
            report
        };
        collector.take(report(1, 60_000), from(1), start).unwrap();
        // A twin that lives is not taken for what was before.
        collector.take(report(2, 10), from(1), start + SECOND).unwrap();
        collector.take(report(1, 62_000), from(1), start + 2 * SECOND).unwrap();
        collector.take(report(2, 2_010), from(1), start + 3 * SECOND).unwrap();
        assert_eq!(collector.nodes().count(), 2);
        // The first is restarted.
        collector.take(report(3, 10), from(1), start + 4 * SECOND).unwrap();
        collector.take(report(2, 4_010), from(1), start + 5 * SECOND).unwrap();
        collector.take(report(3, 2_010), from(1), start + 6 * SECOND).unwrap();
        assert_eq!(collector.nodes().count(), 2);
        assert!(collector.node("0000000000000001").is_none());
    }

    #[test]
    fn a_minute_is_remembered_however_often_a_node_reports() {
        let (mut collector, start) = (Collector::new(10), start());
        for count in 0..2_000_u64 {
            let mut report = normal("a", 1);
            report.tsstream.as_mut().unwrap().streams[0].continuity_errors = count;
            collector.take(report, from(1), start + Duration::from_millis(100) * count as u32).unwrap();
        }
        let node = collector.nodes().next().unwrap();
        assert!((59..=62).contains(&node.history.len()), "{}", node.history.len());
        assert!((580..=610).contains(&node.recent(|totals| totals.errors)));
    }

    #[test]
    fn numbers_beyond_reason_do_not_overflow() {
        let mut report = normal("a", 1);
        let stream = &mut report.tsstream.as_mut().unwrap().streams[0];
        (stream.bits_out, stream.receivers.http, stream.receivers.tcp) = (u64::MAX, u64::MAX, u64::MAX);
        assert_eq!(report.totals().receivers, u64::MAX);
    }
}
