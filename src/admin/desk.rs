//! What the admin port answers to whom. Pure but for a look at the process: time is an argument.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::guard::{self, Names};
use super::observer::Observer;
use super::{exposition, health, streams};
use crate::logging::LogBudget;
use crate::proto::http::{BodyKind, Content, Method, Request, Status, response};
use crate::web::answer::{JSON, content, plain};
use crate::web::{self, Answer, Body, Reception, Ticket, prometheus};

/// What costs something to make is given for so long to whoever asks, so that it costs the same however many ask.
const ANSWER_AGE_MAX: Duration = Duration::from_millis(200);

/// Refusals logged at once, and per second from then on; the others are counted.
const LOG_LINES: (u32, u32) = (10, 1);

/// See the module.
#[derive(Debug)]
pub struct Desk {
    /// What there is to tell.
    pub observer: Observer,
    /// Whether the port is for this machine only: then nobody needs a name to ask it by.
    names: Names,
    metrics: Option<Recent>,
    streams: Option<Recent>,
    log: LogBudget,
}

#[derive(Debug)]
struct Recent {
    made: Instant,
    body: Arc<[u8]>,
}

impl Desk {
    /// Of a port at `address`.
    #[must_use]
    pub fn new(observer: Observer, address: IpAddr, now: Instant) -> Desk {
        let names = if address.is_loopback() { Names::Local } else { Names::Any };
        let log = LogBudget::new(LOG_LINES.0, LOG_LINES.1, now);
        Desk { observer, names, metrics: None, streams: None, log }
    }

    fn show(&mut self, request: &Request, now: Instant) -> Answer {
        let (method, observer) = (request.method, &self.observer);
        match request.path.as_str() {
            "/metrics" => {
                let body = recent(&mut self.metrics, now, || exposition::text(observer));
                content(method, prometheus::CONTENT_TYPE, body)
            }
            "/api/streams" => {
                let body = recent(&mut self.streams, now, || json(&streams::streams(observer, now)));
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
        Reception::Answered(match request.method {
            Method::Get | Method::Head => self.show(request, now),
            _ => plain(Status::MethodNotAllowed, &[("Allow", "GET, HEAD")], "not for this path"),
        })
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

    fn ready(&mut self, _: Ticket, _: Instant) -> Option<Answer> {
        None
    }

    fn forget(&mut self, _: Ticket) {}
}

/// What is at `/`.
const OVERVIEW: &str = "\
GET /metrics        Prometheus
GET /healthz        200 if every thread turns, else 503
GET /readyz         200 if some stream can be played, else 503
GET /api/streams    the node, its streams and next hops
";

fn recent(recent: &mut Option<Recent>, now: Instant, make: impl FnOnce() -> Vec<u8>) -> Body {
    match recent {
        Some(recent) if now.saturating_duration_since(recent.made) < ANSWER_AGE_MAX => {
            Body::Shared(Arc::clone(&recent.body))
        }
        _ => {
            let body: Arc<[u8]> = make().into();
            *recent = Some(Recent { made: now, body: Arc::clone(&body) });
            Body::Shared(body)
        }
    }
}

fn json(value: &impl Serialize) -> Vec<u8> {
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
