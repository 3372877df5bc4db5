//! The log of a store that another process writes: refuses all jobs, and announces the rows that the other process stores.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::committer::Committer;
use super::ids::stored_log_id;
use super::job::Job;
use super::shared::Shared;
use crate::error::{Error, Result};
use crate::panic::caught;

/// Time between two looks at the store. A commit is seen at the first look, and shown at the second unless another commit follows
/// before. So it is shown within 50 ms, also if the thread is woken late.
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// Time until the next look after one that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// Follows a store.
pub(super) struct Following {
    shared: Arc<Shared>,
    committer: Committer,
    closed: Mutex<bool>,
    closing: Condvar,
}

impl Following {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        Following {
            shared: Arc::clone(shared),
            committer: Committer::new(Arc::clone(shared)),
            closed: Mutex::new(false),
            closing: Condvar::new(),
        }
    }

    pub(super) fn refuse(&self, job: Job) {
        self.committer.refuse(job, &Error::ReadOnly);
    }

    pub(super) fn close(&self) {
        *self.closed.lock() = true;
        self.closing.notify_all();
    }

    /// Looks at the store until [`Following::close`].
    pub(super) fn run(&self) {
        let mut reported = None;
        let mut closed = self.closed.lock();
        while !*closed {
            let looked = MutexGuard::unlocked(&mut closed, || caught("the store", || self.look()));
            let pause = match looked {
                Ok(()) => LOOK_EVERY,
                Err(error) => {
                    let what = error.to_string();
                    // The same failure is reported once.
                    if reported.replace(what.clone()) != Some(what) {
                        self.shared.observer.report(error);
                    }
                    AFTER_FAILURE
                }
            };
            if !*closed {
                self.closing.wait_for(&mut closed, pause);
            }
        }
    }

    fn look(&self) -> Result<()> {
        let Some(grown) = self.shared.store.catch_up()? else { return Ok(()) };
        self.shared.take_in(&grown)?;
        if let Some(id) = stored_log_id(self.shared.store.as_ref())? {
            let before = std::mem::replace(&mut self.shared.state.write().log_id, id.clone());
            if before != id {
                self.shared.observer.log_id_changed(&id);
            }
        }
        self.shared.announce(grown.end);
        self.shared.observer.advanced();
        Ok(())
    }
}
