//! A link's entry among the links to the same emitter (`protocol::twins`).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::protocol::twins::{Turn, Twins};
use crate::protocol::{Instance, Token};

/// All links of the network. If the system has no randomness, links to the same emitter cannot be recognised, and each of them
/// carries everything.
pub(super) struct Family {
    ours: Option<Instance>,
    twins: Twins<u64>,
    wakes: HashMap<u64, Arc<Notify>>,
}

impl Default for Family {
    fn default() -> Family {
        let ours = random().map(Instance);
        Family { ours, twins: Twins::new(ours.unwrap_or(Instance([0; 16]))), wakes: HashMap::new() }
    }
}

/// A connection's entry, for as long as it exists.
pub(super) struct Twin<'a> {
    family: &'a Mutex<Family>,
    id: u64,
    /// The instance and token that our handshake states.
    pub(super) record: Option<(Instance, Token)>,
    wake: Arc<Notify>,
}

impl<'a> Twin<'a> {
    /// A connection begins.
    pub(super) fn open(family: &'a Mutex<Family>, id: u64) -> Twin<'a> {
        let wake = Arc::new(Notify::new());
        let entry = &mut *family.lock();
        let record = entry.ours.zip(random().map(Token));
        if let Some((_, token)) = record {
            entry.twins.opened(id, token);
            entry.wakes.insert(id, Arc::clone(&wake));
        }
        Twin { family, id, record, wake }
    }

    /// Whether the peer is this emitter itself.
    pub(super) fn is_ours(&self, theirs: Instance) -> bool {
        self.record.is_some_and(|(ours, _)| ours == theirs)
    }

    /// The peer's handshake has arrived. Returns whether this link carries traffic or stands by.
    pub(super) fn met(&self, theirs: Instance, token: Token) -> Turn {
        self.family.lock().twins.met(self.id, theirs, token)
    }

    /// The peer says which link carries traffic. Returns whether this one does, or stands by.
    pub(super) fn told(&self, token: Option<Token>) -> Turn {
        let family = &mut *self.family.lock();
        let Some(token) = token else { return family.twins.carries(self.id) };
        let (turn, woken) = family.twins.told(self.id, token);
        family.wake(woken);
        turn
    }

    /// Waits until this link has to take over from one that has ended.
    pub(super) async fn takes_over(&self) {
        self.wake.notified().await;
    }
}

impl Drop for Twin<'_> {
    fn drop(&mut self) {
        let family = &mut *self.family.lock();
        family.wakes.remove(&self.id);
        let next = family.twins.closed(self.id);
        family.wake(next);
    }
}

impl Family {
    fn wake(&self, id: Option<u64>) {
        if let Some(wake) = id.and_then(|id| self.wakes.get(&id)) {
            wake.notify_one();
        }
    }
}

/// Random bytes; `None` if the system has no randomness.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}
