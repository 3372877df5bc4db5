//! Moves the tail of a forked log to a new log id, within one batch.

use std::collections::{HashMap, HashSet};

use super::bridge::Op;
use super::layout::{self, encode_entry};
use super::records::{digest_key, duplicate_key, Duplicate, MARK_EVERY};
use super::records::{digest_mark, duplicate_ops};
use super::state::LogEnd;
use super::write::Draft;
use super::LevelStore;
use crate::error::{quoted, Error, Result};
use crate::node::{Key, LogId, Node, Seq};
use crate::row::{Position, Row};
use crate::store::{ReadLimit, Relabel, Store};

/// Size of one chunk of the pass over the rows.
const LIMIT: ReadLimit = ReadLimit { rows: 1024, bytes: 4 * 1024 * 1024 };

impl LevelStore {
    /// Adds the operations of the move to the draft. Goes once through the rows, starting with the first one that moves. 1.x stores
    /// with each entry the logs to which its node links, so entries of other logs change if they link to nodes that move.
    pub(super) fn relabel(&self, relabel: &Relabel, draft: &mut Draft<'_>) -> Result<()> {
        let Relabel { log, from, to } = relabel;
        let last = draft.log(log).unwrap_or_default();
        let first = self
            .entry(log, *from)?
            .ok_or_else(|| Error::Conflict(format!("log {} has no entry {from}", quoted(log))))?;
        let mut pass = Pass { relabel, moved: HashSet::new(), to: LogEnd::default() };
        let mut at = before(first.at);
        loop {
            let rows = self.read(at, LIMIT)?;
            let Some(end) = rows.last() else { break };
            at = end.at;
            pass.rows(self, rows, draft)?;
        }
        let moved = last.seq - from + 1;
        if pass.to.seq != moved {
            return Err(Error::damaged(
                layout::log_prefix(log),
                format!("{moved} entries should move, {} were found", pass.to.seq),
            ));
        }
        for seq in (*from..=last.seq).filter(|seq| seq.is_multiple_of(MARK_EVERY)) {
            draft.push([Op::Delete(digest_key(log, seq)?)]);
        }
        draft.set_log(log.clone(), self.log_before(log, *from)?);
        draft.set_log(to.clone(), Some(pass.to));
        Ok(())
    }

    /// The log as it was before its entry `from`.
    fn log_before(&self, log: &LogId, from: Seq) -> Result<Option<LogEnd>> {
        let seq = from - 1;
        let (Some(entry), Some(digest)) = (self.entry(log, seq)?, self.digest(log, seq)?) else { return Ok(None) };
        Ok(Some(LogEnd { seq, digest, key: entry.key, change: entry.at.change }))
    }
}

/// A position before this one, with no row between the two.
fn before(at: Position) -> Position {
    match at.duplicate {
        0 => Position { change: at.change.saturating_sub(1), duplicate: u32::MAX },
        n => Position { change: at.change, duplicate: n - 1 },
    }
}

struct Pass<'a> {
    relabel: &'a Relabel,
    /// Nodes that belong to the new log from now on.
    moved: HashSet<Key>,
    /// The new log, so far.
    to: LogEnd,
}

impl Pass<'_> {
    fn rows(&mut self, store: &LevelStore, rows: Vec<Row>, draft: &mut Draft<'_>) -> Result<()> {
        let mut affected = Vec::new();
        for row in rows {
            let moves = *row.log() == self.relabel.log && row.seq() >= self.relabel.from;
            if moves && row.at.duplicate == 0 {
                self.moved.insert(row.node.key);
            }
            if moves || row.node.links.iter().any(|link| self.moved.contains(link)) {
                affected.push((row, moves));
            }
        }
        let links: Vec<Key> = affected.iter().flat_map(|(row, _)| row.node.links.iter().copied()).collect();
        let mut logs: HashMap<Key, LogId> = HashMap::new();
        for found in store.locate(&links)?.into_iter().flatten() {
            let log = if self.moved.contains(&found.key) { self.relabel.to.clone() } else { found.log };
            logs.insert(found.key, log);
        }
        for (row, moves) in affected {
            let change = row.node.change;
            let (log, seq) = if moves { self.advance(&row, draft)? } else { (row.log().clone(), row.seq()) };
            let mut log_links: Vec<&LogId> = Vec::new();
            for link in &row.node.links {
                match logs.get(link) {
                    Some(found) if *found != log && !log_links.contains(&found) => log_links.push(found),
                    _ => {}
                }
            }
            draft.push([Op::Put(layout::entry_key(&log, seq)?, encode_entry(change, &row.node.key, log_links))]);
        }
        Ok(())
    }

    /// Moves one entry. Returns its new log and seq.
    fn advance(&mut self, row: &Row, draft: &mut Draft<'_>) -> Result<(LogId, Seq)> {
        let Relabel { log, to, .. } = self.relabel;
        let seq = self.to.seq + 1;
        let digest = self.to.digest.extend(&row.node.key);
        self.to = LogEnd { seq, digest, key: row.node.key, change: row.at.change };
        draft.push([Op::Delete(layout::entry_key(log, row.seq())?)]);
        if row.at.duplicate == 0 {
            draft.move_node(&Node { log: to.clone(), seq, ..Node::clone(&row.node) });
        } else {
            draft.push([Op::Delete(duplicate_key(log, row.seq())?)]);
            draft.push(duplicate_ops(row.at, &Duplicate { log: to.clone(), seq, key: row.node.key })?);
        }
        if seq.is_multiple_of(MARK_EVERY) {
            draft.push([digest_mark(to, seq, &digest)?]);
        }
        Ok((to.clone(), seq))
    }
}
