//! Publishers over HTTP: `POST` or `PUT`, the body is the stream. Every other request gets a short answer.

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::Token;
use mio::net::TcpStream;

use crate::ingest::gate::Refusal;
use crate::ingest::report::Departure;
use crate::ingest::route::{Candidate, route};
use crate::ingest::stream::Admission;
use crate::ingest::tcp::{Inlet, READS_PER_TURN_MAX};
use crate::ingest::{Progress, Turn};
use crate::mailbox::StreamId;
use crate::proto::http::{
    BodyDecoder, BodyKind, Content, HEAD_BYTES_MAX, Method, Request, Status, parse_request, refusal, response,
};

/// From the connection to the end of the head.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

/// After the answer: closing with bytes unread resets the connection, and the peer would never see the answer.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// A connection to an HTTP port. Holds at most [`HEAD_BYTES_MAX`], and that only until the head is complete.
#[derive(Debug)]
pub struct HttpConnection {
    /// The connection.
    pub inlet: Inlet,
    token: Token,
    peer: SocketAddr,
    /// Where it connected to.
    port: HttpPort,
    since: Instant,
    phase: Phase,
}

/// A port that takes HTTP publishers.
#[derive(Clone, Debug)]
pub struct HttpPort {
    /// The address it is bound to.
    pub address: SocketAddr,
    /// What may be published through it.
    pub streams: Arc<[StreamId]>,
}

#[derive(Debug)]
enum Phase {
    /// The head is not complete yet.
    Head(Vec<u8>),
    /// It publishes.
    Body { stream: StreamId, kind: BodyKind, decoder: BodyDecoder },
    /// It has been answered; what still comes is dropped.
    Lingering { until: Instant, bytes_left: usize },
}

/// Why a request is not served.
struct Refused {
    stream: Option<StreamId>,
    refusal: Refusal,
    status: Status,
}

impl HttpConnection {
    /// A connection just accepted.
    pub fn new(
        socket: TcpStream,
        token: Token,
        peer: SocketAddr,
        port: HttpPort,
        now: Instant,
    ) -> HttpConnection {
        HttpConnection {
            inlet: Inlet::new(socket),
            token,
            peer,
            port,
            since: now,
            phase: Phase::Head(Vec::new()),
        }
    }

    /// Its other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Since when it has been there without being a publisher.
    pub fn idle_since(&self) -> Option<Instant> {
        (!matches!(self.phase, Phase::Body { .. })).then_some(self.since)
    }

    /// Where it connected to.
    pub fn port(&self) -> &HttpPort {
        &self.port
    }

    /// Reads on.
    pub fn serve(&mut self, turn: &mut Turn) -> Progress {
        for _ in 0..READS_PER_TURN_MAX {
            // The head buffer takes no more than its bound; the rest stays in the socket for the next read.
            let room = match &self.phase {
                Phase::Head(head) => HEAD_BYTES_MAX - head.len(),
                _ => turn.buffer.len(),
            };
            let len = match self.inlet.read(&mut turn.buffer[..room]) {
                Ok(0) => return self.ended(Departure::Closed, turn),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Drained,
                Err(error) => return self.ended(Departure::Failed(error), turn),
            };
            match &mut self.phase {
                Phase::Head(head) => {
                    head.extend_from_slice(&turn.buffer[..len]);
                    self.head(turn);
                }
                Phase::Body { stream, kind: _, decoder } => {
                    let (input, streams) = (&turn.buffer[..len], &mut *turn.streams);
                    let feed = |data: &[u8]| streams.feed(*stream, data, turn.now);
                    let outcome = decode(decoder, input, feed);
                    self.decoded(outcome, turn);
                    if self.inlet.is_drained(len, room) {
                        return Progress::Drained;
                    }
                }
                Phase::Lingering { bytes_left, .. } if len <= *bytes_left => *bytes_left -= len,
                Phase::Lingering { .. } => return Progress::Closed,
            }
        }
        Progress::More
    }

    /// Looks whether its time is up.
    pub fn tick(&mut self, turn: &mut Turn) -> Progress {
        match self.phase {
            Phase::Head(_) if turn.now.duration_since(self.since) >= HEAD_TIME_MAX => {
                self.refuse(Status::RequestTimeout.into(), turn);
                Progress::Drained
            }
            Phase::Lingering { until, .. } if turn.now >= until => Progress::Closed,
            _ => Progress::Drained,
        }
    }

