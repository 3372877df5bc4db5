//! Logs that were ours until their tail moved to another one: which entries may come back under the old id.
//!
//! Peers send the old log again, in our version or in another one. Both are taken, and one of them comes first. If it is ours,
//! the rest of it is known as well, and what differs from it was made up: without this an entry that somebody has sent ahead, and
//! that waits for the one before it, would get into the log before the honest one.

use std::collections::HashMap;

use crate::error::Result;
use crate::node::{Key, LogId, Seq};

/// Where the tail of one log went.
#[derive(Debug)]
struct Tail {
    from: Seq,
    to: LogId,
    moved: Seq,
}

/// All that have moved since the store was opened: as many as there are forks that were acted upon.
#[derive(Debug, Default)]
pub(super) struct Left {
    tails: HashMap<LogId, Tail>,
}

impl Left {
    /// The tail of `log` from `from` on, this many entries, goes to `to`.
    pub(super) fn note(&mut self, log: &LogId, from: Seq, to: &LogId, moved: Seq) {
        self.tails.insert(log.clone(), Tail { from, to: to.clone(), moved });
    }

    /// The node that entry `seq` of `log` has to be; `None` if it may be any. `entry` tells the nodes of entries.
    ///
    /// # Errors
    /// Those of `entry`.
    pub(super) fn must_be(
        &self,
        log: &LogId,
        seq: Seq,
        mut entry: impl FnMut(&LogId, Seq) -> Result<Option<Key>>,
    ) -> Result<Option<Key>> {
        let Some(tail) = self.tails.get(log) else { return Ok(None) };
        if seq <= tail.from || seq - tail.from >= tail.moved {
            return Ok(None);
        }
        let Some(first) = entry(log, tail.from)? else { return Ok(None) };
        let mut now = |seq| {
            let (to, seq) = self.moved_to(log, seq);
            entry(to, seq)
        };
        Ok(if now(tail.from)? == Some(first) { now(seq)? } else { None })
    }

    /// Where an entry that we wrote as `(log, seq)` is now: a tail may have moved on with the next fork.
    fn moved_to<'a>(&'a self, log: &'a LogId, seq: Seq) -> (&'a LogId, Seq) {
        let (mut log, mut seq) = (log, seq);
        // Each log is left once, so this ends.
        while let Some(tail) = self.tails.get(log).filter(|tail| seq >= tail.from) {
            (log, seq) = (&tail.to, seq - tail.from + 1);
        }
        (log, seq)
    }
}
