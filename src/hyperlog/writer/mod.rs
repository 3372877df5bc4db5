//! The single writer: plans the queued jobs as one group. [`Committer`] stores the group.
//!
//! All jobs that come during a commit become the next commit, and share one flush.

mod appends;
mod demands;
mod fork;
mod incoming;
mod sealed;
mod sealed_admission;
mod sealed_run;
mod unfinished;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use self::incoming::NodePlanner;
pub(super) use self::unfinished::BATCH_PATIENCE;
use super::commit_group::{CommitGroup, FailedGroup, Fork};
use super::committer::Committer;
use super::decisions::Decisions;
use super::fork::Forks;
use super::ids::{new_log_id, stored_log_id, EventIds};
use super::job::Job;
use super::parking::{ParkedTotal, Parking};
use super::plan::Planner;
use super::sealing::Sealer;
use super::shared::{CommittedState, Shared};
use super::trust::{read_pins, write_pins, Pin};
use super::versions::{forged, LogVersions};
use super::{Ack, LogOptions};
use crate::error::{Error, Result};
use crate::identity::seal::{author_of, claims_owner, new_sealed_log_id};
use crate::node::{Key, LogId};
use crate::panic::caught;
use crate::store::{Commit, Meta, Store, StoreState};

/// Plans groups. There is one per log, used by one thread at a time.
pub(super) struct Writer {
    shared: Arc<Shared>,
    committer: Arc<Committer>,
    options: LogOptions,
    planner: Planner,
    parking: Parking,
    versions: LogVersions,
    sealed: sealed::SealedLogs,
    unfinished: unfinished::Unfinished,
    decisions: Decisions,
    ids: EventIds,
    /// The key that the local log names, if we do not have it. Then nothing can be appended.
    sealed_by_other: Option<String>,
    /// Why the state could not be read back after a failed commit. The planner then knows less than the store, and nothing can be
    /// planned.
    unreadable: Option<Error>,
}

/// The local log, found in the store or created there.
pub(super) struct OwnLog {
    pub(super) id: LogId,
    /// Whether it has just been created.
    pub(super) is_new: bool,
    /// The logs that were written before there was a key, and their pins.
    pub(super) older: HashMap<LogId, Pin>,
}

impl OwnLog {
    /// Gives the store a log id if it has none. If there is a key that its log does not name, a new log for the key is created; the
    /// old log stays as it is, and is pinned if it has no seals.
    pub(super) fn open(store: &dyn Store, sealer: Option<&Sealer>, state: &StoreState) -> Result<Self> {
        let stored = stored_log_id(store)?;
        let mut older = store.meta(&Meta::OlderLogs)?.map(|fact| read_pins(&fact)).unwrap_or_default();
        let mut meta = Vec::new();
        match (&stored, sealer) {
            (Some(id), None) => return Ok(OwnLog { id: id.clone(), is_new: false, older }),
            (Some(id), Some(sealer)) if sealer.owns(id) => return Ok(OwnLog { id: id.clone(), is_new: false, older }),
            (Some(id), Some(_)) => {
                let head = state.logs.iter().find(|head| head.log == *id && author_of(id).is_none());
                if let Some(head) = head {
                    older.insert(id.clone(), Pin { seq: head.seq, digest: head.digest });
                    meta.push((Meta::OlderLogs, Some(write_pins(&older))));
                }
            }
            (None, _) => {}
        }
        let id = match sealer {
            Some(sealer) => new_sealed_log_id(sealer.public())?,
            None => new_log_id()?,
        };
        meta.push((Meta::LogId, Some(Bytes::copy_from_slice(id.as_bytes()))));
        store.commit(&Commit { meta, ..Commit::default() })?;
        Ok(OwnLog { id, is_new: true, older })
    }
}

impl Writer {
    /// A writer that continues from `state`, the state of the store.
    pub(super) fn new(
        shared: Arc<Shared>,
        committer: Arc<Committer>,
        options: LogOptions,
        local: &OwnLog,
        state: &StoreState,
    ) -> Result<Self> {
        let ids = match &shared.sealer {
            Some(sealer) => EventIds::of_owner(sealer.tag())?,
            None => EventIds::new()?,
        };
        let sealed_by_other = match &shared.sealer {
            Some(_) => None,
            None => author_of(&local.id).map(ToOwned::to_owned),
        };
        let sealed = sealed::SealedLogs::new(&local.id, state);
        let versions = LogVersions::new(Forks::of(shared.store.as_ref(), &local.id)?);
        let mut planner = Planner::beside(Arc::clone(&shared.state), local.id.clone(), state);
        if local.is_new {
            planner.set_local(local.id.clone());
        }
        planner.set_own_last(last_own_key(shared.store.as_ref(), &planner)?);
        let parking = Parking::default();
        Ok(Writer {
            shared,
            committer,
            options,
            planner,
            parking,
            versions,
            sealed,
            unfinished: unfinished::Unfinished::default(),
            decisions: Decisions::default(),
            ids,
            sealed_by_other,
            unreadable: None,
        })
    }

