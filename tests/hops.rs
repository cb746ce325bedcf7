//! Nodes that feed nodes, over TCP and UDP: what comes out at the end is what came in at the root, and a next hop that
//! is not there disturbs nobody.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::time::Duration;

use util::live::Live;
use util::node::Node;
use util::publish::Publisher;
use util::receive::{Protocol, Receiver};
use util::ts::{self, PACKET};
use util::{SOON, free_port, wait_until};

/// What a receiver must have to have been served well: some seconds of the picture.
const PLENTY: u64 = 400_000;

/// The root of a tree: with viewers of its own, and the next hops that `dispatch` names.
fn root(dispatch: &str) -> Node {
    Node::start(&format!(
        "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
         [custom]\nBind = 127.0.0.1\nPort = 0\n[dispatch]\n{dispatch}\n"
    ))
}

/// A node that another one feeds, on `port` (0: any).
fn edge(protocol: &str, port: u16) -> Node {
    Node::start(&edge_config(protocol, "127.0.0.1", port))
}

fn edge_config(protocol: &str, bind: &str, port: u16) -> String {
    format!(
        "[app]\nRunMode = extra\nMonitor = http://127.0.0.1:9/monitor\n\
         [pushstream]\nProtocol = {protocol}\nBind = {bind}\nPort = {port}\n\
         [custom]\nBind = 127.0.0.1\nPort = 0\n"
    )
}

fn port(node: &Node) -> u16 {
    node.address("pushstream").port()
}

fn viewers(node: &Node) -> [Receiver; 2] {
    let address = node.address("custom");
    [Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into())]
        .map(|it| Receiver::open(address, &it))
}

/// Once all of them have everything up to the end: each got one run, without a gap.
#[track_caller]
fn assert_whole(receivers: impl IntoIterator<Item = Receiver>, published: &[u8]) {
    let tail = &published[published.len() - 4 * PACKET..];
    for receiver in receivers {
        wait_until("the end to arrive", || receiver.ends_with(tail));
        ts::joined(&receiver.close().bytes, published).unwrap();
    }
}

#[test]
fn a_chain_of_three_over_tcp_is_byte_exact() {
    let last = edge("TCP", 0);
    let middle = Node::start(&format!(
        "{}[dispatch]\nProtocol = CUSTOM,TCP\nHosts = 127.0.0.1\nPorts = {}\n",
        edge_config("TCP", "127.0.0.1", 0),
        port(&last)
    ));
    let first = root(&format!("Protocol = CUSTOM,TCP\nHosts = localhost\nPorts = {}", port(&middle)));
    let receivers: Vec<Receiver> = [&first, &middle, &last].into_iter().flat_map(viewers).collect();
    let live = Live::start(first.address("backstream"));
    receivers.iter().for_each(|receiver| receiver.wait_for_bytes(PLENTY));
    assert_whole(receivers, &live.stop());
    first.wait_for("next hop of live tcp://localhost:");
    assert!(first.stop().success() && middle.stop().success() && last.stop().success());
}

#[test]
fn udp_with_and_without_rtp_to_several_and_viewers() {
    for framing in ["TS", "RTP"] {
        let edges = [edge("UDP", 0), edge("UDP", 0)];
        let ports = edges.iter().map(|edge| port(edge).to_string()).collect::<Vec<_>>().join(",");
        let first = root(&format!(
            "Protocol = UDP,CUSTOM\nHosts = 127.0.0.1,127.0.0.1\nPorts = {ports}\nFraming = {framing}"
        ));
        first.wait_for(&format!("127.0.0.1:{} is sent to", port(&edges[1])));
        let receivers: Vec<Receiver> = [&first].into_iter().chain(&edges).flat_map(viewers).collect();
        let live = Live::start(first.address("backstream"));
        receivers.iter().for_each(|receiver| receiver.wait_for_bytes(PLENTY));
        assert_whole(receivers, &live.stop());
        edges.into_iter().for_each(assert_nothing_was_lost);
    }
}

/// By the count of a node that was fed over UDP.
#[track_caller]
fn assert_nothing_was_lost(edge: Node) {
    let log = edge.log_after_stop();
    let left = log.iter().find(|line| line.contains("publisher of live left")).expect("a line");
    let sound = left.contains(" 0 continuity errors, 0 sync losses");
    assert!(sound && !left.contains("RTP packets lost") && !left.contains("dropped by"), "{left}");
}

