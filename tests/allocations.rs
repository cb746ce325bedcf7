//! On the way from a chunk to its receivers no memory is allocated: not for those that keep up, not for those that are
//! sent many chunks at once, not for those that take a part. In a process of its own, because all of it is counted.

use std::alloc::System;
use std::cell::Cell;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Poll, Token};
use socket2::SockRef;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tsstream::chunk::{Chunk, Entry, Framed, Sealed, SharedChunk};
use tsstream::config::{Buffer, Directory, IpList, ReceiverPort, ReceiverProtocol, Start};
use tsstream::identity::NodeId;
use tsstream::limits;
use tsstream::mailbox::{Mailbox, Newcomer, Service, StreamId, StreamStatus, ToIngest, WorkerId, mailbox};
use tsstream::metrics::{InputMetrics, OutputMetrics};
use tsstream::places::Places;
use tsstream::worker::conn::{Conn, Desk, Next};
use tsstream::worker::leave::Leave;
use tsstream::worker::shard::Shard;
use tsstream::worker::{Settings, directory};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RECEIVERS: usize = 1_000;
const CHUNK_BYTES: usize = 10 * 188;
/// Room for a round of chunks in the kernel, but not for all that is sent to those who don't read.
const KERNEL_BYTES: usize = 32 * 1024;
const LIVE: StreamId = StreamId(0);

#[test]
fn a_chunk_costs_no_allocation() {
    limits::raise_descriptors().unwrap();
    let mut worker = Worker::new();
    // The ring and the lists of the worker grow to their size in the first rounds.
    worker.count_allocations(1, 100);
    for chunks_at_once in [1, 8] {
        let (allocations, writes) = worker.count_allocations(chunks_at_once, 20);
        assert_eq!(writes, 20 * RECEIVERS as u64, "one call each, with {chunks_at_once} chunks");
        assert_eq!(allocations, 0, "{chunks_at_once} chunks at once");
    }
    // Nobody reads any more: first the sockets fill, by a short write each, and then there is nothing to be done.
    let before = worker.tally();
    let allocations = worker.send(&(0..200).map(|_| worker.chunk()).collect::<Vec<_>>(), 40);
    let (writes, bytes) = worker.tally();
    assert!(bytes - before.1 < (200 * RECEIVERS * CHUNK_BYTES) as u64, "nobody was held up");
    assert!(writes > before.0);
    assert_eq!(allocations, 0, "for those held up");
}

/// As much of a worker as lies on the way of a chunk, and the other ends of its receivers.
struct Worker {
    conns: Vec<Conn>,
    peers: Vec<TcpStream>,
    settings: Settings,
    shard: Shard,
    next: Cell<u64>,
    now: Instant,
    _poll: Poll,
    _to_ingest: Mailbox<ToIngest>,
}

impl Worker {
    fn new() -> Worker {
        let buffer = Buffer { time: Duration::from_secs(10), bytes: 64 * CHUNK_BYTES };
        let port = ReceiverPort {
            section: "custom".into(),
            protocol: ReceiverProtocol::Tcp,
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            stream: LIVE,
            filter: IpList::default(),
            origins: None,
            directory: Directory::On,
            start: Start::Keyframe,
            lag_max: Duration::from_secs(2),
            stall_max: Duration::from_secs(10),
        };
        let poll = Poll::new().unwrap();
        let (ingest, to_ingest) = mailbox(16, poll.registry(), Token(0)).unwrap();
        #[allow(clippy::disallowed_methods, reason = "any instant will do")]
        let now = Instant::now();
        let mut worker = Worker {
            conns: Vec::new(),
            peers: Vec::new(),
            settings: Settings {
                streams: vec![("live".into(), buffer)],
                ports: vec![port],
                identity: NodeId::random(),
                input: InputMetrics::new(0).into(),
                metrics: OutputMetrics::new(0, 0, 0).into(),
                trusted_proxies: IpList::default(),
                places: Places::new(0, 0),
            },
            shard: Shard::new([buffer].into_iter(), ingest, WorkerId(0)),
            next: Cell::new(0),
            now,
            _poll: poll,
            _to_ingest: to_ingest,
        };
        let status = StreamStatus { live: true, ..StreamStatus::default() };
        worker.shard.set_status(LIVE, Arc::new(status));
        worker.connect();
        worker.shard.backlog(LIVE, vec![worker.chunk()]);
        (0..RECEIVERS).for_each(|key| worker.call(key, Conn::resume));
        worker
    }

