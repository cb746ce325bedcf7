//! The admin port and programs of others: Prometheus, which scrapes it, and a terminal, in which `tsstream top` shows it.

mod util;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tsstream::demo::Looper;
use util::node::Node;
use util::publish::Publisher;
use util::raw::ask;
use util::receive::{Protocol, Receiver};
use util::{Directory, free_port, wait_until, wait_until_within};

const NODE: &str = "[app]\nNode = tower\n[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [backstream.two]\nPort = 0\n[custom]\nBind = 127.0.0.1\nPort = 0\n[admin]\nPort = 0\n";

/// How long programs of others may take to start.
const START_MAX: Duration = Duration::from_secs(60);

/// Publishes the test picture in its own time, until dropped.
struct Picture {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Picture {
    fn to(address: SocketAddr) -> Picture {
        let ends = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ends);
        let mut publisher = Publisher::tcp(address);
        let send = move || {
            for burst in Looper::default() {
                if told.load(Ordering::Relaxed) || publisher.send(&burst.packets).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(40));
            }
        };
        Picture { ends, thread: Some(thread::spawn(send)) }
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

/// A process that is ended with the value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: SocketAddr, path: &str) -> String {
    let answer =
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
    answer.split_once("\r\n\r\n").expect("an answer").1.to_owned()
}

#[test]
fn promtool_is_content_with_the_metrics_of_a_node_at_work() {
    let node = Node::start(&format!(
        "{NODE}[dispatch]\nProtocol = CUSTOM,UDP\nHosts = 127.0.0.1\nPorts = {}\n",
        free_port()
    ));
    let admin = node.address("admin");
    let viewer = Receiver::open(node.address("custom"), &Protocol::WebSocket("/".into()));
    let picture = Picture::to(node.address("backstream"));
    wait_until("the stream", || get(admin, "/metrics").contains("tsstream_stream_live{stream=\"live\"} 1"));
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool, of Debian's prometheus, starts");
    let text = get(admin, "/metrics");
    promtool.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("it can be written to");
    let Output { status, stdout, stderr } = promtool.wait_with_output().expect("it ends");
    let said = [String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)].concat();
    assert!(status.success() && said.is_empty(), "{status}: {said}\n{text}");
    drop((picture, viewer));
}

#[test]
fn prometheus_scrapes_it() {
    let node = Node::start(NODE);
    let admin = node.address("admin");
    let picture = Picture::to(node.address("backstream"));
    let directory = Directory::new("prometheus");
    let config = directory.file("prometheus.yml");
    let scrape = format!(
        "scrape_configs:\n- job_name: tsstream\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs:\n  \
         - targets: ['{admin}']\n"
    );
    std::fs::write(&config, scrape).expect("the configuration can be written");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let mut prometheus = Command::new("prometheus");
    prometheus.arg(format!("--config.file={}", config.display()));
    prometheus.arg(format!("--storage.tsdb.path={}", directory.file("data").display()));
    prometheus.arg(format!("--web.listen-address={address}"));
    let log = std::fs::File::create(directory.file("log")).expect("a file for the log");
    prometheus.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let running = Running(prometheus.spawn().expect("prometheus starts"));
    let query = |expression: &str| -> Option<f64> {
        std::net::TcpStream::connect(address).ok()?;
        let answer: Value =
            serde_json::from_str(&get(address, &format!("/api/v1/query?query={expression}"))).ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    };
    wait_until_within(START_MAX, "a scrape", || query("up") == Some(1.0));
    wait_until_within(START_MAX, "what it scraped", || {
        query("sum(tsstream_stream_live)") == Some(1.0)
            && query("sum(rate(tsstream_stream_input_bytes_total[30s]))").is_some_and(|rate| rate > 0.0)
            && query("count(tsstream_stream_live)") == Some(2.0)
    });
    drop((running, picture));
}

/// A terminal in the memory of tmux.
struct Screen {
    socket: PathBuf,
    _directory: Directory,
}

