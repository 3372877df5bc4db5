//! Terms and their rows as the index keeps them: sorted, delta-coded, in blocks of about 4 KB.
//!
//! A *unit* is a chunk, or the 32 chunks of a complete slab; it has one sequence of blocks. The number of a row in a unit is the
//! number of its chunk within the unit, times 65,536, plus its number in the chunk. docs/design/store.md has the bytes.

use super::coding::{put_varint, Input};
use super::filter::COLUMNS;
use super::index_keys::{seal, Pair};
use crate::store::terms::{Run, Runs, Term, TERM_BITS};

/// Bytes after which a block ends. A look-up reads one block, and parses half of it on average.
const BLOCK: usize = 4096;

/// Bytes of a term in a key.
const TERM_LEN: usize = TERM_BITS as usize / 8;

/// Bits of a row's number in its chunk.
pub(super) const ROW_BITS: u32 = 16;

/// Rows that have one index of terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Chunk(u32),
    Slab(u32),
}

impl Unit {
    /// The unit that holds a chunk, when this many chunks are indexed.
    pub(super) fn of(chunk: u32, indexed: usize) -> Self {
        let slab = chunk / COLUMNS;
        if (slab as usize) < indexed / COLUMNS as usize {
            Unit::Slab(slab)
        } else {
            Unit::Chunk(chunk)
        }
    }

    /// Its first chunk.
    pub(super) fn first(self) -> u32 {
        match self {
            Unit::Chunk(chunk) => chunk,
            Unit::Slab(slab) => slab * COLUMNS,
        }
    }

    /// The first chunk after it.
    pub(super) fn end(self) -> u32 {
        match self {
            Unit::Chunk(chunk) => chunk + 1,
            Unit::Slab(slab) => (slab + 1) * COLUMNS,
        }
    }

    /// The number in this unit of a chunk's row.
    pub(super) fn row(self, chunk: u32, row: usize) -> u32 {
        (chunk - self.first()) << ROW_BITS | u32::try_from(row).unwrap_or(u32::MAX).min((1 << ROW_BITS) - 1)
    }

    /// The chunk, and the row in it, of a row number in this unit.
    pub(super) fn chunk_row(self, row: u32) -> (u32, usize) {
        (self.first() + (row >> ROW_BITS), (row & ((1 << ROW_BITS) - 1)) as usize)
    }

    /// The prefix of its blocks' keys.
    pub(super) fn prefix(self) -> Vec<u8> {
        let (kind, number) = match self {
            Unit::Chunk(chunk) => (b'w', chunk),
            Unit::Slab(slab) => (b'x', slab),
        };
        let mut key = vec![kind];
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    /// The key of the block that begins with this term and row. The later a block begins, the earlier its key sorts, as in
    /// [`log_key`](super::index_keys::log_key).
    pub(super) fn key(self, (term, row): Begin) -> Vec<u8> {
        let mut key = self.prefix();
        key.extend_from_slice((!term).to_be_bytes().get(size_of::<Term>() - TERM_LEN..).unwrap_or_default());
        key.extend_from_slice(&(!row).to_be_bytes());
        key
    }
}

/// Where a block begins: its first term, and the term's first row in it. The first block of a unit begins with [`FIRST`].
pub(super) type Begin = (Term, u32);

/// Where the first block of each unit begins.
pub(super) const FIRST: Begin = (0, 0);

/// What a block's key says about where it begins.
pub(super) fn begin_of(key: &[u8]) -> Option<Begin> {
    let rest = key.get(5..)?;
    let (term, row) = rest.split_at_checked(TERM_LEN)?;
    let term = term.iter().fold(0, |term, byte| term << 8 | Term::from(!*byte));
    Some((term, !u32::from_be_bytes(row.try_into().ok()?)))
}

/// Appends where the next block begins: 0 if there is none, otherwise the distance of its term from this block's, plus one, and its
/// row.
fn put_next(out: &mut Vec<u8>, begin: Begin, next: Option<Begin>) {
    match next {
        None => put_varint(out, 0),
        Some((term, row)) => {
            put_varint(out, term - begin.0 + 1);
            put_varint(out, u64::from(row));
        }
    }
}

/// Where the next block begins, and the runs of a block; `None` if its bytes are not valid. The next block is always later.
pub(super) fn split_block(begin: Begin, bytes: &[u8]) -> Option<(Option<Begin>, &[u8])> {
    let mut input = Input(bytes);
    let next = match input.varint()?.checked_sub(1) {
        None => None,
        Some(further) => Some((begin.0.checked_add(further)?, input.varint32()?)),
    };
    next.is_none_or(|next| next > begin).then_some((next, input.0))
}

/// Writes runs into blocks. Runs are added in order of term, then row.
pub(super) struct BlockWriter {
    unit: Unit,
    /// Complete blocks.
    blocks: Vec<Pair>,
    /// The last block, which is complete once it is known where the next one begins.
    last: Option<(Begin, Vec<u8>)>,
    /// The current block: where it begins, its runs, and the last term in it. Without runs it has not begun.
    begin: Begin,
    bytes: Vec<u8>,
    term: Term,
    /// The term that is not in a block yet, and its rows.
    pending: Option<(Term, Vec<(u32, u32)>)>,
    /// The most bytes that these can take.
    size: usize,
}

impl BlockWriter {
    pub(super) fn new(unit: Unit) -> Self {
        let (blocks, bytes) = (Vec::new(), Vec::new());
        BlockWriter { unit, blocks, last: None, begin: FIRST, bytes, term: 0, pending: None, size: 0 }
    }

