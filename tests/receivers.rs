//! The receivers' side of a node, with real processes and sockets: what each kind of receiver is answered, and that
//! nothing one receiver does is seen by another.

#![allow(clippy::disallowed_methods, reason = "it is measured how long something takes")]

mod util;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::SockRef;
use util::node::Node;
use util::raw::{Frames, ask, dial, masked, upgrade};
use util::receive::{Keep, Options, Protocol, Receiver, connect, read_head};
use util::show::Show;
use util::{SOON, ts, wait_until};

const NODE: &str = "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n[dispatch]\nProtocol = CUSTOM\n\
    [custom.live]\nProtocol = TCP\nPort = 0\n[custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\n";

/// About a second of the picture.
const BURSTS: usize = 25;

fn start_show(node: &Node) -> Show {
    Show::start(node.address("backstream"))
}

/// The address at which `protocol` is served.
fn door(node: &Node, protocol: &Protocol) -> SocketAddr {
    node.address(if matches!(protocol, Protocol::Tcp) { "custom.live" } else { "custom" })
}

fn every_protocol() -> [Protocol; 3] {
    [Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into()), Protocol::Tcp]
}

fn join(node: &Node, protocol: &Protocol) -> Receiver {
    Receiver::open(door(node, protocol), protocol)
}

#[test]
fn requests_and_their_answers() {
    let node = Node::start(NODE);
    let address = node.address("custom");
    let answered = |request: &str, status: &str| {
        let answer = ask(address, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        answer
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");

    let page = answered(&get("/"), "200");
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
    assert!(head.contains("\r\nConnection: close"), "{head}");
    let only_head = answered(&get("/").replace("GET", "HEAD"), "200");
    assert_eq!(only_head, format!("{head}\r\n\r\n"));
    let tag = head.split("ETag: ").nth(1).unwrap().split("\r\n").next().unwrap();
    answered(&get("/").replace("Host", &format!("If-None-Match: {tag}\r\nHost")), "304");

    let stream = answered(&get("/live.ts").replace("GET", "HEAD"), "200");
    assert!(stream.contains("\r\nContent-Type: video/mp2t\r\n"), "{stream}");
    assert!(stream.contains("\r\nAccess-Control-Allow-Origin: *\r\n"), "{stream}");
    assert!(stream.ends_with("\r\n\r\n"), "no body");
    assert!(answered(&get("/live.json"), "200").contains("\r\nConnection: close\r\n"));

    answered(&get("/nobody.ts"), "404");
    answered(&get("/nobody"), "404");
    answered(&get("/..%2flive.ts"), "404");
    assert!(answered(&get("/live"), "426").contains("\r\nUpgrade: websocket\r\n"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = answered(&get("/live.ts").replace("GET", method), "405");
        assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
    }
    answered(&get("/").replace("HTTP/1.1", "HTTP/2.0"), "505");
    answered(&get("/").replace("Host: a", "X: y"), "400");
    answered("\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03", "400");
    answered(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(8_192)), "431");
    answered(&format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(64)), "431");
    let smuggler =
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 27\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(answered(smuggler, "400").matches("HTTP/1.1 ").count(), 1, "the body is no request");
    let far_too_much = format!("POST / HTTP/1.1\r\nHost: a\r\n\r\n{}", "x".repeat(200_000));
    answered(&far_too_much, "405");
}

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let node = Node::start(NODE);
    let requests = |count: usize| "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(count);
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let count = |answer: &str| answer.matches("HTTP/1.1 200 ").count();
    // Pipelined, in one piece and in small ones that end anywhere.
    assert_eq!(count(&ask(node.address("custom"), &(requests(3_000) + last))), 3_001);
    let mut socket = dial(node.address("custom"));
    for piece in (requests(100) + last).as_bytes().chunks(7) {
        socket.write_all(piece).unwrap();
    }
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert_eq!(count(&answer), 101);
    // One by one, with a page and its scripts between; the last one becomes a WebSocket.
    let mut socket = dial(node.address("custom"));
    for path in ["/", "/live.json", "/", "/live.json"] {
        write!(socket, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let head = read_head(&mut socket).unwrap();
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("Connection: keep-alive"), "{head}");
        let length = head.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        socket.read_exact(&mut vec![0; length.parse().unwrap()]).unwrap();
    }
    write!(socket, "{}\r\n", upgrade("/")).unwrap();
    assert!(read_head(&mut socket).unwrap().starts_with("HTTP/1.1 101 "));
    // A client that has said all may shut its side, and is still answered.
    let mut socket = dial(node.address("custom"));
    socket.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("</html>\n"), "{answer}");
}

