//! The connections of publishers, and of those who want to be.

use std::net::SocketAddr;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use slab::Slab;

use crate::ingest::gate::Refusal;
use crate::ingest::http::{HttpConnection, HttpPort};
use crate::ingest::stream::Admission;
use crate::ingest::streams::Streams;
use crate::ingest::tcp::{Inlet, TcpPublisher};
use crate::ingest::{Progress, Turn};
use crate::mailbox::StreamId;
use crate::net;

/// Connections of one HTTP port that are not publishers, be it not yet or no more. Beyond, the oldest makes room: a
/// real publisher is done with its head within a round trip. Bounds their memory at 256 × 8 KiB.
const IDLE_PER_PORT_MAX: usize = 256;

/// See the module. TCP publishers are bounded by the number of streams.
#[derive(Debug)]
pub struct Connections {
    connections: Slab<Connection>,
    /// Their tokens begin here.
    first_token: usize,
    registry: Registry,
}

#[derive(Debug)]
enum Connection {
    Tcp(TcpPublisher),
    Http(HttpConnection),
}

impl Connections {
    /// None yet.
    pub fn new(first_token: usize, registry: Registry) -> Connections {
        Connections { connections: Slab::new(), first_token, registry }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Whether `token` is that of a connection, open or not.
    pub fn owns(&self, token: Token) -> bool {
        token.0 >= self.first_token
    }

    /// Makes `peer` the publisher of `stream`, if it may be.
    pub fn take_tcp(&mut self, stream: StreamId, mut socket: TcpStream, peer: SocketAddr, turn: &mut Turn) {
        let refusal = match turn.streams.admission(stream, peer.ip()) {
            _ if !turn.gate.allows(peer.ip()) => Some(Refusal::Authority),
            Admission::Refused(by) => Some(Refusal::Taken(by)),
            Admission::Free | Admission::Replaces => None,
        };
        if let Some(refusal) = refusal {
            return turn.gate.refuse(&turn.streams.settings(stream).name, peer, refusal, turn.now);
        }
        let Some(token) = self.register(&mut socket, peer, turn) else { return };
        self.connections.insert(Connection::Tcp(TcpPublisher { inlet: Inlet::new(socket), stream }));
        turn.streams.begin(stream, token, peer, turn.now);
        self.close_orphans(turn.streams);
    }

    /// Waits for what `peer` requests.
    pub fn take_http(&mut self, port: &HttpPort, mut socket: TcpStream, peer: SocketAddr, turn: &mut Turn) {
        self.make_room(port, turn);
        let Some(token) = self.register(&mut socket, peer, turn) else { return };
        let connection = HttpConnection::new(socket, token, peer, port.clone(), turn.now);
        self.connections.insert(Connection::Http(connection));
    }

    /// An event has told that the peer of a connection sends no more than what waits in its socket.
    pub fn peer_has_ended(&mut self, token: Token) {
        match self.connections.get_mut(token.0 - self.first_token) {
            Some(Connection::Tcp(publisher)) => publisher.inlet.peer_has_ended(),
            Some(Connection::Http(connection)) => connection.inlet.peer_has_ended(),
            None => {}
        }
    }

    /// Reads on from a connection, if it is still there.
    pub fn serve(&mut self, token: Token, turn: &mut Turn) -> Progress {
        let Some(connection) = self.connections.get_mut(token.0 - self.first_token) else {
            return Progress::Drained;
        };
        let progress = match connection {
            Connection::Tcp(publisher) => publisher.serve(turn),
            Connection::Http(connection) => connection.serve(turn),
        };
        if progress == Progress::Closed {
            self.close(token);
        }
        self.close_orphans(turn.streams);
        progress
    }

    /// Closes those whose time is up.
    pub fn tick(&mut self, turn: &mut Turn) {
        self.connections.retain(|_, connection| match connection {
            Connection::Tcp(_) => true,
            Connection::Http(connection) => connection.tick(turn) != Progress::Closed,
        });
        self.close_orphans(turn.streams);
    }

    /// Closes those that have lost their stream.
    pub fn close_orphans(&mut self, streams: &mut Streams) {
        while let Some(token) = streams.orphan() {
            if self.owns(token) {
                self.close(token);
            }
        }
    }

    fn close(&mut self, token: Token) {
        // Closing the socket takes it out of the poll.
        self.connections.try_remove(token.0 - self.first_token);
    }

    /// Registers a socket that is to be the next connection.
    fn register(&mut self, socket: &mut TcpStream, peer: SocketAddr, turn: &mut Turn) -> Option<Token> {
        let token = Token(self.first_token + self.connections.vacant_key());
        let registered =
            net::keep_alive(socket).and_then(|()| self.registry.register(socket, token, Interest::READABLE));
        registered.map_err(|error| turn.gate.trouble(&peer, &error, turn.now)).ok().map(|()| token)
    }

    fn make_room(&mut self, port: &HttpPort, turn: &mut Turn) {
        if self.connections.len() < IDLE_PER_PORT_MAX {
            return;
        }
        let idle = self.connections.iter().filter_map(|(key, connection)| match connection {
            Connection::Http(connection) if connection.port().address == port.address => {
                Some((connection.idle_since()?, key))
            }
            _ => None,
        });
        let (count, oldest) = idle.fold((0, None), |(count, oldest), (since, key)| {
            (count + 1, Some(oldest.map_or((since, key), |oldest| (since, key).min(oldest))))
        });
        if count >= IDLE_PER_PORT_MAX
            && let Some((_, key)) = oldest
            && let Some(Connection::Http(connection)) = self.connections.try_remove(key)
        {
            turn.gate.refuse(&port.address, connection.peer(), Refusal::Crowded, turn.now);
        }
    }
}
