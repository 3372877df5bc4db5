//! What 2.x peers say to each other beyond hyperlog's protocol: the capability record in the handshake's
//! `metadata`, and message types from 6 on. docs/design/wire.md has the bytes.

use bytes::{BufMut, BytesMut};

use super::message::{check_log_id, Message};
use super::pieces::{Piece, MAX_PARTIALS};
use super::session::{Config, MAX_LOGS};
use super::wire::{put_bytes, put_number, put_varint, take_field, take_hash, take_prefixed, take_varint, Value};
use crate::error::{Error, Result};
use crate::node::{Digest, Key, LogId, Seq};

/// First bytes of our `metadata`. Anything else there is some other program's.
pub const MAGIC: &[u8; 6] = b"hyper2";

/// Version of the extension described here. Peers speak the lower one of theirs.
pub const VERSION: u64 = 2;

/// From this version on large nodes travel in pieces.
pub const WITH_PIECES: u64 = 2;

/// From this version on logs are compared by digests of sets of them, and no vector is sent.
pub const WITH_TREES: u64 = 2;

/// From this version on an entry may be demanded.
pub const WITH_DEMANDS: u64 = 2;

/// Flag: this emitter writes standard protobuf payloads.
pub const STANDARD: u64 = 1;

/// Bytes of batches a peer may send ahead of our answer: some round trips' worth at LAN speed, a few groups of the log.
pub const WINDOW: u64 = 1024 * 1024;

/// Logs per vector frame: keeps a frame near 64 KiB.
pub const VECTOR_CHUNK: usize = 1024;

/// Log updates in one credit frame.
pub const MAX_UPDATES: usize = 1024;

/// Characters of a goodbye's text: an error's message.
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

const COMPARE: u8 = 20;
const NEW_TABLE: u8 = 21;
const TWIN: u8 = 28;

const FIRST: u64 = 1;
const LAST: u64 = 2;
const AGAIN: u64 = 4;

/// Random bytes that an emitter draws when it opens: two links to the same one are recognised by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub [u8; 16]);

/// Random bytes that an emitter draws for one connection: only the other end of it knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Token(pub [u8; 8]);

/// What a 2.x peer says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Highest version of the extension it speaks.
    pub version: u64,
    /// Sum of flags; unknown ones are ignored.
    pub flags: u64,
    /// Largest frame it accepts, in bytes.
    pub max_frame: u64,
    /// Bytes of batches it accepts before it grants more.
    pub window: u64,
    /// The log it appends to.
    pub log: LogId,
    /// Largest event container it stores, in bytes; peers of the first version do not say.
    pub max_value: Option<u64>,
    /// Which open emitter it is, and the token it gives on this connection. Peers that do not say carry rows on every link.
    pub twin: Option<(Instance, Token)>,
}

impl Capability {
    /// Ours.
    #[must_use]
    pub fn ours(config: &Config, log: LogId) -> Self {
        Capability {
            version: config.version,
            flags: if config.standard { STANDARD } else { 0 },
            max_frame: config.max_frame as u64,
            window: WINDOW,
            log,
            max_value: Some(config.max_value as u64),
            twin: config.twin,
        }
    }

    /// The `metadata` bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        put_number(&mut out, 1, self.version);
        put_number(&mut out, 2, self.flags);
        put_number(&mut out, 3, self.max_frame);
        put_number(&mut out, 4, self.window);
        put_bytes(&mut out, 5, self.log.as_bytes());
        if let Some(max_value) = self.max_value {
            put_number(&mut out, 6, max_value);
        }
        if let Some((instance, token)) = self.twin {
            put_bytes(&mut out, 8, &instance.0);
            put_bytes(&mut out, 12, &token.0);
        }
        out
    }

    /// Reads `metadata`; `None` if it is not ours. Unknown fields are for later versions.
    ///
    /// # Errors
    /// `Protocol` if it is ours and malformed.
    pub fn decode(metadata: &[u8]) -> Result<Option<Self>> {
        let Some(mut body) = metadata.strip_prefix(MAGIC) else { return Ok(None) };
        let (mut version, mut flags, mut max_frame, mut window) = (0, 0, 0, 0);
        let (mut log, mut max_value) = (None, None);
        let (mut instance, mut token) = (None, None);
        while !body.is_empty() {
            match take_field(&mut body).ok_or_else(|| malformed("capability record"))? {
                (1, Value::Number(number)) => version = number,
                (2, Value::Number(number)) => flags = number,
                (3, Value::Number(number)) => max_frame = number,
                (4, Value::Number(number)) => window = number,
                (5, Value::Bytes(bytes)) => log = Some(log_id(bytes)?),
                (6, Value::Number(number)) => max_value = Some(number),
                (8, Value::Bytes(bytes)) => instance = bytes.try_into().ok().map(Instance),
                (12, Value::Bytes(bytes)) => token = bytes.try_into().ok().map(Token),
                _ => {}
            }
        }
        match log {
            Some(log) if version > 0 && max_frame > 0 && window > 0 => {
                let twin = instance.zip(token);
                Ok(Some(Capability { version, flags, max_frame, window, log, max_value, twin }))
            }
            _ => Err(malformed("capability record")),
        }
    }

    /// Whether the peer writes standard protobuf payloads.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        self.flags & STANDARD != 0
    }
}

