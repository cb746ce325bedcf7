//! Nodes that pull over a cable that is cut, for a time that their upstream's ring holds and for one that it does not; from
//! an upstream that is stopped. And the time that a hop adds.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::{self, sleep};
use std::time::Duration;

use nix::sys::signal::Signal;
use tsstream::proto::relay::{SUBPROTOCOL, Stamp};

use util::live::Live;
use util::monitor::Monitor;
use util::namespace::Namespace;
use util::node::Node;
use util::raw::{Frames, dial, upgrade};
use util::receive::{Protocol, Receiver, read_head};
use util::ts::{self, PACKET};
use util::{free_port, wait_until};

/// Between two frames: twice as fast as the picture plays, some 1.3 Mb/s.
const PAUSE: Duration = Duration::from_millis(20);

const PLENTY: u64 = 400_000;

/// `more` are further lines, for instance of `[buffer]`.
fn root(port: u16, more: &str) -> Node {
    Node::start(&format!(
        "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n[custom]\nBind = 0.0.0.0\nPort = {port}\n{more}\n"
    ))
}

fn edge_config(upstreams: &[SocketAddr]) -> String {
    edge_config_with(0, upstreams, "")
}

/// `app` are further keys of that section.
fn edge_config_with(port: u16, upstreams: &[SocketAddr], app: &str) -> String {
    let upstreams: Vec<String> = upstreams.iter().map(|address| format!("ws://{address}/live")).collect();
    format!(
        "[app]\nRunMode = extra\n{app}\n[pushstream]\nProtocol = PULL\nUpstreams = {}\n\
         [custom]\nBind = 0.0.0.0\nPort = {port}\n",
        upstreams.join(", ")
    )
}

/// Where the node's viewers find it, at that address of its host.
fn at(node: &Node, host: impl Into<IpAddr>) -> SocketAddr {
    SocketAddr::new(host.into(), node.address("custom").port())
}

fn viewer(address: SocketAddr) -> Receiver {
    let viewer = Receiver::open(address, &Protocol::Http("/live.ts".into()));
    viewer.wait_for_bytes(PLENTY);
    viewer
}

/// A chain of three edges, the first at the other end of a cable. They report as `1`, `2` and `3`.
struct Chain {
    monitor: Monitor,
    host: Namespace,
    _root: Node,
    edges: [Node; 3],
    live: Live,
    viewers: Vec<Receiver>,
}

impl Chain {
    fn new(more: &str) -> Chain {
        let host = Namespace::new();
        let port = free_port();
        let root = root(port, more);
        let upstream = SocketAddr::new(host.near().into(), port);
        let monitor = Monitor::start();
        let reporting = |upstream, name, monitor_host: IpAddr| {
            let at = SocketAddr::new(monitor_host, monitor.address().port());
            edge_config_with(0, &[upstream], &format!("Node = {name}\nMonitor = http://{at}/monitor"))
        };
        let first = Node::start_in(&host.name, &reporting(upstream, 1, host.near().into()));
        let at_first = at(&first, host.view);
        let second = Node::start(&reporting(at_first, 2, Ipv4Addr::LOCALHOST.into()));
        let at_second = at(&second, Ipv4Addr::LOCALHOST);
        let third = Node::start(&reporting(at_second, 3, Ipv4Addr::LOCALHOST.into()));
        let live = Live::start_at(root.address("backstream"), PAUSE);
        let viewers = [at_first, at_second, at(&third, Ipv4Addr::LOCALHOST)].map(viewer).into();
        Chain { monitor, host, _root: root, edges: [first, second, third], live, viewers }
    }

    /// Cuts the cable for so long; then all goes on.
    fn cut(&self, seconds: u64) {
        self.host.cut();
        sleep(Duration::from_secs(seconds));
        self.host.mend();
        self.viewers.iter().for_each(|viewer| viewer.wait_for_bytes(viewer.length() + PLENTY));
    }

    /// Ends it; how many runs of the stream each viewer has got.
    fn runs(self) -> Vec<usize> {
        let published = self.live.stop();
        let tail = &published[published.len() - 4 * PACKET..];
        let runs = |viewer: Receiver| {
            wait_until("the end to arrive", || viewer.ends_with(tail));
            ts::runs(&viewer.close().bytes, &published).unwrap().len()
        };
        self.viewers.into_iter().map(runs).collect()
    }
}

#[test]
fn a_cable_cut_for_five_seconds_leaves_no_gap_in_a_chain_of_three() {
    let chain = Chain::new("");
    chain.cut(5);
    assert!(chain.edges[0].count("going on without a gap") >= 1);
    assert_eq!(chain.runs(), [1, 1, 1]);
}

#[test]
fn a_cable_cut_for_longer_than_the_ring_holds_is_one_legal_jump() {
    let chain = Chain::new("[buffer]\nSeconds = 1");
    chain.cut(8);
    // Each knows that it missed something, and the first that it was lost on the way to there.
    for (name, is_there) in [("1", true), ("2", false), ("3", false)] {
        let mut stream = serde_json::Value::Null;
        wait_until("one discontinuity to be counted", || {
            stream = chain.monitor.stream(name);
            stream["pull"]["discontinuities"] == 1
        });
        assert!(stream["pull"]["missed"].as_u64() > Some(0), "{stream}");
        assert_eq!(stream["lost"].as_u64() > Some(0), is_there, "{name}: {stream}");
    }
    assert_eq!(chain.runs(), [2, 2, 2]);
}

