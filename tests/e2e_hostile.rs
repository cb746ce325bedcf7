//! What strangers, the network and publishers may do to a node, one row of the list a test: each is answered within
//! bounds, and fifty healthy viewers beside it have every byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use tsstream::demo::Looper;
use util::crowd::{Crowd, PORTS, VIEWERS};
use util::namespace::Namespace;
use util::node::Node;
use util::publish::Publisher;
use util::raw::{Frames, ask, dial, get, masked, metric, upgrade};
use util::receive::{self, Protocol, Receiver, read_head};
use util::{SOON, ts, wait_until, wait_until_within};

const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// What any of this may add to the node's memory for good: its allocator keeps some of what it once needed.
const MEMORY_BYTES_MAX: u64 = 24 << 20;

/// Where it tells what it counts.
const ADMIN: &str = "[admin]\nPort = 0\n";

/// The stall limit where it is to be met, in seconds; to follow [`PORTS`].
const STALL_LIMIT: &str = "StallLimit = 2\n";

/// A further stream, to be published wrongly.
const ODD: &str = "[backstream.odd]\nPort = 0\n";

#[test]
fn requests_that_are_none_are_refused_in_bounded_time_and_memory() {
    const EACH: usize = 100;
    let node = Node::start(PORTS);
    let address = node.address("custom");
    let crowd = Crowd::gather(&node);
    let before = node.memory_bytes();
    let status = |answer: &str| answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let silent: Vec<TcpStream> = (0..EACH).map(|_| dial(address)).collect();
    let mut slow: Vec<TcpStream> = (0..EACH).map(|_| dial(address)).collect();
    for round in 0..EACH {
        let garbage: String =
            (0..400).map(|index| char::from((1 + (index * 7 + round) % 126) as u8)).collect();
        assert_eq!(status(&ask(address, &garbage)), "400", "{garbage:?}");
    }
    let megabyte = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for _ in 0..EACH {
        // It is cut off before it has said all; what it was told first may or may not reach it then.
        let mut socket = dial(address);
        let _ = socket.write_all(megabyte.as_bytes());
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || status(&answer) == "431", "{answer}");
    }
    let just_too_large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(8 << 10));
    assert_eq!(status(&ask(address, &just_too_large)), "431");
    // A byte now and then, for as long as anybody listens: what counts is the time in total.
    slow.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
    let mut answers = vec![String::new(); EACH];
    wait_until("those that are slow to be answered", || {
        for (socket, answer) in slow.iter_mut().zip(&mut answers).filter(|(_, answer)| answer.is_empty()) {
            let _ = socket.write(b"G");
            let mut bytes = [0; 1024];
            if let Ok(count @ 1..) = socket.read(&mut bytes) {
                *answer = String::from_utf8_lossy(&bytes[..count]).into_owned();
            }
        }
        answers.iter().all(|answer| !answer.is_empty())
    });
    assert!(answers.iter().all(|answer| status(answer) == "408"), "{answers:?}");
    for mut socket in silent {
        assert_eq!(socket.read(&mut [0]).unwrap(), 0, "who says nothing is let go without a word");
    }
    assert_little_was_added(&node, before);
    crowd.verdict();
}

#[test]
fn who_finds_no_place_is_told() {
    let node = Node::start(&format!("{PORTS}MaxClients = {}\nMaxClientsPerIp = {VIEWERS}\n", VIEWERS + 1));
    let mut crowd = Crowd::gather(&node);
    let requests = [upgrade("/") + "\r\n", "GET /live.ts HTTP/1.1\r\nHost: a\r\n\r\n".into()];
    let refused = |from: Ipv4Addr| {
        let mut socket = dial_from(from, node.address("custom"));
        for request in &requests[..1] {
            socket.write_all(request.as_bytes()).unwrap();
        }
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("the node is full"), "{answer}");
    };
    (0..20).for_each(|_| refused(Ipv4Addr::LOCALHOST));
    // From another address there is one place, and then none.
    let elsewhere = Ipv4Addr::new(127, 0, 0, 9);
    let mut other = dial_from(elsewhere, node.address("custom"));
    other.write_all(requests[1].as_bytes()).unwrap();
    assert!(read_head(&mut other).unwrap().starts_with("HTTP/1.1 200 "));
    (0..20).for_each(|_| refused(elsewhere));
    crowd.dismiss_one();
    wait_until("the place of one that has left", || {
        let mut socket = dial(node.address("custom"));
        socket.write_all(requests[1].as_bytes()).unwrap();
        read_head(&mut socket).unwrap().starts_with("HTTP/1.1 200 ")
    });
    crowd.verdict();
}

