//! DAG nodes and their identity: keys, links, logs, positions, digests.
//!
//! A node's key is hyperlog 4.12.1's: SHA-256 over length-framed links, then the length-framed value
//! (docs/design/log.md, "Node identity").

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

/// SHA-256 of a node; written as 64 lowercase hex digits in 1.x's store and on its wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Key(pub [u8; 32]);

/// Running blake3 digest of a log: `D(0)` is all zero, `D(n) = blake3(D(n-1) || key(n))`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

/// Id of one writer's log (a cuid in 1.x; any text without `!` from elsewhere).
pub type LogId = Arc<str>;

/// Position in one writer's log, from 1, gapless.
pub type Seq = u64;

/// Position in one store's order, from 1, gapless. Another store's value only orders what that store sends.
pub type Change = u64;

/// The nodes a node points back to, in stored (= hashed) order. Nearly always one.
pub type Links = SmallVec<[Key; 1]>;

/// A DAG vertex as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `key_of(links, value)`.
    pub key: Key,
    /// When this store first stored it.
    pub change: Change,
    /// Log under which this store first stored it.
    pub log: LogId,
    /// Position in that log.
    pub seq: Seq,
    /// Keys of its causes.
    pub links: Links,
    /// The event container, exactly as hashed.
    pub value: Bytes,
    /// Identity and signature as a 1.x peer sent them; kept, never checked, nearly always absent.
    pub signed: Option<Arc<Signed>>,
}

impl Node {
    /// Bytes of its parts: its size on a link where all of its causes are named by their keys.
    #[must_use]
    pub fn size(&self) -> usize {
        let signed = self.signed.as_ref().map_or(0, |signed| {
            [&signed.identity, &signed.signature].into_iter().flatten().map(Bytes::len).sum::<usize>()
        });
        self.value.len() + self.links.len() * size_of::<Key>() + signed
    }
}

/// A reference to a stored node. Nodes that were planned together share one allocation, which lives as long as any of them is
/// referenced. So references are cheap to make, to clone and to drop.
#[derive(Clone)]
pub struct NodeRef {
    group: Arc<Vec<Node>>,
    index: u32,
}

impl NodeRef {
    /// References to these nodes, in order; at most 2^32 of them.
    pub fn all(nodes: Vec<Node>) -> impl ExactSizeIterator<Item = NodeRef> {
        let group = Arc::new(nodes);
        let count = u32::try_from(group.len()).unwrap_or(u32::MAX);
        (0..count).map(move |index| NodeRef { group: Arc::clone(&group), index })
    }
}

impl NodeRef {
    /// All nodes that were planned together with this one, in order.
    pub(crate) fn group(&self) -> impl Iterator<Item = NodeRef> + '_ {
        let count = u32::try_from(self.group.len()).unwrap_or(u32::MAX);
        (0..count).map(|index| NodeRef { group: Arc::clone(&self.group), index })
    }

    /// This node and the nodes after it that were planned together with it.
    pub(crate) fn and_next(&self) -> impl Iterator<Item = NodeRef> + '_ {
        self.group().skip(self.index as usize)
    }
}

impl From<Node> for NodeRef {
    fn from(node: Node) -> Self {
        NodeRef { group: Arc::new(vec![node]), index: 0 }
    }
}

impl Deref for NodeRef {
    type Target = Node;

    #[allow(clippy::indexing_slicing)] // Both constructors count what they refer to.
    fn deref(&self) -> &Node {
        &self.group[self.index as usize]
    }
}

impl Borrow<Node> for NodeRef {
    fn borrow(&self) -> &Node {
        self
    }
}

impl PartialEq for NodeRef {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for NodeRef {}

impl fmt::Debug for NodeRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// hyperlog's optional identity and signature; not part of the key.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Signed {
    /// hyperlog `identity`.
    pub identity: Option<Bytes>,
    /// hyperlog `signature`.
    pub signature: Option<Bytes>,
}

