//! The input side under test, with the test as its worker.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};
use socket2::{Domain, Socket, Type};
use tsstream::chunk::SharedChunk;
use tsstream::config::{Authority, Buffer, Format, InputProtocol, Secret, Stream, Takeover};
use tsstream::identity::NodeId;
use tsstream::ingest::Ingest;
use tsstream::mailbox::{Mailbox, Sender, StreamId, StreamStatus, ToIngest, ToWorker, WorkerId, mailbox};
use tsstream::metrics::InputMetrics;

/// No wait in a test is longer; only a failure takes so long.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A stream of opaque bytes that is taken in on a free port of the loopback address.
pub fn stream(name: &str, protocol: InputProtocol) -> Stream {
    Stream {
        name: name.to_owned(),
        section: format!("backstream.{name}"),
        format: Format::Bytes,
        protocol,
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        source: None,
        interface: None,
        upstreams: Vec::new(),
        secret: Secret::default(),
        timeout: PATIENCE * 2,
        takeover: Takeover::SameAddress,
        coalesce: Duration::from_millis(1),
        quiet: None,
        buffer: Buffer { time: PATIENCE * 2, bytes: 16 << 20 },
    }
}

/// The input side, running.
pub struct Node {
    pub metrics: Arc<InputMetrics>,
    /// What the worker has been told, by stream.
    pub seen: BTreeMap<StreamId, Seen>,
    addresses: Vec<(StreamId, SocketAddr)>,
    to_ingest: Sender<ToIngest>,
    poll: Poll,
    mailbox: Mailbox<ToWorker>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
pub struct Seen {
    pub statuses: Vec<StreamStatus>,
    pub chunks: Vec<SharedChunk>,
    pub backlogs: usize,
}

impl Seen {
    pub fn bytes(&self) -> Vec<u8> {
        self.chunks.iter().flat_map(|chunk| chunk.sealed.body.payload()).copied().collect()
    }

    pub fn live(&self) -> bool {
        self.statuses.last().is_some_and(|status| status.live)
    }

    pub fn sequences(&self) -> Vec<u64> {
        self.chunks.iter().map(|chunk| chunk.sequence).collect()
    }
}

impl Node {
    pub fn start(streams: &[Stream]) -> Node {
        Node::start_with(streams, Authority::Anyone, 1024)
    }

    pub fn start_with(streams: &[Stream], authority: Authority, mailbox_capacity: usize) -> Node {
        let (ingest, to_ingest) =
            Ingest::bind(streams, authority, NodeId::random()).expect("the loopback has free ports");
        Node::run(ingest, to_ingest, mailbox_capacity)
    }

    pub fn run(ingest: Ingest, to_ingest: Sender<ToIngest>, mailbox_capacity: usize) -> Node {
        let addresses = ingest.addresses();
        let poll = Poll::new().unwrap();
        let (sender, mailbox) = mailbox(mailbox_capacity, poll.registry(), Token(0)).unwrap();
        Node {
            metrics: ingest.metrics(),
            seen: addresses.iter().map(|(id, _)| (*id, Seen::default())).collect(),
            addresses,
            to_ingest,
            poll,
            mailbox,
            thread: Some(std::thread::spawn(move || ingest.run(vec![sender]))),
        }
    }

    /// Where the stream is taken in.
    pub fn address(&self, stream: usize) -> SocketAddr {
        self.addresses.iter().find(|(id, _)| id.0 == stream).expect("every stream has an address").1
    }

    pub fn subscribe(&mut self, stream: usize) {
        self.to_ingest.post(ToIngest::Subscribe(WorkerId(0), StreamId(stream))).unwrap();
        self.to_ingest.flush();
    }

    pub fn unsubscribe(&mut self, stream: usize) {
        self.to_ingest.post(ToIngest::Unsubscribe(WorkerId(0), StreamId(stream))).unwrap();
        self.to_ingest.flush();
    }

    /// Reads the mailbox until the stream is as `is_there` wants it.
    #[track_caller]
    pub fn until(&mut self, stream: usize, what: &str, is_there: impl Fn(&Seen) -> bool) -> &Seen {
        self.until_any(what, |node| is_there(&node.seen[&StreamId(stream)]));
        &self.seen[&StreamId(stream)]
    }

    /// The same for conditions that are not about one stream.
    #[track_caller]
    pub fn until_any(&mut self, what: &str, is_there: impl Fn(&Node) -> bool) {
        let end = now() + PATIENCE;
        let mut events = Events::with_capacity(8);
        while !is_there(self) {
            assert!(now() < end, "never: {what}; {:?}", self.seen);
            self.poll.poll(&mut events, Some(Duration::from_millis(10))).unwrap();
            self.read_mail();
        }
    }

    fn read_mail(&mut self) {
        self.mailbox.look();
        while let Some(message) = self.mailbox.take() {
            match message {
                ToWorker::Status(id, status) => {
                    self.seen.entry(id).or_default().statuses.push(StreamStatus::clone(&status));
                }
                ToWorker::Backlog(id, chunks) => {
                    let seen = self.seen.entry(id).or_default();
                    seen.backlogs += 1;
                    seen.chunks.extend(chunks);
                }
                ToWorker::Chunk(id, chunk) => self.seen.entry(id).or_default().chunks.push(chunk),
                other => panic!("ingest has no business sending {other:?}"),
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.to_ingest.post(ToIngest::Stop);
        self.to_ingest.flush();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the ingest thread panicked");
        }
    }
}

/// A connection from an address of ours.
pub fn connect_from(from: impl Into<IpAddr>, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from.into(), 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// A connection.
pub fn connect(to: SocketAddr) -> TcpStream {
    connect_from([127, 0, 0, 1], to)
}

/// Waits until the other end has closed; returns what it sent before.
#[track_caller]
pub fn read_to_close(socket: &mut TcpStream) -> String {
    let mut sent = Vec::new();
    match socket.read_to_end(&mut sent) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => String::from_utf8(sent).unwrap(),
    }
}

/// Sends a request; returns the connection.
pub fn request(to: SocketAddr, request: &str) -> TcpStream {
    let mut socket = connect(to);
    socket.write_all(request.as_bytes()).unwrap();
    socket
}

/// Bytes in which nothing repeats soon.
pub fn noise(len: usize) -> Vec<u8> {
    (0..len as u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

#[allow(clippy::disallowed_methods)] // To give up at some time.
fn now() -> Instant {
    Instant::now()
}
