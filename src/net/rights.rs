//! Who may connect, and what a peer may do. Pure decisions, made before a peer is told anything.

use std::collections::HashMap;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{quoted, Error, Result};
use crate::identity::noise::{LinkKey, Secret};
use crate::identity::PublicKey;

/// What a peer may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Receive events.
    Read,
    /// Receive and send events.
    Write,
}

impl Right {
    /// Its name in options and `stats()`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Right::Read => "read",
            Right::Write => "write",
        }
    }
}

impl FromStr for Right {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "read" => Ok(Right::Read),
            "write" => Ok(Right::Write),
            _ => Err(Error::InvalidArgument(format!("{} is not a right: use 'read' or 'write'", quoted(text)))),
        }
    }
}

/// Whose secure links are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// Nobody is listed: accepts the keys that `connect` was given and, if there is a secret, every peer that knows it.
    #[default]
    Unlisted,
    /// Only these peers, whichever side dialled.
    Listed(HashMap<PublicKey, Right>),
    /// The owner decides about each connection.
    Asked,
}

/// Addresses with a common prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subnet {
    address: IpAddr,
    bits: u32,
}

impl Subnet {
    /// Whether an address is one of them. IPv4 addresses are the same in IPv6 form.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(address)) => {
                (ours.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(ours), IpAddr::V6(address)) => {
                (ours.to_bits() ^ address.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

impl FromStr for Subnet {
    type Err = Error;

    /// Parses an address, or a subnet in the form `address/bits`.
    fn from_str(text: &str) -> Result<Self> {
        let malformed = || {
            let hint = "use an address such as 10.0.0.7 or ::1, or a range such as 10.0.0.0/8";
            Error::InvalidArgument(format!("{} is not an address: {hint}", quoted(text)))
        };
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address = address.parse::<IpAddr>().map_err(|_| malformed())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(most), |bits| bits.parse().ok()).filter(|bits| *bits <= most);
        Ok(Subnet { address, bits: bits.ok_or_else(malformed)? })
    }
}

/// Whose plain links are accepted: those of hyperemitter 1.x, and of 2.x without an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plain {
    /// Nobody's.
    Nobody,
    /// Everybody's.
    Anybody(Right),
    /// Those that come from one of these addresses.
    From(Vec<Subnet>, Right),
}

impl Plain {
    fn right_of(&self, address: Option<IpAddr>) -> Option<Right> {
        match self {
            Plain::Nobody => None,
            Plain::Anybody(right) => Some(*right),
            Plain::From(sources, right) => {
                let address = address?;
                sources.iter().any(|source| source.contains(address)).then_some(*right)
            }
        }
    }
}

/// Whom an emitter trusts, and its own identity.
#[derive(Clone)]
pub struct Trust {
    /// The emitter's identity; without one, all links are plain.
    pub identity: Option<Arc<LinkKey>>,
    /// The secret of its group.
    pub secret: Option<Secret>,
    /// Whose secure links it accepts.
    pub peers: Peers,
    /// Whose plain links it accepts. `None` means everybody's if the emitter has no identity, and nobody's if it has one.
    pub plain: Option<Plain>,
    /// The name of the network it belongs to.
    pub network: Option<String>,
}

impl Default for Trust {
    /// Like 1.x: no identity, and everybody may connect.
    fn default() -> Self {
        Trust { identity: None, secret: None, peers: Peers::Unlisted, plain: None, network: None }
    }
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trust")
            .field("identity", &self.identity.as_ref().map(|key| key.public()))
            .field("secret", &self.secret.is_some())
            .field("peers", &self.peers)
            .field("plain", &self.plain)
            .field("network", &self.network)
            .finish()
    }
}

/// The decision about a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed(Right),
    /// Why not.
    Refused(&'static str),
    /// The owner has to decide.
    Ask,
}

impl Trust {
    /// The right of a plain link from an address; `None` if it is refused.
    pub(super) fn plain_right(&self, address: Option<IpAddr>) -> Option<Right> {
        match (&self.plain, &self.identity) {
            (Some(plain), _) => plain.right_of(address),
            (None, None) => Some(Right::Write),
            (None, Some(_)) => None,
        }
    }

    /// Whether 1.x peers may connect, which cannot name their network. If the emitter belongs to a named network, only the option
    /// `plain` admits them.
    pub(super) fn takes_nameless(&self) -> bool {
        self.network.is_none() || self.plain.is_some()
    }

