//! What a worker gets, and that it can't hold anything up.

use std::io::Write;

use tsstream::config::{Buffer, InputProtocol, Stream};

use crate::node::{Node, PATIENCE, connect, noise, stream};

fn tcp(name: &str) -> Stream {
    stream(name, InputProtocol::Tcp)
}

#[test]
fn every_worker_is_told_the_status_of_every_stream() {
    let mut node = Node::start(&[tcp("live"), tcp("cam2")]);
    for index in 0..2 {
        node.until(index, "status at start", |seen| seen.statuses.len() == 1 && !seen.live());
    }
    let mut publisher = connect(node.address(1));
    publisher.write_all(b"hello").unwrap();
    node.until(1, "live without a subscription", |seen| seen.live());
    drop(publisher);
    node.until(1, "gone", |seen| !seen.live());
    assert!(node.seen.values().all(|seen| seen.chunks.is_empty()));
    assert_eq!(node.seen.values().next().unwrap().statuses.len(), 1, "nothing happened to the other");
}

#[test]
fn who_subscribes_gets_the_backlog_and_then_every_chunk() {
    let mut node = Node::start(&[tcp("live")]);
    let mut publisher = connect(node.address(0));
    publisher.write_all(b"before").unwrap();
    node.until(0, "live", |seen| seen.live());
    node.subscribe(0);
    node.until(0, "backlog", |seen| seen.backlogs == 1 && seen.bytes() == b"before");
    for _ in 0..50 {
        publisher.write_all(b".").unwrap();
    }
    let seen = node.until(0, "chunks", |seen| seen.bytes().len() == 6 + 50);
    assert_eq!(seen.sequences(), (0..seen.chunks.len() as u64).collect::<Vec<_>>());

    node.unsubscribe(0);
    publisher.write_all(b"not for us").unwrap();
    drop(publisher);
    node.until(0, "gone", |seen| !seen.live());
    assert_eq!(node.until(0, "no more", |_| true).bytes().len(), 6 + 50);
}

#[test]
fn the_backlog_is_what_the_buffer_keeps() {
    let buffer = Buffer { time: PATIENCE * 2, bytes: 300_000 };
    let mut node = Node::start(&[Stream { buffer, ..tcp("live") }]);
    let pushed = noise(1_000_000);
    let mut publisher = connect(node.address(0));
    publisher.write_all(&pushed).unwrap();
    node.until(0, "live", |seen| seen.live());
    drop(publisher);
    node.until(0, "gone", |seen| !seen.live());
    node.subscribe(0);
    let backlog = node.until(0, "backlog", |seen| seen.backlogs == 1).bytes();
    assert!((200_000..300_000).contains(&backlog.len()), "{}", backlog.len());
    assert!(pushed.ends_with(&backlog));
}

#[test]
fn a_full_mailbox_loses_chunks_and_holds_nobody_up() {
    let mut node = Node::start_with(&[tcp("live"), tcp("cam2")], tsstream::config::Authority::Anyone, 4);
    node.subscribe(0);
    node.until(0, "the backlog", |seen| seen.backlogs == 1);
    let pushed = noise(3_000_000);
    let mut publisher = connect(node.address(0));
    // Nobody reads the mailbox meanwhile.
    publisher.write_all(&pushed).unwrap();
    while node.metrics.streams[0].bytes.value() < pushed.len() as u64 {
        std::thread::yield_now();
    }
    connect(node.address(1)).write_all(b"another").unwrap();
    while node.metrics.streams[1].publishers.value() == 0 {
        std::thread::yield_now();
    }

    node.until(0, "the status that found no room", |seen| seen.live());
    node.until(1, "the other stream's as well", |seen| seen.statuses.len() > 1);
    let metrics = std::sync::Arc::clone(&node.metrics);
    let lost = metrics.streams[0].chunks_lost.value();
    publisher.write_all(b"end").unwrap();
    let seen = node.until(0, "the end", |seen| seen.bytes().ends_with(b"end"));
    let sequences = seen.sequences();
    assert!(lost > 0 && sequences.windows(2).all(|pair| pair[0] < pair[1]), "{lost} {sequences:?}");
    assert_eq!(sequences.last().unwrap() + 1, sequences.len() as u64 + lost, "what is missing was counted");
}
