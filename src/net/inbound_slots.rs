//! Slots for inbound connections, and which link is evicted when there are no more.
//!
//! A flood may look like honest peers, but must not keep out peers that come after it. So a newcomer is refused only when every
//! slot is taken by a peer that is of use. Otherwise another link is evicted, chosen from the address prefix ([`AddressPrefix`])
//! that has the most connections:
//!
//! 1. Silent links, without a handshake: the oldest one of the prefix that has the most of them. A real peer is silent for only
//!    one round trip.
//! 2. Idle links, which for [`NetOptions::idle_after_ms`] have neither brought anything new nor taken anything that they lacked,
//!    and any link of a prefix that has more than its fair part of all slots. Links that were never of use go first, then those
//!    whose last use is the longest ago.
//!
//! So a flood from one prefix displaces its own connections, and an idle peer from a prefix with few links is evicted last.

use std::collections::HashMap;
use std::sync::Arc;

use super::address_prefix::AddressPrefix;
use super::link::Link;
use super::options::NetOptions;

/// A prefix with more than one part in this many of all slots may lose one even while its links are busy. Eight busy prefixes can
/// share a full table, and a site behind one address still has 128 slots that nobody takes away.
const FAIR_PART: usize = 8;

struct Slot {
    prefix: AddressPrefix,
    link: Arc<Link>,
    /// When the peer's handshake arrived; `None` while it is silent.
    introduced_at: Option<u64>,
}

/// The slots taken, by the number of their link.
#[derive(Default)]
pub(super) struct InboundSlots {
    taken: HashMap<u64, Slot>,
    /// How many of them are silent.
    silent: usize,
}

/// The slot that a newcomer can have.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// A free one.
    Free,
    /// The slot of this link, which is silent.
    FromSilent(u64),
    /// The slot of this link, which is of no use, or one of too many from its prefix.
    FromIdle(u64),
    /// None: all slots are in use.
    None,
}

impl InboundSlots {
    /// The slot that a newcomer from `prefix` can have.
    pub(super) fn offer(&self, prefix: AddressPrefix, options: &NetOptions, now_ms: u64) -> Offer {
        let full = self.taken.len() >= options.max_inbound;
        if full || self.silent >= options.max_silent {
            if let Some(id) = self.most_silent() {
                return Offer::FromSilent(id);
            }
        }
        if !full {
            return Offer::Free;
        }
        self.most_idle(prefix, options, now_ms).map_or(Offer::None, Offer::FromIdle)
    }

    pub(super) fn enter(&mut self, id: u64, prefix: AddressPrefix, link: Arc<Link>) {
        if self.taken.insert(id, Slot { prefix, link, introduced_at: None }).is_none() {
            self.silent += 1;
        }
    }

    /// The peer's handshake has arrived.
    pub(super) fn introduced(&mut self, id: u64, now_ms: u64) {
        if let Some(slot) = self.taken.get_mut(&id) {
            if slot.introduced_at.replace(now_ms).is_none() {
                self.silent -= 1;
            }
        }
    }

    /// Frees a slot, because the link is over or evicted.
    pub(super) fn leave(&mut self, id: u64) -> Option<Arc<Link>> {
        let slot = self.taken.remove(&id)?;
        if slot.introduced_at.is_none() {
            self.silent -= 1;
        }
        Some(slot.link)
    }

    /// How many of the slots that `counted` accepts each prefix has.
    fn counts(&self, counted: impl Fn(&Slot) -> bool) -> HashMap<AddressPrefix, usize> {
        let mut counts = HashMap::new();
        for slot in self.taken.values().filter(|slot| counted(slot)) {
            *counts.entry(slot.prefix).or_default() += 1;
        }
        counts
    }

    /// The silent link to evict first.
    fn most_silent(&self) -> Option<u64> {
        let silent = |slot: &Slot| slot.introduced_at.is_none();
        let counts = self.counts(silent);
        let count = |slot: &Slot| counts.get(&slot.prefix).copied().unwrap_or_default();
        let found = self.taken.iter().filter(|(_, slot)| silent(slot));
        found.min_by_key(|(id, slot)| (usize::MAX - count(slot), **id)).map(|(id, _)| *id)
    }

