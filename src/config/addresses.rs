//! Where the node listens, seen as a whole: what two sections both want, what is open to everyone, and what it had
//! better not send to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::inputs::Input;
use super::problem::Findings;
use super::scope::Scope;
use super::{HopProtocol, NextHop};

/// A `Bind` and `Port` with the section that says so.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener<'a> {
    pub(super) section: Scope<'a>,
    pub(super) transport: Transport,
    pub(super) address: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Transport {
    Tcp,
    /// TCP, and any number of inputs may share the address.
    SharedTcp,
    Udp,
}

impl Listener<'_> {
    /// Whether only one of the two can have its address.
    fn excludes(&self, other: &Listener) -> bool {
        let (a, b) = (self.address, other.address);
        if a.port() != b.port() || a.port() == 0 {
            return false;
        }
        let any = a.ip().is_unspecified() || b.ip().is_unspecified();
        match (self.transport, other.transport) {
            (Transport::SharedTcp, Transport::SharedTcp) if a == b => false,
            // A multicast group may share its port with another address.
            (Transport::Udp, Transport::Udp) => a == b,
            (Transport::Udp, _) | (_, Transport::Udp) => false,
            _ => a == b || (any && a.is_ipv4() == b.is_ipv4()),
        }
    }
}

/// Tells of every listener that wants the address of one before it.
pub(super) fn check_conflicts(listeners: &[Listener], found: &mut Findings) {
    for (index, listener) in listeners.iter().enumerate() {
        let Some(other) = listeners[..index].iter().find(|other| listener.excludes(other)) else { continue };
        // A section that isn't in the file has its default port; then it is for the other to give way.
        let (blamed, other) =
            if listener.section.is_written() { (listener, other) } else { (other, listener) };
        let place = match other.section.line("Port") {
            Some(line) => format!("in line {line}"),
            None => "by default".to_owned(),
        };
        let message = format!("{} is taken by [{}] {place}", blamed.address, other.section.name());
        blamed.section.problem("Port", message, found);
    }
}

/// Tells of every next hop that is the node itself: what it sent would come in again.
///
/// Only addresses that are this machine's on any machine are told here; those of its interfaces and those behind names
/// are known when it connects.
pub(super) fn check_hops(hops: &[(Scope, NextHop)], listeners: &[Listener], found: &mut Findings) {
    for (section, hop) in hops {
        let is_udp = matches!(hop.protocol, HopProtocol::Udp(_));
        let receives = |listener: &&Listener| {
            (listener.transport == Transport::Udp) == is_udp && listener.is_at(&hop.host, hop.port)
        };
        let Some(own) = listeners.iter().find(receives) else { continue };
        let message = format!("{}:{} is this node's own [{}]", hop.host, hop.port, own.section.name());
        section.problem("Hosts", message, found);
    }
}

/// Tells of every upstream that is the node itself, as far as that is known here.
pub(super) fn check_upstreams(inputs: &[Input], listeners: &[Listener], found: &mut Findings) {
    for (section, stream) in inputs {
        for upstream in &stream.upstreams {
            let serves = |listener: &&Listener| {
                listener.transport != Transport::Udp && listener.is_at(&upstream.host, upstream.port)
            };
            let Some(own) = listeners.iter().find(serves) else { continue };
            let message = format!("{upstream} is this node's own [{}]", own.section.name());
            section.problem("Upstreams", message, found);
        }
    }
}

impl Listener<'_> {
    /// Whether it can be reached as `host` and `port`, if that is sure.
    fn is_at(&self, host: &str, port: u16) -> bool {
        let ip = match host.parse() {
            Ok(ip) => ip,
            Err(_) if host.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Err(_) => return false,
        };
        let here = ip.is_loopback() || ip.is_unspecified();
        let any = self.address.ip().is_unspecified();
        self.address.port() == port && port != 0 && (self.address.ip() == ip || (any && here))
    }
}

/// How many sections a warning names.
const NAMED_MAX: usize = 3;

/// The sections of `listeners` that can be reached from other machines, as a warning names them; `None` if none can.
pub(super) fn reachable(listeners: &[Listener]) -> Option<String> {
    let open: Vec<&Listener> =
        listeners.iter().filter(|listener| !listener.address.ip().is_loopback()).collect();
    let named: Vec<String> = open
        .iter()
        .take(NAMED_MAX)
        .map(|listener| format!("[{}] ({})", listener.section.name(), listener.address))
        .collect();
    match (named.join(", "), open.len().saturating_sub(NAMED_MAX)) {
        (names, _) if names.is_empty() => None,
        (names, 0) => Some(names),
        (names, more) => Some(format!("{names} and {more} more")),
    }
}
