//! Time limits for what the connection expects of its peer.

use std::time::Duration;

use tokio::time::Instant;

use super::frames::FRAME_STEP;
use super::Connection;
use crate::error::Error;
use crate::net::event::End;
use crate::net::stream::Stream;
use crate::protocol::{InEvent, PeerKind};

/// A handshake may take this many times as long as the longest silence before it, if bytes keep coming: it has only a few hundred
/// bytes.
const HANDSHAKES: u64 = 6;

/// How many writes are attempted without the system having reported room, before a link ends because no byte was taken.
const POKES: u64 = 4;

/// A frame that has begun has to grow by [`FRAME_STEP`] or become complete within this time, in milliseconds. A line of 20 kbit/s
/// carries thirty times as much, so only a peer that hangs, or sends slowly on purpose, fails to.
pub const FRAME_MS: u64 = 60_000;

/// A time that is never reached.
const FAR_AWAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Connection<'_> {
    /// When the task has to wake even if nothing happens.
    pub(super) fn deadline(&self) -> Instant {
        let paused = self.costs.paused_until();
        let due =
            [self.session.wake_at(), self.handshake_due(), self.stall_due(), self.poke_due(), self.frame_due(), paused];
        let due = due.into_iter().flatten().min();
        let epoch = Instant::from_std(self.shared.epoch);
        due.and_then(|due| epoch.checked_add(Duration::from_millis(due))).unwrap_or_else(|| Instant::now() + FAR_AWAY)
    }

    /// When the link ends unless the handshake arrives.
    fn handshake_due(&self) -> Option<u64> {
        let has_handshake = self.session.peer_kind() != PeerKind::Unknown;
        let patience = self.shared.options.handshake_timeout_ms;
        let last = self.since_ms.saturating_add(patience.saturating_mul(HANDSHAKES));
        (!has_handshake).then(|| self.heard_at.saturating_add(patience).min(last))
    }

    /// When the link ends unless the peer takes bytes.
    fn stall_due(&self) -> Option<u64> {
        self.wire.stalled_since().map(|since| since.saturating_add(self.shared.options.stall_timeout_ms))
    }

    /// When the link ends unless the incomplete frame grows.
    fn frame_due(&self) -> Option<u64> {
        self.incomplete_frame.map(|(since, _)| since.saturating_add(self.shared.options.frame_timeout_ms))
    }

    /// Ends the link if the peer has let one of these times pass, and tells the session the time.
    pub(super) fn check_time(&mut self) -> Result<(), End> {
        let now = self.shared.now_ms();
        let options = &self.shared.options;
        if self.handshake_due().is_some_and(|due| due <= now) {
            let waited = options.handshake_timeout_ms;
            return Err(End::here(Error::Silent(format!("no handshake within {waited} ms"))));
        }
        if self.stall_due().is_some_and(|due| due <= now) {
            let waiting = self.wire.waiting();
            let waited = options.stall_timeout_ms;
            let what = format!("the peer took none of the {waiting} bytes waiting for it for {waited} ms");
            return Err(End::here(Error::Silent(what)));
        }
        if self.frame_due().is_some_and(|due| due <= now) {
            let waited = options.frame_timeout_ms;
            let what = format!("an incomplete frame grew by less than {FRAME_STEP} bytes within {waited} ms");
            return Err(End::here(Error::Silent(what)));
        }
        if self.session.wake_at().is_some_and(|due| due <= now) {
            self.handle(InEvent::Tick);
        }
        Ok(())
    }

    /// Tries to write if the system has not reported room for a while.
    pub(super) fn poke(&mut self, stream: &Stream) {
        let now = self.shared.now_ms();
        if self.poke_due().is_none_or(|due| now < due) {
            return;
        }
        self.poked_at = now;
        let bytes = self.wire.poke(stream);
        if bytes > 0 {
            self.moved_bytes += bytes;
            self.counters.bytes_out += bytes;
            self.counters.writes += 1;
            self.handle(InEvent::Written);
            self.carry_out();
        }
    }

    fn poke_due(&self) -> Option<u64> {
        let since = self.wire.stalled_since()?.max(self.poked_at);
        Some(since.saturating_add(self.shared.options.stall_timeout_ms / POKES))
    }
}