    pub(super) fn push(&mut self, run: Run) {
        match &mut self.pending {
            Some((term, runs)) if *term == run.term => match runs.last_mut() {
                Some((_, last)) if *last + 1 == run.first => *last = run.last,
                _ => {
                    runs.push((run.first, run.last));
                    self.size += 8;
                }
            },
            _ => {
                self.put_pending();
                self.pending = Some((run.term, vec![(run.first, run.last)]));
                self.size = 16;
            }
        }
        if self.bytes.len() + self.size >= BLOCK {
            // A term with many rows continues in the next block, and further terms follow it there.
            self.put_pending();
            self.end_block();
        }
    }

    fn put_pending(&mut self) {
        let Some((term, runs)) = self.pending.take() else { return };
        self.size = 0;
        let Some((first, last)) = runs.first().copied() else { return };
        if self.bytes.is_empty() {
            if let Some(last) = self.last.take() {
                self.begin = (term, first);
                self.put_block(last, Some(self.begin));
            }
            self.term = self.begin.0;
        }
        let single = runs.len() == 1 && first == last;
        put_varint(&mut self.bytes, (term - self.term) << 1 | u64::from(single));
        self.term = term;
        if single {
            put_varint(&mut self.bytes, u64::from(first));
            return;
        }
        put_varint(&mut self.bytes, runs.len() as u64);
        let mut next = 0;
        for (first, last) in runs {
            let long = last > first;
            put_varint(&mut self.bytes, u64::from(first - next) << 1 | u64::from(long));
            if long {
                put_varint(&mut self.bytes, u64::from(last - first));
            }
            next = last;
        }
    }

    fn end_block(&mut self) {
        if !self.bytes.is_empty() {
            self.last = Some((self.begin, std::mem::take(&mut self.bytes)));
        }
    }

    fn put_block(&mut self, (begin, runs): (Begin, Vec<u8>), next: Option<Begin>) {
        let mut value = Vec::with_capacity(runs.len() + 16);
        put_next(&mut value, begin, next);
        value.extend_from_slice(&runs);
        self.blocks.push(seal(self.unit.key(begin), value));
    }

    /// Blocks that are complete.
    pub(super) fn take(&mut self) -> Vec<Pair> {
        std::mem::take(&mut self.blocks)
    }

    /// How many complete blocks there are.
    pub(super) fn ready(&self) -> usize {
        self.blocks.len()
    }

    /// The last blocks.
    pub(super) fn finish(mut self) -> Vec<Pair> {
        self.put_pending();
        self.end_block();
        if let Some(last) = self.last.take() {
            self.put_block(last, None);
        }
        self.blocks
    }
}

/// Iterates over the runs in a block. Ends early at bytes that are not valid.
pub(super) struct BlockRuns<'a> {
    input: Input<'a>,
    term: Term,
    /// The remaining runs of this term, and the row before them.
    left: u64,
    before: u32,
    torn: bool,
}

impl<'a> BlockRuns<'a> {
    /// Iterates over the runs of the block that begins with this term.
    pub(super) fn new(term: Term, bytes: &'a [u8]) -> Self {
        BlockRuns { input: Input(bytes), term, left: 0, before: 0, torn: false }
    }

    /// Whether it ended early.
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    fn run(&mut self) -> Option<Run> {
        if self.left == 0 {
            let head = self.input.varint()?;
            self.term = self.term.checked_add(head >> 1)?;
            if head & 1 == 1 {
                let row = self.input.varint32()?;
                return Some(Run { term: self.term, first: row, last: row });
            }
            (self.left, self.before) = (self.input.varint()?, 0);
        }
        self.left = self.left.checked_sub(1)?;
        let gap = self.input.varint()?;
        let first = self.before.checked_add(u32::try_from(gap >> 1).ok()?)?;
        let more = if gap & 1 == 1 { self.input.varint32()? } else { 0 };
        self.before = first.checked_add(more)?;
        Some(Run { term: self.term, first, last: self.before })
    }
}

impl Iterator for BlockRuns<'_> {
    type Item = Run;

    fn next(&mut self) -> Option<Run> {
        if self.torn || self.left == 0 && self.input.is_empty() {
            return None;
        }
        let run = self.run();
        self.torn = run.is_none();
        run
    }
}

