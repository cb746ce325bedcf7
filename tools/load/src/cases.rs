//! The cases that the server is judged by: what is run, and what must come of it.

use serde::Serialize;

use crate::floor;
use crate::lab::{Scenario, Shape, Source};
use crate::report::{GroupReport, Report};
use crate::results::{Figure, Results};
use crate::servers::{Input, PEERS, Server, Tsstream};

/// One case.
#[derive(Debug)]
pub struct Case {
    /// Its letter.
    pub letter: char,
    /// What is tried.
    pub title: &'static str,
    scenarios: fn() -> Vec<Scenario>,
    judge: fn(&Results, &mut Table),
}

/// What was found, line by line.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Table {
    /// In the order of the cases.
    pub rows: Vec<Row>,
}

/// One line of the table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Letter of its case.
    pub case: char,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub found: String,
    /// What it should be; empty if that is not said.
    pub target: String,
    /// Whether it is.
    pub verdict: Verdict,
}

/// Whether a target is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Missed,
    /// There is none.
    None,
    /// A run did not work, or bytes were wrong: it does not count.
    Void,
}

const MB: u64 = 1_000_000;
const MIB_PER_KIB: f64 = 1.0 / 1024.0;

/// Idle receivers of case g.
const IDLE: usize = 8_000;

