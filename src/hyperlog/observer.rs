//! Observers of the log.

use std::sync::Arc;

use super::{Ack, Contradiction};
use crate::error::{Error, Result};
use crate::node::LogId;
use crate::panic::caught;

/// Is told what the log has done. It is called by whichever thread plans, commits or submits, so it must not block, append to the
/// log or wait for it.
pub trait LogObserver: Send + Sync {
    /// Answers, in append order. Their rows are visible but not announced yet.
    fn acks(&self, acks: Vec<Ack>);
    /// More rows are announced.
    fn advanced(&self);
    /// Appends go to another log from now on, because the old one is forked.
    fn log_id_changed(&self, log: &LogId);
    /// An event of another emitter, which is stored now, contradicts a conditional append of ours.
    fn contradicted(&self, found: Contradiction) {
        let _ = found;
    }
    /// The store failed.
    fn report(&self, error: Error);
}

/// An observer whose panics become reports: the committing threads must continue, because all callers wait for them.
pub(super) struct CatchingObserver(pub(super) Arc<dyn LogObserver>);

impl CatchingObserver {
    pub(super) fn acks(&self, acks: Vec<Ack>) {
        self.call("handling acks", || self.0.acks(acks));
    }

    pub(super) fn advanced(&self) {
        self.call("handling new rows", || self.0.advanced());
    }

    pub(super) fn log_id_changed(&self, log: &LogId) {
        self.call("handling a new log id", || self.0.log_id_changed(log));
    }

    pub(super) fn contradicted(&self, found: Contradiction) {
        self.call("handling a conflict", || self.0.contradicted(found));
    }

    pub(super) fn report(&self, error: Error) {
        // If this panics as well, there is nobody left to report it to.
        let _: Result<()> = caught("handling an error", || {
            self.0.report(error);
            Ok(())
        });
    }

    fn call(&self, what: &str, call: impl FnOnce()) {
        let heard = caught(what, || {
            call();
            Ok(())
        });
        if let Err(error) = heard {
            self.report(error);
        }
    }
}
