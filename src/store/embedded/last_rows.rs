//! Keeps the last row of each term of a unit in memory. With it a search knows, without reading the index, that a unit has no
//! match.
//!
//! Conditions of appends and ids of requests mostly search for events that do not exist. Without this module each such search would
//! read the index once for each unit. Only units that are searched often are kept, and only up to [`MAX_BYTES`] for all of them
//! together.

use std::collections::BTreeMap;

use super::filter::COLUMNS;
use super::term_blocks::{Unit, ROW_BITS};
use crate::node::Change;
use crate::row::Position;
use crate::store::terms::{Plan, Term, TERM_BITS};

/// Memory for all units, in bytes: enough for about seven million terms. When it is full, the oldest units are dropped, and
/// searches read the index for them again.
pub(super) const MAX_BYTES: usize = 32 << 20;

/// After this many look-ups in a unit its terms are loaded into memory. Programs that search only now and then pay nothing.
const ASKED: u32 = 16;

/// Entries in a bucket. A bucket fills one cache line of the processor.
const BUCKET: usize = 16;

/// Entries of a bucket that are used on average.
const FILL: usize = 12;

/// Bits of an entry that hold the row: 5 bits for the chunk in its slab, and `ROW_BITS` for the row in that chunk.
const LAST_BITS: u32 = ROW_BITS + COLUMNS.ilog2();

/// Marks a free place in a bucket. No entry has all bits set.
const FREE: u32 = u32::MAX;

/// The last row of each term of a unit: a hash table of buckets. Two terms may have the same mark; then the later of their rows
/// counts for both.
#[derive(Debug, Default)]
pub(super) struct LastRows {
    buckets: Vec<[u32; BUCKET]>,
}

/// Builds [`LastRows`] from runs, which come in order of term, then row.
#[derive(Default)]
pub(super) struct LastRowsBuilder {
    /// For each term, the term with its last row in the lowest `LAST_BITS` bits.
    found: Vec<u64>,
}

impl LastRowsBuilder {
    pub(super) fn push(&mut self, term: Term, last: u32) {
        let entry = term << LAST_BITS | u64::from(last);
        match self.found.last_mut() {
            Some(before) if *before >> LAST_BITS == term => *before = entry,
            _ => self.found.push(entry),
        }
    }

    pub(super) fn finish(self) -> LastRows {
        let mut rows = LastRows { buckets: vec![[FREE; BUCKET]; self.found.len().div_ceil(FILL)] };
        self.found.into_iter().for_each(|entry| rows.insert(entry >> LAST_BITS, entry & ((1 << LAST_BITS) - 1)));
        rows
    }
}

impl LastRows {
    fn insert(&mut self, term: Term, row: u64) {
        let entry = mark(term) << LAST_BITS | u32::try_from(row).unwrap_or(u32::MAX >> (u32::BITS - LAST_BITS));
        for at in self.buckets_of(term) {
            let free = self.buckets.get_mut(at).and_then(|bucket| bucket.iter_mut().find(|entry| **entry == FREE));
            if let Some(free) = free {
                *free = entry;
                return;
            }
        }
    }

    /// A row after which the unit has no row with this term. `None` if it has no row with the term at all.
    fn last(&self, term: Term) -> Option<u32> {
        let mark = mark(term);
        let mut last = None;
        for at in self.buckets_of(term) {
            let bucket = self.buckets.get(at)?;
            let rows = bucket.iter().filter(|entry| **entry >> LAST_BITS == mark && **entry != FREE);
            last = last.max(rows.map(|entry| entry & ((1 << LAST_BITS) - 1)).max());
            if bucket.contains(&FREE) {
                break;
            }
        }
        last
    }

    /// The buckets to try for a term, in order. The search ends at the first bucket with a free place.
    fn buckets_of(&self, term: Term) -> impl Iterator<Item = usize> {
        let count = self.buckets.len();
        // Terms are hashes, so their upper bits are spread evenly.
        let first = usize::try_from((term * count as u64) >> TERM_BITS).unwrap_or(0);
        (0..count).map(move |step| (first + step) % count)
    }

    fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<[u32; BUCKET]>()
    }
}

/// The bits of a term that distinguish it from others in its bucket. Never all bits set.
fn mark(term: Term) -> u32 {
    const LARGEST: u64 = (1 << (u32::BITS - LAST_BITS)) - 2;
    u32::try_from((term & (LARGEST | 1)).min(LARGEST)).unwrap_or(0)
}

/// The [`LastRows`] of the units that are searched often.
#[derive(Default)]
pub(super) struct KnownUnits {
    /// By the number of the chunk. When a slab is added, its chunks are removed.
    chunks: BTreeMap<u32, LastRows>,
    slabs: BTreeMap<u32, LastRows>,
    bytes: usize,
    /// Units before this chunk were dropped for lack of memory, and are not loaded again.
    dropped: u32,
    /// Counts look-ups in units that are not in memory, by first chunk.
    asked: BTreeMap<u32, u32>,
    /// Whether some unit has been searched often enough to be loaded. From then on each unit is kept as soon as it is indexed.
    in_use: bool,
}

impl KnownUnits {
    /// Whether units are to be kept as soon as they are indexed.
    pub(super) fn is_in_use(&self) -> bool {
        self.in_use
    }

    /// Counts a look-up of a unit in the index. Returns true once for each unit: when it is to be loaded.
    pub(super) fn ask(&mut self, unit: Unit) -> bool {
        if unit.first() < self.dropped || self.of(unit).is_some() {
            return false;
        }
        let asked = self.asked.entry(unit.first()).or_default();
        *asked += 1;
        let wanted = *asked == ASKED;
        self.in_use |= wanted;
        wanted
    }

    pub(super) fn insert(&mut self, unit: Unit, rows: LastRows) {
        self.asked.remove(&unit.first());
        if let Unit::Slab(_) = unit {
            while let Some((_, chunk)) = pop(&mut self.chunks, unit.end()) {
                self.bytes -= chunk.bytes();
            }
        }
        let units = if let Unit::Slab(_) = unit { &mut self.slabs } else { &mut self.chunks };
        self.bytes += rows.bytes();
        self.bytes -= units.insert(unit.first(), rows).map_or(0, |before| before.bytes());
        self.shrink(MAX_BYTES);
    }

    /// Drops the oldest units until the others take at most so many bytes.
    fn shrink(&mut self, most: usize) {
        while self.bytes > most {
            let Some((first, rows)) = self.slabs.pop_first().or_else(|| self.chunks.pop_first()) else { break };
            self.bytes -= rows.bytes();
            self.dropped = self.dropped.max(first + 1);
        }
    }

    fn of(&self, unit: Unit) -> Option<&LastRows> {
        let units = if let Unit::Slab(_) = unit { &self.slabs } else { &self.chunks };
        units.get(&unit.first())
    }

    /// Whether a unit certainly has no match of a plan after change `after`. `None` if the unit is not in memory. `firsts` are the
    /// last positions before each chunk.
    pub(super) fn lacks(&self, unit: Unit, plan: &Plan, after: Change, firsts: &[Position]) -> Option<bool> {
        let rows = self.of(unit)?;
        let is_behind = |term: &Term| {
            rows.last(*term).is_some_and(|row| {
                let (chunk, row) = unit.chunk_row(row);
                // Duplicates have rows but no changes of their own, so the row's change is at most this.
                firsts.get(chunk as usize).is_none_or(|before| before.change + row as u64 + 1 > after)
            })
        };
        Some(!plan.0.iter().any(|item| item.iter().all(|group| group.iter().any(is_behind))))
    }
}

