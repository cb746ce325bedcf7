//! Whom a connection is for: its other end, or the one that a trusted proxy there speaks for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::config::IpList;
use crate::proto::http::{Request, forwarded_for};
use crate::proto::proxy::Header;

/// Whom a connection is for, as limits, lists and the log have it.
#[derive(Debug)]
pub struct Client {
    /// The other end of the socket.
    pub peer: SocketAddr,
    /// Apart, since most have none.
    forwarded: Option<Box<Forwarded>>,
}

/// Whom a proxy speaks for.
#[derive(Debug, Default)]
struct Forwarded {
    /// By the header of the PROXY protocol.
    connection: Option<SocketAddr>,
    /// By the last request.
    request: Option<IpAddr>,
}

impl Client {
    /// The other end of a socket.
    #[must_use]
    pub fn new(peer: SocketAddr) -> Client {
        Client { peer, forwarded: None }
    }

    /// A trusted proxy has said for whom it connects.
    pub fn connected(&mut self, header: Header) {
        if let Header::Client(address) = header {
            self.forwarded.get_or_insert_default().connection = Some(address);
        }
    }

    /// There is a request: looks whether a trusted proxy makes it for somebody.
    pub fn asks(&mut self, request: &Request, trusted: &IpList) {
        let connection = self.forwarded.as_ref().and_then(|forwarded| forwarded.connection);
        let trusts = |address| trusted.contains(address);
        let asking = connection.unwrap_or(self.peer).ip();
        let address = if trusts(asking) { forwarded_for(request, trusts) } else { None };
        if address.is_some() || self.forwarded.is_some() {
            self.forwarded.get_or_insert_default().request = address;
        }
    }

    /// Its address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.forwarded_ip().unwrap_or(self.peer.ip()).to_canonical()
    }

    fn forwarded_ip(&self) -> Option<IpAddr> {
        let Forwarded { connection, request } = self.forwarded.as_deref()?;
        request.or(connection.map(|address| address.ip()))
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.forwarded_ip() {
            Some(address) => write!(f, "{address} through {}", self.peer),
            None => self.peer.fmt(f),
        }
    }
}
