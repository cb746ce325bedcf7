//! Publishers that push prepared bytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::SOON;
use super::receive::{connect, read_head};

/// A connected publisher, disconnected with the value.
pub enum Publisher {
    /// Sends the bytes as they are.
    Tcp(TcpStream),
    /// Sends each write as a chunk.
    Http(TcpStream),
    /// Sends each write in datagrams of at most so many bytes.
    Udp(UdpSocket, usize),
}

impl Publisher {
    /// To a TCP input.
    #[track_caller]
    pub fn tcp(address: SocketAddr) -> Publisher {
        Publisher::Tcp(no_delay(connect(address, None)))
    }

    /// To an HTTP input, chunked.
    #[track_caller]
    pub fn http(address: SocketAddr, path: &str) -> Publisher {
        let mut stream = no_delay(connect(address, None));
        write!(stream, "POST {path} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
            .expect("the request can be sent");
        Publisher::Http(stream)
    }

    /// To a UDP input.
    #[track_caller]
    pub fn udp(address: SocketAddr, datagram_bytes: usize) -> Publisher {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a socket");
        socket.connect(address).expect("an address");
        Publisher::Udp(socket, datagram_bytes)
    }

    /// Sends `bytes` in one piece.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Publisher::Tcp(stream) => stream.write_all(bytes),
            Publisher::Http(stream) => {
                let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
                stream.write_all(&chunk)
            }
            Publisher::Udp(socket, datagram_bytes) => {
                bytes.chunks(*datagram_bytes).try_for_each(|datagram| socket.send(datagram).map(drop))
            }
        }
    }

    /// Sends `bytes` in pieces of `piece_bytes`, at a rate.
    pub fn send_paced(&mut self, bytes: &[u8], piece_bytes: usize, bytes_per_second: u64) -> io::Result<()> {
        let start = Instant::now();
        for (index, piece) in bytes.chunks(piece_bytes).enumerate() {
            let due = Duration::from_secs_f64((index * piece_bytes) as f64 / bytes_per_second as f64);
            thread::sleep(due.saturating_sub(start.elapsed()));
            self.send(piece)?;
        }
        Ok(())
    }

    /// Waits until the other end closes, and says what it answered before.
    pub fn wait_for_end(&mut self) -> io::Result<String> {
        match self {
            Publisher::Udp(..) => Ok(String::new()),
            Publisher::Tcp(stream) | Publisher::Http(stream) => {
                stream.set_read_timeout(Some(SOON))?;
                let mut answer = Vec::new();
                stream.read_to_end(&mut answer)?;
                Ok(String::from_utf8_lossy(&answer).into_owned())
            }
        }
    }

    /// Ends the stream in order; over HTTP, returns the head of the answer.
    pub fn finish(self) -> io::Result<String> {
        match self {
            Publisher::Http(mut stream) => {
                stream.write_all(b"0\r\n\r\n")?;
                stream.set_read_timeout(Some(SOON))?;
                read_head(&mut stream)
            }
            Publisher::Tcp(stream) => stream.shutdown(Shutdown::Write).map(|()| String::new()),
            Publisher::Udp(..) => Ok(String::new()),
        }
    }
}

fn no_delay(stream: TcpStream) -> TcpStream {
    stream.set_nodelay(true).expect("TCP_NODELAY can be set");
    stream
}
