//! The link table: what is dialled, what was dialled to us, and where each link stands.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::event::{Counters, Dialect, Direction, PeerInfo, Stage};
use crate::node::Change;

/// One entry of the table, shared by the task that serves the link and by whoever asks about it.
pub(super) struct Link {
    pub(super) key: String,
    pub(super) direction: Direction,
    /// Set once it is known that an earlier run was connected to this peer: it is then never given up.
    known: AtomicBool,
    /// Bumped by [`Link::drop_connection`].
    drops: watch::Sender<u64>,
    status: Mutex<Status>,
}

#[derive(Clone, Copy, Default)]
struct Status {
    stage: Stage,
    dialect: Dialect,
    counters: Counters,
    delivered: Change,
}

impl Link {
    pub(super) fn new(key: String, direction: Direction, known: bool) -> Arc<Link> {
        Arc::new(Link {
            key,
            direction,
            known: AtomicBool::new(known),
            drops: watch::Sender::new(0),
            status: Mutex::default(),
        })
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    pub(super) fn set_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Ends the present connection, or attempt, as a failure would. Between attempts nothing happens.
    pub(super) fn drop_connection(&self) {
        self.drops.send_modify(|drops| *drops += 1);
    }

    /// Changes when the connection that exists from now on is to be dropped.
    pub(super) fn drops(&self) -> watch::Receiver<u64> {
        self.drops.subscribe()
    }

    /// A new attempt, or the pause before it: counters start again.
    pub(super) fn restart(&self, stage: Stage) {
        *self.status.lock() = Status { stage, ..Status::default() };
    }

    /// Publishes where the connection stands.
    pub(super) fn publish(&self, stage: Stage, dialect: Dialect, counters: Counters, delivered: Change) {
        *self.status.lock() = Status { stage, dialect, counters, delivered };
    }

    fn describe(&self) -> PeerInfo {
        let Status { stage, dialect, counters, delivered } = *self.status.lock();
        PeerInfo { key: self.key.clone(), direction: self.direction, dialect, stage, counters, delivered }
    }
}

/// All links, by key. Keys of dialled links contain a colon, keys of the others are numbers: they never meet.
#[derive(Default)]
pub(super) struct Table {
    links: HashMap<String, Arc<Link>>,
    inbound: usize,
    next_inbound: u64,
}

impl Table {
    /// Enters a link that we shall dial; `None` if the key is taken.
    pub(super) fn dial(&mut self, key: &str, known: bool) -> Option<Arc<Link>> {
        if let Some(link) = self.links.get(key) {
            if known {
                link.set_known();
            }
            return None;
        }
        let link = Link::new(key.to_owned(), Direction::Outbound, known);
        self.links.insert(key.to_owned(), Arc::clone(&link));
        Some(link)
    }

    /// Enters a link that was dialled to us; `None` if there are `limit` already.
    pub(super) fn accept(&mut self, limit: usize) -> Option<Arc<Link>> {
        if self.inbound >= limit {
            return None;
        }
        let link = Link::new(self.next_inbound.to_string(), Direction::Inbound, false);
        self.next_inbound += 1;
        self.inbound += 1;
        self.links.insert(link.key.clone(), Arc::clone(&link));
        Some(link)
    }

    pub(super) fn remove(&mut self, link: &Link) {
        if self.links.remove(&link.key).is_some() && link.direction == Direction::Inbound {
            self.inbound -= 1;
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Link>> {
        self.links.get(key).cloned()
    }

    /// Every link, in no particular order.
    pub(super) fn describe(&self) -> Vec<PeerInfo> {
        self.links.values().map(|link| link.describe()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_dialled_once_and_can_become_known_meanwhile() {
        let mut table = Table::default();
        let link = table.dial("a:1", false).unwrap();
        assert!(table.dial("a:1", true).is_none());
        assert!(link.is_known());
        table.remove(&link);
        assert!(table.dial("a:1", false).is_some());
    }

    #[test]
    fn inbound_keys_count_up_and_are_never_used_again() {
        let mut table = Table::default();
        let first = table.accept(2).unwrap();
        let second = table.accept(2).unwrap();
        assert!(table.accept(2).is_none());
        table.remove(&first);
        let third = table.accept(2).unwrap();
        assert_eq!([&first.key, &second.key, &third.key], ["0", "1", "2"]);
    }

    #[test]
    fn removing_twice_frees_one_place() {
        let mut table = Table::default();
        let first = table.accept(2).unwrap();
        let _second = table.accept(2).unwrap();
        table.remove(&first);
        table.remove(&first);
        assert!(table.accept(2).is_some());
        assert!(table.accept(2).is_none());
    }
}