    fn connect(&mut self) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for key in 0..RECEIVERS {
            let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            peer.set_nonblocking(true).unwrap();
            let (socket, address) = listener.accept().unwrap();
            SockRef::from(&peer).set_recv_buffer_size(KERNEL_BYTES).unwrap();
            SockRef::from(&socket).set_send_buffer_size(KERNEL_BYTES).unwrap();
            socket.set_nonblocking(true).unwrap();
            let newcomer = Newcomer {
                socket: mio::net::TcpStream::from_std(socket),
                peer: address,
                service: Service::Port { index: 0 },
                counted: Arc::default(),
            };
            self.conns.push(Conn::new(newcomer, self.now));
            self.peers.push(peer);
            self.call(key, Conn::begin);
        }
    }

    fn call(&mut self, key: usize, act: fn(&mut Conn, &mut Desk) -> Result<Next, Leave>) {
        let (settings, shard) = (&self.settings, &mut self.shard);
        let (input, output) = (Arc::clone(&settings.input), Arc::clone(&settings.metrics));
        let directory = &mut directory::Directory::new(input, output, self.now);
        let mut desk = Desk { key, now: self.now, settings, shard, directory, scratch: &mut [] };
        act(&mut self.conns[key], &mut desk).unwrap();
    }

    fn chunk(&self) -> SharedChunk {
        let sequence = self.next.replace(self.next.get() + 1);
        let sealed = Sealed {
            body: Framed::binary(&[0x47; CHUNK_BYTES]),
            received: self.now,
            entry: sequence.is_multiple_of(25).then(Entry::default),
            follows_discontinuity: false,
            starts_at_frame: true,
        };
        Arc::new(Chunk { sequence, sealed })
    }

    /// Sends as many chunks at once, in so many rounds, to receivers that read. Returns what that took: allocations,
    /// and system calls that sent something.
    fn count_allocations(&mut self, chunks_at_once: usize, rounds: usize) -> (usize, u64) {
        let (writes_before, _) = self.tally();
        let mut allocations = 0;
        for _ in 0..rounds {
            let chunks: Vec<SharedChunk> = (0..chunks_at_once).map(|_| self.chunk()).collect();
            allocations += self.send(&chunks, chunks_at_once);
            let mut piece = [0; 64 * 1024];
            for peer in &mut self.peers {
                while peer.read(&mut piece).is_ok_and(|read| read == piece.len()) {}
            }
        }
        (allocations, self.tally().0 - writes_before)
    }

    /// Hands the chunks to the worker, so many before it looks after its receivers. Returns the allocations.
    fn send(&mut self, chunks: &[SharedChunk], chunks_at_once: usize) -> usize {
        let Worker { conns, settings, shard, now, .. } = self;
        let region = Region::new(ALLOCATOR);
        for chunks in chunks.chunks(chunks_at_once) {
            chunks.iter().for_each(|chunk| shard.chunk(LIVE, Arc::clone(chunk)));
            while shard.is_dirty() {
                shard.visit(256, |key, ring| {
                    conns[key].deliver(settings, ring, *now).unwrap();
                });
            }
        }
        let stats = region.change();
        stats.allocations + stats.reallocations
    }

    /// What all receivers together were sent: system calls and bytes.
    fn tally(&self) -> (u64, u64) {
        let tallies = self.conns.iter().map(Conn::tally);
        tallies.fold((0, 0), |(writes, bytes), tally| (writes + tally.writes, bytes + tally.bytes))
    }
}
