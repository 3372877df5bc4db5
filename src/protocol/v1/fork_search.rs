//! Finds the first seq at which a 1.x peer's version of a log differs from ours.
//!
//! 1.x has no digests, but it sends whatever is wanted. So we want one node more than we lack, and compare it with our last entry.
//! If they differ, wants further back, in growing steps, find the first entry that differs.

use crate::node::Seq;
use crate::protocol::peer_logs::Compared;

/// First step back, in entries. Each further step is this many times larger.
const STEP: Seq = 16;

/// The search in one log.
#[derive(Debug)]
pub(crate) struct ForkSearch {
    started_at: Seq,
    /// Highest seq known to agree.
    agrees: Seq,
    /// Lowest entry known to differ.
    differs: Option<Compared>,
    /// The entry that the last want was for.
    probing: Seq,
    step: Seq,
}

impl ForkSearch {
    /// A search in a log whose last entry here is `last`. The peer was asked for the nodes from that entry on.
    pub(crate) fn new(last: Seq) -> Self {
        ForkSearch { started_at: last, agrees: 0, differs: None, probing: last, step: STEP }
    }

    pub(crate) fn started_at(&self) -> Seq {
        self.started_at
    }

    pub(crate) fn agrees_at(&self) -> Seq {
        self.agrees
    }

    pub(crate) fn learn(&mut self, compared: &Compared) {
        if compared.ours == compared.theirs {
            self.agrees = self.agrees.max(compared.seq);
        } else if self.differs.is_none_or(|differs| compared.seq < differs.seq) {
            self.differs = Some(*compared);
        }
    }

    /// The first entry that differs, once that is certain.
    pub(crate) fn fork(&self) -> Option<Compared> {
        self.differs.filter(|differs| differs.seq == self.agrees + 1)
    }

    /// The seq after which to want nodes next, if the entry that was wanted differs.
    pub(crate) fn look_back(&mut self, seq: Seq) -> Option<Seq> {
        if seq != self.probing || self.differs.is_none_or(|differs| differs.seq > seq) {
            return None;
        }
        let from = seq.saturating_sub(1 + self.step).max(self.agrees);
        self.step = self.step.saturating_mul(STEP);
        self.probing = from + 1;
        Some(from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Key;

    fn compared(seq: Seq, same: bool) -> Compared {
        Compared { seq, ours: Key([1; 32]), theirs: Key([if same { 1 } else { 2 }; 32]) }
    }

    #[test]
    fn a_fork_far_back_is_found_at_its_first_entry() {
        for first in [1, 2, 17, 500, 999, 1000] {
            let mut search = ForkSearch::new(1000);
            let mut wants = vec![999];
            while let Some(from) = wants.pop() {
                for seq in from + 1..=1000 {
                    search.learn(&compared(seq, seq < first));
                    if search.fork().is_some() {
                        break;
                    }
                    wants.extend(search.look_back(seq));
                }
            }
            assert_eq!(search.fork().map(|fork| fork.seq), Some(first));
        }
    }

    #[test]
    fn agreement_at_the_end_means_no_fork() {
        let mut search = ForkSearch::new(5);
        search.learn(&compared(5, true));
        assert_eq!((search.fork(), search.look_back(5), search.agrees_at()), (None, None, 5));
    }
}
