//! The head of a request: the request line and the header fields.

use std::fmt;

use super::{BodyKind, Status};

/// The longest head that is read, in bytes, and so the bound of a connection's head buffer.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// The most header fields in a head.
pub const HEADERS_MAX: usize = 64;

/// Reads a head from the start of what a peer has sent so far; with it comes its length in bytes.
///
/// `Ok(None)` consumes nothing and asks to be called again with more; that ends at [`HEAD_BYTES_MAX`].
///
/// # Errors
/// The request can't be answered but by [`HeadError::status`], after which nothing more can be read.
pub fn parse_request(bytes: &[u8]) -> Result<Option<(Request, usize)>, HeadError> {
    let bytes = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    match head.parse(bytes)? {
        httparse::Status::Complete(head_len) => Ok(Some((Request::new(&head)?, head_len))),
        httparse::Status::Partial if bytes.len() == HEAD_BYTES_MAX => Err(HeadError::TooLarge),
        httparse::Status::Partial => Ok(None),
    }
}

/// A complete, well-formed request head.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub method: Method,
    /// Where: percent-decoded, without the query, no control characters; begins with `/`, or is `*`.
    pub path: String,
    /// What follows the `?`, as sent; empty if nothing does.
    pub query: String,
    version: Version,
    headers: Vec<(String, String)>,
}

/// The methods that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "their names say it")]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
    Other,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

impl Request {
    /// The value of the first header field of this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// The values of all header fields of this name, in any case, in their order.
    pub fn values(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        let named = move |header: &&(String, String)| header.0.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str())
    }

    /// The members of the comma-separated list that all header fields of this name make up (RFC 9110 §5.6.1).
    pub fn list(&self, name: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.values(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|member| !member.is_empty())
    }

    /// Whether [`list`](Self::list) has `token`, in any case.
    #[must_use]
    pub fn header_has_token(&self, name: &str, token: &str) -> bool {
        self.list(name).any(|member| member.eq_ignore_ascii_case(token))
    }

    /// Whether the connection outlives the answer (RFC 9112 §9.3).
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        let close = self.header_has_token("Connection", "close");
        !close && (self.is_http11() || self.header_has_token("Connection", "keep-alive"))
    }

    /// Whether the peer understands what came with HTTP/1.1: `Upgrade`, 1xx answers, chunks.
    #[must_use]
    pub fn is_http11(&self) -> bool {
        self.version == Version::Http11
    }

    /// How the end of the body is known (RFC 9112 §6.3), with one difference: a `POST` or `PUT` that doesn't say has a
    /// body that lasts until the connection closes, since that is how simple publishers push.
    ///
    /// # Errors
    /// Where two readers could see different ends: that is how requests are smuggled past a proxy.
    pub fn body(&self) -> Result<BodyKind, HeadError> {
        let has_length = self.header("Content-Length").is_some();
        if self.header("Transfer-Encoding").is_some() {
            return if has_length || !self.is_http11() { Err(HeadError::Malformed) } else { self.coding() };
        }
        match self.method {
            _ if has_length => self.content_length(),
            Method::Post | Method::Put => Ok(BodyKind::UntilClose),
            _ => Ok(BodyKind::None),
        }
    }

    fn coding(&self) -> Result<BodyKind, HeadError> {
        if self.list("Transfer-Encoding").any(|coding| !coding.eq_ignore_ascii_case("chunked")) {
            return Err(HeadError::UnknownCoding);
        }
        match self.list("Transfer-Encoding").count() {
            1 => Ok(BodyKind::Chunked),
            _ => Err(HeadError::Malformed),
        }
    }

    fn content_length(&self) -> Result<BodyKind, HeadError> {
        // Every member of every field must be a number, and all the same one.
        let mut lengths = self.values("Content-Length").flat_map(|value| value.split(',')).map(parse_length);
        let first = lengths.next().flatten().ok_or(HeadError::Malformed)?;
        match lengths.all(|length| length == Some(first)) {
            true => Ok(BodyKind::Length(first)),
            false => Err(HeadError::Malformed),
        }
    }

    fn new(head: &httparse::Request) -> Result<Request, HeadError> {
        let method = match head.method {
            Some("GET") => Method::Get,
            Some("HEAD") => Method::Head,
            Some("POST") => Method::Post,
            Some("PUT") => Method::Put,
            Some("DELETE") => Method::Delete,
            Some("OPTIONS") => Method::Options,
            _ => Method::Other,
        };
        let version = if head.version == Some(0) { Version::Http10 } else { Version::Http11 };
        let (path, query) = split_target(head.path.unwrap_or_default());
        // A value may hold any byte above 0x7f (RFC 9110 §5.5), but none that anything here depends on.
        let text = |value| String::from_utf8_lossy(value).into_owned();
        let request = Request {
            method,
            path: percent_decode(path).ok_or(HeadError::Malformed)?,
            query: query.to_owned(),
            version,
            headers: head.headers.iter().map(|h| (h.name.to_owned(), text(h.value))).collect(),
        };
        // RFC 9112 §3.2: exactly one Host, or 400.
        match request.values("Host").count() {
            1 => Ok(request),
            0 if version == Version::Http10 => Ok(request),
            _ => Err(HeadError::Malformed),
        }
    }
}

