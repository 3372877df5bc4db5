//! Questions from JavaScript that may take a while, and their answers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Result;
use crate::hyperlog::stuck::{KeptStuckLog, StuckLog};
use crate::hyperlog::verify::Verified;
use crate::net::{PeerInfo, Refusals};
use crate::node::{Change, Digest, Key, LogId, Node, Seq};
use crate::query::Filter;
use crate::row::{Located, LogHead, Row};
use crate::store::{BackedUp, Meta, Order, ReadLimit, Restored, Sizes, Span, Store};

/// What names an event at every emitter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The log it was appended to.
    pub log: LogId,
    /// Its number there.
    pub seq: Seq,
    /// The key of its node. If the log has forked, or its entries have moved to another log, only the key tells which event is
    /// meant.
    pub key: Option<Key>,
}

/// Where the event of a cursor is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is stored, with this change.
    Here(Change),
    /// It is not stored.
    Missing {
        /// The last entry of the cursor's log, 0 if nothing of that is stored.
        end: Seq,
        /// The node that is stored as the entry which the cursor names.
        other: Option<Key>,
    },
}

/// A question.
pub enum Request {
    /// A node by its key.
    Get(Key),
    /// A fact of the store.
    MetaGet(Meta),
    /// Facts to set or delete, atomically and durably.
    MetaSet(Vec<(Meta, Option<Bytes>)>),
    /// The records of all subscriptions.
    Consumers,
    /// Values of these keys among those derived from the log.
    Derived(Vec<String>),
    /// Derived values with keys from the first text up to, but not including, the second.
    DerivedRange(String, String, ReadLimit),
    /// Derived values to set or delete, atomically and durably.
    SetDerived(Vec<(String, Option<Bytes>)>),
    /// Nodes in order of change. Further entries for them are left out.
    Read {
        /// Strictly after this change, or strictly before it when `reverse`.
        from: Change,
        /// Whether to read backwards.
        reverse: bool,
        /// How many at the most.
        limit: ReadLimit,
    },
    /// Nodes whose events a filter wants, in order of change.
    Search {
        /// What is wanted.
        filter: Filter,
        /// Among these changes.
        span: Span,
        /// In this order.
        order: Order,
        /// How many at the most.
        limit: ReadLimit,
    },
    /// Adds all events to the index that searches need, if commits do not maintain it.
    PrepareSearch,
    /// Answered once the log ends after this change.
    Wait(Change),
    /// Where the event of a cursor is.
    Find(Cursor),
    /// Answered once the event of a cursor is stored, unless it is forgotten before.
    Await(Cursor),
    /// Nodes that nothing links to.
    Heads,
    /// Digest over all logs.
    Digest,
    /// Runtime statistics.
    Stats,
    /// Accepts peers on a port (0: any free one) of a host (none: all addresses).
    Listen {
        /// Host name or address.
        host: Option<String>,
        /// Port.
        port: u16,
    },
    /// Checks everything stored.
    Verify,
    /// Makes a backup of the store in a folder, or brings the one in it up to date.
    Backup {
        /// The folder.
        folder: PathBuf,
        /// Whether files are copied even if they could be linked.
        copy: bool,
    },
    /// Restores a backup as a new store. This emitter's own store is not touched.
    Restore {
        /// The folder of the backup.
        backup: PathBuf,
        /// The folder of the new store.
        folder: PathBuf,
    },
    /// Replaces our version of a log by that of peers. If there are several, the key selects the version that contains this node.
    Adopt(LogId, Option<Key>),
    /// Copies another store's rows into this log.
    Import {
        /// Opens it; blocks.
        open: Box<dyn FnOnce() -> Result<Arc<dyn Store>> + Send>,
        /// Whether to copy those of its facts that this store lacks.
        identity: bool,
    },
}

impl Request {
    /// Whether it takes long whatever the store is.
    pub(super) fn is_long(&self) -> bool {
        matches!(self, Request::Verify | Request::Import { .. } | Request::Backup { .. } | Request::Restore { .. })
    }

    /// Whether a store that is open read-only refuses it. Peers change the store as well.
    pub(super) fn changes_the_store(&self) -> bool {
        matches!(self, Request::MetaSet(_) | Request::Adopt(..) | Request::Import { .. } | Request::Listen { .. })
    }
}

/// An answer.
#[derive(Debug)]
pub enum Reply {
    /// Done.
    Done,
    /// To `Get`.
    Node(Option<Box<Node>>),
    /// To `MetaGet`.
    Fact(Option<Bytes>),
    /// To `Consumers`.
    Facts(Vec<(Meta, Bytes)>),
    /// To `Derived`, without keys, and `DerivedRange`.
    Derived(Vec<(String, Option<Bytes>)>),
    /// To `Read` and `Search`.
    Rows {
        /// Rows of nodes, in the order asked.
        rows: Vec<Row>,
        /// Where the next read continues.
        next: Change,
        /// Whether the end of the log (with `reverse`: its beginning) has been reached.
        done: bool,
    },
    /// To `Wait`: the last change. To `Await`: the event's.
    Change(Change),
    /// To `Find`.
    Place(Place),
    /// To `Heads`.
    Heads(Vec<Located>),
    /// To `Digest`.
    Digest(Digest),
    /// To `Stats`.
    Stats(Box<Stats>),
    /// To `Listen`: the bound address.
    Listening(SocketAddr),
    /// To `Verify`.
    Verified(Verified),
    /// To `Backup`.
    BackedUp(BackedUp),
    /// To `Restore`.
    Restored(Restored),
    /// To `Adopt`: the log to which our version has moved.
    Adopted(LogId),
    /// To `Import`: how many rows were new.
    Imported(u64),
}

/// Runtime statistics of an emitter.
#[derive(Debug, Clone)]
pub struct Stats {
    /// The last change: how many nodes are stored.
    pub change: Change,
    /// The local log.
    pub log_id: LogId,
    /// Heads of all logs, by id.
    pub logs: Vec<LogHead>,
    /// Nodes that nothing links to.
    pub heads: u64,
    /// Bytes on the medium.
    pub sizes: Sizes,
    /// Commits since the log was opened.
    pub commits: u64,
    /// Bytes of appends not yet answered.
    pub pending: u64,
    /// Logs of which peers hold another version.
    pub stuck: Vec<StuckLog>,
    /// The same of an earlier run, as far as no peer has said anything about it since.
    pub stuck_before: Vec<KeptStuckLog>,
    /// Every link.
    pub peers: Vec<PeerInfo>,
    /// How often peers were refused.
    pub refusals: Refusals,
    /// The network that the store belongs to.
    pub network: Option<String>,
}
