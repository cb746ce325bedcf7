//! A connection to one upstream: made without waiting, opened as a WebSocket, and heard.

use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use tungstenite::handshake::client::generate_key;
use tungstenite::protocol::frame::coding::Control;

use super::failure::Failure;
use crate::chunk::PAYLOAD_BYTES_MAX;
use crate::config::Upstream;
use crate::identity::NodeId;
use crate::ingest::Progress;
use crate::ingest::tcp::{Inlet, READS_PER_TURN_MAX};
use crate::net;
use crate::pace::random;
use crate::proto::http::HEAD_BYTES_MAX;
use crate::proto::relay::{AFTER_HEADER, NODE_HEADER, Origin, Path, SUBPROTOCOL, Stamp, parse_path};
use crate::proto::ts::packet::SYNC_BYTE;
use crate::proto::ws::Violation;
use crate::proto::ws::client::{FrameReader, Kind, Said, masked, parse_answer, request};

/// How long one address has to take a connection. The kernel asks twice in this time.
const CONNECT_TIME_MAX: Duration = Duration::from_millis(1500);

/// The most bytes of text, of which a stream has none, without any of the stream between.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// The most bytes of answers to pings that wait to be sent. Further ones are not answered.
const OUT_BYTES_MAX: usize = 1024;

/// Going away (RFC 6455 §7.4.1) and well.
const CLOSE_NORMAL: u16 = 1000;

/// See the module. Its memory: the answer's head at first, then at most one message of a node.
#[derive(Debug)]
pub struct Link {
    /// By what the poll knows it.
    pub token: Token,
    /// The other end.
    pub address: SocketAddr,
    /// When the connection was begun.
    opened: Instant,
    /// When anything came last.
    alive: Instant,
    /// A ping has been sent since.
    pinged: bool,
    inlet: Inlet,
    phase: Phase,
    /// What is still to be sent.
    out: Vec<u8>,
}

#[derive(Debug)]
enum Phase {
    Connecting,
    /// The answer is being read.
    Answer {
        key: String,
        head: Vec<u8>,
    },
    Open(Open),
}

#[derive(Debug)]
struct Open {
    reader: FrameReader,
    /// It is a node that says more than a viewer is told.
    is_node: bool,
    /// Of a node: what has come of a message.
    message: Vec<u8>,
    /// Of a node: said of the chunk to come.
    stamp: Option<Stamp>,
    text_bytes: usize,
}

/// What is said to an upstream when it is asked for the stream.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Which it is.
    pub upstream: &'a Upstream,
    /// Who asks.
    pub node: NodeId,
    /// As far as the stream is here.
    pub after: Option<Origin>,
}

