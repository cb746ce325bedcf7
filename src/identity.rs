//! Who a node is: a number of its own, drawn at start. Addresses and names are no identity, since nodes in different
//! networks have the same.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The identity of a running node. Written as 16 hexadecimal digits, in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(u64);

/// A text that is no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl NodeId {
    /// The identity that is this number.
    #[must_use]
    pub fn from_number(number: u64) -> NodeId {
        NodeId(number)
    }

    /// The identity as a number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }

    /// One that no other node has.
    #[must_use]
    pub fn random() -> NodeId {
        // What a hash of nothing depends on is the key alone, which the standard library draws at random.
        NodeId(RandomState::new().build_hasher().finish())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for NodeId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<NodeId, NotAnId> {
        let digits = text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = if digits { u64::from_str_radix(text, 16).ok() } else { None };
        number.map(NodeId).ok_or(NotAnId)
    }
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the identity of a node is 16 hexadecimal digits")
    }
}

impl std::error::Error for NotAnId {}

impl TryFrom<String> for NodeId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<NodeId, NotAnId> {
        text.parse()
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_its_own_and_comes_back_from_its_text() {
        let (a, b) = (NodeId::random(), NodeId::random());
        assert_ne!(a, b);
        assert_eq!(a.to_string().parse(), Ok(a));
        for text in ["", "0", "00000000000000000", "000000000000000G", "00000000000000AB", "+000000000000001"]
        {
            assert_eq!(text.parse::<NodeId>(), Err(NotAnId), "{text}");
        }
    }
}
