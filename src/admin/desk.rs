//! What the admin port answers to whom. Pure but for a look at the process: time is an argument.

use std::net::IpAddr;
use std::time::Instant;

use serde::Serialize;

use super::clients::Questions;
use super::guard::{self, Names};
use super::observer::Observer;
use super::{exposition, health, streams};
use crate::logging::LogBudget;
use crate::proto::http::{BodyKind, Content, Method, Request, Status, response};
use crate::web::answer::{JSON, content, plain};
use crate::web::{self, Answer, Body, Recent, Reception, Ticket, prometheus};

/// Refusals logged at once, and per second from then on; the others are counted.
const LOG_LINES: (u32, u32) = (10, 1);

/// See the module.
#[derive(Debug)]
pub struct Desk {
    /// What there is to tell.
    pub observer: Observer,
    /// What the other threads are asked.
    pub questions: Questions,
    /// Whether the port is for this machine only: then nobody needs a name to ask it by.
    names: Names,
    metrics: Recent,
    streams: Recent,
    log: LogBudget,
}

impl Desk {
    /// Of a port at `address`.
    #[must_use]
    pub fn new(observer: Observer, questions: Questions, address: IpAddr, now: Instant) -> Desk {
        let names = if address.is_loopback() { Names::Local } else { Names::Any };
        let log = LogBudget::new(LOG_LINES.0, LOG_LINES.1, now);
        Desk { observer, questions, names, metrics: Recent::default(), streams: Recent::default(), log }
    }

    fn show(&mut self, request: &Request, now: Instant) -> Answer {
        let (method, observer) = (request.method, &self.observer);
        match request.path.as_str() {
            "/metrics" => {
                let body = self.metrics.or_make(now, || exposition::text(observer));
                content(method, prometheus::CONTENT_TYPE, body)
            }
            "/api/streams" => {
                let body = self.streams.or_make(now, || json(&streams::streams(observer, now)));
                content(method, JSON, body)
            }
            "/healthz" => {
                let health = health::health(observer);
                verdict(method, health.healthy, &health)
            }
            "/readyz" => {
                let readiness = health::readiness(observer);
                verdict(method, readiness.ready, &readiness)
            }
            "/" => content(method, "text/plain; charset=utf-8", Body::Fixed(OVERVIEW.as_bytes())),
            _ => plain(Status::NotFound, &[], "there is nothing here; / lists what there is"),
        }
    }
}

impl Desk {
    /// `DELETE`.
    fn part(&mut self, path: &str, now: Instant) -> Reception {
        let publisher_of =
            path.strip_prefix("/api/streams/").and_then(|rest| rest.strip_suffix("/publisher"));
        match (path.strip_prefix("/api/clients/"), publisher_of) {
            (Some(id), _) => later(self.questions.part_with_client(id, now)),
            (_, Some(name)) => {
                let layout = self.observer.source().layout.value();
                later(self.questions.part_with_publisher(name, &layout, now))
            }
            _ => Reception::Answered(not_allowed()),
        }
    }
}

impl web::Desk for Desk {
    /// Nothing that is asked has a body; one that comes all the same is read up to here and not looked at.
    const BODY_BYTES_MAX: usize = 1024;

    fn receive(&mut self, request: &Request, from: IpAddr, now: Instant) -> Reception {
        let open = ["/metrics", "/healthz", "/readyz"].contains(&&*request.path);
        let names = if open { self.names } else { Names::Local };
        if let Err(words) = guard::check(request, names) {
            return Reception::Answered(self.refuse(Status::Forbidden, words, from, now));
        }
        match request.body() {
            Ok(BodyKind::None | BodyKind::Length(0)) => {}
            _ => return Reception::Answered(plain(Status::BadRequest, &[], "a request here has no body")),
        }
        let path = request.path.as_str();
        match request.method {
            Method::Get | Method::Head if path == "/api/clients" => {
                let layout = self.observer.source().layout.value();
                later(self.questions.clients(request.method, &request.query, &layout, now))
            }
            Method::Get | Method::Head => Reception::Answered(self.show(request, now)),
            Method::Delete => self.part(path, now),
            _ => Reception::Answered(not_allowed()),
        }
    }

    /// No body is ever asked for.
    fn take(&mut self, _: &[u8], from: IpAddr, now: Instant) -> Answer {
        self.refuse(Status::BadRequest, "a request here has no body", from, now)
    }

    fn refuse(&mut self, status: Status, words: &str, from: IpAddr, now: Instant) -> Answer {
        if let Some(spent) = self.log.spend(now) {
            log::warn!("[admin] {from} was answered {}: {words}{spent}", status.code());
        }
        plain(status, &[], words)
    }

    fn ready(&mut self, ticket: Ticket, now: Instant) -> Option<Answer> {
        self.questions.ready(ticket, &self.observer.source().layout.value(), now)
    }

    fn forget(&mut self, ticket: Ticket) {
        self.questions.forget(ticket);
    }
}

fn later(asked: Result<Ticket, Answer>) -> Reception {
    asked.map_or_else(Reception::Answered, Reception::Later)
}

fn not_allowed() -> Answer {
    plain(Status::MethodNotAllowed, &[("Allow", "GET, HEAD, DELETE")], "not for this path")
}

/// What is at `/`.
const OVERVIEW: &str = "\
GET /metrics        Prometheus
GET /healthz        200 if every thread turns, else 503
GET /readyz         200 if some stream can be played, else 503
GET /api/streams    the node, its streams and next hops
GET /api/clients    receivers; ?stream=NAME &limit=100 &after=ID &order=id|worst
DELETE /api/clients/ID                disconnects a receiver
DELETE /api/streams/NAME/publisher    disconnects the publisher
";

/// Text of our own types.
pub fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own types have nothing that JSON can't say")
}

/// `200` if it is good, `503` if it is not, and in either case what there is to say of it.
fn verdict(method: Method, is_good: bool, value: &impl Serialize) -> Answer {
    let body = json(value);
    let headers = [("Connection", "close"), ("Content-Type", JSON), ("Cache-Control", "no-store")];
    let what = if method == Method::Head { Content::LengthOnly(body.len()) } else { Content::Whole(&body) };
    let status = if is_good { Status::Ok } else { Status::ServiceUnavailable };
    Answer { head: response(status, &headers, what), body: Body::Fixed(b"") }
}
