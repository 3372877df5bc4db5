//! The forks that the owner was told of lately, so that a peer that connects again and again is not reported each time.

use std::collections::HashMap;

use super::address_prefix::AddressPrefix;
use crate::error::Error;

/// A fork of the same log by the same address prefix is reported again after this many milliseconds: often enough to be noticed in
/// a log file of the day, too seldom to fill it.
pub const TELL_AGAIN_MS: u64 = 10 * 60 * 1000;

/// Reports remembered: some 100 KiB. When there are more, the oldest one is forgotten.
pub const MAX_TOLD: usize = 1024;

/// When a fork was last reported, by prefix, error code and log.
#[derive(Debug, Default)]
pub(super) struct ForkReports(HashMap<(AddressPrefix, &'static str, String), u64>);

impl ForkReports {
    /// Whether the owner is to hear of `error`, which a peer from `prefix` caused. Remembers it if so.
    pub(super) fn is_due(&mut self, prefix: AddressPrefix, error: &Error, now: u64) -> bool {
        let (Error::Fork { log, .. }
        | Error::Forged { log, .. }
        | Error::Unsealed { log, .. }
        | Error::Author { log, .. }) = error
        else {
            return true;
        };
        let told = (prefix, error.code(), log.clone());
        if self.0.get(&told).is_some_and(|at| now < at + TELL_AGAIN_MS) {
            return false;
        }
        if self.0.len() >= MAX_TOLD && !self.0.contains_key(&told) {
            let oldest = self.0.iter().min_by_key(|(_, at)| **at).map(|(oldest, _)| oldest.clone());
            oldest.map(|oldest| self.0.remove(&oldest));
        }
        self.0.insert(told, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forged(log: &str) -> Error {
        Error::Forged { log: log.to_owned(), seq: 1, reason: "" }
    }

    #[test]
    fn a_forger_that_comes_back_is_reported_once_in_a_while_and_others_at_once() {
        let from = AddressPrefix::V6;
        let mut reports = ForkReports::default();
        let heard = (0..1000).filter(|n| reports.is_due(from(1), &forged("a"), n * TELL_AGAIN_MS / 100)).count();
        assert_eq!(heard, 10);
        let now = 10 * TELL_AGAIN_MS;
        assert!(reports.is_due(from(2), &forged("a"), now) && reports.is_due(from(1), &forged("b"), now));
        assert!(reports.is_due(from(1), &Error::Ended, now) && reports.is_due(from(1), &Error::Ended, now));
        (0..10 * MAX_TOLD).for_each(|n| assert!(reports.is_due(from(3), &forged(&n.to_string()), now)));
        assert_eq!(reports.0.len(), MAX_TOLD);
    }
}
