//! Sends the peer the rows that it lacks, as its credit allows, and tells it which entries it need not send.

use super::{row_size, V2};
use crate::error::Error;
use crate::identity::seal::claims_owner;
use crate::node::{LogId, Seq};
use crate::protocol::common::Common;
use crate::protocol::extension::{Extension, MAX_UPDATES};
use crate::protocol::frame::FRAME_OVERHEAD;
use crate::protocol::io::{CloseReason, LocalLog};
use crate::protocol::message::Mode;
use crate::protocol::peer_logs::Judgement;
use crate::row::Row;

/// How long a row waits, in milliseconds, if the peer also gets its log from other peers and may say that it has the row. Then the
/// row is sent, and further rows of the log are sent without waiting.
pub const LAZY_MS: u64 = 30;

/// Most rows that may wait like this; beyond it the oldest ones are sent.
const MAX_HELD: usize = 256;

/// Most bytes of these rows. One row may exceed it.
const MAX_HELD_BYTES: usize = 256 * 1024;

impl V2 {
    /// From now on tells the peer how far we have this log, because other peers send it to us, too.
    pub(super) fn tell_progress_of(&mut self, log: LogId) {
        if let Some(peer_log) = self.logs.get_mut(&log).filter(|_| self.shared_logs.len() < MAX_UPDATES) {
            peer_log.own.remind = true;
            self.shared_logs.insert(log.clone());
            self.shared_grown.insert(log);
        }
    }

    /// How far we have logs, where the peer does not know it yet.
    fn progress(&mut self, view: &dyn LocalLog) -> Vec<(LogId, Seq)> {
        let mut progress = Vec::new();
        for log in std::mem::take(&mut self.shared_grown) {
            let ours = view.seq(&log);
            let Some(peer_log) = self.logs.get_mut(&log) else { continue };
            if ours > peer_log.own.told || peer_log.own.remind {
                peer_log.own.told = ours;
                peer_log.own.remind = false;
                progress.push((log, ours));
            }
        }
        progress
    }

    /// Grants the peer credit for what has been stored.
    pub(super) fn grant(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let updates = self.progress(view);
        if let Some(bytes) = self.received.grant(common.now, !updates.is_empty()) {
            self.say(common, &Extension::Credit { bytes, updates });
        }
    }

    /// Whether the next row could be sent: the peer has granted bytes, and no large node is on its way.
    pub(super) fn may_send(&self) -> bool {
        self.credit > 0 && self.large.is_none()
    }

    pub(super) fn send_pending(&mut self, common: &mut Common) {
        self.send_postponed(common);
        while self.credit > 0 && (self.large.is_some() || !self.lookups.is_starting()) {
            if self.large.is_some() {
                self.send_piece(common);
                self.send_postponed(common);
                continue;
            }
            if self.postponed_bytes > MAX_HELD_BYTES {
                break;
            }
            let Some(row) = self.pending.pop_front() else { break };
            common.rows.passed(row.at);
            if self.is_lazy(&row) {
                self.postponed_bytes += row_size(&row);
                self.postponed.push_back((common.now, row));
                if self.postponed.len() > MAX_HELD || self.postponed_bytes > MAX_HELD_BYTES {
                    self.send_postponed(common);
                }
            } else {
                self.unsent_bytes -= row_size(&row);
                self.send_row(common, &row);
            }
            if common.is_closed() {
                return;
            }
        }
        self.flush_batch(common);
    }

    fn is_lazy(&self, row: &Row) -> bool {
        self.logs.get(row.log()).is_some_and(|peer_log| peer_log.is_lazy(row.seq()))
    }

    /// Sends postponed rows whose time is up, in order, and drops those that the peer has by now. While there are too many, or
    /// too many bytes, the oldest ones are sent at once.
    fn send_postponed(&mut self, common: &mut Common) {
        let mut over = self.postponed_bytes.saturating_sub(MAX_HELD_BYTES);
        for (since, row) in std::mem::take(&mut self.postponed) {
            let in_bounds = self.postponed.len() < MAX_HELD && over == 0;
            let waits = self.is_lazy(&row) && common.now < since + LAZY_MS && in_bounds;
            if waits || !self.may_send() {
                self.postponed.push_back((since, row));
                continue;
            }
            self.unsent_bytes -= row_size(&row);
            self.postponed_bytes -= row_size(&row);
            over = over.saturating_sub(row_size(&row));
            if let Some(peer_log) = self.logs.get_mut(row.log()) {
                // The peer has not said that it has the row: its other source is gone, or slower than this link.
                peer_log.own.lazy &= row.seq() <= peer_log.has;
            }
            self.send_row(common, &row);
        }
    }

    /// When the oldest postponed row has to be sent; `None` without credit, because then it cannot be sent.
    pub(super) fn postponed_due(&self) -> Option<u64> {
        self.postponed.front().filter(|_| self.may_send()).map(|(since, _)| since + LAZY_MS)
    }

