//! What a run has shown, as text and as JSON.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::decode::Frames;
use crate::process::Usage;
use crate::receive::{GroupOutcome, Outcome};
use crate::run::Load;
use crate::verify::Findings;

/// Cores that other programs may use before a run counts as disturbed.
const OTHERS_MAX: f64 = 0.05;

/// The result of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How long was measured, in seconds.
    pub seconds: f64,
    /// What was fed.
    pub feed: Option<FeedReport>,
    /// What was received, by kind of receiver.
    pub groups: Vec<GroupReport>,
    /// What it cost the server.
    pub server: Option<ServerReport>,
    /// What other programs of this machine used meanwhile, in cores.
    pub others: f64,
    /// Reasons why this run does not count.
    pub invalid: Vec<String>,
}

/// What was fed.
#[derive(Clone, Debug, Serialize)]
pub struct FeedReport {
    /// Streams.
    pub streams: usize,
    /// Bursts sent while measuring, of all streams.
    pub bursts: u64,
    /// Bytes sent while measuring, of all streams.
    pub bytes: u64,
    /// How late bursts were sent.
    pub late_ms: Times,
}

/// What receivers of one kind got.
#[derive(Clone, Debug, Serialize)]
pub struct GroupReport {
    /// The kind.
    pub name: &'static str,
    /// Receivers asked for.
    pub receivers: usize,
    /// Connections that were served.
    pub served: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Why the first did.
    pub first_failure: Option<String>,
    /// Connections that the server closed.
    pub closed: u64,
    /// How the first of these ended.
    pub first_closing: Option<String>,
    /// Bytes received while measuring, with framing.
    pub bytes: u64,
    /// Share of what was fed that arrived, 0 to 1; for receivers that were there all the time and take all.
    pub delivered: Option<f64>,
    /// From connecting until served.
    pub connect_ms: Times,
    /// From connecting until the first byte of content.
    pub first_byte_ms: Times,
    /// From sending a burst until sampled receivers had it.
    pub latency_ms: Times,
    /// What sampled receivers got.
    pub findings: Findings,
    /// How it was framed.
    pub frames: Frames,
}

/// Times in milliseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Times {
    /// How many there are.
    pub count: u64,
    /// Half of them are no longer.
    pub p50: f64,
    /// 99 of 100 are no longer.
    pub p99: f64,
    /// 999 of 1,000 are no longer.
    pub p999: f64,
    /// None is longer.
    pub max: f64,
}

/// What the server's processes used.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ServerReport {
    /// Seconds of processor time while measuring.
    pub cpu_s: f64,
    /// Of these, what the kernel's thread for the network used on the server's core.
    pub softirq_s: f64,
    /// The server's processor time per 10^9 bytes received; nothing without bytes.
    pub cpu_s_per_gb: Option<f64>,
    /// The same for all that the server's core did, in no process's name as well; nothing if it had none to itself.
    pub core_s_per_gb: Option<f64>,
    /// Microseconds of processor time per receiver and burst: what a write costs if each burst is written at once.
    pub cpu_us_per_write: Option<f64>,
    /// Resident memory in MiB before the first receiver.
    pub memory_before_mib: f64,
    /// With all receivers of the start connected.
    pub memory_connected_mib: f64,
    /// The most while measuring.
    pub memory_peak_mib: f64,
    /// At the end.
    pub memory_end_mib: f64,
}

/// What the server's processes used, and when.
#[derive(Clone, Copy, Debug)]
pub struct ServerUse {
    /// Before the first receiver.
    pub before: Usage,
    /// When measuring began.
    pub start: Usage,
    /// With all receivers of the start connected.
    pub connected: Usage,
    /// The most resident memory seen, in bytes.
    pub peak_bytes: u64,
    /// At the end.
    pub end: Usage,
}

/// What was fed when measuring began or ended, of each stream.
#[derive(Clone, Debug, Default)]
pub struct Fed {
    /// Whole bursts.
    pub bursts: Vec<u64>,
    /// Bytes of transport stream.
    pub bytes: Vec<u64>,
}

