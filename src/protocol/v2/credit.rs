//! Credit for the peer: counts bytes received until they are stored, and then allows the peer to send as many again.

use crate::error::{Error, Result};
use crate::protocol::extension::WINDOW;

/// Stored bytes are acknowledged after this many milliseconds, even if little of the window is used up. So a sender that is about
/// to leave knows that its peer has everything. These frames are small, and too few to matter.
pub const ACKNOWLEDGE_MS: u64 = 25;

/// Bytes received for which no credit was granted yet, by the state of their nodes.
#[derive(Debug, Default)]
pub(super) struct ReceivedBytes {
    /// All of them.
    ungranted: u64,
    /// Their nodes wait to be offered to the log.
    collected: u64,
    /// Their nodes are on their way into the log.
    offered: u64,
    /// Their nodes are stored.
    stored: u64,
    /// Since when there are stored ones.
    stored_since: Option<u64>,
}

impl ReceivedBytes {
    /// # Errors
    /// `Protocol` if the peer may send nothing before more is granted.
    pub(super) fn check_window(&self) -> Result<()> {
        if self.ungranted >= WINDOW {
            return Err(Error::Protocol("the peer sends more than it was granted".into()));
        }
        Ok(())
    }

    /// Adds bytes whose nodes go to the log.
    pub(super) fn collect(&mut self, bytes: u64) {
        self.ungranted += bytes;
        self.collected += bytes;
    }

    /// Adds bytes that are kept elsewhere: they can be granted again immediately.
    pub(super) fn pass(&mut self, bytes: u64) {
        self.ungranted += bytes;
        self.stored += bytes;
    }

    /// Notes that the collected nodes are offered to the log. With `nothing`, there was nothing to offer, and their bytes count as
    /// stored.
    pub(super) fn offer(&mut self, nothing: bool) {
        let bytes = std::mem::take(&mut self.collected);
        *(if nothing { &mut self.stored } else { &mut self.offered }) += bytes;
    }

    /// Notes that the log has answered for the offered nodes.
    pub(super) fn added(&mut self) {
        self.stored += std::mem::take(&mut self.offered);
    }

    /// The credit to grant, if it is time, or if a message goes to the peer anyway.
    pub(super) fn grant(&mut self, now: u64, anyway: bool) -> Option<u64> {
        if self.stored > 0 && self.stored_since.is_none() {
            self.stored_since = Some(now);
        }
        let due = self.due().is_some_and(|due| now >= due);
        if self.stored < WINDOW / 4 && !due && !anyway {
            return None;
        }
        self.stored_since = None;
        let bytes = std::mem::take(&mut self.stored);
        self.ungranted = self.ungranted.saturating_sub(bytes);
        Some(bytes)
    }

    /// When stored bytes are to be acknowledged.
    pub(super) fn due(&self) -> Option<u64> {
        self.stored_since.map(|since| since + ACKNOWLEDGE_MS)
    }
}
