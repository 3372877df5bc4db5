//! Bytes between the socket and the session: frames in, frames out.

use std::io;

use super::{Connection, BYTES_PER_FRAME, BYTES_PER_TURN};
use crate::error::Error;
use crate::net::event::End;
use crate::net::stream::Stream;
use crate::protocol::{InEvent, PeerKind};

/// Largest frame before the handshake is over. It is a handshake, and 512 silent connections may send one each.
const FIRST_FRAME: usize = 64 * 1024;

/// While more than this waits to be written, the peer's frames are left unread: a peer that asks must take the answers.
const OUTBOX_HIGH: usize = 4 * 1024 * 1024;

/// An incomplete frame has to grow by this much, or become complete, within the frame timeout.
pub(super) const FRAME_STEP: u64 = 4 * 1024;

impl Connection<'_> {
    /// Hands whole frames to the session, as long as it wants them and few of its answers wait to be written.
    pub(super) fn handle_frames(&mut self) -> Result<(), Error> {
        let before = self.counters.frames_in;
        while self.takes_frames() && self.moved_bytes <= BYTES_PER_TURN {
            let limit = self.session.frame_limit();
            let limit = if self.session.peer_kind() == PeerKind::Unknown { limit.min(FIRST_FRAME) } else { limit };
            let Some(frame) = self.wire.frame(limit)? else { break };
            self.counters.frames_in += 1;
            self.moved_bytes += BYTES_PER_FRAME;
            self.costs.add_frame(frame.len());
            if self.is_at_gate() {
                self.gate_frame(frame)?;
            } else {
                self.handle(InEvent::Frame(frame));
            }
            self.carry_out();
            if self.remote.is_none() && self.closed.is_none() {
                self.introduce()?;
            }
        }
        self.held_back = self.wire.has_frames() && (!self.takes_frames() || self.moved_bytes > BYTES_PER_TURN);
        self.watch_frame(self.counters.frames_in != before);
        if self.counters.frames_in != before {
            self.handle(InEvent::Idle);
            self.carry_out();
            self.costs.drop_collected();
        }
        Ok(())
    }

    /// Notes whether an incomplete frame has grown enough. `is_another` says that a frame has become complete since.
    fn watch_frame(&mut self, is_another: bool) {
        if !self.wire.has_input() || self.held_back {
            self.incomplete_frame = None;
        } else if is_another
            || self.incomplete_frame.is_none_or(|(_, bytes)| self.counters.bytes_in >= bytes + FRAME_STEP)
        {
            self.incomplete_frame = Some((self.shared.now_ms(), self.counters.bytes_in));
        }
    }

    /// Whether the session is to get further frames.
    pub(super) fn takes_frames(&self) -> bool {
        let waits = self.costs.paused_until().is_some();
        let wanted = self.entry.takes_frames() && self.session.wants_frames();
        !waits && self.closed.is_none() && wanted && self.wire.waiting() < OUTBOX_HIGH
    }

    /// Whether to wait for bytes from the peer.
    pub(super) fn reads_socket(&self) -> bool {
        !self.peer_finished && self.takes_frames() && !self.held_back
    }

    /// Reads what has arrived.
    pub(super) fn receive(&mut self, stream: &Stream) -> Result<(), End> {
        match self.wire.receive(stream) {
            Ok(0) => self.peer_finished = true,
            Ok(read) => {
                self.heard_at = self.shared.now_ms();
                self.moved_bytes += read as u64;
                self.counters.bytes_in += read as u64;
                self.wire.open_records().map_err(End::here)?;
                self.handle(InEvent::Arriving);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(self.lost(&error)),
        }
        Ok(())
    }

    /// Writes as much as the stream takes.
    pub(super) fn flush(&mut self, stream: &Stream) -> Result<(), End> {
        let waited = self.wire.stalled_since().is_some();
        let flushed = self.wire.flush(stream, self.shared.now_ms()).map_err(End::here)?;
        let flushed = flushed.map_err(|error| self.lost(&error))?;
        self.moved_bytes += flushed.bytes;
        self.counters.bytes_out += flushed.bytes;
        self.counters.writes += flushed.writes;
        if waited && flushed.bytes > 0 {
            // Bytes were taken, so the peer is slow but alive.
            self.handle(InEvent::Written);
            self.carry_out();
        }
        Ok(())
    }
}
