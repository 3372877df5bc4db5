//! The cursor with which a session reads the store, to send the peer what it lacks.
//!
//! Rows come in the store's order: causes first, and each log without gaps. The session skips the rows that the peer has. So
//! catching up is one sequential scan from the first row that the peer lacks, and live events are just its continuation.

use super::io::OutEvent;
use crate::row::{Position, Row};
use crate::store::ReadLimit;

/// Size of one read: enough rows to fill a socket buffer, few enough to hold in memory for every link.
pub const READ_LIMIT: ReadLimit = ReadLimit { rows: 512, bytes: 256 * 1024 };

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct RowCursor {
    /// Everything up to here has been dealt with; `None` while nothing is to be read.
    position: Option<Position>,
    reading: bool,
    /// Whether the cursor moved back while a read was under way, so that the rows of that read have to be dropped.
    stale: bool,
    at_end: bool,
    /// Whether the log grew while a read was under way, which may have missed the new rows.
    grew: bool,
}

impl RowCursor {
    /// Moves the cursor back to `after` if it is beyond it. It never moves forward.
    pub(crate) fn lower(&mut self, after: Position) {
        if self.position.is_none_or(|position| after < position) {
            self.position = Some(after);
            self.at_end = false;
            self.stale = self.reading;
        }
    }

    /// Nothing is to be read until [`RowCursor::lower`].
    pub(crate) fn stop(&mut self) {
        self.position = None;
        self.stale = self.reading;
    }

    /// The log grew.
    pub(crate) fn advanced(&mut self) {
        self.at_end = false;
        self.grew = self.reading;
    }

    pub(crate) fn is_reading(&self) -> bool {
        self.reading
    }

    /// Whether everything stored has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.at_end && !self.reading
    }

    /// The position up to which everything has been dealt with, once that is the end of the store.
    pub(crate) fn reached(&self) -> Option<Position> {
        self.position.filter(|_| self.is_at_end())
    }

    /// The next read, if one is due.
    pub(crate) fn start(&mut self) -> Option<OutEvent> {
        let after = self.position?;
        if self.reading || self.at_end {
            return None;
        }
        self.reading = true;
        Some(OutEvent::Read { after, limit: READ_LIMIT })
    }

    /// Takes the rows that were read. Those of a stale read are dropped.
    pub(crate) fn finish(&mut self, rows: Vec<Row>) -> Vec<Row> {
        self.reading = false;
        if std::mem::take(&mut self.stale) || self.position.is_none() {
            return Vec::new();
        }
        self.at_end = rows.is_empty() && !std::mem::take(&mut self.grew);
        rows
    }

    /// The row at `at` has been dealt with.
    pub(crate) fn passed(&mut self, at: Position) {
        self.position = Some(at);
    }
}

/// The position just before `at`.
pub(crate) fn before(at: Position) -> Position {
    match at.duplicate.checked_sub(1) {
        Some(duplicate) => Position { change: at.change, duplicate },
        None => Position { change: at.change.saturating_sub(1), duplicate: u32::MAX },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_during_a_read_that_found_nothing_is_not_missed() {
        let mut cursor = RowCursor::default();
        cursor.lower(Position::START);
        assert!(cursor.start().is_some());
        cursor.advanced();
        assert!(cursor.finish(Vec::new()).is_empty());
        assert!(cursor.start().is_some(), "the read may have ended before the log grew");
        cursor.finish(Vec::new());
        assert!(cursor.start().is_none() && cursor.is_at_end());
    }

    #[test]
    fn rows_of_a_read_that_began_further_on_are_dropped() {
        let mut cursor = RowCursor::default();
        cursor.lower(Position::of(10));
        cursor.start();
        cursor.lower(Position::of(3));
        assert!(cursor.finish(Vec::new()).is_empty());
        assert!(matches!(cursor.start(), Some(OutEvent::Read { after, .. }) if after == Position::of(3)));
    }

    #[test]
    fn the_position_before_a_row_is_behind_the_row_before_it() {
        let row = Position { change: 5, duplicate: 0 };
        let duplicate = Position { change: 5, duplicate: 1 };
        assert!(before(row) < row && before(row) > Position { change: 4, duplicate: 1000 });
        assert_eq!(before(duplicate), row);
    }
}
