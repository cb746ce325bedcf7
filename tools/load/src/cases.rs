//! The cases that the server is judged by: what is run, and what must come of it.

mod hops;

use crate::floor;
use crate::lab::{Scenario, Shape, Source};
use crate::metric::{MEMORY, MEMORY_EACH, P99, STORM_FIRST_BYTE, WRITES_PER_FRAME};
use crate::results::Results;
use crate::servers::{Input, PEERS, Server, Tsstream};
use crate::table::Table;

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

const MB: u64 = 1_000_000;

/// Idle receivers of case g.
const IDLE: usize = 8_000;

/// Case l is measured once the rings are full (`[buffer] Seconds`, 10), in nanoseconds: until then each chunk is memory
/// new to the process, which is paid for once and not for as long as it runs.
const RINGS_FULL_NS: u64 = 11_000_000_000;

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
            table.cost('a', results, ["tsstream 1000", "floor-send 1000"], 1.10);
            for peer in PEERS {
                table.cost('a', results, ["tsstream 1000", peer.name], 1.0);
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
                table.cost('b', results, [key, "floor-send 1000"], 1.15);
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
            table.cost('i', results, ["tsstream coalesce 350", "tsstream 1000"], 0.4);
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
            table.cost('k', results, ["tsstream workers4", "tsstream 1000"], 1.10);
        },
    },
    Case {
        letter: 'l',
        title: "500 streams of 0.5 Mb/s with 4 receivers each, against one with 2,000",
        scenarios: || {
            let server = || Server::Tsstream(Tsstream { input: Input::Http, ..Tsstream::default() });
            let one = Shape { sampled: 50, settle_ns: RINGS_FULL_NS, ..Shape::of(2_000, 500_000) };
            let many = Shape { streams: 500, ..one };
            vec![scenario("tsstream 500x4", server(), many), scenario("tsstream 1x2000", server(), one)]
        },
        judge: |results, table| {
            table.complete('l', results, "tsstream 500x4");
            table.cost('l', results, ["tsstream 500x4", "tsstream 1x2000"], 1.3);
        },
    },
    hops::UDP,
    hops::TCP,
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
    /// What is run for it, one after the other: a case has no figure of another's run, which may be minutes old.
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
