//! Complete answers, after each of which the connection is closed.

use std::sync::Arc;

use crate::proto::http::{Content, Method, Status, refusal, response};

/// The content type of everything for programs but the metrics.
pub const JSON: &str = "application/json";

/// A complete answer.
#[derive(Debug)]
pub struct Answer {
    /// The head, and for short answers the body as well.
    pub head: Vec<u8>,
    /// The rest of the body.
    pub body: Body,
}

/// A body, or what is left of it.
#[derive(Clone, Debug)]
pub enum Body {
    /// Part of the program.
    Fixed(&'static [u8]),
    /// Made not long ago, for anybody.
    Shared(Arc<[u8]>),
}

impl Body {
    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Body::Fixed(bytes) => bytes,
            Body::Shared(bytes) => bytes,
        }
    }
}

/// `200` with `body`, or without it if only the head was asked for.
#[must_use]
pub fn answer(method: Method, headers: &[(&str, &str)], body: Body) -> Answer {
    let head = response(Status::Ok, headers, Content::LengthOnly(body.bytes().len()));
    Answer { head, body: if method == Method::Head { Body::Fixed(b"") } else { body } }
}

/// [`answer`] with what changes all the time.
#[must_use]
pub fn content(method: Method, content_type: &str, body: Body) -> Answer {
    let headers = [
        ("Connection", "close"),
        ("Content-Type", content_type),
        ("Cache-Control", "no-store"),
        ("X-Content-Type-Options", "nosniff"),
    ];
    answer(method, &headers, body)
}

/// `204`: done, there is nothing to say.
#[must_use]
pub fn done() -> Answer {
    let headers = [("Connection", "close")];
    Answer { head: response(Status::NoContent, &headers, Content::None), body: Body::Fixed(b"") }
}

/// A line of text that says why there is nothing else.
#[must_use]
pub fn plain(status: Status, headers: &[(&str, &str)], words: &str) -> Answer {
    Answer { head: refusal(status, headers, words), body: Body::Fixed(b"") }
}
