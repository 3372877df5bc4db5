//! Stuck logs: logs of which peers hold another version, so that the log differs between the two sides until one gives way.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::node::{Key, LogId, Seq};

/// Versions remembered. Copies of databases are few; forged versions beyond this number are reported, but not remembered.
pub const MAX_STUCK: usize = 256;

/// A log of which some peer holds another version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckLog {
    /// The log.
    pub log: LogId,
    /// Since when, in milliseconds since 1970.
    pub since_ms: u64,
    /// The first entry known to differ.
    pub seq: Seq,
    /// The node that it names here.
    pub ours: Key,
    /// The node that it names at the peer.
    pub theirs: Key,
    /// Whether that node was received; otherwise a peer only claims it.
    pub proven: bool,
    /// The last entry of the peers' version, as far as the peers say.
    pub peers_last: Seq,
    /// The peer that was last seen to hold the version: the id of its own log, if it gave one.
    pub holder: Option<LogId>,
}

impl StuckLog {
    /// How many entries of the peers' version are missing here, as far as the peers say.
    #[must_use]
    pub fn behind(&self) -> u64 {
        (self.peers_last + 1).saturating_sub(self.seq)
    }
}

/// All stuck logs: by log, and by the key of the first entry that differs in the peers' version.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    versions: BTreeMap<(LogId, Key), StuckLog>,
}

impl Stuck {
    pub(super) fn note(&mut self, log: &LogId, seq: Seq, ours: Key, theirs: Key, proven: bool) {
        let of_log = self.versions.range_mut((log.clone(), Key([0; 32]))..=(log.clone(), Key([u8::MAX; 32])));
        // Later entries of a version that is known differ, too. Both sides look for the first one.
        for (_, known) in of_log {
            if known.theirs == theirs || known.seq < seq && known.peers_last >= seq {
                known.proven |= proven && known.theirs == theirs;
                known.peers_last = known.peers_last.max(seq);
                return;
            }
        }
        if self.versions.len() >= MAX_STUCK {
            // A received node counts more than a claim.
            let unproven = self.versions.iter().find(|(_, known)| !known.proven).map(|(place, _)| place.clone());
            match unproven.filter(|_| proven) {
                Some(place) => drop(self.versions.remove(&place)),
                None => return,
            }
        }
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let since_ms = u64::try_from(since).unwrap_or(u64::MAX);
        let known = StuckLog { log: log.clone(), since_ms, seq, ours, theirs, proven, peers_last: seq, holder: None };
        self.versions.insert((log.clone(), theirs), known);
    }

    pub(super) fn peers_have(&mut self, log: &LogId, seq: Seq) {
        if !self.versions.is_empty() {
            for (_, known) in self.versions.range_mut((log.clone(), Key([0; 32]))..=(log.clone(), Key([u8::MAX; 32]))) {
                known.peers_last = known.peers_last.max(seq);
            }
        }
    }

    pub(super) fn held_by(&mut self, log: &LogId, theirs: Key, holder: &LogId) {
        if let Some(known) = self.versions.get_mut(&(log.clone(), theirs)) {
            known.holder = Some(holder.clone());
        }
    }

    pub(super) fn forget(&mut self, log: &LogId) {
        self.versions.retain(|(known, _), _| known != log);
    }

    /// Forgets the versions that `holder` held, if `agrees` says that it now has ours.
    pub(super) fn forget_healed(&mut self, holder: &LogId, agrees: impl Fn(&LogId, Seq) -> bool) {
        self.versions.retain(|_, known| known.holder.as_ref() != Some(holder) || !agrees(&known.log, known.seq));
    }

    pub(super) fn of(&self, log: &LogId) -> Vec<StuckLog> {
        let (first, last) = ((log.clone(), Key([0; 32])), (log.clone(), Key([u8::MAX; 32])));
        self.versions.range(first..=last).map(|(_, known)| known.clone()).collect()
    }

    pub(super) fn all(&self) -> Vec<StuckLog> {
        self.versions.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u16) -> Key {
        let mut key = Key::default();
        key.0[..2].copy_from_slice(&number.to_be_bytes());
        key
    }

    #[test]
    fn what_strangers_make_up_is_bounded_and_gives_way_to_proofs() {
        let mut stuck = Stuck::default();
        for number in 0..1000 {
            stuck.note(&"a".into(), 1, key(0), key(number), false);
        }
        assert_eq!(stuck.all().len(), MAX_STUCK);
        stuck.note(&"b".into(), 1, key(0), key(1), true);
        assert_eq!((stuck.all().len(), stuck.of(&"b".into()).len()), (MAX_STUCK, 1));
        stuck.forget(&"a".into());
        assert_eq!(stuck.all().len(), 1);
    }

    #[test]
    fn a_version_counts_once_and_grows_with_what_peers_tell() {
        let mut stuck = Stuck::default();
        let log = LogId::from("a");
        stuck.note(&log, 5, key(0), key(1), false);
        stuck.note(&log, 5, key(0), key(1), true);
        stuck.peers_have(&log, 9);
        stuck.note(&log, 7, key(3), key(4), true);
        let all = stuck.all();
        assert_eq!((all.len(), all[0].proven, all[0].seq, all[0].behind()), (1, true, 5, 5));
        stuck.note(&log, 5, key(0), key(2), false);
        assert_eq!(stuck.of(&log).len(), 2);
    }
}
