//! Conditional appends of late, and which events of others contradict them.
//!
//! A condition is judged by what is here. Somebody else may have stored an event that it forbids, and neither knew of the other's.
//! When that event comes, both are told. What its emitter had seen our append before is no contradiction, but an answer.

use std::collections::{HashMap, VecDeque};

use super::plan::Lookup;
use super::Contradiction;
use crate::error::Result;
use crate::event;
use crate::node::{Change, LogId, Node, Seq};
use crate::query::Query;

/// Conditional appends that are remembered: those of the last minutes, where people decide.
pub const MAX_DECISIONS: usize = 256;

/// How many contradicting events are told per decision: peers choose how many they send, and each is read and reported.
pub const MAX_TOLD: u32 = 16;

/// Logs of which it is remembered how much of ours they have seen.
const MAX_LOGS: usize = 4096;

/// How often that has grown, per log: for links to older entries.
const MAX_STEPS: usize = 64;

struct Decision {
    query: Query,
    change: Change,
    seq: Seq,
    /// Contradicting events that were told.
    told: u32,
}

/// See the module's documentation.
#[derive(Default)]
pub(super) struct Decisions {
    recent: VecDeque<Decision>,
    /// From which entry on each log has seen which entry of ours.
    seen: HashMap<LogId, VecDeque<(Seq, Seq)>>,
}

impl Decisions {
    /// Whether there is nothing that could be contradicted.
    pub(super) fn is_empty(&self) -> bool {
        self.recent.is_empty()
    }

    /// A conditional append has been planned, with its first event here.
    pub(super) fn note(&mut self, query: Query, change: Change, seq: Seq) {
        if self.recent.len() == MAX_DECISIONS {
            self.recent.pop_front();
        }
        self.recent.push_back(Decision { query, change, seq, told: 0 });
    }

    /// Entries of the local log have moved, or those behind `last` were lost.
    pub(super) fn forget_behind(&mut self, last: Seq) {
        self.recent.retain(|decision| decision.seq <= last);
        self.seen.clear();
    }

    /// Notes a node of somebody else that goes into the log, and tells what it contradicts.
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
        // Parsed once for all decisions, and not at all where their emitter has seen them.
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

    /// The last entry of ours that an entry's emitter had seen, as far as is known.
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
