//! The floors: servers that do the least that a server could, to measure others against.
//!
//! They take one stream over TCP and give it to everybody who connects, over bare TCP, or in datagrams to those that they
//! were told of, in one thread. They start a receiver with whatever comes next, look at nothing in the stream, and frame
//! nothing.

use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Protocol, Socket, Type};

mod datagrams;
mod ring;
mod send;

pub use datagrams::DatagramFloor;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// What is read of the feed at once, and so the most that is sent at once.
const READ_BYTES: usize = 64 * 1024;

const FEED_PORT: Token = Token(0);
const RECEIVERS_PORT: Token = Token(1);
const FEED: Token = Token(2);

/// Which floor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// For each burst a `send` to each receiver, and nothing else. One that does not take it all at once is dropped.
    Send,
    /// A ring of the last bursts and a cursor per receiver: who is behind gets all that is pending in one `writev`.
    Ring,
}

/// A floor that listens.
#[derive(Debug)]
pub struct Floor {
    kind: Kind,
    ports: Ports,
}

/// What a floor is asked to do with what comes.
trait Fanout {
    /// A receiver has connected.
    fn welcome(&mut self, receiver: TcpStream);
    /// Something may have come, which [`Ports::read`] gives.
    fn pass_on(&mut self, ports: &mut Ports) -> Left;
}

/// What a fan-out has left to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Receivers could not take all that there is for them.
    Blocked,
    /// There are receivers that it has not come to yet.
    Turn,
}

impl Left {
    /// How long to wait for something to come before going on.
    fn patience(self) -> Option<Duration> {
        match self {
            Left::Nothing => None,
            Left::Blocked => Some(Duration::from_millis(10)),
            Left::Turn => Some(Duration::ZERO),
        }
    }
}

#[derive(Debug)]
struct Ports {
    poll: Poll,
    feed_port: TcpListener,
    /// None where receivers are sent to without being asked.
    receivers_port: Option<TcpListener>,
    feed: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Floor {
    /// Listens at `feed` for the stream and at `receivers` for those who want it.
    ///
    /// # Errors
    /// When an address is taken or not ours.
    pub fn bind(kind: Kind, feed: SocketAddr, receivers: SocketAddr) -> io::Result<Floor> {
        let mut ports = Ports::open(feed)?;
        let mut receivers_port = listen(receivers)?;
        ports.poll.registry().register(&mut receivers_port, RECEIVERS_PORT, Interest::READABLE)?;
        ports.receivers_port = Some(receivers_port);
        Ok(Floor { kind, ports })
    }

    /// Where it listens for the stream, and for receivers.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn addresses(&self) -> io::Result<(SocketAddr, SocketAddr)> {
        let receivers_port = self.ports.receivers_port.as_ref().ok_or(ErrorKind::NotConnected)?;
        Ok((self.ports.feed_port.local_addr()?, receivers_port.local_addr()?))
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// When polling fails, which it does not.
    pub fn run(self) -> io::Result<()> {
        match self.kind {
            Kind::Send => serve(self.ports, &mut send::SendToEach::default()),
            Kind::Ring => serve(self.ports, &mut ring::Ring::default()),
        }
    }
}

fn serve(mut ports: Ports, fanout: &mut impl Fanout) -> io::Result<()> {
    let mut events = Events::with_capacity(64);
    let mut left = Left::Nothing;
    loop {
        match ports.poll.poll(&mut events, left.patience()) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            outcome => outcome?,
        }
        for event in &events {
            match event.token() {
                FEED_PORT => ports.accept_feed()?,
                RECEIVERS_PORT => ports.accept_receivers(fanout),
                _ => (),
            }
        }
        left = fanout.pass_on(&mut ports);
    }
}

impl Ports {
    fn open(feed: SocketAddr) -> io::Result<Ports> {
        let poll = Poll::new()?;
        let mut feed_port = listen(feed)?;
        poll.registry().register(&mut feed_port, FEED_PORT, Interest::READABLE)?;
        Ok(Ports { poll, feed_port, receivers_port: None, feed: None, buffer: vec![0; READ_BYTES] })
    }

    /// The newest feed is the one that counts.
    fn accept_feed(&mut self) -> io::Result<()> {
        while let Ok((mut feed, _)) = self.feed_port.accept() {
            self.poll.registry().register(&mut feed, FEED, Interest::READABLE)?;
            self.feed = Some(feed);
        }
        Ok(())
    }

    fn accept_receivers(&mut self, fanout: &mut impl Fanout) {
        let Some(port) = &self.receivers_port else { return };
        while let Ok((receiver, _)) = port.accept() {
            if receiver.set_nodelay(true).is_ok() {
                fanout.welcome(receiver);
            }
        }
    }

    /// What has come of the feed, up to [`READ_BYTES`]; empty if nothing has.
    fn read(&mut self) -> &[u8] {
        let count = match &mut self.feed {
            Some(feed) => match feed.read(&mut self.buffer) {
                Ok(0) => {
                    self.feed = None;
                    0
                }
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                Err(_) => {
                    self.feed = None;
                    0
                }
            },
            None => 0,
        };
        &self.buffer[..count]
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}
