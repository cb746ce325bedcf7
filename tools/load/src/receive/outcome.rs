//! What came of receivers.

use hdrhistogram::Histogram;

use crate::decode::Frames;
use crate::verify::Findings;

/// Times up to here are told apart, in microseconds; longer ones count as this.
const MICROS_MAX: u64 = 600_000_000;

/// What came of the receivers of one thread, or of all.
#[derive(Debug, Default)]
pub struct Outcome {
    /// In the order of the plan.
    pub groups: Vec<GroupOutcome>,
}

/// What came of the receivers of one group.
#[derive(Debug)]
pub struct GroupOutcome {
    /// Connections that were served; more than there are receivers if these come and go.
    pub served: u64,
    /// Connections that failed.
    pub failed: u64,
    /// Why the first one did.
    pub first_failure: Option<String>,
    /// Connections that the server closed.
    pub closed: u64,
    /// How the first of these ended.
    pub first_closing: Option<String>,
    /// From connecting until served, in microseconds.
    pub connect_us: Histogram<u64>,
    /// From connecting until the first byte of content, in microseconds.
    pub first_byte_us: Histogram<u64>,
    /// From when a burst was sent until a sampled receiver had it, in microseconds; bursts since measuring began.
    pub latency_us: Histogram<u64>,
    /// Bytes that came since measuring began, with framing.
    pub bytes: u64,
    /// Bytes that should have come to receivers served by then.
    pub bytes_expected: u64,
    /// Of these, how many did not.
    pub bytes_missing: u64,
    /// What sampled receivers got, since measuring began; what is wrong in it counts from the start.
    pub findings: Findings,
    /// How it was framed, likewise.
    pub frames: Frames,
}

impl Default for GroupOutcome {
    fn default() -> GroupOutcome {
        GroupOutcome {
            served: 0,
            failed: 0,
            first_failure: None,
            closed: 0,
            first_closing: None,
            connect_us: histogram(),
            first_byte_us: histogram(),
            latency_us: histogram(),
            bytes: 0,
            bytes_expected: 0,
            bytes_missing: 0,
            findings: Findings::default(),
            frames: Frames::default(),
        }
    }
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(MICROS_MAX, 3).expect("three digits of a number are possible")
}

impl Outcome {
    /// Takes the outcome of another thread in.
    pub fn add(&mut self, other: Outcome) {
        self.groups.resize_with(self.groups.len().max(other.groups.len()), GroupOutcome::default);
        for (sum, group) in self.groups.iter_mut().zip(other.groups) {
            sum.add(group);
        }
    }
}

impl GroupOutcome {
    fn add(&mut self, other: GroupOutcome) {
        self.served += other.served;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.closed += other.closed;
        self.first_closing = self.first_closing.take().or(other.first_closing);
        for (sum, histogram) in [
            (&mut self.connect_us, other.connect_us),
            (&mut self.first_byte_us, other.first_byte_us),
            (&mut self.latency_us, other.latency_us),
        ] {
            sum.add(histogram).expect("histograms of the same kind add up");
        }
        self.bytes += other.bytes;
        self.bytes_expected += other.bytes_expected;
        self.bytes_missing += other.bytes_missing;
        self.findings += other.findings;
        self.frames += other.frames;
    }
}
