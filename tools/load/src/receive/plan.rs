//! Who connects where, when, and how it behaves.

use std::net::{IpAddr, Ipv4Addr};

use crate::address::Address;

/// Receivers per source address: far fewer than there are ports.
const RECEIVERS_PER_SOURCE: usize = 2_000;

/// How a receiver behaves once it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes what comes.
    Steady,
    /// Takes so many bytes a second and no more.
    Slow(u64),
    /// Never reads.
    Stalled,
    /// Takes what comes, leaves after about so many milliseconds, and is back as long after.
    Visiting(u64),
}

/// When receivers connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Before measuring.
    AtStart,
    /// So many nanoseconds after measuring began.
    Measuring(u64),
}

/// Receivers of one kind.
#[derive(Clone, Debug)]
pub struct Group {
    /// What reports call it.
    pub name: &'static str,
    /// How many.
    pub count: usize,
    /// How they behave.
    pub behaviour: Behaviour,
    /// When they connect.
    pub begin: Begin,
    /// How many of them connect in a second; 0: all at once.
    pub per_second: u64,
    /// How many of them read and check what they get.
    pub sampled: usize,
}

/// A stream to receive.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where it is served.
    pub address: Address,
    /// Index of its content.
    pub stream: usize,
}

/// One receiver.
#[derive(Clone, Copy, Debug)]
pub struct Receiver {
    /// Index of its group.
    pub group: usize,
    /// Index of its target.
    pub target: usize,
    /// Where it connects from.
    pub source: Option<IpAddr>,
    /// It reads and checks what it gets.
    pub is_sampled: bool,
    /// When it connects, in nanoseconds after its group begins.
    pub due_ns: u64,
}

/// All receivers of a run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What they are.
    pub groups: Vec<Group>,
    /// Where they go, in turn.
    pub targets: Vec<Target>,
    /// Where they come from, in turn; if empty, from 127.0.0.2 on where the target is on loopback.
    pub sources: Vec<IpAddr>,
}

/// Whether a thread goes before the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Precedence {
    First,
    Normal,
}

impl Plan {
    /// All receivers together.
    #[must_use]
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.count).sum()
    }

    /// Those that connect before measuring.
    #[must_use]
    pub fn at_start(&self) -> usize {
        self.groups.iter().filter(|group| group.begin == Begin::AtStart).map(|group| group.count).sum()
    }

    /// Receivers for each thread: those that read, and those that don't.
    pub(super) fn shares(&self) -> Vec<(Vec<Receiver>, Precedence)> {
        let (reading, discarding) = self.receivers().into_iter().partition::<Vec<_>, _>(|receiver| {
            receiver.is_sampled || matches!(self.groups[receiver.group].behaviour, Behaviour::Slow(_))
        });
        let shares = [(reading, Precedence::First), (discarding, Precedence::Normal)];
        shares.into_iter().filter(|(receivers, _)| !receivers.is_empty()).collect()
    }

    fn receivers(&self) -> Vec<Receiver> {
        let mut receivers = Vec::with_capacity(self.count());
        for (index, group) in self.groups.iter().enumerate() {
            for number in 0..group.count {
                let place = receivers.len();
                let target = place % self.targets.len();
                receivers.push(Receiver {
                    group: index,
                    target,
                    source: self.source(place, target),
                    is_sampled: is_sampled(number, group.sampled, group.count),
                    due_ns: (number as u64 * 1_000_000_000).checked_div(group.per_second).unwrap_or(0),
                });
            }
        }
        receivers
    }

    fn source(&self, place: usize, target: usize) -> Option<IpAddr> {
        if let Some(source) = self.sources.get(place % self.sources.len().max(1)) {
            return Some(*source);
        }
        let target = self.targets[target].address.socket.ip();
        let sources = self.count().div_ceil(RECEIVERS_PER_SOURCE).clamp(1, 200);
        let last = 2 + (place % sources) as u8;
        (target.is_loopback() && target.is_ipv4()).then(|| Ipv4Addr::new(127, 0, 0, last).into())
    }
}

/// Picks `sampled` of `count` numbers, evenly spread, the first and the last of them a little inside.
fn is_sampled(number: usize, sampled: usize, count: usize) -> bool {
    let before = |number: usize| (2 * number * sampled + count) / (2 * count);
    before(number + 1) > before(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread() {
        for (sampled, count) in [(0, 5), (1, 1), (5, 5), (50, 1000), (7, 20), (100, 18_000)] {
            let picked: Vec<usize> =
                (0..count).filter(|number| is_sampled(*number, sampled, count)).collect();
            assert_eq!(picked.len(), sampled);
            let widest = picked.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0);
            assert!(sampled == 0 || widest <= count.div_ceil(sampled));
        }
    }

    #[test]
    fn loopback_has_many_sources() {
        let steady = Group {
            name: "steady",
            count: 5_000,
            behaviour: Behaviour::Steady,
            begin: Begin::AtStart,
            per_second: 1_000,
            sampled: 50,
        };
        let target = |text: &str| Target { address: text.parse().unwrap(), stream: 0 };
        let mut plan =
            Plan { groups: vec![steady], targets: vec![target("tcp://127.0.0.1:5")], sources: vec![] };
        let receivers = plan.receivers();
        assert_eq!(receivers[2].source, Some("127.0.0.4".parse().unwrap()));
        assert_eq!(receivers[3].source, receivers[0].source);
        assert_eq!(receivers[4_999].due_ns, 4_999_000_000);
        plan.targets = vec![target("tcp://192.0.2.1:5")];
        assert_eq!(plan.receivers()[0].source, None);
        plan.sources = vec!["192.0.2.7".parse().unwrap()];
        assert_eq!(plan.receivers()[9].source, Some(plan.sources[0]));
    }
}
