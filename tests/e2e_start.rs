//! Who joins gets a picture at once: PAT, PMT and the newest keyframe, however long ago that was.
#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use util::media::{Clip, Codecs};
use util::node::Node;
use util::publish::Publisher;
use util::receive::{Protocol, Receiver};
use util::ts::{self, PACKET};
use util::wait_until;

#[test]
fn a_late_receiver_starts_at_the_last_keyframe_without_waiting_for_the_next() {
    let clip =
        Clip { codecs: Codecs::H264Aac, seconds: 12, keyframe_seconds: 10, kilobits_per_second: 400 }.bytes();
    let keyframes = ts::keyframes(&clip);
    let [first, second] = keyframes[..] else { panic!("{keyframes:?}") };
    // The first 13 seconds, as it were: the second keyframe comes after the last joined.
    let early = &clip[..(second - first) * 3 / 10 / PACKET * PACKET];

    let node = Node::start(
        "[dispatch]\nProtocol = CUSTOM\n[custom]\nBind = 127.0.0.1\nPort = 0\n\
         [custom.live]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
         [backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n",
    );
    let protocols = [
        ("custom", Protocol::WebSocket("/".into())),
        ("custom", Protocol::Http("/live.ts".into())),
        ("custom.live", Protocol::Tcp),
    ];
    // One that was there before tells when the node has taken it all in.
    let witness = Receiver::open(node.address("custom"), &protocols[0].1);
    let mut publisher = Publisher::tcp(node.address("backstream"));
    publisher.send(early).unwrap();
    wait_until("the witness to get it all", || witness.ends_with(&early[early.len() - PACKET..]));

    for (section, protocol) in &protocols {
        let receiver = Receiver::open(node.address(section), protocol);
        wait_until("all since the keyframe to arrive", || receiver.ends_with(&early[early.len() - PACKET..]));
        let captured = receiver.close().bytes;
        let joined = ts::joined(&captured, early).unwrap_or_else(|error| panic!("{protocol:?}: {error}"));
        // Tables right before the keyframe may be part of its chunk.
        let from = &early[joined.start..=first];
        let tables = from.chunks_exact(PACKET).all(|packet| [0, 0x11, 0x1000].contains(&ts::pid(packet)));
        assert!(joined.start <= first && tables, "{protocol:?}: begins at {}, not {first}", joined.start);
    }
    publisher.finish().unwrap();
}
