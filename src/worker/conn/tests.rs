//! One connection over a real socket, at times that the test makes up.

use std::net::{Ipv4Addr, TcpListener};

use super::*;
use crate::chunk::{Chunk, Entry, Framed, PAYLOAD_BYTES_MAX, Sealed};
use crate::config::{self, Buffer, IpList, ReceiverPort};
use crate::identity::NodeId;
use crate::mailbox::{Mailbox, StreamStatus, ToIngest, WorkerId, mailbox};
use crate::metrics::{InputMetrics, OutputMetrics};
use crate::places::Places;
use crate::proto::ws::Violation;

const WEB_SOCKET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

const PING: &[u8] = b"\x89\x00";
const PONG_MASKED: &[u8] = b"\x8a\x80mask";
const UNKNOWN_OPCODE_MASKED: &[u8] = b"\x83\x80mask";

/// A connection, its peer, and all that it is given.
struct Bench {
    conn: Conn,
    peer: std::net::TcpStream,
    settings: Settings,
    shard: Shard,
    directory: Directory,
    now: Instant,
    chunks: u64,
    _poll: mio::Poll,
    _to_ingest: Mailbox<ToIngest>,
}

impl Bench {
    fn new(protocol: ReceiverProtocol) -> Bench {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let (socket, address) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        let newcomer = Newcomer {
            socket: TcpStream::from_std(socket),
            peer: address,
            service: Service::Port { index: 0 },
            counted: Arc::default(),
        };
        let buffer = Buffer { time: Duration::from_secs(600), bytes: usize::MAX };
        let port = ReceiverPort {
            section: "custom".into(),
            protocol,
            bind: address,
            stream: StreamId(0),
            filter: IpList::default(),
            origins: None,
            directory: config::Directory::On,
            start: Start::Keyframe,
            lag_max: Duration::from_secs(2),
            stall_max: Duration::from_secs(10),
        };
        let poll = mio::Poll::new().unwrap();
        let (ingest, to_ingest) = mailbox(16, poll.registry(), mio::Token(0)).unwrap();
        #[allow(clippy::disallowed_methods, reason = "any instant will do to begin with")]
        let now = Instant::now();
        let mut bench = Bench {
            conn: Conn::new(newcomer, now),
            peer,
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
            directory: Directory::new(InputMetrics::new(0).into(), OutputMetrics::new(0, 0, 0).into(), now),
            now,
            chunks: 0,
            _poll: poll,
            _to_ingest: to_ingest,
        };
        let begun = bench.call(Conn::begin);
        assert_eq!(bench.call_back(begun), Ok(Next::Wait));
        bench
    }

    fn call(&mut self, act: fn(&mut Conn, &mut Desk) -> Result<Next, Leave>) -> Result<Next, Leave> {
        let mut scratch = vec![0; 16 * 1024];
        let mut desk = Desk {
            key: 0,
            now: self.now,
            settings: &self.settings,
            shard: &mut self.shard,
            directory: &mut self.directory,
            scratch: &mut scratch,
        };
        act(&mut self.conn, &mut desk)
    }

    /// The peer says something, and the connection hears it.
    fn say(&mut self, said: &[u8]) -> Result<Next, Leave> {
        self.peer.write_all(said).unwrap();
        self.hear()
    }

