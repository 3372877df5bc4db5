//! Terms in the index: blocks of a unit, the rows of a term in them, and the merging of 32 chunks into a slab.

use super::fault::{Fault, Outcome};
use super::index::{checked, Index};
use super::index_keys::Pair;
use super::last_rows::{LastRows, LastRowsBuilder};
use super::term_blocks::{begin_of, split_block, Begin, BlockRuns, BlockWriter, TermBlock, Unit, FIRST};
use crate::store::terms::{Postings, Run, Term};
use crate::store::Order;

/// Blocks of a slab that are written at a time: some 256 KB.
const STEP: usize = 64;

/// A block, and where it begins.
struct Block {
    begin: Begin,
    value: sled::IVec,
}

impl Block {
    fn read(pair: Option<(sled::IVec, sled::IVec)>) -> Outcome<Option<Self>> {
        let Some((key, value)) = pair else { return Ok(None) };
        let begin = begin_of(&key).ok_or_else(unreadable)?;
        Ok(Some(Block { begin, value: checked(&key, &value)? }))
    }

    /// Its runs, and where the next block begins.
    fn runs(&self) -> Outcome<(Vec<Run>, Option<Begin>)> {
        let (next, bytes) = split_block(self.begin, &self.value).ok_or_else(unreadable)?;
        let mut runs = BlockRuns::new(self.begin.0, bytes);
        let all = runs.by_ref().collect();
        if runs.is_torn() {
            return Err(unreadable());
        }
        Ok((all, next))
    }

    fn of_term(&self, term: Term) -> Outcome<TermBlock> {
        TermBlock::read(self.begin, &self.value, term).ok_or_else(unreadable)
    }
}

fn unreadable() -> Fault {
    Fault::content("a block of terms is unreadable")
}

impl Index {
    /// The last block of a unit that begins with this term and row or before; `None` if the unit has no blocks.
    fn block_until(&self, unit: Unit, at: Begin) -> Outcome<Option<Block>> {
        Block::read(self.db.first_of(unit.key(at)..=unit.key(FIRST))?)
    }

    /// The block that begins here.
    fn block_at(&self, unit: Unit, begin: Begin) -> Outcome<Block> {
        self.block_until(unit, begin)?.filter(|block| block.begin == begin).ok_or_else(unreadable)
    }

    /// Keys of all blocks of a unit.
    pub(super) fn block_keys(&self, unit: Unit) -> Outcome<Vec<Vec<u8>>> {
        self.db.keys_of(&unit.prefix())
    }

    /// The blocks of a chunk that does not complete a slab, and the keys that an attempt before a crash has left and that have to
    /// be removed.
    pub(super) fn chunk_blocks(
        &self,
        unit: Unit,
        runs: impl Iterator<Item = Run>,
    ) -> Outcome<(Vec<Pair>, Vec<Vec<u8>>)> {
        let mut writer = BlockWriter::new(unit);
        runs.for_each(|run| writer.push(run));
        let blocks = writer.finish();
        let mut stale = self.block_keys(unit)?;
        // Keys of later blocks sort before those of earlier ones.
        stale.retain(|key| blocks.binary_search_by(|(new, _)| key.cmp(new)).is_err());
        Ok((blocks, stale))
    }

    /// Writes the blocks of a complete slab, from the blocks of its chunks and the runs of the last chunk. They are not read before
    /// the checkpoint counts the slab.
    pub(super) fn merge_terms(&self, slab: u32, last: Vec<Run>) -> Outcome<()> {
        let unit = Unit::Slab(slab);
        self.write(Vec::new(), self.block_keys(unit)?)?;
        let mut sources: Vec<Source<'_>> =
            (unit.first()..unit.end() - 1).map(|chunk| Source::chunk(self, chunk)).collect();
        sources.push(Source::memory(last));
        for source in &mut sources {
            source.fill()?;
        }
        let mut writer = BlockWriter::new(unit);
        while let Some(term) = sources.iter().filter_map(Source::term).min() {
            for (number, source) in (unit.first()..).zip(&mut sources) {
                while let Some(run) = source.next_of(term)? {
                    let [first, last] = [run.first, run.last].map(|row| unit.row(number, row as usize));
                    writer.push(Run { term, first, last });
                }
            }
            if writer.ready() >= STEP {
                self.write(writer.take(), Vec::new())?;
            }
        }
        self.write(writer.finish(), Vec::new())
    }

    /// Reads the last row of each term of a unit.
    pub(super) fn last_rows(&self, unit: Unit) -> Outcome<LastRows> {
        let mut found = LastRowsBuilder::default();
        let mut blocks = Blocks::new(self, unit);
        while let Some(runs) = blocks.next()? {
            runs.into_iter().for_each(|run| found.push(run.term, run.last));
        }
        Ok(found.finish())
    }

