//! hyperlog's messages: a type byte, then a protobuf body.
//!
//! Follows hyperlog 4.12.1 `schema.proto` and `lib/protocol.js`: unknown types, unknown fields and bytes after a message without a
//! body are ignored; a body that does not decode ends the link. Types from [`FIRST_EXTENSION`] on are ours (`extension`); hyperlog
//! skips them.

use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;

use super::wire::{bytes_len, number_len, put_bytes, put_number, put_varint, take_field, varint_len, Value};
use crate::error::{quoted, Error, Result};
use crate::node::Key;

/// First message type that hyperlog does not know.
pub const FIRST_EXTENSION: u8 = 6;

/// Longest log id accepted, in bytes. 1.x's ids have 25. Ids are kept per session and repeated in every index.
pub const MAX_LOG_ID_LEN: usize = 256;

/// Most links of one node. A node links to all heads its writer knew; 1.x has no limit.
pub const MAX_LINKS: usize = 64 * 1024;

const HANDSHAKE: u8 = 0;
const HAVE: u8 = 1;
const WANT: u8 = 2;
const NODE: u8 = 3;
const SENT_HEADS: u8 = 4;
const SENT_WANTS: u8 = 5;

/// The message in one frame, borrowed from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// Opens a session.
    Handshake(Handshake<'a>),
    /// The sender can send this log up to the seq.
    Have(LogSeq<'a>),
    /// The sender wants this log's entries after the seq.
    Want(LogSeq<'a>),
    /// A node, with one of its log entries.
    Node(WireNode<'a>),
    /// The sender has announced all logs of its heads.
    SentHeads,
    /// The sender has asked for everything, and received it.
    SentWants,
    /// A message of ours, or of a later version: type and body.
    Extension(u8, &'a [u8]),
    /// A frame without content; 1.x ignores it.
    Empty,
}

/// `Handshake { required uint32 version = 1; optional string mode = 2; optional bytes metadata = 3; optional bool live = 4 }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// Always 1; hyperlog does not check it.
    pub version: u64,
    /// Which way nodes go; absent means "sync".
    pub mode: Mode,
    /// Ignored by 1.x. We put our capability record here.
    pub metadata: Option<&'a [u8]>,
    /// Stay open after the sync and stream new nodes. One side's `true` is enough.
    pub live: Option<bool>,
}

/// Direction of a session, from the sender's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mode {
    /// Both ways.
    #[default]
    Sync,
    /// The sender only receives.
    Pull,
    /// The sender only sends.
    Push,
}

/// `Log { required string log = 1; required uint32 seq = 2 }`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSeq<'a> {
    /// The log.
    pub log: &'a str,
    /// The seq.
    pub seq: u64,
}

/// `Node { change = 1; key = 2; log = 3; seq = 4; identity = 7; signature = 8; value = 5; links = 6 }`, in that
/// order on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireNode<'a> {
    /// The position in the sender's store. It only orders what this peer sends.
    pub change: u64,
    /// `None` if it was empty; 1.x then does not check it.
    pub key: Option<Key>,
    /// Log of the entry.
    pub log: &'a str,
    /// Seq of the entry, 0 if absent.
    pub seq: u64,
    /// hyperlog `identity`.
    pub identity: Option<&'a [u8]>,
    /// hyperlog `signature`.
    pub signature: Option<&'a [u8]>,
    /// The event container.
    pub value: &'a [u8],
    /// Keys of its causes, in hashed order.
    pub links: SmallVec<[Key; 1]>,
}

fn malformed(what: &str) -> Error {
    Error::Protocol(format!("undecodable {what}"))
}

fn text<'a>(what: &str, bytes: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|_| malformed(what))
}

/// Checks a log id. It must not be empty, or contain `!`, with which 1.x's store delimits ids.
pub(crate) fn check_log_id(log: &str) -> Result<()> {
    if log.is_empty() || log.len() > MAX_LOG_ID_LEN || log.contains('!') {
        return Err(Error::Protocol(format!("{} cannot be a log id", quoted(log))));
    }
    Ok(())
}

