//! Opens a store: reads its state, and brings our own records up to date with what 1.x has written since.

use std::collections::{BTreeMap, BTreeSet};

use super::bridge::{Op, Range};
use super::extend::{entry_of, Extend};
use super::layout::{self, CHANGES, HEADS, LOGS};
use super::medium::{after, end_of, is_exact, log_end, text, Medium, BATCH_OPS, SCAN_ROWS};
use super::records::{
    self, decode_checkpoint, encode_checkpoint, Checkpoint, CHECKPOINT, DIGESTS, DUPLICATES, POSITIONS,
};
use super::state::LevelState;
use crate::error::{Error, Result};
use crate::node::{Change, Key, LogId, Seq};
use crate::row::{Located, Position};
use crate::store::Progress;

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

/// Deletes our own records, because 1.x's records, from which they were derived, have changed. Positions of readers stay.
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
    // Nothing is written to a store that has no such records.
    if ops.len() > 1 || medium.get_one(CHECKPOINT.into())?.is_some() {
        medium.batch(ops)?;
    }
    Ok(())
}

/// Every log and its last seq. One crossing looks at the known logs and the gaps between them; logs that 1.x has added are
/// found by skipping from each to the next.
fn log_ends(medium: &Medium, known: &Checkpoint) -> Result<BTreeMap<LogId, Seq>> {
    let mut ends = BTreeMap::new();
    // In the order of their keys, which differs from the order of their names: "a b" comes before "a".
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
            // If a log's name contains a `!`, its keys may be within another log's range. So never step back.
            gaps.push((log_end(log).max(after(key)), to.clone()));
        }
    }
    Ok(ends)
}

/// Finds the logs of a range in which not every key is valid text. The next key cannot be derived from such a key, so all rows are
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
    // A log id may itself contain a replacement character; then the log is found under this id.
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
