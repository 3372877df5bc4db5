//! Checks that a commit continues the store, before any of it is written.

use super::log_map::LogMap;
use super::Relabel;
use crate::error::{quoted, Error, Result};
use crate::node::{LogId, Seq};
use crate::row::{Body, NewRow, Position};

/// The last seqs of the logs while a commit's rows are checked one after the other.
#[derive(Default)]
pub(crate) struct Staged {
    seqs: LogMap<Seq>,
}

impl Staged {
    /// Starts with the seqs after `relabel`, which [`check_relabel`] has accepted; the relabelled log's last seq is given with it.
    pub(crate) fn new(relabel: Option<(&Relabel, Seq)>) -> Self {
        let mut staged = Staged::default();
        if let Some((relabel, last)) = relabel {
            staged.seqs.insert(relabel.log.clone(), relabel.from.saturating_sub(1));
            staged.seqs.insert(relabel.to.clone(), (last + 1).saturating_sub(relabel.from));
        }
        staged
    }

    /// Checks that `row` may follow `end`, and moves `end` to it. `stored` gives a log's last stored seq.
    pub(crate) fn check(&mut self, row: &NewRow, end: &mut Position, stored: impl Fn(&LogId) -> Seq) -> Result<()> {
        let next = match &row.body {
            Body::Node(_) => Position::of(end.change + 1),
            Body::Duplicate { .. } => Position { change: end.change, duplicate: end.duplicate.saturating_add(1) },
        };
        if row.at != next {
            return Err(conflict(row, &format!("its position should be {next:?}")));
        }
        match &row.body {
            Body::Node(node) if node.change != row.at.change => {
                return Err(conflict(row, "its node has another change"));
            }
            Body::Duplicate { change, .. } if *change == 0 || *change > end.change => {
                return Err(conflict(row, &format!("it repeats change {change}, which is not stored")));
            }
            _ => {}
        }
        let (log, seq) = (row.log(), row.seq());
        let staged = self.seqs.get_mut(log);
        let last = staged.as_ref().map_or_else(|| stored(log), |last| **last);
        if seq != last + 1 {
            return Err(conflict(row, &format!("the log ends at seq {last}")));
        }
        if seq == 1 && (log.is_empty() || log.len() > MAX_LOG_ID) {
            return Err(conflict(row, &format!("a log id has 1 to {MAX_LOG_ID} bytes")));
        }
        match staged {
            Some(last) => *last = seq,
            None => self.seqs.insert(log.clone(), seq),
        }
        *end = row.at;
        Ok(())
    }
}

/// Longest log id stored, in bytes: a cuid has 25, and every store writes the id into its keys.
pub(crate) const MAX_LOG_ID: usize = 1024;

/// Checks that `relabel` cuts a log that has `last` entries, and that its target is new.
pub(crate) fn check_relabel(relabel: &Relabel, last: Seq, target_exists: bool) -> Result<()> {
    let Relabel { log, from, to } = relabel;
    if *from == 0 || *from > last {
        return Err(Error::Conflict(format!(
            "relabel of log {} from seq {from}: the log has {last} entries",
            quoted(log)
        )));
    }
    if target_exists || log == to || to.is_empty() || to.len() > MAX_LOG_ID {
        return Err(Error::Conflict(format!(
            "relabel of log {} to {}: that id is in use or not 1 to {MAX_LOG_ID} bytes",
            quoted(log),
            quoted(to)
        )));
    }
    Ok(())
}

fn conflict(row: &NewRow, why: &str) -> Error {
    Error::Conflict(format!("entry {} of log {} at {:?}: {why}", row.seq(), quoted(row.log()), row.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_ids_have_1_to_1024_bytes() {
        let refused = |len: usize| {
            let relabel = Relabel { log: "a".into(), from: 1, to: "x".repeat(len).as_str().into() };
            check_relabel(&relabel, 1, false).is_err()
        };
        assert_eq!([0, 1, MAX_LOG_ID, MAX_LOG_ID + 1].map(refused), [true, false, false, true]);
    }
}