    /// Adds `jobs` to `group`. Jobs that cannot be planned are answered here.
    pub(super) fn plan(&mut self, group: &mut CommitGroup, jobs: Vec<Job>) {
        if self.unreadable.is_some() {
            // Once for all jobs. It succeeds if the store's reads failed only temporarily.
            self.reload();
        }
        for job in jobs {
            if let Some(error) = &self.unreadable {
                self.committer.refuse(job, error);
                continue;
            }
            group.count(&job);
            let owed = group.answers.acks.len() + job.acks();
            // Answers are assigned to appends by their order alone, so a defect must not lose any.
            let planned = caught("planning", || {
                self.plan_job(group, job);
                Ok(())
            });
            if let Err(error) = planned {
                group.answers.acks.resize(owed, Ack { change: 0, result: Ok(None) });
                group.spoil(error);
            }
        }
    }

    fn plan_job(&mut self, group: &mut CommitGroup, job: Job) {
        match job {
            Job::Append(batch) => self.plan_appends(group, &batch),
            Job::Refused { acks, error } => {
                group.answers.acks.extend(std::iter::repeat_n(Ack::failed(error), acks));
            }
            Job::Add { source, nodes, responder } => match NodePlanner::plan(self, group, source, nodes) {
                Ok(outcomes) => group.answers.nodes.push((outcomes, responder)),
                // A look-up failed. What was planned before it is valid and stays.
                Err(error) => drop(responder.send(Err(error))),
            },
            Job::SetMeta { facts, responder } => {
                group.commit.meta.extend(facts);
                group.answers.facts.push(responder);
            }
            Job::Forget(session) => {
                self.parking.forget(session);
                self.versions.forget(session);
                self.sealed.forget(session);
                self.unfinished.forget(session);
                self.shared.take_checked_seals(session);
            }
            Job::ForkLocal { log, from, responder } => {
                // An earlier node of the same job may have proved a fork at an earlier entry.
                let proved = group.answers.fork.take().map(|fork| fork.from);
                if proved.is_none() && log == *self.planner.local() && claims_owner(&log) {
                    let reason = "takes only a sealed version for another one";
                    return drop(responder.send(Err(forged(&log, from, reason))));
                }
                if proved.is_none() && log == *self.planner.local() {
                    if let Err(reason) = self.versions.admit_fork(from) {
                        return drop(responder.send(Err(forged(&log, from, reason))));
                    }
                }
                let from = proved.map_or(from, |proved| proved.min(from));
                group.answers.fork = Some(Fork { log, from, theirs: None, responder: Some(responder) });
            }
            Job::Adopt { log, from, theirs, responder } => match &group.answers.fork {
                Some(_) => {
                    let why = "our own log has just forked, and its entries are about to move: ask again";
                    drop(responder.send(Err(Error::InvalidArgument(why.into()))));
                }
                None => {
                    group.answers.fork = Some(Fork { log, from, theirs: Some(theirs), responder: Some(responder) });
                }
            },
        }
    }

    /// Called when the planned group goes to the store, which by then has all of the group before.
    pub(super) fn hand_over(&mut self) {
        self.planner.hand_over();
    }

    /// Commits a planned group, and what must follow it immediately. There must be no other planned group.
    pub(super) fn commit_last(&mut self, mut group: CommitGroup) {
        let fork = group.answers.fork.take();
        self.hand_over();
        let stored = self.committer.commit(group).map_err(|failed| {
            let error = failed.error.clone();
            self.start_anew(failed, CommitGroup::default());
            error
        });
        if let Some(fork) = fork {
            let forked = stored.and_then(|()| self.move_tail(&fork));
            match (fork.responder, forked) {
                // The receiver may be gone; the fork is carried out all the same.
                (Some(responder), forked) => drop(responder.send(forked)),
                // No caller waits for it, and the next proof will start it again.
                (None, Err(error)) => self.shared.observer.report(error),
                (None, Ok(_)) => {}
            }
        }
    }

    pub(super) fn parked(&self) -> ParkedTotal {
        self.parking.total()
    }

    /// Goes back to what is stored after a failed group. `group` was planned after it, and fails too. The nodes that either took
    /// out of the parking are parked again.
    pub(super) fn start_anew(&mut self, mut failed: Box<FailedGroup>, group: CommitGroup) {
        self.committer.tell(failed.untold.take(), &failed.error);
        self.committer.answer_failed(group.answers, &failed.error);
        self.reload();
        for (parked, waits) in failed.released.into_iter().chain(group.released) {
            // If there is no room, its session asks for it again, as for any node that is refused for lack of room.
            let _ = self.parking.park(parked, waits);
        }
    }

    /// Reads the state back from the store: after a commit that failed, or that moved entries.
    fn reload(&mut self) {
        let shared = &self.shared;
        let read = caught("the store", || {
            let state = shared.store.state()?;
            let end = state.end;
            shared.replace_state(CommittedState::of(self.planner.local().clone(), &state));
            let mut planner = self.planner.renewed(&state);
            planner.set_own_last(last_own_key(shared.store.as_ref(), &planner)?);
            Ok((end, planner))
        });
        match read {
            Ok((end, planner)) => {
                self.planner = planner;
                self.decisions.forget_behind(self.planner.seq(self.planner.local()));
                shared.forget_recent(end);
                self.unreadable = None;
            }
            Err(error) => self.unreadable = Some(error),
        }
    }
}

/// The local log's last node.
fn last_own_key(store: &dyn Store, planner: &Planner) -> Result<Option<Key>> {
    match planner.seq(planner.local()) {
        0 => Ok(None),
        seq => Ok(store.entry(planner.local(), seq)?.map(|entry| entry.key)),
    }
}
