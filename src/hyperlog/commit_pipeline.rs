//! Whose turn it is to plan and to commit.
//!
//! On a store that waits for its medium, two threads do the writing ([`Log::run`]). One plans a group, hashing its nodes,
//! while the other waits for the flush of the group before; what comes meanwhile joins the planned group. So hashing
//! costs the medium no time, and a lone event takes no more than one thread. Whoever is done with a flush commits the group
//! that waits for it, and leaves the planning to the other. Groups are committed in the order they were planned in. When a
//! commit fails, the group planned behind it fails with it.
//!
//! On a store that never blocks ([`Store::is_immediate`](crate::store::Store::is_immediate)) the caller's thread does
//! small jobs itself, under the writer's lock, which is quicker than waking another.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::MutexGuard;

use super::commit_group::{take_jobs, Failed, Group};
use super::log::Log;
use super::writer::Writer;
use super::Job;
use crate::error::Error;

/// Bytes appended in one call from which on even a store that never blocks is written by the thread in [`Log::run`]:
/// hashing fewer takes less time than waking that thread.
const BULK: usize = 8 * 1024;

/// How long a thread that has committed a lone event looks out for the next one before it sleeps: whoever emits one at a
/// time has often answered by then, and waking a thread takes as long.
const LINGER: Duration = Duration::from_micros(60);

/// What the thread does that plans.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Planning {
    /// There is none.
    #[default]
    Nobody,
    /// It plans.
    Busy,
    /// It waits for the group before its own, and for more jobs. Its own is in [`Queue::planned`] if it may be committed
    /// as it is.
    Waiting,
}

#[derive(Default)]
pub(super) struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
    /// [`Log::run`] runs, so what is left in the queue is taken care of.
    served: bool,
    planning: Planning,
    /// A group planned while the one before is committed: whoever is done with that commits this, too, which is quicker
    /// than waking the thread that planned it.
    planned: Option<Group>,
    /// A thread commits a group.
    committing: bool,
    /// A thread has nothing to do and looks out for jobs.
    lingering: bool,
    /// The last commit was small, and nobody has lingered after it.
    lone: bool,
    /// The last commit failed, and the planner has not gone back to what is stored.
    broken: Option<Box<Failed>>,
}

impl Queue {
    /// A commit has failed and its members are being answered: nothing more may be planned on top of it.
    fn is_breaking(&self) -> bool {
        self.committing && self.broken.is_some()
    }
}

impl Log {
    /// Does the writing until [`Log::close`]. A store that never blocks can do without.
    pub fn run(&self) {
        self.queue.lock().served = true;
        if self.store.is_immediate() {
            self.run_alone();
            return;
        }
        std::thread::scope(|scope| {
            let second = std::thread::Builder::new().name("hyper-writer".into());
            // One thread does the same, and plans nothing during a flush.
            drop(second.spawn_scoped(scope, || while self.turn() {}));
            while self.turn() {}
        });
    }

    fn run_alone(&self) {
        loop {
            {
                let mut queue = self.queue.lock();
                while queue.jobs.is_empty() && !queue.closed {
                    self.bell.wait(&mut queue);
                }
                if queue.jobs.is_empty() {
                    return;
                }
            }
            self.write_next(&mut self.writer.lock());
        }
    }

