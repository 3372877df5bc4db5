//! Searches in a Level database, with an index of terms that the first search creates and every later one updates.
//!
//! 1.x and earlier versions of this module do not write to the index. So before a search, events that were stored since the last
//! one are added to it. Terms that do not fill a block yet stay in memory.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use parking_lot::{MappedMutexGuard, MutexGuard};

use super::bridge::{Op, Range};
use super::layout;
use super::medium::end_of;
use super::medium::{after, is_exact, text, Medium, BATCH_OPS};
use super::term_records::{
    block_end, block_key, block_prefix, decode_block, decode_reach, encode_block, encode_reach, parse_block_key, Reach,
    BLOCKS, TERMS,
};
use super::LevelStore;
use crate::error::{Error, Result};
use crate::node::{Change, Key};
use crate::row::{Position, Row};
use crate::store::search::{Found, Gather, Look, Order, Span};
use crate::store::terms::{Join, Plan, Postings, Run, Runs, Term, TermRows, Terms};
use crate::store::{Progress, ReadLimit, Store};

/// Nodes whose terms are written together. The terms of fewer nodes stay in memory, and are derived again after the next opening.
/// In tests it is small, so that few events make many blocks.
const INDEX_ROWS: usize = if cfg!(test) { 64 } else { 4096 };

/// Rows read at a time while the index is made.
const READ: ReadLimit = ReadLimit { rows: 1024, bytes: 4 << 20 };

/// Blocks of a term fetched at first; four times as many the next time, up to the most.
const FIRST_BLOCKS: u32 = 4;
const BLOCKS_AT_ONCE: u32 = 64;

/// Candidates read at a time: twice as many each time, up to the most.
const FIRST_CANDIDATES: usize = 4;
const CANDIDATES: usize = 64;

/// The index of terms, once somebody has searched.
pub(super) struct TermIndex {
    secret: [u8; 16],
    terms: Terms,
    /// The last change in the database's index.
    written: Change,
    /// Terms of the nodes after `written`; the first of these nodes is row 0.
    tail: TermRows,
    /// The last position whose terms are known.
    end: Position,
    /// Node of the last change known.
    last: Key,
}

fn number(change: Change) -> u32 {
    u32::try_from(change).unwrap_or(u32::MAX)
}

impl TermIndex {
    /// The index in the database if it agrees with 1.x's records, otherwise an empty one.
    fn open(medium: &Medium, end: Change) -> Result<Self> {
        let reach = medium.get_one(TERMS.into())?.and_then(|record| decode_reach(&record));
        let reach = match reach.filter(|reach| reach.change <= end) {
            Some(reach) => {
                let named = medium.get_one(layout::change_key(reach.change)?)?;
                named.filter(|key| Key::from_hex(key) == Some(reach.key)).map(|_| reach)
            }
            None => None,
        };
        let reach = match reach {
            Some(reach) => reach,
            None => {
                forget(medium)?;
                let mut secret = [0; 16];
                getrandom::fill(&mut secret).map_err(|error| {
                    Error::Internal(format!("the random number generator of the system failed: {error}"))
                })?;
                Reach { secret, change: 0, key: Key::default() }
            }
        };
        Ok(TermIndex {
            terms: Terms::new(&reach.secret),
            secret: reach.secret,
            written: reach.change,
            tail: TermRows::default(),
            end: Position { change: reach.change, duplicate: u32::MAX },
            last: reach.key,
        })
    }

    /// Adds the events that have been stored since.
    fn extend(&mut self, store: &LevelStore, progress: Progress<'_>) -> Result<()> {
        let end = store.end();
        let mut own = Vec::new();
        let mut told = false;
        while self.end < end {
            let rows = store.read(self.end, READ)?;
            if rows.is_empty() {
                break;
            }
            for row in rows {
                self.end = row.at;
                if row.at.duplicate > 0 {
                    continue;
                }
                own.clear();
                self.terms.of_value(&row.node.value, |term| own.push(term));
                self.tail.push(number(row.at.change - self.written - 1), &own);
                self.last = row.node.key;
                let full = row.at.change - self.written >= INDEX_ROWS as u64;
                // Row numbers end there; later rows stay in memory.
                if full && row.at.change < u64::from(u32::MAX) {
                    self.write(store.medium()?, row.at.change)?;
                    progress(row.at.change.min(end.change), end.change);
                    told = true;
                }
            }
        }
        if told {
            progress(end.change, end.change);
        }
        Ok(())
    }

