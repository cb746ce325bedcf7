//! What the monitor answers to whom. Pure: time is an argument.

use std::net::IpAddr;
use std::time::Instant;

use super::collector::{Collector, Full, NotDismissed};
use super::report::{self, REPORT_BYTES_MAX};
use super::tree::{self, Counts};
use super::{exposition, pages};
use crate::config::{Authority, Secret};
use crate::logging::LogBudget;
use crate::proto::http::{BodyKind, Content, Method, Request, Status, response};
use crate::web::answer::{JSON, content, done, plain};
use crate::web::{self, Answer, Body, Recent, Reception, Ticket, prometheus};

/// Refusals logged at once, and per second from then on; the others are counted.
const LOG_LINES: (u32, u32) = (10, 1);

/// The nodes, and who may report and ask.
#[derive(Debug)]
pub struct Desk {
    collector: Collector,
    secret: Secret,
    authority: Authority,
    counts: Counts,
    recent: [Recent; 3],
    log: LogBudget,
}

/// The answers about all nodes.
#[derive(Clone, Copy, Debug)]
enum About {
    Reports,
    Tree,
    Metrics,
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
            recent: Default::default(),
            log: LogBudget::new(LOG_LINES.0, LOG_LINES.1, now),
        }
    }

    /// From now on these may report.
    pub fn renew(&mut self, secret: Secret, authority: Authority) {
        (self.secret, self.authority) = (secret, authority);
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
            "/metrics" => (About::Metrics, prometheus::CONTENT_TYPE),
            _ => {
                let key = path.strip_prefix("/node/");
                return match key.and_then(|key| tree::detail(&self.collector, key, now)) {
                    Some(body) => content(request.method, JSON, Body::Shared(body.into())),
                    None => plain(Status::NotFound, &[], "there is nothing here"),
                };
            }
        };
        content(request.method, content_type, self.recent(about, now))
    }

    fn recent(&mut self, about: About, now: Instant) -> Body {
        let Desk { collector, counts, recent, .. } = self;
        recent[about as usize].or_make(now, || match about {
            About::Reports => tree::reports(collector),
            About::Tree => tree::tree(collector, *counts, now),
            About::Metrics => exposition::text(collector, *counts, now),
        })
    }

    /// Anybody who sees the page may: only what is silent can be forgotten, and it is back with its next report. A page
    /// of another site can't, since browsers ask first whether they may send a `DELETE`, and get no leave.
    fn dismiss(&mut self, path: &str, now: Instant) -> Answer {
        let key = path.strip_prefix("/node/").unwrap_or_default();
        match self.collector.dismiss(key, now) {
            Ok(()) => {
                self.recent.iter_mut().for_each(Recent::forget);
                done()
            }
            Err(NotDismissed::Unknown) => plain(Status::NotFound, &[], "there is no such node"),
            Err(NotDismissed::Alive) => plain(Status::Conflict, &[], "the node is not silent"),
        }
    }
}

impl web::Desk for Desk {
    const BODY_BYTES_MAX: usize = REPORT_BYTES_MAX;

    fn receive(&mut self, request: &Request, from: IpAddr, now: Instant) -> Reception {
        Reception::Answered(match (request.method, request.path.as_str()) {
            (Method::Post, "/monitor") => match self.admit(request, from) {
                Ok(kind) => return Reception::Body(kind),
                Err((status, words)) => self.refuse(status, words, from, now),
            },
            (Method::Get | Method::Head, path) => self.show(request, path, now),
            (Method::Delete, path) if path.starts_with("/node/") => self.dismiss(path, now),
            _ => {
                plain(Status::MethodNotAllowed, &[("Allow", "GET, HEAD, POST, DELETE")], "not for this path")
            }
        })
    }

    fn take(&mut self, body: &[u8], from: IpAddr, now: Instant) -> Answer {
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

    fn refuse(&mut self, status: Status, words: &str, from: IpAddr, now: Instant) -> Answer {
        self.counts.refused += 1;
        if let Some(spent) = self.log.spend(now) {
            log::warn!("report from {from} refused: answered {}: {words}{spent}", status.code());
        }
        let challenge = [("WWW-Authenticate", "Bearer")];
        plain(status, if status == Status::Unauthorized { &challenge } else { &[] }, words)
    }

    /// Nothing is ever answered later.
    fn ready(&mut self, _: Ticket, _: Instant) -> Option<Answer> {
        None
    }

    fn forget(&mut self, _: Ticket) {}
}

/// How a report is refused that is too large.
const TOO_LARGE: (Status, &str) = (Status::ContentTooLarge, "a report has at most 64 KiB");
