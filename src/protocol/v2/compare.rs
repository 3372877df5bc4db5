//! Who lacks what, and where logs part: version vectors, digests, bisecting.

use super::*;

impl V2 {
    pub(super) fn on_vector(
        &mut self,
        common: &mut Common,
        first: bool,
        last: bool,
        extents: Vec<Extent>,
        view: &dyn LocalLog,
    ) -> Result<()> {
        if first {
            self.reader.reset_table();
            self.vector.clear();
        }
        for extent in extents {
            // Of a further vector, all that was named before is known.
            if !self.logs.contains_key(&extent.log) {
                common.name_log(view.seq(&extent.log))?;
            }
            self.reader.announce(extent.log.clone());
            self.vector.push(extent);
        }
        if last {
            self.level = None;
            if !self.announced {
                self.announce(common, view);
            }
            self.compare(common, view);
        }
        Ok(())
    }

    /// The peer's vector is complete: finds out what each side lacks.
    pub(super) fn compare(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let first = !std::mem::replace(&mut self.vector_seen, true);
        let reported: HashMap<_, _> =
            self.logs.drain().filter_map(|(log, peer_log)| Some((log, peer_log.reported?))).collect();
        self.behind.clear();
        self.behind_since = common.now;
        self.pending.clear();
        self.held.clear();
        (self.waiting, self.held_bytes) = (0, 0);
        self.telling.clear();
        self.grown.clear();
        common.feeder.stop();
        for theirs in std::mem::take(&mut self.vector) {
            let ours = view.head(&theirs.log);
            let ours_seq = ours.as_ref().map_or(0, |head| head.seq);
            let mut peer_log =
                PeerLog { has: theirs.seq, reported: reported.get(&theirs.log).copied(), ..PeerLog::default() };
            if theirs.seq > ours_seq && theirs.log == self.log_id {
                peer_log.forked = view.forged_from().filter(|from| theirs.seq >= *from);
            }
            if theirs.seq > ours_seq && peer_log.forked.is_none() && self.remote != Mode::Pull {
                self.behind.insert(&theirs.log, ours_seq, common.now);
            } else if theirs.seq == ours_seq {
                if ours.is_some_and(|head| head.digest != theirs.digest) {
                    peer_log.doubted = true;
                    if common.config.dialled {
                        peer_log.bisect = Some(Bisect { low: 0, high: theirs.seq, theirs: None });
                    }
                }
            } else if theirs.seq > 0 && theirs.seq < ours_seq {
                peer_log.doubted = true;
                let query = Lookup::Digest(theirs.log.clone(), theirs.seq);
                self.asker.ask(query, Purpose::Verify(theirs.clone()));
            }
            self.logs.insert(theirs.log, peer_log);
        }
        if first && !common.config.dialled && !self.behind.is_empty() {
            self.yield_until = common.now + YIELD_MS;
        }
        let mut bisected: Vec<LogId> =
            self.logs.iter().filter(|(_, peer_log)| peer_log.bisect.is_some()).map(|(log, _)| log.clone()).collect();
        bisected.sort();
        for log in bisected {
            self.probe(common, &log);
        }
        self.start_where_lacking(common, view);
    }

    /// Reads from the first entry of each log that the peer does not have at all.
    pub(super) fn start_where_lacking(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if let Some(level) = self.level {
            return self.start_behind(common, level, view);
        }
        if self.logs.is_empty() {
            common.feeder.lower(Position::START);
            return;
        }
        common.feeder.lower(view.end());
        for head in view.logs() {
            let known = self.logs.get(&head.log);
            let has = known.map_or(0, |peer_log| peer_log.has);
            if head.seq > has && !known.is_some_and(|peer_log| peer_log.doubted) {
                self.ask_start(head.log, has + 1);
            }
        }
    }

    pub(super) fn verified(&mut self, common: &mut Common, theirs: &Extent, ours: Digest) {
        let Some(peer_log) = self.logs.get_mut(&theirs.log) else { return };
        if !peer_log.doubted {
            return;
        }
        if ours == theirs.digest {
            peer_log.doubted = false;
            self.ask_start(theirs.log.clone(), theirs.seq + 1);
        } else {
            peer_log.bisect = Some(Bisect { low: 0, high: theirs.seq, theirs: None });
            self.probe(common, &theirs.log);
        }
    }

