//! Haves and wants: what each side has, and when the wants of both are known.

use bytes::BytesMut;

use super::fork_search::ForkSearch;
use super::{LogState, V1};
use crate::error::Result;
use crate::node::{LogId, Seq};
use crate::protocol::common::Common;
use crate::protocol::io::LocalLog;
use crate::protocol::message::{check_log_id, LogSeq, Message, Mode};
use crate::protocol::peer_logs::PeerLog;

use super::patience::{GIVE_UP_PULL_MS, SETTLE_MS};

/// Bytes of announcements that are sent at a time.
const CHUNK: usize = 64 * 1024;

impl V1 {
    /// Announces every log, our own one last. The peer most likely lacks entries of it, and its want shows that it has decided
    /// about all others.
    pub(super) fn announce(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let mut heads = view.logs();
        heads.sort_by(|a, b| (a.log == self.log_id, &a.log).cmp(&(b.log == self.log_id, &b.log)));
        let mut out = BytesMut::new();
        for head in heads {
            Message::Have(LogSeq { log: &head.log, seq: head.seq }).encode(&mut out);
            if out.len() >= CHUNK {
                common.send_bytes(std::mem::take(&mut out));
            }
            let own = LogState { announced: head.seq, index: Some(self.order.len()), ..LogState::default() };
            self.logs.insert(head.log.clone(), PeerLog { own, ..PeerLog::default() });
            self.order.push(head.log);
        }
        Message::SentHeads.encode(&mut out);
        common.send_bytes(out);
    }

    pub(super) fn on_have(&mut self, common: &mut Common, have: &LogSeq<'_>, view: &dyn LocalLog) -> Result<()> {
        check_log_id(have.log)?;
        if self.logs.mode == Mode::Pull {
            return Ok(());
        }
        let ours = view.seq(have.log);
        let log = self.note_has(common, have.log, have.seq, view)?;
        let Some(peer_log) = self.logs.get_mut(&log) else { return Ok(()) };
        if ours >= have.seq || peer_log.forked.is_some() {
            return Ok(());
        }
        self.missing_by_count = self.missing_by_count.saturating_add_unsigned(have.seq - ours);
        let mut from = ours;
        if ours > 0 && common.config.defences.prove_forks && peer_log.own.search.is_none() {
            peer_log.own.search = Some(ForkSearch::new(ours));
            from = ours - 1;
        }
        common.send(&Message::Want(LogSeq { log: &log, seq: from }));
        Ok(())
    }

    /// Notes that the peer has this log up to `seq`.
    pub(super) fn note_has(&mut self, common: &mut Common, log: &str, seq: Seq, view: &dyn LocalLog) -> Result<LogId> {
        let ours = view.seq(log);
        let log: LogId = match self.logs.get_key_value(log) {
            Some((log, _)) => log.clone(),
            None => {
                common.name_log(log, ours)?;
                log.into()
            }
        };
        if log == self.log_id {
            self.logs.note_forged(&log, seq, ours, view);
        }
        self.logs.note_has(&log, seq, ours, common.config.defences, common.now);
        Ok(log)
    }

    pub(super) fn on_want(&mut self, want: &LogSeq<'_>, view: &dyn LocalLog) -> Result<()> {
        check_log_id(want.log)?;
        let ours = view.seq(want.log);
        if self.logs.mode == Mode::Push || ours == 0 {
            return Ok(());
        }
        let index = self.logs.get(want.log).and_then(|peer_log| peer_log.own.index);
        if let Some(index) = index.filter(|index| *index >= self.decided) {
            self.decide_up_to(index);
            self.decided += 1;
        }
        let known = self.logs.get_key_value(want.log).map(|(log, _)| log.clone());
        let log = known.unwrap_or_else(|| self.add_unannounced(want.log, ours));
        self.wanted(log, want.seq, ours);
        Ok(())
    }

    /// Adds a log that was not announced, because a plain hyperlog may want it.
    fn add_unannounced(&mut self, log: &str, ours: Seq) -> LogId {
        let log: LogId = log.into();
        let own = LogState { announced: ours, ..LogState::default() };
        self.logs.insert(log.clone(), PeerLog { own, ..PeerLog::default() });
        log
    }

    fn wanted(&mut self, log: LogId, from: Seq, ours: Seq) {
        let Some(peer_log) = self.logs.get_mut(&log) else { return };
        // The peer has everything before the entries that it wants, even if it wants some for the second time.
        peer_log.has = from;
        peer_log.reread = 0;
        peer_log.own.wanted = true;
        let bound = if self.peer_sent_wants { ours } else { peer_log.own.announced };
        if from >= bound || peer_log.forked.is_some() {
            return;
        }
        self.wanted_at = Some(0);
        self.owed.insert(log.clone());
        self.lookups.ask_start(log, from + 1);
    }

    /// Notes that the peer has decided about the first `count` announcements. It has the logs that it did not want.
    pub(super) fn decide_up_to(&mut self, count: usize) {
        for log in self.order.iter().take(count).skip(self.decided) {
            if let Some(peer_log) = self.logs.get_mut(log).filter(|peer_log| !peer_log.own.wanted) {
                peer_log.has = peer_log.has.max(peer_log.own.announced);
            }
        }
        self.decided = self.decided.max(count);
    }

    /// Decides whether the peer's wants are known.
    pub(super) fn settle(&mut self, common: &Common) {
        if self.settled {
            return;
        }
        // `wanted` does not know the time and leaves 0.
        if self.wanted_at == Some(0) {
            self.wanted_at = Some(common.now.max(1));
        }
        let quiet = self.wanted_at.is_some_and(|at| common.now >= at + SETTLE_MS);
        self.settled =
            !common.config.defences.settle || quiet || self.decided >= self.order.len() || self.peer_sent_wants;
        if self.settled && common.config.defences.settle {
            self.decide_up_to(self.order.len());
        }
    }

    /// Tells the peer that we have all that we asked for, or no longer wait for it.
    pub(super) fn say_sent_wants(&mut self, common: &mut Common) {
        if self.sent_wants || !self.peer_sent_heads {
            return;
        }
        let complete = if common.config.defences.complete_by_heads {
            self.logs.behind.is_empty() || common.idle_ms() >= GIVE_UP_PULL_MS
        } else {
            self.missing_by_count == 0
        };
        if complete {
            self.sent_wants = true;
            common.send(&Message::SentWants);
        }
    }
}
