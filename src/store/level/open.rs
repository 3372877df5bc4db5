//! Opens a store: reads its state, and brings our own records up to date with what 1.x has written since.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::bridge::{Op, Range};
use super::layout::{self, CHANGES, HEADS, LOGS};
use super::medium::{after, is_exact, text, Medium, BATCH_OPS, SCAN_ROWS};
use super::records::{
    self, decode_checkpoint, decode_position, duplicate_key, encode_checkpoint, encode_duplicate, encode_position,
    row_position_key, Checkpoint, Duplicate, CHECKPOINT, DIGESTS, DUPLICATES, MARK_EVERY, POSITIONS,
};
use super::state::{LevelState, LogEnd};
use crate::error::{Error, Result};
use crate::node::{Change, Digest, Key, LogId, Seq};
use crate::row::{Located, Position};
use crate::store::Progress;

/// Logs whose entries are fetched in one crossing of the bridge. With [`LOG_ROWS`] this bounds an answer to a few MB.
const LOGS_AT_ONCE: usize = 32;
/// Entries of one log in such a crossing.
const LOG_ROWS: u32 = 1024;
/// Duplicates that get their positions at a time.
const POSITIONED_AT_ONCE: usize = 1024;

/// The end of a range of all keys with this prefix, whose last character is `!`.
pub(super) fn end_of(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    end.pop();
    end.push('"');
    end
}

/// The end of the range of a log's entries: their keys go on with hex digits.
fn log_end(log: &str) -> String {
    let mut end = layout::log_prefix(log);
    end.push('g');
    end
}

/// Reads the state, and stores what had to be derived.
pub fn open(medium: &Medium, progress: Progress<'_>) -> Result<LevelState> {
    let last = last_change(medium)?;
    let kept = checkpoint(medium, last)?;
    if kept.is_none() {
        forget(medium)?;
    }
    let fresh = kept.is_none();
    let known = kept.unwrap_or_default();
    let ends = log_ends(medium, &known)?;
    let mut state = LevelState {
        end: Position::of(last.map_or(0, |(change, _)| change)),
        last_key: last.map(|(_, key)| key),
        ..LevelState::default()
    };
    let mut extend = Extend::new(medium, &known, state.end.change, progress);
    state.logs = extend.logs(&ends)?;
    let positioned = extend.position_duplicates(&mut state.logs)?;
    extend.flush()?;
    if let Some(position) =
        medium.last(POSITIONS, &end_of(POSITIONS), |(key, _)| records::parse_row_position_key(key))?
    {
        state.end = state.end.max(position);
    }
    state.heads = heads(medium)?;
    if fresh || positioned || state.checkpoint() != known {
        let record = encode_checkpoint(&state.checkpoint());
        medium.batch(vec![Op::Put(CHECKPOINT.into(), record.clone())])?;
        if medium.get_one(CHECKPOINT.into())? != Some(record) {
            return Err(Error::InvalidArgument(
                "this database returns other bytes than were written: open it with an encoding that can hold bytes"
                    .into(),
            ));
        }
    }
    Ok(state)
}

/// The highest change and its node.
pub fn last_change(medium: &Medium) -> Result<Option<(Change, Key)>> {
    medium.last(CHANGES, &end_of(CHANGES), |(key, value)| Some((layout::parse_change_key(key)?, Key::from_hex(value)?)))
}

/// Our checkpoint, if 1.x's records still agree with it.
fn checkpoint(medium: &Medium, last: Option<(Change, Key)>) -> Result<Option<Checkpoint>> {
    let Some(known) = medium.get_one(CHECKPOINT.into())?.and_then(|record| decode_checkpoint(&record)) else {
        return Ok(None);
    };
    if known.change > last.map_or(0, |(change, _)| change) {
        return Ok(None);
    }
    let mut keys = Vec::with_capacity(known.logs.len() + 1);
    let mut wanted = Vec::with_capacity(known.logs.len() + 1);
    if let Some(key) = known.key {
        keys.push(layout::change_key(known.change)?);
        wanted.push(key);
    }
    let entries_from = keys.len();
    for log in &known.logs {
        keys.push(layout::entry_key(&log.log, log.seq)?);
        wanted.push(log.key);
    }
    for (index, (value, wanted)) in medium.get(keys)?.into_iter().zip(wanted).enumerate() {
        let Some(value) = value else { return Ok(None) };
        let found = if index < entries_from {
            Key::from_hex(&value)
        } else {
            layout::decode_entry("", value).ok().map(|entry| entry.key)
        };
        if found != Some(wanted) {
            return Ok(None);
        }
    }
    Ok(Some(known))
}