impl<'a> Message<'a> {
    /// Decodes a frame without its length prefix.
    ///
    /// # Errors
    /// `Protocol` if a known message does not decode.
    pub fn decode(frame: &'a [u8]) -> Result<Self> {
        let Some((&kind, body)) = frame.split_first() else { return Ok(Message::Empty) };
        Ok(match kind {
            HANDSHAKE => Message::Handshake(Handshake::decode(body)?),
            HAVE => Message::Have(LogSeq::decode("have", body)?),
            WANT => Message::Want(LogSeq::decode("want", body)?),
            NODE => Message::Node(WireNode::decode(body)?),
            SENT_HEADS => Message::SentHeads,
            SENT_WANTS => Message::SentWants,
            other => Message::Extension(other, body),
        })
    }

    /// Appends the whole frame, length prefix included.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Message::Handshake(handshake) => handshake.encode(out),
            Message::Have(log) => log.encode(HAVE, out),
            Message::Want(log) => log.encode(WANT, out),
            Message::Node(node) => node.encode(out),
            Message::SentHeads => out.put_slice(&[1, SENT_HEADS]),
            Message::SentWants => out.put_slice(&[1, SENT_WANTS]),
            Message::Extension(kind, body) => {
                put_varint(out, body.len() as u64 + 1);
                out.put_u8(*kind);
                out.put_slice(body);
            }
            Message::Empty => out.put_u8(0),
        }
    }
}

impl<'a> Handshake<'a> {
    fn decode(mut body: &'a [u8]) -> Result<Self> {
        let bad = || malformed("handshake");
        let (mut version, mut mode, mut metadata, mut live) = (None, Mode::Sync, None, None);
        while !body.is_empty() {
            match take_field(&mut body).ok_or_else(bad)? {
                (1, Value::Number(number)) => version = Some(number),
                (2, Value::Bytes(bytes)) => {
                    mode = match bytes {
                        b"sync" => Mode::Sync,
                        b"pull" => Mode::Pull,
                        b"push" => Mode::Push,
                        _ => return Err(Error::Protocol("handshake with an unknown mode".into())),
                    }
                }
                (3, Value::Bytes(bytes)) => metadata = Some(bytes),
                (4, Value::Number(number)) => live = Some(number != 0),
                _ => {}
            }
        }
        Ok(Handshake { version: version.ok_or_else(bad)?, mode, metadata, live })
    }

    fn encode(&self, out: &mut BytesMut) {
        let mode: &[u8] = match self.mode {
            Mode::Sync => b"",
            Mode::Pull => b"pull",
            Mode::Push => b"push",
        };
        let mut len = 1 + number_len(self.version) + self.live.map_or(0, |_| 2);
        if !mode.is_empty() {
            len += bytes_len(mode);
        }
        len += self.metadata.map_or(0, bytes_len);
        put_varint(out, len as u64);
        out.put_u8(HANDSHAKE);
        put_number(out, 1, self.version);
        if !mode.is_empty() {
            put_bytes(out, 2, mode);
        }
        if let Some(metadata) = self.metadata {
            put_bytes(out, 3, metadata);
        }
        if let Some(live) = self.live {
            put_number(out, 4, u64::from(live));
        }
    }
}

impl<'a> LogSeq<'a> {
    fn decode(what: &str, mut body: &'a [u8]) -> Result<Self> {
        let (mut log, mut seq) = (None, None);
        while !body.is_empty() {
            match take_field(&mut body).ok_or_else(|| malformed(what))? {
                (1, Value::Bytes(bytes)) => log = Some(text(what, bytes)?),
                (2, Value::Number(number)) => seq = Some(number),
                _ => {}
            }
        }
        match (log, seq) {
            (Some(log), Some(seq)) => Ok(LogSeq { log, seq }),
            _ => Err(malformed(what)),
        }
    }

