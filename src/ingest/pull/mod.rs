//! Streams that are pulled: each from one of its upstreams, the best that can be had.
//!
//! An upstream is asked for the stream from the last chunk on that is here. As long as somebody has what comes next, the
//! stream goes on without a gap, whoever brings it: chunks are known by where they were made.
//!
//! ```text
//! search:  Waiting ──► Resolving ──► Trying ──► (it brings the stream) source
//!             ▲            │  ▲         │
//!             └────────────┴──┴─────────┘ next address, next upstream; after the last a wait
//! ```

mod failure;
mod feed;
mod link;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Registry, Token};

use failure::Failure;
use feed::{Ear, Memory, Position, Standing, Start};
use link::{Link, Question};

use crate::config::{self, InputProtocol, STREAMS_MAX, Upstream};
use crate::identity::NodeId;
use crate::ingest::report::Departure;
use crate::ingest::{Progress, Turn};
use crate::logging::LogBudget;
use crate::mailbox::{Sender, StreamId, ToIngest};
use crate::metrics::{InputMetrics, PullMetrics};
use crate::pace::{Pace, Waits, random};
use crate::proto::relay::Path;
use crate::resolver::{Addresses, Resolver};

/// How often it is tried whether a better upstream can be had again.
const BETTER_EVERY: Duration = Duration::from_secs(5);

/// A failure that goes on is told again after this.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Lines logged at once, and per second from then on, about all streams; the others are counted.
const LOG_LINES: (u32, u32) = (50, 5);

const WAITS: Waits = Waits {
    shortest: Duration::from_millis(200),
    longest: Duration::from_secs(5),
    steady: Duration::from_secs(5),
};

/// Tokens of one stream: of the source, and of the one that is tried.
const TOKENS_EACH: usize = 2;

/// The most tokens of all streams.
pub const TOKENS_MAX: usize = TOKENS_EACH * STREAMS_MAX;

/// All streams that are pulled.
#[derive(Debug)]
pub struct Pulls {
    pulls: Vec<Pull>,
    desk: Desk,
}

/// What all of them use.
#[derive(Debug)]
struct Desk {
    node: NodeId,
    registry: Registry,
    resolver: Resolver<ToIngest>,
    log: LogBudget,
    metrics: Arc<InputMetrics>,
    first_token: usize,
}

/// One stream.
#[derive(Debug)]
struct Pull {
    /// Which of [`Pulls`] it is.
    index: usize,
    stream: StreamId,
    name: String,
    upstreams: Vec<Target>,
    timeout: Duration,
    position: Position,
    source: Option<Source>,
    search: Search,
    pace: Pace,
    /// Without a source since then.
    lost_at: Instant,
}

/// One upstream.
#[derive(Debug)]
struct Target {
    upstream: Upstream,
    /// Its addresses have been asked for, and have not come.
    asked: bool,
    /// The failure told last, and when.
    told: Option<(String, Instant)>,
}

/// Where the stream comes from.
#[derive(Debug)]
struct Source {
    upstream: usize,
    link: Link,
    memory: Memory,
    /// Other addresses of the same upstream.
    others: std::vec::IntoIter<SocketAddr>,
    since: Instant,
    /// When something of use came last.
    heard: Instant,
}

#[derive(Debug)]
enum Search {
    /// The source is the best there is, or better ones are tried at this time.
    Content { until: Instant },
    /// All have failed; the first is tried again at this time.
    Waiting { until: Instant },
    /// The addresses of this upstream are awaited, until then.
    Resolving { upstream: usize, until: Instant },
    /// This one is tried.
    Trying(Box<Source>),
}

impl Pulls {
    /// None yet. Addresses come back as [`ToIngest::Resolved`].
    pub fn new(
        node: NodeId,
        registry: Registry,
        first_token: usize,
        mailbox: Sender<ToIngest>,
        metrics: Arc<InputMetrics>,
        now: Instant,
    ) -> Pulls {
        let resolver = Resolver::new(mailbox, ToIngest::Resolved);
        let log = LogBudget::new(LOG_LINES.0, LOG_LINES.1, now);
        Pulls { pulls: Vec::new(), desk: Desk { node, registry, resolver, log, metrics, first_token } }
    }

