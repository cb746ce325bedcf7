//! Receivers that never read cost the node next to nothing, and are gone by the stall limit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails and has deadlines"
)]

mod util;

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tsstream::demo;
use util::node::Node;
use util::receive::{self, Protocol};
use util::{SOON, wait_until, wait_until_within};

const READING: usize = 1_500;
const NEVER_READING: usize = 500;

/// How long the node's memory is watched once all have connected. Those that take nothing are to be gone by then: the
/// kernel takes a few seconds of the stream for each, and then the stall limit runs, which is 10 s.
const LOAD: Duration = Duration::from_secs(30);

/// What 500 receivers that never read may add.
const MEMORY_BYTES_MAX: u64 = 16 << 20;

#[test]
fn five_hundred_that_never_read_cost_little_and_go() {
    raise_descriptors();
    // One after the other: the machine has not the power for both at once.
    let without = memory_peak_bytes(0);
    let with = memory_peak_bytes(NEVER_READING);
    eprintln!("{without} bytes resident without them, {with} with them");
    let added = with.saturating_sub(without);
    assert!(added <= MEMORY_BYTES_MAX, "{added} bytes more: {with}, and {without} without");
}

/// Serves receivers that read and others that don't, and returns the most memory that was in use.
fn memory_peak_bytes(never_reading: usize) -> u64 {
    let node = Node::start(
        "[dispatch]\nProtocol = CUSTOM\n[custom]\nBind = 127.0.0.1\nPort = 0\n\
         [custom.live]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
         [backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n",
    );
    let (input, viewers, programs) =
        (node.address("backstream"), node.address("custom"), node.address("custom.live"));
    let stop = AtomicBool::new(false);
    let stop_reading = &stop;
    thread::scope(|scope| {
        // However this ends, the threads are told to.
        let _stopping = Stopping(&stop);
        scope.spawn(|| demo::push(input, &stop).unwrap());
        let idle = node.descriptors();
        let mut reading = Readers::connect(programs, READING);
        scope.spawn(move || reading.run(stop_reading));
        wait_until("all that read to be accepted", || node.descriptors() >= idle + READING);
        let descriptors = node.descriptors();

        let kinds = [Protocol::WebSocket("/".into()), Protocol::Http("/live.ts".into()), Protocol::Tcp];
        let mut stalled: Vec<TcpStream> = (0..never_reading)
            .map(|index| {
                let kind = &kinds[index % kinds.len()];
                let address = if let Protocol::Tcp = kind { programs } else { viewers };
                // Little room at this end, so that it is the node that has to hold on, if anybody does.
                let socket = receive::connect(address, Some(16 * 1024));
                drop(receive::begin(socket.try_clone().unwrap(), kind));
                socket
            })
            .collect();

        let start = Instant::now();
        let mut peak = 0;
        while start.elapsed() < LOAD {
            peak = peak.max(node.memory_bytes());
            thread::sleep(Duration::from_millis(100));
        }
        wait_until_within(Duration::from_secs(1), "the stalled to be gone", || {
            node.descriptors() <= descriptors
        });
        if never_reading > 0 {
            node.wait_for_line(SOON, "somebody left as stalled", |line| {
                line.contains(" left: ") && line.contains("stalled")
            });
        }
        stalled.iter_mut().for_each(assert_ends);
        peak
    })
}

/// Tells the threads to end.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Receivers that take all they are sent, on one thread.
struct Readers {
    poll: Poll,
    sockets: Vec<mio::net::TcpStream>,
}

impl Readers {
    fn connect(address: SocketAddr, count: usize) -> Readers {
        let poll = Poll::new().unwrap();
        let connect = |index| {
            let socket = receive::connect(address, None);
            socket.set_nonblocking(true).unwrap();
            let mut socket = mio::net::TcpStream::from_std(socket);
            poll.registry().register(&mut socket, Token(index), Interest::READABLE).unwrap();
            socket
        };
        let sockets = (0..count).map(connect).collect();
        Readers { poll, sockets }
    }

    fn run(&mut self, stop: &AtomicBool) {
        let mut events = Events::with_capacity(1024);
        let mut bytes = vec![0; 64 * 1024];
        while !stop.load(Ordering::Relaxed) {
            self.poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            for event in &events {
                let socket = &mut self.sockets[event.token().0];
                loop {
                    match socket.read(&mut bytes) {
                        Ok(0) => panic!("one that reads was disconnected"),
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                        Err(error) => panic!("one that reads was cut off: {error}"),
                    }
                }
            }
        }
    }
}

/// What the kernel had taken is still there to be read; after it comes the end.
fn assert_ends(socket: &mut TcpStream) {
    socket.set_read_timeout(Some(SOON)).unwrap();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        match socket.read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => panic!("a connection that was to end: {error}"),
        }
    }
}

fn raise_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    let needed = (READING + NEVER_READING + 100) as u64;
    assert!(hard >= needed, "a limit of {hard} open files is too low for this test, which needs {needed}");
}
