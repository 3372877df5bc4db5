//! Copies another store's rows into a log: logs, seqs, keys and order stay as they are.

use std::collections::BTreeMap;

use super::sealing::MovedSeals;
use super::{Incoming, Log, Outcome, SourceId};
use crate::error::{quoted, Error, Result};
use crate::identity::seal::claims_owner;
use crate::node::{Change, LogId, Seq};
use crate::row::{Position, Row};
use crate::store::{Meta, Progress, ReadLimit, Store};

/// Rows read and committed at a time.
const CHUNK: ReadLimit = ReadLimit { rows: 1024, bytes: 4 << 20 };

/// Adds every row of `source` to `log`; returns how many were new. Blocks for long; reports (rows, total). Rows that the log has
/// already are skipped, so an interrupted import can simply be repeated.
///
/// # Errors
/// `Import`, which tells how far it came and the cause: `Fork` if the two stores hold different nodes under one log and seq, or an
/// error of either store. Rows before that stay imported. Nodes that wait for rows that did not come are dropped.
pub fn import(log: &Log, source: &dyn Store, progress: Progress<'_>) -> Result<u64> {
    let end = source.state()?.end;
    let mut import =
        Import { log, source, at: Position::START, added: 0, seals: MovedSeals::default(), held: BTreeMap::new() };
    while import.at < end {
        let step = import.chunk().and_then(|()| if import.at < end { Ok(()) } else { import.complete() });
        if let Err((stopped, cause)) = step {
            // Rows after a refused one may be parked because of it. They would stay in memory until that row comes, and count
            // against the next import.
            log.forget(SourceId::USER);
            return Err(Error::Import { stopped, end: end.change, added: import.added, cause: Box::new(cause) });
        }
        progress(import.at.change, end.change);
    }
    Ok(import.added)
}

/// Copies the facts that `source` has about its emitter (1.x's three records), if `log` lacks them. Blocks.
///
/// # Errors
/// The stores' own.
pub fn import_facts(log: &Log, source: &dyn Store) -> Result<()> {
    let mut facts = Vec::new();
    for fact in [Meta::StoreId, Meta::Peers, Meta::MyEventPeer] {
        if log.meta(&fact)?.is_some() {
            continue;
        }
        if let Some(value) = source.meta(&fact)? {
            facts.push((fact, Some(value)));
        }
    }
    if facts.is_empty() {
        return Ok(());
    }
    log.set_meta(facts).blocking_recv().unwrap_or(Err(Error::Closed("the import was cut off")))
}

struct Import<'a> {
    log: &'a Log,
    source: &'a dyn Store,
    /// The last imported row.
    at: Position,
    added: u64,
    seals: MovedSeals,
    /// Sealed logs with rows that wait for a seal: the last change and seq that were offered.
    held: BTreeMap<LogId, (Change, Seq)>,
}

/// The row at which an import stopped, and why.
type Stopped = (String, Error);

impl Import<'_> {
    fn chunk(&mut self) -> Result<(), Stopped> {
        let rows = self.source.read(self.at, CHUNK).map_err(|error| self.cut_off(error))?;
        let Some(last) = rows.last().map(|row| row.at) else {
            let at = format!("change {}", self.at.change);
            return Err(self.cut_off(Error::damaged(at, "the imported store has fewer rows than it says")));
        };
        let origins: Vec<Origin> = rows.iter().map(|row| (row.at.change, row.log().clone(), row.seq())).collect();
        let nodes = rows.into_iter().map(|row| self.incoming(&row)).collect::<Result<_>>();
        let nodes = nodes.map_err(|error| self.cut_off(error))?;
        let outcomes = match self.log.add(SourceId::USER, nodes).blocking_recv() {
            Ok(outcomes) => outcomes.map_err(|error| self.cut_off(error))?,
            Err(_) => return Err(self.cut_off(Error::Closed("the import was cut off"))),
        };
        let mut stopped = None;
        for (outcome, origin) in outcomes.into_iter().zip(&origins) {
            match outcome {
                // Rows of other logs are added even after a refused row.
                Outcome::Added => self.added += 1,
                Outcome::AddedWith { rows, .. } => self.added += 1 + rows,
                Outcome::Known => {}
                Outcome::Refused(error) => drop(stopped.get_or_insert_with(|| refused(origin, error))),
                // The seal may be in the next rows.
                Outcome::Parked if claims_owner(&origin.1) => {
                    self.held.insert(origin.1.clone(), (origin.0, origin.2));
                }
                Outcome::Parked => drop(stopped.get_or_insert_with(|| refused(origin, incomplete(origin)))),
            }
        }
        match stopped {
            Some(stopped) => Err(stopped),
            None => {
                self.at = last;
                Ok(())
            }
        }
    }

    /// Checks that no row still waits for a seal.
    fn complete(&self) -> Result<(), Stopped> {
        for (log, (change, seq)) in &self.held {
            if self.log.seq(log) < *seq {
                let reason = "that no seal covers";
                let error = Error::Unsealed { log: log.to_string(), seq: *seq, reason };
                return Err(refused(&(*change, log.clone(), *seq), error));
            }
        }
        Ok(())
    }

    fn incoming(&self, row: &Row) -> Result<Incoming> {
        Ok(Incoming {
            log: row.log().clone(),
            seq: row.seq(),
            links: row.node.links.clone(),
            value: row.node.value.clone(),
            signed: self.seals.of(row, self.source)?,
            claimed: Some(row.node.key),
        })
    }

    fn cut_off(&self, error: Error) -> Stopped {
        (format!("after change {}", self.at.change), error)
    }
}

/// A row's change, log and seq in the imported store.
type Origin = (Change, LogId, Seq);

fn refused((change, log, seq): &Origin, error: Error) -> Stopped {
    (format!("at entry {seq} of log {}, change {change}", quoted(log)), error)
}

fn incomplete((change, ..): &Origin) -> Error {
    Error::damaged(format!("change {change}"), "a node links to one that the imported store does not have")
}