/// Deletes what we derived from records that have changed. Positions of readers stay.
fn forget(medium: &Medium) -> Result<()> {
    super::search::forget(medium)?;
    let mut ops = vec![Op::Delete(CHECKPOINT.into())];
    // A database may give several keys that are not text the same replacement, and a batch must name each key once.
    let mut inexact = BTreeSet::new();
    for prefix in [DIGESTS, DUPLICATES, POSITIONS] {
        medium.scan(prefix.to_owned(), &end_of(prefix), |(key, _)| {
            if !is_exact(&key) && !inexact.insert(text(&key)) {
                return Ok(());
            }
            ops.push(Op::Delete(text(&key)));
            if ops.len() >= BATCH_OPS {
                medium.batch(std::mem::take(&mut ops))?;
            }
            Ok(())
        })?;
    }
    // Nothing is written to a store that has never held any of it.
    if ops.len() > 1 || medium.get_one(CHECKPOINT.into())?.is_some() {
        medium.batch(ops)?;
    }
    Ok(())
}

/// Every log and its last seq. One crossing looks at the known logs and the gaps between them; logs that 1.x has added are
/// found by skipping from each to the next.
fn log_ends(medium: &Medium, known: &Checkpoint) -> Result<BTreeMap<LogId, Seq>> {
    let mut ends = BTreeMap::new();
    // In the order of their keys, which is not that of their names: "a b" comes before "a".
    let mut logs: Vec<&LogId> = known.logs.iter().map(|log| &log.log).collect();
    logs.sort_by_key(|log| layout::log_prefix(log));
    let mut gaps = Vec::with_capacity(logs.len() + 1);
    let mut from = LOGS.to_owned();
    for log in &logs {
        let start = layout::log_prefix(log);
        gaps.push((std::mem::replace(&mut from, log_end(log)), start));
    }
    gaps.push((from, end_of(LOGS)));
    last_seqs(medium, &logs, |log, seq| {
        ends.insert(log.clone(), seq.unwrap_or(0));
    })?;
    while !gaps.is_empty() {
        let group: Vec<(String, String)> = gaps.drain(..gaps.len().min(SCAN_ROWS as usize)).collect();
        let ranges =
            group.iter().map(|(from, to)| Range { from: from.clone(), to: to.clone(), reverse: false, limit: 1 });
        for ((from, to), rows) in group.iter().zip(medium.ranges(ranges.collect())?) {
            let Some((key, _)) = rows.first() else { continue };
            if !is_exact(key) {
                row_by_row(medium, from, to, &mut ends)?;
                continue;
            }
            let Some((log, _)) = layout::parse_entry_key(key) else {
                gaps.push((after(key), to.clone()));
                continue;
            };
            if let Some(seq) = last_seq(medium, log)? {
                ends.insert(log.into(), seq);
            }
            // The keys of a log whose name holds a `!` may lie within another log's range: never step back.
            gaps.push((log_end(log).max(after(key)), to.clone()));
        }
    }
    Ok(ends)
}

/// Finds the logs of a range in which not every key is text. From such a key one cannot step to the next, so all rows are
/// read.
fn row_by_row(medium: &Medium, from: &str, to: &str, ends: &mut BTreeMap<LogId, Seq>) -> Result<()> {
    let mut doubtful = BTreeSet::new();
    medium.scan(from.to_owned(), to, |(key, _)| {
        let Some((log, seq)) = layout::parse_entry_key(&key) else { return Ok(()) };
        if is_exact(&key) {
            let end = ends.entry(log.into()).or_default();
            *end = seq.max(*end);
        } else {
            doubtful.insert(LogId::from(log));
        }
        Ok(())
    })?;
    // A log id may itself hold a replacement character; then the log is found under that.
    last_seqs(medium, &doubtful.iter().collect::<Vec<_>>(), |log, seq| {
        if let Some(seq) = seq {
            ends.insert(log.clone(), seq);
        }
    })
}

