//! Sockets as the program wants them: options, listeners, multicast membership.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UdpSocket};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections that may wait to be accepted. The kernel cuts it to `net.core.somaxconn` (4096 since Linux 5.4).
const BACKLOG: i32 = 16_384;

/// What is asked for as the receive buffer of a UDP input: 0.6 s of 100 Mb/s.
const UDP_RECEIVE_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Bytes that the kernel takes from us for one receiver beyond what it has sent (`TCP_NOTSENT_LOWAT`). Without it a dead
/// receiver pins megabytes of kernel memory, and one that lags looks healthy for long.
const RECEIVER_UNSENT_BYTES_MAX: u32 = 128 * 1024;

/// A receiver whose machine acknowledges nothing for so long is gone (`TCP_USER_TIMEOUT`). A backstop only: a shorter
/// time would hit readers that are merely slow.
const RECEIVER_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// How the kernel finds out about a silent peer whose machine vanished: within half a minute.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(15))
    .with_interval(Duration::from_secs(5))
    .with_retries(3);

/// A next hop that acknowledges nothing, or takes nothing, for so long is given up and connected to anew. It is longer
/// than the lag that a hop is granted, and short enough that one that was out of reach is soon found to be back: the
/// kernel tries ever more rarely, and a new connection does not wait for that.
const HOP_USER_TIMEOUT: Duration = Duration::from_secs(11);

/// What is asked for as the send buffer of a UDP next hop: 0.1 s of 100 Mb/s, the largest chunk twenty times.
const HOP_SEND_BUFFER_BYTES: usize = 1024 * 1024;

/// A socket that the configuration asks for could not be opened.
#[derive(Debug)]
pub struct BindError {
    /// The section that asks for it, without brackets.
    pub section: String,
    /// Its `Bind` and `Port`.
    pub address: SocketAddr,
    /// Why not.
    pub source: io::Error,
}

