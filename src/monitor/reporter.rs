//! Sends the node's report to the monitor every two seconds, from a thread of its own: whatever the monitor does or does
//! not do, it costs this thread time and nobody else anything.
//!
//! The client is a dozen lines of HTTP/1.1 rather than a library, since of the answer only the status matters, and what
//! counts are the bounds: on the whole exchange in time, and on what is read in bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use super::snapshot::{Reports, Source};
use crate::config::Secret;

/// Time between reports.
const INTERVAL: Duration = Duration::from_secs(2);

/// How long one report may take, from connecting (the name is looked up before) to the status of the answer.
const REPORT_TIME_MAX: Duration = Duration::from_secs(5);

/// Addresses of a name that are tried.
const ADDRESSES_TRIED_MAX: usize = 4;

/// The most that is read of an answer.
const ANSWER_BYTES_MAX: usize = 8 * 1024;

/// Where reports go.
#[derive(Debug)]
pub struct Destination {
    /// `host:port`.
    authority: String,
    /// What is asked for there: path and query.
    target: String,
    secret: Secret,
}

impl Destination {
    /// From `http://host:port/path`; `None` for anything else.
    #[must_use]
    pub fn new(url: &str, secret: Secret) -> Option<Destination> {
        let rest = url.strip_prefix("http://")?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let target = target.split('#').next().unwrap_or_default();
        if authority.is_empty() || authority.contains('@') {
            return None;
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let authority = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let slash = if target.starts_with('/') { "" } else { "/" };
        Some(Destination { authority, target: format!("{slash}{target}"), secret })
    }
}

/// Starts the thread. It ends with the process.
///
/// # Errors
/// When the system gives no thread.
pub fn start(source: Source, destination: Destination) -> io::Result<()> {
    let reporter = move || {
        let mut reports = Reports::new(source, INTERVAL, clock());
        let mut trouble = None;
        loop {
            let began = clock();
            let outcome = post(&destination, &reports.next(began));
            tell(&destination, outcome.err(), &mut trouble);
            thread::sleep(INTERVAL.saturating_sub(clock().duration_since(began)));
        }
    };
    thread::Builder::new().name("reporter".into()).spawn(reporter).map(drop)
}

/// Logs when the monitor becomes unreachable and when it is back, and nothing in between.
fn tell(destination: &Destination, error: Option<io::Error>, trouble: &mut Option<io::Error>) {
    let monitor = &destination.authority;
    match (&error, &trouble) {
        (Some(error), None) => log::warn!("the monitor {monitor} takes no reports: {error}; trying on"),
        (None, Some(_)) => log::info!("the monitor {monitor} takes reports again"),
        _ => {}
    }
    *trouble = error;
}

/// Sends one report.
fn post(destination: &Destination, report: &[u8]) -> io::Result<()> {
    let addresses = destination.authority.to_socket_addrs()?.take(ADDRESSES_TRIED_MAX);
    let deadline = clock() + REPORT_TIME_MAX;
    let mut error = io::Error::new(ErrorKind::NotFound, "its name has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, time_left(deadline)?) {
            Ok(socket) => return exchange(socket, destination, report, deadline),
            Err(refused) => error = refused,
        }
    }
    Err(error)
}

fn exchange(
    mut socket: TcpStream,
    destination: &Destination,
    report: &[u8],
    deadline: Instant,
) -> io::Result<()> {
    let Destination { authority, target, secret } = destination;
    let bearer = match secret.reveal() {
        "" => String::new(),
        secret => format!("Authorization: Bearer {secret}\r\n"),
    };
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nContent-Type: application/json\r\n\
         {bearer}Content-Length: {}\r\n\r\n",
        report.len()
    );
    let request = [head.as_bytes(), report].concat();
    let mut rest = &request[..];
    while !rest.is_empty() {
        socket.set_write_timeout(Some(time_left(deadline)?))?;
        match socket.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A monitor that refuses a report by its head may say so and close: the answer tells why.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            Err(error) => return Err(in_words(error)),
        }
    }
    match status(&mut socket, deadline)? {
        200..300 => Ok(()),
        status => Err(io::Error::other(format!("it answered {status}"))),
    }
}

/// Reads the answer as far as its status.
fn status(socket: &mut TcpStream, deadline: Instant) -> io::Result<u16> {
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        socket.set_read_timeout(Some(time_left(deadline)?))?;
        let read = match socket.read(&mut buffer) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(in_words(error)),
        };
        answer.extend_from_slice(&buffer[..read]);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let complete = head.parse(&answer).map(|status| status.is_complete());
        match (complete, head.code) {
            // An interim answer comes before the real one (RFC 9110 §15.2), which is not waited for: nobody asked.
            (Ok(true), Some(code)) => return Ok(code),
            (Ok(_), _) if read > 0 && answer.len() < ANSWER_BYTES_MAX => {}
            _ => return Err(io::Error::other("its answer is not HTTP")),
        }
    }
}

fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(clock());
    if left.is_zero() { Err(io::Error::other("it did not answer in time")) } else { Ok(left) }
}

/// What a timeout of a blocking socket is called depends on the system.
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::other("it did not answer in time"),
        _ => error,
    }
}

#[allow(clippy::disallowed_methods, reason = "a thread that waits reads the clock")]
fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(url: &str) -> Option<(String, String)> {
        Destination::new(url, Secret::default()).map(|it| (it.authority, it.target))
    }

    #[test]
    fn addresses_of_monitors() {
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(parts("http://localhost:50000/monitor"), pair("localhost:50000", "/monitor"));
        assert_eq!(parts("http://[::1]/monitor?x#y"), pair("[::1]:80", "/monitor?x"));
        assert_eq!(parts("http://m?x"), pair("m:80", "/?x"));
        for url in ["https://a/", "http://", "http:///monitor", "http://user@host/", "ftp://a"] {
            assert_eq!(parts(url), None, "{url}");
        }
    }
}
