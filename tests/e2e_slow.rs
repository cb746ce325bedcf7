//! A receiver at 60 % of the bitrate for a minute, beside fifty healthy ones: it skips to keyframes and its stream stays
//! legal; theirs is whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use std::time::Duration;

use util::media::{self, Clip, Codecs, Repeat};
use util::node::Node;
use util::receive::{Keep, Options, Protocol, Receiver};
use util::tap::Tap;
use util::ts::{self, PACKET};
use util::{Directory, SOON, wait_until};

const SECONDS: u32 = 60;

/// The whole stream, in bytes: 8 Mb/s.
const BYTES_PER_SECOND: u64 = 1_000_000;

const HEALTHY: usize = 50;

#[test]
fn a_slow_receiver_skips_cleanly_and_harms_nobody() {
    let clip = Clip { codecs: Codecs::H264Mp2, seconds: 10, keyframe_seconds: 1, kilobits_per_second: 7_600 };
    let clip_rate = clip.bytes().len() as u64 / 10;
    assert!(
        clip_rate.abs_diff(BYTES_PER_SECOND) < BYTES_PER_SECOND / 5,
        "the clip has {clip_rate} bytes a second"
    );

    let node = Node::start(
        "[dispatch]\nProtocol = CUSTOM\n[custom]\nBind = 127.0.0.1\nPort = 0\n\
         [backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n",
    );
    let viewers = node.address("custom");
    let kinds = [Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into())];
    let whole = Receiver::open(viewers, &kinds[1]);
    let healthy: Vec<Receiver> = (1..HEALTHY)
        .map(|index| {
            let options = Options { keep: Keep::Hash, ..Options::default() };
            Receiver::open_with(viewers, &kinds[index % 2], options)
        })
        .collect();
    // With little room in the kernel, so that it is slow and does not just look back.
    let options = Options {
        bytes_per_second: Some(clip_rate * 6 / 10),
        buffer_bytes: Some(64 * 1024),
        ..Options::default()
    };
    let slow = Receiver::open_with(viewers, &kinds[1], options);

    let tap = Tap::tcp(node.address("backstream"));
    let url = format!("tcp://{}", tap.address);
    let mut push = media::push(&clip.file(), Repeat::Seconds(SECONDS), &["-f", "mpegts", &url]);
    assert!(push.wait(SOON + Duration::from_secs(SECONDS.into())).success(), "{}", push.said());

    tap.wait_for_end();
    let published = tap.published();
    let tail = &published[published.len() - 8 * PACKET..];
    wait_until("the end to arrive", || whole.ends_with(tail));
    let whole = whole.close();
    let joined = ts::joined(&whole.bytes, &published).unwrap();
    assert_eq!(joined.start + whole.bytes.len() - joined.preamble_bytes, published.len());
    for receiver in healthy {
        receiver.wait_for_bytes(whole.length);
        let capture = receiver.close();
        assert_eq!(
            (capture.length, capture.hash()),
            (whole.length, whole.hash()),
            "the healthy get the same"
        );
    }

    assert_eq!(slow.ended(), None, "the slow one is still connected");
    // It is behind by what lies in the kernel and the lag limit: it ends with the stream, some seconds later.
    wait_until("the end to arrive at the slow one", || slow.ends_with(tail));
    let capture = slow.close();
    assert!(capture.length < whole.length * 8 / 10, "{} of {}", capture.length, whole.length);
    assert!(capture.length > whole.length / 2, "{} of {}", capture.length, whole.length);
    let directory = Directory::new("slow");
    let file = directory.file("slow.ts");
    std::fs::write(&file, &capture.bytes).unwrap();
    assert_eq!(media::continuity_errors(&file), [""; 0]);
    let skips = skips(&capture.bytes, &published);
    assert!(skips >= 5, "{skips} skips in {SECONDS} s");
    let line = node.wait_for_line(SOON, "a leave with skips", |line| {
        line.contains("receiver of live left: ") && !line.contains(" 0 skips")
    });
    assert!(line.contains(&format!(" {skips} skips")), "{skips} seen, said: {line}");
}

/// Walks along what was captured and counts where it leaves what was published for a later place. There is a jump at the
/// discontinuity indicators that precede each, after which comes a keyframe, whole.
fn skips(captured: &[u8], published: &[u8]) -> usize {
    let mut skips = 0;
    let mut rest = &captured[2 * PACKET..];
    let mut at = 0;
    loop {
        let found = (at..published.len())
            .step_by(PACKET)
            .find(|&at| published[at..].starts_with(&rest[..4 * PACKET]));
        let start = found.expect("a run of what was published, further on");
        let video = rest.chunks_exact(PACKET).find(|packet| ts::pid(packet) == ts::VIDEO_PID).unwrap();
        assert!(ts::is_keyframe(video), "each run begins with a keyframe");
        let run = rest.chunks_exact(PACKET).zip(published[start..].chunks_exact(PACKET));
        let run = run.take_while(|(got, sent)| got == sent).count() * PACKET;
        rest = &rest[run..];
        at = start + run;
        if rest.is_empty() {
            return skips;
        }
        skips += 1;
        let jump = rest.chunks_exact(PACKET).take_while(|packet| is_discontinuity(packet)).count();
        assert!(jump >= 2, "video and audio are marked");
        let tables = rest[jump * PACKET..].chunks_exact(PACKET).take(2);
        assert_eq!(tables.map(ts::pid).collect::<Vec<_>>(), [0, 0x1000], "then come PAT and PMT");
        rest = &rest[(jump + 2) * PACKET..];
    }
}

fn is_discontinuity(packet: &[u8]) -> bool {
    let adaptation_only = packet[3] & 0x30 == 0x20;
    adaptation_only && packet[4] > 0 && packet[5] & 0x80 != 0
}
