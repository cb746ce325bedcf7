//! Configuration: text → what was written → what the program runs on. Pure but for reading the one file.
//!
//! The types here are the last stage: complete, checked, bounded, without a trace of INI. Every thread is given the
//! part it needs as a plain struct and never sees the rest.

mod addresses;
mod build;
mod inputs;
mod line;
mod load;
mod outputs;
mod problem;
mod schema;
mod scope;
mod values;
mod written;

pub use load::{Loaded, defaults, load, parse};
pub use problem::Problem;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ipnet::IpNet;

use crate::mailbox::StreamId;

/// All that the program runs on.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[app] RunMode`.
    pub run_mode: RunMode,
    /// `[app] Node`: the name of this node in the tree; `None` is the name of the host.
    pub node: Option<String>,
    /// `[app] Workers`: worker threads; 0 is one per core.
    pub workers: usize,
    /// `[app] Drain`: how long receivers may take to be told goodbye when the program ends.
    pub drain: Duration,
    /// `[app] Monitor`: where to report to, if anywhere.
    pub monitor: Option<String>,
    /// The streams, first the one named `live`; a [`StreamId`] is an index into this.
    pub streams: Vec<Stream>,
    /// `[authority]`: who may publish.
    pub authority: Authority,
    /// Listening ports for receivers. Empty when `[dispatch] Protocol` does not list `CUSTOM`.
    pub ports: Vec<ReceiverPort>,
    /// `[dispatch]` with `TCP` or `UDP`: next hops.
    pub next_hops: Vec<NextHop>,
    /// `[custom] MaxClients` and `MaxClientsPerIp`; 0 is no limit.
    pub clients_max: usize,
    /// See [`Self::clients_max`].
    pub clients_per_ip_max: usize,
    /// `[custom] TrustedProxies`.
    pub trusted_proxies: IpList,
    /// `[admin]`: where the admin port listens, if `Port` is given.
    pub admin: Option<SocketAddr>,
    /// `[monitor]`: where RunMode `monitor` listens; `None` in other modes.
    pub monitor_bind: Option<SocketAddr>,
    /// `[monitor] Secret`: what a report must carry, and what a node's own reports do.
    pub monitor_secret: Secret,
    /// `[monitor] MaxNodes`: nodes that a monitor keeps in mind.
    pub monitor_nodes_max: usize,
}

/// `[app] RunMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// Input from publishers, by `[backstream]`.
    Normal,
    /// Input from another node, by `[pushstream]`.
    Extra,
    /// No streams: collects the reports of other nodes.
    Monitor,
}

/// One stream: where it comes from and how it is cut and kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// The section's suffix; `live` for the section without one. Letters, digits, `-`, `_`, at most 64.
    pub name: String,
    /// The section that defines its input, with suffix, for messages: `backstream.cam2`.
    pub section: String,
    /// `Format`.
    pub format: Format,
    /// `Protocol`.
    pub protocol: InputProtocol,
    /// `Bind` and `Port`. Several HTTP streams may share one address. Of no meaning if the stream is pulled.
    pub bind: SocketAddr,
    /// `Source`: for a UDP `Bind` that is a multicast group, the only sender to take (source-specific multicast).
    pub source: Option<IpAddr>,
    /// `Interface`: for a multicast group, the address of the interface to join on.
    pub interface: Option<IpAddr>,
    /// `Upstreams`, best first: where the stream is pulled from. Empty if it isn't.
    pub upstreams: Vec<Upstream>,
    /// `Secret`, for HTTP; empty is none.
    pub secret: Secret,
    /// `Timeout`: a publisher silent for so long is lost.
    pub timeout: Duration,
    /// `Takeover`.
    pub takeover: Takeover,
    /// `[app] Coalesce`: a chunk is sealed at the latest so long after its first byte.
    pub coalesce: Duration,
    /// `[app] Quiet`: a chunk is sealed earlier once the source has been quiet for so long; `None` is never.
    pub quiet: Option<Duration>,
    /// `[buffer]`: how much of the stream's past is kept.
    pub buffer: Buffer,
}

/// `[backstream] Format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// MPEG transport stream.
    Ts,
    /// Opaque bytes.
    Bytes,
    /// Opaque messages, one in each datagram, which stay apart.
    Messages,
}

/// `[backstream] Protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputProtocol {
    /// A publisher connects and sends nothing but the stream.
    Tcp,
    /// Datagrams, unicast or multicast, with or without RTP.
    Udp,
    /// `POST` or `PUT`.
    Http,
    /// From another node's port for receivers, over WebSocket.
    Pull,
}

