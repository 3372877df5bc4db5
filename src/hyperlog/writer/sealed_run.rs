//! A run of a sealed log's rows while it is checked: how far it is sealed, which of its seals the next peer needs, and which rows
//! of other runs have to be stored with it.

use std::collections::HashMap;

use crate::hyperlog::parking::Parked;
use crate::hyperlog::trust::Pin;
use crate::hyperlog::{Outcome, SourceId};
use crate::identity::key::SIGNATURE_LEN;
use crate::identity::seal::{is_sealed, SealSpan};
use crate::identity::PublicKey;
use crate::node::{Digest, Key, LogId, Seq};

/// Wrong seals verified in a run before the rest of it counts as unsealed: an honest peer has none.
const MAX_WRONG_SEALS: usize = 4;

pub(super) const NO_SEAL: &str = "without the seal that is due there";
pub(super) const WRONG_SEAL: &str = "with a wrong seal";
pub(super) const NOT_PINNED: &str = "which does not lead to the digest that is pinned";

/// Which session offers which log.
pub(super) type RunId = (SourceId, LogId);

/// Consecutive rows of a log that a session has offered (see `sealed.rs`).
pub(super) struct Run {
    /// The key that its log names; `None` if the log is not sealed, so that no row needs a seal.
    pub(super) owner: Option<PublicKey>,
    pub(super) pin: Option<Pin>,
    pub(super) rows: Vec<HeldRow>,
    /// Whether its parked rows are in `rows`.
    pub(super) loaded: bool,
    /// Whether rows, or what it waited for, have come since it was last checked.
    pub(super) dirty: bool,
    /// The last entry of the log that was stored or planned at the last check.
    pub(super) looked_at: Seq,
    /// The row that waits for a node, and for which.
    pub(super) waits: Option<(usize, Key)>,
    /// Its number among the runs of the job: runs are stored in the order in which they came.
    pub(super) number: usize,
}

/// The kind of log that a node belongs to, if its outcome is not decided by that.
pub(super) enum Kind {
    /// A log without seals.
    Plain,
    /// A log that this key seals, and the pin at which it has to end, if there is one.
    Sealed(PublicKey, Option<Pin>),
    Decided(Outcome),
}

/// A row of a run, and the index of its outcome if it came with the current job.
pub(super) struct HeldRow {
    pub(super) parked: Parked,
    pub(super) slot: Option<usize>,
}

impl HeldRow {
    pub(super) fn seal(&self) -> Option<&[u8]> {
        let seal = self.parked.node.signed.as_ref()?.signature.as_ref()?;
        (seal.len() == SIGNATURE_LEN).then_some(seal)
    }
}

/// A run while it is checked: consecutive rows after the last stored entry.
pub(super) struct Candidate {
    pub(super) id: RunId,
    pub(super) owner: Option<PublicKey>,
    pub(super) pin: Option<Pin>,
    pub(super) rows: Vec<HeldRow>,
    /// How many of the rows follow each other without a gap.
    pub(super) whole: usize,
    /// The log's digest at each of these.
    pub(super) digests: Vec<Digest>,
    pub(super) base: Seq,
    /// How many rows are to be planned.
    pub(super) cut: usize,
    /// Rows whose seal has been checked, and whether it is valid.
    pub(super) verified: HashMap<usize, bool>,
    /// The first row that can never be stored, and why.
    pub(super) fault: Option<(usize, &'static str)>,
    /// The row that waits for a node, and for which.
    pub(super) blocked: Option<(usize, Key)>,
}

impl Candidate {
    pub(super) fn seal_at(&self, index: usize) -> bool {
        self.owner.is_none() || self.rows.get(index).is_some_and(|row| row.seal().is_some()) || self.is_pinned(index)
    }

    /// Whether the log is pinned at this row.
    fn is_pinned(&self, index: usize) -> bool {
        self.pin.is_some_and(|pin| pin.seq == self.base + 1 + index as Seq)
    }

    /// The end of the last sealed row before `end`.
    pub(super) fn last_seal(&self, end: usize) -> usize {
        (0..end.min(self.whole)).rev().find(|index| self.seal_at(*index)).map_or(0, |index| index + 1)
    }

    fn verify(&mut self, index: usize) -> bool {
        let Some(owner) = self.owner else { return true };
        if let Some(known) = self.verified.get(&index) {
            return *known;
        }
        let (Some(row), Some(digest)) = (self.rows.get(index), self.digests.get(index)) else { return false };
        let seq = self.base + 1 + index as Seq;
        let good = match self.pin.filter(|pin| pin.seq == seq) {
            Some(pin) => pin.digest == *digest,
            None => row.seal().is_some_and(|seal| is_sealed(&owner, &self.id.1, seq, digest, seal)),
        };
        self.verified.insert(index, good);
        good
    }

    /// The seals that are needed up to `cut`: the last one, and as few before it as the longest permitted distance allows. All of
    /// them are valid; the last one may come before `cut`.
    pub(super) fn needed_seals(&mut self, cut: usize) -> Vec<usize> {
        let mut needed = Vec::new();
        let mut start = 0;
        while start < cut {
            let mut span = SealSpan::default();
            let due =
                (start..cut).find(|index| self.rows.get(*index).is_some_and(|row| span.is_due(&row.parked.node.value)));
            let end = due.map_or(cut, |due| due + 1);
            let mut found = None;
            for index in (start..end).rev() {
                if !self.seal_at(index) {
                    continue;
                }
                if self.verify(index) {
                    found = Some(index);
                    break;
                }
                let why = if self.is_pinned(index) { NOT_PINNED } else { WRONG_SEAL };
                if self.fault.is_none_or(|(first, _)| index < first) {
                    self.fault = Some((index, why));
                }
                if self.verified.values().filter(|good| !**good).count() >= MAX_WRONG_SEALS {
                    break;
                }
            }
            let Some(found) = found else { break };
            needed.push(found);
            start = found + 1;
        }
        needed
    }
}

/// A link from a row of one run to one of another.
pub(super) struct LinkInto {
    /// The row that it names.
    pub(super) at: usize,
    /// The run and row that contains the link.
    pub(super) from: (usize, usize),
    pub(super) key: Key,
}

/// The first row at which a seal is due and missing.
pub(super) fn overdue(candidate: &Candidate) -> Option<usize> {
    let mut span = SealSpan::default();
    (0..candidate.whole).find(|index| {
        let due = candidate.rows.get(*index).is_some_and(|row| span.is_due(&row.parked.node.value));
        if candidate.seal_at(*index) {
            span.sealed();
            return false;
        }
        due
    })
}

/// After the runs in `lowered` have been cut, cuts further runs that link to rows that were cut off.
pub(super) fn lower(candidates: &mut [Candidate], linked: &mut [Vec<LinkInto>], mut lowered: Vec<usize>) {
    while let Some(run) = lowered.pop() {
        let cut = candidates.get(run).map_or(0, |candidate| candidate.cut);
        while let Some(link) = linked.get_mut(run).and_then(|linked| linked.pop_if(|link| link.at >= cut)) {
            let (from, index) = link.from;
            let Some(candidate) = candidates.get_mut(from).filter(|candidate| candidate.cut > index) else { continue };
            candidate.cut = candidate.last_seal(index);
            candidate.blocked = Some((index, link.key));
            lowered.push(from);
        }
    }
}
