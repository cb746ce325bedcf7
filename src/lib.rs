//! tsstream receives live streams and hands each of them, at once and unchanged, to very many receivers.

pub mod chunk;
pub mod config;
pub mod ingest;
pub mod mailbox;
pub mod metrics;
pub mod net;
pub mod proto;
pub mod ring;
