//! The emitter's calls to the network.

use std::sync::Arc;

use super::opening::Call;
use super::Emitter;
use crate::net::{Net, PeerInfo};

impl Emitter {
    /// Dials a peer and keeps the link up; what becomes of it is told by [`Notice::Net`](super::Notice::Net), the last of
    /// which is `GaveUp`. A key that is in use is left alone. Allowed before the store is open.
    pub fn connect(self: &Arc<Self>, host: String, port: u16, known: bool) {
        match self.net.get() {
            Some(net) => {
                net.connect(host, port, known);
            }
            None => self.call(Call::Connect { host, port, known }),
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
        self.net.get().map(Net::peers).unwrap_or_default()
    }
}
