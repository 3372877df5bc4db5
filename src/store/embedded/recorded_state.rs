//! The state that a store keeps in memory: end, heads, logs and facts, and how each record changes them.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::coding::{put_slice, put_varint, Input};
use super::record::{fact_of, put_fact, Linked, NodeRecord, Record};
use super::table::{resolve, EntryAt, Table, TableChanges};
use crate::node::{Change, Digest, Key, LogId, Seq};
use crate::row::{Located, LogHead, Position};
use crate::store::heads::Heads;
use crate::store::{Meta, StoreState};

/// The state after some record of the log. It depends on nothing but the records before it.
#[derive(Clone, Debug, Default)]
pub(super) struct RecordedState {
    /// The last position in use.
    pub(super) end: Position,
    /// Key of the node with change `end.change`.
    pub(super) last: Key,
    pub(super) table: Table,
    pub(super) heads: Heads<(Change, EntryAt)>,
    pub(super) facts: BTreeMap<Meta, Bytes>,
    /// Heads that no checkpoint has yet.
    new_heads: Heads<()>,
    /// Nodes that are heads in the last checkpoint, but no longer.
    gone_heads: Vec<Key>,
}

impl PartialEq for RecordedState {
    fn eq(&self, other: &Self) -> bool {
        let small = (self.end, self.last, &self.facts) == (other.end, other.last, &other.facts);
        small && self.heads == other.heads && self.table == other.table
    }
}

/// What has changed since the last checkpoint, and the few bytes that every checkpoint repeats. So the cost of a checkpoint
/// depends on the rows since the last one, not on the numbers of logs and heads.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    pub(super) table: TableChanges,
    /// Heads as stored; `None` for a node that is no longer a head.
    pub(super) heads: Vec<(Key, Option<Vec<u8>>)>,
    /// End, last key, facts, and how many streams, logs and heads there are.
    pub(super) head: Vec<u8>,
}

