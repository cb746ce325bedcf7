//! A next hop over TCP: connected to without ever waiting, then given to a worker as a receiver, and tried again for ever.
//!
//! ```text
//! Waiting ──► Resolving ──► Connecting ──► Served ──► Waiting …
//!                                            └─────► Parked ──► (a publisher comes) Resolving
//! ```

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Token};

use super::own;
use super::target::{Desk, Target};
use crate::mailbox::{Line, Served, Service, StreamId};
use crate::net;

/// How long one address has to answer. The kernel asks three times in this time.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);

/// A next hop over TCP.
#[derive(Debug)]
pub struct TcpHop {
    target: Target,
    /// What it is sent.
    pub stream: StreamId,
    token: Token,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Tried at that time.
    Waiting(Instant),
    Resolving,
    Connecting(Try),
    /// A worker has the connection.
    Served {
        since: Instant,
    },
    /// The hop has hung up on a stream that has no publisher, having waited for it as long as it cared to. So would it
    /// again: it is tried when there is a publisher.
    Parked,
    /// The node is ending.
    Ended,
}

/// A connection in the making.
#[derive(Debug)]
struct Try {
    socket: TcpStream,
    address: SocketAddr,
    /// Those to be tried if this one fails.
    others: std::vec::IntoIter<SocketAddr>,
    deadline: Instant,
}

impl TcpHop {
    /// A hop that is tried at once. `token` is for its socket while that is being connected.
    #[must_use]
    pub fn new(target: Target, stream: StreamId, token: Token, now: Instant) -> TcpHop {
        TcpHop { target, stream, token, state: State::Waiting(now) }
    }

    /// When [`due`](Self::due) wants to be called.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Waiting(at) => Some(*at),
            State::Connecting(current) => Some(current.deadline),
            State::Resolving | State::Served { .. } | State::Parked | State::Ended => None,
        }
    }

    /// Its deadline has come.
    pub fn due(&mut self, desk: &mut Desk) {
        match std::mem::replace(&mut self.state, State::Resolving) {
            State::Waiting(_) => self.target.ask(desk),
            State::Connecting(current) => self.next_address(current.others, ErrorKind::TimedOut.into(), desk),
            other => self.state = other,
        }
    }

    /// What [`due`](Self::due) asked for has come.
    pub fn resolved(&mut self, addresses: io::Result<Vec<SocketAddr>>, desk: &mut Desk) {
        if !matches!(self.state, State::Resolving) {
            return;
        }
        match addresses {
            Ok(addresses) => self.next_address(addresses.into_iter(), ErrorKind::NotFound.into(), desk),
            Err(error) => self.state = State::Waiting(self.target.failed(&error, desk)),
        }
    }

    /// The socket that is being connected has something to say.
    pub fn event(&mut self, desk: &mut Desk) {
        let State::Connecting(current) = &self.state else { return };
        let outcome = match current.socket.take_error() {
            Ok(None) => current.socket.peer_addr(),
            Ok(Some(error)) | Err(error) => Err(error),
        };
        if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotConnected) {
            return;
        }
        let State::Connecting(current) = std::mem::replace(&mut self.state, State::Resolving) else { return };
        let Try { mut socket, address, others, .. } = current;
        match outcome.and_then(|_| prepare(&mut socket, address, desk)) {
            Ok(()) => self.serve(socket, address, desk),
            Err(error) => self.next_address(others, error, desk),
        }
    }

    /// The worker has closed the connection.
    pub fn closed(&mut self, served: Option<Served>, outlook: Outlook, desk: &mut Desk) {
        let State::Served { since } = self.state else { return };
        let lasted = desk.now.saturating_duration_since(since);
        let why = match served {
            None => "the worker can't take one more connection".to_owned(),
            Some(Served { reason, bytes, skips }) => format!("{reason}; {bytes} bytes, {skips} skips"),
        };
        self.state = match outlook {
            Outlook::Again => State::Waiting(self.target.lost(lasted, &why, desk)),
            Outlook::WhenPublished => {
                let why = format!("{why}; next try when the stream has a publisher");
                self.target.left(lasted, &why, desk);
                State::Parked
            }
            Outlook::Never => {
                self.target.left(lasted, &why, desk);
                State::Ended
            }
        };
    }

    /// Its stream has a publisher.
    pub fn published(&mut self, desk: &mut Desk) {
        if let State::Parked = self.state {
            self.state = State::Resolving;
            self.target.ask(desk);
        }
    }

    /// The node is ending: a connection that a worker has is the worker's to end, another is not made.
    pub fn end(&mut self) {
        if !matches!(self.state, State::Served { .. }) {
            self.state = State::Ended;
        }
    }

    fn next_address(
        &mut self,
        mut addresses: std::vec::IntoIter<SocketAddr>,
        mut error: io::Error,
        desk: &mut Desk,
    ) {
        while let Some(address) = addresses.next() {
            let connecting = TcpStream::connect(address).and_then(|mut socket| {
                desk.registry.register(&mut socket, self.token, Interest::WRITABLE)?;
                Ok(socket)
            });
            match connecting {
                Ok(socket) => {
                    let deadline = desk.now + CONNECT_TIME_MAX;
                    desk.wake_by(deadline);
                    self.state = State::Connecting(Try { socket, address, others: addresses, deadline });
                    return;
                }
                Err(failure) => error = failure,
            }
        }
        self.state = State::Waiting(self.target.failed(&error, desk));
    }

    fn serve(&mut self, socket: TcpStream, address: SocketAddr, desk: &mut Desk) {
        self.target.connected(socket.local_addr().ok(), address, desk);
        self.state = State::Served { since: desk.now };
        let line = Line::new(self.target.index, self.stream, desk.to_hops.clone());
        // If no worker takes it, the line tells: it is dropped here like anywhere.
        let _ = desk.workers.assign(socket, address, Service::Hop(Box::new(line)));
    }
}

/// Whether a hop whose connection has ended is connected to again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// It is.
    Again,
    /// Its stream has no publisher; it is when there is one.
    WhenPublished,
    /// The node is ending.
    Never,
}

/// Makes of a connection that has just been made one that a worker can take.
fn prepare(socket: &mut TcpStream, peer: SocketAddr, desk: &Desk) -> io::Result<()> {
    let local = socket.local_addr()?;
    // A port that nobody listens on may be the very one that the system chose for our end.
    if local == peer {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    if own::leads_to(&desk.own.tcp, local, peer) {
        return Err(io::Error::other("that is this node itself"));
    }
    desk.registry.deregister(socket)?;
    net::hop_options(socket)
}
