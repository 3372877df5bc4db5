//! The index of a store that another process writes: that process has locked sled's files, so this one keeps an index of its own.

use std::collections::BTreeMap;
use std::ops::{Bound, RangeInclusive};

use parking_lot::RwLock;

use super::sled_db::Pair;

/// A key and its value.
type Found = (sled::IVec, sled::IVec);

/// Ordered keys and values in memory.
#[derive(Default)]
pub(super) struct MemoryDb(RwLock<BTreeMap<Vec<u8>, sled::IVec>>);

impl MemoryDb {
    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Option<sled::IVec> {
        self.0.read().get(key).cloned()
    }

    /// The first key within these bounds, and its value.
    pub(super) fn first_of(&self, bounds: RangeInclusive<Vec<u8>>) -> Option<Found> {
        // An empty range would be a panic of the map's.
        if bounds.is_empty() {
            return None;
        }
        self.0.read().range(bounds).next().map(found)
    }

    /// Every key that begins with these bytes, in order, and its value.
    pub(super) fn all_of(&self, prefix: &[u8]) -> Vec<Found> {
        let pairs = self.0.read();
        let from = (Bound::Included(prefix), Bound::Unbounded);
        pairs.range::<[u8], _>(from).take_while(|(key, _)| key.starts_with(prefix)).map(found).collect()
    }

    /// Writes `pairs` and removes the keys in `gone`. Readers see all of it or nothing.
    pub(super) fn write(&self, pairs: Vec<Pair>, gone: &[Vec<u8>]) {
        let mut kept = self.0.write();
        kept.extend(pairs.into_iter().map(|(key, value)| (key, value.into())));
        for key in gone {
            kept.remove(key);
        }
    }
}

fn found((key, value): (&Vec<u8>, &sled::IVec)) -> Found {
    (key.as_slice().into(), value.clone())
}
