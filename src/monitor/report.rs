//! What a node says of itself, as JSON: the report of the original tsstream, and in a second object what that lacks.
//!
//! What comes from another machine is checked here, once: sizes, numbers of things, and that names can be printed.

use std::net::{IpAddr, SocketAddr};

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use crate::identity::NodeId;
use crate::metrics::{PullFailures, PullMetrics, SIGHTINGS_MAX};

/// The most bytes of a report.
pub const REPORT_BYTES_MAX: usize = 64 * 1024;

/// The most next hops in a report, in either form.
const HOPS_MAX: usize = 1_000;

/// The most streams in a report.
const STREAMS_MAX: usize = 500;

/// The most addresses of its own that a node reports.
pub const ADDRESSES_MAX: usize = 32;

/// The most letters in the name of a node, a stream or a codec; the most in an address, which may be a host's name.
pub const NAME_LETTERS_MAX: usize = 64;
const ADDRESS_LETTERS_MAX: usize = 270;

/// How often a node may say that it reports, in milliseconds.
const INTERVAL_MS: std::ops::RangeInclusive<u64> = 100..=600_000;

/// A report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The node.
    pub nodeinfo: NodeInfo,
    /// Pieces of the streams that it has taken in since its start.
    #[serde(default)]
    pub packages: u64,
    /// Where it sends to: its next hops, and its own port for receivers.
    #[serde(default)]
    pub nextnode: Vec<NodeInfo>,
    /// Publishers push to it, not other nodes.
    #[serde(default)]
    pub genesis: bool,
    /// What the original does not report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsstream: Option<Details>,
}

/// A node, or an address that one sends to, as the original describes it. It leaves out what is empty or zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeInfo {
    /// Its name; from the original, its RunMode.
    pub name: String,
    /// Receivers connected.
    pub connects: u64,
    /// The address that it takes its first stream in at.
    pub bind: String,
    /// The port, in digits.
    pub port: String,
    /// [`hash`] of the two before.
    pub hash: String,
}

/// The second object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Details {
    /// Who the node is.
    pub node: NodeId,
    /// Which network stack it runs on. Within one, a loopback address means the same.
    pub network: NodeId,
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// Its clock, in milliseconds since 1970.
    pub time_ms: u64,
    /// Time since its start, in milliseconds.
    pub uptime_ms: u64,
    /// Time between its reports, in milliseconds.
    pub interval_ms: u64,
    /// Processes that want a core of its machine, on the average of the last minute.
    pub load: f64,
    /// Cores of its machine.
    pub cores: u64,
    /// Addresses of its machine, without loopback.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// Its streams.
    pub streams: Vec<StreamReport>,
    /// Where it pushes them to.
    #[serde(default)]
    pub next_hops: Vec<HopReport>,
    /// Streams and next hops that found no room in the report.
    #[serde(default)]
    pub left_out: u64,
}

/// One stream at a node. Counts are since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamReport {
    /// Its name.
    pub name: String,
    /// It can be played now.
    pub live: bool,
    /// In words; empty if not known.
    pub codecs: String,
    /// Where the node listens for it.
    pub listening: Option<SocketAddr>,
    /// Who sends it to the node at present.
    pub publisher: Option<SocketAddr>,
    /// The node that it comes from, if that has said who it is.
    pub upstream: Option<UpstreamReport>,
    /// Bytes taken in.
    pub bytes_in: u64,
    /// Bits taken in per second, over the last interval.
    pub bits_in: u64,
    /// Continuity_count_error of ETSI TR 101 290.
    pub continuity_errors: u64,
    /// TS_sync_loss of the same.
    pub sync_losses: u64,
    /// What is known to have been lost on the way to the node: packets missing by their RTP numbers or dropped by its
    /// kernel; of a stream that it fetches, chunks.
    pub lost: u64,
    /// Chunks lost within the node, because a core could not keep up.
    pub chunks_lost: u64,
    /// Receivers connected.
    pub receivers: Receivers,
    /// Bytes sent to receivers.
    pub bytes_out: u64,
    /// Bits sent to receivers per second, over the last interval.
    pub bits_out: u64,
    /// Times that a receiver skipped to a later keyframe.
    pub skips: u64,
    /// Receivers disconnected because they took nothing.
    pub stalled: u64,
    /// By how much the slowest receiver lags, in milliseconds.
    pub lag_ms: u64,
    /// The time that the way from the node before has taken, in microseconds, if that is known.
    pub latency_us: Option<u64>,
    /// When the stream's clock was seen, newest first: a PCR in ticks of 27 MHz, and when that came in microseconds since
    /// 1970.
    pub clock: Vec<(u64, u64)>,
    /// Of a stream that it fetches: how that goes.
    pub pull: Option<PullReport>,
}

