//! Composition: opens every socket, makes the threads and the mailboxes between them, and sees them end.
//!
//! Nothing else names both ingest and the workers.

mod reloader;

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::panic::{self, AssertUnwindSafe};
use std::process;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use mio::net::TcpListener;

pub use reloader::Read;
use reloader::Reloader;

use crate::admin::Admin;
use crate::balance::Balance;
use crate::config::{
    Config, Datagrams, Format, Framing, HopProtocol, InputProtocol, NextHop, ReceiverPort, ReceiverProtocol,
    RunMode, Stream,
};
use crate::front::{Front, Hearers};
use crate::hops::{self, Hops, Own, Waits};
use crate::identity::NodeId;
use crate::ingest::Ingest;
use crate::layout::{self, CurrentLayout, Layout};
use crate::mailbox::{Sender, ToIngest, ToWorker, WorkerId};
use crate::metrics::{InputMetrics, OutputMetrics};
use crate::monitor::{self, Monitor};
use crate::net::{self, BindError};
use crate::places::Places;
use crate::service::{Event, Observer, Service};
use crate::worker::{Settings, Worker};

/// As Rust's own for a panic of the main thread.
const EXIT_CODE_OF_PANIC: i32 = 101;

/// While threads end, how often it is looked whether they have.
const STOP_LOOK: Duration = Duration::from_millis(1);

/// A node with all its sockets open and no thread running.
#[derive(Debug)]
pub struct App {
    config: Config,
    identity: NodeId,
    ingest: Ingest,
    to_ingest: Sender<ToIngest>,
    listeners: Vec<TcpListener>,
    admin: Option<Admin>,
    /// RunMode `monitor`, in which there is nothing else.
    monitor: Option<Monitor>,
}

/// Why a node can't start.
#[derive(Debug)]
pub enum StartError {
    /// An address can't be listened on.
    Bind(BindError),
    /// The system refuses something else.
    System(&'static str, io::Error),
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> StartError {
        StartError::Bind(error)
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Bind(error) => error.fmt(f),
            StartError::System(what, error) => write!(f, "{what}: {error}"),
        }
    }
}

impl App {
    /// Opens every socket that `config` names.
    ///
    /// # Errors
    /// When one can't be opened.
    pub fn open(config: Config) -> Result<App, StartError> {
        let identity = NodeId::random();
        let (ingest, to_ingest) = Ingest::bind(&config.streams, config.authority.clone(), identity)?;
        let listen = |port: &ReceiverPort| net::listen_for_receivers(&port.section, port.bind);
        let listeners = config.ports.iter().map(listen).collect::<Result<_, _>>()?;
        let monitor = config.monitor_bind.map(|address| Monitor::bind(&config, address)).transpose()?;
        let admin = config.admin.map(Admin::bind).transpose()?;
        Ok(App { config, identity, ingest, to_ingest, listeners, admin, monitor })
    }

    /// Where publishers of each stream are awaited: the configured addresses, with the real port for port 0.
    #[must_use]
    pub fn inputs(&self) -> Vec<(&Stream, SocketAddr)> {
        let addresses = self.ingest.addresses().into_iter();
        addresses.map(|(stream, address)| (&self.config.streams[stream.0], address)).collect()
    }

    /// Where receivers are awaited, likewise.
    #[must_use]
    pub fn outputs(&self) -> Vec<(&ReceiverPort, SocketAddr)> {
        let address =
            |listener: &TcpListener, port: &ReceiverPort| listener.local_addr().unwrap_or(port.bind);
        let ports = self.config.ports.iter().zip(&self.listeners);
        ports.map(|(port, listener)| (port, address(listener, port))).collect()
    }

