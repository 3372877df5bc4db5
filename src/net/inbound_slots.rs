//! Places for inbound connections, and who gives way when there are no more.
//!
//! Whoever cannot be told from a flood must not keep out who comes after. So a newcomer is refused only when every place
//! is taken by a peer that is of use; otherwise somebody else goes, and of all who may, the one whose network (see
//! [`Network`]) has the most connections:
//!
//! 1. Silent ones, without a handshake: the oldest of the network that has the most of them. A real peer is silent for one
//!    round trip only.
//! 2. Idle ones, which have brought nothing new and taken nothing they lacked for [`IDLE_MS`], and any of a network that
//!    has more than its fair part of all places: first who was never of use, then who has not been for longest.
//!
//! So a flood from one network drops its own connections, and an idle peer from a network with few links goes last.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::link::Link;
use super::NetOptions;

/// A link that was of no use for this long may be ended for a newcomer, in milliseconds. Nobody who can be told from a
/// flood waits longer than this, and a real peer's first exchange is over well before.
pub(super) const IDLE_MS: u64 = 10_000;

/// A network with more than this part of all places gives way even while it is busy: eight busy networks can share a
/// full table, and a site behind one address still has 128 places that nobody takes away.
const FAIR_PART: usize = 8;

/// Where a connection comes from, as far as its owner cannot choose at will: an IPv4 address, the first half of an IPv6
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Network {
    V4([u8; 4]),
    V6(u64),
}

impl Network {
    pub(super) fn of(address: SocketAddr) -> Network {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => Network::V4(ip.octets()),
            IpAddr::V6(ip) => Network::V6(u64::try_from(ip.to_bits() >> 64).unwrap_or(0)),
        }
    }
}

struct Place {
    network: Network,
    link: Arc<Link>,
    /// When the peer introduced itself; `None` while it is silent.
    greeted_at: Option<u64>,
}

/// The places taken, by the order in which they were.
#[derive(Default)]
pub(super) struct Places {
    taken: HashMap<u64, Place>,
    silent: usize,
}

/// What becomes of a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// There is a place.
    Free,
    /// This one has to go for it: it said nothing.
    Silent(u64),
    /// This one has to go for it: it was of no use, or one of too many.
    Idle(u64),
    /// Every place is in use.
    None,
}

impl Places {
    /// Whether a newcomer from `network` finds a place.
    pub(super) fn room(&self, network: Network, options: &NetOptions, now_ms: u64) -> Room {
        let full = self.taken.len() >= options.max_inbound;
        if full || self.silent >= options.max_silent {
            if let Some(id) = self.most_silent() {
                return Room::Silent(id);
            }
        }
        if !full {
            return Room::Free;
        }
        self.most_idle(network, options, now_ms).map_or(Room::None, Room::Idle)
    }

    pub(super) fn enter(&mut self, id: u64, network: Network, link: Arc<Link>) {
        if self.taken.insert(id, Place { network, link, greeted_at: None }).is_none() {
            self.silent += 1;
        }
    }

    /// The peer has introduced itself.
    pub(super) fn greeted(&mut self, id: u64, now_ms: u64) {
        if let Some(place) = self.taken.get_mut(&id) {
            if place.greeted_at.replace(now_ms).is_none() {
                self.silent -= 1;
            }
        }
    }

    /// The connection is over, or has to go.
    pub(super) fn leave(&mut self, id: u64) -> Option<Arc<Link>> {
        let place = self.taken.remove(&id)?;
        if place.greeted_at.is_none() {
            self.silent -= 1;
        }
        Some(place.link)
    }

    fn counts(&self, counted: impl Fn(&Place) -> bool) -> HashMap<Network, usize> {
        let mut counts = HashMap::new();
        for place in self.taken.values().filter(|place| counted(place)) {
            *counts.entry(place.network).or_default() += 1;
        }
        counts
    }

    fn most_silent(&self) -> Option<u64> {
        let silent = |place: &Place| place.greeted_at.is_none();
        let counts = self.counts(silent);
        let count = |place: &Place| counts.get(&place.network).copied().unwrap_or_default();
        let found = self.taken.iter().filter(|(_, place)| silent(place));
        found.min_by_key(|(id, place)| (usize::MAX - count(place), **id)).map(|(id, _)| *id)
    }

