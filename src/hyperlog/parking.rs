//! Nodes that arrived before something they depend on.
//!
//! Indexed by what each one waits for, so that a flood of hopeless nodes (a 1.x peer's echo, a hostile peer) neither
//! delays nor starves the others. Bounded per session and in total. A node over the session's bound is refused, and the
//! session that brought it ends; after a reconnection it asks again for what is missing. When the total is reached, nodes
//! are dropped from the session with most bytes, of the origin with most bytes. So a session always finds room for its
//! share of the total, and no node is dropped in favour of an origin that has more.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Incoming, Origin, Source, SourceId};
use crate::node::{Key, LogId, Seq};

/// Bytes that one session may have parked. A 1.x peer that sends several logs in the order of its store can run ahead of
/// another link by what is in flight there; a few thousand ordinary events are ample.
pub const MAX_SOURCE_BYTES: usize = 16 * 1024 * 1024;

/// Nodes one session may have parked.
pub const MAX_SOURCE_NODES: usize = 16 * 1024;

/// Bytes parked by all sessions together.
pub const MAX_TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// Bytes that a parked node takes in the indexes below, besides what [`Incoming::cost`] counts.
const OVERHEAD: usize = 256;

/// What a parked node waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Waits {
    /// A node.
    Node(Key),
    /// An entry of a log.
    Entry(LogId, Seq),
    /// The seal of a later entry of the log, from the same session.
    Seal(SourceId, LogId),
    /// The rest of its batch, from the same session.
    Batch(SourceId, LogId),
}

/// A parked node.
#[derive(Clone, Debug)]
pub struct Parked {
    /// The node.
    pub node: Incoming,
    /// The hash of its content.
    pub key: Key,
    /// Who brought it.
    pub source: Source,
    /// The entry as its session names it, if that is one of a branch which this store holds as part of another log.
    pub named: Option<(LogId, Seq)>,
}

impl Parked {
    fn cost(&self) -> usize {
        self.node.cost() + self.named.as_ref().map_or(0, |(log, _)| log.len()) + OVERHEAD
    }

    fn identity(&self) -> Identity {
        (self.source.session, self.key, self.node.log.clone(), self.node.seq)
    }
}

/// The identity of a parked node, by which it is not kept twice.
type Identity = (SourceId, Key, LogId, Seq);

/// What a session has parked.
#[derive(Debug)]
struct Usage {
    origin: Origin,
    bytes: usize,
    /// Nodes of it were dropped in favour of others: its peer must be asked again.
    evicted: bool,
    /// In the order in which they came, by what they wait for.
    nodes: BTreeMap<u64, Waits>,
}

/// What all sessions of one origin have parked.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    /// Its sessions by bytes.
    sessions: BTreeSet<(usize, SourceId)>,
}

/// How much is parked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ParkedTotal {
    /// Nodes and bytes of the session with most nodes.
    pub of_one: (usize, usize),
    /// Nodes of all sessions.
    pub nodes: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// All parked nodes of one log.
#[derive(Debug, Default)]
pub struct Parking {
    waiting: HashMap<Waits, BTreeMap<u64, Parked>>,
    known: HashSet<Identity>,
    sources: HashMap<SourceId, Usage>,
    shares: HashMap<Origin, Share>,
    /// Origins by bytes.
    largest: BTreeSet<(usize, Origin)>,
    bytes: usize,
    next: u64,
}

impl Parking {
    /// Parks a node until `waits` is stored. `false` if a bound is reached, or if nodes of its session were dropped in
    /// favour of others. A node that the same session has parked already is not kept twice.
    #[must_use]
    pub fn park(&mut self, parked: Parked, waits: Waits) -> bool {
        if self.known.contains(&parked.identity()) {
            return true;
        }
        let (source, cost) = (parked.source, parked.cost());
        let usage = self.sources.get(&source.session);
        let (nodes, bytes) = usage.map_or((0, 0), |usage| (usage.nodes.len(), usage.bytes));
        let evicted = usage.is_some_and(|usage| usage.evicted);
        if evicted || nodes >= MAX_SOURCE_NODES || bytes + cost > MAX_SOURCE_BYTES || !self.make_room(source, cost) {
            return false;
        }
        self.next += 1;
        self.known.insert(parked.identity());
        let new = Usage { origin: source.origin, bytes: 0, evicted: false, nodes: BTreeMap::new() };
        self.sources.entry(source.session).or_insert(new).nodes.insert(self.next, waits.clone());
        self.waiting.entry(waits).or_default().insert(self.next, parked);
        self.recount(source.session, |bytes| bytes + cost);
        true
    }

