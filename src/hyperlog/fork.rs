//! Forks of the local log: when another version of it moves our tail to a new log, and when it is refused.
//!
//! Without signatures a forged node and one of a copied database look alike, so what others can cause is bounded:
//!
//! - an entry moves at most once, which no honest peer ever needs more: a copy that was made after the move has it, too;
//! - a few moves at a time, since each makes a log for ever.

use std::time::{Duration, Instant};

use crate::error::Result;
use crate::node::{LogId, Seq};
use crate::store::{Meta, Store};

/// Forks acted upon one after the other. A copy finds its original at their first contact, and one fork sets both apart for
/// good; a machine that was cloned several times meets several of its copies.
pub const FORKS_AT_ONCE: u32 = 4;

/// One more may be acted upon after each of these.
pub const FORK_EVERY: Duration = Duration::from_secs(60 * 60);

/// What has happened to the local log.
#[derive(Debug)]
pub(super) struct Forks {
    /// So many of its first entries were moved there.
    moved: Seq,
    left: u32,
    /// Since when no more became available.
    since: Instant,
}

impl Forks {
    /// Goes on from what the store says of `log`.
    pub(super) fn of(store: &dyn Store, log: &LogId) -> Result<Self> {
        let fact = store.meta(&Meta::Moved)?;
        let moved = fact.and_then(|fact| {
            let (moved, of) = std::str::from_utf8(&fact).ok()?.split_once(' ')?;
            (of == &**log).then(|| moved.parse().ok())?
        });
        Ok(Forks { moved: moved.unwrap_or(0), left: FORKS_AT_ONCE, since: Instant::now() })
    }

    /// What the store keeps of a log to which `moved` entries move.
    pub(super) fn fact(log: &LogId, moved: Seq) -> (Meta, Option<bytes::Bytes>) {
        (Meta::Moved, Some(format!("{moved} {log}").into()))
    }

    /// The log goes on under another id, to which `moved` entries moved.
    pub(super) fn moved(&mut self, moved: Seq) {
        self.moved = moved;
    }

    /// Whether to act upon another version of entry `seq`; if so, it counts.
    pub(super) fn admit(&mut self, seq: Seq, now: Instant) -> Result<(), &'static str> {
        if seq <= self.moved {
            return Err(
                "its entries up to there were moved to this log before, so nobody else can have written another",
            );
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
