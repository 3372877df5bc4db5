//! The index of terms in a Level database, under our own prefix. It is created by the first search, never by a commit. All of it
//! can be derived from 1.x's records, so it may be deleted while the store is closed.

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::layout::{parse_ordered, push_ordered};
use crate::error::{Error, Result};
use crate::node::{Change, Key};
use crate::store::terms::{Runs, Term, TERM_BITS};
use crate::varint::{put_varint, take_varint};

/// How far the index reaches, and its secret.
pub const TERMS: &str = "!hyper2!terms";
/// Prefix of all block keys.
pub const BLOCKS: &str = "!hyper2!term!";

/// Incremented when the meaning of these records changes. Records of another version are deleted and rebuilt.
const VERSION: u32 = 1;

/// Digits of a term.
const DIGITS: usize = TERM_BITS as usize / 4;

/// What the record at [`TERMS`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Key of the terms.
    pub secret: [u8; 16],
    /// The last change in the index.
    pub change: Change,
    /// Its node.
    pub key: Key,
}

#[derive(Clone, PartialEq, Message)]
struct ReachMessage {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "vec", tag = "2")]
    secret: Vec<u8>,
    #[prost(uint64, tag = "3")]
    change: u64,
    #[prost(bytes = "vec", tag = "4")]
    key: Vec<u8>,
}

/// The record at [`TERMS`].
#[must_use]
pub fn encode_reach(reach: &Reach) -> Bytes {
    let Reach { secret, change, key } = reach;
    let message = ReachMessage { version: VERSION, secret: secret.to_vec(), change: *change, key: key.0.to_vec() };
    message.encode_to_vec().into()
}

/// Reads the record at [`TERMS`]; `None` if it has another version or is damaged. Then the index is rebuilt.
#[must_use]
pub fn decode_reach(record: &[u8]) -> Option<Reach> {
    let message = ReachMessage::decode(record).ok().filter(|message| message.version == VERSION)?;
    let (secret, key) = (message.secret.try_into().ok()?, Key(message.key.try_into().ok()?));
    Some(Reach { secret, change: message.change, key })
}

/// The prefix of the keys of a term's blocks.
#[must_use]
pub fn block_prefix(term: Term) -> String {
    format!("{BLOCKS}{term:0DIGITS$x}!")
}

/// The end of the range of a term's blocks: their keys continue with hex digits.
#[must_use]
pub fn block_end(term: Term) -> String {
    format!("{}g", block_prefix(term))
}

/// The key of the block of a term that begins with this change.
///
/// # Errors
/// `Conflict` for a change that no key can hold.
pub fn block_key(term: Term, change: Change) -> Result<String> {
    let mut key = block_prefix(term);
    push_ordered(&mut key, change)?;
    Ok(key)
}

/// The term and first change of a block.
#[must_use]
pub fn parse_block_key(key: &[u8]) -> Option<(Term, u32)> {
    let rest = std::str::from_utf8(key.strip_prefix(BLOCKS.as_bytes())?).ok()?;
    let (term, change) = rest.split_once('!')?;
    if term.len() != DIGITS {
        return None;
    }
    Some((Term::from_str_radix(term, 16).ok()?, u32::try_from(parse_ordered(change.as_bytes())?).ok()?))
}

/// Encodes a block: runs of changes, `(first, last)`. The first run begins with the change in the block's key. Each run is a
/// varint: the difference between its first change and the last change of the run before (0 in the first run), times 2, plus 1 if
/// the run has several changes. In that case, a varint with the number of further changes follows.
#[must_use]
pub fn encode_block(runs: &[(u32, u32)]) -> Bytes {
    let mut out = BytesMut::new();
    let mut before = runs.first().map_or(0, |(first, _)| *first);
    for (first, last) in runs {
        let long = last > first;
        put_varint(&mut out, u64::from(first - before) << 1 | u64::from(long));
        if long {
            put_varint(&mut out, u64::from(last - first));
        }
        before = *last;
    }
    out.freeze()
}

/// Reads a block that begins with change `first`.
///
/// # Errors
/// `Damaged` if it is not valid.
pub fn decode_block(place: &str, first: u32, mut record: &[u8]) -> Result<Runs> {
    let mut runs = Runs::default();
    let mut before = first;
    let mut take = || {
        let head = take_varint(&mut record)?;
        let first = before.checked_add(u32::try_from(head >> 1).ok()?)?;
        let more = if head & 1 == 1 { u32::try_from(take_varint(&mut record)?).ok()? } else { 0 };
        before = first.checked_add(more)?;
        runs.0.push((first, before));
        Some(!record.is_empty())
    };
    loop {
        match take() {
            Some(true) => {}
            Some(false) => return Ok(runs),
            None => {
                return Err(Error::damaged(
                    place,
                    "not a block of terms; delete all keys that begin with !hyper2!term and open again",
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_their_keys_come_back() {
        for runs in [vec![(7, 7)], vec![(1, 4096)], vec![(300, 300), (302, 310), (4_000_000_000, 4_000_000_000)]] {
            let record = encode_block(&runs);
            let key = block_key(0xAB_CDEF, u64::from(runs[0].0)).unwrap();
            assert_eq!(parse_block_key(key.as_bytes()), Some((0xAB_CDEF, runs[0].0)));
            assert!(key.starts_with(&block_prefix(0xAB_CDEF)) && key < block_end(0xAB_CDEF));
            assert_eq!(decode_block("x", runs[0].0, &record).unwrap(), Runs(runs));
        }
        for bad in [&b""[..], b"\x01", b"\xff\xff\xff\xff\xff\x0f"] {
            assert_eq!(decode_block("x", 1, bad).unwrap_err().code(), "ERR_HYPER_DAMAGED");
        }
        for foreign in ["!hyper2!term!", "!hyper2!term!00!05", "!hyper2!term!00000000zz!05", "!hyper2!terms"] {
            assert_eq!(parse_block_key(foreign.as_bytes()), None, "{foreign}");
        }
    }

    #[test]
    fn how_far_the_index_reaches_comes_back_or_is_nothing() {
        let reach = Reach { secret: [7; 16], change: 99, key: Key([3; 32]) };
        let record = encode_reach(&reach);
        assert_eq!(decode_reach(&record), Some(reach));
        for cut in 0..record.len() {
            assert_eq!(decode_reach(&record[..cut]), None);
        }
    }
}
