//! Publishers over UDP: the datagrams of one source address are a byte stream, RTP or not.

use std::collections::VecDeque;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;

use log::warn;
use mio::Token;
use mio::net::UdpSocket;
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use socket2::SockRef;

use crate::config::{self, Format};
use crate::ingest::gate::Refusal;
use crate::ingest::rtp::{self, Arrival, Numbering};
use crate::ingest::stream::Admission;
use crate::ingest::tcp::canonical;
use crate::ingest::{Progress, Turn};
use crate::mailbox::StreamId;
use crate::net::{self, BindError};

/// Receives in one turn; each is at most 64 KiB.
const RECEIVES_PER_TURN_MAX: usize = 32;

/// As the kernel counts it, with its own bookkeeping: 0.1 s of 100 Mb/s.
const RECEIVE_BUFFER_BYTES_ENOUGH: usize = 2 * 1024 * 1024;

/// Sources that were replaced and are remembered, so that two senders can't take the stream from each other in turns.
const REPLACED_MAX: usize = 4;

/// The socket of one stream.
#[derive(Debug)]
pub struct UdpInput {
    socket: UdpSocket,
    stream: StreamId,
    format: Format,
    /// The only sender to take.
    source: Option<IpAddr>,
    /// Space for the control data of one receive.
    control: Vec<u8>,
    /// Oldest first; forgotten when the current publisher has gone.
    replaced: VecDeque<SocketAddr>,
    numbering: Numbering,
    /// Datagrams that the kernel has dropped since the socket was opened, modulo 2^32.
    kernel_drops: u32,
}

/// One receive: a datagram, or several of the same length but for the last (`UDP_GRO`).
struct Received {
    len: usize,
    segment_len: usize,
    from: SocketAddr,
}

impl UdpInput {
    /// Opens the stream's socket.
    pub fn bind(stream: StreamId, settings: &config::Stream) -> Result<UdpInput, BindError> {
        let socket = net::udp_input(&settings.section, settings.bind, settings.source, settings.interface)?;
        let buffer_bytes = SockRef::from(&socket).recv_buffer_size().unwrap_or_default();
        if buffer_bytes < RECEIVE_BUFFER_BYTES_ENOUGH {
            warn!(
                "[{}] {}: the system grants {} KiB to receive into, bursts may be lost: raise net.core.rmem_max",
                settings.section,
                settings.bind,
                buffer_bytes / 1024
            );
        }
        Ok(UdpInput {
            socket,
            stream,
            format: settings.format,
            source: settings.source,
            control: nix::cmsg_space!(i32, u32),
            replaced: VecDeque::new(),
            numbering: Numbering::default(),
            kernel_drops: 0,
        })
    }

    /// The socket, to register it.
    pub fn socket(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    /// What comes in through it.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// Where, with the real port.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Reads on from the socket, which is known by `token`.
    pub(super) fn serve(&mut self, token: Token, turn: &mut Turn) -> Progress {
        for _ in 0..RECEIVES_PER_TURN_MAX {
            let received = match self.receive(turn) {
                Ok(received) => received,
                Err(Errno::EAGAIN) => return Progress::Drained,
                Err(Errno::EINTR) => continue,
                Err(errno) => {
                    let name = &turn.streams.settings(self.stream).name;
                    turn.gate.trouble(name, &errno.into(), turn.now);
                    return Progress::Later;
                }
            };
            match self.admit(received.from, token, turn) {
                Ok(()) => self.feed(&received, turn),
                Err(refusal) => {
                    let name = &turn.streams.settings(self.stream).name;
                    turn.gate.refuse(name, received.from, refusal, turn.now);
                }
            }
        }
        Progress::More
    }

    /// Receives once, into the turn's buffer.
    fn receive(&mut self, turn: &mut Turn) -> nix::Result<Received> {
        let mut slices = [IoSliceMut::new(turn.buffer)];
        let descriptor = self.socket.as_raw_fd();
        let message =
            recvmsg::<SockaddrStorage>(descriptor, &mut slices, Some(&mut self.control), MsgFlags::empty())?;
        let mut segment_len = message.bytes;
        for control in message.cmsgs().into_iter().flatten() {
            match control {
                ControlMessageOwned::UdpGroSegments(len) => segment_len = usize::try_from(len).unwrap_or(0),
                // Comes with the datagram after those that were dropped.
                ControlMessageOwned::RxqOvfl(drops) => {
                    let more = drops.wrapping_sub(self.kernel_drops);
                    self.kernel_drops = drops;
                    turn.streams.metrics(self.stream).kernel_drops.add(more.into());
                }
                _ => {}
            }
        }
        let from = message.address.as_ref().and_then(socket_address).ok_or(Errno::EINTR)?;
        Ok(Received { len: message.bytes, segment_len: segment_len.max(1), from: canonical(from) })
    }

    /// Sees to it that `from` is the publisher, if it may be.
    fn admit(&mut self, from: SocketAddr, token: Token, turn: &mut Turn) -> Result<(), Refusal> {
        let current = turn.streams.publisher(self.stream).map(|publisher| publisher.peer);
        if current == Some(from) {
            return Ok(());
        }
        if self.source.is_some_and(|source| source != from.ip()) {
            return Err(Refusal::NotTheSource);
        }
        if !turn.gate.allows(from.ip()) {
            return Err(Refusal::Authority);
        }
        match current {
            None => self.replaced.clear(),
            Some(current) if self.replaced.contains(&from) => return Err(Refusal::Replaced(current)),
            Some(current) => {
                if let Admission::Refused(by) = turn.streams.admission(self.stream, from.ip()) {
                    return Err(Refusal::Taken(by));
                }
                if self.replaced.len() == REPLACED_MAX {
                    self.replaced.pop_front();
                }
                self.replaced.push_back(current);
            }
        }
        self.numbering = Numbering::default();
        turn.streams.begin(self.stream, token, from, turn.now);
        Ok(())
    }

    fn feed(&mut self, received: &Received, turn: &mut Turn) {
        for datagram in turn.buffer[..received.len].chunks(received.segment_len) {
            let packet = match self.format {
                Format::Ts => rtp::parse(datagram),
                Format::Bytes | Format::Messages => None,
            };
            let Some(packet) = packet else {
                turn.streams.feed(self.stream, datagram, turn.now);
                continue;
            };
            let metrics = turn.streams.metrics(self.stream);
            match self.numbering.arrive(&packet) {
                Arrival::After { lost } => {
                    metrics.rtp_lost.add(lost.into());
                    turn.streams.feed(self.stream, packet.payload, turn.now);
                }
                Arrival::Late => metrics.rtp_late.add(1),
            }
        }
    }
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || storage.as_sockaddr_in().map(|&address| SocketAddrV4::from(address).into());
    let v6 = || storage.as_sockaddr_in6().map(|&address| SocketAddrV6::from(address).into());
    v4().or_else(v6)
}
