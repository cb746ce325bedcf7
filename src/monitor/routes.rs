//! What the monitor answers to whom. Pure: time is an argument.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::collector::{Collector, Full, NotDismissed};
use super::report::{self, REPORT_BYTES_MAX};
use super::tree::{self, Counts};
use super::{exposition, pages};
use crate::config::{Authority, Secret};
use crate::logging::LogBudget;
use crate::proto::http::{BodyKind, Content, Method, Request, Status, refusal, response};

/// An answer about all nodes is given for so long, to whoever asks: many pages cost no more than one, and what slow
/// ones have not taken yet is not held once for each.
const ANSWER_AGE_MAX: Duration = Duration::from_millis(200);

/// Refusals logged at once, and per second from then on; the others are counted.
const LOG_LINES: (u32, u32) = (10, 1);

/// The nodes, and who may report and ask.
#[derive(Debug)]
pub struct Desk {
    collector: Collector,
    secret: Secret,
    authority: Authority,
    counts: Counts,
    recent: [Option<Recent>; 3],
    log: LogBudget,
}

/// A complete answer, after which the connection is closed.
#[derive(Debug)]
pub struct Answer {
    /// The head, and for short answers the body as well.
    pub head: Vec<u8>,
    /// The rest of the body.
    pub body: Body,
}

/// A body, or what is left of it.
#[derive(Clone, Debug)]
pub enum Body {
    /// Part of the program.
    Fixed(&'static [u8]),
    /// Made not long ago, for anybody.
    Shared(Arc<[u8]>),
}

impl Body {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Fixed(bytes) => bytes,
            Body::Shared(bytes) => bytes,
        }
    }
}

/// The answers about all nodes.
#[derive(Clone, Copy, Debug)]
enum About {
    Reports,
    Tree,
    Metrics,
}

#[derive(Debug)]
struct Recent {
    made: Instant,
    body: Arc<[u8]>,
}

impl Desk {
    /// Without any node yet.
    #[must_use]
    pub fn new(nodes_max: usize, secret: Secret, authority: Authority, now: Instant) -> Desk {
        Desk {
            collector: Collector::new(nodes_max),
            secret,
            authority,
            counts: Counts::default(),
            recent: [const { None }; 3],
            log: LogBudget::new(LOG_LINES.0, LOG_LINES.1, now),
        }
    }

    /// Answers a request as soon as its head is there, or says how its body ends, which is needed first.
    ///
    /// # Errors
    /// The answer, if the body is not needed.
    pub fn receive(&mut self, request: &Request, from: IpAddr, now: Instant) -> Result<BodyKind, Answer> {
        match (request.method, request.path.as_str()) {
            (Method::Post, "/monitor") => {
                self.admit(request, from).map_err(|(status, words)| self.refuse(status, words, from, now))
            }
            (Method::Get | Method::Head, path) => Err(self.show(request, path, now)),
            (Method::Delete, path) if path.starts_with("/node/") => Err(self.dismiss(path, now)),
            _ => Err(plain(
                Status::MethodNotAllowed,
                &[("Allow", "GET, HEAD, POST, DELETE")],
                "not for this path",
            )),
        }
    }

    /// Answers a report that is complete.
    pub fn take(&mut self, body: &[u8], from: IpAddr, now: Instant) -> Answer {
        let taken = report::parse(body).map_err(|words| (Status::BadRequest, words)).and_then(|report| {
            let full = |Full| (Status::ServiceUnavailable, "MaxNodes nodes report already");
            self.collector.take(report, from, now).map_err(full)
        });
        if let Err((status, words)) = taken {
            return self.refuse(status, words, from, now);
        }
        self.counts.reports += 1;
        let headers = [("Connection", "close"), ("Content-Type", JSON)];
        let body = br#"{"code":200,"msg":"Success"}"#;
        Answer { head: response(Status::Ok, &headers, Content::Whole(body)), body: Body::Fixed(b"") }
    }

    /// Answers what can't be read any further.
    pub fn refuse(&mut self, status: Status, words: &str, from: IpAddr, now: Instant) -> Answer {
        self.counts.refused += 1;
        if let Some(spent) = self.log.spend(now) {
            log::warn!("report from {from} refused: answered {}: {words}{spent}", status.code());
        }
        let challenge = [("WWW-Authenticate", "Bearer")];
        plain(status, if status == Status::Unauthorized { &challenge } else { &[] }, words)
    }

