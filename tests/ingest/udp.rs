//! Publishers over UDP.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::SockRef;
use tsstream::config::{Authority, Format, InputProtocol, IpList, Stream, Takeover};
use tsstream::identity::NodeId;
use tsstream::ingest::Ingest;

use crate::node::{Node, noise, stream};

fn udp() -> Stream {
    stream("live", InputProtocol::Udp)
}

fn sender(from: impl Into<IpAddr>, to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::new(from.into(), 0)).unwrap();
    socket.connect(to).unwrap();
    socket
}

fn local(to: SocketAddr) -> UdpSocket {
    sender([127, 0, 0, 1], to)
}

#[test]
fn datagrams_of_any_size_are_a_byte_stream() {
    let mut node = Node::start(&[udp()]);
    node.subscribe(0);
    let pushed = noise(200_000);
    let publisher = local(node.address(0));
    let mut sent = 0;
    for len in [1472, 1316, 1, 0, 188, 9000].into_iter().cycle() {
        let datagram = &pushed[sent..pushed.len().min(sent + len)];
        publisher.send(datagram).unwrap();
        sent += datagram.len();
        // A burst is to fit the receive buffer, whatever this machine allows.
        node.until(0, "what was sent so far", |seen| seen.bytes().len() == sent);
        if sent == pushed.len() {
            break;
        }
    }
    assert!(node.until(0, "everything", |_| true).bytes() == pushed);
}

#[test]
fn messages_that_the_kernel_coalesced_are_told_apart() {
    let mut node = Node::start(&[Stream { format: Format::Messages, ..udp() }]);
    node.subscribe(0);
    let publisher = local(node.address(0));
    setsockopt(&publisher, sockopt::UdpGsoSegment, &100).unwrap();
    let pushed = noise(1_050);
    publisher.send(&pushed).unwrap();
    let seen = node.until(0, "everything", |seen| seen.bytes().len() == pushed.len());
    let chunks: Vec<&[u8]> = seen.chunks.iter().map(|chunk| chunk.sealed.body.payload()).collect();
    assert_eq!(chunks, pushed.chunks(100).collect::<Vec<_>>());
}

#[test]
fn segments_that_the_kernel_coalesced_are_told_apart() {
    let mut node = Node::start(&[Stream { format: Format::Ts, ..udp() }]);
    let publisher = local(node.address(0));
    setsockopt(&publisher, sockopt::UdpGsoSegment, &1328).unwrap();
    let datagrams: Vec<u8> = (0..40).filter(|number| *number != 17).flat_map(rtp).collect();
    publisher.send(&datagrams).unwrap();
    node.until_any("all", |node| node.metrics.streams[0].bytes.value() == 39 * 1316);
    assert_eq!(node.metrics.streams[0].rtp_lost.value(), 1);
}

#[test]
fn rtp_headers_come_off_and_gaps_are_counted() {
    let mut node = Node::start(&[Stream { format: Format::Ts, ..udp() }]);
    let publisher = local(node.address(0));
    for number in [0, 1, 2, 5, 6, 4, 6, 7, 10] {
        publisher.send(&rtp(number)).unwrap();
    }
    node.until_any("all but the late", |node| node.metrics.streams[0].bytes.value() == 7 * 1316);
    let metrics = &node.metrics.streams[0];
    assert_eq!((metrics.rtp_lost.value(), metrics.rtp_late.value()), (4, 2));
}

/// A datagram as `ffmpeg -f rtp_mpegts` sends it.
fn rtp(number: u16) -> Vec<u8> {
    let mut datagram = vec![0x80, 33];
    datagram.extend(number.to_be_bytes());
    datagram.extend([0; 8]);
    datagram.extend([vec![0x47, 0x1f, 0xff, 0x10], vec![0xff; 184]].concat().repeat(7));
    datagram
}

