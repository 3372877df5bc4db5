//! The rows of a store in memory, and those of each log.

use crate::node::{Digest, LogId, NodeRef, Seq};
use crate::row::Position;

/// Rows per block. The list of rows grows without copying them.
pub(super) const BLOCK: usize = 4096;

/// Entries between two stored digests of a log; digests in between are recomputed (about 0.1 µs per entry).
pub(super) const DIGEST_STEP: u64 = 64;

pub(super) struct LogRows {
    /// Row index of the entry with seq `index + 1`.
    pub(super) rows: Vec<usize>,
    /// Digest after `(index + 1) * DIGEST_STEP` entries.
    pub(super) steps: Vec<Digest>,
    pub(super) digest: Digest,
}

pub(super) enum Stored {
    Node(NodeRef),
    /// A further entry for the node in row `node`.
    Duplicate {
        at: Position,
        log: LogId,
        seq: Seq,
        node: usize,
    },
}

/// The rows in order, in blocks that never move.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) blocks: Vec<Vec<Stored>>,
    pub(super) len: usize,
    /// Duplicates among them; while there are none, a row's index is its change minus 1.
    pub(super) duplicates: usize,
}

impl Stored {
    pub(super) fn at(&self) -> Position {
        match self {
            Stored::Node(node) => Position::of(node.change),
            Stored::Duplicate { at, .. } => *at,
        }
    }
}

impl Rows {
    pub(super) fn get(&self, index: usize) -> Option<&Stored> {
        self.blocks.get(index / BLOCK)?.get(index % BLOCK)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut Stored> {
        self.blocks.get_mut(index / BLOCK)?.get_mut(index % BLOCK)
    }

    pub(super) fn node(&self, index: usize) -> Option<&NodeRef> {
        match self.get(index)? {
            Stored::Node(node) => Some(node),
            Stored::Duplicate { node, .. } => match self.get(*node)? {
                Stored::Node(node) => Some(node),
                Stored::Duplicate { .. } => None,
            },
        }
    }

    pub(super) fn push(&mut self, row: Stored) -> usize {
        let index = self.len;
        if matches!(row, Stored::Duplicate { .. }) {
            self.duplicates += 1;
        }
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK => block.push(row),
            _ => {
                let mut block = Vec::with_capacity(BLOCK);
                block.push(row);
                self.blocks.push(block);
            }
        }
        self.len += 1;
        index
    }

    /// Index of the first row after `at`.
    pub(super) fn after(&self, at: Position) -> usize {
        if self.duplicates == 0 {
            return usize::try_from(at.change).unwrap_or(usize::MAX).min(self.len);
        }
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.get(middle).is_some_and(|row| row.at() <= at) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Index of the node with this change.
    pub(super) fn of_change(&self, change: u64) -> Option<usize> {
        let index = self.after(Position { change: change.checked_sub(1)?, duplicate: u32::MAX });
        match self.get(index)? {
            Stored::Node(node) if node.change == change => Some(index),
            _ => None,
        }
    }
}

impl LogRows {
    pub(super) fn new() -> Self {
        LogRows { rows: Vec::new(), steps: Vec::new(), digest: Digest::default() }
    }

    pub(super) fn seq(&self) -> Seq {
        self.rows.len() as Seq
    }

    pub(super) fn push(&mut self, row: usize, digest: Digest) {
        self.rows.push(row);
        self.digest = digest;
        if self.seq().is_multiple_of(DIGEST_STEP) {
            self.steps.push(digest);
        }
    }

    pub(super) fn row(&self, seq: Seq) -> Option<usize> {
        self.rows.get(usize::try_from(seq.checked_sub(1)?).ok()?).copied()
    }
}
