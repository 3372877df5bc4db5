//! A log in a user's Level database, in hyperemitter 1.x's own layout: 1.x and 2.x can use the same database in turn.
//!
//! Data that 1.x does not store are kept under a prefix of our own (`!hyper2!`), and updated when the store is opened. Nothing per
//! event is held in memory. A commit is one synced batch; a read of many rows crosses the bridge twice.

#![forbid(unsafe_code)]

mod bridge;
mod check;
mod extend;
mod layout;
mod medium;
mod open;
pub mod packing;
mod records;
mod relabel;
mod search;
mod state;
mod term_records;
mod write;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

pub use self::bridge::{LevelBridge, LevelReply, LevelRequest, Op, Pair, Range};
use self::medium::{after, end_of, Medium, GET_BYTES, SCAN_ROWS};
use self::records::{
    decode_duplicate, decode_position, duplicate_key, parse_consumer_key, parse_row_position_key, row_position_key,
    CONSUMERS, DERIVED, MARK_EVERY,
};
use self::search::TermIndex;
use self::state::LevelState;
use self::write::{meta_key, Draft};
use crate::error::{Error, Result};
use crate::node::{Digest, Key, LogId, Node, Seq};
use crate::query::Filter;
use crate::row::{Entry, Located, Position, Row};
use crate::store::search::{self as searches, Found, Order, Span};
use crate::store::{Commit, Meta, Progress, ReadLimit, Sizes, Store, StoreState};

/// Most rows of one read, whatever the caller allows, because their keys cross the bridge together.
const READ_ROWS: usize = 1024;

/// Most derived values of one read, because a database cannot be told to stop after a number of bytes.
const DERIVED_ROWS: usize = 64;

/// Bytes that a node record usually has in addition to the value: key, log, one link, framing.
const RECORD_OVERHEAD: usize = 192;

/// A log in a Level database.
pub struct LevelStore {
    medium: Medium,
    state: RwLock<LevelState>,
    /// Locked while a batch is under way. True after a failed batch, because it may have been applied all the same.
    doubtful: Mutex<bool>,
    closed: AtomicBool,
    /// Made by the first search.
    terms: Mutex<Option<TermIndex>>,
    /// The last change in `terms`.
    indexed: AtomicU64,
}

/// The location that a node's record states.
fn located(node: &Node) -> Located {
    Located { key: node.key, change: node.change, log: node.log.clone(), seq: node.seq }
}

/// A row's position, its node's key, and the entry if it is a duplicate.
struct Positioned {
    at: Position,
    key: Key,
    entry: Option<(LogId, Seq)>,
}

impl LevelStore {
    /// Opens the log in a database that is open or opens by itself; an empty database is an empty log. Blocks.
    ///
    /// # Errors
    /// `ForeignStore` if the database fails, `Damaged` if records of 1.x's contradict each other,
    /// `InvalidArgument` if the database cannot hold bytes.
    pub fn open(bridge: Arc<dyn LevelBridge>, progress: Progress<'_>) -> Result<Self> {
        let medium = Medium(bridge);
        let state = open::open(&medium, progress)?;
        Ok(LevelStore {
            medium,
            state: RwLock::new(state),
            doubtful: Mutex::new(false),
            closed: AtomicBool::new(false),
            terms: Mutex::new(None),
            indexed: AtomicU64::new(0),
        })
    }

