//! Publishers over TCP: a connection that carries nothing but the stream. And what HTTP shares with it.

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};

use crate::ingest::report::Departure;
use crate::ingest::{Progress, Turn};
use crate::mailbox::StreamId;

/// Reads of one socket in one turn; each is at most the whole buffer.
pub const READS_PER_TURN_MAX: usize = 4;

/// Connections accepted by one port in one turn.
const ACCEPTS_PER_TURN_MAX: usize = 64;

/// The socket of somebody who sends to us.
#[derive(Debug)]
pub struct Inlet {
    /// The socket.
    pub socket: TcpStream,
    peer_has_ended: bool,
}

impl Inlet {
    /// Of a connection just accepted.
    pub fn new(socket: TcpStream) -> Inlet {
        Inlet { socket, peer_has_ended: false }
    }

    /// An event has told that the peer sends no more than what waits in the socket.
    pub fn peer_has_ended(&mut self) {
        self.peer_has_ended = true;
    }

    /// Reads once; zero is the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.socket.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }

    /// Whether a read of `len` bytes, with room for `room`, took all there was: a short one did, and an event will tell
    /// of more (epoll(7)), which saves a call that would find nothing. Not if the end comes next: it was told already.
    pub fn is_drained(&self, len: usize, room: usize) -> bool {
        len < room && !self.peer_has_ended
    }
}

/// A publisher that was let in.
#[derive(Debug)]
pub struct TcpPublisher {
    /// Its connection.
    pub inlet: Inlet,
    /// What it publishes.
    pub stream: StreamId,
}

impl TcpPublisher {
    /// Reads on.
    pub fn serve(&mut self, turn: &mut Turn) -> Progress {
        for _ in 0..READS_PER_TURN_MAX {
            let departure = match self.inlet.read(turn.buffer) {
                Ok(0) => Departure::Closed,
                Ok(len) => {
                    turn.streams.feed(self.stream, &turn.buffer[..len], turn.now);
                    if self.inlet.is_drained(len, turn.buffer.len()) {
                        return Progress::Drained;
                    }
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Drained,
                Err(error) => Departure::Failed(error),
            };
            turn.streams.leave(self.stream, &departure, turn.now);
            return Progress::Closed;
        }
        Progress::More
    }
}

/// Accepts whoever waits, as far as a turn allows.
pub fn accept(
    listener: &TcpListener,
    turn: &mut Turn,
    mut take: impl FnMut(TcpStream, SocketAddr, &mut Turn),
) -> Progress {
    for _ in 0..ACCEPTS_PER_TURN_MAX {
        match listener.accept() {
            Ok((socket, peer)) => take(socket, canonical(peer), turn),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Progress::Drained,
                // The latter: whoever waited is gone.
                ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                // No descriptor or no memory is left, as a rule.
                _ => {
                    turn.gate.trouble(&"any stream", &error, turn.now);
                    return Progress::Later;
                }
            },
        }
    }
    Progress::More
}

/// The same address, as IPv4 if it is one.
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
