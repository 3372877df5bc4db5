//! What a session knows about the peer's logs, in either protocol: how far it has each log, where its version differs from ours,
//! and whether a row has to be sent.

use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

use super::behind::Behind;
use super::config::Defences;
use super::io::LocalLog;
use super::message::Mode;
use crate::branch::Branch;
use crate::error::Error;
use crate::node::{Key, LogId, Seq};
use crate::row::Row;

/// One entry of a log, with both sides' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) seq: Seq,
    pub(crate) ours: Key,
    pub(crate) theirs: Key,
}

impl Compared {
    /// The fork of `log` that begins with this entry.
    pub(crate) fn fork_of(&self, log: &LogId) -> Error {
        Error::Fork { log: log.to_string(), seq: self.seq, ours: self.ours, theirs: self.theirs }
    }
}

/// What is known about one log of the peer.
#[derive(Debug, Default)]
pub(crate) struct PeerLog<T> {
    /// The peer has entries up to here.
    pub(crate) has: Seq,
    /// Our versions differ from this seq on.
    pub(crate) forked: Option<Seq>,
    /// The peer's entries from this seq on are not stored here, because of their author or because a seal is missing.
    pub(crate) left_out: Option<Seq>,
    /// The entry for which the row cursor last went back. It never goes back twice for the same one.
    pub(crate) reread: Seq,
    /// What only one of the protocols needs.
    pub(crate) own: T,
}

/// What to do with a row that was read for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Skip it: the peer has it, or may not have it now.
    Skip,
    Send,
    /// The peer lacks an earlier entry of the same log: go back to this entry.
    Reread(Seq),
}

/// What is known about the peer's logs, by log.
#[derive(Debug)]
pub(crate) struct PeerLogs<T> {
    logs: HashMap<LogId, PeerLog<T>>,
    /// Logs of which the peer has more than we do.
    pub(crate) behind: Behind,
    /// What the peer's handshake said: it may only take, or only send.
    pub(crate) mode: Mode,
}

impl<T> Deref for PeerLogs<T> {
    type Target = HashMap<LogId, PeerLog<T>>;

    fn deref(&self) -> &Self::Target {
        &self.logs
    }
}

impl<T> DerefMut for PeerLogs<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.logs
    }
}

impl<T: Default> PeerLogs<T> {
    /// An empty record for a peer with this mode.
    pub(crate) fn new(mode: Mode) -> Self {
        PeerLogs { logs: HashMap::new(), behind: Behind::default(), mode }
    }

    /// Bytes of memory that it takes, without the ids.
    pub(crate) fn bytes(&self) -> usize {
        // A hash map needs one more byte per slot.
        self.logs.capacity() * (size_of::<(LogId, PeerLog<T>)>() + 1) + self.behind.bytes()
    }

    /// Notes that the peer has `log` up to `seq`, while we have `ours` entries. Returns whether it is now the only log of which
    /// the peer has more.
    pub(crate) fn note_has(&mut self, log: &LogId, seq: Seq, ours: Seq, defences: Defences, now: u64) -> bool {
        let peer_log = self.logs.entry(log.clone()).or_default();
        if defences.no_echo {
            peer_log.has = peer_log.has.max(seq);
        }
        // A branch is not waited for: its entries may be here as those of another log.
        let is_awaited = peer_log.forked.is_none() && peer_log.left_out.is_none() && Branch::of(log).is_none();
        if seq <= ours || !is_awaited || self.mode == Mode::Pull {
            return false;
        }
        let is_first = self.behind.is_empty();
        self.behind.insert(log, ours, now);
        is_first
    }

    /// The peer has our own log up to `seq`: if others forge it, all that the peer holds beyond our end was made up.
    pub(crate) fn note_forged(&mut self, log: &LogId, seq: Seq, ours: Seq, view: &dyn LocalLog) {
        if seq > ours && view.forged_from().is_some() {
            self.logs.entry(log.clone()).or_default().forked.get_or_insert(ours + 1);
        }
    }

    /// Notes that both versions of `log` differ from `seq` on. Returns whether that is news.
    pub(crate) fn note_fork(&mut self, log: &LogId, seq: Seq) -> bool {
        let Some(peer_log) = self.logs.get_mut(log).filter(|peer_log| peer_log.forked.is_none()) else { return false };
        peer_log.forked = Some(seq);
        self.behind.remove(log);
        true
    }

    /// Notes that what the peer has of `log` from `seq` on is not stored here. Returns whether that is news.
    pub(crate) fn note_left_out(&mut self, log: &LogId, seq: Seq) -> bool {
        let Some(peer_log) = self.logs.get_mut(log) else { return false };
        self.behind.remove(log);
        let before = peer_log.left_out;
        peer_log.left_out = Some(before.map_or(seq, |before| before.min(seq)));
        before.is_none()
    }

    /// Checks whether the peer still has more of `log` than we do. Returns whether we have caught up, or have more than at the last
    /// check.
    pub(crate) fn look_at(&mut self, log: &LogId, view: &dyn LocalLog, now: u64) -> bool {
        if !self.behind.contains(log) {
            return false;
        }
        let has = self.logs.get(log).map_or(0, |peer_log| peer_log.has);
        self.behind.look(log, view.seq(log), has, now)
    }

    /// Judges a row that was read for the peer. `unnamed` says what the peer has of a log that it has not named; `None` if it has
    /// the row. `withheld` says whether the peer may not have the row now.
    pub(crate) fn judge(
        &mut self,
        row: &Row,
        defences: Defences,
        unnamed: impl FnOnce() -> Option<PeerLog<T>>,
        withheld: impl FnOnce(&PeerLog<T>) -> bool,
    ) -> Judgement {
        if row.at.duplicate > 0 && !defences.send_duplicates {
            return Judgement::Skip;
        }
        if !self.logs.contains_key(row.log()) {
            let Some(peer_log) = unnamed() else { return Judgement::Skip };
            self.logs.insert(row.log().clone(), peer_log);
        }
        let Some(peer_log) = self.logs.get_mut(row.log()) else { return Judgement::Skip };
        if withheld(peer_log) || row.seq() <= peer_log.has {
            return Judgement::Skip;
        }
        let next = peer_log.has + 1;
        if row.seq() > next && defences.no_echo {
            if peer_log.reread == next {
                return Judgement::Skip;
            }
            peer_log.reread = next;
            return Judgement::Reread(next);
        }
        Judgement::Send
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_has_more_of_a_branch_is_not_waited_for() {
        let branch = crate::branch::name("a", 3, &Key([7; 32])).unwrap();
        for (log, is_awaited) in [(LogId::from("a"), true), (branch, false)] {
            let mut logs = PeerLogs::<()>::new(Mode::Sync);
            assert_eq!(logs.note_has(&log, 5, 2, Defences::default(), 0), is_awaited);
            assert_eq!((logs.behind.is_empty(), logs.get(&log).map(|peer_log| peer_log.has)), (!is_awaited, Some(5)));
        }
    }
}
