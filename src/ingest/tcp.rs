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

/// A publisher that was let in.
#[derive(Debug)]
pub struct TcpPublisher {
    /// Its connection.
    pub socket: TcpStream,
    /// What it publishes.
    pub stream: StreamId,
}

impl TcpPublisher {
    /// Reads on.
    pub fn serve(&mut self, turn: &mut Turn) -> Progress {
        for _ in 0..READS_PER_TURN_MAX {
            let departure = match read(&mut self.socket, turn.buffer) {
                Ok(0) => Departure::Closed,
                Ok(len) => {
                    turn.streams.feed(self.stream, &turn.buffer[..len], turn.now);
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

/// Reads once; zero is the end.
pub fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
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