/// How far a log goes, and what is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The log.
    pub log: LogId,
    /// Its last seq.
    pub seq: Seq,
    /// Its digest there.
    pub digest: Digest,
}

/// Why a peer ends a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoodbyeReason {
    /// Its emitter closes.
    Closing,
    /// It does not want the link: a limit, a right, an encoding, a network.
    Refused,
    /// Its store has failed.
    Damaged,
    /// It heard nothing, or nothing was taken, for too long.
    Silent,
    /// It takes what it got for a breach of the protocol.
    Protocol,
    /// It wants a fresh link.
    Renewed,
    /// Something that a later version knows.
    Other,
}

impl GoodbyeReason {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u64 {
        match self {
            GoodbyeReason::Other => 0,
            GoodbyeReason::Closing => 1,
            GoodbyeReason::Refused => 2,
            GoodbyeReason::Damaged => 3,
            GoodbyeReason::Silent => 4,
            GoodbyeReason::Protocol => 5,
            GoodbyeReason::Renewed => 6,
        }
    }

    fn of(code: u64) -> Self {
        match code {
            1 => GoodbyeReason::Closing,
            2 => GoodbyeReason::Refused,
            3 => GoodbyeReason::Damaged,
            4 => GoodbyeReason::Silent,
            5 => GoodbyeReason::Protocol,
            6 => GoodbyeReason::Renewed,
            _ => GoodbyeReason::Other,
        }
    }
}

/// Part of a turn in a comparison of all logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compare<'a> {
    /// Which comparison; the listener counts.
    pub number: u64,
    /// Begins it.
    pub first: bool,
    /// Ends the turn.
    pub last: bool,
    /// The dialler asks for a new one; nothing else is in the message.
    pub again: bool,
    /// What is compared: [`super::tree::Item`]s.
    pub items: &'a [u8],
}

/// A message of type 6 or above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extension<'a> {
    /// Part of the sender's version vector.
    Vector {
        /// Begins a vector: whatever was said before is void.
        first: bool,
        /// Ends it.
        last: bool,
        /// One per log; each gets the next index in the sender's table.
        extents: Vec<Extent>,
    },
    /// Nodes (`batch`).
    Batch(&'a [u8]),
    /// More bytes of batches are welcome.
    Credit {
        /// So many.
        bytes: u64,
        /// Logs that the sender now has up to a seq, from elsewhere.
        updates: Vec<(LogId, Seq)>,
    },
    /// "What have you got here?"
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
    /// "Our logs part here."
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
    /// So many bytes of these nodes have arrived: go on from there.
    Held(Vec<(Key, u64)>),
    /// The sender ends the link.
    Goodbye {
        /// Why.
        why: GoodbyeReason,
        /// The same in words.
        text: String,
    },
    /// "Show me this entry, at which our logs part."
    Demand {
        /// The log.
        log: LogId,
        /// The entry.
        seq: Seq,
    },
    /// What the sender's logs are.
    Compare(Compare<'a>),
    /// The sender's table of indices is empty again.
    NewTable,
    /// Which of several links between the same two emitters carries rows: the one on which the receiver gave this token, or,
    /// without one, this link.
    Twin(Option<Token>),
    /// A later version's; ignored.
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
    /// Decodes the body of a message of type `kind`. Bytes behind the known ones are a later version's.
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
        // It is shown to users: one line, of the peer's making.
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