#[test]
fn the_older_example_of_three_nodes_works_as_it_is() {
    let ports = [("50001", free_port()), ("55001", free_port()), ("55002", free_port())];
    let on_free_ports = |name: &str| {
        let file = format!("{}/tests/data/conf/{name}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.replace("Port = 56001", "Port = 0").replace("Port = 56002", "Port = 0");
        ports.iter().fold(text, |text, (old, new)| text.replace(old, &new.to_string()))
    };
    let edges =
        ["original-extra1.conf", "original-extra2.conf"].map(|name| Node::start(&on_free_ports(name)));
    let first = Node::start(&on_free_ports("original-normal-udp.conf"));
    first.wait_for(&format!("{} is sent to", ports[2].1));
    let receivers: Vec<Receiver> = edges.iter().flat_map(viewers).collect();
    let live = Live::start(first.address("backstream"));
    receivers.iter().for_each(|receiver| receiver.wait_for_bytes(PLENTY));
    assert_whole(receivers, &live.stop());
    edges.into_iter().for_each(assert_nothing_was_lost);
}

#[test]
fn next_hops_may_have_addresses_of_ipv6() {
    for protocol in ["TCP", "UDP"] {
        let last = Node::start(&edge_config(protocol, "::1", 0));
        let first = root(&format!("Protocol = CUSTOM,{protocol}\nHosts = ::1\nPorts = {}", port(&last)));
        first.wait_for_line(SOON, "the hop to be reached", |line| {
            line.contains("connected") && line.contains("[::1]") || line.contains("is sent to")
        });
        let receivers: Vec<Receiver> = [&first, &last].into_iter().flat_map(viewers).collect();
        let live = Live::start(first.address("backstream"));
        receivers.iter().for_each(|receiver| receiver.wait_for_bytes(PLENTY));
        assert_whole(receivers, &live.stop());
    }
}

#[test]
fn multicast_reaches_all_who_joined() {
    let group = "239.255.77.3";
    let group_port = free_port();
    let config = edge_config("UDP", group, group_port).replace("[custom]", "Interface = 127.0.0.1\n[custom]");
    let edges = [Node::start(&config), Node::start(&config)];
    let first = root(&format!(
        "Protocol = UDP\nHosts = {group}\nPorts = {group_port}\nTtl = 1\nInterface = 127.0.0.1\nFraming = RTP"
    ));
    first.wait_for("is sent to");
    let receivers: Vec<Receiver> = edges.iter().flat_map(viewers).collect();
    let live = Live::start(first.address("backstream"));
    receivers.iter().for_each(|receiver| receiver.wait_for_bytes(PLENTY));
    assert_whole(receivers, &live.stop());
}

#[test]
fn opaque_bytes_go_in_datagrams_as_they_are() {
    let receiver = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    receiver.set_read_timeout(Some(SOON)).unwrap();
    let first = Node::start(&format!(
        "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\nFormat = bytes\n\
         [dispatch]\nProtocol = UDP\nHosts = 127.0.0.1\nPorts = {}\n",
        receiver.local_addr().unwrap().port()
    ));
    first.wait_for("is sent to");
    let bytes: Vec<u8> =
        (0..30_000_u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    Publisher::tcp(first.address("backstream")).send(&bytes).unwrap();
    let mut received = Vec::new();
    let mut datagram = [0; 2_000];
    while received.len() < bytes.len() {
        let length = receiver.recv(&mut datagram).unwrap();
        assert!(length <= 1316, "{length}");
        received.extend_from_slice(&datagram[..length]);
    }
    assert!(received == bytes);
}

#[test]
fn who_comes_late_is_fed_from_a_keyframe_and_who_is_killed_is_fed_again() {
    let late = free_port();
    let steady = edge("TCP", 0);
    let first = root(&format!(
        "Protocol = CUSTOM,TCP\nHosts = 127.0.0.1,127.0.0.1\nPorts = {late},{}",
        port(&steady)
    ));
    let undisturbed: Vec<Receiver> = [&first, &steady].into_iter().flat_map(viewers).collect();
    let live = Live::start(first.address("backstream"));
    first.wait_for("not reached: Connection refused");
    for _ in 0..3 {
        let node = edge("TCP", late);
        let receivers = viewers(&node);
        receivers.iter().for_each(|receiver| receiver.wait_for_bytes(PLENTY));
        node.kill();
        for receiver in receivers {
            let captured = receiver.close().bytes;
            // The last packet may have been cut off by the kill.
            let whole = captured.len() / PACKET * PACKET;
            assert_eq!(ts::runs(&captured[..whole], &live.so_far()).unwrap().len(), 1);
        }
    }
    assert_whole(undisturbed, &live.stop());
    assert_eq!(first.count(&format!("127.0.0.1:{late} lost")), 3);
}

#[test]
fn a_publisher_that_restarts_is_a_legal_jump_for_every_next_hop() {
    let edges = [edge("TCP", 0), edge("UDP", 0), edge("UDP", 0)];
    let [tcp, udp, rtp] = edges.each_ref().map(port);
    let first = Node::start(&format!(
        "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
         [backstream.b]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
         [dispatch]\nProtocol = TCP\nHosts = 127.0.0.1\nPorts = {tcp}\n\
         [dispatch.b]\nProtocol = UDP\nHosts = 127.0.0.1\nPorts = {udp}\n"
    ));
    let of_rtp = root(&format!("Protocol = UDP\nFraming = RTP\nHosts = 127.0.0.1\nPorts = {rtp}"));
    first.wait_for(&format!("{udp} is sent to"));
    first.wait_for(&format!("{tcp} connected"));
    of_rtp.wait_for("is sent to");
    let inputs = [first.address("backstream"), first.address("backstream.b"), of_rtp.address("backstream")];
    for (edge, input) in edges.iter().zip(inputs) {
        let receivers = viewers(edge);
        let mut published = Vec::new();
        for turn in 1..=2 {
            let live = Live::start(input);
            receivers.iter().for_each(|receiver| receiver.wait_for_bytes(turn * PLENTY));
            published.extend(live.stop());
            let tail = &published[published.len() - 4 * PACKET..];
            receivers.iter().for_each(|receiver| wait_until("the end", || receiver.ends_with(tail)));
        }
        for receiver in receivers {
            let runs = ts::runs(&receiver.close().bytes, &published).unwrap();
            assert_eq!(runs.len(), 2, "{runs:?}");
            assert_eq!(runs[1].end, published.len());
        }
    }
    edges.into_iter().for_each(assert_nothing_was_lost);
}

#[test]
fn a_hop_that_hangs_up_on_silence_is_connected_to_when_there_is_something_to_send() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let first = root(&format!(
        "Protocol = TCP,CUSTOM\nHosts = 127.0.0.1\nPorts = {}",
        listener.local_addr().unwrap().port()
    ));
    drop(listener.accept().unwrap());
    first.wait_for("left after 0.0 s: closed by receiver; 0 bytes, 0 skips; next try when the stream has");
    listener.set_nonblocking(true).unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert!(listener.accept().is_err(), "nothing happens meanwhile");
    listener.set_nonblocking(false).unwrap();
    let live = Live::start(first.address("backstream"));
    let (mut hop, _) = listener.accept().unwrap();
    hop.read_exact(&mut [0; 100 * PACKET]).unwrap();
    drop(live);
}

#[test]
fn the_node_itself_is_no_next_hop_under_whatever_name() {
    let port = free_port();
    let node = Node::start(&format!(
        "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = {port}\n\
         [dispatch]\nProtocol = TCP\nHosts = no..name,127.1\nPorts = {port},{port}\n"
    ));
    node.wait_for("not reached: failed to lookup");
    node.wait_for("not reached: that is this node itself");
}

#[test]
fn a_udp_hop_that_nobody_listens_on_costs_the_others_nothing_and_is_there_at_once() {
    let nobody = free_port();
    let listening = edge("UDP", 0);
    let first = root(&format!(
        "Protocol = CUSTOM,UDP\nHosts = 127.0.0.1,127.0.0.1\nPorts = {nobody},{}",
        port(&listening)
    ));
    first.wait_for(&format!("{} is sent to", port(&listening)));
    let undisturbed: Vec<Receiver> = [&first, &listening].into_iter().flat_map(viewers).collect();
    let live = Live::start(first.address("backstream"));
    first.wait_for(&format!("{nobody} can't be sent to: Connection refused"));
    let node = edge("UDP", nobody);
    let receivers = viewers(&node);
    receivers.iter().for_each(|receiver| receiver.wait_for_bytes(PLENTY));
    let published = live.stop();
    assert_whole(undisturbed, &published);
    assert_whole(receivers, &published);
    assert_eq!(first.count(&format!("{nobody} is sent to")), 1, "the same socket all the time");
}
