//! The model a store is compared with: a plain list of rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::random::Random;
use super::searches::compare_searches;
use crate::node::{key_of, Digest, Key, Links, LogId, Node, NodeRef, Seq, Signed};
use crate::row::{Body, Entry, Located, LogHead, NewRow, Position, Row};
use crate::store::{Commit, Meta, ReadLimit, Relabel, Store, StoreState};

/// What a store should hold, and the commit that takes it there.
///
/// Every method that adds something changes the model immediately, and adds the change to the pending commit; [`Model::commit`]
/// passes that commit to a store.
#[derive(Clone, Default)]
pub struct Model {
    rows: Vec<Row>,
    entries: BTreeMap<LogId, Vec<Entry>>,
    meta: BTreeMap<Meta, Bytes>,
    pending: Commit,
}

impl Model {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows held, nodes and duplicates.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The last position in use.
    #[must_use]
    pub fn end(&self) -> Position {
        self.rows.last().map_or(Position::START, |row| row.at)
    }

    /// Last seq of a log, 0 for an unknown one.
    #[must_use]
    pub fn seq(&self, log: &str) -> Seq {
        self.entries.get(log).map_or(0, |entries| entries.len() as Seq)
    }

    /// Every log with entries.
    pub fn logs(&self) -> impl Iterator<Item = &LogId> {
        self.entries.keys()
    }

    /// Digest of a log after `seq` entries.
    #[must_use]
    pub fn digest(&self, log: &str, seq: Seq) -> Digest {
        let entries = self.entries.get(log).map_or(&[][..], |entries| &entries[..seq as usize]);
        entries.iter().fold(Digest::default(), |digest, entry| digest.extend(&entry.key))
    }

    /// Keys of the nodes that nothing links to, ascending.
    #[must_use]
    pub fn heads(&self) -> Vec<Key> {
        let mut heads = BTreeSet::new();
        for row in self.rows.iter().filter(|row| row.at.duplicate == 0) {
            for link in &row.node.links {
                heads.remove(link);
            }
            heads.insert(row.node.key);
        }
        heads.into_iter().collect()
    }

    /// Appends a node that links to all heads.
    pub fn append(&mut self, log: &str, value: impl AsRef<[u8]>) -> Key {
        let heads = self.heads();
        self.append_linked(log, &heads, value)
    }

    /// Appends a node that links to the latest one, without looking for heads (for large models).
    pub fn append_next(&mut self, log: &str, value: impl AsRef<[u8]>) -> Key {
        let link: Vec<Key> = self.rows.last().map(|row| row.node.key).into_iter().collect();
        self.append_linked(log, &link, value)
    }

    /// Appends a node with these links.
    pub fn append_linked(&mut self, log: &str, links: &[Key], value: impl AsRef<[u8]>) -> Key {
        self.append_signed(log, links, value, None)
    }

    /// Appends a node with links and a signature.
    pub fn append_signed(&mut self, log: &str, links: &[Key], value: impl AsRef<[u8]>, signed: Option<Signed>) -> Key {
        let log: LogId = Arc::from(log);
        let value = Bytes::copy_from_slice(value.as_ref());
        let at = Position::of(self.end().change + 1);
        let node = Node {
            key: key_of(links, &value),
            change: at.change,
            log: log.clone(),
            seq: self.seq(&log) + 1,
            links: Links::from_slice(links),
            value,
            signed: signed.map(Arc::new),
        };
        let (key, node) = (node.key, NodeRef::from(node));
        self.push(at, &log, Body::Node(node.clone()), node);
        key
    }

    /// Adds a further entry for the node with this change.
    pub fn duplicate(&mut self, log: &str, change: u64) {
        let end = self.end();
        let at = Position { change: end.change, duplicate: end.duplicate + 1 };
        let node = self.rows.iter().find(|row| row.at == Position::of(change)).unwrap().node.clone();
        let log = LogId::from(log);
        let body = Body::Duplicate { change, key: node.key, log: log.clone(), seq: self.seq(&log) + 1 };
        self.push(at, &log, body, node);
    }