/// The last seq of each log, of many logs in one crossing.
fn last_seqs(medium: &Medium, logs: &[&LogId], mut tell: impl FnMut(&LogId, Option<Seq>)) -> Result<()> {
    for group in logs.chunks(SCAN_ROWS as usize) {
        let ranges = group.iter().map(|log| last_entry_range(log)).collect();
        for (log, rows) in group.iter().zip(medium.ranges(ranges)?) {
            let seq = match rows.first() {
                None => None,
                Some((key, _)) => entry_of(key, log).map_or_else(|| last_seq(medium, log), |seq| Ok(Some(seq)))?,
            };
            tell(log, seq);
        }
    }
    Ok(())
}

fn last_entry_range(log: &str) -> Range {
    Range { from: layout::log_prefix(log), to: log_end(log), reverse: true, limit: 1 }
}

fn entry_of(key: &[u8], log: &str) -> Option<Seq> {
    layout::parse_entry_key(key).and_then(|(found, seq)| (found == log).then_some(seq))
}

fn last_seq(medium: &Medium, log: &str) -> Result<Option<Seq>> {
    medium.last(&layout::log_prefix(log), &log_end(log), |(key, _)| entry_of(key, log))
}

fn heads(medium: &Medium) -> Result<BTreeMap<Key, Located>> {
    let mut keys = BTreeSet::new();
    medium.scan(HEADS.to_owned(), &end_of(HEADS), |(_, value)| {
        keys.extend(Key::from_hex(&value));
        Ok(())
    })?;
    let names: Vec<String> = keys.iter().map(layout::node_key).collect();
    let mut heads = BTreeMap::new();
    for ((key, name), record) in keys.into_iter().zip(&names).zip(medium.get(names.clone())?) {
        let record = record.ok_or_else(|| Error::damaged(name, "a head whose node is missing"))?;
        heads.insert(key, super::located(&layout::decode_node(name, record)?));
    }
    Ok(heads)
}

/// Goes through the entries that our records do not cover yet.
struct Extend<'a> {
    medium: &'a Medium,
    known: HashMap<LogId, LogEnd>,
    /// Last change covered.
    base: Change,
    /// Last change there is.
    end: Change,
    /// Log (by index) and seq of the first entry seen for each change after `base`. While the store is opened this takes
    /// some 30 bytes for each event that 1.x has written since; nothing else here grows with them.
    first: HashMap<Change, (u32, Seq)>,
    /// Entries that are or may be duplicates, by log.
    suspects: BTreeMap<LogId, BTreeSet<Seq>>,
    /// Changes for which several entries were seen.
    shared: BTreeSet<Change>,
    names: Vec<LogId>,
    ops: Vec<Op>,
    progress: Progress<'a>,
    done: u64,
    total: u64,
}

impl<'a> Extend<'a> {
    fn new(medium: &'a Medium, known: &Checkpoint, end: Change, progress: Progress<'a>) -> Self {
        let logs = known.logs.iter().map(|log| {
            (log.log.clone(), LogEnd { seq: log.seq, digest: log.digest, key: log.key, change: log.change })
        });
        Extend {
            medium,
            known: logs.collect(),
            base: known.change,
            end,
            first: HashMap::new(),
            suspects: BTreeMap::new(),
            shared: BTreeSet::new(),
            names: Vec::new(),
            ops: Vec::new(),
            progress,
            done: 0,
            total: 0,
        }
    }

