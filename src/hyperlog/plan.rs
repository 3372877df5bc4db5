//! Decides what an append or an incoming node does to the log. No I/O: nodes in, rows out.
//!
//! The rules are hyperlog 4.12.1's (`index.js`, `lib/replicate.js`): an append links to the current heads; a log's seqs have no
//! gaps; a node is stored once, and a further log entry for it is a duplicate. There are two differences: an append links to a
//! limited number of heads, and entries of the local log that others have written are refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use super::linked_logs::LinkedLogs;
use super::shared::CommittedState;
use super::uncommitted_rows::UncommittedRows;
use super::Incoming;
use crate::error::{Error, Result};
use crate::node::{key_of, Change, Digest, Key, Links, LogId, Node, NodeRef, Seq};
use crate::query::Query;
use crate::row::{Body, Entry, Located, LogLinks, NewRow, Position};
use crate::store::heads::Heads;
use crate::store::log_map::LogMap;
use crate::store::StoreState;

/// Most links of one node. 1.x links to all heads: 64 Ki links are 4 MiB on its wire, half of the default limit of an event.
pub const MAX_LINKS: usize = 65_536;

/// Most links of one append; later appends link to the remaining heads. Two would be enough for the number of heads to fall. With
/// sixteen, an emitter with a hundred peers links to all nodes that came between two events of its own, and the links of a node
/// take at most 512 bytes.
pub const MAX_APPEND_LINKS: usize = 16;

/// Most bytes of a log id. 1.x's have 25; ids are kept in memory and repeated in keys.
pub const MAX_LOG_ID: usize = 256;

/// What the planner asks of the store.
pub trait Lookup {
    /// Where a node is.
    fn locate(&mut self, key: &Key) -> Result<Option<Located>>;
    /// The entry of a log at a seq.
    fn entry(&mut self, log: &LogId, seq: Seq) -> Result<Option<Entry>>;
}

/// What to do with an incoming node.
#[derive(Debug)]
pub enum Verdict {
    /// Store it with this row: a node, or a further entry for a known node.
    Store(NewRow<Node>),
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
pub(super) struct Head {
    pub(super) seq: Seq,
    pub(super) digest: Digest,
}

/// The log's state in memory: heads, logs, the next position.
#[derive(Debug)]
pub struct Planner {
    local: LogId,
    end: Position,
    heads: Heads<Located>,
    /// The seq from which on we are known to be the only writer of the local log: the first that we appended, or 0 if we
    /// made the log.
    sole_from: Option<Seq>,
    /// The last node of the local log.
    own_last: Option<Key>,
    /// The heads by age, while there are too many for one append; otherwise empty.
    by_age: BTreeMap<Change, Key>,
    /// Last entries of logs: of all logs with rows that the store may not have yet, and of other logs that were used recently.
    /// `stored` has the others.
    logs: LogMap<Head>,
    /// The log's state as stored. It lags behind by at most the planned group and the one before.
    stored: Option<Arc<RwLock<CommittedState>>>,
    /// Nodes of the group that is planned.
    planned: UncommittedRows,
    /// Nodes of the group before, which the store may not know yet.
    flushing: UncommittedRows,
}

/// Last entries that are kept in the planner. Beyond this number, those that the stored state has are dropped. Rarely more logs
/// than this are busy at the same time.
const KEEP_HEADS: usize = 4 * 1024;

impl Planner {
    /// A planner that continues from `state`, with `local` as the log to append to.
    #[must_use]
    pub fn new(local: LogId, state: &StoreState) -> Self {
        let mut planner = Planner {
            local,
            end: state.end,
            heads: state.heads.iter().map(|head| (head.key, head.clone())).collect(),
            sole_from: None,
            own_last: None,
            by_age: BTreeMap::new(),
            logs: state.logs.iter().map(|log| (log.log.clone(), Head { seq: log.seq, digest: log.digest })).collect(),
            stored: None,
            planned: UncommittedRows::default(),
            flushing: UncommittedRows::default(),
        };
        planner.order_heads();
        planner
    }

    /// Like [`Planner::new`], but without memory for idle logs: it looks them up in `stored`, which must agree with `state`. A
    /// group must be in `stored` before the second [`Planner::hand_over`] after its own.
    pub(super) fn beside(stored: Arc<RwLock<CommittedState>>, local: LogId, state: &StoreState) -> Self {
        let heads = StoreState { end: state.end, heads: state.heads.clone(), logs: Vec::new() };
        Planner { stored: Some(stored), ..Planner::new(local, &heads) }
    }

    /// The log that appends go to.
    #[must_use]
    pub fn local(&self) -> &LogId {
        &self.local
    }

    /// Sets the log that appends go to from now on. It must be new: nobody else knows it yet.
    pub fn set_local(&mut self, log: LogId) {
        self.local = log;
        self.sole_from = Some(0);
    }

