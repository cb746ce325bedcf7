//! Why an upstream is given up, for now.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::ingest::framer::NotPackets;
use crate::metrics::{Counter, PullFailures};
use crate::proto::relay::HOPS_MAX;
use crate::proto::ws::Violation;
use crate::proto::ws::client::NotOpened;

/// See the module.
#[derive(Debug)]
pub enum Failure {
    /// Its name has no address, or none in time.
    Unresolved(io::Error),
    /// There is no connection to be had.
    Unreachable(io::Error),
    /// It has sent nothing of use for so long.
    Silent(Duration),
    /// It has closed the connection, with this code if any.
    Closed(Option<u16>),
    /// The connection broke.
    Broken(io::Error),
    /// It has answered with something else than a WebSocket.
    NotOpened(NotOpened),
    /// It has broken the WebSocket protocol.
    Violation(Violation),
    /// What it says is not what a node says.
    Malformed(&'static str),
    /// The stream comes to it through this node.
    Loop,
    /// The stream comes to it through as many nodes as there may be.
    TooFar,
    /// It does not have what comes next, while the one in use has.
    Gap,
}

impl Failure {
    /// Where it is counted, if it is the upstream's failure.
    pub fn counter<'a>(&self, failures: &'a PullFailures) -> Option<&'a Counter> {
        match self {
            Failure::Unresolved(_) => Some(&failures.unresolved),
            Failure::Unreachable(_) => Some(&failures.unreachable),
            Failure::Silent(_) => Some(&failures.silent),
            Failure::Closed(_) | Failure::Broken(_) => Some(&failures.closed),
            // Refused by a node that knows us for one of those before it.
            Failure::NotOpened(NotOpened::Status(409, _)) => Some(&failures.looped),
            Failure::NotOpened(_) => Some(&failures.refused),
            Failure::Violation(_) | Failure::Malformed(_) => Some(&failures.malformed),
            Failure::Loop | Failure::TooFar => Some(&failures.looped),
            Failure::Gap => None,
        }
    }
}

impl From<NotPackets> for Failure {
    fn from(NotPackets: NotPackets) -> Failure {
        Failure::Malformed("it sends what is not whole TS packets")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Unresolved(error) => write!(f, "its name can't be resolved: {error}"),
            Failure::Unreachable(error) => write!(f, "no connection: {error}"),
            Failure::Silent(time) => write!(f, "nothing came for {:.1} s", time.as_secs_f64()),
            Failure::Closed(Some(code)) => write!(f, "it closed the connection with code {code}"),
            Failure::Closed(None) => write!(f, "it closed the connection"),
            Failure::Broken(error) => write!(f, "the connection broke: {error}"),
            Failure::NotOpened(NotOpened::Malformed) => write!(f, "it does not speak HTTP"),
            Failure::NotOpened(NotOpened::WrongKey) => write!(f, "it does not agree to a WebSocket"),
            Failure::NotOpened(NotOpened::Status(status, words)) if words.is_empty() => {
                write!(f, "it answered {status} instead of a WebSocket")
            }
            Failure::NotOpened(NotOpened::Status(status, words)) => {
                write!(f, "it answered {status} instead of a WebSocket: {words:?}")
            }
            Failure::Violation(violation) => write!(f, "it broke the WebSocket protocol: {violation}"),
            Failure::Malformed(what) => f.write_str(what),
            Failure::Loop => write!(f, "that would be a loop: its stream comes through this node"),
            Failure::TooFar => write!(f, "its stream comes through {HOPS_MAX} nodes already"),
            Failure::Gap => write!(f, "it does not have what comes next yet"),
        }
    }
}
