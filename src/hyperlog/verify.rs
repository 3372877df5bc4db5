//! Recomputes everything a store claims: every key, link, seq, digest and head.

use std::collections::{BTreeSet, HashMap};

use super::sealing::MovedSeals;
use crate::error::{quoted, Error, Result};
use crate::identity::seal::{claims_owner, is_sealed, owner_of};
use crate::identity::PublicKey;
use crate::node::{key_of, Digest, Key, LogId, Seq};
use crate::row::{Position, Row};
use crate::store::{Progress, ReadLimit, Store};

/// Rows read at a time.
const CHUNK: ReadLimit = ReadLimit { rows: 1024, bytes: 4 << 20 };

/// What a valid store holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Verified {
    /// Nodes, all different.
    pub nodes: u64,
    /// Further log entries for them.
    pub duplicates: u64,
    /// Logs.
    pub logs: u64,
    /// Seals of sealed logs.
    pub seals: u64,
}

/// Checks a whole store, up to where it ended when the check began. Blocks for long; reports (rows, total).
///
/// # Errors
/// `Damaged`, which names the first fault; otherwise the store's own errors.
pub fn verify(store: &dyn Store, progress: Progress<'_>) -> Result<Verified> {
    let expected = store.state()?;
    store.check(progress)?;
    let mut check = Check {
        heads: BTreeSet::new(),
        logs: HashMap::new(),
        at: Position::START,
        found: Verified::default(),
        seals: HashMap::new(),
        moved: MovedSeals::default(),
    };
    while check.at < expected.end {
        let rows = store.read(check.at, CHUNK)?;
        if rows.is_empty() {
            return Err(damaged(
                check.at,
                format!("the store ends here, but should continue up to change {}", expected.end.change),
            ));
        }
        let rows = rows.into_iter().take_while(|row| row.at <= expected.end).collect::<Vec<_>>();
        check.links_exist(store, &rows)?;
        for row in &rows {
            check.row(row)?;
            check.seal(row, store)?;
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
    for (log, sealed) in &check.seals {
        let end = check.logs.get(log).map_or(0, |(seq, _)| *seq);
        // A store in memory keeps its own rows without seals, and gives them to peers with them.
        if sealed.at < end && !store.is_immediate() {
            let place = format!("log {} seq {end}", quoted(log));
            return Err(Error::damaged(place, "the log is sealed, but no seal covers its end"));
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
    seals: HashMap<LogId, Sealed>,
    moved: MovedSeals,
}

/// The state of checking a log's seals.
struct Sealed {
    owner: PublicKey,
    at: Seq,
}

impl Check {
    /// Checks that a seal was made by the log's owner.
    fn seal(&mut self, row: &Row, store: &dyn Store) -> Result<()> {
        let log = row.log();
        if !claims_owner(log) {
            return Ok(());
        }
        let of_row = |detail: &str| Error::damaged(format!("log {} seq {}", quoted(log), row.seq()), detail);
        if !self.seals.contains_key(log) {
            let owner = owner_of(log).ok().flatten().ok_or_else(|| of_row("the log's id names no key"))?;
            self.seals.insert(log.clone(), Sealed { owner, at: 0 });
        }
        let signed = self.moved.of(row, store)?;
        let (Some(sealed), Some(seal)) =
            (self.seals.get_mut(log), signed.as_ref().and_then(|signed| signed.signature.as_ref()))
        else {
            return Ok(());
        };
        let digest = self.logs.get(log).map(|(_, digest)| *digest).unwrap_or_default();
        if !is_sealed(&sealed.owner, log, row.seq(), &digest, seal) {
            return Err(of_row("its seal is not that of the log's owner"));
        }
        sealed.at = row.seq();
        self.found.seals += 1;
        Ok(())
    }

    /// Checks that every link names a node that was stored before the node with the link.
    fn links_exist(&self, store: &dyn Store, rows: &[Row]) -> Result<()> {
        let nodes = || rows.iter().filter(|row| row.at.duplicate == 0);
        let links: Vec<Key> = nodes().flat_map(|row| row.node.links.iter().copied()).collect();
        let mut located = store.locate(&links)?.into_iter();
        for row in nodes() {
            for link in &row.node.links {
                match located.next().flatten() {
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