    /// The streams are configured like this from now on. There may be more than before.
    ///
    /// # Errors
    /// When the system gives no thread to look further names up.
    pub fn renew(&mut self, streams: &[config::Stream], now: Instant) -> io::Result<()> {
        let pulled = streams.iter().enumerate().filter(|(_, it)| it.protocol == InputProtocol::Pull);
        let before = self.pulls.len();
        for (index, (id, stream)) in pulled.enumerate() {
            match self.pulls.get_mut(index) {
                Some(pull) => pull.timeout = stream.timeout,
                None => self.pulls.push(Pull::new(index, StreamId(id), stream, now)),
            }
        }
        let hosts = self.pulls[before..].iter().flat_map(|pull| &pull.upstreams);
        self.desk.resolver.expect(hosts.map(|target| &*target.upstream.host))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pulls.is_empty()
    }

    /// How many tokens they take.
    pub fn tokens(&self) -> usize {
        self.pulls.len() * TOKENS_EACH
    }

    /// Whether `token` is one of theirs.
    pub fn owns(&self, token: Token) -> bool {
        (self.desk.first_token..self.desk.first_token + self.tokens()).contains(&token.0)
    }

    /// An event has told that the peer of a connection sends no more than what waits in its socket.
    pub fn peer_has_ended(&mut self, token: Token) {
        let index = self.index(token);
        let Pull { source, search, .. } = &mut self.pulls[index];
        if let Some((source, _)) = find(token, source, search) {
            source.link.peer_has_ended();
        }
    }

    /// Reads on from a connection, if it is still there.
    pub fn serve(&mut self, token: Token, turn: &mut Turn) -> Progress {
        let index = self.index(token);
        self.pulls[index].serve(token, &mut self.desk, turn)
    }

    fn index(&self, token: Token) -> usize {
        (token.0 - self.desk.first_token) / TOKENS_EACH
    }

    /// The answer to what the resolver was asked.
    pub fn resolved(&mut self, who: usize, addresses: Addresses, now: Instant) {
        let (index, upstream) = (who / config::UPSTREAMS_MAX, who % config::UPSTREAMS_MAX);
        if let Some(pull) = self.pulls.get_mut(index) {
            pull.resolved(upstream, addresses, &mut self.desk, now);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, turn: &mut Turn) {
        for pull in &mut self.pulls {
            pull.tick(&mut self.desk, turn);
        }
    }
}

impl Pull {
    fn new(index: usize, stream: StreamId, settings: &config::Stream, now: Instant) -> Pull {
        let target = |upstream: &Upstream| Target { upstream: upstream.clone(), asked: false, told: None };
        Pull {
            index,
            stream,
            name: settings.name.clone(),
            upstreams: settings.upstreams.iter().map(target).collect(),
            timeout: settings.timeout,
            position: Position::default(),
            source: None,
            search: Search::Waiting { until: now },
            pace: Pace::new(WAITS),
            lost_at: now,
        }
    }

    fn serve(&mut self, token: Token, desk: &mut Desk, turn: &mut Turn) -> Progress {
        let Some((source, standing)) = find(token, &mut self.source, &mut self.search) else {
            return Progress::Drained;
        };
        let upstream = &self.upstreams[source.upstream].upstream;
        let question = Question { upstream, node: desk.node, after: self.position.last };
        let mut ear = Ear {
            stream: self.stream,
            streams: turn.streams,
            metrics: &desk.metrics.streams[self.stream.0].pull,
            node: desk.node,
            position: &mut self.position,
            memory: &mut source.memory,
            standing,
            peer: (token, source.link.address),
            now: turn.now,
            useful: false,
            started: None,
        };
        let served = source.link.serve(question, turn.buffer, turn.now, |heard| ear.hear(heard));
        let (useful, started) = (ear.useful, ear.started);
        if useful {
            source.heard = turn.now;
        }
        match served {
            Ok(progress) => {
                if let Some(start) = started {
                    self.promote(start, desk, turn.now);
                }
                progress
            }
            Err(failure) => {
                match standing {
                    Standing::Source => self.lose_source(&failure, desk, turn),
                    Standing::Candidate | Standing::Rival => self.lose_candidate(&failure, desk, turn),
                }
                Progress::Drained
            }
        }
    }