#[test]
fn those_who_break_the_websocket_protocol_are_told_how_and_nothing_is_allocated_for_them() {
    const ROUNDS: usize = 20;
    let node = Node::start(PORTS);
    let crowd = Crowd::gather(&node);
    let before = node.memory_bytes();
    let stated = |length: u64| [&b"\x82\xff"[..], &length.to_be_bytes(), b"mask"].concat();
    for _ in 0..ROUNDS {
        for (said, code) in [
            (b"\x82\x05hello".to_vec(), 1002),
            (masked(0xc2, b"a"), 1002),
            (masked(0xa2, b"a"), 1002),
            (masked(0x92, b"a"), 1002),
            (masked(0x83, b""), 1002),
            (masked(0x8b, b""), 1002),
            (masked(PING, &[0; 126]), 1002),
            (masked(0x81, b"\xff"), 1007),
            (stated(1 << 63), 1009),
            (stated(u64::MAX >> 1), 1009),
            (stated(65_537), 1009),
        ] {
            let mut viewer = Frames::open(node.address("custom"), "/");
            viewer.send(&said);
            assert_eq!(viewer.close_code(), code, "{said:x?}");
        }
    }
    // The longest message that is taken, stated by many and never sent.
    let mut waiting: Vec<Frames> = (0..300).map(|_| Frames::open(node.address("custom"), "/")).collect();
    waiting.iter_mut().for_each(|viewer| viewer.send(&stated(65_536)));
    assert_little_was_added(&node, before);
    drop(waiting);
    crowd.verdict();
}

#[test]
fn floods_are_answered_within_bounds() {
    const PINGS: usize = 100_000;
    const HANDSHAKES: usize = 2_000;
    const CONNECTS: usize = 10_000;
    let node = Node::start(PORTS);
    let address = node.address("custom");
    let crowd = Crowd::gather(&node);
    let before = node.memory_bytes();

    // One that pings and never hears the answers, and one that hears them.
    let mut deaf = Frames::open(address, "/");
    deaf.socket.set_nonblocking(true).unwrap();
    let pings = masked(PING, &[7; 100]).repeat(PINGS / 100);
    for _ in 0..100 {
        let _ = deaf.socket.write(&pings);
    }
    let mut polite = Frames::open(address, "/");
    for _ in 0..100 {
        polite.send(&masked(PING, b"are you there?"));
        assert_eq!(polite.next_control(), (PONG, b"are you there?".to_vec()));
    }
    crowd.goes_on();

    // Handshakes that are begun, and left at once.
    for index in 0..HANDSHAKES {
        let mut socket = dial_from(Ipv4Addr::new(127, 0, 1, (index % 200) as u8 + 1), address);
        let _ = write!(socket, "{}\r\n", upgrade("/"));
    }
    crowd.goes_on();

    // Connections as quickly as they come, with nothing said on them, a thousand at a time.
    let mut open = Vec::new();
    for index in 0..CONNECTS {
        open.push(dial_from(Ipv4Addr::new(127, 0, 2, (index % 200) as u8 + 1), address));
        if open.len() == 1_000 {
            open.clear();
        }
    }
    crowd.goes_on();
    drop((deaf, polite));
    assert_little_was_added(&node, before);
    crowd.verdict();
}

#[test]
fn receivers_that_take_nothing_more_are_gone_by_the_stall_limit() {
    const EACH: usize = 10;
    let node = Node::start(&format!("{PORTS}{STALL_LIMIT}{ADMIN}"));
    let crowd = Crowd::gather(&node);
    let protocols = [Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into())];
    // Little room at this end: what is never read soon closes the window.
    let opened: Vec<TcpStream> = (0..2 * EACH)
        .map(|index| {
            let socket = receive::connect(node.address("custom"), Some(4096));
            drop(receive::begin(socket.try_clone().unwrap(), &protocols[index % 2]));
            socket
        })
        .collect();
    // Half of them are reset in the middle of a chunk.
    for socket in &opened[EACH..] {
        let _ = (&*socket).read(&mut [0; 100]).unwrap();
        SockRef::from(socket).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let (stalled, resets): (Vec<_>, Vec<_>) =
        opened.into_iter().enumerate().partition(|(index, _)| *index < EACH);
    let peers = |sockets: &[(usize, TcpStream)]| -> Vec<SocketAddr> {
        sockets.iter().map(|(_, socket)| socket.local_addr().unwrap()).collect()
    };
    let (stalled_peers, reset_peers) = (peers(&stalled), peers(&resets));
    drop(resets);
    let has_left = |peers: &[SocketAddr], why: &str| {
        peers.iter().all(|peer| {
            node.find(|line| line.contains(&format!("left: {peer} (")) && line.contains(why)).is_some()
        })
    };
    wait_until("those that were reset to be gone", || has_left(&reset_peers, "reset by receiver"));
    wait_until_within(2 * SOON, "those that stand still to be gone", || has_left(&stalled_peers, "stalled"));
    for reason in ["reset", "stalled"] {
        wait_until("them to be counted", || left(&node, reason) == EACH as f64);
    }
    crowd.verdict();
}

