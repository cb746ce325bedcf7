//! Where to connect to: `tcp://HOST:PORT`, `udp://HOST:PORT?size=1472`, `http://HOST:PORT/PATH`, …; or where to wait for a
//! server that comes to its receivers: `listen://HOST:PORT`, `udp://HOST:PORT`, `gro://HOST:PORT`.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// How bytes are carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Bare bytes over TCP.
    Tcp,
    /// Bare bytes over TCP, from a server that connects to us.
    Listen,
    /// Datagrams of at most so many bytes.
    Udp(usize),
    /// Datagrams, of which the kernel hands over several at once (`UDP_GRO`).
    Gro,
    /// Datagrams with an RTP header and seven packets (RFC 2250 §2).
    Rtp,
    /// HTTP/1.1: chunked POST to publish, GET to receive.
    Http,
    /// WebSocket, binary messages.
    WebSocket,
}

/// An address that was given to us. We connect to no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// How bytes are carried.
    pub scheme: Scheme,
    /// Where to.
    pub socket: SocketAddr,
    /// The path of HTTP and WebSocket, with its leading slash.
    pub path: String,
    /// As it was written.
    written: String,
}

/// Datagram sizes without `?size=`: seven packets, as is usual.
const DATAGRAM_BYTES: usize = 1316;

/// The most that a datagram holds.
const DATAGRAM_BYTES_MAX: usize = 65_507;

impl FromStr for Address {
    type Err = String;

    fn from_str(written: &str) -> Result<Address, String> {
        let wrong = |what: &str| format!("\"{written}\" {what}");
        let (scheme, rest) = written.split_once("://").ok_or_else(|| {
            wrong("is no address: expected tcp://, udp://, rtp://, http://, ws://, listen:// or gro:// and HOST:PORT")
        })?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(at);
        let scheme = match scheme {
            "tcp" => Scheme::Tcp,
            "listen" => Scheme::Listen,
            "gro" => Scheme::Gro,
            "udp" => Scheme::Udp(datagram_bytes(path).map_err(|what| wrong(&what))?),
            "rtp" => Scheme::Rtp,
            "http" => Scheme::Http,
            "ws" => Scheme::WebSocket,
            "https" | "wss" => return Err(wrong("asks for TLS, which this program does not speak")),
            _ => {
                return Err(wrong(
                    "does not start with tcp://, udp://, rtp://, http://, ws://, listen:// or gro://",
                ));
            }
        };
        let has_path = matches!(scheme, Scheme::Http | Scheme::WebSocket);
        if !has_path && !path.is_empty() && !matches!(scheme, Scheme::Udp(_)) {
            return Err(wrong("has a path, which means nothing there"));
        }
        let host = match (host.contains(':'), has_path) {
            (false, true) => format!("{host}:80"),
            _ => host.to_owned(),
        };
        let socket = host
            .to_socket_addrs()
            .map_err(|error| wrong(&format!("has no host and port that can be found: {error}")))?
            .next()
            .ok_or_else(|| wrong("is a host without address"))?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Address { scheme, socket, path, written: written.to_owned() })
    }
}

fn datagram_bytes(query: &str) -> Result<usize, String> {
    if query.is_empty() {
        return Ok(DATAGRAM_BYTES);
    }
    query
        .strip_prefix("?size=")
        .and_then(|size| size.parse().ok())
        .filter(|size| (1..=DATAGRAM_BYTES_MAX).contains(size))
        .ok_or_else(|| format!("should end in ?size=BYTES, 1 to {DATAGRAM_BYTES_MAX}, or after the port"))
}

impl fmt::Display for Address {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.written)
    }
}

/// The addresses of `count` streams: one for each given, or `%n` in one replaced by 1, 2, 3 …
///
/// # Errors
/// When there are not as many as streams.
pub fn of_streams(written: &[String], count: usize) -> Result<Vec<Address>, String> {
    match written {
        [one] if one.contains("%n") => {
            (1..=count).map(|number| one.replace("%n", &number.to_string()).parse()).collect()
        }
        all if all.len() == count => all.iter().map(|one| one.parse()).collect(),
        all => Err(format!(
            "{count} streams need {count} addresses, and {} were given: repeat the option, or write %n for the number",
            all.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let parse = |text: &str| text.parse::<Address>();
        let address = parse("ws://127.0.0.1:8088/live").unwrap();
        assert_eq!((address.scheme, address.path.as_str()), (Scheme::WebSocket, "/live"));
        assert_eq!(address.socket, "127.0.0.1:8088".parse().unwrap());
        assert_eq!(parse("udp://127.0.0.1:5?size=1472").unwrap().scheme, Scheme::Udp(1472));
        assert_eq!(parse("udp://127.0.0.1:5").unwrap().scheme, Scheme::Udp(1316));
        assert_eq!(parse("gro://127.0.0.1:5").unwrap().scheme, Scheme::Gro);
        assert_eq!(parse("listen://127.0.0.1:5").unwrap().scheme, Scheme::Listen);
        assert_eq!(parse("http://127.0.0.1").unwrap().socket.port(), 80);
        assert_eq!(parse("tcp://[::1]:5").unwrap().socket, "[::1]:5".parse().unwrap());
        for (text, what) in [
            ("127.0.0.1:5", "is no address"),
            ("ftp://127.0.0.1:5", "does not start"),
            ("wss://127.0.0.1:5", "TLS"),
            ("tcp://127.0.0.1", "no host and port"),
            ("tcp://127.0.0.1:99999", "no host and port"),
            ("tcp://127.0.0.1:5/live", "path"),
            ("udp://127.0.0.1:5?size=0", "?size=BYTES"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(what) && error.contains(text), "{error}");
        }
    }

    #[test]
    fn streams_have_an_address_each() {
        let written = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let three = of_streams(&written(&["http://127.0.0.1:5/cam%n"]), 3).unwrap();
        assert_eq!(three[2].path, "/cam3");
        assert_eq!(of_streams(&written(&["tcp://127.0.0.1:5", "tcp://127.0.0.1:6"]), 2).unwrap().len(), 2);
        assert!(of_streams(&written(&["tcp://127.0.0.1:5"]), 2).unwrap_err().contains("2 addresses"));
    }
}
