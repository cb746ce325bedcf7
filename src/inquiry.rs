//! What an operator asks the other threads by the admin port, and what these answer. A question goes to a worker or to
//! ingest like any other message; the answer comes back by a mailbox of the admin port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::mailbox::{Sender, StreamId, WorkerId};
use crate::worker::conn::Over;
use crate::worker::streaming::Tally;

/// A question, and where the answer goes.
#[derive(Debug)]
pub struct Inquiry<Question> {
    /// What is asked.
    pub question: Question,
    /// To be told with the answer.
    pub ticket: u64,
    /// Where it goes.
    pub reply: Sender<ToAdmin>,
}

/// What a worker is asked.
#[derive(Clone, Debug)]
pub enum OfWorker {
    /// Some of its receivers.
    Clients(Selection),
    /// To part with a receiver.
    Dismiss(ClientId),
}

/// Which receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Of this stream; `None` is of any.
    pub stream: Option<StreamId>,
    /// Which come first.
    pub order: Order,
    /// So many at most.
    pub limit: usize,
}

/// The order of receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By their ids, from this key on.
    From(usize),
    /// Those that lag most, then those that have skipped most.
    Worst,
}

/// A receiver at a worker. A key is given again to others, a number never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId {
    /// The worker that serves it.
    pub worker: WorkerId,
    /// Its key among the connections there.
    pub key: usize,
    /// So many had come to the worker before it.
    pub number: u64,
}

/// A receiver as of now.
#[derive(Clone, Debug)]
pub struct Client {
    /// Who it is.
    pub id: ClientId,
    /// Whose it is.
    pub ip: IpAddr,
    /// The other end: the same, or a proxy in front.
    pub peer: SocketAddr,
    /// How it is served.
    pub over: Over,
    /// What it receives.
    pub stream: StreamId,
    /// When it came.
    pub since: Instant,
    /// What it has been sent.
    pub tally: Tally,
    /// By how much it lags.
    pub lag: Duration,
}

impl Client {
    /// Sorts the worst first.
    #[must_use]
    pub fn badness(&self) -> impl Ord + use<> {
        (self.lag, self.tally.skips)
    }
}

/// What the admin port is told.
#[derive(Debug)]
pub enum ToAdmin {
    /// From a worker: the receivers that were asked for, in the order asked for.
    Clients(u64, WorkerId, Vec<Client>),
    /// What came of something that was to be done.
    Done(u64, Outcome),
}

/// See [`ToAdmin::Done`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is.
    Done,
    /// There is nobody of that name.
    NobodyThere,
    /// The stream is pulled, and has no publisher that could be parted with.
    Pulled,
}

impl<Question> Inquiry<Question> {
    /// Answers. Nobody waits if there is no room for it.
    pub fn answer(mut self, answer: ToAdmin) {
        let _ = self.reply.post(answer);
        self.reply.flush();
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.worker.0, self.key, self.number)
    }
}

/// A text that is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl FromStr for ClientId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<ClientId, NotAnId> {
        let mut numbers = text.split('-').map(|number| number.parse::<u64>().map_err(|_| NotAnId));
        let mut next = || numbers.next().unwrap_or(Err(NotAnId));
        let index = |number: u64| usize::try_from(number).map_err(|_| NotAnId);
        let id = ClientId { worker: WorkerId(index(next()?)?), key: index(next()?)?, number: next()? };
        // One receiver has one id, not another with zeros before it.
        if id.to_string() == text { Ok(id) } else { Err(NotAnId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = ClientId { worker: WorkerId(1), key: 17, number: 4_000_000_000 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in
            ["", "1-2", "1-2-3-4", "1-2-", "-1-2-3", "01-2-3", "1-+2-3", "a-b-c", "1-2-18446744073709551616"]
        {
            assert_eq!(text.parse::<ClientId>(), Err(NotAnId), "{text}");
        }
    }
}
