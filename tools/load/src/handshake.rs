//! The heads of HTTP requests that are sent, and of the answers to them.

use crate::address::{Address, Scheme};

/// The most that the head of an answer may have.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Fields that an answer may have.
const FIELDS_MAX: usize = 64;

/// What asks for a WebSocket: with the key of RFC 6455 §1.3, whose answer is known.
pub const WEBSOCKET_REQUEST_FIELDS: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How the bytes after an answer are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// As they are, until the end.
    Plain,
    /// In chunks (RFC 9112 §7.1).
    Chunked,
    /// WebSocket frames.
    Frames,
}

/// What a receiver sends first; nothing where it does not ask.
#[must_use]
pub fn request(address: &Address) -> Vec<u8> {
    let Address { path, socket, .. } = address;
    match address.scheme {
        Scheme::WebSocket => {
            format!("GET {path} HTTP/1.1\r\nHost: {socket}\r\n{WEBSOCKET_REQUEST_FIELDS}\r\n")
        }
        Scheme::Http => {
            format!(
                "GET {path} HTTP/1.1\r\nHost: {socket}\r\nUser-Agent: tsload\r\nConnection: close\r\n\r\n"
            )
        }
        Scheme::Tcp | Scheme::Listen | Scheme::Udp(_) | Scheme::Gro | Scheme::Rtp => String::new(),
    }
    .into_bytes()
}

/// Reads the answer to a GET; `None` if its head is not all there. Gives the length of the head as well.
///
/// # Errors
/// When it is no answer, or a refusal.
pub fn answer(bytes: &[u8], scheme: Scheme) -> Result<Option<(usize, Body)>, String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut response = httparse::Response::new(&mut fields);
    let length = match response.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(format!("a head of more than {HEAD_BYTES_MAX} bytes")),
        Err(error) => return Err(format!("no HTTP answer: {error}")),
    };
    let field = |name: &str| {
        let found = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let expected = if scheme == Scheme::WebSocket { 101 } else { 200 };
    if response.code != Some(expected) {
        let code = response.code.unwrap_or_default();
        return Err(format!("answered {code} {}", response.reason.unwrap_or_default()));
    }
    if scheme == Scheme::WebSocket {
        return match field("Sec-WebSocket-Accept") {
            Some(WEBSOCKET_ACCEPT) => Ok(Some((length, Body::Frames))),
            _ => Err("answered 101 with a wrong Sec-WebSocket-Accept".to_owned()),
        };
    }
    let is_chunked = field("Transfer-Encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    Ok(Some((length, if is_chunked { Body::Chunked } else { Body::Plain })))
}

/// Whether `head` is that of a WebSocket that was opened.
///
/// # Errors
/// When it is not.
pub fn upgraded(head: &[u8]) -> Result<usize, String> {
    match answer(head, Scheme::WebSocket)? {
        Some((length, _)) => Ok(length),
        None => Err("no whole answer".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\nGGG";
        assert_eq!(answer(plain, Scheme::Http), Ok(Some((plain.len() - 3, Body::Plain))));
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n";
        assert_eq!(answer(chunked, Scheme::Http), Ok(Some((chunked.len(), Body::Chunked))));
        assert_eq!(answer(&plain[..20], Scheme::Http), Ok(None));
        let refused = answer(b"HTTP/1.1 503 Full\r\n\r\n", Scheme::WebSocket);
        assert_eq!(refused, Err("answered 503 Full".to_owned()));
        let other = b"HTTP/1.1 101 X\r\nSec-WebSocket-Accept: no\r\n\r\n";
        assert!(answer(other, Scheme::WebSocket).is_err());
        let good = format!("HTTP/1.1 101 X\r\nSec-WebSocket-Accept: {WEBSOCKET_ACCEPT}\r\n\r\n");
        assert_eq!(upgraded(good.as_bytes()), Ok(good.len()));
    }
}