#[test]
fn an_upstream_that_is_killed_and_started_anew_leaves_no_gap_while_another_holds_the_stream() {
    let root = root(free_port(), "");
    let at_root = at(&root, Ipv4Addr::LOCALHOST);
    let port = free_port();
    let from_root = edge_config_with(port, &[at_root], "");
    let middle = Node::start(&from_root);
    let at_middle = at(&middle, Ipv4Addr::LOCALHOST);
    let first = Node::start(&edge_config(&[at_middle, at_root]));
    let second = Node::start(&edge_config(&[at(&first, Ipv4Addr::LOCALHOST)]));
    let third = Node::start(&edge_config(&[at(&second, Ipv4Addr::LOCALHOST)]));
    let live = Live::start_at(root.address("backstream"), PAUSE);
    let viewers = [&first, &second, &third].map(|node| viewer(at(node, Ipv4Addr::LOCALHOST)));
    let taken_up = |upstream| first.count(&format!("upstream of live: ws://{upstream}"));
    wait_until("the middle one", || taken_up(at_middle) == 1);
    let before = taken_up(at_root);
    middle.kill();
    wait_until("the root", || taken_up(at_root) > before);
    viewers[2].wait_for_bytes(viewers[2].length() + PLENTY);
    let middle = Node::start(&from_root);
    wait_until("the middle one again", || taken_up(at_middle) == 2);
    viewers[2].wait_for_bytes(viewers[2].length() + PLENTY);
    let published = live.stop();
    let tail = &published[published.len() - 4 * PACKET..];
    for viewer in viewers {
        wait_until("the end to arrive", || viewer.ends_with(tail));
        ts::joined(&viewer.close().bytes, &published).unwrap();
    }
    drop(middle);
}

#[test]
fn an_upstream_that_is_stopped_makes_way_for_the_second_and_comes_back() {
    let root = root(free_port(), "");
    let from_root = edge_config(&[at(&root, Ipv4Addr::LOCALHOST)]);
    let [first, second] = [(), ()].map(|()| Node::start(&from_root));
    let upstreams = [&first, &second].map(|node| at(node, Ipv4Addr::LOCALHOST));
    let edge = Node::start(&edge_config(&upstreams));
    let live = Live::start_at(root.address("backstream"), PAUSE);
    let viewer = viewer(at(&edge, Ipv4Addr::LOCALHOST));
    for _ in 0..2 {
        first.signal(Signal::SIGSTOP);
        let before = edge.count(&format!("upstream of live: ws://{}", upstreams[1]));
        wait_until("the second", || edge.count(&format!("upstream of live: ws://{}", upstreams[1])) > before);
        viewer.wait_for_bytes(viewer.length() + PLENTY);
        first.signal(Signal::SIGCONT);
        let before = edge.count(&format!("upstream of live: ws://{}", upstreams[0]));
        wait_until("the first", || edge.count(&format!("upstream of live: ws://{}", upstreams[0])) > before);
        viewer.wait_for_bytes(viewer.length() + PLENTY);
    }
    let published = live.stop();
    wait_until("the end to arrive", || viewer.ends_with(&published[published.len() - 4 * PACKET..]));
    assert_eq!(ts::runs(&viewer.close().bytes, &published).unwrap().len(), 1);
}

/// What a hop adds: from a chunk's being read by a node to its being read by the next, both on this machine and by its one
/// clock. First without the root's waiting for more of a chunk, then with it.
#[test]
fn a_hop_adds_less_than_a_millisecond() {
    for (what, app) in [("not coalescing", "Coalesce = 0"), ("coalescing as by default", "")] {
        let root = root(0, &format!("[app]\n{app}"));
        let edge = Node::start(&edge_config(&[at(&root, Ipv4Addr::LOCALHOST)]));
        let stamps = [&root, &edge].map(|node| {
            let address = at(node, Ipv4Addr::LOCALHOST);
            thread::spawn(move || stamps(address, 1000))
        });
        let live = Live::start_at(root.address("backstream"), Duration::from_millis(10));
        let [at_root, at_edge] = stamps.map(|thread| thread.join().unwrap());
        drop(live);
        let received = |stamp: &Stamp| (stamp.origin.number, stamp.received_us);
        let at_root: BTreeMap<u64, u64> = at_root.iter().map(received).collect();
        let both = at_edge.iter().filter_map(|stamp| {
            let there = at_root.get(&stamp.origin.number)?;
            Some(stamp.received_us.saturating_sub(*there))
        });
        let mut latencies: Vec<u64> = both.collect();
        latencies.sort_unstable();
        assert!(latencies.len() > 500, "{} chunks at both", latencies.len());
        let (median, p99) = (latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100]);
        println!("hop latency, {what}: median {median} µs, p99 {p99} µs, {} chunks", latencies.len());
        // The coalescing time is a bound of the wait.
        let coalescing = if app.is_empty() { 2_000 } else { 0 };
        assert!(median < 1_000 + coalescing, "median {median} µs, {what}");
    }
}

/// The stamps of so many chunks, as a node is told them.
fn stamps(node: SocketAddr, count: usize) -> Vec<Stamp> {
    let mut socket = dial(node);
    write!(socket, "{}Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n", upgrade("/live")).unwrap();
    let head = read_head(&mut socket).unwrap();
    assert!(head.contains("\r\nTsstream-Node: "), "{head}");
    let mut frames = Frames { socket };
    let mut stamps = Vec::new();
    while stamps.len() < count {
        let (first, payload) = frames.next().unwrap().expect("the stream goes on");
        if first == 0x82 {
            stamps.extend(Stamp::from_bytes(&payload));
        }
    }
    stamps
}
