//! Stuck logs: logs of which peers hold another version, so that the log differs between the two sides until one gives way.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::sync::watch;

use super::stuck_record;
pub use super::stuck_record::{KeptStuckLog, StuckLog};
use crate::node::{Key, LogId, Seq};

/// Versions remembered. Copies of databases are few; forged versions beyond this number are reported, but not remembered.
pub const MAX_STUCK: usize = 256;

/// All stuck logs: by log, and by the key of the first entry that differs in the peers' version.
#[derive(Debug, Default)]
pub(super) struct Stuck {
    versions: BTreeMap<(LogId, Key), StuckLog>,
    /// What the store's record had about versions that no peer has shown since the log was opened.
    earlier: Vec<KeptStuckLog>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    /// The change after which [`Stuck::take_record`] was last called.
    recorded: u64,
}

impl Stuck {
    /// Continues from the store's record.
    pub(super) fn of(record: Option<Bytes>) -> Self {
        Stuck { earlier: stuck_record::read(record, now_ms()), ..Stuck::default() }
    }

    pub(super) fn earlier(&self) -> Vec<KeptStuckLog> {
        self.earlier.clone()
    }

    /// A receiver that is told of each change.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The record for the store, if something has changed since the last call; the inner value is `None` if nothing is stuck.
    pub(super) fn take_record(&mut self) -> Option<Option<Bytes>> {
        let changes = *self.changes.borrow();
        if self.recorded == changes {
            return None;
        }
        self.recorded = changes;
        let seen_ms = now_ms();
        let current = self.versions.values().map(|stuck| KeptStuckLog { stuck: stuck.clone(), seen_ms });
        Some(stuck_record::write(current.chain(self.earlier.iter().cloned()).collect()))
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    pub(super) fn note(&mut self, log: &LogId, seq: Seq, ours: Key, theirs: Key, proven: bool) {
        let of_log = self.versions.range_mut((log.clone(), Key([0; 32]))..=(log.clone(), Key([u8::MAX; 32])));
        // Later entries of a version that is known differ, too. Both sides look for the first one.
        for (_, known) in of_log {
            if known.theirs == theirs || known.seq < seq && known.peers_last >= seq {
                let before = (known.proven, known.peers_last);
                known.proven |= proven && known.theirs == theirs;
                known.peers_last = known.peers_last.max(seq);
                if before != (known.proven, known.peers_last) {
                    self.changed();
                }
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
        let is_this = |kept: &KeptStuckLog| kept.stuck.log == *log && kept.stuck.theirs == theirs;
        let earlier = self.earlier.iter().position(is_this).map(|place| self.earlier.remove(place));
        let since_ms = earlier.map_or_else(now_ms, |kept| kept.stuck.since_ms);
        let known = StuckLog { log: log.clone(), since_ms, seq, ours, theirs, proven, peers_last: seq, holder: None };
        self.versions.insert((log.clone(), theirs), known);
        self.changed();
    }

    pub(super) fn peers_have(&mut self, log: &LogId, seq: Seq) {
        if self.versions.is_empty() {
            return;
        }
        let mut grew = false;
        for (_, known) in self.versions.range_mut((log.clone(), Key([0; 32]))..=(log.clone(), Key([u8::MAX; 32]))) {
            grew |= seq > known.peers_last;
            known.peers_last = known.peers_last.max(seq);
        }
        if grew {
            self.changed();
        }
    }

    pub(super) fn held_by(&mut self, log: &LogId, theirs: Key, holder: &LogId) {
        if let Some(known) = self.versions.get_mut(&(log.clone(), theirs)) {
            if known.holder.replace(holder.clone()).as_ref() != Some(holder) {
                self.changed();
            }
        }
    }

    pub(super) fn forget(&mut self, log: &LogId) {
        self.retain(|known| known.log != *log);
    }

    /// Forgets the versions that `holder` held, if `agrees` says that it now has ours.
    pub(super) fn forget_healed(&mut self, holder: &LogId, agrees: impl Fn(&LogId, Seq) -> bool) {
        self.retain(|known| known.holder.as_ref() != Some(holder) || !agrees(&known.log, known.seq));
    }

    fn retain(&mut self, stays: impl Fn(&StuckLog) -> bool) {
        let before = (self.versions.len(), self.earlier.len());
        self.versions.retain(|_, known| stays(known));
        self.earlier.retain(|kept| stays(&kept.stuck));
        if before != (self.versions.len(), self.earlier.len()) {
            self.changed();
        }
    }

    pub(super) fn versions_of(&self, log: &LogId) -> Vec<StuckLog> {
        let (first, last) = ((log.clone(), Key([0; 32])), (log.clone(), Key([u8::MAX; 32])));
        self.versions.range(first..=last).map(|(_, known)| known.clone()).collect()
    }

    pub(super) fn all(&self) -> Vec<StuckLog> {
        self.versions.values().cloned().collect()
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    u64::try_from(now).unwrap_or(u64::MAX)
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
        assert_eq!((stuck.all().len(), stuck.versions_of(&"b".into()).len()), (MAX_STUCK, 1));
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
        assert_eq!(stuck.versions_of(&log).len(), 2);
    }

    #[test]
    fn a_record_is_due_after_changes_only_and_a_later_run_goes_on_from_it() {
        let (log, holder) = (LogId::from("a"), LogId::from("holder"));
        let mut stuck = Stuck::default();
        assert_eq!(stuck.take_record(), None);
        stuck.note(&log, 5, key(0), key(1), true);
        stuck.held_by(&log, key(1), &holder);
        let record = stuck.take_record().unwrap();
        stuck.note(&log, 5, key(0), key(1), true);
        stuck.peers_have(&log, 5);
        assert_eq!((record.is_some(), stuck.take_record()), (true, None), "nothing is new");
        stuck.peers_have(&log, 6);
        let record = stuck.take_record().unwrap();

        let mut healed = Stuck::of(record.clone());
        assert_eq!((healed.all(), healed.earlier().len(), healed.take_record()), (vec![], 1, None));
        assert_eq!(healed.earlier()[0].stuck, stuck.all()[0]);
        healed.forget_healed(&LogId::from("another"), |_, _| true);
        assert_eq!(healed.take_record(), None);
        healed.forget_healed(&holder, |log, seq| (&**log, seq) == ("a", 5));
        assert_eq!((healed.earlier(), healed.take_record()), (vec![], Some(None)));

        let mut shown_again = Stuck::of(record.clone());
        shown_again.earlier[0].stuck.since_ms = 17;
        shown_again.note(&log, 5, key(0), key(1), false);
        assert_eq!((shown_again.all()[0].since_ms, shown_again.earlier()), (17, vec![]));

        let mut adopted = Stuck::of(record);
        adopted.note(&log, 5, key(0), key(2), true);
        assert_eq!(adopted.earlier().len(), 1, "that was another version");
        adopted.forget(&log);
        assert_eq!((adopted.earlier(), adopted.take_record()), (vec![], Some(None)));
    }
}
