//! What the owner has been told of forks lately, so that a peer that comes back again and again is not told anew each time.

use std::collections::HashMap;

use crate::error::Error;

/// Time after which a fork of the same log by the same network is told again, in milliseconds: often enough to be noticed in a
/// log file of the day, too seldom to fill it.
pub const TELL_AGAIN_MS: u64 = 10 * 60 * 1000;

/// Networks and logs remembered: some 100 KiB. Of more, the one told longest ago is told again first.
pub const MAX_TOLD: usize = 1024;

/// When which fork of which network was told.
#[derive(Debug, Default)]
pub(super) struct ForkReports(HashMap<(u64, &'static str, String), u64>);

impl ForkReports {
    /// Whether the owner is to hear of `error`, which a peer of `network` caused.
    pub(super) fn tells(&mut self, network: u64, error: &Error, now: u64) -> bool {
        let (Error::Fork { log, .. } | Error::Forged { log, .. }) = error else { return true };
        let told = (network, error.code(), log.clone());
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
    fn a_forger_that_comes_back_is_told_once_in_a_while_and_others_are_told_beside_it() {
        let mut told = ForkReports::default();
        let heard = (0..1000).filter(|n| told.tells(1, &forged("a"), n * TELL_AGAIN_MS / 100)).count();
        assert_eq!(heard, 10);
        let now = 10 * TELL_AGAIN_MS;
        assert!(told.tells(2, &forged("a"), now) && told.tells(1, &forged("b"), now));
        assert!(told.tells(1, &Error::Ended, now) && told.tells(1, &Error::Ended, now));
        (0..10 * MAX_TOLD).for_each(|n| assert!(told.tells(3, &forged(&n.to_string()), now)));
        assert_eq!(told.0.len(), MAX_TOLD);
    }
}
