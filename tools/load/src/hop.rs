//! What one hop adds: a root feeds an edge, the same bursts are received at both, and the time between is taken.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::content::{Content, Mark, PACKET_BYTES, Packet, Synthetic};
use crate::feed::Feed;
use crate::host::{now_ns, sleep_until};
use crate::lab::Lab;
use crate::servers::{Running, listening, start_configured};

/// The stream: bursts of 10 KB.
const BITS_PER_SECOND: u64 = 8_000_000;
const BURSTS_PER_SECOND: u32 = 100;

/// Between the first burst at the edge and measuring, in nanoseconds.
const SETTLE_NS: u64 = 1_000_000_000;

/// So long the first burst may take to get to the edge, in nanoseconds.
const PATIENCE_NS: u64 = 20_000_000_000;

/// How often it is looked at whether that is so, in nanoseconds.
const TICK_NS: u64 = 20_000_000;

/// How often a receiver to whom nothing comes looks whether it may go.
const LOOK: Duration = Duration::from_millis(50);

/// What is read at once.
const READ_BYTES: usize = 64 * 1024;

/// The most that bursts may take; longer ones count as this, in microseconds.
const MICROS_MAX: u64 = 60_000_000;

/// How an edge is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The root connects to it.
    Tcp,
    /// The root sends it datagrams.
    Udp,
    /// The root sends it datagrams with RTP headers.
    Rtp,
    /// It fetches.
    Pull,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 4] = [Way::Tcp, Way::Udp, Way::Rtp, Way::Pull];

    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Way::Tcp => "TCP",
            Way::Udp => "UDP",
            Way::Rtp => "RTP",
            Way::Pull => "PULL",
        }
    }

    /// How long the edge itself waits for more by its defaults, in milliseconds: what is pushed is cut into chunks anew,
    /// once the source has been quiet for `Quiet`; what is pulled stays as it is.
    #[must_use]
    pub fn coalescing_ms(self) -> f64 {
        if self == Way::Pull { 0.0 } else { 0.5 }
    }
}

/// The time from a burst's arrival at a receiver of the root to that at a receiver of the edge, in microseconds, of every
/// burst while measuring.
///
/// # Errors
/// When a node does not start, or nothing comes.
pub fn measure(way: Way, lab: &Lab) -> Result<Histogram<u64>, String> {
    let tree = Tree::start(way, lab)?;
    let content = Arc::new(Content::Synthetic(Synthetic::new(1, BITS_PER_SECOND, BURSTS_PER_SECOND)?));
    let feed = Feed::start(vec![(content, tree.feed.parse()?)])?;
    let [at_root, at_edge] = [tree.root_port, tree.edge_port].map(Watcher::start);
    let deadline_ns = now_ns() + PATIENCE_NS;
    while !at_edge.has_begun() {
        if now_ns() > deadline_ns {
            return Err(format!("nothing gets to the edge:\n{}", tree.edge.said()));
        }
        sleep_until(now_ns() + TICK_NS);
    }
    sleep_until(now_ns() + SETTLE_NS);
    let from_ns = now_ns();
    sleep_until(from_ns + lab.measure_ns);
    let to_ns = now_ns();
    let [root, edge] = [at_root, at_edge].map(Watcher::end);
    feed.end()?;
    let (root, edge) = (root?, edge?);
    let mut added = Histogram::new_with_max(MICROS_MAX, 3).map_err(|error| error.to_string())?;
    for (burst, came_ns) in root.iter().filter(|(_, came_ns)| (from_ns..to_ns).contains(*came_ns)) {
        if let Some(later_ns) = edge.get(burst) {
            added.saturating_record(later_ns.saturating_sub(*came_ns) / 1000);
        }
    }
    if added.is_empty() { Err("no burst was received at both".to_owned()) } else { Ok(added) }
}

/// Two nodes.
struct Tree {
    _root: Running,
    edge: Running,
    feed: String,
    root_port: SocketAddr,
    edge_port: SocketAddr,
}

