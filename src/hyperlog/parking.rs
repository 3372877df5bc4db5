//! Nodes that arrived before something they depend on.
//!
//! Indexed by what each one waits for, so that a flood of hopeless nodes (a 1.x peer's echo, a hostile peer) neither
//! delays nor starves the others. Bounded per source and in total; a node over the bound is refused, and the session
//! that brought it ends: reconnecting asks for what is missing anew.

use std::collections::HashMap;

use super::{Incoming, SourceId};
use crate::node::{Key, LogId, Seq};

/// Bytes one session may have parked. A 1.x peer that merges logs by its own change order can run ahead by what
/// another link of ours has in flight; a few thousand ordinary events is ample.
pub const MAX_SOURCE_BYTES: usize = 16 * 1024 * 1024;

/// Nodes one session may have parked.
pub const MAX_SOURCE_NODES: usize = 16 * 1024;

/// Bytes parked by all sessions together.
pub const MAX_TOTAL_BYTES: usize = 64 * 1024 * 1024;

/// Bookkeeping of one parked node, counted beside its value.
const OVERHEAD: usize = 256;

/// What a parked node waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Waits {
    /// A node.
    Node(Key),
    /// An entry of a log.
    Entry(LogId, Seq),
}

/// A node set aside.
#[derive(Clone, Debug)]
pub struct Parked {
    /// The node.
    pub node: Incoming,
    /// The hash of its content.
    pub key: Key,
    /// Who brought it.
    pub source: SourceId,
}

impl Parked {
    fn cost(&self) -> usize {
        self.node.cost() + OVERHEAD
    }
}

#[derive(Debug, Default)]
struct Usage {
    nodes: usize,
    bytes: usize,
}

/// All parked nodes of one log.
#[derive(Debug, Default)]
pub struct Parking {
    waiting: HashMap<Waits, Vec<Parked>>,
    sources: HashMap<SourceId, Usage>,
    bytes: usize,
}

impl Parking {
    /// Sets a node aside until `waits` is stored. `false` if the bound is reached; a node that the same source
    /// already has waiting there is not kept twice.
    #[must_use]
    pub fn park(&mut self, parked: Parked, waits: Waits) -> bool {
        let cost = parked.cost();
        let usage = self.sources.entry(parked.source).or_default();
        if usage.nodes >= MAX_SOURCE_NODES
            || usage.bytes + cost > MAX_SOURCE_BYTES
            || self.bytes + cost > MAX_TOTAL_BYTES
        {
            return false;
        }
        let list = self.waiting.entry(waits).or_default();
        if list
            .iter()
            .any(|other| other.source == parked.source && other.key == parked.key && other.node.seq == parked.node.seq)
        {
            return true;
        }
        usage.nodes += 1;
        usage.bytes += cost;
        self.bytes += cost;
        list.push(parked);
        true
    }

    /// Takes out the nodes that waited for this.
    pub fn release(&mut self, waits: &Waits) -> Vec<Parked> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let released = self.waiting.remove(waits).unwrap_or_default();
        for parked in &released {
            self.uncount(parked.source, parked.cost());
        }
        released
    }

    /// Drops what a session has parked.
    pub fn forget(&mut self, source: SourceId) {
        let Some(usage) = self.sources.remove(&source) else { return };
        self.bytes -= usage.bytes;
        if usage.nodes > 0 {
            self.waiting.retain(|_, list| {
                list.retain(|parked| parked.source != source);
                !list.is_empty()
            });
        }
    }

    /// Nodes parked now.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sources.values().map(|usage| usage.nodes).sum()
    }

    /// Whether nothing is parked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn uncount(&mut self, source: SourceId, cost: usize) {
        self.bytes -= cost;
        if let Some(usage) = self.sources.get_mut(&source) {
            usage.nodes -= 1;
            usage.bytes -= cost;
            if usage.nodes == 0 {
                self.sources.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Links;
    use bytes::Bytes;

    fn parked(source: u64, seq: Seq, size: usize) -> Parked {
        let mut key = Key::default();
        key.0[..8].copy_from_slice(&seq.to_le_bytes());
        Parked {
            node: Incoming {
                log: "log".into(),
                seq,
                links: Links::new(),
                value: Bytes::from(vec![0; size]),
                signed: None,
                claimed: None,
            },
            key,
            source: SourceId(source),
        }
    }

    fn entry(seq: Seq) -> Waits {
        Waits::Entry("log".into(), seq)
    }

    #[test]
    fn what_is_released_no_longer_counts() {
        let mut parking = Parking::default();
        assert!(parking.park(parked(1, 2, 10), entry(1)));
        assert!(parking.park(parked(1, 3, 10), entry(2)));
        assert_eq!(parking.release(&entry(1)).len(), 1);
        assert_eq!(parking.release(&entry(1)).len(), 0);
        assert_eq!(parking.len(), 1);
        parking.forget(SourceId(1));
        assert!(parking.is_empty());
        assert_eq!((parking.len(), parking.bytes), (0, 0));
    }

    #[test]
    fn one_source_cannot_take_the_room_of_others() {
        let mut parking = Parking::default();
        let mut kept = 0;
        for seq in 2..100_000 {
            kept += usize::from(parking.park(parked(1, seq, 0), entry(seq - 1)));
        }
        assert_eq!(kept, MAX_SOURCE_NODES);
        assert!(parking.park(parked(2, 2, 0), entry(1)));
        parking.forget(SourceId(1));
        assert_eq!(parking.len(), 1);
    }

    #[test]
    fn the_total_is_bounded_over_all_sources() {
        let mut parking = Parking::default();
        let size = MAX_SOURCE_BYTES - parked(0, 2, 0).cost();
        let kept = (0..10).filter(|source| parking.park(parked(*source, 2, size), entry(1))).count();
        assert_eq!(kept, MAX_TOTAL_BYTES / MAX_SOURCE_BYTES);
    }

    #[test]
    fn the_same_node_from_the_same_source_is_kept_once() {
        let mut parking = Parking::default();
        assert!(parking.park(parked(1, 2, 10), entry(1)));
        assert!(parking.park(parked(1, 2, 10), entry(1)));
        assert_eq!(parking.release(&entry(1)).len(), 1);
    }
}
