//! Messages, one in each datagram: they come out one by one and whole, here, at a next hop and at a node that pulls.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use std::io::{Read, Write};
use std::net::UdpSocket;

use tsstream::chunk::PAYLOAD_BYTES_MAX;
use util::node::Node;
use util::raw::{Frames, dial};
use util::receive::read_head;

const CUSTOM: &str = "[custom]\nBind = 127.0.0.1\nPort = 0\n";

/// Lengths at which a frame's header changes, a datagram fills a packet of Ethernet, and no more than that is taken.
const LENGTHS: [usize; 9] = [1, 125, 126, 1316, 1317, 1472, 1473, 9_000, PAYLOAD_BYTES_MAX];

fn message(number: usize) -> Vec<u8> {
    (0..LENGTHS[number % LENGTHS.len()]).map(|index| (index * 31 + number) as u8).collect()
}

fn edge(pushstream: &str) -> Node {
    Node::start(&format!("[app]\nRunMode = extra\n[pushstream]\nFormat = messages\n{pushstream}\n{CUSTOM}"))
}

fn publisher(node: &Node) -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.connect(node.address("backstream")).unwrap();
    socket
}

#[test]
fn they_stay_apart_all_through_the_tree() {
    let pushed = edge("Protocol = UDP\nBind = 127.0.0.1\nPort = 0");
    let root = Node::start(&format!(
        "[backstream]\nProtocol = UDP\nBind = 127.0.0.1\nPort = 0\nFormat = messages\n\
         [dispatch]\nProtocol = CUSTOM,UDP\nHosts = 127.0.0.1\nPorts = {}\n{CUSTOM}",
        pushed.address("pushstream").port()
    ));
    let pulling = edge(&format!("Protocol = PULL\nUpstreams = ws://{}/live", root.address("custom")));
    root.wait_for("is sent to");
    let nodes = [&root, &pushed, &pulling];
    let mut viewers = nodes.map(|node| Frames::open(node.address("custom"), "/"));
    pulling.wait_for("connected");

    let publisher = publisher(&root);
    publisher.send(b"first").unwrap();
    for viewer in &mut viewers {
        assert_eq!(viewer.next().unwrap(), Some((0x82, b"first".to_vec())));
    }
    for number in 0..10 * LENGTHS.len() {
        publisher.send(&message(number)).unwrap();
        if number % 3 == 0 {
            // These two come at once.
            continue;
        }
        publisher.send(b"").unwrap();
        let since = if number % 3 == 1 { number - 1 } else { number };
        for viewer in &mut viewers {
            for number in since..=number {
                assert_eq!(viewer.next().unwrap(), Some((0x82, message(number))), "{number}");
            }
        }
    }
}

#[test]
fn a_newcomer_is_given_the_last_one_and_what_is_too_long_goes_to_nobody() {
    let node = Node::start(&format!(
        "[backstream]\nProtocol = UDP\nBind = 127.0.0.1\nPort = 0\nFormat = messages\n{CUSTOM}"
    ));
    let address = node.address("custom");
    let publisher = publisher(&node);
    let mut first = Frames::open(address, "/live");
    publisher.send(b"one").unwrap();
    assert_eq!(first.next().unwrap(), Some((0x82, b"one".to_vec())));
    for message in [&[7; PAYLOAD_BYTES_MAX + 1][..], b"two"] {
        publisher.send(message).unwrap();
    }
    assert_eq!(first.next().unwrap(), Some((0x82, b"two".to_vec())));
    for _ in 0..2 {
        assert_eq!(Frames::open(address, "/live").next().unwrap(), Some((0x82, b"two".to_vec())));
    }
    // Over HTTP there are no frames, and nothing is between them.
    let mut plain = dial(address);
    plain.write_all(b"GET /live.ts HTTP/1.0\r\n\r\n").unwrap();
    read_head(&mut plain).unwrap();
    plain.read_exact(&mut [0; 3]).unwrap();
    publisher.send(b"three").unwrap();
    publisher.send(b"four").unwrap();
    let mut heard = [0; 9];
    plain.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"threefour");
}