    /// Takes out the nodes that waited for this.
    pub fn release(&mut self, waits: &Waits) -> Vec<Parked> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let released = self.waiting.remove(waits).unwrap_or_default();
        for (id, parked) in &released {
            self.known.remove(&parked.identity());
            if let Some(usage) = self.sources.get_mut(&parked.source.session) {
                usage.nodes.remove(id);
            }
            self.recount(parked.source.session, |bytes| bytes.saturating_sub(parked.cost()));
        }
        released.into_values().collect()
    }

    /// As [`Parking::release`], but only what this session has parked.
    pub fn release_of(&mut self, session: SourceId, waits: &Waits) -> Vec<Parked> {
        let Some(waiting) = self.waiting.get(waits) else { return Vec::new() };
        let of_session = waiting.iter().filter(|(_, parked)| parked.source.session == session);
        let ids: Vec<u64> = of_session.map(|(id, _)| *id).collect();
        let mut released = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(usage) = self.sources.get_mut(&session) {
                usage.nodes.remove(&id);
            }
            if let Some(parked) = self.take_out(id, waits) {
                self.recount(session, |bytes| bytes.saturating_sub(parked.cost()));
                released.push(parked);
            }
        }
        released
    }

    /// Whether this session has parked this very node.
    #[must_use]
    pub fn has(&self, parked: &Parked) -> bool {
        self.known.contains(&parked.identity())
    }

    /// Whether a node waits for one of those that wait for this.
    #[must_use]
    pub fn others_wait_for(&self, waits: &Waits) -> bool {
        let mut waiting = self.waiting.get(waits).into_iter().flat_map(BTreeMap::values);
        waiting.any(|parked| self.waiting.contains_key(&Waits::Node(parked.key)))
    }

    /// Drops what a session has parked.
    pub fn forget(&mut self, session: SourceId) {
        self.recount(session, |_| 0);
        for (id, waits) in self.sources.remove(&session).map(|usage| usage.nodes).unwrap_or_default() {
            self.take_out(id, &waits);
        }
    }

    /// Nodes parked now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is parked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How much is parked.
    #[must_use]
    pub fn total(&self) -> ParkedTotal {
        let of_one = self.sources.values().map(|usage| (usage.nodes.len(), usage.bytes)).max().unwrap_or_default();
        ParkedTotal { of_one, nodes: self.len(), bytes: self.bytes }
    }

    /// Makes room for `cost` more bytes of `source`, by dropping nodes of sessions that have more than it would have then.
    fn make_room(&mut self, source: Source, cost: usize) -> bool {
        while self.bytes + cost > MAX_TOTAL_BYTES {
            let own = self.shares.get(&source.origin).map_or(0, |share| share.bytes);
            let Some((most, origin)) = self.largest.last().copied() else { return false };
            let session = self.shares.get(&origin).and_then(|share| share.sessions.last()).copied();
            let Some((bytes, session)) = session else { return false };
            let more = if origin == source.origin {
                let own = self.sources.get(&source.session).map_or(0, |usage| usage.bytes);
                bytes > own + cost
            } else {
                most > own + cost
            };
            if !more || !self.evict(session) {
                return false;
            }
        }
        true
    }

    /// Drops the node that a session has parked last, because later nodes depend on earlier ones.
    fn evict(&mut self, session: SourceId) -> bool {
        let Some(usage) = self.sources.get_mut(&session) else { return false };
        usage.evicted = true;
        let Some((id, waits)) = usage.nodes.pop_last() else { return false };
        let Some(parked) = self.take_out(id, &waits) else { return false };
        self.recount(session, |bytes| bytes.saturating_sub(parked.cost()));
        true
    }

    fn take_out(&mut self, id: u64, waits: &Waits) -> Option<Parked> {
        let waiting = self.waiting.get_mut(waits)?;
        let parked = waiting.remove(&id)?;
        if waiting.is_empty() {
            self.waiting.remove(waits);
        }
        self.known.remove(&parked.identity());
        Some(parked)
    }

    /// A session's bytes have changed.
    fn recount(&mut self, session: SourceId, count: impl FnOnce(usize) -> usize) {
        let Some(usage) = self.sources.get_mut(&session) else { return };
        let (before, after, origin) = (usage.bytes, count(usage.bytes), usage.origin);
        usage.bytes = after;
        if usage.nodes.is_empty() && !usage.evicted {
            self.sources.remove(&session);
        }
        let share = self.shares.entry(origin).or_default();
        self.largest.remove(&(share.bytes, origin));
        share.sessions.remove(&(before, session));
        share.bytes = share.bytes - before + after;
        self.bytes = self.bytes - before + after;
        if after > 0 {
            share.sessions.insert((after, session));
        }
        if share.sessions.is_empty() {
            self.shares.remove(&origin);
        } else {
            self.largest.insert((share.bytes, origin));
        }
    }
}

#[cfg(test)]
mod tests;
