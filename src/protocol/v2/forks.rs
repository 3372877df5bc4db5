//! Forks: finding the first entry at which the two sides' versions of a log differ, and getting the proof to the log.

use super::found::Purpose;
use super::log_state::Bisect;
use super::V2;
use crate::identity::seal::claims_owner;
use crate::node::{Digest, Key, LogId, Seq};
use crate::protocol::common::Common;
use crate::protocol::extension::{Extension, Extent};
use crate::protocol::io::Lookup;
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
        self.say(common, &Extension::Probe { log: log.clone(), seq });
    }

    /// Continues a bisection: the peer has answered a probe, and our digest at the same entry is known.
    pub(super) fn bisected(&mut self, common: &mut Common, theirs: &Extent, key: Key, ours: Digest) {
        let bisect = self.logs.get_mut(&theirs.log).and_then(|peer_log| peer_log.own.bisect.as_mut());
        let Some(bisect) = bisect.filter(|bisect| theirs.seq > bisect.low && theirs.seq <= bisect.high) else { return };
        if ours == theirs.digest {
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
                let lookup = Lookup::Entry(log.clone(), seq);
                self.lookups.ask(lookup, Purpose::Fork { log, seq, theirs: theirs_key, tell: true });
            }
            _ => self.probe(common, &theirs.log),
        }
    }

    /// Notes a fork, tells the user, and, with `tell`, the peer. If it is of our own log, gets the peer's entry.
    pub(super) fn fork_found(&mut self, common: &mut Common, log: &LogId, fork: Compared, tell: bool) {
        if fork.ours == fork.theirs || fork.seq == 0 {
            return;
        }
        // A log without state had the same entries on both sides before.
        let has = self.level.map_or(0, |_| fork.seq.saturating_sub(1));
        self.logs.entry(log.clone()).or_insert_with(|| PeerLog::up_to(has));
        if !self.logs.note_fork(log, fork.seq) {
            return;
        }
        let Some(peer_log) = self.logs.get_mut(log) else { return };
        peer_log.own.doubted = false;
        peer_log.own.bisect = None;
        let known = peer_log.own.reported.replace(Box::new(fork)).as_deref() == Some(&fork);
        let is_own = *log == self.log_id;
        // A peer of the first version gets a vector that makes it send the entry. If it knew of the fork, it would not send it.
        if tell && !(is_own && self.capability.version < WITH_DEMANDS) {
            self.say(common, &Extension::Fork { log: log.clone(), seq: fork.seq, key: fork.ours });
        }
        // For a sealed log, the peer's claim does not count as a fork, but its version up to a seal does.
        let sealed = claims_owner(log) && self.capability.version >= WITH_DEMANDS;
        if !known && !sealed {
            common.report(fork.fork_of(log));
        }
        if is_own || sealed {
            self.demand_proof(common, log, fork.seq);
        }
    }

    /// Notes a fork that the log itself has seen.
    pub(super) fn fork_proved(&mut self, common: &mut Common, log: &LogId, fork: Compared) {
        self.fork_found(common, log, fork, true);
        let Some(peer_log) = self.logs.get_mut(log).filter(|_| claims_owner(log)) else { return };
        if !std::mem::replace(&mut peer_log.own.proved, true) {
            common.report(fork.fork_of(log));
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
    pub(super) fn show(&mut self, log: LogId, seq: Seq) {
        let Some(peer_log) = self.logs.get_mut(&log) else { return };
        if seq == 0 || peer_log.own.shown.is_some() {
            return;
        }
        peer_log.own.shown = Some(seq);
        peer_log.has = seq - 1;
        peer_log.own.doubted = false;
        peer_log.own.bisect = None;
        self.lookups.ask_start(log, seq);
    }
}