    /// What a person wants to see first: how to publish, how to watch.
    #[must_use]
    pub fn greeting(&self) -> String {
        let mut lines = String::new();
        for (stream, address) in self.inputs() {
            let line = format!("  publish {:<10} {}\n", stream.name, publishing(stream, address));
            lines.push_str(&line);
        }
        for stream in self.config.streams.iter().filter(|stream| !stream.upstreams.is_empty()) {
            lines.push_str(&format!("  pull    {:<10} {}\n", stream.name, upstreams(stream)));
        }
        for (port, address) in self.outputs() {
            let host = SocketAddr::new(reachable(address.ip()), address.port());
            let stream = &self.config.streams[port.stream.0].name;
            let line = match port.protocol {
                ReceiverProtocol::WebSocket => format!(
                    "  watch   {stream:<10} http://{host}/   players: http://{host}/{stream}.ts   programs: ws://{host}/{stream}\n"
                ),
                ReceiverProtocol::Tcp => format!("  watch   {stream:<10} tcp://{host}\n"),
            };
            lines.push_str(&line);
        }
        for hop in &self.config.next_hops {
            let protocol = match hop.protocol {
                HopProtocol::Tcp => "tcp",
                HopProtocol::Udp(Datagrams { framing: Framing::Ts | Framing::Message, .. }) => "udp",
                HopProtocol::Udp(Datagrams { framing: Framing::Rtp, .. }) => "rtp",
            };
            let stream = &self.config.streams[hop.stream.0].name;
            lines.push_str(&format!("  feed    {stream:<10} {protocol}://{}:{}\n", hop.host, hop.port));
        }
        if let Some(admin) = &self.admin {
            let address = admin.address();
            let host = SocketAddr::new(reachable(address.ip()), address.port());
            lines.push_str(&format!(
                "  admin              http://{host}/   in a terminal: tsstream top {host}\n"
            ));
        }
        if let Some(monitor) = &self.monitor {
            let address = monitor.address();
            let host = SocketAddr::new(reachable(address.ip()), address.port());
            let line =
                format!("  report  to         http://{host}/monitor\n  watch   the tree   http://{host}/\n");
            lines.push_str(&line);
        }
        lines
    }

    /// Runs until a signal asks the process to end. At SIGHUP, `read` is called on a side thread to read the configuration
    /// again.
    ///
    /// # Errors
    /// When the system gives no thread or no descriptor.
    pub fn run(self, read: Read) -> Result<(), StartError> {
        self.log_addresses();
        let metrics = Arc::new(output_metrics(&self.config));
        let layout = CurrentLayout::new(self.layout());
        // What the node's reports are made of.
        let source = monitor::Source {
            identity: self.identity,
            genesis: self.config.run_mode == RunMode::Normal,
            layout: Arc::clone(&layout),
            input: self.ingest.metrics(),
            output: Arc::clone(&metrics),
        };
        let (own, input) = (own_addresses(&self.config, &layout.value()), self.ingest.metrics());
        let service = Service::start({
            let mut observer = Observer::new(self.ingest.metrics(), Arc::clone(&metrics), now());
            move || observer.look(now())
        })
        .map_err(|error| StartError::System("systemd can't be told anything", error))?;
        let App { config, identity, ingest, to_ingest, listeners, admin, monitor } = self;
        if let Some(monitor) = monitor {
            let (voice, mut running) = (service.voice(), config);
            let read_again = || {
                voice.say(Event::Reloading);
                let renewed = reloader::compare(&read, &mut running);
                voice.say(Event::Ready);
                renewed
            };
            voice.say(Event::Ready);
            return monitor
                .run(read_again)
                .map_err(|error| StartError::System("the monitor can't be set up", error));
        }
        let places = Places::new(config.clients_max, config.clients_per_ip_max);
        let parts = Parts { identity, input: Arc::clone(&input), metrics: Arc::clone(&metrics), places };
        let (workers, senders) = workers(&config, &parts, &to_ingest)?;
        let worker_count = senders.len();
        let balance = Balance::new(senders.clone());
        let hops = hops(&config, own, &metrics, balance.clone(), &to_ingest)?;
        let (hops, to_hops) = hops;
        let news_of_hops = hops.news();
        let all_senders: Vec<_> = senders.iter().cloned().chain([to_hops.clone()]).collect();
        // One request that waits stands for any number of them.
        let (reload, requests) = crossbeam_channel::bounded(1);
        let hearers = Hearers {
            told: all_senders.clone(),
            reload,
            service: service.voice(),
            metrics: Arc::clone(&metrics),
        };
        let (front, to_front) = Front::new(listeners, balance, hearers, config.drain, now())
            .map_err(|error| StartError::System("the front thread can't be set up", error))?;
        let ingest_workers = all_senders.clone();
        let ingest = spawn("ingest".into(), move || ingest.run(ingest_workers))?;
        let mut threads = Vec::with_capacity(workers.len() + 1);
        for (index, (worker, sender)) in workers.into_iter().zip(senders).enumerate() {
            threads.push((spawn(format!("worker {index}"), move || worker.run())?, sender));
        }
        threads.push((spawn("hops".into(), move || hops.run())?, to_hops));
        if let Some(admin) = admin {
            admin
                .start(source.clone(), all_senders[..worker_count].to_vec(), to_ingest.clone())
                .map_err(|error| StartError::System("the admin port can't be started", error))?;
        }
        if let Some(url) = &config.monitor
            && let Some(destination) = monitor::Destination::new(url, config.monitor_secret.clone())
        {
            monitor::start(source, destination)
                .map_err(|error| StartError::System("the reporter can't be started", error))?;
        }
        let reloader = Reloader {
            read,
            running: config,
            parts,
            input,
            layout,
            workers: all_senders,
            ingest: to_ingest.clone(),
            hops: news_of_hops,
            front: to_front,
            service: service.voice(),
        };
        spawn("reloader".into(), move || reloader.run(&requests))?;
        log::info!("ready");
        service.voice().say(Event::Ready);
        front.run();
        for (thread, sender) in threads {
            stop(thread, sender, || ToWorker::Stop);
        }
        stop(ingest, to_ingest, || ToIngest::Stop);
        service.finish();
        Ok(())
    }

