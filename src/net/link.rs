//! The link table: what is dialled, what was dialled to us, and where each link stands.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::event::{Counters, Dialect, Direction, PeerInfo, Stage};
use super::silent::{Network, Silent};
use super::NetOptions;
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
    /// Those of the inbound links that have not introduced themselves.
    silent: Silent,
}

/// What becomes of a connection that was dialled to us.
pub(super) enum Admission {
    Entered(Arc<Link>),
    /// Entered, and a silent one had to go for it.
    Replaced(Arc<Link>),
    /// There are as many peers as there may be, and all of them speak.
    Refused,
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

    /// Enters a link that was dialled to us. Where the bounds are reached a silent one gives way.
    pub(super) fn accept(&mut self, from: Network, options: &NetOptions) -> Admission {
        let full = self.inbound >= options.max_inbound || self.silent.len() >= options.max_silent;
        let replaced = full && self.evict();
        if full && !replaced {
            return Admission::Refused;
        }
        let link = Link::new(self.next_inbound.to_string(), Direction::Inbound, false);
        self.next_inbound += 1;
        self.inbound += 1;
        self.links.insert(link.key.clone(), Arc::clone(&link));
        self.silent.push(from, Arc::clone(&link));
        if replaced {
            Admission::Replaced(link)
        } else {
            Admission::Entered(link)
        }
    }

    /// Its place is free at once; its task ends when it gets to it.
    fn evict(&mut self) -> bool {
        let Some(link) = self.silent.evict() else { return false };
        self.remove(&link);
        link.drop_connection();
        true
    }

    /// The peer has introduced itself.
    pub(super) fn greeted(&mut self, link: &Link) {
        if link.direction == Direction::Inbound {
            self.silent.remove(&link.key);
        }
    }

    pub(super) fn remove(&mut self, link: &Link) {
        if self.links.remove(&link.key).is_some() && link.direction == Direction::Inbound {
            self.inbound -= 1;
            self.silent.remove(&link.key);
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

    /// The key of a link that is accepted, and whether another had to go for it.
    fn accept(table: &mut Table, options: &NetOptions) -> Option<(Arc<Link>, bool)> {
        match table.accept(Network::V4([10, 0, 0, 1]), options) {
            Admission::Entered(link) => Some((link, false)),
            Admission::Replaced(link) => Some((link, true)),
            Admission::Refused => None,
        }
    }

    fn at_most(max_inbound: usize, max_silent: usize) -> NetOptions {
        NetOptions { max_inbound, max_silent, ..NetOptions::default() }
    }

    #[test]
    fn inbound_keys_count_up_and_are_never_used_again() {
        let (mut table, options) = (Table::default(), at_most(2, 2));
        let first = accept(&mut table, &options).unwrap().0;
        let second = accept(&mut table, &options).unwrap().0;
        table.remove(&first);
        let third = accept(&mut table, &options).unwrap().0;
        assert_eq!([&first.key, &second.key, &third.key], ["0", "1", "2"]);
    }

    #[test]
    fn peers_that_speak_are_never_dropped_for_others() {
        let (mut table, options) = (Table::default(), at_most(2, 2));
        for _ in 0..2 {
            let link = accept(&mut table, &options).unwrap().0;
            table.greeted(&link);
        }
        assert!(accept(&mut table, &options).is_none());
    }

    #[test]
    fn silent_links_give_way_at_either_bound_and_leave_one_place_each() {
        for options in [at_most(3, 2), at_most(2, 3)] {
            let mut table = Table::default();
            let (first, _) = accept(&mut table, &options).unwrap();
            let dropped = first.drops();
            let (second, replaced) = accept(&mut table, &options).unwrap();
            assert!(!replaced && !dropped.has_changed().unwrap());
            let (_, replaced) = accept(&mut table, &options).unwrap();
            assert!(replaced && dropped.has_changed().unwrap());
            // As its task does when it ends.
            table.remove(&first);
            assert_eq!(table.describe().len(), 2);
            table.greeted(&second);
            assert_eq!(
                accept(&mut table, &options).unwrap().1,
                options.max_inbound == 2,
                "one that speaks counts less"
            );
        }
    }

    #[test]
    fn removing_twice_frees_one_place() {
        let (mut table, options) = (Table::default(), at_most(2, 2));
        let (first, _) = accept(&mut table, &options).unwrap();
        let (second, _) = accept(&mut table, &options).unwrap();
        table.greeted(&second);
        table.remove(&first);
        table.remove(&first);
        let (third, _) = accept(&mut table, &options).unwrap();
        table.greeted(&third);
        assert!(accept(&mut table, &options).is_none());
    }
}