/// A map from keys. Hashing them again would cost more than the look-up.
pub type KeyMap<V> = HashMap<Key, V, BuildHasherDefault<KeyHasher>>;

/// Takes eight bytes of a key as its hash: keys are SHA-256 already.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The array's length, the same for every key.
    fn write_usize(&mut self, _: usize) {}
}

impl Key {
    /// Length of the text form.
    pub const HEX_LEN: usize = 64;

    /// The 64 lowercase hex digits.
    #[must_use]
    pub fn to_hex(&self) -> [u8; 64] {
        let mut out = [0_u8; 64];
        for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(self.0) {
            *pair = [hex_digit(byte >> 4), hex_digit(byte & 15)];
        }
        out
    }

    /// Reads exactly 64 lowercase hex digits; anything else is not a key.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        if text.len() != Self::HEX_LEN {
            return None;
        }
        let mut out = [0_u8; 32];
        for (byte, pair) in out.iter_mut().zip(text.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = (from_hex_digit(*high)? << 4) | from_hex_digit(*low)?;
        }
        Some(Key(out))
    }
}

/// Without a table, so that the compiler converts sixteen digits at once.
const fn hex_digit(nibble: u8) -> u8 {
    nibble + if nibble < 10 { b'0' } else { b'a' - 10 }
}

fn from_hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_hex()).unwrap_or(""))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text that is not a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAKey(String);

impl fmt::Display for NotAKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a node key: 64 lowercase hex digits expected", self.0)
    }
}

impl std::error::Error for NotAKey {}

impl FromStr for Key {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        Key::from_hex(text.as_bytes()).ok_or_else(|| NotAKey(text.to_owned()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Key(self.0), f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Digest {
    /// The digest of the log once `key` has been appended to it.
    #[must_use]
    pub fn extend(&self, key: &Key) -> Self {
        let mut joined = [0_u8; 64];
        let (left, right) = joined.split_at_mut(32);
        left.copy_from_slice(&self.0);
        right.copy_from_slice(&key.0);
        Digest(*blake3::hash(&joined).as_bytes())
    }
}

/// The key of a node: SHA-256 over, for each link in order and then the value, its length in decimal, a
/// newline, and its bytes. Links hash as their hex text.
#[must_use]
pub fn key_of(links: &[Key], value: &[u8]) -> Key {
    let mut hasher = Sha256::new();
    for link in links {
        hasher.update(b"64\n");
        hasher.update(link.to_hex());
    }
    let mut frame = [0_u8; 20];
    hasher.update(decimal(value.len(), &mut frame));
    hasher.update(b"\n");
    hasher.update(value);
    Key(hasher.finalize().into())
}

/// Decimal text of `n` in `buffer`, without the formatting machinery of `write!` (this runs once per event).
fn decimal(mut n: usize, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    for (index, slot) in buffer.iter_mut().enumerate().rev() {
        *slot = b'0' + u8::try_from(n % 10).unwrap_or(0);
        start = index;
        n /= 10;
        if n == 0 {
            break;
        }
    }
    buffer.get(start..).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_text_form() {
        let key = key_of(&[], b"hello");
        assert_eq!(Key::from_hex(&key.to_hex()), Some(key));
        assert_eq!(key.to_string().parse::<Key>().ok(), Some(key));
    }

    #[test]
    fn text_that_is_no_key_is_refused() {
        for text in ["", "abc", &"A".repeat(64), &"g".repeat(64), &"a".repeat(65)] {
            assert!(text.parse::<Key>().is_err(), "{text}");
        }
    }

    #[test]
    fn lengths_are_framed_in_decimal() {
        let mut buffer = [0; 20];
        for n in [0, 1, 9, 10, 255, 1_000_000, usize::MAX] {
            assert_eq!(decimal(n, &mut buffer), n.to_string().as_bytes());
        }
    }
}
