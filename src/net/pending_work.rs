//! Work in progress that the session asked for, done by the log's writer or on a thread that may block.

use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task::JoinHandle;

use super::Shared;
use crate::error::{Error, Result};
use crate::hyperlog::branch_digest::digest_between;
use crate::hyperlog::{Incoming, Log, Outcome, Source};
use crate::node::{LogId, Seq};
use crate::protocol::{Found, InEvent, Lookup};
use crate::row::{Position, Row};
use crate::store::ReadLimit;

/// At most one of each kind, as the session guarantees.
#[derive(Default)]
pub(super) struct PendingWork {
    add: Option<oneshot::Receiver<Result<Vec<Outcome>>>>,
    read: Option<JoinHandle<Result<Vec<Row>>>>,
    look_up: Option<JoinHandle<Result<Vec<Found>>>>,
    fork: Option<oneshot::Receiver<Result<LogId>>>,
}

impl PendingWork {
    /// Offers nodes to the log. Returns the outcomes if the log has answered at once.
    pub(super) fn add(
        &mut self,
        shared: &Shared,
        source: Source,
        nodes: Vec<Incoming>,
    ) -> Option<Result<Vec<Outcome>>> {
        let mut answer = shared.log.add(source, nodes);
        match answer.try_recv() {
            Ok(outcomes) => return Some(outcomes),
            Err(TryRecvError::Empty) => self.add = Some(answer),
            Err(TryRecvError::Closed) => return Some(Err(gone())),
        }
        None
    }

    /// Whether nodes are on their way into the log.
    pub(super) fn adds(&self) -> bool {
        self.add.is_some()
    }

    /// Whether the log is being read on another thread.
    pub(super) fn reads(&self) -> bool {
        self.read.is_some()
    }

    /// Reads the log: at once if the rows are in memory, which returns them, else on a thread that may block.
    pub(super) fn read(&mut self, shared: &Shared, after: Position, limit: ReadLimit) -> Option<Result<Vec<Row>>> {
        if let Some(rows) = shared.log.read_recent_sealed(after, limit) {
            return Some(Ok(rows));
        }
        let log = std::sync::Arc::clone(&shared.log);
        self.read = Some(shared.runtime.spawn_blocking(move || log.read_sealed(after, limit)));
        None
    }

    pub(super) fn look_up(&mut self, shared: &Shared, lookups: Vec<Lookup>) {
        let log = std::sync::Arc::clone(&shared.log);
        self.look_up =
            Some(shared.runtime.spawn_blocking(move || lookups.iter().map(|lookup| find(&log, lookup)).collect()));
    }

    pub(super) fn fork(&mut self, shared: &Shared, log: LogId, from: Seq) {
        self.fork = Some(shared.log.fork_local(log, from));
    }

    /// Waits for the next result, for ever if nothing is under way. Cancellation-safe.
    pub(super) async fn finished(&mut self) -> InEvent {
        tokio::select! {
            answer = answered(&mut self.add) => InEvent::Added(answer),
            answer = joined(&mut self.read) => InEvent::Rows(answer),
            answer = joined(&mut self.look_up) => InEvent::LookedUp(answer),
            answer = answered(&mut self.fork) => InEvent::Forked(answer),
        }
    }
}

fn find(log: &Log, lookup: &Lookup) -> Result<Found> {
    Ok(match lookup {
        Lookup::Digest(id, seq) => Found::Digest(log.digest_at(id, *seq)?),
        Lookup::DigestBetween(id, from, to) => Found::Digest(digest_between(log.store().as_ref(), id, *from, *to)?),
        Lookup::Entry(id, seq) => Found::Entry(log.entry(id, *seq)?),
    })
}

async fn answered<T>(slot: &mut Option<oneshot::Receiver<Result<T>>>) -> Result<T> {
    let Some(receiver) = slot else { return std::future::pending().await };
    let answer = receiver.await.unwrap_or_else(|_| Err(gone()));
    *slot = None;
    answer
}

async fn joined<T>(slot: &mut Option<JoinHandle<Result<T>>>) -> Result<T> {
    let Some(handle) = slot else { return std::future::pending().await };
    let answer = handle.await.unwrap_or_else(|error| Err(Error::Internal(format!("a read did not finish: {error}"))));
    *slot = None;
    answer
}

/// The log was closed before it answered, as happens when the emitter closes.
fn gone() -> Error {
    Error::Closed("its log is closed")
}
