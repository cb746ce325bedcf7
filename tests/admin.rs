//! The admin port of a real node, asked over real sockets.

mod util;

use std::net::SocketAddr;
use std::process::Stdio;

use serde_json::Value;
use tsstream::demo::Looper;
use util::node::Node;
use util::publish::Publisher;
use util::raw::{Frames, ask, dial, metric};
use util::receive::{Protocol, Receiver};
use util::{free_port, wait_until};

const NODE: &str = "[app]\nNode = tower\n[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [backstream.two]\nPort = 0\n[custom]\nBind = 127.0.0.1\nPort = 0\n[admin]\nPort = 0\n";

fn request(address: SocketAddr, method: &str, path: &str) -> String {
    ask(address, &format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"))
}

fn get(address: SocketAddr, path: &str) -> String {
    let answer = request(address, "GET", path);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    body.to_owned()
}

fn get_json(address: SocketAddr, path: &str) -> Value {
    serde_json::from_str(&get(address, path)).expect("JSON")
}

#[track_caller]
fn is(answer: &str, status: u16) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "expected {status}: {answer}");
}

/// Publishes the test picture, as fast as asked for it, until `done`.
#[track_caller]
fn publish_until(publisher: &mut Publisher, looper: &mut Looper, what: &str, mut done: impl FnMut() -> bool) {
    wait_until(what, || {
        let burst = looper.next().expect("the picture has no end");
        publisher.send(&burst.packets).unwrap();
        done()
    });
}

