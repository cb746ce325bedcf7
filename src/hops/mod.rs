//! The hops thread: gets the streams to the next nodes of the tree, and never waits for one of them.
//!
//! A hop over TCP it only connects to: the connection is given to a worker, served from the ring like any receiver's,
//! and tried again when it is gone. Hops over UDP it sends to itself, for which it is one more subscriber of ingest.

mod feed;
mod own;
mod rtp;
mod target;
mod tcp;
mod udp;

pub use crate::pace::Waits;
pub use own::Own;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use feed::Feed;
use target::{Desk, Target};
use tcp::{Outlook, TcpHop};
use udp::UdpHop;

use crate::balance::Balance;
use crate::config::{HopProtocol, NEXT_HOPS_MAX, NextHop};
use crate::logging::LogBudget;
use crate::mailbox::{
    Mailbox, Sender, StreamId, StreamStatus, ToHops, ToIngest, ToWorker, WorkerId, mailbox,
};
use crate::metrics::OutputMetrics;
use crate::pulse;
use crate::resolver::Resolver;

const MAIL: Token = Token(usize::MAX);

/// Messages of ingest that may wait: at 1,000 chunks a second, four seconds.
const MAIL_MAX: usize = 4096;

/// What may wait of resolvers and workers for each hop: an answer, and that a connection has ended. And further hops.
const NEWS_MAX: usize = 2 * NEXT_HOPS_MAX + 1;

/// What ingest refused to hear is said again after this.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Lines logged at once, and per second from then on; the others are counted.
const LOG_LINES: (u32, u32) = (50, 5);

/// What the hops thread runs on.
#[derive(Debug)]
pub struct Settings {
    /// The hops, in the order of the configuration.
    pub hops: Vec<NextHop>,
    /// Names of all streams; [`StreamId`] is an index into this.
    pub streams: Vec<String>,
    /// Where the node itself listens.
    pub own: Own,
    /// Waits before a hop is tried again.
    pub waits: Waits,
    /// Where the hops are counted.
    pub metrics: Arc<OutputMetrics>,
}

/// What the thread is told when the configuration has been read again.
#[derive(Debug)]
pub struct Renewal {
    /// Further hops, after those that there are.
    pub hops: Vec<NextHop>,
    /// As in [`Settings`].
    pub streams: Vec<String>,
    /// As in [`Settings`].
    pub own: Own,
}

/// The hops thread before it runs.
#[derive(Debug)]
pub struct Hops {
    poll: Poll,
    mailbox: Mailbox<ToWorker>,
    news: Mailbox<ToHops>,
    to_hops: Sender<ToHops>,
    to_ingest: Sender<ToIngest>,
    id: WorkerId,
    resolver: Resolver<ToHops>,
    workers: Balance,
    own: Own,
    waits: Waits,
    metrics: Arc<OutputMetrics>,
    log: LogBudget,
    now: Instant,
    /// By index in the configuration, where a hop is.
    places: Vec<Place>,
    tcp: Vec<TcpHop>,
    feeds: Vec<Feed>,
    /// Streams that ingest must still be asked for.
    wanted: Vec<StreamId>,
    /// Streams of which somewhat may have been published before they were asked for: datagrams begin with what comes next.
    late: Vec<StreamId>,
    /// By stream, what becomes of a hop that is lost now.
    outlooks: Vec<Outlook>,
    /// No hop is due before.
    due_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Tcp(usize),
    Udp { feed: usize, slot: usize },
}

impl Hops {
    /// Makes the thread and the sender by which ingest and front speak to it as if it were the worker `id`.
    ///
    /// # Errors
    /// When the system gives no descriptor for polling, or no thread for resolving names.
    pub fn new(
        settings: Settings,
        id: WorkerId,
        workers: Balance,
        to_ingest: Sender<ToIngest>,
        now: Instant,
    ) -> io::Result<(Hops, Sender<ToWorker>)> {
        let poll = Poll::new()?;
        let (sender, mailbox) = mailbox(MAIL_MAX, poll.registry(), MAIL)?;
        let (to_hops, news) = mailbox.beside(NEWS_MAX);
        let resolver = Resolver::new(to_hops.clone(), ToHops::Resolved);
        let mut hops = Hops {
            poll,
            mailbox,
            news,
            to_hops,
            to_ingest,
            id,
            resolver,
            workers,
            own: Own::default(),
            waits: settings.waits,
            metrics: settings.metrics,
            log: LogBudget::new(LOG_LINES.0, LOG_LINES.1, now),
            now,
            places: Vec::new(),
            tcp: Vec::new(),
            feeds: Vec::new(),
            wanted: Vec::new(),
            late: Vec::new(),
            outlooks: Vec::new(),
            due_at: None,
        };
        hops.renew(Renewal { hops: settings.hops, streams: settings.streams, own: settings.own })?;
        Ok((hops, sender))
    }

