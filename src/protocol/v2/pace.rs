//! Decides how large a batch may grow, from how fast the peer takes batches.
//!
//! A batch that is cut off has to be sent again from its beginning. So on a slow line batches are small.

use crate::protocol::batch::CHUNK;

/// How long a batch should take on its way, in milliseconds.
const BATCH_MS: u64 = 500;

/// Smallest batch, in bytes. With smaller ones, the overhead of frames would matter.
const LEAST: usize = 4 * 1024;

/// Measures how fast credit comes back.
#[derive(Debug)]
pub(super) struct Pace {
    chunk: usize,
    /// When the measurement began; `None` while nothing is on its way.
    since: Option<u64>,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { chunk: 2 * LEAST, since: None }
    }
}

impl Pace {
    /// A batch is sent once it has this many bytes.
    pub(super) fn chunk(&self) -> usize {
        self.chunk
    }

    pub(super) fn sent(&mut self, now: u64) {
        self.since.get_or_insert(now);
    }

    /// The peer has stored this many bytes.
    pub(super) fn granted(&mut self, bytes: u64, now: u64) {
        let Some(since) = self.since.replace(now).filter(|_| bytes > 0) else { return };
        let fits = bytes.saturating_mul(BATCH_MS) / now.saturating_sub(since).max(1);
        let fits = usize::try_from(fits).unwrap_or(CHUNK);
        // It shrinks immediately, but at most doubles, so that a single lucky measurement does not count for much.
        self.chunk = fits.min(2 * self.chunk).clamp(LEAST, CHUNK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_small_on_a_slow_line_and_large_on_a_fast_one() {
        let mut pace = Pace::default();
        for round in 0..10 {
            pace.sent(round * 2);
            pace.granted(pace.chunk() as u64, round * 2 + 1);
        }
        assert_eq!(pace.chunk(), CHUNK);
        // 2.5 kB/s, as on a line of 20 kbit/s.
        pace.sent(100);
        pace.granted(CHUNK as u64, 100 + CHUNK as u64 * 1000 / 2500);
        assert_eq!(pace.chunk(), LEAST);
    }
}
