//! Finding rows by key in memory.

use std::hash::{BuildHasher, RandomState};

use crate::node::Key;

/// Maps the keys of nodes to row numbers, with 16 to 32 bytes per row. It does not store the keys; callers supply them.
///
/// Open addressing, at most half full. The slot of a key depends on a secret, so that nobody can make keys collide.
#[derive(Debug)]
pub(crate) struct Slots {
    /// Their number is a power of two, or 0.
    slots: Vec<Slot>,
    used: usize,
    secret: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Row + 1; 0 = free.
    row: u32,
    /// Hash of its key. Its upper bits select the slot; comparing the whole hash rejects most other keys early.
    hash: u32,
}

/// Slots of the smallest table.
const LEAST: usize = 64;

impl Default for Slots {
    fn default() -> Self {
        Slots { slots: Vec::new(), used: 0, secret: RandomState::new().hash_one(0) | 1 }
    }
}

impl Slots {
    /// Forgets all rows and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.used = 0;
    }

    /// Bytes that it takes.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(self.slots.as_slice())
    }

    /// Adds rows, up to 2^31 in all, that are not in it.
    pub(crate) fn insert<'a>(&mut self, rows: impl ExactSizeIterator<Item = (usize, &'a Key)>) {
        let used = self.used + rows.len();
        if used * 2 > self.slots.len() {
            let size = (used * 2).next_power_of_two().max(LEAST);
            let old = std::mem::replace(&mut self.slots, vec![Slot::default(); size]);
            old.into_iter().filter(|slot| slot.row > 0).for_each(|slot| self.file(slot));
        }
        // This loop does nothing else, so that the reads of many slots wait for memory at the same time.
        for (row, key) in rows {
            self.file(Slot { row: u32::try_from(row + 1).unwrap_or(0), hash: self.hash(key) });
        }
        self.used = used;
    }

    fn file(&mut self, new: Slot) {
        let Some(mask) = self.slots.len().checked_sub(1) else { return };
        let mut at = self.first(new.hash);
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.row == 0 {
                *slot = new;
                return;
            }
            at = (at + 1) & mask;
        }
    }

    /// The row of this key. `key` returns the key of a row; `None` for a row that must not be found yet.
    pub(crate) fn find<K: PartialEq<Key>>(&self, wanted: &Key, key: impl Fn(usize) -> Option<K>) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let hash = self.hash(wanted);
        let mut at = self.first(hash);
        loop {
            let slot = self.slots.get(at)?;
            let row = slot.row.checked_sub(1)? as usize;
            if slot.hash == hash && key(row).is_some_and(|key| key == *wanted) {
                return Some(row);
            }
            at = (at + 1) & mask;
        }
    }

    /// The upper bits of a product, which all bits of both factors reach.
    fn hash(&self, key: &Key) -> u32 {
        let bits = key.0.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        u32::try_from(bits.wrapping_mul(self.secret) >> 32).unwrap_or(0)
    }

    fn first(&self, hash: u32) -> usize {
        let shift = u32::BITS.saturating_sub(self.slots.len().trailing_zeros());
        usize::try_from(u64::from(hash) >> shift).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::key_of;

    #[test]
    fn rows_are_found_while_the_table_grows_and_others_are_not() {
        let keys: Vec<Key> = (0..5000_u32).map(|n| key_of(&[], &n.to_le_bytes())).collect();
        let mut slots = Slots::default();
        let key = |row: usize| keys.get(row).copied();
        assert_eq!(slots.find(&keys[0], key), None);
        for (group, from) in (0..4000).step_by(100).enumerate() {
            // Row 3 of each group is a duplicate.
            let rows: Vec<_> = (from..from + 100).filter(|row| row % 100 != 3).map(|row| (row, &keys[row])).collect();
            slots.insert(rows.into_iter());
            for (row, wanted) in keys.iter().enumerate() {
                let expected = (row < (group + 1) * 100 && row % 100 != 3).then_some(row);
                assert_eq!(slots.find(wanted, key), expected);
            }
        }
        assert_eq!(slots.find(&keys[7], |row| key(row).filter(|_| row != 7)), None, "a row that has no key yet");
        let size = slots.slots.len();
        slots.clear();
        assert!(keys.iter().all(|wanted| slots.find(wanted, key).is_none()));
        slots.insert([(9, &keys[9])].into_iter());
        assert_eq!(slots.find(&keys[9], key), Some(9));
        assert_eq!((slots.used, slots.slots.len()), (1, size), "cleared tables begin anew in the same memory");
    }
}