    /// Writes the terms of the tail, which ends with this change.
    fn write(&mut self, medium: &Medium, change: Change) -> Result<()> {
        let mut ops = Vec::new();
        let base = number(self.written) + 1;
        for runs in self.tail.sorted().chunk_by(|one, other| one.term == other.term) {
            let Some(Run { term, first, .. }) = runs.first().copied() else { continue };
            let block: Vec<(u32, u32)> = runs.iter().map(|run| (base + run.first, base + run.last)).collect();
            ops.push(Op::Put(block_key(term, u64::from(base + first))?, encode_block(&block)));
        }
        // In one batch, because an index that claims to reach further than its blocks would miss events.
        let reach = Reach { secret: self.secret, change, key: self.last };
        ops.push(Op::Put(TERMS.into(), encode_reach(&reach)));
        medium.batch(ops)?;
        self.written = change;
        self.tail.clear();
        Ok(())
    }
}

/// Deletes the index.
pub(super) fn forget(medium: &Medium) -> Result<()> {
    let mut ops = Vec::new();
    if medium.get_one(TERMS.into())?.is_some() {
        ops.push(Op::Delete(TERMS.into()));
    }
    medium.scan(BLOCKS.to_owned(), &end_of(BLOCKS), |(key, _)| {
        if is_exact(&key) {
            ops.push(Op::Delete(text(&key)));
        }
        if ops.len() >= BATCH_OPS {
            medium.batch(std::mem::take(&mut ops))?;
        }
        Ok(())
    })?;
    medium.batch(ops)
}

/// The changes of a term in the database's index.
struct Indexed<'a> {
    medium: &'a Medium,
    term: Term,
    runs: Runs,
    /// `runs` has all changes between `from` and `to`.
    from: u32,
    to: u32,
    /// Blocks to fetch the next time.
    blocks: u32,
}

impl Indexed<'_> {
    fn fetch(&mut self, row: u32, order: Order) -> Result<()> {
        let (prefix, end, key) =
            (block_prefix(self.term), block_end(self.term), after(block_key(self.term, u64::from(row))?.as_bytes()));
        let limit = self.blocks;
        self.blocks = (limit * 4).min(BLOCKS_AT_ONCE);
        let before = |limit| Range { from: prefix.clone(), to: key.clone(), reverse: true, limit };
        let ranges = match order {
            Order::Up => vec![before(1), Range { from: key.clone(), to: end, reverse: false, limit }],
            Order::Down => vec![before(limit)],
        };
        let mut blocks = Vec::new();
        let mut answers = self.medium.ranges(ranges)?.into_iter();
        let until = answers.next().unwrap_or_default();
        let whole = until.len() < if order == Order::Up { 1 } else { limit as usize };
        blocks.extend(until.into_iter().rev());
        let behind = answers.next().unwrap_or_default();
        self.to = if behind.len() < limit as usize { u32::MAX } else { 0 };
        blocks.extend(behind);
        self.runs.0.clear();
        for (key, record) in blocks {
            let Some((_, first)) = parse_block_key(&key) else { continue };
            self.runs.0.extend(decode_block(&text(&key), first, &record)?.0);
        }
        self.from = if whole { 0 } else { self.runs.0.first().map_or(0, |(first, _)| *first) };
        if order == Order::Down {
            self.to = row;
        } else if self.to == 0 {
            self.to = self.runs.0.last().map_or(0, |(_, last)| *last);
        }
        Ok(())
    }
}

impl Postings for Indexed<'_> {
    type Fault = Error;

    fn seek(&mut self, row: u32, order: Order) -> Result<Option<u32>> {
        if !(self.from <= row && row <= self.to) {
            self.fetch(row, order)?;
        }
        match self.runs.nearest(row, order) {
            Some(found) => Ok(Some(found)),
            // There may be more beyond what was fetched.
            None if order == Order::Down && self.from > 0 => {
                self.fetch(self.from - 1, order)?;
                Ok(self.runs.nearest(row, order))
            }
            None => Ok(None),
        }
    }

    fn few(&self) -> Option<usize> {
        (self.from == 0 && self.to == u32::MAX).then(|| self.runs.count())
    }
}

/// The changes of a term, in the database or in memory.
enum Changes<'a> {
    Indexed(Indexed<'a>),
    Tail(Runs),
}

impl Postings for Changes<'_> {
    type Fault = Error;

    fn seek(&mut self, row: u32, order: Order) -> Result<Option<u32>> {
        match self {
            Changes::Indexed(indexed) => indexed.seek(row, order),
            Changes::Tail(runs) => Ok(runs.nearest(row, order)),
        }
    }

    fn few(&self) -> Option<usize> {
        match self {
            Changes::Indexed(indexed) => indexed.few(),
            Changes::Tail(_) => None,
        }
    }
}

