//! The body of a request: where it ends, and what of the bytes on the wire is content.

use std::fmt;

/// The longest chunk size line with its extensions, in bytes.
const CHUNK_LINE_BYTES_MAX: u16 = 256;

/// The longest trailer section, in bytes.
const TRAILERS_BYTES_MAX: u16 = 4096;

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// There is none.
    None,
    /// By its length in bytes.
    Length(u64),
    /// By a last chunk.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

/// Takes the framing off a body that arrives in portions of any size. Holds no content, whatever lengths are stated.
#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    /// Bytes of the chunk size line or of the trailer section so far.
    line_bytes: u16,
}

/// What [`BodyDecoder::decode`] made of its input.
#[derive(Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// How many bytes of the input are done with, those of `data` included. What follows them is the next input.
    pub consumed: usize,
    /// Content.
    pub data: &'a [u8],
    /// The body is complete with `data`. Never so for [`BodyKind::UntilClose`].
    pub ended: bool,
}

/// The chunked coding is broken, or a line of it is too long: what follows can't be told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    UntilClose,
    /// A body of known length: how many bytes are left.
    Length(u64),
    /// A chunk: how many bytes of it are left.
    Chunk(u64),
    /// Between chunks.
    Line(Line),
    Ended,
}

/// Position between the contents of two chunks (RFC 9112 §7.1). Lines end in CRLF, never in less: an end of a line that
/// one reader sees and another doesn't is how requests are smuggled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// Before the first digit.
    SizeStart,
    /// After at least one digit.
    Size(u64),
    /// In white space after the size.
    SizeEnd(u64),
    Extension(u64),
    /// After the CR of the size line.
    SizeReturn(u64),
    /// After a chunk's last byte.
    ChunkEnd,
    /// After the CR behind a chunk.
    ChunkReturn,
    TrailerStart,
    Trailer,
    /// After the CR of a trailer.
    TrailerReturn,
    /// After the CR of the line that ends the body.
    LastReturn,
}

impl BodyDecoder {
    /// At the first byte after the head.
    #[must_use]
    pub fn new(kind: BodyKind) -> BodyDecoder {
        let state = match kind {
            BodyKind::None | BodyKind::Length(0) => State::Ended,
            BodyKind::Length(bytes) => State::Length(bytes),
            BodyKind::Chunked => State::Line(Line::SizeStart),
            BodyKind::UntilClose => State::UntilClose,
        };
        BodyDecoder { state, line_bytes: 0 }
    }

    /// Goes as far as the first run of content in `input`, which is the next on the wire. To be called until the body has
    /// `ended` or the input is used up; until then it always consumes something.
    ///
    /// # Errors
    /// The body can't be read any further.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Result<Decoded<'a>, BodyError> {
        let mut rest = input.iter();
        while let State::Line(line) = self.state
            && let Some(&byte) = rest.next()
        {
            self.state = self.after(line, byte)?;
        }
        let rest = rest.as_slice();
        let (len, state) = match self.state {
            State::UntilClose => (rest.len(), State::UntilClose),
            State::Length(left) => match take(rest, left) {
                (len, 0) => (len, State::Ended),
                (len, left) => (len, State::Length(left)),
            },
            State::Chunk(left) => match take(rest, left) {
                (len, 0) => (len, State::Line(Line::ChunkEnd)),
                (len, left) => (len, State::Chunk(left)),
            },
            state @ (State::Line(_) | State::Ended) => (0, state),
        };
        self.state = state;
        let consumed = input.len() - rest.len() + len;
        Ok(Decoded { consumed, data: &rest[..len], ended: state == State::Ended })
    }

    /// The state after `byte` at `line`.
    fn after(&mut self, line: Line, byte: u8) -> Result<State, BodyError> {
        self.count(line)?;
        let next = match (line, byte) {
            (Line::SizeStart, _) => Line::Size(u64::from(hex_digit(byte).ok_or(BodyError)?)),
            (Line::Size(size) | Line::SizeEnd(size) | Line::Extension(size), b'\r') => Line::SizeReturn(size),
            (Line::Size(size) | Line::SizeEnd(size), b' ' | b'\t') => Line::SizeEnd(size),
            (Line::Size(size) | Line::SizeEnd(size), b';') => Line::Extension(size),
            (Line::Size(size), _) => {
                let digit = hex_digit(byte).ok_or(BodyError)?;
                Line::Size(size.checked_mul(16).ok_or(BodyError)? + u64::from(digit))
            }
            (Line::SizeReturn(0), b'\n') => Line::TrailerStart,
            (Line::SizeReturn(size), b'\n') => return Ok(State::Chunk(size)),
            (Line::ChunkEnd, b'\r') => Line::ChunkReturn,
            (Line::ChunkReturn, b'\n') => Line::SizeStart,
            (Line::TrailerStart, b'\r') => Line::LastReturn,
            (Line::Trailer, b'\r') => Line::TrailerReturn,
            (Line::TrailerReturn, b'\n') => Line::TrailerStart,
            (Line::LastReturn, b'\n') => return Ok(State::Ended),
            (Line::Extension(size), byte) if byte != b'\n' => Line::Extension(size),
            (Line::TrailerStart | Line::Trailer, byte) if byte != b'\n' => Line::Trailer,
            _ => return Err(BodyError),
        };
        Ok(State::Line(next))
    }

    /// Holds lines to their bounds.
    fn count(&mut self, line: Line) -> Result<(), BodyError> {
        let bytes_max = match line {
            Line::ChunkEnd | Line::ChunkReturn => {
                self.line_bytes = 0;
                return Ok(());
            }
            Line::TrailerStart | Line::Trailer | Line::TrailerReturn | Line::LastReturn => TRAILERS_BYTES_MAX,
            _ => CHUNK_LINE_BYTES_MAX,
        };
        self.line_bytes += 1;
        if self.line_bytes > bytes_max { Err(BodyError) } else { Ok(()) }
    }
}

