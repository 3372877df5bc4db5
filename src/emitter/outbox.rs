//! Queues of acks and notices that wait for JavaScript. The bell tells JavaScript when there are some.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;

use super::notices::Notices;
use super::{Bell, Notice};
use crate::hyperlog::Ack;

/// Which calls have something to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// [`Emitter::take_acks`](super::Emitter::take_acks).
    pub acks: bool,
    /// [`Emitter::take_notices`](super::Emitter::take_notices).
    pub notices: bool,
}

#[derive(Default)]
struct Queues {
    acks: VecDeque<Ack>,
    notices: Notices,
}

/// The queues, and the bell.
pub(super) struct Outbox {
    queues: Mutex<Queues>,
    bell: Arc<dyn Bell>,
    /// Running calls from JavaScript that end by asking what waits. While one runs, the bell need not ring.
    muted: AtomicUsize,
}

impl Outbox {
    pub(super) fn new(bell: Arc<dyn Bell>) -> Self {
        Outbox { queues: Mutex::default(), bell, muted: AtomicUsize::new(0) }
    }

    /// An empty outbox with the same bell.
    pub(super) fn emptied(&self) -> Self {
        Outbox::new(Arc::clone(&self.bell))
    }

    pub(super) fn push_acks(&self, acks: Vec<Ack>) {
        if acks.is_empty() {
            return;
        }
        self.queues.lock().acks.extend(acks);
        self.ring();
    }

    pub(super) fn notify(&self, notice: Notice) {
        self.queues.lock().notices.push(notice);
        self.ring();
    }

    pub(super) fn ring(&self) {
        if self.muted.load(Ordering::SeqCst) == 0 {
            self.bell.ring();
        }
    }

    /// Runs `call` without ringing the bell: the caller asks afterwards what waits.
    pub(super) fn muted<T>(&self, call: impl FnOnce() -> T) -> T {
        self.muted.fetch_add(1, Ordering::SeqCst);
        let result = call();
        self.muted.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// Takes at most `max` acks. Returns them, and whether none is left.
    pub(super) fn take_acks(&self, max: usize) -> (Vec<Ack>, bool) {
        let mut queues = self.queues.lock();
        let count = queues.acks.len().min(max);
        let acks = queues.acks.drain(..count).collect();
        (acks, queues.acks.is_empty())
    }

    pub(super) fn take_notices(&self) -> Vec<Notice> {
        self.queues.lock().notices.take()
    }

    pub(super) fn waiting(&self) -> Waiting {
        let queues = self.queues.lock();
        Waiting { acks: !queues.acks.is_empty(), notices: !queues.notices.is_empty() }
    }
}
