//! `tools/push` pushes what it says, coded as it says, over everything that it can push over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use std::process::Command;

use util::Directory;
use util::media::{self, Clip, Codecs, Push};
use util::node::Node;
use util::receive::{Protocol, Receiver};

fn push(arguments: &[&str]) -> Command {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tools/push/push"));
    command.args(arguments);
    command
}

#[test]
fn a_test_picture_and_a_file_reach_viewers() {
    let node = Node::start(
        "[dispatch]\nProtocol = CUSTOM\n[custom]\nBind = 127.0.0.1\nPort = 0\n\
         [backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
         [backstream.udp]\nProtocol = UDP\nBind = 127.0.0.1\nPort = 0\n\
         [backstream.web]\nProtocol = HTTP\nBind = 127.0.0.1\nPort = 0\nSecret = open-sesame\n",
    );
    let source = Clip { codecs: Codecs::H264Aac, seconds: 4, keyframe_seconds: 1, kilobits_per_second: 400 };
    let directory = Directory::new("push");
    let copy = directory.file("it's a file.ts");
    std::fs::copy(source.file(), &copy).unwrap();
    let file = copy.to_str().unwrap();
    let tcp = format!("tcp://{}", node.address("backstream"));
    let udp = format!("udp://{}", node.address("backstream.udp"));
    let web = format!("http://{}/open-sesame/web", node.address("backstream.web"));
    for (stream, arguments, codecs) in [
        ("live", vec!["test", &tcp, "--mpeg1"], Codecs::Mpeg1Mp2),
        ("udp", vec!["file", file, &udp, "--loop"], Codecs::H264Aac),
        ("web", vec!["file", file, &web, "--mpeg1", "--loop"], Codecs::Mpeg1Mp2),
    ] {
        let receiver = Receiver::open(node.address("custom"), &Protocol::Http(format!("/{stream}.ts")));
        let pushing = Push::start(push(&arguments));
        receiver.wait_for_bytes(300_000);
        pushing.kill();
        let captured = directory.file(&format!("{stream}.ts"));
        let bytes = receiver.close().bytes;
        std::fs::write(&captured, &bytes[..bytes.len() / 188 * 188]).unwrap();
        assert_eq!(media::codecs(&captured), codecs.names(), "{arguments:?}");
    }
}

#[test]
fn it_prints_what_it_would_run() {
    let printed = |arguments: &[&str]| {
        let output = push(arguments).arg("--print").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(printed(&["camera", "tcp://example.org:1"]).contains(" -f v4l2 -i /dev/video0 -f alsa "));
    assert!(printed(&["screen", ":7", "tcp://example.org:1"]).contains(" -f x11grab -framerate 25 -i :7 "));
    assert!(printed(&["test", "rtp://example.org:1"]).contains(" -f rtp_mpegts rtp://example.org:1"));
    let printed = printed(&["file", "it's a file", "udp://example.org:1"]);
    assert!(printed.contains(r" -i 'it'\''s a file' "), "{printed}");
    assert!(printed.contains("'udp://example.org:1?pkt_size=1316'"), "{printed}");
}

#[test]
fn it_says_what_is_wrong() {
    for (arguments, words) in [
        (&["test"][..], "a URL is missing"),
        (&["tcp://example.org:1"], "push what?"),
        (&["dance", "tcp://example.org:1"], "dance is none of"),
        (&["file", "/nowhere", "tcp://example.org:1"], "there is no /nowhere"),
        (&["test", "tcp://example.org:1", "--fast"], "unknown option --fast"),
    ] {
        let output = push(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(words), "{arguments:?}: {output:?}");
    }
}