/// All cases, in order.
pub static CASES: &[Case] = &[
    Case {
        letter: 'a',
        title: "WebSocket, 1,000 x 2 Mb/s, 25 bursts a second, TCP in",
        scenarios: || {
            let peers =
                PEERS.iter().map(|peer| scenario(peer.name, Server::Peer(peer), Shape::of(1_000, 2 * MB)));
            [ours_1000(), floor_1000()].into_iter().chain(peers).collect()
        },
        judge: |results, table| {
            table.ratio('a', results, COST, ["tsstream 1000", "floor-send 1000"], 1.10);
            for peer in PEERS {
                table.ratio('a', results, COST, ["tsstream 1000", peer.name], 1.0);
            }
            for key in
                ["tsstream 1000", "floor-send 1000"].into_iter().chain(PEERS.iter().map(|peer| peer.name))
            {
                table.overview('a', results, key);
            }
        },
    },
    Case {
        letter: 'b',
        title: "the same, UDP in",
        scenarios: || {
            let udp = |bytes| {
                let server = Server::Tsstream(Tsstream { input: Input::Udp(bytes), ..Tsstream::default() });
                scenario(&format!("tsstream udp{bytes}"), server, Shape::of(1_000, 2 * MB))
            };
            vec![floor_1000(), udp(1316), udp(1472)]
        },
        judge: |results, table| {
            for key in ["tsstream udp1316", "tsstream udp1472"] {
                table.ratio('b', results, COST, [key, "floor-send 1000"], 1.15);
            }
        },
    },
    Case {
        letter: 'c',
        title: "ffmpeg pushes with -muxdelay 0.001",
        scenarios: || {
            let shape = Shape { source: Source::Ffmpeg, ..Shape::of(20, 0) };
            let by = |key, input| {
                scenario(key, Server::Tsstream(Tsstream { input, ..Tsstream::default() }), shape)
            };
            vec![by("ffmpeg tcp", Input::Tcp), by("ffmpeg udp", Input::Udp(1472))]
        },
        judge: |results, table| {
            for key in ["ffmpeg tcp", "ffmpeg udp"] {
                table.limit('c', results, key, &WRITES_PER_FRAME, 1.1);
            }
        },
    },
    Case {
        letter: 'd',
        title: "5,000 x 2 Mb/s",
        scenarios: || {
            let shape = Shape::of(5_000, 2 * MB);
            vec![
                scenario("tsstream 5000", tsstream(), shape),
                scenario("floor-send 5000", Server::Floor(floor::Kind::Send), shape),
            ]
        },
        judge: |results, table| {
            table.complete('d', results, "tsstream 5000");
            table.ratio('d', results, P99, ["tsstream 5000", "floor-send 5000"], 1.2);
            table.overview('d', results, "tsstream 5000");
            table.overview('d', results, "floor-send 5000");
        },
    },
    Case {
        letter: 'e',
        title: "18,000 x 0.41 Mb/s: overload",
        scenarios: || {
            let shape = Shape::of(18_000, 410_000);
            vec![
                scenario("tsstream 18000", tsstream(), shape),
                scenario("floor-ring 18000", Server::Floor(floor::Kind::Ring), shape),
            ]
        },
        judge: |results, table| {
            table.complete('e', results, "tsstream 18000");
            table.ratio('e', results, P99, ["tsstream 18000", "floor-ring 18000"], 1.25);
            table.limit('e', results, "tsstream 18000", &MEMORY, 64.0);
            table.overview('e', results, "tsstream 18000");
            table.overview('e', results, "floor-ring 18000");
        },
    },
    Case {
        letter: 'f',
        title: "1,000 healthy receivers beside 1,000 that never read",
        scenarios: || {
            let shape = Shape { stalled: 1_000, ..Shape::of(1_000, 2 * MB) };
            vec![ours_1000(), scenario("tsstream stalled", tsstream(), shape)]
        },
        judge: |results, table| {
            table.complete('f', results, "tsstream stalled");
            table.ratio('f', results, P99, ["tsstream stalled", "tsstream 1000"], 1.2);
            table.difference('f', results, &MEMORY, ["tsstream stalled", "tsstream 1000"], 8.0);
        },
    },
    Case {
        letter: 'g',
        title: "memory of the process per connected, idle receiver",
        scenarios: || {
            let shape = Shape { source: Source::Nothing, ..Shape::of(IDLE, 0) };
            vec![scenario("tsstream idle", tsstream(), shape)]
        },
        judge: |results, table| table.limit('g', results, "tsstream idle", &MEMORY_EACH, 1.0),
    },
    Case {
        letter: 'h',
        title: "ingest at 1 Gb/s",
        scenarios: || {
            let shape = |streams: usize, bits| Shape {
                source: Source::Synthetic(bits, 500),
                streams,
                sampled: streams,
                ..Shape::of(streams, 0)
            };
            vec![
                scenario("tsstream 1x1000", tsstream(), shape(1, 1_000 * MB)),
                scenario("tsstream 4x250", tsstream(), shape(4, 250 * MB)),
            ]
        },
        judge: |results, table| {
            table.complete('h', results, "tsstream 1x1000");
            table.complete('h', results, "tsstream 4x250");
        },
    },
    Case {
        letter: 'i',
        title: "latency against cost: Coalesce, with Quiet = off, against the defaults",
        scenarios: || {
            let coalesced = COALESCE.iter().map(|(key, app)| {
                let server = Server::Tsstream(Tsstream { app, ..Tsstream::default() });
                scenario(key, server, Shape::of(1_000, 2 * MB))
            });
            std::iter::once(ours_1000()).chain(coalesced).collect()
        },
        judge: |results, table| {
            table.ratio('i', results, COST, ["tsstream coalesce 350", "tsstream 1000"], 0.4);
            for key in std::iter::once("tsstream 1000").chain(COALESCE.iter().map(|(key, _)| *key)) {
                table.overview('i', results, key);
            }
        },
    },
    Case {
        letter: 'j',
        title: "3,000 receivers connect at once beside 1,000",
        scenarios: || {
            let shape = Shape { storm: 3_000, ..Shape::of(1_000, 2 * MB) };
            let calm = scenario("tsstream 4000", tsstream(), Shape::of(4_000, 2 * MB));
            vec![ours_1000(), scenario("tsstream storm", tsstream(), shape), calm]
        },
        judge: |results, table| {
            table.limit('j', results, "tsstream storm", &STORM_FIRST_BYTE, 1000.0);
            // With four times the receivers a burst takes longer to go round, storm or not: both are shown.
            table.ratio('j', results, P99, ["tsstream storm", "tsstream 1000"], 2.0);
            table.ratio('j', results, P99, ["tsstream storm", "tsstream 4000"], 2.0);
        },
    },
    Case {
        letter: 'k',
        title: "4 workers against 1, on one core",
        scenarios: || {
            let server = Server::Tsstream(Tsstream { workers: 4, ..Tsstream::default() });
            vec![ours_1000(), scenario("tsstream workers4", server, Shape::of(1_000, 2 * MB))]
        },
        judge: |results, table| {
            table.ratio('k', results, COST, ["tsstream workers4", "tsstream 1000"], 1.10);
        },
    },
    Case {
        letter: 'l',
        title: "500 streams of 0.5 Mb/s with 4 receivers each, against one with 2,000",
        scenarios: || {
            let server = || Server::Tsstream(Tsstream { input: Input::Http, ..Tsstream::default() });
            let many = Shape { streams: 500, sampled: 500, ..Shape::of(2_000, 500_000) };
            let one = Shape { sampled: 500, ..Shape::of(2_000, 500_000) };
            vec![scenario("tsstream 500x4", server(), many), scenario("tsstream 1x2000", server(), one)]
        },
        judge: |results, table| {
            table.complete('l', results, "tsstream 500x4");
            table.ratio('l', results, COST, ["tsstream 500x4", "tsstream 1x2000"], 1.3);
        },
    },
];

