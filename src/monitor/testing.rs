//! Reports for tests.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::report::{Details, HopReport, NodeInfo, Report, StreamReport, hash};
use crate::identity::NodeId;

/// The address of a machine in a network of tests.
pub fn from(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

/// `10.0.0.last:port`.
pub fn at(last: u8, port: u16) -> SocketAddr {
    SocketAddr::new(from(last), port)
}

/// An identity that is a small number.
pub fn id(number: u64) -> NodeId {
    format!("{number:016x}").parse().unwrap()
}

/// A node that is published to, with one stream and without next hops, at `10.0.0.id`.
pub fn normal(name: &str, number: u64) -> Report {
    report(name, number, 50001, true)
}

/// One that other nodes push to.
pub fn extra(name: &str, number: u64) -> Report {
    report(name, number, 55001, false)
}

/// A node of the original.
pub fn original(port: u16) -> Report {
    Report { nodeinfo: info("extra", port), ..Report::default() }
}

/// A next hop of an original.
pub fn info(name: &str, port: u16) -> NodeInfo {
    let (bind, port) = ("0.0.0.0".to_owned(), port.to_string());
    NodeInfo { name: name.to_owned(), hash: hash(&bind, &port), bind, port, connects: 3 }
}

/// A next hop with neither end known.
pub fn hop(address: &str) -> HopReport {
    HopReport { stream: "live".into(), address: address.to_owned(), bits: 1_000, ..HopReport::default() }
}

fn report(name: &str, number: u64, port: u16, genesis: bool) -> Report {
    let stream = StreamReport {
        name: "live".to_owned(),
        live: true,
        listening: Some(SocketAddr::from(([0, 0, 0, 0], port))),
        ..StreamReport::default()
    };
    let details = Details {
        node: id(number),
        network: id(1_000 + number),
        name: name.to_owned(),
        version: "0.1.0".to_owned(),
        time_ms: 0,
        uptime_ms: 1_000_000,
        interval_ms: 2_000,
        load: 0.5,
        cores: 2,
        addresses: vec![from(number as u8)],
        streams: vec![stream],
        next_hops: Vec::new(),
        left_out: 0,
    };
    Report { nodeinfo: info(name, port), genesis, tsstream: Some(details), ..Report::default() }
}
