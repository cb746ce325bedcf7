//! Protocols as bytes: no socket, no thread, no clock.

pub mod ts;