/// Settings of case i.
const COALESCE: &[(&str, &str)] = &[
    ("tsstream coalesce 0", "Coalesce = 0\n"),
    ("tsstream coalesce 1", "Coalesce = 1\nQuiet = off\n"),
    ("tsstream coalesce 5", "Coalesce = 5\nQuiet = off\n"),
    ("tsstream coalesce 20", "Coalesce = 20\nQuiet = off\n"),
    ("tsstream coalesce 100", "Coalesce = 100\nQuiet = off\n"),
    ("tsstream coalesce 350", "Coalesce = 350\nQuiet = off\n"),
];

impl Case {
    /// What is run for it. The same scenario may serve several cases.
    #[must_use]
    pub fn scenarios(&self) -> Vec<Scenario> {
        (self.scenarios)()
    }

    /// Adds what came of it to `table`.
    pub fn judge(&self, results: &Results, table: &mut Table) {
        (self.judge)(results, table);
    }
}

fn scenario(key: &str, server: Server, shape: Shape) -> Scenario {
    Scenario { key: key.to_owned(), server, shape }
}

fn tsstream() -> Server {
    Server::Tsstream(Tsstream::default())
}

fn ours_1000() -> Scenario {
    scenario("tsstream 1000", tsstream(), Shape::of(1_000, 2 * MB))
}

fn floor_1000() -> Scenario {
    scenario("floor-send 1000", Server::Floor(floor::Kind::Send), Shape::of(1_000, 2 * MB))
}

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

/// The latency that one in a hundred bursts exceeds.
pub const P99: Metric = Metric { name: "p99", unit: "ms", of: |report| Some(steady(report)?.latency_ms.p99) };

/// Resident memory at most.
pub const MEMORY: Metric =
    Metric { name: "memory", unit: "MiB", of: |report| Some(report.server.as_ref()?.memory_peak_mib) };

const MEMORY_EACH: Metric = Metric {
    name: "memory per receiver",
    unit: "KiB",
    of: |report| {
        let server = report.server.as_ref()?;
        let receivers = steady(report)?.served as f64;
        Some((server.memory_connected_mib - server.memory_before_mib) / MIB_PER_KIB / receivers)
    },
};

const WRITES_PER_FRAME: Metric = Metric {
    name: "messages per picture or audio burst",
    unit: "",
    of: |report| {
        let steady = steady(report)?;
        (steady.findings.units > 0).then(|| steady.frames.messages as f64 / steady.findings.units as f64)
    },
};

const STORM_FIRST_BYTE: Metric = Metric {
    name: "last of the storm streams after",
    unit: "ms",
    of: |report| {
        let storm = report.group("storm")?;
        let is_all = storm.first_byte_ms.count == storm.receivers as u64;
        Some(if is_all { storm.first_byte_ms.max } else { f64::INFINITY })
    },
};

fn steady(report: &Report) -> Option<&GroupReport> {
    report.group("steady")
}

impl Table {
    /// A figure of one scenario against that of another: at most `bound` times it.
    fn ratio(&mut self, case: char, results: &Results, metric: Metric, keys: [&str; 2], bound: f64) {
        let what = format!("{}: {} against {}", metric.name, keys[0], keys[1]);
        let target = format!("<= {bound:.2} x");
        let figures = keys.map(|key| results.figure(key, metric.of));
        let found = match figures {
            [Some(ours), Some(theirs)] => Some((
                ours.median / theirs.median,
                format!(
                    "{:.2} x ({} against {} {})",
                    ours.median / theirs.median,
                    spread(ours),
                    spread(theirs),
                    metric.unit
                ),
            )),
            _ => None,
        };
        self.add(case, what, target, results, &keys, found.map(|(ratio, words)| (ratio <= bound, words)));
    }

