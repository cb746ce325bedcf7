//! What must be asked of other threads: receivers, and parting with a receiver or a publisher. A question is open for a
//! bounded time; what has not been answered by then is told without.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::api;
use crate::inquiry::{Client, ClientId, Inquiry, OfWorker, Order, Outcome, Selection, ToAdmin};
use crate::layout::Layout;
use crate::mailbox::{Mailbox, Sender, StreamId, ToIngest, ToWorker};
use crate::proto::http::{Method, Status};
use crate::web::answer::{JSON, content, done, plain};
use crate::web::{Answer, Body, Ticket};
use crate::worker::conn::Over;

/// Questions that are open at a time: each may bring [`LIMIT_MAX`] receivers from every worker.
const OPEN_MAX: usize = 4;

/// How long the other threads have. A worker that writes to very many looks at its mailbox a few times a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);

/// Receivers in one answer, if not said otherwise, and at most.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 500;

/// Messages of other threads that may wait: the answers of 256 workers to all questions, twice.
pub const MAIL_MAX: usize = 2048;

/// See the module.
#[derive(Debug)]
pub struct Questions {
    workers: Vec<Sender<ToWorker>>,
    ingest: Sender<ToIngest>,
    mailbox: Mailbox<ToAdmin>,
    reply: Sender<ToAdmin>,
    open: HashMap<u64, Question>,
    next: u64,
}

#[derive(Debug)]
struct Question {
    deadline: Instant,
    method: Method,
    about: About,
}

#[derive(Debug)]
enum About {
    Clients { selection: Selection, found: Vec<Client>, awaited: usize },
    Parting { whom: String, outcome: Option<Outcome> },
}

/// What is asked for by the query of `/api/clients`.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    stream: Option<StreamId>,
    limit: usize,
    after: Option<ClientId>,
    is_worst_first: bool,
}

impl Questions {
    /// To these threads, which answer to `mailbox` by way of `reply`.
    #[must_use]
    pub fn new(
        workers: Vec<Sender<ToWorker>>,
        ingest: Sender<ToIngest>,
        mailbox: Mailbox<ToAdmin>,
        reply: Sender<ToAdmin>,
    ) -> Questions {
        Questions { workers, ingest, mailbox, reply, open: HashMap::new(), next: 0 }
    }

