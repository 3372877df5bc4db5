//! Jobs that wait for the writer, and what its threads are doing at the moment.

use std::collections::VecDeque;

use super::commit_group::{CommitGroup, FailedGroup};
use super::job::Job;

/// What the planning thread does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Planning {
    /// No thread plans.
    #[default]
    Idle,
    /// A thread plans a group. It looks at the queue again before it stops.
    Running,
    /// A thread has planned a group, and waits for the commit before it or for more jobs.
    Waiting,
}

/// What the committing thread does.
#[derive(Default)]
pub(super) enum Committing {
    /// No commit is under way.
    #[default]
    Idle,
    /// A group is being stored.
    Running,
    /// A group could not be stored, and its members are being answered. Nothing may be planned on top of it.
    Failing(Box<FailedGroup>),
    /// Its answers have been given. The planner has still to go back to what is stored.
    Failed(Box<FailedGroup>),
}

impl Committing {
    /// Whether a thread is storing a group or answering for a failed one.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Committing::Running | Committing::Failing(_))
    }

    pub(super) fn is_failing(&self) -> bool {
        matches!(self, Committing::Failing(_))
    }

    /// The committing thread has no more groups.
    pub(super) fn finish(&mut self) {
        *self = match std::mem::take(self) {
            Committing::Failing(failed) => Committing::Failed(failed),
            _ => Committing::Idle,
        };
    }

    /// Takes the failed group, so that the planner can start anew, and sets the state to `Idle`. Must not be called while a thread
    /// is busy.
    pub(super) fn take_failed(&mut self) -> Option<Box<FailedGroup>> {
        match std::mem::take(self) {
            Committing::Failed(failed) => Some(failed),
            _ => None,
        }
    }
}

/// What the writer's threads share under one lock.
#[derive(Default)]
pub(super) struct CommitQueue {
    pub(super) jobs: VecDeque<Job>,
    pub(super) closed: bool,
    /// Whether a thread runs that will process whatever is in the queue.
    pub(super) served: bool,
    pub(super) planning: Planning,
    pub(super) committing: Committing,
    /// A group that was planned while the one before it is being committed. The committing thread then commits this one, too, which
    /// is quicker than waking the thread that planned it.
    pub(super) planned: Option<CommitGroup>,
    /// Whether an idle thread spins until a job comes.
    pub(super) spinning: bool,
    /// Whether the last commit was small and no thread has spun since.
    pub(super) spin_next: bool,
}

impl CommitQueue {
    /// Whether a thread may begin to plan.
    pub(super) fn wants_planner(&self) -> bool {
        self.planning == Planning::Idle && !self.jobs.is_empty() && !self.committing.is_failing()
    }

    /// Takes jobs for a group with this much room, in bytes; the last one may exceed it. A fork ends the group.
    pub(super) fn take_jobs(&mut self, room: usize) -> Vec<Job> {
        let mut bytes = 0;
        let mut taken: Vec<Job> = Vec::new();
        while bytes < room && !taken.last().is_some_and(Job::ends_group) {
            let Some(job) = self.jobs.pop_front() else { break };
            bytes += job.cost();
            taken.push(job);
        }
        taken
    }
}
