//! The nodes of a soak: one that is pushed to, one that it feeds, and a next hop that hangs up again and again.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::servers::{Programs, Running, listening, start_configured};

/// How long the next hop that hangs up takes what it is sent; also how long it is away.
const HANG_UP_AFTER: Duration = Duration::from_secs(4);

/// How often it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// What the nodes are told apart from their places in the chain. Receivers that never read are to be gone within a round.
const COMMON: &str = "[buffer]\nSeconds = 5\n[custom]\nProtocol = WEBSOCKET\nBind = 127.0.0.1\nPort = 0\nStallLimit = 5\n\
    [custom.live]\nProtocol = TCP\nPort = 0\n";

/// The nodes; they end with the value.
pub(super) struct Nodes {
    upper: Running,
    lower: Running,
    _fickle: Fickle,
    /// Where the upper node is fed.
    pub feed: Address,
    /// Where both serve: every protocol on each.
    pub targets: Vec<Address>,
}

impl Nodes {
    pub fn start(programs: &Programs) -> Result<Nodes, String> {
        let fickle = Fickle::start()?;
        let lower = format!(
            "[app]\nRunMode = extra\nWorkers = 1\n[pushstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
             [dispatch]\nProtocol = CUSTOM\n{COMMON}"
        );
        let lower = start_configured(&lower, None, programs)?;
        let next_hop = address(&lower.said(), "tcp", "stream live")?;
        let upper = format!(
            "[app]\nWorkers = 1\n[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n\
             [dispatch]\nProtocol = CUSTOM,TCP\nHosts = 127.0.0.1,127.0.0.1\nPorts = {},{}\n{COMMON}",
            next_hop.port(),
            fickle.address.port()
        );
        let upper = start_configured(&upper, None, programs)?;
        let feed = format!("tcp://{}", address(&upper.said(), "tcp", "stream live")?).parse()?;
        let targets = [&upper, &lower].map(targets).into_iter().collect::<Result<Vec<_>, _>>()?.concat();
        Ok(Nodes { upper, lower, _fickle: fickle, feed, targets })
    }

    /// The processes: upper node, lower node.
    pub fn ids(&self) -> [u32; 2] {
        [self.upper.id(), self.lower.id()]
    }
}

fn targets(node: &Running) -> Result<Vec<Address>, String> {
    let said = node.said();
    let (web, tcp) = (address(&said, "websocket", "")?, address(&said, "tcp", "")?);
    let targets = [format!("ws://{web}/live"), format!("http://{web}/live.ts"), format!("tcp://{tcp}")];
    targets.iter().map(|target| target.parse()).collect()
}

/// Where the node that said this listens for `protocol`, with just these words after the address.
fn address(said: &str, protocol: &str, words: &str) -> Result<SocketAddr, String> {
    let found = listening(said, protocol).find(|(_, rest)| *rest == words);
    let (address, _) = found.ok_or_else(|| format!("it says no address of {protocol} {words}"))?;
    address.parse().map_err(|error| format!("{address}: {error}"))
}

/// Takes connections, one after the other, and hangs up on each.
struct Fickle {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fickle {
    fn start() -> Result<Fickle, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        listener.set_nonblocking(true).map_err(|error| error.to_string())?;
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                serve_once(&listener, &stopped);
            }
        });
        Ok(Fickle { address, stop, thread: Some(thread) })
    }
}

impl Drop for Fickle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It has nothing to say that matters any more.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn serve_once(listener: &TcpListener, stop: &AtomicBool) {
    let Ok((mut socket, _)) = listener.accept() else { return thread::sleep(LOOK) };
    let end = Instant::now() + HANG_UP_AFTER;
    let mut bytes = vec![0; 64 * 1024];
    if socket.set_nonblocking(false).and_then(|()| socket.set_read_timeout(Some(LOOK))).is_err() {
        return;
    }
    while Instant::now() < end && !stop.load(Ordering::Relaxed) {
        match socket.read(&mut bytes) {
            Ok(1..) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Ok(0) | Err(_) => break,
        }
    }
}
