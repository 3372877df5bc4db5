//! Rows and facts that one commit stores together, and the answers that depend on it.

use super::job::{Job, Responder};
use super::parking::{Parked, Waits};
use super::{Ack, Contradiction, Outcome};
use crate::error::Error;
use crate::node::{Key, LogId, Seq};
use crate::store::Commit;

/// Bytes of the jobs in one group. Large enough that the cost of a flush is negligible per event, small enough that a group takes
/// milliseconds.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Rows and bytes of a small group.
const FEW_ROWS: usize = 4;
const FEW_BYTES: usize = 4 * 1024;

/// A group that is being planned, or on its way to the store.
#[derive(Default)]
pub(super) struct CommitGroup {
    pub(super) commit: Commit,
    pub(super) answers: Answers,
    /// Formerly parked nodes that are stored with this group, and what they waited for.
    pub(super) released: Vec<(Parked, Waits)>,
    /// Why the group must not be stored, if so.
    pub(super) spoilt: Option<Error>,
    /// Cost of the jobs in it.
    bytes: usize,
}

/// The answers that depend on a group.
#[derive(Default)]
pub(super) struct Answers {
    /// The acks to give once the group is stored.
    pub(super) acks: Vec<Ack>,
    /// Bytes of appends that are answered then.
    pub(super) appended: usize,
    pub(super) nodes: Vec<(Vec<Outcome>, Responder<Vec<Outcome>>)>,
    pub(super) facts: Vec<Responder<()>>,
    /// Contradictions to report once the group is stored.
    pub(super) contradictions: Vec<Contradiction>,
    /// A fork to carry out once the rest is stored, before anything else is planned.
    pub(super) fork: Option<Fork>,
}

/// The tail of a log is to move to another log, from a seq on: of the local log, because peers hold another version, or of any log
/// that the user chose.
pub(super) struct Fork {
    pub(super) log: LogId,
    pub(super) from: Seq,
    /// The node at `from` in the version that is to take its place, if the user chose one.
    pub(super) theirs: Option<Key>,
    /// Whoever asked for it, if anybody did.
    pub(super) responder: Option<Responder<LogId>>,
}

/// A group that could not be stored.
pub(super) struct FailedGroup {
    pub(super) error: Error,
    /// The answers that depend on it, until they have been given.
    pub(super) untold: Option<Answers>,
    pub(super) released: Vec<(Parked, Waits)>,
}

impl CommitGroup {
    /// Counts a job that is about to join.
    pub(super) fn count(&mut self, job: &Job) {
        self.bytes += job.cost();
    }

    /// Marks the group as not to be stored. The first reason counts.
    pub(super) fn spoil(&mut self, error: Error) {
        self.spoilt.get_or_insert(error);
    }

    /// Turns the group into a failed one if it must not be stored. Its answers are still to be given.
    pub(super) fn failed(&mut self) -> Option<Box<FailedGroup>> {
        let error = self.spoilt.clone()?;
        let (answers, released) = (std::mem::take(&mut self.answers), std::mem::take(&mut self.released));
        Some(Box::new(FailedGroup { error, untold: Some(answers), released }))
    }

    /// Bytes of jobs that may still join.
    pub(super) fn room(&self) -> usize {
        if self.is_last() || self.spoilt.is_some() {
            return 0;
        }
        MAX_BYTES.saturating_sub(self.bytes)
    }

    /// Whether there is nothing to store and nobody to answer.
    pub(super) fn is_empty(&self) -> bool {
        let Answers { acks, appended, nodes, facts, fork, .. } = &self.answers;
        let answers = !acks.is_empty() || *appended > 0 || !nodes.is_empty() || !facts.is_empty() || fork.is_some();
        self.commit.is_empty() && !answers && self.spoilt.is_none()
    }

    /// Whether it holds some rows, but few.
    pub(super) fn is_small(&self) -> bool {
        (1..=FEW_ROWS).contains(&self.commit.rows.len()) && self.bytes < FEW_BYTES
    }

    /// Whether it can be committed as it is, without the planner.
    pub(super) fn may_be_committed(&self) -> bool {
        !self.is_empty() && self.spoilt.is_none() && !self.is_last()
    }

    /// Whether it has to be stored before anything else is planned.
    pub(super) fn is_last(&self) -> bool {
        self.answers.fork.is_some()
    }
}