    /// Sends the row that is stored as `stored`; after a fork, as a row of a branch.
    fn send_row(&mut self, common: &mut Common, stored: &Row) {
        if self.branches.is_empty() {
            return self.send_named(common, stored, stored);
        }
        let shown = self.logs.get(stored.log()).and_then(|peer_log| peer_log.own.shown) == Some(stored.seq());
        if shown {
            // The peer asked for this entry under the log's own id, as the proof of the fork.
            self.send_named(common, stored, stored);
        }
        match self.branches.entry_of(stored.log(), stored.seq()) {
            Some((log, seq)) => self.send_named(common, stored, &stored.named(log, seq)),
            None if shown => {}
            None => self.send_named(common, stored, stored),
        }
    }

    /// Adds the row to the batch if the peer lacks it. Here it is stored as `stored`.
    fn send_named(&mut self, common: &mut Common, stored: &Row, row: &Row) {
        let (judgement, needs_proof) = self.judge(common, row);
        if needs_proof {
            return self.demand_entry_of(common, row);
        }
        match judgement {
            Judgement::Skip => {}
            Judgement::Reread(seq) => {
                let back = row.seq().saturating_sub(seq);
                self.lookups.ask_start(stored.log().clone(), stored.seq().saturating_sub(back));
            }
            Judgement::Send if self.is_too_large(row) => {
                let limit = usize::try_from(self.most_accepted()).unwrap_or(usize::MAX);
                let size = row.node.value.len();
                let error = Error::TooLarge { name: format!("{}/{}", row.log(), row.seq()), size, limit };
                self.flush_batch(common);
                common.close_and_report(CloseReason::Incompatible, error);
            }
            Judgement::Send if self.is_large(row) => {
                self.show_on(row);
                self.begin_large(common, row);
            }
            Judgement::Send => {
                self.show_on(row);
                self.writer.push(row);
                common.counters.nodes_sent += 1;
                if let Some(peer_log) = self.logs.get_mut(row.log()) {
                    peer_log.note_sent(row.seq());
                }
                if self.writer.len() >= self.pace.chunk() {
                    self.flush_batch(common);
                }
            }
        }
    }

    /// Notes that a row goes to the peer. If the peer asked for it as a proof, and it has no seal, the next row is sent as well.
    fn show_on(&mut self, row: &Row) {
        let sealed = row.node.signed.as_ref().is_some_and(|signed| signed.signature.is_some());
        if sealed || !claims_owner(row.log()) {
            return;
        }
        if let Some(shown) = self.logs.get_mut(row.log()).and_then(|peer_log| peer_log.own.shown.as_mut()) {
            *shown = (*shown).max(row.seq() + 1);
        }
    }

    pub(super) fn flush_batch(&mut self, common: &mut Common) {
        if self.writer.is_empty() {
            return;
        }
        let body = self.writer.finish();
        let bytes = body.len() + 1;
        common.counters.bytes_sent += bytes as u64;
        self.credit -= i64::try_from(bytes).unwrap_or(i64::MAX);
        self.pace.sent(common.now);
        self.say(common, &Extension::Batch(&body));
        self.renew_table(common);
    }

    /// Decides what to do with a row. Also returns whether to demand the peer's version of it, as a proof: the row is an entry of
    /// our own log, written since the comparison, of which the peer has a different version that it was not asked for yet.
    fn judge(&mut self, common: &Common, row: &Row) -> (Judgement, bool) {
        let (level, seq, log_id, mode) = (self.level, row.seq(), &self.log_id, self.logs.mode);
        let mut needs_proof = false;
        let judgement = self.logs.judge(
            row,
            common.config.defences,
            || Self::unnamed(level, row),
            |peer_log| {
                let own = &peer_log.own;
                let is_open = peer_log.forked == Some(seq) && !own.demanded;
                needs_proof = is_open && row.log() == log_id && mode != Mode::Pull;
                let is_behind_fork = peer_log.forked.or(own.shown).is_some_and(|from| seq >= from);
                own.doubted || is_behind_fork && own.shown != Some(seq)
            },
        );
        (judgement, needs_proof)
    }

    /// Asks the peer for its version of this entry of our own log, as the proof of a fork.
    fn demand_entry_of(&mut self, common: &mut Common, row: &Row) {
        if let Some(peer_log) = self.logs.get_mut(row.log()) {
            peer_log.own.demanded = true;
        }
        self.say(common, &Extension::Demand { log: row.log().clone(), seq: row.seq() });
    }

    /// Whether the row is larger than what the peer accepts.
    fn is_too_large(&self, row: &Row) -> bool {
        let value = row.node.value.len() as u64;
        let frame = row.node.size() + row.node.links.len() + FRAME_OVERHEAD;
        self.capability.max_value.is_some_and(|most| value > most) || frame as u64 > self.capability.max_frame
    }
}
