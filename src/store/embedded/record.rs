//! Encodes and decodes records, of which the groups in segment files consist. docs/design/store.md has the tables.

use bytes::Bytes;

use super::coding::{put_slice, put_varint, varint_len, Input};
use super::layout::{Salt, MAX_GROUP_LEN};
use crate::node::{Key, Links, Node, Seq, Signed};
use crate::store::Meta;

mod tag {
    /// A node; the low bits say which parts it has.
    pub(super) const NODE: u8 = 0x10;
    pub(super) const NODE_LAST: u8 = 0x17;
    /// Low two bits of a node's tag: how its links are written.
    pub(super) const LINKS: u8 = 3;
    pub(super) const NO_LINK: u8 = 0;
    /// One link, to the node with the change before.
    pub(super) const PREVIOUS: u8 = 1;
    pub(super) const ONE_LINK: u8 = 2;
    pub(super) const LINK_LIST: u8 = 3;
    pub(super) const SIGNED: u8 = 4;
    pub(super) const DUPLICATE: u8 = 0x20;
    pub(super) const STREAM: u8 = 0x21;
    pub(super) const SET: u8 = 0x22;
    pub(super) const DELETE: u8 = 0x23;
    pub(super) const RELABEL: u8 = 0x24;
    pub(super) const SNAPSHOT: u8 = 0x25;
    pub(super) const CLOSED: u8 = 0x26;
    pub(super) const BEGIN: u8 = 0x27;
}

/// One record. Streams are what logs are called on disk (see `table`).
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record<'a> {
    Node(NodeRecord<'a>),
    /// A further entry for the node with this key and change.
    Duplicate {
        stream: u32,
        seq: Seq,
        change: u64,
        key: Key,
    },
    /// Gives the next stream number to a log.
    Stream {
        log: &'a str,
    },
    /// Sets or deletes a fact.
    Fact {
        fact: Meta,
        value: Option<&'a [u8]>,
    },
    /// A relabel, with the resulting digests of the cut log and of the new log.
    Relabel {
        log: &'a str,
        from: Seq,
        to: &'a str,
        cut: [u8; 32],
        moved: [u8; 32],
    },
    /// The state at the start of a segment of format 1.
    Snapshot(&'a [u8]),
    /// The state of the log at the start of a segment: key of the last node, number of streams.
    Begin {
        last: Key,
        streams: u32,
    },
    /// The store was closed. Everything before this is synced.
    Closed,
}

/// A node as stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NodeRecord<'a> {
    pub(super) stream: u32,
    pub(super) seq: Seq,
    pub(super) key: Key,
    pub(super) links: Linked,
    pub(super) signed: Option<Signed>,
    pub(super) value: &'a [u8],
}

/// Links as stored.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Linked {
    /// To the node with the change before.
    Previous,
    These(Links),
}

/// Writes records of one segment, each with its checksum.
pub(super) struct RecordWriter<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) salt: Salt,
    /// Offset of `out[0]` in the segment.
    pub(super) base: u64,
}

