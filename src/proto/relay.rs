//! What a node says to a node that pulls a stream from it, beyond what it says to any viewer: the WebSocket subprotocol
//! `tsstream.1`. Pure.
//!
//! The one that pulls names itself in `Tsstream-Node` and, if it has had something of the stream, in `Tsstream-After` the
//! last chunk of it; the answer names the node that serves. Then come, in messages:
//!
//! ```text
//! text     path ID,ID,…   the node that serves and those before it, nearest first; first of all, and when it changes
//! binary   a preamble     PAT, PMT and so on: only where a chunk does not continue the one before; never passed on
//! binary   a stamp        where the chunk that follows stands in the stream, and when it came
//! binary   the chunk
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::identity::NodeId;

/// The subprotocol. Who does not know it may still echo it: only a named node speaks it.
pub const SUBPROTOCOL: &str = "tsstream.1";

/// The header that names a node, in a request and in the answer.
pub const NODE_HEADER: &str = "Tsstream-Node";

/// The header with the [`Origin`] of the last chunk that who pulls has.
pub const AFTER_HEADER: &str = "Tsstream-After";

/// Nodes in a row at most, from the first that has the stream to the last.
pub const HOPS_MAX: usize = 16;

/// Bytes of a [`Stamp`].
pub const STAMP_BYTES: usize = 42;

/// What a stamp begins with. A preamble begins with the sync byte of a TS packet.
const STAMP_TAG: u8 = 1;

const ENTRY: u8 = 1;
const DISCONTINUITY: u8 = 2;

const PATH_WORD: &str = "path ";

/// Where a chunk was first made, and its number there. The same on all nodes that it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The node that made it. An identity lasts as long as a process, and so do the numbers.
    pub node: NodeId,
    /// [`Chunk::sequence`](crate::chunk::Chunk::sequence) there.
    pub number: u64,
}

impl Origin {
    /// Whether the chunk here comes right after the one there, nothing between them.
    #[must_use]
    pub fn follows(self, before: Origin) -> bool {
        self.node == before.node && Some(self.number) == before.number.checked_add(1)
    }

    /// Whether the chunk here is the one there, or was made before it.
    #[must_use]
    pub fn is_at_most(self, other: Origin) -> bool {
        self.node == other.node && self.number <= other.number
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.node, self.number)
    }
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(text: &str) -> Result<Origin, ()> {
        let (node, number) = text.split_once(' ').ok_or(())?;
        Ok(Origin { node: node.parse().map_err(drop)?, number: number.parse().map_err(drop)? })
    }
}

/// What is told of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its number at the node that sends it.
    pub sequence: u64,
    /// Where it was made.
    pub origin: Origin,
    /// When it was made, by the clock there, in microseconds since 1970.
    pub made_us: u64,
    /// When it came to the node that sends it, by the clock there; the same where it was made.
    pub received_us: u64,
    /// A receiver may begin with it.
    pub entry: bool,
    /// It does not continue the chunk before.
    pub follows_discontinuity: bool,
}

impl Stamp {
    /// As it is sent.
    #[must_use]
    pub fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        let flags = (u8::from(self.entry) * ENTRY) | (u8::from(self.follows_discontinuity) * DISCONTINUITY);
        bytes[..2].copy_from_slice(&[STAMP_TAG, flags]);
        let numbers =
            [self.sequence, self.origin.node.number(), self.origin.number, self.made_us, self.received_us];
        for (place, number) in bytes[2..].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    /// The stamp that `message` is, if it is one.
    #[must_use]
    pub fn from_bytes(message: &[u8]) -> Option<Stamp> {
        let (&[STAMP_TAG, flags], numbers) = message.split_first_chunk()? else { return None };
        let ([sequence, node, number, made_us, received_us], []) = numbers.as_chunks::<8>() else {
            return None;
        };
        Some(Stamp {
            sequence: u64::from_be_bytes(*sequence),
            origin: Origin {
                node: NodeId::from_number(u64::from_be_bytes(*node)),
                number: u64::from_be_bytes(*number),
            },
            made_us: u64::from_be_bytes(*made_us),
            received_us: u64::from_be_bytes(*received_us),
            entry: flags & ENTRY != 0,
            follows_discontinuity: flags & DISCONTINUITY != 0,
        })
    }
}

/// Nodes that a stream has passed, nearest first.
pub type Path = Arc<[NodeId]>;

/// The text message that tells a stream's path: `node` itself, then those `before` it.
#[must_use]
pub fn path_text(node: NodeId, before: &[NodeId]) -> String {
    let nodes: Vec<String> = std::iter::once(&node).chain(before).map(NodeId::to_string).collect();
    format!("{PATH_WORD}{}", nodes.join(","))
}

/// The path that a text message tells; `None` if it tells something else, which may be ignored.
#[must_use]
pub fn parse_path(text: &[u8]) -> Option<Path> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix(PATH_WORD)?;
    text.split(',').map(str::parse).collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_comes_back_from_its_bytes() {
        let origin = Origin { node: NodeId::random(), number: u64::MAX };
        for flags in 0..4_u8 {
            let (entry, follows_discontinuity) = (flags & 1 != 0, flags & 2 != 0);
            let stamp =
                Stamp { sequence: 1, origin, made_us: 2, received_us: 3, entry, follows_discontinuity };
            let bytes = stamp.to_bytes();
            assert_eq!(Stamp::from_bytes(&bytes), Some(stamp));
            assert_eq!(Stamp::from_bytes(&bytes[1..]), None);
            assert_eq!(Stamp::from_bytes(&[&bytes[..], &[0]].concat()), None);
        }
        assert_eq!(Stamp::from_bytes(&[0x47; STAMP_BYTES]), None);
        assert_eq!(Stamp::from_bytes(b""), None);
    }

    #[test]
    fn an_origin_comes_back_from_its_text_and_has_neighbours() {
        let origin = Origin { node: NodeId::random(), number: 7 };
        assert_eq!(origin.to_string().parse(), Ok(origin));
        for text in ["", "7", "x 7", "0123456789abcdef", "0123456789abcdef x", "0123456789abcdef  7"] {
            assert_eq!(text.parse::<Origin>(), Err(()), "{text}");
        }
        let next = Origin { number: 8, ..origin };
        assert!(next.follows(origin) && !origin.follows(origin) && !origin.follows(next));
        assert!(origin.is_at_most(origin) && origin.is_at_most(next) && !next.is_at_most(origin));
        let elsewhere = Origin { node: NodeId::random(), number: 8 };
        assert!(!elsewhere.follows(origin) && !origin.is_at_most(elsewhere));
        assert!(!origin.follows(Origin { number: u64::MAX, ..origin }));
    }

    #[test]
    fn a_path_comes_back_from_its_text() {
        let nodes: Vec<NodeId> = (0..HOPS_MAX).map(|_| NodeId::random()).collect();
        let text = path_text(nodes[0], &nodes[1..]);
        assert_eq!(parse_path(text.as_bytes()).as_deref(), Some(&nodes[..]));
        for text in [&b"path"[..], b"path ", b"path x", b"hello", b"\xff", b"path 0123456789abcdef,"] {
            assert_eq!(parse_path(text), None);
        }
    }
}