/// Why a request can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// It is no HTTP request, or breaks a rule that others rely on.
    Malformed,
    /// Longer than [`HEAD_BYTES_MAX`], or more fields than [`HEADERS_MAX`].
    TooLarge,
    /// A transfer coding other than `chunked`.
    UnknownCoding,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    UnknownVersion,
}

impl HeadError {
    /// What to answer before closing.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            HeadError::Malformed => Status::BadRequest,
            HeadError::TooLarge => Status::HeaderFieldsTooLarge,
            HeadError::UnknownCoding => Status::NotImplemented,
            HeadError::UnknownVersion => Status::VersionNotSupported,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeadError::Malformed => "not a well-formed HTTP request",
            HeadError::TooLarge => "the request head is too large",
            HeadError::UnknownCoding => "a transfer coding other than chunked",
            HeadError::UnknownVersion => "neither HTTP/1.0 nor HTTP/1.1",
        })
    }
}

impl std::error::Error for HeadError {}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> HeadError {
        match error {
            httparse::Error::TooManyHeaders => HeadError::TooLarge,
            httparse::Error::Version => HeadError::UnknownVersion,
            _ => HeadError::Malformed,
        }
    }
}

/// Path and query of a request target in origin form, or in the absolute form that is sent to proxies (RFC 9112 §3.2).
fn split_target(target: &str) -> (&str, &str) {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => {
            rest.find(['/', '?']).map_or("", |start| &rest[start..])
        }
        _ => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (if path.is_empty() { "/" } else { path }, query)
}

