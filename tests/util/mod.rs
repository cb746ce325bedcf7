//! What the tests with real processes and sockets share. Every wait is for a condition, with a deadline.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(clippy::disallowed_methods, reason = "deadlines")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "that is how a test fails")]

pub mod apart;
pub mod cable;
pub mod crowd;
pub mod live;
pub mod machine;
pub mod media;
pub mod monitor;
pub mod namespace;
pub mod node;
pub mod publish;
pub mod raw;
pub mod receive;
pub mod show;
pub mod tap;
pub mod ts;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for what should come at once: long enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Asks `condition` until it holds; fails the test after [`SOON`], saying `what` was waited for.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    wait_until_within(SOON, what, condition);
}

/// [`wait_until`] with a deadline of its own.
#[track_caller]
pub fn wait_until_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {limit:?} in vain for: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A new empty directory, removed with the value unless the test fails: then it is there to be looked at.
pub struct Directory(PathBuf);

impl Directory {
    /// `name` is for whoever looks at it.
    pub fn new(name: &str) -> Directory {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{name}-{}-{count}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Directory(path)
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if !thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// A port of 127.0.0.1 on which nobody listens, and which the system gives to nobody who asks for any.
pub fn free_port() -> u16 {
    const FIRST: usize = 10_000;
    const COUNT: usize = 20_000;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // Test processes that run at the same time begin apart.
    let start = std::process::id() as usize * 97;
    loop {
        let offset = (start + NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).expect("below 65536");
        let address = (std::net::Ipv4Addr::UNSPECIFIED, port);
        if std::net::TcpListener::bind(address).is_ok() && std::net::UdpSocket::bind(address).is_ok() {
            return port;
        }
    }
}
