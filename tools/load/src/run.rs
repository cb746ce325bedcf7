//! One run: connect, let it settle, measure, stop the feed, let the rest arrive, report.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::ProgressBar;

use crate::address::Address;
use crate::content::Content;
use crate::feed::Feed;
use crate::host::{allow_descriptors, now_ns, sleep_until};
use crate::process::{Tree, Usage, used_by_others};
use crate::receive::{Counts, Drain, Plan, Receivers};
use crate::report::{Fed, Report, ServerUse};

/// So long receivers may take to connect, on top of what the rate of connecting asks for.
const CONNECT_NS_MAX: u64 = 20 * NS_PER_S;

/// So long the rest may take to arrive once the feed has stopped.
const REST_NS_MAX: u64 = 5 * NS_PER_S;

/// Nothing has come for so long: everything has arrived.
const QUIET_NS: u64 = 300_000_000;

/// How often memory is looked at and the progress line drawn.
const TICK: Duration = Duration::from_millis(100);

/// Descriptors of our own beside those of receivers and feeds.
const DESCRIPTORS_SPARE: u64 = 64;

const NS_PER_S: u64 = 1_000_000_000;

/// What a run does. It connects to the addresses named here and to no others.
#[derive(Clone, Debug)]
pub struct Load {
    /// The streams and where each is fed to; none if the server has its own.
    pub feeds: Vec<(Arc<Content>, Address)>,
    /// The receivers.
    pub plan: Plan,
    /// How those that don't read are emptied.
    pub drain: Drain,
    /// Between the last connection and measuring, in nanoseconds.
    pub settle_ns: u64,
    /// How long is measured, in nanoseconds.
    pub measure_ns: u64,
    /// The process of the server, if it is to be looked at.
    pub server: Option<u32>,
    /// The core that it has to itself, if it has one.
    pub server_core: Option<usize>,
}

impl Load {
    fn tree(&self) -> Result<Option<Tree>, String> {
        self.server.map(|id| Tree::of(id, self.server_core)).transpose()
    }
}

/// Does what `load` says.
///
/// # Errors
/// When there are too few descriptors, the feed is refused or broken off, nobody can connect, or there is no such server.
pub fn run(load: &Load, progress: &ProgressBar) -> Result<Report, String> {
    let plan = &load.plan;
    if plan.count() == 0 {
        return Err("no receivers are asked for".to_owned());
    }
    allow_descriptors((plan.count() + load.feeds.len()) as u64 + DESCRIPTORS_SPARE)?;
    let before = load.tree()?.map(|tree| tree.usage());
    let feed = match load.feeds.as_slice() {
        [] => None,
        feeds => Some(Feed::start(feeds.to_vec())?),
    };
    let contents: Vec<_> = load.feeds.iter().map(|(content, _)| Arc::clone(content)).collect();
    let receivers = Receivers::start(plan, &contents, load.drain)?;
    let tree = load.tree()?;
    let mut watch = Watch { load, progress, receivers: &receivers, feed: feed.as_ref(), tree, peak: 0 };
    // Without a feed there is no steady state to wait for: a download may be over before the last has connected.
    let mut start = load.feeds.is_empty().then(|| Start::take(&watch));

    let connecting_ns =
        plan.groups.iter().map(|group| group.count as u64 * NS_PER_S / group.per_second.max(1));
    let connecting_ns = connecting_ns.max().unwrap_or(0).min(3600 * NS_PER_S);
    let deadline_ns = now_ns() + connecting_ns + CONNECT_NS_MAX;
    watch.until("connecting", |counts| counts.waiting == 0 || now_ns() > deadline_ns)?;
    let nobody = plan.at_start() > 0 && receivers.counts().served == 0;
    if nobody && receivers.counts().failed > 0 {
        let outcome = receivers.end([Vec::new(), Vec::new()])?;
        let why = outcome.groups.into_iter().find_map(|group| group.first_failure).unwrap_or_default();
        return Err(format!("no receiver could connect: {why}"));
    }
    let settled_ns = now_ns() + load.settle_ns;
    watch.until("settling", |_| now_ns() >= settled_ns)?;

    watch.tree = load.tree()?;
    let connected = watch.tree.as_ref().map(Tree::usage);
    if let (None, Some(feed)) = (&start, &feed) {
        sleep_until(between_bursts(feed, &load.feeds[0].0));
    }
    let Start { snapshot: start, others_s } = start.take().unwrap_or_else(|| Start::take(&watch));
    let end_ns = now_ns() + load.measure_ns;
    watch.until("measuring", |counts| {
        let is_deserted = load.feeds.is_empty() && counts.served == 0 && counts.waiting == 0;
        now_ns() >= end_ns || is_deserted
    })?;
    if let Some(feed) = &feed {
        feed.stop();
    }
    let measured_ns = now_ns() - start.time_ns;
    let (mut last, rest_ns) = ((receivers.counts().bytes, now_ns()), now_ns() + REST_NS_MAX);
    watch.until("waiting for the rest", |counts| {
        if counts.bytes != last.0 {
            last = (counts.bytes, now_ns());
        }
        load.feeds.is_empty() || now_ns() > last.1 + QUIET_NS || now_ns() > rest_ns
    })?;
    let end = Snapshot::take(&watch);
    let others_s = used_by_others(watch.tree.as_slice()) - others_s;
    let others = (others_s / ((end.time_ns - start.time_ns) as f64 / 1e9)).max(0.0);
    let peak = watch.peak;
    let outcome = receivers.end([start.fed.bytes.clone(), end.fed.bytes.clone()])?;
    let lateness = feed.map(Feed::end).transpose()?;
    let server = match (before, start.usage, connected, end.usage) {
        (Some(before), Some(start), Some(connected), Some(end)) => {
            Some(ServerUse { before, start, connected, peak_bytes: peak, end })
        }
        _ => None,
    };
    Ok(Report::new(load, measured_ns, [&start.fed, &end.fed], outcome, lateness, server, others))
}

