//! The part of a connection's address that its owner cannot choose at will.

use std::net::{IpAddr, SocketAddr};

/// An IPv4 address, or the first half of an IPv6 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum AddressPrefix {
    V4([u8; 4]),
    V6(u64),
    /// The prefix of a stream carried by JavaScript that has no known address.
    Unknown,
}

impl AddressPrefix {
    /// The prefix of an address that may be unknown.
    pub(super) fn of_any(address: Option<SocketAddr>) -> AddressPrefix {
        address.map_or(AddressPrefix::Unknown, AddressPrefix::of)
    }

    pub(super) fn of(address: SocketAddr) -> AddressPrefix {
        match address.ip().to_canonical() {
            IpAddr::V4(ip) => AddressPrefix::V4(ip.octets()),
            IpAddr::V6(ip) => AddressPrefix::V6(u64::try_from(ip.to_bits() >> 64).unwrap_or(0)),
        }
    }

    /// A number that identifies this prefix: no other prefix has the same one.
    pub(super) fn number(self) -> u64 {
        match self {
            AddressPrefix::V6(prefix) => prefix,
            AddressPrefix::Unknown => 0xfffe_0000_0000,
            AddressPrefix::V4(address) => 0xffff_0000_0000 | u64::from(u32::from_be_bytes(address)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_one_machine_can_choose_among_count_as_one() {
        let prefix = |ip: &str| AddressPrefix::of(SocketAddr::new(ip.parse().unwrap(), 1));
        assert_eq!(prefix("2001:db8::1"), prefix("2001:db8::ffff:0:0:2"));
        assert_ne!(prefix("2001:db8::1"), prefix("2001:db8:0:1::1"));
        assert_eq!(prefix("::ffff:10.0.0.1"), prefix("10.0.0.1"));
        assert_ne!(prefix("10.0.0.1"), prefix("10.0.0.2"));
    }
}
