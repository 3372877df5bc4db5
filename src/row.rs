//! Rows: log entries and their nodes, in the order of one store.

use std::borrow::Borrow;

use smallvec::SmallVec;

use crate::node::{Change, Digest, Key, LogId, Node, NodeRef, Seq};

/// The position of a row in one store's order: nodes by change, and after each node the duplicates that were stored before the next
/// node.
///
/// A *duplicate* is a further log entry, `(log, seq)`, for a node that is already stored under another one
/// (1.x peers produce them). It has no change of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// Change of the latest node up to here; 0 before the first.
    pub change: Change,
    /// 0 for the node itself, n for the nth duplicate stored after it.
    pub duplicate: u32,
}

impl Position {
    /// Before everything.
    pub const START: Position = Position { change: 0, duplicate: 0 };

    /// The position of the node with this change.
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
    /// Its position.
    pub at: Position,
    /// The node, with the log and seq of its first storage.
    pub node: NodeRef,
    /// The entry's log and seq where the node was not first stored there: when `at.duplicate > 0`, or the row goes to a peer as a branch's.
    pub again: Option<(LogId, Seq)>,
}

impl Row {
    /// The row of a node where it was first stored.
    #[must_use]
    pub fn first(node: NodeRef) -> Self {
        Row { at: Position::of(node.change), node, again: None }
    }

    /// The row at this position, whose entry is `(log, seq)`.
    #[must_use]
    pub fn new(at: Position, log: LogId, seq: Seq, node: NodeRef) -> Self {
        Row { at, node, again: (at.duplicate > 0).then_some((log, seq)) }
    }

    /// The same node at the same position, under the name of another entry.
    #[must_use]
    pub fn named(&self, log: LogId, seq: Seq) -> Self {
        Row { at: self.at, node: self.node.clone(), again: Some((log, seq)) }
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
    /// Its position in the store's order.
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

/// A row to be stored; `N` is [`Node`] while it is planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRow<N = NodeRef> {
    /// Its position: the next change, or the next duplicate after the last row.
    pub at: Position,
    /// The log's digest including this entry.
    pub digest: Digest,
    /// 1.x's entry links.
    pub log_links: LogLinks,
    /// The entry and its node, or where that node already is.
    pub body: Body<N>,
}

impl<N: Borrow<Node>> NewRow<N> {
    /// The row of a node that is new to the store; `digest` is its log's digest including this entry.
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
pub(crate) fn share_nodes(planned: impl IntoIterator<Item = NewRow<Node>>) -> impl Iterator<Item = NewRow> {
    let planned = planned.into_iter();
    let mut nodes = Vec::with_capacity(planned.size_hint().0);
    let mut rows = SmallVec::<[_; 1]>::with_capacity(planned.size_hint().0);
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
