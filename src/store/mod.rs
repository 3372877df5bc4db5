//! What the log asks of a medium: one semantic trait, and the values that cross it.
//!
//! Implementations hold no decisions: they store what a [`Commit`] says and find it again. Every one of them
//! passes `conformance`.

pub mod conformance;
pub mod embedded;
pub(crate) mod heads;
pub mod level;
pub(crate) mod log_map;
pub mod log_set;
pub mod memory;
mod order;
mod slots;

use std::borrow::Borrow;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::error::Result;
use crate::node::{Change, Digest, Key, LogId, Node, NodeRef, Seq};

/// A place in one store's order: nodes by change, and behind each node the duplicate entries that were
/// stored before the next one.
///
/// A *duplicate* is a further log entry, `(log, seq)`, for a node that is already stored under another one
/// (1.x peers produce them). It has no change of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Change of the latest node at this place; 0 before the first.
    pub change: Change,
    /// 0 for the node itself, n for the nth duplicate stored behind it.
    pub duplicate: u32,
}

impl Position {
    /// Before everything.
    pub const START: Position = Position { change: 0, duplicate: 0 };

    /// The place of the node with this change.
    #[must_use]
    pub fn of(change: Change) -> Self {
        Position { change, duplicate: 0 }
    }
}

/// Ids of the logs, other than the entry's own, under which the linked nodes are stored (1.x's entry `links`).
pub type LogLinks = SmallVec<[LogId; 1]>;

/// Where a stored node is, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The node.
    pub key: Key,
    /// Its change.
    pub change: Change,
    /// Log under which it was first stored here.
    pub log: LogId,
    /// Position in that log.
    pub seq: Seq,
}

/// One row of the store's order: a log entry and its node. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place.
    pub at: Position,
    /// The node, with the log and seq of its first storage.
    pub node: NodeRef,
    /// The entry's log and seq where the node was not first stored there: exactly when `at.duplicate > 0`.
    pub again: Option<(LogId, Seq)>,
}

impl Row {
    /// The row of a node where it was first stored.
    #[must_use]
    pub fn first(node: NodeRef) -> Self {
        Row { at: Position::of(node.change), node, again: None }
    }

    /// The row at this place, whose entry is `(log, seq)`.
    #[must_use]
    pub fn new(at: Position, log: LogId, seq: Seq, node: NodeRef) -> Self {
        Row { at, node, again: (at.duplicate > 0).then_some((log, seq)) }
    }

    /// The entry's log.
    #[must_use]
    pub fn log(&self) -> &LogId {
        self.again.as_ref().map_or(&self.node.log, |(log, _)| log)
    }

    /// The entry's seq.
    #[must_use]
    pub fn seq(&self) -> Seq {
        self.again.as_ref().map_or(self.node.seq, |(_, seq)| *seq)
    }
}

/// The entry of a log at one seq.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the store's order.
    pub at: Position,
    /// The node it names.
    pub key: Key,
}

/// The last entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// The log.
    pub log: LogId,
    /// Its last seq, from 1.
    pub seq: Seq,
    /// Running digest over all its entries.
    pub digest: Digest,
}

/// What the log keeps in memory, as read at open.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StoreState {
    /// The last place in use.
    pub end: Position,
    /// Nodes that nothing links to, ascending by key.
    pub heads: Vec<Located>,
    /// Every log with at least one entry, in no particular order.
    pub logs: Vec<LogHead>,
}

/// Small facts beside the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Meta {
    /// Id of the local log.
    LogId,
    /// Id of the emitter (`getId`).
    StoreId,
    /// Peers to dial at start, 1.x's JSON.
    Peers,
    /// The last announced address record, 1.x's JSON.
    MyEventPeer,
    /// How many of the local log's first entries were moved there when another log forked, a space, and its id.
    Moved,
    /// A named consumer's position: a decimal change.
    Position(String),
}

/// A row to be stored; `N` is [`Node`] while it is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow<N = NodeRef> {
    /// Its place: the next change, or the next duplicate behind the last one.
    pub at: Position,
    /// The log's digest including this entry.
    pub digest: Digest,
    /// 1.x's entry links.
    pub log_links: LogLinks,
    /// The entry and its node, or where that already is.
    pub body: Body<N>,
}

impl<N: Borrow<Node>> NewRow<N> {
    /// The row of a node that is new to the store; `digest` is its log's including it.
    #[must_use]
    pub fn first(node: N, digest: Digest, log_links: LogLinks) -> Self {
        NewRow { at: Position::of(node.borrow().change), digest, log_links, body: Body::Node(node) }
    }

    /// The entry's log.
    #[must_use]
    pub fn log(&self) -> &LogId {
        match &self.body {
            Body::Node(node) => &node.borrow().log,
            Body::Duplicate { log, .. } => log,
        }
    }

    /// The entry's seq: the log's last one plus 1.
    #[must_use]
    pub fn seq(&self) -> Seq {
        match &self.body {
            Body::Node(node) => node.borrow().seq,
            Body::Duplicate { seq, .. } => *seq,
        }
    }

    /// The node's key.
    #[must_use]
    pub fn key(&self) -> &Key {
        match &self.body {
            Body::Node(node) => &node.borrow().key,
            Body::Duplicate { key, .. } => key,
        }
    }
}

