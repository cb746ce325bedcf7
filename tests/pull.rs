//! Nodes that pull: whatever becomes of their upstreams, viewers get every byte once and in order as long as any upstream
//! has it, and one legal jump otherwise.

#![allow(clippy::unwrap_used, clippy::panic, reason = "that is how a test fails")]

mod util;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use tsstream::demo::Looper;
use tungstenite::Message;

use util::cable::Cable;
use util::live::Live;
use util::monitor::Monitor;
use util::node::Node;
use util::receive::{Protocol, Receiver};
use util::ts::{self, PACKET};
use util::{SOON, free_port, wait_until};

/// Some seconds of the picture.
const PLENTY: u64 = 400_000;

/// As fast as it plays, so that the ring holds it for long.
const PAUSE: Duration = Duration::from_millis(20);

fn root() -> Node {
    root_at(0)
}

fn root_at(port: u16) -> Node {
    Node::start(&format!(
        "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n[custom]\nBind = 127.0.0.1\nPort = {port}\n"
    ))
}

/// A node that pulls from these, and gives up one that is silent for a second.
fn edge(upstreams: &[SocketAddr]) -> Node {
    edge_at(0, upstreams)
}

fn edge_at(port: u16, upstreams: &[SocketAddr]) -> Node {
    let upstreams: Vec<String> = upstreams.iter().map(|address| format!("ws://{address}/live")).collect();
    edge_from(port, &upstreams.join(", "))
}

fn edge_from(port: u16, upstreams: &str) -> Node {
    edge_that(port, upstreams, "")
}