impl Report {
    /// Makes a report of what a run has counted; `fed` when measuring began and when it ended.
    #[must_use]
    pub fn new(
        load: &Load,
        measured_ns: u64,
        fed: [&Fed; 2],
        outcome: Outcome,
        lateness: Option<Histogram<u64>>,
        server: Option<ServerUse>,
        others: f64,
    ) -> Report {
        let difference = |part: fn(&Fed) -> &Vec<u64>| {
            let pairs = part(fed[1]).iter().zip(part(fed[0]));
            pairs.map(|(after, before)| after - before).sum::<u64>()
        };
        let feed = lateness.map(|lateness| FeedReport {
            streams: load.feeds.len(),
            bursts: difference(|fed| &fed.bursts),
            bytes: difference(|fed| &fed.bytes),
            late_ms: Times::of(&lateness),
        });
        let kinds = load.plan.groups.iter().zip(outcome.groups);
        let groups: Vec<GroupReport> =
            kinds.map(|(group, outcome)| GroupReport::new(group.name, group.count, outcome)).collect();
        let bytes: u64 = groups.iter().map(|group| group.bytes).sum();
        let receivers: usize = load.plan.groups.iter().map(|group| group.count).sum();
        let writes =
            feed.as_ref().map_or(0.0, |feed| feed.bursts as f64 / feed.streams as f64 * receivers as f64);
        let server = server.map(|server| ServerReport::new(server, bytes as f64 / 1e9, writes));
        let mut report =
            Report { seconds: measured_ns as f64 / 1e9, feed, groups, server, others, invalid: Vec::new() };
        report.invalid = report.doubts();
        report
    }

    /// Whether other programs used so much that figures are rough.
    #[must_use]
    pub fn is_disturbed(&self) -> bool {
        self.others > OTHERS_MAX
    }

    /// The group of that name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupReport> {
        self.groups.iter().find(|group| group.name == name)
    }

    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        for group in &self.groups {
            let GroupReport { name, findings, frames, .. } = group;
            if self.feed.is_some() && !findings.is_exact() {
                let Findings { packets_wrong, bytes_unaligned, repeated, .. } = findings;
                doubts.push(format!(
                    "{name}: not what was fed: {packets_wrong} packets wrong, {bytes_unaligned} bytes between packets, \
                     {repeated} bursts again"
                ));
            }
            if frames.errors > 0 {
                doubts.push(format!("{name}: {} broken frames", frames.errors));
            }
            if group.failed > 0 {
                let why = group.first_failure.as_deref().unwrap_or_default();
                doubts.push(format!("{name}: {} connections failed, the first with {why}", group.failed));
            }
        }
        doubts
    }
}

impl GroupReport {
    fn new(name: &'static str, receivers: usize, outcome: GroupOutcome) -> GroupReport {
        let expected = outcome.bytes_expected;
        let arrived = expected - outcome.bytes_missing;
        GroupReport {
            name,
            receivers,
            served: outcome.served,
            failed: outcome.failed,
            first_failure: outcome.first_failure,
            closed: outcome.closed,
            first_closing: outcome.first_closing,
            bytes: outcome.bytes,
            delivered: (expected > 0).then(|| arrived as f64 / expected as f64),
            connect_ms: Times::of(&outcome.connect_us),
            first_byte_ms: Times::of(&outcome.first_byte_us),
            latency_ms: Times::of(&outcome.latency_us),
            findings: outcome.findings,
            frames: outcome.frames,
        }
    }
}

impl Times {
    fn of(micros: &Histogram<u64>) -> Times {
        let at = |quantile| micros.value_at_quantile(quantile) as f64 / 1000.0;
        Times {
            count: micros.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: micros.max() as f64 / 1000.0,
        }
    }
}

