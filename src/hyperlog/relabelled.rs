//! Old ids of our log, whose tail has moved to a new log: decides which entries peers may bring back under the old id.
//!
//! Peers send the old log again, in our version or in another one. Both are accepted; the first entry that arrives decides which. If
//! it is ours, the later ones must be ours too. Otherwise a forged entry that arrived early, and waited for the entry before it,
//! would get into the log before the honest one.

use std::collections::HashMap;

use crate::error::Result;
use crate::node::{Key, LogId, Seq};

/// The log to which the tail of another was moved.
#[derive(Debug)]
struct Tail {
    from: Seq,
    to: LogId,
    moved: Seq,
}

/// All moves since the store was opened: one for each fork that was acted upon.
#[derive(Debug, Default)]
pub(super) struct Left {
    tails: HashMap<LogId, Tail>,
}

impl Left {
    /// The tail of `log` from entry `from` on, of this many entries, moves to `to`.
    pub(super) fn note(&mut self, log: &LogId, from: Seq, to: &LogId, moved: Seq) {
        self.tails.insert(log.clone(), Tail { from, to: to.clone(), moved });
    }

    /// The node that entry `seq` of `log` must be; `None` if it may be any. `entry` looks up the node of an entry.
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

    /// Where an entry that we wrote as `(log, seq)` is now: its tail may have moved several times.
    fn moved_to<'a>(&'a self, log: &'a LogId, seq: Seq) -> (&'a LogId, Seq) {
        let (mut log, mut seq) = (log, seq);
        // The tail of each log moves only once, so this ends.
        while let Some(tail) = self.tails.get(log).filter(|tail| seq >= tail.from) {
            (log, seq) = (&tail.to, seq - tail.from + 1);
        }
        (log, seq)
    }
}