/// `None` if it isn't a path: that is also where what would corrupt a log line ends.
fn percent_decode(path: &str) -> Option<String> {
    if !path.starts_with('/') && path != "*" {
        return None;
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex_digit(bytes.next()?)? << 4 | hex_digit(bytes.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok().filter(|path| !path.contains(char::is_control))
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Digits and nothing else: `str::parse` would take a `+` as well.
fn parse_length(value: &str) -> Option<u64> {
    let value = value.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) { value.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(head: &str) -> Result<Request, HeadError> {
        parse_request(head.as_bytes()).map(|parsed| parsed.expect("the head is complete").0)
    }

    /// A request with `fields` and what else it needs.
    fn request(line: &str, fields: &[&str]) -> Request {
        parse(&format!(
            "{line}\r\nHost: a\r\n{}\r\n",
            fields.iter().map(|f| f.to_string() + "\r\n").collect::<String>()
        ))
        .expect("the head is well-formed")
    }

    fn body(line: &str, fields: &[&str]) -> Result<BodyKind, HeadError> {
        request(line, fields).body()
    }

    #[test]
    fn a_head_ends_at_the_empty_line() {
        let sent = b"GET /cam%202?t=a%20b HTTP/1.1\r\nHost: a\r\nX-Two:  b \r\n\r\nand more";
        for len in 0..sent.len() - 8 {
            assert!(parse_request(&sent[..len]).unwrap().is_none());
        }
        let (request, head_len) = parse_request(sent).unwrap().unwrap();
        assert_eq!(head_len, sent.len() - 8);
        assert_eq!(
            (request.method, request.path.as_str(), request.query.as_str()),
            (Method::Get, "/cam 2", "t=a%20b")
        );
        assert_eq!(request.header("x-two"), Some("b"));
        assert_eq!(request.header("x-three"), None);
    }

    #[test]
    fn targets() {
        let path =
            |target: &str| parse(&format!("GET {target} HTTP/1.0\r\n\r\n")).map(|request| request.path);
        assert_eq!(path("http://host:80/live.ts?x").unwrap(), "/live.ts");
        assert_eq!(path("http://host").unwrap(), "/");
        assert_eq!(path("/?next=http://host/").unwrap(), "/");
        assert_eq!(path("/%C3%BC").unwrap(), "/ü");
        assert_eq!(path("*").unwrap(), "*");
        for bad in ["live", "host:443", "/%", "/%f", "/%+f", "/%ff", "/%0a", "/%00"] {
            assert_eq!(path(bad).err(), Some(HeadError::Malformed), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_read() {
        let bad = |head: &str| parse(head).expect_err("it can't be read").status();
        assert_eq!(bad("GET / HTTP/1.1\r\n\r\n"), Status::BadRequest);
        assert_eq!(bad("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), Status::BadRequest);
        assert_eq!(bad("GET / HTTP/1.1\r\nHost : a\r\n\r\n"), Status::BadRequest);
        assert_eq!(bad("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"), Status::BadRequest);
        assert_eq!(bad("\x16\x03\x01\x02"), Status::BadRequest);
        assert_eq!(bad("PRI * HTTP/2.0\r\n\r\n"), Status::VersionNotSupported);
        assert_eq!(
            bad(&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65))),
            Status::HeaderFieldsTooLarge
        );
        let endless = format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(HEAD_BYTES_MAX));
        assert!(parse_request(&endless.as_bytes()[..HEAD_BYTES_MAX - 1]).unwrap().is_none());
        assert_eq!(bad(&endless[..HEAD_BYTES_MAX]), Status::HeaderFieldsTooLarge);
        assert_eq!(bad(&endless), Status::HeaderFieldsTooLarge);
    }

    #[test]
    fn lists_span_fields_and_ignore_case() {
        let request = request("GET / HTTP/1.1", &["connection: keep-alive,, Upgrade", "CONNECTION:\tTE"]);
        assert!(
            ["upgrade", "te", "Keep-Alive"].iter().all(|token| request.header_has_token("Connection", token))
        );
        assert!(!request.header_has_token("Connection", "keep"));
    }

    #[test]
    fn keep_alive_is_the_default_since_http11() {
        assert!(request("GET / HTTP/1.1", &[]).keep_alive());
        assert!(!request("GET / HTTP/1.1", &["Connection: foo, Close"]).keep_alive());
        assert!(!request("GET / HTTP/1.0", &[]).keep_alive());
        assert!(request("GET / HTTP/1.0", &["Connection: Keep-Alive"]).keep_alive());
    }

    #[test]
    fn bodies() {
        assert_eq!(body("GET / HTTP/1.1", &[]), Ok(BodyKind::None));
        assert_eq!(body("POST / HTTP/1.1", &[]), Ok(BodyKind::UntilClose));
        assert_eq!(body("PUT / HTTP/1.0", &[]), Ok(BodyKind::UntilClose));
        assert_eq!(body("GET / HTTP/1.1", &["Content-Length: 3"]), Ok(BodyKind::Length(3)));
        assert_eq!(body("POST / HTTP/1.1", &["Content-Length: 0"]), Ok(BodyKind::Length(0)));
        assert_eq!(
            body("POST / HTTP/1.1", &["Content-Length: 7, 7", "content-length: 7"]),
            Ok(BodyKind::Length(7))
        );
        assert_eq!(body("POST / HTTP/1.1", &["Transfer-Encoding: Chunked"]), Ok(BodyKind::Chunked));
    }

    #[test]
    fn bodies_whose_end_is_in_doubt() {
        let status = |line, fields: &[&str]| body(line, fields).expect_err("the end is in doubt").status();
        for lengths in ["1, 2", "", "+1", "-1", "1 2", "0x1", "1,", "18446744073709551616"] {
            assert_eq!(
                status("POST / HTTP/1.1", &[&format!("Content-Length: {lengths}")]),
                Status::BadRequest
            );
        }
        assert_eq!(
            status("POST / HTTP/1.1", &["Content-Length: 1", "Content-Length: 2"]),
            Status::BadRequest
        );
        assert_eq!(
            status("POST / HTTP/1.1", &["Content-Length: 1", "Transfer-Encoding: chunked"]),
            Status::BadRequest
        );
        assert_eq!(status("POST / HTTP/1.0", &["Transfer-Encoding: chunked"]), Status::BadRequest);
        assert_eq!(status("POST / HTTP/1.1", &["Transfer-Encoding: "]), Status::BadRequest);
        assert_eq!(status("POST / HTTP/1.1", &["Transfer-Encoding: chunked, chunked"]), Status::BadRequest);
        assert_eq!(status("POST / HTTP/1.1", &["Transfer-Encoding: gzip, chunked"]), Status::NotImplemented);
        assert_eq!(status("POST / HTTP/1.1", &["Transfer-Encoding: xchunked"]), Status::NotImplemented);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_request(&bytes);
        }

        #[test]
        fn almost_requests_are_answered(target in "[/%a-f0-9?*:]{0,12}", value in "[ -~\u{80}-\u{ff}]{0,20}") {
            let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {value}\r\n\r\n");
            if let Ok(Some((request, head_len))) = parse_request(head.as_bytes()) {
                prop_assert_eq!(head_len, head.len());
                let _ = request.body();
            }
        }
    }
}