/// Rows of one term in a block, the range of rows that the block covers completely, and where the next block begins.
#[derive(Debug, Default)]
pub(super) struct TermBlock {
    pub(super) runs: Runs,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) next: Option<Begin>,
}

impl TermBlock {
    /// The rows of `term` in the block that begins here; `None` if the block is not valid.
    pub(super) fn read(begin: Begin, bytes: &[u8], term: Term) -> Option<Self> {
        let (next, bytes) = split_block(begin, bytes)?;
        let (first, row) = begin;
        let mut block = TermBlock { runs: Runs::default(), from: if first == term { row } else { 0 }, to: 0, next };
        let mut all = BlockRuns::new(first, bytes);
        for run in all.by_ref() {
            if run.term > term {
                // The term does not continue in another block.
                block.to = u32::MAX;
                return Some(block);
            }
            if run.term == term {
                block.runs.0.push((run.first, run.last));
                block.to = run.last;
            }
        }
        (!all.is_torn()).then_some(block)
    }

    /// Whether the range covers this row.
    pub(super) fn covers(&self, row: u32) -> bool {
        self.from <= row && row <= self.to && (self.to == u32::MAX || !self.runs.0.is_empty())
    }

    /// All rows of the term in the unit, if they are in this block.
    pub(super) fn is_whole(&self) -> bool {
        self.from == 0 && self.to == u32::MAX
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, btree_set};

    use super::super::index_keys::unseal;
    use super::*;

    proptest::proptest! {
        #[test]
        fn blocks_hold_what_was_put_into_them(
            rows in btree_map(0..1_u64 << TERM_BITS, btree_set(0..1_u32 << 21, 1..60), 0..200),
            common in btree_set(0..5000_u32, 0..4000),
            slab: bool,
        ) {
            let mut rows: BTreeMap<Term, Vec<u32>> =
                rows.into_iter().map(|(term, rows)| (term, rows.into_iter().collect())).collect();
            if !common.is_empty() {
                rows.insert(1 << 39, common.into_iter().collect());
            }
            let unit = if slab { Unit::Slab(3) } else { Unit::Chunk(9) };
            let mut writer = BlockWriter::new(unit);
            for (term, rows) in &rows {
                rows.iter().for_each(|row| writer.push(Run { term: *term, first: *row, last: *row }));
            }
            let blocks = writer.finish();
            let mut found: BTreeMap<Term, Vec<u32>> = BTreeMap::new();
            let begins: Vec<Begin> = blocks.iter().map(|(key, _)| begin_of(key).unwrap()).collect();
            proptest::prop_assert!(begins.first().is_none_or(|first| *first == FIRST));
            for pair in blocks.windows(2) {
                proptest::prop_assert!(pair[0].0 > pair[1].0, "later blocks sort before earlier ones");
            }
            for (number, (key, value)) in blocks.iter().enumerate() {
                proptest::prop_assert!(value.len() < BLOCK + 64, "{} bytes", value.len());
                proptest::prop_assert!(key.starts_with(&unit.prefix()));
                let begin = begins[number];
                proptest::prop_assert_eq!(&unit.key(begin), key);
                let (next, bytes) = split_block(begin, unseal(key, value).unwrap()).unwrap();
                proptest::prop_assert_eq!(next, begins.get(number + 1).copied());
                let mut runs = BlockRuns::new(begin.0, bytes).peekable();
                let first = runs.peek().map(|run| (run.term, run.first));
                proptest::prop_assert!(number == 0 || first == Some(begin));
                for run in runs {
                    found.entry(run.term).or_default().extend(run.first..=run.last);
                }
                for cut in 0..bytes.len().min(40) {
                    split_block(begin, &value[..cut]);
                    BlockRuns::new(begin.0, &bytes[..cut]).for_each(drop);
                }
            }
            proptest::prop_assert_eq!(found, rows);
        }
    }

    #[test]
    fn a_tag_of_its_own_takes_seven_bytes_and_a_name_of_all_events_next_to_nothing() {
        let random = |n: u64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - TERM_BITS);
        for (unit, count, most) in [(Unit::Chunk(0), 48 << 10, 7.5), (Unit::Slab(0), 1_500_000, 6.5)] {
            let mut runs: Vec<Run> =
                (0..count).map(|row| Run { term: random(u64::from(row)), first: row, last: row }).collect();
            runs.sort_unstable_by_key(|run| (run.term, run.first));
            let mut writer = BlockWriter::new(unit);
            runs.into_iter().for_each(|run| writer.push(run));
            let bytes: usize = writer.finish().iter().map(|(key, value)| key.len() + value.len()).sum();
            let each = bytes as f64 / f64::from(count);
            assert!(each < most, "{unit:?}: {each} bytes");
        }
        let mut writer = BlockWriter::new(Unit::Slab(0));
        (0..1_500_000).for_each(|row| writer.push(Run { term: 7, first: row, last: row }));
        let blocks = writer.finish();
        assert!(blocks.len() == 1 && blocks[0].1.len() < 20);
    }
}
