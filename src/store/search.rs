//! Searches for events: their input, their results, and how they continue in steps.

use super::{Position, ReadLimit, Row, Store};
use crate::error::Result;
use crate::event;
use crate::node::Change;

/// Rows that one step of a search reads before it returns, so that the caller can stop in between.
pub(crate) const MAX_LOOKED: usize = 4096;

/// Rows read at a time when all have to be compared.
const SCAN: ReadLimit = ReadLimit { rows: 1024, bytes: 1 << 20 };

/// Nodes that the first step of a backward search covers. Stores read forwards only, so each further step starts twice as far back,
/// until enough is found.
const FIRST_SPAN: u64 = 16;

/// In which order rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest first.
    Up,
    /// The latest first.
    Down,
}

impl Order {
    /// The one of two rows that comes first.
    pub(crate) fn first(self, one: u32, other: u32) -> u32 {
        match self {
            Order::Up => one.min(other),
            Order::Down => one.max(other),
        }
    }

    /// The row that follows.
    pub(crate) fn next(self, row: u32) -> Option<u32> {
        match self {
            Order::Up => row.checked_add(1),
            Order::Down => row.checked_sub(1),
        }
    }
}

/// Nodes whose changes lie after `after`, up to `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The last change before.
    pub after: Change,
    /// The last change within.
    pub until: Change,
}

impl Span {
    /// Everything.
    pub const ALL: Span = Span { after: 0, until: Change::MAX };

    /// Whether it contains no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.after >= self.until
    }
}

/// The result of one step of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Nodes, as first stored, in the order asked for. There may be none although the search is not complete.
    pub rows: Vec<Row>,
    /// What the next step has to search.
    pub rest: Span,
    /// Whether `rest` contains no stored row at the moment.
    pub done: bool,
}

/// Whether a search continues after a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It continues.
    More,
    /// It has found enough, or read enough, for one step.
    Full,
    /// This row, and all that follow, lie beyond the span.
    Past,
}

/// A step of a search in progress.
pub(crate) struct Gather {
    rows: Vec<Row>,
    bytes: usize,
    limit: ReadLimit,
    looked: usize,
    rest: Span,
    order: Order,
}

impl Gather {
    pub(crate) fn new(span: Span, order: Order, limit: ReadLimit) -> Self {
        Gather { rows: Vec::new(), bytes: 0, limit, looked: 0, rest: span, order }
    }

    /// How many more rows fit.
    pub(crate) fn room(&self) -> usize {
        self.limit.rows.max(1) - self.rows.len()
    }

    /// Compares the next row.
    pub(crate) fn look(&mut self, row: Row, wants: &dyn Fn(&[u8]) -> bool) -> Look {
        let (change, Span { after, until }) = (row.at.change, self.rest);
        match self.order {
            Order::Up if change > until => return Look::Past,
            Order::Down if change <= after => return Look::Past,
            _ if change <= after || change > until => return Look::More,
            _ => {}
        }
        if row.at.duplicate == 0 && wants(&row.node.value) {
            let bytes = self.bytes.saturating_add(row.node.value.len());
            if !self.rows.is_empty() && bytes > self.limit.bytes {
                return Look::Full;
            }
            self.bytes = bytes;
            self.rows.push(row);
        }
        self.looked += 1;
        self.pass(change);
        if self.rows.len() < self.limit.rows && self.looked < MAX_LOOKED {
            Look::More
        } else {
            Look::Full
        }
    }

    /// Skips to this change, in the order asked for.
    pub(crate) fn pass(&mut self, change: Change) {
        match self.order {
            Order::Up => self.rest.after = self.rest.after.max(change),
            Order::Down => self.rest.until = self.rest.until.min(change.saturating_sub(1)),
        }
    }

    /// What is left of the span.
    pub(crate) fn rest(&self) -> Span {
        self.rest
    }

    /// Ends the step; the search is not complete.
    pub(crate) fn stop(self) -> Found {
        Found { done: self.rest.is_empty(), rows: self.rows, rest: self.rest }
    }

    /// Ends the step and the search: the whole span has been searched up to change `end`, the last one stored.
    pub(crate) fn finish(mut self, end: Change) -> Found {
        match self.order {
            Order::Up => self.pass(end.min(self.rest.until)),
            Order::Down => self.rest.until = self.rest.after,
        }
        Found { rows: self.rows, rest: self.rest, done: true }
    }
}

/// Compares all rows of a span: for stores without an index, and for rows that are not indexed.
pub(crate) fn scan<S: Store + ?Sized>(
    store: &S,
    wants: &dyn Fn(&[u8]) -> bool,
    span: Span,
    order: Order,
    limit: ReadLimit,
) -> Result<Found> {
    let end = store.last_position()?.change;
    let mut gather = Gather::new(span, order, limit);
    match order {
        Order::Up => {
            let mut at = Position { change: span.after, duplicate: u32::MAX };
            while at.change < span.until.min(end) {
                let rows = store.read(at, SCAN)?;
                let Some(last) = rows.last() else { break };
                at = last.at;
                for row in rows {
                    match gather.look(row, wants) {
                        Look::More => {}
                        Look::Full => return Ok(gather.stop()),
                        Look::Past => return Ok(gather.finish(end)),
                    }
                }
            }
        }
        Order::Down => {
            let mut nodes = FIRST_SPAN;
            let mut until = span.until.min(end);
            while until > span.after {
                let after = until.saturating_sub(nodes).max(span.after);
                for row in rows_between(store, after, until)?.into_iter().rev() {
                    if gather.look(row, wants) == Look::Full {
                        return Ok(gather.stop());
                    }
                }
                until = after;
                nodes = (nodes * 2).min(SCAN.rows as u64);
            }
        }
    }
    Ok(gather.finish(end))
}

/// Whether this is the container of the first event of a request.
pub(crate) fn is_of_request(value: &[u8], id: &[u8]) -> bool {
    event::parse(value).is_some_and(|event| event.request == Some(id))
}

/// The first row that `search` finds, over as many steps as it takes.
pub(crate) fn first(search: impl Fn(Span, ReadLimit) -> Result<Found>) -> Result<Option<Row>> {
    let mut span = Span::ALL;
    loop {
        let mut found = search(span, ReadLimit { rows: 1, bytes: usize::MAX })?;
        if found.done || !found.rows.is_empty() {
            return Ok(found.rows.pop());
        }
        span = found.rest;
    }
}

/// All rows after change `after`, up to the one with change `until`.
fn rows_between<S: Store + ?Sized>(store: &S, after: Change, until: Change) -> Result<Vec<Row>> {
    let mut all = Vec::new();
    let mut at = Position { change: after, duplicate: u32::MAX };
    while at.change < until {
        let rows = store.read(at, SCAN)?;
        let Some(last) = rows.last() else { break };
        at = last.at;
        all.extend(rows.into_iter().filter(|row| row.at.duplicate == 0 && row.at.change <= until));
    }
    Ok(all)
}
