//! Whose rows are stored. Sealed logs are admitted by the author's key, other logs by name and digest.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::RwLock;

use crate::error::{Error, Result};
use crate::identity::{PublicKey, SecretKey};
use crate::node::{Digest, Key, LogId, Seq};

/// The state of a log up to one of its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Its last entry.
    pub seq: Seq,
    /// Its digest there.
    pub digest: Digest,
}

/// Whose sealed logs are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authors {
    /// Everybody's.
    #[default]
    All,
    /// Those of these keys, and of the emitter itself.
    Only(HashSet<PublicKey>),
}

/// Which logs without seals are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Unsigned {
    /// All of them.
    #[default]
    Accept,
    /// None.
    Refuse,
    /// These, up to their pins.
    Pinned(HashMap<LogId, Pin>),
}

/// Which rows are still stored of an author whose key is no longer trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// Nothing beyond what is stored here.
    Here,
    /// These logs, up to their pins.
    At(HashMap<LogId, Pin>),
}

/// Whose rows are stored. What is stored already stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustPolicy {
    /// Whose sealed logs are stored.
    pub authors: Authors,
    /// Which logs without seals are stored.
    pub unsigned: Unsigned,
    /// Authors whose keys are no longer trusted.
    pub revoked: HashMap<PublicKey, Revoked>,
}

/// The key and the policy with which a log is opened.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The key that seals the local log.
    pub identity: Option<SecretKey>,
    /// Whose rows are stored.
    pub policy: TrustPolicy,
}

impl Trust {
    /// The usual settings for an emitter with a key: sealed logs of everybody, and no others.
    #[must_use]
    pub fn of(identity: SecretKey) -> Self {
        let policy = TrustPolicy { unsigned: Unsigned::Refuse, ..TrustPolicy::default() };
        Trust { identity: Some(identity), policy }
    }
}

/// The present policy, and the older logs of this store.
#[derive(Debug)]
pub(super) struct TrustState {
    own: Option<PublicKey>,
    /// The logs that this store's emitter wrote before it had a key.
    older: HashMap<LogId, Pin>,
    policy: RwLock<Arc<TrustPolicy>>,
}

impl TrustState {
    pub(super) fn new(own: Option<PublicKey>, older: HashMap<LogId, Pin>, policy: TrustPolicy) -> Self {
        TrustState { own, older, policy: RwLock::new(Arc::new(policy)) }
    }

    pub(super) fn set_policy(&self, policy: TrustPolicy) {
        *self.policy.write() = Arc::new(policy);
    }

    pub(super) fn policy(&self) -> Arc<TrustPolicy> {
        Arc::clone(&self.policy.read())
    }

    /// Whether every log without seals is stored, whatever its name.
    pub(super) fn accepts_unsigned(&self, policy: &TrustPolicy) -> bool {
        self.older.is_empty() && policy.unsigned == Unsigned::Accept
    }

    /// Checks whether the new entry `seq` of a log may be stored. Returns the pin at which the log has to end, if there is one.
    ///
    /// # Errors
    /// `Author` if it may not.
    pub(super) fn admits(
        &self,
        policy: &TrustPolicy,
        log: &LogId,
        owner: Option<&PublicKey>,
        seq: Seq,
    ) -> Result<Option<Pin>> {
        let pin = match owner {
            Some(owner) => {
                let listed = match &policy.authors {
                    Authors::All => true,
                    Authors::Only(keys) => keys.contains(owner) || self.own.as_ref() == Some(owner),
                };
                if !listed {
                    return Err(refused(log, "its author is not among those whose logs are stored here"));
                }
                match policy.revoked.get(owner) {
                    None => return Ok(None),
                    Some(Revoked::Here) => return Err(refused(log, "its author's key is revoked")),
                    Some(Revoked::At(pins)) => pins.get(log).copied(),
                }
            }
            None => match (self.older.get(log), &policy.unsigned) {
                (Some(pin), _) => Some(*pin),
                (None, Unsigned::Accept) => return Ok(None),
                (None, Unsigned::Refuse) => None,
                (None, Unsigned::Pinned(pins)) => pins.get(log).copied(),
            },
        };
        match (pin, owner) {
            (Some(pin), _) if seq <= pin.seq => Ok(Some(pin)),
            (Some(_), Some(_)) => Err(refused(log, "its author's key is revoked from there on")),
            (None, Some(_)) => Err(refused(log, "its author's key is revoked")),
            (Some(_), None) => Err(refused(log, "it is not sealed, and pinned up to an earlier entry")),
            (None, None) => Err(refused(log, "it is not sealed")),
        }
    }
}

