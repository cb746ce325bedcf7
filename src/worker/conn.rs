//! One connection of a receiver: reading its request, answering it, sending it a stream, and parting in order.
//!
//! ```text
//! Preface ──► Head ──► Answer ──► Head (keep-alive) or Lingering
//!     └─────────┴────► Streaming ──► Lingering ──► gone
//! ```

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::client::Client;
use super::directory::Directory;
use super::leave::Leave;
use super::outbox::{Form, Outbox};
use super::routes::{Answer, Route};
use super::shard::Shard;
use super::streaming::{Patience, Pumped, Streaming, Tally};
use super::{Settings, routes};
use crate::config::{IpList, ReceiverProtocol, Start};
use crate::mailbox::{Newcomer, Service, StreamId};
use crate::places::Admitted;
use crate::proto::http;
use crate::proto::proxy::{self, NoHeader};
use crate::proto::relay::{self, Origin, Path};
use crate::proto::ws;
use crate::ring::Ring;

/// A request's head must be there so long after the connection, or after the answer before.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// A kept-alive connection without a request is closed after this.
const KEEP_ALIVE_TIME_MAX: Duration = Duration::from_secs(15);

/// An answer must have been taken after this, whatever the peer's pace.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// How long we wait for the peer to read our last words before the socket is closed.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);

/// How much we read and drop of what the peer still says meanwhile.
const LINGER_BYTES_MAX: usize = 256 * 1024;

/// Reads that one connection may cause in a row before others get their turn.
const READS_PER_TURN_MAX: usize = 8;

/// A WebSocket on which nothing has been sent for so long is pinged, so that proxies keep it open.
const PING_AFTER: Duration = Duration::from_secs(25);

/// A ping must have been answered after this, if nothing has been sent since.
const PONG_TIME_MAX: Duration = Duration::from_secs(30);

/// A next hop has viewers of its own, for whom a skip is worth some waiting. The kernel gives it up somewhat earlier
/// than this stall limit, see [`hop_options`](crate::net::hop_options).
const HOP_PATIENCE: Patience =
    Patience { lag_max: Duration::from_secs(10), stall_max: Duration::from_secs(12) };

/// Close codes of RFC 6455 §7.4.1.
const CLOSE_NORMAL: u16 = 1000;
const CLOSE_GOING_AWAY: u16 = 1001;

/// What a connection is given for the length of one call.
pub struct Desk<'a> {
    /// The connection's key among those of the worker.
    pub key: usize,
    /// The time of this turn of the loop.
    pub now: Instant,
    /// What the worker runs on.
    pub settings: &'a Settings,
    /// The worker's streams.
    pub shard: &'a mut Shard,
    /// The list of streams.
    pub directory: &'a mut Directory,
    /// Where reads go to; holds nothing between calls.
    pub scratch: &'a mut [u8],
}

/// What the loop must do about a connection after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for the next event.
    Wait,
    /// Call [`Conn::resume`] in the next turn: there is more to do than one turn allows.
    Resume,
}

/// A receiver's connection.
#[derive(Debug)]
pub struct Conn {
    /// The socket, for registering it.
    pub socket: TcpStream,
    /// That it came has been logged.
    pub announced: bool,
    /// It waits for the loop to call [`resume`](Self::resume).
    pub lined_up: bool,
    /// Reading has stopped before the socket was empty: no event will tell of the rest.
    unread: bool,
    /// The receiver has shut its side of the connection. It may still take what it is sent, or be gone.
    half_closed: bool,
    state: State,
    /// Whom it is for.
    pub client: Client,
    /// When it was accepted.
    pub opened: Instant,
    /// What it is there for.
    pub service: Service,
    /// What it receives or received, with its slot among the stream's receivers.
    pub joined: Option<Joined>,
    /// Why it was given up, once that is known.
    pub leave: Option<Leave>,
    /// So many had come to the worker before it.
    pub number: u64,
    admitted: Option<Admitted>,
    _counted: Arc<()>,
}

/// A connection's membership in a stream.
#[derive(Clone, Copy, Debug)]
pub struct Joined {
    /// The stream.
    pub stream: StreamId,
    /// Where it stands in the shard's list.
    pub slot: usize,
    /// Over what it is served.
    pub over: Over,
    /// What it has been sent; up to date once the connection has left the streaming state.
    pub tally: Tally,
}

