//! The committed state, which everybody can read without waiting for the writer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use super::observer::CatchingObserver;
use super::recent_rows::RecentRows;
use super::sealing::{Leaving, MovedSeals, Sealer};
use super::stuck::Stuck;
use super::trust::TrustState;
use super::SourceId;
use crate::error::Result;
use crate::node::{Key, LogId, NodeRef, Seq};
use crate::panic::caught;
use crate::row::{Body, NewRow, Position, Row};
use crate::store::log_set::{LogSet, Prefix};
use crate::store::{Growth, ReadLimit, Store, StoreState};

/// Logs that are hashed into the set's digests while the lock on the state is held: about a millisecond of work.
const SETTLE_AT_ONCE: usize = 4096;

/// The log's state as of the last commit, for decisions that must not block.
#[derive(Debug)]
pub struct CommittedState {
    /// Position of the last row.
    pub end: Position,
    /// Id of the local log.
    pub log_id: LogId,
    /// Head of every log.
    pub logs: LogSet,
}

impl CommittedState {
    /// The committed state of a store in this state.
    pub(super) fn of(log_id: LogId, state: &StoreState) -> Self {
        CommittedState { end: state.end, log_id, logs: state.logs.iter().cloned().collect() }
    }

    /// Last seq of a log, 0 if it is unknown.
    #[must_use]
    pub fn seq(&self, log: &str) -> Seq {
        self.logs.get(log).map_or(0, |(seq, _)| seq)
    }
}

/// Shared by the log's handle, its readers, and the threads that commit.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) observer: CatchingObserver,
    /// Also read by the planner, which keeps no heads of its own for logs that are idle.
    pub(super) state: Arc<RwLock<CommittedState>>,
    recent: RwLock<RecentRows>,
    announced: watch::Sender<Position>,
    /// Bytes of appends not yet answered.
    pub(super) pending: AtomicUsize,
    pub(super) commits: AtomicU64,
    pub(super) stuck: Mutex<Stuck>,
    pub(super) adoptions: AtomicU64,
    /// The first entry of the local log that was refused because somebody else wrote it; 0 if there is none.
    forged_from: AtomicU64,
    /// Seals rows of our own, if we have a key.
    pub(super) sealer: Option<Sealer>,
    pub(super) moved_seals: MovedSeals,
    pub(super) trust: TrustState,
    /// Seals verified and owners' keys read for each session since they were last taken.
    checked_seals: Mutex<HashMap<SourceId, u64>>,
}

impl Shared {
    pub(super) fn new(
        store: Arc<dyn Store>,
        observer: CatchingObserver,
        state: CommittedState,
        stuck: Stuck,
        sealer: Option<Sealer>,
        trust: TrustState,
    ) -> Self {
        let end = state.end;
        Shared {
            store,
            observer,
            state: Arc::new(RwLock::new(state)),
            recent: RwLock::new(RecentRows::new(end)),
            announced: watch::Sender::new(end),
            pending: AtomicUsize::new(0),
            commits: AtomicU64::new(0),
            stuck: Mutex::new(stuck),
            adoptions: AtomicU64::new(0),
            forged_from: AtomicU64::new(0),
            sealer,
            moved_seals: MovedSeals::default(),
            trust,
            checked_seals: Mutex::default(),
        }
    }

    /// Counts seals verified and owners' keys read for what a session has offered.
    pub(super) fn checked_seals(&self, session: SourceId, count: usize) {
        if count > 0 && session != SourceId::USER {
            *self.checked_seals.lock().entry(session).or_default() += count as u64;
        }
    }

    /// The count since the last call.
    pub(super) fn take_checked_seals(&self, session: SourceId) -> u64 {
        self.checked_seals.lock().remove(&session).unwrap_or(0)
    }

    /// Makes committed rows visible, without notifying anybody yet.
    pub(super) fn publish(&self, rows: Vec<NewRow>, end: Position) {
        let duplicated = self.duplicated_nodes(&rows);
        {
            let mut state = self.state.write();
            for row in rows.chunk_by(|a, b| a.log() == b.log()).filter_map(<[NewRow]>::last) {
                state.logs.set(row.log(), row.seq(), row.digest);
            }
            state.end = end;
        }
        if !self.store.is_immediate() {
            self.remember(rows, duplicated, end);
        }
    }

    /// Makes rows visible that another process has stored, without notifying anybody yet.
    pub(super) fn take_in(&self, grown: &Growth) -> Result<()> {
        match &grown.logs {
            Some(heads) => {
                let mut state = self.state.write();
                heads.iter().for_each(|head| state.logs.set(&head.log, head.seq, head.digest));
                state.end = grown.end;
            }
            None => {
                let stored = self.store.state()?;
                let mut state = self.state.write();
                *state = CommittedState::of(state.log_id.clone(), &stored);
            }
        }
        self.forget_recent(grown.end);
        Ok(())
    }