    /// Whether a report may come, from its head.
    fn admit(&self, request: &Request, from: IpAddr) -> Result<BodyKind, (Status, &'static str)> {
        if !self.authority.allows(from) {
            return Err((Status::Forbidden, "not listed in [authority]"));
        }
        let bearer = request.header("Authorization").and_then(|value| value.split_once(' '));
        let offered = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let offered = offered.map_or("", |(_, secret)| secret.trim());
        if !self.secret.is_empty() && !self.secret.matches(offered.as_bytes()) {
            return Err((Status::Unauthorized, "the secret is wrong or missing"));
        }
        match request.body().map_err(|error| (error.status(), "where the report ends can't be told"))? {
            BodyKind::Length(bytes) if bytes > REPORT_BYTES_MAX as u64 => Err(TOO_LARGE),
            kind @ (BodyKind::Length(_) | BodyKind::Chunked) => Ok(kind),
            BodyKind::None | BodyKind::UntilClose => {
                Err((Status::BadRequest, "a report needs a Content-Length or chunks"))
            }
        }
    }

    fn show(&mut self, request: &Request, path: &str, now: Instant) -> Answer {
        if let Some(page) = pages::page(path) {
            return page.answer(request.method);
        }
        let (about, content_type) = match path {
            "/monitor" => (About::Reports, JSON),
            "/tree" => (About::Tree, JSON),
            "/metrics" => (About::Metrics, "text/plain; version=0.0.4; charset=utf-8"),
            _ => {
                let key = path.strip_prefix("/node/");
                return match key.and_then(|key| tree::detail(&self.collector, key, now)) {
                    Some(body) => content(request.method, JSON, Body::Shared(body.into())),
                    None => plain(Status::NotFound, &[], "there is nothing here"),
                };
            }
        };
        content(request.method, content_type, Body::Shared(self.recent(about, now)))
    }

    fn recent(&mut self, about: About, now: Instant) -> Arc<[u8]> {
        let recent = &mut self.recent[about as usize];
        match recent {
            Some(recent) if now.saturating_duration_since(recent.made) < ANSWER_AGE_MAX => {
                recent.body.clone()
            }
            _ => {
                let body: Arc<[u8]> = match about {
                    About::Reports => tree::reports(&self.collector).into(),
                    About::Tree => tree::tree(&self.collector, self.counts, now).into(),
                    About::Metrics => exposition::text(&self.collector, self.counts, now).into_bytes().into(),
                };
                *recent = Some(Recent { made: now, body: body.clone() });
                body
            }
        }
    }

    /// Anybody who sees the page may: only what is silent can be forgotten, and it is back with its next report. A page
    /// of another site can't, since browsers ask first whether they may send a `DELETE`, and get no leave.
    fn dismiss(&mut self, path: &str, now: Instant) -> Answer {
        let key = path.strip_prefix("/node/").unwrap_or_default();
        match self.collector.dismiss(key, now) {
            Ok(()) => {
                self.recent = [const { None }; 3];
                let headers = [("Connection", "close")];
                Answer { head: response(Status::NoContent, &headers, Content::None), body: Body::Fixed(b"") }
            }
            Err(NotDismissed::Unknown) => plain(Status::NotFound, &[], "there is no such node"),
            Err(NotDismissed::Alive) => plain(Status::Conflict, &[], "the node is not silent"),
        }
    }
}

/// How a report is refused that is too large.
pub const TOO_LARGE: (Status, &str) = (Status::ContentTooLarge, "a report has at most 64 KiB");

const JSON: &str = "application/json";

fn content(method: Method, content_type: &str, body: Body) -> Answer {
    let headers = [
        ("Connection", "close"),
        ("Content-Type", content_type),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ];
    answer(method, &headers, body)
}

/// `200` with `body`, or without it if only the head was asked for.
pub fn answer(method: Method, headers: &[(&str, &str)], body: Body) -> Answer {
    let head = response(Status::Ok, headers, Content::LengthOnly(body.bytes().len()));
    Answer { head, body: if method == Method::Head { Body::Fixed(b"") } else { body } }
}

fn plain(status: Status, headers: &[(&str, &str)], words: &str) -> Answer {
    Answer { head: refusal(status, headers, words), body: Body::Fixed(b"") }
}
