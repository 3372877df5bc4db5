//! The messages of 2.x peers: types from 6 on, which hyperlog skips. docs/design/wire.md has the bytes.

use bytes::{BufMut, BytesMut};

use super::goodbye::GoodbyeReason;
use super::message::{check_log_id, Message};
use super::pieces::{Piece, MAX_PARTIALS};
use super::twins::Token;
use super::unknown_logs::MAX_LOGS;
use super::wire::{put_varint, take_hash, take_prefixed, take_varint};
use crate::error::{Error, Result};
use crate::node::{Digest, Key, LogId, Seq};

/// Bytes of batches that a peer may send before we grant more: enough for several round trips at LAN speed, or a few group commits.
pub const WINDOW: u64 = 1024 * 1024;

/// Logs in one vector frame: keeps the frame near 64 KiB.
pub const VECTOR_CHUNK: usize = 1024;

/// Log updates in one credit frame.
pub const MAX_UPDATES: usize = 1024;

/// Characters of a goodbye's text, which is an error's message.
pub const MAX_GOODBYE: usize = 512;

const VECTOR: u8 = 6;
const BATCH: u8 = 7;
const CREDIT: u8 = 8;
const PROBE: u8 = 9;
const PROOF: u8 = 10;
const FORK: u8 = 11;
const ALIVE: u8 = 12;
const PIECE: u8 = 13;
const HELD: u8 = 14;
const GOODBYE: u8 = 15;
const DEMAND: u8 = 16;
const SCHEMA: u8 = 17;

const COMPARE: u8 = 20;
const NEW_TABLE: u8 = 21;
const TWIN: u8 = 28;

const FIRST: u64 = 1;
const LAST: u64 = 2;
const AGAIN: u64 = 4;

/// The state of a log up to one of its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The log.
    pub log: LogId,
    /// Its last seq.
    pub seq: Seq,
    /// Its digest after that entry.
    pub digest: Digest,
}

/// One frame of a turn in a comparison of all logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare<'a> {
    /// Number of the comparison; the listener counts them.
    pub number: u64,
    /// The first frame of the comparison.
    pub first: bool,
    /// The last frame of the turn.
    pub last: bool,
    /// The dialler asks for a new comparison; the message says nothing else.
    pub again: bool,
    /// What is compared: encoded `tree::Item`s.
    pub items: &'a [u8],
}