/// How fetching one stream goes, in counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PullReport {
    /// Times that an upstream was taken up.
    pub upstreams: u64,
    /// Of those, the times that the stream went on without a gap.
    pub resumed: u64,
    /// Times that what came did not continue what had come.
    pub discontinuities: u64,
    /// Chunks missed since the stream was made, wherever they were lost.
    pub missed: u64,
    /// Upstreams given up, by reason.
    pub failures: Failures,
}

/// Upstreams given up: see [`PullFailures`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "those of the counters say it")]
pub struct Failures {
    pub unresolved: u64,
    pub unreachable: u64,
    pub silent: u64,
    pub closed: u64,
    pub refused: u64,
    pub malformed: u64,
    pub looped: u64,
}

impl Failures {
    /// The reasons in words, and the counts.
    #[must_use]
    pub fn by_reason(self) -> [(&'static str, u64); 7] {
        let Failures { unresolved, unreachable, silent, closed, refused, malformed, looped } = self;
        [
            ("unresolved", unresolved),
            ("unreachable", unreachable),
            ("silent", silent),
            ("closed", closed),
            ("refused", refused),
            ("malformed", malformed),
            ("looped", looped),
        ]
    }
}

impl PullReport {
    /// As counted.
    #[must_use]
    pub fn of(pull: &PullMetrics) -> PullReport {
        let PullFailures { unresolved, unreachable, silent, closed, refused, malformed, looped } =
            &pull.failures;
        PullReport {
            upstreams: pull.upstreams.value(),
            resumed: pull.resumed.value(),
            discontinuities: pull.discontinuities.value(),
            missed: pull.chunks_missed.value(),
            failures: Failures {
                unresolved: unresolved.value(),
                unreachable: unreachable.value(),
                silent: silent.value(),
                closed: closed.value(),
                refused: refused.value(),
                malformed: malformed.value(),
                looped: looped.value(),
            },
        }
    }
}

/// Receivers by protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "their names say it")]
pub struct Receivers {
    pub websocket: u64,
    pub http: u64,
    pub tcp: u64,
}

/// The node that a stream comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpstreamReport {
    /// Who it is.
    pub node: NodeId,
    /// Nodes between the origin of the stream and this one.
    pub hops: u8,
}

/// One next hop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HopReport {
    /// The name of the stream that it is sent.
    pub stream: String,
    /// `TCP`, `UDP` or `RTP`.
    pub protocol: String,
    /// `host:port`, as configured.
    pub address: String,
    /// It is being sent to.
    pub connected: bool,
    /// This end of the socket.
    pub local: Option<SocketAddr>,
    /// The other end.
    pub peer: Option<SocketAddr>,
    /// Bytes sent since the node's start.
    pub bytes: u64,
    /// Bits sent per second, over the last interval.
    pub bits: u64,
    /// Chunks or datagrams left out since the node's start, because the hop did not take them.
    pub drops: u64,
}

/// Reads a report. Its hashes are ours, whatever it says.
///
/// # Errors
/// What is wrong with it, in half a sentence that holds nothing that the sender chose.
pub fn parse(json: &[u8]) -> Result<Report, &'static str> {
    let mut report: Report = serde_json::from_slice(json).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => "a field is missing or of the wrong type",
        _ => "not JSON",
    })?;
    report.check()?;
    for info in report.nextnode.iter_mut().chain([&mut report.nodeinfo]) {
        info.hash = hash(&info.bind, &info.port);
    }
    Ok(report)
}

/// What the original knows a node by: the MD5 of bind and port, in hexadecimal digits.
#[must_use]
pub fn hash(bind: &str, port: &str) -> String {
    let sum = Md5::new().chain_update(bind).chain_update(port).finalize();
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Report {
    fn check(&self) -> Result<(), &'static str> {
        if self.nextnode.len() > HOPS_MAX {
            return Err("too many next nodes");
        }
        for info in self.nextnode.iter().chain([&self.nodeinfo]) {
            info.check()?;
        }
        self.tsstream.as_ref().map_or(Ok(()), Details::check)
    }
}

