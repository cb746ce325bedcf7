//! A soak: two nodes under churn for a long time, and whether what they hold grows.
//!
//! Round after round a publisher comes, pushes and goes; viewers of every kind come with it, some stay, some come and go,
//! some are slow, some never read. A few stay on from the first round to the last, over all publishers. The upper node
//! feeds the lower one, and a next hop that hangs up every few seconds. The load is modest: it is time that is to tell.

use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::address::Address;
use crate::content::{Content, Synthetic};
use crate::host::now_ns;
use crate::receive::{Begin, Behaviour, Drain, Group, Outcome, Plan, Receivers, Target};
use crate::run::{Load, run};
use crate::servers::Programs;

mod nodes;
mod samples;

use nodes::Nodes;
use samples::Sampler;
pub use samples::{Sample, Samples};

/// Bits a second of the stream, and its bursts a second.
const RATE: u64 = 2_000_000;
const BURSTS: u32 = 25;

/// How long a publisher stays.
const ROUND_NS: u64 = 25_000_000_000;

/// Between a publisher and its viewers: so long a newcomer at the lower node may be shown the publisher before.
const SETTLE_NS: u64 = 1_000_000_000;

/// How long one that visits stays, and stays away, in milliseconds.
const VISIT_MS: u64 = 1_500;

/// Bytes a second that a slow receiver takes: less than the stream has.
const SLOW_BYTES_PER_SECOND: u64 = RATE / 8 * 6 / 10;

/// Viewers that stay on over all publishers.
const STAYING: usize = 8;

/// Receivers that connect in a second.
const CONNECTS_PER_SECOND: u64 = 50;

/// How often the nodes are looked at.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

const NS_PER_MINUTE: u64 = 60_000_000_000;

/// What came of a soak.
#[derive(Clone, Debug)]
pub struct Soaked {
    /// What the nodes held, second by second.
    pub samples: Samples,
    /// Rounds that were run.
    pub rounds: usize,
    /// Connections of viewers that were served, those that stayed on included.
    pub served: u64,
    /// What went wrong, round by round.
    pub faults: Vec<String>,
}

/// Soaks for so many minutes, and finishes the round that is under way then.
///
/// # Errors
/// When the nodes can't be started, or one of them has ended.
pub fn soak(minutes: u64, programs: &Programs, say: impl Fn(&str)) -> Result<Soaked, String> {
    let nodes = Nodes::start(programs)?;
    let sampler = Sampler::start(nodes.ids());
    let staying = Receivers::start(&plan(&nodes.targets, vec![staying()]), &[], Drain::OnEvent)?;
    let end_ns = now_ns() + minutes * NS_PER_MINUTE;
    let mut soaked = Soaked { samples: Samples::default(), rounds: 0, served: 0, faults: Vec::new() };
    while now_ns() < end_ns {
        soaked.rounds += 1;
        let number = soaked.rounds;
        let report = run(&round(&nodes)?, &ProgressBar::hidden())?;
        let served: u64 = report.groups.iter().map(|group| group.served).sum();
        soaked.served += served;
        soaked.faults.extend(report.invalid.iter().map(|fault| format!("round {number}: {fault}")));
        sampler.rest();
        say(&format!(
            "round {number}: {served} viewers served, {}; {}",
            sampler.latest(),
            if report.invalid.is_empty() { "every byte right".to_owned() } else { report.invalid.join("; ") }
        ));
    }
    soaked.samples = sampler.end();
    let outcome = staying.end([Vec::new(), Vec::new()])?;
    soaked.served += outcome.groups.iter().map(|group| group.served).sum::<u64>();
    soaked.faults.extend(fault_of_staying(&outcome));
    Ok(soaked)
}

/// A publisher, and the viewers that come with it.
fn round(nodes: &Nodes) -> Result<Load, String> {
    let group = |name, count, behaviour, sampled| Group {
        name,
        count,
        behaviour,
        begin: Begin::Measuring(0),
        per_second: CONNECTS_PER_SECOND,
        sampled,
    };
    let groups = vec![
        group("steady", 8, Behaviour::Steady, 4),
        group("slow", 2, Behaviour::Slow(SLOW_BYTES_PER_SECOND), 0),
        group("stalled", 4, Behaviour::Stalled, 0),
        group("visiting", 8, Behaviour::Visiting(VISIT_MS), 4),
    ];
    let content = Arc::new(Content::Synthetic(Synthetic::new(1, RATE, BURSTS)?));
    Ok(Load {
        feeds: vec![(content, nodes.feed.clone())],
        plan: plan(&nodes.targets, groups),
        drain: Drain::OnEvent,
        settle_ns: SETTLE_NS,
        measure_ns: ROUND_NS,
        server: None,
        server_core: None,
    })
}

fn staying() -> Group {
    Group {
        name: "staying",
        count: STAYING,
        behaviour: Behaviour::Steady,
        begin: Begin::AtStart,
        per_second: CONNECTS_PER_SECOND,
        sampled: 0,
    }
}

fn plan(targets: &[Address], groups: Vec<Group>) -> Plan {
    let target = |address: &Address| Target { address: address.clone(), stream: 0 };
    Plan { groups, targets: targets.iter().map(target).collect(), sources: Vec::new() }
}

/// Those that stay on are to be let in, and never let go.
fn fault_of_staying(outcome: &Outcome) -> Option<String> {
    let group = outcome.groups.first()?;
    let why = group.first_failure.as_ref().or(group.first_closing.as_ref());
    let lost = group.failed + group.closed;
    (lost > 0 || group.served < STAYING as u64).then(|| {
        format!(
            "of {STAYING} viewers that were to stay on, {} were served and {lost} lost: {}",
            group.served,
            why.map_or("no reason given", String::as_str)
        )
    })
}
