//! The opening handshake (RFC 6455 §4.2): from a request to `101 Switching Protocols`.

use std::fmt;

use tungstenite::handshake::derive_accept_key;

use crate::proto::http::{Content, Method, Request, Status, refusal, response};

/// Whether `request` is to be answered by [`handshake`]. So is one that has lost its `Upgrade` on the way through a
/// proxy: the error tells what is amiss.
#[must_use]
pub fn is_upgrade(request: &Request) -> bool {
    request.header_has_token("Upgrade", "websocket") || request.header("Sec-WebSocket-Key").is_some()
}

/// The complete answer that opens the WebSocket. With `origins`, pages from elsewhere are turned away; a client that
/// names no origin is no browser, and is let in. `more` headers of our own may be added.
///
/// # Errors
/// When the WebSocket can't be opened; [`HandshakeError::response`] is the answer then.
pub fn handshake(
    request: &Request,
    origins: Option<&[String]>,
    more: &[(&str, &str)],
) -> Result<Vec<u8>, HandshakeError> {
    if request.method != Method::Get {
        return Err(HandshakeError::Method);
    }
    let upgrades =
        request.header_has_token("Upgrade", "websocket") && request.header_has_token("Connection", "upgrade");
    if !(request.is_http11() && upgrades) {
        return Err(HandshakeError::NoUpgrade);
    }
    if request.header("Sec-WebSocket-Version") != Some("13") {
        return Err(HandshakeError::Version);
    }
    let key = sole_key(request).ok_or(HandshakeError::Key)?;
    if !origin_is_allowed(request, origins) {
        return Err(HandshakeError::Origin);
    }
    let accept_key = derive_accept_key(key.as_bytes());
    let mut headers = vec![
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_key.as_str()),
    ];
    // Browsers drop a connection for which they asked for a subprotocol and were given none.
    headers
        .extend(request.list("Sec-WebSocket-Protocol").next().map(|first| ("Sec-WebSocket-Protocol", first)));
    headers.extend(more);
    Ok(response(Status::SwitchingProtocols, &headers, Content::None))
}

/// Why a WebSocket can't be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// Not a `GET`.
    Method,
    /// `Upgrade` or `Connection: Upgrade` is missing.
    NoUpgrade,
    /// Another version than 13.
    Version,
    /// Not exactly one key, or the key isn't 16 bytes in base64.
    Key,
    /// `Origin` is not one of those allowed.
    Origin,
}

impl HandshakeError {
    /// What to answer.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            HandshakeError::Method => Status::MethodNotAllowed,
            HandshakeError::NoUpgrade | HandshakeError::Version => Status::UpgradeRequired,
            HandshakeError::Key => Status::BadRequest,
            HandshakeError::Origin => Status::Forbidden,
        }
    }

    /// The complete answer, after which the connection is to be closed.
    #[must_use]
    pub fn response(self) -> Vec<u8> {
        let headers: &[_] = match self.status() {
            Status::MethodNotAllowed => &[("Allow", "GET")],
            Status::UpgradeRequired => {
                &[("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
            }
            _ => &[],
        };
        refusal(self.status(), headers, &self.to_string())
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HandshakeError::Method => "a WebSocket is opened by GET",
            HandshakeError::NoUpgrade => {
                "this is a WebSocket; if there is a proxy in between, it must pass on HTTP/1.1, Upgrade and Connection"
            }
            HandshakeError::Version => "WebSocket version 13 is spoken here",
            HandshakeError::Key => "Sec-WebSocket-Key must be there once, and be 16 bytes in base64",
            HandshakeError::Origin => "pages of this origin may not open it",
        })
    }
}

impl std::error::Error for HandshakeError {}

fn sole_key(request: &Request) -> Option<&str> {
    let mut keys = request.values("Sec-WebSocket-Key");
    let key = keys.next().filter(|key| is_sixteen_bytes_of_base64(key))?;
    keys.next().is_none().then_some(key)
}

fn is_sixteen_bytes_of_base64(key: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.len() == 24 && key.strip_suffix("==").is_some_and(|digits| digits.bytes().all(is_digit))
}

/// Whether a page of the request's origin may read what it asks for. A client that names no origin is no browser.
#[must_use]
pub fn origin_is_allowed(request: &Request, origins: Option<&[String]>) -> bool {
    let (Some(origins), Some(origin)) = (origins, request.header("Origin")) else { return true };
    origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::http::parse_request;

    const BROWSER: &str = "GET /live HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
        Origin: http://a\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

    fn open(head: &str, origins: Option<&[String]>) -> Result<String, HandshakeError> {
        let (request, _) = parse_request(head.as_bytes()).unwrap().unwrap();
        handshake(&request, origins, &[]).map(|answer| String::from_utf8(answer).unwrap())
    }

    fn refuse(from: &str, to: &str) -> (u16, String) {
        assert!(BROWSER.contains(from));
        let error = open(&BROWSER.replace(from, to), None).expect_err("the handshake is broken");
        (error.status().code(), String::from_utf8(error.response()).unwrap())
    }

    #[test]
    fn the_example_of_the_rfc() {
        assert_eq!(
            open(BROWSER, None).unwrap(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
    }

    #[test]
    fn the_first_subprotocol_is_echoed() {
        for (asked, given) in
            [("null", "null"), ("mpegts, null", "mpegts"), (" ,b\r\nSec-WebSocket-Protocol: c", "b")]
        {
            let head = BROWSER.replace("Origin:", &format!("sec-websocket-protocol: {asked}\r\nOrigin:"));
            assert!(
                open(&head, None).unwrap().ends_with(&format!("\r\nSec-WebSocket-Protocol: {given}\r\n\r\n"))
            );
        }
    }

    #[test]
    fn what_is_refused_says_what_would_do() {
        let (status, answer) = refuse("GET", "POST");
        assert!(status == 405 && answer.contains("\r\nAllow: GET\r\n"), "{answer}");
        for (from, to) in
            [("Version: 13", "Version: 8"), ("keep-alive, Upgrade", "close"), ("HTTP/1.1", "HTTP/1.0")]
        {
            let (status, answer) = refuse(from, to);
            assert!(status == 426 && answer.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{answer}");
        }
        for key in [
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: a",
        ] {
            assert_eq!(refuse("dGhlIHNhbXBsZSBub25jZQ==", key).0, 400);
        }
    }

    #[test]
    fn origins() {
        let allowed = ["https://b".to_owned(), "HTTP://A".to_owned()];
        assert!(open(BROWSER, Some(&allowed)).is_ok());
        assert_eq!(open(BROWSER, Some(&allowed[..1])), Err(HandshakeError::Origin));
        assert!(open(&BROWSER.replace("Origin", "X-Origin"), Some(&[])).is_ok());
    }

    #[test]
    fn a_request_that_lost_its_upgrade_is_still_one() {
        let is = |head: &str| is_upgrade(&parse_request(head.as_bytes()).unwrap().unwrap().0);
        assert!(is(BROWSER) && is(&BROWSER.replace("Upgrade: WebSocket", "X: y")));
        assert!(!is("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n"));
    }
}
