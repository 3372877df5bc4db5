//! All links: those that we dial, and those that were dialled to us.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::address_prefix::AddressPrefix;
use super::event::{Direction, PeerInfo};
use super::inbound_slots::{InboundSlots, Offer};
use super::link::Link;
use super::stream::Ends;
use super::NetOptions;
use crate::error::Error;

/// All links, by key. Keys of dialled links contain a colon and keys of inbound ones are numbers, so they never collide.
#[derive(Default)]
pub(super) struct LinkTable {
    links: HashMap<String, Arc<Link>>,
    next_inbound: u64,
    slots: InboundSlots,
    /// Both ends of each inbound connection, the peer's first. A connection to ourselves is recognised by them.
    ends: HashSet<(SocketAddr, SocketAddr)>,
}

/// What happens with an inbound connection.
pub(super) enum Admission {
    /// It has a slot.
    Entered(Arc<Link>),
    /// It has the slot of a silent link, which was evicted.
    ReplacedSilent(Arc<Link>),
    /// It has the slot of an idle link, which was evicted.
    ReplacedIdle(Arc<Link>),
    /// All slots are taken by peers that are of use.
    Refused,
}

impl LinkTable {
    /// A link to dial, and whether it is new.
    pub(super) fn dial(&mut self, key: &str, known: bool) -> (Arc<Link>, bool) {
        if let Some(link) = self.links.get(key) {
            if known {
                link.set_known();
            }
            return (Arc::clone(link), false);
        }
        let link = Link::new(key.to_owned(), Direction::Outbound, known);
        self.links.insert(key.to_owned(), Arc::clone(&link));
        (link, true)
    }

    /// Enters an inbound link, from a peer's address to ours as far as they are known. If no slot is free another link may be evicted for it.
    pub(super) fn accept(&mut self, ends: Option<Ends>, options: &NetOptions, now_ms: u64) -> Admission {
        let prefix = AddressPrefix::of_any(ends.map(|ends| ends.0));
        let offer = self.slots.offer(prefix, options, now_ms);
        match offer {
            Offer::Free => {}
            Offer::FromSilent(id) => self.evict(id, "it sent no handshake, and another link needed its slot"),
            Offer::FromIdle(id) => self.evict(id, "it was of no use for a while, and another link needed its slot"),
            Offer::None => return Admission::Refused,
        }
        let id = self.next_inbound;
        self.next_inbound += 1;
        let link = Link::new(id.to_string(), Direction::Inbound, false);
        if let Some(ends) = ends {
            link.reached(ends.0);
            self.ends.insert(canonical(ends));
        }
        self.links.insert(link.key.clone(), Arc::clone(&link));
        self.slots.enter(id, prefix, Arc::clone(&link));
        match offer {
            Offer::FromSilent(_) => Admission::ReplacedSilent(link),
            Offer::FromIdle(_) => Admission::ReplacedIdle(link),
            Offer::Free | Offer::None => Admission::Entered(link),
        }
    }

    /// Ends a link. Its slot is freed immediately, before its task has ended.
    fn evict(&mut self, id: u64, why: &str) {
        if let Some(link) = self.slots.leave(id) {
            self.links.remove(&link.key);
            link.evict(Error::Limit(why.to_owned()));
        }
    }

    /// The peer's handshake has arrived.
    pub(super) fn introduced(&mut self, link: &Link, now_ms: u64) {
        if let Some(id) = link.slot() {
            self.slots.introduced(id, now_ms);
        }
    }

    pub(super) fn remove(&mut self, link: &Link) {
        self.links.remove(&link.key);
        if let Some(id) = link.slot() {
            self.slots.leave(id);
        }
    }

    /// An inbound connection has ended.
    pub(super) fn forget(&mut self, ends: Ends) {
        self.ends.remove(&canonical(ends));
    }

