//! The small HTTP server of the ports that operators use: RunMode `monitor`, and the admin port.
//!
//! One thread, one poll, one request to a connection. Everything is bounded: connections, the time of each phase, the
//! sizes of requests. What is answered is the business of a [`Desk`].

pub mod answer;
mod conn;
pub mod prometheus;
mod recent;
mod server;

use std::net::IpAddr;
use std::time::Instant;

pub use answer::{Answer, Body};
pub use recent::Recent;
pub use server::Server;

use crate::proto::http::{BodyKind, Request, Status};

/// Who answers what is asked. Time is an argument.
pub trait Desk {
    /// The most bytes that the body of a request may have.
    const BODY_BYTES_MAX: usize;

    /// Answers a request as soon as its head is there, or says what is needed first.
    fn receive(&mut self, request: &Request, from: IpAddr, now: Instant) -> Reception;

    /// Answers a request whose body is complete.
    fn take(&mut self, body: &[u8], from: IpAddr, now: Instant) -> Answer;

    /// Answers what can't be read any further.
    fn refuse(&mut self, status: Status, words: &str, from: IpAddr, now: Instant) -> Answer;

    /// The answer that was promised by [`Reception::Later`], once it is there.
    fn ready(&mut self, ticket: Ticket, now: Instant) -> Option<Answer>;

    /// Nobody waits for that answer any more.
    fn forget(&mut self, ticket: Ticket);
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Reception {
    /// This answers it.
    Answered(Answer),
    /// Its body is needed, whose end is known by this.
    Body(BodyKind),
    /// Others must be asked first.
    Later(Ticket),
}

/// Stands for an answer to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub u64);