impl RecordWriter<'_> {
    /// Offset of the next record.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.out.len() as u64
    }

    fn begin(&mut self, tag: u8, body_len: usize) -> usize {
        let start = self.out.len();
        self.out.push(tag);
        put_varint(self.out, body_len as u64);
        start
    }

    fn end(&mut self, start: usize) {
        let crc = self.salt.crc(self.base + start as u64, self.out.get(start..).unwrap_or(&[]));
        self.out.extend_from_slice(&crc.to_le_bytes());
    }

    /// Writes a node; `previous` is the key of the node with the change before.
    pub(super) fn node(&mut self, stream: u32, node: &Node, previous: &Key) {
        let mut body = varint_len(u64::from(stream)) + varint_len(node.seq) + 32 + node.value.len();
        let links = match node.links.as_slice() {
            [] => tag::NO_LINK,
            [link] if link == previous => tag::PREVIOUS,
            [_] => tag::ONE_LINK,
            _ => tag::LINK_LIST,
        };
        match links {
            tag::ONE_LINK => body += 32,
            tag::LINK_LIST => body += varint_len(node.links.len() as u64) + 32 * node.links.len(),
            _ => {}
        }
        let mut signed = Vec::new();
        if let Some(parts) = &node.signed {
            put_signed(&mut signed, parts);
        }
        let flag = if signed.is_empty() { 0 } else { tag::SIGNED };
        let start = self.begin(tag::NODE | links | flag, body + signed.len());
        put_varint(self.out, u64::from(stream));
        put_varint(self.out, node.seq);
        self.out.extend_from_slice(&node.key.0);
        if links == tag::LINK_LIST {
            put_varint(self.out, node.links.len() as u64);
        }
        if links >= tag::ONE_LINK {
            node.links.iter().for_each(|link| self.out.extend_from_slice(&link.0));
        }
        self.out.extend_from_slice(&signed);
        self.out.extend_from_slice(&node.value);
        self.end(start);
    }

    fn record(&mut self, tag: u8, body: &[u8]) {
        let start = self.begin(tag, body.len());
        self.out.extend_from_slice(body);
        self.end(start);
    }

    pub(super) fn duplicate(&mut self, stream: u32, seq: Seq, change: u64, key: &Key) {
        let mut body = Vec::with_capacity(64);
        put_varint(&mut body, u64::from(stream));
        put_varint(&mut body, seq);
        put_varint(&mut body, change);
        body.extend_from_slice(&key.0);
        self.record(tag::DUPLICATE, &body);
    }

    pub(super) fn stream(&mut self, log: &str) {
        self.record(tag::STREAM, log.as_bytes());
    }

    pub(super) fn fact(&mut self, fact: &Meta, value: Option<&Bytes>) {
        let mut body = Vec::new();
        put_fact(&mut body, fact);
        match value {
            Some(value) => {
                body.extend_from_slice(value);
                self.record(tag::SET, &body);
            }
            None => self.record(tag::DELETE, &body),
        }
    }

    pub(super) fn relabel(&mut self, log: &str, from: Seq, to: &str, cut: &[u8; 32], moved: &[u8; 32]) {
        let mut body = Vec::new();
        put_slice(&mut body, log.as_bytes());
        put_varint(&mut body, from);
        put_slice(&mut body, to.as_bytes());
        body.extend_from_slice(cut);
        body.extend_from_slice(moved);
        self.record(tag::RELABEL, &body);
    }

    pub(super) fn segment_start(&mut self, last: &Key, streams: u32) {
        let mut body = last.0.to_vec();
        put_varint(&mut body, u64::from(streams));
        self.record(tag::BEGIN, &body);
    }

    pub(super) fn closed(&mut self) {
        self.record(tag::CLOSED, &[]);
    }
}

/// Tag and lengths of a record.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) tag: u8,
    /// Bytes before the body.
    pub(super) head: usize,
    /// Bytes of the body.
    pub(super) body: usize,
}

impl Frame {
    /// Reads the head of a record; `None` if it is cut off or invalid.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let tag = input.byte()?;
        let body = usize::try_from(input.varint()?).ok()?;
        let known = (tag::NODE..=tag::NODE_LAST).contains(&tag) || (tag::DUPLICATE..=tag::BEGIN).contains(&tag);
        (known && body <= MAX_GROUP_LEN).then(|| Frame { tag, head: bytes.len() - input.0.len(), body })
    }

    /// Bytes of the whole record, checksum included.
    pub(super) fn len(self) -> usize {
        self.head + self.body + 4
    }

    /// Whether this is a row: a node or a duplicate.
    pub(super) fn is_row(self) -> bool {
        self.tag <= tag::DUPLICATE
    }

    /// The record in `bytes`, which begin with it; `None` if the checksum or the content is wrong.
    pub(super) fn decode<'a>(self, bytes: &'a [u8], salt: Salt, offset: u64) -> Option<Record<'a>> {
        let (record, rest) = bytes.split_at_checked(self.head + self.body)?;
        if Input(rest).u32()? != salt.crc(offset, record) {
            return None;
        }
        record_of(self.tag, record.get(self.head..)?)
    }
}