#[test]
fn what_the_kernel_drops_is_counted() {
    let (ingest, to_ingest) = Ingest::bind(&[udp()], Authority::Anyone, NodeId::random()).unwrap();
    let publisher = local(ingest.addresses()[0].1);
    // More than 8 MiB of receive buffer hold, before anybody reads.
    for _ in 0..20_000 {
        publisher.send(&[7; 1472]).unwrap();
    }
    let mut node = Node::run(ingest, to_ingest, 100);
    let received = |node: &Node| node.metrics.streams[0].bytes.value() / 1472;
    let dropped = |node: &Node| node.metrics.streams[0].kernel_drops.value();
    // The count comes with the next datagram, for which there must be room again.
    let sent = Cell::new(20_000);
    node.until_any("the count", |node| {
        publisher.send(&[7; 1472]).unwrap();
        sent.set(sent.get() + 1);
        dropped(node) > 0
    });
    node.until_any("everything", |node| received(node) + dropped(node) == sent.get());
}

#[test]
fn a_new_port_of_the_same_address_takes_over_for_good() {
    let mut node = Node::start(&[udp()]);
    node.subscribe(0);
    let (first, second) = (local(node.address(0)), local(node.address(0)));
    first.send(b"first").unwrap();
    node.until(0, "first", |seen| seen.bytes() == b"first");
    second.send(b"second").unwrap();
    let seen = node.until(0, "second", |seen| seen.bytes() == b"firstsecond");
    assert!(seen.chunks[1].sealed.follows_discontinuity);
    first.send(b"it is still there").unwrap();
    node.until_any("the refusal", |node| node.metrics.refused.value() == 1);
    second.send(b"!").unwrap();
    node.until(0, "second goes on", |seen| seen.bytes() == b"firstsecond!");
}

#[test]
fn another_address_waits_until_the_first_is_silent() {
    let timeout = Duration::from_millis(200);
    for takeover in [Takeover::SameAddress, Takeover::Never] {
        let mut node = Node::start(&[Stream { timeout, takeover, ..udp() }]);
        node.subscribe(0);
        let (first, second) = (local(node.address(0)), sender([127, 0, 0, 2], node.address(0)));
        first.send(b"first").unwrap();
        node.until(0, "first", |seen| seen.bytes() == b"first");
        second.send(b"refused").unwrap();
        node.until_any("the refusal", |node| node.metrics.refused.value() == 1);
        node.until(0, "lost", |seen| !seen.live());
        second.send(b"second").unwrap();
        node.until(0, "second", |seen| seen.bytes() == b"firstsecond");
    }
}

#[test]
fn only_who_is_listed_may_publish() {
    let authority = Authority::Only(IpList(vec!["127.0.0.2/32".parse().unwrap()]));
    let mut node = Node::start_with(&[udp()], authority, 100);
    node.subscribe(0);
    local(node.address(0)).send(b"refused").unwrap();
    sender([127, 0, 0, 2], node.address(0)).send(b"allowed").unwrap();
    node.until(0, "allowed", |seen| seen.bytes() == b"allowed");
    assert_eq!(node.metrics.refused.value(), 1);
}

#[test]
fn a_multicast_group_is_joined() {
    let loopback = IpAddr::from([127, 0, 0, 1]);
    for source in [None, Some(loopback)] {
        let bind = SocketAddr::from(([232, 1, 77, 3], 0));
        let mut node = Node::start(&[Stream { bind, source, interface: Some(loopback), ..udp() }]);
        node.subscribe(0);
        let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
        let publisher = UdpSocket::bind("127.0.0.1:0").unwrap();
        for socket in [&stranger, &publisher] {
            SockRef::from(socket).set_multicast_if_v4(&[127, 0, 0, 1].into()).unwrap();
        }
        if source.is_some() {
            stranger.send_to(b"stranger", node.address(0)).unwrap();
        }
        publisher.send_to(b"to the group", node.address(0)).unwrap();
        node.until(0, "what was sent to the group", |seen| seen.bytes() == b"to the group");
    }
}
