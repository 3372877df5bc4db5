//! The newest rows in memory, so that listeners and live peers seldom touch the medium.

use std::collections::VecDeque;

use crate::row::{Position, Row};
use crate::store::ReadLimit;

/// Bytes of values that are kept: a few milliseconds of the fastest traffic, which is how far a live consumer may fall behind.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Rows kept.
pub const MAX_ROWS: usize = 32 * 1024;

/// What one row takes in addition to its value, in bytes.
const OVERHEAD: usize = 200;

/// A window on the end of the log.
#[derive(Debug, Default)]
pub struct RecentRows {
    rows: VecDeque<Row>,
    /// The position before the first row kept.
    after: Position,
    bytes: usize,
}

impl RecentRows {
    /// An empty window that begins after `end`.
    #[must_use]
    pub fn new(end: Position) -> Self {
        RecentRows { after: end, ..RecentRows::default() }
    }

    /// Adds the next row, and drops the oldest ones over the bounds.
    pub fn push(&mut self, row: Row) {
        self.bytes += row.node.value.len() + OVERHEAD;
        self.rows.push_back(row);
        while self.rows.len() > MAX_ROWS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.rows.pop_front() else { break };
            self.bytes -= oldest.node.value.len() + OVERHEAD;
            self.after = oldest.at;
        }
    }

    /// Starts anew after `end`, because stored rows have been relabelled or reloaded.
    pub fn reset(&mut self, end: Position) {
        *self = RecentRows::new(end);
    }

    /// Rows after `after`; `None` if the first of them is no longer kept.
    #[must_use]
    pub fn read(&self, after: Position, limit: ReadLimit) -> Option<Vec<Row>> {
        if after < self.after {
            return None;
        }
        let first = self.rows.partition_point(|row| row.at <= after);
        let mut bytes = 0;
        let mut out = Vec::with_capacity(limit.rows.min(self.rows.len() - first));
        for row in self.rows.range(first..).take(limit.rows) {
            bytes += row.node.value.len();
            if bytes > limit.bytes && !out.is_empty() {
                break;
            }
            out.push(row.clone());
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{key_of, Links, Node};
    use bytes::Bytes;

    const ALL: ReadLimit = ReadLimit { rows: usize::MAX, bytes: usize::MAX };

    fn row(change: u64, size: usize) -> Row {
        let value = Bytes::from(vec![1; size]);
        let node = Node {
            key: key_of(&[], &value),
            change,
            log: "a".into(),
            seq: change,
            links: Links::new(),
            value,
            signed: None,
        };
        Row::first(node.into())
    }

    #[test]
    fn rows_after_a_position_come_in_order_and_within_the_limit() {
        let mut recent = RecentRows::new(Position::of(10));
        (11..=20).for_each(|change| recent.push(row(change, 5)));
        let changes = |after, limit| {
            recent.read(Position::of(after), limit).map(|rows| rows.iter().map(|row| row.at.change).collect::<Vec<_>>())
        };
        assert_eq!(changes(17, ALL), Some(vec![18, 19, 20]));
        assert_eq!(changes(10, ReadLimit { rows: 2, bytes: 100 }), Some(vec![11, 12]));
        assert_eq!(changes(10, ReadLimit { rows: 9, bytes: 12 }), Some(vec![11, 12]));
        assert_eq!(changes(10, ReadLimit { rows: 9, bytes: 1 }), Some(vec![11]));
        assert_eq!(changes(20, ALL), Some(vec![]));
        assert_eq!(changes(9, ALL), None);
    }

    #[test]
    fn the_window_is_bounded_in_rows_and_bytes() {
        let mut recent = RecentRows::default();
        (1..=2 * MAX_ROWS as u64).for_each(|change| recent.push(row(change, 0)));
        assert!(recent.rows.len() <= MAX_ROWS);
        let mut recent = RecentRows::default();
        (1..=40).for_each(|change| recent.push(row(change, 1024 * 1024)));
        assert!(recent.bytes <= MAX_BYTES);
        assert_eq!(recent.read(Position::START, ALL), None);
    }
}
