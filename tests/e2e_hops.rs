//! What befalls next hops: stopped, flapping, behind a cut cable, a lossy one, a narrow one. The others notice nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]
#![allow(clippy::disallowed_methods, reason = "how long it takes is what is tested")]

mod util;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use util::live::Live;
use util::namespace::{self, Namespace};
use util::node::Node;
use util::receive::{Protocol, Receiver};
use util::ts::{self, PACKET};
use util::{SOON, free_port, wait_until, wait_until_within};

/// A hop that is there again must be served again after so long.
const BACK_WITHIN: Duration = Duration::from_secs(6);

/// Between two frames: twice as fast as the picture plays, some 1.3 Mb/s.
const PAUSE: Duration = Duration::from_millis(20);

const PLENTY: u64 = 400_000;

/// A running tree: the root, with viewers, and a next hop beside the one that is tried, with viewers as well.
struct Tree {
    root: Node,
    live: Live,
    undisturbed: [Receiver; 3],
    _edge: Node,
}

impl Tree {
    /// `dispatch` are further keys of that section.
    #[track_caller]
    fn grow(protocol: &str, tried: SocketAddr, dispatch: &str) -> Tree {
        let edge = Node::start(&edge_config(protocol, 0));
        let root = Node::start(&format!(
            "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
             [custom]\nBind = 127.0.0.1\nPort = 0\n\
             [dispatch]\nProtocol = CUSTOM,{protocol}\nHosts = {},127.0.0.1\nPorts = {},{}\n{dispatch}\n",
            tried.ip(),
            tried.port(),
            edge.address("pushstream").port()
        ));
        root.wait_for_line(SOON, "the edge to be fed", |line| {
            line.contains(&format!("127.0.0.1:{} ", edge.address("pushstream").port()))
                && (line.contains("connected") || line.contains("is sent to"))
        });
        let kinds = [Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into())];
        let undisturbed = [
            Receiver::open(root.address("custom"), &kinds[0]),
            Receiver::open(root.address("custom"), &kinds[1]),
            Receiver::open(edge.address("custom"), &kinds[0]),
        ];
        let live = Live::start_at(root.address("backstream"), PAUSE);
        Tree { root, live, undisturbed, _edge: edge }
    }

    /// Ends it: who was to be left undisturbed was. Returns the root and what was published.
    #[track_caller]
    fn fell(self) -> (Node, Vec<u8>) {
        let published = self.live.stop();
        let tail = &published[published.len() - 4 * PACKET..];
        for receiver in self.undisturbed {
            wait_until("the end to arrive", || receiver.ends_with(tail));
            ts::joined(&receiver.close().bytes, &published).unwrap();
        }
        (self.root, published)
    }
}

fn edge_config(protocol: &str, port: u16) -> String {
    format!(
        "[app]\nRunMode = extra\n[pushstream]\nProtocol = {protocol}\nBind = 0.0.0.0\nPort = {port}\n\
         [custom]\nBind = 0.0.0.0\nPort = 0\n"
    )
}

fn viewer(node: &Node, host: impl Into<IpAddr>) -> Receiver {
    let address = SocketAddr::new(host.into(), node.address("custom").port());
    Receiver::open(address, &Protocol::Http("/live.ts".into()))
}

/// More has arrived within the time that a hop has to be back, from now on. Prints how soon.
#[track_caller]
fn assert_back(what: &str, viewer: &Receiver) {
    let (start, before) = (Instant::now(), viewer.length());
    wait_until_within(BACK_WITHIN, what, || viewer.length() > before);
    println!("{what}: back after {:.2} s", start.elapsed().as_secs_f64());
}

#[test]
fn a_hop_stopped_for_ten_seconds_goes_on() {
    let port = free_port();
    let hop = Node::start(&edge_config("TCP", port));
    let tree = Tree::grow("TCP", SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "");
    let viewer = viewer(&hop, Ipv4Addr::LOCALHOST);
    viewer.wait_for_bytes(PLENTY);
    hop.signal(Signal::SIGSTOP);
    sleep(Duration::from_secs(10));
    hop.signal(Signal::SIGCONT);
    assert_back("stopped", &viewer);
    viewer.wait_for_bytes(viewer.length() + PLENTY);
    let (_, published) = tree.fell();
    let runs = ts::runs(&viewer.close().bytes, &published).unwrap();
    println!("runs: {runs:?}");
    assert!(runs.len() <= 2, "{runs:?}");
}

