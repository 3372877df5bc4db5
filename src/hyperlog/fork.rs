//! Forks of the local log: decides whether another version of it moves our tail to a new log, or is refused.
//!
//! Without signatures, a forged node and a node of a copied database look alike. So the effect is bounded:
//!
//! - an entry moves at most once; honest peers never need more, because a copy that was made after the move contains it;
//! - only a few moves are made in a row, because each leaves behind a log that stays for ever.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::node::{LogId, Seq};
use crate::store::{Meta, Store};

/// Forks acted upon in a row. A copy and its original find each other at their first contact, and one fork separates them for
/// good; a machine that was cloned several times meets several copies.
pub const FORKS_AT_ONCE: u32 = 4;

/// After each period of this length, one more fork may be acted upon.
pub const FORK_EVERY: Duration = Duration::from_secs(60 * 60);

/// Past forks of the local log.
#[derive(Debug)]
pub(super) struct Forks {
    /// How many of its first entries were moved there.
    moved: Seq,
    left: u32,
    /// When a further fork was last allowed.
    since: Instant,
}

impl Forks {
    /// Continues from what the store knows of `log`.
    pub(super) fn of(store: &dyn Store, log: &LogId) -> Result<Self> {
        let fact = store.meta(&Meta::Moved)?;
        let moved = fact.and_then(|fact| {
            let (moved, of) = std::str::from_utf8(&fact).ok()?.split_once(' ')?;
            (of == &**log).then(|| moved.parse().ok())?
        });
        Ok(Forks { moved: moved.unwrap_or(0), left: FORKS_AT_ONCE, since: Instant::now() })
    }

    /// The fact that the store keeps about a log to which `moved` entries move.
    pub(super) fn fact(log: &LogId, moved: Seq) -> (Meta, Option<bytes::Bytes>) {
        (Meta::Moved, Some(format!("{moved} {log}").into()))
    }

    /// The log goes on under another id, to which `moved` entries moved.
    pub(super) fn moved(&mut self, moved: Seq) {
        self.moved = moved;
    }

    /// Decides whether to act upon another version of entry `seq`. If so, it counts as a fork.
    pub(super) fn admit(&mut self, seq: Seq, now: Instant) -> Result<(), &'static str> {
        if seq <= self.moved {
            return Err("has moved this entry to the log before, so no honest copy can hold another version of it");
        }
        let earned = now.saturating_duration_since(self.since).as_secs() / FORK_EVERY.as_secs();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(earned).min(FORKS_AT_ONCE);
        self.since += FORK_EVERY.saturating_mul(earned);
        if self.left == 0 {
            return Err("it has found too many other versions of its log lately to act upon one more");
        }
        self.left -= 1;
        Ok(())
    }
}
