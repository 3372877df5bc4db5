//! What the store knows without looking: end, heads, logs and facts, and how each record changes them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::coding::{put_slice, put_varint, Input};
use super::layout::{fact_of, put_fact, Linked, NodeRecord, Record};
use super::table::{resolve, EntryAt, Table};
use crate::node::{Change, Digest, Key, LogId, Seq};
use crate::store::heads::Heads;
use crate::store::{Located, LogHead, Meta, Position, StoreState};

/// State after some record of the log; a pure function of the records before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct State {
    /// The last place in use.
    pub(super) end: Position,
    /// Key of the node with change `end.change`.
    pub(super) last: Key,
    pub(super) table: Table,
    pub(super) heads: Heads<(Change, EntryAt)>,
    pub(super) facts: BTreeMap<Meta, Bytes>,
}

/// A row that has just been added to the state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Added {
    pub(super) at: Position,
    pub(super) key: Key,
    pub(super) entry: EntryAt,
    /// The log's digest without it.
    pub(super) before: Digest,
}

impl State {
    /// Adds a node behind the end. `digest` gives the log's digest after it from the one before.
    pub(super) fn add_node<'a>(
        &mut self,
        entry: EntryAt,
        key: Key,
        links: impl Iterator<Item = &'a Key>,
        digest: impl FnOnce(Digest) -> Digest,
    ) -> Option<Added> {
        let before = self.table.append(entry.stream, entry.seq, digest)?;
        for link in links {
            self.heads.remove(link);
        }
        self.end = Position::of(self.end.change + 1);
        self.heads.insert(key, (self.end.change, entry));
        self.last = key;
        Some(Added { at: self.end, key, entry, before })
    }

    /// Adds a further entry for a stored node.
    pub(super) fn add_duplicate(
        &mut self,
        entry: EntryAt,
        key: Key,
        digest: impl FnOnce(Digest) -> Digest,
    ) -> Option<Added> {
        let before = self.table.append(entry.stream, entry.seq, digest)?;
        self.end.duplicate = self.end.duplicate.checked_add(1)?;
        Some(Added { at: self.end, key, entry, before })
    }

    /// Applies a record read back. `Err` says what does not fit.
    pub(super) fn apply(&mut self, record: Record<'_>) -> Result<Option<Added>, &'static str> {
        let unfit = "a record does not continue the log";
        match record {
            Record::Node(NodeRecord { stream, seq, key, links, .. }) => {
                let last = [self.last];
                let links = match &links {
                    Linked::Previous => last.iter(),
                    Linked::These(links) => links.iter(),
                };
                return self.add_node(EntryAt { stream, seq }, key, links, |d| d.extend(&key)).map(Some).ok_or(unfit);
            }
            Record::Duplicate { stream, seq, change, key } => {
                if change == 0 || change > self.end.change {
                    return Err("a duplicate names a change that is not stored");
                }
                return self.add_duplicate(EntryAt { stream, seq }, key, |d| d.extend(&key)).map(Some).ok_or(unfit);
            }
            Record::Stream { log } => {
                self.table.define(&LogId::from(log));
            }
            Record::Fact { fact, value } => self.set(fact, value.map(Bytes::copy_from_slice)),
            Record::Relabel { log, from, to, cut, moved } => {
                let relabelled = self.table.relabel(log, from, &LogId::from(to), Digest(cut), Digest(moved));
                relabelled.ok_or("a relabel does not fit the logs")?;
            }
            Record::Snapshot(bytes) => {
                if State::decode(&mut Input(bytes)).as_ref() != Some(self) {
                    return Err("the snapshot at the start of the segment differs from the log before it");
                }
            }
            Record::Closed => {}
        }
        Ok(None)
    }

    pub(super) fn set(&mut self, fact: Meta, value: Option<Bytes>) {
        match value {
            Some(value) => self.facts.insert(fact, value),
            None => self.facts.remove(&fact),
        };
    }

    /// The log and seq an entry stands for.
    pub(super) fn resolve(&self, entry: EntryAt) -> Option<(LogId, Seq)> {
        resolve(self.table.streams(), entry.stream, entry.seq).map(|(log, seq)| (log.clone(), seq))
    }

    pub(super) fn located(&self, key: Key, change: Change, entry: EntryAt) -> Option<Located> {
        let (log, seq) = self.resolve(entry)?;
        Some(Located { key, change, log, seq })
    }

    /// As the log above wants it.
    pub(super) fn public(&self) -> StoreState {
        let heads = self.heads.iter().filter_map(|(key, (change, entry))| self.located(*key, *change, *entry));
        let logs =
            self.table.logs().map(|(log, state)| LogHead { log: log.clone(), seq: state.seq, digest: state.digest });
        StoreState { end: self.end, heads: heads.collect(), logs: logs.collect() }
    }

    /// Writes the state; equal states give equal bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, self.end.change);
        put_varint(&mut out, u64::from(self.end.duplicate));
        out.extend_from_slice(&self.last.0);
        self.table.encode(&mut out);
        put_varint(&mut out, self.heads.len() as u64);
        for (key, (change, entry)) in self.heads.iter() {
            out.extend_from_slice(&key.0);
            put_varint(&mut out, *change);
            put_varint(&mut out, u64::from(entry.stream));
            put_varint(&mut out, entry.seq);
        }
        put_varint(&mut out, self.facts.len() as u64);
        for (fact, value) in &self.facts {
            put_fact(&mut out, fact);
            put_slice(&mut out, value);
        }
        out
    }

    /// Reads what `encode` wrote, all of it.
    pub(super) fn decode(input: &mut Input<'_>) -> Option<Self> {
        let end = Position { change: input.varint()?, duplicate: input.varint32()? };
        let last = Key(input.array()?);
        let table = Table::decode(input)?;
        let mut heads = Heads::default();
        for _ in 0..input.varint()? {
            let (key, change) = (Key(input.array()?), input.varint()?);
            heads.insert(key, (change, EntryAt { stream: input.varint32()?, seq: input.varint()? }));
        }
        let mut facts = BTreeMap::new();
        for _ in 0..input.varint()? {
            let fact = fact_of(input)?;
            facts.insert(fact, Bytes::copy_from_slice(input.slice()?));
        }
        input.is_empty().then_some(State { end, last, table, heads, facts })
    }
}