/// Over what a stream is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// WebSocket.
    WebSocket,
    /// WebSocket, to a node that pulls.
    Relay,
    /// An HTTP response without end.
    Http,
    /// Bare TCP.
    Tcp,
    /// Bare TCP, to a next hop that we connected to.
    Hop,
}

#[derive(Debug)]
enum State {
    /// A trusted proxy has connected, which may say for whom it does, and over bare TCP must.
    Preface { bytes: Vec<u8>, since: Instant },
    /// The request is being read.
    Head { bytes: Vec<u8>, since: Instant, time_max: Duration },
    /// A complete answer is being sent; `rest` is what came after its request.
    Answer { answer: Answer, sent: usize, since: Instant, rest: Vec<u8> },
    /// The stream is being sent.
    Streaming(Streaming, Speech),
    /// We have said our last word and shut our side.
    Lingering { since: Instant, read: usize },
}

/// What is made of that which the receiver sends.
#[derive(Debug)]
enum Speech {
    /// WebSocket frames.
    WebSocket {
        reader: ws::Reader,
        awaits_pong: bool,
        /// What a node that pulls has been told of where the stream comes through.
        path_told: Option<Path>,
    },
    /// It has nothing to say, or has said its last word.
    Ignored,
}

impl Conn {
    /// A connection in its first state.
    #[must_use]
    pub fn new(newcomer: Newcomer, now: Instant) -> Conn {
        let state = State::Head { bytes: Vec::new(), since: now, time_max: HEAD_TIME_MAX };
        Conn {
            socket: newcomer.socket,
            client: Client::new(newcomer.peer),
            opened: now,
            service: newcomer.service,
            joined: None,
            leave: None,
            announced: false,
            lined_up: false,
            unread: false,
            number: 0,
            half_closed: false,
            admitted: None,
            state,
            _counted: newcomer.counted,
        }
    }

    /// To be called once the connection has its key: over bare TCP the stream is sent without being asked for, unless a
    /// trusted proxy must say first for whom.
    pub fn begin(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        let port = match &self.service {
            Service::Port { index } => &desk.settings.ports[*index],
            Service::Hop(line) => return self.stream(line.stream, Over::Hop, None, Vec::new(), &[], desk),
        };
        if desk.settings.trusted_proxies.contains(self.client.ip()) {
            self.state = State::Preface { bytes: Vec::new(), since: desk.now };
            return Ok(Next::Wait);
        }
        match port.protocol {
            ReceiverProtocol::WebSocket => Ok(Next::Wait),
            ReceiverProtocol::Tcp => self.stream_unasked(port.stream, &port.filter, desk),
        }
    }

    /// Over bare TCP.
    fn stream_unasked(&mut self, stream: StreamId, filter: &IpList, desk: &mut Desk) -> Result<Next, Leave> {
        if filter.contains(self.client.ip()) {
            return Err(Leave::Filtered);
        }
        self.stream(stream, Over::Tcp, None, Vec::new(), &[], desk)
    }

    /// The socket has something to read. What newcomers say waits until the loop has time for it.
    pub fn readable(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        if self.is_newcomer() {
            self.unread = true;
            return Ok(Next::Resume);
        }
        self.read_on(desk)
    }

    /// It is not yet one of those that have been sent all there is, and are owed every further chunk in time.
    fn is_newcomer(&self) -> bool {
        match &self.state {
            State::Streaming(streaming, _) => streaming.is_joining(),
            _ => true,
        }
    }

    fn read_on(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        let scratch = std::mem::take(&mut desk.scratch);
        let next = self.read(scratch, desk);
        desk.scratch = scratch;
        next
    }

