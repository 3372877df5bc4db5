//! Handles messages from the peer, passes its nodes to the log, and reacts when expected entries do not arrive.

use bytes::Bytes;

use super::found::Purpose;
use super::V2;
use crate::error::{Error, Result};
use crate::identity::seal::claims_owner;
use crate::incoming::Outcome;
use crate::node::{LogId, Seq};
use crate::protocol::batch::MAX_BATCH;
use crate::protocol::common::Common;
use crate::protocol::extension::Extension;
use crate::protocol::io::{CloseReason, LocalLog, Lookup};
use crate::protocol::message::Message;
use crate::protocol::peer_logs::Compared;

/// If the peer has more of a log and does not send it for this many milliseconds, we announce again what we have.
pub const RESYNC_MS: u64 = 5_000;

/// After this many vectors without an effect, the link is closed and replaced by a new one.
const MAX_RESYNCS: u32 = 3;

impl V2 {
    pub(super) fn on_frame(&mut self, common: &mut Common, frame: &Bytes, view: &dyn LocalLog) -> Result<()> {
        // 2.x peers use none of hyperlog's own messages but the handshake.
        let Message::Extension(kind, body) = Message::decode(frame)? else { return Ok(()) };
        let extension = Extension::decode(kind, body)?;
        // All other messages are about the peer's logs, or follow such messages.
        let tells_nothing_of_logs =
            matches!(extension, Extension::Twin(_) | Extension::Alive | Extension::Schema(_) | Extension::Unknown);
        self.heard |= !tells_nothing_of_logs;
        match extension {
            Extension::Twin(token) => self.on_twin(common, token),
            Extension::Vector { first, last, extents } => self.on_vector(common, first, last, extents, view),
            Extension::Compare(said) => self.on_compare(common, &said, view),
            Extension::NewTable => {
                self.reader.reset_table();
                Ok(())
            }
            Extension::Batch(rows) => self.on_batch(common, frame, rows, view),
            Extension::Piece(piece) => self.on_piece(common, frame, &piece, view),
            Extension::Held(held) => {
                self.on_held(held);
                Ok(())
            }
            Extension::Credit { bytes, updates } => self.on_credit(common, bytes, updates, view),
            Extension::Probe { log, seq } => {
                let (ours, at) = self.branches.our_entry(&log, seq);
                let Some(digest) = self.branches.digest_of(&log, seq) else { return Ok(()) };
                self.lookups.ask(digest, Purpose::ProbedDigest);
                self.lookups.ask(Lookup::Entry(ours, at), Purpose::ProbedEntry(log, seq));
                Ok(())
            }
            Extension::Proof { extent, key } => {
                if !self.branches.is_ours(&extent.log) {
                    let lookup = Lookup::Digest(extent.log.clone(), extent.seq);
                    self.lookups.ask(lookup, Purpose::Bisect(extent, key));
                } else if self.branches.take_probe(&extent.log, extent.seq) {
                    let (ours, at) = self.branches.our_entry(&extent.log, extent.seq);
                    if let Some(digest) = self.branches.digest_of(&extent.log, extent.seq) {
                        self.lookups.ask(digest, Purpose::ProbedDigest);
                    }
                    self.lookups.ask(Lookup::Entry(ours, at), Purpose::CompareBranch(extent, key));
                }
                Ok(())
            }
            Extension::Fork { log, seq, key } => {
                let (ours, at) = self.branches.our_entry(&log, seq);
                let purpose = Purpose::Fork { log, seq, theirs: key, tell: false, settled: self.owner_was_shown };
                self.lookups.ask(Lookup::Entry(ours, at), purpose);
                Ok(())
            }
            Extension::Demand { log, seq } => {
                self.show(log, seq, view);
                Ok(())
            }
            Extension::Goodbye { why, text } => {
                // What came before it is still stored.
                self.leaving.get_or_insert((why, text));
                Ok(())
            }
            Extension::Schema(text) => {
                self.on_schema(common, text);
                Ok(())
            }
            Extension::Alive | Extension::Unknown => Ok(()),
        }
    }

    fn on_credit(
        &mut self,
        common: &mut Common,
        bytes: u64,
        updates: Vec<(LogId, Seq)>,
        view: &dyn LocalLog,
    ) -> Result<()> {
        self.pace.granted(bytes, common.now);
        self.credit = self.credit.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
        for (log, seq) in updates {
            self.note_has(common, &log, seq, view)?;
            if let Some(peer_log) = self.logs.get_mut(&log) {
                peer_log.own.lazy = true;
            }
        }
        Ok(())
    }

    /// Notes that the peer has this log up to `seq`.
    pub(super) fn note_has(&mut self, common: &mut Common, log: &LogId, seq: Seq, view: &dyn LocalLog) -> Result<()> {
        let ours = view.seq(log);
        if !self.keep_in_mind(common, log, ours)? {
            return Ok(());
        }
        if *log == self.log_id {
            self.logs.note_forged(log, seq, ours, view);
        }
        if self.logs.note_has(log, seq, ours, common.config.defences, common.now) {
            self.behind_since = common.now;
        }
        Ok(())
    }

