//! Portable cursors: where the event that one names is stored here, and who waits for it to arrive.
//!
//! One task follows the end of the log while somebody waits, and compares each new row with all that is waited for. So waiting costs
//! nothing where nothing is stored, and otherwise one look-up per row, however many wait.

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

/// What the task is told.
enum Order {
    Wait(Cursor, PendingAnswer),
    Forget(u32),
}

/// The end at which cursors to wait for are given to the task.
pub(super) struct Arrivals(UnboundedSender<Order>);

impl Arrivals {
    /// Starts the task. It ends with the runtime; who still waits then hears that the emitter is closed.
    pub(super) fn start(emitter: &Emitter, log: &Arc<Log>) -> Self {
        let (sender, orders) = unbounded_channel();
        emitter.spawn(follow(Arc::clone(log), orders));
        Arrivals(sender)
    }

    /// Answers with the change of the event once it is stored, at once if it is.
    pub(super) fn wait(&self, cursor: Cursor, answer: PendingAnswer) {
        // Without the task the answer is dropped, and says that the emitter is closed.
        let _ = self.0.send(Order::Wait(cursor, answer));
    }

    /// Nobody waits for the answer to this request any more.
    pub(super) fn forget(&self, id: u32) {
        let _ = self.0.send(Order::Forget(id));
    }
}

/// Who waits, by what is waited for.
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

    /// Answers those who wait for this row.
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
                    // Rows up to here are looked up, those that follow are looked at.
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
                    // A read that failed may succeed the next time: who asks then is looked up anew.
                    Err(error) => fail(std::mem::take(&mut waiting), &error),
                }
            }
        }
    }
}

/// Looks at the rows after `seen` up to `to`, as long as somebody waits. Returns how far it came.
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

/// Whoever waits cannot be answered any more.
fn fail(waiting: Waiting, error: &Error) {
    let entries = waiting.entries.into_values().flat_map(HashMap::into_values);
    for answer in waiting.keys.into_values().chain(entries).flatten() {
        answer.send(Err(error.clone()));
    }
}

/// Runs `work` where it may block.
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