    /// How the thread is told what workers are not.
    #[must_use]
    pub fn news(&self) -> Sender<ToHops> {
        self.to_hops.clone()
    }

    /// Feeds the hops until told to stop.
    pub fn run(mut self) {
        let mut events = Events::with_capacity(256);
        while self.turn(&mut events).is_continue() {}
        let (feeds, mut desk) = self.feeds();
        feeds.iter_mut().flat_map(|feed| &mut feed.hops).for_each(|hop| hop.end(&mut desk));
    }

    /// There are further streams and hops.
    fn renew(&mut self, renewal: Renewal) -> io::Result<()> {
        let Renewal { hops, streams, own } = renewal;
        self.own = own;
        self.outlooks.resize(streams.len(), Outlook::WhenPublished);
        self.resolver.expect(hops.iter().map(|hop| hop.host.as_str()))?;
        for hop in hops {
            let name = &streams[hop.stream.0];
            let target = Target::new(self.places.len(), hop.clone(), name, self.waits, self.now);
            self.add(target, &hop);
        }
        self.due_at = Some(self.now);
        Ok(())
    }

    fn add(&mut self, target: Target, hop: &NextHop) {
        let HopProtocol::Udp(datagrams) = hop.protocol else {
            let slot = self.tcp.len();
            self.tcp.push(TcpHop::new(target, hop.stream, Token(slot), self.now));
            return self.places.push(Place::Tcp(slot));
        };
        let framing = datagrams.framing;
        let same = |feed: &Feed| feed.stream == hop.stream && feed.framing == framing;
        let feed = self.feeds.iter().position(same).unwrap_or_else(|| {
            if !self.feeds.iter().any(|feed| feed.stream == hop.stream) {
                self.wanted.push(hop.stream);
            }
            self.feeds.push(Feed::new(hop.stream, framing, self.now));
            self.feeds.len() - 1
        });
        let slot = self.feeds[feed].hops.len();
        self.feeds[feed].hops.push(UdpHop::new(target, datagrams, self.now));
        self.places.push(Place::Udp { feed, slot });
    }

    /// One turn of the loop: wait, hear the sockets, hear the mailboxes, send, look at the clock.
    fn turn(&mut self, events: &mut Events) -> ControlFlow<()> {
        if let Err(error) = self.poll.poll(events, pulse::rest(self.patience()))
            && error.kind() != io::ErrorKind::Interrupted
        {
            log::error!("next hops: polling failed: {error}");
        }
        self.read_clock();
        self.mailbox.look();
        for event in events.iter().filter(|event| event.token() != MAIL) {
            let (tcp, mut desk) = self.tcp();
            tcp[event.token().0].event(&mut desk);
        }
        self.empty_mailbox()?;
        while let Some(news) = self.news.take() {
            self.hear(news);
        }
        self.do_what_is_due();
        self.subscribe();
        self.workers.flush();
        self.metrics.pulse(self.id).turned(self.now.elapsed());
        ControlFlow::Continue(())
    }

