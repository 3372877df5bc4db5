//! Portable cursors: finds the change of a cursor's event in this store, and answers requests that wait for it to arrive.
//!
//! While requests wait, one task follows the end of the log and looks up each new row among the awaited events. So waiting costs
//! one look-up per new row, however many requests wait, and nothing while no rows are stored.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc::{unbounded_channel, UnboundedReceiver, UnboundedSender};

use super::pending_answer::{gone, PendingAnswer};
use super::request::{Cursor, Place, Reply};
use super::Emitter;
use crate::error::{Error, Result};
use crate::hyperlog::Log;
use crate::node::{Change, Key, LogId, Seq};
use crate::row::{Position, Row};
use crate::store::ReadLimit;

/// Rows looked at together.
const ROWS: ReadLimit = ReadLimit { rows: 1024, bytes: 1 << 20 };

/// Finds the event of a cursor. May block.
///
/// # Errors
/// The store's.
pub(super) fn place(log: &Log, cursor: &Cursor) -> Result<Place> {
    if let Some(key) = cursor.key {
        if let Some(change) = change_of(log, key)? {
            return Ok(Place::Here(change));
        }
    }
    let other = log.entry(&cursor.log, cursor.seq)?.map(|entry| entry.key);
    match (cursor.key, other) {
        (None, Some(key)) => match change_of(log, key)? {
            Some(change) => Ok(Place::Here(change)),
            None => Err(Error::damaged(format!("log {}", cursor.log), "an entry names a node that is not stored")),
        },
        _ => Ok(Place::Missing { end: log.seq(&cursor.log), other }),
    }
}

fn change_of(log: &Log, key: Key) -> Result<Option<Change>> {
    Ok(log.store().locate(&[key])?.into_iter().flatten().next().map(|found| found.change))
}

/// A message to the task.
enum Order {
    Wait(Cursor, PendingAnswer),
    Forget(u32),
}

/// The sender of messages to the task.
pub(super) struct Arrivals(UnboundedSender<Order>);

impl Arrivals {
    /// Starts the task. It ends with the runtime; requests that still wait are then answered with the error for a closed emitter.
    pub(super) fn start(emitter: &Emitter, log: &Arc<Log>) -> Self {
        let (sender, orders) = unbounded_channel();
        emitter.spawn(follow(Arc::clone(log), orders));
        Arrivals(sender)
    }

    /// Answers with the change of the event once it is stored; immediately if it is stored already.
    pub(super) fn wait(&self, cursor: Cursor, answer: PendingAnswer) {
        // If the task has ended, the answer is dropped, which reports that the emitter is closed.
        let _ = self.0.send(Order::Wait(cursor, answer));
    }

    /// Removes a request whose answer is no longer wanted.
    pub(super) fn forget(&self, id: u32) {
        let _ = self.0.send(Order::Forget(id));
    }
}

/// The waiting requests, by the event that they wait for.
#[derive(Default)]
struct Waiting {
    keys: HashMap<Key, Vec<PendingAnswer>>,
    entries: HashMap<LogId, HashMap<Seq, Vec<PendingAnswer>>>,
}

impl Waiting {
    fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.entries.is_empty()
    }

    fn add(&mut self, Cursor { log, seq, key }: Cursor, answer: PendingAnswer) {
        match key {
            Some(key) => self.keys.entry(key).or_default().push(answer),
            None => self.entries.entry(log).or_default().entry(seq).or_default().push(answer),
        }
    }

    fn forget(&mut self, id: u32) {
        let keep = |answers: &mut Vec<PendingAnswer>| {
            answers.retain(|answer| answer.id() != id);
            !answers.is_empty()
        };
        self.keys.retain(|_, answers| keep(answers));
        self.entries.retain(|_, seqs| {
            seqs.retain(|_, answers| keep(answers));
            !seqs.is_empty()
        });
    }

    /// Answers the requests that wait for this row.
    fn arrived(&mut self, row: &Row) {
        let mut answers = self.keys.remove(&row.node.key).unwrap_or_default();
        if let Some(seqs) = self.entries.get_mut(row.log()) {
            answers.extend(seqs.remove(&row.seq()).unwrap_or_default());
            if seqs.is_empty() {
                self.entries.remove(row.log());
            }
        }
        for answer in answers {
            answer.send(Ok(Reply::Change(row.at.change)));
        }
    }
}

async fn follow(log: Arc<Log>, mut orders: UnboundedReceiver<Order>) {
    let mut waiting = Waiting::default();
    let mut end = log.watch();
    let mut seen = Position::START;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => return,
                Some(Order::Forget(id)) => waiting.forget(id),
                Some(Order::Wait(cursor, answer)) => {
                    // Events up to here are found by a look-up in the store; rows after it are examined one by one.
                    if waiting.is_empty() {
                        seen = *end.borrow_and_update();
                    }
                    match blocking(&log, { let cursor = cursor.clone(); move |log| place(log, &cursor) }).await {
                        Ok(Place::Here(change)) => answer.send(Ok(Reply::Change(change))),
                        Ok(Place::Missing { .. }) => waiting.add(cursor, answer),
                        Err(error) => answer.send(Err(error)),
                    }
                }
            },
            grown = end.changed(), if !waiting.is_empty() => {
                let to = *end.borrow_and_update();
                if grown.is_err() {
                    return;
                }
                match look(&log, seen, to, &mut waiting).await {
                    Ok(at) => seen = at,
                    // A later read may succeed: a request that comes then starts with a new look-up.
                    Err(error) => fail(std::mem::take(&mut waiting), &error),
                }
            }
        }
    }
}

/// Examines the rows after `seen` up to `to`, as long as any request waits. Returns how far it came.
async fn look(log: &Arc<Log>, mut seen: Position, to: Position, waiting: &mut Waiting) -> Result<Position> {
    while seen < to && !waiting.is_empty() {
        let rows = match log.read_recent(seen, ROWS) {
            Some(rows) => rows,
            None => blocking(log, move |log| log.read(seen, ROWS)).await?,
        };
        let Some(last) = rows.last() else { return Ok(seen) };
        seen = last.at;
        rows.iter().for_each(|row| waiting.arrived(row));
    }
    Ok(seen)
}

/// Answers all waiting requests with the error.
fn fail(waiting: Waiting, error: &Error) {
    let entries = waiting.entries.into_values().flat_map(HashMap::into_values);
    for answer in waiting.keys.into_values().chain(entries).flatten() {
        answer.send(Err(error.clone()));
    }
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(
    log: &Arc<Log>,
    work: impl FnOnce(&Log) -> Result<T> + Send + 'static,
) -> Result<T> {
    if log.store().is_immediate() {
        return work(log);
    }
    let log = Arc::clone(log);
    tokio::task::spawn_blocking(move || work(&log)).await.unwrap_or_else(|_| Err(gone()))
}