impl BindError {
    fn hint(&self) -> Option<&'static str> {
        match Errno::from_raw(self.source.raw_os_error()?) {
            Errno::EACCES => {
                Some("ports below 1024 are for root or CAP_NET_BIND_SERVICE; choose a higher Port")
            }
            Errno::EADDRINUSE => {
                Some("another program, or another section, has this port; choose another Port")
            }
            Errno::EADDRNOTAVAIL => Some("Bind (or Interface) is not an address of this machine"),
            Errno::ENODEV => Some("no interface to join the multicast group on; name one by Interface"),
            Errno::EMFILE | Errno::ENFILE => Some("raise the limit of open files"),
            _ => None,
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}: {}", self.section, self.address, self.source)?;
        self.hint().map_or(Ok(()), |hint| write!(f, ": {hint}"))
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A TCP listener with a long backlog. `[::]` takes IPv4 as well.
///
/// # Errors
/// When the address is taken, foreign or not allowed; `section` says whose it is.
pub fn listen(section: &str, address: SocketAddr) -> Result<TcpListener, BindError> {
    open_listener(address).map_err(|source| BindError { section: section.to_owned(), address, source })
}

/// A listener for receivers. What is set on it, every connection that it accepts inherits (Linux), so that a storm of
/// newcomers costs no system call for options.
///
/// # Errors
/// As [`listen`].
pub fn listen_for_receivers(section: &str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let listener = listen(section, address)?;
    let options = stream_options(SockRef::from(&listener), RECEIVER_USER_TIMEOUT);
    options.map_err(|source| BindError { section: section.to_owned(), address, source })?;
    Ok(listener)
}

/// A UDP socket for input, with a receive buffer as large as the system allows, segments coalesced by the kernel
/// (`UDP_GRO`) and its drops reported (`SO_RXQ_OVFL`). If `address` is a multicast group it is joined: on the
/// interface that has the address `interface`, else on the one the routing table says; from `source` only, if given.
///
/// Source-specific multicast is asked of the network for IPv4 only; the caller must compare the sender in any case.
///
/// # Errors
/// When the address is taken, foreign or not allowed, or the group can't be joined; `section` says whose it is.
pub fn udp_input(
    section: &str,
    address: SocketAddr,
    source: Option<IpAddr>,
    interface: Option<IpAddr>,
) -> Result<UdpSocket, BindError> {
    open_udp_input(address, source, interface).map_err(|source| BindError {
        section: section.to_owned(),
        address,
        source,
    })
}

/// Sets on a connection to a next hop what a receiver's inherits from its listener.
///
/// # Errors
/// When the connection has already failed.
pub fn hop_options(socket: &TcpStream) -> io::Result<()> {
    stream_options(SockRef::from(socket), HOP_USER_TIMEOUT)
}

/// A UDP socket that sends to `address`. What is given to it in one piece, the kernel cuts into datagrams of
/// `segment_bytes`, if these are given and it can (`UDP_SEGMENT`, Linux 4.18): the second value says whether. To a multicast group, it sends
/// by the interface that has the address `interface`, else by the one the routing table says, across so many networks
/// less one as `multicast_ttl` says.
///
/// # Errors
/// When there is no way to the address.
pub fn udp_hop(
    address: SocketAddr,
    segment_bytes: Option<usize>,
    multicast_ttl: u8,
    interface: Option<IpAddr>,
) -> io::Result<(std::net::UdpSocket, bool)> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.ip().is_multicast() {
        multicast_options(&socket, address, multicast_ttl, interface)?;
    }
    // The first needs CAP_NET_ADMIN; the second is cut to net.core.wmem_max.
    if setsockopt(&socket, sockopt::SndBufForce, &HOP_SEND_BUFFER_BYTES).is_err() {
        socket.set_send_buffer_size(HOP_SEND_BUFFER_BYTES)?;
    }
    socket.connect(&address.into())?;
    let segment_bytes = segment_bytes.and_then(|bytes| i32::try_from(bytes).ok());
    let segments =
        segment_bytes.is_some_and(|bytes| setsockopt(&socket, sockopt::UdpGsoSegment, &bytes).is_ok());
    Ok((socket.into(), segments))
}

/// From now on, each piece given to the socket is one datagram.
///
/// # Errors
/// None that is known.
pub fn send_whole(socket: &std::net::UdpSocket) -> io::Result<()> {
    Ok(setsockopt(socket, sockopt::UdpGsoSegment, &0)?)
}

/// Makes the kernel find out about a publisher's machine that vanished, where `Timeout` is longer than half a minute.
///
/// # Errors
/// When the connection has already failed.
pub fn keep_alive(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).set_tcp_keepalive(&KEEPALIVE)
}

fn open_listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Without it, a restart would have to wait until the connections of the process before are forgotten.
    socket.set_reuse_address(true)?;
    take_ipv4_as_well(&socket, address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

fn stream_options(socket: SockRef<'_>, user_timeout: Duration) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_notsent_lowat(RECEIVER_UNSENT_BYTES_MAX)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.set_tcp_user_timeout(Some(user_timeout))
}

fn multicast_options(
    socket: &Socket,
    group: SocketAddr,
    ttl: u8,
    interface: Option<IpAddr>,
) -> io::Result<()> {
    match (group, interface) {
        (SocketAddr::V4(_), Some(IpAddr::V4(interface))) => socket.set_multicast_if_v4(&interface)?,
        (SocketAddr::V4(_), Some(IpAddr::V6(_))) => return Err(Errno::EADDRNOTAVAIL.into()),
        (SocketAddr::V6(_), Some(interface)) => socket.set_multicast_if_v6(interface_index(interface)?)?,
        (_, None) => {}
    }
    match group {
        SocketAddr::V4(_) => socket.set_multicast_ttl_v4(ttl.into()),
        SocketAddr::V6(_) => socket.set_multicast_hops_v6(ttl.into()),
    }
}

fn open_udp_input(
    address: SocketAddr,
    source: Option<IpAddr>,
    interface: Option<IpAddr>,
) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    take_ipv4_as_well(&socket, address)?;
    // Several programs of a machine may receive a group; a unicast port would be taken from its owner unnoticed.
    socket.set_reuse_address(address.ip().is_multicast())?;
    socket.bind(&address.into())?;
    if address.ip().is_multicast() {
        join(&socket, address, source, interface)?;
    }
    // The first needs CAP_NET_ADMIN; the second is cut to net.core.rmem_max.
    if setsockopt(&socket, sockopt::RcvBufForce, &UDP_RECEIVE_BUFFER_BYTES).is_err() {
        socket.set_recv_buffer_size(UDP_RECEIVE_BUFFER_BYTES)?;
    }
    setsockopt(&socket, sockopt::RxqOvfl, &1)?;
    // A kernel before 5.0 does not have it; datagrams come one by one then.
    let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
    Ok(UdpSocket::from_std(socket.into()))
}

