//! The admin port (`[admin]`): what an operator and their programs may see and do while a node runs.
//!
//! A thread of its own with a small HTTP server. It reads counters that the other threads keep anyway, and asks workers
//! and ingest by messages for the rest, so that it disturbs no stream whatever is asked of it, and by however many.
//!
//! ```text
//! counters ─► observer (each second) ─► exposition, streams, health ─► /metrics, /api/streams, /healthz, /readyz
//! clients ◄─► workers, ingest (by messages) ─► /api/clients, DELETE
//! ```

pub mod api;
mod clients;
mod desk;
mod exposition;
mod families;
mod guard;
mod health;
mod observer;
mod process;
mod server;
mod streams;

pub use server::Admin;