    /// More of the head has come.
    fn head(&mut self, turn: &mut Turn) {
        let Phase::Head(head) = &mut self.phase else { return };
        let (request, head_len) = match parse_request(head) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return,
            Err(error) => return self.refuse(error.status().into(), turn),
        };
        let body = std::mem::take(head).split_off(head_len);
        match self.admit(&request, turn) {
            Ok((stream, kind)) => self.begin(&request, stream, kind, &body, turn),
            Err(refused) => self.refuse(refused, turn),
        }
    }

    fn admit(&self, request: &Request, turn: &Turn) -> Result<(StreamId, BodyKind), Refused> {
        if !turn.gate.allows(self.peer.ip()) {
            return Err(Refused { stream: None, refusal: Refusal::Authority, status: Status::Forbidden });
        }
        if !matches!(request.method, Method::Post | Method::Put) {
            return Err(Status::MethodNotAllowed.into());
        }
        let kind = request.body().map_err(|error| Refused::from(error.status()))?;
        let candidates = self.port.streams.iter().map(|&id| {
            let settings = turn.streams.settings(id);
            Candidate { id, name: &settings.name, secret: &settings.secret }
        });
        let stream = route(&request.path, request.header("Authorization"), candidates)?;
        match turn.streams.admission(stream, self.peer.ip()) {
            Admission::Free | Admission::Replaces => Ok((stream, kind)),
            Admission::Refused(by) => {
                let refusal = Refusal::Taken(by);
                Err(Refused { stream: Some(stream), refusal, status: Status::Conflict })
            }
        }
    }

    fn begin(&mut self, request: &Request, stream: StreamId, kind: BodyKind, body: &[u8], turn: &mut Turn) {
        if request.header_has_token("Expect", "100-continue") && request.is_http11() {
            self.write(&response(Status::Continue, &[], Content::None));
        }
        turn.streams.begin(stream, self.token, self.peer, turn.now);
        let mut decoder = BodyDecoder::new(kind);
        let outcome = decode(&mut decoder, body, |data| turn.streams.feed(stream, data, turn.now));
        self.phase = Phase::Body { stream, kind, decoder };
        self.decoded(outcome, turn);
    }

    /// The body has come as far as `outcome` says.
    fn decoded(&mut self, outcome: Outcome, turn: &mut Turn) {
        let Phase::Body { stream, .. } = self.phase else { return };
        match outcome {
            Outcome::Open => {}
            Outcome::Ended => {
                turn.streams.leave(stream, &Departure::Completed, turn.now);
                self.answer(&thanks(), turn.now);
            }
            Outcome::Broken => {
                turn.streams.leave(stream, &Departure::Malformed, turn.now);
                self.answer(&words(Status::BadRequest), turn.now);
            }
        }
    }

    /// The peer will send no more.
    fn ended(&mut self, departure: Departure, turn: &mut Turn) -> Progress {
        let Phase::Body { stream, kind, .. } = self.phase else { return Progress::Closed };
        if kind == BodyKind::UntilClose && matches!(departure, Departure::Closed) {
            turn.streams.leave(stream, &Departure::Completed, turn.now);
            // It may have closed its sending half only.
            self.write(&thanks());
        } else {
            turn.streams.leave(stream, &departure, turn.now);
        }
        Progress::Closed
    }

    fn refuse(&mut self, refused: Refused, turn: &mut Turn) {
        match refused.stream {
            Some(id) => {
                turn.gate.refuse(&turn.streams.settings(id).name, self.peer, refused.refusal, turn.now);
            }
            None => turn.gate.refuse(&self.port.address, self.peer, refused.refusal, turn.now),
        }
        self.answer(&words(refused.status), turn.now);
    }

    /// The answer, after which nothing that comes is of interest.
    fn answer(&mut self, answer: &[u8], now: Instant) {
        self.write(answer);
        let _ = self.inlet.socket.shutdown(Shutdown::Write);
        self.phase = Phase::Lingering { until: now + LINGER_TIME_MAX, bytes_left: LINGER_BYTES_MAX };
    }

    fn write(&mut self, answer: &[u8]) {
        // Nothing but two short answers is ever sent, so they fit the socket's buffer. If the peer is gone, so be it.
        let _ = self.inlet.socket.write(answer);
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Refused {
        Refused { stream: None, refusal: Refusal::Http(status.code()), status }
    }
}

#[derive(Clone, Copy)]
enum Outcome {
    Open,
    Ended,
    Broken,
}

fn decode(decoder: &mut BodyDecoder, mut input: &[u8], mut feed: impl FnMut(&[u8])) -> Outcome {
    loop {
        let Ok(decoded) = decoder.decode(input) else { return Outcome::Broken };
        if !decoded.data.is_empty() {
            feed(decoded.data);
        }
        if decoded.ended {
            return Outcome::Ended;
        }
        input = &input[decoded.consumed..];
        if input.is_empty() {
            return Outcome::Open;
        }
    }
}

fn thanks() -> Vec<u8> {
    response(Status::Ok, &[("Connection", "close")], Content::Whole(b""))
}

fn words(status: Status) -> Vec<u8> {
    let words = match status {
        Status::MethodNotAllowed => {
            "this port takes a live stream from its publisher, by POST or PUT; to watch, use the port for receivers"
        }
        Status::Forbidden => "you may not publish here",
        Status::NotFound => "no such stream",
        Status::Conflict => "the stream has a publisher already",
        Status::RequestTimeout => "the request did not come in time",
        Status::HeaderFieldsTooLarge => "the request head is too large",
        _ => "the request can't be read",
    };
    let allow: &[(&str, &str)] = &[("Allow", "POST, PUT")];
    refusal(status, if status == Status::MethodNotAllowed { allow } else { &[] }, words)
}
