//! What the monitor tells: the tree for the page, one node in detail, and all reports in the form of the original. Pure.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::collector::{Collector, Node, Totals};
use super::links::{Link, Target, links};
use super::report::{Report, StreamReport};

/// How a link is called by which the receiving node fetches.
const PULL: &str = "PULL";

/// The tree as JSON.
#[must_use]
pub fn tree(collector: &Collector, counts: Counts, now: Instant) -> Vec<u8> {
    let nodes: Vec<&Node> = collector.nodes().collect();
    let links = links(&nodes);
    let views = nodes.iter().map(|node| NodeView::new(node, now)).collect();
    to_json(&Tree { version: env!("CARGO_PKG_VERSION"), counts, nodes: views, edges: edges(&nodes, &links) })
}

/// The node `key` in detail, as JSON.
#[must_use]
pub fn detail(collector: &Collector, key: &str, now: Instant) -> Option<Vec<u8>> {
    let node = collector.node(key)?;
    let point = |sample: &super::collector::Sample| Point {
        age_ms: milliseconds(now.saturating_duration_since(sample.at)),
        totals: View::from(sample.totals),
    };
    let history = node.history.iter().map(point).collect();
    Some(to_json(&Detail { node: NodeView::new(node, now), from: node.from, report: &node.report, history }))
}

/// All reports as the original tells them: by hash, the root under `genesis`. Of several roots the one known for longest
/// is that; of several nodes with one hash, the one that reported last.
#[must_use]
pub fn reports(collector: &Collector) -> Vec<u8> {
    let mut nodes: Vec<&Node> = collector.nodes().collect();
    nodes.sort_by_key(|node| node.heard);
    let mut data: BTreeMap<&str, &Report> = BTreeMap::new();
    data.extend(nodes.iter().map(|node| (node.report.nodeinfo.hash.as_str(), &node.report)));
    let roots = nodes.iter().filter(|node| node.report.genesis);
    if let Some(root) = roots.min_by_key(|node| node.known_since) {
        let hash = root.report.nodeinfo.hash.as_str();
        if data.get(hash).is_some_and(|report| std::ptr::eq(*report, &root.report)) {
            data.remove(hash);
        }
        data.insert("genesis", &root.report);
    }
    to_json(&Reports { code: 200, msg: "Success", data })
}

/// What the monitor has counted since its start.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Counts {
    /// Reports taken.
    pub reports: u64,
    /// Reports refused.
    pub refused: u64,
}

#[derive(Serialize)]
struct Reports<'a> {
    code: u16,
    msg: &'static str,
    data: BTreeMap<&'a str, &'a Report>,
}

#[derive(Serialize)]
struct Tree<'a> {
    version: &'static str,
    #[serde(flatten)]
    counts: Counts,
    nodes: Vec<NodeView<'a>>,
    edges: Vec<Edge<'a>>,
}

#[derive(Serialize)]
struct Detail<'a> {
    #[serde(flatten)]
    node: NodeView<'a>,
    from: IpAddr,
    report: &'a Report,
    history: Vec<Point>,
}

/// A node as the tree shows it.
#[derive(Serialize)]
struct NodeView<'a> {
    id: &'a str,
    name: &'a str,
    kind: &'static str,
    silent: bool,
    age_ms: u64,
    interval_ms: u64,
    /// Where its publishers are, be they nodes or not.
    publishers: Vec<SocketAddr>,
    totals: View,
    /// Added within the last minute.
    errors: u64,
    lost: u64,
    skips: u64,
}

/// [`Totals`] as JSON.
#[derive(Serialize)]
struct View {
    streams: u64,
    live: u64,
    receivers: u64,
    bits_in: u64,
    bits_out: u64,
    lag_ms: u64,
    errors: u64,
    lost: u64,
    skips: u64,
}

#[derive(Serialize)]
struct Point {
    age_ms: u64,
    #[serde(flatten)]
    totals: View,
}

/// All that goes from one node to another, or to an address where no node is known.
#[derive(Debug, PartialEq, Serialize)]
struct Edge<'a> {
    from: &'a str,
    to: Option<&'a str>,
    /// Where it leads, in the words of the sending node.
    address: &'a str,
    protocol: &'a str,
    streams: u64,
    connected: Option<bool>,
    bits: Option<u64>,
    /// Lost on the way within the last minute; where a node has several ways in, it can't be told on which.
    lost: Option<u64>,
    latency_us: Option<u64>,
}