impl<N> NewRow<N> {
    /// The node, if the row brings one.
    #[must_use]
    pub fn node(&self) -> Option<&N> {
        match &self.body {
            Body::Node(node) => Some(node),
            Body::Duplicate { .. } => None,
        }
    }
}

impl From<NewRow<Node>> for NewRow {
    fn from(NewRow { at, digest, log_links, body }: NewRow<Node>) -> Self {
        let body = match body {
            Body::Node(node) => Body::Node(node.into()),
            Body::Duplicate { change, key, log, seq } => Body::Duplicate { change, key, log, seq },
        };
        NewRow { at, digest, log_links, body }
    }
}

/// Rows whose nodes share one allocation.
pub(crate) fn share_nodes(planned: Vec<NewRow<Node>>) -> impl Iterator<Item = NewRow> {
    let mut nodes = Vec::with_capacity(planned.len());
    let mut rows = Vec::with_capacity(planned.len());
    for NewRow { at, digest, log_links, body } in planned {
        let again = match body {
            Body::Node(node) => {
                nodes.push(node);
                None
            }
            Body::Duplicate { change, key, log, seq } => Some(Body::Duplicate { change, key, log, seq }),
        };
        rows.push((at, digest, log_links, again));
    }
    nodes.shrink_to_fit();
    let mut nodes = NodeRef::all(nodes);
    rows.into_iter().filter_map(move |(at, digest, log_links, again)| {
        Some(NewRow { at, digest, log_links, body: again.or_else(|| nodes.next().map(Body::Node))? })
    })
}

/// What a new row brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<N = NodeRef> {
    /// A node that the store does not have. Its links are stored, or earlier in the same commit.
    Node(N),
    /// A further entry for a stored node.
    Duplicate {
        /// The node's change (possibly earlier in the same commit).
        change: Change,
        /// The node's key.
        key: Key,
        /// The entry's log.
        log: LogId,
        /// The entry's seq.
        seq: Seq,
    },
}

/// Hands the tail of a forked log to another log id: entry `(log, from + i)` becomes `(to, 1 + i)`.
///
/// Places, changes and keys stay; nodes first stored under those entries report the new log and seq; the
/// digests of `to` run over the moved keys from [`Digest::default`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relabel {
    /// The forked log.
    pub log: LogId,
    /// First seq that moves.
    pub from: Seq,
    /// The new log; it has no entries yet.
    pub to: LogId,
}

/// One atomic change of the store.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// Applied before the rows.
    pub relabel: Option<Relabel>,
    /// In order of place, without gaps, continuing the stored ones.
    pub rows: Vec<NewRow>,
    /// Facts to set (`Some`) or delete (`None`).
    pub meta: Vec<(Meta, Option<Bytes>)>,
}

impl Commit {
    /// Whether there is nothing to store.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.relabel.is_none() && self.rows.is_empty() && self.meta.is_empty()
    }
}

/// How much one read may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Rows at the most; at least 1.
    pub rows: usize,
    /// Bytes of node values at the most; exceeded only by a single row larger than it.
    pub bytes: usize,
}

/// Bytes on the medium, for `stats()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sizes {
    /// The log itself.
    pub data: u64,
    /// What makes it searchable.
    pub index: u64,
}

/// Called now and then by long work with (done, total), in units of the work (bytes, rows).
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// A medium for one log. Calls may come from several threads at once; `commit` and `close` from one at a time.
///
/// Reads see exactly the commits that returned `Ok`. Methods may block on I/O: none is called on the
/// JavaScript thread unless [`Store::is_immediate`].
pub trait Store: Send + Sync {
    /// What is stored now, for a log that opens.
    fn state(&self) -> Result<StoreState>;

    /// Where each of these nodes is, in the order asked; `None` for one that is not stored.
    fn locate(&self, keys: &[Key]) -> Result<Vec<Option<Located>>>;

    /// The node with this key.
    fn node(&self, key: &Key) -> Result<Option<Node>>;

    /// The entry of a log at a seq.
    fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>>;

    /// Running digest of a log after `seq` entries; the zero digest for 0; `None` beyond its end.
    fn digest(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>>;

    /// Rows strictly after `after`, in order, up to `limit`; empty only at the end of the store.
    fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>>;

    /// Applies `commit` atomically and durably: once this returns, all of it survives `kill -9` and power loss
    /// (as far as the medium promises); after a crash before that, all of it is stored or none.
    ///
    /// # Errors
    /// `Conflict` if the rows do not continue the store; nothing is changed. `Storage` or `ForeignStore` if the
    /// medium fails: then nothing of the commit is visible, and an embedded store refuses writes until reopened.
    fn commit(&self, commit: &Commit) -> Result<()>;

    /// A fact, if set.
    fn meta(&self, key: &Meta) -> Result<Option<Bytes>>;

    /// Bytes on the medium.
    fn sizes(&self) -> Result<Sizes>;

    /// Checks the medium's own structure (checksums, index against data) beyond what reading rows shows.
    ///
    /// # Errors
    /// `Damaged` names the first place that is wrong.
    fn check(&self, progress: Progress<'_>) -> Result<()>;

    /// Releases the medium. Later calls fail with `Closed`. May be called twice.
    fn close(&self) -> Result<()>;

    /// What opening found wrong and put right by itself, for the operator to read.
    fn mended(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether every call finishes without waiting for I/O, so that it may run on any thread. Such a store keeps the very
    /// values it is given.
    fn is_immediate(&self) -> bool {
        false
    }
}