    /// A planner that continues from what the store holds, after a commit that failed or moved entries. Appends that were lost with
    /// that commit do not count as written.
    #[must_use]
    pub fn renewed(&self, state: &StoreState) -> Self {
        let mut planner = match &self.stored {
            Some(stored) => Planner::beside(Arc::clone(stored), self.local.clone(), state),
            None => Planner::new(self.local.clone(), state),
        };
        let last = planner.seq(&self.local);
        planner.sole_from = self.sole_from.filter(|from| *from <= last);
        planner
    }

    /// Whether a node claims to be an entry of the local log that we have not written, although only we write there. We can tell
    /// once we have appended, or if the log was created after the store was opened. Before that, peers may bring back a tail that
    /// our store has lost.
    #[must_use]
    pub fn is_forged(&self, node: &Incoming) -> bool {
        node.log == self.local && self.sole_from.is_some() && (node.seq == 0 || node.seq > self.seq(&node.log))
    }

    /// Sets the local log's last node, if it has one, because [`StoreState`] does not contain it.
    pub fn set_own_last(&mut self, key: Option<Key>) {
        self.own_last = key;
    }

    /// Notes the newest planned nodes, which share their memory with this one, so that their events are found until the store has
    /// them.
    pub(super) fn note_shared(&mut self, node: NodeRef) {
        self.planned.events.push(node);
    }

    /// The first event after `after` that matches a query, among those that the store may not have yet.
    pub(super) fn first_uncommitted(&mut self, query: &Query, after: Change) -> Option<NodeRef> {
        self.flushing.events.first(query, after).or_else(|| self.planned.events.first(query, after))
    }

    /// The first event of a request, among those that the store may not have yet.
    pub(super) fn uncommitted_of_request(&mut self, id: &[u8]) -> Option<NodeRef> {
        self.flushing.events.of_request(id).or_else(|| self.planned.events.of_request(id))
    }

    /// The last position planned.
    #[must_use]
    pub fn end(&self) -> Position {
        self.end
    }

    /// Last seq of a log, 0 if it has none.
    #[must_use]
    pub fn seq(&self, log: &str) -> Seq {
        self.head(log).map_or(0, |head| head.seq)
    }

    /// The last entry of a log, stored or planned.
    pub(super) fn head(&self, log: &str) -> Option<Head> {
        if let Some(head) = self.logs.get(log) {
            return Some(*head);
        }
        let (seq, digest) = self.stored.as_ref()?.read().logs.get(log)?;
        Some(Head { seq, digest })
    }

    /// Called when the planned group goes to the store, which by then has all of the group before.
    pub fn hand_over(&mut self) {
        self.flushing.clear();
        std::mem::swap(&mut self.planned, &mut self.flushing);
        if self.stored.is_some() && self.logs.len() > KEEP_HEADS {
            let before = std::mem::take(&mut self.logs);
            for log in self.flushing.logs() {
                if let Some(head) = before.get(log) {
                    self.logs.insert(log.clone(), *head);
                }
            }
        }
    }

    /// Plans an event of our own: links to the heads, the next seq, the next change.
    pub fn append(&mut self, value: Bytes) -> NewRow<Node> {
        let (links, log_links) = self.append_links();
        self.append_linked(value, links, log_links)
    }

    /// Plans a further event of a batch. It links only to our event before it, so a peer that can store that one can store it, too.
    pub fn append_next(&mut self, value: Bytes) -> NewRow<Node> {
        let links: Links = self.own_last.into_iter().collect();
        self.append_linked(value, links, LogLinks::default())
    }

    fn append_linked(&mut self, value: Bytes, links: Links, log_links: LogLinks) -> NewRow<Node> {
        let key = key_of(&links, &value);
        let log = self.local.clone();
        let seq = self.seq(&log) + 1;
        self.own_last = Some(key);
        self.sole_from.get_or_insert(seq);
        self.store_node(Node { key, change: 0, log, seq, links, value, signed: None }, log_links)
    }

    /// The links of an append: all heads, ascending by key, as in 1.x. If there are too many, it links to our own last node, so
    /// that our events follow each other, and to as many heads as fit, the oldest first. So each head has its turn, however many
    /// are added in the meantime and whatever their keys are.
    fn append_links(&mut self) -> (Links, LogLinks) {
        let mut links = Links::new();
        let mut log_links = LinkedLogs::new(&self.local);
        if self.heads.len() <= MAX_APPEND_LINKS {
            for (head, located) in self.heads.iter() {
                links.push(*head);
                log_links.note(&located.log);
            }
            return (links, log_links.noted);
        }
        let own = self.own_last;
        links.extend(own);
        let oldest = self.by_age.values().filter(|head| own != Some(**head));
        for head in oldest.take(MAX_APPEND_LINKS - links.len()) {
            links.push(*head);
            if let Some(located) = self.heads.get(head) {
                log_links.note(&located.log);
            }
        }
        links.sort_unstable();
        (links, log_links.noted)
    }

