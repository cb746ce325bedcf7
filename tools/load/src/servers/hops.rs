//! Receivers that a server is told of and comes to, as a node comes to its next hops.

use std::net::{IpAddr, Ipv4Addr};

use super::free_port;
use crate::address::Address;

/// The most that have an address each, from [`FIRST`] on.
const COUNT_MAX: usize = 250;

/// The first one's address.
const FIRST: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// How a server comes to its receivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// It connects to each.
    Tcp,
    /// It sends datagrams, which are taken one by one.
    Udp,
    /// It sends datagrams, of which several are taken at once (`UDP_GRO`).
    Gro,
}

/// So many receivers that a server comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hops {
    /// How.
    pub by: By,
    /// How many.
    pub count: usize,
}

impl Hops {
    /// Where they wait: each at an address of its own, all at the same port.
    pub(super) fn addresses(self) -> Result<Vec<Address>, String> {
        if self.count > COUNT_MAX {
            return Err(format!("{} next hops: at most {COUNT_MAX}", self.count));
        }
        let scheme = match self.by {
            By::Tcp => "listen",
            By::Udp => "udp",
            By::Gro => "gro",
        };
        let port = free_port()?;
        let hosts =
            (0..self.count as u32).map(|number| IpAddr::from(Ipv4Addr::from(u32::from(FIRST) + number)));
        hosts.map(|host| format!("{scheme}://{host}:{port}").parse()).collect()
    }
}
