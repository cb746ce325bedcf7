//! Why a receiver's connection ended, in the words of the log.

use std::fmt;
use std::io::ErrorKind;

use crate::proto::ws::Violation;

/// Why a receiver's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// The receiver closed the connection, or said goodbye.
    ClosedByReceiver,
    /// The connection broke.
    Socket(ErrorKind),
    /// It took nothing for the stall limit.
    Stalled,
    /// It did not ask for anything in time.
    Silent,
    /// It did not answer a ping.
    NoPong,
    /// It broke the WebSocket protocol.
    Violation(Violation),
    /// Its address is in `FilterIps`.
    Filtered,
    /// A trusted proxy did not say for whom it connects, where it has to.
    NoProxyHeader,
    /// `MaxClients` or `MaxClientsPerIp` was reached.
    Full,
    /// The system has no room to watch one more connection.
    NotWatched,
    /// The node is ending.
    NodeEnds,
    /// An operator has asked for it, by the admin port.
    Dismissed,
}

/// The kinds of reasons, as metrics tell them apart.
pub const REASONS: [&str; 13] = [
    "closed",
    "reset",
    "out_of_reach",
    "broken",
    "stalled",
    "silent",
    "no_pong",
    "violation",
    "filtered",
    "full",
    "node_ends",
    "operator",
    "no_proxy_header",
];

impl Leave {
    /// Which of [`REASONS`] it is.
    #[must_use]
    pub fn reason(self) -> usize {
        match self {
            Leave::ClosedByReceiver => 0,
            Leave::Socket(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => 1,
            Leave::Socket(ErrorKind::TimedOut) => 2,
            Leave::Socket(_) | Leave::NotWatched => 3,
            Leave::Stalled => 4,
            Leave::Silent => 5,
            Leave::NoPong => 6,
            Leave::Violation(_) => 7,
            Leave::Filtered => 8,
            Leave::Full => 9,
            Leave::NodeEnds => 10,
            Leave::Dismissed => 11,
            Leave::NoProxyHeader => 12,
        }
    }
}

impl fmt::Display for Leave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leave::ClosedByReceiver => f.write_str("closed by receiver"),
            Leave::Socket(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                f.write_str("reset by receiver")
            }
            Leave::Socket(ErrorKind::TimedOut) => f.write_str("receiver is out of reach"),
            Leave::Socket(kind) => write!(f, "connection broke: {kind}"),
            Leave::Stalled => f.write_str("stalled: took nothing for StallLimit"),
            Leave::Silent => f.write_str("sent no request in time"),
            Leave::NoPong => f.write_str("did not answer a ping"),
            Leave::Violation(violation) => write!(f, "broke the WebSocket protocol: {violation}"),
            Leave::Filtered => f.write_str("its address is in FilterIps"),
            Leave::NoProxyHeader => {
                f.write_str("began without a PROXY header, though TrustedProxies lists it")
            }
            Leave::Full => f.write_str("the node is full (MaxClients, MaxClientsPerIp)"),
            Leave::NotWatched => f.write_str("the system can't watch one more connection"),
            Leave::NodeEnds => f.write_str("the node is ending"),
            Leave::Dismissed => f.write_str("disconnected by the operator"),
        }
    }
}
