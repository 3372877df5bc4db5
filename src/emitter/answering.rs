//! Answers questions from JavaScript, each with one notice that has its id.

use std::sync::Arc;

use super::arrival::{place, Arrivals};
use super::opening::Call;
use super::pending_answer::{gone, PendingAnswer};
use super::request::{Reply, Request, Stats};
use super::{Emitter, Notice};
use crate::error::{Error, Result};
use crate::hyperlog::import::{import, import_facts};
use crate::hyperlog::verify::verify;
use crate::hyperlog::{new_log_id, Log};
use crate::identity::seal::{new_sealed_log_id, owner_of};
use crate::node::{Change, LogId};
use crate::query::Filter;
use crate::row::{Position, Row};
use crate::store::embedded::{restore, EmbeddedOptions};
use crate::store::{Found, Order, ReadLimit, Span};

/// About how many times progress is reported, however long the work takes.
const PROGRESS_STEPS: u64 = 200;

/// Nodes that the first step of a backward read covers. Stores read forwards only, so each further step goes back twice as far,
/// until the limit is reached.
const FIRST_SPAN: u64 = 16;

impl Emitter {
    /// Makes a request. Exactly one [`Notice::Answer`] with this id follows. Allowed before the store is open.
    pub fn request(self: &Arc<Self>, id: u32, request: Request) {
        match self.log.get() {
            Some(log) => self.ask(log, id, request),
            None => self.call(Call::Request(id, request)),
        }
    }

    /// [`Emitter::request`] once the store is open.
    pub(super) fn ask(self: &Arc<Self>, log: &Arc<Log>, id: u32, request: Request) {
        let log = Arc::clone(log);
        let answer = PendingAnswer::new(self, id);
        if log.store().is_read_only() && request.changes_the_store() {
            answer.send(Err(Error::ReadOnly));
            return;
        }
        match request {
            Request::Wait(after) => {
                let mut end = log.watch();
                self.spawn(async move {
                    let found = end.wait_for(|end| end.change > after).await.map(|end| end.change);
                    answer.send(found.map(Reply::Change).map_err(|_| gone()));
                });
            }
            Request::Await(cursor) => self.arrivals.get_or_init(|| Arrivals::start(self, &log)).wait(cursor, answer),
            Request::MetaSet(facts) => {
                let stored = log.set_meta(facts);
                self.spawn(
                    async move { answer.send(stored.await.unwrap_or_else(|_| Err(gone())).map(|()| Reply::Done)) },
                );
            }
            Request::Adopt(id, theirs) => {
                let adopted = log.adopt(&id, theirs);
                self.spawn(async move {
                    answer.send(adopted.await.unwrap_or_else(|_| Err(gone())).map(Reply::Adopted));
                });
            }
            Request::Listen { host, port } => {
                let Some(bound) = self.net.get().map(|net| net.listen(host, port)) else { return };
                self.spawn(
                    async move { answer.send(bound.await.unwrap_or_else(|_| Err(gone())).map(Reply::Listening)) },
                );
            }
            request if log.store().is_immediate() && !request.is_long() => {
                answer.send(self.answer(id, &log, request));
            }
            request => {
                self.blocking(move || {
                    let result = answer.emitter().answer(id, &log, request);
                    answer.send(result);
                });
            }
        }
    }

    fn answer(&self, id: u32, log: &Arc<Log>, request: Request) -> Result<Reply> {
        let mut step = 0;
        let mut progress = |done: u64, total: u64| {
            let now = done.saturating_mul(PROGRESS_STEPS) / total.max(1);
            if now != step {
                step = now;
                self.outbox.notify(Notice::Progress { id, done, total });
            }
        };
        Ok(match request {
            Request::Get(key) => Reply::Node(log.node(&key)?.map(Box::new)),
            Request::MetaGet(meta) => Reply::Fact(log.meta(&meta)?),
            Request::Consumers => Reply::Facts(log.store().consumer_records()?),
            Request::Derived(keys) => {
                let values = log.store().derived(&keys)?;
                Reply::Derived(values.into_iter().map(|value| (String::new(), value)).collect())
            }
            Request::DerivedRange(from, to, limit) => {
                let values = log.store().derived_range(&from, &to, limit)?;
                Reply::Derived(values.into_iter().map(|(key, value)| (key, Some(value))).collect())
            }
            Request::SetDerived(values) => {
                log.store().set_derived(&values)?;
                Reply::Done
            }
            Request::Read { from, reverse: false, limit } => read_forward(log, from, limit)?,
            Request::Read { from, reverse: true, limit } => read_backward(log, from, limit)?,
            Request::Search { filter, span, order, limit } => {
                if !filter.query.is_all() {
                    log.store().prepare_search(&mut progress)?;
                }
                search(log, &filter, span, order, limit)?
            }
            Request::PrepareSearch => {
                log.store().prepare_search(&mut progress)?;
                Reply::Done
            }
            Request::Find(cursor) => Reply::Place(place(log, &cursor)?),
            Request::Heads => Reply::Heads(log.heads()?),
            Request::Digest => Reply::Digest(log.digest()),
            Request::Stats => Reply::Stats(Box::new(Stats {
                change: log.end().change,
                log_id: log.log_id(),
                logs: log.logs(),
                heads: log.heads()?.len() as u64,
                sizes: log.sizes()?,
                commits: log.commits(),
                pending: log.pending() as u64,
                stuck: log.stuck_logs(),
                stuck_before: log.stuck_logs_before(),
                peers: self.peers(),
                refusals: self.refusals(),
                network: self.network(),
            })),
            Request::Verify => Reply::Verified(verify(log.store().as_ref(), &mut progress)?),
            Request::Backup { folder, copy } => Reply::BackedUp(log.store().backup(&folder, copy, &mut progress)?),
            Request::Restore { backup, folder } => {
                let options = EmbeddedOptions::default();
                Reply::Restored(restore(&backup, &folder, &options, &successor_of, &mut progress)?)
            }
            Request::Import { open, identity } => {
                let source = open()?;
                let mut added = import(log, source.as_ref(), &mut progress);
                if identity && added.is_ok() {
                    added = import_facts(log, source.as_ref()).and(added);
                }
                let closed = source.close();
                let added = added?;
                closed?;
                Reply::Imported(added)
            }
            Request::MetaSet(_)
            | Request::Adopt(..)
            | Request::Wait(_)
            | Request::Await(_)
            | Request::Listen { .. } => return Err(Error::Internal("not a blocking request".into())),
        })
    }

