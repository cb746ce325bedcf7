//! Garbage and damage in every input: nothing unaligned leaves, and the stream is back within five good packets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use std::ops::Range;

use util::media::{Clip, Codecs};
use util::node::Node;
use util::publish::Publisher;
use util::receive::{Protocol, Receiver};
use util::ts::{self, PACKET};
use util::wait_until;

/// How many good packets it may take to be in sync again.
const LOST_PACKETS_MAX: usize = 5;

/// Fast enough to be quick, slow enough for a UDP socket's buffer.
const BYTES_PER_SECOND: u64 = 800_000;

/// Sizes of the writes: the small ones cut every packet.
const WRITE_BYTES: [usize; 2] = [100, 5_000];

#[test]
fn tcp() {
    for write_bytes in WRITE_BYTES {
        let node = start("TCP");
        let input = node.address("backstream");
        let mut nonsense = Publisher::tcp(input);
        nonsense.send(&noise(100_000, 1)).unwrap();
        drop(nonsense);
        survives(&node, Publisher::tcp(input), write_bytes);
    }
}

#[test]
fn udp() {
    for write_bytes in WRITE_BYTES {
        let node = start("UDP");
        let input = node.address("backstream");
        Publisher::udp(input, 1_400).send(&noise(10_000, 2)).unwrap();
        survives(&node, Publisher::udp(input, 1_472), write_bytes);
    }
}

#[test]
fn http() {
    for write_bytes in WRITE_BYTES {
        let node = start("HTTP");
        let input = node.address("backstream");
        let Publisher::Http(stream) = Publisher::http(input, "/") else { panic!("a publisher over HTTP") };
        let mut broken = Publisher::Tcp(stream);
        broken.send(b"5\r\nhello\r\nno size at all\r\n").unwrap();
        let answer = broken.wait_for_end().unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
        survives(&node, Publisher::http(input, "/"), write_bytes);
    }
}

fn start(protocol: &str) -> Node {
    Node::start(&format!(
        "[dispatch]\nProtocol = CUSTOM\n[custom]\nBind = 127.0.0.1\nPort = 0\n\
         [custom.live]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
         [backstream]\nProtocol = {protocol}\nBind = 127.0.0.1\nPort = 0\n"
    ))
}

/// Publishes a stream with damage in writes of `write_bytes` and judges what receivers of each kind get of it.
#[track_caller]
fn survives(node: &Node, mut publisher: Publisher, write_bytes: usize) {
    let clip =
        Clip { codecs: Codecs::Mpeg1Mp2, seconds: 4, keyframe_seconds: 1, kilobits_per_second: 600 }.bytes();
    let plan = Damaged::new(&clip);
    let receivers = [
        Receiver::open(node.address("custom"), &Protocol::WebSocket("/".into())),
        Receiver::open(node.address("custom"), &Protocol::Http("/live.ts".into())),
        Receiver::open(node.address("custom.live"), &Protocol::Tcp),
    ];
    publisher.send_paced(&plan.bytes, write_bytes, BYTES_PER_SECOND).unwrap();
    let tail = &clip[plan.end - 8 * PACKET..plan.end];
    for receiver in receivers {
        wait_until("the end to arrive", || receiver.ends_with(tail));
        let capture = receiver.close();
        assert!(
            capture.messages.iter().all(|length| length.is_multiple_of(PACKET)),
            "{:?}",
            capture.messages
        );
        plan.judge(&clip, &capture.bytes);
    }
}

/// A clip with damage between runs of it that are good.
struct Damaged {
    bytes: Vec<u8>,
    /// What is good, by place in the clip.
    runs: Vec<Range<usize>>,
    /// Where the last of them ends.
    end: usize,
}

impl Damaged {
    fn new(clip: &[u8]) -> Damaged {
        let keyframes = ts::keyframes(clip);
        // In the first run the sync may be found too late for the first keyframe; it goes on to beyond the second.
        let first = 0..keyframes[1] + 40 * PACKET;
        let mut bytes = noise(1_000, 3);
        bytes.extend_from_slice(&clip[first.clone()]);
        let mut runs = vec![first];
        let run_bytes = 100 * PACKET;
        for damage in [Damage::SyncBytes(1), Damage::SyncBytes(3), Damage::CutOff, Damage::Noise] {
            let start = runs.last().unwrap().end;
            let start = start + damage.apply(&clip[start..], &mut bytes);
            runs.push(start..start + run_bytes);
            bytes.extend_from_slice(&clip[start..start + run_bytes]);
        }
        let end = runs.last().unwrap().end;
        Damaged { bytes, runs, end }
    }

    /// Checks that `received` holds nothing but good packets, in order, and of each run all but the first few
    /// and the last.
    #[track_caller]
    fn judge(&self, clip: &[u8], received: &[u8]) {
        let mut packets = ts::packets(received);
        assert_eq!(packets.by_ref().take(2).map(ts::pid).collect::<Vec<_>>(), [0, 0x1000]);
        let first = packets.clone().find(|packet| ts::pid(packet) == ts::VIDEO_PID).unwrap();
        assert!(ts::is_keyframe(first), "it begins with a keyframe");

        let keyframes = ts::keyframes(clip);
        let sent = self.runs.iter().enumerate().flat_map(|(run, range)| {
            let packets = clip[range.clone()].chunks_exact(PACKET).enumerate();
            packets.map(move |(index, packet)| (run, index, packet))
        });
        let mut next = packets.next();
        let mut missed = Vec::new();
        for (run, index, packet) in sent {
            if next == Some(packet) {
                next = packets.next();
            } else if run > 0 || index * PACKET >= keyframes[1] {
                missed.push((run, index));
            }
        }
        assert_eq!(next.map(|packet| &packet[..8]), None, "a packet that was not sent, or out of order");
        // The last before damage has nothing behind it that would say that it is whole.
        let is_last = |run: usize, index: usize| (index + 1) * PACKET == self.runs[run].len();
        missed.retain(|&(run, index)| index >= LOST_PACKETS_MAX && !is_last(run, index));
        assert_eq!(missed, [], "(run, packet) that did not arrive");
    }
}

/// What comes between two good runs.
enum Damage {
    /// So many packets without a sync byte.
    SyncBytes(usize),
    /// A packet that ends in the middle.
    CutOff,
    /// Random bytes.
    Noise,
}

impl Damage {
    /// Adds it to `bytes`, and says how many bytes of what comes next in the clip it uses up.
    fn apply(self, clip: &[u8], bytes: &mut Vec<u8>) -> usize {
        match self {
            Damage::SyncBytes(count) => {
                for packet in clip.chunks_exact(PACKET).take(count) {
                    bytes.push(0xb8);
                    bytes.extend_from_slice(&packet[1..]);
                }
                count * PACKET
            }
            Damage::CutOff => {
                bytes.extend_from_slice(&clip[..100]);
                PACKET
            }
            Damage::Noise => {
                bytes.extend_from_slice(&noise(777, 4));
                0
            }
        }
    }
}

/// The same bytes for the same seed (xorshift64).
fn noise(count: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}
