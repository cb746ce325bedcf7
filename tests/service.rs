//! A service manager hears of the node what sd_notify(3) has for it.

mod util;

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use nix::sys::signal::Signal;
use tsstream::demo::Looper;
use util::node::Node;
use util::publish::Publisher;
use util::receive::{Protocol, Receiver};
use util::{Directory, SOON};

const NODE: &str = "[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
    [dispatch]\nProtocol = CUSTOM\n[custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\n";

/// What systemd would listen to.
struct Manager {
    socket: UnixDatagram,
    path: String,
    _directory: Directory,
}

impl Manager {
    fn new() -> Manager {
        let directory = Directory::new("manager");
        let path = directory.file("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Manager { socket, path: path.to_str().unwrap().to_owned(), _directory: directory }
    }

    fn next(&self) -> String {
        let mut message = [0; 1024];
        let length = self.socket.recv(&mut message).expect("the node says something");
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    /// The next message that begins so.
    fn wait_for(&self, begin: &str) -> String {
        loop {
            let message = self.next();
            if message.starts_with(begin) {
                return message;
            }
        }
    }
}

#[test]
fn a_node_says_when_it_is_ready_how_it_does_and_that_it_ends() {
    let manager = Manager::new();
    let half = Duration::from_millis(100);
    let watchdog = (2 * half).as_micros().to_string();
    let variables = [("NOTIFY_SOCKET", manager.path.as_str()), ("WATCHDOG_USEC", watchdog.as_str())];
    let node = Node::start_under(&variables, NODE);
    assert_eq!(manager.next(), "READY=1", "first of all");
    manager.wait_for("STATUS=streams live: 0 of 1, receivers: 0");

    let _viewer = Receiver::open(node.address("custom"), &Protocol::WebSocket("/".into()));
    let mut publisher = Publisher::tcp(node.address("backstream"));
    let picture: Vec<u8> = Looper::default().take(30).flat_map(|burst| burst.packets).collect();
    publisher.send(&picture).unwrap();
    manager.wait_for("STATUS=streams live: 1 of 1, receivers: 1");
    (0..3).for_each(|_| drop(manager.wait_for("WATCHDOG=1")));

    node.signal(Signal::SIGTERM);
    manager.wait_for("STOPPING=1");
    assert!(node.stop().success());
}

#[test]
fn a_reload_has_a_beginning_and_an_end() {
    let manager = Manager::new();
    let node = Node::start_under(&[("NOTIFY_SOCKET", &manager.path)], NODE);
    assert_eq!(manager.next(), "READY=1");
    for _ in 0..2 {
        node.signal(Signal::SIGHUP);
        let begun = manager.wait_for("RELOADING=1\nMONOTONIC_USEC=");
        assert!(begun.split('=').next_back().unwrap().parse::<u64>().unwrap() > 0);
        manager.wait_for("READY=1");
    }
    assert!(node.stop().success());
}

#[test]
fn without_a_watchdog_there_is_no_sign_of_life() {
    let manager = Manager::new();
    let node = Node::start_under(&[("NOTIFY_SOCKET", &manager.path)], NODE);
    assert_eq!(manager.next(), "READY=1");
    assert!(node.stop().success());
    let mut said = Vec::new();
    while said.last().map(String::as_str) != Some("STOPPING=1") {
        said.push(manager.next());
    }
    assert!(!said.iter().any(|message| message.starts_with("WATCHDOG")), "{said:?}");
}

#[test]
fn a_monitor_is_a_service_too() {
    let manager = Manager::new();
    let config = "[app]\nRunMode = monitor\n[monitor]\nBind = 127.0.0.1\nPort = 0\n";
    let node = Node::start_under(&[("NOTIFY_SOCKET", &manager.path)], config);
    assert_eq!(manager.next(), "READY=1");
    assert!(node.stop().success());
}

#[test]
fn a_manager_that_is_gone_hurts_nobody() {
    let node = Node::start_under(&[("NOTIFY_SOCKET", "/nowhere/notify")], NODE);
    node.wait_for("systemd can't be told");
    assert!(node.stop().success());
}