/// `app` are further keys of that section.
fn edge_that(port: u16, upstreams: &str, app: &str) -> Node {
    Node::start(&format!(
        "[app]\nRunMode = extra\n{app}\n[pushstream]\nProtocol = PULL\nTimeout = 1\nUpstreams = {upstreams}\n\
         [custom]\nBind = 127.0.0.1\nPort = {port}\n"
    ))
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn viewer(node: &Node) -> Receiver {
    let viewer = Receiver::open(node.address("custom"), &Protocol::WebSocket("/live".into()));
    viewer.wait_for_bytes(1);
    viewer
}

/// Ends the stream and checks that all the viewers have it without a gap to its end.
#[track_caller]
fn end_whole(live: Live, viewers: Vec<Receiver>) {
    let published = live.stop();
    let tail = &published[published.len() - 4 * PACKET..];
    for (index, viewer) in viewers.into_iter().enumerate() {
        wait_until(&format!("the end to arrive at viewer {index}"), || viewer.ends_with(tail));
        let captured = viewer.close();
        let joined =
            ts::joined(&captured.bytes, &published).unwrap_or_else(|what| panic!("viewer {index}: {what}"));
        assert_eq!(joined.start + captured.bytes.len() - joined.preamble_bytes, published.len());
        assert!(captured.messages.iter().all(|length| length.is_multiple_of(PACKET)));
    }
}

#[track_caller]
fn more(viewer: &Receiver, bytes: u64) {
    viewer.wait_for_bytes(viewer.length() + bytes);
}

#[test]
fn three_edges_in_a_chain_have_every_byte() {
    let root = root();
    let first = edge(&[root.address("custom")]);
    let second = edge(&[first.address("custom")]);
    let third = edge(&[second.address("custom")]);
    let live = Live::start(root.address("backstream"));
    let viewers: Vec<Receiver> = [&root, &first, &second, &third].map(viewer).into();
    let http = Receiver::open(third.address("custom"), &Protocol::Http("/live.ts".into()));
    http.wait_for_bytes(PLENTY);
    // Chunks are the same at all of them.
    let messages = viewers[0].so_far().messages;
    let same = |viewer: &Receiver| {
        let here = viewer.so_far().messages;
        let last = messages[messages.len() - 20..messages.len() - 4].to_vec();
        here.windows(last.len()).any(|window| window == last)
    };
    wait_until("the same chunks", || viewers.iter().all(same));
    end_whole(live, viewers.into_iter().chain([http]).collect());
}

#[test]
fn a_name_is_resolved_and_one_that_has_no_address_is_passed_over() {
    let root = root();
    let port = root.address("custom").port();
    // Neither is asked of a name server: one is in the hosts file, the other is no name.
    let edge = edge_from(0, &format!("ws://no..name:{port}/live, ws://localhost:{port}/live"));
    let live = Live::start(root.address("backstream"));
    let viewers = vec![viewer(&edge)];
    edge.wait_for("its name can't be resolved");
    end_whole(live, viewers);
}

#[test]
fn a_connection_that_is_cut_leaves_no_gap() {
    let root = root();
    let cable = Cable::new(root.address("custom"));
    let (first, live) = (edge(&[cable.address]), Live::start_at(root.address("backstream"), PAUSE));
    let second = edge(&[first.address("custom")]);
    let viewers = vec![viewer(&first), viewer(&second)];
    for _ in 0..3 {
        cable.cut();
        first.wait_for("given up");
        cable.mend();
        more(&viewers[1], PLENTY / 4);
    }
    assert!(first.count("going on without a gap") >= 1);
    assert_eq!(first.count("beginning anew"), 1);
    end_whole(live, viewers);
}

#[test]
fn a_connection_that_is_frozen_leaves_no_gap() {
    let root = root();
    let cable = Cable::new(root.address("custom"));
    let (edge, live) = (edge(&[cable.address]), Live::start_at(root.address("backstream"), PAUSE));
    let viewers = vec![viewer(&edge)];
    cable.freeze();
    edge.wait_for("nothing came for 1.0 s");
    cable.mend();
    edge.wait_for("going on without a gap");
    more(&viewers[0], PLENTY / 4);
    end_whole(live, viewers);
}

#[test]
fn the_second_upstream_takes_over_and_the_first_is_taken_back_without_a_gap() {
    let root = root();
    let [first, second] = [(), ()].map(|()| edge(&[root.address("custom")]));
    let last = edge(&[first.address("custom"), second.address("custom")]);
    let live = Live::start_at(root.address("backstream"), PAUSE);
    let viewers = vec![viewer(&last)];
    let by = |node: &Node| format!("upstream of live: ws://{}/live", node.address("custom"));
    last.wait_for(&by(&first));
    first.signal(Signal::SIGSTOP);
    last.wait_for(&by(&second));
    more(&viewers[0], PLENTY / 4);
    first.signal(Signal::SIGCONT);
    wait_until("the better one to be taken back", || last.count(&by(&first)) == 2);
    more(&viewers[0], PLENTY / 4);
    assert_eq!((last.count("beginning anew"), last.count("going on without a gap")), (1, 2));
    end_whole(live, viewers);
}

#[test]
fn an_upstream_that_is_started_anew_is_one_legal_jump() {
    let port = free_port();
    let root = root_at(port);
    let first = edge(&[at(port)]);
    let second = edge(&[first.address("custom")]);
    let live = Live::start_at(root.address("backstream"), PAUSE);
    let viewers = [viewer(&first), viewer(&second)];
    viewers.iter().for_each(|viewer| more(viewer, PLENTY / 4));
    root.kill();
    let before = live.stop();
    let root = root_at(port);
    let live = Live::start_at(root.address("backstream"), PAUSE);
    viewers.iter().for_each(|viewer| more(viewer, PLENTY / 2));
    let published = [before, live.stop()].concat();
    let tail = &published[published.len() - 4 * PACKET..];
    for viewer in viewers {
        wait_until("the end to arrive", || viewer.ends_with(tail));
        let runs = ts::runs(&viewer.close().bytes, &published).unwrap();
        assert_eq!(runs.len(), 2, "{runs:?}");
        assert_eq!(runs[1].end, published.len());
    }
    assert_eq!(second.count("upstream of live: "), 1, "it has kept its upstream");
}

#[test]
fn a_loop_is_refused_and_streams_on_when_it_is_undone() {
    let [at_root, a, b, c] = [(), (), (), ()].map(|()| free_port());
    let nodes = [edge_at(a, &[at(at_root), at(c)]), edge_at(b, &[at(a)]), edge_at(c, &[at(b)])];
    let refused = |node: &Node| node.count("would be a loop") > 0;
    wait_until("the loop to be refused", || nodes.iter().any(refused));
    let root = root_at(at_root);
    let live = Live::start_at(root.address("backstream"), PAUSE);
    let viewers: Vec<Receiver> = nodes.iter().map(viewer).collect();
    viewers.iter().for_each(|viewer| more(viewer, PLENTY / 4));
    end_whole(live, viewers);
}

#[test]
fn bad_upstreams_are_told_apart_and_passed_over() {
    let root = root();
    let live = Live::start_at(root.address("backstream"), PAUSE);
    let bad: Vec<(SocketAddr, &str)> = [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html>\n",
            "it answered 200 instead of a WebSocket: \"<html>\"",
        ),
        (
            "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n",
            "it answered 302 instead of a WebSocket",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            "it does not agree to a WebSocket",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "it does not speak HTTP"),
        ("", "it closed the connection"),
    ]
    .into_iter()
    .map(|(answer, reason)| (answering(answer), reason))
    .chain([
        (saying(|| Message::text("x".repeat(4096))), "it sends text"),
        (saying(|| Message::Ping(Vec::new().into())), "nothing came for 1.0 s"),
        (at(free_port()), "no connection"),
    ])
    .collect();
    let upstreams: Vec<String> = bad
        .iter()
        .map(|(address, _)| *address)
        .chain([root.address("custom")])
        .map(|address| format!("ws://{address}/live"))
        .collect();
    let monitor = Monitor::start();
    let reports = format!("Node = edge\nMonitor = http://{}/monitor", monitor.address());
    let edge = edge_that(0, &upstreams.join(", "), &reports);
    let viewers = vec![viewer(&edge)];
    for (address, reason) in bad {
        edge.wait_for_line(SOON, reason, |line| line.contains(&address.to_string()) && line.contains(reason));
    }
    // They are tried again now and then, since the one that serves is the last.
    wait_until("all to be counted by reason", || {
        let failures = &monitor.stream("edge")["pull"]["failures"];
        let at_least = |reason: &str, least: u64| failures[reason].as_u64() >= Some(least);
        let none = ["unresolved", "looped"].iter().all(|reason| failures[*reason] == 0);
        let each = ["closed", "malformed", "silent", "unreachable"].iter().all(|reason| at_least(reason, 1));
        at_least("refused", 4) && each && none
    });
    end_whole(live, viewers);
}

