//! HTTP/1.1 (RFC 9110, RFC 9112) as far as a node speaks it: request heads, request bodies, short answers.

mod body;
mod forwarded;
mod request;
mod response;

pub use body::{BodyDecoder, BodyError, BodyKind, Decoded};
pub use forwarded::forwarded_for;
pub use request::{HEAD_BYTES_MAX, HEADERS_MAX, HeadError, Method, Request, parse_request};
pub use response::{Content, Status, refusal, response};
