//! Stores planned groups, and gives the answers that depend on them.

use std::sync::atomic::Ordering;
use std::sync::Arc;

use parking_lot::Mutex;

use super::commit_group::{Answers, CommitGroup, FailedGroup};
use super::job::Job;
use super::shared::Shared;
use super::Ack;
use crate::error::{Error, Result};
use crate::panic::caught;

/// Commits independently of the planner: a thread commits one group while another plans the next.
pub(super) struct Committer {
    shared: Arc<Shared>,
    /// The failure that was reported last; `None` once a group has been stored.
    reported: Mutex<Option<String>>,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Committer { shared, reported: Mutex::new(None) }
    }

    /// Stores a group and gives its answers. If it cannot be stored, no answer is given yet, and the planner stays ahead of the
    /// store until [`Writer::start_anew`](super::writer::Writer::start_anew).
    pub(super) fn commit(&self, mut group: CommitGroup) -> Result<(), Box<FailedGroup>> {
        // A store in memory keeps rows without seals: they are sealed when they are sent.
        if let Some(sealer) = self.shared.sealer.as_ref().filter(|_| !self.shared.store.is_immediate()) {
            sealer.seal_group(&mut group.commit.rows);
        }
        if let Err(error) = self.store(&group) {
            return Err(Box::new(FailedGroup { error, untold: Some(group.answers), released: group.released }));
        }
        let CommitGroup { commit, answers, .. } = group;
        let Answers { acks, appended, nodes, facts, contradictions, .. } = answers;
        let shared = &self.shared;
        shared.pending.fetch_sub(appended, Ordering::Relaxed);
        let end = commit.rows.last().map(|row| row.at);
        // Announced before answers are given, so that whoever gets one can read its rows. Followers of the log are notified
        // afterwards.
        if let Some(end) = end {
            shared.publish(commit.rows, end);
        }
        if !acks.is_empty() {
            shared.observer.acks(acks);
        }
        if let Some(end) = end {
            shared.announce(end);
            shared.observer.advanced();
        }
        contradictions.into_iter().for_each(|found| shared.observer.contradicted(found));
        nodes.into_iter().for_each(|(outcomes, responder)| drop(responder.send(Ok(outcomes))));
        facts.into_iter().for_each(|responder| drop(responder.send(Ok(()))));
        Ok(())
    }

    fn store(&self, group: &CommitGroup) -> Result<()> {
        if let Some(error) = &group.spoilt {
            return Err(error.clone());
        }
        if group.commit.is_empty() {
            return Ok(());
        }
        // Everybody in the group waits for an answer, so a panic must become one.
        caught("the store", || self.shared.store.commit(&group.commit))?;
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        *self.reported.lock() = None;
        Ok(())
    }

    /// Gives the answers of a failed group, unless that has been done, and reports the failure. The same failure is reported only
    /// once until a group is stored, because a full disk refuses one group after the other, each with its own answers.
    pub(super) fn tell(&self, untold: Option<Answers>, error: &Error) {
        let Some(answers) = untold else { return };
        self.answer_failed(answers, error);
        let what = error.to_string();
        if self.reported.lock().replace(what.clone()) != Some(what) {
            self.shared.observer.report(error.clone());
        }
    }

    /// Gives all answers of a group that will not be stored.
    pub(super) fn answer_failed(&self, answers: Answers, error: &Error) {
        let Answers { mut acks, appended, nodes, facts, fork, .. } = answers;
        self.shared.pending.fetch_sub(appended, Ordering::Relaxed);
        acks.iter_mut().filter(|ack| ack.result.is_ok()).for_each(|ack| *ack = Ack::failed(error.clone()));
        if !acks.is_empty() {
            self.shared.observer.acks(acks);
        }
        nodes.into_iter().for_each(|(_, responder)| drop(responder.send(Err(error.clone()))));
        facts.into_iter().for_each(|responder| drop(responder.send(Err(error.clone()))));
        if let Some(responder) = fork.and_then(|fork| fork.responder) {
            drop(responder.send(Err(error.clone())));
        }
    }

    /// Answers a job that will not be planned.
    pub(super) fn refuse(&self, job: Job, error: &Error) {
        match job {
            Job::Append(batch) => {
                self.shared.pending.fetch_sub(batch.cost(), Ordering::Relaxed);
                self.shared.observer.acks(vec![Ack::failed(error.clone()); batch.acks()]);
            }
            Job::Refused { acks, error } => {
                self.shared.observer.acks(vec![Ack::failed(error); acks]);
            }
            Job::Add { responder, .. } => drop(responder.send(Err(error.clone()))),
            Job::SetMeta { responder, .. } => drop(responder.send(Err(error.clone()))),
            Job::ForkLocal { responder, .. } | Job::Adopt { responder, .. } => {
                drop(responder.send(Err(error.clone())));
            }
            Job::Forget(_) => {}
        }
    }
}