fn edges<'a>(nodes: &[&'a Node], links: &'a [Link<'a>]) -> Vec<Edge<'a>> {
    let mut edges: Vec<Edge> = Vec::new();
    let mut by_ends: HashMap<(usize, Result<usize, &str>), usize> = HashMap::new();
    let mut ways_in: HashMap<&str, u32> = HashMap::new();
    for link in links {
        let (ends, to, stream, words) = match &link.to {
            Target::Node(to, stream) => (Ok(*to), Some(nodes[*to]), *stream, ""),
            Target::Address(words) => (Err(words.as_str()), None, None, words.as_str()),
        };
        let at = *by_ends.entry((link.from, ends)).or_insert_with(|| {
            let from = nodes[link.from].key.as_str();
            let to = to.map(|to| to.key.as_str());
            if let Some(to) = to {
                *ways_in.entry(to).or_default() += 1;
            }
            edges.push(Edge {
                from,
                to,
                address: link.hop.map_or(words, |hop| hop.address.as_str()),
                protocol: link
                    .hop
                    .map_or(if stream.is_some() { PULL } else { "" }, |hop| hop.protocol.as_str()),
                streams: 0,
                connected: None,
                bits: None,
                lost: None,
                latency_us: None,
            });
            edges.len() - 1
        });
        let edge = &mut edges[at];
        edge.streams += 1;
        let connected = link.hop.map(|hop| hop.connected).or(stream.map(|stream| stream.publisher.is_some()));
        edge.connected = edge.connected.map(|before| before && connected != Some(false)).or(connected);
        let bits = link.hop.map(|hop| hop.bits).or(stream.map(|stream| stream.bits_in));
        edge.bits = edge.bits.map(|before| before.saturating_add(bits.unwrap_or(0))).or(bits);
        edge.latency_us = edge.latency_us.max(latency_us(nodes[link.from], link, stream));
        edge.lost = to.map(|to| to.recent(|totals| totals.lost));
    }
    for edge in &mut edges {
        if edge.to.is_some_and(|to| ways_in.get(to).is_some_and(|ways| *ways > 1)) {
            edge.lost = None;
        }
    }
    edges
}

/// The time from a node's having the stream to the next one's having it: as that one says, or else as the same PCR was
/// seen at both. What a clock that is behind makes of it is not told.
fn latency_us(from: &Node, link: &Link, to: Option<&StreamReport>) -> Option<u64> {
    let to = to?;
    let (None, Some(hop)) = (to.latency_us, link.hop) else { return to.latency_us };
    let sent = from.report.tsstream.as_ref()?.streams.iter().find(|stream| stream.name == hop.stream)?;
    let same = |(pcr, here): &(u64, u64)| {
        let (_, there) = sent.clock.iter().find(|(there, _)| there == pcr)?;
        here.checked_sub(*there)
    };
    let mut latencies: Vec<u64> = to.clock.iter().filter_map(same).collect();
    latencies.sort_unstable();
    latencies.get(latencies.len() / 2).copied()
}

impl<'a> NodeView<'a> {
    fn new(node: &'a Node, now: Instant) -> NodeView<'a> {
        let details = node.report.tsstream.as_ref();
        NodeView {
            id: &node.key,
            name: &node.report.nodeinfo.name,
            kind: match (details, node.report.genesis) {
                (None, _) => "original",
                (Some(_), true) => "normal",
                (Some(_), false) => "extra",
            },
            silent: node.is_silent(now),
            age_ms: milliseconds(node.age(now)),
            interval_ms: milliseconds(node.interval()),
            publishers: details
                .into_iter()
                .flat_map(|details| &details.streams)
                .filter_map(|stream| stream.publisher)
                .collect(),
            totals: node.totals().into(),
            errors: node.recent(|totals| totals.errors),
            lost: node.recent(|totals| totals.lost),
            skips: node.recent(|totals| totals.skips),
        }
    }
}

impl From<Totals> for View {
    fn from(totals: Totals) -> View {
        let Totals { streams, live, receivers, bits_in, bits_out, lag_ms, errors, lost, skips } = totals;
        View { streams, live, receivers, bits_in, bits_out, lag_ms, errors, lost, skips }
    }
}

fn milliseconds(time: Duration) -> u64 {
    time.as_millis().try_into().unwrap_or(u64::MAX)
}

fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own types have nothing that JSON can't say")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::testing::{extra, from, hop, normal, original};
    use super::*;