    fn layout(&self) -> Layout {
        let config = &self.config;
        let addresses = self.ingest.addresses();
        let stream = |(index, stream): (usize, &Stream)| {
            let listening = addresses.iter().find(|(id, _)| id.0 == index).map(|(_, address)| *address);
            (stream.name.clone(), listening)
        };
        Layout {
            name: config.node.clone(),
            streams: config.streams.iter().enumerate().map(stream).collect(),
            ports: self.outputs().into_iter().map(|(_, address)| address).collect(),
            hops: config.next_hops.iter().map(|hop| layout_of_hop(config, hop)).collect(),
        }
    }

    /// One line for each open address, for people and for programs that start a node with port 0.
    fn log_addresses(&self) {
        self.inputs().into_iter().for_each(|(stream, address)| log_input(stream, address));
        self.config.streams.iter().filter(|stream| !stream.upstreams.is_empty()).for_each(log_pull);
        self.outputs().into_iter().for_each(|(port, address)| log_output(port, address));
        if let Some(admin) = &self.admin {
            log::info!("listening: [admin] http {}", admin.address());
        }
        if let Some(monitor) = &self.monitor {
            log::info!("listening: [monitor] http {}", monitor.address());
        }
    }
}

fn layout_of_hop(config: &Config, hop: &NextHop) -> layout::Hop {
    let protocol = match hop.protocol {
        HopProtocol::Tcp => "TCP",
        HopProtocol::Udp(Datagrams { framing: Framing::Ts | Framing::Message, .. }) => "UDP",
        HopProtocol::Udp(Datagrams { framing: Framing::Rtp, .. }) => "RTP",
    };
    let stream = config.streams[hop.stream.0].name.clone();
    layout::Hop { stream, protocol, host: hop.host.clone(), port: hop.port }
}

/// Where the node itself listens.
fn own_addresses(config: &Config, layout: &Layout) -> Own {
    let mut own = Own { tcp: layout.ports.clone(), udp: Vec::new() };
    for (stream, (_, address)) in config.streams.iter().zip(&layout.streams) {
        let list = match stream.protocol {
            InputProtocol::Udp => &mut own.udp,
            InputProtocol::Tcp | InputProtocol::Http | InputProtocol::Pull => &mut own.tcp,
        };
        list.extend(*address);
    }
    own
}

/// What workers are given beside the configuration.
#[derive(Debug)]
struct Parts {
    identity: NodeId,
    input: Arc<InputMetrics>,
    metrics: Arc<OutputMetrics>,
    places: Arc<Places>,
}

impl Parts {
    fn settings(&self, config: &Config) -> Arc<Settings> {
        Arc::new(Settings {
            streams: config.streams.iter().map(|stream| (stream.name.clone(), stream.buffer)).collect(),
            ports: config.ports.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            identity: self.identity,
            input: Arc::clone(&self.input),
            metrics: Arc::clone(&self.metrics),
            places: Arc::clone(&self.places),
        })
    }
}

fn workers(
    config: &Config,
    parts: &Parts,
    to_ingest: &Sender<ToIngest>,
) -> Result<(Vec<Worker>, Vec<Sender<ToWorker>>), StartError> {
    let settings = parts.settings(config);
    let make = |index| Worker::new(WorkerId(index), Arc::clone(&settings), to_ingest.clone(), now());
    let made: io::Result<Vec<_>> = (0..parts.metrics.workers.len()).map(make).collect();
    Ok(made.map_err(|error| StartError::System("a worker can't be set up", error))?.into_iter().unzip())
}

