//! Decides what an append or an incoming node does to the log. Pure: documents in, rows out.
//!
//! The rules are hyperlog 4.12.1's (`index.js`, `lib/replicate.js`): an append links to all current heads; a log's
//! seqs have no gaps; a node is stored once, and a further log entry for it is a duplicate.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::Incoming;
use crate::error::{Error, Result};
use crate::node::{key_of, Digest, Key, KeyMap, Links, LogId, Node, Seq};
use crate::store::{Body, Entry, Located, LogHead, LogLinks, NewRow, Position, StoreState};

/// Links of one node at the most. Heads beyond it stay heads and are linked by a later append; 64 Ki links are
/// 4 MiB on the wire, half of the default limit of an event.
pub const MAX_LINKS: usize = 65_536;

/// Bytes of a log id at the most. 1.x's are 25; ids are kept in memory and repeated in keys.
pub const MAX_LOG_ID: usize = 256;

/// What the planner asks of the store.
pub trait Lookup {
    /// Where a node is.
    fn locate(&mut self, key: &Key) -> Result<Option<Located>>;
    /// The entry of a log at a seq.
    fn entry(&mut self, log: &LogId, seq: Seq) -> Result<Option<Entry>>;
}

/// What becomes of one incoming node.
#[derive(Debug)]
pub enum Verdict {
    /// Stored by this row: a node, or a further entry for a known one.
    Store(NewRow),
    /// Its log entry is stored already.
    Known,
    /// It waits for a node.
    NeedsNode(Key),
    /// It waits for the entry of its log before it.
    NeedsEntry(LogId, Seq),
    /// It can never be stored.
    Refuse(Error),
}

#[derive(Clone, Copy, Debug)]
struct Head {
    seq: Seq,
    digest: Digest,
}

/// The log's state in memory: heads, logs, the next place.
#[derive(Debug)]
pub struct Planner {
    local: LogId,
    end: Position,
    heads: BTreeMap<Key, Located>,
    logs: HashMap<LogId, Head>,
    /// Nodes of the group that is planned.
    planned: Fresh,
    /// Nodes of the group before, which the store may not know yet.
    flushing: Fresh,
}

/// Rows that the store may not know yet, in order.
#[derive(Debug, Default)]
struct Fresh {
    nodes: Vec<Located>,
    /// Further entries for nodes.
    duplicates: Vec<(LogId, Seq, Key)>,
    /// Where keys are in `nodes`, as far as anybody has asked: nobody asks for appended ones.
    index: KeyMap<usize>,
    /// Keys of entries, as far as anybody has asked, and how many of `nodes` and `duplicates` that is.
    entries: HashMap<(LogId, Seq), Key>,
    entered: (usize, usize),
}

/// Rows for which memory is kept between groups.
const KEEP_ROWS: usize = 64 * 1024;

impl Fresh {
    fn find(&mut self, key: &Key) -> Option<&Located> {
        for (at, node) in self.nodes.iter().enumerate().skip(self.index.len()) {
            self.index.insert(node.key, at);
        }
        self.nodes.get(*self.index.get(key)?)
    }

    fn entry(&mut self, log: &LogId, seq: Seq) -> Option<Key> {
        let (nodes, duplicates) = self.entered;
        let nodes = self.nodes.iter().skip(nodes).map(|node| ((node.log.clone(), node.seq), node.key));
        let duplicates = self.duplicates.iter().skip(duplicates).map(|(log, seq, key)| ((log.clone(), *seq), *key));
        self.entries.extend(nodes.chain(duplicates));
        self.entered = (self.nodes.len(), self.duplicates.len());
        self.entries.get(&(log.clone(), seq)).copied()
    }

    fn clear(&mut self) {
        if self.nodes.capacity() > KEEP_ROWS || self.duplicates.capacity() > KEEP_ROWS {
            *self = Fresh::default();
            return;
        }
        self.nodes.clear();
        self.duplicates.clear();
        self.index.clear();
        self.entries.clear();
        self.entered = (0, 0);
    }
}

impl Planner {
    /// Goes on from what a store holds, appending under `local`.
    #[must_use]
    pub fn new(local: LogId, state: &StoreState) -> Self {
        Planner {
            local,
            end: state.end,
            heads: state.heads.iter().map(|head| (head.key, head.clone())).collect(),
            logs: state.logs.iter().map(|log| (log.log.clone(), Head { seq: log.seq, digest: log.digest })).collect(),
            planned: Fresh::default(),
            flushing: Fresh::default(),
        }
    }

    /// The log that appends go to.
    #[must_use]
    pub fn local(&self) -> &LogId {
        &self.local
    }

    /// Appends go to this log from now on.
    pub fn set_local(&mut self, log: LogId) {
        self.local = log;
    }

    /// The last place planned.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }

    /// Last seq of a log, 0 if it has none.
    #[must_use]
    pub fn seq(&self, log: &str) -> Seq {
        self.logs.get(log).map_or(0, |head| head.seq)
    }

    /// Head of a log.
    #[must_use]
    pub fn log_head(&self, log: &LogId) -> Option<LogHead> {
        self.logs.get(log).map(|head| LogHead { log: log.clone(), seq: head.seq, digest: head.digest })
    }

