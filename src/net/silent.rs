//! Inbound connections that have not introduced themselves, and which of them gives way when there are too many.
//!
//! A flood must hurt itself. So the one to go comes from the network with the most silent connections, and is its oldest:
//! a real peer's handshake leaves with its first bytes, so it stays silent for one round trip only. A peer of another
//! network is safe whatever the flood's pace; one of the same is unless a whole table full comes within a round trip.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::link::Link;

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

/// In the order in which they came.
#[derive(Default)]
pub(super) struct Silent(Vec<(Network, Arc<Link>)>);

impl Silent {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, from: Network, link: Arc<Link>) {
        self.0.push((from, link));
    }

    /// The connection speaks, or is over.
    pub(super) fn remove(&mut self, key: &str) {
        if let Some(at) = self.0.iter().position(|(_, link)| link.key == key) {
            self.0.remove(at);
        }
    }

    /// Takes out the one that gives way.
    pub(super) fn evict(&mut self) -> Option<Arc<Link>> {
        let mut counts: HashMap<Network, usize> = HashMap::new();
        for (from, _) in &self.0 {
            *counts.entry(*from).or_default() += 1;
        }
        let most = counts.values().copied().max()?;
        let at = self.0.iter().position(|(from, _)| counts.get(from) == Some(&most))?;
        Some(self.0.remove(at).1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::Direction;
    use super::*;

    fn silent(from: &[&str]) -> Silent {
        let mut silent = Silent::default();
        for (n, ip) in from.iter().enumerate() {
            let address = SocketAddr::new(ip.parse().unwrap(), 1);
            silent.push(Network::of(address), Link::new(n.to_string(), Direction::Inbound, false));
        }
        silent
    }

    fn evicted(silent: &mut Silent) -> Vec<String> {
        std::iter::from_fn(|| silent.evict()).map(|link| link.key.clone()).collect()
    }

    #[test]
    fn the_oldest_of_the_most_numerous_goes_first() {
        let mut silent = silent(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.2", "10.0.0.2"]);
        assert_eq!(evicted(&mut silent), ["1", "3", "0", "2", "4"]);
    }

    #[test]
    fn who_speaks_stays() {
        let mut silent = silent(&["10.0.0.1", "10.0.0.1"]);
        silent.remove("0");
        silent.remove("0");
        assert_eq!((silent.len(), evicted(&mut silent)), (1, vec!["1".to_owned()]));
    }

    #[test]
    fn addresses_that_one_machine_can_choose_among_count_as_one() {
        let of = |ip: &str| Network::of(SocketAddr::new(ip.parse().unwrap(), 1));
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:0:0:2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }
}