    fn medium(&self) -> Result<&Medium> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Closed("its store was closed"));
        }
        Ok(&self.medium)
    }

    fn end(&self) -> Position {
        self.state.read().end
    }

    /// The nodes with these keys, as far as the last commit reaches; may stop early once they hold `bytes` bytes.
    fn nodes(&self, keys: &[Key], bytes: usize) -> Result<Vec<Option<Node>>> {
        let end = self.end().change;
        let names: Vec<String> = keys.iter().map(layout::node_key).collect();
        let records = self.medium()?.get_some(names.clone(), bytes)?;
        let nodes = records.into_iter().zip(&names).map(|(record, name)| {
            let node = record.map(|record| layout::decode_node(name, record)).transpose()?;
            Ok(node.filter(|node| node.change <= end))
        });
        nodes.collect()
    }

    /// The rows after `after` up to `end`, in order, at most `limit`.
    fn positions(&self, after_this: Position, end: Position, limit: usize) -> Result<Vec<Positioned>> {
        let limit = u32::try_from(limit).unwrap_or(SCAN_ROWS).clamp(1, SCAN_ROWS);
        let change_end = after(layout::change_key(end.change)?.as_bytes());
        let mut change_from = layout::change_key(after_this.change + 1)?;
        let position_end = after(row_position_key(end)?.as_bytes());
        let mut position_from = after(row_position_key(after_this)?.as_bytes());
        loop {
            let ranges = vec![
                Range { from: change_from.clone(), to: change_end.clone(), reverse: false, limit },
                Range { from: position_from.clone(), to: position_end.clone(), reverse: false, limit },
            ];
            let mut rows = self.medium()?.ranges(ranges)?.into_iter();
            let (changes, duplicates) = (rows.next().unwrap_or_default(), rows.next().unwrap_or_default());
            let mut positioned = Vec::with_capacity(changes.len() + duplicates.len());
            for (key, value) in &changes {
                let Some(change) = layout::parse_change_key(key) else { continue };
                let key = Key::from_hex(value)
                    .ok_or_else(|| Error::damaged(medium::text(key), "a change that names no node"))?;
                positioned.push(Positioned { at: Position::of(change), key, entry: None });
            }
            for (key, value) in &duplicates {
                let Some(at) = parse_row_position_key(key) else { continue };
                let duplicate = decode_duplicate(&medium::text(key), value)?;
                positioned.push(Positioned { at, key: duplicate.key, entry: Some((duplicate.log, duplicate.seq)) });
            }
            let whole = [&changes, &duplicates].map(|rows| rows.len() < limit as usize);
            if !positioned.is_empty() || whole == [true, true] {
                positioned.sort_by_key(|positioned| positioned.at);
                positioned.truncate(limit as usize);
                return Ok(positioned);
            }
            // All keys of this chunk were foreign: continue after it.
            for (rows, from) in [(&changes, &mut change_from), (&duplicates, &mut position_from)] {
                if let Some((key, _)) = rows.last() {
                    *from = medium::behind_ascii(key);
                }
            }
        }
    }

    /// Stores a batch. Until the answer comes it is not known whether the batch is stored.
    fn store(&self, ops: Vec<Op>, doubtful: &mut bool) -> Result<()> {
        *doubtful = true;
        self.medium()?.batch(ops)?;
        *doubtful = false;
        Ok(())
    }

    /// After a failed batch, checks that it left no trace. Otherwise nothing more is stored.
    fn settle(&self, doubtful: &mut bool) -> Result<()> {
        if *doubtful {
            let found = open::last_change(self.medium()?)?.map_or(0, |(change, _)| change);
            let known = self.end().change;
            if found != known {
                return Err(Error::ForeignStore(format!(
                    "an earlier write failed, yet the store's last change is {found} instead of {known}: close and open it again"
                )));
            }
            *doubtful = false;
        }
        Ok(())
    }
}

impl Store for LevelStore {
    fn state(&self) -> Result<StoreState> {
        self.medium()?;
        Ok(self.state.read().describe())
    }

    fn locate(&self, keys: &[Key]) -> Result<Vec<Option<Located>>> {
        let mut found = Vec::with_capacity(keys.len());
        while let Some(rest) = keys.get(found.len()..).filter(|rest| !rest.is_empty()) {
            let chunk = rest.get(..SCAN_ROWS as usize).unwrap_or(rest);
            found.extend(self.nodes(chunk, GET_BYTES)?.iter().map(|node| node.as_ref().map(located)));
        }
        Ok(found)
    }

    fn node(&self, key: &Key) -> Result<Option<Node>> {
        Ok(self.nodes(&[*key], GET_BYTES)?.pop().flatten())
    }

    fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        let medium = self.medium()?;
        if seq == 0 || self.state.read().logs.get(log).is_none_or(|state| seq > state.seq) {
            return Ok(None);
        }
        let (entry_key, row_position_key) = (layout::entry_key(log, seq)?, duplicate_key(log, seq)?);
        let mut values = medium.get(vec![entry_key.clone(), row_position_key.clone()])?.into_iter();
        let Some(record) = values.next().flatten() else {
            return Err(Error::damaged(entry_key, "the entry is missing"));
        };
        let entry = layout::decode_entry(&entry_key, record)?;
        let at = match values.next().flatten() {
            Some(position) => decode_position(&row_position_key, &position)?,
            None => Position::of(entry.change),
        };
        Ok(Some(Entry { at, key: entry.key }))
    }

    fn digest(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>> {
        let medium = self.medium()?;
        let last = self.state.read().logs.get(log).copied().unwrap_or_default();
        if seq > last.seq {
            return Ok(None);
        }
        if seq == last.seq {
            return Ok(Some(last.digest));
        }
        let mut from = seq - seq % MARK_EVERY;
        let mut digest = Digest::default();
        if from > 0 {
            let mark = medium.get_one(records::digest_key(log, from)?)?;
            match mark.and_then(|mark| <[u8; 32]>::try_from(mark.as_ref()).ok()) {
                Some(mark) => digest = Digest(mark),
                None => from = 0,
            }
        }
        let to = after(layout::entry_key(log, seq)?.as_bytes());
        let mut reached = from;
        medium.scan(layout::entry_key(log, from + 1)?, &to, |(key, value)| {
            if let Some((_, seq)) = layout::parse_entry_key(&key).filter(|(found, _)| *found == &**log) {
                digest = digest.extend(&layout::decode_entry(&medium::text(&key), value)?.key);
                reached = seq;
            }
            Ok(())
        })?;
        if reached == seq {
            Ok(Some(digest))
        } else {
            Err(Error::damaged(layout::entry_key(log, reached + 1)?, "the entry is missing"))
        }
    }

    fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        let end = self.end();
        if after >= end {
            self.medium()?;
            return Ok(Vec::new());
        }
        let positions = self.positions(after, end, limit.rows.min(READ_ROWS))?;
        let keys: Vec<Key> = positions.iter().map(|positioned| positioned.key).collect();
        let mut rows = Vec::with_capacity(keys.len());
        let mut bytes = 0;
        let mut positions = positions.into_iter();
        while let Some(rest) = keys.get(rows.len()..).filter(|rest| !rest.is_empty()) {
            // The caller's limit counts values, but the database counts whole records.
            let allowed = limit.bytes.saturating_sub(bytes).saturating_add(RECORD_OVERHEAD * rest.len());
            for (node, positioned) in self.nodes(rest, allowed)?.into_iter().zip(&mut positions) {
                let node = node.ok_or_else(|| {
                    Error::damaged(layout::node_key(&positioned.key), "a node in the order of changes is missing")
                })?;
                bytes += node.value.len();
                if bytes > limit.bytes && !rows.is_empty() {
                    return Ok(rows);
                }
                let (log, seq) = positioned.entry.unwrap_or_else(|| (node.log.clone(), node.seq));
                rows.push(Row::new(positioned.at, log, seq, node.into()));
            }
        }
        Ok(rows)
    }

    fn last_position(&self) -> Result<Position> {
        self.medium()?;
        Ok(self.end())
    }

    fn prepare_search(&self, progress: Progress<'_>) -> Result<()> {
        self.term_index(progress).map(drop)
    }

    fn unindexed(&self) -> u64 {
        self.end().change.saturating_sub(self.indexed.load(Ordering::Relaxed))
    }

    fn search(&self, filter: &Filter, span: Span, order: Order, limit: ReadLimit) -> Result<Found> {
        let wants = |value: &[u8]| filter.matches(value);
        if filter.query.is_all() {
            return searches::scan(self, &wants, span, order, limit);
        }
        self.find(|terms| terms.plan(&filter.query), &wants, (span, order, limit))
    }

    fn of_request(&self, id: &[u8]) -> Result<Option<Row>> {
        searches::first(|span, limit| {
            let wants = |value: &[u8]| searches::is_of_request(value, id);
            self.find(|terms| terms.plan_request(id), &wants, (span, Order::Up, limit))
        })
    }

    fn commit(&self, commit: &Commit) -> Result<()> {
        self.medium()?;
        if commit.is_empty() {
            return Ok(());
        }
        let mut doubtful = self.doubtful.lock();
        self.settle(&mut doubtful)?;
        let (ops, effect) = {
            let state = self.state.read();
            let mut draft = Draft::new(&state, commit.relabel.as_ref())?;
            if let Some(relabel) = &commit.relabel {
                self.relabel(relabel, &mut draft)?;
            }
            for row in &commit.rows {
                draft.row(row)?;
            }
            for (meta, value) in &commit.meta {
                draft.meta(meta, value.as_ref());
            }
            draft.finish(commit.relabel.is_some())
        };
        self.store(ops, &mut doubtful)?;
        effect.apply(&mut self.state.write());
        Ok(())
    }

    fn meta(&self, key: &Meta) -> Result<Option<Bytes>> {
        self.medium()?.get_one(meta_key(key))
    }

    fn consumer_records(&self) -> Result<Vec<(Meta, Bytes)>> {
        let mut found = Vec::new();
        self.medium()?.scan(CONSUMERS.to_owned(), &end_of(CONSUMERS), |(key, value)| {
            found.extend(parse_consumer_key(&key).map(|(name, change)| (Meta::Consumer(name, change), value)));
            Ok(())
        })?;
        Ok(found)
    }

    fn derived(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>> {
        self.medium()?.get(keys.iter().map(|key| format!("{DERIVED}{key}")).collect())
    }

    fn derived_range(&self, from: &str, to: &str, limit: ReadLimit) -> Result<Vec<(String, Bytes)>> {
        let limit = u32::try_from(limit.rows.clamp(1, DERIVED_ROWS)).unwrap_or(SCAN_ROWS);
        let (from, to) = (format!("{DERIVED}{from}"), format!("{DERIVED}{to}"));
        let rows = self.medium()?.ranges(vec![Range { from, to, reverse: false, limit }])?.pop().unwrap_or_default();
        let values = rows.into_iter().map(|(key, value)| {
            let name = std::str::from_utf8(&key).ok().and_then(|key| key.strip_prefix(DERIVED));
            let name = name.ok_or_else(|| Error::damaged(medium::text(&key), "a key that is not one of ours"))?;
            Ok((name.to_owned(), value))
        });
        values.collect()
    }

    fn set_derived(&self, values: &[(String, Option<Bytes>)]) -> Result<()> {
        let op = |(key, value): &(String, Option<Bytes>)| {
            let key = format!("{DERIVED}{key}");
            value.clone().map_or_else(|| Op::Delete(key.clone()), |value| Op::Put(key.clone(), value))
        };
        self.medium()?.batch(values.iter().map(op).collect())
    }

    /// Unknown: most Level databases do not report sizes.
    fn sizes(&self) -> Result<Sizes> {
        self.medium()?;
        Ok(Sizes::default())
    }

    fn check(&self, progress: Progress<'_>) -> Result<()> {
        self.check_records(progress)
    }

    fn close(&self) -> Result<()> {
        let mut doubtful = self.doubtful.lock();
        if self.closed.load(Ordering::Acquire) {
            return Ok(());
        }
        let due = {
            let state = self.state.read();
            if state.since_checkpoint > 0 && !*doubtful {
                Some(Draft::new(&state, None)?.finish(true).0)
            } else {
                None
            }
        };
        if let Some(ops) = due {
            // This only saves work at the next opening, so it does not matter if the user has already closed the database.
            let _ = self.store(ops, &mut doubtful);
        }
        self.closed.store(true, Ordering::Release);
        *self.terms.lock() = None;
        self.medium.0.close()
    }
}