    /// Cancels a [`Request::Await`] whose answer is no longer wanted. It is answered with the error for a closed emitter.
    pub fn forget_await(&self, id: u32) {
        if let Some(arrivals) = self.arrivals.get() {
            arrivals.forget(id);
        }
    }

    /// Runs a future. It is dropped unfinished when the emitter closes.
    pub(super) fn spawn(&self, work: impl std::future::Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &*self.runtime.lock() {
            runtime.spawn(work);
        }
    }

    /// Runs `work` on a thread that may block. If the emitter closes before it has started, it is dropped.
    pub(super) fn blocking(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(runtime) = &*self.runtime.lock() {
            runtime.spawn_blocking(work);
        }
    }
}

/// The id of the log in which a restored store goes on. After a sealed log, that is another sealed log of the same key, so that the
/// store still needs this key.
fn successor_of(log: Option<&str>) -> Result<LogId> {
    match log.map(owner_of).transpose()?.flatten() {
        Some(owner) => new_sealed_log_id(&owner),
        None => new_log_id(),
    }
}

fn read_forward(log: &Log, from: Change, limit: ReadLimit) -> Result<Reply> {
    let mut at = Position::of(from);
    loop {
        let mut rows = log.read(at, limit)?;
        let Some(last) = rows.last() else {
            return Ok(Reply::Rows { rows, next: at.change, done: true });
        };
        at = last.at;
        rows.retain(|row| row.at.duplicate == 0);
        if !rows.is_empty() {
            return Ok(Reply::Rows { rows, next: at.change, done: false });
        }
    }
}

fn search(log: &Log, filter: &Filter, span: Span, order: Order, limit: ReadLimit) -> Result<Reply> {
    let Found { rows, rest, done } = log.search(filter, span, order, limit)?;
    let next = match order {
        Order::Up => rest.after,
        Order::Down => rest.until.saturating_add(1),
    };
    Ok(Reply::Rows { rows, next, done })
}

fn read_backward(log: &Log, before: Change, limit: ReadLimit) -> Result<Reply> {
    let mut before = before.min(log.end().change + 1);
    let (mut rows, mut bytes, mut span): (Vec<Row>, usize, u64) = (Vec::new(), 0, FIRST_SPAN);
    while before > 1 && rows.len() < limit.rows {
        let first = before.saturating_sub(span).max(1);
        for row in nodes_between(log, first, before, limit)?.into_iter().rev() {
            bytes += row.node.value.len();
            if !rows.is_empty() && (bytes > limit.bytes || rows.len() == limit.rows) {
                return Ok(Reply::Rows { rows, next: before, done: false });
            }
            before = row.at.change;
            rows.push(row);
        }
        before = first;
        span *= 2;
    }
    Ok(Reply::Rows { rows, next: before, done: before == 1 })
}

/// Nodes from change `first` to the one before `end`. Changes have no gaps.
fn nodes_between(log: &Log, first: Change, end: Change, limit: ReadLimit) -> Result<Vec<Row>> {
    let mut nodes = Vec::new();
    let mut at = Position::of(first - 1);
    while at.change + 1 < end {
        let rows = log.read(at, limit)?;
        // The newest may not be readable yet.
        let Some(last) = rows.last() else { break };
        at = last.at;
        nodes.extend(rows.into_iter().filter(|row| row.at.duplicate == 0 && row.at.change < end));
    }
    Ok(nodes)
}
