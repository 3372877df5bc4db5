//! Compact batches of nodes between 2.x peers (docs/design/wire.md).
//!
//! Keys are not sent, since the receiver computes them anyway. A link to one of the last nodes sent (`RecentKeys`) takes a byte
//! or two instead of a key. A log id is an index into the sender's table. A node that follows the one before it in the same log
//! needs neither log nor seq.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use smallvec::SmallVec;

use super::intake::detach;
use super::message::{check_log_id, MAX_LINKS};
use super::pieces::LARGE;
use super::recent_keys::{RecentKeys, RECENT};
use super::signed::{put_signed, read_signed};
use super::unknown_logs::MAX_LOGS;
use super::wire::{put_varint, take_hash, take_prefixed, take_varint};
use crate::error::{Error, Result};
use crate::incoming::Incoming;
use crate::node::{key_of, Key, Links, LogId, Seq};
use crate::row::Row;

/// A batch is sent when it has grown to this many bytes.
pub const CHUNK: usize = 64 * 1024;

/// Largest batch from a peer of version 2, in bytes: rows just short of [`CHUNK`], and the largest row that does not travel in
/// pieces, with all its links as hashes and a new log's name.
pub const MAX_BATCH: usize = CHUNK + LARGE + LARGE / 32 + 1024;

/// Memory that the rows of one batch may take, in bytes. A row of two bytes becomes some two hundred, a link of one byte becomes
/// thirty-two. The worst batch of [`CHUNK`] bytes with one more row of 65,536 links takes half of this.
pub const MAX_EXPANSION: usize = 16 * 1024 * 1024;

const LINKS: u8 = 0b11;
const LINK_NONE: u8 = 0;
const LINK_PREVIOUS: u8 = 1;
const LINK_LIST: u8 = 2;
const CONTINUES: u8 = 0b100;
const SIGNED: u8 = 0b1000;
const RESERVED: u8 = !0b1111;

/// What a row may refer to. Both ends update it in the same way with each row.
#[derive(Debug)]
struct Context {
    /// Index of the last row's log; `None` if the next row has to name its log.
    log: Option<usize>,
    seq: Seq,
    recent: RecentKeys,
}

impl Default for Context {
    fn default() -> Self {
        Context { log: None, seq: 0, recent: RecentKeys::new(RECENT) }
    }
}

impl Context {
    fn push(&mut self, log: usize, seq: Seq, key: Key) {
        self.log = Some(log);
        self.seq = seq;
        self.recent.push(key);
    }

    /// Adds a node that crossed the link outside of a batch. The next row has to name its log.
    fn push_beside(&mut self, key: Key) {
        self.log = None;
        self.recent.push(key);
    }

    fn continues(&self, log: usize, seq: Seq) -> bool {
        self.log == Some(log) && self.seq.checked_add(1) == Some(seq)
    }
}

/// Writes batches.
#[derive(Debug, Default)]
pub struct BatchWriter {
    table: HashMap<LogId, usize>,
    context: Context,
    /// Logs that are new in the table: the next batch names them.
    new_logs: Vec<LogId>,
    /// Bytes of their names.
    new_names: usize,
    rows: BytesMut,
}

impl BatchWriter {
    /// A writer that refers to the last `most` nodes by their distance. The default is [`RECENT`], which every version supports.
    #[must_use]
    pub fn reaching(most: usize) -> Self {
        let context = Context { recent: RecentKeys::new(most), ..Context::default() };
        BatchWriter { context, ..BatchWriter::default() }
    }

    /// Forgets all indices: a new vector begins.
    pub fn reset_table(&mut self) {
        self.table.clear();
        self.context.log = None;
    }

    /// Gives `log` the next index, as a vector does.
    pub fn announce(&mut self, log: &LogId) {
        let next = self.table.len();
        self.table.entry(log.clone()).or_insert(next);
    }

    /// Logs that have an index.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.table.len()
    }

    fn index(&mut self, log: &LogId) -> usize {
        if let Some(index) = self.table.get(log) {
            return *index;
        }
        let index = self.table.len();
        self.table.insert(log.clone(), index);
        self.new_names += log.len() + 2;
        self.new_logs.push(log.clone());
        index
    }

    /// Appends a row.
    pub fn push(&mut self, row: &Row) {
        let log = self.index(row.log());
        let mut head = 0;
        let links = &row.node.links;
        head |= match links.as_slice() {
            [] => LINK_NONE,
            [one] if self.context.recent.latest() == Some(one) => LINK_PREVIOUS,
            _ => LINK_LIST,
        };
        let continues = self.context.continues(log, row.seq());
        if continues {
            head |= CONTINUES;
        }
        if row.node.signed.is_some() {
            head |= SIGNED;
        }
        let out = &mut self.rows;
        out.put_u8(head);
        if !continues {
            put_varint(out, log as u64);
            put_varint(out, row.seq());
        }
        let (mut farthest, mut by_hash) = (0, false);
        if head & LINKS == LINK_LIST {
            put_varint(out, links.len() as u64);
            for link in links {
                if let Some(distance) = self.context.recent.distance(link) {
                    farthest = farthest.max(distance);
                    put_varint(out, distance as u64);
                } else {
                    by_hash = true;
                    put_varint(out, 0);
                    out.put_slice(&link.0);
                }
            }
        }
        self.context.recent.used(farthest, by_hash);
        if row.node.signed.is_some() {
            put_signed(out, row.node.signed.as_deref());
        }
        put_varint(out, row.node.value.len() as u64);
        out.put_slice(&row.node.value);
        self.context.push(log, row.seq(), row.node.key);
    }

    /// Notes a node that went to the peer outside of a batch: later rows may link to it.
    pub fn remember(&mut self, key: Key) {
        self.context.push_beside(key);
    }

    /// Bytes collected so far, including the names of new logs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len() + self.new_names
    }

    /// Whether nothing is collected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The body of a batch with the collected rows.
    pub fn finish(&mut self) -> BytesMut {
        let rows = self.rows.split();
        let mut out = BytesMut::with_capacity(rows.len() + self.new_names + 1);
        self.new_names = 0;
        put_varint(&mut out, self.new_logs.len() as u64);
        for log in self.new_logs.drain(..) {
            put_varint(&mut out, log.len() as u64);
            out.put_slice(log.as_bytes());
        }
        out.put_slice(&rows);
        out
    }
}

