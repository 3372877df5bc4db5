//! The items with which peers compare two sets of logs (docs/design/wire.md, "Comparing many logs"): digests of the parts of a
//! prefix, and lists of the logs in a prefix.

use bytes::{BufMut, BytesMut};

use super::extension::{log_id, put_extent, Extent};
use super::wire::{put_varint, take_hash, take_prefixed, take_varint};
use crate::error::{Error, Result};
use crate::node::Digest;
use crate::store::log_set::{Bucket, Prefix, PARTS};

/// Bytes of a part's digest. To hide a difference, the writer of a log would have to find two histories with the same bytes.
/// That takes 2^48 attempts, and hides the difference from one pair of peers until a log in the same part grows.
pub const PART_BYTES: usize = 12;

const ROOT: u8 = 0;
const PARTS_OF: u8 = 1;
const ASKS: u8 = 2;
const TELLS: u8 = 3;

/// The first bytes of a bucket's digest; `None` if it is empty.
pub type PartDigest = Option<[u8; PART_BYTES]>;

/// One statement about the sender's logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// All of the sender's logs.
    Root(Bucket),
    /// The sixteen parts of a prefix.
    Parts(Prefix, [PartDigest; PARTS]),
    /// All of the sender's logs in a prefix.
    List {
        /// The prefix.
        prefix: Prefix,
        /// Whether the receiver has to answer with its own list.
        asks: bool,
        /// The logs.
        extents: Vec<Extent>,
    },
}

/// The digest by which a part is compared.
#[must_use]
pub fn part_digest(bucket: &Bucket) -> PartDigest {
    if bucket.logs == 0 {
        return None;
    }
    bucket.digest.0.first_chunk().copied()
}

impl Item {
    /// Whether the receiver has to answer this item.
    #[must_use]
    pub fn is_question(&self) -> bool {
        !matches!(self, Item::List { asks: false, .. })
    }

    /// Appends the encoded item.
    pub fn put(&self, out: &mut BytesMut) {
        match self {
            Item::Root(bucket) => {
                put_head(out, ROOT, Prefix::ROOT);
                put_varint(out, bucket.logs);
                out.put_slice(&bucket.digest.0);
            }
            Item::Parts(prefix, parts) => {
                put_head(out, PARTS_OF, *prefix);
                let there = parts.iter().enumerate().filter(|(_, part)| part.is_some());
                out.put_u16(there.fold(0, |bits, (digit, _)| bits | 1 << digit));
                for part in parts.iter().flatten() {
                    out.put_slice(part);
                }
            }
            Item::List { prefix, asks, extents } => {
                put_head(out, if *asks { ASKS } else { TELLS }, *prefix);
                put_varint(out, extents.len() as u64);
                for extent in extents {
                    put_extent(out, extent);
                }
            }
        }
    }

    /// The next item of a message, if there is one more.
    ///
    /// # Errors
    /// `Protocol` if it is malformed.
    pub fn take(body: &mut &[u8]) -> Result<Option<Self>> {
        if body.is_empty() {
            return Ok(None);
        }
        Self::decode(body).unwrap_or_else(|| Err(malformed())).map(Some)
    }

    fn decode(body: &mut &[u8]) -> Option<Result<Self>> {
        let (&head, rest) = body.split_first()?;
        let digits = head & 31;
        let (path, rest) = rest.split_at_checked(usize::from(digits.div_ceil(2)))?;
        *body = rest;
        let mut bits = [0; 8];
        bits.get_mut(..path.len())?.copy_from_slice(path);
        let bits = u64::from_be_bytes(bits);
        let prefix = Prefix::of(bits, digits);
        if prefix.bits() != bits || prefix.digits() != digits {
            return None;
        }
        Some(match head >> 5 {
            ROOT if digits == 0 => {
                Ok(Item::Root(Bucket { logs: take_varint(body)?, digest: Digest(take_hash(body)?) }))
            }
            PARTS_OF if digits < 16 => {
                let (there, rest) = body.split_first_chunk()?;
                *body = rest;
                let there = u16::from_be_bytes(*there);
                let mut parts = [None; PARTS];
                for (_, part) in parts.iter_mut().enumerate().filter(|(digit, _)| there >> digit & 1 == 1) {
                    let (digest, rest) = body.split_first_chunk()?;
                    *body = rest;
                    *part = Some(*digest);
                }
                Ok(Item::Parts(prefix, parts))
            }
            kind @ (ASKS | TELLS) => {
                let mut extents = Vec::new();
                for _ in 0..take_varint(body)? {
                    let log = match log_id(take_prefixed(body)?) {
                        Ok(log) => log,
                        Err(error) => return Some(Err(error)),
                    };
                    let extent = Extent { log, seq: take_varint(body)?, digest: Digest(take_hash(body)?) };
                    extents.push(extent);
                }
                Ok(Item::List { prefix, asks: kind == ASKS, extents })
            }
            _ => return None,
        })
    }
}

fn put_head(out: &mut BytesMut, kind: u8, prefix: Prefix) {
    out.put_u8(kind << 5 | prefix.digits());
    let path = prefix.bits().to_be_bytes();
    out.put_slice(path.get(..usize::from(prefix.digits().div_ceil(2))).unwrap_or_default());
}

fn malformed() -> Error {
    Error::Protocol("undecodable comparison of logs".into())
}