#[test]
fn any_websocket_that_brings_a_transport_stream_will_do() {
    let mut bursts = Looper::default();
    let source = saying(move || {
        thread::sleep(Duration::from_millis(5));
        Message::binary(bursts.next().expect("it has no end").packets)
    });
    let edge = edge(&[source]);
    let viewer = viewer(&edge);
    viewer.wait_for_bytes(PLENTY);
    let captured = viewer.close().bytes;
    let published: Vec<u8> =
        Looper::default().flat_map(|burst| burst.packets).take(captured.len() * 4 + 1_000_000).collect();
    ts::joined(&captured, &published).unwrap();
}

#[test]
fn the_only_upstream_is_waited_for_as_long_as_it_is_there() {
    let source = serve(|socket| {
        let Ok(mut web_socket) = tungstenite::accept(socket) else { return };
        // Reading answers them.
        let pings = std::iter::from_fn(|| web_socket.read().ok()).filter(Message::is_ping);
        assert_eq!(pings.take(4).count(), 4, "two each second");
        for burst in Looper::default() {
            thread::sleep(Duration::from_millis(5));
            if web_socket.send(Message::binary(burst.packets)).is_err() {
                return;
            }
        }
    });
    let edge = edge(&[source]);
    viewer(&edge).wait_for_bytes(PLENTY);
    assert_eq!(edge.count("given up"), 0);
}

/// A server that answers every request with the same bytes and hangs up.
fn answering(answer: &'static str) -> SocketAddr {
    serve(move |mut socket| {
        let _ = socket.read(&mut [0; 4096]);
        let _ = socket.write_all(answer.as_bytes());
    })
}

/// A WebSocket server that says one thing after the other, as long as it is listened to.
fn saying(mut message: impl FnMut() -> Message + Send + 'static) -> SocketAddr {
    serve(move |socket| {
        let Ok(mut web_socket) = tungstenite::accept(socket) else { return };
        while web_socket.send(message()).is_ok() {
            thread::sleep(Duration::from_millis(1));
        }
    })
}

/// Serves one connection after the other, for the rest of the process's life.
fn serve(mut answer: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(&mut answer));
    address
}