    /// Notifies followers of the log that it now ends at `end`.
    pub(super) fn announce(&self, end: Position) {
        self.announced.send_replace(end);
    }

    /// Replaces the state with what the store holds now. The rows kept in memory may be wrong from here on:
    /// [`Shared::forget_recent`] follows.
    pub(super) fn replace_state(&self, state: CommittedState) {
        *self.state.write() = state;
    }

    /// Drops the rows kept in memory.
    pub(super) fn forget_recent(&self, end: Position) {
        self.recent.write().reset(end);
    }

    /// The nodes that the duplicates among `rows` name. Takes no lock, because a Level store waits for the JavaScript
    /// thread, which reads recent rows.
    fn duplicated_nodes(&self, rows: &[NewRow]) -> Vec<Option<NodeRef>> {
        if self.store.is_immediate() {
            return Vec::new();
        }
        let duplicates = rows.iter().filter(|row| row.node().is_none());
        let node = |key: &Key| caught("the store", || self.store.node(key));
        duplicates.map(|row| node(row.key()).ok().flatten().map(NodeRef::from)).collect()
    }

    fn remember(&self, rows: Vec<NewRow>, duplicated: Vec<Option<NodeRef>>, end: Position) {
        let mut duplicated = duplicated.into_iter();
        let mut recent = self.recent.write();
        for row in rows {
            match row.body {
                Body::Node(node) => recent.push(Row::first(node)),
                Body::Duplicate { log, seq, .. } => match duplicated.next().flatten() {
                    Some(node) => recent.push(Row::new(row.at, log, seq, node)),
                    // Readers then ask the store, which gives them its error.
                    None => recent.reset(end),
                },
            }
        }
    }

    /// Rows after `after`, without blocking; `None` if only the medium has them.
    pub(super) fn read_recent(&self, after: Position, limit: ReadLimit) -> Option<Vec<Row>> {
        if self.store.is_immediate() {
            return self.store.read(after, limit).ok();
        }
        self.recent.read().read(after, limit)
    }

    /// Rows after `after`. May block.
    pub(super) fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        match self.read_recent(after, limit) {
            Some(rows) => Ok(rows),
            None => self.store.read(after, limit),
        }
    }

    /// Like [`Shared::read_recent`], for a peer: rows come with their seals.
    pub(super) fn read_recent_sealed(&self, after: Position, limit: ReadLimit) -> Option<Vec<Row>> {
        let mut rows = self.read_recent(after, limit)?;
        let leaving = self.leaving();
        if !self.store.is_immediate() && !leaving.is_at_hand(&rows) {
            return None;
        }
        leaving.seal(&mut rows).ok()?;
        Some(rows)
    }

    /// Like [`Shared::read`], for a peer: rows come with their seals.
    pub(super) fn read_sealed(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        let mut rows = self.read(after, limit)?;
        self.leaving().seal(&mut rows)?;
        Ok(rows)
    }

    fn leaving(&self) -> Leaving<'_> {
        Leaving { sealer: self.sealer.as_ref(), moved: &self.moved_seals, store: self.store.as_ref() }
    }

    /// Runs `ask` over the set of all logs, under the lock on the state.
    pub(super) fn with_set<T>(&self, ask: impl FnOnce(&mut LogSet) -> T) -> T {
        let many = self.state.read().logs.unsettled() > SETTLE_AT_ONCE;
        if many {
            // This takes long only after opening. It goes in steps, so that the writer need not wait until all logs are hashed.
            while self.state.read().logs.unsettled() > 0 {
                self.state.write().logs.settle(SETTLE_AT_ONCE);
            }
            for first in 0..=u8::MAX {
                let prefix = Prefix::of(u64::from(first) << 56, 2);
                self.state.write().logs.bucket(prefix);
            }
        }
        ask(&mut self.state.write().logs)
    }

    /// Position of the last row announced.
    pub(super) fn announced(&self) -> Position {
        *self.announced.borrow()
    }

    /// A receiver of the position of the last row announced.
    pub(super) fn watch(&self) -> watch::Receiver<Position> {
        self.announced.subscribe()
    }

    /// Notes that peers hold entries of our own log, from `seq` on, that we did not write. Honest peers may hold them, too, if they
    /// received them from the forger. Links that start from now on leave those entries out.
    pub(super) fn note_forged(&self, seq: Seq) {
        let before = self.forged_from.load(Ordering::Relaxed);
        if before == 0 || seq < before {
            self.forged_from.store(seq, Ordering::Relaxed);
        }
    }

    pub(super) fn forget_forged(&self) {
        self.forged_from.store(0, Ordering::Relaxed);
    }

    /// The first entry given to [`Shared::note_forged`], if there was one.
    pub(super) fn forged_from(&self) -> Option<Seq> {
        Some(self.forged_from.load(Ordering::Relaxed)).filter(|from| *from > 0)
    }
}