fn refused(log: &LogId, reason: &'static str) -> Error {
    Error::Author { log: log.to_string(), reason }
}

/// The text of the fact that keeps older logs pinned: one line per log, with seq, digest and id.
pub(super) fn write_pins(pins: &HashMap<LogId, Pin>) -> Bytes {
    let mut lines: Vec<String> = pins.iter().map(|(log, pin)| format!("{} {} {log}\n", pin.seq, pin.digest)).collect();
    lines.sort_unstable();
    lines.concat().into()
}

/// Reads what [`write_pins`] wrote. Invalid lines are ignored.
pub(super) fn read_pins(fact: &[u8]) -> HashMap<LogId, Pin> {
    String::from_utf8_lossy(fact).lines().filter_map(read_pin).collect()
}

fn read_pin(line: &str) -> Option<(LogId, Pin)> {
    let (seq, rest) = line.split_once(' ')?;
    let (digest, log) = rest.split_once(' ')?;
    let digest = Digest(Key::from_hex(digest.as_bytes())?.0);
    Some((log.into(), Pin { seq: seq.parse().ok()?, digest }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::seal::new_sealed_log_id;

    fn pin(seq: Seq) -> Pin {
        Pin { seq, digest: Digest([7; 32]) }
    }

    fn state(policy: TrustPolicy) -> TrustState {
        TrustState::new(None, HashMap::new(), policy)
    }

    #[test]
    fn a_pin_survives_its_fact() {
        let pins = HashMap::from([("c1".into(), pin(3)), ("with space".into(), pin(9))]);
        assert_eq!(read_pins(&write_pins(&pins)), pins);
        assert!(read_pins(b"").is_empty() && read_pins(b"x y\n1 2 3\n\xff").is_empty());
    }

    #[test]
    fn authors_and_revocation_decide_about_sealed_logs() {
        let keys = [1, 2, 3].map(|seed| SecretKey::from_seed(&[seed; 32]).public());
        let logs = keys.map(|key| new_sealed_log_id(&key).unwrap());
        let revoked = HashMap::from([
            (keys[1], Revoked::Here),
            (keys[2], Revoked::At(HashMap::from([(logs[2].clone(), pin(5))]))),
        ]);
        let trust = state(TrustPolicy { revoked, ..TrustPolicy::default() });
        let admits = |log: usize, seq| trust.admits(&trust.policy(), &logs[log], Some(&keys[log]), seq);
        assert_eq!(admits(0, 100).unwrap(), None);
        assert_eq!(admits(1, 1).unwrap_err().code(), "ERR_HYPER_AUTHOR");
        assert_eq!((admits(2, 5).unwrap(), admits(2, 6).is_err()), (Some(pin(5)), true));
        let another = new_sealed_log_id(&keys[2]).unwrap();
        assert!(
            trust.admits(&trust.policy(), &another, Some(&keys[2]), 1).is_err(),
            "a revoked author begins no new log"
        );

        let only = TrustPolicy { authors: Authors::Only(HashSet::from([keys[0]])), ..TrustPolicy::default() };
        let trust = TrustState::new(Some(keys[1]), HashMap::new(), only);
        let admitted = [0, 1, 2].map(|log| trust.admits(&trust.policy(), &logs[log], Some(&keys[log]), 1).is_ok());
        assert_eq!(admitted, [true, true, false], "one's own is always among them");
    }

    #[test]
    fn logs_without_seals_are_taken_as_far_as_they_are_pinned() {
        let log: LogId = "c1".into();
        let admits = |unsigned, seq| {
            let trust = state(TrustPolicy { unsigned, ..TrustPolicy::default() });
            trust.admits(&trust.policy(), &log, None, seq)
        };
        assert_eq!(admits(Unsigned::Accept, 9).unwrap(), None);
        assert!(admits(Unsigned::Refuse, 1).is_err());
        let pinned = || Unsigned::Pinned(HashMap::from([(log.clone(), pin(3))]));
        assert_eq!((admits(pinned(), 3).unwrap(), admits(pinned(), 4).is_err()), (Some(pin(3)), true));
        let older = TrustState::new(None, HashMap::from([(log.clone(), pin(2))]), TrustPolicy::default());
        let admits = |log: &str, seq| older.admits(&older.policy(), &log.into(), None, seq).is_ok();
        assert!(admits("c1", 2) && !admits("c1", 3) && admits("c2", 3));
    }
}
