//! What is planned together and stored by one commit, and whom that answers.

use std::collections::VecDeque;

use super::parking::{Parked, Waits};
use super::{Ack, Answer, Job, Outcome};
use crate::error::Error;
use crate::node::{Key, LogId, Seq};
use crate::store::Commit;

/// Jobs' bytes in one group. Large enough that a flush costs nothing per event, small enough that one group takes
/// milliseconds.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Rows and bytes of a small group.
const FEW_ROWS: usize = 4;
const FEW_BYTES: usize = 4 * 1024;

/// What a job costs beside its bytes, for each of its members.
const MEMBER: usize = 64;

/// A group in the making, or on its way to the store.
#[derive(Default)]
pub(super) struct Group {
    pub(super) commit: Commit,
    pub(super) answers: Answers,
    /// Nodes taken out of the parking for this group, and what they waited for.
    pub(super) released: Vec<(Parked, Waits)>,
    /// Why it must not be stored.
    pub(super) spoilt: Option<Error>,
    /// Cost of the jobs in it.
    bytes: usize,
}

/// Whom a group answers.
#[derive(Default)]
pub(super) struct Answers {
    /// As they will be given once the group is stored.
    pub(super) acks: Vec<Ack>,
    /// Bytes of appends that wait no longer then.
    pub(super) appended: usize,
    pub(super) nodes: Vec<(Vec<Outcome>, Answer<Vec<Outcome>>)>,
    pub(super) facts: Vec<Answer<()>>,
    /// Done when the rest is stored, before anything else is planned.
    pub(super) fork: Option<Fork>,
}

/// A log gives way from a seq on: the local one because peers hold another version, or any because the user says so.
pub(super) struct Fork {
    pub(super) log: LogId,
    pub(super) from: Seq,
    /// The node there of the version that is to take its place, if the user named one.
    pub(super) theirs: Option<Key>,
    /// Whoever asked for it, if anybody did.
    pub(super) reply: Option<Answer<LogId>>,
}

/// A group that could not be stored.
pub(super) struct Failed {
    pub(super) error: Error,
    /// Whom it would have answered, until they have been told.
    pub(super) untold: Option<Answers>,
    pub(super) released: Vec<(Parked, Waits)>,
}

impl Group {
    /// A job is about to join.
    pub(super) fn count(&mut self, job: &Job) {
        self.bytes += job_cost(job);
    }

    /// Nothing of it will be stored. The first reason counts.
    pub(super) fn spoil(&mut self, error: Error) {
        self.spoilt.get_or_insert(error);
    }

    /// The group as a failed one if it must not be stored; its members are still to be told.
    pub(super) fn failed(&mut self) -> Option<Box<Failed>> {
        let error = self.spoilt.clone()?;
        let (answers, released) = (std::mem::take(&mut self.answers), std::mem::take(&mut self.released));
        Some(Box::new(Failed { error, untold: Some(answers), released }))
    }

    /// Bytes of jobs that may still join.
    pub(super) fn room(&self) -> usize {
        if self.is_last() || self.spoilt.is_some() {
            return 0;
        }
        MAX_BYTES.saturating_sub(self.bytes)
    }

    /// Whether there is nothing to store, nobody to answer and nothing to mend.
    pub(super) fn is_empty(&self) -> bool {
        let Answers { acks, appended, nodes, facts, fork } = &self.answers;
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

    /// Whether nothing may be planned behind it before it is stored.
    pub(super) fn is_last(&self) -> bool {
        self.answers.fork.is_some()
    }
}

/// Acks that a job is owed.
pub(super) fn job_acks(job: &Job) -> usize {
    match job {
        Job::Append(batch) => batch.acks(),
        Job::Refused { acks, .. } => *acks,
        _ => 0,
    }
}

fn job_cost(job: &Job) -> usize {
    match job {
        Job::Append(batch) => batch.cost(),
        Job::Refused { acks, .. } => acks * MEMBER,
        Job::Add { nodes, .. } => {
            nodes.iter().map(|(node, _)| node.value.len() + MEMBER * (1 + node.links.len())).sum()
        }
        Job::SetMeta { facts, .. } => facts.iter().flat_map(|(_, value)| value).map(|value| MEMBER + value.len()).sum(),
        Job::ForkLocal { .. } | Job::Adopt { .. } | Job::Forget(_) => 0,
    }
}

/// Takes jobs for a group with this much room, in bytes; the last may go beyond it. A fork ends the group.
pub(super) fn take_jobs(jobs: &mut VecDeque<Job>, room: usize) -> Vec<Job> {
    let mut bytes = 0;
    let mut taken = Vec::new();
    while bytes < room && !matches!(taken.last(), Some(Job::ForkLocal { .. } | Job::Adopt { .. })) {
        let Some(job) = jobs.pop_front() else { break };
        bytes += job_cost(&job);
        taken.push(job);
    }
    taken
}
