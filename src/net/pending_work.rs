//! Work that a session asked for and that is done elsewhere: the log's writer, and reads from the medium.

use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::task::JoinHandle;

use super::Shared;
use crate::error::{Error, Result};
use crate::hyperlog::{Incoming, Log, Outcome, Source};
use crate::node::{LogId, Seq};
use crate::protocol::{Found, InEvent, Lookup};
use crate::store::{Position, ReadLimit, Row};

/// One of each kind at the most; the session sees to that.
#[derive(Default)]
pub(super) struct PendingWork {
    add: Option<oneshot::Receiver<Result<Vec<Outcome>>>>,
    read: Option<JoinHandle<Result<Vec<Row>>>>,
    ask: Option<JoinHandle<Result<Vec<Found>>>>,
    fork: Option<oneshot::Receiver<Result<LogId>>>,
}

impl PendingWork {
    /// Offers nodes to the log. The outcomes, if the log was quick.
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

    /// Reads the log: at once if the rows are in memory, else on a thread that may block.
    pub(super) fn read(&mut self, shared: &Shared, after: Position, limit: ReadLimit) -> Option<Result<Vec<Row>>> {
        if let Some(rows) = shared.log.read_recent(after, limit) {
            return Some(Ok(rows));
        }
        let log = std::sync::Arc::clone(&shared.log);
        self.read = Some(shared.runtime.spawn_blocking(move || log.read(after, limit)));
        None
    }

    pub(super) fn ask(&mut self, shared: &Shared, queries: Vec<Lookup>) {
        let log = std::sync::Arc::clone(&shared.log);
        self.ask =
            Some(shared.runtime.spawn_blocking(move || queries.iter().map(|query| reply(&log, query)).collect()));
    }

    pub(super) fn fork(&mut self, shared: &Shared, log: LogId, from: Seq) {
        self.fork = Some(shared.log.fork_local(log, from));
    }

    /// The next result; never, while nothing is under way. Cancellation-safe.
    pub(super) async fn finished(&mut self) -> InEvent {
        tokio::select! {
            answer = answered(&mut self.add) => InEvent::Added(answer),
            answer = joined(&mut self.read) => InEvent::Rows(answer),
            answer = joined(&mut self.ask) => InEvent::LookedUp(answer),
            answer = answered(&mut self.fork) => InEvent::Forked(answer),
        }
    }
}

fn reply(log: &Log, query: &Lookup) -> Result<Found> {
    Ok(match query {
        Lookup::Digest(id, seq) => Found::Digest(log.digest_at(id, *seq)?),
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

/// The log went away with the question, as it does when the emitter closes.
fn gone() -> Error {
    Error::Closed("its log answers no more")
}
