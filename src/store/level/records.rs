//! Records that 1.x does not store, under one prefix that none of its scans touches. They can be derived from 1.x's own records, so
//! they may be deleted while the store is closed. Then readers start from the beginning, and entries that have moved after a fork
//! may move once more.

use bytes::Bytes;
use prost::Message;

use super::bridge::Op;
use super::layout::{parse_ordered, push_ordered, split_log_seq};
use crate::error::{Error, Result};
use crate::node::{Change, Digest, Key, LogId, Seq};
use crate::row::Position;

/// The state that [`Checkpoint`] describes.
pub const CHECKPOINT: &str = "!hyper2!checkpoint";
/// Running digests of logs, every [`MARK_EVERY`] entries.
pub const DIGESTS: &str = "!hyper2!digest!";
/// Duplicates by position.
pub const POSITIONS: &str = "!hyper2!place!";
/// Positions of duplicates by log and seq.
pub const DUPLICATES: &str = "!hyper2!duplicate!";
/// How many of the local log's first entries were moved to it, text.
pub const MOVED: &str = "!hyper2!moved";

/// The name of the network that the database belongs to, text.
pub const NETWORK: &str = "!hyper2!network";

/// The logs that the emitter wrote before it had a key.
pub const OLDER_LOGS: &str = "!hyper2!older";

/// What the events of each name were encoded with.
pub const SCHEMAS: &str = "!hyper2!schemas";

/// The logs of which peers hold another version.
pub const STUCK: &str = "!hyper2!stuck";

/// Prefix of the seals of entries whose nodes have another log's seal, or none.
const SEALS: &str = "!hyper2!seal!";

const READER_POSITIONS: &str = "!hyper2!position!";

/// Prefix of the records of subscriptions.
pub const CONSUMERS: &str = "!hyper2!consumer!";

/// Prefix of what is derived from the log.
pub const DERIVED: &str = "!hyper2!derived!";

/// Entries of a log between two stored digests. A digest in between costs one range read of up to this many small rows; a stored
/// one costs a small record.
pub const MARK_EVERY: Seq = 256;

/// Version of these records. Those of another version are derived anew.
const VERSION: u32 = 1;

/// The key of a named consumer's position.
#[must_use]
pub fn reader_position_key(name: &str) -> String {
    format!("{READER_POSITIONS}{name}")
}

/// The key of a record of a subscription. The keys are not in order of changes, because all of them are read together.
#[must_use]
pub fn consumer_key(name: &str, change: Change) -> String {
    format!("{CONSUMERS}{name}!{change}")
}

/// Reads back a [`consumer_key`]. Names may contain `!`.
#[must_use]
pub fn parse_consumer_key(key: &[u8]) -> Option<(String, Change)> {
    let (name, change) = std::str::from_utf8(key).ok()?.strip_prefix(CONSUMERS)?.rsplit_once('!')?;
    Some((name.to_owned(), change.parse().ok()?))
}

/// The key of an entry's seal. The keys need no order, because seals are read one at a time.
#[must_use]
pub fn seal_key(log: &str, seq: Seq) -> String {
    format!("{SEALS}{log}!{seq}")
}

/// The key of a log's digest after `seq` entries.
///
/// # Errors
/// `Conflict` for a seq that no key can hold.
pub fn digest_key(log: &str, seq: Seq) -> Result<String> {
    log_seq_key(DIGESTS, log, seq)
}

/// The key of the record with the position of a duplicate entry.
///
/// # Errors
/// As [`digest_key`].
pub fn duplicate_key(log: &str, seq: Seq) -> Result<String> {
    log_seq_key(DUPLICATES, log, seq)
}

fn log_seq_key(prefix: &str, log: &str, seq: Seq) -> Result<String> {
    let mut key = format!("{prefix}{log}!");
    push_ordered(&mut key, seq)?;
    Ok(key)
}

