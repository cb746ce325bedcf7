//! One connection: a request, its answer, and parting in order. There is no second request: those who ask often do so
//! every second or two, and a connection that waits costs a place.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::{Answer, Desk, Reception, Ticket};
use crate::proto::http::{BodyDecoder, Content, HeadError, Request, Status, parse_request, response};

/// A request must be complete so long after the connection, an answer taken so long after that.
const PHASE_TIME_MAX: Duration = Duration::from_secs(5);

/// How long we wait for the peer to read the end of the answer before the socket is closed, and how much we read and
/// drop of what it still says: closing a socket with unread bytes in it takes the answer with it.
const LINGER_TIME_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// What one read can bring.
const READ_BYTES: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub struct Conn {
    /// The socket, for registering it.
    pub socket: TcpStream,
    /// When the phase that it is in began.
    pub since: Instant,
    from: IpAddr,
    state: State,
}

/// Whether the connection is still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It waits for an event.
    Waits,
    /// It is over.
    Over,
}

#[derive(Debug)]
enum State {
    /// At most [`HEAD_BYTES_MAX`](crate::proto::http::HEAD_BYTES_MAX) and one read.
    Head(Vec<u8>),
    /// At most [`Desk::BODY_BYTES_MAX`].
    Body(BodyDecoder, Vec<u8>),
    /// The answer is not there yet.
    Waiting(Ticket),
    Answer(Answer, usize),
    Linger(usize),
}

impl Conn {
    /// A connection just accepted.
    #[must_use]
    pub fn new(socket: TcpStream, peer: SocketAddr, now: Instant) -> Conn {
        Conn { socket, since: now, from: peer.ip().to_canonical(), state: State::Head(Vec::new()) }
    }

    /// Whether it has not said yet what it wants.
    #[must_use]
    pub fn is_asking(&self) -> bool {
        matches!(self.state, State::Head(_) | State::Body(..))
    }

    /// Whether it has taken too long.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        let time_max = if let State::Linger(_) = self.state { LINGER_TIME_MAX } else { PHASE_TIME_MAX };
        now.saturating_duration_since(self.since) >= time_max
    }

    /// What it waits for, beside its socket.
    #[must_use]
    pub fn ticket(&self) -> Option<Ticket> {
        if let State::Waiting(ticket) = self.state { Some(ticket) } else { None }
    }

    /// The answer that it has waited for.
    pub fn answer(&mut self, answer: Answer, now: Instant) {
        self.since = now;
        self.state = State::Answer(answer, 0);
    }

    /// Something has happened on the socket: goes as far as it can.
    pub fn go_on(&mut self, desk: &mut impl Desk, now: Instant) -> Life {
        loop {
            let step = match &self.state {
                // What it still says is read when the answer is out: an event that told of it is not lost, since then
                // the socket is read until it would block.
                State::Waiting(_) => return Life::Waits,
                State::Answer(..) => self.send(now),
                State::Head(_) | State::Body(..) | State::Linger(_) => self.read(desk, now),
            };
            match step {
                Ok(Life::Waits) => {}
                Ok(Life::Over) => return Life::Over,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Life::Waits,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Life::Over,
            }
        }
    }

    fn read(&mut self, desk: &mut impl Desk, now: Instant) -> io::Result<Life> {
        let mut buffer = [0; READ_BYTES];
        let read = self.socket.read(&mut buffer)?;
        if read == 0 {
            return Ok(Life::Over);
        }
        let read = &buffer[..read];
        match &mut self.state {
            State::Head(bytes) => {
                bytes.extend_from_slice(read);
                match parse_request(bytes) {
                    Ok(None) => {}
                    Ok(Some((request, head_len))) => {
                        let rest = bytes.split_off(head_len);
                        return self.hear(&request, &rest, desk, now);
                    }
                    Err(error) => self.refuse_head(error, desk, now),
                }
            }
            State::Body(..) => self.gather(read, desk, now),
            State::Linger(total) => {
                *total += read.len();
                if *total > LINGER_BYTES_MAX {
                    return Ok(Life::Over);
                }
            }
            State::Waiting(_) | State::Answer(..) => {}
        }
        Ok(Life::Waits)
    }

    fn hear(
        &mut self,
        request: &Request,
        rest: &[u8],
        desk: &mut impl Desk,
        now: Instant,
    ) -> io::Result<Life> {
        match desk.receive(request, self.from, now) {
            Reception::Answered(answer) => self.answer(answer, now),
            Reception::Later(ticket) => self.state = State::Waiting(ticket),
            Reception::Body(kind) => {
                if rest.is_empty()
                    && request.is_http11()
                    && request.header_has_token("Expect", "100-continue")
                {
                    // So little that an empty socket takes it whole.
                    self.socket.write_all(&response(Status::Continue, &[], Content::None))?;
                }
                self.state = State::Body(BodyDecoder::new(kind), Vec::new());
                self.gather(rest, desk, now);
            }
        }
        Ok(Life::Waits)
    }

    /// Takes bytes of the body.
    fn gather<D: Desk>(&mut self, mut bytes: &[u8], desk: &mut D, now: Instant) {
        let State::Body(decoder, body) = &mut self.state else { return };
        let refusal = loop {
            match decoder.decode(bytes) {
                Ok(decoded) => {
                    bytes = &bytes[decoded.consumed..];
                    if body.len() + decoded.data.len() > D::BODY_BYTES_MAX {
                        break (Status::ContentTooLarge, "the body is too large".to_owned());
                    }
                    body.extend_from_slice(decoded.data);
                    if decoded.ended {
                        let answer = desk.take(body, self.from, now);
                        return self.answer(answer, now);
                    }
                    if bytes.is_empty() {
                        return;
                    }
                }
                Err(error) => break (Status::BadRequest, error.to_string()),
            }
        };
        let answer = desk.refuse(refusal.0, &refusal.1, self.from, now);
        self.answer(answer, now);
    }

    fn refuse_head(&mut self, error: HeadError, desk: &mut impl Desk, now: Instant) {
        let answer = desk.refuse(error.status(), &error.to_string(), self.from, now);
        self.answer(answer, now);
    }

    fn send(&mut self, now: Instant) -> io::Result<Life> {
        let State::Answer(answer, sent) = &mut self.state else { return Ok(Life::Waits) };
        let head = answer.head.get(*sent..).unwrap_or_default();
        let body = answer.body.bytes().get(sent.saturating_sub(answer.head.len())..).unwrap_or_default();
        if head.is_empty() && body.is_empty() {
            self.socket.shutdown(Shutdown::Write)?;
            self.since = now;
            self.state = State::Linger(0);
            return Ok(Life::Waits);
        }
        match self.socket.write_vectored(&[IoSlice::new(head), IoSlice::new(body)])? {
            0 => Ok(Life::Over),
            written => {
                *sent += written;
                Ok(Life::Waits)
            }
        }
    }
}
