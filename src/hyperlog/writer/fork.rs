//! Moves the tail of a log to a new log.

use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::Writer;
use crate::branch;
use crate::error::{quoted, Error, Result};
use crate::event::following;
use crate::hyperlog::commit_group::Fork;
use crate::hyperlog::fork::Forks;
use crate::hyperlog::ids::{new_log_id, stored_log_id};
use crate::hyperlog::sealing::{MovedEntry, MovedSeals};
use crate::identity::seal::{claims_owner, new_sealed_log_id};
use crate::node::{LogId, Seq};
use crate::panic::caught;
use crate::store::{Commit, Meta, Relabel};

impl Writer {
    /// Moves a log's tail to a new log, and returns the new log's id. If it was the local log, appends go to the new log.
    pub(super) fn move_tail(&mut self, fork: &Fork) -> Result<LogId> {
        let Fork { log, from, theirs, .. } = fork;
        let (local, last) = (log == self.planner.local(), self.planner.seq(log));
        if !local && theirs.is_none() {
            // Another session was first.
            return Ok(self.planner.local().clone());
        }
        let sealer = self.shared.sealer.as_ref().filter(|_| local);
        let moves = *from >= 1 && *from <= last;
        let to = match sealer {
            Some(sealer) => new_sealed_log_id(sealer.public())?,
            // Our own log goes on under an id that nobody can know before.
            None if local || claims_owner(log) => new_log_id()?,
            None => self.branch_of(log, *from)?,
        };
        let mut commit = Commit::default();
        if moves {
            commit.relabel = Some(Relabel { log: log.clone(), from: *from, to: to.clone() });
        } else if !local {
            return Err(Error::InvalidArgument(format!("log {log:?} has no entry {from} that could be replaced")));
        }
        let moved = if moves { last + 1 - from } else { 0 };
        if local {
            let id = Some(Bytes::copy_from_slice(to.as_bytes()));
            commit.meta = vec![(Meta::LogId, id), Forks::fact(&to, moved)];
            if let Some(sealer) = sealer.filter(|_| moves) {
                // The seals in the moved nodes are for the old log.
                let keys = self.entries(log, *from, last)?;
                commit.meta.extend(MovedSeals::facts(&to, moved, sealer.seals_of_moved(&to, &keys)));
            }
        }
        let store = self.shared.store.as_ref();
        let stored = caught("the store", || store.commit(&commit));
        // The commit may be stored although it reported a failure.
        let kept = || matches!(caught("the store", || stored_log_id(store)), Ok(Some(id)) if id == to);
        if local && (stored.is_ok() || kept()) {
            self.planner.set_local(to.clone());
            self.decisions.forget_behind(0);
            self.shared.forget_forged();
            self.versions.forks.moved(moved);
            if moves {
                self.versions.left.note(log, *from, &to, moved);
            }
        }
        self.reload();
        self.shared.moved_seals.forget();
        if let Some(sealer) = &self.shared.sealer {
            sealer.forget();
        }
        stored?;
        if let Some(theirs) = theirs {
            self.versions.adopt(log, *from, *theirs);
            self.shared.stuck.lock().forget(log);
            self.shared.adoptions.fetch_add(1, Ordering::Relaxed);
        }
        self.shared.announce(self.planner.end());
        if local {
            self.shared.observer.log_id_changed(&to);
        }
        Ok(to)
    }

    /// The parts of a log's entries that seals depend on.
    fn entries(&self, log: &LogId, from: Seq, to: Seq) -> Result<Vec<MovedEntry>> {
        let store = &self.shared.store;
        let mut entries = Vec::new();
        for seq in from..=to {
            let damaged =
                || Error::damaged(format!("log {} seq {seq}", quoted(log)), "the entry or its node is missing");
            let key = store.entry(log, seq)?.ok_or_else(damaged)?.key;
            let value = store.node(&key)?.ok_or_else(damaged)?.value;
            entries.push(MovedEntry { key, size: value.len(), ends_batch: following(&value) == 0 });
        }
        Ok(entries)
    }

    /// The branch id of our version of a log from `from` on. Emitters that hold these entries derive the same id, so they need no
    /// copies. A new id, if there is no branch id or it is in use.
    fn branch_of(&self, log: &LogId, from: Seq) -> Result<LogId> {
        let first = self.shared.store.entry(log, from)?.and_then(|entry| branch::name(log, from, &entry.key));
        first.filter(|name| self.planner.seq(name) == 0).map_or_else(new_log_id, Ok)
    }
}
