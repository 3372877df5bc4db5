//! The logs of which the peer has more than we do, and since when.
//!
//! A peer can name very many such logs, so no event walks all of them. Each event looks at the next few in turn; a log to which
//! something happened is looked at directly.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::node::{LogId, Seq};

/// Logs looked at for one event. With no more logs than this, a link notices at once what came over other links.
const PER_EVENT: usize = 16;

/// Logs looked at in one tick of a millisecond, until all have been looked at since our log last grew: some 50 µs of work.
const PER_TICK: usize = 256;

#[derive(Debug)]
struct Entry {
    /// Entries that we had at the last look.
    ours: Seq,
    /// When that last changed.
    since: u64,
    /// The peer was asked for the missing ones.
    asked: bool,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    logs: BTreeMap<LogId, Entry>,
    /// The same logs by age: those that the peer was asked for, and the others.
    asked: BTreeSet<(u64, LogId)>,
    waiting: BTreeSet<(u64, LogId)>,
    /// The log that was looked at last.
    last: Option<LogId>,
    /// How many are still to be looked at since our log last grew.
    unseen: usize,
    #[cfg(test)]
    pub(crate) looked: usize,
}

impl Behind {
    pub(crate) fn is_empty(&self) -> bool {
        self.logs.is_empty()
    }

    /// Bytes of memory that they take, without the ids. In the worst case, the nodes of a B-tree are half empty.
    pub(crate) fn bytes(&self) -> usize {
        2 * self.logs.len() * (size_of::<(LogId, Entry)>() + size_of::<(u64, LogId)>())
    }

    pub(crate) fn clear(&mut self) {
        *self = Behind::default();
    }

    pub(crate) fn contains(&self, log: &str) -> bool {
        self.logs.contains_key(log)
    }

    /// Adds a log of which we have `ours` entries and the peer has more. Does nothing if it is known.
    pub(crate) fn insert(&mut self, log: &LogId, ours: Seq, now: u64) {
        if !self.contains(log) {
            self.logs.insert(log.clone(), Entry { ours, since: now, asked: false });
            self.waiting.insert((now, log.clone()));
        }
    }

    pub(crate) fn remove(&mut self, log: &str) {
        if let Some((log, entry)) = self.logs.remove_entry(log) {
            let by_age = if entry.asked { &mut self.asked } else { &mut self.waiting };
            by_age.remove(&(entry.since, log));
        }
    }

    /// Notes that we now have `ours` entries of `log` and the peer has `has`. Returns whether we have caught up, or have more than
    /// at the last look.
    pub(crate) fn look(&mut self, log: &LogId, ours: Seq, has: Seq, now: u64) -> bool {
        #[cfg(test)]
        {
            self.looked += 1;
        }
        let Some(entry) = self.logs.get(log) else { return false };
        let moved = ours > entry.ours;
        if moved || has <= ours {
            self.remove(log);
        }
        if has > ours {
            self.insert(log, ours, now);
        }
        moved || has <= ours
    }

    /// Our log has grown: every log is to be looked at again.
    pub(crate) fn grown(&mut self) {
        self.unseen = self.logs.len();
    }

    /// Whether logs are still to be looked at, even if nothing further happens.
    pub(crate) fn is_looking(&self) -> bool {
        self.unseen > 0 && !self.logs.is_empty()
    }

    /// The next logs to look at.
    pub(crate) fn next(&mut self, tick: bool) -> Vec<LogId> {
        let most = if tick { PER_TICK } else { PER_EVENT }.min(self.unseen);
        let mut next: Vec<LogId> = match &self.last {
            Some(last) => {
                let behind = (Bound::Excluded(last.clone()), Bound::Unbounded);
                self.logs.range::<LogId, _>(behind).map(|(log, _)| log.clone()).take(most).collect()
            }
            None => self.logs.keys().take(most).cloned().collect(),
        };
        if next.len() < most {
            // Continues with the first log, without those that were just taken.
            let missing = most.saturating_sub(next.len()).min(self.logs.len().saturating_sub(next.len()));
            next.extend(self.logs.keys().take(missing).cloned());
        }
        self.unseen = if next.is_empty() { 0 } else { self.unseen.saturating_sub(next.len()) };
        self.last = next.last().cloned();
        next
    }

    /// Since when the oldest log has waited that was not asked for.
    pub(crate) fn waiting_since(&self) -> Option<u64> {
        self.waiting.first().map(|(since, _)| *since)
    }

    /// Since when the oldest log has waited that was asked for.
    pub(crate) fn asked_since(&self) -> Option<u64> {
        self.asked.first().map(|(since, _)| *since)
    }

    /// Up to `most` logs that have waited since `until` or longer. From now on they count as asked for.
    pub(crate) fn ask(&mut self, until: u64, most: usize) -> Vec<LogId> {
        let mut logs = Vec::new();
        while logs.len() < most && self.waiting.first().is_some_and(|(since, _)| *since <= until) {
            let Some((since, log)) = self.waiting.pop_first() else { break };
            if let Some(entry) = self.logs.get_mut(&log) {
                entry.asked = true;
            }
            self.asked.insert((since, log.clone()));
            logs.push(log);
        }
        logs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(count: usize) -> Behind {
        let mut behind = Behind::default();
        for log in 0..count {
            behind.insert(&log.to_string().into(), 0, 1);
        }
        behind
    }

    #[test]
    fn an_event_costs_the_same_however_many_logs_are_behind() {
        for count in [1_000, 10_000, 100_000] {
            let mut behind = filled(count);
            behind.grown();
            for _ in 0..10 {
                for log in behind.next(false) {
                    behind.look(&log, 0, 9, 2);
                }
            }
            assert_eq!(behind.looked, 10 * PER_EVENT, "{count}");
        }
    }

    #[test]
    fn every_log_is_looked_at_after_the_log_has_grown_and_none_without() {
        let mut behind = filled(1_000);
        assert!(behind.next(true).is_empty());
        behind.next(false);
        behind.grown();
        behind.next(false);
        behind.grown();
        let mut seen = BTreeSet::new();
        while behind.is_looking() {
            seen.extend(behind.next(true));
        }
        assert_eq!(seen.len(), 1_000);
        behind.grown();
        while behind.is_looking() {
            for log in behind.next(true) {
                behind.look(&log, 9, 9, 2);
            }
        }
        assert!(behind.is_empty() && behind.waiting_since().is_none());
    }

    #[test]
    fn what_grew_waits_anew_and_may_be_asked_for_again() {
        let mut behind = filled(1);
        let log: LogId = "0".into();
        assert_eq!(behind.ask(0, 64), Vec::<LogId>::new());
        assert_eq!(behind.ask(1, 64), std::slice::from_ref(&log));
        assert_eq!((behind.waiting_since(), behind.asked_since()), (None, Some(1)));
        assert!(!behind.look(&log, 0, 9, 5), "nothing has moved");
        assert!(behind.look(&log, 3, 9, 5));
        assert_eq!((behind.waiting_since(), behind.asked_since()), (Some(5), None));
        assert!(behind.look(&log, 9, 9, 6) && behind.is_empty());
    }
}
