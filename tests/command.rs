//! The command: what it says, how it exits, and that its log never holds it up.

mod util;

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tsstream::demo::Looper;
use util::node::Node;
use util::publish::Publisher;
use util::raw::{Frames, dial};
use util::receive::{Protocol, Receiver};
use util::{Directory, ts, wait_until};

const NODE: &str = "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [dispatch]\nProtocol = CUSTOM\n[custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\n";

fn tsstream(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tsstream"));
    command.args(arguments).stdin(Stdio::null()).env_remove("RUST_LOG").env_remove("JOURNAL_STREAM");
    command
}

fn output(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = tsstream(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// A file to run on, removed with the value.
struct File {
    path: String,
    _directory: Directory,
}

fn file(content: &str) -> File {
    let directory = Directory::new("command");
    let path = directory.file("app.conf");
    std::fs::write(&path, content).unwrap();
    File { path: path.to_str().unwrap().to_owned(), _directory: directory }
}

fn originals() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/conf");
    let files: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 4);
    files
}

#[test]
fn version_and_help() {
    let (code, out, _) = output(&["--version"]);
    assert_eq!((code, out), (Some(0), format!("tsstream {}\n", env!("CARGO_PKG_VERSION"))));
    let (code, out, _) = output(&["--help"]);
    assert!(code == Some(0) && out.contains("demo") && out.contains("--config"), "{out}");
    let (code, _, said) = output(&["--nonsense"]);
    assert!(code == Some(2) && said.contains("--nonsense"), "{said}");
}

#[test]
fn a_file_is_checked_whole() {
    let (code, out, said) = output(&["-t", "-c", &file(NODE).path]);
    assert_eq!((code, out.as_str(), said.as_str()), (Some(0), "the configuration is good\n", ""));
    let bad = file("[custom]\nPort = many\nStart = soon\nMaxclient = 3\n[outputs]\n");
    for arguments in [&["-t", "-c", &bad.path][..], &["-c", &bad.path], &["demo", "-c", &bad.path]] {
        let (code, out, said) = output(arguments);
        assert_eq!((code, out.as_str()), (Some(78), ""), "{said}");
        let lines: Vec<&str> = said.lines().collect();
        for (line, (number, word)) in
            lines.iter().zip([(2, "\"many\""), (3, "\"soon\""), (4, "MaxClients"), (5, "[outputs]")])
        {
            assert!(line.starts_with(&format!("{}:{number}: ", bad.path)) && line.contains(word), "{line}");
        }
        assert_eq!(lines.len(), 4, "{said}");
    }
    let (code, _, said) = output(&["-c", "/nowhere/app.conf"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(78), "/nowhere/app.conf: cannot be read: No such file or directory\n")
    );
}

#[test]
fn files_of_the_original_are_good() {
    for path in originals() {
        let (code, out, said) = output(&["-t", "-c", path.to_str().unwrap()]);
        assert_eq!((code, out.as_str()), (Some(0), "the configuration is good\n"), "{path:?}: {said}");
    }
}

#[test]
fn a_node_runs_on_a_file_of_the_original() {
    let path = originals().into_iter().find(|path| path.ends_with("original-normal-udp.conf")).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    // What a node with receivers says there, on ports that are surely free.
    let text = text.replace("[dispatch]\nProtocol = UDP", "[dispatch]\nProtocol = CUSTOM");
    let ports = |line: &str| if line.starts_with("Port = ") { "Port = 0" } else { line }.to_owned() + "\n";
    let node = Node::start(&text.lines().map(ports).collect::<String>());
    assert_forwards(node.address("backstream"), node.address("custom"));
    assert!(node.stop().success());
}

/// Publishes a little, and checks that it arrives.
fn assert_forwards(input: SocketAddr, output: SocketAddr) {
    let viewer = Receiver::open(output, &Protocol::WebSocket("/".into()));
    let mut publisher = Publisher::tcp(input);
    let published: Vec<u8> = Looper::default().take(30).flat_map(|burst| burst.packets).collect();
    publisher.send(&published).unwrap();
    wait_until("the picture", || viewer.ends_with(&published[published.len() - ts::PACKET..]));
    ts::joined(&viewer.close().bytes, &published).unwrap();
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    for (nth, section) in ["backstream", "custom"].into_iter().enumerate() {
        let mut parts = NODE.splitn(3, "Port = 0").map(str::to_owned).collect::<Vec<_>>();
        parts[nth] += &format!("Port = {port}");
        parts[1 - nth] += "Port = 0";
        let (code, _, said) = output(&["-c", &file(&parts.concat()).path]);
        assert_eq!(code, Some(1));
        let line = said.lines().last().unwrap_or_default();
        assert!(line.starts_with(&format!("[{section}] 127.0.0.1:{port}: Address already in use")), "{said}");
        assert!(!said.contains("listening"), "{said}");
    }
    let foreign = file(&NODE.replace("127.0.0.1", "192.0.2.7"));
    let (code, _, said) = output(&["-c", &foreign.path]);
    assert!(code == Some(1) && said.contains("[backstream] 192.0.2.7:0: "), "{said}");
}

#[test]
fn the_demo_plays() {
    let node = Node::start_with(&["demo"], NODE);
    let mut viewer = Frames::open(node.address("custom"), "/");
    let (first, payload) = viewer.next().unwrap().expect("the picture");
    assert_eq!((first, payload[0], payload.len() % ts::PACKET), (0x82, 0x47, 0));
    assert!(node.find(|line| line.contains("http://127.0.0.1:")).is_some(), "the address to open is told");
    drop(viewer);
    assert!(node.stop().success());
}

/// A node of whose log the test reads no more than it has to.
struct Mute {
    process: Child,
    log: Option<BufReader<ChildStderr>>,
    said: String,
}

impl Mute {
    fn start() -> Mute {
        let file = file(NODE);
        let mut command = tsstream(&["-c", &file.path]);
        let mut process = command.env("RUST_LOG", "debug").stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut said = String::new();
        while !said.ends_with("ready\n") {
            assert!(log.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        }
        Mute { process, log: Some(log), said }
    }

    fn address(&self, section: &str) -> SocketAddr {
        let line = self.said.split(&format!("listening: [{section}] ")).nth(1).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn end(mut self) {
        kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

/// Lines of the log that come of as many connections; a pipe holds about 1,000 of them.
const LINES: usize = 3_000;

#[test]
fn a_log_that_nobody_reads_holds_nothing_up() {
    let node = Mute::start();
    (0..LINES).for_each(|_| drop(dial(node.address("custom"))));
    assert_forwards(node.address("backstream"), node.address("custom"));
    node.end();
}

#[test]
fn a_log_that_nobody_can_read_holds_nothing_up() {
    let mut node = Mute::start();
    let (input, receivers) = (node.address("backstream"), node.address("custom"));
    node.log = None;
    assert_forwards(input, receivers);
    node.end();
}
