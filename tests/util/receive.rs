//! Receivers of every protocol: each captures on a thread of its own.

use std::hash::{DefaultHasher, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tungstenite::{Message, WebSocket};

use super::{SOON, wait_until};

/// The most that one receiver keeps.
const CAPTURE_BYTES_MAX: usize = 512 << 20;

/// How to receive a stream.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// WebSocket, with the path: `/NAME`.
    WebSocket(String),
    /// HTTP-TS, with the path: `/NAME.ts`.
    Http(String),
    /// Nothing but the stream.
    Tcp,
}

/// What becomes of what arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All of it is kept.
    Bytes,
    /// Its length and hash are.
    Hash,
}

/// Options of a receiver; the default takes all it can get.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What to keep.
    pub keep: Keep,
    /// Read no more than so much.
    pub bytes_per_second: Option<u64>,
    /// Size of the kernel's receive buffer.
    pub buffer_bytes: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Options { keep: Keep::Bytes, bytes_per_second: None, buffer_bytes: None }
    }
}

/// What has arrived.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    /// Empty with [`Keep::Hash`].
    pub bytes: Vec<u8>,
    /// How many bytes have arrived.
    pub length: u64,
    /// Lengths of the WebSocket messages.
    pub messages: Vec<usize>,
    /// Why no more will arrive.
    pub ended: Option<String>,
    hasher: DefaultHasher,
}

/// A connected receiver, disconnected with the value.
pub struct Receiver {
    socket: TcpStream,
    capture: Arc<Mutex<Capture>>,
    thread: Option<JoinHandle<()>>,
}

impl Receiver {
    /// Connects and captures everything.
    #[track_caller]
    pub fn open(address: SocketAddr, protocol: &Protocol) -> Receiver {
        Receiver::open_with(address, protocol, Options::default())
    }

    /// Connects and captures as `options` say.
    #[track_caller]
    pub fn open_with(address: SocketAddr, protocol: &Protocol, options: Options) -> Receiver {
        Receiver::of_with(connect(address, options.buffer_bytes), protocol, options)
    }

    /// Captures everything that comes by a connection.
    #[track_caller]
    pub fn of(socket: TcpStream, protocol: &Protocol) -> Receiver {
        Receiver::of_with(socket, protocol, Options::default())
    }

    #[track_caller]
    fn of_with(socket: TcpStream, protocol: &Protocol, options: Options) -> Receiver {
        let mut source = begin(socket.try_clone().expect("a socket can be cloned"), protocol);
        let capture = Arc::new(Mutex::new(Capture::default()));
        let thread = thread::spawn({
            let capture = Arc::clone(&capture);
            move || {
                let ended = receive(&mut source, options, &capture);
                let mut capture = capture.lock().expect("the capture is whole");
                capture.ended =
                    Some(ended.map_or_else(|error| error.to_string(), |()| "closed in order".into()));
            }
        });
        Receiver { socket, capture, thread: Some(thread) }
    }

    /// The address by which the node knows it.
    pub fn peer(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is connected")
    }

    /// How many bytes have arrived.
    pub fn length(&self) -> u64 {
        self.capture.lock().expect("the capture is whole").length
    }

    /// Why no more will arrive, if so.
    pub fn ended(&self) -> Option<String> {
        self.capture.lock().expect("the capture is whole").ended.clone()
    }

    /// What has arrived so far.
    pub fn so_far(&self) -> Capture {
        self.capture.lock().expect("the capture is whole").clone()
    }

    /// Whether what has arrived ends in `tail`.
    pub fn ends_with(&self, tail: &[u8]) -> bool {
        self.capture.lock().expect("the capture is whole").bytes.ends_with(tail)
    }

    /// Waits until `bytes` have arrived.
    #[track_caller]
    pub fn wait_for_bytes(&self, bytes: u64) {
        wait_until(&format!("{bytes} bytes to arrive"), || {
            if let Some(reason) = self.ended() {
                assert!(self.length() >= bytes, "{} of {bytes} bytes arrived: {reason}", self.length());
            }
            self.length() >= bytes
        });
    }

    /// Says that it has nothing more to say, and reads on.
    pub fn shut(&self) {
        self.socket.shutdown(Shutdown::Write).expect("it is connected");
    }

    /// Disconnects and hands out what has arrived.
    pub fn close(mut self) -> Capture {
        self.disconnect();
        std::mem::take(&mut *self.capture.lock().expect("the capture is whole"))
    }

    fn disconnect(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.disconnect();
    }
}

/// Connects, if need be with a small receive buffer, which has to be set before.
#[track_caller]
pub fn connect(address: SocketAddr, buffer_bytes: Option<usize>) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    if let Some(bytes) = buffer_bytes {
        socket.set_recv_buffer_size(bytes).expect("the receive buffer can be set");
    }
    socket
        .connect_timeout(&address.into(), SOON)
        .unwrap_or_else(|error| panic!("no connection to {address}: {error}"));
    socket.into()
}

