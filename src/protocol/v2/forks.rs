//! Forks: finding the first entry at which the two sides' versions of a log differ, and getting the proof to the log.

use super::found::Purpose;
use super::log_state::Bisect;
use super::V2;
use crate::branch;
use crate::identity::seal::claims_owner;
use crate::node::{Digest, Key, LogId, Seq};
use crate::protocol::common::Common;
use crate::protocol::extension::{Extension, Extent};
use crate::protocol::io::{LocalLog, Lookup};
use crate::protocol::message::Mode;
use crate::protocol::peer_logs::{Compared, PeerLog};
use crate::protocol::version::WITH_DEMANDS;

impl V2 {
    /// Compares digests at the end of the peer's version of a log.
    pub(super) fn verified(&mut self, common: &mut Common, theirs: &Extent, ours: Digest) {
        let Some(peer_log) = self.logs.get_mut(&theirs.log) else { return };
        if !peer_log.own.doubted {
            return;
        }
        if ours == theirs.digest {
            peer_log.own.doubted = false;
            self.lookups.ask_start(theirs.log.clone(), theirs.seq + 1);
        } else {
            peer_log.own.bisect = Some(Box::new(Bisect::below(theirs.seq)));
            self.probe(common, &theirs.log);
        }
    }

    /// Asks the peer for the next entry of a bisection.
    pub(super) fn probe(&mut self, common: &mut Common, log: &LogId) {
        let Some(bisect) = self.logs.get(log).and_then(|peer_log| peer_log.own.bisect.as_ref()) else { return };
        let seq = bisect.probe();
        self.branches.note_probe(log, seq);
        self.say(common, &Extension::Probe { log: log.clone(), seq });
    }

    /// The peer has been probed for an entry of a branch that is ours under another id, and it is known whether both sides have the same up
    /// to there.
    pub(super) fn branch_compared(&mut self, common: &mut Common, theirs: &Extent, key: Key, same: bool) {
        let Some(peer_log) = self.logs.get_mut(&theirs.log).filter(|peer_log| peer_log.own.doubted) else { return };
        if peer_log.own.bisect.is_none() {
            if same {
                peer_log.own.doubted = false;
                let (log, seq) = self.branches.our_entry(&theirs.log, peer_log.has.saturating_add(1));
                return self.lookups.ask_start(log, seq);
            }
            // The first one is in the branch's id.
            peer_log.own.bisect = Some(Box::new(Bisect { low: 1, ..Bisect::below(theirs.seq) }));
        }
        self.bisected(common, theirs, key, same);
    }

    /// The peer has answered a probe, and it is known whether we have the same up to that entry.
    pub(super) fn bisected(&mut self, common: &mut Common, theirs: &Extent, key: Key, same: bool) {
        let bisect = self.logs.get_mut(&theirs.log).and_then(|peer_log| peer_log.own.bisect.as_mut());
        let Some(bisect) = bisect.filter(|bisect| theirs.seq > bisect.low && theirs.seq <= bisect.high) else { return };
        if same {
            if theirs.seq == bisect.high {
                // It differed before and agrees now, so the peer has replaced its log. Its new vector decides.
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
                let (ours, at) = self.branches.our_entry(&log, seq);
                let purpose = Purpose::Fork { log, seq, theirs: theirs_key, tell: true, settled: self.owner_was_shown };
                self.lookups.ask(Lookup::Entry(ours, at), purpose);
            }
            _ => self.probe(common, &theirs.log),
        }
    }

    /// Notes a fork and reports it to the user and, with `tell`, to the peer. If our own log has forked, asks for the peer's entry.
    /// Otherwise both versions continue as branches; if the peer's own log has forked, only once it is `settled` that the peer keeps
    /// its version.
    pub(super) fn fork_found(
        &mut self,
        common: &mut Common,
        log: &LogId,
        fork: Compared,
        tell: bool,
        settled: bool,
        view: &dyn LocalLog,
    ) {
        if fork.ours == fork.theirs || fork.seq == 0 {
            return;
        }
        // A log without state had the same entries on both sides before.
        let has = self.level.map_or(0, |_| fork.seq.saturating_sub(1));
        self.logs.entry(log.clone()).or_insert_with(|| PeerLog::up_to(has));
        let is_own = *log == self.log_id;
        let Some(peer_log) = self.logs.get_mut(log) else { return };
        let seen = if claims_owner(log) { peer_log.forked.is_some() } else { is_own && peer_log.own.demanded };
        if seen || self.branches.part_from(log) {
            return;
        }
        peer_log.forked = Some(fork.seq);
        peer_log.own.doubted = false;
        peer_log.own.bisect = None;
        let known = peer_log.own.reported.replace(Box::new(fork)).as_deref() == Some(&fork);
        self.logs.behind.remove(log);
        if !is_own && (*log != self.capability.log || settled) {
            self.branch_off(common, log, &fork, view);
        }
        // A peer of the first version gets a vector that makes it send the entry. If it knew of the fork, it would not send it.
        if tell && !(is_own && self.capability.version < WITH_DEMANDS) {
            self.say(common, &Extension::Fork { log: log.clone(), seq: fork.seq, key: fork.ours });
        }
        // For a sealed log, the peer's claim does not count as a fork, but its version up to a seal does.
        let sealed = claims_owner(log) && self.capability.version >= WITH_DEMANDS;
        // What we have under another id than the peer is of a fork that was reported before.
        if !known && !sealed && view.seq(log) >= fork.seq {
            common.report(fork.fork_of(log));
        }
        if is_own || sealed {
            self.demand_proof(common, log, fork.seq);
        }
    }

