//! The trait [`Store`], with which the log uses a medium, and the values passed through it.
//!
//! Implementations make no decisions: they store what a [`Commit`] says, and find it again. Every one of them passes the suite in
//! [`conformance`].

pub mod conformance;
pub mod embedded;
pub(crate) mod heads;
pub mod level;
pub(crate) mod log_map;
pub mod log_set;
pub mod memory;
mod order;
pub mod search;
mod slots;
pub(crate) mod terms;

use std::path::Path;

use bytes::Bytes;

pub use self::search::{Found, Order, Span};
use crate::error::{Error, Result};
use crate::node::{Change, Digest, Key, LogId, Node, Seq};
use crate::query::Filter;
pub use crate::row::{Body, Entry, Located, LogHead, LogLinks, NewRow, Position, Row};

/// What the log keeps in memory, as read when it opens.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct StoreState {
    /// Position of the last row.
    pub end: Position,
    /// Nodes that nothing links to, ascending by key.
    pub heads: Vec<Located>,
    /// Every log with at least one entry, in no particular order.
    pub logs: Vec<LogHead>,
}

/// Small facts that are stored beside the log.
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
    /// The number of the local log's first entries that were moved to it from a forked log, then a space and the local log's id.
    Moved,
    /// The name of the network that the store belongs to.
    Network,
    /// A named consumer's position: a decimal change.
    Position(String),
    /// A record of a subscription, JSON that only lib/consumers reads: at change 0 how far it has come, at another change what
    /// has become of that event.
    Consumer(String, Change),
    /// What the events of each name were encoded with (`schema::record`).
    Schemas,
    /// The logs of which peers hold another version, as the emitter last knew them (`hyperlog::stuck_record`).
    Stuck,
    /// Logs that the emitter wrote before it had a key, with the seq and digest at which each ends.
    OlderLogs,
    /// The seal of an entry of a sealed log, if the entry's node has another log's seal, or none. At seq 0: how many of the log's
    /// first entries were moved to it.
    Seal(LogId, Seq),
}

impl Meta {
    /// Whether it is a record of a subscription.
    #[must_use]
    pub fn is_of_consumer(&self) -> bool {
        matches!(self, Meta::Consumer(..))
    }
}

/// Moves the tail of a forked log to another log id: entry `(log, from + i)` becomes `(to, 1 + i)`.
///
/// Positions, changes and keys stay. Nodes first stored under those entries report the new log and seq. The digests of
/// `to` run over the moved keys, from [`Digest::default`] on.
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
    /// In order of position, without gaps, starting after the last stored row.
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

/// What another process has added to a store that is open read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Position of the last row.
    pub end: Position,
    /// Heads of the logs that have grown. `None` if entries have moved to another log, so that any head may have changed.
    pub logs: Option<Vec<LogHead>>,
}

/// A backup that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// The last change in it.
    pub change: Change,
    /// The digest over all logs there.
    pub digest: Digest,
    /// Bytes of the backup.
    pub bytes: u64,
    /// Bytes of the segments that were linked or copied this time.
    pub added: u64,
}

/// A backup that was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The last change in it.
    pub change: Change,
    /// The digest over all logs there.
    pub digest: Digest,
    /// The log in which the store goes on.
    pub log: LogId,
}

/// How much one read may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// Most rows; at least 1.
    pub rows: usize,
    /// Most bytes of node values; exceeded only by a single row that is larger.
    pub bytes: usize,
}

/// Bytes on the medium, for `stats()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sizes {
    /// The log itself.
    pub data: u64,
    /// The index.
    pub index: u64,
}

/// Called from time to time by long work, with (done, total) in units of the work (bytes, rows).
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

/// A medium for one log. Calls may come from several threads at once; `commit` and `close` from one at a time.
///
/// Reads see exactly the commits that returned `Ok`. Methods may block on I/O: none is called on the
/// JavaScript thread unless [`Store::is_immediate`].
pub trait Store: Send + Sync {
    /// What is stored now, for a log that opens.
    fn state(&self) -> Result<StoreState>;

    /// Where each of these nodes is, in the order of `keys`; `None` for one that is not stored.
    fn locate(&self, keys: &[Key]) -> Result<Vec<Option<Located>>>;

    /// The node with this key.
    fn node(&self, key: &Key) -> Result<Option<Node>>;

    /// The entry of a log at a seq.
    fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>>;

