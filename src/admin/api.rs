//! The JSON of the admin port. `tsstream top` reads what is written here.
//!
//! Fields may be added at any time; none changes its meaning. Times are in seconds, rates in bits per second, counts
//! since the node began.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::identity::NodeId;

/// `GET /api/streams`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Streams {
    /// The node itself.
    pub node: Node,
    /// In the order of the configuration.
    pub streams: Vec<Stream>,
    /// Likewise.
    pub next_hops: Vec<NextHop>,
}

/// The node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Another one after each start.
    pub id: NodeId,
    /// `[app] Node`, or the name of the host.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// Since its start.
    pub uptime_seconds: f64,
    /// Processor time since then, of all threads.
    pub cpu_seconds: f64,
    /// Resident memory.
    pub memory_bytes: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// The most that there may be.
    pub descriptors_max: u64,
    /// Its loops.
    pub threads: Vec<Thread>,
}

/// A thread that the streams depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thread {
    /// `ingest`, `worker 0`, `hops`, `front`.
    pub name: String,
    /// The share of the last second in which it was not waiting for events, 0 to 1.
    pub busy_share: f64,
    /// Its longest turn in the last minute.
    pub longest_turn_seconds: f64,
    /// Time for which its loop has not been seen to turn.
    pub silent_seconds: f64,
}

/// One stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// It has a publisher that has sent something that can be played.
    pub live: bool,
    /// The other end of the socket by which it comes.
    pub publisher: Option<SocketAddr>,
    /// `h264`, `mpeg2`, …
    pub video: Option<String>,
    /// `aac`, `mpeg`, …
    pub audio: Option<String>,
    /// What an operator should know of it: `no-pat`, `no-keyframe`, `buffer-cut-short`, `group-exceeds-buffer`. The log
    /// has the words.
    pub notices: Vec<String>,
    /// How it comes in.
    pub input: Input,
    /// Who gets it.
    pub receivers: Receivers,
    /// How it goes out.
    pub output: Output,
}

/// The input of a stream. The names of errors are those of ETSI TR 101 290, and so are the limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Publishers that were let in.
    pub publishers: u64,
    /// Without what carried them.
    pub bytes: u64,
    /// Over the last two seconds.
    pub bits_per_second: u64,
    /// TS packets.
    pub packets: u64,
    /// Bytes that were not part of any packet.
    pub dropped_bytes: u64,
    /// TS_sync_loss (1.1).
    pub sync_losses: u64,
    /// PAT_error (1.3).
    pub pat_errors: u64,
    /// Continuity_count_error (1.4).
    pub continuity_errors: u64,
    /// PMT_error (1.5).
    pub pmt_errors: u64,
    /// Transport_error (2.1).
    pub transport_errors: u64,
    /// CRC_error (2.2).
    pub crc_errors: u64,
    /// PCR_error (2.3).
    pub pcr_errors: u64,
    /// Between the last two PATs, and so on; 0 until there have been two.
    pub pat_interval_seconds: f64,
    /// Of PMTs.
    pub pmt_interval_seconds: f64,
    /// Of clocks.
    pub pcr_interval_seconds: f64,
    /// Of keyframes.
    pub keyframe_interval_seconds: f64,
    /// RTP packets that are missing, and datagrams that the kernel dropped.
    pub lost: u64,
    /// Chunks made of it.
    pub chunks: u64,
    /// Chunks that a worker had no room for.
    pub chunks_lost: u64,
}

/// Receivers connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receivers {
    /// Over WebSocket.
    pub websocket: u64,
    /// Over HTTP.
    pub http: u64,
    /// Over TCP.
    pub tcp: u64,
    /// Nodes that pull.
    pub relay: u64,
}

impl Receivers {
    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.websocket + self.http + self.tcp + self.relay
    }
}

/// The output of a stream to its receivers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// With framing.
    pub bytes: u64,
    /// Over the last two seconds.
    pub bits_per_second: u64,
    /// System calls that sent something.
    pub writes: u64,
    /// Times that a receiver skipped to a later keyframe.
    pub skips: u64,
    /// Receivers given up because they stalled.
    pub stalled: u64,
    /// Of the slowest receiver.
    pub lag_seconds: f64,
}

/// A next hop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextHop {
    /// What it is sent.
    pub stream: String,
    /// `TCP`, `UDP`.
    pub protocol: String,
    /// As configured.
    pub address: String,
    /// It is being sent to.
    pub connected: bool,
    /// Bytes sent.
    pub bytes: u64,
    /// Over the last two seconds.
    pub bits_per_second: u64,
    /// Skips, and datagrams that could not be sent.
    pub drops: u64,
}

/// `GET /api/clients`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Clients {
    /// In the order asked for.
    pub clients: Vec<Client>,
    /// If there may be more: to be given as `after` for the next page.
    pub next: Option<String>,
    /// Workers that were too busy to answer: theirs are missing.
    pub missing_workers: usize,
}

/// A receiver.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// For `DELETE /api/clients/ID`.
    pub id: String,
    /// Whose it is: that of the socket, or the one that a trusted proxy speaks for.
    pub address: IpAddr,
    /// The other end of the socket.
    pub peer: SocketAddr,
    /// `websocket`, `http`, `tcp`; `relay` is a node that pulls.
    pub protocol: String,
    /// The name of the stream.
    pub stream: String,
    /// Since it came.
    pub seconds: f64,
    /// Sent, with framing.
    pub bytes: u64,
    /// System calls that it took.
    pub writes: u64,
    /// While its socket takes no more; else 0.
    pub lag_seconds: f64,
    /// Times that it skipped to a later keyframe.
    pub skips: u64,
}

/// `GET /healthz`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Every loop turns.
    pub healthy: bool,
    /// The threads whose loops don't.
    pub silent: Vec<String>,
}

/// `GET /readyz`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Readiness {
    /// There is something to be seen here.
    pub ready: bool,
    /// Streams that are live and of which bytes have come lately.
    pub fresh: Vec<String>,
}
