//! The subcommands and their arguments.

use clap::Subcommand;

pub(crate) mod cases;
pub(crate) mod compare;
pub(crate) mod floor;
pub(crate) mod hop;
mod lab;
pub(crate) mod run;
pub(crate) mod soak;
mod values;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Feed a server, receive from it, report
    Run(Box<run::Arguments>),
    /// Compare servers that are started for it: ours, the floors, peers
    Compare(Box<compare::Arguments>),
    /// Run the cases that tsstream is judged by, and print the table of targets, ratios and verdicts
    Cases(Box<cases::Arguments>),
    /// Keep two nodes busy for long, and say whether what they hold grows
    Soak(soak::Arguments),
    /// Measure the time that one hop adds, however the stream gets to the next node
    Hop(hop::Arguments),
    /// Be the least server: a `send` of each burst to each receiver
    FloorSend(floor::Arguments),
    /// Be the least server that copes with overload: a ring, a cursor per receiver, `writev` of what is pending
    FloorRing(floor::Arguments),
    /// Be the least server for datagrams: a `send` of each datagram to each receiver
    FloorUdp(floor::DatagramArguments),
}
