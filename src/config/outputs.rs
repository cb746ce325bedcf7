//! `[custom]` and `[dispatch]`, with their suffixed sections: the ports for receivers, and the next hops.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::mailbox::StreamId;

use super::problem::Findings;
use super::schema::suggestion;
use super::scope::Scope;
use super::values;
use super::written::Written;
use super::{
    Datagrams, Directory, Framing, HopProtocol, IpList, NEXT_HOPS_MAX, NextHop, ReceiverPort,
    ReceiverProtocol, Start,
};

/// Streams by name.
pub(super) type Names<'a> = BTreeMap<&'a str, StreamId>;

/// The stream of the sections without suffix comes first.
const LIVE: StreamId = StreamId(0);

/// One of the values of `[dispatch] Protocol`: ports for receivers, or next hops.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Custom,
    Tcp,
    Udp,
}

/// The ways out of the node that [dispatch] opens.
#[derive(Debug, Default)]
pub(super) struct Outputs<'a> {
    /// The ports for receivers, with the sections that they were read from.
    pub(super) ports: Vec<(Scope<'a>, ReceiverPort)>,
    /// The next hops, likewise.
    pub(super) next_hops: Vec<(Scope<'a>, NextHop)>,
}

impl<'a> Outputs<'a> {
    /// Only what `[dispatch] Protocol` lists is looked at: a file may hold hosts that are never dialled.
    pub(super) fn read(written: &'a Written, names: &Names, found: &mut Findings) -> Outputs<'a> {
        let custom = ways(&written.main("dispatch"), found).contains(&Way::Custom);
        let ports = if custom { ports(written, names, found) } else { Vec::new() };
        Outputs { ports, next_hops: next_hops(written, names, found) }
    }
}

fn ways(section: &Scope, found: &mut Findings) -> Vec<Way> {
    let choices = [("CUSTOM", Way::Custom), ("TCP", Way::Tcp), ("UDP", Way::Udp)];
    section.read("Protocol", vec![Way::Custom], found, |text| {
        let listed = values::list(values::choice(&choices))(text)?;
        Ok(choices.into_iter().map(|(_, way)| way).filter(|way| listed.contains(way)).collect())
    })
}

fn ports<'a>(written: &'a Written, names: &Names, found: &mut Findings) -> Vec<(Scope<'a>, ReceiverPort)> {
    let mut ports = Vec::new();
    for section in written.all("custom") {
        let Some(stream) = stream_of(&section, names, found) else { continue };
        let number = match section.suffix {
            None => section.read("Port", 8088, found, values::port),
            Some(_) => {
                section.require("Port", "a port of its own is needed", found, values::port).unwrap_or(0)
            }
        };
        ports.push((section, port(&section, stream, number, found)));
    }
    ports
}

fn port(section: &Scope, stream: StreamId, number: u16, found: &mut Findings) -> ReceiverPort {
    let protocols = [("WEBSOCKET", ReceiverProtocol::WebSocket), ("TCP", ReceiverProtocol::Tcp)];
    let protocol = section.read("Protocol", ReceiverProtocol::WebSocket, found, values::choice(&protocols));
    let ip = section.read("Bind", Ipv4Addr::UNSPECIFIED.into(), found, values::bind);
    if ip.is_multicast() {
        section.problem("Bind", format!("{ip} is a multicast group, where nobody can connect"), found);
    }
    let (filter, origins) = match protocol {
        ReceiverProtocol::WebSocket => {
            (IpList::default(), section.read("Origins", None, found, values::origins))
        }
        ReceiverProtocol::Tcp => (section.read("FilterIps", IpList::default(), found, values::ip_list), None),
    };
    let directories = [("On", Directory::On), ("Off", Directory::Off)];
    let starts = [("keyframe", Start::Keyframe), ("live", Start::Live)];
    ReceiverPort {
        section: section.name(),
        protocol,
        bind: SocketAddr::new(ip, number),
        stream,
        filter,
        origins,
        directory: section.read("Directory", Directory::On, found, values::choice(&directories)),
        start: section.read("Start", Start::Keyframe, found, values::choice(&starts)),
        lag_max: section.read("LagLimit", Duration::from_secs(2), found, values::seconds(0.1..=3600.0)),
        stall_max: section.read("StallLimit", Duration::from_secs(10), found, values::seconds(0.5..=3600.0)),
    }
}

fn next_hops<'a>(written: &'a Written, names: &Names, found: &mut Findings) -> Vec<(Scope<'a>, NextHop)> {
    let mut all = Vec::new();
    for section in written.all("dispatch") {
        let Some(stream) = stream_of(&section, names, found) else { continue };
        let ways = ways(&section, found);
        if section.suffix.is_some() && ways == [Way::Custom] {
            section.problem("Protocol", "expected TCP or UDP here, as CUSTOM is for all streams", found);
        }
        all.extend(hops(&section, stream, &ways, found).into_iter().map(|hop| (section, hop)));
        if all.len() > NEXT_HOPS_MAX {
            section.problem("Hosts", format!("there are more than {NEXT_HOPS_MAX} next hops"), found);
            break;
        }
    }
    all
}

/// `Hosts` and `Ports` go in pairs, and each pair is sent to by every protocol listed.
fn hops(section: &Scope, stream: StreamId, ways: &[Way], found: &mut Findings) -> Vec<NextHop> {
    let protocols: Vec<HopProtocol> = ways.iter().filter_map(|way| way.hop(section, found)).collect();
    if protocols.is_empty() {
        return Vec::new();
    }
    let needed = "needed with Protocol = TCP or UDP";
    let hosts = section.require("Hosts", needed, found, values::list(values::host));
    let ports = section.require("Ports", needed, found, values::list(values::remote_port));
    let (Some(hosts), Some(ports)) = (hosts, ports) else { return Vec::new() };
    if hosts.len() != ports.len() {
        let message = format!("{} in Ports and {} in Hosts, which go in pairs", ports.len(), hosts.len());
        section.problem("Ports", message, found);
    }
    let pairs = hosts.into_iter().zip(ports);
    pairs
        .flat_map(|(host, port)| {
            protocols.iter().map(move |&protocol| NextHop { stream, protocol, host: host.clone(), port })
        })
        .collect()
}

/// The stream that a section is about, if there is one of that name.
fn stream_of(section: &Scope, names: &Names, found: &mut Findings) -> Option<StreamId> {
    let Some(name) = section.suffix else { return Some(LIVE) };
    let stream = names.get(name).copied();
    if stream.is_none() {
        let hint = suggestion(name, names.keys().copied());
        section.problem_of_section(format!("there is no stream `{name}`{hint}"), found);
    }
    stream
}

impl Way {
    fn hop(self, section: &Scope, found: &mut Findings) -> Option<HopProtocol> {
        match self {
            Way::Custom => None,
            Way::Tcp => Some(HopProtocol::Tcp),
            Way::Udp => Some(HopProtocol::Udp(datagrams(section, found))),
        }
    }
}

fn datagrams(section: &Scope, found: &mut Findings) -> Datagrams {
    let framings = [("TS", Framing::Ts), ("RTP", Framing::Rtp)];
    Datagrams {
        framing: section.read("Framing", Framing::Ts, found, values::choice(&framings)),
        multicast_ttl: section.read("Ttl", 1, found, values::ttl),
        interface: section.read("Interface", None, found, values::some(values::ip)),
    }
}