    /// Reads every log to its end.
    fn logs(&mut self, ends: &BTreeMap<LogId, Seq>) -> Result<HashMap<LogId, LogEnd>> {
        let mut states: HashMap<LogId, LogEnd> = self.known.clone();
        let mut waiting: Vec<(LogId, Seq)> = Vec::new();
        for (log, end) in ends {
            let state = states.entry(log.clone()).or_default();
            if *end > state.seq {
                self.total += end - state.seq;
                waiting.push((log.clone(), *end));
            }
        }
        while !waiting.is_empty() {
            let group: Vec<(LogId, Seq)> = waiting.drain(waiting.len().saturating_sub(LOGS_AT_ONCE)..).collect();
            // A single log may take the whole answer.
            let limit = if group.len() == 1 { SCAN_ROWS } else { LOG_ROWS };
            let mut ranges = Vec::with_capacity(group.len());
            for (log, _) in &group {
                let from = layout::entry_key(log, states.get(log).map_or(0, |state| state.seq) + 1)?;
                ranges.push(Range { from, to: log_end(log), reverse: false, limit });
            }
            for ((log, end), rows) in group.into_iter().zip(self.medium.ranges(ranges)?) {
                let state = states.entry(log.clone()).or_default();
                let index = self.index_of(&log);
                let whole = rows.len() < limit as usize;
                for (key, value) in rows {
                    let Some(seq) = entry_of(&key, &log) else { continue };
                    self.entry(index, &log, seq, &text(&key), value, state)?;
                }
                if state.seq < end {
                    if whole {
                        return Err(Error::damaged(layout::entry_key(&log, state.seq + 1)?, "the log has a gap here"));
                    }
                    waiting.push((log, end));
                }
            }
            self.flush_when_large()?;
            (self.progress)(self.done, self.total);
        }
        states.retain(|_, state| state.seq > 0);
        Ok(states)
    }

    fn index_of(&mut self, log: &LogId) -> u32 {
        // Logs are taken from the end of the list, so that a long one is continued at once.
        if self.names.last() != Some(log) {
            self.names.push(log.clone());
        }
        u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
    }

    fn entry(
        &mut self,
        index: u32,
        log: &LogId,
        seq: Seq,
        name: &str,
        record: Bytes,
        state: &mut LogEnd,
    ) -> Result<()> {
        if seq != state.seq + 1 {
            return Err(Error::damaged(layout::entry_key(log, state.seq + 1)?, "the log has a gap here"));
        }
        let entry = layout::decode_entry(name, record)?;
        state.seq = seq;
        state.digest = state.digest.extend(&entry.key);
        state.key = entry.key;
        state.change = state.change.max(entry.change);
        self.done += 1;
        if seq.is_multiple_of(MARK_EVERY) {
            self.ops.push(digest_mark(log, seq, &state.digest)?);
        }
        if entry.change <= self.base || entry.change > self.end {
            // The node was stored earlier, under another entry.
            self.suspects.entry(log.clone()).or_default().insert(seq);
        } else if let Some((first_log, first_seq)) = self.first.insert(entry.change, (index, seq)) {
            self.shared.insert(entry.change);
            self.suspects.entry(log.clone()).or_default().insert(seq);
            if let Some(first_log) = self.names.get(first_log as usize).cloned() {
                self.suspects.entry(first_log).or_default().insert(first_seq);
            }
        }
        Ok(())
    }

