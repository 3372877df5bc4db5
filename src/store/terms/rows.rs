//! Maps terms to rows in memory, for up to 65,536 rows that are still being added.

use parking_lot::Mutex;

use super::{Postings, Term};
use crate::store::Order;

/// Rows `first..=last` that have a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) term: Term,
    pub(crate) first: u32,
    pub(crate) last: u32,
}

/// Rows by term. Adding a row only appends to a list; the table for look-ups is built on demand.
#[derive(Debug, Default)]
pub(crate) struct TermRows {
    /// The runs of each term are in order of rows.
    runs: Vec<Run>,
    /// The index of the run with the last row's name.
    name: usize,
    filed: Mutex<Filed>,
}

/// A hash table that finds runs by term. Brought up to date by each look-up.
#[derive(Debug, Default)]
struct Filed {
    /// Slots: the last run of a term, plus 1; 0 = free. Their number is 0 or a power of two; at most half are taken.
    slots: Vec<u32>,
    /// For each run, the previous run of the same term, plus 1; 0 = none.
    before: Vec<u32>,
    used: usize,
}

/// Slots of the smallest table.
const LEAST: usize = 64;

impl TermRows {
    /// Clears everything. Keeps the memory, except that of the table for look-ups.
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.name = 0;
        *self.filed.get_mut() = Filed::default();
    }

    /// Adds the terms of the next row, its name's first.
    pub(crate) fn push(&mut self, row: u32, terms: &[Term]) {
        let Some((name, others)) = terms.split_first() else { return };
        match self.runs.get_mut(self.name) {
            Some(run) if run.term == *name && run.last + 1 == row => run.last = row,
            _ => {
                self.name = self.runs.len();
                self.runs.push(Run { term: *name, first: row, last: row });
            }
        }
        self.runs.extend(others.iter().map(|term| Run { term: *term, first: row, last: row }));
    }

    /// All runs by term, then row.
    pub(crate) fn sorted(&self) -> Vec<Run> {
        let mut runs = self.runs.clone();
        runs.sort_unstable_by_key(|run| (run.term, run.first));
        runs
    }

    /// The rows from `from` to `to` that have this term.
    pub(crate) fn find(&self, term: Term, from: u32, to: u32) -> Runs {
        let mut filed = self.filed.lock();
        filed.file(&self.runs);
        let mut found = Vec::new();
        let mut next = filed.last_of(term, &self.runs);
        while let Some(index) = next {
            let Some(run) = self.runs.get(index).filter(|run| run.last >= from) else { break };
            if run.first <= to {
                found.push((run.first.max(from), run.last.min(to)));
            }
            next = filed.before.get(index).and_then(|before| before.checked_sub(1)).map(|before| before as usize);
        }
        found.reverse();
        Runs(found)
    }
}

impl Filed {
    fn file(&mut self, runs: &[Run]) {
        // Sized as if each run had a term of its own.
        let wanted = (runs.len() * 2).next_power_of_two().max(LEAST);
        if wanted > self.slots.len() {
            (self.slots, self.used) = (vec![0; wanted], 0);
            self.before.clear();
        }
        self.before.reserve(runs.len() - self.before.len());
        for (index, run) in runs.iter().enumerate().skip(self.before.len()) {
            let slot = self.slot(run.term, runs);
            let before =
                self.slots.get_mut(slot).map(|slot| std::mem::replace(slot, u32::try_from(index + 1).unwrap_or(0)));
            self.before.push(before.unwrap_or(0));
        }
    }

    /// The slot of a term, or the free slot into which it goes.
    fn slot(&self, term: Term, runs: &[Run]) -> usize {
        let mask = self.slots.len() - 1;
        // Terms are hashes, so any of their bits will do.
        let mut at = usize::try_from(term).unwrap_or(0) & mask;
        while let Some(index) = self.slots.get(at).and_then(|slot| slot.checked_sub(1)) {
            if runs.get(index as usize).is_none_or(|run| run.term == term) {
                break;
            }
            at = (at + 1) & mask;
        }
        at
    }

