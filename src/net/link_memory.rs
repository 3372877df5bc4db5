//! LinkMemory that links hold for their peers: one account of it all, and who lets go when it is too much.
//!
//! Counted are bytes received and not yet stored (frames that are incomplete, nodes on their way into the log), rows that
//! were read for them, and bytes that wait to be sent. What nodes hold that wait for others in the log has a bound of its own (`hyperlog::parking`).
//!
//! Over the limit the link that holds most, of the network that holds most, is ended: whoever hoards lets go, and a peer
//! that holds little is never the one. Well before that, links of networks that hold much stop reading for their peers.

use std::collections::HashMap;
use std::sync::Arc;

use super::inbound_slots::Network;
use super::link::Link;

/// What all links together may hold: with what is parked in the log, and what has arrived of large nodes, 256 MiB.
pub(super) const LIMIT: usize = 160 * 1024 * 1024;

/// From here on only links of networks that hold little read the log for their peers.
const TIGHT: usize = LIMIT / 4 * 3;

/// What a network holds that holds little: three reads, whatever the others do.
const LITTLE: usize = 1024 * 1024;

struct Held {
    network: Network,
    bytes: usize,
    link: Arc<Link>,
}

/// The account.
#[derive(Default)]
pub(super) struct LinkMemory {
    total: usize,
    links: HashMap<u64, Held>,
    networks: HashMap<Network, usize>,
}

impl LinkMemory {
    /// A link holds this much now. Returns the link that has to go, if it is too much.
    pub(super) fn hold(&mut self, id: u64, network: Network, link: &Arc<Link>, bytes: usize) -> Option<Arc<Link>> {
        self.release(id);
        if bytes > 0 {
            self.total += bytes;
            *self.networks.entry(network).or_default() += bytes;
            self.links.insert(id, Held { network, bytes, link: Arc::clone(link) });
        }
        if self.total <= LIMIT {
            return None;
        }
        let (most, _) = self.networks.iter().max_by_key(|(_, bytes)| **bytes)?;
        let of_most = self.links.iter().filter(|(_, held)| held.network == *most);
        let (id, link) = of_most.max_by_key(|(_, held)| held.bytes).map(|(id, held)| (*id, Arc::clone(&held.link)))?;
        // As good as gone: it must not be chosen again before its task has ended.
        self.release(id);
        Some(link)
    }

    /// A link is over.
    pub(super) fn release(&mut self, id: u64) {
        let Some(held) = self.links.remove(&id) else { return };
        self.total -= held.bytes;
        if let Some(of_network) = self.networks.get_mut(&held.network) {
            *of_network -= held.bytes;
            if *of_network == 0 {
                self.networks.remove(&held.network);
            }
        }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Whether a link of this network may read the log for its peer.
    pub(super) fn has_room(&self, network: Network) -> bool {
        self.total < TIGHT || self.networks.get(&network).is_none_or(|bytes| *bytes < LITTLE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Direction;
    use super::*;

    const HOARDER: Network = Network::V4([10, 0, 0, 1]);
    const HONEST: Network = Network::V4([10, 0, 0, 2]);

    fn link(id: u64) -> Arc<Link> {
        Link::new(id.to_string(), Direction::Inbound, false)
    }

    #[test]
    fn who_holds_most_of_the_network_that_holds_most_goes_and_the_total_stays_below_the_limit() {
        let mut memory = LinkMemory::default();
        assert!(memory.hold(1_000, HONEST, &link(1_000), 40 << 20).is_none());
        let mut gone = 0;
        for id in 0..200 {
            if let Some(victim) = memory.hold(id, HOARDER, &link(id), 16 << 20) {
                assert_ne!(victim.key, "1000", "a single honest link that holds more than each hoarder");
                gone += 1;
            }
            assert!(memory.total <= LIMIT);
        }
        assert!(gone > 180);
    }

    #[test]
    fn what_is_released_or_shrinks_is_free() {
        let mut memory = LinkMemory::default();
        memory.hold(1, HOARDER, &link(1), 1_000);
        memory.hold(1, HOARDER, &link(1), 10);
        assert_eq!(memory.total, 10);
        memory.release(1);
        memory.release(1);
        assert!(memory.total == 0 && memory.networks.is_empty() && memory.links.is_empty());
    }

    #[test]
    fn when_it_gets_tight_those_that_hold_little_go_on() {
        let mut memory = LinkMemory::default();
        assert!(memory.has_room(HOARDER));
        memory.hold(1, HOARDER, &link(1), TIGHT);
        assert!(!memory.has_room(HOARDER) && memory.has_room(HONEST));
    }
}
