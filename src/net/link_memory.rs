//! Memory that links hold for their peers: bounds the total, and decides which link is ended when the bound is reached.
//!
//! What counts is bytes received and not yet stored (incomplete frames, nodes on their way into the log), rows that were read for
//! peers, and bytes that wait to be sent. Parked nodes have a bound of their own (`hyperlog::parking`).
//!
//! Over the limit, the link that holds most is ended, among those of the address prefix that holds most. So a peer that hoards is
//! ended, never one that holds little. Well before the limit, links of prefixes that hold much no longer read rows for their
//! peers.

use std::collections::HashMap;
use std::sync::Arc;

use super::address_prefix::AddressPrefix;
use super::link::Link;

/// What all links together may hold, in bytes. Together with the bounds for parked nodes and for large nodes that have arrived in
/// part, this is 240 of the 256 MiB that strangers may cost. Resident memory is more than what is counted: with a limit of 160 MiB,
/// 1,024 strangers that name logs cost 262 MiB; with this one, the costliest of six kinds of strangers cost 225 MiB (release build).
pub(super) const LIMIT: usize = 144 * 1024 * 1024;

/// From this total on, only links of prefixes that hold little read the log for their peers.
const TIGHT: usize = LIMIT / 4 * 3;

/// A prefix that holds fewer bytes than this holds little. This is enough for three reads, whatever other prefixes do.
const LITTLE: usize = 1024 * 1024;

struct Held {
    prefix: AddressPrefix,
    bytes: usize,
    link: Arc<Link>,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct LinkMemory {
    total: usize,
    links: HashMap<u64, Held>,
    prefixes: HashMap<AddressPrefix, usize>,
}

impl LinkMemory {
    /// Notes that a link holds this many bytes now. Returns the link to end, if the total is too much.
    pub(super) fn hold(&mut self, id: u64, prefix: AddressPrefix, link: &Arc<Link>, bytes: usize) -> Option<Arc<Link>> {
        self.release(id);
        if bytes > 0 {
            self.total += bytes;
            *self.prefixes.entry(prefix).or_default() += bytes;
            self.links.insert(id, Held { prefix, bytes, link: Arc::clone(link) });
        }
        if self.total <= LIMIT {
            return None;
        }
        let (most, _) = self.prefixes.iter().max_by_key(|(_, bytes)| **bytes)?;
        let of_most = self.links.iter().filter(|(_, held)| held.prefix == *most);
        let (id, link) = of_most.max_by_key(|(_, held)| held.bytes).map(|(id, held)| (*id, Arc::clone(&held.link)))?;
        // It must not be chosen again before its task has ended.
        self.release(id);
        Some(link)
    }

    /// A link is over.
    pub(super) fn release(&mut self, id: u64) {
        let Some(held) = self.links.remove(&id) else { return };
        self.total -= held.bytes;
        if let Some(of_prefix) = self.prefixes.get_mut(&held.prefix) {
            *of_prefix -= held.bytes;
            if *of_prefix == 0 {
                self.prefixes.remove(&held.prefix);
            }
        }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Whether links of this prefix may read the log for their peers.
    pub(super) fn has_room(&self, prefix: AddressPrefix) -> bool {
        self.total < TIGHT || self.prefixes.get(&prefix).is_none_or(|bytes| *bytes < LITTLE)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Direction;
    use super::*;

    const HOARDER: AddressPrefix = AddressPrefix::V4([10, 0, 0, 1]);
    const HONEST: AddressPrefix = AddressPrefix::V4([10, 0, 0, 2]);

    fn link(id: u64) -> Arc<Link> {
        Link::new(id.to_string(), Direction::Inbound, false)
    }

    #[test]
    fn the_largest_link_of_the_largest_prefix_is_ended_and_the_total_stays_below_the_limit() {
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
    fn memory_that_is_released_or_shrinks_no_longer_counts() {
        let mut memory = LinkMemory::default();
        memory.hold(1, HOARDER, &link(1), 1_000);
        memory.hold(1, HOARDER, &link(1), 10);
        assert_eq!(memory.total, 10);
        memory.release(1);
        memory.release(1);
        assert!(memory.total == 0 && memory.prefixes.is_empty() && memory.links.is_empty());
    }

    #[test]
    fn near_the_limit_links_that_hold_little_go_on() {
        let mut memory = LinkMemory::default();
        assert!(memory.has_room(HOARDER));
        memory.hold(1, HOARDER, &link(1), TIGHT);
        assert!(!memory.has_room(HOARDER) && memory.has_room(HONEST));
    }
}
