//! Asks the admin port. A dozen lines of HTTP/1.1, as everything is said within one answer and the connection closed.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

/// How long connecting may take, for each address of a name, and all the rest.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(3);
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// Addresses of a name that are tried.
const ADDRESSES_MAX: usize = 4;

/// The most that is read: a thousand streams with as many next hops take a quarter of it.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Letters of a refusal that are shown.
const REFUSAL_LETTERS_MAX: usize = 200;

/// The JSON at `path`.
///
/// # Errors
/// In words.
pub fn get<T: DeserializeOwned>(address: &str, path: &str) -> Result<T, String> {
    let answer = ask(address, path).map_err(in_words)?;
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    let not_http = || "that is not HTTP".to_owned();
    let Ok(httparse::Status::Complete(head_len)) = head.parse(&answer) else { return Err(not_http()) };
    let body = &answer[head_len..];
    match head.code {
        Some(200) => serde_json::from_slice(body)
            .map_err(|error| format!("that is not tsstream's admin port: {error}")),
        Some(code) => {
            let words = String::from_utf8_lossy(body);
            let shown = words.chars().filter(|letter| !letter.is_control()).take(REFUSAL_LETTERS_MAX);
            Err(format!("answered {code}: {}", shown.collect::<String>()))
        }
        None => Err(not_http()),
    }
}

fn ask(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut socket = connect(address)?;
    let deadline = clock() + ANSWER_TIME_MAX;
    // The address itself, since a name in Host is refused where something secret can be asked.
    let host = socket.peer_addr()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    socket.set_write_timeout(Some(ANSWER_TIME_MAX))?;
    socket.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(clock());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut piece) {
            Ok(0) => return Ok(answer),
            Ok(read) => answer.extend_from_slice(&piece[..read]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if answer.len() as u64 > ANSWER_BYTES_MAX {
            return Err(io::Error::other("its answer does not end"));
        }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.take(ADDRESSES_MAX).collect();
    let mut error = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_TIME_MAX) {
            Ok(socket) => return Ok(socket),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

fn in_words(error: io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "it did not answer in time".to_owned(),
        ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        _ => error.to_string(),
    }
}

#[allow(clippy::disallowed_methods, reason = "a thread that waits reads the clock")]
fn clock() -> Instant {
    Instant::now()
}
