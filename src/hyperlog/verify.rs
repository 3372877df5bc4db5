//! Recomputes everything a store claims: every key, link, seq, digest and head.

use std::collections::{BTreeSet, HashMap};

use crate::error::{quoted, Error, Result};
use crate::node::{key_of, Digest, Key, LogId, Seq};
use crate::row::{Position, Row};
use crate::store::{Progress, ReadLimit, Store};

/// Rows read at a time.
const CHUNK: ReadLimit = ReadLimit { rows: 1024, bytes: 4 << 20 };

/// What a store that passed holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Verified {
    /// Nodes, all different.
    pub nodes: u64,
    /// Further log entries for them.
    pub duplicates: u64,
    /// Logs.
    pub logs: u64,
}

/// Checks a whole store, up to where it ended when the check began. Blocks for long; reports (rows, total).
///
/// # Errors
/// `Damaged` names the first thing that is wrong; the store's own otherwise.
pub fn verify(store: &dyn Store, progress: Progress<'_>) -> Result<Verified> {
    let expected = store.state()?;
    store.check(progress)?;
    let mut check =
        Check { heads: BTreeSet::new(), logs: HashMap::new(), at: Position::START, found: Verified::default() };
    while check.at < expected.end {
        let rows = store.read(check.at, CHUNK)?;
        if rows.is_empty() {
            return Err(damaged(
                check.at,
                format!("the store ends here, but should go on to change {}", expected.end.change),
            ));
        }
        let rows = rows.into_iter().take_while(|row| row.at <= expected.end).collect::<Vec<_>>();
        check.links_exist(store, &rows)?;
        for row in &rows {
            check.row(row)?;
        }
        progress(check.at.change, expected.end.change);
    }
    let heads: BTreeSet<Key> = expected.heads.iter().map(|head| head.key).collect();
    if heads != check.heads {
        let wrong = heads.symmetric_difference(&check.heads).next().copied().unwrap_or_default();
        return Err(Error::damaged(
            format!("head {wrong}"),
            "the stored heads are not the nodes that nothing links to",
        ));
    }
    for log in &expected.logs {
        if check.logs.get(&log.log) != Some(&(log.seq, log.digest)) {
            return Err(Error::damaged(
                format!("log {} seq {}", quoted(&log.log), log.seq),
                "the stored head or digest does not match its entries",
            ));
        }
    }
    check.found.logs = expected.logs.len() as u64;
    Ok(check.found)
}

struct Check {
    heads: BTreeSet<Key>,
    logs: HashMap<LogId, (Seq, Digest)>,
    at: Position,
    found: Verified,
}

impl Check {
    /// Every link names a node stored before the one that links to it.
    fn links_exist(&self, store: &dyn Store, rows: &[Row]) -> Result<()> {
        let nodes = || rows.iter().filter(|row| row.at.duplicate == 0);
        let links: Vec<Key> = nodes().flat_map(|row| row.node.links.iter().copied()).collect();
        let mut places = store.locate(&links)?.into_iter();
        for row in nodes() {
            for link in &row.node.links {
                match places.next().flatten() {
                    Some(found) if found.change < row.at.change => {}
                    Some(_) => return Err(damaged(row.at, format!("it links to {link}, which is stored after it"))),
                    None => return Err(damaged(row.at, format!("it links to {link}, which is not stored"))),
                }
            }
        }
        Ok(())
    }

    fn row(&mut self, row: &Row) -> Result<()> {
        let next = match row.at.duplicate {
            0 => Position::of(self.at.change + 1),
            _ => Position { change: self.at.change, duplicate: self.at.duplicate + 1 },
        };
        if row.at != next {
            return Err(damaged(row.at, format!("it follows change {}: there is a gap", self.at.change)));
        }
        let actual = key_of(&row.node.links, &row.node.value);
        if actual != row.node.key {
            return Err(damaged(row.at, format!("its key is {}, its content hashes to {actual}", row.node.key)));
        }
        let (seq, digest) = self.logs.get(row.log()).copied().unwrap_or_default();
        if row.seq() != seq + 1 {
            return Err(damaged(
                row.at,
                format!("it is seq {} of log {}, after seq {seq}", row.seq(), quoted(row.log())),
            ));
        }
        self.logs.insert(row.log().clone(), (row.seq(), digest.extend(&row.node.key)));
        if row.at.duplicate == 0 {
            self.found.nodes += 1;
            for link in &row.node.links {
                self.heads.remove(link);
            }
            self.heads.insert(row.node.key);
        } else {
            self.found.duplicates += 1;
        }
        self.at = row.at;
        Ok(())
    }
}

fn damaged(at: Position, detail: String) -> Error {
    Error::damaged(format!("change {}", at.change), detail)
}
