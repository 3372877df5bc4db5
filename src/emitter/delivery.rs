//! Reads rows for listeners, and keeps track of how far they have come in the log.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::{Emitter, Notice};
use crate::error::{Error, Result};
use crate::hyperlog::Log;
use crate::node::Change;
use crate::row::{Position, Row};
use crate::store::ReadLimit;

/// Rows looked at in one call, so that a listener for a rare name does not hold the JavaScript thread.
const MAX_SCANNED: usize = 4096;

/// Rows read from the medium at a time when listeners have fallen behind what is kept in memory.
const FETCH: ReadLimit = ReadLimit { rows: 1024, bytes: 1 << 20 };

/// Pause after a first read that failed: a busy database has often recovered by then. It doubles each time ...
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// ... up to this one, so that delivery continues within seconds after the medium has recovered.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What listeners have got, and what they may get next.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    at: Position,
    /// Acks up to this change have been handed to JavaScript, so events up to here may follow.
    allowed: Change,
    fetched: VecDeque<Row>,
    /// The read of the medium under way, or waiting for its next attempt.
    fetching: Option<Fetch>,
    /// Reads begun so far. The number identifies a read, because one that was given up may still answer.
    fetches: u64,
}

#[derive(Debug)]
struct Fetch {
    number: u64,
    /// Attempts that failed in a row.
    failures: u32,
    /// Code of the last error that was reported.
    told: Option<&'static str>,
}

/// What to do after a failed read.
struct Retry {
    pause: Duration,
    /// Whether the error differs from the last one reported.
    tell: bool,
}

impl Delivery {
    /// Starts delivery: listeners hear the events after `end`.
    pub(super) fn start(&mut self, end: Position) {
        self.at = end;
        self.allowed = end.change;
    }

    pub(super) fn allow(&mut self, change: Change) {
        self.allowed = self.allowed.max(change);
    }

    /// The last change that was taken or skipped.
    pub(super) fn change(&self) -> Change {
        self.at.change
    }

    pub(super) fn is_behind(&self, end: Change) -> bool {
        self.at.change < end
    }

    /// Whether [`Delivery::take`] can continue without waiting for a callback or the medium.
    pub(super) fn is_at_hand(&self) -> bool {
        self.at.change < self.allowed && self.fetching.is_none()
    }

    pub(super) fn skip(&mut self) {
        if self.at.change < self.allowed {
            self.at = Position::of(self.allowed);
            self.fetched.clear();
            // The rows of that read are no longer wanted, and the next ones are probably in memory.
            self.fetching = None;
        }
    }

    /// The next rows, and the number of the read that is to fetch more if they are not in memory.
    pub(super) fn take(&mut self, log: &Log, max_rows: usize, max_bytes: usize) -> (Vec<Row>, Option<u64>) {
        let mut out = Vec::new();
        let (mut bytes, mut scanned) = (0, 0);
        while self.at.change < self.allowed && scanned < MAX_SCANNED && out.len() < max_rows && bytes < max_bytes {
            if self.fetching.is_some() {
                break;
            }
            if self.fetched.is_empty() {
                let limit = ReadLimit { rows: max_rows, bytes: max_bytes };
                match log.read_recent(self.at, limit) {
                    Some(rows) => self.fetched.extend(rows),
                    None => {
                        self.fetches += 1;
                        self.fetching = Some(Fetch { number: self.fetches, failures: 0, told: None });
                        return (out, Some(self.fetches));
                    }
                }
            }
            let before = scanned;
            while out.len() < max_rows && bytes < max_bytes {
                let Some(row) = self.fetched.pop_front() else { break };
                if row.at.change > self.allowed {
                    self.fetched.push_front(row);
                    return (out, None);
                }
                scanned += 1;
                // Rows fetched before a skip may have been skipped.
                if row.at <= self.at {
                    continue;
                }
                self.at = row.at;
                if row.at.duplicate == 0 {
                    bytes += row.node.value.len();
                    out.push(row);
                }
            }
            if scanned == before {
                break;
            }
        }
        (out, None)
    }

    /// The position after which a read goes on; `None` if the read has been given up.
    fn wanted(&self, number: u64) -> Option<Position> {
        self.fetching.as_ref().filter(|fetch| fetch.number == number).map(|_| self.at)
    }

    fn fetched(&mut self, number: u64, rows: Vec<Row>) {
        if self.wanted(number).is_some() {
            self.fetching = None;
            self.fetched.extend(rows);
        }
    }

    /// Decides what to do after a failed read; `None` if the read has been given up. Delivery stays where it is, because it
    /// cannot skip rows that cannot be read.
    fn failed(&mut self, number: u64, error: &Error) -> Option<Retry> {
        let fetch = self.fetching.as_mut().filter(|fetch| fetch.number == number)?;
        let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(fetch.failures)).min(LONGEST_PAUSE);
        fetch.failures = fetch.failures.saturating_add(1);
        Some(Retry { pause, tell: fetch.told.replace(error.code()) != Some(error.code()) })
    }
}

impl Emitter {
    /// Reads rows for listeners on another thread than JavaScript's. It retries until it succeeds, and then rings the bell.
    pub(super) fn fetch_events(self: &Arc<Self>, log: &Arc<Log>, number: u64) {
        let (emitter, log) = (Arc::clone(self), Arc::clone(log));
        self.blocking(move || {
            let Some(after) = emitter.delivery.lock().wanted(number) else { return };
            let error = match rows_after(&log, after) {
                Ok(rows) => {
                    emitter.delivery.lock().fetched(number, rows);
                    return emitter.outbox.ring();
                }
                Err(error) => error,
            };
            let Some(Retry { pause, tell }) = emitter.delivery.lock().failed(number, &error) else { return };
            // A read that fails because the store is being closed is not reported.
            if emitter.closing.load(Ordering::SeqCst) {
                return;
            }
            if tell {
                emitter.outbox.notify(Notice::Report(error));
            }
            let again = Arc::clone(&emitter);
            // Dropped with the runtime, so that closing does not wait for it.
            emitter.spawn(async move {
                tokio::time::sleep(pause).await;
                again.fetch_events(&log, number);
            });
        });
    }
}

/// Rows after `after`. The caller knows that there are some, so finding none is an error; otherwise the read would be repeated for
/// ever.
fn rows_after(log: &Log, after: Position) -> Result<Vec<Row>> {
    let rows = log.read(after, FETCH)?;
    if rows.is_empty() {
        return Err(Error::damaged(format!("change {}", after.change + 1), "the store has fewer rows than it says"));
    }
    Ok(rows)
}