/// The key of the record of the duplicate at this position.
///
/// # Errors
/// As [`digest_key`].
pub fn row_position_key(at: Position) -> Result<String> {
    let mut key = String::from(POSITIONS);
    push_ordered(&mut key, at.change)?;
    key.push('!');
    push_ordered(&mut key, at.duplicate.into())?;
    Ok(key)
}

/// Reads back a [`row_position_key`].
#[must_use]
pub fn parse_row_position_key(key: &[u8]) -> Option<Position> {
    parse_position(key.strip_prefix(POSITIONS.as_bytes())?)
}

fn parse_position(text: &[u8]) -> Option<Position> {
    let mut parts = text.split(|byte| *byte == b'!');
    let change = parse_ordered(parts.next()?)?;
    let duplicate = parse_ordered(parts.next()?)?;
    (parts.next().is_none() && duplicate > 0).then_some(Position { change, duplicate: duplicate.try_into().ok()? })
}

/// The record at a [`duplicate_key`]: the position, written as in a [`row_position_key`].
///
/// # Errors
/// As [`digest_key`].
pub fn encode_position(at: Position) -> Result<Bytes> {
    Ok(row_position_key(at)?.split_off(POSITIONS.len()).into())
}

/// Reads back [`encode_position`].
///
/// # Errors
/// `Damaged` if it is not a position.
pub fn decode_position(name: &str, record: &[u8]) -> Result<Position> {
    parse_position(record)
        .ok_or_else(|| Error::damaged(name, "not a position; delete all keys that begin with !hyper2! and open again"))
}

/// A duplicate entry, as recorded at its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// Its log.
    pub log: LogId,
    /// Its seq.
    pub seq: Seq,
    /// Its node.
    pub key: Key,
}

/// The record at a [`row_position_key`]: the node's key, then the entry's log and seq as in its own key.
///
/// # Errors
/// As [`digest_key`].
pub fn encode_duplicate(duplicate: &Duplicate) -> Result<Bytes> {
    let mut text: String = duplicate.key.to_hex().map(char::from).iter().collect();
    text.push_str(&duplicate.log);
    text.push('!');
    push_ordered(&mut text, duplicate.seq)?;
    Ok(text.into())
}

/// Reads back [`encode_duplicate`].
///
/// # Errors
/// `Damaged` if it is none.
pub fn decode_duplicate(name: &str, record: &[u8]) -> Result<Duplicate> {
    record
        .split_at_checked(Key::HEX_LEN)
        .and_then(|(key, entry)| {
            let (log, seq) = split_log_seq(entry)?;
            Some(Duplicate { log: log.into(), seq, key: Key::from_hex(key)? })
        })
        .ok_or_else(|| {
            Error::damaged(name, "not a duplicate entry; delete all keys that begin with !hyper2! and open again")
        })
}

/// The state that 1.x's records had when it was written.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// The last change.
    pub change: Change,
    /// Its node; absent when there was none.
    pub key: Option<Key>,
    /// Every log.
    pub logs: Vec<LogCheckpoint>,
}

/// One log, as far as the checkpoint reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// The log.
    pub log: LogId,
    /// Its last seq.
    pub seq: Seq,
    /// Its digest.
    pub digest: Digest,
    /// Node of its last entry.
    pub key: Key,
    /// Change part of its last entry's position.
    pub change: Change,
}

#[derive(Clone, PartialEq, Message)]
struct CheckpointMessage {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(uint64, tag = "3")]
    change: u64,
    #[prost(bytes = "vec", tag = "4")]
    key: Vec<u8>,
    #[prost(message, repeated, tag = "5")]
    logs: Vec<LogMessage>,
    /// All 256 byte values, so that a database that cannot store arbitrary bytes is noticed before it damages an event. It is the
    /// last field, so that a truncated record is invalid.
    #[prost(bytes = "vec", tag = "15")]
    probe: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct LogMessage {
    #[prost(string, tag = "1")]
    log: String,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(bytes = "vec", tag = "3")]
    digest: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    key: Vec<u8>,
    #[prost(uint64, tag = "5")]
    change: u64,
}

