//! Closing an emitter: refuses further appends, ends the sessions, commits what waits, and closes the store.

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use super::opening::Opening;
use super::request::Reply;
use super::{Emitter, Notice};
use crate::error::{Error, Result};

/// How long a closing emitter waits for tasks that hold sockets.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(2);

impl Emitter {
    /// Stops accepting, ends sessions, writes what waits, closes the store; then answers `id`. Returns at once.
    pub fn close(self: &Arc<Self>, id: u32) {
        let emitter = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("hyper-close".into()).spawn(move || {
            let result = emitter.shut_down().map(|()| Reply::Done);
            emitter.outbox.notify(Notice::Answer { id, result });
        });
        match spawned {
            Ok(thread) => *self.closer.lock() = Some(thread),
            // The system gives no thread that could wait, so this one waits. Closing frees threads.
            Err(_) => {
                let result = self.shut_down().map(|()| Reply::Done);
                self.outbox.notify(Notice::Answer { id, result });
            }
        }
    }

    /// The emitter that replaces this one once `close` has been answered: it knows the last change and refuses everything. When
    /// the last owner of the old one drops it, its descriptors, threads and memory are freed.
    #[must_use]
    pub fn closed(&self) -> Arc<Self> {
        if let Some(thread) = self.closer.lock().take() {
            // The thread has given its answer, and holds the emitter only for a moment longer.
            let _ = thread.join();
        }
        let opening = Opening::failed(Error::Closed("everything is released"));
        let closed = Emitter::new(self.options.clone(), opening, self.outbox.emptied(), None);
        closed.closing.store(true, Ordering::SeqCst);
        Arc::new(Emitter { last_change_when_closed: self.last_change(), ..closed })
    }

    /// [`Emitter::close`] on this thread, for an environment that ends. Does nothing if the emitter is closed already.
    ///
    /// # Errors
    /// The store's, on closing it.
    pub fn shut_down(&self) -> Result<()> {
        // A second call (the environment ends while a close is under way) waits for the first: the store must not be
        // closed while the writer uses it.
        let mut writer = self.writer.lock();
        // A thread that opens the store either sees this flag and closes its log, or has already set the log.
        self.opening.while_undecided(|| self.closing.store(true, Ordering::SeqCst));
        self.end_sessions();
        if let Some(log) = self.log.get() {
            // The log still writes what it was given before `close`.
            log.keep_stuck_logs();
            log.close();
        }
        if let Some(thread) = writer.take() {
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
            // A store that was still opening may have started to dial.
            self.end_sessions();
        }
        // Dropped without holding the lock: tasks that are dropped with the runtime send answers, and may take the lock for that.
        let runtime = self.runtime.lock().take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
        }
        match self.log.get() {
            Some(log) => log.store().close(),
            None => Ok(()),
        }
    }

    fn end_sessions(&self) {
        if let Some(net) = self.net.get() {
            // The network closes within a bounded time. If the runtime has ended already, so has the network.
            let _ = net.close().blocking_recv();
        }
    }
}