    /// What the peer has said is there, and the connection is told; it is called back for as long as it wants.
    fn hear(&mut self) -> Result<Next, Leave> {
        while self.conn.socket.peek(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {}
        let next = self.call(Conn::readable);
        self.call_back(next)
    }

    /// Calls the connection back for as long as it wants.
    fn call_back(&mut self, mut next: Result<Next, Leave>) -> Result<Next, Leave> {
        while next == Ok(Next::Resume) {
            next = self.call(Conn::resume);
        }
        next
    }

    fn after(&mut self, time: Duration) -> Result<Next, Leave> {
        self.now += time;
        self.call(Conn::tick)
    }

    /// What the peer gets, so many bytes of it.
    fn heard(&mut self, bytes: usize) -> Vec<u8> {
        let mut heard = vec![0; bytes];
        self.peer.read_exact(&mut heard).unwrap();
        heard
    }

    /// All that the peer gets up to the end.
    fn heard_to_end(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        self.peer.read_to_end(&mut heard).unwrap();
        heard
    }

    /// The peer reads again, until the connection has said its last word.
    fn unblock(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        let mut piece = vec![0; 1 << 20];
        while matches!(self.conn.state, State::Streaming(..)) {
            let read = self.peer.read(&mut piece).unwrap();
            heard.extend_from_slice(&piece[..read]);
            let next = self.call(Conn::writable);
            self.call_back(next).unwrap();
        }
        heard.extend(self.heard_to_end());
        heard
    }

    fn open_web_socket(&mut self) {
        assert_eq!(self.say(WEB_SOCKET), Ok(Next::Wait));
        let head = self.heard(129);
        assert!(head.starts_with(b"HTTP/1.1 101 ") && head.ends_with(b"\r\n\r\n"), "{}", head.escape_ascii());
    }

    /// A publisher has come, and the worker has been told.
    fn go_live(&mut self) {
        let status = StreamStatus { live: true, ..StreamStatus::default() };
        self.shard.set_status(StreamId(0), Arc::new(status));
        self.shard.backlog(StreamId(0), Vec::new());
    }

    /// The stream's next chunk has come.
    fn push(&mut self, bytes: usize) {
        let sealed = Sealed {
            body: Framed::binary(&vec![7; bytes]),
            received: self.now,
            entry: (self.chunks == 0).then(Entry::default),
            follows_discontinuity: false,
            starts_at_frame: true,
        };
        self.shard.chunk(StreamId(0), Arc::new(Chunk { sequence: self.chunks, sealed }));
        self.chunks += 1;
    }

    fn deliver(&mut self, bytes: usize) -> Result<Next, Leave> {
        self.push(bytes);
        let next = self.conn.deliver(&self.settings, self.shard.ring(StreamId(0)), self.now);
        self.call_back(next)
    }

    /// Delivers until the peer, which doesn't read, holds it up.
    fn block(&mut self) {
        self.go_live();
        while !matches!(&self.conn.state, State::Streaming(streaming, _) if streaming.is_blocked()) {
            self.deliver(PAYLOAD_BYTES_MAX).unwrap();
            assert!(self.chunks < 10_000, "nothing holds it up");
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_connection_is_small() {
    println!("a connection has {} bytes", size_of::<Conn>());
    assert!(size_of::<Conn>() <= 456, "{}", size_of::<Conn>());
}

#[test]
fn a_request_must_come_in_time_however_slowly() {
    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    assert_eq!(bench.after(HEAD_TIME_MAX), Err(Leave::Silent), "nothing at all");

    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    for byte in b"GET " {
        assert_eq!(bench.say(&[*byte]), Ok(Next::Wait));
        assert_eq!(bench.after(SECOND), Ok(Next::Wait));
    }
    assert_eq!(bench.say(b"/"), Ok(Next::Wait));
    assert_eq!(bench.after(SECOND), Ok(Next::Resume));
    assert_eq!(bench.conn.leave, Some(Leave::Silent));
    assert!(bench.heard_to_end().starts_with(b"HTTP/1.1 408 "));
    assert_eq!(bench.after(LINGER_TIME_MAX), Err(Leave::ClosedByReceiver), "it does not hang up");
}

#[test]
fn a_kept_alive_connection_is_not_kept_for_ever() {
    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    let request = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(bench.say(request), Ok(Next::Wait));
    assert_eq!(bench.after(KEEP_ALIVE_TIME_MAX - SECOND), Ok(Next::Wait));
    assert_eq!(bench.say(request), Ok(Next::Wait));
    assert_eq!(bench.after(KEEP_ALIVE_TIME_MAX - SECOND), Ok(Next::Wait));
    assert_eq!(bench.after(SECOND), Err(Leave::Silent));
}

#[test]
fn an_answer_must_be_taken_in_time() {
    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    while !matches!(bench.conn.state, State::Answer { .. }) {
        assert!(bench.peer.write(request).unwrap() == request.len());
        assert_eq!(bench.hear(), Ok(Next::Wait));
    }
    assert_eq!(bench.say(request), Ok(Next::Wait), "more requests stay in the socket");
    assert_eq!(bench.after(ANSWER_TIME_MAX - SECOND), Ok(Next::Wait));
    assert_eq!(bench.after(SECOND), Err(Leave::Stalled));
}

#[test]
fn pipelined_requests_wait_in_bounded_memory() {
    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    let request = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut piece = [0; 4096];
    assert_eq!(bench.say(request), Ok(Next::Wait));
    let answer_bytes = bench.peer.read(&mut piece).unwrap();
    let count = 2000;
    bench.peer.write_all(&request.repeat(count)).unwrap();
    bench.peer.set_nonblocking(true).unwrap();
    let (mut next, mut largest, mut taken) = (bench.call(Conn::readable), 0, 0);
    while taken < count * answer_bytes {
        // Each turn may bring an event as well, by which more would be read.
        next = if next == Ok(Next::Resume) { bench.call(Conn::resume) } else { next };
        assert!(bench.call(Conn::readable).is_ok() && next.is_ok());
        let gathered = match &bench.conn.state {
            State::Head { bytes, .. } | State::Answer { rest: bytes, .. } => bytes.len(),
            _ => panic!("neither a request nor an answer"),
        };
        largest = largest.max(gathered);
        taken += bench.peer.read(&mut piece).unwrap_or_default();
    }
    assert!(largest > 0 && largest <= http::HEAD_BYTES_MAX + 16 * 1024, "{largest}");
}

#[test]
fn a_silent_web_socket_is_pinged_and_must_answer() {
    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    bench.open_web_socket();
    for _ in 0..3 {
        assert_eq!(bench.after(PING_AFTER - SECOND), Ok(Next::Wait));
        assert_eq!(bench.after(SECOND), Ok(Next::Wait));
        assert_eq!(bench.heard(2), PING);
        assert_eq!(bench.after(SECOND), Ok(Next::Wait), "once");
        assert_eq!(bench.say(PONG_MASKED), Ok(Next::Wait));
    }
    assert_eq!(bench.after(PING_AFTER), Ok(Next::Wait));
    assert_eq!(bench.heard(2), PING);
    assert_eq!(bench.after(PONG_TIME_MAX - SECOND), Ok(Next::Wait));
    assert_eq!(bench.say(b"\x81\x80mask"), Ok(Next::Wait), "a message shows as well that it is alive");
    assert_eq!(bench.after(SECOND), Ok(Next::Wait));
    assert_eq!(bench.heard(2), PING);
    assert_eq!(bench.after(PONG_TIME_MAX - SECOND), Ok(Next::Wait));
    assert_eq!(bench.after(SECOND), Err(Leave::NoPong));
}

#[test]
fn a_web_socket_that_is_sent_the_stream_is_not_pinged() {
    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    bench.open_web_socket();
    bench.go_live();
    for _ in 0..120 {
        assert_eq!(bench.deliver(100), Ok(Next::Wait));
        assert_eq!(bench.after(SECOND), Ok(Next::Wait));
        assert_eq!(bench.heard(102)[..2], [0x82, 100]);
    }
}

#[test]
fn a_web_socket_that_takes_the_stream_need_not_answer_a_ping_that_came_before() {
    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    bench.open_web_socket();
    assert_eq!(bench.after(PING_AFTER), Ok(Next::Wait));
    assert_eq!(bench.heard(2), PING);
    bench.go_live();
    for _ in 0..120 {
        assert_eq!(bench.deliver(100), Ok(Next::Wait));
        assert_eq!(bench.after(SECOND), Ok(Next::Wait));
    }
}

#[test]
fn a_newcomer_waits_for_its_turn_until_it_has_caught_up() {
    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    bench.peer.write_all(WEB_SOCKET).unwrap();
    while bench.conn.socket.peek(&mut [0]).is_err() {}
    assert_eq!(bench.call(Conn::readable), Ok(Next::Resume));
    assert_eq!(bench.conn.tally(), Tally::default(), "its request has not been read");
    assert_eq!(bench.call(Conn::resume), Ok(Next::Wait));
    bench.heard(129);

    bench.go_live();
    let sent_before = bench.conn.tally();
    let deliver =
        |bench: &mut Bench| bench.conn.deliver(&bench.settings, bench.shard.ring(StreamId(0)), bench.now);
    assert_eq!(deliver(&mut bench), Ok(Next::Resume), "there is nothing yet that it could begin with");
    assert_eq!(bench.call(Conn::resume), Ok(Next::Wait));
    assert_eq!(bench.conn.tally(), sent_before);
    bench.push(100);
    assert_eq!(deliver(&mut bench), Ok(Next::Resume), "a visit does not send it what it begins with");
    assert_eq!(bench.conn.tally(), sent_before);
    assert_eq!(bench.call(Conn::resume), Ok(Next::Wait));
    assert_eq!(bench.heard(102)[..2], [0x82, 100]);
    bench.push(100);
    assert_eq!(deliver(&mut bench), Ok(Next::Wait), "from now on it does");
    assert_eq!(bench.heard(102)[..2], [0x82, 100]);
}

#[test]
fn nothing_is_heard_after_a_violation() {
    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    bench.open_web_socket();
    bench.block();
    // The answer can't go out, so the connection stays; what is said meanwhile makes no sense any more.
    let violation = Leave::Violation(Violation::Protocol("unknown opcode"));
    for _ in 0..40 {
        assert_eq!(bench.say(UNKNOWN_OPCODE_MASKED), Ok(Next::Wait));
        assert_eq!(bench.conn.leave, Some(violation));
    }
    let heard = bench.unblock();
    assert!(
        heard.ends_with(b"\x88\x10\x03\xeaunknown opcode"),
        "{}",
        heard[heard.len() - 20..].escape_ascii()
    );
}

#[test]
fn who_takes_nothing_is_given_up_and_who_waits_for_a_stream_is_not() {
    let mut bench = Bench::new(ReceiverProtocol::Tcp);
    assert_eq!(bench.after(3600 * SECOND), Ok(Next::Wait), "there is no stream yet");
    bench.block();
    assert_eq!(bench.after(9 * SECOND), Ok(Next::Wait));
    assert_eq!(bench.after(SECOND), Err(Leave::Stalled));
    let tally = bench.conn.tally();
    assert!(tally.bytes > 0 && tally.writes > 0 && tally.skips == 0, "{tally:?}");
}

#[test]
fn goodbye_comes_after_the_chunk_in_flight() {
    for protocol in [ReceiverProtocol::WebSocket, ReceiverProtocol::Tcp] {
        let mut bench = Bench::new(protocol);
        let mut frame_bytes = PAYLOAD_BYTES_MAX;
        if protocol == ReceiverProtocol::WebSocket {
            bench.open_web_socket();
            frame_bytes += 4;
        }
        bench.block();
        assert_eq!(bench.call(Conn::drain), Ok(Next::Wait));
        let heard = bench.unblock();
        let goodbye: &[u8] = match protocol {
            ReceiverProtocol::WebSocket => b"\x88\x14\x03\xe9the node is ending",
            ReceiverProtocol::Tcp => b"",
        };
        assert!(heard.ends_with(goodbye));
        assert_eq!((heard.len() - goodbye.len()) % frame_bytes, 0, "whole chunks");
        assert_eq!(bench.conn.leave, Some(Leave::NodeEnds));
    }
}

#[test]
fn who_has_shut_its_side_is_served_until_it_is_gone() {
    let mut bench = Bench::new(ReceiverProtocol::Tcp);
    bench.go_live();
    bench.peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.hear(), Ok(Next::Wait));
    for _ in 0..30 {
        assert_eq!(bench.deliver(100), Ok(Next::Wait));
        assert_eq!(bench.after(SECOND), Ok(Next::Wait));
        assert_eq!(bench.heard(100).len(), 100);
    }
    assert_eq!(bench.after(8 * SECOND), Ok(Next::Wait));
    assert_eq!(
        bench.after(SECOND),
        Err(Leave::ClosedByReceiver),
        "there is nothing to tell whether it is there"
    );

    let mut bench = Bench::new(ReceiverProtocol::WebSocket);
    bench.open_web_socket();
    bench.peer.shutdown(Shutdown::Write).unwrap();
    assert_eq!(bench.hear(), Err(Leave::ClosedByReceiver), "a WebSocket can't even say pong then");
}
