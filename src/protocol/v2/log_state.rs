//! What a session with a 2.x peer knows of one log.

use crate::identity::seal::claims_owner;
use crate::node::{Key, Seq};
use crate::protocol::peer_logs::{Compared, PeerLog};

/// What a session with a 2.x peer knows of one log beyond [`PeerLog`].
#[derive(Debug, Default)]
pub(super) struct LogState {
    /// It is unknown whether our versions agree: nothing of it is sent.
    pub(super) doubted: bool,
    /// The search for the first entry that differs.
    pub(super) bisect: Option<Box<Bisect>>,
    /// The fork that was reported last, so that a further vector does not report it again.
    pub(super) reported: Option<Box<Compared>>,
    /// The peer was asked for the first entry that differs, so that the log can judge it.
    pub(super) demanded: bool,
    /// The log has seen the peer's version of a sealed log up to a seal.
    pub(super) proved: bool,
    /// The peer asked for this entry of ours, as the first that differs; in a sealed log also for those behind it, up to a seal.
    pub(super) shown: Option<Seq>,
    /// The peer knows that we have entries up to here.
    pub(super) told: Seq,
    /// The peer gets this log from other peers too: our rows of it wait for its word.
    pub(super) lazy: bool,
    /// The peer has sent what we had: it is to hear how far we are, even if it could know.
    pub(super) remind: bool,
}

/// A search for the first entry that differs: the versions agree up to `low` and differ at `high`.
#[derive(Debug)]
pub(super) struct Bisect {
    pub(super) low: Seq,
    pub(super) high: Seq,
    /// The peer's key at `high`.
    pub(super) theirs: Option<Key>,
}

impl Bisect {
    /// Between an empty log and an entry that differs.
    pub(super) fn below(high: Seq) -> Self {
        Bisect { low: 0, high, theirs: None }
    }

    /// The entry to ask for next.
    pub(super) fn probe(&self) -> Seq {
        if self.high == self.low + 1 {
            self.high
        } else {
            self.low + (self.high - self.low) / 2
        }
    }
}

impl PeerLog<LogState> {
    /// A log that the peer has up to `has`.
    pub(super) fn up_to(has: Seq) -> Self {
        PeerLog { has, ..PeerLog::default() }
    }

    /// Whether our versions differ, or may.
    pub(super) fn is_disputed(&self) -> bool {
        let own = &self.own;
        self.forked.is_some()
            || self.left_out.is_some()
            || own.doubted
            || own.reported.is_some()
            || own.demanded
            || own.shown.is_some()
    }

    /// Whether an entry of `log` that the peer sends is of use: it is before a fork, or the one at the fork that we asked for. In
    /// a sealed log that is a proof only together with those behind it, up to a seal.
    pub(super) fn takes(&self, log: &str, seq: Seq) -> bool {
        let is_proof = |from| self.own.demanded && (seq == from || claims_owner(log));
        self.forked.is_none_or(|from| seq < from || is_proof(from)) && self.left_out.is_none_or(|from| seq < from)
    }

    /// Notes that the peer has the entry `seq`, because it was sent to it. So it knows that we have it too.
    pub(super) fn note_sent(&mut self, seq: Seq) {
        self.has = self.has.max(seq);
        self.own.told = self.own.told.max(seq);
    }

    /// Whether the peer may be getting the entry `seq` from other peers.
    pub(super) fn is_lazy(&self, seq: Seq) -> bool {
        self.own.lazy && seq > self.has
    }
}