/// A time soon to come that is half-way between two bursts, so that no bytes are on their way when counting begins.
fn between_bursts(feed: &Feed, content: &Content) -> u64 {
    let sent = feed.sent()[0].bursts.load(Ordering::Relaxed);
    let (next, after) = (content.due_ns(sent + 1), content.due_ns(sent + 2));
    feed.origin_ns + next + (after - next) / 2
}

/// What there was when measuring began.
struct Start {
    snapshot: Snapshot,
    /// What other programs had used.
    others_s: f64,
}

impl Start {
    fn take(watch: &Watch<'_>) -> Start {
        watch.receivers.measure();
        Start { snapshot: Snapshot::take(watch), others_s: used_by_others(watch.tree.as_slice()) }
    }
}

struct Snapshot {
    time_ns: u64,
    usage: Option<Usage>,
    fed: Fed,
}

impl Snapshot {
    fn take(watch: &Watch<'_>) -> Snapshot {
        let sent = watch.feed.map(Feed::sent).unwrap_or_default();
        Snapshot {
            time_ns: now_ns(),
            usage: watch.tree.as_ref().map(Tree::usage),
            fed: Fed {
                bytes: sent.iter().map(|sent| sent.bytes.load(Ordering::Relaxed)).collect(),
                bursts: sent.iter().map(|sent| sent.bursts.load(Ordering::Relaxed)).collect(),
            },
        }
    }
}

/// Looks after a run while it waits.
struct Watch<'a> {
    load: &'a Load,
    progress: &'a ProgressBar,
    receivers: &'a Receivers,
    feed: Option<&'a Feed>,
    tree: Option<Tree>,
    /// The most resident memory seen, in bytes.
    peak: u64,
}

impl Watch<'_> {
    fn until(&mut self, what: &str, mut is_over: impl FnMut(Counts) -> bool) -> Result<(), String> {
        loop {
            let counts = self.receivers.counts();
            if self.feed.is_some_and(Feed::has_failed) {
                // It says why when it is asked to end.
                return Ok(());
            }
            if let Some(tree) = &self.tree {
                let usage = tree.usage();
                if usage.processes == 0 {
                    return Err("the server has ended during the run".to_owned());
                }
                self.peak = self.peak.max(usage.resident_bytes);
            }
            let Counts { served, failed, closed, bytes, .. } = counts;
            let asked = self.load.plan.count();
            self.progress.set_message(format!(
                "{what}: {served} of {asked} receivers served, {failed} failed, {closed} closed, {:.1} MB received",
                bytes as f64 / 1e6
            ));
            self.progress.tick();
            if is_over(counts) {
                return Ok(());
            }
            std::thread::sleep(TICK);
        }
    }
}
