//! Bounds how many logs without entries in this store a peer may name, and how fast.

use crate::error::{Error, Result};

/// Unknown logs that a peer may name in one session. Logs in our store are not limited: they take no further memory. Every
/// process on a memory store has a log of its own, so an old fleet has very many. What is kept of them counts in the memory of
/// all links.
pub const MAX_LOGS: usize = 1024 * 1024;

/// Unknown logs that a peer may name at once; [`LOGS_PER_SECOND`] after that. Peers of an ordinary fleet never get there.
pub const LOG_BURST: usize = 64 * 1024;

/// Unknown logs that a peer may name in a second, in the long run. For a million of them a peer needs some three minutes, and
/// so does a stranger who wants to fill the table. Meanwhile its socket is not read.
pub const LOGS_PER_SECOND: u64 = 5_000;

/// What an id takes beside its bytes: two counters, and what the allocator keeps.
const ID_OVERHEAD: usize = 32;

/// Counts the unknown logs that the peer has named.
#[derive(Debug, Default)]
pub(crate) struct UnknownLogs {
    count: usize,
    /// What their ids take in memory.
    bytes: usize,
    /// When all names so far would have been given at [`LOGS_PER_SECOND`], in microseconds of the session's clock.
    paid_until_us: u64,
}

impl UnknownLogs {
    /// The peer names one more, whose id has `len` bytes, at `now` (milliseconds).
    ///
    /// # Errors
    /// `Protocol` if there are too many.
    pub(crate) fn add(&mut self, len: usize, now: u64) -> Result<()> {
        if self.count >= MAX_LOGS {
            return Err(Error::Protocol(format!("the peer names more than {MAX_LOGS} logs that are unknown here")));
        }
        self.count += 1;
        self.bytes += len + ID_OVERHEAD;
        let now_us = now.saturating_mul(1_000);
        self.paid_until_us = self.paid_until_us.max(now_us).saturating_add(1_000_000 / LOGS_PER_SECOND);
        Ok(())
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// What their ids take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The session has dropped what it kept of the logs named so far.
    pub(crate) fn forget(&mut self) {
        (self.count, self.bytes) = (0, 0);
    }

    /// When the peer may name further logs (milliseconds); `None` if it may now.
    pub(crate) fn paused_until(&self, now: u64) -> Option<u64> {
        let burst_us = LOG_BURST as u64 * (1_000_000 / LOGS_PER_SECOND);
        Some(self.paid_until_us.saturating_sub(burst_us).div_ceil(1_000)).filter(|at| *at > now)
    }
}