    fn push(&mut self, at: Position, log: &LogId, body: Body, node: NodeRef) {
        let (seq, key) = (self.seq(log) + 1, node.key);
        let digest = self.pending_digest(log).extend(&key);
        self.pending.rows.push(NewRow { at, digest, log_links: Default::default(), body });
        self.rows.push(Row::new(at, log.clone(), seq, node));
        self.entries.entry(log.clone()).or_default().push(Entry { at, key });
    }

    /// The log's digest including the pending rows.
    fn pending_digest(&self, log: &LogId) -> Digest {
        match self.pending.rows.iter().rev().find(|row| row.log() == log) {
            Some(row) => row.digest,
            None => self.digest(log, self.seq(log)),
        }
    }

    /// Moves the tail of a log to a new one. Before any rows of the same commit.
    pub fn relabel(&mut self, log: &str, from: Seq, to: &str) {
        assert!(self.pending.rows.is_empty(), "a relabel comes before the rows of its commit");
        let (log, to): (LogId, LogId) = (Arc::from(log), Arc::from(to));
        let entries = self.entries.get_mut(&log).unwrap();
        let moved = entries.split_off(from as usize - 1);
        if entries.is_empty() {
            self.entries.remove(&log);
        }
        let mut renamed = BTreeMap::new();
        for row in self.rows.iter_mut().filter(|row| *row.log() == log && row.seq() >= from) {
            let seq = row.seq() - (from - 1);
            match &mut row.again {
                Some(again) => *again = (to.clone(), seq),
                None => drop(renamed.insert(row.node.change, seq)),
            }
        }
        for row in &mut self.rows {
            if let Some(seq) = renamed.get(&row.node.change) {
                row.node = Node { log: to.clone(), seq: *seq, ..Node::clone(&row.node) }.into();
            }
        }
        self.entries.insert(to.clone(), moved);
        self.pending.relabel = Some(Relabel { log, from, to });
    }

    /// Sets or deletes a fact.
    pub fn set(&mut self, fact: Meta, value: Option<&[u8]>) {
        let value = value.map(Bytes::copy_from_slice);
        match &value {
            Some(value) => self.meta.insert(fact.clone(), value.clone()),
            None => self.meta.remove(&fact),
        };
        self.pending.meta.push((fact, value));
    }

    /// Takes the pending commit; the model already counts it as stored.
    pub fn take(&mut self) -> Commit {
        std::mem::take(&mut self.pending)
    }

    /// Commits what is pending to `store`.
    pub fn commit(&mut self, store: &dyn Store) {
        store.commit(&self.take()).unwrap();
    }

    /// What [`Store::state`] should say, logs in order.
    #[must_use]
    pub fn state(&self) -> StoreState {
        let heads = self.heads().iter().map(|key| self.located(key).unwrap()).collect();
        let logs = self.entries.iter().map(|(log, entries)| {
            let seq = entries.len() as Seq;
            LogHead { log: log.clone(), seq, digest: self.digest(log, seq) }
        });
        StoreState { end: self.end(), heads, logs: logs.collect() }
    }

    fn located(&self, key: &Key) -> Option<Located> {
        let row = self.rows.iter().find(|row| row.at.duplicate == 0 && row.node.key == *key)?;
        Some(Located { key: *key, change: row.at.change, log: row.log().clone(), seq: row.seq() })
    }
}

/// The store's state with its logs in order.
fn sorted_state(store: &dyn Store) -> StoreState {
    let mut state = store.state().unwrap();
    state.logs.sort_by(|a, b| a.log.cmp(&b.log));
    state
}

