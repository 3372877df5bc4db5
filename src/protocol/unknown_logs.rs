//! Bounds how many logs without entries in this store a peer may name, and how fast.

use crate::error::{Error, Result};

/// Unknown logs that a peer may name in one session. Logs in our store are not limited: they take no further memory. Every process
/// with a memory store makes a new log, so an old fleet has very many. Their memory counts towards the limit for all links.
pub const MAX_LOGS: usize = 1024 * 1024;

/// Unknown logs that a peer may name at once; [`LOGS_PER_SECOND`] after that. Peers of an ordinary fleet never get there.
pub const LOG_BURST: usize = 64 * 1024;

/// Unknown logs that a peer may name in a second, in the long run. A million of them take some three minutes, for an honest peer as
/// well as for an attacker who wants to fill the table. A peer that is too fast is not read for a while.
pub const LOGS_PER_SECOND: u64 = 5_000;

/// What an id takes in addition to its bytes: two counters, and the allocator's overhead.
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
    /// Counts one more log that the peer names at `now` (milliseconds); its id has `len` bytes.
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

    /// Resets the memory count, because the session has dropped its state of the logs named so far.
    pub(crate) fn forget(&mut self) {
        (self.count, self.bytes) = (0, 0);
    }

    /// When the peer may name further logs (milliseconds); `None` if it may now.
    pub(crate) fn paused_until(&self, now: u64) -> Option<u64> {
        let burst_us = LOG_BURST as u64 * (1_000_000 / LOGS_PER_SECOND);
        Some(self.paid_until_us.saturating_sub(burst_us).div_ceil(1_000)).filter(|at| *at > now)
    }
}