#[test]
fn a_hop_that_flaps_every_two_seconds_is_served_when_it_stays() {
    let port = free_port();
    let tree = Tree::grow("TCP", SocketAddr::from((Ipv4Addr::LOCALHOST, port)), "");
    tree.undisturbed.iter().for_each(|receiver| receiver.wait_for_bytes(PLENTY));
    let descriptors = tree.root.descriptors();
    for _ in 0..5 {
        let hop = Node::start(&edge_config("TCP", port));
        sleep(Duration::from_secs(2));
        hop.kill();
        sleep(Duration::from_secs(2));
    }
    let hop = Node::start(&edge_config("TCP", port));
    let viewer = viewer(&hop, Ipv4Addr::LOCALHOST);
    assert_back("flapped", &viewer);
    viewer.wait_for_bytes(PLENTY);
    assert!(tree.root.descriptors() <= descriptors + 1, "one for the hop that is connected now");
    let (_, published) = tree.fell();
    ts::joined(&viewer.close().bytes, &published).unwrap();
}

#[test]
fn a_hop_behind_a_cut_cable_is_served_when_it_is_mended() {
    let host = Namespace::new();
    let port = free_port();
    let hop = Node::start_in(&host.name, &edge_config("TCP", port));
    let tree = Tree::grow("TCP", SocketAddr::from((host.address, port)), "");
    let viewer = viewer(&hop, host.view);
    viewer.wait_for_bytes(PLENTY);
    // Shorter than a connection is waited for, hardly shorter, and longer.
    for seconds in [4, 9, 17] {
        host.cut();
        sleep(Duration::from_secs(seconds));
        let before = viewer.length();
        sleep(Duration::from_millis(200));
        assert_eq!(viewer.length(), before, "the cable is cut");
        host.mend();
        assert_back(&format!("cut for {seconds} s"), &viewer);
        viewer.wait_for_bytes(viewer.length() + PLENTY);
    }
    let (_, published) = tree.fell();
    let runs = ts::runs(&viewer.close().bytes, &published).unwrap();
    println!("runs: {runs:?}");
}

#[test]
fn a_hop_that_there_is_no_way_to_at_first_is_served_when_there_is_one() {
    let host = Namespace::new();
    for protocol in ["TCP", "UDP"] {
        let port = free_port();
        let hop = Node::start_in(&host.name, &edge_config(protocol, port));
        host.bar();
        let tree = Tree::grow(protocol, SocketAddr::from((host.address, port)), "");
        tree.root.wait_for("not reached: No route to host");
        sleep(Duration::from_secs(7));
        host.unbar();
        let viewer = viewer(&hop, host.view);
        assert_back(&format!("{protocol} without a way"), &viewer);
        viewer.wait_for_bytes(PLENTY);
        let (_, published) = tree.fell();
        assert_eq!(ts::runs(&viewer.close().bytes, &published).unwrap().len(), 1);
    }
}

#[test]
fn a_hop_over_udp_behind_a_cut_cable_is_sent_to_when_it_is_mended() {
    let host = Namespace::new();
    let port = free_port();
    let hop = Node::start_in(&host.name, &edge_config("UDP", port));
    let tree = Tree::grow("UDP", SocketAddr::from((host.address, port)), "");
    let viewer = viewer(&hop, host.view);
    viewer.wait_for_bytes(PLENTY);
    for seconds in [2, 12] {
        host.cut();
        sleep(Duration::from_secs(seconds));
        host.mend();
        assert_back(&format!("UDP, cut for {seconds} s"), &viewer);
        viewer.wait_for_bytes(viewer.length() + PLENTY);
    }
    tree.fell();
    assert_aligned(&viewer.close().bytes);
}

#[test]
fn what_is_lost_on_the_way_is_counted_exactly_with_rtp() {
    let (datagrams, log, captured) = lossy("Framing = RTP");
    let lost = number_before(" RTP packets lost", &log);
    assert_eq!(lost, datagrams, "{log}");
    assert_aligned(&captured);
}

#[test]
fn what_is_lost_on_the_way_shows_as_continuity_errors_without_rtp() {
    let (_, log, captured) = lossy("Framing = TS");
    assert!(!log.contains("RTP"), "{log}");
    assert!(number_before(" continuity errors", &log) > 0, "{log}");
    assert_aligned(&captured);
}

