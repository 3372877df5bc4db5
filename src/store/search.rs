//! Searches: what they are asked for, what they bring, and how one goes on.

use super::{Position, ReadLimit, Row, Store};
use crate::error::Result;
use crate::event;
use crate::node::Change;

/// Rows that one search looks at for nothing before it comes back, so that whoever waits for it can stop it.
pub(crate) const MAX_LOOKED: usize = 4096;

/// Rows read at a time where all have to be looked at.
const SCAN: ReadLimit = ReadLimit { rows: 1024, bytes: 1 << 20 };

/// Nodes looked at first when going backwards. Stores read forwards only, so how far back there is enough is found by going
/// back twice as far each time.
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

    /// Whether no change lies in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.after >= self.until
    }
}

/// What a search brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Nodes where they were first stored, in the order asked. There may be none although it goes on.
    pub rows: Vec<Row>,
    /// Where the next search goes on.
    pub rest: Span,
    /// Whether there is nothing in `rest` as of now.
    pub done: bool,
}

/// Whether a search goes on behind a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It does.
    More,
    /// It has brought enough, or has looked at enough, for one search.
    Full,
    /// The row lies behind the span, and so does what follows.
    Past,
}

/// Rows of a search that is under way.
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

    /// How many more rows there is room for.
    pub(crate) fn room(&self) -> usize {
        self.limit.rows.max(1) - self.rows.len()
    }

    /// Looks at the next row in order.
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

    /// Nothing more is wanted up to this change, in the order asked.
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

    /// There is more.
    pub(crate) fn stop(self) -> Found {
        Found { done: self.rest.is_empty(), rows: self.rows, rest: self.rest }
    }

    /// All of the span has been looked at, as far as the store reaches: up to change `end`.
    pub(crate) fn finish(mut self, end: Change) -> Found {
        match self.order {
            Order::Up => self.pass(end.min(self.rest.until)),
            Order::Down => self.rest.until = self.rest.after,
        }
        Found { rows: self.rows, rest: self.rest, done: true }
    }
}

/// Looks at all rows of a span: for stores without an index, and for what no index knows.
pub(crate) fn scan<S: Store + ?Sized>(
    store: &S,
    wants: &dyn Fn(&[u8]) -> bool,
    span: Span,
    order: Order,
    limit: ReadLimit,
) -> Result<Found> {
    let end = store.last_place()?.change;
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

/// Whether a value is the first event of this request.
pub(crate) fn is_of_request(value: &[u8], id: &[u8]) -> bool {
    event::parse(value).is_some_and(|event| event.request == Some(id))
}

/// The first row of all that `search` finds.
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
