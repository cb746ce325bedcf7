//! The input side with real sockets: what publishers send reaches a worker, and what they must not do they can't.
#![allow(clippy::panic, clippy::unwrap_used, reason = "that is how a test fails")]

mod garbage;
mod http;
mod node;
mod tcp;
mod udp;
mod workers;