/// Feeds a hop over a cable that loses one datagram in twenty. Returns how many were lost, what the hop said of its
/// publisher in the end, and what its viewer got.
#[track_caller]
fn lossy(dispatch: &str) -> (u64, String, Vec<u8>) {
    const LOST_ENOUGH: u64 = 40;
    let host = Namespace::new();
    let port = free_port();
    // Datagrams cross the cable one by one, as they would any real one.
    namespace::run(&format!("ip link set {} gso_max_segs 1", host.cable));
    host.run("nft add table inet test");
    host.run("nft add chain inet test in { type filter hook input priority 0 ; }");
    host.run("nft add counter inet test lost");
    let lost = || {
        let listed = host.run("nft list counter inet test lost");
        let count = listed.split("packets ").nth(1).and_then(|rest| rest.split(' ').next());
        count.and_then(|count| count.parse::<u64>().ok()).expect("a count")
    };
    let hop = Node::start_in(&host.name, &edge_config("UDP", port));
    let tree = Tree::grow("UDP", SocketAddr::from((host.address, port)), dispatch);
    let viewer = viewer(&hop, host.view);
    viewer.wait_for_bytes(PLENTY);
    host.run(&format!(
        "nft add rule inet test in udp dport {port} numgen random mod 20 == 0 counter name lost drop"
    ));
    wait_until("datagrams to be lost", || lost() >= LOST_ENOUGH);
    host.run("nft flush chain inet test in");
    // What is missing is seen by what comes after.
    viewer.wait_for_bytes(viewer.length() + PLENTY);
    tree.fell();
    let log = hop.log_after_stop();
    let left = log.iter().find(|line| line.contains("publisher of live left")).expect("a line");
    assert!(!left.contains("dropped by the kernel"), "{left}");
    (lost(), left.clone(), viewer.close().bytes)
}

fn number_before(words: &str, line: &str) -> u64 {
    let number = line.split(words).next().and_then(|before| before.rsplit(' ').next());
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no number before {words:?} in {line}"))
}

#[test]
fn multicast_leaves_by_the_interface_named_and_crosses_as_many_networks_as_named() {
    const GROUP: &str = "239.255.78.1";
    let host = Namespace::new();
    let port = free_port();
    host.run("nft add table inet test");
    host.run("nft add chain inet test in { type filter hook input priority 0 ; }");
    host.run("nft add counter inet test seven");
    host.run(&format!("nft add rule inet test in ip daddr {GROUP} ip ttl 7 counter name seven"));
    let joins = format!(
        "[app]\nRunMode = extra\n[pushstream]\nProtocol = UDP\nBind = {GROUP}\nPort = {port}\nInterface = {}\n\
         [custom]\nBind = 0.0.0.0\nPort = 0\n",
        host.address
    );
    let hop = Node::start_in(&host.name, &joins);
    let dispatch = format!("Framing = RTP\nTtl = 7\nInterface = {}", host.near());
    let tree = Tree::grow("UDP", SocketAddr::new(GROUP.parse().unwrap(), port), &dispatch);
    let viewer = viewer(&hop, host.view);
    gets_all_to_the_end(tree, viewer);
    let counted = host.run("nft list counter inet test seven");
    assert!(counted.contains("packets ") && !counted.contains("packets 0 "), "{counted}");
}

/// Fells the tree once the viewer has plenty, and compares what it got with what was published.
#[track_caller]
fn gets_all_to_the_end(tree: Tree, viewer: Receiver) {
    viewer.wait_for_bytes(PLENTY);
    let (_, published) = tree.fell();
    let tail = &published[published.len() - 4 * PACKET..];
    wait_until("the end to arrive", || viewer.ends_with(tail));
    ts::joined(&viewer.close().bytes, &published).unwrap();
}

#[track_caller]
fn assert_aligned(captured: &[u8]) {
    let whole = captured.len() / PACKET * PACKET;
    assert!(whole as u64 > PLENTY);
    assert_eq!(ts::packets(&captured[..whole]).len(), whole / PACKET);
}

#[test]
fn over_a_cable_that_takes_no_datagram_whole_nothing_is_lost_either() {
    let host = Namespace::new();
    let port = free_port();
    namespace::run(&format!("ip link set {} mtu 800", host.cable));
    let hop = Node::start_in(&host.name, &edge_config("UDP", port));
    let tree = Tree::grow("UDP", SocketAddr::from((host.address, port)), "Framing = RTP");
    let viewer = viewer(&hop, host.view);
    gets_all_to_the_end(tree, viewer);
}
