//! The subcommands and their arguments.

use clap::Subcommand;

pub(crate) mod floor;
pub(crate) mod run;
mod values;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Feed a server, receive from it, report
    Run(Box<run::Arguments>),
    /// Be the least server: a `send` of each burst to each receiver
    FloorSend(floor::Arguments),
    /// Be the least server that copes with overload: a ring, a cursor per receiver, `writev` of what is pending
    FloorRing(floor::Arguments),
}
