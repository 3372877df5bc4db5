//! A request that has not been answered yet.

use std::sync::Arc;

use super::request::Reply;
use super::{Emitter, Notice};
use crate::error::{Error, Result};

/// Answers a request exactly once: with its result, or with `Closed` when it is dropped unfinished.
pub(super) struct PendingAnswer {
    emitter: Arc<Emitter>,
    id: u32,
    sent: bool,
}

impl PendingAnswer {
    pub(super) fn new(emitter: &Arc<Emitter>, id: u32) -> Self {
        PendingAnswer { emitter: Arc::clone(emitter), id, sent: false }
    }

    /// The emitter that the request was made to.
    pub(super) fn emitter(&self) -> &Arc<Emitter> {
        &self.emitter
    }

    /// The request's id.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn send(mut self, result: Result<Reply>) {
        self.sent = true;
        self.emitter.outbox.notify(Notice::Answer { id: self.id, result });
    }
}

impl Drop for PendingAnswer {
    fn drop(&mut self) {
        if !self.sent {
            self.emitter.outbox.notify(Notice::Answer { id: self.id, result: Err(gone()) });
        }
    }
}

/// The answer to requests that are unanswered when the emitter closes.
pub(super) fn gone() -> Error {
    Error::Closed("it was closed before this was answered")
}