/// Where the bytes of a stream come from.
pub enum Source {
    /// In messages.
    Messages(Box<WebSocket<TcpStream>>),
    /// As they come.
    Bytes(TcpStream),
    /// In the chunks that a proxy makes for HTTP/1.1 (RFC 9112 §7.1).
    Chunks(BufReader<TcpStream>),
}

/// Connects from an address of this machine, such as any of 127.0.0.0/8.
#[track_caller]
pub fn connect_from(from: IpAddr, address: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::new(from, 0).into()).expect("an address of this machine");
    socket
        .connect_timeout(&address.into(), SOON)
        .unwrap_or_else(|error| panic!("no connection from {from} to {address}: {error}"));
    socket.into()
}

/// Asks for the stream on a fresh connection.
#[track_caller]
pub fn begin(socket: TcpStream, protocol: &Protocol) -> Source {
    socket.set_read_timeout(Some(SOON)).expect("a time-out can be set");
    let source = match protocol {
        Protocol::Tcp => Source::Bytes(socket.try_clone().expect("a socket can be cloned")),
        Protocol::WebSocket(path) => {
            let url = format!("ws://{}{path}", socket.peer_addr().expect("it is connected"));
            let stream = socket.try_clone().expect("a socket can be cloned");
            let (web_socket, _) =
                tungstenite::client(&*url, stream).unwrap_or_else(|error| panic!("{url}: {error}"));
            Source::Messages(Box::new(web_socket))
        }
        Protocol::Http(path) => {
            let mut stream = socket.try_clone().expect("a socket can be cloned");
            write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\n\r\n").expect("the request can be sent");
            let head = read_head(&mut stream).unwrap_or_else(|error| panic!("GET {path}: {error}"));
            assert!(head.starts_with("HTTP/1.1 200 "), "GET {path}: {head}");
            let lowercase = head.to_lowercase();
            assert!(lowercase.contains("content-type: video/mp2t"), "GET {path}: {head}");
            if lowercase.contains("transfer-encoding: chunked") {
                Source::Chunks(BufReader::new(stream))
            } else {
                Source::Bytes(stream)
            }
        }
    };
    socket.set_read_timeout(None).expect("a time-out can be unset");
    source
}

/// The head of an HTTP message, byte by byte so as not to take any of the body.
pub fn read_head(stream: &mut impl Read) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > 16 * 1024 {
            return Err(io::Error::other("the head does not end"));
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// `None` after the last chunk.
fn read_chunk(stream: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let size = usize::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
    if size > CAPTURE_BYTES_MAX {
        return Err(io::Error::other(format!("a chunk of {size} bytes")));
    }
    // A line end follows.
    let mut chunk = vec![0; size + 2];
    stream.read_exact(&mut chunk)?;
    chunk.truncate(size);
    Ok((size > 0).then_some(chunk))
}

fn receive(source: &mut Source, options: Options, capture: &Mutex<Capture>) -> io::Result<()> {
    let start = Instant::now();
    let piece_bytes = if options.bytes_per_second.is_some() { 4 * 1024 } else { 256 * 1024 };
    let mut piece = vec![0; piece_bytes];
    loop {
        let received = match source {
            Source::Bytes(stream) => match stream.read(&mut piece)? {
                0 => return Ok(()),
                count => piece[..count].to_vec(),
            },
            Source::Chunks(stream) => match read_chunk(stream)? {
                None => return Ok(()),
                Some(chunk) => chunk,
            },
            Source::Messages(web_socket) => match web_socket.read().map_err(io::Error::other)? {
                Message::Binary(bytes) => bytes.to_vec(),
                Message::Close(frame) => return Err(io::Error::other(format!("closed: {frame:?}"))),
                _ => continue,
            },
        };
        let length = capture.lock().expect("the capture is whole").add(&received, source, options.keep);
        if let Some(rate) = options.bytes_per_second {
            let due = Duration::from_secs_f64(length as f64 / rate as f64);
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
}

impl Capture {
    /// Hash of all bytes that have arrived.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    fn add(&mut self, received: &[u8], source: &Source, keep: Keep) -> u64 {
        self.length += received.len() as u64;
        self.hasher.write(received);
        if let Source::Messages(_) = source {
            self.messages.push(received.len());
        }
        match keep {
            Keep::Bytes => {
                assert!(self.bytes.len() + received.len() <= CAPTURE_BYTES_MAX, "a capture is bounded");
                self.bytes.extend_from_slice(received);
            }
            Keep::Hash => {}
        }
        self.length
    }
}