/// One message of a type from 6 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension<'a> {
    /// Part of the sender's version vector.
    Vector {
        /// The first frame of the vector, which replaces the one before.
        first: bool,
        /// The last frame of the vector.
        last: bool,
        /// One per log. Each log gets the next index in the sender's table.
        extents: Vec<Extent>,
    },
    /// Nodes, in the format of `batch`.
    Batch(&'a [u8]),
    /// The receiver may send further batches.
    Credit {
        /// This many bytes.
        bytes: u64,
        /// Logs that the sender now has up to a seq, because it got them from other peers.
        updates: Vec<(LogId, Seq)>,
    },
    /// Asks for the digest and the key at an entry.
    Probe {
        /// The log.
        log: LogId,
        /// The entry.
        seq: Seq,
    },
    /// Answers a probe.
    Proof {
        /// The log's digest after the entry.
        extent: Extent,
        /// The entry's key.
        key: Key,
    },
    /// The two sides' versions of a log differ from an entry on.
    Fork {
        /// The log.
        log: LogId,
        /// First entry that differs.
        seq: Seq,
        /// The sender's key of it.
        key: Key,
    },
    /// A sign of life.
    Alive,
    /// Part of a large node.
    Piece(Piece<'a>),
    /// How many bytes of these large nodes have arrived. The receiver has to continue from there.
    Held(Vec<(Key, u64)>),
    /// The sender ends the link.
    Goodbye {
        /// Why.
        why: GoodbyeReason,
        /// The reason in words.
        text: String,
    },
    /// Asks for an entry: the first that differs.
    Demand {
        /// The log.
        log: LogId,
        /// The entry.
        seq: Seq,
    },
    /// The sender's schema, as text.
    Schema(&'a [u8]),
    /// Digests and lists of the sender's logs, to be compared with the receiver's.
    Compare(Compare<'a>),
    /// The sender has emptied its table of indices.
    NewTable,
    /// Says which of several links between the same two emitters carries rows: the link with this token of the receiver, or,
    /// without a token, this link.
    Twin(Option<Token>),
    /// A message of a later version; ignored.
    Unknown,
}

fn malformed(what: &str) -> Error {
    Error::Protocol(format!("undecodable {what}"))
}

pub(super) fn log_id(bytes: &[u8]) -> Result<LogId> {
    let log = std::str::from_utf8(bytes).map_err(|_| malformed("log id"))?;
    check_log_id(log)?;
    Ok(log.into())
}

fn take_log(body: &mut &[u8]) -> Option<Result<LogId>> {
    take_prefixed(body).map(log_id)
}

impl<'a> Extension<'a> {
    /// Decodes the body of a message of type `kind`. Further bytes belong to a later version, and are ignored.
    ///
    /// # Errors
    /// `Protocol`.
    pub fn decode(kind: u8, mut body: &'a [u8]) -> Result<Self> {
        let body = &mut body;
        match kind {
            VECTOR => Self::decode_vector(body).unwrap_or_else(|| Err(malformed("vector"))),
            BATCH => Ok(Extension::Batch(body)),
            CREDIT => Self::decode_credit(body).unwrap_or_else(|| Err(malformed("credit"))),
            PROBE | PROOF | FORK | DEMAND => Self::decode_entry(kind, body).unwrap_or_else(|| Err(malformed("probe"))),
            ALIVE => Ok(Extension::Alive),
            PIECE => Self::decode_piece(body).unwrap_or_else(|| Err(malformed("piece"))),
            COMPARE => Self::decode_compare(body).ok_or_else(|| malformed("comparison of logs")),
            SCHEMA => Ok(Extension::Schema(body)),
            NEW_TABLE => Ok(Extension::NewTable),
            TWIN => Ok(Extension::Twin(body.first_chunk().map(|token| Token(*token)))),
            HELD => Self::decode_held(body).ok_or_else(|| malformed("list of partial nodes")),
            GOODBYE => Self::decode_goodbye(body).ok_or_else(|| malformed("goodbye")),
            _ => Ok(Extension::Unknown),
        }
    }

    fn decode_vector(body: &mut &[u8]) -> Option<Result<Self>> {
        let flags = take_varint(body)?;
        let count = take_varint(body)?;
        if count > MAX_LOGS as u64 {
            return None;
        }
        let mut extents = Vec::new();
        for _ in 0..count {
            let log = match take_log(body)? {
                Ok(log) => log,
                Err(error) => return Some(Err(error)),
            };
            extents.push(Extent { log, seq: take_varint(body)?, digest: Digest(take_hash(body)?) });
        }
        Some(Ok(Extension::Vector { first: flags & FIRST != 0, last: flags & LAST != 0, extents }))
    }

    fn decode_credit(body: &mut &[u8]) -> Option<Result<Self>> {
        let bytes = take_varint(body)?;
        let count = take_varint(body)?;
        if count > MAX_UPDATES as u64 {
            return None;
        }
        let mut updates = Vec::new();
        for _ in 0..count {
            let log = match take_log(body)? {
                Ok(log) => log,
                Err(error) => return Some(Err(error)),
            };
            updates.push((log, take_varint(body)?));
        }
        Some(Ok(Extension::Credit { bytes, updates }))
    }

    fn decode_piece(body: &mut &'a [u8]) -> Option<Result<Self>> {
        let log = match take_log(body)? {
            Ok(log) => log,
            Err(error) => return Some(Err(error)),
        };
        let seq = take_varint(body).filter(|seq| *seq > 0)?;
        let key = Key(take_hash(body)?);
        let (total, offset) = (take_varint(body)?, take_varint(body)?);
        Some(Ok(Extension::Piece(Piece { log, seq, key, total, offset, bytes: body })))
    }

    fn decode_compare(body: &mut &'a [u8]) -> Option<Self> {
        let (number, flags) = (take_varint(body)?, take_varint(body)?);
        let [first, last, again] = [FIRST, LAST, AGAIN].map(|flag| flags & flag != 0);
        Some(Extension::Compare(Compare { number, first, last, again, items: body }))
    }

    fn decode_held(body: &mut &[u8]) -> Option<Self> {
        let count = take_varint(body).filter(|count| *count <= MAX_PARTIALS as u64)?;
        let mut held = Vec::new();
        for _ in 0..count {
            held.push((Key(take_hash(body)?), take_varint(body)?));
        }
        Some(Extension::Held(held))
    }

    fn decode_goodbye(body: &mut &[u8]) -> Option<Self> {
        let why = GoodbyeReason::of(take_varint(body)?);
        let text = String::from_utf8_lossy(take_prefixed(body)?);
        // The peer chose this text and users will see it, so it must stay one line.
        let text = text.chars().filter(|char| !char.is_control()).take(MAX_GOODBYE).collect();
        Some(Extension::Goodbye { why, text })
    }

    fn decode_entry(kind: u8, body: &mut &[u8]) -> Option<Result<Self>> {
        let log = match take_log(body)? {
            Ok(log) => log,
            Err(error) => return Some(Err(error)),
        };
        let seq = take_varint(body)?;
        Some(Ok(match kind {
            PROBE => Extension::Probe { log, seq },
            DEMAND => Extension::Demand { log, seq },
            PROOF => {
                let digest = Digest(take_hash(body)?);
                Extension::Proof { extent: Extent { log, seq, digest }, key: Key(take_hash(body)?) }
            }
            _ => Extension::Fork { log, seq, key: Key(take_hash(body)?) },
        }))
    }

    /// Appends the whole frame.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        let kind = match self {
            Extension::Vector { first, last, extents } => {
                put_varint(&mut body, if *first { FIRST } else { 0 } | if *last { LAST } else { 0 });
                put_varint(&mut body, extents.len() as u64);
                for extent in extents {
                    put_extent(&mut body, extent);
                }
                VECTOR
            }
            Extension::Batch(rows) => {
                body.put_slice(rows);
                BATCH
            }
            Extension::Credit { bytes, updates } => {
                put_varint(&mut body, *bytes);
                put_varint(&mut body, updates.len() as u64);
                for (log, seq) in updates {
                    put_log_seq(&mut body, log, *seq);
                }
                CREDIT
            }
            Extension::Probe { log, seq } => {
                put_log_seq(&mut body, log, *seq);
                PROBE
            }
            Extension::Proof { extent, key } => {
                put_extent(&mut body, extent);
                body.put_slice(&key.0);
                PROOF
            }
            Extension::Fork { log, seq, key } => {
                put_log_seq(&mut body, log, *seq);
                body.put_slice(&key.0);
                FORK
            }
            Extension::Piece(piece) => {
                put_log_seq(&mut body, &piece.log, piece.seq);
                body.put_slice(&piece.key.0);
                put_varint(&mut body, piece.total);
                put_varint(&mut body, piece.offset);
                body.put_slice(piece.bytes);
                PIECE
            }
            Extension::Compare(said) => {
                let flags = [(said.first, FIRST), (said.last, LAST), (said.again, AGAIN)];
                put_varint(&mut body, said.number);
                put_varint(&mut body, flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum());
                body.put_slice(said.items);
                COMPARE
            }
            Extension::Schema(text) => {
                body.put_slice(text);
                SCHEMA
            }
            Extension::NewTable => NEW_TABLE,
            Extension::Twin(token) => {
                body.put_slice(token.as_ref().map_or(&[], |token| &token.0));
                TWIN
            }
            Extension::Held(held) => {
                put_varint(&mut body, held.len() as u64);
                for (key, bytes) in held {
                    body.put_slice(&key.0);
                    put_varint(&mut body, *bytes);
                }
                HELD
            }
            Extension::Goodbye { why, text } => {
                put_varint(&mut body, why.code());
                let text: String = text.chars().take(MAX_GOODBYE).collect();
                put_varint(&mut body, text.len() as u64);
                body.put_slice(text.as_bytes());
                GOODBYE
            }
            Extension::Demand { log, seq } => {
                put_log_seq(&mut body, log, *seq);
                DEMAND
            }
            Extension::Alive | Extension::Unknown => ALIVE,
        };
        Message::Extension(kind, &body).encode(out);
    }
}

fn put_log_seq(out: &mut BytesMut, log: &str, seq: Seq) {
    put_varint(out, log.len() as u64);
    out.put_slice(log.as_bytes());
    put_varint(out, seq);
}

pub(super) fn put_extent(out: &mut BytesMut, extent: &Extent) {
    put_log_seq(out, &extent.log, extent.seq);
    out.put_slice(&extent.digest.0);
}