    fn encode(&self, kind: u8, out: &mut BytesMut) {
        put_varint(out, (1 + bytes_len(self.log.as_bytes()) + number_len(self.seq)) as u64);
        out.put_u8(kind);
        put_bytes(out, 1, self.log.as_bytes());
        put_number(out, 2, self.seq);
    }
}

/// Bytes of a link or key field: tag, length, 64 hex digits.
const HEX_FIELD_LEN: usize = 2 + Key::HEX_LEN;

impl<'a> WireNode<'a> {
    fn decode(mut body: &'a [u8]) -> Result<Self> {
        let bad = || malformed("node");
        let key_text = |bytes: &[u8]| {
            Key::from_hex(bytes).ok_or_else(|| {
                Error::Protocol(format!(
                    "{:?} is not a node key",
                    String::from_utf8_lossy(bytes.get(..70).unwrap_or(bytes))
                ))
            })
        };
        let (mut change, mut key, mut log, mut value) = (None, None, None, None);
        let (mut seq, mut identity, mut signature, mut links) = (0, None, None, SmallVec::new());
        while !body.is_empty() {
            match take_field(&mut body).ok_or_else(bad)? {
                (1, Value::Number(number)) => change = Some(number),
                (2, Value::Bytes(bytes)) => key = Some(if bytes.is_empty() { None } else { Some(key_text(bytes)?) }),
                (3, Value::Bytes(bytes)) => log = Some(text("node", bytes)?),
                (4, Value::Number(number)) => seq = number,
                (5, Value::Bytes(bytes)) => value = Some(bytes),
                (6, Value::Bytes(bytes)) => {
                    if links.len() == MAX_LINKS {
                        return Err(Error::Protocol(format!("a node with more than {MAX_LINKS} links")));
                    }
                    links.push(key_text(bytes)?);
                }
                (7, Value::Bytes(bytes)) => identity = Some(bytes),
                (8, Value::Bytes(bytes)) => signature = Some(bytes),
                _ => {}
            }
        }
        Ok(WireNode {
            change: change.ok_or_else(bad)?,
            key: key.ok_or_else(bad)?,
            log: log.ok_or_else(bad)?,
            seq,
            identity,
            signature,
            value: value.ok_or_else(bad)?,
            links,
        })
    }

    fn encode(&self, out: &mut BytesMut) {
        let len = 1
            + number_len(self.change)
            + self.key.map_or(2, |_| HEX_FIELD_LEN)
            + bytes_len(self.log.as_bytes())
            + number_len(self.seq)
            + self.identity.map_or(0, bytes_len)
            + self.signature.map_or(0, bytes_len)
            + bytes_len(self.value)
            + self.links.len() * HEX_FIELD_LEN;
        out.reserve(len + varint_len(len as u64));
        put_varint(out, len as u64);
        out.put_u8(NODE);
        put_number(out, 1, self.change);
        match &self.key {
            Some(key) => put_bytes(out, 2, &key.to_hex()),
            None => put_bytes(out, 2, b""),
        }
        put_bytes(out, 3, self.log.as_bytes());
        put_number(out, 4, self.seq);
        if let Some(identity) = self.identity {
            put_bytes(out, 7, identity);
        }
        if let Some(signature) = self.signature {
            put_bytes(out, 8, signature);
        }
        put_bytes(out, 5, self.value);
        for link in &self.links {
            put_bytes(out, 6, &link.to_hex());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_links_than_a_node_may_have_are_refused() {
        let encoded = |links: usize| {
            let links = std::iter::repeat_n(Key([7; 32]), links).collect();
            let node =
                WireNode { change: 1, key: None, log: "a", seq: 1, identity: None, signature: None, value: b"", links };
            let mut out = BytesMut::new();
            Message::Node(node).encode(&mut out);
            out
        };
        let refused = |links: usize| {
            let mut frame = encoded(links);
            while frame.split_to(1)[0] >= 0x80 {}
            Message::decode(&frame).is_err()
        };
        assert!(refused(MAX_LINKS + 1) && !refused(MAX_LINKS));
    }
}