    fn tick(&mut self, desk: &mut Desk, turn: &mut Turn) {
        let (now, timeout, is_sole) = (turn.now, self.timeout, self.upstreams.len() == 1);
        let check = |source: &mut Source| {
            let silence = now.saturating_duration_since(source.heard);
            // Where there is no other to turn to, it may be waiting like us for somebody further up.
            let waits = is_sole && source.others.as_slice().is_empty() && source.link.is_alive(now, timeout);
            if silence >= timeout && !waits { Err(Failure::Silent(timeout)) } else { source.link.check(now) }
        };
        if let Some(Err(failure)) = self.source.as_mut().map(check) {
            self.lose_source(&failure, desk, turn);
        }
        match &mut self.search {
            Search::Content { until } if *until <= now => self.try_upstream(0, desk, now),
            Search::Waiting { until } if *until <= now => self.try_upstream(0, desk, now),
            Search::Resolving { upstream, until } if *until <= now => {
                let upstream = *upstream;
                self.failed(upstream, None, &Failure::Unresolved(io::ErrorKind::TimedOut.into()), desk, now);
                self.try_upstream(upstream + 1, desk, now);
            }
            Search::Trying(candidate) => {
                if let Err(failure) = check(candidate) {
                    self.lose_candidate(&failure, desk, turn);
                }
            }
            _ => {}
        }
        // Between two upstreams the stream is as good as there.
        let heard = self.source.as_ref().map_or(self.lost_at, |source| source.heard + timeout);
        if now.saturating_duration_since(heard) >= timeout {
            turn.streams.leave(self.stream, &Departure::NoUpstream, now);
        }
    }

    /// What was tried brings the stream.
    fn promote(&mut self, start: Start, desk: &mut Desk, now: Instant) {
        let content = Search::Content { until: now + BETTER_EVERY };
        let Search::Trying(candidate) = std::mem::replace(&mut self.search, content) else { return };
        let target = &mut self.upstreams[candidate.upstream];
        target.told = None;
        if let Some(spent) = desk.log.spend(now) {
            let how = match start {
                Start::Resumed => "going on without a gap",
                Start::Anew => "beginning anew",
            };
            let (upstream, address) = (&target.upstream, candidate.link.address);
            info!("upstream of {}: {upstream} ({address}), {how}{spent}", self.name);
        }
        if let Some(before) = self.source.replace(Source { since: now, ..*candidate }) {
            before.link.close();
        }
    }

    fn lose_source(&mut self, failure: &Failure, desk: &mut Desk, turn: &mut Turn) {
        let Some(source) = self.source.take() else { return };
        let now = turn.now;
        self.failed(source.upstream, Some(source.link.address), failure, desk, now);
        self.pace.end(now.saturating_duration_since(source.since));
        self.lost_at = now;
        let path = match &self.search {
            Search::Trying(candidate) => Path::clone(&candidate.memory.path),
            _ => Path::default(),
        };
        turn.streams.set_path(self.stream, path);
        source.link.close();
        if let Search::Content { .. } = self.search {
            self.try_addresses(source.upstream, source.others, desk, now);
        }
    }

    fn lose_candidate(&mut self, failure: &Failure, desk: &mut Desk, turn: &mut Turn) {
        let now = turn.now;
        let content = Search::Content { until: now };
        let Search::Trying(candidate) = std::mem::replace(&mut self.search, content) else { return };
        self.failed(candidate.upstream, Some(candidate.link.address), failure, desk, now);
        candidate.link.close();
        if self.source.is_none() {
            turn.streams.set_path(self.stream, Path::default());
        }
        self.try_addresses(candidate.upstream, candidate.others, desk, now);
    }