    fn last_of(&self, term: Term, runs: &[Run]) -> Option<usize> {
        let slot = self.slots.get(self.slot(term, runs))?;
        slot.checked_sub(1).map(|index| index as usize)
    }
}

/// Rows in order, as runs `first..=last`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Runs(pub(crate) Vec<(u32, u32)>);

impl Runs {
    /// The row itself if it is there, or the next one in this order.
    pub(crate) fn nearest(&self, row: u32, order: Order) -> Option<u32> {
        match order {
            Order::Up => {
                let at = self.0.partition_point(|(_, last)| *last < row);
                self.0.get(at).map(|(first, _)| row.max(*first))
            }
            Order::Down => {
                let at = self.0.partition_point(|(first, _)| *first <= row).checked_sub(1)?;
                self.0.get(at).map(|(_, last)| row.min(*last))
            }
        }
    }

    /// `None` if there are no rows.
    pub(crate) fn some(self) -> Option<Self> {
        (!self.0.is_empty()).then_some(self)
    }

    /// How many rows.
    pub(crate) fn count(&self) -> usize {
        self.0.iter().map(|(first, last)| (last - first) as usize + 1).sum()
    }
}

impl Postings for Runs {
    type Fault = std::convert::Infallible;

    fn seek(&mut self, row: u32, order: Order) -> Result<Option<u32>, Self::Fault> {
        Ok(self.nearest(row, order))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::any;

    use super::*;

    proptest::proptest! {
        /// Terms of names 0 to 3, tags from 10 on.
        #[test]
        fn rows_are_found_by_term_at_any_moment(
            rows in vec(option::of((any::<u8>(), vec(any::<u8>(), 0..4))), 0..200),
            ask in 0..100_u8,
        ) {
            let (mut terms, mut model) = (TermRows::default(), BTreeMap::<Term, Vec<u32>>::new());
            for (row, event) in (0_u32..).zip(&rows) {
                if let Some((name, tags)) = event {
                    let mut own = vec![Term::from(name % 4)];
                    for tag in tags.iter().map(|tag| Term::from(tag % 16 + 10)) {
                        if !own.contains(&tag) {
                            own.push(tag);
                        }
                    }
                    terms.push(row, &own);
                    own.iter().for_each(|term| model.entry(*term).or_default().push(row));
                }
                if row % (u32::from(ask) + 1) == 0 {
                    check(&terms, &model, row);
                }
            }
            check(&terms, &model, u32::MAX);
            let sorted = terms.sorted();
            proptest::prop_assert!(sorted.is_sorted_by_key(|run| (run.term, run.first)));
            terms.clear();
            proptest::prop_assert_eq!(terms.find(0, 0, u32::MAX), Runs::default());
        }
    }

    fn check(terms: &TermRows, model: &BTreeMap<Term, Vec<u32>>, end: u32) {
        let expand = |runs: Runs| runs.0.into_iter().flat_map(|(first, last)| first..=last).collect::<Vec<_>>();
        for term in 0..30 {
            let wanted = model.get(&term).cloned().unwrap_or_default();
            let found = terms.find(term, 0, u32::MAX);
            assert_eq!(found.count(), wanted.len());
            for row in [0, end / 2, end] {
                assert_eq!(found.nearest(row, Order::Up), wanted.iter().copied().find(|found| *found >= row));
                assert_eq!(found.nearest(row, Order::Down), wanted.iter().copied().rfind(|found| *found <= row));
            }
            assert_eq!(expand(found), wanted);
            let (from, to) = (end / 3, end / 3 * 2);
            let part: Vec<u32> = wanted.into_iter().filter(|row| (from..=to).contains(row)).collect();
            assert_eq!(expand(terms.find(term, from, to)), part);
        }
    }
}
