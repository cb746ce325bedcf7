//! Receivers that say just what a test wants them to, right or wrong.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use super::SOON;
use super::receive::{connect, read_head};

/// The key of the example in RFC 6455 §1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Sends `request` and returns all that comes until the other end closes in order.
#[track_caller]
pub fn ask(address: SocketAddr, request: &str) -> String {
    let mut socket = dial(address);
    socket.write_all(request.as_bytes()).expect("the request can be sent");
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap_or_else(|error| {
        panic!("{request:?} was answered by {:?}, then {error}", String::from_utf8_lossy(&answer))
    });
    String::from_utf8_lossy(&answer).into_owned()
}

/// The body with which a `GET` is answered, by 200.
#[track_caller]
pub fn get(address: SocketAddr, path: &str) -> String {
    let answer = ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
    body.to_owned()
}

/// [`get`], taken as JSON.
#[track_caller]
pub fn get_json(address: SocketAddr, path: &str) -> Value {
    serde_json::from_str(&get(address, path)).expect("JSON")
}

/// The value of a metric with its labels, if it is there.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|number| number.parse().expect("a number"))
}

/// A connection on which nothing has been said yet.
#[track_caller]
pub fn dial(address: SocketAddr) -> TcpStream {
    let socket = connect(address, None);
    socket.set_read_timeout(Some(SOON)).expect("a time-out can be set");
    socket.set_nodelay(true).expect("TCP_NODELAY can be set");
    socket
}

/// What opens a WebSocket on `path`, up to the empty line; more headers may follow.
pub fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n"
    )
}

/// A WebSocket by hand.
pub struct Frames {
    /// The connection.
    pub socket: TcpStream,
}

impl Frames {
    /// Opens one.
    #[track_caller]
    pub fn open(address: SocketAddr, path: &str) -> Frames {
        let mut socket = dial(address);
        write!(socket, "{}\r\n", upgrade(path)).expect("the request can be sent");
        let head = read_head(&mut socket).expect("an answer");
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Frames { socket }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("what a client says can be sent");
    }

    /// The next frame: its first byte, and its payload. `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let mut start = [0; 2];
        match self.socket.read_exact(&mut start) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let mut length = u64::from(start[1]);
        assert!(length < 128, "a server's frames are not masked");
        if length == 126 {
            let mut long = [0; 2];
            self.socket.read_exact(&mut long)?;
            length = u64::from(u16::from_be_bytes(long));
        }
        assert_ne!(length, 127, "a chunk is not that long");
        let mut payload = vec![0; length as usize];
        self.socket.read_exact(&mut payload)?;
        Ok(Some((start[0], payload)))
    }

    /// The next frame that is no part of the stream.
    #[track_caller]
    pub fn next_control(&mut self) -> (u8, Vec<u8>) {
        loop {
            match self.next().expect("the connection is whole").expect("a frame before the end") {
                (0x82, _) => {}
                control => return control,
            }
        }
    }

    /// The code that it is closed with, and then the end in order.
    #[track_caller]
    pub fn close_code(&mut self) -> u16 {
        let (first, payload) = self.next_control();
        assert_eq!(first, 0x88, "a close frame");
        assert!(self.next().expect("the connection is whole").is_none(), "nothing follows a close frame");
        u16::from_be_bytes([payload[0], payload[1]])
    }
}

/// A frame as a client sends it, masked.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let length = payload.len();
    let mut frame = match length {
        0..126 => vec![first, 0x80 | length as u8],
        126..=0xffff => [&[first, 0x80 | 126], &(length as u16).to_be_bytes()[..]].concat(),
        _ => [&[first, 0x80 | 127], &(length as u64).to_be_bytes()[..]].concat(),
    };
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