impl LevelStore {
    /// The index of terms, created if needed, and up to date.
    pub(super) fn term_index(&self, progress: Progress<'_>) -> Result<MappedMutexGuard<'_, TermIndex>> {
        let mut index = self.terms.lock();
        let medium = self.medium()?;
        let open = match &mut *index {
            Some(open) => open,
            none => none.insert(TermIndex::open(medium, self.end().change)?),
        };
        if let Err(error) = open.extend(self, progress) {
            // It is not known how much of it was written.
            *index = None;
            self.indexed.store(0, Ordering::Relaxed);
            return Err(error);
        }
        self.indexed.store(open.end.change, Ordering::Relaxed);
        MutexGuard::try_map(index, Option::as_mut).map_err(|_| Error::Internal("the index of terms is gone".into()))
    }

    pub(super) fn find(
        &self,
        plan: impl FnOnce(&Terms) -> Plan,
        wants: &dyn Fn(&[u8]) -> bool,
        (span, order, limit): (Span, Order, ReadLimit),
    ) -> Result<Found> {
        let index = self.term_index(&mut |_, _| {})?;
        let plan = plan(&index.terms);
        let mut gather = Gather::new(span, order, limit);
        let (written, end) = (index.written, index.end.change);
        // The two parts of the index, each with its first and last change.
        let parts = [(1, written), (written + 1, end)];
        for at in if order == Order::Up { [0, 1] } else { [1, 0] } {
            let Some((first, last)) = parts.get(at).copied() else { continue };
            let from = first.max(gather.rest().after.saturating_add(1));
            let to = last.min(gather.rest().until);
            if from > to {
                continue;
            }
            let base = if at == 0 { 0 } else { written + 1 };
            let [low, high] = [from, to].map(|change| number(change - base));
            let start = if order == Order::Up { low } else { high };
            let open = |term| -> Result<Option<Changes<'_>>> {
                let mut changes = if at == 0 {
                    let (runs, blocks) = (Runs::default(), FIRST_BLOCKS);
                    Changes::Indexed(Indexed { medium: self.medium()?, term, runs, from: 1, to: 0, blocks })
                } else {
                    Changes::Tail(index.tail.find(term, low, high))
                };
                Ok(changes.seek(start, order)?.map(|_| changes))
            };
            let mut join = Join::open(&plan, order, open)?;
            let (mut next, mut at_once) = (Some(start), FIRST_CANDIDATES);
            while next.is_some() {
                let mut changes = Vec::new();
                while changes.len() < at_once.min(gather.room()) {
                    let found = next.map(|row| join.seek(row)).transpose()?.flatten();
                    let Some(row) = found.filter(|row| (low..=high).contains(row)) else {
                        next = None;
                        break;
                    };
                    changes.push(base + u64::from(row));
                    next = order.next(row);
                }
                at_once = (at_once * 2).min(CANDIDATES);
                if self.look(&changes, &mut gather, wants)? == Look::Full {
                    return Ok(gather.stop());
                }
            }
        }
        Ok(gather.finish(end))
    }

    /// Reads the nodes with these changes, and checks each.
    fn look(&self, changes: &[Change], gather: &mut Gather, wants: &dyn Fn(&[u8]) -> bool) -> Result<Look> {
        let places: Vec<String> = changes.iter().map(|change| layout::change_key(*change)).collect::<Result<_>>()?;
        let missing = |place: &str| Error::damaged(place, "a node in the order of changes is missing");
        let keys = self.medium()?.get(places.clone())?.into_iter().zip(&places);
        let key = |(record, place): (Option<Bytes>, &String)| {
            record.and_then(|record| Key::from_hex(&record)).ok_or_else(|| missing(place))
        };
        let keys: Vec<Key> = keys.map(key).collect::<Result<_>>()?;
        let mut done = 0;
        while let Some(rest) = keys.get(done..).filter(|rest| !rest.is_empty()) {
            for (node, key) in self.nodes(rest, super::medium::GET_BYTES)?.into_iter().zip(rest) {
                let node = node.ok_or_else(|| missing(&layout::node_key(key)))?;
                done += 1;
                if gather.look(Row::first(node.into()), wants) == Look::Full {
                    return Ok(Look::Full);
                }
            }
        }
        Ok(Look::More)
    }
}