    /// Keeps the heads ordered by age while there are too many for one append.
    fn order_heads(&mut self) {
        if self.heads.len() <= MAX_APPEND_LINKS {
            self.by_age.clear();
        } else if self.by_age.is_empty() {
            self.by_age = self.heads.iter().map(|(key, located)| (located.change, *key)).collect();
        }
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
        // `!` separates the parts of 1.x's keys, so a log id that contains it could be mistaken for an entry of another log.
        if node.log.is_empty() || node.log.len() > MAX_LOG_ID || node.log.contains('!') {
            let id: String = node.log.chars().take(64).collect();
            return Ok(Verdict::Refuse(Error::Protocol(format!("{id:?} is not a log id"))));
        }
        let last = self.seq(&node.log);
        // 1.x skips its check when a node comes without seq, and gives it the next one.
        let seq = if node.seq == 0 { last + 1 } else { node.seq };
        if seq > last + 1 {
            return Ok(Verdict::NeedsEntry(node.log.clone(), seq - 1));
        }
        let stored = self.locate(&key, lookup)?;
        if seq <= last || (node.seq == 0 && stored.is_some()) {
            // A node may be here as an entry of another log, and not be this one.
            if node.seq == 0 || stored.is_some_and(|found| found.log == node.log && found.seq == seq) {
                return Ok(Verdict::Known);
            }
            return Ok(match self.entry_key(&node.log, seq, lookup)?.filter(|ours| *ours != key) {
                Some(ours) => Verdict::Refuse(Error::Fork { log: node.log.to_string(), seq, ours, theirs: key }),
                None => Verdict::Known,
            });
        }
        let mut log_links = LinkedLogs::new(&node.log);
        for link in &node.links {
            match self.locate(link, lookup)? {
                Some(found) => log_links.note(&found.log),
                None => return Ok(Verdict::NeedsNode(*link)),
            }
        }
        let log_links = log_links.noted;
        if node.log == self.local {
            self.own_last = Some(key);
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

    fn store_node(&mut self, mut node: Node, log_links: LogLinks) -> NewRow<Node> {
        self.end = Position::of(self.end.change + 1);
        node.change = self.end.change;
        for link in &node.links {
            if let Some(head) = self.heads.remove(link) {
                self.by_age.remove(&head.change);
            }
        }
        let located = Located { key: node.key, change: node.change, log: node.log.clone(), seq: node.seq };
        self.heads.insert(node.key, located);
        if !self.by_age.is_empty() {
            self.by_age.insert(node.change, node.key);
        }
        self.order_heads();
        self.planned.push(&node);
        let digest = self.advance(&node.log, node.seq, &node.key);
        NewRow::first(node, digest, log_links)
    }

    fn store_duplicate(&mut self, found: &Located, log: LogId, seq: Seq, log_links: LogLinks) -> NewRow<Node> {
        self.end.duplicate += 1;
        self.planned.push_duplicate(log.clone(), seq, found.key);
        let digest = self.advance(&log, seq, &found.key);
        let body = Body::Duplicate { change: found.change, key: found.key, log, seq };
        NewRow { at: self.end, digest, log_links, body }
    }

    fn advance(&mut self, log: &LogId, seq: Seq, key: &Key) -> Digest {
        if let Some(head) = self.logs.get_mut(log) {
            *head = Head { seq, digest: head.digest.extend(key) };
            return head.digest;
        }
        let digest = self.head(log).map_or(Digest::default(), |head| head.digest).extend(key);
        self.logs.insert(log.clone(), Head { seq, digest });
        digest
    }

    /// Where a node is that is stored or planned.
    pub(super) fn locate(&mut self, key: &Key, lookup: &mut dyn Lookup) -> Result<Option<Located>> {
        let head = self.heads.get(key).cloned();
        match head.or_else(|| self.planned.find(key)).or_else(|| self.flushing.find(key)) {
            Some(found) => Ok(Some(found)),
            None => lookup.locate(key),
        }
    }

    /// The node of an entry that is stored or planned.
    pub(super) fn entry_key(&mut self, log: &LogId, seq: Seq, lookup: &mut dyn Lookup) -> Result<Option<Key>> {
        match self.planned.entry(log, seq).or_else(|| self.flushing.entry(log, seq)) {
            Some(key) => Ok(Some(key)),
            None => Ok(lookup.entry(log, seq)?.map(|entry| entry.key)),
        }
    }
}

#[cfg(test)]
mod tests;
