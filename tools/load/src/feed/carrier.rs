//! How a burst gets to the server: bare, in datagrams, in RTP, in chunks of HTTP, in WebSocket messages.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use rustix::net::{RecvFlags, recv};

use crate::address::{Address, Scheme};
use crate::handshake::{self, WEBSOCKET_REQUEST_FIELDS};

/// So long a server may take to accept a connection, answer a request, or take a burst.
const PATIENCE: Duration = Duration::from_secs(5);

/// Seven packets behind an RTP header, as is usual (RFC 2250 §2).
const RTP_PAYLOAD_BYTES: usize = 1316;

/// An open connection to a server that is fed.
#[derive(Debug)]
pub(super) struct Carrier {
    address: String,
    way: Way,
    /// What is sent for one burst, where it is not the burst itself.
    message: Vec<u8>,
}

#[derive(Debug)]
enum Way {
    Tcp(TcpStream),
    Udp { socket: UdpSocket, datagram_bytes: usize },
    Rtp { socket: UdpSocket, sequence: u16 },
    Http(TcpStream),
    WebSocket { socket: TcpStream, mask: u32 },
}

impl Carrier {
    /// Connects to `address`.
    pub(super) fn open(address: &Address) -> Result<Carrier, String> {
        let explained = |error: io::Error| format!("feed {address}: {}", explain(&error));
        let way = match address.scheme {
            Scheme::Tcp => Way::Tcp(connect(address).map_err(explained)?),
            Scheme::Udp(datagram_bytes) => {
                Way::Udp { socket: bound(address).map_err(explained)?, datagram_bytes }
            }
            Scheme::Listen | Scheme::Gro => {
                return Err(format!("feed {address}: nothing can be fed that way: it says how to receive"));
            }
            Scheme::Rtp => Way::Rtp { socket: bound(address).map_err(explained)?, sequence: 0 },
            Scheme::Http => {
                let mut socket = connect(address).map_err(explained)?;
                let Address { path, socket: host, .. } = address;
                write!(
                    socket,
                    "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: video/mp2t\r\n\
                     Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                )
                .map_err(explained)?;
                Way::Http(socket)
            }
            Scheme::WebSocket => {
                let mut socket = connect(address).map_err(explained)?;
                let Address { path, socket: host, .. } = address;
                write!(socket, "GET {path} HTTP/1.1\r\nHost: {host}\r\n{WEBSOCKET_REQUEST_FIELDS}\r\n")
                    .map_err(explained)?;
                read_upgrade(&mut socket).map_err(|error| format!("feed {address}: {error}"))?;
                Way::WebSocket { socket, mask: 0x9e37_79b9 }
            }
        };
        Ok(Carrier { address: address.to_string(), way, message: Vec::new() })
    }

    /// Sends one burst.
    pub(super) fn send(&mut self, burst: &[u8]) -> Result<(), String> {
        self.try_send(burst).map_err(|error| format!("feed {}: {}", self.address, explain(&error)))
    }

    fn try_send(&mut self, burst: &[u8]) -> io::Result<()> {
        match &mut self.way {
            Way::Tcp(socket) => socket.write_all(burst),
            Way::Udp { socket, datagram_bytes } => {
                burst.chunks(*datagram_bytes).try_for_each(|datagram| send_datagram(socket, datagram))
            }
            Way::Rtp { socket, sequence } => burst.chunks(RTP_PAYLOAD_BYTES).try_for_each(|payload| {
                self.message.clear();
                self.message.extend_from_slice(&rtp_header(*sequence));
                self.message.extend_from_slice(payload);
                *sequence = sequence.wrapping_add(1);
                send_datagram(socket, &self.message)
            }),
            Way::Http(socket) => {
                self.message.clear();
                write!(self.message, "{:x}\r\n", burst.len())?;
                self.message.extend_from_slice(burst);
                self.message.extend_from_slice(b"\r\n");
                socket.write_all(&self.message)?;
                listen(socket)
            }
            Way::WebSocket { socket, mask } => {
                *mask = mask.wrapping_mul(0x9e37_79b1).wrapping_add(1);
                masked_frame(burst, mask.to_be_bytes(), &mut self.message);
                socket.write_all(&self.message)?;
                listen(socket)
            }
        }
    }
}

fn connect(address: &Address) -> io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&address.socket, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn bound(address: &Address) -> io::Result<UdpSocket> {
    let any = if address.socket.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address.socket)?;
    Ok(socket)
}

/// A datagram that nobody was there for is reported with the next one, and is no reason to end.
fn send_datagram(socket: &UdpSocket, datagram: &[u8]) -> io::Result<()> {
    match socket.send(datagram) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Takes what the server says meanwhile, so that it is never held up; a refusal ends the feed.
fn listen(socket: &TcpStream) -> io::Result<()> {
    let mut said = [0; 2048];
    loop {
        match recv(socket, &mut said[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Err(io::Error::other("the server has closed the connection")),
            Ok((count, _)) => {
                let refusal = said[..count].strip_prefix(b"HTTP/1.1 ").filter(|status| status[0] >= b'3');
                if let Some(status) = refusal {
                    let line = status.split(|byte| *byte == b'\r').next().unwrap_or_default();
                    return Err(io::Error::other(format!("answered {}", String::from_utf8_lossy(line))));
                }
            }
            Err(rustix::io::Errno::AGAIN) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn read_upgrade(socket: &mut TcpStream) -> Result<(), String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read(&mut byte) {
            Ok(1) if head.len() < handshake::HEAD_BYTES_MAX => head.push(byte[0]),
            Ok(_) => return Err("the server has closed the connection without an answer".to_owned()),
            Err(error) => return Err(explain(&error)),
        }
    }
    handshake::upgraded(&head).map(drop)
}

/// RTP header: version 2, payload type 33, MP2T (RFC 3551 §6). The clock is left at zero, which no relay looks at.
fn rtp_header(sequence: u16) -> [u8; 12] {
    let [high, low] = sequence.to_be_bytes();
    [0x80, 33, high, low, 0, 0, 0, 0, b't', b's', b'l', b'd']
}

/// A masked binary frame (RFC 6455 §5.2, §5.3).
fn masked_frame(payload: &[u8], mask: [u8; 4], frame: &mut Vec<u8>) {
    frame.clear();
    frame.push(0x82);
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        medium @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// In words that say what to look at.
fn explain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionRefused => "refused the connection; is the server running there?".to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!("nothing moved for {} s", PATIENCE.as_secs()),
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
            "the server has broken off the connection".to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_masked() {
        let mut frame = Vec::new();
        masked_frame(b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut frame);
        // The example of RFC 6455 §5.7, as binary.
        assert_eq!(frame, [0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        masked_frame(&[0; 300], [1, 2, 3, 4], &mut frame);
        assert_eq!(frame[..9], [0x82, 0x80 | 126, 1, 44, 1, 2, 3, 4, 1]);
    }

    #[test]
    fn a_refusal_is_clear() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let address = format!("tcp://{free}").parse().unwrap();
        assert!(Carrier::open(&address).unwrap_err().contains("refused the connection"));
    }
}
