//! Answers: complete short ones, and the heads of streams.

use std::fmt::Write;

/// The answer as it goes on the wire. There is no `Date`: a server without a clock sends none (RFC 9110 §6.6.1).
///
/// `headers` are names and values of our own or that came in as such, so that no line ends within them.
#[must_use]
pub fn response(status: Status, headers: &[(&str, &str)], content: Content) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.code(), status.reason());
    for (name, value) in headers {
        debug_assert!(!value.contains(['\r', '\n']), "a header field is one line");
        field(&mut head, name, value);
    }
    match content {
        Content::None => {}
        Content::Whole(body) => field(&mut head, "Content-Length", body.len()),
        Content::LengthOnly(bytes) => field(&mut head, "Content-Length", bytes),
        Content::UntilClose => field(&mut head, "Connection", "close"),
    }
    head.push_str("\r\n");
    let mut response = head.into_bytes();
    if let Content::Whole(body) = content {
        response.extend_from_slice(body);
    }
    response
}

/// An answer that says in words why there is nothing else, after which the connection is to be closed.
#[must_use]
pub fn refusal(status: Status, headers: &[(&str, &str)], words: &str) -> Vec<u8> {
    let common = [
        ("Connection", "close"),
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Cache-Control", "no-store"),
    ];
    let text = format!("{} {}: {words}\n", status.code(), status.reason());
    response(status, &[&common, headers].concat(), Content::Whole(text.as_bytes()))
}

/// What follows the head of an answer.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// Nothing, and no length is stated: 1xx, 204, 304.
    None,
    /// All of it.
    Whole(&'a [u8]),
    /// Nothing, since it answers a `HEAD`: the bytes that a `GET` would have brought.
    LengthOnly(usize),
    /// Whatever is written from now on.
    UntilClose,
}

/// The status codes in use (RFC 9110 §15, RFC 6585 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the RFC's names")]
pub enum Status {
    Continue = 100,
    SwitchingProtocols = 101,
    Ok = 200,
    NoContent = 204,
    NotModified = 304,
    BadRequest = 400,
    Unauthorized = 401,
    Forbidden = 403,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    Conflict = 409,
    ContentTooLarge = 413,
    UpgradeRequired = 426,
    HeaderFieldsTooLarge = 431,
    InternalServerError = 500,
    NotImplemented = 501,
    ServiceUnavailable = 503,
    VersionNotSupported = 505,
}

impl Status {
    /// The number.
    #[must_use]
    pub fn code(self) -> u16 {
        self as u16
    }

    fn reason(self) -> &'static str {
        match self {
            Status::Continue => "Continue",
            Status::SwitchingProtocols => "Switching Protocols",
            Status::Ok => "OK",
            Status::NoContent => "No Content",
            Status::NotModified => "Not Modified",
            Status::BadRequest => "Bad Request",
            Status::Unauthorized => "Unauthorized",
            Status::Forbidden => "Forbidden",
            Status::NotFound => "Not Found",
            Status::MethodNotAllowed => "Method Not Allowed",
            Status::RequestTimeout => "Request Timeout",
            Status::Conflict => "Conflict",
            Status::ContentTooLarge => "Content Too Large",
            Status::UpgradeRequired => "Upgrade Required",
            Status::HeaderFieldsTooLarge => "Request Header Fields Too Large",
            Status::InternalServerError => "Internal Server Error",
            Status::NotImplemented => "Not Implemented",
            Status::ServiceUnavailable => "Service Unavailable",
            Status::VersionNotSupported => "HTTP Version Not Supported",
        }
    }
}

fn field(head: &mut String, name: &str, value: impl std::fmt::Display) {
    write!(head, "{name}: {value}\r\n").expect("a string can be written to");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: Status, headers: &[(&str, &str)], content: Content) -> String {
        String::from_utf8(response(status, headers, content)).unwrap()
    }

    #[test]
    fn what_follows_the_head_is_announced() {
        let headers = [("Content-Type", "text/html")];
        assert_eq!(
            text(Status::Ok, &headers, Content::Whole(b"hello")),
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5\r\n\r\nhello"
        );
        assert_eq!(
            text(Status::Ok, &[], Content::LengthOnly(5)),
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
        );
        assert_eq!(
            text(Status::Ok, &[], Content::UntilClose),
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(text(Status::Continue, &[], Content::None), "HTTP/1.1 100 Continue\r\n\r\n");
    }

    #[test]
    fn a_refusal_says_why() {
        let refusal =
            refusal(Status::MethodNotAllowed, &[("Allow", "GET, HEAD")], "a stream can only be read");
        let mut headers = [httparse::EMPTY_HEADER; 8];
        let mut head = httparse::Response::new(&mut headers);
        let head_len = head.parse(&refusal).unwrap().unwrap();
        assert_eq!((head.code, head.reason), (Some(405), Some("Method Not Allowed")));
        assert!(head.headers.iter().any(|header| (header.name, header.value) == ("Allow", b"GET, HEAD")));
        assert_eq!(&refusal[head_len..], b"405 Method Not Allowed: a stream can only be read\n");
    }
}