impl ServerReport {
    fn new(server: ServerUse, gigabytes: f64, writes: f64) -> ServerReport {
        let softirq_s = server.end.softirq_s - server.start.softirq_s;
        let cpu_s = server.end.cpu_s - server.start.cpu_s + softirq_s;
        let core_s = server.end.core_s.zip(server.start.core_s).map(|(end, start)| end - start);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        ServerReport {
            cpu_s,
            softirq_s,
            cpu_s_per_gb: (gigabytes > 0.0).then(|| cpu_s / gigabytes),
            core_s_per_gb: core_s.filter(|_| gigabytes > 0.0).map(|core_s| core_s / gigabytes),
            cpu_us_per_write: (writes > 0.0).then(|| cpu_s * 1e6 / writes),
            memory_before_mib: mib(server.before.resident_bytes),
            memory_connected_mib: mib(server.connected.resident_bytes),
            memory_peak_mib: mib(server.peak_bytes),
            memory_end_mib: mib(server.end.resident_bytes),
        }
    }
}

impl fmt::Display for Times {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 => write!(to, "-"),
            _ => write!(
                to,
                "p50 {:.2}  p99 {:.2}  p99.9 {:.2}  max {:.2} ms  ({} values)",
                self.p50, self.p99, self.p999, self.max, self.count
            ),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "measured       {:.1} s", self.seconds)?;
        if let Some(feed) = &self.feed {
            let megabits = feed.bytes as f64 * 8.0 / 1e6 / self.seconds;
            writeln!(
                to,
                "fed            {} streams, {} bursts, {megabits:.2} Mb/s",
                feed.streams, feed.bursts
            )?;
            writeln!(to, "  late         {}", feed.late_ms)?;
        }
        self.groups.iter().try_for_each(|group| write!(to, "{group}"))?;
        if let Some(server) = &self.server {
            write!(to, "{server}")?;
        }
        if self.is_disturbed() {
            writeln!(
                to,
                "DISTURBED      other programs used {:.0} % of a core meanwhile",
                self.others * 100.0
            )?;
        }
        self.invalid.iter().try_for_each(|doubt| writeln!(to, "DOES NOT COUNT {doubt}"))
    }
}

impl fmt::Display for GroupReport {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let GroupReport { name, receivers, served, failed, closed, findings, frames, .. } = self;
        writeln!(
            to,
            "{name:<14} {receivers} asked for, {served} served, {failed} failed, {closed} closed by the server"
        )?;
        if let Some(why) = &self.first_closing {
            writeln!(to, "  closed       the first: {why}")?;
        }
        let delivered = self.delivered.map_or("-".to_owned(), |share| format!("{:.3} %", share * 100.0));
        writeln!(
            to,
            "  delivered    {delivered} of what was fed; {:.1} MB received",
            self.bytes as f64 / 1e6
        )?;
        if findings.bursts > 0 {
            let Findings { bursts, skips, gaps, bursts_missing, packets_added, .. } = findings;
            writeln!(
                to,
                "  checked      {bursts} bursts, byte for byte: {skips} skips, {gaps} gaps, {bursts_missing} bursts missing, \
                 {packets_added} packets added"
            )?;
        }
        if frames.messages > 0 {
            let Frames { messages, messages_unaligned, errors } = frames;
            writeln!(
                to,
                "  messages     {messages}, {messages_unaligned} of them unaligned, {errors} errors"
            )?;
        }
        writeln!(to, "  latency      {}", self.latency_ms)?;
        writeln!(to, "  connected    {}", self.connect_ms)?;
        writeln!(to, "  first byte   {}", self.first_byte_ms)
    }
}

impl fmt::Display for ServerReport {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "server         {:.2} s of processor time", self.cpu_s)?;
        if self.softirq_s > 0.0 {
            write!(to, " ({:.2} s of it by ksoftirqd)", self.softirq_s)?;
        }
        if let Some(cost) = self.cpu_s_per_gb {
            write!(to, ", {cost:.3} s/GB")?;
        }
        if let Some(cost) = self.core_s_per_gb {
            write!(to, " ({cost:.3} with all that its core did)")?;
        }
        if let Some(cost) = self.cpu_us_per_write {
            write!(to, ", {cost:.2} us per receiver and burst")?;
        }
        writeln!(
            to,
            "\n  memory       {:.1} MiB before, {:.1} with receivers, {:.1} at most, {:.1} at the end",
            self.memory_before_mib, self.memory_connected_mib, self.memory_peak_mib, self.memory_end_mib
        )
    }
}