#[test]
fn a_receiver_behind_a_cut_cable_is_gone_by_the_stall_limit() {
    let host = Namespace::new();
    let (section, everywhere) = ("[custom]\nProtocol = WEBSOCKET\nBind = ", "0.0.0.0");
    let ports = PORTS.replace(&format!("{section}127.0.0.1"), &format!("{section}{everywhere}"));
    let node = Node::start(&format!("{ports}{STALL_LIMIT}{ADMIN}"));
    let crowd = Crowd::gather(&node);
    let [first, second, third, _] = host.address.octets();
    let url = format!("http://{first}.{second}.{third}.1:{}/live.ts", node.address("custom").port());
    let _viewer = Killed(
        Command::new("ip")
            .args(["netns", "exec", &host.name, "curl", "-s", "-o", "/dev/null", &url])
            .stdin(Stdio::null())
            .spawn()
            .expect("curl starts (tools/test installs it)"),
    );
    let connected = node.wait_for(&format!("connected: {}:", host.address));
    let peer = connected.split("connected: ").nth(1).unwrap().split(' ').next().unwrap();
    crowd.goes_on();
    host.cut();
    let line = node.wait_for_line(3 * SOON, "it left", |line| line.contains(&format!("left: {peer} (")));
    assert!(line.contains("stalled"), "{line}");
    wait_until("it to be counted", || left(&node, "stalled") == 1.0);
    crowd.verdict();
}

#[test]
fn without_descriptors_receivers_wait_and_are_let_in_when_others_leave() {
    const DESCRIPTORS: usize = 256;
    const CONNECTING: usize = 400;
    let node = Node::start(PORTS);
    let limit = ["--pid", &node.pid().to_string(), &format!("--nofile={DESCRIPTORS}:{DESCRIPTORS}")];
    assert!(Command::new("prlimit").args(limit).status().unwrap().success());
    let crowd = Crowd::gather(&node);
    let address = node.address("custom");
    let mut sockets: Vec<TcpStream> = (VIEWERS..CONNECTING)
        .map(|_| {
            let mut socket = dial(address);
            write!(socket, "{}\r\n", upgrade("/")).unwrap();
            socket
        })
        .collect();
    node.wait_for("receivers can't be accepted for now: Too many open files");
    crowd.goes_on();
    assert_eq!(node.descriptors(), DESCRIPTORS, "all are in use");
    // In the order in which they came, without knocking again: each that is let in makes room for one that waits.
    for mut socket in sockets.drain(..) {
        assert!(read_head(&mut socket).unwrap().starts_with("HTTP/1.1 101 "));
    }
    wait_until("descriptors to be free again", || node.descriptors() < DESCRIPTORS / 2);
    crowd.verdict();
}