    /// When the next question is answered at the latest.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.open.values().map(|question| question.deadline).min()
    }

    /// `GET /api/clients`.
    ///
    /// # Errors
    /// The answer, if it is known at once.
    pub fn clients(
        &mut self,
        method: Method,
        query: &str,
        layout: &Layout,
        now: Instant,
    ) -> Result<Ticket, Answer> {
        let wish = Wish::parse(query, layout).map_err(|words| plain(Status::BadRequest, &[], &words))?;
        let first = wish.after.map_or(0, |id| id.worker.0);
        let about = About::Clients { selection: wish.selection(0), found: Vec::new(), awaited: 0 };
        let ticket = self.begin(method, about, now)?;
        let mut asked = 0;
        for index in first..self.workers.len() {
            // Of the worker of the last one told, those after it; of the workers after that, all.
            let key = wish.after.filter(|id| id.worker.0 == index).map_or(0, |id| id.key.saturating_add(1));
            let question = OfWorker::Clients(wish.selection(key));
            asked += usize::from(self.ask_worker(index, ticket, question));
        }
        let missing = self.workers.len().saturating_sub(first) - asked;
        if let Some(Question { about: About::Clients { awaited, .. }, .. }) = self.open.get_mut(&ticket.0) {
            // Those that can't be asked are awaited in vain.
            *awaited = asked + missing;
        }
        Ok(ticket)
    }

    /// `DELETE /api/clients/ID`.
    ///
    /// # Errors
    /// The answer, if it is known at once.
    pub fn part_with_client(&mut self, id: &str, now: Instant) -> Result<Ticket, Answer> {
        let parsed = id.parse::<ClientId>().ok().filter(|id| id.worker.0 < self.workers.len());
        let Some(client) = parsed else { return Err(nobody()) };
        let about = About::Parting { whom: format!("receiver {id}"), outcome: None };
        let ticket = self.begin(Method::Delete, about, now)?;
        self.ask_worker(client.worker.0, ticket, OfWorker::Dismiss(client));
        Ok(ticket)
    }

    /// `DELETE /api/streams/NAME/publisher`.
    ///
    /// # Errors
    /// The answer, if it is known at once.
    pub fn part_with_publisher(
        &mut self,
        name: &str,
        layout: &Layout,
        now: Instant,
    ) -> Result<Ticket, Answer> {
        let Some(stream) = stream_named(name, layout) else {
            return Err(plain(Status::NotFound, &[], "there is no such stream"));
        };
        let about = About::Parting { whom: format!("the publisher of {name}"), outcome: None };
        let ticket = self.begin(Method::Delete, about, now)?;
        let inquiry = Inquiry { question: stream, ticket: ticket.0, reply: self.reply.clone() };
        let _ = self.ingest.post(ToIngest::Dismiss(inquiry));
        self.ingest.flush();
        Ok(ticket)
    }

    /// Reads what the other threads have answered.
    pub fn hear(&mut self) {
        self.mailbox.look();
        while let Some(answer) = self.mailbox.take() {
            match answer {
                ToAdmin::Clients(ticket, _, clients) => {
                    let Some(question) = self.open.get_mut(&ticket) else { continue };
                    if let About::Clients { found, awaited, .. } = &mut question.about {
                        found.extend(clients);
                        *awaited = awaited.saturating_sub(1);
                    }
                }
                ToAdmin::Done(ticket, came) => {
                    let Some(question) = self.open.get_mut(&ticket) else { continue };
                    if let About::Parting { outcome, .. } = &mut question.about {
                        *outcome = Some(came);
                    }
                }
            }
        }
    }

    /// The answer to a question, if it is complete or its time is up.
    pub fn ready(&mut self, ticket: Ticket, layout: &Layout, now: Instant) -> Option<Answer> {
        let question = self.open.get(&ticket.0)?;
        let is_complete = match question.about {
            About::Clients { awaited, .. } => awaited == 0,
            About::Parting { outcome, .. } => outcome.is_some(),
        };
        if !is_complete && now < question.deadline {
            return None;
        }
        let Question { method, about, .. } = self.open.remove(&ticket.0)?;
        Some(match about {
            About::Clients { selection, found, awaited } => {
                let clients = told(selection, found, awaited, layout, now);
                content(method, JSON, Body::Shared(super::desk::json(&clients).into()))
            }
            About::Parting { whom, outcome } => parted(&whom, outcome),
        })
    }

    /// Nobody waits for the answer any more.
    pub fn forget(&mut self, ticket: Ticket) {
        self.open.remove(&ticket.0);
    }

    fn begin(&mut self, method: Method, about: About, now: Instant) -> Result<Ticket, Answer> {
        if self.open.len() >= OPEN_MAX {
            let again = [("Retry-After", "1")];
            return Err(plain(Status::ServiceUnavailable, &again, "too many questions at once"));
        }
        self.next += 1;
        self.open.insert(self.next, Question { deadline: now + PATIENCE, method, about });
        Ok(Ticket(self.next))
    }

    /// Whether the worker could be asked: its mailbox may be full.
    fn ask_worker(&mut self, index: usize, ticket: Ticket, question: OfWorker) -> bool {
        let inquiry = Inquiry { question, ticket: ticket.0, reply: self.reply.clone() };
        let asked = self.workers[index].post(ToWorker::Inquiry(inquiry)).is_ok();
        self.workers[index].flush();
        asked
    }
}

impl Wish {
    fn parse(query: &str, layout: &Layout) -> Result<Wish, String> {
        let mut wish = Wish { stream: None, limit: LIMIT_DEFAULT, after: None, is_worst_first: false };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            match key {
                "stream" => {
                    let stream = stream_named(value, layout);
                    wish.stream = Some(stream.ok_or_else(|| "stream: there is no such stream".to_owned())?);
                }
                "limit" => match value.parse() {
                    Ok(limit @ 1..=LIMIT_MAX) => wish.limit = limit,
                    _ => return Err(format!("limit: expected 1 to {LIMIT_MAX}")),
                },
                "after" => {
                    wish.after = Some(value.parse().map_err(|_| "after: expected the id of a receiver")?);
                }
                "order" if value == "worst" => wish.is_worst_first = true,
                "order" if value == "id" => {}
                "order" => return Err("order: expected id or worst".to_owned()),
                _ => return Err("expected stream, limit, after or order".to_owned()),
            }
        }
        if wish.is_worst_first && wish.after.is_some() {
            return Err("after: the worst have no pages".to_owned());
        }
        Ok(wish)
    }

    /// What a worker is asked, from `key` on.
    fn selection(&self, key: usize) -> Selection {
        let order = if self.is_worst_first { Order::Worst } else { Order::From(key) };
        Selection { stream: self.stream, order, limit: self.limit }
    }
}

fn stream_named(name: &str, layout: &Layout) -> Option<StreamId> {
    layout.streams.iter().position(|(stream, _)| stream == name).map(StreamId)
}

