//! Copies another store's rows into a log: logs, seqs, keys and order stay as they are.

use super::{Incoming, Log, Outcome, SourceId};
use crate::error::{Error, Result};
use crate::store::{Position, Progress, ReadLimit, Row, Store};

/// Rows read and committed at a time.
const CHUNK: ReadLimit = ReadLimit { rows: 1024, bytes: 4 << 20 };

/// The source id of imports; sessions count up from 0.
const IMPORT: SourceId = SourceId(u64::MAX);

/// Adds every row of `source` to `log`; returns how many were new. Blocks for long; reports (rows, total).
/// What the log has already is left alone, so an import that was cut off is simply run again.
///
/// # Errors
/// `Fork` if the two hold different nodes under one log and seq; the stores' own. Rows before it stay imported.
pub fn import(log: &Log, source: &dyn Store, progress: Progress<'_>) -> Result<u64> {
    let end = source.state()?.end;
    let mut at = Position::START;
    let mut added = 0;
    while at < end {
        let rows = source.read(at, CHUNK)?;
        let Some(last) = rows.last() else {
            return Err(Error::damaged(format!("change {}", at.change), "the imported store ends before its own end"));
        };
        at = last.at;
        let nodes = rows.into_iter().map(incoming).collect();
        let outcomes =
            log.add(IMPORT, nodes).blocking_recv().map_err(|_| Error::Closed("the import was cut off"))??;
        for outcome in outcomes {
            match outcome {
                Outcome::Added => added += 1,
                Outcome::Known => {}
                Outcome::Refused(error) => return Err(error),
                Outcome::Parked => {
                    log.forget(IMPORT);
                    return Err(Error::damaged(
                        format!("before change {}", at.change),
                        "a node links to one that the imported store does not have",
                    ));
                }
            }
        }
        progress(at.change, end.change);
    }
    Ok(added)
}

fn incoming(row: Row) -> Incoming {
    Incoming {
        log: row.log,
        seq: row.seq,
        links: row.node.links,
        value: row.node.value,
        signed: row.node.signed,
        claimed: Some(row.node.key),
    }
}
