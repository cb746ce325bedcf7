//! A tap between ffmpeg and a node: passes everything on as it came and keeps a copy of what was published.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::wait_until;

/// The most that a tap keeps.
const RECORD_BYTES_MAX: usize = 512 << 20;

/// Room for datagrams that the tap has not passed on yet.
const UDP_BUFFER_BYTES: usize = 4 << 20;

/// A running tap. It serves one publisher after the other and ends with the value.
pub struct Tap {
    /// Where the publisher is to push to.
    pub address: SocketAddr,
    record: Arc<Mutex<Vec<u8>>>,
    carrier: Carrier,
    stop: Arc<AtomicBool>,
    /// Connections that have been passed on to their end; times that no datagram was there.
    ends: Arc<AtomicUsize>,
    is_datagrams: bool,
}

/// What is around the stream in what was recorded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carrier {
    Nothing,
    HttpChunks,
}

/// What is around the stream in each datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Datagram {
    Bare,
    Rtp,
}

/// Bytes of an RTP header as ffmpeg writes it (RFC 3550 §5.1 without contributing sources).
const RTP_HEADER_BYTES: usize = 12;

impl Tap {
    /// In front of a TCP input.
    pub fn tcp(node: SocketAddr) -> Tap {
        Tap::connections(node, Carrier::Nothing)
    }

    /// In front of an HTTP input that is pushed to in chunks.
    pub fn http(node: SocketAddr) -> Tap {
        Tap::connections(node, Carrier::HttpChunks)
    }

    /// In front of a UDP input.
    pub fn udp(node: SocketAddr) -> Tap {
        Tap::datagrams(Some(node), bind_udp((Ipv4Addr::LOCALHOST, 0).into()), Datagram::Bare)
    }

    /// In front of a UDP input that is sent RTP.
    pub fn rtp(node: SocketAddr) -> Tap {
        Tap::datagrams(Some(node), bind_udp((Ipv4Addr::LOCALHOST, 0).into()), Datagram::Rtp)
    }

    /// Beside a UDP input that has joined `group`: the tap joins it as well, on loopback.
    pub fn multicast(group: SocketAddrV4) -> Tap {
        let socket = bind_udp(group.into());
        socket.join_multicast_v4(group.ip(), &Ipv4Addr::LOCALHOST).expect("a group can be joined");
        Tap::datagrams(None, socket, Datagram::Bare)
    }

    /// Waits until all that a publisher has sent that has ended is passed on and recorded.
    #[track_caller]
    pub fn wait_for_end(&self) {
        let ends = || self.ends.load(Ordering::Acquire);
        let before = if self.is_datagrams { ends() } else { 0 };
        wait_until("the tap to have passed on all", || ends() > before);
    }

    /// The stream as published up to now.
    pub fn published(&self) -> Vec<u8> {
        let record = self.record.lock().expect("the record is whole").clone();
        match self.carrier {
            Carrier::Nothing => record,
            Carrier::HttpChunks => body_of_chunks(&record),
        }
    }

    fn connections(node: SocketAddr, carrier: Carrier) -> Tap {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let tap = Tap {
            address,
            record: Arc::default(),
            carrier,
            stop: Arc::default(),
            ends: Arc::default(),
            is_datagrams: false,
        };
        let (record, stop, ends) = (Arc::clone(&tap.record), Arc::clone(&tap.stop), Arc::clone(&tap.ends));
        thread::spawn(move || {
            for publisher in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let _ = carry(publisher, node, &record);
                ends.fetch_add(1, Ordering::Release);
            }
        });
        tap
    }

    fn datagrams(node: Option<SocketAddr>, socket: UdpSocket, datagram: Datagram) -> Tap {
        let address = socket.local_addr().expect("it is bound");
        let tap = Tap {
            address,
            record: Arc::default(),
            carrier: Carrier::Nothing,
            stop: Arc::default(),
            ends: Arc::default(),
            is_datagrams: true,
        };
        let (record, stop, ends) = (Arc::clone(&tap.record), Arc::clone(&tap.stop), Arc::clone(&tap.ends));
        thread::spawn(move || {
            let onward = UdpSocket::bind(("0.0.0.0", 0)).expect("a socket");
            let mut bytes = vec![0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut bytes) else {
                    ends.fetch_add(1, Ordering::Release);
                    continue;
                };
                let header = if datagram == Datagram::Rtp { RTP_HEADER_BYTES } else { 0 };
                if let Some(node) = node {
                    // An answer of "nobody there" to an earlier datagram is not this one's.
                    let _ = onward.send_to(&bytes[..length], node);
                }
                keep(&record, &bytes[header.min(length)..length]);
            }
        });
        tap
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts; the one for datagrams looks by itself.
        drop(TcpStream::connect_timeout(&self.address, Duration::from_millis(100)));
    }
}

fn bind_udp(address: SocketAddr) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
    socket.set_reuse_address(true).expect("SO_REUSEADDR can be set");
    socket.set_recv_buffer_size(UDP_BUFFER_BYTES).expect("SO_RCVBUF can be set");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out can be set");
    socket.bind(&address.into()).unwrap_or_else(|error| panic!("{address}: {error}"));
    socket.into()
}

/// Both ways until either end closes.
fn carry(mut publisher: TcpStream, node: SocketAddr, record: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut onward = TcpStream::connect(node)?;
    onward.set_nodelay(true)?;
    let (mut answer_from, mut answer_to) = (onward.try_clone()?, publisher.try_clone()?);
    let answers = thread::spawn(move || {
        let _ = io::copy(&mut answer_from, &mut answer_to);
        let _ = answer_to.shutdown(Shutdown::Both);
    });
    let mut piece = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = publisher.read(&mut piece) {
        keep(record, &piece[..length]);
        if onward.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    let _ = onward.shutdown(Shutdown::Write);
    let _ = answers.join();
    Ok(())
}

fn keep(record: &Mutex<Vec<u8>>, bytes: &[u8]) {
    let mut record = record.lock().expect("the record is whole");
    assert!(record.len() + bytes.len() <= RECORD_BYTES_MAX, "a record is bounded");
    record.extend_from_slice(bytes);
}

/// The content of the chunks of an HTTP request as far as it goes (RFC 9112 §7.1); ffmpeg uses no extensions.
fn body_of_chunks(request: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let Some(head) = find(request, b"\r\n\r\n") else { return body };
    let mut rest = &request[head + 4..];
    while let Some(line) = find(rest, b"\r\n") {
        let size = std::str::from_utf8(&rest[..line])
            .ok()
            .and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
        let size = size.expect("a chunk begins with its size");
        let start = line + 2;
        body.extend_from_slice(&rest[start..rest.len().min(start + size)]);
        rest = rest.get(start + size + 2..).unwrap_or_default();
        if size == 0 {
            break;
        }
    }
    body
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