    fn most_idle(&self, newcomer: Network, options: &NetOptions, now_ms: u64) -> Option<u64> {
        let fair = options.max_inbound / FAIR_PART;
        let counts = self.counts(|_| true);
        let count = |network: Network| counts.get(&network).copied().unwrap_or_default();
        let used_at = |place: &Place| place.link.useful_at().or(place.greeted_at).unwrap_or_default();
        let may_go = |place: &Place| {
            let has = count(place.network);
            now_ms >= used_at(place).saturating_add(options.idle_after_ms) || has > fair && has > count(newcomer) + 1
        };
        let found = self.taken.iter().filter(|(_, place)| may_go(place));
        found
            .min_by_key(|(id, place)| {
                (usize::MAX - count(place.network), place.link.useful_at().is_some(), used_at(place), **id)
            })
            .map(|(id, _)| *id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Direction;
    use super::*;

    /// `max` places, half of them for silent ones.
    fn at_most(max: usize) -> NetOptions {
        NetOptions { max_inbound: max, max_silent: max / 2, ..NetOptions::default() }
    }

    fn network(ip: &str) -> Network {
        Network::of(SocketAddr::new(ip.parse().unwrap(), 1))
    }

    #[derive(Default)]
    struct Scene {
        places: Places,
        links: Vec<Arc<Link>>,
    }

    impl Scene {
        fn enter(&mut self, ip: &str) -> u64 {
            let id = self.links.len() as u64;
            let link = Link::new(id.to_string(), Direction::Inbound, false);
            self.links.push(Arc::clone(&link));
            self.places.enter(id, network(ip), link);
            id
        }

        fn greeted(&mut self, ip: &str, at: u64) -> u64 {
            let id = self.enter(ip);
            self.places.greeted(id, at);
            id
        }
    }

    #[test]
    fn the_oldest_silent_one_of_the_most_numerous_goes_first() {
        let mut scene = Scene::default();
        for ip in ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.2", "10.0.0.2"] {
            scene.enter(ip);
        }
        let mut gone = Vec::new();
        while let Room::Silent(id) = scene.places.room(network("10.0.0.9"), &at_most(0), 0) {
            scene.places.leave(id);
            gone.push(id);
        }
        assert_eq!(gone, [1, 3, 0, 2, 4]);
    }

    #[test]
    fn silent_ones_take_half_of_the_places_at_the_most() {
        let mut scene = Scene::default();
        for _ in 0..4 {
            assert_eq!(scene.places.room(network("10.0.0.1"), &at_most(8), 0), Room::Free);
            scene.enter("10.0.0.1");
        }
        assert_eq!(scene.places.room(network("10.0.0.1"), &at_most(8), 0), Room::Silent(0));
        scene.places.greeted(3, 0);
        assert_eq!(scene.places.room(network("10.0.0.1"), &at_most(8), 0), Room::Free);
    }

    #[test]
    fn who_holds_a_place_and_is_of_no_use_gives_way_after_ten_seconds_and_not_before() {
        let mut scene = Scene::default();
        for _ in 0..8 {
            scene.greeted("10.0.0.1", 1_000);
        }
        let from_there = network("10.0.0.1");
        assert_eq!(scene.places.room(from_there, &at_most(8), 1_000 + IDLE_MS - 1), Room::None);
        assert_eq!(scene.places.room(from_there, &at_most(8), 1_000 + IDLE_MS), Room::Idle(0));
    }

    #[test]
    fn a_network_with_too_many_places_gives_way_to_others_at_once_even_if_it_is_busy() {
        let mut scene = Scene::default();
        for _ in 0..7 {
            let id = scene.greeted("10.0.0.1", 0);
            scene.links[id as usize].used(500);
        }
        let honest = scene.greeted("10.0.0.2", 0);
        for newcomer in ["10.0.0.3", "10.0.0.2"] {
            assert_eq!(scene.places.room(network(newcomer), &at_most(8), 500), Room::Idle(0));
        }
        assert_eq!(scene.places.room(network("10.0.0.1"), &at_most(8), 500), Room::None, "not to its own kind");
        assert!(scene.places.leave(honest).is_some());
    }

    #[test]
    fn an_idle_peer_of_a_network_with_few_links_goes_last() {
        let mut scene = Scene::default();
        let honest = scene.greeted("10.0.0.2", 0);
        scene.links[0].used(1);
        for _ in 0..7 {
            let id = scene.greeted("10.0.0.1", 5_000);
            scene.links[id as usize].used(40_000);
        }
        let mut gone = Vec::new();
        while let Room::Idle(id) = scene.places.room(network("10.0.0.3"), &at_most(0), 60_000) {
            scene.places.leave(id);
            gone.push(id);
        }
        assert_eq!(gone[..6], [1, 2, 3, 4, 5, 6], "although it has been idle for longest");
        assert!(gone[6..].contains(&honest));
    }

    #[test]
    fn of_one_network_who_was_never_of_use_goes_first_then_who_has_not_been_for_longest() {
        let mut scene = Scene::default();
        for id in 0..4_u64 {
            scene.greeted("10.0.0.1", id);
        }
        scene.links[0].used(300);
        scene.links[1].used(200);
        let mut gone = Vec::new();
        while let Room::Idle(id) = scene.places.room(network("10.0.0.3"), &at_most(0), 60_000) {
            scene.places.leave(id);
            gone.push(id);
        }
        assert_eq!(gone, [2, 3, 1, 0]);
    }

    #[test]
    fn leaving_twice_frees_one_place() {
        let mut scene = Scene::default();
        let first = scene.greeted("10.0.0.1", 0);
        scene.greeted("10.0.0.1", 0);
        assert!(scene.places.leave(first).is_some() && scene.places.leave(first).is_none());
        scene.greeted("10.0.0.1", 0);
        assert_eq!(scene.places.room(network("10.0.0.1"), &at_most(2), 0), Room::None);
    }

    #[test]
    fn addresses_that_one_machine_can_choose_among_count_as_one() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:2"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
