//! The monitor and what nodes report to it, with real processes and sockets.

mod util;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tsstream::demo::Looper;
use util::live::Live;
use util::node::Node;
use util::publish::Publisher;
use util::raw::{ask, dial, get, get_json};
use util::receive::{Protocol, Receiver};
use util::wait_until;

const MONITOR: &str = "[app]\nRunMode = monitor\n[monitor]\nBind = 127.0.0.1\nPort = 0\n";

/// A report as the original sends it: what is empty or zero is left out.
const ORIGINAL: &str = r#"{"nodeinfo":{"name":"normal","bind":"0.0.0.0","port":"50001","hash":"x"},
    "packages":7,"nextnode":[{"name":"extra1","bind":"127.0.0.1","port":"55001","hash":"y"}],"genesis":true}"#;

fn post(address: SocketAddr, headers: &str, body: &str) -> String {
    let length = body.len();
    ask(
        address,
        &format!("POST /monitor HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {length}\r\n\r\n{body}"),
    )
}

#[track_caller]
fn is(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "expected {status}: {answer}");
}

fn refused(address: SocketAddr) -> u64 {
    let text = get(address, "/metrics");
    let line = text.lines().find_map(|line| line.strip_prefix("tsstream_monitor_refused_total "));
    line.and_then(|number| number.parse().ok()).expect("a count")
}

#[test]
fn reports_of_the_original_are_taken_and_told_in_its_form() {
    let monitor = Node::start(MONITOR);
    let address = monitor.address("monitor");
    is(&post(address, "Content-Type: application/json;encoding=utf-8\r\n", ORIGINAL), 200);
    let extra = r#"{"nodeinfo":{"name":"extra","connects":3,"bind":"0.0.0.0","port":"55001"}}"#;
    is(&post(address, "", extra), 200);
    let mut said = Value::Null;
    wait_until("both reports", || {
        said = get_json(address, "/monitor");
        said["data"].as_object().is_some_and(|data| data.len() == 2)
    });
    assert_eq!((&said["code"], &said["msg"]), (&json!(200), &json!("Success")));
    assert_eq!(said["data"]["genesis"]["packages"], 7);
    // printf '0.0.0.055001' | md5sum
    assert_eq!(said["data"]["892335df62c260c4e2c29b6c26bf0f14"]["nodeinfo"]["connects"], 3);
    let tree = get_json(address, "/tree");
    assert_eq!((tree["nodes"].as_array().unwrap().len(), tree["edges"].as_array().unwrap().len()), (2, 1));
    assert_eq!(tree["edges"][0]["to"].as_str().map(|to| to.starts_with("original-")), Some(true));
}