    /// Notes a fork that the log itself has seen.
    pub(super) fn fork_proved(&mut self, common: &mut Common, log: &LogId, fork: Compared, view: &dyn LocalLog) {
        self.fork_found(common, log, fork, true, self.owner_was_shown, view);
        let Some(peer_log) = self.logs.get_mut(log).filter(|_| claims_owner(log)) else { return };
        if !std::mem::replace(&mut peer_log.own.proved, true) {
            common.report(fork.fork_of(log));
        }
    }

    /// From the fork on our version goes to the peer as a log of its own, so that nothing that links to it waits there. Not of sealed logs:
    /// whoever has the key wrote both versions, which stay apart until one is adopted.
    pub(super) fn branch_off(&mut self, common: &mut Common, log: &LogId, fork: &Compared, view: &dyn LocalLog) {
        let (ours, from) = self.branches.our_entry(log, fork.seq);
        let name = Some(&fork.ours).filter(|_| common.config.defences.branches);
        let Some(id) = name.and_then(|first| branch::name(&ours, from, first)) else { return };
        // What is here under another id, and was not found to be so yet, is compared once it was.
        let is_here = view.seq(&ours) >= from && id != *log;
        if !is_here || !self.branches.add(ours.clone(), from, id.clone()) {
            return;
        }
        // What a comparison did not name is the same on both sides.
        let level = self.level.is_some();
        let has = |id: &LogId| PeerLog::up_to(if level { view.seq(id) } else { 0 });
        if let Some(theirs) = branch::name(&ours, from, &fork.theirs) {
            // What we have of the peer's version, the peer has under the log's own id, as far as it has told: what was sent does not count.
            let told = self
                .logs
                .get(log)
                .map_or(0, |peer_log| if peer_log.has > peer_log.own.told { peer_log.has } else { 0 });
            let peers = (told + 1).saturating_sub(fork.seq);
            let branch = self.logs.entry(theirs.clone()).or_insert_with(|| has(&theirs));
            branch.has = branch.has.max(peers);
        }
        let branch = self.logs.entry(id.clone()).or_insert_with(|| has(&id));
        let both = branch.has.min((view.seq(&ours) + 1).saturating_sub(from));
        if both > 1 {
            // The peer's branch may part from ours again.
            branch.own.doubted = true;
            branch.own.bisect = None;
            self.branches.note_probe(&id, both);
            self.say(common, &Extension::Probe { log: id, seq: both });
        } else {
            let next = from.saturating_add(branch.has);
            self.lookups.ask_start(ours, next);
        }
    }

    /// Asks the peer for its version of an entry of our own log, or of a sealed one. A claim does not move our log. The entry does,
    /// once the log has seen that it differs.
    fn demand_proof(&mut self, common: &mut Common, log: &LogId, seq: Seq) {
        if self.logs.mode == Mode::Pull {
            return;
        }
        if let Some(peer_log) = self.logs.get_mut(log) {
            peer_log.own.demanded = true;
        }
        if self.capability.version >= WITH_DEMANDS {
            self.say(common, &Extension::Demand { log: log.clone(), seq });
        } else {
            self.lookups.ask(Lookup::Digest(log.clone(), seq - 1), Purpose::BeforeFork(log.clone(), seq - 1));
        }
    }

    /// Sends our entry at a fork, because the peer asks for it. It is sent like any other row, and only once.
    pub(super) fn show(&mut self, log: LogId, seq: Seq, view: &dyn LocalLog) {
        if self.level.is_some() && (1..=view.seq(&log)).contains(&seq) {
            // A log without state had the same entries on both sides before.
            self.logs.entry(log.clone()).or_insert_with(|| PeerLog::up_to(seq - 1));
        }
        let Some(peer_log) = self.logs.get_mut(&log) else { return };
        if seq == 0 || peer_log.own.shown.is_some() {
            return;
        }
        self.owner_was_shown |= log == self.capability.log;
        peer_log.own.shown = Some(seq);
        peer_log.has = seq - 1;
        peer_log.own.doubted = false;
        peer_log.own.bisect = None;
        self.lookups.ask_start(log, seq);
    }
}
