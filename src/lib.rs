//! tsstream receives live streams, above all MPEG-TS, and hands each of them, at once and unchanged, to very many
//! receivers. The modules below stand in the order in which a byte meets them.
//!
//! ```text
//! publisher ─► ingest ─► framer ─► chunk ─► ring ─► mailbox ─► worker: shard ─► outbox ─► socket of each receiver
//!              one thread                           N threads
//! ```
//!
//! There is no async runtime, no `unsafe`, no copy of the stream per receiver, no queue per receiver, and on the way
//! from a chunk to a receiver no allocation, no lock and no log line.

// What a peer sends must never panic a thread. (Tests may.)
#![warn(clippy::unwrap_used, clippy::panic)]

pub mod config;
pub mod proto;
pub mod net;
pub mod ingest;
pub mod chunk;
pub mod ring;
pub mod mailbox;
pub mod inquiry;
pub mod worker;
pub mod hops;
pub mod places;
pub mod balance;
pub mod front;
pub mod pace;
pub mod resolver;
pub mod identity;
pub mod growing;
pub mod notices;
pub mod metrics;
pub mod pulse;
pub mod layout;
pub mod web;
pub mod monitor;
pub mod admin;
pub mod top;
pub mod logging;
pub mod service;
pub mod limits;
pub mod arguments;
pub mod demo;
pub mod reload;
pub mod app;