    fn probe(&mut self, common: &mut Common, log: &LogId) {
        let Some(bisect) = self.logs.get(log).and_then(|peer_log| peer_log.bisect.as_ref()) else { return };
        let seq = if bisect.high == bisect.low + 1 { bisect.high } else { bisect.low + (bisect.high - bisect.low) / 2 };
        self.say(common, &Extension::Probe { log: log.clone(), seq });
    }

    pub(super) fn bisected(&mut self, common: &mut Common, theirs: &Extent, key: Key, ours: Digest) {
        let Some(bisect) = self.logs.get_mut(&theirs.log).and_then(|peer_log| peer_log.bisect.as_mut()) else { return };
        if theirs.seq <= bisect.low || theirs.seq > bisect.high {
            return;
        }
        if ours == theirs.digest {
            if theirs.seq == bisect.high {
                // It differed before and agrees now: the peer's log was exchanged. Its new vector decides.
                return;
            }
            bisect.low = theirs.seq;
        } else {
            bisect.high = theirs.seq;
            bisect.theirs = Some(key);
        }
        match bisect.theirs {
            Some(theirs_key) if bisect.high == bisect.low + 1 => {
                let (log, seq) = (theirs.log.clone(), bisect.high);
                self.asker
                    .ask(Lookup::Entry(log.clone(), seq), Purpose::Fork { log, seq, theirs: theirs_key, tell: true });
            }
            _ => self.probe(common, &theirs.log),
        }
    }

    pub(super) fn fork_found(&mut self, common: &mut Common, log: &LogId, fork: Compared, tell: bool) {
        if fork.ours == fork.theirs || fork.seq == 0 {
            return;
        }
        // Without state it was level before.
        let has = self.level.map_or(0, |_| fork.seq.saturating_sub(1));
        let peer_log = self.logs.entry(log.clone()).or_insert_with(|| PeerLog { has, ..PeerLog::default() });
        if peer_log.forked.is_some() {
            return;
        }
        peer_log.forked = Some(fork.seq);
        peer_log.doubted = false;
        peer_log.bisect = None;
        let known = peer_log.reported.replace(fork) == Some(fork);
        self.behind.remove(log);
        // A peer of the first version that hears of the fork after the vector that is to make it send the entry would keep it back.
        let vector = *log == self.log_id && self.capability.version < WITH_DEMANDS;
        if tell && !vector {
            self.say(common, &Extension::Fork { log: log.clone(), seq: fork.seq, key: fork.ours });
        }
        if !known {
            common.report(Error::Fork { log: log.to_string(), seq: fork.seq, ours: fork.ours, theirs: fork.theirs });
        }
        if *log == self.log_id {
            // Nobody's word moves our log. The entry itself does, once the log has seen that it differs.
            if let Some(peer_log) = self.logs.get_mut(log) {
                peer_log.demanded = true;
            }
            if self.capability.version >= WITH_DEMANDS {
                self.say(common, &Extension::Demand { log: log.clone(), seq: fork.seq });
            } else {
                let query = Lookup::Digest(log.clone(), fork.seq - 1);
                self.asker.ask(query, Purpose::Before(log.clone(), fork.seq - 1));
            }
        }
    }

    /// A peer of the first version knows no demands. It sends what our vector lacks, so that lacks the tail that differs.
    pub(super) fn announce_without_tail(&mut self, common: &mut Common, view: &dyn LocalLog, agreed: LogHead) {
        let mut heads = view.logs();
        heads.retain(|head| head.log != agreed.log);
        if agreed.seq > 0 {
            heads.push(agreed);
        }
        self.announce_heads(common, heads);
    }

    /// The peer asks for the entry at which our logs part: it is sent like any other, once.
    pub(super) fn show(&mut self, log: LogId, seq: Seq) {
        let Some(peer_log) = self.logs.get_mut(&log) else { return };
        if seq == 0 || peer_log.shown.is_some() {
            return;
        }
        peer_log.shown = Some(seq);
        peer_log.has = seq - 1;
        peer_log.doubted = false;
        peer_log.bisect = None;
        self.ask_start(log, seq);
    }

    /// Our log's tail has gone to a new id.
    pub(super) fn on_relabelled(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let old = std::mem::replace(&mut self.log_id, view.log_id());
        if let Some(peer_log) = self.logs.get_mut(&old) {
            peer_log.forked = None;
            if peer_log.has > view.seq(&old) {
                self.behind.insert(&old, view.seq(&old), common.now);
            }
        }
        self.announce(common, view);
        // The peer has nothing of the new one.
        self.logs.entry(self.log_id.clone()).or_default();
        self.ask_start(self.log_id.clone(), 1);
    }
}
