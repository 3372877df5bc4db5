//! Rows that are planned but that the store may not know yet.

use std::collections::HashMap;

use super::uncommitted_events::UncommittedEvents;
use crate::node::{Change, Key, KeyMap, LogId, Node, Seq};
use crate::row::Located;

/// Rows for which memory is kept between groups.
const KEEP_ROWS: usize = 64 * 1024;

/// Rows that the store may not know yet, in order.
#[derive(Debug, Default)]
pub(super) struct UncommittedRows {
    /// Key and seq of each node. Changes have no gaps.
    nodes: Vec<(Key, Seq)>,
    /// Change of the first.
    first: Change,
    /// For each run of nodes of one log: the index of its first node, and the log.
    runs: Vec<(usize, LogId)>,
    /// The events in `nodes`.
    pub(super) events: UncommittedEvents,
    /// Further entries for nodes.
    duplicates: Vec<(LogId, Seq, Key)>,
    /// Positions of keys in `nodes`. It is built when a key is looked up, which does not happen for appends.
    index: KeyMap<usize>,
    /// Keys of entries, which are added when an entry is looked up, and how many of `nodes` and `duplicates` have been added.
    entries: HashMap<(LogId, Seq), Key>,
    entered: (usize, usize),
}

impl UncommittedRows {
    /// Adds a node, whose change follows the one before.
    pub(super) fn push(&mut self, node: &Node) {
        if self.nodes.is_empty() {
            self.first = node.change;
        }
        if self.runs.last().is_none_or(|(_, log)| *log != node.log) {
            self.runs.push((self.nodes.len(), node.log.clone()));
        }
        self.nodes.push((node.key, node.seq));
    }

    /// Adds a further entry for a node.
    pub(super) fn push_duplicate(&mut self, log: LogId, seq: Seq, key: Key) {
        self.duplicates.push((log, seq, key));
    }

    /// The logs of these rows; one may come several times.
    pub(super) fn logs(&self) -> impl Iterator<Item = &LogId> {
        self.runs.iter().map(|(_, log)| log).chain(self.duplicates.iter().map(|(log, ..)| log))
    }

    fn log(&self, at: usize) -> Option<&LogId> {
        let run = self.runs.partition_point(|(from, _)| *from <= at).checked_sub(1)?;
        self.runs.get(run).map(|(_, log)| log)
    }

    /// Where a node is.
    pub(super) fn find(&mut self, key: &Key) -> Option<Located> {
        for (at, (key, _)) in self.nodes.iter().enumerate().skip(self.index.len()) {
            self.index.insert(*key, at);
        }
        let at = *self.index.get(key)?;
        let (key, seq) = *self.nodes.get(at)?;
        Some(Located { key, change: self.first + at as Change, log: self.log(at)?.clone(), seq })
    }

    /// The node of an entry.
    pub(super) fn entry(&mut self, log: &LogId, seq: Seq) -> Option<Key> {
        let (nodes, duplicates) = self.entered;
        for at in nodes..self.nodes.len() {
            if let (Some((key, seq)), Some(log)) = (self.nodes.get(at).copied(), self.log(at).cloned()) {
                self.entries.insert((log, seq), key);
            }
        }
        for (log, seq, key) in self.duplicates.iter().skip(duplicates) {
            self.entries.insert((log.clone(), *seq), *key);
        }
        self.entered = (self.nodes.len(), self.duplicates.len());
        self.entries.get(&(log.clone(), seq)).copied()
    }

    /// Removes all rows, because the store has them now. Keeps some memory for the next ones.
    pub(super) fn clear(&mut self) {
        if self.nodes.capacity() > KEEP_ROWS || self.duplicates.capacity() > KEEP_ROWS {
            *self = UncommittedRows::default();
            return;
        }
        self.nodes.clear();
        self.events.clear();
        self.runs.clear();
        self.duplicates.clear();
        self.index.clear();
        self.entries.clear();
        self.entered = (0, 0);
    }
}