impl Screen {
    /// With this shell command in it.
    fn start(command: &str) -> Screen {
        let directory = Directory::new("tmux");
        let screen = Screen { socket: directory.file("socket"), _directory: directory };
        screen.tmux(&["new-session", "-d", "-x", "80", "-y", "24", command]);
        screen
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("tmux");
        command.env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color").env_remove("TMUX");
        let output = command.arg("-f").arg("/dev/null").arg("-S").arg(&self.socket).args(arguments).output();
        let Output { status, stdout, stderr } = output.expect("tmux starts");
        assert!(status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8_lossy(&stdout).into_owned()
    }

    fn text(&self) -> String {
        self.tmux(&["capture-pane", "-p"])
    }

    #[track_caller]
    fn wait_for(&self, what: &str, mut holds: impl FnMut(&str) -> bool) -> String {
        let mut text = String::new();
        wait_until_within(START_MAX, what, || {
            text = self.text();
            holds(&text)
        });
        text
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- the screen\n{}---", self.text());
        }
        let _ = Command::new("tmux").arg("-S").arg(&self.socket).arg("kill-server").output();
    }
}

#[test]
fn top_shows_a_node_in_a_terminal_and_gives_it_back() {
    let node = Node::start(NODE);
    let admin = node.address("admin");
    let viewers: Vec<Receiver> =
        (0..3).map(|_| Receiver::open(node.address("custom"), &Protocol::WebSocket("/".into()))).collect();
    let picture = Picture::to(node.address("backstream"));
    let program = env!("CARGO_BIN_EXE_tsstream");
    let screen = Screen::start(&format!("echo before; {program} top {admin}; echo after $?; stty -a; cat"));
    let shows = |text: &str| {
        let row =
            |start: &str| text.lines().find(|line| line.trim_start().starts_with(start)).map(str::to_owned);
        let live = row("live");
        live.is_some_and(|row| row.contains(" live ") && row.contains("b/s") && row.contains(" 3 "))
            && row("two").is_some_and(|row| row.contains("offline"))
            && text.matches("websocket").count() == 3
    };
    let text = screen.wait_for("the node", |text| shows(text));
    println!("{text}");
    assert!(text.starts_with(" tower  tsstream "), "{text}");
    assert!(text.contains("1 of 2 streams live  3 receivers") && text.contains(" q quits"), "{text}");

    screen.tmux(&["resize-window", "-x", "50", "-y", "14"]);
    let text = screen.wait_for("the smaller frame", |text| {
        text.lines().nth(13).is_some_and(|line| line.starts_with(" q quits")) && text.contains("STREAM")
    });
    assert!(text.lines().all(|line| line.chars().count() <= 50), "{text}");
    screen.tmux(&["resize-window", "-x", "120", "-y", "40"]);
    screen.wait_for("the larger frame", |text| {
        shows(text) && text.lines().nth(39).is_some_and(|line| line.starts_with(" q quits"))
    });

    // The node goes: what was seen last stays, with a word about it.
    drop((viewers, picture));
    node.stop();
    let text =
        screen.wait_for("the end of the node", |text| text.contains("NO ANSWER: nobody listens there"));
    assert!(text.contains(" live "), "{text}");

    screen.tmux(&["send-keys", "q"]);
    let text = screen.wait_for("the shell", |text| text.contains("after 0") && text.contains("icanon"));
    let is_set = |flag: &str| text.split([' ', ';', '\n']).any(|word| word == flag);
    assert!(text.starts_with("before\n") && is_set("icanon") && is_set("echo") && is_set("isig"), "{text}");
    assert_eq!(screen.tmux(&["display-message", "-p", "#{cursor_flag} #{alternate_on}"]).trim(), "1 0");
}

#[test]
fn a_node_that_is_stopped_for_a_while_is_not_sick() {
    let node = Node::start(NODE);
    let admin = node.address("admin");
    is_healthy(admin);
    node.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(11));
    node.signal(Signal::SIGCONT);
    is_healthy(admin);
    wait_until("its threads to have turned", || {
        let said: Value = serde_json::from_str(&get(admin, "/api/streams")).expect("JSON");
        let threads = said["node"]["threads"].as_array().unwrap();
        threads.iter().all(|thread| thread["silent_seconds"].as_f64().unwrap() < 3.0)
    });
}

#[track_caller]
fn is_healthy(admin: SocketAddr) {
    assert_eq!(get(admin, "/healthz"), "{\"healthy\":true,\"silent\":[]}");
}
