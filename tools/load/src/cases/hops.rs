//! What it costs to bring a stream to next hops, over UDP and over TCP.

use super::{Case, MB, scenario};
use crate::lab::{Scenario, Shape, Source};
use crate::servers::{By, Hops, Output, Server, Tsstream};

/// Next hops.
const HOPS: usize = 100;

/// Next hops that check what they get. Whoever reads at once is woken by each burst, which on a virtual machine costs the
/// sender more than the burst itself: 20 us, as a profile has it.
const SAMPLED: usize = 4;

/// Bursts of 10 KB.
const BITS_PER_SECOND: u64 = 8 * MB;
const BURSTS_PER_SECOND: u32 = 100;

pub(super) const UDP: Case = Case {
    letter: 'm',
    title: "UDP to 100 next hops, bursts of 10 KB, against one `send` for each datagram",
    scenarios: || {
        let floor = |key, by| over(key, Server::FloorUdp(Hops { by, count: HOPS }));
        vec![
            ours("tsstream udp hops", Output::Hops(Hops { by: By::Udp, count: HOPS })),
            floor("floor-udp hops", By::Udp),
            ours("tsstream gro hops", Output::Hops(Hops { by: By::Gro, count: HOPS })),
            floor("floor-udp gro hops", By::Gro),
        ]
    },
    judge: |results, table| {
        table.cost('m', results, ["tsstream udp hops", "floor-udp hops"], 0.45);
        table.cost('m', results, ["tsstream gro hops", "floor-udp gro hops"], 0.25);
        for key in ["tsstream udp hops", "tsstream gro hops"] {
            table.complete('m', results, key);
        }
        for key in ["tsstream udp hops", "floor-udp hops", "tsstream gro hops", "floor-udp gro hops"] {
            table.overview('m', results, key);
        }
    },
};

pub(super) const TCP: Case = Case {
    letter: 'n',
    title: "TCP to 100 next hops, bursts of 10 KB, against 100 receivers of bare TCP",
    scenarios: || {
        vec![
            ours("tsstream tcp hops", Output::Hops(Hops { by: By::Tcp, count: HOPS })),
            ours("tsstream raw", Output::Raw),
        ]
    },
    judge: |results, table| {
        table.cost('n', results, ["tsstream tcp hops", "tsstream raw"], 1.05);
        table.complete('n', results, "tsstream tcp hops");
        for key in ["tsstream tcp hops", "tsstream raw"] {
            table.overview('n', results, key);
        }
    },
};

fn ours(key: &str, output: Output) -> Scenario {
    over(key, Server::Tsstream(Tsstream { output, ..Tsstream::default() }))
}

fn over(key: &str, server: Server) -> Scenario {
    let source = Source::Synthetic(BITS_PER_SECOND, BURSTS_PER_SECOND);
    scenario(key, server, Shape { source, sampled: SAMPLED, ..Shape::of(HOPS, BITS_PER_SECOND) })
}