/// Parts of a checkpoint as read from the index.
#[derive(Default)]
pub(super) struct Stored<'a> {
    pub(super) streams: Vec<&'a [u8]>,
    pub(super) logs: Vec<(u32, &'a [u8])>,
    pub(super) heads: Vec<(Key, &'a [u8])>,
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

impl RecordedState {
    /// Adds a node at the end. `digest` computes the log's new digest from the previous one.
    pub(super) fn add_node<'a>(
        &mut self,
        entry: EntryAt,
        key: Key,
        links: impl Iterator<Item = &'a Key>,
        digest: impl FnOnce(Digest) -> Digest,
    ) -> Option<Added> {
        let before = self.table.append(entry.stream, entry.seq, digest)?;
        for link in links {
            if self.heads.remove(link).is_some() && self.new_heads.remove(link).is_none() {
                self.gone_heads.push(*link);
            }
        }
        self.end = Position::of(self.end.change + 1);
        self.heads.insert(key, (self.end.change, entry));
        self.new_heads.insert(key, ());
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
                if RecordedState::decode(&mut Input(bytes)).as_ref() != Some(self) {
                    return Err("the snapshot at the start of the segment differs from the log before it");
                }
            }
            Record::Begin { last, streams } => {
                if last != self.last || streams != self.table.next_stream() {
                    return Err("the segment continues another log");
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

    /// The log and seq of an entry.
    pub(super) fn resolve(&self, entry: EntryAt) -> Option<(LogId, Seq)> {
        resolve(self.table.streams(), entry.stream, entry.seq).map(|(log, seq)| (log.clone(), seq))
    }

    pub(super) fn located(&self, key: Key, change: Change, entry: EntryAt) -> Option<Located> {
        let (log, seq) = self.resolve(entry)?;
        Some(Located { key, change, log, seq })
    }

    /// In the form that `hyperlog` takes.
    pub(super) fn public(&self) -> StoreState {
        let heads = self.heads.iter().filter_map(|(key, (change, entry))| self.located(*key, *change, *entry));
        let logs =
            self.table.logs().map(|(log, state)| LogHead { log: log.clone(), seq: state.seq, digest: state.digest });
        StoreState { end: self.end, heads: heads.collect(), logs: logs.collect() }
    }

    /// What has changed since the last call.
    pub(super) fn take_changes(&mut self) -> Changes {
        let table = self.table.take_changes();
        let mut heads: Vec<_> = std::mem::take(&mut self.gone_heads).into_iter().map(|key| (key, None)).collect();
        for (key, ()) in std::mem::take(&mut self.new_heads).iter() {
            let Some((change, entry)) = self.heads.get(key) else { continue };
            let mut out = Vec::new();
            put_varint(&mut out, *change);
            put_varint(&mut out, u64::from(entry.stream));
            put_varint(&mut out, entry.seq);
            heads.push((*key, Some(out)));
        }
        let mut head = Vec::new();
        put_varint(&mut head, self.end.change);
        put_varint(&mut head, u64::from(self.end.duplicate));
        head.extend_from_slice(&self.last.0);
        put_facts(&mut head, &self.facts);
        let (streams, logs) = self.table.counts();
        [streams, logs, self.heads.len() as u64].iter().for_each(|count| put_varint(&mut head, *count));
        Changes { table, heads, head }
    }

    /// Assembles a state from the parts of a checkpoint.
    pub(super) fn load(head: &mut Input<'_>, stored: Stored<'_>) -> Option<Self> {
        let end = Position { change: head.varint()?, duplicate: head.varint32()? };
        let last = Key(head.array()?);
        let facts = read_facts(head)?;
        let counts = [stored.streams.len() as u64, stored.logs.len() as u64, stored.heads.len() as u64];
        if counts != [head.varint()?, head.varint()?, head.varint()?] || !head.is_empty() {
            return None;
        }
        let table = Table::load(stored.streams.into_iter(), stored.logs.into_iter())?;
        let read = |(key, bytes): (Key, &[u8])| {
            let mut input = Input(bytes);
            let change = input.varint()?;
            Some((key, (change, EntryAt { stream: input.varint32()?, seq: input.varint()? })))
        };
        let heads = stored.heads.into_iter().map(read).collect::<Option<_>>()?;
        Some(RecordedState { end, last, table, heads, facts, ..RecordedState::default() })
    }

    /// Reads the whole state, as the segments of format 1 begin with.
    pub(super) fn decode(input: &mut Input<'_>) -> Option<Self> {
        let end = Position { change: input.varint()?, duplicate: input.varint32()? };
        let last = Key(input.array()?);
        let table = Table::decode(input)?;
        let mut heads = Heads::default();
        for _ in 0..input.varint()? {
            let (key, change) = (Key(input.array()?), input.varint()?);
            heads.insert(key, (change, EntryAt { stream: input.varint32()?, seq: input.varint()? }));
        }
        let facts = read_facts(input)?;
        input.is_empty().then_some(RecordedState { end, last, table, heads, facts, ..RecordedState::default() })
    }
}

fn put_facts(out: &mut Vec<u8>, facts: &BTreeMap<Meta, Bytes>) {
    put_varint(out, facts.len() as u64);
    for (fact, value) in facts {
        put_fact(out, fact);
        put_slice(out, value);
    }
}

fn read_facts(input: &mut Input<'_>) -> Option<BTreeMap<Meta, Bytes>> {
    let mut facts = BTreeMap::new();
    for _ in 0..input.varint()? {
        let fact = fact_of(input)?;
        facts.insert(fact, Bytes::copy_from_slice(input.slice()?));
    }
    Some(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node of a log of its own that links to nothing.
    fn add(state: &mut RecordedState, number: u32) -> Key {
        let stream = state.table.define(&LogId::from(format!("log-{number}")));
        let mut key = Key::default();
        key.0[..4].copy_from_slice(&number.wrapping_mul(0x9E37_79B1).to_be_bytes());
        state.add_node(EntryAt { stream, seq: 1 }, key, [].iter(), |digest| digest.extend(&key)).unwrap();
        key
    }

    #[test]
    fn a_checkpoint_writes_the_heads_that_have_changed_however_many_there_are() {
        for heads in [1_000, 10_000, 100_000] {
            let mut state = RecordedState::default();
            let keys: Vec<Key> = (0..heads).map(|number| add(&mut state, number)).collect();
            assert_eq!(state.take_changes().heads.len(), heads as usize);
            // A chain that links to sixteen of them.
            let mut last = None;
            for seq in 2..50 {
                let key = Key([u8::try_from(seq).unwrap(); 32]);
                let links: Vec<Key> = if seq == 2 { keys[..16].to_vec() } else { last.into_iter().collect() };
                state.add_node(EntryAt { stream: 0, seq }, key, links.iter(), |digest| digest.extend(&key)).unwrap();
                last = Some(key);
            }
            let changes = state.take_changes();
            assert_eq!((changes.heads.len(), changes.table.logs.len(), changes.table.streams.len()), (17, 1, 0));
            assert!(changes.head.len() < 100);
        }
    }
}