    fn read(&mut self, scratch: &mut [u8], desk: &mut Desk) -> Result<Next, Leave> {
        self.unread = true;
        for _ in 0..READS_PER_TURN_MAX {
            match &self.state {
                // Before a kept-alive connection's answer is out, its next request stays in the socket.
                State::Answer { .. } => return Ok(Next::Wait),
                // So many bytes hold a request, or none that will be answered: first come, first served. With what
                // one read adds, this is the bound of the bytes gathered.
                State::Head { bytes, .. } if bytes.len() >= http::HEAD_BYTES_MAX => return Ok(Next::Resume),
                _ => {}
            }
            let read = match self.socket.read(scratch) {
                Ok(0) => {
                    self.unread = false;
                    return self.peer_has_ended();
                }
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.unread = false;
                    return Ok(Next::Wait);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.broken(&error)),
            };
            match &mut self.state {
                State::Preface { bytes, .. } => {
                    bytes.extend_from_slice(&scratch[..read]);
                    if self.read_preface(desk)? == Next::Resume {
                        return Ok(Next::Resume);
                    }
                }
                State::Head { bytes, .. } => {
                    bytes.extend_from_slice(&scratch[..read]);
                    if self.read_head(desk)? == Next::Resume {
                        return Ok(Next::Resume);
                    }
                }
                State::Streaming(_, Speech::WebSocket { .. }) => {
                    if self.listen(&scratch[..read], desk)? == Next::Resume {
                        return Ok(Next::Resume);
                    }
                }
                State::Streaming(_, Speech::Ignored) | State::Answer { .. } => {}
                State::Lingering { read: total, .. } => {
                    *total += read;
                    if *total > LINGER_BYTES_MAX {
                        return Err(Leave::ClosedByReceiver);
                    }
                }
            }
        }
        Ok(Next::Resume)
    }

    /// The peer will say nothing more. Over HTTP and bare TCP that is no goodbye: a program whose input has ended shuts its
    /// side and reads on (`nc -N`). If it is gone altogether, the connection breaks with the next bytes for it.
    fn peer_has_ended(&mut self) -> Result<Next, Leave> {
        let over = self.joined.map(|joined| joined.over);
        let may_read_on = matches!((&self.state, over), (State::Streaming(..), Some(Over::Http | Over::Tcp)));
        if may_read_on && matches!(self.socket.take_error(), Ok(None)) {
            self.half_closed = true;
            return Ok(Next::Wait);
        }
        Err(Leave::ClosedByReceiver)
    }

    /// What became of a receiver whose connection has failed.
    fn broken(&self, error: &io::Error) -> Leave {
        if self.half_closed { Leave::ClosedByReceiver } else { Leave::Socket(error.kind()) }
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        match &mut self.state {
            State::Streaming(streaming, _) => {
                if !streaming.is_blocked() {
                    return Ok(Next::Wait);
                }
                streaming.unblock();
                if streaming.is_joining() { Ok(Next::Resume) } else { self.pump(desk) }
            }
            State::Answer { .. } => self.send_answer(desk),
            State::Preface { .. } | State::Head { .. } | State::Lingering { .. } => Ok(Next::Wait),
        }
    }

    /// There may be more to read or to send without an event to tell.
    pub fn resume(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        let next = match &self.state {
            State::Streaming(..) => self.pump_unless_blocked(desk)?,
            State::Head { bytes, .. } if !bytes.is_empty() => self.read_head(desk)?,
            _ => Next::Wait,
        };
        // What is to be read waits until there is nothing else to come back for.
        if next == Next::Resume || !self.unread {
            return Ok(next);
        }
        let had_joined = self.joined.is_some();
        let next = self.read_on(desk)?;
        // A request that has just become a stream: its response goes out with what there is.
        if self.joined.is_some() != had_joined { self.resume(desk) } else { Ok(next) }
    }

    /// Its stream may have a chunk that it has not been sent. The hot path: once per receiver and chunk.
    pub fn deliver(&mut self, settings: &Settings, ring: &Ring, now: Instant) -> Result<Next, Leave> {
        let State::Streaming(streaming, _) = &mut self.state else { return Ok(Next::Wait) };
        if streaming.is_blocked() {
            return Ok(Next::Wait);
        }
        if streaming.is_joining() {
            return Ok(Next::Resume);
        }
        let patience = || patience(&self.service, self.joined, settings);
        match streaming.pump(&mut self.socket, ring, patience, now) {
            Ok(Pumped::CaughtUp | Pumped::Blocked) => Ok(Next::Wait),
            // The end needs the whole desk: the next turn sees to it.
            Ok(Pumped::Unfinished | Pumped::Ended) => Ok(Next::Resume),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Looks at what has taken too long.
    pub fn tick(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        let now = desk.now;
        let patience = patience(&self.service, self.joined, desk.settings);
        match &mut self.state {
            State::Preface { since, .. } if now.duration_since(*since) >= HEAD_TIME_MAX => Err(Leave::Silent),
            // Who is lined up may have said all, and waits for us.
            State::Head { .. } if self.lined_up => Ok(Next::Wait),
            State::Head { bytes, since, time_max } if now.duration_since(*since) >= *time_max => {
                if bytes.is_empty() {
                    return Err(Leave::Silent);
                }
                self.leave = Some(Leave::Silent);
                self.answer(
                    Answer::refusal(http::Status::RequestTimeout, "the request did not come in time"),
                    desk,
                )
            }
            State::Answer { since, .. } if now.duration_since(*since) >= ANSWER_TIME_MAX => {
                Err(Leave::Stalled)
            }
            State::Lingering { since, .. } if now.duration_since(*since) >= LINGER_TIME_MAX => {
                Err(Leave::ClosedByReceiver)
            }
            State::Streaming(streaming, speech) => {
                if streaming.is_stalled(&patience, now) {
                    return Err(Leave::Stalled);
                }
                let silence = now.duration_since(streaming.progress_at());
                if self.half_closed && silence >= patience.stall_max {
                    // Nothing has been sent that could have told whether it is still there.
                    return Err(Leave::ClosedByReceiver);
                }
                let Speech::WebSocket { awaits_pong, path_told, .. } = speech else { return Ok(Next::Wait) };
                if streaming.is_blocked() {
                    return Ok(Next::Wait);
                }
                if let (Some(told), Some(joined)) = (path_told, self.joined)
                    && *told != desk.shard.status(joined.stream).path
                {
                    *told = Path::clone(&desk.shard.status(joined.stream).path);
                    let text = relay::path_text(desk.settings.identity, told);
                    streaming.outbox.control(&ws::text(&text));
                    return self.pump(desk);
                }
                if *awaits_pong && silence >= PONG_TIME_MAX {
                    return Err(Leave::NoPong);
                }
                if !*awaits_pong && silence >= PING_AFTER {
                    *awaits_pong = true;
                    streaming.outbox.control(&ws::ping(b""));
                    return self.pump(desk);
                }
                Ok(Next::Wait)
            }
            _ => Ok(Next::Wait),
        }
    }

    /// The node is ending.
    pub fn drain(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        self.part(Leave::NodeEnds, desk)
    }

    /// An operator wants it to go.
    pub fn dismiss(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        self.part(Leave::Dismissed, desk)
    }

    /// Says goodbye in the way of the protocol.
    fn part(&mut self, leave: Leave, desk: &mut Desk) -> Result<Next, Leave> {
        match &mut self.state {
            State::Preface { .. } | State::Head { .. } => Err(leave),
            State::Answer { answer, .. } => {
                answer.keep_alive = false;
                Ok(Next::Wait)
            }
            State::Lingering { .. } => Ok(Next::Wait),
            State::Streaming(streaming, speech) => {
                let goodbye = match speech {
                    Speech::WebSocket { .. } => ws::close(CLOSE_GOING_AWAY, &leave.to_string()),
                    Speech::Ignored => Default::default(),
                };
                streaming.outbox.end(&goodbye);
                self.leave.get_or_insert(leave);
                self.pump_unless_blocked(desk)
            }
        }
    }

    /// What it has been sent so far.
    #[must_use]
    pub fn tally(&self) -> Tally {
        match (&self.state, self.joined) {
            (State::Streaming(streaming, _), _) => streaming.tally,
            (_, joined) => joined.map(|joined| joined.tally).unwrap_or_default(),
        }
    }

    /// By how much it lags, if it does not take what there is.
    #[must_use]
    pub fn lag(&self, ring: &Ring, now: Instant) -> Duration {
        match &self.state {
            State::Streaming(streaming, _) if streaming.is_blocked() => streaming.outbox.lag(ring, now),
            _ => Duration::ZERO,
        }
    }

    /// Looks for what a trusted proxy says first. It gathers no more bytes than a header has, and what one read adds.
    fn read_preface(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        let State::Preface { bytes, since } = &mut self.state else { return Ok(Next::Wait) };
        let Service::Port { index } = self.service else { return Ok(Next::Wait) };
        let settings = desk.settings;
        let port = &settings.ports[index];
        let over_http = port.protocol == ReceiverProtocol::WebSocket;
        let parsed = proxy::parse(bytes);
        let rest = match parsed {
            Ok(None) => return Ok(Next::Wait),
            Ok(Some((header, header_len))) => {
                self.client.connected(header);
                bytes.split_off(header_len)
            }
            Err(NoHeader::Absent) if over_http => std::mem::take(bytes),
            Err(NoHeader::Malformed) if over_http => Vec::new(),
            Err(_) => return Err(Leave::NoProxyHeader),
        };
        self.state = State::Head { bytes: rest, since: *since, time_max: HEAD_TIME_MAX };
        match port.protocol {
            ReceiverProtocol::WebSocket if parsed == Err(NoHeader::Malformed) => {
                let words = "the PROXY header can't be read";
                self.answer(Answer::refusal(http::Status::BadRequest, words), desk)
            }
            ReceiverProtocol::WebSocket => self.read_head(desk),
            ReceiverProtocol::Tcp => self.stream_unasked(port.stream, &port.filter, desk),
        }
    }

    /// Reads requests from the bytes gathered, until one needs more bytes, is answered, or becomes a stream.
    fn read_head(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        let State::Head { bytes, .. } = &mut self.state else { return Ok(Next::Wait) };
        let Service::Port { index } = self.service else { return Ok(Next::Wait) };
        let (request, head_len) = match http::parse_request(bytes) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(Next::Wait),
            Err(error) => {
                let refusal = match proxy::parse(bytes) {
                    Err(NoHeader::Absent) => Answer::refusal(error.status(), &error.to_string()),
                    _ => Answer::refusal(
                        http::Status::BadRequest,
                        "a PROXY header counts from TrustedProxies only",
                    ),
                };
                return self.answer(refusal, desk);
            }
        };
        let rest = bytes.split_off(head_len);
        self.client.asks(&request, &desk.settings.trusted_proxies);
        match routes::route(&request, desk.settings, &desk.settings.ports[index], desk.shard, desk.directory)
        {
            Route::Answer(answer) => {
                self.state = State::Head { bytes: rest, since: desk.now, time_max: HEAD_TIME_MAX };
                self.answer(answer, desk)
            }
            Route::WebSocket(stream, head) => self.stream(stream, Over::WebSocket, None, head, &rest, desk),
            Route::Http(stream, head) => self.stream(stream, Over::Http, None, head, &rest, desk),
            Route::Relay(stream, head, after) => self.stream(stream, Over::Relay, after, head, &rest, desk),
        }
    }

    /// Begins to answer. What has been read beyond the request waits in the state for the next one.
    fn answer(&mut self, answer: Answer, desk: &mut Desk) -> Result<Next, Leave> {
        let rest = match &mut self.state {
            State::Head { bytes, .. } => std::mem::take(bytes),
            _ => Vec::new(),
        };
        self.state = State::Answer { answer, sent: 0, since: desk.now, rest };
        self.send_answer(desk)
    }

    fn send_answer(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        let State::Answer { answer, sent, rest, .. } = &mut self.state else { return Ok(Next::Wait) };
        loop {
            let head = answer.head.get(*sent..).unwrap_or_default();
            let body = answer.body.get(sent.saturating_sub(answer.head.len())..).unwrap_or_default();
            if head.is_empty() && body.is_empty() {
                break;
            }
            match self.socket.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
                Ok(0) => return Err(Leave::Socket(ErrorKind::WriteZero)),
                Ok(written) => *sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Wait),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Leave::Socket(error.kind())),
            }
        }
        if !answer.keep_alive {
            return self.linger(desk);
        }
        let bytes = std::mem::take(rest);
        self.state = State::Head { bytes, since: desk.now, time_max: KEEP_ALIVE_TIME_MAX };
        // The next request may be here already, in `rest` or in the socket, where no event will tell of it.
        Ok(Next::Resume)
    }

    /// Begins to send `stream`, after `head`; `rest` is what the receiver has already said. A node that pulls has had
    /// the stream up to the chunk `after`.
    fn stream(
        &mut self,
        stream: StreamId,
        over: Over,
        after: Option<Origin>,
        head: Vec<u8>,
        rest: &[u8],
        desk: &mut Desk,
    ) -> Result<Next, Leave> {
        let start = match &self.service {
            Service::Hop(_) => Start::Keyframe,
            Service::Port { index } => {
                self.admitted = desk.settings.places.admit(self.client.ip());
                if self.admitted.is_none() {
                    return self.turn_away(over, desk);
                }
                desk.settings.ports[*index].start
            }
        };
        let form = match over {
            Over::WebSocket => Form::Frames,
            Over::Relay => Form::Relayed,
            Over::Http | Over::Tcp | Over::Hop => Form::Payloads,
        };
        let from = desk.shard.first_to_offer(stream);
        let mut outbox = match start {
            _ if let Some(after) = after => Outbox::resuming(form, after, from),
            _ if over == Over::Relay => Outbox::at_entry(form, from),
            Start::Keyframe => Outbox::at_entry(form, from),
            Start::Live => Outbox::at_live(form, from),
        };
        outbox.open_with(head);
        let speech = match over {
            Over::WebSocket | Over::Relay => Speech::WebSocket {
                reader: ws::Reader::default(),
                awaits_pong: false,
                path_told: (over == Over::Relay).then(|| Path::clone(&desk.shard.status(stream).path)),
            },
            Over::Http | Over::Tcp | Over::Hop => Speech::Ignored,
        };
        self.state = State::Streaming(Streaming::new(outbox, desk.now), speech);
        let slot = desk.shard.join(stream, desk.key);
        self.joined = Some(Joined { stream, slot, over, tally: Tally::default() });
        self.listen(rest, desk)?;
        Ok(Next::Resume)
    }

    /// There is no place for it.
    fn turn_away(&mut self, over: Over, desk: &mut Desk) -> Result<Next, Leave> {
        self.leave = Some(Leave::Full);
        match over {
            Over::Tcp | Over::Hop => Err(Leave::Full),
            Over::WebSocket | Over::Relay | Over::Http => {
                self.answer(Answer::refusal(http::Status::ServiceUnavailable, "the node is full"), desk)
            }
        }
    }

    fn pump_unless_blocked(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        match &self.state {
            State::Streaming(streaming, _) if !streaming.is_blocked() => self.pump(desk),
            _ => Ok(Next::Wait),
        }
    }

    fn pump(&mut self, desk: &mut Desk) -> Result<Next, Leave> {
        let (State::Streaming(streaming, _), Some(joined)) = (&mut self.state, self.joined) else {
            return Ok(Next::Wait);
        };
        let ring = desk.shard.ring(joined.stream);
        let patience = || patience(&self.service, self.joined, desk.settings);
        match streaming.pump(&mut self.socket, ring, patience, desk.now) {
            Ok(Pumped::CaughtUp | Pumped::Blocked) => Ok(Next::Wait),
            Ok(Pumped::Unfinished) => Ok(Next::Resume),
            Ok(Pumped::Ended) => self.linger(desk),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Hears what a WebSocket client says: answers pings and goodbyes, ignores messages.
    fn listen(&mut self, mut said: &[u8], desk: &mut Desk) -> Result<Next, Leave> {
        let State::Streaming(streaming, speech) = &mut self.state else { return Ok(Next::Wait) };
        let Speech::WebSocket { reader, awaits_pong, .. } = speech else { return Ok(Next::Wait) };
        *awaits_pong = false;
        while !said.is_empty() {
            let (leave, goodbye) = match reader.read(said) {
                Ok((consumed, incoming)) => {
                    said = &said[consumed..];
                    match incoming {
                        Some(ws::Incoming::Ping(payload)) => {
                            streaming.outbox.control(&ws::pong(&payload));
                            continue;
                        }
                        Some(ws::Incoming::Pong | ws::Incoming::Message) | None => continue,
                        Some(ws::Incoming::Close(code)) => {
                            (Leave::ClosedByReceiver, ws::close(code.unwrap_or(CLOSE_NORMAL), ""))
                        }
                    }
                }
                Err(violation) => {
                    (Leave::Violation(violation), ws::close(violation.close_code(), &violation.to_string()))
                }
            };
            streaming.outbox.end(&goodbye);
            self.leave.get_or_insert(leave);
            // There is nothing to be read after a goodbye, and no telling frames apart after a violation.
            *speech = Speech::Ignored;
            break;
        }
        if streaming.outbox.is_mid_frame() { self.pump_unless_blocked(desk) } else { Ok(Next::Wait) }
    }

    /// The last word has been sent: shuts our side and waits a little for the peer's end, since closing a socket with
    /// unread bytes in it resets the connection and takes our last words with it.
    fn linger(&mut self, desk: &Desk) -> Result<Next, Leave> {
        if let (State::Streaming(streaming, _), Some(joined)) = (&self.state, &mut self.joined) {
            joined.tally = streaming.tally;
        }
        self.state = State::Lingering { since: desk.now, read: 0 };
        match self.socket.shutdown(Shutdown::Write) {
            Ok(()) => Ok(Next::Resume),
            Err(error) => Err(Leave::Socket(error.kind())),
        }
    }
}

fn patience(service: &Service, joined: Option<Joined>, settings: &Settings) -> Patience {
    match service {
        _ if joined.is_some_and(|joined| joined.over == Over::Relay) => HOP_PATIENCE,
        Service::Port { index } => {
            let port = &settings.ports[*index];
            Patience { lag_max: port.lag_max, stall_max: port.stall_max }
        }
        Service::Hop(_) => HOP_PATIENCE,
    }
}

#[cfg(test)]
mod tests;