fn told(
    selection: Selection,
    mut found: Vec<Client>,
    awaited: usize,
    layout: &Layout,
    now: Instant,
) -> api::Clients {
    match selection.order {
        Order::Worst => found.sort_by_key(|client| std::cmp::Reverse(client.badness())),
        Order::From(_) => found.sort_by_key(|client| (client.id.worker.0, client.id.key)),
    }
    let is_last = found.len() <= selection.limit;
    found.truncate(selection.limit);
    let has_pages = matches!(selection.order, Order::From(_));
    // A full page may be followed by an empty one; a worker tells no more than was asked for.
    let may_be_more = has_pages && (!is_last || found.len() == selection.limit);
    let next = found.last().filter(|_| may_be_more).map(|client| client.id.to_string());
    let clients = found.iter().map(|client| api::Client {
        id: client.id.to_string(),
        address: client.ip,
        peer: SocketAddr::new(client.peer.ip().to_canonical(), client.peer.port()),
        protocol: protocol(client.over).to_owned(),
        stream: layout.streams.get(client.stream.0).map_or_else(String::new, |(name, _)| name.clone()),
        seconds: now.saturating_duration_since(client.since).as_secs_f64(),
        bytes: client.tally.bytes,
        writes: client.tally.writes,
        lag_seconds: client.lag.as_secs_f64(),
        skips: client.tally.skips,
    });
    api::Clients { clients: clients.collect(), next, missing_workers: awaited }
}

fn protocol(over: Over) -> &'static str {
    match over {
        Over::WebSocket => "websocket",
        Over::Relay => "relay",
        Over::Http => "http",
        Over::Tcp => "tcp",
        Over::Hop => "next hop",
    }
}

fn parted(whom: &str, outcome: Option<Outcome>) -> Answer {
    match outcome {
        Some(Outcome::Done) => {
            log::info!("the operator has disconnected {whom}");
            done()
        }
        Some(Outcome::NobodyThere) => nobody(),
        Some(Outcome::Pulled) => {
            plain(Status::Conflict, &[], "the stream is pulled: change its Upstreams in the configuration")
        }
        None => {
            plain(Status::ServiceUnavailable, &[("Retry-After", "1")], "the thread did not answer in time")
        }
    }
}

fn nobody() -> Answer {
    plain(Status::NotFound, &[], "there is nobody of that name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::{WorkerId, mailbox};

    fn layout() -> Layout {
        let streams = ["live", "cam2"].map(|name| (name.to_owned(), None)).to_vec();
        Layout { streams, ..Layout::default() }
    }

    #[test]
    fn what_a_query_asks_for() {
        let wish = |query| Wish::parse(query, &layout());
        let default = Wish { stream: None, limit: 100, after: None, is_worst_first: false };
        assert_eq!(wish("").unwrap(), default);
        let after = ClientId { worker: WorkerId(1), key: 2, number: 3 };
        assert_eq!(
            wish("stream=cam2&limit=500&after=1-2-3&order=id").unwrap(),
            Wish { stream: Some(StreamId(1)), limit: 500, after: Some(after), is_worst_first: false }
        );
        assert_eq!(wish("order=worst&limit=1").unwrap(), Wish { limit: 1, is_worst_first: true, ..default });
        for bad in [
            "limit=0",
            "limit=501",
            "limit=",
            "stream=x",
            "after=1",
            "order=best",
            "x",
            "order=worst&after=1-2-3",
        ] {
            assert!(wish(bad).is_err(), "{bad}");
        }
    }

    fn ask(questions: &mut Questions, now: Instant) -> Result<Ticket, Answer> {
        questions.clients(Method::Get, "limit=2", &layout(), now)
    }

    fn said(answer: &Answer) -> api::Clients {
        serde_json::from_slice(answer.body.bytes()).expect("JSON")
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn who_does_not_answer_is_not_waited_for() {
        let poll = mio::Poll::new().unwrap();
        let token = mio::Token(0);
        let (reply, mail) = mailbox(MAIL_MAX, poll.registry(), token).unwrap();
        let (ingest, _ingest_mail) = mail.beside(1);
        let (quick, quick_mail) = mail.beside(OPEN_MAX);
        let (stuck, _stuck_mail) = mail.beside(1);
        let mut questions = Questions::new(vec![quick, stuck], ingest, mail, reply);
        let now = Instant::now();
        // The mailbox of the stuck one has room for the first question only.
        let tickets: Vec<Ticket> = (0..OPEN_MAX).map(|_| ask(&mut questions, now).unwrap()).collect();
        let refused = ask(&mut questions, now).unwrap_err();
        assert!(refused.head.starts_with(b"HTTP/1.1 503 "), "one more is too many");
        let Some(ToWorker::Inquiry(inquiry)) = quick_mail.take() else { panic!("it was asked") };
        let ticket = inquiry.ticket;
        inquiry.answer(ToAdmin::Clients(ticket, WorkerId(0), Vec::new()));
        questions.hear();
        assert!(questions.ready(tickets[0], &layout(), now).is_none());
        assert_eq!(questions.due(), Some(now + PATIENCE));
        let answer = questions.ready(tickets[0], &layout(), now + PATIENCE).unwrap();
        assert_eq!(said(&answer).missing_workers, 1);
        let answer = questions.ready(tickets[1], &layout(), now + PATIENCE).unwrap();
        assert_eq!(said(&answer).missing_workers, 2);
        tickets[2..].iter().for_each(|&ticket| questions.forget(ticket));
        assert_eq!(questions.due(), None);
        assert!(ask(&mut questions, now).is_ok(), "there is room again");
    }
}
