//! Panics of a store or an observer become errors: the writer's threads must go on, everybody waits for them.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use super::{Ack, LogObserver};
use crate::error::{Error, Result};
use crate::node::LogId;

/// What `call` returns, or `Internal` if it panics.
pub(super) fn caught<T>(what: &str, call: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(Error::Internal(format!("{what} panicked"))))
}

/// An observer whose panics are reported to it.
pub(super) struct Guarded(pub(super) Arc<dyn LogObserver>);

impl Guarded {
    pub(super) fn acks(&self, acks: Vec<Ack>) {
        self.call("hearing of acks", || self.0.acks(acks));
    }

    pub(super) fn advanced(&self) {
        self.call("hearing of new rows", || self.0.advanced());
    }

    pub(super) fn log_id_changed(&self, log: &LogId) {
        self.call("hearing of a new log id", || self.0.log_id_changed(log));
    }

    pub(super) fn report(&self, error: Error) {
        // If even that panics, there is nobody left to tell.
        let _ = caught("hearing of an error", || {
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
