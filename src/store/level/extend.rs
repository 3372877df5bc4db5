//! Reads the entries that our records do not cover yet, when a store is opened: continues digests, and gives duplicates their
//! positions.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::bridge::{Op, Range};
use super::layout;
use super::medium::{log_end, text, Medium, BATCH_OPS, SCAN_ROWS};
use super::records::{
    self, decode_position, digest_mark, duplicate_key, duplicate_ops, row_position_key, Checkpoint, Duplicate,
    MARK_EVERY,
};
use super::state::LogEnd;
use crate::error::{Error, Result};
use crate::node::{Change, Key, LogId, Seq};
use crate::row::Position;
use crate::store::Progress;

/// Logs whose entries are fetched in one crossing of the bridge. With [`LOG_ROWS`] this bounds an answer to a few MB.
const LOGS_AT_ONCE: usize = 32;
/// Entries of one log in such a crossing.
const LOG_ROWS: u32 = 1024;
/// Duplicates that get their positions at a time.
const POSITIONED_AT_ONCE: usize = 1024;

/// Goes through the entries that our records do not cover yet.
pub(super) struct Extend<'a> {
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
    pub(super) fn new(medium: &'a Medium, known: &Checkpoint, end: Change, progress: Progress<'a>) -> Self {
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
    pub(super) fn logs(&mut self, ends: &BTreeMap<LogId, Seq>) -> Result<HashMap<LogId, LogEnd>> {
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
            // A single log may use the whole answer.
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

    pub(super) fn index_of(&mut self, log: &LogId) -> u32 {
        // Logs are taken from the end of the list, so that a long log is continued immediately.
        if self.names.last() != Some(log) {
            self.names.push(log.clone());
        }
        u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn entry(
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

    /// Gives a position to every duplicate that has none: after its node, and not before its log's previous entry.
    pub(super) fn position_duplicates(&mut self, states: &mut HashMap<LogId, LogEnd>) -> Result<bool> {
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
    pub(super) fn change_before(&self, log: &LogId, seq: Seq, change: Change) -> Change {
        match self.known.get(log) {
            Some(known) if known.seq + 1 == seq => known.change,
            _ => change,
        }
    }

    pub(super) fn next_position(
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
    pub(super) fn owners(&mut self) -> Result<BTreeSet<(LogId, Seq)>> {
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

    pub(super) fn flush_when_large(&mut self) -> Result<()> {
        if self.ops.len() >= BATCH_OPS {
            self.flush()?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.medium.batch(std::mem::take(&mut self.ops))
    }
}

pub(super) fn entry_of(key: &[u8], log: &str) -> Option<Seq> {
    layout::parse_entry_key(key).and_then(|(found, seq)| (found == log).then_some(seq))
}
