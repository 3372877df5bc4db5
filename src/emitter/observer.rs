//! What the log and the network tell the emitter.

use std::sync::Weak;

use super::{Emitter, Notice};
use crate::error::Error;
use crate::hyperlog::{Ack, Contradiction, LogObserver};
use crate::net::{NetEvent, NetObserver};
use crate::node::LogId;

/// Passes everything on for as long as the emitter is there.
pub(super) struct Observer(pub(super) Weak<Emitter>);

impl Observer {
    fn tell(&self, tell: impl FnOnce(&Emitter)) {
        if let Some(emitter) = self.0.upgrade() {
            tell(&emitter);
        }
    }
}

impl LogObserver for Observer {
    fn acks(&self, acks: Vec<Ack>) {
        self.tell(|emitter| emitter.outbox.push_acks(acks));
    }

    fn advanced(&self) {
        self.tell(|emitter| emitter.outbox.ring());
    }

    fn log_id_changed(&self, log: &LogId) {
        self.tell(|emitter| emitter.outbox.notify(Notice::LogIdChanged(log.clone())));
    }

    fn contradicted(&self, found: Contradiction) {
        self.tell(|emitter| emitter.outbox.notify(Notice::Contradiction(found)));
    }

    fn report(&self, error: Error) {
        self.tell(|emitter| emitter.outbox.notify(Notice::Report(error)));
    }
}

impl NetObserver for Observer {
    fn event(&self, event: NetEvent) {
        self.tell(|emitter| emitter.outbox.notify(Notice::Net(event)));
    }
}
