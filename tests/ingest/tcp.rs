//! Publishers over TCP.

use std::io::Write;
use std::time::Duration;

use tsstream::config::{Authority, InputProtocol, IpList, Stream, Takeover};

use crate::node::{Node, connect, connect_from, noise, read_to_close, stream};

fn tcp(takeover: Takeover) -> Stream {
    Stream { takeover, ..stream("live", InputProtocol::Tcp) }
}

#[test]
fn what_is_pushed_arrives_unchanged_and_in_order() {
    let mut node = Node::start(&[tcp(Takeover::Never)]);
    node.subscribe(0);
    let pushed = noise(3_000_000);
    connect(node.address(0)).write_all(&pushed).unwrap();
    let seen = node.until(0, "everything", |seen| seen.bytes().len() == pushed.len());
    assert!(seen.bytes() == pushed);
    assert!(seen.chunks[0].sealed.follows_discontinuity);
    assert!(seen.sequences().windows(2).all(|pair| pair[0] + 1 == pair[1]));
    assert_eq!(node.metrics.streams[0].bytes.value(), pushed.len() as u64);
}

#[test]
fn a_publisher_may_come_back_and_the_numbers_go_on() {
    let mut node = Node::start(&[tcp(Takeover::Never)]);
    node.subscribe(0);
    let mut publisher = connect(node.address(0));
    publisher.write_all(b"first").unwrap();
    node.until(0, "first", |seen| seen.live());
    drop(publisher);
    node.until(0, "first gone", |seen| !seen.live());
    connect(node.address(0)).write_all(b"second").unwrap();
    let seen = node.until(0, "second", |seen| seen.bytes() == b"firstsecond");
    assert_eq!(seen.sequences(), [0, 1]);
    assert!(seen.chunks[1].sealed.follows_discontinuity);
}

#[test]
fn a_second_publisher_is_refused() {
    for (takeover, second) in [(Takeover::Never, [127, 0, 0, 1]), (Takeover::SameAddress, [127, 0, 0, 2])] {
        let mut node = Node::start(&[tcp(takeover)]);
        node.subscribe(0);
        let mut first = connect(node.address(0));
        first.write_all(b"first").unwrap();
        node.until(0, "live", |seen| seen.live());
        let mut second = connect_from(second, node.address(0));
        let _ = second.write_all(b"second");
        read_to_close(&mut second);
        first.write_all(b", still").unwrap();
        node.until(0, "first goes on", |seen| seen.bytes() == b"first, still");
        assert_eq!(node.metrics.refused.value(), 1);
    }
}

#[test]
fn a_second_publisher_takes_over() {
    for (takeover, second) in [(Takeover::SameAddress, [127, 0, 0, 1]), (Takeover::Always, [127, 0, 0, 2])] {
        let mut node = Node::start(&[tcp(takeover)]);
        node.subscribe(0);
        let mut first = connect(node.address(0));
        first.write_all(b"first").unwrap();
        node.until(0, "live", |seen| seen.live());
        let mut second = connect_from(second, node.address(0));
        second.write_all(b"second").unwrap();
        read_to_close(&mut first);
        let seen = node.until(0, "both", |seen| seen.bytes() == b"firstsecond");
        assert!(seen.chunks[1].sealed.follows_discontinuity);
        assert_eq!(node.metrics.streams[0].publishers.value(), 2);
    }
}

#[test]
fn a_silent_publisher_is_lost() {
    let timeout = Duration::from_millis(200);
    let mut node = Node::start(&[Stream { timeout, ..tcp(Takeover::Never) }]);
    node.subscribe(0);
    let mut publisher = connect(node.address(0));
    publisher.write_all(b"first").unwrap();
    node.until(0, "live", |seen| seen.live());
    node.until(0, "lost", |seen| !seen.live());
    read_to_close(&mut publisher);
    connect(node.address(0)).write_all(b"second").unwrap();
    node.until(0, "the next", |seen| seen.bytes() == b"firstsecond");
}

#[test]
fn only_who_is_listed_may_publish() {
    let authority = Authority::Only(IpList(vec!["127.0.0.2/31".parse().unwrap()]));
    let mut node = Node::start_with(&[tcp(Takeover::Never)], authority, 100);
    node.subscribe(0);
    let mut refused = connect_from([127, 0, 0, 1], node.address(0));
    let _ = refused.write_all(b"refused");
    read_to_close(&mut refused);
    assert_eq!(node.metrics.refused.value(), 1);
    connect_from([127, 0, 0, 3], node.address(0)).write_all(b"allowed").unwrap();
    node.until(0, "allowed", |seen| seen.bytes() == b"allowed");
}

#[test]
fn ipv4_comes_in_through_the_ipv6_wildcard_as_ipv4() {
    let bind = "[::]:0".parse().unwrap();
    let authority = Authority::Only(IpList(vec!["127.0.0.1/32".parse().unwrap()]));
    let mut node = Node::start_with(&[Stream { bind, ..tcp(Takeover::Never) }], authority, 100);
    node.subscribe(0);
    let address = ([127, 0, 0, 1], node.address(0).port()).into();
    connect(address).write_all(b"four").unwrap();
    node.until(0, "four", |seen| seen.bytes() == b"four");
}