impl Tree {
    fn start(way: Way, lab: &Lab) -> Result<Tree, String> {
        let start = |configuration: &str| start_configured(configuration, lab.server_core, &lab.programs);
        let pushed = |protocol: &str| {
            let edge = start(&edge(&format!("Protocol = {protocol}\nBind = 127.0.0.1\nPort = 0")))?;
            let said = edge.said();
            let port = port(listening(&said, &protocol.to_lowercase()).next(), "input")?.port();
            let framing = if way == Way::Rtp { "RTP" } else { "TS" };
            let root = start(&root(&format!(
                "[dispatch]\nProtocol = CUSTOM,{protocol}\nHosts = 127.0.0.1\nPorts = {port}\nFraming = {framing}\n"
            )))?;
            Ok::<_, String>((root, edge))
        };
        let (root, edge) = match way {
            Way::Tcp => pushed("TCP")?,
            Way::Udp | Way::Rtp => pushed("UDP")?,
            Way::Pull => {
                let root = start(&root(""))?;
                let said = root.said();
                let port = port(listening(&said, "websocket").next(), "port for receivers")?;
                let edge = start(&edge(&format!("Protocol = PULL\nUpstreams = ws://{port}/live")))?;
                (root, edge)
            }
        };
        let (root_said, edge_said) = (root.said(), edge.said());
        let feed = port(listening(&root_said, "tcp").next(), "input")?;
        Ok(Tree {
            feed: format!("tcp://{feed}"),
            // Inputs come first.
            root_port: port(listening(&root_said, "tcp").last(), "port for receivers")?,
            edge_port: port(listening(&edge_said, "tcp").last(), "port for receivers")?,
            _root: root,
            edge,
        })
    }
}

/// For receivers over bare TCP as well as over WebSocket.
const CUSTOM: &str = "[custom]\nBind = 127.0.0.1\nPort = 0\n[custom.live]\nProtocol = TCP\nPort = 0\n";

fn root(dispatch: &str) -> String {
    format!(
        "[app]\nWorkers = 1\n[backstream]\nProtocol = TCP\nBind = 127.0.0.1\nPort = 0\n{CUSTOM}{dispatch}"
    )
}

fn edge(pushstream: &str) -> String {
    format!("[app]\nRunMode = extra\nWorkers = 1\n[pushstream]\n{pushstream}\n{CUSTOM}")
}

fn port(found: Option<(&str, &str)>, what: &str) -> Result<SocketAddr, String> {
    let (address, _) = found.ok_or_else(|| format!("a node says no {what}"))?;
    address.parse().map_err(|_| format!("a node's {what} is at {address}, which is no address"))
}

/// When each burst came, in nanoseconds.
type Arrivals = HashMap<u64, u64>;

/// A receiver on a thread of its own.
struct Watcher {
    has_begun: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Arrivals, String>>,
}

impl Watcher {
    fn start(address: SocketAddr) -> Watcher {
        let (has_begun, stop) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let thread = thread::spawn({
            let (has_begun, stop) = (Arc::clone(&has_begun), Arc::clone(&stop));
            move || watch(address, &has_begun, &stop).map_err(|error| format!("{address}: {error}"))
        });
        Watcher { has_begun, stop, thread }
    }

    fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Relaxed)
    }

    fn end(self) -> Result<Arrivals, String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "a receiver's thread has ended in a bug".to_owned())?
    }
}

fn watch(address: SocketAddr, has_begun: &AtomicBool, stop: &AtomicBool) -> std::io::Result<Arrivals> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(LOOK))?;
    let mut arrivals = Arrivals::new();
    let mut buffer = vec![0; READ_BYTES];
    // Bytes of a packet that is not all there.
    let mut kept = 0;
    while !stop.load(Ordering::Relaxed) {
        let count = match socket.read(&mut buffer[kept..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => kept + count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error),
        };
        let came_ns = now_ns();
        for mark in Packet::all(&buffer[..count]).filter_map(Mark::read) {
            arrivals.insert(mark.burst, came_ns);
            has_begun.store(true, Ordering::Relaxed);
        }
        let whole = count / PACKET_BYTES * PACKET_BYTES;
        buffer.copy_within(whole..count, 0);
        kept = count - whole;
    }
    Ok(arrivals)
}
