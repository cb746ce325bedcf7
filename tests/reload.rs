//! SIGHUP: the configuration is read again, and nobody is dropped for it.

mod util;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use util::node::Node;
use util::publish::Publisher;
use util::raw::{Frames, ask, dial, upgrade};
use util::receive::{Protocol, Receiver, connect_from, read_head};
use util::show::Show;
use util::{free_port, ts, wait_until, wait_until_within};

/// A machine that does nothing else has them all served in a second.
const ALL: Duration = Duration::from_secs(120);

const VIEWERS: usize = 500;

/// About a second of the picture.
const BURSTS: usize = 25;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// On a machine that is busy with other things, nobody skips and no publisher is too slow.
const NODE: &str = "[dispatch]\nProtocol = CUSTOM\n\
    [custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\nLagLimit = 600\nStallLimit = 600\n\
    [custom.live]\nProtocol = TCP\nPort = 0\n\
    [backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\nTimeout = 600\n";

#[test]
fn nobody_is_dropped() {
    let before =
        format!("[app]\nWorkers = 2\n{NODE}[admin]\nPort = 0\n[authority]\nUse = True\nIps = 127.0.0.1\n");
    let node = Node::start(&before);
    let mut show = Show::start(node.address("backstream"));
    let (port, raw) = (node.address("custom"), node.address("custom.live"));
    let protocols = [Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into()), Protocol::Tcp];
    let viewers: Vec<Receiver> = (0..VIEWERS)
        .map(|number| {
            let protocol = &protocols[number % protocols.len()];
            Receiver::open(if matches!(protocol, Protocol::Tcp) { raw } else { port }, protocol)
        })
        .collect();
    show.go_on(BURSTS);

    node.reload(&before.replace("[custom]", "[custom]\nStart = sideways\nPrt = 1"));
    let line = before.lines().position(|line| line == "[custom]").unwrap() + 2;
    node.wait_for(&format!("app.conf:{line}: [custom] Start: "));
    node.wait_for(&format!("app.conf:{}: [custom] Prt: there is no such key", line + 1));
    node.wait_for("not reloaded: the node goes on as before");
    show.go_on(BURSTS);

    let after = before.replace("Ips = 127.0.0.1", "Ips = 127.0.0.2")
        + "[backstream.cam2]\nPort = 0\n[custom.cam2]\nProtocol = TCP\nPort = 0\n";
    node.reload(&after);
    node.wait_for("reloaded: 3 keys changed: [authority] Ips, [backstream.cam2], [custom.cam2]");
    let input = node.address("backstream.cam2");
    let mut refused = Publisher::Tcp(connect_from(HERE, input));
    assert_eq!(refused.wait_for_end().unwrap(), "");
    node.wait_for("publisher of cam2 refused: 127.0.0.1");
    let mut second = Show::of(Publisher::Tcp(connect_from(THERE, input)));
    let others = [
        Receiver::open(port, &Protocol::WebSocket("/cam2".into())),
        Receiver::open(port, &Protocol::Http("/cam2.ts".into())),
        Receiver::open(node.address("custom.cam2"), &Protocol::Tcp),
    ];
    second.go_on(BURSTS);
    show.go_on(BURSTS);
    others.iter().for_each(|receiver| second.check(receiver));
    let admin = node.address("admin");
    wait_until("counts of the new stream", || {
        let metrics = ask(admin, &format!("GET /metrics HTTP/1.1\r\nHost: {admin}\r\n\r\n"));
        ["websocket", "http", "tcp"].iter().all(|protocol| {
            let name = format!("tsstream_stream_receivers{{stream=\"cam2\",protocol=\"{protocol}\"}} 1\n");
            metrics.contains(&name)
        })
    });

    let mut captures = HashSet::new();
    for viewer in &viewers {
        wait_until_within(ALL, "the last packet", || viewer.ends_with(show.tail()));
        assert_eq!(viewer.ended(), None);
        captures.insert(viewer.so_far().bytes);
    }
    // Most have had the same.
    for capture in captures {
        ts::joined(&capture, &show.published).unwrap();
    }
    assert_eq!(node.count("receiver of live left"), 0);
    assert_eq!(node.count("publisher of live left"), 0);
}

