//! Checks that a store's records are complete and consistent.

use std::collections::{BTreeSet, HashMap};

use super::layout::{self, CHANGES};
use super::medium::{after, text};
use super::records::{self, duplicate_key};
use super::LevelStore;
use crate::error::{Error, Result};
use crate::node::{Change, Digest, Key, LogId, Node, Seq};
use crate::row::{Position, Row};
use crate::store::{Progress, ReadLimit, Store};

const LIMIT: ReadLimit = ReadLimit { rows: 1024, bytes: 4 * 1024 * 1024 };

impl LevelStore {
    /// Checks that changes have no gaps and that each names a node with that change; that each row's entry agrees and continues
    /// its log; that heads are exactly the nodes to which nothing links; that logs end where the state says, with its digests.
    pub(super) fn check_records(&self, progress: Progress<'_>) -> Result<()> {
        let end = self.state.read().end;
        let mut walk = Walk::default();
        let mut at = Position::START;
        loop {
            let rows = self.read(at, LIMIT)?;
            let Some(last) = rows.last() else { break };
            at = last.at;
            let mut names = Vec::with_capacity(rows.len() * 3);
            for row in &rows {
                names.push(layout::entry_key(row.log(), row.seq())?);
                names.push(layout::change_key(row.node.change)?);
                names.push(duplicate_key(row.log(), row.seq())?);
            }
            let values = self.medium()?.get(names.clone())?;
            for ((row, names), values) in rows.iter().zip(names.chunks(3)).zip(values.chunks(3)) {
                let ([entry_name, change_name, position_name], [Some(entry), change, position]) = (names, values)
                else {
                    return Err(Error::damaged(layout::entry_key(row.log(), row.seq())?, "the entry is missing"));
                };
                let entry = layout::decode_entry(entry_name, entry.clone())?;
                if entry.key != row.node.key || entry.change != row.node.change {
                    return Err(Error::damaged(
                        entry_name,
                        format!("the entry and node {} contradict each other", row.node.key),
                    ));
                }
                if row.at.duplicate == 0 && change.as_deref() != Some(&row.node.key.to_hex()[..]) {
                    return Err(Error::damaged(change_name, format!("it should name node {}", row.node.key)));
                }
                if (row.at.duplicate == 0) == position.is_some() {
                    return Err(Error::damaged(
                        position_name,
                        "there is a position of a duplicate here that should not exist, or one is missing",
                    ));
                }
                walk.row(row)?;
            }
            progress(at.change, end.change);
        }
        walk.finish(self, end.change)?;
        self.check_marks()
    }

    /// Checks that stored digests are those of the entries.
    fn check_marks(&self) -> Result<()> {
        let medium = self.medium()?;
        let prefix = records::DIGESTS;
        let mut marks: Vec<(LogId, Seq, Digest)> = Vec::new();
        let end = format!("{}\"", prefix.trim_end_matches('!'));
        medium.scan(prefix.to_owned(), &end, |(key, value)| {
            let found = key.strip_prefix(prefix.as_bytes()).and_then(layout::split_log_seq);
            match (found, <[u8; 32]>::try_from(value.as_ref())) {
                (Some((log, seq)), Ok(digest)) => marks.push((log.into(), seq, Digest(digest))),
                _ => return Err(Error::damaged(text(&key), "not a digest of a log")),
            }
            Ok(())
        })?;
        marks.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        let mut reached: (LogId, Seq, Digest) = ("".into(), 0, Digest::default());
        for (log, seq, digest) in marks {
            if reached.0 != log {
                reached = (log.clone(), 0, Digest::default());
            }
            let from = layout::entry_key(&log, reached.1 + 1)?;
            let to = after(layout::entry_key(&log, seq)?.as_bytes());
            medium.scan(from, &to, |(key, value)| {
                if layout::parse_entry_key(&key).is_some_and(|(found, _)| *found == *log) {
                    reached.2 = reached.2.extend(&layout::decode_entry(&text(&key), value)?.key);
                }
                Ok(())
            })?;
            reached.1 = seq;
            if reached.2 != digest {
                return Err(Error::damaged(
                    records::digest_key(&log, seq)?,
                    "the digest is not that of the log's entries",
                ));
            }
        }
        Ok(())
    }
}

#[derive(Default)]
struct Walk {
    change: Change,
    last: Position,
    heads: BTreeSet<Key>,
    logs: HashMap<LogId, (Seq, Digest)>,
}

impl Walk {
    fn row(&mut self, row: &Row) -> Result<()> {
        let Node { key, links, .. } = &*row.node;
        if row.at.duplicate == 0 {
            if row.at.change != self.change + 1 || row.node.change != row.at.change {
                return Err(Error::damaged(
                    layout::change_key(self.change + 1)?,
                    format!("the order continues at {} here", row.at.change),
                ));
            }
            self.change = row.at.change;
            for link in links {
                self.heads.remove(link);
            }
            self.heads.insert(*key);
        }
        let (seq, digest) = self.logs.entry(row.log().clone()).or_default();
        if row.seq() != *seq + 1 || row.at <= self.last {
            return Err(Error::damaged(
                layout::entry_key(row.log(), row.seq())?,
                format!("it follows seq {seq} at {:?}", self.last),
            ));
        }
        (*seq, *digest) = (row.seq(), digest.extend(key));
        self.last = row.at;
        Ok(())
    }

    fn finish(self, store: &LevelStore, end: Change) -> Result<()> {
        let state = store.state.read();
        if state.end.change != end {
            // The log has grown in the meantime, so its end cannot be compared.
            return Ok(());
        }
        if self.change != end {
            return Err(Error::damaged(CHANGES, format!("the order ends at {} instead of {end}", self.change)));
        }
        if !self.heads.iter().eq(state.heads.keys()) {
            return Err(Error::damaged(layout::HEADS, "the heads are not the nodes that nothing links to"));
        }
        for (log, known) in &state.logs {
            let found = self.logs.get(log).copied().unwrap_or_default();
            if found != (known.seq, known.digest) {
                return Err(Error::damaged(
                    layout::log_prefix(log),
                    format!("the order has {} of its {} entries, or others", found.0, known.seq),
                ));
            }
        }
        Ok(())
    }
}
