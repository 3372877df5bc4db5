//! Which of our logs go to the peer as branches, because the peer has another version of them.

use std::collections::HashMap;

use crate::hyperlog::branch_digest::MAX_COMPARED;
use crate::node::{LogId, Seq};
use crate::protocol::io::Lookup;

/// Branches that one link sends at the most. Each is another version that somebody wrote, or claims to hold. Together they take about a
/// MiB of memory, ids included.
pub const MAX_BRANCHES: usize = 1024;

/// Entries that one link reads to compare branches at the most: 6.6 s at the 100 µs that were measured for a lookup that is not cached
/// (`net/cost_buckets.rs`). Each is charged as a lookup; all of them are two thirds of what a link may read in vain at once. Beyond that,
/// the last nodes alone are compared, and the peer's questions about branches that it gets from here are not answered.
pub const MAX_READ: Seq = 65_536;

/// The branches of a link. One log may go as several: one from each entry at which a version of the peer's parts from it.
#[derive(Debug, Default)]
pub(super) struct Branches {
    /// By our log: from which entries on it goes under which ids, ascending.
    of: HashMap<LogId, Vec<(Seq, LogId)>>,
    /// By such an id: our log, and the branch's first entry there.
    ours: HashMap<LogId, (LogId, Seq)>,
    /// By such an id: the entry for which the peer was probed and has not answered.
    probed: HashMap<LogId, Seq>,
    /// Entries read so far to compare branches.
    read: Seq,
}

impl Branches {
    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    pub(super) fn clear(&mut self) {
        *self = Branches { read: self.read, ..Branches::default() };
    }

    /// The log goes under its own id again.
    pub(super) fn forget(&mut self, log: &LogId) {
        for (_, id) in self.of.remove(log).unwrap_or_default() {
            self.ours.remove(&id);
            self.probed.remove(&id);
        }
    }

    /// `log` goes as the branch `id` from its entry `from` on. Returns whether that is news, and within the limit.
    pub(super) fn add(&mut self, log: LogId, from: Seq, id: LogId) -> bool {
        let is_later = self.of.get(&log).and_then(|branches| branches.last()).is_none_or(|(last, _)| *last < from);
        if !is_later || self.ours.len() >= MAX_BRANCHES || self.ours.contains_key(&id) {
            return false;
        }
        self.of.entry(log.clone()).or_default().push((from, id.clone()));
        self.ours.insert(id, (log, from));
        true
    }

    /// Whether it is known that the peer's version of the log that it calls `log` differs from ours.
    pub(super) fn part_from(&self, log: &LogId) -> bool {
        let ours = self.ours.get(log).map_or(log, |(ours, _)| ours);
        self.of.get(ours).and_then(|branches| branches.last()).is_some_and(|(_, id)| id != log)
    }

    /// The branch as which the peer gets entry `seq` of our `log`, and the entry's seq there.
    pub(super) fn entry_of(&self, log: &LogId, seq: Seq) -> Option<(LogId, Seq)> {
        let (from, id) = self.of.get(log)?.iter().rfind(|(from, _)| *from <= seq)?;
        Some((id.clone(), seq - from + 1))
    }

    /// Whether the branch `id` is part of a log of ours.
    pub(super) fn is_ours(&self, id: &LogId) -> bool {
        self.ours.contains_key(id)
    }

    /// The peer is asked for entry `seq` of `log`.
    pub(super) fn note_probe(&mut self, log: &LogId, seq: Seq) {
        if self.is_ours(log) {
            self.probed.insert(log.clone(), seq);
        }
    }

    /// The peer has sent its entry `seq` of a branch. Returns whether it was asked for that entry.
    pub(super) fn take_probe(&mut self, id: &LogId, seq: Seq) -> bool {
        self.probed.remove(id) == Some(seq)
    }

    /// Asks for our digest of what the peer knows as `log`, after its entry `seq`. `None` if too much was read for that.
    pub(super) fn digest_of(&mut self, log: &LogId, seq: Seq) -> Option<Lookup> {
        let Some((ours, from)) = self.ours.get(log) else { return Some(Lookup::Digest(log.clone(), seq)) };
        self.read = self.read.saturating_add(seq.min(MAX_COMPARED));
        (self.read <= MAX_READ).then(|| Lookup::DigestBetween(ours.clone(), *from, self.our_entry(log, seq).1))
    }

    /// Our entry that the peer knows as entry `seq` of `log`.
    pub(super) fn our_entry(&self, log: &LogId, seq: Seq) -> (LogId, Seq) {
        match self.ours.get(log) {
            Some((ours, from)) => (ours.clone(), from.saturating_add(seq.saturating_sub(1))),
            None => (log.clone(), seq),
        }
    }

    /// Bytes of memory, beside the ids.
    pub(super) fn bytes(&self) -> usize {
        self.ours.capacity() * (size_of::<(LogId, (LogId, Seq))>() + size_of::<(LogId, Vec<(Seq, LogId)>)>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_under_both_names() {
        let mut branches = Branches::default();
        let [log, one, three] = ["log", "from 1", "from 3"].map(LogId::from);
        assert!(branches.add(log.clone(), 1, one.clone()) && !branches.add(log.clone(), 1, one.clone()));
        assert!(branches.part_from(&log) && !branches.part_from(&one));
        assert!(branches.add(log.clone(), 3, three.clone()) && branches.part_from(&one));
        assert_eq!(branches.entry_of(&log, 2), Some((one.clone(), 2)));
        assert_eq!(branches.entry_of(&log, 7), Some((three.clone(), 5)));
        assert_eq!(branches.our_entry(&three, 5), (log.clone(), 7));
        assert_eq!(branches.our_entry(&log, 5), (log.clone(), 5));
        branches.forget(&log);
        assert!(branches.is_empty() && !branches.is_ours(&one) && !branches.is_ours(&three));
    }

    #[test]
    fn comparing_branches_costs_so_much_and_no_more() {
        let mut branches = Branches::default();
        let (log, id) = (LogId::from("log"), LogId::from("from 1"));
        branches.add(log.clone(), 1, id.clone());
        assert!(!branches.take_probe(&id, 2000), "not asked for");
        branches.note_probe(&id, 2000);
        assert!(branches.take_probe(&id, 2000) && !branches.take_probe(&id, 2000));
        let mut read = 0;
        for _ in 0..1_000 {
            read += branches.digest_of(&id, 2000).map_or(0, |_| 2000);
            // A further comparison gives nothing back.
            branches.clear();
            branches.add(log.clone(), 1, id.clone());
        }
        assert!((MAX_READ - 2000..=MAX_READ).contains(&read));
        assert!(branches.digest_of(&log, 7).is_some());
    }

    #[test]
    fn what_a_peer_claims_makes_no_more_branches_than_the_limit() {
        let mut branches = Branches::default();
        let added = (1..5_000).filter(|seq| branches.add("log".into(), *seq, format!("from {seq}").into())).count();
        assert_eq!(added, MAX_BRANCHES);
    }
}