#[test]
fn what_needs_a_restart_is_named_and_stays_as_it_is() {
    let node = Node::start(NODE);
    let port = node.address("custom");
    let after = NODE
        .replace("Protocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0", "Bind = 127.0.0.2\nPort = 9")
        + "[app]\nWorkers = 7\nDrain = 1\n";
    node.reload(&after.replace("[custom.live]\nProtocol = TCP\nPort = 0\n", ""));
    node.wait_for("reloaded: 1 key changed: [app] Drain");
    for key in ["[app] Workers", "[custom] Bind", "[custom] Port", "[custom.live]"] {
        assert_eq!(node.count(&format!("] {key}: the change needs a restart")), 1, "{key}");
    }
    assert!(ask(port, "HEAD /live.ts HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 200 "));
    node.reload(NODE);
    wait_until("the second", || node.count("reloaded: 1 key changed: [app] Drain") == 2);
    node.signal(Signal::SIGHUP);
    node.wait_for("reloaded: 0 keys changed");
}

#[test]
fn a_port_that_can_t_be_had_changes_nothing() {
    let node = Node::start(NODE);
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let taken = other.local_addr().unwrap();
    let after = NODE.replace("[custom]\n", "[custom]\nMaxClients = 1\n")
        + &format!("[backstream.a]\nPort = 0\n[custom.a]\nPort = {}\n", taken.port());
    node.reload(&after);
    node.wait_for(&format!("[custom.a] {taken}: Address already in use"));
    node.wait_for("not reloaded: the node goes on as before");
    let answer = ask(node.address("custom"), "HEAD /a.ts HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    let _two = [Frames::open(node.address("custom"), "/"), Frames::open(node.address("custom"), "/")];
    // Once it is free, the same file will do.
    drop(other);
    node.signal(Signal::SIGHUP);
    node.wait_for("reloaded: 3 keys changed: [backstream.a], [custom.a], [custom] MaxClients");
    let answer = ask(node.address("custom"), "GET /a.ts HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
}

#[test]
fn streams_that_share_a_port_and_who_may_receive_or_publish() {
    let before = NODE
        .replace("[backstream]\nProtocol = TCP", "[backstream]\nProtocol = HTTP\nSecret = old")
        .replace("[custom.live]\n", "[custom.live]\nFilterIps = 127.0.0.1\n");
    let node = Node::start(&before);
    let (input, port, raw) =
        (node.address("backstream"), node.address("custom"), node.address("custom.live"));
    assert_eq!(dial(raw).read(&mut [0]).unwrap(), 0, "filtered");
    let watch = |from: IpAddr, path: &str| -> String {
        let mut socket = connect_from(from, port);
        write!(socket, "{}\r\n", upgrade(path)).unwrap();
        read_head(&mut socket).unwrap().lines().next().unwrap_or_default().to_owned()
    };
    let viewer = Frames::open(port, "/");
    let mut show = Show::of(Publisher::http(input, "/old"));
    show.go_on(1);

    let after = before
        .replace("Secret = old", "Secret = new")
        .replace("FilterIps = 127.0.0.1", "FilterIps = 127.0.0.2")
        .replace("[custom]\n", "[custom]\nMaxClientsPerIp = 1\nOrigins = http://a\n");
    node.reload(&(after.clone() + "[backstream.b]\n"));
    node.wait_for("reloaded: 5 keys changed");
    assert_eq!(node.address("backstream.b"), input, "it shares the port");
    assert_eq!(watch(HERE, "/b"), "HTTP/1.1 503 Service Unavailable", "the one from here counts, of before");
    assert_eq!(watch(THERE, "/b"), "HTTP/1.1 101 Switching Protocols");
    assert_eq!(connect_from(THERE, raw).read(&mut [0]).unwrap(), 0, "filtered");
    let refused = Publisher::http(input, "/old/b").wait_for_end().unwrap();
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    let mut second = Show::of(Publisher::http(input, "/new/b"));
    let elsewhere = Ipv4Addr::new(127, 0, 0, 3).into();
    let socket = connect_from(elsewhere, port);
    let receiver = Receiver::of(socket, &Protocol::Http("/b.ts".into()));
    second.go_on(BURSTS);
    second.check(&receiver);
    // The publisher of before goes on.
    show.go_on(BURSTS);
    drop(viewer);
    wait_until("the place of who left", || watch(HERE, "/") == "HTTP/1.1 101 Switching Protocols");
    assert_eq!(node.count("publisher of live left"), 0);
}

#[test]
fn next_hops_and_pulls_go_on() {
    let hop = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let before = NODE.replace(
        "Protocol = CUSTOM\n",
        &format!("Protocol = CUSTOM,TCP\nHosts = 127.0.0.1\nPorts = {}\n", hop.local_addr().unwrap().port()),
    );
    let upper = Node::start(&before);
    let hop = Receiver::of(hop.accept().unwrap().0, &Protocol::Tcp);
    let pull = |name: &str| format!("Protocol = PULL\nUpstreams = ws://{}/{name}\n", upper.address("custom"));
    let edge = format!("[app]\nRunMode = extra\n{NODE}[pushstream]\n{}", pull("live"));
    let lower = Node::start(&edge);
    let mut show = Show::start(upper.address("backstream"));
    let viewer = Receiver::open(lower.address("custom"), &Protocol::Http("/live.ts".into()));
    show.go_on(BURSTS);

    upper.reload(&(before + "[backstream.b]\nPort = 0\n"));
    upper.wait_for("reloaded: 1 key changed: [backstream.b]");
    lower.reload(&format!("{edge}[pushstream.b]\n{}", pull("b")));
    lower.wait_for("pulling: [pushstream.b] stream b from ws://");
    let second_viewer = Receiver::open(lower.address("custom"), &Protocol::Http("/b.ts".into()));
    let mut second = Show::start(upper.address("backstream.b"));
    second.go_on(BURSTS);
    second.check(&second_viewer);
    show.go_on(BURSTS);
    show.check(&viewer);
    show.check(&hop);
}

#[test]
fn next_hops_may_be_added_to_a_stream_that_runs() {
    let node = Node::start(NODE);
    let mut show = Show::start(node.address("backstream"));
    let viewer = Receiver::open(node.address("custom"), &Protocol::Http("/live.ts".into()));
    show.go_on(BURSTS);

    let port = free_port();
    let (hop, udp_hop) = (TcpListener::bind((HERE, port)).unwrap(), UdpSocket::bind((HERE, port)).unwrap());
    let dispatch = format!("Protocol = CUSTOM,TCP,UDP\nHosts = 127.0.0.1\nPorts = {port}\n");
    node.reload(&NODE.replace("Protocol = CUSTOM\n", &dispatch));
    node.wait_for("reloaded: 1 key changed: [dispatch] Hosts");
    node.wait_for(&format!("next hop of live udp://127.0.0.1:{port} is sent to"));
    let hop = Receiver::of(hop.accept().unwrap().0, &Protocol::Tcp);
    let datagrams = Arc::<Mutex<Vec<u8>>>::default();
    thread::spawn({
        let datagrams = Arc::clone(&datagrams);
        move || {
            let mut datagram = [0; 2048];
            while let Ok(length) = udp_hop.recv(&mut datagram) {
                datagrams.lock().unwrap().extend_from_slice(&datagram[..length]);
            }
        }
    });
    for _ in 0..3 * BURSTS {
        // Not more at once than the socket has room for.
        show.go_on(1);
        wait_until("a frame", || hop.ends_with(show.tail()));
    }
    show.check(&viewer);
    show.check(&hop);
    // It begins with a keyframe that came after it, not with what is kept for newcomers.
    wait_until("the last packet", || datagrams.lock().unwrap().ends_with(show.tail()));
    ts::joined(&datagrams.lock().unwrap(), &show.published).unwrap();
}

#[test]
fn a_monitor_goes_on_as_well() {
    let monitor = |secret: &str| {
        format!("[app]\nRunMode = monitor\n[monitor]\nBind = 127.0.0.1\nPort = 0\nSecret = {secret}\n")
    };
    let node = Node::start(&monitor("old"));
    let report = |secret: &str| {
        let report = r#"{"nodeinfo":{"name":"n","bind":"0.0.0.0","port":"50001"}}"#;
        let head = format!("Authorization: Bearer {secret}\r\nContent-Length: {}", report.len());
        let answer = ask(
            node.address("monitor"),
            &format!("POST /monitor HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{report}"),
        );
        answer.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!((report("old"), report("new")), ("200".into(), "401".into()));
    node.reload(&(monitor("new") + "[monitor]\n"));
    node.wait_for("app.conf:7: [monitor]: the section stands in line 3 already");
    node.wait_for("not reloaded: the node goes on as before");
    assert_eq!((report("old"), report("new")), ("200".into(), "401".into()));
    node.reload(&(monitor("new") + "MaxNodes = 9\n"));
    node.wait_for("[monitor] MaxNodes: the change needs a restart");
    node.wait_for("reloaded: 1 key changed: [monitor] Secret");
    assert_eq!((report("old"), report("new")), ("401".into(), "200".into()));
}
