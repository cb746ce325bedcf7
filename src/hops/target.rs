//! What both kinds of next hop do to get there: ask for addresses, wait after a failure, say what happens.

use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::Registry;

use super::own::Own;
use crate::balance::Balance;
use crate::config::{Datagrams, Framing, HopProtocol, NextHop};
use crate::logging::LogBudget;
use crate::mailbox::{Sender, ToHops};
use crate::metrics::{HopMetrics, HopState, OutputMetrics};
use crate::pace::{Pace, Waits, random};
use crate::resolver::Resolver;

/// A failure that goes on is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What a hop may use while something is done about it.
pub struct Desk<'a> {
    /// The time of this turn of the loop.
    pub now: Instant,
    /// Where connections that are being made are watched.
    pub registry: &'a Registry,
    /// Where addresses are asked for.
    pub resolver: &'a mut Resolver<ToHops>,
    /// Who serves connections that have been made.
    pub workers: &'a mut Balance,
    /// The way back from there.
    pub to_hops: &'a Sender<ToHops>,
    /// Where the node itself listens.
    pub own: &'a Own,
    /// The counters of all hops.
    pub metrics: &'a OutputMetrics,
    /// For lines about any hop.
    pub log: &'a mut LogBudget,
    /// When the next hop is due, see [`wake_by`](Self::wake_by).
    pub due_at: &'a mut Option<Instant>,
}

impl Desk<'_> {
    /// Sees to it that what is due is done at that time.
    pub fn wake_by(&mut self, at: Instant) {
        *self.due_at = Some(self.due_at.map_or(at, |due_at| due_at.min(at)));
    }
}

/// Where a hop is to be found, and how finding it has gone so far.
#[derive(Debug)]
pub struct Target {
    /// Which hop it is, in the order of the configuration.
    pub index: usize,
    hop: NextHop,
    /// `next hop of live tcp://edge-1:55001`.
    name: String,
    pace: Pace,
    tried_at: Instant,
    /// The failure told last, and when.
    told: Option<(String, Instant)>,
}

impl Target {
    /// The hop with that index, which is sent the stream called `stream`.
    #[must_use]
    pub fn new(index: usize, hop: NextHop, stream: &str, waits: Waits, now: Instant) -> Target {
        let host = if hop.host.contains(':') { format!("[{}]", hop.host) } else { hop.host.clone() };
        let scheme = match hop.protocol {
            HopProtocol::Tcp => "tcp",
            HopProtocol::Udp(Datagrams { framing: Framing::Ts | Framing::Message, .. }) => "udp",
            HopProtocol::Udp(Datagrams { framing: Framing::Rtp, .. }) => "rtp",
        };
        let name = format!("next hop of {stream} {scheme}://{host}:{}", hop.port);
        Target { index, hop, name, pace: Pace::new(waits), tried_at: now, told: None }
    }

    /// Begins a try: asks for the addresses.
    pub fn ask(&mut self, desk: &mut Desk) {
        self.tried_at = desk.now;
        desk.resolver.ask(self.index, &self.hop.host, self.hop.port);
    }

    /// The try has come to something: a socket from `local` to `address`.
    pub fn connected(&mut self, local: Option<SocketAddr>, address: SocketAddr, desk: &mut Desk) {
        self.told = None;
        self.metrics(desk).state.set(HopState { connected: true, local, peer: Some(address) });
        self.metrics(desk).connections.add(1);
        if let Some(spent) = desk.log.spend(desk.now) {
            let reached = if self.hop.protocol == HopProtocol::Tcp { "connected" } else { "is sent to" };
            log::info!("{} {reached} ({address}){spent}", self.name);
        }
    }

    /// The try has come to nothing. Returns when to try again.
    pub fn failed(&mut self, why: &dyn Display, desk: &mut Desk) -> Instant {
        self.metrics(desk).failed_tries.add(1);
        let next = self.next_try(desk);
        let wait = next.saturating_duration_since(desk.now).as_secs_f64();
        self.tell(&format!("not reached: {why}"), &format!("; next try in {wait:.1} s"), desk);
        next
    }

    /// What was connected for so long is not any more. Returns when to try again.
    pub fn lost(&mut self, lasted: Duration, why: &dyn Display, desk: &mut Desk) -> Instant {
        self.disconnected(desk);
        self.pace.end(lasted);
        self.tried_at = desk.now;
        let next = self.next_try(desk);
        let wait = next.saturating_duration_since(desk.now).as_secs_f64();
        if let Some(spent) = desk.log.spend(desk.now) {
            let lasted = lasted.as_secs_f64();
            log::warn!("{} lost after {lasted:.1} s: {why}; next try in {wait:.1} s{spent}", self.name);
        }
        next
    }

    /// It has ended and is not tried again for now.
    pub fn left(&mut self, lasted: Duration, why: &dyn Display, desk: &mut Desk) {
        self.disconnected(desk);
        if let Some(spent) = desk.log.spend(desk.now) {
            log::info!("{} left after {:.1} s: {why}{spent}", self.name, lasted.as_secs_f64());
        }
    }

    /// Logs a failure, unless the same was logged less than a minute ago.
    pub fn tell(&mut self, failure: &str, outlook: &str, desk: &mut Desk) {
        let is_news = self.told.as_ref().is_none_or(|(told, at)| {
            told != failure || desk.now.saturating_duration_since(*at) >= TELL_AGAIN
        });
        if is_news && let Some(spent) = desk.log.spend(desk.now) {
            log::warn!("{} {failure}{outlook}{spent}", self.name);
            self.told = Some((failure.to_owned(), desk.now));
        }
    }

    /// The hop's counters.
    pub fn metrics<'a>(&self, desk: &Desk<'a>) -> &'a HopMetrics {
        &desk.metrics.hops[self.index]
    }

    fn disconnected(&self, desk: &Desk) {
        let metrics = self.metrics(desk);
        metrics.lost.add(1);
        metrics.state.set(HopState::default());
    }

    /// Waits count from the beginning of a try, so that one which took long is not followed by a long wait as well.
    fn next_try(&mut self, desk: &mut Desk) -> Instant {
        let wait = self.pace.fail(random());
        let next = (self.tried_at + wait).max(desk.now + self.pace.shortest());
        desk.wake_by(next);
        next
    }
}
