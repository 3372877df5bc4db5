//! What goes to the peer: rows it lacks, as its credit allows, and our word on what it need not send.

use super::*;

impl V2 {
    /// The peer sends what we get from elsewhere: it will hear how far we are.
    pub(super) fn tell_from_now_on(&mut self, log: LogId) {
        if let Some(peer_log) = self.logs.get_mut(&log).filter(|_| self.telling.len() < MAX_UPDATES) {
            peer_log.remind = true;
            self.telling.insert(log.clone());
            self.grown.insert(log);
        }
    }

    /// What the peer does not know yet of how far we are.
    fn news(&mut self, view: &dyn LocalLog) -> Vec<(LogId, Seq)> {
        let mut news = Vec::new();
        for log in std::mem::take(&mut self.grown) {
            let ours = view.seq(&log);
            let Some(peer_log) = self.logs.get_mut(&log) else { continue };
            if ours > peer_log.told || peer_log.remind {
                peer_log.told = ours;
                peer_log.remind = false;
                news.push((log, ours));
            }
        }
        news
    }

    pub(super) fn grant(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let updates = self.news(view);
        if self.stored > 0 && self.stored_since.is_none() {
            self.stored_since = Some(common.now);
        }
        let settled = self.stored_since.is_some_and(|since| common.now >= since + SETTLE_MS);
        if self.stored >= WINDOW / 4 || settled || !updates.is_empty() {
            self.stored_since = None;
            let bytes = std::mem::take(&mut self.stored);
            self.received = self.received.saturating_sub(bytes);
            self.say(common, &Extension::Credit { bytes, updates });
        }
    }

    /// Whether the next row could go: the peer has granted bytes, and no large one is on its way.
    pub(super) fn may_send(&self) -> bool {
        self.credit > 0 && self.large.is_none()
    }

    pub(super) fn send_pending(&mut self, common: &mut Common) {
        self.release(common);
        while self.credit > 0 && (self.large.is_some() || self.starts == 0) {
            if self.large.is_some() {
                self.send_piece(common);
                self.release(common);
                continue;
            }
            if self.held_bytes > MAX_HELD_BYTES {
                break;
            }
            let Some(row) = self.pending.pop_front() else { break };
            common.feeder.passed(row.at);
            if self.is_lazy(&row) {
                self.held_bytes += size(&row);
                self.held.push_back((common.now, row));
                if self.held.len() > MAX_HELD || self.held_bytes > MAX_HELD_BYTES {
                    self.release(common);
                }
            } else {
                self.waiting -= size(&row);
                self.send_row(common, &row);
            }
            if common.is_closed() {
                return;
            }
        }
        self.flush_batch(common);
    }

    /// Whether the peer may be getting this row from elsewhere.
    fn is_lazy(&self, row: &Row) -> bool {
        self.logs.get(row.log()).is_some_and(|peer_log| peer_log.lazy && row.seq() > peer_log.has)
    }

    /// Sends held rows whose time is up, in order, and drops those that the peer has by now. While they are too many, or too
    /// large, the first ones do not wait.
    fn release(&mut self, common: &mut Common) {
        let mut over = self.held_bytes.saturating_sub(MAX_HELD_BYTES);
        for (since, row) in std::mem::take(&mut self.held) {
            let waits = self.is_lazy(&row) && common.now < since + LAZY_MS && self.held.len() < MAX_HELD && over == 0;
            if waits || !self.may_send() {
                self.held.push_back((since, row));
                continue;
            }
            self.waiting -= size(&row);
            self.held_bytes -= size(&row);
            over = over.saturating_sub(size(&row));
            if let Some(peer_log) = self.logs.get_mut(row.log()) {
                // No word: the other way to the peer is gone, or slower than this one.
                peer_log.lazy &= row.seq() <= peer_log.has;
            }
            self.send_row(common, &row);
        }
    }

    /// Adds the row to the batch if the peer lacks it.
    fn send_row(&mut self, common: &mut Common, row: &Row) {
        match self.judge(common, row) {
            Judgement::Pass => {}
            Judgement::Demand => self.say(common, &Extension::Demand { log: row.log().clone(), seq: row.seq() }),
            Judgement::Reread(seq) => self.ask_start(row.log().clone(), seq),
            Judgement::TooLarge(size) => {
                let limit = usize::try_from(self.most_accepted()).unwrap_or(usize::MAX);
                let error = Error::TooLarge { name: format!("{}/{}", row.log(), row.seq()), size, limit };
                self.flush_batch(common);
                common.report(error.clone());
                common.close(CloseReason::Incompatible(error));
            }
            Judgement::Send if self.is_large(row) => self.begin_large(common, row),
            Judgement::Send => {
                self.writer.push(row);
                common.counters.nodes_sent += 1;
                if let Some(peer_log) = self.logs.get_mut(row.log()) {
                    peer_log.has = peer_log.has.max(row.seq());
                    peer_log.told = peer_log.told.max(row.seq());
                }
                if self.writer.len() >= self.pace.chunk() {
                    self.flush_batch(common);
                }
            }
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

    fn judge(&mut self, common: &Common, row: &Row) -> Judgement {
        let defences = common.config.defences;
        if row.at.duplicate > 0 && !defences.send_duplicates {
            return Judgement::Pass;
        }
        if !self.logs.contains_key(row.log()) {
            let Some(assumed) = self.assumed(row) else { return Judgement::Pass };
            self.logs.insert(row.log().clone(), assumed);
        }
        let Some(peer_log) = self.logs.get_mut(row.log()) else { return Judgement::Pass };
        if peer_log.forked == Some(row.seq()) && *row.log() == self.log_id && !peer_log.demanded {
            // We have written an entry by now of which the peer holds another version.
            peer_log.demanded = true;
            return Judgement::Demand;
        }
        let shown = peer_log.shown == Some(row.seq());
        let forked = peer_log.forked.or(peer_log.shown).is_some_and(|from| row.seq() >= from);
        if row.seq() <= peer_log.has || peer_log.doubted || forked && !shown {
            return Judgement::Pass;
        }
        let next = peer_log.has + 1;
        if row.seq() > next && defences.no_echo {
            if peer_log.reread == next {
                return Judgement::Pass;
            }
            peer_log.reread = next;
            return Judgement::Reread(next);
        }
        let value = row.node.value.len();
        let frame = row.node.size() + row.node.links.len() + FRAME_OVERHEAD;
        if self.capability.max_value.is_some_and(|most| value as u64 > most) || frame as u64 > self.capability.max_frame
        {
            return Judgement::TooLarge(value);
        }
        Judgement::Send
    }
}

enum Judgement {
    /// The peer has it, or cannot use it.
    Pass,
    /// The peer is to show its version: that is the proof of a fork.
    Demand,
    Send,
    /// The peer lacks an earlier entry of the log: go back to this one.
    Reread(Seq),
    /// Larger than what the peer accepts.
    TooLarge(usize),
}
