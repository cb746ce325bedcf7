//! Protocols as bytes: no socket, no thread, no clock.

pub mod http;
pub mod proxy;
pub mod relay;
pub mod ts;
pub mod ws;
