//! The whole harness in one process: feed, floor, receivers, report.

#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;

use indicatif::ProgressBar;
use tsload::content::{Content, Synthetic};
use tsload::floor::{DatagramFloor, Floor, Kind};
use tsload::receive::{Begin, Behaviour, Drain, Group, Plan, Target};
use tsload::report::Report;
use tsload::run::{Load, run};

/// A floor on a thread that lives as long as the test.
fn start(kind: Kind) -> (SocketAddr, SocketAddr) {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let floor = Floor::bind(kind, any, any).unwrap();
    let addresses = floor.addresses().unwrap();
    std::thread::spawn(move || floor.run());
    addresses
}

fn group(name: &'static str, count: usize, behaviour: Behaviour, sampled: usize) -> Group {
    Group { name, count, behaviour, begin: Begin::AtStart, per_second: 1_000, sampled }
}

fn load(feed: SocketAddr, receivers: SocketAddr, groups: Vec<Group>) -> Load {
    let content = Content::Synthetic(Synthetic::new(1, 2_000_000, 25).unwrap());
    let target = Target { address: format!("tcp://{receivers}").parse().unwrap(), stream: 0 };
    Load {
        feeds: vec![(Arc::new(content), format!("tcp://{feed}").parse().unwrap())],
        plan: Plan { groups, targets: vec![target], sources: vec![] },
        drain: Drain::OnEvent,
        settle_ns: 200_000_000,
        measure_ns: 2_000_000_000,
        server: Some(std::process::id()),
        server_core: None,
    }
}

fn report_of(kind: Kind, groups: Vec<Group>) -> Report {
    let (feed, receivers) = start(kind);
    run(&load(feed, receivers, groups), &ProgressBar::hidden()).unwrap()
}

#[test]
fn twenty_receivers_get_all_of_it() {
    for kind in [Kind::Send, Kind::Ring] {
        let report = report_of(kind, vec![group("steady", 20, Behaviour::Steady, 5)]);
        assert_eq!(report.invalid, [""; 0]);
        let steady = report.group("steady").unwrap();
        assert_eq!((steady.served, steady.failed, steady.closed), (20, 0, 0));
        assert_eq!(steady.delivered, Some(1.0));
        assert_eq!((steady.findings.gaps, steady.findings.skips, steady.findings.bursts_missing), (0, 0, 0));
        let fed = report.feed.as_ref().unwrap();
        assert!(fed.bursts >= 45 && steady.findings.bursts >= 5 * fed.bursts, "{report}");
        assert!(steady.latency_ms.count >= 5 * fed.bursts && steady.latency_ms.p50 > 0.0, "{report}");
        assert!(report.server.unwrap().memory_peak_mib > 1.0);
    }
}

#[test]
fn receivers_leave_nothing_behind() {
    let (feed, receivers) = start(Kind::Send);
    let mut load = load(feed, receivers, vec![group("steady", 20, Behaviour::Steady, 5)]);
    load.plan.sources = vec!["127.0.0.5".parse().unwrap()];
    load.measure_ns = 200_000_000;
    let report = run(&load, &ProgressBar::hidden()).unwrap();
    assert_eq!(report.group("steady").unwrap().served, 20);
    // The third field is the remote address, with the port in hexadecimal: proc_net(5).
    let connections = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let remote = format!(":{:04X}", receivers.port());
    let is_ours = |line: &&str| line.split_whitespace().nth(2).is_some_and(|field| field.ends_with(&remote));
    let left: Vec<&str> = connections.lines().filter(is_ours).collect();
    assert_eq!(left, [""; 0]);
}

#[test]
fn every_kind_of_receiver_does_as_it_says() {
    let groups = vec![
        group("steady", 10, Behaviour::Steady, 2),
        group("slow", 2, Behaviour::Slow(1_000_000), 0),
        group("stalled", 2, Behaviour::Stalled, 0),
        group("visiting", 2, Behaviour::Visiting(300), 1),
        Group {
            begin: Begin::Measuring(500_000_000),
            per_second: 0,
            ..group("storm", 10, Behaviour::Steady, 2)
        },
    ];
    let report = report_of(Kind::Ring, groups);
    assert_eq!(report.invalid, [""; 0]);
    let group = |name| report.group(name).unwrap();
    assert_eq!(group("steady").delivered, Some(1.0));
    assert_eq!(group("stalled").bytes, 0);
    assert!(group("slow").findings.bursts > 0 && group("slow").findings.is_exact());
    assert!(group("visiting").served > 2, "{report}");
    assert_eq!((group("storm").served, group("storm").first_byte_ms.count), (10, 10));
}

#[test]
fn nobody_there_is_said_clearly() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let groups = vec![group("steady", 3, Behaviour::Steady, 1)];
    let refused = run(&load(free, free, groups.clone()), &ProgressBar::hidden()).unwrap_err();
    assert!(refused.contains("refused the connection"), "{refused}");
    let without_feed = Load { feeds: vec![], ..load(free, free, groups) };
    let refused = run(&without_feed, &ProgressBar::hidden()).unwrap_err();
    assert!(refused.starts_with("no receiver could connect: tcp://127.0.0.1"), "{refused}");
}

#[test]
fn datagrams_are_received_one_by_one_and_many_at_once() {
    for scheme in ["udp", "gro"] {
        let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let hops: Vec<SocketAddr> =
            (1..=20).map(|last| SocketAddr::from(([127, 0, 3, last], port))).collect();
        let floor = DatagramFloor::bind("127.0.0.1:0".parse().unwrap(), &hops).unwrap();
        let feed = floor.address().unwrap();
        std::thread::spawn(move || floor.run());
        let groups = vec![group("steady", 20, Behaviour::Steady, 5)];
        let mut load = load(feed, feed, groups);
        load.plan.targets = hops
            .iter()
            .map(|hop| Target { address: format!("{scheme}://{hop}").parse().unwrap(), stream: 0 })
            .collect();
        let report = run(&load, &ProgressBar::hidden()).unwrap();
        assert_eq!(report.invalid, [""; 0]);
        let steady = report.group("steady").unwrap();
        assert_eq!((steady.served, steady.failed, steady.delivered), (20, 0, Some(1.0)), "{report}");
        assert!(steady.findings.bursts >= 5 * report.feed.as_ref().unwrap().bursts, "{report}");
    }
}

#[test]
fn a_server_that_comes_to_its_receivers_is_let_in() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports: Vec<SocketAddr> = (1..=3).map(|last| SocketAddr::from(([127, 0, 4, last], port))).collect();
    let (feed, _) = start(Kind::Send);
    let mut load = load(feed, feed, vec![group("steady", 3, Behaviour::Steady, 3)]);
    load.feeds.clear();
    load.measure_ns = 300_000_000;
    load.server = None;
    load.plan.targets = ports
        .iter()
        .map(|port| Target { address: format!("listen://{port}").parse().unwrap(), stream: 0 })
        .collect();
    let server = std::thread::spawn(move || {
        let connect = |port: &SocketAddr| loop {
            if let Ok(socket) = TcpStream::connect(port) {
                return socket;
            }
            std::thread::yield_now();
        };
        let mut sockets: Vec<TcpStream> = ports.iter().map(connect).collect();
        sockets.iter_mut().for_each(|socket| socket.write_all(&[0x47; 188]).unwrap());
        sockets
    });
    let report = run(&load, &ProgressBar::hidden()).unwrap();
    let steady = report.group("steady").unwrap();
    assert_eq!((steady.served, steady.failed, steady.bytes), (3, 0, 3 * 188), "{report}");
    drop(server.join().unwrap());
}