#[test]
fn pages_from_elsewhere() {
    let node = Node::start(&format!("{NODE}Origins = https://a.example\n"));
    let get = |origin: &str| {
        let origin = format!("GET /live.json HTTP/1.1\r\nHost: a\r\nConnection: close{origin}\r\n\r\n");
        ask(node.address("custom"), &origin)
    };
    let allowed = get("\r\nOrigin: https://a.example");
    assert!(allowed.contains("\r\nAccess-Control-Allow-Origin: https://a.example\r\n"), "{allowed}");
    assert!(get("\r\nOrigin: https://b.example").starts_with("HTTP/1.1 403 "));
    assert!(get("").starts_with("HTTP/1.1 200 "), "no browser");
    let list = |origin: &str| {
        let origin = format!(
            "GET /_/streams.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\nOrigin: {origin}\r\n\r\n"
        );
        ask(node.address("custom"), &origin)
    };
    assert!(list("https://a.example").starts_with("HTTP/1.1 200 "));
    assert!(list("https://b.example").starts_with("HTTP/1.1 403 "));
}

#[test]
fn the_streams_are_listed_unless_they_are_not_to_be() {
    let list = |node: &Node| {
        ask(node.address("custom"), "GET /_/streams.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    };
    let node = Node::start(&format!("{NODE}[backstream.cam2]\nPort = 0\n"));
    let mut show = Show::start(node.address("backstream"));
    show.go_on(3 * BURSTS);
    let _viewers: Vec<Receiver> = every_protocol().iter().map(|protocol| join(&node, protocol)).collect();
    let streams = || -> serde_json::Value {
        let answer = list(&node);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    wait_until("both streams, one of them live, with its viewers", || {
        show.go_on(1);
        let list = streams();
        let (live, idle) = (&list["streams"][0], &list["streams"][1]);
        assert_eq!((&live["name"], &idle["name"]), (&"live".into(), &"cam2".into()));
        assert_eq!((&idle["live"], &idle["viewers"]), (&false.into(), &0.into()));
        live["live"] == true
            && live["video"] == "mpeg1"
            && live["viewers"] == 3
            && live["bits_per_second"].as_u64() > Some(0)
    });

    let node = Node::start(&format!("{NODE}Directory = off\n"));
    assert!(list(&node).starts_with("HTTP/1.1 404 "));
}

#[test]
fn who_came_early_waits_and_who_comes_late_begins_at_a_keyframe() {
    let node = Node::start(&format!("[app]\nWorkers = 3\n{NODE}"));
    let early: Vec<Receiver> =
        every_protocol().iter().cycle().take(9).map(|protocol| join(&node, protocol)).collect();
    let mut show = start_show(&node);
    show.go_on(3 * BURSTS);
    wait_until("the stream", || early.iter().all(|receiver| receiver.ends_with(show.tail())));
    let late: Vec<Receiver> =
        every_protocol().iter().cycle().take(9).map(|protocol| join(&node, protocol)).collect();
    wait_until("a picture", || late.iter().all(|receiver| receiver.ends_with(show.tail())));
    show.go_on(BURSTS);
    for receiver in early.iter().chain(&late) {
        show.check(receiver);
    }
    for messages in early.iter().map(|receiver| receiver.so_far().messages) {
        assert!(messages.iter().all(|bytes| bytes % ts::PACKET == 0), "{messages:?}");
    }
}

#[test]
fn a_publisher_may_come_back() {
    let node = Node::start(NODE);
    let viewers: Vec<Receiver> = every_protocol().iter().map(|protocol| join(&node, protocol)).collect();
    let mut first = start_show(&node);
    first.go_on(2 * BURSTS);
    wait_until("the first", || viewers.iter().all(|viewer| viewer.ends_with(first.tail())));
    let until: Vec<usize> = viewers.iter().map(|viewer| viewer.so_far().bytes.len()).collect();
    first.publisher.finish().unwrap();
    node.wait_for("closed by publisher");

    let newcomer = join(&node, &Protocol::Tcp);
    let mut second = start_show(&node);
    // From the middle of a group of pictures on: what comes before its first keyframe is no use to anybody.
    second.looper.by_ref().take(5).for_each(drop);
    second.go_on(2 * BURSTS);
    second.check(&newcomer);
    let preamble_bytes = {
        let bytes = newcomer.so_far().bytes;
        ts::joined(&bytes, &second.published).unwrap().preamble_bytes
    };
    for (viewer, until) in viewers.iter().zip(until) {
        wait_until("the second", || viewer.ends_with(second.tail()));
        let capture = viewer.so_far();
        assert_eq!(capture.ended, None, "it stayed connected");
        let (before, after) = capture.bytes.split_at(until);
        ts::joined(before, &first.published).unwrap();
        // A packet with a discontinuity indicator for each PID, then the tables, then what a newcomer gets.
        let announced = ts::packets(after).take_while(|packet| packet[3] & 0x30 == 0x20).count();
        assert!(announced >= 2, "the jump is announced on the PIDs of picture and sound");
        assert!(ts::packets(after).take(announced).all(|packet| packet[5] & 0x80 != 0));
        let joined = ts::joined(&after[announced * ts::PACKET..], &second.published).unwrap();
        assert_eq!(joined.preamble_bytes, preamble_bytes);
    }
}

#[test]
fn there_is_room_for_so_many_and_the_rest_are_told() {
    let node = Node::start(&format!("[app]\nWorkers = 2\n{NODE}MaxClients = 3\nMaxClientsPerIp = 2\n"));
    let address = node.address("custom");
    let first = Frames::open(address, "/");
    let second = join(&node, &Protocol::Tcp);
    node.wait_for(&format!("receiver of live connected: {}", second.peer()));
    for request in [upgrade("/") + "\r\n", "GET /live.ts HTTP/1.1\r\nHost: a\r\n\r\n".into()] {
        for _ in 0..20 {
            let answer = ask(address, &request);
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("the node is full"), "{answer}");
        }
    }
    let mut refused = dial(node.address("custom.live"));
    assert_eq!(refused.read(&mut [0]).unwrap(), 0, "over bare TCP there are no words");
    node.wait_for("got no stream: the node is full");
    // The page takes no place, and no more do those who ask for nothing.
    let _idle: Vec<TcpStream> = (0..20).map(|_| dial(address)).collect();
    assert!(
        ask(address, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").starts_with("HTTP/1.1 200 ")
    );
    // Who leaves makes room.
    drop(first);
    wait_until("a place", || {
        let mut socket = dial(address);
        write!(socket, "{}\r\n", upgrade("/")).unwrap();
        read_head(&mut socket).unwrap().starts_with("HTTP/1.1 101 ")
    });
}

#[test]
fn addresses_that_are_not_served_over_tcp() {
    let node =
        Node::start(&NODE.replace("Port = 0\n[custom]", "Port = 0\nFilterIps = 127.0.0.0/8\n[custom]"));
    let mut filtered = dial(node.address("custom.live"));
    assert_eq!(filtered.read(&mut [0]).unwrap(), 0);
    node.wait_for("got no stream: its address is in FilterIps");
    Frames::open(node.address("custom"), "/");
}

#[test]
fn however_a_receiver_leaves_the_others_do_not_notice() {
    let node = Node::start(NODE);
    let mut show = start_show(&node);
    show.go_on(BURSTS);
    let stayers: Vec<Receiver> =
        every_protocol().iter().cycle().take(6).map(|protocol| join(&node, protocol)).collect();
    for round in 0..12 {
        for protocol in every_protocol() {
            let socket = connect(door(&node, &protocol), Some(4096));
            let leaver = util::receive::begin(socket.try_clone().unwrap(), &protocol);
            match round % 4 {
                // In order; by a reset; in the middle of a chunk with its side shut; by a word that is none.
                0 => {}
                1 => SockRef::from(&socket).set_linger(Some(Duration::ZERO)).unwrap(),
                2 => socket.shutdown(Shutdown::Write).unwrap(),
                _ => (&socket).write_all(b"\xff\xff\xff\xff").unwrap(),
            }
            show.go_on(1);
            drop(leaver);
        }
    }
    show.go_on(BURSTS);
    for stayer in &stayers {
        show.check(stayer);
    }
    node.wait_for("reset by receiver");
    node.wait_for("closed by receiver");
}

#[test]
fn a_program_whose_input_has_ended_reads_on() {
    let node = Node::start(NODE);
    let mut show = start_show(&node);
    let readers: Vec<Receiver> = every_protocol()[1..]
        .iter()
        .map(|protocol| {
            let reader = join(&node, protocol);
            reader.shut();
            reader
        })
        .collect();
    show.go_on(3 * BURSTS);
    for reader in &readers {
        show.check(reader);
        assert_eq!(reader.ended(), None);
    }
}

#[test]
fn the_log_tells_who_came_and_why_they_left() {
    let node = Node::start(NODE);
    let mut show = start_show(&node);
    show.go_on(BURSTS);
    for (protocol, name) in every_protocol().iter().zip(["WebSocket", "HTTP-TS", "TCP"]) {
        let viewer = join(&node, protocol);
        wait_until("the picture", || viewer.ends_with(show.tail()));
        let (from, length) = (viewer.peer(), viewer.length() as usize);
        node.wait_for(&format!("receiver of live connected: {from} ({name})"));
        drop(viewer);
        // Without a WebSocket's goodbye, it might still read: that nobody does shows with the next bytes.
        show.go_on(1);
        let line = node.wait_for(&format!("receiver of live left: {from} ({name}): closed by receiver; "));
        assert!(line.contains(" s, ") && line.ends_with(" 0 skips"), "{line}");
        let bytes: usize = line.split(" bytes").next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
        assert!(bytes >= length && bytes < length + show.published.len(), "{length} bytes came: {line}");
    }
}

#[test]
fn five_hundred_viewers_are_told_goodbye() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let node = Node::start(&format!("[app]\nWorkers = 2\n{NODE}"));
        let mut show = start_show(&node);
        show.go_on(BURSTS);
        let mut viewers: Vec<Frames> =
            (0..500).map(|_| Frames::open(node.address("custom"), "/live")).collect();
        let others: Vec<Receiver> =
            every_protocol()[1..].iter().cycle().take(10).map(|protocol| join(&node, protocol)).collect();
        let mut idle = dial(node.address("custom"));
        idle.write_all(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        read_head(&mut idle).unwrap();
        show.go_on(5);
        wait_until("the picture", || others.iter().all(|other| other.ends_with(show.tail())));
        kill(Pid::from_raw(node.pid() as i32), signal).unwrap();
        for viewer in &mut viewers {
            let (first, payload) = viewer.next_control();
            assert_eq!((first, &payload[..2]), (0x88, &1001_u16.to_be_bytes()[..]));
            viewer.send(&masked(0x88, &payload[..2]));
            assert!(viewer.next().unwrap().is_none(), "closed in order");
        }
        for other in &others {
            wait_until("the end", || other.ended().is_some());
            assert_eq!(other.ended().as_deref(), Some("closed in order"));
            assert_eq!(other.length() % ts::PACKET as u64, 0, "after a whole chunk");
        }
        assert_eq!(idle.read(&mut [0]).unwrap(), 0);
        drop((viewers, others));
        assert_eq!(node.stop().code(), Some(0));
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let node = Node::start(&format!("[app]\nDrain = 600\n{NODE}StallLimit = 600\n"));
    let mut show = start_show(&node);
    let deaf = connect(node.address("custom.live"), Some(4096));
    node.wait_for(&format!("receiver of live connected: {}", deaf.local_addr().unwrap()));
    // It takes nothing, so it can't be told goodbye.
    let options = Options { keep: Keep::Hash, ..Options::default() };
    let witness = Receiver::open_with(node.address("custom.live"), &Protocol::Tcp, options);
    while witness.length() < 8 << 20 {
        show.go_on(BURSTS);
    }
    kill(Pid::from_raw(node.pid() as i32), Signal::SIGTERM).unwrap();
    wait_until("the end of the witness", || witness.ended().is_some());
    drop(witness);
    node.wait_for("asked to end");
    assert_eq!(node.find(|line| line.contains("asked again")), None);
    let asked = Instant::now();
    assert_eq!(node.stop().code(), Some(0), "asked the second time");
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
}

#[test]
fn a_receiver_may_begin_with_whatever_comes_next() {
    let node = Node::start(&format!("{NODE}Start = live\n"));
    let mut show = start_show(&node);
    let first = join(&node, &Protocol::Tcp);
    for _ in 0..2 {
        show.go_on(5);
        wait_until("the picture", || first.ends_with(show.tail()));
    }
    let second = join(&node, &Protocol::Tcp);
    node.wait_for(&format!("receiver of live connected: {}", second.peer()));
    show.go_on(5);
    for receiver in [&first, &second] {
        wait_until("the picture", || receiver.ends_with(show.tail()));
        let bytes = receiver.so_far().bytes;
        // If that is a keyframe, the tables come before it.
        let tables_bytes = 2 * ts::PACKET;
        assert!(show.published.ends_with(&bytes) || show.published.ends_with(&bytes[tables_bytes..]));
    }
    assert!(second.length() < first.length());
}

#[test]
fn an_idle_receiver_costs_next_to_nothing() {
    const RECEIVERS: usize = 2_000;
    let node = Node::start(&format!("[app]\nWorkers = 1\n{NODE}"));
    let address = node.address("custom");
    let warm: Vec<Frames> = (0..50).map(|_| Frames::open(address, "/")).collect();
    let before = node.memory_bytes();
    let receivers: Vec<Frames> = (0..RECEIVERS).map(|_| Frames::open(address, "/")).collect();
    let each = node.memory_bytes().saturating_sub(before) / RECEIVERS as u64;
    println!("{each} bytes for each idle receiver");
    assert!(each <= 1024, "{each} bytes each");

    // With nothing to do, the worker wakes up for its timeouts alone, four times a second.
    let switches = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", node.pid())).unwrap();
        let of = |task: std::path::PathBuf| {
            let status = std::fs::read_to_string(task.join("status")).unwrap();
            let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
            line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        tasks.map(|task| of(task.unwrap().path())).sum::<u64>()
    };
    let (start, begun) = (switches(), Instant::now());
    std::thread::sleep(Duration::from_secs(1));
    let woken = switches() - start;
    let seconds = begun.elapsed().as_secs_f64();
    assert!((woken as f64) < 20.0 * seconds, "woken {woken} times in {seconds} s");
    drop((warm, receivers));
    assert!(node.stop().success());
    assert!(begun.elapsed() < SOON);
}
