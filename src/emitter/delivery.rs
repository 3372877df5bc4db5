//! The listeners' place in the log.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Emitter;
use crate::hyperlog::Log;
use crate::node::Change;
use crate::store::{Position, ReadLimit, Row};

/// Rows looked at in one call, so that a listener for a rare name does not hold the JavaScript thread.
const MAX_SCANNED: usize = 4096;

/// Rows read from the medium at a time when listeners have fallen behind what is kept in memory.
const FETCH: ReadLimit = ReadLimit { rows: 1024, bytes: 1 << 20 };

/// What listeners have had, and may have.
#[derive(Debug, Default)]
pub(super) struct Delivery {
    at: Position,
    /// Callbacks up to this change have been handed over.
    allowed: Change,
    fetched: VecDeque<Row>,
    fetching: bool,
}

impl Delivery {
    /// Listeners hear what comes after `end`.
    pub(super) fn start(&mut self, end: Position) {
        self.at = end;
        self.allowed = end.change;
    }

    pub(super) fn allow(&mut self, change: Change) {
        self.allowed = self.allowed.max(change);
    }

    pub(super) fn is_behind(&self, end: Change) -> bool {
        self.at.change < end
    }

    /// Whether [`Delivery::take`] gets on without waiting for a callback or the medium.
    pub(super) fn is_at_hand(&self) -> bool {
        self.at.change < self.allowed && !self.fetching
    }

    pub(super) fn skip(&mut self) {
        if self.at.change < self.allowed {
            self.at = Position::of(self.allowed);
            self.fetched.clear();
        }
    }

    /// The next rows, and from where to fetch more if they are not in memory.
    pub(super) fn take(
        &mut self,
        log: &Log,
        max_rows: usize,
        max_bytes: usize,
        interested: &mut dyn FnMut(&Row) -> bool,
    ) -> (Vec<Row>, Option<Position>) {
        let mut out = Vec::new();
        let (mut bytes, mut scanned) = (0, 0);
        while self.at.change < self.allowed && scanned < MAX_SCANNED && out.len() < max_rows && bytes < max_bytes {
            if self.fetching {
                break;
            }
            if self.fetched.is_empty() {
                let limit = ReadLimit { rows: max_rows, bytes: max_bytes };
                match log.read_recent(self.at, limit) {
                    Some(rows) => self.fetched.extend(rows),
                    None => {
                        self.fetching = true;
                        return (out, Some(self.at));
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
                // What was fetched before a skip may lie behind.
                if row.at <= self.at {
                    continue;
                }
                self.at = row.at;
                if row.at.duplicate == 0 && interested(&row) {
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

    fn fetched(&mut self, rows: Vec<Row>) {
        self.fetching = false;
        self.fetched.extend(rows);
    }
}

impl Emitter {
    /// Reads rows for listeners away from the JavaScript thread, then rings.
    pub(super) fn fetch_events(self: &Arc<Self>, log: &Arc<Log>, after: Position) {
        let (emitter, log) = (Arc::clone(self), Arc::clone(log));
        self.blocking(move || {
            match log.read(after, FETCH) {
                Ok(rows) => emitter.delivery.lock().fetched(rows),
                // `fetching` stays set: delivery cannot go on past rows that cannot be read, and says so once.
                Err(error) => emitter.notify(super::Notice::Report(error)),
            }
            emitter.ring();
        });
    }
}
