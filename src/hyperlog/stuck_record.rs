//! What is known of a stuck log, and the record of it that the store keeps for whoever opens it without links (`hypem doctor`), or
//! after a crash.
//!
//! The record is a JSON list. It is only information: one that cannot be read counts as empty.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::node::{Key, LogId, Seq};

/// Versions in the record. Strangers may have made up many, and nobody reads more of them.
pub const MAX_KEPT: usize = 16;

/// Versions that no peer has shown for so long, in milliseconds (30 days), are left out: their peers may never come back.
const FORGET_AFTER_MS: u64 = 30 * 24 * 60 * 60 * 1000;

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

/// A version that was known when the record was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptStuckLog {
    /// What was known.
    pub stuck: StuckLog,
    /// When, in milliseconds since 1970.
    pub seen_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Item {
    log: String,
    since: u64,
    seq: Seq,
    ours: String,
    theirs: String,
    proven: bool,
    peers_last: Seq,
    holder: Option<String>,
    seen: u64,
}

impl Item {
    fn of(KeptStuckLog { stuck, seen_ms }: &KeptStuckLog) -> Self {
        Item {
            log: stuck.log.to_string(),
            since: stuck.since_ms,
            seq: stuck.seq,
            ours: stuck.ours.to_string(),
            theirs: stuck.theirs.to_string(),
            proven: stuck.proven,
            peers_last: stuck.peers_last,
            holder: stuck.holder.as_ref().map(ToString::to_string),
            seen: *seen_ms,
        }
    }

    fn kept(self) -> Option<KeptStuckLog> {
        let stuck = StuckLog {
            log: LogId::from(self.log),
            since_ms: self.since,
            seq: self.seq,
            ours: self.ours.parse().ok()?,
            theirs: self.theirs.parse().ok()?,
            proven: self.proven,
            peers_last: self.peers_last,
            holder: self.holder.map(LogId::from),
        };
        Some(KeptStuckLog { stuck, seen_ms: self.seen })
    }
}

/// Reads the record. Versions that are too old are left out.
pub(super) fn read(record: Option<Bytes>, now_ms: u64) -> Vec<KeptStuckLog> {
    let items: Vec<Item> = record.and_then(|record| serde_json::from_slice(&record).ok()).unwrap_or_default();
    let young = |item: &Item| item.seen.saturating_add(FORGET_AFTER_MS) >= now_ms;
    items.into_iter().filter(young).filter_map(Item::kept).take(MAX_KEPT).collect()
}

/// Writes the record; `None` if there is nothing to keep. If there are too many versions, proofs and what was seen last stay.
pub(super) fn write(mut kept: Vec<KeptStuckLog>) -> Option<Bytes> {
    kept.sort_by_key(|each| std::cmp::Reverse((each.stuck.proven, each.seen_ms)));
    kept.truncate(MAX_KEPT);
    let items: Vec<_> = kept.iter().map(Item::of).collect();
    if items.is_empty() {
        return None;
    }
    serde_json::to_vec(&items).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(number: u8, proven: bool, seen_ms: u64) -> KeptStuckLog {
        let holder = number.is_multiple_of(2).then(|| LogId::from("holder"));
        let stuck = StuckLog {
            log: format!("log \"{number}\"").as_str().into(),
            since_ms: 3,
            seq: 7,
            ours: Key([1; 32]),
            theirs: Key([number; 32]),
            proven,
            peers_last: 9,
            holder,
        };
        KeptStuckLog { stuck, seen_ms }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let all = vec![kept(2, true, 60), kept(3, false, 50)];
        assert_eq!(read(write(all.clone()), 100), all);
        assert_eq!(write(Vec::new()), None);
        for damaged in [&b""[..], b"[{}]", b"{", b"[{\"log\":1}]"] {
            assert_eq!(read(Some(Bytes::from_static(damaged)), 100), []);
        }
    }

    #[test]
    fn proofs_and_what_was_seen_last_stay_and_old_versions_go() {
        let claims = (0..40).map(|number| kept(number, false, u64::from(number)));
        let read = read(write(claims.chain([kept(99, true, 1)]).collect()), FORGET_AFTER_MS + 26);
        let numbers: Vec<_> = read.iter().map(|each| each.stuck.theirs.0[0]).collect();
        assert_eq!(numbers, (26..40).rev().collect::<Vec<_>>(), "the proof is kept too, but it is too old now");
        assert_eq!(read.len(), MAX_KEPT - 2);
    }
}