    /// How long the next turn may wait for an event; `None` is for ever.
    fn patience(&self) -> Option<Duration> {
        let due = self.due_at.map(|at| at.saturating_duration_since(self.now));
        if self.wanted.is_empty() { due } else { Some(due.unwrap_or(ASK_AGAIN).min(ASK_AGAIN)) }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the loop of the thread reads the clock for all that it calls"
    )]
    fn read_clock(&mut self) {
        self.now = Instant::now();
    }

    fn empty_mailbox(&mut self) -> ControlFlow<()> {
        // What is posted from now on wakes us again, so a bound on the messages of one round loses none.
        for _ in 0..MAIL_MAX {
            let Some(message) = self.mailbox.take() else { break };
            match message {
                ToWorker::Chunk(stream, chunk) => {
                    let (feeds, mut desk) = self.feeds();
                    for feed in feeds.iter_mut().filter(|feed| feed.stream == stream) {
                        feed.send(&chunk, &mut desk);
                    }
                }
                ToWorker::Backlog(stream, _) if self.late.contains(&stream) => {
                    self.late.retain(|&late| late != stream);
                }
                // Asked for when nothing had been published, so there is little of it.
                ToWorker::Backlog(stream, chunks) => {
                    let (feeds, mut desk) = self.feeds();
                    for feed in feeds.iter_mut().filter(|feed| feed.stream == stream) {
                        chunks.iter().for_each(|chunk| feed.send(chunk, &mut desk));
                    }
                }
                ToWorker::Status(stream, status) => self.hear_of(stream, &status),
                ToWorker::Settings(settings) => {
                    self.outlooks.resize(settings.streams.len(), Outlook::WhenPublished);
                }
                ToWorker::Drain => {
                    self.outlooks.fill(Outlook::Never);
                    self.tcp.iter_mut().for_each(TcpHop::end);
                }
                ToWorker::Stop => return ControlFlow::Break(()),
                ToWorker::Newcomer(_) | ToWorker::Inquiry(_) => {
                    debug_assert!(false, "the hops thread serves nobody");
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn hear(&mut self, news: ToHops) {
        match news {
            ToHops::Resolved(hop, addresses) => match self.places[hop] {
                Place::Tcp(slot) => {
                    let (tcp, mut desk) = self.tcp();
                    tcp[slot].resolved(addresses, &mut desk);
                }
                Place::Udp { feed, slot } => {
                    let (feeds, mut desk) = self.feeds();
                    feeds[feed].resolved(slot, addresses, &mut desk);
                }
            },
            ToHops::Renew(renewal) => {
                let before = self.wanted.len();
                if let Err(error) = self.renew(renewal) {
                    log::error!("further next hops can't be looked up: {error}");
                }
                self.late.extend_from_slice(&self.wanted[before..]);
            }
            ToHops::Closed(hop, served) => {
                let Place::Tcp(slot) = self.places[hop] else { return };
                let outlook = self.outlooks[self.tcp[slot].stream.0];
                let (tcp, mut desk) = self.tcp();
                tcp[slot].closed(served, outlook, &mut desk);
            }
        }
    }

    fn hear_of(&mut self, stream: StreamId, status: &StreamStatus) {
        let outlook = &mut self.outlooks[stream.0];
        *outlook = match (*outlook, status.live) {
            (Outlook::Never, _) => return,
            (_, true) => Outlook::Again,
            (_, false) => Outlook::WhenPublished,
        };
        if status.live {
            let (tcp, mut desk) = self.tcp();
            tcp.iter_mut().filter(|hop| hop.stream == stream).for_each(|hop| hop.published(&mut desk));
        }
    }

    fn do_what_is_due(&mut self) {
        let now = self.now;
        let is_due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        if !is_due(self.due_at) {
            return;
        }
        let (tcp, mut desk) = self.tcp();
        for hop in tcp.iter_mut().filter(|hop| is_due(hop.deadline())) {
            hop.due(&mut desk);
        }
        let (feeds, mut desk) = self.feeds();
        for hop in feeds.iter_mut().flat_map(|feed| &mut feed.hops).filter(|hop| is_due(hop.deadline())) {
            hop.due(&mut desk);
        }
        let of_tcp = self.tcp.iter().filter_map(TcpHop::deadline);
        let of_udp = self.feeds.iter().flat_map(|feed| &feed.hops).filter_map(UdpHop::deadline);
        self.due_at = of_tcp.chain(of_udp).min();
    }

    fn subscribe(&mut self) {
        let (id, to_ingest) = (self.id, &mut self.to_ingest);
        self.wanted.retain(|&stream| to_ingest.post(ToIngest::Subscribe(id, stream)).is_err());
        to_ingest.flush();
    }

    fn tcp(&mut self) -> (&mut [TcpHop], Desk<'_>) {
        let (tcp, _, desk) = self.split();
        (tcp, desk)
    }

    fn feeds(&mut self) -> (&mut [Feed], Desk<'_>) {
        let (_, feeds, desk) = self.split();
        (feeds, desk)
    }

    /// The hops, and apart from them what they use.
    fn split(&mut self) -> (&mut [TcpHop], &mut [Feed], Desk<'_>) {
        let desk = Desk {
            now: self.now,
            registry: self.poll.registry(),
            resolver: &mut self.resolver,
            workers: &mut self.workers,
            to_hops: &self.to_hops,
            own: &self.own,
            metrics: &self.metrics,
            log: &mut self.log,
            due_at: &mut self.due_at,
        };
        (&mut self.tcp, &mut self.feeds, desk)
    }
}