    /// The idle link to evict first.
    fn most_idle(&self, newcomer: AddressPrefix, options: &NetOptions, now_ms: u64) -> Option<u64> {
        let fair = options.max_inbound / FAIR_PART;
        let counts = self.counts(|_| true);
        let count = |prefix: AddressPrefix| counts.get(&prefix).copied().unwrap_or_default();
        let used_at = |slot: &Slot| slot.link.useful_at().or(slot.introduced_at).unwrap_or_default();
        let may_go = |slot: &Slot| {
            let has = count(slot.prefix);
            now_ms >= used_at(slot).saturating_add(options.idle_after_ms) || has > fair && has > count(newcomer) + 1
        };
        let found = self.taken.iter().filter(|(_, slot)| may_go(slot));
        found
            .min_by_key(|(id, slot)| {
                (usize::MAX - count(slot.prefix), slot.link.useful_at().is_some(), used_at(slot), **id)
            })
            .map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::IDLE_MS;
    use std::net::SocketAddr;

    use super::super::event::Direction;
    use super::*;

    /// `max` slots, half of them for silent links.
    fn at_most(max: usize) -> NetOptions {
        NetOptions { max_inbound: max, max_silent: max / 2, ..NetOptions::default() }
    }

    fn prefix(ip: &str) -> AddressPrefix {
        AddressPrefix::of(SocketAddr::new(ip.parse().unwrap(), 1))
    }

    #[derive(Default)]
    struct Scene {
        slots: InboundSlots,
        links: Vec<Arc<Link>>,
    }

    impl Scene {
        fn enter(&mut self, ip: &str) -> u64 {
            let id = self.links.len() as u64;
            let link = Link::new(id.to_string(), Direction::Inbound, false);
            self.links.push(Arc::clone(&link));
            self.slots.enter(id, prefix(ip), link);
            id
        }

        fn introduced(&mut self, ip: &str, at: u64) -> u64 {
            let id = self.enter(ip);
            self.slots.introduced(id, at);
            id
        }
    }

    #[test]
    fn the_oldest_silent_link_of_the_most_numerous_prefix_is_evicted_first() {
        let mut scene = Scene::default();
        for ip in ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.2", "10.0.0.2"] {
            scene.enter(ip);
        }
        let mut gone = Vec::new();
        while let Offer::FromSilent(id) = scene.slots.offer(prefix("10.0.0.9"), &at_most(0), 0) {
            scene.slots.leave(id);
            gone.push(id);
        }
        assert_eq!(gone, [1, 3, 0, 2, 4]);
    }

    #[test]
    fn silent_links_take_at_most_half_of_the_slots() {
        let mut scene = Scene::default();
        for _ in 0..4 {
            assert_eq!(scene.slots.offer(prefix("10.0.0.1"), &at_most(8), 0), Offer::Free);
            scene.enter("10.0.0.1");
        }
        assert_eq!(scene.slots.offer(prefix("10.0.0.1"), &at_most(8), 0), Offer::FromSilent(0));
        scene.slots.introduced(3, 0);
        assert_eq!(scene.slots.offer(prefix("10.0.0.1"), &at_most(8), 0), Offer::Free);
    }

    #[test]
    fn a_link_of_no_use_may_be_evicted_after_ten_seconds_and_not_before() {
        let mut scene = Scene::default();
        for _ in 0..8 {
            scene.introduced("10.0.0.1", 1_000);
        }
        let from_there = prefix("10.0.0.1");
        assert_eq!(scene.slots.offer(from_there, &at_most(8), 1_000 + IDLE_MS - 1), Offer::None);
        assert_eq!(scene.slots.offer(from_there, &at_most(8), 1_000 + IDLE_MS), Offer::FromIdle(0));
    }

    #[test]
    fn a_prefix_with_too_many_slots_loses_one_to_others_at_once_even_if_it_is_busy() {
        let mut scene = Scene::default();
        for _ in 0..7 {
            let id = scene.introduced("10.0.0.1", 0);
            scene.links[id as usize].used(500);
        }
        let honest = scene.introduced("10.0.0.2", 0);
        for newcomer in ["10.0.0.3", "10.0.0.2"] {
            assert_eq!(scene.slots.offer(prefix(newcomer), &at_most(8), 500), Offer::FromIdle(0));
        }
        assert_eq!(scene.slots.offer(prefix("10.0.0.1"), &at_most(8), 500), Offer::None, "not to its own kind");
        assert!(scene.slots.leave(honest).is_some());
    }

    #[test]
    fn an_idle_peer_from_a_prefix_with_few_links_is_evicted_last() {
        let mut scene = Scene::default();
        let honest = scene.introduced("10.0.0.2", 0);
        scene.links[0].used(1);
        for _ in 0..7 {
            let id = scene.introduced("10.0.0.1", 5_000);
            scene.links[id as usize].used(40_000);
        }
        let mut gone = Vec::new();
        while let Offer::FromIdle(id) = scene.slots.offer(prefix("10.0.0.3"), &at_most(0), 60_000) {
            scene.slots.leave(id);
            gone.push(id);
        }
        assert_eq!(gone[..6], [1, 2, 3, 4, 5, 6], "although it has been idle for longest");
        assert!(gone[6..].contains(&honest));
    }

    #[test]
    fn of_one_prefix_links_that_were_never_of_use_are_evicted_first_then_those_idle_for_longest() {
        let mut scene = Scene::default();
        for id in 0..4_u64 {
            scene.introduced("10.0.0.1", id);
        }
        scene.links[0].used(300);
        scene.links[1].used(200);
        let mut gone = Vec::new();
        while let Offer::FromIdle(id) = scene.slots.offer(prefix("10.0.0.3"), &at_most(0), 60_000) {
            scene.slots.leave(id);
            gone.push(id);
        }
        assert_eq!(gone, [2, 3, 1, 0]);
    }

    #[test]
    fn leaving_twice_frees_one_slot() {
        let mut scene = Scene::default();
        let first = scene.introduced("10.0.0.1", 0);
        scene.introduced("10.0.0.1", 0);
        assert!(scene.slots.leave(first).is_some() && scene.slots.leave(first).is_none());
        scene.introduced("10.0.0.1", 0);
        assert_eq!(scene.slots.offer(prefix("10.0.0.1"), &at_most(2), 0), Offer::None);
    }
}
