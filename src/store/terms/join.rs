//! Finds the rows that may match a query, one after the other, by combining the rows of its terms.

use super::{Plan, Term};
use crate::store::Order;

/// The rows of a term.
pub(crate) trait Postings {
    /// The error of reading them.
    type Fault;

    /// The first row from `row` on, in this order, that has the term.
    fn seek(&mut self, row: u32, order: Order) -> Result<Option<u32>, Self::Fault>;

    /// The number of rows, if reading their events costs less than looking up other terms.
    fn few(&self) -> Option<usize> {
        None
    }
}

/// The candidates of a query among some rows.
pub(crate) struct Join<P> {
    /// As in [`Plan`]: a row is a candidate if, for one of these items, each group has a list that contains the row.
    items: Vec<Vec<Vec<P>>>,
    order: Order,
}

/// Up to this many candidates of an item, it is cheaper to read the events than to look up the item's other terms.
pub(crate) const FEW: usize = 16;

impl<P: Postings> Join<P> {
    /// Opens the rows of the terms of a plan, as far as they are needed. `open` returns `None` for a term that no row has.
    pub(crate) fn open(
        plan: &Plan,
        order: Order,
        mut open: impl FnMut(Term) -> Result<Option<P>, P::Fault>,
    ) -> Result<Self, P::Fault> {
        let mut items = Vec::new();
        'items: for groups in &plan.0 {
            let mut found: Vec<Vec<P>> = Vec::with_capacity(groups.len());
            for terms in groups {
                let mut group = Vec::new();
                for term in terms {
                    group.extend(open(*term)?);
                }
                if group.is_empty() {
                    continue 'items;
                }
                let few = group.iter().map(Postings::few).sum::<Option<usize>>().is_some_and(|rows| rows <= FEW);
                if few {
                    found = vec![group];
                    break;
                }
                found.push(group);
            }
            items.push(found);
        }
        Ok(Join { items, order })
    }

    /// The first candidate from `row` on.
    pub(crate) fn seek(&mut self, row: u32) -> Result<Option<u32>, P::Fault> {
        let mut best: Option<u32> = None;
        for groups in &mut self.items {
            if let Some(found) = seek_item(groups, row, self.order)? {
                best = Some(best.map_or(found, |best| self.order.first(best, found)));
            }
        }
        Ok(best)
    }
}

/// The first row that all groups have. Each group in turn is asked for its first row from the last result on, until all agree. So
/// the number of look-ups is at most twice the number of rows in the rarest group, times the number of groups.
fn seek_item<P: Postings>(groups: &mut [Vec<P>], mut row: u32, order: Order) -> Result<Option<u32>, P::Fault> {
    loop {
        let start = row;
        for group in groups.iter_mut() {
            let mut nearest: Option<u32> = None;
            for postings in group {
                if let Some(found) = postings.seek(row, order)? {
                    nearest = Some(nearest.map_or(found, |nearest| order.first(nearest, found)));
                    if found == row {
                        break;
                    }
                }
            }
            match nearest {
                Some(found) => row = found,
                None => return Ok(None),
            }
        }
        if row == start {
            return Ok(Some(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::collection;
    use proptest::prelude::any;

    use super::super::Runs;
    use super::*;

    fn runs(rows: &BTreeSet<u32>) -> Runs {
        Runs(rows.iter().map(|row| (*row, *row)).collect())
    }

    proptest::proptest! {
        #[test]
        fn candidates_are_those_of_a_scan(
            rows in collection::btree_map(0..8_u8, collection::btree_set(any::<u8>(), 0..40), 0..8),
            plan in collection::vec(collection::vec(collection::vec(0..8_u8, 0..3), 0..4), 0..4),
            down: bool,
        ) {
            let terms: BTreeMap<Term, BTreeSet<u32>> = rows.iter().map(|(term, rows)| {
                (Term::from(term % 8), rows.iter().map(|row| u32::from(*row)).collect())
            }).collect();
            let plan: Vec<Vec<Vec<Term>>> = plan.iter().filter(|groups| !groups.is_empty()).map(|groups| {
                groups.iter().map(|group| group.iter().map(|term| Term::from(term % 8)).collect()).collect()
            }).collect();
            let has = |term: &Term, row: u32| terms.get(term).is_some_and(|rows| rows.contains(&row));
            let mut wanted: Vec<u32> = (0..=255).filter(|row| plan.iter().any(|groups| {
                groups.iter().all(|group| group.iter().any(|term| has(term, *row)))
            })).collect();
            let order = if down { Order::Down } else { Order::Up };
            if down {
                wanted.reverse();
            }
            let open = |term: Term| Ok(terms.get(&term).map(runs));
            let mut join = Join::open(&Plan(plan), order, open).unwrap();
            let (mut found, mut next) = (Vec::new(), Some(if down { 255 } else { 0 }));
            while let Some(row) = next {
                let Some(row) = join.seek(row).unwrap() else { break };
                found.push(row);
                next = order.next(row);
            }
            proptest::prop_assert_eq!(found, wanted);
        }
    }

    /// Counts look-ups.
    struct Counted(Runs, std::rc::Rc<std::cell::Cell<usize>>);

    impl Postings for Counted {
        type Fault = std::convert::Infallible;

        fn seek(&mut self, row: u32, order: Order) -> Result<Option<u32>, Self::Fault> {
            self.1.set(self.1.get() + 1);
            self.0.seek(row, order)
        }
    }

    #[test]
    fn a_rare_term_and_a_common_one_cost_what_the_rare_one_does() {
        let count = std::rc::Rc::default();
        let open = |term: Term| {
            let runs = if term == 0 {
                Runs(vec![(0, 1_000_000)])
            } else {
                Runs((0..100).map(|n| (n * 9999, n * 9999)).collect())
            };
            Ok(Some(Counted(runs, std::rc::Rc::clone(&count))))
        };
        let mut join = Join::open(&Plan(vec![vec![vec![0], vec![1]]]), Order::Up, open).unwrap();
        let (mut found, mut next) = (0, Some(0));
        while let Some(row) = next.and_then(|row| join.seek(row).unwrap()) {
            (found, next) = (found + 1, row.checked_add(1));
        }
        assert_eq!(found, 100);
        assert!(count.get() <= 500, "{} questions", count.get());
    }
}