    /// The right of the owner of a key. `pinned` says whether `connect` was given this key.
    pub(super) fn right_of(&self, key: &PublicKey, pinned: bool) -> Decision {
        match &self.peers {
            Peers::Asked => Decision::Ask,
            Peers::Listed(peers) => {
                peers.get(key).map_or(Decision::Refused("its key is not in peers"), |right| Decision::Allowed(*right))
            }
            Peers::Unlisted if pinned || self.secret.is_some() => Decision::Allowed(Right::Write),
            Peers::Unlisted => Decision::Refused("no peers are listed, and there is no secret that it could know"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::SecretKey;

    fn key(seed: u8) -> PublicKey {
        SecretKey::from_seed(&[seed; 32]).public()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    fn identity() -> Option<Arc<LinkKey>> {
        Some(Arc::new(LinkKey::new(&SecretKey::from_seed(&[1; 32])).unwrap()))
    }

    #[test]
    fn a_subnet_holds_what_begins_alike() {
        let holds = |subnet: &str, address: &str| subnet.parse::<Subnet>().unwrap().contains(address.parse().unwrap());
        assert!(holds("10.0.0.0/8", "10.255.3.4") && !holds("10.0.0.0/8", "11.0.0.0"));
        assert!(holds("10.1.2.3", "10.1.2.3") && !holds("10.1.2.3", "10.1.2.2"));
        assert!(holds("10.1.2.3/8", "10.9.9.9"), "bits beyond the number do not count");
        assert!(holds("127.0.0.0/8", "::ffff:127.0.0.1"), "a listener of both families sees this");
        assert!(holds("0.0.0.0/0", "9.9.9.9") && !holds("0.0.0.0/0", "::1") && holds("::/0", "::1"));
        assert!(holds("fe80::/10", "febf::1") && !holds("fe80::/10", "fec0::1"));
    }

    #[test]
    fn what_is_no_subnet_is_named() {
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0", "localhost", "10.0.0.0/8/8"] {
            let error = text.parse::<Subnet>().unwrap_err();
            assert_eq!(error.code(), "ERR_HYPER_INVALID_ARG");
            assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn plain_links_are_everybodys_without_an_identity_and_nobodys_with_one_unless_the_option_says_otherwise() {
        let open = Trust::default();
        assert_eq!(open.plain_right(ip("10.0.0.1")), Some(Right::Write));
        let closed = Trust { identity: identity(), ..Trust::default() };
        assert_eq!(closed.plain_right(ip("10.0.0.1")), None);
        let some = Plain::From(vec!["10.0.0.0/8".parse().unwrap()], Right::Read);
        let some = Trust { plain: Some(some), ..closed };
        assert_eq!(some.plain_right(ip("10.0.0.1")), Some(Right::Read));
        assert_eq!((some.plain_right(ip("11.0.0.1")), some.plain_right(None)), (None, None));
        let all = Trust { plain: Some(Plain::Anybody(Right::Write)), ..some };
        assert_eq!(all.plain_right(None), Some(Right::Write));
        assert_eq!(Trust { plain: Some(Plain::Nobody), ..Trust::default() }.plain_right(None), None);
    }

    #[test]
    fn peers_of_the_first_version_join_a_named_network_only_where_plain_links_were_allowed() {
        let named = Trust { network: Some("a".into()), ..Trust::default() };
        assert!(Trust::default().takes_nameless() && !named.takes_nameless());
        assert!(Trust { plain: Some(Plain::Anybody(Right::Write)), ..named }.takes_nameless());
    }

    #[test]
    fn a_list_of_peers_is_complete_and_without_one_keys_that_were_named_or_the_secret_decide() {
        let listed = Trust { peers: Peers::Listed([(key(2), Right::Read)].into()), ..Trust::default() };
        assert_eq!(listed.right_of(&key(2), false), Decision::Allowed(Right::Read));
        assert_eq!(listed.right_of(&key(2), true), Decision::Allowed(Right::Read));
        assert!(matches!(listed.right_of(&key(3), true), Decision::Refused(_)));
        let unlisted = Trust::default();
        assert!(matches!(unlisted.right_of(&key(2), false), Decision::Refused(_)));
        assert_eq!(unlisted.right_of(&key(2), true), Decision::Allowed(Right::Write));
        let secret = Some(Arc::new(zeroize::Zeroizing::new([1; 32])));
        assert_eq!(Trust { secret, ..unlisted }.right_of(&key(2), false), Decision::Allowed(Right::Write));
        let asked = Trust { peers: Peers::Asked, ..Trust::default() };
        assert_eq!(asked.right_of(&key(2), true), Decision::Ask);
    }
}
