//! Versions of logs: decides which nodes belong to another version of a log than ours, and are refused.

use std::collections::HashMap;
use std::time::Instant;

use super::fork::Forks;
use super::parking::Parked;
use super::plan::{Lookup, Planner};
use super::relabelled::Left;
use super::SourceId;
use crate::error::{Error, Result};
use crate::node::{Key, LogId, Seq};

/// Two versions of one entry: where a log forks.
#[derive(Clone, Copy)]
struct Parted {
    seq: Seq,
    ours: Key,
    theirs: Key,
}

/// What is known about other versions of logs.
pub(super) struct LogVersions {
    /// Forks of the local log.
    pub(super) forks: Forks,
    /// Logs that were ours.
    pub(super) left: Left,
    /// Logs of which a session offered another version, and the first entry that differs. From there on, the session's entries of
    /// the log are refused.
    parted: HashMap<SourceId, HashMap<LogId, Parted>>,
    /// Versions that the user chose: the first entry that differs from the others, and its node.
    adopted: HashMap<LogId, (Seq, Key)>,
}

impl LogVersions {
    pub(super) fn new(forks: Forks) -> Self {
        LogVersions { forks, left: Left::default(), parted: HashMap::new(), adopted: HashMap::new() }
    }

    /// Decides whether to act upon another version of entry `seq` of the local log. If so, it counts as a fork.
    pub(super) fn admit_fork(&mut self, seq: Seq) -> Result<(), &'static str> {
        self.forks.admit(seq, Instant::now())
    }

    /// Notes that a session has offered another version of a log. The first entry that differs counts.
    pub(super) fn note_parted(&mut self, session: SourceId, log: &LogId, seq: Seq, ours: Key, theirs: Key) {
        self.parted.entry(session).or_default().entry(log.clone()).or_insert(Parted { seq, ours, theirs });
    }

    /// Forgets a session that has ended.
    pub(super) fn forget(&mut self, session: SourceId) {
        self.parted.remove(&session);
    }

    /// The user chose the version of a log that has this node as its entry `from`.
    pub(super) fn adopt(&mut self, log: &LogId, from: Seq, theirs: Key) {
        self.adopted.insert(log.clone(), (from, theirs));
    }

    /// The fork before a session's node, if the session has offered another version of the node's log.
    pub(super) fn fork_before(&self, parked: &Parked) -> Option<Error> {
        let of_session = self.parted.get(&parked.source.session)?;
        let (log, at) = parked.named.as_ref().map_or((&parked.node.log, parked.node.seq), |(log, seq)| (log, *seq));
        let Parted { seq, ours, theirs } = *of_session.get(log)?;
        (at >= seq).then(|| fork(log, seq, ours, theirs))
    }

    /// The fork, if a node belongs to another version of its log than the user chose.
    pub(super) fn unlike_adopted(&self, parked: &Parked) -> Option<Error> {
        if self.adopted.is_empty() {
            return None;
        }
        let node = &parked.node;
        let (seq, ours) = self.adopted.get(&node.log).copied()?;
        (node.seq == seq && parked.key != ours).then(|| fork(&node.log, seq, ours, parked.key))
    }

    /// The fork, if a node claims to belong to our version of a former log of ours, and we did not write it.
    pub(super) fn unlike_left(
        &mut self,
        parked: &Parked,
        planner: &mut Planner,
        lookup: &mut dyn Lookup,
    ) -> Result<Option<Error>> {
        let Parked { node, key, .. } = parked;
        let ours = self.left.must_be(&node.log, node.seq, |log, seq| planner.entry_key(log, seq, lookup))?;
        Ok(ours.filter(|ours| ours != key).map(|ours| fork(&node.log, node.seq, ours, *key)))
    }
}

fn fork(log: &LogId, seq: Seq, ours: Key, theirs: Key) -> Error {
    Error::Fork { log: log.to_string(), seq, ours, theirs }
}

/// The error for a node of the local log that we did not write.
pub(super) fn forged(log: &LogId, seq: Seq, reason: &'static str) -> Error {
    Error::Forged { log: log.to_string(), seq, reason }
}