    /// A sum over all runs of a unit that does not depend on their order. Equal sums mean equal rows.
    pub(super) fn sum_of_terms(&self, unit: Unit) -> Outcome<TermSum> {
        let mut sum = TermSum::default();
        let mut blocks = Blocks::new(self, unit);
        while let Some(runs) = blocks.next()? {
            runs.into_iter().for_each(|run| sum.add(run));
        }
        Ok(sum)
    }
}

/// A sum over terms and rows. It does not depend on how rows are divided into runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TermSum(u64);

impl TermSum {
    pub(super) fn add(&mut self, run: Run) {
        for row in run.first..=run.last {
            let mixed = (run.term << 21 ^ u64::from(row)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            self.0 = self.0.wrapping_add((mixed ^ mixed >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9));
        }
    }
}

/// The runs of a unit, block by block.
struct Blocks<'a> {
    index: &'a Index,
    unit: Unit,
    /// Where the next block begins.
    next: Option<Begin>,
}

impl<'a> Blocks<'a> {
    fn new(index: &'a Index, unit: Unit) -> Self {
        Blocks { index, unit, next: Some(FIRST) }
    }

    fn next(&mut self) -> Outcome<Option<Vec<Run>>> {
        let Some(begin) = self.next.take() else { return Ok(None) };
        let block = match begin {
            // A unit without terms has no blocks.
            FIRST => self.index.block_until(self.unit, FIRST)?,
            later => Some(self.index.block_at(self.unit, later)?),
        };
        let Some(block) = block else { return Ok(None) };
        let (runs, next) = block.runs()?;
        self.next = next;
        Ok(Some(runs))
    }
}

/// The runs of a chunk, in order.
struct Source<'a> {
    /// The blocks from which more runs come.
    more: Option<Blocks<'a>>,
    runs: std::vec::IntoIter<Run>,
}

impl<'a> Source<'a> {
    fn chunk(index: &'a Index, chunk: u32) -> Self {
        Source { more: Some(Blocks::new(index, Unit::Chunk(chunk))), runs: Vec::new().into_iter() }
    }

    fn memory(runs: Vec<Run>) -> Self {
        Source { more: None, runs: runs.into_iter() }
    }

    /// The term of the next run.
    fn term(&self) -> Option<Term> {
        self.runs.as_slice().first().map(|run| run.term)
    }

    /// The next run if it is of this term.
    fn next_of(&mut self, term: Term) -> Outcome<Option<Run>> {
        if self.term() != Some(term) {
            return Ok(None);
        }
        let run = self.runs.next();
        self.fill()?;
        Ok(run)
    }

    /// Reads the next block once all runs are taken.
    fn fill(&mut self) -> Outcome<()> {
        let Some(blocks) = self.more.as_mut().filter(|_| self.runs.as_slice().is_empty()) else { return Ok(()) };
        if let Some(runs) = blocks.next()? {
            self.runs = runs.into_iter();
        }
        Ok(())
    }
}

/// The rows of a term in a unit, read block by block.
pub(super) struct IndexedRows<'a> {
    index: &'a Index,
    unit: Unit,
    term: Term,
    block: TermBlock,
}

impl<'a> IndexedRows<'a> {
    /// Opens the rows of a term at `row`; `None` if no row from there on, in this order, has the term.
    pub(super) fn open(index: &'a Index, unit: Unit, term: Term, row: u32, order: Order) -> Outcome<Option<Self>> {
        let mut rows = IndexedRows { index, unit, term, block: TermBlock::default() };
        Ok(rows.seek(row, order)?.map(|_| rows))
    }
}

impl Postings for IndexedRows<'_> {
    type Fault = Fault;

    fn seek(&mut self, row: u32, order: Order) -> Outcome<Option<u32>> {
        if self.block.covers(row) {
            return Ok(self.block.runs.nearest(row, order));
        }
        let Some(block) = self.index.block_until(self.unit, (self.term, row))? else { return Ok(None) };
        self.block = block.of_term(self.term)?;
        match self.block.runs.nearest(row, order) {
            Some(found) => Ok(Some(found)),
            None if self.block.covers(row) => Ok(None),
            None => self.seek_behind(row, order),
        }
    }

    fn few(&self) -> Option<usize> {
        self.block.is_whole().then(|| self.block.runs.count())
    }
}

impl IndexedRows<'_> {
    /// Continues in the next block, because no block up to here has a row from `row` on.
    fn seek_behind(&mut self, row: u32, order: Order) -> Outcome<Option<u32>> {
        if order == Order::Down {
            return Ok(None);
        }
        match self.block.next.filter(|(term, _)| *term == self.term) {
            Some(next) => {
                self.block = self.index.block_at(self.unit, next)?.of_term(self.term)?;
                Ok(self.block.runs.nearest(row, order))
            }
            None => {
                // Remembered, so that the next call needs no look-up.
                self.block = TermBlock { from: row, to: u32::MAX, ..TermBlock::default() };
                Ok(None)
            }
        }
    }
}
