//! The emitter's side of the network: its events become notices.

use super::{Emitter, Notice, Observer, Opening};
use crate::net::{NetEvent, NetObserver, PeerInfo};

/// A call of [`Emitter::connect`] before the store was open.
pub(super) struct EarlyConnect {
    host: String,
    port: u16,
    known: bool,
}

impl Emitter {
    /// Dials a peer and keeps the link up; what becomes of it is told by [`Notice::Net`], the last of which is
    /// `GaveUp`. A key that is in use is left alone. Allowed before the store is open.
    pub fn connect(&self, host: String, port: u16, known: bool) {
        if let Some(net) = self.net.get() {
            net.connect(host, port, known);
            return;
        }
        let mut opening = self.opening.lock();
        match &mut *opening {
            Opening::Waiting { connects, .. } => connects.push(EarlyConnect { host, port, known }),
            Opening::Open => {
                drop(opening);
                if let Some(net) = self.net.get() {
                    net.connect(host, port, known);
                }
            }
            Opening::Failed(error) => {
                let error = error.clone();
                drop(opening);
                let key = format!("{host}:{port}");
                self.notify(Notice::Net(NetEvent::GaveUp { key, error }));
            }
        }
    }

    pub(super) fn connect_early(&self, connects: Vec<EarlyConnect>) {
        for EarlyConnect { host, port, known } in connects {
            self.connect(host, port, known);
        }
    }

    /// Ends the connection of a link abruptly, as a failure would. One that we dialled is redialled.
    pub fn drop_link(&self, key: &str) {
        if let Some(net) = self.net.get() {
            net.drop_link(key);
        }
    }

    /// Every link.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.net.get().map(crate::net::Net::peers).unwrap_or_default()
    }
}

impl NetObserver for Observer {
    fn event(&self, event: NetEvent) {
        if let Some(emitter) = self.0.upgrade() {
            emitter.notify(Notice::Net(event));
        }
    }
}