/// Removes and returns the first unit before `end`.
fn pop(units: &mut BTreeMap<u32, LastRows>, end: u32) -> Option<(u32, LastRows)> {
    units.first_entry().filter(|first| *first.key() < end).map(|first| first.remove_entry())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::collection::{btree_map, btree_set};

    use super::*;
    use crate::store::conformance::Random;

    proptest::proptest! {
        /// The answer never lies before a term's last row, and nearly always is that row.
        #[test]
        fn the_last_row_of_each_term_is_known(
            rows in btree_map(0..1_u64 << TERM_BITS, btree_set(0..1_u32 << LAST_BITS, 1..4), 0..500),
        ) {
            let mut builder = LastRowsBuilder::default();
            for (term, rows) in &rows {
                rows.iter().for_each(|row| builder.push(*term, *row));
            }
            let known = builder.finish();
            let mut exact = 0;
            for (term, rows) in &rows {
                let (last, said) = (rows.last().copied(), known.last(*term));
                proptest::prop_assert!(said >= last);
                exact += usize::from(said == last);
            }
            proptest::prop_assert!(exact * 10 >= rows.len() * 9, "{exact} of {}", rows.len());
        }
    }

    #[test]
    fn nearly_all_terms_that_a_slab_does_not_have_are_known_to_be_absent() {
        let term = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - TERM_BITS);
        let terms: BTreeSet<Term> = (0..1_000_000).map(term).collect();
        let mut builder = LastRowsBuilder::default();
        terms.iter().for_each(|term| builder.push(*term, 1));
        let known = builder.finish();
        assert!(terms.iter().all(|term| known.last(*term).is_some()));
        let wrong = (1_000_000..1_100_000).filter(|n| known.last(term(*n)).is_some()).count();
        assert!(wrong < 1500, "{wrong} of 100,000");
        assert!(known.bytes() < 6 * terms.len(), "{} bytes", known.bytes());
    }

    #[test]
    fn the_oldest_units_go_first() {
        let mut known = KnownUnits::default();
        let rows = || LastRows { buckets: vec![[FREE; BUCKET]; MAX_BYTES / 64 / 4] };
        for slab in 0..6 {
            let unit = Unit::Slab(slab);
            assert_eq!((0..40).filter(|_| known.ask(unit)).count(), 1, "it is told once that it is wanted");
            known.insert(unit, rows());
            assert!(known.bytes <= MAX_BYTES);
        }
        let plan = Plan(vec![vec![vec![7]]]);
        let lacks =
            |known: &KnownUnits| (0..6).map(|slab| known.lacks(Unit::Slab(slab), &plan, 0, &[])).collect::<Vec<_>>();
        assert_eq!(lacks(&known), [None, None, Some(true), Some(true), Some(true), Some(true)]);
        assert!((0..40).all(|_| !known.ask(Unit::Slab(0))), "nobody makes again what has no room");
    }

    #[test]
    fn a_unit_lacks_a_query_whose_terms_all_lie_before_it() {
        const FIVE: Term = (5 << 30) + 5;
        const NINE: Term = (9 << 30) + 9;
        let mut builder = LastRowsBuilder::default();
        // In chunk 32, the first one of slab 1: term 5 is in row 10, term 9 in row 3.
        [(FIVE, 10), (NINE, 3)].into_iter().for_each(|(term, row)| builder.push(term, row));
        let mut known = KnownUnits::default();
        known.insert(Unit::Slab(1), builder.finish());
        let firsts: Vec<Position> = (0..64).map(|chunk| Position::of(chunk * 100)).collect();
        let lacks = |plan: Vec<Vec<Vec<Term>>>, after| known.lacks(Unit::Slab(1), &Plan(plan), after, &firsts);
        let (five, nine, none) = (vec![FIVE], vec![NINE], vec![(7 << 30) + 7]);
        assert_eq!(lacks(vec![vec![five.clone()]], 3210), Some(false), "row 10 is change 3211");
        assert_eq!(lacks(vec![vec![five.clone()]], 3211), Some(true));
        assert_eq!(lacks(vec![vec![none.clone()]], 0), Some(true));
        assert_eq!(lacks(vec![vec![five.clone(), none.clone()]], 0), Some(true), "it needs both");
        assert_eq!(lacks(vec![vec![none], vec![nine.clone()]], 0), Some(false), "either will do");
        assert_eq!(lacks(vec![vec![five, nine]], 3204), Some(true), "one of the two lies before");
        assert_eq!(known.lacks(Unit::Slab(0), &Plan(Vec::new()), 0, &firsts), None);
    }

    /// Chunks are indexed and slabs completed; units are asked for, loaded and dropped. What is said to be absent always is.
    #[test]
    fn no_unit_lacks_what_it_has_whatever_is_indexed_loaded_and_dropped() {
        /// Room for about a slab and a half.
        const MOST: usize = 4096;
        let mut random = Random(1128);
        // A few marks, among them the largest, in terms from all over the range.
        let terms: Vec<Term> = (0..400)
            .map(|_| (random.draw() >> (u64::BITS - TERM_BITS)) & !2047 | [0, 1, 2046, 2047][random.below(4)])
            .collect();
        let mut known = KnownUnits::default();
        let mut firsts: Vec<Position> = Vec::new();
        // For each chunk, the term and the change of each row.
        let mut chunks: Vec<Vec<(Term, Change)>> = Vec::new();
        let (mut change, mut said, mut dropped) = (0, [0; 3], false);
        let load = |known: &mut KnownUnits, chunks: &[Vec<(Term, Change)>], unit: Unit| {
            let mut runs: Vec<(Term, u32)> = (unit.first()..unit.end())
                .flat_map(|number| {
                    (0_usize..)
                        .zip(&chunks[number as usize])
                        .map(move |(row, (term, _))| (*term, unit.row(number, row)))
                })
                .collect();
            runs.sort_unstable();
            let mut builder = LastRowsBuilder::default();
            runs.into_iter().for_each(|(term, row)| builder.push(term, row));
            known.insert(unit, builder.finish());
            known.shrink(MOST);
        };
        for number in 0..200 {
            let before = Position::of(change);
            let rows = (0..1 + random.below(12)).map(|_| {
                // A duplicate has no change of its own.
                change += u64::from(!random.once_in(4));
                (terms[random.below(terms.len())], change)
            });
            chunks.push(rows.collect());
            // As the indexer does: first the memory, then the chunk counts as indexed.
            if known.is_in_use() {
                load(&mut known, &chunks, Unit::of(number, chunks.len()));
            }
            for indexed in [firsts.len(), firsts.len() + 1] {
                if indexed > firsts.len() {
                    firsts.push(before);
                }
                for _ in 0..40 * indexed.min(1) {
                    let unit = Unit::of(u32::try_from(random.below(indexed)).unwrap(), indexed);
                    let items = (0..1 + random.below(2)).map(|_| {
                        (0..1 + random.below(2))
                            .map(|_| (0..1 + random.below(2)).map(|_| terms[random.below(400)]).collect())
                            .collect()
                    });
                    let (plan, after) = (Plan(items.collect()), random.draw() % (change + 2));
                    let has = |term: &Term| {
                        let rows = chunks[unit.first() as usize..unit.end() as usize].iter().flatten();
                        rows.into_iter().any(|(each, change)| each == term && *change > after)
                    };
                    let lacks = !plan.0.iter().any(|item| item.iter().all(|group| group.iter().any(has)));
                    let told = known.lacks(unit, &plan, after, &firsts);
                    assert!(told != Some(true) || lacks, "{unit:?} has {plan:?} after {after}");
                    said[told.map_or(2, usize::from)] += usize::from(lacks);
                    if told.is_none() && known.ask(unit) {
                        load(&mut known, &chunks, unit);
                    }
                    let bytes = known.slabs.values().chain(known.chunks.values()).map(LastRows::bytes).sum::<usize>();
                    assert!(known.bytes == bytes && bytes <= MOST);
                    dropped |= known.dropped > 0;
                }
            }
        }
        // Each kind of answer was given: a false hint, the truth, and none.
        assert!(dropped && said.iter().all(|count| *count > 1000), "{said:?}");
    }
}