/// Panics unless `store` holds exactly what `model` does. Checks all ways of reading.
pub fn compare(store: &dyn Store, model: &Model) {
    assert_eq!(sorted_state(store), model.state(), "state");
    compare_rows(store, model);
    compare_entries(store, model);
    let nodes: Vec<&Row> = model.rows.iter().filter(|row| row.at.duplicate == 0).collect();
    let keys: Vec<Key> = nodes.iter().map(|row| row.node.key).collect();
    let located: Vec<Option<Located>> = nodes
        .iter()
        .map(|row| Some(Located { key: row.node.key, change: row.at.change, log: row.log().clone(), seq: row.seq() }))
        .collect();
    assert_eq!(store.locate(&keys).unwrap(), located, "locate");
    for row in &nodes {
        assert_eq!(store.node(&row.node.key).unwrap().as_ref(), Some(&*row.node), "node at {:?}", row.at);
    }
    let absent = key_of(&keys, b"never stored");
    assert_eq!(store.locate(&[absent]).unwrap(), vec![None]);
    assert_eq!(store.node(&absent).unwrap(), None);
    for fact in [Meta::LogId, Meta::StoreId, Meta::Peers, Meta::MyEventPeer, Meta::Moved, Meta::Network]
        .iter()
        .chain(model.meta.keys())
    {
        assert_eq!(store.meta(fact).unwrap().as_ref(), model.meta.get(fact), "{fact:?}");
    }
    let of_consumers = model.meta.iter().filter(|(fact, _)| fact.is_of_consumer());
    let of_consumers: BTreeMap<_, _> = of_consumers.map(|(fact, value)| (fact.clone(), value.clone())).collect();
    assert_eq!(BTreeMap::from_iter(store.consumer_records().unwrap()), of_consumers, "records of consumers");
    compare_searches(store, &model.rows, &mut Random(model.rows.len() as u64), 4);
    store.check(&mut |_, _| {}).unwrap();
}

fn compare_rows(store: &dyn Store, model: &Model) {
    for rows in [1, 7, usize::MAX] {
        let mut after = Position::START;
        let mut read = Vec::new();
        loop {
            let part = store.read(after, ReadLimit { rows, bytes: usize::MAX }).unwrap();
            assert!(part.len() <= rows, "{} rows, limit {rows}", part.len());
            let Some(last) = part.last() else { break };
            after = last.at;
            read.extend(part);
        }
        assert_eq!(read.len(), model.rows.len(), "number of rows read {rows} at a time");
        for (got, expected) in read.iter().zip(&model.rows) {
            assert_eq!(got, expected, "row read {rows} at a time");
        }
    }
    // From every position, without reading the rows before it.
    for (index, row) in model.rows.iter().enumerate().rev() {
        let next = store.read(row.at, ReadLimit { rows: 1, bytes: usize::MAX }).unwrap();
        assert_eq!(next.first(), model.rows.get(index + 1), "row after {:?}", row.at);
    }
}

fn compare_entries(store: &dyn Store, model: &Model) {
    for (log, entries) in &model.entries {
        let end = entries.len() as Seq;
        let mut digest = Digest::default();
        assert_eq!(store.entry(log, 0).unwrap(), None);
        assert_eq!(store.digest(log, 0).unwrap(), Some(digest));
        for (entry, seq) in entries.iter().zip(1..) {
            digest = digest.extend(&entry.key);
            assert_eq!(store.entry(log, seq).unwrap().as_ref(), Some(entry), "entry {seq} of {log}");
            assert_eq!(store.digest(log, seq).unwrap(), Some(digest), "digest at {seq} of {log}");
        }
        for beyond in [end + 1, end + 1000, Seq::MAX] {
            assert_eq!(store.entry(log, beyond).unwrap(), None, "entry {beyond} of {log}");
            assert_eq!(store.digest(log, beyond).unwrap(), None, "digest at {beyond} of {log}");
        }
    }
    let unknown: LogId = Arc::from("no such log");
    assert_eq!(store.entry(&unknown, 1).unwrap(), None);
    assert_eq!(store.digest(&unknown, 0).unwrap(), Some(Digest::default()));
    assert_eq!(store.digest(&unknown, 1).unwrap(), None);
}