    /// Whether a connection that we dialled is one that we accepted.
    pub(super) fn is_own(&self, (ours, theirs): (SocketAddr, SocketAddr)) -> bool {
        self.ends.contains(&canonical((ours, theirs)))
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Link>> {
        self.links.get(key).cloned()
    }

    /// Every link, in no particular order.
    pub(super) fn describe(&self) -> Vec<PeerInfo> {
        self.links.values().map(|link| link.describe()).collect()
    }
}

/// A listener of both families sees IPv4 addresses in IPv6 form.
fn canonical((from, to): (SocketAddr, SocketAddr)) -> (SocketAddr, SocketAddr) {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    (plain(from), plain(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_dialled_once_and_can_become_known_meanwhile() {
        let mut table = LinkTable::default();
        let (link, is_new) = table.dial("a:1", false);
        assert!(is_new && !table.dial("a:1", true).1);
        assert!(link.is_known());
        table.remove(&link);
        assert!(table.dial("a:1", false).1);
    }

    const ENDS: (&str, &str) = ("10.0.0.1:9", "10.0.0.2:80");

    fn ends((from, to): (&str, &str)) -> (SocketAddr, SocketAddr) {
        (from.parse().unwrap(), to.parse().unwrap())
    }

    /// The link of a connection that is accepted, and whether another one was evicted for it.
    fn accept(table: &mut LinkTable, options: &NetOptions) -> Option<(Arc<Link>, bool)> {
        match table.accept(Some(ends(ENDS)), options, 0) {
            Admission::Entered(link) => Some((link, false)),
            Admission::ReplacedSilent(link) | Admission::ReplacedIdle(link) => Some((link, true)),
            Admission::Refused => None,
        }
    }

    fn at_most(max_inbound: usize, max_silent: usize) -> NetOptions {
        NetOptions { max_inbound, max_silent, ..NetOptions::default() }
    }

    #[test]
    fn inbound_keys_count_up_and_are_never_used_again() {
        let (mut table, options) = (LinkTable::default(), at_most(2, 2));
        let first = accept(&mut table, &options).unwrap().0;
        let second = accept(&mut table, &options).unwrap().0;
        table.remove(&first);
        let third = accept(&mut table, &options).unwrap().0;
        assert_eq!([&first.key, &second.key, &third.key], ["0", "1", "2"]);
    }

    #[test]
    fn peers_whose_handshake_has_just_arrived_are_not_evicted() {
        let (mut table, options) = (LinkTable::default(), at_most(2, 2));
        for _ in 0..2 {
            let link = accept(&mut table, &options).unwrap().0;
            table.introduced(&link, 0);
        }
        assert!(accept(&mut table, &options).is_none());
    }

    #[test]
    fn silent_links_give_way_at_either_bound_and_free_one_slot_each() {
        for options in [at_most(3, 2), at_most(2, 3)] {
            let mut table = LinkTable::default();
            let (first, _) = accept(&mut table, &options).unwrap();
            let dropped = first.drops();
            let (second, replaced) = accept(&mut table, &options).unwrap();
            assert!(!replaced && !dropped.has_changed().unwrap());
            let (_, replaced) = accept(&mut table, &options).unwrap();
            assert!(replaced && dropped.has_changed().unwrap());
            assert!(matches!(first.take_eviction(), Some(Error::Limit(_))));
            // As its task does when it ends.
            table.remove(&first);
            assert_eq!(table.describe().len(), 2);
            table.introduced(&second, 0);
            assert_eq!(
                accept(&mut table, &options).unwrap().1,
                options.max_inbound == 2,
                "one that speaks counts less"
            );
        }
    }

    #[test]
    fn a_connection_to_ourselves_is_known_by_its_ends() {
        let mut table = LinkTable::default();
        let mapped = ends(("[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:80"));
        table.accept(Some(mapped), &at_most(2, 2), 0);
        assert!(table.is_own(ends(("127.0.0.1:5", "127.0.0.1:80"))));
        assert!(!table.is_own(ends(("127.0.0.1:80", "127.0.0.1:5"))));
        table.forget(mapped);
        assert!(!table.is_own(ends(("127.0.0.1:5", "127.0.0.1:80"))));
    }
}
