//! The log in memory, for emitters without a database.
//!
//! Values are not copied: they are reference-counted slices of the caller's buffers.

mod rows;
mod term_index;

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use self::rows::{LogRows, Rows, Stored, BLOCK, DIGEST_STEP};
use self::term_index::TermIndex;
use super::heads::Heads;
use super::log_map::LogMap;
use super::order::{check_relabel, Staged};
use super::search::{self, Found, Gather, Look, Order, Span};
use super::slots::Slots;
use super::terms::{Plan, Terms};
use super::{
    Body, Commit, Entry, Located, LogHead, Meta, Position, Progress, ReadLimit, Relabel, Row, Sizes, Store, StoreState,
};
use crate::error::{Error, Result};
use crate::node::{Digest, Key, LogId, Node, Seq};
use crate::query::Filter;

/// A store that lives and ends with the process.
///
/// Lock order: `slots`, then `inner`, then `terms`.
#[derive(Default)]
pub struct MemoryStore {
    inner: RwLock<Inner>,
    /// Index of each node's row. It has a lock of its own, so that readers of rows need not wait while thousands of keys are added.
    /// A slot without a row belongs to a commit that has not returned.
    slots: RwLock<Slots>,
    /// Created by the first search and updated by every search. Without searches it costs nothing.
    terms: Mutex<Option<TermIndex>>,
}

