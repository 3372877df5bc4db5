//! The index of terms of a store in memory.

use super::rows::{Rows, Stored};
use crate::error::{Error, Result};
use crate::store::search::Order;
use crate::store::terms::{Join, Plan, TermRows, Terms};

/// Rows of a block of the index. A look-up searches every block, and blocks never move.
const TERM_ROWS: usize = 1 << 16;

/// Rows by term.
pub(super) struct TermIndex {
    pub(super) terms: Terms,
    /// One for each [`TERM_ROWS`] rows.
    blocks: Vec<TermRows>,
    /// Rows that are in it.
    rows: usize,
}

impl TermIndex {
    pub(super) fn new() -> Result<Self> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)
            .map_err(|error| Error::Internal(format!("the random number generator of the system failed: {error}")))?;
        Ok(TermIndex { terms: Terms::new(&secret), blocks: Vec::new(), rows: 0 })
    }

    /// Adds the new rows.
    pub(super) fn extend(&mut self, rows: &Rows) {
        let mut terms = Vec::new();
        for index in self.rows..rows.len {
            if index.is_multiple_of(TERM_ROWS) {
                self.blocks.push(TermRows::default());
            }
            if let (Some(Stored::Node(node)), Some(block)) = (rows.get(index), self.blocks.last_mut()) {
                terms.clear();
                self.terms.of_value(&node.value, |term| terms.push(term));
                block.push(u32::try_from(index % TERM_ROWS).unwrap_or(0), &terms);
            }
        }
        self.rows = rows.len;
    }

    /// Calls `look` for the candidates of a plan among the rows `low..high`, until it returns `false`, which is then returned.
    pub(super) fn search(
        &self,
        plan: &Plan,
        (low, high): (usize, usize),
        order: Order,
        mut look: impl FnMut(usize) -> bool,
    ) -> bool {
        let Some(last) = high.checked_sub(1).filter(|last| low <= *last) else { return true };
        let mut numbers = low / TERM_ROWS..last / TERM_ROWS + 1;
        while let Some(number) = if order == Order::Up { numbers.next() } else { numbers.next_back() } {
            let Some(block) = self.blocks.get(number) else { continue };
            let base = number * TERM_ROWS;
            let within = |row: usize| u32::try_from(row.saturating_sub(base).min(TERM_ROWS - 1)).unwrap_or(0);
            let (from, to) = (within(low), within(last));
            let Ok(mut join) = Join::open(plan, order, |term| Ok(block.find(term, from, to).some()));
            let mut next = Some(if order == Order::Up { from } else { to });
            while let Some(row) = next.and_then(|row| join.seek(row).unwrap_or_else(|never| match never {})) {
                if !look(base + row as usize) {
                    return false;
                }
                next = order.next(row);
            }
        }
        true
    }
}