fn take_ipv4_as_well(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() => socket.set_only_v6(false),
        _ => Ok(()),
    }
}

fn join(
    socket: &Socket,
    group: SocketAddr,
    source: Option<IpAddr>,
    interface: Option<IpAddr>,
) -> io::Result<()> {
    match group {
        SocketAddr::V4(group) => {
            let interface = match interface {
                Some(IpAddr::V4(address)) => address,
                Some(IpAddr::V6(_)) => return Err(Errno::EADDRNOTAVAIL.into()),
                None => Ipv4Addr::UNSPECIFIED,
            };
            match source {
                Some(IpAddr::V4(source)) => socket.join_ssm_v4(&source, group.ip(), &interface),
                _ => socket.join_multicast_v4(group.ip(), &interface),
            }
        }
        SocketAddr::V6(group) => {
            let index = interface.map_or(Ok(group.scope_id()), interface_index)?;
            socket.join_multicast_v6(group.ip(), index)
        }
    }
}

/// IPv6 names interfaces by number, the configuration by an address on it.
fn interface_index(address: IpAddr) -> io::Result<u32> {
    let has_it = |storage: &nix::sys::socket::SockaddrStorage| match address {
        IpAddr::V4(address) => storage.as_sockaddr_in().is_some_and(|found| found.ip() == address),
        IpAddr::V6(address) => storage.as_sockaddr_in6().is_some_and(|found| found.ip() == address),
    };
    let interface = getifaddrs()?.find(|interface| interface.address.as_ref().is_some_and(has_it));
    let interface = interface.ok_or(Errno::EADDRNOTAVAIL)?;
    Ok(if_nametoindex(interface.interface_name.as_str())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_taken_says_whose_it_is_and_what_to_do() {
        let first = listen("custom", SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = first.local_addr().unwrap();
        let error = listen("backstream.cam2", address).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("[backstream.cam2] {address}: Address already in use")),
            "{error}"
        );
        assert!(error.ends_with("choose another Port"), "{error}");
    }

    #[test]
    fn a_unicast_udp_port_has_one_owner_and_a_group_may_have_several() {
        let loopback = Some(IpAddr::from([127, 0, 0, 1]));
        let first = udp_input("backstream", SocketAddr::from(([127, 0, 0, 1], 0)), None, None).unwrap();
        assert!(udp_input("backstream", first.local_addr().unwrap(), None, None).is_err());
        let group = SocketAddr::from(([239, 255, 77, 1], 0));
        let first = udp_input("backstream", group, None, loopback).unwrap();
        assert!(udp_input("backstream", first.local_addr().unwrap(), None, loopback).is_ok());
    }

    #[test]
    fn an_ipv6_interface_is_found_by_its_address() {
        assert_eq!(interface_index(IpAddr::from([127, 0, 0, 1])).unwrap(), 1);
        assert!(interface_index(IpAddr::from([192, 0, 2, 1])).is_err());
    }
}