#[derive(Default)]
struct Inner {
    closed: bool,
    end: Position,
    rows: Rows,
    heads: Heads<usize>,
    logs: LogMap<LogRows>,
    facts: HashMap<Meta, Bytes>,
    /// Bytes of all values.
    values: u64,
    /// Bytes of all rows beside the values.
    beside: u64,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Inner {
    fn open(&self) -> Result<&Self> {
        if self.closed {
            Err(Error::Closed("its store was closed"))
        } else {
            Ok(self)
        }
    }

    fn located(&self, index: usize) -> Option<Located> {
        let node = self.rows.node(index)?;
        Some(Located { key: node.key, change: node.change, log: node.log.clone(), seq: node.seq })
    }

    /// Last seq of a log, 0 for an unknown one.
    fn last(&self, log: &LogId) -> Seq {
        self.logs.get(log).map_or(0, LogRows::seq)
    }

    fn key(&self, index: usize) -> Option<Key> {
        self.rows.node(index).map(|node| node.key)
    }

    fn digest(&self, log: &LogRows, seq: Seq) -> Option<Digest> {
        if seq == log.seq() {
            return Some(log.digest);
        }
        let known = (seq / DIGEST_STEP).min(log.steps.len() as u64);
        let mut digest = match known.checked_sub(1) {
            Some(step) => *log.steps.get(usize::try_from(step).ok()?)?,
            None => Digest::default(),
        };
        for seq in known * DIGEST_STEP + 1..=seq {
            digest = digest.extend(&self.key(log.row(seq)?)?);
        }
        Some(digest)
    }

    /// Checks that `commit` continues what is stored, so that applying it cannot fail half way.
    fn check(&self, commit: &Commit) -> Result<()> {
        let relabel = commit.relabel.as_ref().map(|relabel| (relabel, self.last(&relabel.log)));
        if let Some((relabel, last)) = relabel {
            check_relabel(relabel, last, self.logs.get(&relabel.to).is_some())?;
        }
        let mut staged = Staged::new(relabel);
        let mut end = self.end;
        for row in &commit.rows {
            staged.check(row, &mut end, |log| self.last(log))?;
        }
        Ok(())
    }

    fn relabel(&mut self, relabel: &Relabel) {
        let keep = usize::try_from(relabel.from.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(log) = self.logs.get_mut(&relabel.log) else {
            return;
        };
        let tail = log.rows.split_off(keep.min(log.rows.len()));
        log.steps.truncate(log.rows.len() / usize::try_from(DIGEST_STEP).unwrap_or(usize::MAX));
        let mut moved = LogRows::new();
        for (index, row) in tail.into_iter().enumerate() {
            let seq = index as Seq + 1;
            match self.rows.get_mut(row) {
                Some(Stored::Node(node)) => {
                    *node = Node { log: relabel.to.clone(), seq, ..Node::clone(node) }.into();
                }
                Some(Stored::Duplicate { log, seq: at, .. }) => (*log, *at) = (relabel.to.clone(), seq),
                None => {}
            }
            if let Some(key) = self.key(row) {
                let digest = moved.digest.extend(&key);
                moved.push(row, digest);
            }
        }
        self.logs.insert(relabel.to.clone(), moved);
        if keep == 0 {
            self.logs.remove(&relabel.log);
        } else if let Some(mut log) = self.logs.remove(&relabel.log) {
            log.digest = self.digest_below(&log);
            self.logs.insert(relabel.log.clone(), log);
        }
    }

    /// The digest over all of `log`, computed without `log.digest`.
    fn digest_below(&self, log: &LogRows) -> Digest {
        let mut digest = log.steps.last().copied().unwrap_or_default();
        for row in log.rows.iter().skip(log.steps.len() * usize::try_from(DIGEST_STEP).unwrap_or(usize::MAX)) {
            if let Some(key) = self.key(*row) {
                digest = digest.extend(&key);
            }
        }
        digest
    }

    fn apply(&mut self, commit: &Commit) {
        if let Some(relabel) = &commit.relabel {
            self.relabel(relabel);
        }
        for row in &commit.rows {
            let index = match &row.body {
                Body::Node(node) => {
                    self.values += node.value.len() as u64;
                    let links = if node.links.spilled() { size_of_val(node.links.as_slice()) } else { 0 };
                    self.beside += (size_of::<Node>() + links) as u64;
                    let index = self.rows.push(Stored::Node(node.clone()));
                    for link in &node.links {
                        self.heads.remove(link);
                    }
                    self.heads.insert(node.key, index);
                    index
                }
                Body::Duplicate { change, log, seq, .. } => {
                    let node = self.rows.of_change(*change).unwrap_or(usize::MAX);
                    self.rows.push(Stored::Duplicate { at: row.at, log: log.clone(), seq: *seq, node })
                }
            };
            self.beside += (size_of::<Stored>() + size_of_val(&index)) as u64;
            match self.logs.get_mut(row.log()) {
                Some(log) => log.push(index, row.digest),
                None => {
                    let mut log = LogRows::new();
                    log.push(index, row.digest);
                    self.logs.insert(row.log().clone(), log);
                }
            }
            self.end = row.at;
        }
        for (fact, value) in &commit.meta {
            match value {
                Some(value) => self.facts.insert(fact.clone(), value.clone()),
                None => self.facts.remove(fact),
            };
        }
    }
}

impl MemoryStore {
    fn find(
        &self,
        plan: impl FnOnce(&Terms) -> Plan,
        wants: &dyn Fn(&[u8]) -> bool,
        (span, order, limit): (Span, Order, ReadLimit),
    ) -> Result<Found> {
        let inner = self.inner.read();
        inner.open()?;
        let mut terms = self.terms.lock();
        let index = match &mut *terms {
            Some(index) => index,
            none => none.insert(TermIndex::new()?),
        };
        index.extend(&inner.rows);
        let mut gather = Gather::new(span, order, limit);
        let [low, high] =
            [span.after, span.until].map(|change| inner.rows.after(Position { change, duplicate: u32::MAX }));
        let all = index.search(&plan(&index.terms), (low, high), order, |row| {
            inner.rows.node(row).is_none_or(|node| gather.look(Row::first(node.clone()), wants) == Look::More)
        });
        Ok(if all { gather.finish(inner.end.change) } else { gather.stop() })
    }
}

impl Store for MemoryStore {
    fn state(&self) -> Result<StoreState> {
        let inner = self.inner.read();
        inner.open()?;
        let heads = inner.heads.iter().filter_map(|(_, index)| inner.located(*index)).collect();
        let logs = inner.logs.iter();
        let logs = logs.map(|(log, rows)| LogHead { log: log.clone(), seq: rows.seq(), digest: rows.digest }).collect();
        Ok(StoreState { end: inner.end, heads, logs })
    }

    fn locate(&self, keys: &[Key]) -> Result<Vec<Option<Located>>> {
        let slots = self.slots.read();
        let inner = self.inner.read();
        inner.open()?;
        Ok(keys.iter().map(|key| inner.located(slots.find(key, |row| inner.key(row))?)).collect())
    }

    fn node(&self, key: &Key) -> Result<Option<Node>> {
        let slots = self.slots.read();
        let inner = self.inner.read();
        inner.open()?;
        let found = slots.find(key, |row| inner.key(row));
        Ok(found.and_then(|row| inner.rows.node(row)).map(|node| Node::clone(node)))
    }

    fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        let inner = self.inner.read();
        inner.open()?;
        let row = inner.logs.get(log).and_then(|log| log.row(seq));
        Ok(row.and_then(|row| Some(Entry { at: inner.rows.get(row)?.at(), key: inner.key(row)? })))
    }

    fn digest(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>> {
        let inner = self.inner.read();
        inner.open()?;
        if seq == 0 {
            return Ok(Some(Digest::default()));
        }
        Ok(inner.logs.get(log).filter(|log| seq <= log.seq()).and_then(|log| inner.digest(log, seq)))
    }

    fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        let inner = self.inner.read();
        inner.open()?;
        let start = inner.rows.after(after);
        let mut rows = Vec::with_capacity(limit.rows.min(inner.rows.len.saturating_sub(start)).min(BLOCK));
        let mut bytes = 0_usize;
        for index in start..inner.rows.len {
            let (Some(stored), Some(node)) = (inner.rows.get(index), inner.rows.node(index)) else {
                break;
            };
            bytes = bytes.saturating_add(node.value.len());
            if !rows.is_empty() && (rows.len() >= limit.rows || bytes > limit.bytes) {
                break;
            }
            let again = match stored {
                Stored::Node(_) => None,
                Stored::Duplicate { log, seq, .. } => Some((log.clone(), *seq)),
            };
            rows.push(Row { at: stored.at(), node: node.clone(), again });
        }
        Ok(rows)
    }

    fn commit(&self, commit: &Commit) -> Result<()> {
        let first = {
            let inner = self.inner.read();
            inner.open()?;
            inner.check(commit)?;
            inner.rows.len
        };
        // Commits come one at a time, so the checks are still valid.
        let nodes = commit.rows.iter().zip(first..).filter_map(|(row, index)| Some((index, &row.node()?.key)));
        let nodes: Vec<_> = nodes.collect();
        self.slots.write().insert(nodes.into_iter());
        let mut inner = self.inner.write();
        inner.open()?;
        inner.apply(commit);
        Ok(())
    }

    fn last_position(&self) -> Result<Position> {
        Ok(self.inner.read().open()?.end)
    }

    fn search(&self, filter: &Filter, span: Span, order: Order, limit: ReadLimit) -> Result<Found> {
        let wants = |value: &[u8]| filter.matches(value);
        if filter.query.is_all() {
            return search::scan(self, &wants, span, order, limit);
        }
        self.find(|terms| terms.plan(&filter.query), &wants, (span, order, limit))
    }

    fn of_request(&self, id: &[u8]) -> Result<Option<Row>> {
        search::first(|span, limit| {
            let wants = |value: &[u8]| search::is_of_request(value, id);
            self.find(|terms| terms.plan_request(id), &wants, (span, Order::Up, limit))
        })
    }

    fn meta(&self, key: &Meta) -> Result<Option<Bytes>> {
        let inner = self.inner.read();
        Ok(inner.open()?.facts.get(key).cloned())
    }

    fn consumer_records(&self) -> Result<Vec<(Meta, Bytes)>> {
        let inner = self.inner.read();
        let facts = inner.open()?.facts.iter().filter(|(fact, _)| fact.is_of_consumer());
        Ok(facts.map(|(fact, value)| (fact.clone(), value.clone())).collect())
    }

    /// `data` is the values, `index` the rest of the rows and the slots. What the allocator adds, logs, heads, facts, and the terms of
    /// searches are not counted.
    fn sizes(&self) -> Result<Sizes> {
        let slots = self.slots.read();
        let inner = self.inner.read();
        let Inner { values, beside, .. } = *inner.open()?;
        Ok(Sizes { data: values, index: beside + slots.bytes() as u64 })
    }

    fn check(&self, _: Progress<'_>) -> Result<()> {
        self.inner.read().open().map(|_| ())
    }

    fn close(&self) -> Result<()> {
        *self.inner.write() = Inner { closed: true, ..Inner::default() };
        *self.slots.write() = Slots::default();
        *self.terms.lock() = None;
        Ok(())
    }

    fn is_immediate(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