fn probe() -> Vec<u8> {
    (0..=u8::MAX).collect()
}

/// The record of a checkpoint.
#[must_use]
pub fn encode_checkpoint(checkpoint: &Checkpoint) -> Bytes {
    let logs = checkpoint.logs.iter().map(|log| LogMessage {
        log: log.log.to_string(),
        seq: log.seq,
        digest: log.digest.0.to_vec(),
        key: log.key.0.to_vec(),
        change: log.change,
    });
    CheckpointMessage {
        version: VERSION,
        change: checkpoint.change,
        key: checkpoint.key.map(|key| key.0.to_vec()).unwrap_or_default(),
        logs: logs.collect(),
        probe: probe(),
    }
    .encode_to_vec()
    .into()
}

/// Reads a checkpoint; `None` if it is of another version or damaged. It is derived anew then.
#[must_use]
pub fn decode_checkpoint(record: &[u8]) -> Option<Checkpoint> {
    let message = CheckpointMessage::decode(record).ok()?;
    if message.version != VERSION || message.probe != probe() {
        return None;
    }
    let key = if message.key.is_empty() { None } else { Some(Key(message.key.try_into().ok()?)) };
    let logs = message.logs.into_iter().map(|log| {
        Some(LogCheckpoint {
            log: log.log.into(),
            seq: log.seq,
            digest: Digest(log.digest.try_into().ok()?),
            key: Key(log.key.try_into().ok()?),
            change: log.change,
        })
    });
    Some(Checkpoint { change: message.change, key, logs: logs.collect::<Option<_>>()? })
}

/// Stores the digest of a log.
pub fn digest_mark(log: &str, seq: Seq, digest: &Digest) -> Result<Op> {
    Ok(Op::Put(digest_key(log, seq)?, Bytes::copy_from_slice(&digest.0)))
}

/// Stores the position of a duplicate, to be found by position and by entry.
pub fn duplicate_ops(at: Position, duplicate: &Duplicate) -> Result<[Op; 2]> {
    Ok([
        Op::Put(row_position_key(at)?, encode_duplicate(duplicate)?),
        Op::Put(duplicate_key(&duplicate.log, duplicate.seq)?, encode_position(at)?),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_and_order_as_they_do() {
        let positions = [(0, 1), (3, 1), (3, 2), (250, 300), (251, 1), (70_000, 2)];
        let keys: Vec<String> = positions
            .iter()
            .map(|(change, duplicate)| row_position_key(Position { change: *change, duplicate: *duplicate }).unwrap())
            .collect();
        assert!(keys.is_sorted());
        for ((change, duplicate), key) in positions.into_iter().zip(keys) {
            assert_eq!(parse_row_position_key(key.as_bytes()), Some(Position { change, duplicate }));
        }
    }

    #[test]
    fn a_damaged_checkpoint_is_none() {
        let log = LogCheckpoint { log: "log-a".into(), seq: 3, digest: Digest([1; 32]), key: Key([2; 32]), change: 4 };
        let checkpoint = Checkpoint { change: 9, key: Some(Key([3; 32])), logs: vec![log] };
        let record = encode_checkpoint(&checkpoint);
        assert_eq!(decode_checkpoint(&record), Some(checkpoint));
        let as_text = String::from_utf8_lossy(&record).into_owned();
        assert_eq!(decode_checkpoint(as_text.as_bytes()), None, "bytes that went through text");
        for cut in 0..record.len() {
            assert_eq!(decode_checkpoint(&record[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn a_duplicate_survives_its_record() {
        let duplicate = Duplicate { log: "log-é".into(), seq: 1000, key: Key([5; 32]) };
        assert_eq!(decode_duplicate("x", &encode_duplicate(&duplicate).unwrap()).unwrap(), duplicate);
        for bad in [&b""[..], &[b'a'; 64], &[b'z'; 80]] {
            assert_eq!(decode_duplicate("x", bad).unwrap_err().code(), "ERR_HYPER_DAMAGED");
        }
    }
}
