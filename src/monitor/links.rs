//! Who feeds whom: found by comparing what each node says of its sockets. Pure.
//!
//! In this order, since the first are exact and the later only likely:
//!
//! 1. The receiving node names the node that it comes from.
//! 2. This end of a hop's socket is what the receiving node sees as its publisher.
//! 3. The other end of a hop's socket, or else its configured address, is where a node listens. A node that listens on
//!    every address does so on those it reports, and on the one its report came from.
//!
//! A loopback address means a place only together with the network stack that it belongs to. A node of the original
//! does not report that; it is taken to share one with whoever reports from the same address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::collector::Node;
use super::report::{HopReport, NodeInfo, StreamReport};
use crate::identity::NodeId;

/// The most links that are looked for. A tree has fewer than it has nodes.
const LINKS_MAX: usize = 20_000;

/// The name by which the original reports its port for receivers among its next nodes.
pub const RECEIVERS: &str = "WEBSOCKET";

/// One way of one stream from a node to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Link<'a> {
    /// Index of the node that sends.
    pub from: usize,
    /// Where it leads.
    pub to: Target<'a>,
    /// What the sending node says of it.
    pub hop: Option<&'a HopReport>,
}

/// Where a link leads.
#[derive(Clone, Debug, PartialEq)]
pub enum Target<'a> {
    /// To a node that reports: its index, and what it says of the stream.
    Node(usize, Option<&'a StreamReport>),
    /// To an address of which no node is known.
    Address(String),
}

/// The links between `nodes`.
#[must_use]
pub fn links<'a>(nodes: &[&'a Node]) -> Vec<Link<'a>> {
    let index = Index::new(nodes);
    let mut links = Vec::new();
    for (from, node) in nodes.iter().enumerate() {
        match &node.report.tsstream {
            Some(details) => {
                for hop in &details.next_hops {
                    index.follow(from, Some(hop), || hop.address.clone(), ends(hop), &mut links);
                }
            }
            None => {
                for next in node.report.nextnode.iter().filter(|next| next.name != RECEIVERS) {
                    let words = || format!("{}:{}", next.bind, next.port);
                    index.follow(from, None, words, (None, socket_address(next)), &mut links);
                }
            }
        }
        if links.len() >= LINKS_MAX {
            links.truncate(LINKS_MAX);
            break;
        }
    }
    let pulled = index.pulled();
    links.extend(pulled);
    links
}

/// Both ends of a hop's socket, as far as they are known.
fn ends(hop: &HopReport) -> (Option<SocketAddr>, Option<SocketAddr>) {
    (hop.local, hop.peer.or_else(|| hop.address.parse().ok()))
}

fn socket_address(info: &NodeInfo) -> Option<SocketAddr> {
    Some(SocketAddr::new(info.bind.parse().ok()?, info.port.parse().ok()?))
}

type Found<'a> = (usize, Option<&'a StreamReport>);

/// Nodes by what identifies a socket of theirs.
struct Index<'a, 'b> {
    nodes: &'b [&'a Node],
    by_publisher: HashMap<Place, Vec<Found<'a>>>,
    by_listener: HashMap<Place, Vec<Found<'a>>>,
    by_id: HashMap<NodeId, usize>,
}

/// One end of a socket, in one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    address: SocketAddr,
    /// For a loopback address: whose.
    network: Option<Network>,
}

/// What tells network stacks apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    Reported(NodeId),
    /// For nodes of the original: reports come from this address.
    SeenFrom(IpAddr),
}

impl Place {
    fn new(address: SocketAddr, network: Network) -> Place {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Place { address, network: address.ip().is_loopback().then_some(network) }
    }
}

