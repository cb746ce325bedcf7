//! Heads and bodies of HTTP requests.

use tsstream::proto::http::{BodyDecoder, BodyKind, HEAD_BYTES_MAX, HEADERS_MAX, Request, parse_request};

use crate::portions::{portions, seed};

/// The input is what a peer sends on a new connection: a head, and after it the body.
pub fn check(data: &[u8]) {
    match parse_request(data) {
        Ok(Some((request, head_len))) => {
            assert!(head_len <= data.len().min(HEAD_BYTES_MAX));
            check_request(&request);
            check_less(data, head_len);
            let after_head = &data[head_len..];
            if let Ok(kind) = request.body() {
                check_body(kind, after_head);
            }
            for kind in [BodyKind::Chunked, BodyKind::Length(9), BodyKind::UntilClose, BodyKind::None] {
                check_body(kind, after_head);
            }
        }
        Ok(None) => {
            assert!(data.len() < HEAD_BYTES_MAX, "it asks for no more than that");
            check_less(data, data.len());
        }
        Err(error) => assert!(error.status().code() >= 400 && !error.to_string().is_empty()),
    }
    // Without a head, so that bodies are got at easily.
    check_body(BodyKind::Chunked, data);
}

fn check_request(request: &Request) {
    assert!(request.path == "*" || request.path.starts_with('/'), "{:?}", request.path);
    assert!(!request.path.chars().any(char::is_control), "{:?}", request.path);
    assert!(request.values("Host").count() <= 1);
    for name in ["Connection", "Upgrade", "Transfer-Encoding", "X-Forwarded-For"] {
        assert!(request.values(name).count() <= HEADERS_MAX);
        assert!(request.list(name).all(|member| !member.is_empty() && !request.header_has_token(name, "\0")));
    }
    let _ = (request.keep_alive(), request.is_http11());
}

/// Of a head that is complete with `head_len` bytes, or not yet, every part asks for more and takes nothing.
fn check_less(data: &[u8], head_len: usize) {
    let step = 1 + head_len / 16;
    for less in (0..head_len).step_by(step).chain(head_len.checked_sub(1)) {
        assert!(
            matches!(parse_request(&data[..less]), Ok(None)),
            "of {head_len} bytes, {less} are not enough"
        );
    }
}

/// What became of a body: its content, what was left over, whether it has ended, whether it was broken.
#[derive(Debug, PartialEq)]
struct Outcome {
    content: Vec<u8>,
    left_over: Vec<u8>,
    has_ended: bool,
    is_broken: bool,
}

fn check_body(kind: BodyKind, data: &[u8]) {
    let whole = decode(kind, std::iter::once(data));
    assert!(whole.content.len() + whole.left_over.len() <= data.len());
    if let BodyKind::Length(length) = kind {
        assert!(
            whole.content.len() as u64 <= length && whole.has_ended == (whole.content.len() as u64 == length)
        );
    }
    let mut in_portions = decode(kind, portions(data, seed(data)));
    if whole.is_broken {
        // Nobody is to read on from there.
        in_portions.left_over.clone_from(&whole.left_over);
    }
    assert_eq!(whole, in_portions);
}

fn decode<'a>(kind: BodyKind, portions: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut decoder = BodyDecoder::new(kind);
    let (mut content, mut left_over) = (Vec::new(), Vec::new());
    let mut has_ended = matches!(kind, BodyKind::None | BodyKind::Length(0));
    for mut portion in portions {
        while !portion.is_empty() && !has_ended {
            let Ok(decoded) = decoder.decode(portion) else {
                return Outcome { content, left_over, has_ended: false, is_broken: true };
            };
            assert!(
                decoded.consumed > 0
                    && decoded.consumed <= portion.len()
                    && decoded.data.len() <= decoded.consumed
            );
            content.extend_from_slice(decoded.data);
            has_ended = decoded.ended;
            portion = &portion[decoded.consumed..];
        }
        left_over.extend_from_slice(portion);
    }
    Outcome { content, left_over, has_ended, is_broken: false }
}
