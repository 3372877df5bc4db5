//! Which thread plans and commits, and when.
//!
//! On a store that waits for its medium, two threads take turns ([`CommitPipeline::run`]). A turn has four phases:
//!
//! 1. *Wait* until no other thread plans and there are jobs ([`CommitPipeline::wait_for_turn`]).
//! 2. *Plan* a group and hash its nodes ([`CommitPipeline::plan_group`]), while the other thread waits for the flush of the
//!    group before. Jobs that come meanwhile join the planned group.
//! 3. *Hand over* the planning to the other thread.
//! 4. *Commit* the group, and every group that has been planned by the time that is done ([`CommitPipeline::commit`]).
//!
//! So the medium does not wait for hashing, and a single event is planned and committed by one thread. Groups are committed in the
//! order in which they were planned. When a commit fails, the group planned after it fails too.
//!
//! On a store that never blocks ([`Store::is_immediate`](crate::store::Store::is_immediate)) the caller's thread does
//! small jobs itself, which is quicker than waking another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::commit_group::CommitGroup;
use super::commit_queue::{CommitQueue, Committing, Planning};
use super::committer::Committer;
use super::job::Job;
use super::parking::ParkedTotal;
use super::writer::Writer;
use crate::error::Error;

/// From this many bytes in one call on, the thread in [`CommitPipeline::run`] also writes to a store that never blocks. Hashing
/// fewer bytes takes less time than waking that thread.
const BULK: usize = 8 * 1024;

/// How long a thread that has committed a single event spins for the next job before it sleeps. A caller that emits one event at a
/// time has often emitted the next by then, and waking a thread takes as long.
const SPIN: Duration = Duration::from_micros(60);

/// Takes jobs from the queue to the store.
pub(super) struct CommitPipeline {
    queue: Mutex<CommitQueue>,
    /// Notified when the queue has changed for a thread that waits.
    changed: Condvar,
    /// Locked by the thread that plans. On an immediate store the lock also keeps jobs in order: they leave the queue under it.
    writer: Mutex<Writer>,
    committer: Arc<Committer>,
    /// Whether the store never blocks.
    immediate: bool,
    /// Whether a thread spins for a job. Set under the queue's lock.
    spinning: AtomicBool,
    /// Whether the machine has several processors.
    parallel: bool,
}

impl CommitPipeline {
    pub(super) fn new(writer: Writer, committer: Arc<Committer>, immediate: bool) -> Self {
        CommitPipeline {
            queue: Mutex::new(CommitQueue::default()),
            changed: Condvar::new(),
            writer: Mutex::new(writer),
            committer,
            immediate,
            spinning: AtomicBool::new(false),
            parallel: std::thread::available_parallelism().is_ok_and(|threads| threads.get() > 1),
        }
    }

    /// Queues a job; refuses it if the pipeline is closed.
    pub(super) fn submit(&self, job: Job) {
        let bulk = matches!(&job, Job::Append(batch) if batch.cost() >= BULK);
        let mut queue = self.queue.lock();
        if queue.closed {
            drop(queue);
            self.committer.refuse(job, &Error::Closed("it accepts nothing more"));
            return;
        }
        let inline = self.immediate && (!queue.served || queue.jobs.is_empty() && !bulk);
        let served = queue.served;
        // A planner looks at the queue again, and a spinning thread polls it.
        let noticed = queue.planning == Planning::Running || queue.spinning;
        queue.jobs.push_back(job);
        self.spinning.store(false, Ordering::Relaxed);
        drop(queue);
        if !inline {
            if !noticed {
                self.changed.notify_one();
            }
        } else if !served {
            self.drain();
        } else if let Some(mut writer) = self.writer.try_lock() {
            while self.write_next(&mut writer) {}
        } else {
            self.changed.notify_one();
        }
    }

    pub(super) fn parked(&self) -> ParkedTotal {
        self.writer.lock().parked()
    }