    /// A figure of one scenario: at most `bound`.
    fn limit(&mut self, case: char, results: &Results, key: &str, metric: &Metric, bound: f64) {
        let found = results.figure(key, metric.of);
        let found =
            found.map(|figure| (figure.median <= bound, format!("{} {}", spread(figure), metric.unit)));
        let target = format!("<= {bound} {}", metric.unit);
        self.add(case, format!("{}: {key}", metric.name), target, results, &[key], found);
    }

    /// A figure of one scenario less that of another: at most `bound`.
    fn difference(&mut self, case: char, results: &Results, metric: &Metric, keys: [&str; 2], bound: f64) {
        let what = format!("{}: {} less {}", metric.name, keys[0], keys[1]);
        let found = match keys.map(|key| results.figure(key, metric.of)) {
            [Some(ours), Some(theirs)] => {
                let difference = ours.median - theirs.median;
                Some((difference <= bound, format!("{difference:.1} {}", metric.unit)))
            }
            _ => None,
        };
        self.add(case, what, format!("<= {bound} {}", metric.unit), results, &keys, found);
    }

    /// Everything was delivered in every run, and no sampled receiver missed anything.
    fn complete(&mut self, case: char, results: &Results, key: &str) {
        let groups: Option<Vec<&GroupReport>> = results.runs(key).iter().map(steady).collect();
        let found = groups.filter(|groups| !groups.is_empty()).map(|groups| {
            let delivered = groups.iter().filter_map(|group| group.delivered).fold(1.0, f64::min);
            let skips: u64 = groups.iter().map(|group| group.findings.skips + group.findings.gaps).sum();
            let closed: u64 = groups.iter().map(|group| group.closed).sum();
            let words = format!("{:.3} % delivered, {skips} skips, {closed} closed", delivered * 100.0);
            (delivered >= COMPLETE && skips == 0 && closed == 0, words)
        });
        let target = "100 % delivered, no skip".to_owned();
        self.add(case, format!("delivery: {key}"), target, results, &[key], found);
    }

    /// The main figures of a scenario, without a target.
    fn overview(&mut self, case: char, results: &Results, key: &str) {
        let row = Row {
            case,
            what: key.to_owned(),
            found: overview(results, key).unwrap_or_else(|why| why),
            target: String::new(),
            verdict: Verdict::None,
        };
        self.rows.push(row);
    }

    fn add(
        &mut self,
        case: char,
        what: String,
        target: String,
        results: &Results,
        keys: &[&str],
        found: Option<(bool, String)>,
    ) {
        let doubt = keys.iter().find_map(|key| Some(format!("{key}: {}", results.doubt(key)?)));
        let (verdict, found) = match (doubt, found) {
            (Some(doubt), _) => (Verdict::Void, doubt),
            (None, Some((true, words))) => (Verdict::Met, words),
            (None, Some((false, words))) => (Verdict::Missed, words),
            (None, None) => (Verdict::Void, "no figure".to_owned()),
        };
        self.rows.push(Row { case, what, found, target, verdict });
    }
}

/// The share that counts as all of it: a burst on its way when counting began or ended may be missing from the sum.
const COMPLETE: f64 = 0.99999;

/// Cost, latency, delivery and memory of a scenario in one line.
///
/// # Errors
/// Why it was not run.
pub fn overview(results: &Results, key: &str) -> Result<String, String> {
    if results.runs(key).is_empty() {
        return Err(results.doubt(key).unwrap_or_default());
    }
    let figure = |of: fn(&Report) -> Option<f64>| results.figure(key, of);
    let p50: fn(&Report) -> Option<f64> = |report| Some(steady(report)?.latency_ms.p50);
    let delivered: fn(&Report) -> Option<f64> = |report| Some(steady(report)?.delivered? * 100.0);
    let parts = [
        figure(COST.of).map(|cost| format!("{} s/GB", spread(cost))),
        figure(p50).map(|p50| format!("p50 {} ms", short(p50.median))),
        figure(P99.of).map(|p99| format!("p99 {} ms", spread(p99))),
        figure(delivered).map(|share| format!("{:.2} % delivered", share.least)),
        figure(MEMORY.of).map(|memory| format!("{} MiB", short(memory.median))),
        results.doubt(key).map(|doubt| format!("does not count: {doubt}")),
    ];
    Ok(parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// Median, and from where to where the runs go if there are several.
fn spread(figure: Figure) -> String {
    let Figure { median, least, most } = figure;
    if least == most {
        short(median)
    } else {
        format!("{} [{}-{}]", short(median), short(least), short(most))
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        0.0..10.0 => format!("{value:.3}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}