impl NodeInfo {
    fn check(&self) -> Result<(), &'static str> {
        name(&self.name)?;
        address(&self.bind)?;
        let is_port = self.port.bytes().all(|b| b.is_ascii_digit()) && self.port.parse::<u16>().is_ok();
        if is_port || self.port.is_empty() { Ok(()) } else { Err("a port is not a number up to 65535") }
    }
}

impl Details {
    fn check(&self) -> Result<(), &'static str> {
        name(&self.name)?;
        name(&self.version)?;
        let too_many = self.streams.len() > STREAMS_MAX
            || self.next_hops.len() > HOPS_MAX
            || self.addresses.len() > ADDRESSES_MAX;
        if too_many {
            return Err("too many streams, next hops or addresses");
        }
        if !INTERVAL_MS.contains(&self.interval_ms) {
            return Err("interval_ms is out of range");
        }
        for stream in &self.streams {
            name(&stream.name)?;
            name(&stream.codecs)?;
            if stream.clock.len() > SIGHTINGS_MAX {
                return Err("too many sightings of a clock");
            }
        }
        for hop in &self.next_hops {
            name(&hop.stream)?;
            name(&hop.protocol)?;
            address(&hop.address)?;
        }
        Ok(())
    }
}

/// Any text that can be printed on a line. It stays text wherever it is shown.
fn name(text: &str) -> Result<(), &'static str> {
    printable(text, NAME_LETTERS_MAX).ok_or("a name is too long, or has letters that can't be printed")
}

fn address(text: &str) -> Result<(), &'static str> {
    printable(text, ADDRESS_LETTERS_MAX).ok_or("an address is too long, or has letters that can't be printed")
}

fn printable(text: &str, letters_max: usize) -> Option<()> {
    let fits = text.chars().nth(letters_max).is_none() && !text.contains(char::is_control);
    fits.then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_the_original_is_read() {
        let text = r#"{"nodeinfo":{"name":"extra","connects":7,"bind":"0.0.0.0","port":"55001","hash":"x"},
            "packages":12,"nextnode":[{"name":"WEBSOCKET","bind":"0.0.0.0","port":"56001","hash":"y"}]}"#;
        let report = parse(text.as_bytes()).unwrap();
        assert_eq!((report.nodeinfo.connects, report.packages, report.genesis), (7, 12, false));
        // printf '0.0.0.055001' | md5sum
        assert_eq!(report.nodeinfo.hash, "892335df62c260c4e2c29b6c26bf0f14");
        assert!(report.tsstream.is_none());
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let long = "x".repeat(65);
        let many = format!(r#"{{"nodeinfo":{{}},"nextnode":[{}{{}}]}}"#, "{},".repeat(1000));
        for (text, words) in [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("[]", "a field is missing or of the wrong type"),
            ("{}", "a field is missing or of the wrong type"),
            (r#"{"nodeinfo":{"name":7}}"#, "a field is missing or of the wrong type"),
            (r#"{"nodeinfo":{"connects":-1}}"#, "a field is missing or of the wrong type"),
            (r#"{"nodeinfo":{"port":"-1"}}"#, "a port is not a number up to 65535"),
            (r#"{"nodeinfo":{"port":"65536"}}"#, "a port is not a number up to 65535"),
            (r#"{"nodeinfo":{"name":"a\nb"}}"#, "a name is too long, or has letters that can't be printed"),
            (
                &format!(r#"{{"nodeinfo":{{"name":"{long}"}}}}"#),
                "a name is too long, or has letters that can't be printed",
            ),
            (&many, "too many next nodes"),
            (r#"{"nodeinfo":{},"tsstream":{}}"#, "a field is missing or of the wrong type"),
            (r#"{"nodeinfo":{},"tsstream":null,"nextnode":7}"#, "a field is missing or of the wrong type"),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(words), "{text}");
        }
        // Nested beyond what the parser follows, and not UTF-8.
        assert!(
            parse("[".repeat(60_000).as_bytes()).is_err()
                && parse(b"{\"nodeinfo\":{\"name\":\"\xff\"}}").is_err()
        );
    }

    #[test]
    fn markup_in_a_name_is_text() {
        let report = parse(br#"{"nodeinfo":{"name":"<img src=x onerror=alert(1)>"}}"#).unwrap();
        assert_eq!(report.nodeinfo.name, "<img src=x onerror=alert(1)>");
    }
}
