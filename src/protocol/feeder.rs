//! A cursor over the store's rows: what the session reads next in order to send it.
//!
//! Rows come in the store's order, which is causal and gapless per log; the session filters them by what the peer
//! lacks. So a catch-up is one sequential scan from the lowest place the peer lacks, and the live tail is its end.

use super::session::OutEvent;
use crate::store::{Position, ReadLimit, Row};

/// One read: enough rows to fill a socket buffer, few enough to hold in memory per link.
pub const READ_LIMIT: ReadLimit = ReadLimit { rows: 512, bytes: 256 * 1024 };

/// Where the session reads, and whether a read is under way.
#[derive(Debug, Default)]
pub(crate) struct Feeder {
    cursor: Option<Position>,
    reading: bool,
    /// The cursor moved back while a read was under way: its rows are of no use.
    stale: bool,
    at_end: bool,
    /// The log grew while a read was under way, which may have ended before.
    grew: bool,
}

impl Feeder {
    /// Reads from `after` on at the latest; moves back if the cursor is further, never forth.
    pub(crate) fn lower(&mut self, after: Position) {
        if self.cursor.is_none_or(|cursor| after < cursor) {
            self.cursor = Some(after);
            self.at_end = false;
            self.stale = self.reading;
        }
    }

    /// Nothing is to be read until [`Feeder::lower`].
    pub(crate) fn stop(&mut self) {
        self.cursor = None;
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

    /// The place up to which everything has been dealt with, once that is all there is.
    pub(crate) fn reached(&self) -> Option<Position> {
        self.cursor.filter(|_| self.is_at_end())
    }

    /// The next read, if one is due.
    pub(crate) fn start(&mut self) -> Option<OutEvent> {
        let after = self.cursor?;
        if self.reading || self.at_end {
            return None;
        }
        self.reading = true;
        Some(OutEvent::Read { after, limit: READ_LIMIT })
    }

    /// Rows arrived. Those of a read that has become stale are dropped.
    pub(crate) fn finish(&mut self, rows: Vec<Row>) -> Vec<Row> {
        self.reading = false;
        if std::mem::take(&mut self.stale) || self.cursor.is_none() {
            return Vec::new();
        }
        self.at_end = rows.is_empty() && !std::mem::take(&mut self.grew);
        rows
    }

    /// `row` has been dealt with.
    pub(crate) fn passed(&mut self, at: Position) {
        self.cursor = Some(at);
    }
}

/// The place just before `at`.
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
        let mut feeder = Feeder::default();
        feeder.lower(Position::START);
        assert!(feeder.start().is_some());
        feeder.advanced();
        assert!(feeder.finish(Vec::new()).is_empty());
        assert!(feeder.start().is_some(), "the read may have ended before the log grew");
        feeder.finish(Vec::new());
        assert!(feeder.start().is_none() && feeder.is_at_end());
    }

    #[test]
    fn rows_of_a_read_that_began_further_on_are_dropped() {
        let mut feeder = Feeder::default();
        feeder.lower(Position::of(10));
        feeder.start();
        feeder.lower(Position::of(3));
        assert!(feeder.finish(Vec::new()).is_empty());
        assert!(matches!(feeder.start(), Some(OutEvent::Read { after, .. }) if after == Position::of(3)));
    }

    #[test]
    fn the_place_before_a_row_is_before_it_and_after_the_row_before() {
        let row = Position { change: 5, duplicate: 0 };
        let duplicate = Position { change: 5, duplicate: 1 };
        assert!(before(row) < row && before(row) > Position { change: 4, duplicate: 1000 });
        assert_eq!(before(duplicate), row);
    }
}
