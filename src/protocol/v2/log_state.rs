//! The state of one log in a session with a 2.x peer.

use crate::identity::seal::claims_owner;
use crate::node::{Key, Seq};
use crate::protocol::peer_logs::{Compared, PeerLog};

/// What a session with a 2.x peer knows about one log in addition to [`PeerLog`].
#[derive(Debug, Default)]
pub(super) struct LogState {
    /// True until it is known whether our versions agree. As long as it is true, no rows of the log are sent.
    pub(super) doubted: bool,
    /// The search for the first entry that differs.
    pub(super) bisect: Option<Box<Bisect>>,
    /// The fork that was reported last, so that a further vector does not report it again.
    pub(super) reported: Option<Box<Compared>>,
    /// The peer was asked for the first entry that differs, so that the log can judge it.
    pub(super) demanded: bool,
    /// Whether the log has seen the peer's version of this sealed log up to a seal.
    pub(super) proved: bool,
    /// The entry that the peer asked for, as the first that differs. In a sealed log, the entries after it up to a seal are sent,
    /// too.
    pub(super) shown: Option<Seq>,
    /// The peer knows that we have entries up to here.
    pub(super) told: Seq,
    /// Whether the peer also gets this log from other peers. Then our rows of it wait for a while, because the peer may say that it
    /// has them.
    pub(super) lazy: bool,
    /// Whether the peer has to be told how far we are, even if it could know: it has sent rows that we had.
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
    /// A search between the beginning of the log and an entry that differs.
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

    /// Whether to accept an entry of `log` that the peer sends: it must be before a fork, or be the entry at the fork that we asked
    /// for. In a sealed log, the entries after that one are also accepted, because they are a proof only up to a seal.
    pub(super) fn takes(&self, log: &str, seq: Seq) -> bool {
        let is_proof = |from| self.own.demanded && (seq == from || claims_owner(log));
        self.forked.is_none_or(|from| seq < from || is_proof(from)) && self.left_out.is_none_or(|from| seq < from)
    }

    /// Notes that the entry `seq` was sent to the peer. So the peer has it, and knows that we have it.
    pub(super) fn note_sent(&mut self, seq: Seq) {
        self.has = self.has.max(seq);
        self.own.told = self.own.told.max(seq);
    }

    /// Whether the peer may be getting the entry `seq` from other peers.
    pub(super) fn is_lazy(&self, seq: Seq) -> bool {
        self.own.lazy && seq > self.has
    }
}
