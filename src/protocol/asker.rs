//! Questions to the store that may block, with what each answer is for; one group under way at a time.

use std::collections::VecDeque;

use super::session::{Found, Lookup, OutEvent};

/// Questions in one group: bounds how long one answer keeps a blocking thread.
const MAX_GROUP: usize = 1024;

#[derive(Debug)]
pub(crate) struct Asker<P> {
    queued: VecDeque<(Lookup, P)>,
    under_way: Option<Vec<P>>,
}

impl<P> Default for Asker<P> {
    fn default() -> Self {
        Asker { queued: VecDeque::new(), under_way: None }
    }
}

impl<P> Asker<P> {
    pub(crate) fn ask(&mut self, query: Lookup, purpose: P) {
        self.queued.push_back((query, purpose));
    }

    /// Questions not yet asked.
    pub(crate) fn len(&self) -> usize {
        self.queued.len()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.under_way.is_none()
    }

    /// The next group, if none is under way.
    pub(crate) fn start(&mut self) -> Option<OutEvent> {
        if self.under_way.is_some() || self.queued.is_empty() {
            return None;
        }
        let group: Vec<_> = self.queued.drain(..self.queued.len().min(MAX_GROUP)).collect();
        let (queries, purposes) = group.into_iter().unzip();
        self.under_way = Some(purposes);
        Some(OutEvent::Lookup(queries))
    }

    /// The group under way was answered.
    pub(crate) fn finish(&mut self, replies: Vec<Found>) -> Vec<(P, Found)> {
        self.under_way.take().unwrap_or_default().into_iter().zip(replies).collect()
    }
}
