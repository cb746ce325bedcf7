//! The tree of nodes, seen from outside: the report that a node makes of itself, and the monitor, which collects the
//! reports, finds out who feeds whom, and shows it.
//!
//! ```text
//! node:    counters ─► snapshot ─► report ─► reporter (side thread) ─► POST /monitor
//! monitor: POST /monitor ─► report ─► collector ─► tree ─► page, GET /monitor, /metrics
//! ```

mod collector;
mod exposition;
mod links;
mod pages;
pub mod report;
mod reporter;
mod routes;
mod server;
mod snapshot;
#[cfg(test)]
mod testing;
mod tree;

pub use reporter::{Destination, start};
pub use server::Monitor;
pub use snapshot::{Source, host_name};