    /// Gives every duplicate that has none a position: behind its node, and not before its log's previous entry.
    fn position_duplicates(&mut self, states: &mut HashMap<LogId, LogEnd>) -> Result<bool> {
        let mut positioned = false;
        let owners = self.owners()?;
        let mut taken: HashMap<Change, u32> = HashMap::new();
        for (log, seqs) in std::mem::take(&mut self.suspects) {
            let seqs: Vec<Seq> = seqs.into_iter().filter(|seq| !owners.contains(&(log.clone(), *seq))).collect();
            let mut floor: Option<(Seq, Change)> = None;
            for group in seqs.chunks(POSITIONED_AT_ONCE) {
                let mut keys = Vec::with_capacity(group.len() * 3);
                for seq in group {
                    keys.push(layout::entry_key(&log, *seq)?);
                    keys.push(duplicate_key(&log, *seq)?);
                    keys.push(layout::entry_key(&log, seq.saturating_sub(1))?);
                }
                let values = self.medium.get(keys.clone())?;
                for ((seq, keys), values) in group.iter().zip(keys.chunks(3)).zip(values.chunks(3)) {
                    let ([entry_key, row_position_key, _], [Some(entry), position, before]) = (keys, values) else {
                        return Err(Error::damaged(
                            layout::entry_key(&log, *seq)?,
                            "the entry disappeared while the store was opened",
                        ));
                    };
                    let entry = layout::decode_entry(entry_key, entry.clone())?;
                    let at = match position {
                        Some(position) => decode_position(row_position_key, position)?,
                        None => {
                            let before = match (floor, before) {
                                (Some((last, change)), _) if last + 1 == *seq => change,
                                (_, Some(before)) => self.change_before(
                                    &log,
                                    *seq,
                                    layout::decode_entry(entry_key, before.clone())?.change,
                                ),
                                _ => 0,
                            };
                            positioned = true;
                            self.next_position(
                                &mut taken,
                                &log,
                                *seq,
                                entry.change.max(before).min(self.end),
                                entry.key,
                            )?
                        }
                    };
                    floor = Some((*seq, at.change));
                    if let Some(state) = states.get_mut(&log) {
                        state.change = state.change.max(at.change);
                    }
                }
                self.flush_when_large()?;
            }
        }
        Ok(positioned)
    }

    /// Change part of the position of the entry before `seq`, which is either a node's own or the last one that the checkpoint
    /// covers.
    fn change_before(&self, log: &LogId, seq: Seq, change: Change) -> Change {
        match self.known.get(log) {
            Some(known) if known.seq + 1 == seq => known.change,
            _ => change,
        }
    }

    fn next_position(
        &mut self,
        taken: &mut HashMap<Change, u32>,
        log: &LogId,
        seq: Seq,
        change: Change,
        key: Key,
    ) -> Result<Position> {
        let last = match taken.get(&change) {
            Some(last) => *last,
            None => {
                let from = row_position_key(Position { change, duplicate: 0 })?;
                let to = row_position_key(Position { change: change + 1, duplicate: 0 })?;
                self.medium
                    .last(&from, &to, |(key, _)| records::parse_row_position_key(key))?
                    .map_or(0, |at| at.duplicate)
            }
        };
        let at = Position { change, duplicate: last + 1 };
        taken.insert(change, at.duplicate);
        self.ops.extend(duplicate_ops(at, &Duplicate { log: log.clone(), seq, key })?);
        Ok(at)
    }

    /// Among the entries that share a change, those that are the node's own.
    fn owners(&mut self) -> Result<BTreeSet<(LogId, Seq)>> {
        let mut owners = BTreeSet::new();
        let shared: Vec<Change> = std::mem::take(&mut self.shared).into_iter().collect();
        for group in shared.chunks(POSITIONED_AT_ONCE) {
            let names = group.iter().map(|change| layout::change_key(*change)).collect::<Result<_>>()?;
            let keys = self.medium.get(names)?.into_iter().flatten().filter_map(|value| Key::from_hex(&value));
            let names: Vec<String> = keys.map(|key| layout::node_key(&key)).collect();
            for (name, record) in names.iter().zip(self.medium.get(names.clone())?) {
                let record = record.ok_or_else(|| Error::damaged(name, "a change whose node is missing"))?;
                let node = layout::decode_node(name, record)?;
                owners.insert((node.log, node.seq));
            }
        }
        Ok(owners)
    }

    fn flush_when_large(&mut self) -> Result<()> {
        if self.ops.len() >= BATCH_OPS {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        self.medium.batch(std::mem::take(&mut self.ops))
    }
}

/// Stores the digest of a log.
pub fn digest_mark(log: &str, seq: Seq, digest: &Digest) -> Result<Op> {
    Ok(Op::Put(records::digest_key(log, seq)?, Bytes::copy_from_slice(&digest.0)))
}

/// Stores the position of a duplicate, to be found by position and by entry.
pub fn duplicate_ops(at: Position, duplicate: &Duplicate) -> Result<[Op; 2]> {
    Ok([
        Op::Put(row_position_key(at)?, encode_duplicate(duplicate)?),
        Op::Put(duplicate_key(&duplicate.log, duplicate.seq)?, encode_position(at)?),
    ])
}
