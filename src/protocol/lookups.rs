//! Lookups in the store, which may block, each with the purpose of its result. One group is under way at a time.

use std::collections::VecDeque;

use super::io::{Found, Lookup, OutEvent};
use crate::node::{LogId, Seq};

/// Most lookups in one group. Together with what a session reads to compare branches, this bounds how long a group occupies a
/// blocking thread.
const MAX_GROUP: usize = 1024;

/// What a lookup is for.
#[derive(Debug)]
pub(crate) enum Purpose<P> {
    /// Find the position of an entry, to start reading rows there.
    Start,
    /// Something that only one protocol needs.
    Own(P),
}

#[derive(Debug)]
pub(crate) struct Lookups<P> {
    queued: VecDeque<(Lookup, Purpose<P>)>,
    under_way: Option<Vec<Purpose<P>>>,
    /// Lookups for [`Purpose::Start`], queued or under way.
    starts: usize,
}

impl<P> Default for Lookups<P> {
    fn default() -> Self {
        Lookups { queued: VecDeque::new(), under_way: None, starts: 0 }
    }
}

impl<P> Lookups<P> {
    pub(crate) fn ask(&mut self, lookup: Lookup, purpose: P) {
        self.queued.push_back((lookup, Purpose::Own(purpose)));
    }

    /// Looks up the position of this entry, at which reading has to start.
    pub(crate) fn ask_start(&mut self, log: LogId, seq: Seq) {
        self.starts += 1;
        self.queued.push_back((Lookup::Entry(log, seq), Purpose::Start));
    }

    /// Whether lookups for the start of reading are still open.
    pub(crate) fn is_starting(&self) -> bool {
        self.starts > 0
    }

    /// Lookups that wait for the group under way.
    pub(crate) fn waiting(&self) -> usize {
        self.queued.len()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.under_way.is_none()
    }

    /// The next group, if none is under way.
    pub(crate) fn next_group(&mut self) -> Option<OutEvent> {
        if self.under_way.is_some() || self.queued.is_empty() {
            return None;
        }
        let group: Vec<_> = self.queued.drain(..self.queued.len().min(MAX_GROUP)).collect();
        let (lookups, purposes) = group.into_iter().unzip();
        self.under_way = Some(purposes);
        Some(OutEvent::Lookup(lookups))
    }

    /// Takes the results of the group under way.
    pub(crate) fn finish(&mut self, found: Vec<Found>) -> Vec<(Purpose<P>, Found)> {
        let purposes = self.under_way.take().unwrap_or_default();
        let starts = purposes.iter().filter(|purpose| matches!(purpose, Purpose::Start)).count();
        self.starts = self.starts.saturating_sub(starts);
        purposes.into_iter().zip(found).collect()
    }
}