fn record_of(tag: u8, body: &[u8]) -> Option<Record<'_>> {
    let mut input = Input(body);
    let record = match tag {
        tag::NODE..=tag::NODE_LAST => {
            let (stream, seq, key) = (input.varint32()?, input.varint()?, Key(input.array()?));
            let links = match tag & tag::LINKS {
                tag::NO_LINK => Linked::These(Links::new()),
                tag::PREVIOUS => Linked::Previous,
                tag::ONE_LINK => Linked::These(Links::from_slice(&[Key(input.array()?)])),
                _ => {
                    let count = usize::try_from(input.varint()?).ok()?;
                    let links = input.take(count.checked_mul(32)?)?.chunks_exact(32);
                    Linked::These(links.filter_map(|link| Some(Key(*link.first_chunk()?))).collect())
                }
            };
            let signed = if tag & tag::SIGNED == 0 { None } else { Some(signed_of(&mut input)?) };
            return Some(Record::Node(NodeRecord { stream, seq, key, links, signed, value: input.0 }));
        }
        tag::DUPLICATE => Record::Duplicate {
            stream: input.varint32()?,
            seq: input.varint()?,
            change: input.varint()?,
            key: Key(input.array()?),
        },
        tag::STREAM => return Some(Record::Stream { log: std::str::from_utf8(body).ok()? }),
        tag::SET => {
            let fact = fact_of(&mut input)?;
            return Some(Record::Fact { fact, value: Some(input.0) });
        }
        tag::DELETE => Record::Fact { fact: fact_of(&mut input)?, value: None },
        tag::RELABEL => Record::Relabel {
            log: input.text()?,
            from: input.varint()?,
            to: input.text()?,
            cut: input.array()?,
            moved: input.array()?,
        },
        tag::SNAPSHOT => return Some(Record::Snapshot(body)),
        tag::CLOSED => Record::Closed,
        tag::BEGIN => Record::Begin { last: Key(input.array()?), streams: input.varint32()? },
        _ => return None,
    };
    input.is_empty().then_some(record)
}

fn put_signed(out: &mut Vec<u8>, signed: &Signed) {
    out.push(u8::from(signed.identity.is_some()) | u8::from(signed.signature.is_some()) << 1);
    for part in [&signed.identity, &signed.signature].into_iter().flatten() {
        put_slice(out, part);
    }
}

fn signed_of(input: &mut Input<'_>) -> Option<Signed> {
    let has = input.byte()?;
    let mut part = |bit| -> Option<Option<Bytes>> {
        if has & bit == 0 {
            Some(None)
        } else {
            Some(Some(Bytes::copy_from_slice(input.slice()?)))
        }
    };
    Some(Signed { identity: part(1)?, signature: part(2)? })
}

/// Appends the name of a fact.
pub(super) fn put_fact(out: &mut Vec<u8>, fact: &Meta) {
    match fact {
        Meta::LogId => out.push(1),
        Meta::StoreId => out.push(2),
        Meta::Peers => out.push(3),
        Meta::MyEventPeer => out.push(4),
        Meta::Position(name) => {
            out.push(5);
            put_slice(out, name.as_bytes());
        }
        Meta::Moved => out.push(6),
        Meta::Network => out.push(7),
        Meta::Consumer(name, change) => {
            out.push(8);
            put_slice(out, name.as_bytes());
            put_varint(out, *change);
        }
        Meta::OlderLogs => out.push(9),
        Meta::Schemas => out.push(15),
        Meta::Stuck => out.push(16),
        Meta::Seal(log, seq) => {
            out.push(14);
            put_slice(out, log.as_bytes());
            put_varint(out, *seq);
        }
    }
}

/// Reads the name of a fact.
pub(super) fn fact_of(input: &mut Input<'_>) -> Option<Meta> {
    Some(match input.byte()? {
        1 => Meta::LogId,
        2 => Meta::StoreId,
        3 => Meta::Peers,
        4 => Meta::MyEventPeer,
        5 => Meta::Position(input.text()?.to_owned()),
        6 => Meta::Moved,
        7 => Meta::Network,
        8 => Meta::Consumer(input.text()?.to_owned(), input.varint()?),
        9 => Meta::OlderLogs,
        15 => Meta::Schemas,
        16 => Meta::Stuck,
        14 => Meta::Seal(input.text()?.into(), input.varint()?),
        _ => return None,
    })
}