/// What an upstream has said.
#[derive(Debug)]
pub enum Heard<'a> {
    /// Bytes of the stream, of an upstream that says no more than that.
    Bytes(&'a [u8]),
    /// The nodes that the stream comes through, nearest first.
    Path(Path),
    /// What goes before a chunk that does not continue.
    Preamble(&'a [u8]),
    /// A chunk.
    Chunk(Stamp, &'a [u8]),
}

impl Link {
    /// Begins to connect.
    ///
    /// # Errors
    /// When there is no way to the address, or no descriptor.
    pub fn connect(address: SocketAddr, token: Token, registry: &Registry, now: Instant) -> io::Result<Link> {
        let mut socket = TcpStream::connect(address)?;
        registry.register(&mut socket, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Link {
            token,
            address,
            opened: now,
            alive: now,
            pinged: false,
            inlet: Inlet::new(socket),
            phase: Phase::Connecting,
            out: Vec::new(),
        })
    }

    /// Goes on as far as a turn allows; what is heard goes to `hear`.
    ///
    /// # Errors
    /// The first ends it, be it the connection's or of `hear`.
    pub fn serve(
        &mut self,
        question: Question,
        buffer: &mut [u8],
        now: Instant,
        mut hear: impl FnMut(Heard) -> Result<(), Failure>,
    ) -> Result<Progress, Failure> {
        if let Phase::Connecting = self.phase {
            if !self.is_connected().map_err(Failure::Unreachable)? {
                return Ok(Progress::Drained);
            }
            self.ask(question);
        }
        self.flush().map_err(Failure::Broken)?;
        for _ in 0..READS_PER_TURN_MAX {
            let room = match &self.phase {
                Phase::Answer { head, .. } => HEAD_BYTES_MAX - head.len(),
                Phase::Connecting | Phase::Open(_) => buffer.len(),
            };
            let len = match self.inlet.read(&mut buffer[..room]) {
                Ok(0) => return Err(Failure::Closed(None)),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Progress::Drained),
                Err(error) => return Err(Failure::Broken(error)),
            };
            (self.alive, self.pinged) = (now, false);
            match &mut self.phase {
                Phase::Connecting => {}
                Phase::Answer { key, head } => {
                    head.extend_from_slice(&buffer[..len]);
                    let Some(opened) = parse_answer(head, key).map_err(Failure::NotOpened)? else { continue };
                    let rest = head.split_off(opened.head_len);
                    // A server that does not know the subprotocol may echo it all the same.
                    let is_node = opened.header("Sec-WebSocket-Protocol") == Some(SUBPROTOCOL)
                        && opened.header(NODE_HEADER).is_some_and(|id| id.parse::<NodeId>().is_ok());
                    let mut open = Open::new(is_node);
                    open.listen(&rest, &mut self.out, &mut hear)?;
                    self.phase = Phase::Open(open);
                }
                Phase::Open(open) => open.listen(&buffer[..len], &mut self.out, &mut hear)?,
            }
            self.flush().map_err(Failure::Broken)?;
            if self.inlet.is_drained(len, room) {
                return Ok(Progress::Drained);
            }
        }
        Ok(Progress::More)
    }

    /// An event has told that the upstream sends no more than what waits in the socket.
    pub fn peer_has_ended(&mut self) {
        self.inlet.peer_has_ended();
    }

    /// Whether connecting takes too long.
    ///
    /// # Errors
    /// If so.
    pub fn check(&self, now: Instant) -> Result<(), Failure> {
        match self.phase {
            Phase::Connecting if now.saturating_duration_since(self.opened) >= CONNECT_TIME_MAX => {
                Err(Failure::Unreachable(ErrorKind::TimedOut.into()))
            }
            _ => Ok(()),
        }
    }

    /// Whether anybody is there, though silent: asks in time.
    pub fn is_alive(&mut self, now: Instant, timeout: Duration) -> bool {
        let silence = now.saturating_duration_since(self.alive);
        if !self.pinged && silence >= timeout / 2 && matches!(self.phase, Phase::Open(_)) {
            self.pinged = true;
            self.out.extend(masked(Control::Ping, b"", mask()));
            // What fails will be found when it is read from.
            let _ = self.flush();
        }
        silence < timeout
    }

    /// Says goodbye, as far as that goes without waiting.
    pub fn close(mut self) {
        if let Phase::Open(_) = self.phase {
            self.out.extend(masked(Control::Close, &CLOSE_NORMAL.to_be_bytes(), mask()));
            let _ = self.flush();
        }
    }

    fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.inlet.socket.take_error()? {
            return Err(error);
        }
        match self.inlet.socket.peer_addr() {
            // A port that nobody listens on may be the very one that the system chose for our end.
            Ok(peer) if self.inlet.socket.local_addr()? == peer => Err(ErrorKind::ConnectionRefused.into()),
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn ask(&mut self, question: Question) {
        // Without these the connection would be slower, or longer in ending, but is as good.
        let _ = self.inlet.socket.set_nodelay(true).and_then(|()| net::keep_alive(&self.inlet.socket));
        let (key, node) = (generate_key(), question.node.to_string());
        let after = question.after.map(|after| after.to_string());
        let mut headers = vec![("Sec-WebSocket-Protocol", SUBPROTOCOL), (NODE_HEADER, &*node)];
        headers.extend(after.as_deref().map(|after| (AFTER_HEADER, after)));
        headers.push(("User-Agent", concat!("tsstream/", env!("CARGO_PKG_VERSION"))));
        let Upstream { target, .. } = question.upstream;
        self.out = request(&question.upstream.authority(), target, &key, &headers);
        self.phase = Phase::Answer { key, head: Vec::new() };
    }

    fn flush(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            match self.inlet.socket.write(&self.out) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => drop(self.out.drain(..written)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Open {
    fn new(is_node: bool) -> Open {
        Open { reader: FrameReader::default(), is_node, message: Vec::new(), stamp: None, text_bytes: 0 }
    }

    fn listen(
        &mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
        hear: &mut impl FnMut(Heard) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        while !input.is_empty() {
            let (consumed, said) = self.reader.read(input).map_err(Failure::Violation)?;
            input = &input[consumed..];
            match said {
                None | Some(Said::Pong) => {}
                Some(Said::Ping(payload)) if out.len() < OUT_BYTES_MAX => {
                    out.extend(masked(Control::Pong, payload.as_bytes(), mask()));
                }
                Some(Said::Ping(_)) => {}
                Some(Said::Close(code)) => return Err(Failure::Closed(code)),
                Some(Said::Part { kind, bytes, ends }) => {
                    self.count_text(kind, bytes.len())?;
                    match kind {
                        _ if self.is_node => self.gather(kind, bytes, ends, hear)?,
                        Kind::Binary => hear(Heard::Bytes(bytes))?,
                        Kind::Text => {}
                    }
                }
            }
        }
        Ok(())
    }

    fn count_text(&mut self, kind: Kind, len: usize) -> Result<(), Failure> {
        self.text_bytes = match kind {
            Kind::Binary => 0,
            // Even an empty message is something to be read.
            Kind::Text => self.text_bytes + len.max(1),
        };
        if self.text_bytes > TEXT_BYTES_MAX { Err(Failure::Malformed("it sends text")) } else { Ok(()) }
    }

    /// Puts the messages of a node together. A chunk is taken whole or not at all, so that it can be asked for again.
    fn gather(
        &mut self,
        kind: Kind,
        bytes: &[u8],
        ends: bool,
        hear: &mut impl FnMut(Heard) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if self.message.len() + bytes.len() > PAYLOAD_BYTES_MAX {
            return Err(Failure::Violation(Violation::TooBig));
        }
        if self.message.is_empty() && ends {
            return self.understand(kind, bytes, hear);
        }
        self.message.extend_from_slice(bytes);
        if !ends {
            return Ok(());
        }
        let message = std::mem::take(&mut self.message);
        let understood = self.understand(kind, &message, hear);
        self.message = message;
        self.message.clear();
        understood
    }

    fn understand(
        &mut self,
        kind: Kind,
        message: &[u8],
        hear: &mut impl FnMut(Heard) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if kind == Kind::Text {
            return parse_path(message).map_or(Ok(()), |path| hear(Heard::Path(path)));
        }
        if let Some(stamp) = self.stamp.take() {
            return hear(Heard::Chunk(stamp, message));
        }
        if message.first() == Some(&SYNC_BYTE) {
            return hear(Heard::Preamble(message));
        }
        self.stamp = Stamp::from_bytes(message);
        match self.stamp {
            Some(_) => Ok(()),
            None => Err(Failure::Malformed("it sends what nodes don't send")),
        }
    }
}

fn mask() -> [u8; 4] {
    (random() as u32).to_be_bytes()
}
