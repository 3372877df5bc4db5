//! Recent conditional appends, and which events of other emitters contradict them.
//!
//! A condition is checked against the local store. Another emitter may already have stored an event that it forbids, without either
//! side knowing of the other. When that event arrives, it is reported as a contradiction, on both sides. An event whose emitter had
//! already seen our append does not contradict it: it follows from it.

use std::collections::{HashMap, VecDeque};

use super::plan::Lookup;
use super::Contradiction;
use crate::error::Result;
use crate::event;
use crate::node::{Change, LogId, Node, Seq};
use crate::query::Query;

/// Conditional appends that are remembered: those of the last minutes, where decisions are made by people.
pub const MAX_DECISIONS: usize = 256;

/// Contradicting events that are reported per decision. Peers choose how many they send, and each is read and reported.
pub const MAX_TOLD: u32 = 16;

/// Logs for which it is remembered how much of our log they have seen.
const MAX_LOGS: usize = 4096;

/// Steps that are remembered per log (an entry, and the last entry of ours that it has seen), for links to older entries.
const MAX_STEPS: usize = 64;

struct Decision {
    query: Query,
    change: Change,
    seq: Seq,
    /// Contradicting events that were reported.
    told: u32,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Decisions {
    recent: VecDeque<Decision>,
    /// For each log, steps (seq, ours): from entry `seq` on, it has seen our entry `ours`.
    seen: HashMap<LogId, VecDeque<(Seq, Seq)>>,
}

impl Decisions {
    /// Whether there are no appends that could be contradicted.
    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }

    /// Remembers a conditional append that has been planned; `change` and `seq` are those of its first event.
    pub(super) fn note(&mut self, query: Query, change: Change, seq: Seq) {
        if self.recent.len() == MAX_DECISIONS {
            self.recent.pop_front();
        }
        self.recent.push_back(Decision { query, change, seq, told: 0 });
    }

    /// Forgets appends after entry `last`, because these entries have moved or were lost, and what other logs have seen of ours.
    pub(super) fn forget_behind(&mut self, last: Seq) {
        self.recent.retain(|decision| decision.seq <= last);
        self.seen.clear();
    }

    /// Notes a node of another emitter that is about to be stored. Returns the appends that it contradicts.
    pub(super) fn add(&mut self, node: &Node, local: &LogId, lookup: &mut dyn Lookup) -> Result<Vec<Contradiction>> {
        let before = self.seen.get(&node.log).and_then(VecDeque::back).map_or(0, |(_, ours)| *ours);
        let mut ours = before;
        for link in &node.links {
            let Some(linked) = lookup.locate(link)? else { continue };
            ours = ours.max(if linked.log == *local { linked.seq } else { self.seen_by(&linked.log, linked.seq) });
        }
        if ours > before {
            self.note_seen(&node.log, node.seq, ours);
        }
        // Parsed once for all decisions, and not at all if the event's emitter has seen all of them.
        let Some(event) = self.recent.back().filter(|latest| latest.seq > ours).and_then(|_| event::parse(&node.value))
        else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for decision in self.recent.iter_mut().filter(|decision| decision.seq > ours && decision.told < MAX_TOLD) {
            if decision.query.wants(&event) {
                decision.told += 1;
                found.push(Contradiction { ours: decision.change, theirs: node.change });
            }
        }
        Ok(found)
    }

    /// The last entry of ours that the emitter of this entry had seen, as far as is known.
    fn seen_by(&self, log: &LogId, seq: Seq) -> Seq {
        let steps = self.seen.get(log);
        steps.and_then(|steps| steps.iter().rev().find(|(from, _)| *from <= seq)).map_or(0, |(_, ours)| *ours)
    }

    fn note_seen(&mut self, log: &LogId, seq: Seq, ours: Seq) {
        if self.seen.len() >= MAX_LOGS && !self.seen.contains_key(log) {
            self.seen.clear();
        }
        let steps = self.seen.entry(log.clone()).or_default();
        if steps.len() == MAX_STEPS {
            steps.pop_front();
        }
        steps.push_back((seq, ours));
    }
}
