//! Protocols as bytes: no socket, no thread, no clock.

pub mod http;
pub mod ts;
pub mod ws;