#[test]
fn a_stream_without_tables_is_said_to_be_and_received_as_it_comes() {
    let node = Node::start(&format!("{PORTS}{ODD}{ADMIN}"));
    let crowd = Crowd::gather(&node);
    let mut viewer = None;
    let mut publisher = Publisher::tcp(node.address("backstream.odd"));
    for burst in Looper::default() {
        let packets: Vec<&[u8]> =
            ts::packets(&burst.packets).filter(|packet| ![0, 0x1000].contains(&ts::pid(packet))).collect();
        publisher.send(&packets.concat()).unwrap();
        let viewer = viewer
            .get_or_insert_with(|| Receiver::open(node.address("custom"), &Protocol::Http("/odd.ts".into())));
        if viewer.length() > 0 && node.count("odd: no PAT for 10 s") > 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    assert!(ts::packets(&viewer.unwrap().close().bytes).count() > 0);
    wait_until("the same to be told by the admin port", || notice(&node, "no-pat") == Some(1.0));
    assert_eq!(node.count("no PAT"), 1, "it is said once, and of no other stream");
    crowd.verdict();
}

#[test]
fn a_stream_without_further_keyframes_is_said_to_be_and_begun_at_a_pat() {
    let node = Node::start(&format!("[buffer]\nMegabytes = 1\n{PORTS}{ODD}{ADMIN}"));
    let crowd = Crowd::gather(&node);
    let mut publisher = Publisher::tcp(node.address("backstream.odd"));
    let mut keyframes = 0;
    let mut viewer: Option<Receiver> = None;
    for burst in Looper::default() {
        let mut packets = burst.packets;
        for packet in packets.chunks_exact_mut(ts::PACKET).filter(|packet| ts::is_keyframe(packet)) {
            keyframes += 1;
            if keyframes > 1 {
                // No longer marked as one.
                packet[5] &= !0x40;
            }
        }
        publisher.send(&packets).unwrap();
        if node.count("odd: no keyframe for 60 s") > 0 {
            let viewer = viewer.get_or_insert_with(|| {
                Receiver::open(node.address("custom"), &Protocol::Http("/odd.ts".into()))
            });
            if viewer.length() > 0 {
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    wait_until("the same to be told by the admin port", || notice(&node, "no-keyframe") == Some(1.0));
    let received = viewer.unwrap().close().bytes;
    let pids: Vec<u16> = ts::packets(&received).map(ts::pid).take(4).collect();
    assert_eq!(pids, [0, 0x1000, 0, 0x1000], "tables, then the stream from a PAT of its own on");
    assert_eq!(node.count("no keyframe"), 1, "it is said once, and of no other stream");
    crowd.verdict();
}

#[test]
fn what_does_not_fit_the_buffer_is_said_and_the_bound_holds() {
    const MEGABYTES: usize = 1;
    let node =
        Node::start(&format!("[app]\nWorkers = 1\n[buffer]\nMegabytes = {MEGABYTES}\n{PORTS}{ODD}{ADMIN}"));
    let crowd = Crowd::gather(&node);
    let door = node.address("custom");
    let open = || Receiver::open(door, &Protocol::Http("/odd.ts".into()));
    let early = open();
    let mut publisher = Publisher::tcp(node.address("backstream.odd"));
    let mut looper = Looper::default();
    let mut published = Vec::new();
    let mut send = |published: &mut Vec<u8>, bursts: usize, keeps_keyframes: bool| {
        for burst in looper.by_ref().take(bursts) {
            let mut packets = burst.packets;
            for packet in packets.chunks_exact_mut(ts::PACKET).filter(|packet| ts::is_keyframe(packet)) {
                if !keeps_keyframes {
                    packet[5] &= !0x40;
                }
            }
            published.extend_from_slice(&packets);
            publisher.send(&packets).unwrap();
        }
    };
    // Far faster than it plays: a megabyte is soon less than ten seconds of it.
    send(&mut published, 25 * 60, true);
    node.wait_for("odd: it brings more than the buffer holds of Seconds");
    let before = node.memory_bytes();
    // A group of pictures without end.
    send(&mut published, 25 * 240, false);
    assert!(published.len() > (10 * MEGABYTES) << 20);
    node.wait_for("odd: its newest group of pictures is larger than the buffer");
    wait_until("the same to be told by the admin port", || {
        notice(&node, "group-exceeds-buffer") == Some(1.0)
    });
    // What ingest and worker keep of it is no more, however much it was.
    let after = node.memory_bytes();
    assert!(after < before + (8 << 20), "{before} bytes before, {after} after");
    // One that comes now waits for the next keyframe.
    let late = open();
    node.wait_for(&format!("receiver of odd connected: {}", late.peer()));
    send(&mut published, 25, false);
    crowd.goes_on();
    assert_eq!(late.length(), 0);
    send(&mut published, 25 * 6, true);
    let tail = published[published.len() - 8 * ts::PACKET..].to_vec();
    for receiver in [&early, &late] {
        wait_until("the end", || receiver.ends_with(&tail));
    }
    ts::joined(&late.so_far().bytes, &published).unwrap();
    ts::runs(&early.so_far().bytes, &published).unwrap();
    crowd.verdict();
}

/// How many receivers of `live` have left for this reason, as the node counts.
fn left(node: &Node, reason: &str) -> f64 {
    let name = format!("tsstream_stream_disconnects_total{{stream=\"live\",reason=\"{reason}\"}}");
    metric(&get(node.address("admin"), "/metrics"), &name).expect("every reason is counted")
}

/// Whether the node says this of the stream `odd`.
fn notice(node: &Node, token: &str) -> Option<f64> {
    let name = format!("tsstream_stream_notice{{stream=\"odd\",notice=\"{token}\"}}");
    metric(&get(node.address("admin"), "/metrics"), &name)
}

/// A connection from an address of this machine.
fn dial_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    loop {
        match socket.connect_timeout(&to.into(), SOON) {
            Ok(()) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!("{from} to {to}: {error}"),
        }
    }
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(SOON)).unwrap();
    socket
}

#[track_caller]
fn assert_little_was_added(node: &Node, before: u64) {
    let after = node.memory_bytes();
    assert!(after < before + MEMORY_BYTES_MAX, "{before} bytes before, {after} after");
}

/// A process that is killed with the value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