    /// Stops accepting jobs. Queued jobs are still written and answered: by [`CommitPipeline::run`] before it returns, or here if
    /// the store is immediate.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.spinning.store(false, Ordering::Relaxed);
        self.changed.notify_all();
        if self.immediate {
            self.drain();
        }
    }

    /// Does the writing until [`CommitPipeline::close`]. An immediate store can do without.
    pub(super) fn run(&self) {
        self.queue.lock().served = true;
        if self.immediate {
            self.run_alone();
            return;
        }
        std::thread::scope(|scope| {
            let second = std::thread::Builder::new().name("hyper-writer".into());
            // Without a second thread, this one does everything, and does not plan during a flush.
            drop(second.spawn_scoped(scope, || while self.take_turn() {}));
            while self.take_turn() {}
        });
    }

    fn run_alone(&self) {
        loop {
            {
                let mut queue = self.queue.lock();
                while queue.jobs.is_empty() && !queue.closed {
                    self.changed.wait(&mut queue);
                }
                if queue.jobs.is_empty() {
                    return;
                }
            }
            self.write_next(&mut self.writer.lock());
        }
    }

    fn drain(&self) {
        let mut writer = self.writer.lock();
        while self.write_next(&mut writer) {}
    }

    /// Plans and commits the queued jobs as one group; `false` if there are none. Jobs are written in order whichever thread does
    /// it, because they leave the queue under the writer's lock.
    fn write_next(&self, writer: &mut Writer) -> bool {
        let mut group = CommitGroup::default();
        let jobs = self.queue.lock().take_jobs(group.room());
        if jobs.is_empty() {
            return false;
        }
        writer.plan(&mut group, jobs);
        writer.commit_last(group);
        true
    }

    /// Takes one turn; `false` once the pipeline is closed and this thread has nothing left to do.
    fn take_turn(&self) -> bool {
        let mut queue = self.queue.lock();
        if !self.wait_for_turn(&mut queue) {
            return false;
        }
        queue.planning = Planning::Running;
        let mut writer = MutexGuard::unlocked(&mut queue, || self.writer.lock());
        let Some(group) = self.plan_group(&mut queue, &mut writer) else {
            queue.planning = Planning::Idle;
            return true;
        };
        queue.committing = Committing::Running;
        if group.is_last() {
            queue.spin_next = false;
            MutexGuard::unlocked(&mut queue, || writer.commit_last(group));
            drop(writer);
            queue.planning = Planning::Idle;
        } else {
            writer.hand_over();
            drop(writer);
            queue.planning = Planning::Idle;
            if !queue.jobs.is_empty() {
                self.changed.notify_one();
            }
            self.commit(&mut queue, group);
        }
        queue.committing.finish();
        if queue.planning == Planning::Waiting {
            self.changed.notify_one();
        }
        true
    }

    /// Waits until this thread may plan; `false` once the pipeline is closed and no job is left.
    fn wait_for_turn(&self, queue: &mut MutexGuard<'_, CommitQueue>) -> bool {
        while !queue.wants_planner() {
            if queue.closed && queue.jobs.is_empty() {
                self.changed.notify_all();
                return false;
            }
            if std::mem::take(&mut queue.spin_next) && !queue.spinning {
                queue.spinning = true;
                self.spinning.store(true, Ordering::Relaxed);
                MutexGuard::unlocked(queue, || self.spin());
                queue.spinning = false;
                continue;
            }
            self.changed.wait(queue);
        }
        true
    }

    /// Spins for a moment, until a job comes. With a single processor, spinning would only delay the next job.
    fn spin(&self) {
        let start = Instant::now();
        while self.parallel && self.spinning.load(Ordering::Relaxed) && start.elapsed() < SPIN {
            std::hint::spin_loop();
        }
    }

    /// Plans a group, until no other commit is under way. `None` if the other thread has committed all of it meanwhile.
    fn plan_group(&self, queue: &mut MutexGuard<'_, CommitQueue>, writer: &mut Writer) -> Option<CommitGroup> {
        let mut group = CommitGroup::default();
        loop {
            if !queue.committing.is_busy() {
                if let Some(failed) = queue.committing.take_failed().or_else(|| group.failed()) {
                    MutexGuard::unlocked(queue, || writer.start_anew(failed, std::mem::take(&mut group)));
                } else if !group.is_empty() {
                    return Some(group);
                }
            }
            if queue.jobs.is_empty() && group.is_empty() {
                return None;
            }
            let jobs = queue.take_jobs(group.room());
            MutexGuard::unlocked(queue, || writer.plan(&mut group, jobs));
            group = self.wait_for_commit(queue, writer, group);
        }
    }

    /// Waits while another group is committed and nothing can be added to this one. The committing thread may take over this group
    /// if it can be committed as it is; then an empty group is returned.
    fn wait_for_commit(
        &self,
        queue: &mut MutexGuard<'_, CommitQueue>,
        writer: &mut Writer,
        mut group: CommitGroup,
    ) -> CommitGroup {
        while queue.committing.is_failing()
            || queue.committing.is_busy() && !group.is_empty() && (queue.jobs.is_empty() || group.room() == 0)
        {
            queue.planning = Planning::Waiting;
            let offered = group.may_be_committed();
            if offered {
                queue.planned = Some(std::mem::take(&mut group));
            }
            self.changed.wait(queue);
            match queue.planned.take() {
                Some(own) => group = own,
                None if offered => writer.hand_over(),
                None => {}
            }
        }
        queue.planning = Planning::Running;
        group
    }

    /// Commits a group, and each one that has been planned by the time that is done.
    fn commit(&self, queue: &mut MutexGuard<'_, CommitQueue>, group: CommitGroup) {
        let mut next = Some(group);
        while let Some(group) = next {
            queue.spin_next = group.is_small();
            if let Err(mut failed) = MutexGuard::unlocked(queue, || self.committer.commit(group)) {
                let (untold, error) = (failed.untold.take(), failed.error.clone());
                // Set before any answer is given: a caller that retries immediately is planned anew, and not refused with the rest.
                queue.committing = Committing::Failing(failed);
                MutexGuard::unlocked(queue, || self.committer.tell(untold, &error));
                return;
            }
            next = queue.planned.take();
            if next.is_some() && !queue.jobs.is_empty() {
                // The thread that planned this group had no room for more jobs, and has room now.
                self.changed.notify_one();
            }
        }
    }
}
