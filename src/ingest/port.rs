//! The sockets that the configuration asks for: TCP and HTTP listeners, UDP inputs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::net::TcpListener;
use mio::{Interest, Registry, Token};

use crate::config::{self, InputProtocol};
use crate::ingest::http::HttpPort;
use crate::ingest::udp::UdpInput;
use crate::mailbox::StreamId;
use crate::net::{self, BindError};

/// One of them.
#[derive(Debug)]
pub enum Port {
    /// Takes the publishers of one stream.
    Tcp(TcpListener, StreamId),
    /// Takes the publishers of all streams that share the address.
    Http(TcpListener, HttpPort),
    /// Takes the datagrams of one stream.
    Udp(UdpInput),
}

/// Opens what the streams from `first` on need and those before them do not have.
///
/// # Errors
/// The first that can't be opened.
pub fn open(streams: &[config::Stream], first: usize) -> Result<Vec<Port>, BindError> {
    let mut ports = Vec::new();
    for (index, settings) in streams.iter().enumerate().skip(first) {
        let failed = |source| BindError { section: settings.section.clone(), address: settings.bind, source };
        let shares = |(other, earlier): (usize, &config::Stream)| {
            other < index && earlier.protocol == InputProtocol::Http && earlier.bind == settings.bind
        };
        let id = StreamId(index);
        ports.push(match settings.protocol {
            InputProtocol::Http if streams.iter().enumerate().any(shares) => continue,
            InputProtocol::Http => {
                let listener = net::listen(&settings.section, settings.bind)?;
                let address = listener.local_addr().map_err(failed)?;
                Port::Http(listener, HttpPort { address, streams: sharers(streams, settings.bind) })
            }
            InputProtocol::Pull => continue,
            InputProtocol::Tcp => Port::Tcp(net::listen(&settings.section, settings.bind)?, id),
            InputProtocol::Udp => Port::Udp(UdpInput::bind(id, settings)?),
        });
    }
    Ok(ports)
}

impl Port {
    /// From now on `registry` tells by `token` when somebody is there.
    ///
    /// # Errors
    /// When the system has no room to watch one more socket.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Port::Tcp(listener, _) | Port::Http(listener, _) => {
                registry.register(listener, token, Interest::READABLE)
            }
            Port::Udp(input) => registry.register(input.socket(), token, Interest::READABLE),
        }
    }

    /// The streams are these from now on: some may have come that share this port.
    pub fn renew(&mut self, streams: &[config::Stream]) {
        if let Port::Http(_, port) = self
            && let Some(first) = port.streams.first()
        {
            port.streams = sharers(streams, streams[first.0].bind);
        }
    }

    /// What comes in here, and the address with the real port.
    pub fn addresses(&self) -> Vec<(StreamId, SocketAddr)> {
        match self {
            Port::Tcp(listener, id) => {
                listener.local_addr().map(|address| (*id, address)).into_iter().collect()
            }
            Port::Http(_, port) => port.streams.iter().map(|&id| (id, port.address)).collect(),
            Port::Udp(input) => {
                input.address().map(|address| (input.stream(), address)).into_iter().collect()
            }
        }
    }
}

fn sharers(streams: &[config::Stream], address: SocketAddr) -> Arc<[StreamId]> {
    let shares = |stream: &config::Stream| stream.protocol == InputProtocol::Http && stream.bind == address;
    streams
        .iter()
        .enumerate()
        .filter(|(_, stream)| shares(stream))
        .map(|(index, _)| StreamId(index))
        .collect()
}
