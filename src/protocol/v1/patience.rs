//! Time limits for a 1.x peer, and what to do when they pass.

use bytes::BytesMut;

use super::V1;
use crate::protocol::common::Common;
use crate::protocol::io::{CloseReason, LocalLog};
use crate::protocol::message::{LogSeq, Message};

/// How long to wait for a further want, in milliseconds, if the protocol does not say which want is the last. Nagle's algorithm
/// delays 1.x by up to 40 ms per turn.
pub(super) const SETTLE_MS: u64 = 250;

/// If nothing has moved for this many milliseconds while the peer owes us nodes, we go on without them. `sentWants` makes a 1.x
/// peer live, and its live stream brings what it announced beyond its snapshot (defect 4).
pub const GIVE_UP_PULL_MS: u64 = 2_000;

/// If a live peer sends entries that come after a gap, we ask for the gap after this many milliseconds.
pub const GAP_MS: u64 = 1_000;

/// Close a link that we opened once it has been half open and idle for this many milliseconds.
pub const PATIENCE_MS: u64 = 6_000;

/// The same for a link that the 1.x peer opened: each redial costs it one of its ten attempts.
pub const PATIENCE_WITH_DIALLER_MS: u64 = 30_000;

/// Bytes that any 1.x peer can process per millisecond. A peer that has received more may be silent because it is still processing
/// it.
const PEER_BYTES_PER_MS: u64 = 100;

/// The most that [`PEER_BYTES_PER_MS`] adds, in milliseconds.
const MAX_DIGESTING_MS: u64 = 60_000;

/// Gaps asked for at a time.
const MAX_GAP_WANTS: usize = 64;

impl V1 {
    /// Asks for entries that a live peer evidently has and does not send by itself.
    pub(super) fn ask_for_gaps(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if !self.is_live() || !common.config.defences.mind_gaps {
            return;
        }
        let mut out = BytesMut::new();
        let Some(until) = common.now.checked_sub(GAP_MS) else { return };
        for log in self.logs.behind.ask(until, MAX_GAP_WANTS) {
            // The entries may have come over another link since the last look.
            self.logs.look_at(&log, view, common.now);
            if self.logs.behind.contains(&log) {
                Message::Want(LogSeq { log: &log, seq: view.seq(&log) }).encode(&mut out);
            }
        }
        common.send_bytes(out);
    }

    fn patience(&self, common: &Common) -> u64 {
        let base = if common.config.dialled { PATIENCE_MS } else { PATIENCE_WITH_DIALLER_MS };
        let digesting = if self.peer_sent_wants { 0 } else { common.counters.bytes_sent / PEER_BYTES_PER_MS };
        common.config.patience_ms.unwrap_or(base) + digesting.min(MAX_DIGESTING_MS)
    }

    pub(super) fn close_if_half_open(&mut self, common: &mut Common) {
        if !common.config.defences.close_half_open || self.forking {
            return;
        }
        let patience = self.patience(common);
        let behind = &self.logs.behind;
        let half_open = if self.is_live() {
            // One log may be stuck while others continue, so idleness is no criterion. What counts is how long the oldest log has
            // waited without growing. This is checked only once every log has been looked at since our log last grew.
            let oldest = [behind.asked_since(), behind.waiting_since()].into_iter().flatten().min();
            let overdue = oldest.is_some_and(|since| common.now >= since + patience);
            common.config.defences.mind_gaps && overdue && !behind.is_looking()
        } else {
            common.idle_ms() >= patience && self.lookups.is_idle()
        };
        if half_open {
            common.close(CloseReason::HalfOpen);
        }
    }

    pub(crate) fn wake_at(&self, common: &Common) -> Option<u64> {
        let behind = &self.logs.behind;
        let settle = self.wanted_at.filter(|_| !self.settled).map(|at| at + SETTLE_MS);
        let give_up = (!self.sent_wants && self.peer_sent_heads).then_some(common.active_at + GIVE_UP_PULL_MS);
        let patience = self.patience(common);
        let half_open = (!self.is_live()).then_some(common.active_at + patience);
        let asked = behind.asked_since().map(|since| since + patience);
        let waiting = behind.waiting_since().map(|since| since + GAP_MS);
        let gap = [asked, waiting].into_iter().flatten().min().filter(|_| self.is_live());
        let look = behind.is_looking().then_some(common.now + 1);
        let due = [settle, give_up, half_open, gap, look].into_iter().flatten().min()?;
        // Something is overdue, but waits for an answer that is under way, so waking immediately would change nothing.
        Some(due.max(common.now + 1))
    }
}