/// How much of `input` belongs to what `left` bytes are left of, and how much is left after that.
fn take(input: &[u8], left: u64) -> (usize, u64) {
    let len = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
    (len, left - len as u64)
}

fn hex_digit(byte: u8) -> Option<u32> {
    char::from(byte).to_digit(16)
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the chunked coding is broken")
    }
}

impl std::error::Error for BodyError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Outcome {
        content: Vec<u8>,
        left_over: Vec<u8>,
        ended: bool,
        failed: bool,
    }

    /// Decodes what is sent in portions of these lengths, and the rest at once.
    fn decode(kind: BodyKind, sent: &[u8], portions: &[usize]) -> Outcome {
        let mut decoder = BodyDecoder::new(kind);
        let mut outcome = Outcome::default();
        let mut start = 0;
        let ends = portions.iter().scan(0, |end, len| {
            *end += len;
            Some(*end)
        });
        for end in ends.chain([sent.len()]).map(|end| end.min(sent.len())) {
            while start < end {
                match decoder.decode(&sent[start..end]) {
                    Ok(decoded) => {
                        outcome.content.extend_from_slice(decoded.data);
                        outcome.ended = decoded.ended;
                        start += decoded.consumed;
                        if decoded.ended {
                            break;
                        }
                        assert!(decoded.consumed > 0, "no progress");
                    }
                    Err(BodyError) => return Outcome { failed: true, ..outcome },
                }
            }
        }
        outcome.left_over = sent[start..].to_vec();
        outcome
    }

    #[test]
    fn no_body_and_empty_bodies_have_ended() {
        for kind in [BodyKind::None, BodyKind::Length(0)] {
            let decoded = BodyDecoder::new(kind).decode(b"GET").unwrap();
            assert_eq!(decoded, Decoded { consumed: 0, data: b"", ended: true });
        }
    }

    #[test]
    fn length_and_until_close() {
        let outcome = decode(BodyKind::Length(5), b"helloGET", &[2]);
        assert_eq!(
            (outcome.content, outcome.left_over, outcome.ended),
            (b"hello".to_vec(), b"GET".to_vec(), true)
        );
        let outcome = decode(BodyKind::UntilClose, b"hello", &[2]);
        assert_eq!((outcome.content, outcome.ended), (b"hello".to_vec(), false));
    }

    #[test]
    fn chunks_with_extensions_and_trailers() {
        let sent = b"3\r\nabc\r\n00a ;x=\"y\" \r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\nGET";
        let outcome = decode(BodyKind::Chunked, sent, &[]);
        assert_eq!((outcome.content, outcome.left_over), (b"abc0123456789".to_vec(), b"GET".to_vec()));
    }

    #[test]
    fn broken_chunks() {
        let broken: [&[u8]; 14] = [
            b"\r\n",
            b";a\r\n",
            b" 3\r\nabc\r\n",
            b"3\nabc\r\n",
            b"3\rabc",
            b"3 3\r\nabc",
            b"3;a\nabc",
            b"g\r\n",
            b"-1\r\n",
            b"0x3\r\nabc",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n",
            b"0\r\nA: b\n",
            b"10000000000000000\r\n",
        ];
        for sent in broken {
            assert!(decode(BodyKind::Chunked, sent, &[]).failed, "{}", sent.escape_ascii());
        }
        assert!(decode(BodyKind::Chunked, &[b"3;".as_slice(), &[b'a'; 300]].concat(), &[]).failed);
        assert!(decode(BodyKind::Chunked, &[b"0".as_slice(); 300].concat(), &[]).failed);
        assert!(
            decode(BodyKind::Chunked, &[b"0\r\n", b"A: b\r\n".repeat(1000).as_slice()].concat(), &[]).failed
        );
    }

    #[test]
    fn the_largest_chunk_takes_no_memory() {
        let outcome = decode(BodyKind::Chunked, b"ffffffffffffffff\r\nabc", &[]);
        assert_eq!((outcome.content, outcome.failed), (b"abc".to_vec(), false));
    }

    proptest! {
        #[test]
        fn portions_do_not_matter(
            chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..6),
            portions in proptest::collection::vec(1_usize..9, 0..60),
        ) {
            let mut sent = Vec::new();
            for chunk in &chunks {
                sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                sent.extend_from_slice(chunk);
                sent.extend_from_slice(b"\r\n");
            }
            sent.extend_from_slice(b"0\r\n\r\nrest");
            let outcome = decode(BodyKind::Chunked, &sent, &portions);
            let expected = Outcome { content: chunks.concat(), left_over: b"rest".to_vec(), ended: true, failed: false };
            prop_assert_eq!(outcome, expected);
        }

        #[test]
        fn any_bytes_in_any_portions_come_to_the_same(
            sent in "[0-3a;\r\n ]{0,60}",
            portions in proptest::collection::vec(1_usize..5, 0..40),
        ) {
            let sent = sent.as_bytes();
            prop_assert_eq!(decode(BodyKind::Chunked, sent, &portions), decode(BodyKind::Chunked, sent, &[]));
        }
    }
}