    /// Tries the next upstream, if it would be better than what there is.
    fn try_upstream(&mut self, upstream: usize, desk: &mut Desk, now: Instant) {
        let end = self.source.as_ref().map_or(self.upstreams.len(), |source| source.upstream);
        self.search = match self.upstreams.get_mut(upstream).filter(|_| upstream < end) {
            Some(target) => {
                if !std::mem::replace(&mut target.asked, true) {
                    let who = self.index * config::UPSTREAMS_MAX + upstream;
                    desk.resolver.ask(who, &target.upstream.host, target.upstream.port);
                }
                Search::Resolving { upstream, until: now + self.timeout }
            }
            None if self.source.is_some() => Search::Content { until: now + BETTER_EVERY },
            None => Search::Waiting { until: now + self.pace.fail(random()) },
        };
    }

    fn resolved(&mut self, upstream: usize, addresses: Addresses, desk: &mut Desk, now: Instant) {
        if let Some(target) = self.upstreams.get_mut(upstream) {
            target.asked = false;
        }
        if !matches!(self.search, Search::Resolving { upstream: awaited, .. } if awaited == upstream) {
            return;
        }
        match addresses {
            Ok(addresses) => self.try_addresses(upstream, addresses.into_iter(), desk, now),
            Err(error) => {
                self.failed(upstream, None, &Failure::Unresolved(error), desk, now);
                self.try_upstream(upstream + 1, desk, now);
            }
        }
    }

    /// Tries the next address of `upstream`, or the next upstream.
    fn try_addresses(
        &mut self,
        upstream: usize,
        mut others: std::vec::IntoIter<SocketAddr>,
        desk: &mut Desk,
        now: Instant,
    ) {
        let first = desk.first_token + self.index * TOKENS_EACH;
        let taken = self.source.as_ref().is_some_and(|source| source.link.token == Token(first));
        let token = Token(first + usize::from(taken));
        while let Some(address) = others.next() {
            match Link::connect(address, token, &desk.registry, now) {
                Ok(link) => {
                    let memory = Memory::default();
                    let candidate = Source { upstream, link, memory, others, since: now, heard: now };
                    self.search = Search::Trying(Box::new(candidate));
                    return;
                }
                Err(error) => {
                    self.failed(upstream, Some(address), &Failure::Unreachable(error), desk, now);
                }
            }
        }
        self.try_upstream(upstream + 1, desk, now);
    }

    /// Counts a failure, and tells it unless it is the one told last.
    fn failed(
        &mut self,
        upstream: usize,
        address: Option<SocketAddr>,
        failure: &Failure,
        desk: &mut Desk,
        now: Instant,
    ) {
        let metrics: &PullMetrics = &desk.metrics.streams[self.stream.0].pull;
        if let Some(counter) = failure.counter(&metrics.failures) {
            counter.add(1);
        }
        let target = &mut self.upstreams[upstream];
        let words = failure.to_string();
        let is_told = target
            .told
            .as_ref()
            .is_some_and(|(told, at)| *told == words && now.saturating_duration_since(*at) < TELL_AGAIN);
        if !is_told && let Some(spent) = desk.log.spend(now) {
            let place = address.map_or(String::new(), |address| format!(" ({address})"));
            warn!("upstream of {} given up: {}{place}: {words}{spent}", self.name, target.upstream);
            target.told = Some((words, now));
        }
    }
}

/// Whom `token` belongs to, if to anybody.
fn find<'a>(
    token: Token,
    source: &'a mut Option<Source>,
    search: &'a mut Search,
) -> Option<(&'a mut Source, Standing)> {
    let rank = if source.is_some() { Standing::Rival } else { Standing::Candidate };
    match (source, search) {
        (Some(source), _) if source.link.token == token => Some((source, Standing::Source)),
        (_, Search::Trying(candidate)) if candidate.link.token == token => Some((candidate, rank)),
        _ => None,
    }
}