    /// Plans a group and commits it, unless the other thread does that; `false` once the log is closed and the other thread
    /// has what is left.
    fn turn(&self) -> bool {
        let mut queue = self.queue.lock();
        while queue.planning != Planning::Nobody || queue.jobs.is_empty() || queue.is_breaking() {
            if queue.closed && queue.jobs.is_empty() {
                self.bell.notify_all();
                return false;
            }
            if std::mem::take(&mut queue.lone) && !queue.lingering {
                queue.lingering = true;
                self.looking.store(true, Ordering::Relaxed);
                MutexGuard::unlocked(&mut queue, || self.linger());
                queue.lingering = false;
                continue;
            }
            self.bell.wait(&mut queue);
        }
        queue.planning = Planning::Busy;
        let mut writer = MutexGuard::unlocked(&mut queue, || self.writer.lock());
        let mut group = Group::default();
        loop {
            if !queue.committing {
                if let Some(failed) = queue.broken.take().or_else(|| group.failed()) {
                    MutexGuard::unlocked(&mut queue, || {
                        self.start_anew(&mut writer, failed, std::mem::take(&mut group));
                    });
                } else if !group.is_empty() {
                    break;
                }
            }
            if queue.jobs.is_empty() && group.is_empty() {
                queue.planning = Planning::Nobody;
                return true;
            }
            let jobs = take_jobs(&mut queue.jobs, group.room());
            MutexGuard::unlocked(&mut queue, || self.plan(&mut writer, &mut group, jobs));
            // What comes while the group before is flushed joins this one.
            while queue.is_breaking()
                || queue.committing && !group.is_empty() && (queue.jobs.is_empty() || group.room() == 0)
            {
                queue.planning = Planning::Waiting;
                let offered = group.may_be_committed();
                if offered {
                    queue.planned = Some(std::mem::take(&mut group));
                }
                self.bell.wait(&mut queue);
                match queue.planned.take() {
                    Some(own) => group = own,
                    None if offered => writer.planner.hand_over(),
                    None => {}
                }
            }
            queue.planning = Planning::Busy;
        }
        queue.committing = true;
        if group.is_last() {
            queue.lone = false;
            MutexGuard::unlocked(&mut queue, || self.finish(&mut writer, group));
            drop(writer);
            queue.planning = Planning::Nobody;
        } else {
            writer.planner.hand_over();
            drop(writer);
            queue.planning = Planning::Nobody;
            if !queue.jobs.is_empty() {
                self.bell.notify_one();
            }
            self.commit_in_turn(&mut queue, group);
        }
        queue.committing = false;
        if queue.planning == Planning::Waiting {
            self.bell.notify_one();
        }
        true
    }

    /// Commits a group, and what is planned by the time that is done.
    fn commit_in_turn(&self, queue: &mut MutexGuard<'_, Queue>, group: Group) {
        let mut next = Some(group);
        while let Some(group) = next {
            queue.lone = group.is_small();
            if let Err(mut failed) = MutexGuard::unlocked(queue, || self.commit(group)) {
                // Known before anybody is answered: who tries again at once is planned anew, not refused with the rest.
                let (untold, error) = (failed.untold.take(), failed.error.clone());
                queue.broken = Some(failed);
                MutexGuard::unlocked(queue, || self.tell(untold, &error));
                return;
            }
            next = queue.planned.take();
            if next.is_some() && !queue.jobs.is_empty() {
                // Who planned it had no room for more, and has now.
                self.bell.notify_one();
            }
        }
    }

    /// Watches for jobs for a moment. On a lone processor that would only keep them from coming.
    fn linger(&self) {
        let start = Instant::now();
        while self.parallel && self.looking.load(Ordering::Relaxed) && start.elapsed() < LINGER {
            std::hint::spin_loop();
        }
    }

    pub(super) fn submit(&self, job: Job) {
        let immediate = self.store.is_immediate();
        let bulk = matches!(&job, Job::Append(batch) if batch.cost() >= BULK);
        let mut queue = self.queue.lock();
        if queue.closed {
            drop(queue);
            self.refuse(job, &Error::Closed("it accepts nothing more"));
            return;
        }
        let inline = immediate && (!queue.served || queue.jobs.is_empty() && !bulk);
        let served = queue.served;
        // One that plans comes back for it, one that lingers sees it.
        let heard = queue.planning == Planning::Busy || queue.lingering;
        queue.jobs.push_back(job);
        self.looking.store(false, Ordering::Relaxed);
        drop(queue);
        if !inline {
            if !heard {
                self.bell.notify_one();
            }
        } else if !served {
            self.drain();
        } else if let Some(mut writer) = self.writer.try_lock() {
            while self.write_next(&mut writer) {}
        } else {
            self.bell.notify_one();
        }
    }

    fn drain(&self) {
        let mut writer = self.writer.lock();
        while self.write_next(&mut writer) {}
    }

    /// Writes what waits as one group; `false` if nothing did. Jobs leave the queue under the writer's lock, so they are
    /// written in their order whoever does it.
    fn write_next(&self, writer: &mut Writer) -> bool {
        let mut group = Group::default();
        let jobs = take_jobs(&mut self.queue.lock().jobs, group.room());
        if jobs.is_empty() {
            return false;
        }
        self.plan(writer, &mut group, jobs);
        self.finish(writer, group);
        true
    }

    /// Accepts nothing more. What waits is still written and answered: by [`Log::run`] before it returns, or on an
    /// immediate store here.
    pub fn close(&self) {
        self.queue.lock().closed = true;
        self.looking.store(false, Ordering::Relaxed);
        self.bell.notify_all();
        if self.store.is_immediate() {
            self.drain();
        }
    }
}