    /// The planned group goes to the store, which has all of the group before.
    pub fn hand_over(&mut self) {
        self.flushing.clear();
        std::mem::swap(&mut self.planned, &mut self.flushing);
    }

    /// Plans an event of our own: links to all heads, the next seq, the next change.
    pub fn append(&mut self, value: Bytes) -> NewRow {
        let links: Links = self.heads.keys().take(MAX_LINKS).copied().collect();
        let mut log_links = LogLinks::new();
        for head in self.heads.values().take(MAX_LINKS) {
            note_log(&mut log_links, &head.log, &self.local);
        }
        let key = key_of(&links, &value);
        let log = self.local.clone();
        let seq = self.seq(&log) + 1;
        self.store_node(Node { key, change: 0, log, seq, links, value, signed: None }, log_links)
    }

    /// Decides about a node that a peer sent. `key` is the hash of its content.
    ///
    /// # Errors
    /// Only those of `lookup`.
    pub fn add(&mut self, node: &Incoming, key: Key, lookup: &mut dyn Lookup) -> Result<Verdict> {
        if node.links.len() > MAX_LINKS {
            return Ok(Verdict::Refuse(Error::Protocol(format!(
                "a node with {} links, the limit is {MAX_LINKS}",
                node.links.len()
            ))));
        }
        // `!` separates the parts of 1.x's keys; a log id with one could not be told from another log's entries.
        if node.log.is_empty() || node.log.len() > MAX_LOG_ID || node.log.contains('!') {
            let id: String = node.log.chars().take(64).collect();
            return Ok(Verdict::Refuse(Error::Protocol(format!("{id:?} is no log id"))));
        }
        let last = self.seq(&node.log);
        // 1.x skips its check when a node comes without seq, and gives it the next one.
        let seq = if node.seq == 0 { last + 1 } else { node.seq };
        if seq > last + 1 {
            return Ok(Verdict::NeedsEntry(node.log.clone(), seq - 1));
        }
        let stored = self.locate(&key, lookup)?;
        if seq <= last || (node.seq == 0 && stored.is_some()) {
            return match stored {
                Some(_) => Ok(Verdict::Known),
                None => Ok(match self.entry_key(&node.log, seq, lookup)? {
                    Some(ours) => Verdict::Refuse(Error::Fork { log: node.log.to_string(), seq, ours, theirs: key }),
                    None => Verdict::Known,
                }),
            };
        }
        let mut log_links = LogLinks::new();
        for link in &node.links {
            match self.locate(link, lookup)? {
                Some(found) => note_log(&mut log_links, &found.log, &node.log),
                None => return Ok(Verdict::NeedsNode(*link)),
            }
        }
        Ok(Verdict::Store(match stored {
            Some(found) => self.store_duplicate(&found, node.log.clone(), seq, log_links),
            None => self.store_node(
                Node {
                    key,
                    change: 0,
                    log: node.log.clone(),
                    seq,
                    links: node.links.clone(),
                    value: node.value.clone(),
                    signed: node.signed.clone(),
                },
                log_links,
            ),
        }))
    }

    fn store_node(&mut self, mut node: Node, log_links: LogLinks) -> NewRow {
        self.end = Position::of(self.end.change + 1);
        node.change = self.end.change;
        for link in &node.links {
            self.heads.remove(link);
        }
        let located = Located { key: node.key, change: node.change, log: node.log.clone(), seq: node.seq };
        self.heads.insert(node.key, located.clone());
        self.planned.nodes.push(located);
        let digest = self.advance(&node.log, node.seq, &node.key);
        NewRow::first(Arc::new(node), digest, log_links)
    }

    fn store_duplicate(&mut self, found: &Located, log: LogId, seq: Seq, log_links: LogLinks) -> NewRow {
        self.end.duplicate += 1;
        self.planned.duplicates.push((log.clone(), seq, found.key));
        let digest = self.advance(&log, seq, &found.key);
        NewRow { at: self.end, log, seq, key: found.key, digest, log_links, body: Body::Duplicate(found.change) }
    }

    fn advance(&mut self, log: &LogId, seq: Seq, key: &Key) -> Digest {
        if let Some(head) = self.logs.get_mut(log) {
            *head = Head { seq, digest: head.digest.extend(key) };
            return head.digest;
        }
        let digest = Digest::default().extend(key);
        self.logs.insert(Arc::clone(log), Head { seq, digest });
        digest
    }

    fn locate(&mut self, key: &Key, lookup: &mut dyn Lookup) -> Result<Option<Located>> {
        let known = self.heads.get(key).or_else(|| self.planned.find(key)).or_else(|| self.flushing.find(key));
        match known {
            Some(found) => Ok(Some(found.clone())),
            None => lookup.locate(key),
        }
    }

    fn entry_key(&mut self, log: &LogId, seq: Seq, lookup: &mut dyn Lookup) -> Result<Option<Key>> {
        match self.planned.entry(log, seq).or_else(|| self.flushing.entry(log, seq)) {
            Some(key) => Ok(Some(key)),
            None => Ok(lookup.entry(log, seq)?.map(|entry| entry.key)),
        }
    }
}

fn note_log(links: &mut LogLinks, log: &LogId, own: &LogId) {
    if log != own && !links.contains(log) {
        links.push(log.clone());
    }
}
