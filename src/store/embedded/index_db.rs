//! Where the index keeps its keys and values: in sled's files, or in memory if the store belongs to another process.

use std::ops::RangeInclusive;

use super::fault::Outcome;
use super::memory_db::MemoryDb;
use super::sled_db::{Pair, SledDb};

/// A key and its value.
type Found = (sled::IVec, sled::IVec);

/// Ordered keys and values.
pub(super) enum IndexDb {
    /// In sled's files.
    Sled(SledDb),
    /// In memory.
    Memory(MemoryDb),
}

impl IndexDb {
    /// Values that were asked for since it was opened.
    pub(super) fn reads(&self) -> u64 {
        match self {
            IndexDb::Sled(db) => db.reads(),
            IndexDb::Memory(_) => 0,
        }
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Outcome<Option<sled::IVec>> {
        match self {
            IndexDb::Sled(db) => db.get(key),
            IndexDb::Memory(db) => Ok(db.get(key)),
        }
    }

    /// The first key within these bounds, and its value.
    pub(super) fn first_of(&self, bounds: RangeInclusive<Vec<u8>>) -> Outcome<Option<Found>> {
        match self {
            IndexDb::Sled(db) => db.first_of(bounds),
            IndexDb::Memory(db) => Ok(db.first_of(bounds)),
        }
    }

    /// Every key that begins with these bytes, in order.
    pub(super) fn keys_of(&self, prefix: &[u8]) -> Outcome<Vec<Vec<u8>>> {
        match self {
            IndexDb::Sled(db) => db.keys_of(prefix),
            IndexDb::Memory(db) => Ok(db.all_of(prefix).into_iter().map(|(key, _)| key.to_vec()).collect()),
        }
    }

    /// Every key that begins with these bytes, in order, and its value.
    pub(super) fn all_of(&self, prefix: &[u8]) -> Outcome<Vec<Found>> {
        match self {
            IndexDb::Sled(db) => db.all_of(prefix),
            IndexDb::Memory(db) => Ok(db.all_of(prefix)),
        }
    }

    /// Writes `pairs` and removes the keys in `gone` atomically.
    pub(super) fn write(&self, pairs: Vec<Pair>, gone: Vec<Vec<u8>>) -> Outcome<()> {
        match self {
            IndexDb::Sled(db) => db.write(pairs, gone),
            IndexDb::Memory(db) => {
                db.write(pairs, &gone);
                Ok(())
            }
        }
    }

    /// Puts what was written on the medium.
    pub(super) fn flush(&self) -> Outcome<()> {
        match self {
            IndexDb::Sled(db) => db.flush(),
            IndexDb::Memory(_) => Ok(()),
        }
    }

    /// Bytes on disk.
    pub(super) fn size(&self) -> Outcome<u64> {
        match self {
            IndexDb::Sled(db) => db.size(),
            IndexDb::Memory(_) => Ok(0),
        }
    }

    /// Flushes and releases the files: once this returns they can be opened again.
    pub(super) fn close(&self) -> Outcome<()> {
        match self {
            IndexDb::Sled(db) => db.close(),
            IndexDb::Memory(_) => Ok(()),
        }
    }

    /// Closes the files without a flush, even if other files have their names by now.
    pub(super) fn abandon(&self) -> Outcome<()> {
        match self {
            IndexDb::Sled(db) => db.abandon(),
            IndexDb::Memory(_) => Ok(()),
        }
    }
}