#[test]
fn what_goes_through_a_node_is_counted() {
    let node = Node::start(NODE);
    let admin = node.address("admin");
    let viewer = Receiver::open(node.address("custom"), &Protocol::WebSocket("/".into()));
    let player = Receiver::open(node.address("custom"), &Protocol::Http("/live.ts".into()));
    let (mut publisher, mut looper) = (Publisher::tcp(node.address("backstream")), Looper::default());
    let mut text = String::new();
    publish_until(&mut publisher, &mut looper, "all that is counted", || {
        text = get(admin, "/metrics");
        let value = |name| metric(&text, name).unwrap_or_else(|| panic!("{name} is missing: {text}"));
        value("tsstream_stream_live{stream=\"live\"}") == 1.0
            && value("tsstream_stream_packets_total{stream=\"live\"}") > 100.0
            && value("tsstream_stream_input_bytes_per_second{stream=\"live\"}") > 0.0
            && value("tsstream_stream_output_bytes_per_second{stream=\"live\"}") > 0.0
            && value("tsstream_stream_keyframe_interval_seconds{stream=\"live\"}") > 0.0
            && value("tsstream_stream_pmt_interval_max_seconds{stream=\"live\"}") > 0.0
            && value("tsstream_stream_pcr_interval_seconds{stream=\"live\"}") > 0.0
            && value("tsstream_stream_receivers{stream=\"live\",protocol=\"websocket\"}") == 1.0
            && value("tsstream_stream_receivers{stream=\"live\",protocol=\"http\"}") == 1.0
            && value("tsstream_receiver_lag_seconds_count{stream=\"live\"}") > 2.0
            && value("tsstream_thread_busy_seconds_total{thread=\"worker 0\"}") > 0.0
    });
    let value = |name: &str| metric(&text, name).unwrap_or_else(|| panic!("{name} is missing: {text}"));
    assert_eq!(value("tsstream_stream_live{stream=\"two\"}"), 0.0);
    assert_eq!(value("tsstream_stream_sync_losses_total{stream=\"live\"}"), 0.0);
    assert_eq!(value("tsstream_stream_publisher_connected{stream=\"live\"}"), 1.0);
    assert!(value("process_open_fds") > 10.0 && value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_cpu_seconds_total") > 0.0 && value("process_start_time_seconds") > 1e9);
    for thread in ["ingest", "worker 0", "front"] {
        assert!(value(&format!("tsstream_thread_turns_total{{thread=\"{thread}\"}}")) > 0.0);
    }
    assert!(text.contains("tsstream_stream_info{stream=\"live\",video=\"mpeg"), "{text}");

    let said = get_json(admin, "/api/streams");
    assert_eq!((&said["node"]["name"], &said["streams"][1]["name"]), (&"tower".into(), &"two".into()));
    let live = &said["streams"][0];
    assert_eq!((&live["live"], &live["receivers"]["websocket"]), (&true.into(), &1.into()));
    assert!(live["publisher"].as_str().unwrap().starts_with("127.0.0.1:"), "{said}");
    assert!(live["input"]["bits_per_second"].as_u64().unwrap() > 0, "{said}");

    // They leave, each in its way; what they had been sent stays counted. (Who has only shut its side is served on, so
    // that it takes something to be sent to see that it is gone.)
    drop((viewer, player));
    let sent = value("tsstream_stream_output_bytes_total{stream=\"live\"}");
    publish_until(&mut publisher, &mut looper, "the departures", || {
        text = get(admin, "/metrics");
        let left = |reason: &str| {
            let name = format!("tsstream_stream_disconnects_total{{stream=\"live\",reason=\"{reason}\"}}");
            metric(&text, &name).unwrap()
        };
        left("closed") + left("reset") == 2.0
    });
    drop(publisher);
    wait_until("the stream to end", || {
        text = get(admin, "/metrics");
        metric(&text, "tsstream_stream_live{stream=\"live\"}") == Some(0.0)
            && metric(&text, "tsstream_stream_receivers{stream=\"live\",protocol=\"http\"}") == Some(0.0)
    });
    assert!(metric(&text, "tsstream_stream_output_bytes_total{stream=\"live\"}").unwrap() >= sent);
}

#[test]
fn damage_is_counted_by_pid() {
    let node = Node::start(NODE);
    let admin = node.address("admin");
    let (mut publisher, mut looper) = (Publisher::tcp(node.address("backstream")), Looper::default());
    publish_until(&mut publisher, &mut looper, "a stream", || {
        metric(&get(admin, "/metrics"), "tsstream_stream_live{stream=\"live\"}") == Some(1.0)
    });
    // One packet that comes three times is one error; then one marked as damaged, then the stream shifts.
    let mut damage = looper.next().expect("the picture has no end").packets.to_vec();
    let packet: Vec<u8> = damage.chunks(188).find(|packet| packet[3] & 0x10 != 0).unwrap().to_vec();
    let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
    let mut marked = packet.clone();
    marked[1] |= 0x80;
    damage.extend([&*packet, &packet, &packet, &marked].concat());
    damage.extend_from_slice(&looper.next().expect("the picture has no end").packets);
    damage.extend([0; 100]);
    publisher.send(&damage).unwrap();
    let mut text = String::new();
    publish_until(&mut publisher, &mut looper, "the damage", || {
        text = get(admin, "/metrics");
        metric(&text, "tsstream_stream_sync_losses_total{stream=\"live\"}") == Some(1.0)
    });
    assert_eq!(metric(&text, "tsstream_stream_transport_errors_total{stream=\"live\"}"), Some(1.0));
    assert!(metric(&text, "tsstream_stream_dropped_bytes_total{stream=\"live\"}").unwrap() >= 100.0);
    let by_pid = format!("tsstream_stream_pid_continuity_errors_total{{stream=\"live\",pid=\"{pid:#06x}\"}}");
    let total = metric(&text, "tsstream_stream_continuity_errors_total{stream=\"live\"}").unwrap();
    let of_pid = metric(&text, &by_pid).unwrap_or_else(|| panic!("{by_pid} is missing: {text}"));
    assert!(of_pid >= 1.0 && of_pid <= total, "{of_pid} of {total}");
}

#[test]
fn ready_while_there_is_something_to_be_seen_and_healthy_all_the_time() {
    let node = Node::start(NODE);
    let admin = node.address("admin");
    assert_eq!(get_json(admin, "/healthz")["healthy"], true);
    is(&request(admin, "GET", "/readyz"), 503);
    let (mut publisher, mut looper) = (Publisher::tcp(node.address("backstream")), Looper::default());
    let mut answer = String::new();
    publish_until(&mut publisher, &mut looper, "the node to be ready", || {
        answer = request(admin, "GET", "/readyz");
        answer.starts_with("HTTP/1.1 200 ")
    });
    assert!(answer.ends_with("{\"ready\":true,\"fresh\":[\"live\"]}"), "{answer}");
    // The publisher is still there, but says nothing: a load balancer had better send viewers elsewhere.
    wait_until("the stream to be stale", || request(admin, "GET", "/readyz").starts_with("HTTP/1.1 503 "));
    is(&request(admin, "HEAD", "/healthz"), 200);
}

#[test]
fn pages_of_other_sites_are_refused() {
    let node = Node::start(NODE);
    let admin = node.address("admin");
    let with = |path: &str, fields: &str| ask(admin, &format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n"));
    let local = format!("Host: {admin}");
    is(&with("/api/streams", &local), 200);
    is(&with("/api/streams", "Host: localhost"), 200);
    for path in ["/", "/metrics", "/healthz", "/api/streams"] {
        is(&with(path, "Host: rebound.example"), 403);
        is(&with(path, &format!("{local}\r\nOrigin: https://a.example")), 403);
        is(&with(path, &format!("{local}\r\nSec-Fetch-Site: cross-site")), 403);
    }
    node.wait_for("[admin] 127.0.0.1 was answered 403");
    let preflight =
        format!("OPTIONS /api/streams HTTP/1.1\r\n{local}\r\nAccess-Control-Request-Method: DELETE\r\n\r\n");
    let answer = ask(admin, &preflight);
    is(&answer, 405);
    assert!(!answer.contains("Access-Control-Allow"), "{answer}");
}

#[test]
fn who_asks_amiss_or_never_ends_disturbs_nobody() {
    let node = Node::start(NODE);
    let admin = node.address("admin");
    is(&ask(admin, "nonsense\r\n\r\n"), 400);
    is(&ask(admin, &format!("GET / HTTP/1.1\r\nHost: {admin}\r\nA: {}", "x".repeat(9_000))), 431);
    is(&ask(admin, &format!("GET / HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 9\r\n\r\n")), 400);
    is(&request(admin, "POST", "/metrics"), 400);
    is(&request(admin, "DELETE", "/metrics"), 405);
    is(&request(admin, "GET", "/nothing"), 404);
    let before = node.descriptors();
    // Far more than there is room for, none of whom says anything: those who ask are answered, and these are closed.
    let idle: Vec<_> = (0..300).map(|_| dial(admin)).collect();
    assert_eq!(get_json(admin, "/healthz")["healthy"], true);
    wait_until("the idle ones to be gone", || node.descriptors() <= before + 2);
    drop(idle);
}

fn clients(admin: SocketAddr, query: &str) -> Value {
    get_json(admin, &format!("/api/clients{query}"))
}

fn ids(said: &Value) -> Vec<String> {
    let clients = said["clients"].as_array().expect("a list");
    clients.iter().map(|client| client["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn receivers_are_listed_page_by_page_each_once() {
    let node = Node::start(&NODE.replace("[app]\n", "[app]\nWorkers = 3\n"));
    let (admin, custom) = (node.address("admin"), node.address("custom"));
    let viewers: Vec<Receiver> = (0..25)
        .map(|number| {
            let stream = if number % 5 == 0 { "two" } else { "live" };
            Receiver::open(custom, &Protocol::WebSocket(format!("/{stream}")))
        })
        .collect();
    // One that only asks for the page is no receiver.
    let idle = dial(custom);
    wait_until("all receivers", || ids(&clients(admin, "?limit=500")).len() == 25);
    let all = clients(admin, "");
    assert_eq!((&all["missing_workers"], &all["next"]), (&0.into(), &Value::Null), "{all}");
    let one = &all["clients"][0];
    assert_eq!((&one["protocol"], &one["address"]), (&"websocket".into(), &"127.0.0.1".into()));
    assert!(one["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{one}");

    let (mut paged, mut query) = (Vec::new(), "?limit=4".to_owned());
    while paged.len() < 100 {
        let page = clients(admin, &query);
        paged.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=4&after={next}");
    }
    assert_eq!(paged, ids(&all), "the pages are the whole");
    assert_eq!(ids(&clients(admin, "?stream=two")).len(), 5);
    assert_eq!(ids(&clients(admin, "?order=worst&limit=3")).len(), 3);
    for query in ["?limit=501", "?stream=three", "?after=x", "?order=best", "?page=2"] {
        is(&request(admin, "GET", &format!("/api/clients{query}")), 400);
    }
    drop((viewers, idle));
}

#[test]
fn of_very_many_receivers_each_is_listed_once() {
    let node = Node::start(&NODE.replace("[app]\n", "[app]\nWorkers = 1\n"));
    let (admin, custom) = (node.address("admin"), node.address("custom"));
    let viewers: Vec<Frames> = (0..700).map(|_| Frames::open(custom, "/")).collect();
    let mut all = Vec::new();
    wait_until("all receivers on two pages", || {
        let first = clients(admin, "?limit=500");
        let next = first["next"].as_str().expect("there are more").to_owned();
        let second = clients(admin, &format!("?limit=500&after={next}"));
        assert_eq!(second["next"], Value::Null);
        all = [ids(&first), ids(&second)].concat();
        all.len() == 700
    });
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 700);
    let mut worst = ids(&clients(admin, "?order=worst&limit=500"));
    worst.sort();
    worst.dedup();
    assert_eq!(worst.len(), 500);
    drop(viewers);
}

#[test]
fn an_operator_parts_with_a_receiver_and_with_nobody_else() {
    let node = Node::start(NODE);
    let (admin, custom) = (node.address("admin"), node.address("custom"));
    let mut socket = Frames::open(custom, "/");
    let id = {
        let mut said = Value::Null;
        wait_until("the receiver", || {
            said = clients(admin, "");
            ids(&said).len() == 1
        });
        ids(&said).remove(0)
    };
    let other = Receiver::open(custom, &Protocol::Http("/live.ts".into()));
    wait_until("the other", || ids(&clients(admin, "")).len() == 2);
    // A page of another site can't.
    let delete = format!("DELETE /api/clients/{id} HTTP/1.1\r\n");
    is(&ask(admin, &format!("{delete}Host: {admin}\r\nOrigin: http://a.example\r\n\r\n")), 403);
    is(&ask(admin, &format!("{delete}Host: a.example\r\n\r\n")), 403);
    assert_eq!(ids(&clients(admin, "")).len(), 2);

    is(&request(admin, "DELETE", &format!("/api/clients/{id}")), 204);
    assert_eq!(socket.close_code(), 1001);
    node.wait_for("(WebSocket): disconnected by the operator");
    wait_until("it to be gone", || ids(&clients(admin, "")).len() == 1);
    // Who comes next may get its place at the worker, but not its id.
    let third = Receiver::open(custom, &Protocol::WebSocket("/".into()));
    wait_until("the third", || ids(&clients(admin, "")).len() == 2);
    is(&request(admin, "DELETE", &format!("/api/clients/{id}")), 404);
    for id in ["0-0-99", "9-0-0", "x", ""] {
        is(&request(admin, "DELETE", &format!("/api/clients/{id}")), 404);
    }
    assert_eq!(ids(&clients(admin, "")).len(), 2);
    let gone = "tsstream_stream_disconnects_total{stream=\"live\",reason=\"operator\"}";
    wait_until("it to be counted", || metric(&get(admin, "/metrics"), gone) == Some(1.0));
    drop((other, third));
}

#[test]
fn an_operator_parts_with_a_publisher_and_viewers_go_on_with_the_next() {
    let node = Node::start(NODE);
    let (admin, input) = (node.address("admin"), node.address("backstream"));
    is(&request(admin, "DELETE", "/api/streams/live/publisher"), 404);
    is(&request(admin, "DELETE", "/api/streams/none/publisher"), 404);
    let viewer = Receiver::open(node.address("custom"), &Protocol::WebSocket("/".into()));
    let (mut publisher, mut looper) = (Publisher::tcp(input), Looper::default());
    publish_until(&mut publisher, &mut looper, "the viewer to see it", || viewer.length() > 10_000);
    is(&request(admin, "DELETE", "/api/streams/live/publisher"), 204);
    node.wait_for("disconnected by the operator");
    // Its connection is closed, which it notices at the latest when it writes on.
    wait_until("the publisher to notice", || {
        let burst = looper.next().expect("the picture has no end");
        publisher.send(&burst.packets).is_err()
    });
    assert_eq!(get_json(admin, "/api/streams")["streams"][0]["publisher"], Value::Null);
    let seen = viewer.length();
    let (mut next, mut looper) = (Publisher::tcp(input), Looper::default());
    publish_until(&mut next, &mut looper, "the viewer to see the next", || viewer.length() > seen + 10_000);
}

#[test]
fn who_publishes_over_udp_is_back_with_the_next_datagram_and_a_pull_is_not_parted_with() {
    let node = Node::start(&NODE.replace("Protocol = TCP", "Protocol = UDP"));
    let admin = node.address("admin");
    let (mut publisher, mut looper) = (Publisher::udp(node.address("backstream"), 1316), Looper::default());
    let publishers = || get_json(admin, "/api/streams")["streams"][0]["input"]["publishers"].as_u64();
    publish_until(&mut publisher, &mut looper, "a publisher", || publishers() == Some(1));
    is(&request(admin, "DELETE", "/api/streams/live/publisher"), 204);
    publish_until(&mut publisher, &mut looper, "it again", || publishers() == Some(2));

    let upstreams = format!("Upstreams = ws://{}/live", node.address("custom"));
    let edge = Node::start(&format!(
        "[app]\nRunMode = extra\n[pushstream]\nProtocol = PULL\n{upstreams}\n[custom]\nBind = 127.0.0.1\nPort = 0\n\
         [admin]\nPort = 0\n"
    ));
    is(&request(edge.address("admin"), "DELETE", "/api/streams/live/publisher"), 409);
}

#[test]
fn the_one_who_takes_nothing_is_the_worst() {
    let node = Node::start(NODE);
    let (admin, custom) = (node.address("admin"), node.address("custom"));
    let stuck = Frames::open(custom, "/");
    let address = stuck.socket.local_addr().unwrap().to_string();
    let viewers: Vec<Receiver> =
        (0..5).map(|_| Receiver::open(custom, &Protocol::WebSocket("/".into()))).collect();
    let (mut publisher, mut looper) = (Publisher::tcp(node.address("backstream")), Looper::default());
    let mut said = Value::Null;
    publish_until(&mut publisher, &mut looper, "a lag", || {
        said = clients(admin, "?order=worst&limit=1");
        said["clients"][0]["lag_seconds"].as_f64().is_some_and(|lag| lag > 0.1)
            && said["clients"][0]["peer"].as_str() == Some(&address)
    });
    assert_eq!(ids(&said).len(), 1);
    wait_until("the lag among the metrics", || {
        let text = get(admin, "/metrics");
        let lag = metric(&text, "tsstream_stream_lag_max_seconds{stream=\"live\"}").unwrap();
        let counted = metric(&text, "tsstream_receiver_lag_seconds_sum{stream=\"live\"}").unwrap();
        lag > 0.1 && counted > 0.1
    });
    drop((stuck, viewers));
}

fn top(arguments: &[&str]) -> (bool, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tsstream"));
    let output = command.arg("top").args(arguments).stdin(Stdio::null()).output().expect("tsstream starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn top_prints_one_frame_where_there_is_no_terminal_or_says_what_is_missing() {
    let node = Node::start(NODE);
    let admin = node.address("admin").to_string();
    let viewer = Receiver::open(node.address("custom"), &Protocol::WebSocket("/two".into()));
    let mut frame = String::new();
    wait_until("the viewer", || {
        let (succeeded, out, error) = top(&["--once", &admin]);
        assert!(succeeded && error.is_empty(), "{error}");
        frame = out;
        frame.contains("  1 receiver ") && frame.contains("websocket two")
    });
    assert!(!frame.contains('\u{1b}') && frame.lines().all(|line| line.chars().count() <= 80), "{frame}");
    let (succeeded, out, error) = top(&[&admin]);
    assert!(!succeeded && out.is_empty() && error.contains("--once"), "{out} {error}");

    let nobody = format!("127.0.0.1:{}", free_port());
    let (succeeded, _, error) = top(&["--once", &nobody]);
    assert!(
        !succeeded && error.contains("nobody listens there") && error.contains("[admin] Port"),
        "{error}"
    );
    let (succeeded, _, error) = top(&["--once", &node.address("custom").to_string()]);
    assert!(!succeeded && error.contains("answered 404"), "{error}");
    drop(viewer);
}