    pub(super) fn on_batch(
        &mut self,
        common: &mut Common,
        frame: &Bytes,
        rows: &[u8],
        view: &dyn LocalLog,
    ) -> Result<()> {
        self.received.check_window()?;
        if self.has_pieces() && frame.len() > MAX_BATCH {
            let sent = frame.len();
            return Err(Error::Protocol(format!(
                "a batch of {sent} bytes, the limit is {MAX_BATCH}: larger nodes go in pieces"
            )));
        }
        common.config.check_brings(self.logs.mode)?;
        self.behind_since = common.now;
        self.received.collect(frame.len() as u64);
        for node in self.reader.read(frame, rows, self.logs.len())? {
            common.counters.nodes_received += 1;
            self.note_has(common, &node.log, node.seq, view)?;
            if let Some(peer_log) = self.logs.get_mut(&node.log) {
                peer_log.own.told = peer_log.own.told.max(node.seq);
                if !peer_log.takes(&node.log, node.seq) {
                    continue;
                }
            }
            common.intake.push(node);
        }
        Ok(())
    }

    pub(super) fn on_added(&mut self, common: &mut Common, outcomes: Vec<Outcome>, view: &dyn LocalLog) -> Result<()> {
        self.received.added();
        self.yield_until = 0;
        let mut looked_at = None;
        for ((log, seq), outcome) in common.intake.finish().into_iter().zip(outcomes) {
            if looked_at.as_ref() != Some(&log) {
                self.look_at(common, &log, view);
                looked_at = Some(log.clone());
            }
            match outcome {
                Outcome::Added | Outcome::AddedWith { .. } => {}
                Outcome::Known => {
                    common.counters.in_vain += 1;
                    self.tell_progress_of(log);
                }
                Outcome::Parked => common.counters.parked += 1,
                Outcome::Refused(Error::Fork { seq, ours, theirs, .. }) => {
                    self.fork_proved(common, &log, Compared { seq, ours, theirs }, view);
                }
                // We asked for this entry, and our log may not move again because of it. Both versions go on side by side.
                Outcome::Refused(error @ Error::Forged { .. })
                    if self.logs.get(&log).is_some_and(|peer_log| peer_log.own.demanded) =>
                {
                    common.report(error);
                    if !claims_owner(&log) {
                        self.lookups.ask(Lookup::Entry(log.clone(), seq), Purpose::Unmoved(log, seq));
                    }
                }
                Outcome::Refused(error) if self.may_be_relayed(&error) => {
                    if self.logs.note_left_out(&log, seq) {
                        common.report(error);
                    }
                }
                Outcome::Refused(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Whether an honest peer may send rows that are refused for this reason. Each emitter decides whose logs it stores, and peers
    /// that do not know seals pass on rows without them.
    fn may_be_relayed(&self, error: &Error) -> bool {
        match error {
            Error::Author { .. } => true,
            Error::Unsealed { .. } => !self.capability.knows_seals(),
            _ => false,
        }
    }

    /// Offers the nodes collected so far to the log, unless others are on their way into it.
    pub(super) fn offer_nodes(&mut self, common: &mut Common) {
        if common.is_closed() || common.intake.is_busy() {
            return;
        }
        self.received.offer(common.intake.is_empty());
        common.offer_nodes();
    }

    /// Notes how far we have a log that has grown, if this session needs to know.
    pub(super) fn look_at(&mut self, common: &Common, log: &LogId, view: &dyn LocalLog) {
        if self.shared_logs.contains(log) {
            self.shared_grown.insert(log.clone());
        }
        if self.logs.look_at(log, view, common.now) {
            self.behind_since = common.now;
            self.resyncs = 0;
        }
    }

    /// If the peer does not send what it has, announces again what we have, and closes the link if that is repeatedly in vain.
    pub(super) fn resync_if_stuck(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if common.intake.is_busy() || self.logs.behind.is_looking() {
            self.behind_since = common.now;
        }
        self.behind_since = self.behind_since.max(self.arriving_at);
        if self.resync_due().is_none_or(|due| common.now < due) {
            return;
        }
        self.behind_since = common.now;
        self.resyncs += 1;
        if self.resyncs > MAX_RESYNCS {
            common.close(CloseReason::HalfOpen);
        } else {
            self.announce(common, view);
        }
    }

    pub(super) fn resync_due(&self) -> Option<u64> {
        (self.vector_seen && !self.logs.behind.is_empty()).then_some(self.behind_since + RESYNC_MS)
    }

    /// Handles the peer's goodbye. The session ends once the log has stored what the peer sent before.
    pub(super) fn leave(&mut self, common: &mut Common) {
        if common.intake.is_busy() || !common.intake.is_empty() {
            return;
        }
        if let Some((why, text)) = self.leaving.take() {
            common.close(CloseReason::Told(why, text));
        }
    }
}