/// Counters for as many workers, streams and next hops as there are to be.
fn output_metrics(config: &Config) -> OutputMetrics {
    let workers = match config.workers {
        0 => thread::available_parallelism().map_or(1, usize::from),
        count => count,
    };
    OutputMetrics::new(workers, config.streams.len(), config.next_hops.len())
}

/// The hops thread. To ingest it is one more worker.
fn hops(
    config: &Config,
    own: Own,
    metrics: &Arc<OutputMetrics>,
    workers: Balance,
    to_ingest: &Sender<ToIngest>,
) -> Result<(Hops, Sender<ToWorker>), StartError> {
    let settings = hops::Settings {
        hops: config.next_hops.clone(),
        streams: config.streams.iter().map(|stream| stream.name.clone()).collect(),
        own,
        waits: Waits::default(),
        metrics: Arc::clone(metrics),
    };
    let id = WorkerId(workers.count());
    Hops::new(settings, id, workers, to_ingest.clone(), now())
        .map_err(|error| StartError::System("the hops thread can't be set up", error))
}

#[allow(clippy::disallowed_methods, reason = "where the clocks of the threads begin")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A node that has lost one of its threads serves nobody and looks alive: it had better end, and be started again.
fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let run = move || {
        if panic::catch_unwind(AssertUnwindSafe(run)).is_err() {
            process::exit(EXIT_CODE_OF_PANIC);
        }
    };
    thread::Builder::new()
        .name(name)
        .spawn(run)
        .map_err(|error| StartError::System("a thread can't be started", error))
}

/// Tells a thread to end and waits until it has. Its mailbox may be full, and then has room soon.
fn stop<T>(thread: JoinHandle<()>, mut mailbox: Sender<T>, message: impl Fn() -> T) {
    while !thread.is_finished() {
        // Refused by a full mailbox, or by one whose owner is ending; said more than once, it does no harm.
        let _ = mailbox.post(message());
        mailbox.flush();
        thread::sleep(STOP_LOOK);
    }
}

/// Where a stream is pulled from, best first.
fn upstreams(stream: &Stream) -> String {
    let upstreams: Vec<String> = stream.upstreams.iter().map(ToString::to_string).collect();
    upstreams.join(", ")
}

/// The command or address by which a stream is published.
fn publishing(stream: &Stream, address: SocketAddr) -> String {
    let host = SocketAddr::new(reachable(address.ip()), address.port());
    let secret = if stream.secret.is_empty() { "" } else { "SECRET/" };
    let push = "ffmpeg -re -i FILE -c copy -f mpegts";
    match (stream.format, stream.protocol) {
        (Format::Ts, InputProtocol::Tcp) => format!("{push} tcp://{host}"),
        (Format::Ts, InputProtocol::Udp) => format!("{push} \"udp://{host}?pkt_size=1316\""),
        (Format::Ts, InputProtocol::Http) => format!("{push} http://{host}/{secret}{}", stream.name),
        (Format::Bytes, InputProtocol::Tcp) => format!("bytes to tcp://{host}"),
        (Format::Bytes, InputProtocol::Udp) => format!("bytes to udp://{host}"),
        (_, InputProtocol::Pull) => upstreams(stream),
        (Format::Messages, _) => format!("messages to udp://{host}, each in a datagram of its own"),
        (Format::Bytes, InputProtocol::Http) => {
            format!("bytes by POST to http://{host}/{secret}{}", stream.name)
        }
    }
}

fn log_input(stream: &Stream, address: SocketAddr) {
    let protocol = match stream.protocol {
        InputProtocol::Tcp => "tcp",
        InputProtocol::Udp => "udp",
        InputProtocol::Http => "http",
        InputProtocol::Pull => "pull",
    };
    log::info!("listening: [{}] {protocol} {address} stream {}", stream.section, stream.name);
}

fn log_pull(stream: &Stream) {
    log::info!("pulling: [{}] stream {} from {}", stream.section, stream.name, upstreams(stream));
}

fn log_output(port: &ReceiverPort, address: SocketAddr) {
    let protocol = match port.protocol {
        ReceiverProtocol::WebSocket => "websocket",
        ReceiverProtocol::Tcp => "tcp",
    };
    log::info!("listening: [{}] {protocol} {address}", port.section);
}

/// An address by which others reach a socket bound to `bound`: for one bound to all addresses, the one that this host
/// would use itself. (Connecting a UDP socket sends nothing; 192.0.2.1 is for documentation, RFC 5737.)
fn reachable(bound: IpAddr) -> IpAddr {
    if !bound.is_unspecified() {
        return bound;
    }
    let outward = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9))?;
        socket.local_addr()
    });
    outward.map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}