#[test]
fn what_is_no_report_is_refused_and_counted() {
    let monitor = Node::start(MONITOR);
    let address = monitor.address("monitor");
    is(&post(address, "", "{"), 400);
    is(&post(address, "", r#"{"nodeinfo":{"name":7}}"#), 400);
    is(&post(address, "", r#"{"nodeinfo":{"name":"a\u0000b"}}"#), 400);
    is(&ask(address, "POST /monitor HTTP/1.1\r\nHost: a\r\n\r\n{}"), 400);
    is(&ask(address, "nonsense\r\n\r\n"), 400);
    is(&ask(address, "POST /monitor HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"), 400);
    is(&ask(address, "POST /monitor HTTP/1.1\r\nHost: a\r\nContent-Length: 65537\r\n\r\n"), 413);
    let chunks = format!("{:x}\r\n{}\r\n0\r\n\r\n", 65_537, " ".repeat(65_537));
    is(
        &ask(
            address,
            &format!("POST /monitor HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        ),
        413,
    );
    wait_until("eight to be counted", || refused(address) == 8);
    monitor.wait_for("refused: answered 413: a report has at most 64 KiB");

    // As much as there may be, in chunks and after being asked to go on.
    let padded = format!("{ORIGINAL}{}", " ".repeat(65_536 - ORIGINAL.len()));
    is(&post(address, "", &padded), 200);
    let mut socket = dial(address);
    write!(
        socket,
        "POST /monitor HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        ORIGINAL.len()
    )
    .unwrap();
    let mut interim = [0; 25];
    socket.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(ORIGINAL.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    is(&answer, 200);

    is(&ask(address, "PUT /monitor HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), 405);
    is(&ask(address, "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
    is(&ask(address, "GET /node/nothing HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
    is(&ask(address, "DELETE /node/nothing HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
}

#[test]
fn a_flood_of_refusals_does_not_flood_the_log() {
    let monitor = Node::start(MONITOR);
    let address = monitor.address("monitor");
    for _ in 0..200 {
        is(&post(address, "", "{"), 400);
    }
    wait_until("all to be counted", || refused(address) == 200);
    assert!(monitor.count("refused: answered") < 60, "{}", monitor.count("refused: answered"));
}

#[test]
fn secret_authority_and_the_most_nodes() {
    let monitor = Node::start(&format!("{MONITOR}Secret = s3cret\nMaxNodes = 2\n"));
    let address = monitor.address("monitor");
    is(&post(address, "", ORIGINAL), 401);
    is(&post(address, "Authorization: Bearer not-it\r\n", ORIGINAL), 401);
    is(&post(address, "Authorization: Basic s3cret\r\n", ORIGINAL), 401);
    wait_until("three to be counted", || refused(address) == 3);
    let right = "Authorization: Bearer s3cret\r\n";
    for port in [1, 2, 1, 2] {
        is(&post(address, right, &format!(r#"{{"nodeinfo":{{"bind":"a","port":"{port}"}}}}"#)), 200);
    }
    is(&post(address, right, r#"{"nodeinfo":{"bind":"a","port":"3"}}"#), 503);
    assert!(monitor.find(|line| line.contains("s3cret") || line.contains("not-it")).is_none());

    let monitor = Node::start(&format!("{MONITOR}[authority]\nUse = True\nIps = 192.0.2.1\n"));
    is(&post(monitor.address("monitor"), "", ORIGINAL), 403);
    get(monitor.address("monitor"), "/tree");
    wait_until("the refusal to be counted", || refused(monitor.address("monitor")) == 1);
}

#[test]
fn the_page_is_served_with_a_policy_and_without_anything_from_elsewhere() {
    let monitor = Node::start(MONITOR);
    let answer = ask(monitor.address("monitor"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    is(&answer, 200);
    assert!(
        answer.contains(
            "\r\nContent-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self';"
        ),
        "{answer}"
    );
    assert!(!answer.contains("unsafe-inline") && answer.contains("src=\"monitor.js\""));
    let head = ask(monitor.address("monitor"), "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(head.ends_with("\r\n\r\n") && head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[test]
fn those_who_connect_and_say_nothing_keep_nobody_out() {
    let monitor = Node::start(MONITOR);
    let address = monitor.address("monitor");
    let idle: Vec<TcpStream> = (0..600).map(|_| dial(address)).collect();
    is(&post(address, "", ORIGINAL), 200);
    // Those that were not closed to make room are closed for their silence.
    for mut socket in idle {
        assert!(matches!(socket.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}

fn node(monitor: SocketAddr, more: &str) -> String {
    format!(
        "[app]\nNode = tower <b>\nMonitor = http://{monitor}/monitor\n[backstream]\nProtocol = TCP\nBind = 127.0.0.1\n\
         Port = 0\n[custom]\nBind = 127.0.0.1\nPort = 0\n{more}"
    )
}

#[test]
fn a_node_reports_what_goes_through_it() {
    let secret = "[monitor]\nSecret = s3cret\n";
    let monitor = Node::start(&format!("{MONITOR}Secret = s3cret\n"));
    let address = monitor.address("monitor");
    let node = Node::start(&node(address, secret));
    let mut publisher = Publisher::tcp(node.address("backstream"));
    let receiver = Receiver::open(node.address("custom"), &Protocol::WebSocket("/".into()));
    let mut looper = Looper::default();
    let mut tree = Value::Null;
    wait_until("viewers, bits in and bits out", || {
        let burst = looper.next().expect("the picture has no end");
        publisher.send(&burst.packets).unwrap();
        tree = get_json(address, "/tree");
        let totals = &tree["nodes"][0]["totals"];
        totals["receivers"] == 1
            && totals["bits_in"].as_u64() > Some(0)
            && totals["bits_out"].as_u64() > Some(0)
    });
    assert_eq!(
        (&tree["nodes"][0]["name"], &tree["nodes"][0]["kind"]),
        (&json!("tower <b>"), &json!("normal"))
    );
    let id = tree["nodes"][0]["id"].as_str().unwrap();
    let detail = get_json(address, &format!("/node/{id}"));
    let stream = &detail["report"]["tsstream"]["streams"][0];
    assert_eq!(
        (&stream["name"], &stream["live"], &stream["receivers"]["websocket"]),
        (&json!("live"), &json!(true), &json!(1))
    );
    assert!(stream["codecs"].as_str().unwrap().starts_with("MPEG-"), "{stream}");
    assert!(stream["publisher"].as_str().unwrap().starts_with("127.0.0.1:"), "{stream}");
    assert!(get(address, "/metrics").contains("tsstream_stream_websocket_receivers{"));
    drop(receiver);
    is(&ask(address, &format!("DELETE /node/{id} HTTP/1.1\r\nHost: a\r\n\r\n")), 409);
    // The publisher goes: the next report says so.
    drop(publisher);
    wait_until("the stream to be gone", || {
        get_json(address, &format!("/node/{id}"))["report"]["tsstream"]["streams"][0]["publisher"].is_null()
    });
}

#[test]
fn links_are_told_with_protocol_loss_and_latency_however_the_stream_gets_there() {
    let monitor = Node::start(MONITOR);
    let address = monitor.address("monitor");
    let extra = |pushstream: &str| {
        Node::start(&format!(
            "[app]\nRunMode = extra\nMonitor = http://{address}/monitor\n[pushstream]\n{pushstream}\n\
             [custom]\nBind = 127.0.0.1\nPort = 0\n"
        ))
    };
    let pushed = ["TCP", "UDP"].map(|it| extra(&format!("Protocol = {it}\nBind = 127.0.0.1\nPort = 0")));
    let ports = pushed.each_ref().map(|node| node.address("pushstream").port());
    let root = Node::start(&node(
        address,
        &format!(
            "[dispatch]\nProtocol = CUSTOM,TCP\nHosts = 127.0.0.1\nPorts = {}\n[backstream.b]\nProtocol = TCP\n\
             Bind = 127.0.0.1\nPort = 0\n[dispatch.b]\nProtocol = UDP\nFraming = RTP\nHosts = 127.0.0.1\nPorts = {}\n",
            ports[0], ports[1]
        ),
    ));
    let pulling = extra(&format!("Protocol = PULL\nUpstreams = ws://{}/live", root.address("custom")));
    // As fast as it plays: a second of the stream is one of ours.
    let pause = Duration::from_millis(40);
    let lives = ["backstream", "backstream.b"].map(|it| Live::start_at(root.address(it), pause));
    let mut edges = Vec::new();
    wait_until("three links that say how long they take", || {
        edges = get_json(address, "/tree")["edges"].as_array().cloned().unwrap_or_default();
        edges.len() == 3 && edges.iter().all(|edge| edge["latency_us"].as_u64().is_some())
    });
    let mut protocols: Vec<&str> = edges.iter().filter_map(|edge| edge["protocol"].as_str()).collect();
    protocols.sort_unstable();
    assert_eq!(protocols, ["PULL", "RTP", "TCP"]);
    for edge in &edges {
        assert_eq!((&edge["lost"], &edge["connected"]), (&json!(0), &json!(true)), "{edge}");
        // A clock that is told in the wrong unit would be far off.
        assert!(edge["latency_us"].as_u64() < Some(60_000_000), "{edge}");
    }
    let metrics = get(address, "/metrics");
    let pulled = metrics.lines().find(|line| line.starts_with("tsstream_pull_upstreams_total{"));
    assert!(pulled.is_some_and(|line| line.ends_with(" 1")), "{metrics}");
    drop((lives, pushed, pulling));
}

#[test]
fn a_monitor_that_is_dead_or_hostile_is_told_of_once_and_disturbs_nothing() {
    let monitor = Node::start(MONITOR);
    let address = monitor.address("monitor");
    monitor.stop();
    let dead = Node::start(&node(address, ""));
    dead.wait_for("takes no reports: Connection refused");

    // One that answers anything but HTTP, without end.
    let hostile = TcpListener::bind("127.0.0.1:0").unwrap();
    let flooded = Node::start(&node(hostile.local_addr().unwrap(), ""));
    thread::spawn(move || {
        for mut socket in hostile.incoming().map_while(Result::ok) {
            thread::spawn(move || while socket.write_all(&[b'x'; 4096]).is_ok() {});
        }
    });
    flooded.wait_for("takes no reports: its answer is not HTTP");
    let mut publisher = Publisher::tcp(flooded.address("backstream"));
    let receiver = Receiver::open(flooded.address("custom"), &Protocol::Http("/live.ts".into()));
    let mut looper = Looper::default();
    wait_until("the stream to flow", || {
        let burst = looper.next().expect("the picture has no end");
        publisher.send(&burst.packets).unwrap();
        receiver.length() > 100_000
    });

    let config = MONITOR.replace("Port = 0", &format!("Port = {}", address.port()));
    let monitor = Node::start(&config);
    dead.wait_for("takes reports again");
    wait_until("its report", || {
        !get_json(monitor.address("monitor"), "/tree")["nodes"].as_array().unwrap().is_empty()
    });
    assert_eq!((dead.count("takes no reports"), flooded.count("takes no reports")), (1, 1));
}
