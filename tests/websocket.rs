//! The WebSocket of a receiver (RFC 6455): handshake, control frames, and what becomes of a client that breaks a rule.

mod util;

use std::io::{Read, Write};

use tsstream::demo::Looper;
use util::node::Node;
use util::publish::Publisher;
use util::raw::{Frames, KEY, ask, dial, masked, upgrade};
use util::receive::read_head;

const NODE: &str = "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [dispatch]\nProtocol = CUSTOM\n[custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\n";

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;

#[test]
fn handshakes() {
    let node = Node::start(&format!("{NODE}Origins = https://a.example, http://b.example:8080\n"));
    let address = node.address("custom");
    let open = |request: &str| {
        let mut socket = dial(address);
        socket.write_all(request.as_bytes()).unwrap();
        read_head(&mut socket).unwrap()
    };
    let browser = format!(
        "GET / HTTP/1.1\r\nSEC-WEBSOCKET-VERSION: 13\r\nsec-websocket-key:{KEY}\r\nOrigin: HTTPS://A.example\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Protocol: null\r\n\
         connection: keep-alive, uPGRADE\r\nupgrade: WebSocket\r\nhost: x\r\n\r\n"
    );
    for request in [browser.clone(), browser.replace("GET / ", "GET /live?x=1 "), upgrade("/") + "\r\n"] {
        let head = open(&request);
        assert!(head.starts_with("HTTP/1.1 101 "), "{request:?}: {head}");
        assert!(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        assert!(!head.contains("Extensions"), "none was agreed to: {head}");
        let asked = request.contains("Protocol: null");
        assert_eq!(head.contains("\r\nSec-WebSocket-Protocol: null\r\n"), asked, "{head}");
    }
    let refused = |from: &str, to: &str, status: &str| {
        assert!(browser.contains(from), "{from}");
        let answer = ask(address, &browser.replace(from, to));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{to:?}: {answer}");
        answer
    };
    assert!(refused("VERSION: 13", "VERSION: 8", "426").contains("\r\nSec-WebSocket-Version: 13\r\n"));
    refused("uPGRADE", "close", "426");
    refused("HTTP/1.1", "HTTP/1.0", "426");
    refused(KEY, "dGhlIHNhbXBsZQ==", "400");
    refused("GET", "POST", "405");
    refused("HTTPS://A.example", "https://c.example", "403");
    refused("HTTPS://A.example", "null", "403");
    refused("GET / ", "GET /nobody ", "404");
}

#[test]
fn a_client_that_says_all_it_may_stays_connected() {
    let node = Node::start(NODE);
    let mut viewer = Frames::open(node.address("custom"), "/live");
    viewer.send(&masked(PING, b"before there is a stream"));
    assert_eq!(viewer.next_control(), (PONG, b"before there is a stream".to_vec()));

    let mut publisher = Publisher::tcp(node.address("backstream"));
    let mut bursts = Looper::default();
    for burst in bursts.by_ref().take(10) {
        publisher.send(&burst.packets).unwrap();
    }
    assert_eq!(viewer.next().unwrap().unwrap().0, 0x82);

    viewer.send(&masked(0x81, b"hello"));
    viewer.send(&masked(0x82, &[7; 65_536]));
    viewer.send(&[masked(0x01, b"in "), masked(PING, b"between"), masked(0x80, b"two")].concat());
    assert_eq!(viewer.next_control(), (PONG, b"between".to_vec()));
    viewer.send(&masked(PONG, b"").repeat(20_000));
    for byte in masked(PING, &[1; 125]) {
        viewer.send(&[byte]);
    }
    assert_eq!(viewer.next_control(), (PONG, vec![1; 125]));

    for burst in bursts.take(10) {
        publisher.send(&burst.packets).unwrap();
    }
    assert_eq!(viewer.next().unwrap().unwrap().0, 0x82, "the stream goes on");
}

#[test]
fn a_goodbye_is_answered_in_kind() {
    let node = Node::start(NODE);
    for (said, answered) in [
        (masked(CLOSE, &[]), 1000),
        (masked(CLOSE, b"\x03\xe9"), 1001),
        (masked(CLOSE, b"\x03\xe8bye"), 1000),
        (masked(CLOSE, b"\x0f\xa0"), 4000),
        // What follows a goodbye is not heard, not even if it breaks the rules.
        ([masked(CLOSE, b"\x03\xe8"), b"nonsense".to_vec()].concat(), 1000),
    ] {
        let mut viewer = Frames::open(node.address("custom"), "/");
        viewer.send(&said);
        assert_eq!(viewer.close_code(), answered, "{said:x?}");
    }
    node.wait_for("closed by receiver");
}

#[test]
fn a_client_that_breaks_a_rule_is_told_which() {
    let node = Node::start(NODE);
    for (what, said, code) in [
        ("an unmasked frame", b"\x81\x05hello".to_vec(), 1002),
        ("a reserved bit is set", masked(0xc1, b""), 1002),
        ("unknown opcode", masked(0x83, b""), 1002),
        ("a control frame that is too long", masked(PING, &[0; 126]), 1002),
        ("a fragmented control frame", masked(0x09, b""), 1002),
        ("a continuation of nothing", masked(0x80, b""), 1002),
        ("a message within a message", [masked(0x01, b""), masked(0x81, b"")].concat(), 1002),
        ("a length in more bytes than it takes", b"\x81\xfe\x00\x05mask".to_vec(), 1002),
        ("half a close code", masked(CLOSE, b"\x03"), 1002),
        ("a close code that is not to be sent", masked(CLOSE, b"\x03\xee"), 1002),
        ("a text that is not UTF-8", masked(CLOSE, b"\x03\xe8\xff"), 1007),
        ("a message that is too big", b"\x82\xff\x80\0\0\0\0\0\0\0mask".to_vec(), 1009),
        ("a message that is too big", masked(0x82, &[0; 65_537])[..100].to_vec(), 1009),
    ] {
        let mut viewer = Frames::open(node.address("custom"), "/");
        let from = viewer.socket.local_addr().unwrap();
        viewer.send(&said);
        assert_eq!(viewer.close_code(), code, "{what}");
        drop(viewer);
        let line = node.wait_for(&format!("left: {from} (WebSocket): broke the WebSocket protocol"));
        assert!(line.contains(what), "{what}: {line}");
    }
}

#[test]
fn the_first_frames_may_come_with_the_handshake() {
    let node = Node::start(NODE);
    let mut socket = dial(node.address("custom"));
    let said = [format!("{}\r\n", upgrade("/")).into_bytes(), masked(PING, b"early"), masked(CLOSE, b"")];
    socket.write_all(&said.concat()).unwrap();
    read_head(&mut socket).unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"\x8a\x05early\x88\x02\x03\xe8");
}