    #[allow(clippy::disallowed_methods, reason = "any instant will do")]
    fn collected(reports: Vec<(Report, u8)>) -> (Collector, Instant) {
        let mut collector = Collector::new(100);
        let now = Instant::now();
        for (report, address) in reports {
            collector.take(report, from(address), now).unwrap();
        }
        (collector, now)
    }

    #[test]
    fn the_form_of_the_original() {
        let reports_of =
            vec![(original(55001), 2), (normal("a", 1), 1), (normal("b", 2), 2), (original(55002), 3)];
        let (collector, _) = collected(reports_of);
        let said: Value = serde_json::from_slice(&reports(&collector)).unwrap();
        assert_eq!((&said["code"], &said["msg"]), (&200.into(), &"Success".into()));
        let data = said["data"].as_object().unwrap();
        assert_eq!(data["genesis"]["genesis"], true);
        // Both roots have one hash: one is the root, the other is found under the hash.
        assert_eq!(data.len(), 4);
        assert_eq!(data["892335df62c260c4e2c29b6c26bf0f14"]["nodeinfo"]["port"], "55001");
    }

    #[test]
    fn edges_add_up_streams() {
        let mut root = normal("root", 1);
        let mut second = hop("10.0.0.2:55001");
        second.stream = "cam2".to_owned();
        root.tsstream.as_mut().unwrap().next_hops = vec![hop("10.0.0.2:55001"), second, hop("10.0.0.9:1")];
        let (collector, now) = collected(vec![(root, 1), (extra("leaf", 2), 2)]);
        let tree: Value = serde_json::from_slice(&tree(&collector, Counts::default(), now)).unwrap();
        let edges = tree["edges"].as_array().unwrap();
        assert_eq!(edges.len(), 2);
        assert_eq!(
            (&edges[0]["to"], &edges[0]["streams"], &edges[0]["bits"]),
            (&"0000000000000002".into(), &2.into(), &2_000.into())
        );
        assert_eq!((&edges[1]["to"], &edges[1]["address"]), (&Value::Null, &"10.0.0.9:1".into()));
        assert_eq!(edges[0]["latency_us"], Value::Null, "their clocks were not seen");
        let detail = detail(&collector, "0000000000000002", now).unwrap();
        let detail: Value = serde_json::from_slice(&detail).unwrap();
        assert_eq!((&detail["name"], &detail["history"][0]["live"]), (&"leaf".into(), &1.into()));
    }

    #[test]
    fn the_time_of_a_pushed_hop_is_that_between_two_sightings_of_a_clock() {
        let (mut root, mut leaf) = (normal("root", 1), extra("leaf", 2));
        let clock = |report: &mut Report, sightings: &[(u64, u64)]| {
            report.tsstream.as_mut().unwrap().streams[0].clock = sightings.to_vec();
        };
        root.tsstream.as_mut().unwrap().next_hops = vec![hop("10.0.0.2:55001")];
        let latency = |root: &Report, leaf: &Report| {
            let (collector, now) = collected(vec![(root.clone(), 1), (leaf.clone(), 2)]);
            let tree: Value = serde_json::from_slice(&tree(&collector, Counts::default(), now)).unwrap();
            tree["edges"][0]["latency_us"].clone()
        };
        clock(&mut root, &[(30, 3_000), (20, 2_000), (10, 1_000)]);
        clock(&mut leaf, &[(40, 4_700), (30, 3_700), (20, 2_900)]);
        assert_eq!(latency(&root, &leaf), 900, "the middle one, and of two the longer");
        clock(&mut leaf, &[(40, 4_700), (31, 3_700)]);
        assert_eq!(latency(&root, &leaf), Value::Null, "nothing was seen at both");
        clock(&mut leaf, &[(30, 2_700)]);
        assert_eq!(latency(&root, &leaf), Value::Null, "a clock that is behind");
    }
}
