//! Limits how often forks and refusals are reported to the owner: a peer that connects again and again is not reported each time.
//! Refusals are counted, whether they are reported or not.

use std::collections::HashMap;

use super::address_prefix::AddressPrefix;
use crate::error::Error;

/// The same report about the same address prefix is repeated after this many milliseconds: often enough to be noticed in a day's
/// log file, and too seldom to fill it.
pub const TELL_AGAIN_MS: u64 = 10 * 60 * 1000;

/// Reports remembered: some 100 KiB. When there are more, the oldest one is forgotten.
pub const MAX_TOLD: usize = 1024;

/// How often peers were refused since the emitter was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// They spoke plain text where that is not allowed, had another key than expected, or did not know the secret.
    pub insecure: u64,
    /// They may not connect, or may not do what they did.
    pub rights: u64,
    /// They belong to another network.
    pub network: u64,
}

/// When something was last reported, by prefix, error code, and the log or whatever else it is about.
#[derive(Debug, Default)]
pub(super) struct RareReports {
    told: HashMap<(AddressPrefix, &'static str, String), u64>,
    refusals: Refusals,
}

impl RareReports {
    /// Whether to report `error`, which a peer from `prefix` caused, to the owner. Remembers it if so.
    pub(super) fn is_due(&mut self, prefix: AddressPrefix, error: &Error, now: u64) -> bool {
        let subject = match error {
            Error::Fork { log, .. }
            | Error::Forged { log, .. }
            | Error::Unsealed { log, .. }
            | Error::Author { log, .. } => log.clone(),
            // If the same peer comes with another schema, that is reported again.
            Error::SchemaDrift { .. } => blake3::hash(error.to_string().as_bytes()).to_string(),
            Error::Insecure(_) | Error::Rights(_) | Error::Network(_) => String::new(),
            _ => return true,
        };
        let told = (prefix, error.code(), subject);
        if self.told.get(&told).is_some_and(|at| now < at + TELL_AGAIN_MS) {
            return false;
        }
        if self.told.len() >= MAX_TOLD && !self.told.contains_key(&told) {
            let oldest = self.told.iter().min_by_key(|(_, at)| **at).map(|(oldest, _)| oldest.clone());
            oldest.map(|oldest| self.told.remove(&oldest));
        }
        self.told.insert(told, now);
        true
    }

    /// Counts a link that has ended here because of `error`.
    pub(super) fn count(&mut self, error: &Error) {
        match error {
            Error::Insecure(_) => self.refusals.insecure += 1,
            Error::Rights(_) => self.refusals.rights += 1,
            Error::Network(_) => self.refusals.network += 1,
            _ => {}
        }
    }

    pub(super) fn refusals(&self) -> Refusals {
        self.refusals
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
        let mut reports = RareReports::default();
        let heard = (0..1000).filter(|n| reports.is_due(from(1), &forged("a"), n * TELL_AGAIN_MS / 100)).count();
        assert_eq!(heard, 10);
        let refused = Error::Rights("no".into());
        assert!(reports.is_due(from(1), &refused, 0) && !reports.is_due(from(1), &refused, 1));
        assert!(reports.is_due(from(2), &refused, 1));
        let now = 10 * TELL_AGAIN_MS;
        assert!(reports.is_due(from(2), &forged("a"), now) && reports.is_due(from(1), &forged("b"), now));
        assert!(reports.is_due(from(1), &Error::Ended, now) && reports.is_due(from(1), &Error::Ended, now));
        let drift = |words: &str| Error::SchemaDrift { log: "a".to_owned(), differences: words.repeat(10_000) };
        assert!(reports.is_due(from(1), &drift("a"), now) && !reports.is_due(from(1), &drift("a"), now));
        assert!(reports.is_due(from(1), &drift("b"), now));
        assert!(reports.told.keys().all(|(_, _, subject)| subject.len() <= 64));
        (0..10 * MAX_TOLD).for_each(|n| assert!(reports.is_due(from(3), &forged(&n.to_string()), now)));
        assert_eq!(reports.told.len(), MAX_TOLD);
    }
}