/// The most streams: each costs memory (`[buffer]`), and each worker is told of each.
pub const STREAMS_MAX: usize = 1_000;

/// The most next hops of a node.
pub const NEXT_HOPS_MAX: usize = 1_000;

/// The most upstreams of a stream.
pub const UPSTREAMS_MAX: usize = 16;

/// One of `[pushstream] Upstreams`: `ws://host:port/path`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// A name or an address, an IPv6 one without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Path and query, as they are sent.
    pub target: String,
}

impl Upstream {
    /// Host and port as a `Host` header has them.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl std::fmt::Display for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ws://{}{}", self.authority(), self.target)
    }
}

/// `[backstream] Takeover`: who may replace a publisher that is still connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// A publisher from the same address: a crashed ffmpeg leaves a connection behind that looks alive.
    SameAddress,
    /// Nobody.
    Never,
    /// Anybody who may publish.
    Always,
}

/// `[buffer]`, per stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// `Seconds`: what is older goes, except that the newest group of pictures stays.
    pub time: Duration,
    /// `Megabytes`, in bytes: the bound that always holds.
    pub bytes: usize,
}

/// `[authority]`: who may publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// `Use = False`, or an empty list.
    Anyone,
    /// `Use = True`: these only.
    Only(IpList),
}

impl Authority {
    /// Whether `address` may publish. An IPv4 address is the same written as an IPv6 one.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        match self {
            Authority::Anyone => true,
            Authority::Only(list) => list.contains(address),
        }
    }
}

/// Addresses and networks, IPv4 and IPv6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpList(pub Vec<IpNet>);

impl IpList {
    /// Whether `address` is in the list. An IPv4 address is the same written as an IPv6 one.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

/// One listening port for receivers: `[custom]`, or `[custom.NAME]` for a port of its own for the stream NAME.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiverPort {
    /// The section, with suffix, for messages.
    pub section: String,
    /// `Protocol`.
    pub protocol: ReceiverProtocol,
    /// `Bind` and `Port`.
    pub bind: SocketAddr,
    /// What is served over TCP, and on `/` over WebSocket. (Over WebSocket every stream is served on `/NAME`.)
    pub stream: StreamId,
    /// `FilterIps`: not served over TCP.
    pub filter: IpList,
    /// `Origins`: a WebSocket request with an `Origin` header must name one of these; `None` is any.
    pub origins: Option<Vec<String>>,
    /// `Directory`: whether it lists the streams.
    pub directory: Directory,
    /// `Start`.
    pub start: Start,
    /// `LagLimit`: a receiver blocked for longer skips to a keyframe.
    pub lag_max: Duration,
    /// `StallLimit`: a receiver that takes no byte for so long is disconnected.
    pub stall_max: Duration,
}

/// `[custom] Protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiverProtocol {
    /// WebSocket, HTTP-TS and the player page on one port.
    WebSocket,
    /// The stream at once on connect.
    Tcp,
}

/// `[custom] Directory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Directory {
    /// Whoever may watch may see which streams there are.
    On,
    /// A stream is found by those who know its name.
    Off,
}

/// `[custom] Start`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the newest keyframe.
    Keyframe,
    /// With whatever comes next.
    Live,
}

/// `[dispatch]`: one of `Hosts` with its one of `Ports`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextHop {
    /// What it is sent.
    pub stream: StreamId,
    /// `Protocol`.
    pub protocol: HopProtocol,
    /// A name or an address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// `[dispatch] Protocol`, where it is not `CUSTOM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopProtocol {
    /// A connection that carries nothing but the stream.
    Tcp,
    /// Datagrams of whole TS packets.
    Udp(Datagrams),
}

/// How the datagrams of a next hop are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagrams {
    /// `Framing`.
    pub framing: Framing,
    /// `Ttl`: how many networks a datagram to a multicast group may cross.
    pub multicast_ttl: u8,
    /// `Interface`: the address of the interface to send to a multicast group by; `None` is the system's choice.
    pub interface: Option<IpAddr>,
}

/// `[dispatch] Framing`: what is in a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The stream's bytes alone.
    Ts,
    /// An RTP header and the stream's bytes.
    Rtp,
    /// One whole message: not to be chosen, but so for streams of messages.
    Message,
}

/// A secret: compared in constant time, and never shown.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Keeps `secret` from being shown.
    #[must_use]
    pub fn new(secret: String) -> Secret {
        Secret(secret)
    }

    /// No secret is asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The secret itself, to be sent to whom it is meant for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is the secret, in a time that tells nothing but its length.
    #[must_use]
    pub fn matches(&self, offered: &[u8]) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_bytes(), offered).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.is_empty() { "none" } else { "***" })
    }
}
