//! Finding the first seq at which a 1.x peer's log differs from ours.
//!
//! 1.x has no digests. But it sends whatever is wanted, so wanting one node more than is missing proves our last
//! entry; if it differs, wants further back, in growing steps, find where the two logs part.

use crate::node::{Key, Seq};

/// First step back, in entries; each further one is that much larger.
const STEP: Seq = 16;

/// One entry under both sides' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) seq: Seq,
    pub(crate) ours: Key,
    pub(crate) theirs: Key,
}

/// The search in one log.
#[derive(Debug)]
pub(crate) struct Check {
    started_at: Seq,
    /// Highest seq known to agree.
    agrees: Seq,
    /// Lowest entry known to differ.
    differs: Option<Compared>,
    /// The first node that the last want brings.
    probing: Seq,
    step: Seq,
}

impl Check {
    /// Our log ends at `last`, and the peer was asked for the nodes from there on.
    pub(crate) fn new(last: Seq) -> Self {
        Check { started_at: last, agrees: 0, differs: None, probing: last, step: STEP }
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

    /// Where the logs part, once it is certain.
    pub(crate) fn fork(&self) -> Option<Compared> {
        self.differs.filter(|differs| differs.seq == self.agrees + 1)
    }

    /// From where to want next, if the node that was probed for turned out to differ.
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

    fn compared(seq: Seq, same: bool) -> Compared {
        Compared { seq, ours: Key([1; 32]), theirs: Key([if same { 1 } else { 2 }; 32]) }
    }

    #[test]
    fn a_fork_far_back_is_found_at_its_first_entry() {
        for first in [1, 2, 17, 500, 999, 1000] {
            let mut check = Check::new(1000);
            let mut wants = vec![999];
            while let Some(from) = wants.pop() {
                for seq in from + 1..=1000 {
                    check.learn(&compared(seq, seq < first));
                    if check.fork().is_some() {
                        break;
                    }
                    wants.extend(check.look_back(seq));
                }
            }
            assert_eq!(check.fork().map(|fork| fork.seq), Some(first));
        }
    }

    #[test]
    fn agreement_at_the_end_means_no_fork() {
        let mut check = Check::new(5);
        check.learn(&compared(5, true));
        assert_eq!((check.fork(), check.look_back(5), check.agrees_at()), (None, None, 5));
    }
}
