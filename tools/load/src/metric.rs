//! Figures of reports that cases and comparisons are about.

use crate::report::{GroupReport, Report};

const KIB_PER_MIB: f64 = 1024.0;

/// A figure of a report.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// What it is called.
    pub name: &'static str,
    /// What it is counted in.
    pub unit: &'static str,
    /// Where it is.
    pub of: fn(&Report) -> Option<f64>,
}

/// Processor time per gigabyte.
pub const COST: Metric =
    Metric { name: "CPU", unit: "s/GB", of: |report| report.server.as_ref()?.cpu_s_per_gb };

/// The same with all that the server's core did: for receivers on the same machine the kernel works in the name of the
/// process that sends, or of none, as chance will have it.
pub const CORE: Metric =
    Metric { name: "whole core", unit: "s/GB", of: |report| report.server.as_ref()?.core_s_per_gb };

/// The latency that one in a hundred bursts exceeds.
pub const P99: Metric = Metric { name: "p99", unit: "ms", of: |report| Some(steady(report)?.latency_ms.p99) };

/// Resident memory at most.
pub const MEMORY: Metric =
    Metric { name: "memory", unit: "MiB", of: |report| Some(report.server.as_ref()?.memory_peak_mib) };

/// Resident memory for each receiver of the start.
pub const MEMORY_EACH: Metric = Metric {
    name: "memory per receiver",
    unit: "KiB",
    of: |report| {
        let server = report.server.as_ref()?;
        let receivers = steady(report)?.served as f64;
        Some((server.memory_connected_mib - server.memory_before_mib) * KIB_PER_MIB / receivers)
    },
};

/// Messages that a receiver gets for each picture and piece of audio pushed.
pub const WRITES_PER_FRAME: Metric = Metric {
    name: "messages per picture or audio burst",
    unit: "",
    of: |report| {
        let steady = steady(report)?;
        (steady.findings.units > 0).then(|| steady.frames.messages as f64 / steady.findings.units as f64)
    },
};

/// How long after connecting the last receiver of a storm got its first byte.
pub const STORM_FIRST_BYTE: Metric = Metric {
    name: "last of the storm streams after",
    unit: "ms",
    of: |report| {
        let storm = report.group("storm")?;
        let is_all = storm.first_byte_ms.count == storm.receivers as u64;
        Some(if is_all { storm.first_byte_ms.max } else { f64::INFINITY })
    },
};

/// The receivers that take all and are there all the time.
#[must_use]
pub fn steady(report: &Report) -> Option<&GroupReport> {
    report.group("steady")
}