    /// Running digest of a log after `seq` entries; the zero digest for 0; `None` beyond its end.
    fn digest(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>>;

    /// Rows strictly after `after`, in order, up to `limit`; empty only at the end of the store.
    fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>>;

    /// Position of the last row.
    fn last_position(&self) -> Result<Position> {
        Ok(self.state()?.end)
    }

    /// Builds what the first search needs, if that takes long: an index that commits do not maintain.
    fn prepare_search(&self, progress: Progress<'_>) -> Result<()> {
        let _ = progress;
        Ok(())
    }

    /// How many stored events the next search would read first, unless [`Store::prepare_search`] has read them before. Never blocks.
    fn unindexed(&self) -> u64 {
        0
    }

    /// Nodes of a span that match `filter`, in this order, up to `limit`. There may be fewer, or none, if it has examined many rows
    /// without a match. With an index, the cost of a search depends on its matches, and on the events that have all but one of the
    /// terms searched for. Time is not indexed, because clocks differ and go back, so a search by time alone examines every event.
    fn search(&self, filter: &Filter, span: Span, order: Order, limit: ReadLimit) -> Result<Found> {
        search::scan(self, &|value| filter.matches(value), span, order, limit)
    }

    /// The first node that was stored with the id of this request.
    fn of_request(&self, id: &[u8]) -> Result<Option<Row>> {
        search::first(|span, limit| {
            search::scan(self, &|value| search::is_of_request(value, id), span, Order::Up, limit)
        })
    }

    /// Applies `commit` atomically and durably. Once this returns, all of it survives `kill -9` and, as far as the medium promises,
    /// power loss. After an earlier crash, either all of it is stored or nothing.
    ///
    /// # Errors
    /// `Conflict` if the rows do not continue the store; nothing is changed. `Storage` or `ForeignStore` if the medium fails: then
    /// nothing of the commit is visible, and an embedded store refuses writes until it is reopened.
    fn commit(&self, commit: &Commit) -> Result<()>;

    /// A fact, if set.
    fn meta(&self, key: &Meta) -> Result<Option<Bytes>>;

    /// Every fact of the kind [`Meta::Consumer`], in no particular order.
    fn consumer_records(&self) -> Result<Vec<(Meta, Bytes)>>;

    /// Values that were derived from the log and are kept beside it, a space of keys of its own. None of it is part of the log:
    /// it is not replicated, and may be lost as a whole. In the order of `keys`; `None` for a key without a value.
    fn derived(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>> {
        let _ = keys;
        Err(nothing_derived())
    }

    /// Derived values with keys from `from` up to, but not including, `to`, in the order of the keys' bytes. There may be fewer than
    /// the limit allows, but if there are any, at least one.
    fn derived_range(&self, from: &str, to: &str, limit: ReadLimit) -> Result<Vec<(String, Bytes)>> {
        let _ = (from, to, limit);
        Err(nothing_derived())
    }

    /// Sets (`Some`) and deletes (`None`) derived values, atomically and durably. No key comes twice.
    fn set_derived(&self, values: &[(String, Option<Bytes>)]) -> Result<()> {
        let _ = values;
        Err(nothing_derived())
    }

    /// Bytes on the medium.
    fn sizes(&self) -> Result<Sizes>;

    /// Checks the medium's own structure (checksums, index against data) beyond what reading rows shows.
    ///
    /// # Errors
    /// `Damaged`, which names the first fault.
    fn check(&self, progress: Progress<'_>) -> Result<()>;

    /// Releases the medium. Later calls fail with `Closed`. May be called twice.
    fn close(&self) -> Result<()>;

    /// Faults that opening has found and repaired, for the operator to read.
    fn repairs(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether the store belongs to another process. Then commits are refused with `ReadOnly`.
    fn is_read_only(&self) -> bool {
        false
    }

    /// Takes in what the process to which the store belongs has stored since the last call; `None` if no rows were added.
    ///
    /// # Errors
    /// `Storage` if the files do not continue what was read, so that the store has to be opened again; `Damaged`.
    fn catch_up(&self) -> Result<Option<Growth>> {
        Ok(None)
    }

    /// Makes a backup in a folder, up to the last commit, or brings the one in it up to date. With `copy`, files are copied even if
    /// they could be linked.
    ///
    /// # Errors
    /// `InvalidArgument` if this kind of store has no backups, or the folder holds other things; `Damaged` if the store is.
    fn backup(&self, folder: &Path, copy: bool, progress: Progress<'_>) -> Result<BackedUp> {
        let _ = (folder, copy, progress);
        Err(Error::InvalidArgument(
            "only the embedded store makes backups: copy the files of a closed Level database".into(),
        ))
    }

    /// Whether no call waits for I/O, so that calls may run on any thread. Such a store keeps references to the values it is given.
    fn is_immediate(&self) -> bool {
        false
    }
}

/// The answer of a store that keeps no derived values, because it keeps nothing.
fn nothing_derived() -> Error {
    Error::Internal("this store keeps no derived values".to_owned())
}