/// Reads batches.
#[derive(Debug, Default)]
pub struct BatchReader {
    table: Vec<LogId>,
    context: Context,
}

fn malformed() -> Error {
    Error::Protocol("undecodable batch".into())
}

/// Memory that the rest of a batch may take.
struct Budget(usize);

impl Budget {
    fn take(&mut self, bytes: usize) -> Result<()> {
        self.0 = self.0.checked_sub(bytes).ok_or_else(|| {
            Error::Protocol(format!("a batch that would take more than {MAX_EXPANSION} bytes beside its values"))
        })?;
        Ok(())
    }
}

impl BatchReader {
    /// A reader for a [`BatchWriter::reaching`] with the same `most`.
    #[must_use]
    pub fn reaching(most: usize) -> Self {
        let context = Context { recent: RecentKeys::new(most), ..Context::default() };
        BatchReader { context, ..BatchReader::default() }
    }

    /// Forgets all indices: a new vector begins.
    pub fn reset_table(&mut self) {
        self.table.clear();
        self.context.log = None;
    }

    /// Gives `log` the next index, as a vector does.
    pub fn announce(&mut self, log: LogId) {
        self.table.push(log);
    }

    /// What the table takes in memory.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table.capacity() * size_of::<LogId>()
    }

    /// Notes a node that came outside of a batch: later rows may link to it.
    pub fn remember(&mut self, key: Key) {
        self.context.push_beside(key);
    }

    /// The nodes of a batch. `body` is the part of `frame` after the type byte. The session knows `logs` logs; the table may hold
    /// [`MAX_LOGS`] names more than that.
    ///
    /// # Errors
    /// `Protocol` if it is malformed.
    pub fn read(&mut self, frame: &Bytes, mut body: &[u8], logs: usize) -> Result<Vec<Incoming>> {
        let body = &mut body;
        for _ in 0..take_varint(body).ok_or_else(malformed)? {
            let log = take_prefixed(body).and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or_else(malformed)?;
            check_log_id(log)?;
            if self.table.len() >= logs.saturating_add(MAX_LOGS) {
                return Err(Error::Protocol(format!(
                    "the peer names more than {MAX_LOGS} logs of which it sends nothing"
                )));
            }
            self.announce(log.into());
        }
        let mut nodes = Vec::new();
        let mut budget = Budget(MAX_EXPANSION);
        while !body.is_empty() {
            budget.take(size_of::<Incoming>())?;
            nodes.push(self.row(frame, body, &mut budget)?);
        }
        Ok(nodes)
    }

    fn row(&mut self, frame: &Bytes, body: &mut &[u8], budget: &mut Budget) -> Result<Incoming> {
        let (&head, rest) = body.split_first().ok_or_else(malformed)?;
        *body = rest;
        if head & RESERVED != 0 {
            return Err(malformed());
        }
        let (index, seq) = if head & CONTINUES == 0 {
            let index = take_varint(body).and_then(|index| usize::try_from(index).ok()).ok_or_else(malformed)?;
            (index, take_varint(body).ok_or_else(malformed)?)
        } else {
            (self.context.log.ok_or_else(malformed)?, self.context.seq.checked_add(1).ok_or_else(malformed)?)
        };
        let log = self.table.get(index).cloned().ok_or_else(malformed)?;
        if seq == 0 {
            return Err(malformed());
        }
        let links = match head & LINKS {
            LINK_NONE => Links::new(),
            LINK_PREVIOUS => SmallVec::from_elem(*self.context.recent.latest().ok_or_else(malformed)?, 1),
            LINK_LIST => self.links(body, budget)?,
            _ => return Err(malformed()),
        };
        if head & LINKS != LINK_LIST {
            self.context.recent.used(0, false);
        }
        let signed = if head & SIGNED == 0 { None } else { Some(Arc::new(read_signed(body)?)) };
        let value = take_prefixed(body).ok_or_else(malformed)?;
        self.context.push(index, seq, key_of(&links, value));
        Ok(Incoming { log, seq, links, value: detach(frame, value), signed, claimed: None })
    }

    fn links(&mut self, body: &mut &[u8], budget: &mut Budget) -> Result<Links> {
        let count = take_varint(body).filter(|&count| count <= MAX_LINKS as u64).ok_or_else(malformed)?;
        // Each takes at least one byte.
        let count = usize::try_from(count).ok().filter(|count| *count <= body.len()).ok_or_else(malformed)?;
        budget.take(count * size_of::<Key>())?;
        let mut links = Links::with_capacity(count);
        let (mut farthest, mut by_hash) = (0, false);
        for _ in 0..count {
            let distance =
                take_varint(body).and_then(|distance| usize::try_from(distance).ok()).ok_or_else(malformed)?;
            farthest = farthest.max(distance);
            by_hash |= distance == 0;
            links.push(match distance {
                0 => Key(take_hash(body).ok_or_else(malformed)?),
                _ => *self.context.recent.at(distance).ok_or_else(malformed)?,
            });
        }
        self.context.recent.used(farthest, by_hash);
        Ok(links)
    }
}