impl<'a, 'b> Index<'a, 'b> {
    fn new(nodes: &'b [&'a Node]) -> Index<'a, 'b> {
        let (mut by_publisher, mut by_listener) = (HashMap::new(), HashMap::new());
        let mut by_id = HashMap::new();
        let add = |index: &mut HashMap<Place, Vec<Found<'a>>>, place, found: Found<'a>| {
            let at_place: &mut Vec<_> = index.entry(place).or_default();
            if !at_place.contains(&found) {
                at_place.push(found);
            }
        };
        for (number, node) in nodes.iter().enumerate() {
            let seen_from = Network::SeenFrom(node.from);
            let Some(details) = &node.report.tsstream else {
                for address in
                    socket_address(&node.report.nodeinfo).into_iter().flat_map(|it| listens_at(it, node))
                {
                    add(&mut by_listener, Place::new(address, seen_from), (number, None));
                }
                continue;
            };
            by_id.insert(details.node, number);
            let network = Network::Reported(details.network);
            for stream in &details.streams {
                let found = (number, Some(stream));
                if let Some(publisher) = stream.publisher {
                    add(&mut by_publisher, Place::new(publisher, network), found);
                }
                for address in stream.listening.into_iter().flat_map(|it| listens_at(it, node)) {
                    add(&mut by_listener, Place::new(address, network), found);
                    add(&mut by_listener, Place::new(address, seen_from), found);
                }
            }
        }
        Index { nodes, by_publisher, by_listener, by_id }
    }

    /// Adds the links by which node `from` sends to where a hop leads.
    fn follow(
        &self,
        from: usize,
        hop: Option<&'a HopReport>,
        words: impl Fn() -> String,
        (local, peer): (Option<SocketAddr>, Option<SocketAddr>),
        links: &mut Vec<Link<'a>>,
    ) {
        let node = self.nodes[from];
        let network = network_of(node);
        let others = |found: &&Found| found.0 != from;
        let by_publisher = local.and_then(|local| self.by_publisher.get(&Place::new(local, network)));
        let exact = by_publisher.into_iter().flatten().filter(others).find(|(_, stream)| {
            let listening = stream.and_then(|stream| stream.listening);
            peer.is_none_or(|peer| listening.is_none_or(|listening| listening.port() == peer.port()))
        });
        let found: Vec<Found> = match (exact, peer) {
            (Some(found), _) => vec![*found],
            (None, Some(peer)) => {
                let listeners =
                    |network| self.by_listener.get(&Place::new(peer, network)).into_iter().flatten();
                let has_details = node.report.tsstream.is_some();
                // By the address that reports come from only if one of the two reports nothing better.
                let likely = listeners(Network::SeenFrom(node.from))
                    .filter(|(to, _)| !has_details || self.nodes[*to].report.tsstream.is_none());
                let mut found: Vec<Found> =
                    listeners(network).chain(likely).filter(others).copied().collect();
                found.sort_by_key(|(to, _)| std::cmp::Reverse(self.nodes[*to].heard));
                if !peer.ip().is_multicast() {
                    found.truncate(1);
                }
                found
            }
            (None, None) => Vec::new(),
        };
        if found.is_empty() {
            links.push(Link { from, to: Target::Address(words()), hop });
        }
        links.extend(found.into_iter().map(|(to, stream)| Link { from, to: Target::Node(to, stream), hop }));
    }

    /// Links that only the receiving node knows of.
    fn pulled(&self) -> impl Iterator<Item = Link<'a>> {
        let details =
            self.nodes.iter().enumerate().filter_map(|(to, node)| Some((to, node.report.tsstream.as_ref()?)));
        let streams =
            details.flat_map(|(to, details)| details.streams.iter().map(move |stream| (to, stream)));
        streams.filter_map(|(to, stream)| {
            let from = *self.by_id.get(&stream.upstream?.node)?;
            (from != to).then_some(Link { from, to: Target::Node(to, Some(stream)), hop: None })
        })
    }
}

fn network_of(node: &Node) -> Network {
    match &node.report.tsstream {
        Some(details) => Network::Reported(details.network),
        None => Network::SeenFrom(node.from),
    }
}

/// The addresses by which a node is reached that listens on `bound`.
fn listens_at<'a>(bound: SocketAddr, node: &'a Node) -> impl Iterator<Item = SocketAddr> + use<'a> {
    let everywhere = bound.ip().is_unspecified();
    let own = node.report.tsstream.iter().flat_map(|details| &details.addresses).copied();
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let every = own.chain([node.from]).chain(loopback).filter(move |_| everywhere);
    let one = (!everywhere).then_some(bound.ip());
    every.chain(one).map(move |ip| SocketAddr::new(ip, bound.port()))
}

#[cfg(test)]
mod tests {
    use super::super::collector::Collector;
    use super::super::report::{Report, UpstreamReport};
    use super::super::testing::{at, extra, from, hop, id, info, normal, original};
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn collector(reports: Vec<(Report, u8)>) -> Collector {
        let mut collector = Collector::new(100);
        let now = std::time::Instant::now();
        for (report, address) in reports {
            collector.take(report, from(address), now).unwrap();
        }
        collector
    }

