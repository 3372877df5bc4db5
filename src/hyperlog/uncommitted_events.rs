//! Finds events of rows that the store may not have yet, for the conditions and ids of later appends.
//!
//! Events are indexed only when a search needs the index. Until then, an event costs nothing, and a job costs one reference.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use smallvec::SmallVec;

use crate::event::{self, Parts};
use crate::node::{Change, NodeRef};
use crate::query::{Item, Query};

/// What events are indexed by.
#[derive(Hash)]
enum Term<'a> {
    Name(&'a str),
    Tag(&'a str),
    Request(&'a [u8]),
}

/// Events in order of change.
#[derive(Debug, Default)]
pub(super) struct UncommittedEvents {
    /// One node of each group of nodes that were planned together, and how many of the groups are in `nodes`.
    groups: Vec<NodeRef>,
    taken: usize,
    nodes: Vec<NodeRef>,
    /// The positions in `nodes` of events with a term, by the term's hash. Different terms may have the same hash, so each result
    /// is checked against the event.
    found: HashMap<u64, SmallVec<[u32; 2]>>,
    hasher: RandomState,
}

impl UncommittedEvents {
    /// Adds the nodes that share their memory with this one. They come after all others.
    pub(super) fn push(&mut self, node: NodeRef) {
        self.groups.push(node);
    }

    /// Removes all events, because the store has them now.
    pub(super) fn clear(&mut self) {
        self.groups.clear();
        self.taken = 0;
        self.nodes.clear();
        self.found.clear();
    }

    /// The first event after change `after` that matches a query.
    pub(super) fn first(&mut self, query: &Query, after: Change) -> Option<NodeRef> {
        self.take();
        if self.nodes.last().is_none_or(|last| last.change <= after) {
            return None;
        }
        let wanted = |node: &&NodeRef| node.change > after && query.matches(&node.value);
        if query.is_all() {
            return self.nodes.iter().find(wanted).cloned();
        }
        let candidates = query.items().iter().flat_map(|item| self.candidates(item));
        candidates.filter_map(|at| self.nodes.get(at as usize)).filter(wanted).min_by_key(|node| node.change).cloned()
    }

    /// The first event of a request.
    pub(super) fn of_request(&mut self, id: &[u8]) -> Option<NodeRef> {
        self.take();
        let mut nodes = self.with(&Term::Request(id)).iter().filter_map(|at| self.nodes.get(*at as usize));
        let is_of_request = |node: &&NodeRef| event::parse(&node.value).is_some_and(|event| event.request == Some(id));
        nodes.find(is_of_request).cloned()
    }

    /// Positions of events that may match an item: those with its rarest tag, or with one of its names.
    fn candidates(&self, item: &Item) -> Vec<u32> {
        let tags = item.tags.iter().map(|tag| self.with(&Term::Tag(tag)));
        match tags.min_by_key(|found| found.len()) {
            Some(rarest) => rarest.to_vec(),
            None => item.names.iter().flat_map(|name| self.with(&Term::Name(name))).copied().collect(),
        }
    }

    fn with(&self, term: &Term<'_>) -> &[u32] {
        self.found.get(&self.hasher.hash_one(term)).map_or(&[], SmallVec::as_slice)
    }

    /// Indexes the events that have come since the last search.
    fn take(&mut self) {
        for group in self.groups.iter().skip(self.taken) {
            for node in group.group() {
                if let Some(event) = event::parse(&node.value) {
                    let at = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
                    let Self { found, hasher, .. } = self;
                    terms(&event, |term| found.entry(hasher.hash_one(term)).or_default().push(at));
                }
                self.nodes.push(node);
            }
        }
        self.taken = self.groups.len();
    }
}

/// Calls `tell` with each term by which an event is found.
fn terms(event: &Parts<'_>, mut tell: impl FnMut(Term<'_>)) {
    tell(Term::Name(&String::from_utf8_lossy(event.name)));
    event.tags.list().iter().for_each(|tag| tell(Term::Tag(tag)));
    event.request.into_iter().for_each(|id| tell(Term::Request(id)));
}
