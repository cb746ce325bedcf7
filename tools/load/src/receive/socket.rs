//! How a receiver gets its socket: it connects to the server, or waits where the server comes to it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::connection::{Carriage, State};
use crate::address::{Address, Scheme};

/// Receive buffer of receivers that are slow or don't read: what the kernel takes for them hides how slow they are.
const SLOW_BUFFER_BYTES: usize = 64 * 1024;

/// Receive buffer for datagrams, beyond the system's limit where we may: a burst of a whole stream must fit in.
const DATAGRAM_BUFFER_BYTES: usize = 2 * 1024 * 1024;

/// Sizes of receive buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Buffer {
    Usual,
    Small,
}

/// A socket that is connecting to `address`, from `source` if that is given, or waits there for the server.
pub(super) fn open(
    address: &Address,
    source: Option<IpAddr>,
    buffer: Buffer,
) -> io::Result<(Socket, Carriage, State)> {
    Ok(match address.scheme {
        Scheme::Listen => (listen(address.socket)?, Carriage::Stream, State::Listening),
        Scheme::Udp(_) | Scheme::Rtp => (bind(address.socket)?, Carriage::Datagrams, State::Streaming),
        Scheme::Gro => {
            let socket = bind(address.socket)?;
            setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
            (socket, Carriage::Datagrams, State::Streaming)
        }
        Scheme::Tcp | Scheme::Http | Scheme::WebSocket => {
            (connect(address.socket, source, buffer)?, Carriage::Stream, State::Connecting)
        }
    })
}

/// The connection that waits at `listener`; `None` if there is none.
pub(super) fn accept(listener: &Socket) -> io::Result<Option<Socket>> {
    match listener.accept() {
        Ok((socket, _)) => {
            socket.set_nonblocking(true)?;
            Ok(Some(socket))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sees to it that nothing is left of the connection once its socket is closed: thousands that wait for a minute
/// (`TIME_WAIT`) make the next run's connections dear, on the load's core and so in what it measures.
pub(super) fn abandon(socket: &Socket) {
    if let Err(error) = socket.set_linger(Some(Duration::ZERO)) {
        eprintln!("tsload: a connection may be left waiting: {error}");
    }
}

fn connect(address: SocketAddr, source: Option<IpAddr>, buffer: Buffer) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if buffer == Buffer::Small {
        socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
    }
    if let Some(source) = source {
        // The port is found as it connects, by the whole of the connection: far cheaper, and of more there are enough.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
            Err(error)
        }
        _ => Ok(socket),
    }
}

fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1)?;
    Ok(socket)
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    if setsockopt(&socket, sockopt::RcvBufForce, &DATAGRAM_BUFFER_BYTES).is_err() {
        socket.set_recv_buffer_size(DATAGRAM_BUFFER_BYTES)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}