    /// Pairs of names; `?` with the address where no node is known.
    fn linked(reports: Vec<(Report, u8)>) -> Vec<String> {
        let collector = collector(reports);
        let nodes: Vec<&Node> = collector.nodes().collect();
        let name = |index: usize| {
            let node = nodes[index];
            match node.report.tsstream {
                Some(_) => node.report.nodeinfo.name.clone(),
                None => format!("original {}", node.report.nodeinfo.port),
            }
        };
        let mut linked: Vec<String> = links(&nodes)
            .into_iter()
            .map(|link| match link.to {
                Target::Node(to, _) => format!("{} > {}", name(link.from), name(to)),
                Target::Address(address) => format!("{} > ? {address}", name(link.from)),
            })
            .collect();
        linked.sort();
        linked
    }

    fn details(report: &mut Report) -> &mut super::super::report::Details {
        report.tsstream.as_mut().unwrap()
    }

    fn sends(mut report: Report, hops: &[HopReport]) -> Report {
        details(&mut report).next_hops = hops.to_vec();
        report
    }

    #[test]
    fn by_the_address_that_a_node_has_or_reports_from() {
        let root =
            sends(normal("root", 1), &[hop("10.0.0.2:55001"), hop("10.0.0.3:55001"), hop("10.0.0.9:55001")]);
        let mut behind_nat = extra("b", 3);
        details(&mut behind_nat).addresses = vec!["192.168.0.1".parse().unwrap()];
        let linked = linked(vec![(root, 1), (extra("a", 2), 77), (behind_nat, 3)]);
        assert_eq!(linked, ["root > ? 10.0.0.9:55001", "root > a", "root > b"]);
    }

    #[test]
    fn by_both_ends_of_the_socket_where_addresses_do_not_tell() {
        // Named hosts, one of them behind a port mapping: what it listens on is not what it is reached by.
        let via = |name: &str, local, peer| HopReport { local: Some(local), peer: Some(peer), ..hop(name) };
        let root =
            sends(normal("root", 1), &[via("edge:55001", at(1, 40_001), at(50, 55001)), hop("elsewhere:1")]);
        let mut edge = extra("edge", 2);
        details(&mut edge).streams[0].publisher = Some("[::ffff:10.0.0.1]:40001".parse().unwrap());
        assert_eq!(linked(vec![(root, 1), (edge, 2)]), ["root > ? elsewhere:1", "root > edge"]);
    }

    #[test]
    fn loopback_is_within_one_network_stack() {
        let local = |mut report: Report, network| {
            details(&mut report).network = id(network);
            report
        };
        let root = |name: &str, number, network| {
            local(sends(normal(name, number), &[hop("127.0.0.1:55001")]), network)
        };
        let reports = vec![
            (root("root 1", 1, 71), 1),
            (root("root 2", 2, 72), 1),
            (local(extra("a", 3), 71), 1),
            (local(extra("b", 4), 72), 1),
        ];
        assert_eq!(linked(reports), ["root 1 > a", "root 2 > b"]);
    }

    #[test]
    fn nodes_of_the_original_among_themselves_and_with_ours() {
        let mut root = original(50001);
        root.nextnode = vec![info("extra1", 55001), info("extra2", 55002), info(RECEIVERS, 8088)];
        root.nextnode.iter_mut().for_each(|next| next.bind = "127.0.0.1".to_owned());
        let reports = vec![(root, 1), (extra("ours", 9), 1), (original(55002), 1)];
        assert_eq!(linked(reports), ["original 50001 > original 55002", "original 50001 > ours"]);
    }

    #[test]
    fn a_multicast_hop_leads_to_every_member() {
        let root = sends(normal("root", 1), &[hop("239.1.2.3:50003")]);
        let member = |name: &str, number| {
            let mut report = extra(name, number);
            details(&mut report).streams[0].listening = Some("239.1.2.3:50003".parse().unwrap());
            report
        };
        assert_eq!(
            linked(vec![(root, 1), (member("a", 2), 2), (member("b", 3), 3)]),
            ["root > a", "root > b"]
        );
    }

    #[test]
    fn by_the_identity_that_a_pulling_node_was_told() {
        let mut edge = extra("edge", 2);
        details(&mut edge).streams[0].upstream = Some(UpstreamReport { node: id(1), hops: 1 });
        assert_eq!(linked(vec![(normal("root", 1), 1), (edge, 2)]), ["root > edge"]);
    }
}
