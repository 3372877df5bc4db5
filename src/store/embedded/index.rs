//! The index: what it holds, and under which keys. All of it can be rebuilt from the segments.
//!
//! A failure is a [`Fault`]. The store then reopens the index, or rebuilds it.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use super::coding::{put_varint, Input};
use super::fault::{Fault, Outcome};
use super::filter::{Filter, COLUMNS, GATE_PARTS, SLAB_PARTS};
use super::groups::Mark;
use super::index_db::IndexDb;
use super::index_keys::{
    chunk_key, first_seq, hash_key, hashes, log_key, numbered, seal, unseal, LogBlock, Pair, END, PART, PIECES,
};
use super::layout::Location;
use super::memory_db::MemoryDb;
use super::recorded_state::{Changes, RecordedState, Stored};
use super::sled_db::SledDb;
use super::table::EntryAt;
use crate::node::Key;
use crate::row::Position;

/// Version of what is written here. An index of another version is rebuilt.
const VERSION: u32 = 6;

/// First bytes of the keys of a checkpoint's streams, logs and heads, which are written when they change.
const STREAM: u8 = b't';
const LOG: u8 = b'o';
const HEAD: u8 = b'd';

/// How far the index covers the log: its chunks, the location where they end, and the state there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checkpoint {
    /// The last position before each chunk.
    pub(super) firsts: Vec<Position>,
    pub(super) location: Location,
    /// The group that ends at `location`.
    pub(super) mark: Mark,
    pub(super) state: RecordedState,
}

/// What an index holds.
#[derive(Debug)]
pub(super) enum Contents {
    Nothing,
    UpTo(Box<Checkpoint>),
    /// The index has another version. Only [`Index::end`] can be used.
    OfAnotherVersion,
}

/// The index of one store.
pub(super) struct Index {
    pub(super) db: IndexDb,
}

impl Index {
    /// Opens or creates the index in this folder.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        Ok(Index { db: IndexDb::Sled(SledDb::open(path)?) })
    }

    /// An index that is kept in memory: 11 to 16 bytes per event, as much as sled takes on disk.
    pub(super) fn in_memory() -> Self {
        Index { db: IndexDb::Memory(MemoryDb::default()) }
    }

    /// Removes an index that cannot be used.
    pub(super) fn discard(path: &Path) -> io::Result<()> {
        SledDb::discard(path)
    }

    /// Whether no process has the index in this folder open, or the last one closes it within `patience`.
    pub(super) fn is_released(path: &Path, patience: Duration) -> bool {
        SledDb::is_released(path, patience)
    }

    /// Values that were asked for since it was opened.
    pub(super) fn reads(&self) -> u64 {
        self.db.reads()
    }

    /// The value of a key, checked.
    fn get(&self, key: &[u8]) -> Outcome<Option<sled::IVec>> {
        match self.db.get(key)? {
            Some(value) => checked(key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the index has exactly this value, checksum included.
    pub(super) fn holds(&self, key: &[u8], value: &[u8]) -> Outcome<bool> {
        Ok(self.db.get(key)?.is_some_and(|held| held == value))
    }

    /// Writes `pairs` and removes the keys in `gone` atomically: after a crash, either all of this is done or none.
    pub(super) fn write(&self, pairs: Vec<Pair>, gone: Vec<Vec<u8>>) -> Outcome<()> {
        self.db.write(pairs, gone)
    }

    /// Puts what was written on the medium.
    pub(super) fn flush(&self) -> Outcome<()> {
        self.db.flush()
    }

    /// Bytes on disk.
    pub(super) fn size(&self) -> Outcome<u64> {
        self.db.size()
    }

    /// Flushes and releases the files: once this returns they can be opened again.
    pub(super) fn close(&self) -> Outcome<()> {
        self.db.close()
    }

    /// Closes the files without a flush, even if other files have their names by now.
    pub(super) fn abandon(&self) -> Outcome<()> {
        self.db.abandon()
    }

    /// Where the rows of a chunk are.
    pub(super) fn row_locations(&self, chunk: u32) -> Outcome<sled::IVec> {
        self.get(&chunk_key(chunk))?.ok_or_else(|| Fault::content(format!("chunk {chunk} is missing")))
    }

    /// A piece of a chunk's hashes; empty if it has none.
    pub(super) fn hashes(&self, chunk: u32, piece: usize) -> Outcome<sled::IVec> {
        Ok(self.get(&hash_key(chunk, piece))?.unwrap_or_default())
    }

    /// The block of entries of a stream that holds this one.
    pub(super) fn block(&self, entry: EntryAt) -> Outcome<LogBlock> {
        let missing = || Fault::content(format!("entry {} of stream {} is missing", entry.seq, entry.stream));
        let found = self.db.first_of(log_key(entry)..=log_key(EntryAt { seq: 0, ..entry }))?;
        let (key, value) = found.ok_or_else(missing)?;
        let value = checked(&key, &value)?;
        let block = LogBlock::read(first_seq(&key).ok_or_else(missing)?, &value).ok_or_else(missing)?;
        if entry.seq - block.first < block.rows.len() as u64 {
            Ok(block)
        } else {
            Err(missing())
        }
    }

    /// Stores where the log ended when the store was closed.
    pub(super) fn set_end(&self, location: Location) -> Outcome<()> {
        let mut value = Vec::new();
        put_varint(&mut value, u64::from(location.segment));
        put_varint(&mut value, location.offset);
        self.write(vec![seal(END.to_vec(), value)], Vec::new())
    }

    /// Where the log ended when the store was last closed, if that is known.
    pub(super) fn end(&self) -> Outcome<Option<Location>> {
        let Some(value) = self.get(END)? else { return Ok(None) };
        let mut input = Input(&value);
        let location = (|| Some(Location { segment: input.varint32()?, offset: input.varint()? }))();
        location.map(Some).ok_or_else(|| Fault::content("the end of the log is unreadable"))
    }

    /// Its content for the store with this id.
    pub(super) fn contents(&self, store: &[u8; 16]) -> Outcome<Contents> {
        let Some(first) = self.get(&numbered(b's', 0, 0))? else { return Ok(Contents::Nothing) };
        let unreadable = || Fault::content("its checkpoint is unreadable");
        let len = Input(&first).u32().ok_or_else(unreadable)? as usize;
        let mut bytes = first.get(4..).ok_or_else(unreadable)?.to_vec();
        for part in 1.. {
            if bytes.len() >= len {
                break;
            }
            bytes.extend_from_slice(&self.get(&numbered(b's', 0, part))?.ok_or_else(unreadable)?);
        }
        let mut input = Input(&bytes);
        let version = input.u32();
        if input.take(16) != Some(store) {
            return Err(Fault::content("it belongs to another store"));
        }
        if version != Some(VERSION) {
            return Ok(Contents::OfAnotherVersion);
        }
        let [streams, logs, heads] = [self.all(STREAM)?, self.all(LOG)?, self.all(HEAD)?];
        let stored = Stored {
            streams: streams.iter().map(|(_, value)| value.as_ref()).collect(),
            logs: logs.iter().filter_map(|(key, value)| Some((number_of(key)?, value.as_ref()))).collect(),
            heads: heads
                .iter()
                .filter_map(|(key, value)| Some((Key(*key.get(1..)?.first_chunk()?), value.as_ref())))
                .collect(),
        };
        let checkpoint = read_checkpoint(&mut input, stored);
        checkpoint.map(|checkpoint| Contents::UpTo(Box::new(checkpoint))).ok_or_else(unreadable)
    }

    /// Everything of one kind, in order of key.
    fn all(&self, kind: u8) -> Outcome<Vec<(sled::IVec, sled::IVec)>> {
        let found = self.db.all_of(&[kind])?;
        found.into_iter().map(|(key, value)| Ok((key.clone(), checked(&key, &value)?))).collect()
    }

    /// Loads the filter of chunks `0..chunks`: complete slabs as stored, the last one from its chunks' hashes.
    pub(super) fn filter(&self, chunks: u32) -> Outcome<Filter> {
        let mut filter = Filter::default();
        let complete = chunks / COLUMNS;
        for slab in 0..complete {
            for part in 0..SLAB_PARTS {
                let bytes = self.get(&slab_key(slab, part))?;
                if !bytes.is_some_and(|bytes| filter.load(slab as usize, part, &bytes)) {
                    return Err(Fault::content(format!("part {part} of filter {slab} is missing")));
                }
            }
            for part in 0..GATE_PARTS {
                let bytes = self.get(&gate_key(slab, part))?;
                if !bytes.is_some_and(|bytes| filter.load_gate(slab as usize, part, &bytes)) {
                    return Err(Fault::content(format!("part {part} of gate {slab} is missing")));
                }
            }
        }
        for chunk in complete * COLUMNS..chunks {
            for piece in 0..PIECES {
                for hash in hashes(&self.hashes(chunk, piece)?) {
                    filter.insert(chunk, piece, hash);
                }
            }
        }
        Ok(filter)
    }
}

pub(super) fn checked(key: &[u8], value: &sled::IVec) -> Outcome<sled::IVec> {
    match unseal(key, value) {
        Some(inner) => Ok(value.subslice(0, inner.len())),
        None => Err(Fault::content(format!("the value of key {key:02x?} has a wrong checksum"))),
    }
}

fn slab_key(slab: u32, part: usize) -> Vec<u8> {
    numbered(b'f', slab, u32::try_from(part).unwrap_or(u32::MAX))
}

fn gate_key(slab: u32, part: usize) -> Vec<u8> {
    numbered(b'g', slab, u32::try_from(part).unwrap_or(u32::MAX))
}

/// Parts of a slab and its gate.
pub(super) const SLAB_ENTRIES: usize = SLAB_PARTS + GATE_PARTS;

/// The given parts of a filter slab and its gate as stored, once the slab's last chunk is in it.
pub(super) fn slab_entries(filter: &Filter, slab: u32, parts: Range<usize>) -> Vec<Pair> {
    let number = slab as usize;
    let entry = |part: usize| match part.checked_sub(SLAB_PARTS) {
        None => Some(seal(slab_key(slab, part), filter.part(number, part)?)),
        Some(part) => Some(seal(gate_key(slab, part), filter.gate_part(number, part)?)),
    };
    parts.filter_map(entry).collect()
}

/// Adds a checkpoint as stored to `pairs`. Returns the keys that it deletes.
pub(super) fn checkpoint_entries(
    store: &[u8; 16],
    firsts: &[Position],
    (location, mark): (Location, Mark),
    changes: &Changes,
    pairs: &mut Vec<Pair>,
) -> Vec<Vec<u8>> {
    let mut bytes = Vec::with_capacity(changes.head.len() + firsts.len() * 8 + 64);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(store);
    put_varint(&mut bytes, u64::from(location.segment));
    put_varint(&mut bytes, location.offset);
    put_varint(&mut bytes, mark.offset);
    put_varint(&mut bytes, u64::from(mark.crc));
    put_varint(&mut bytes, firsts.len() as u64);
    for first in firsts {
        put_varint(&mut bytes, first.change);
        put_varint(&mut bytes, u64::from(first.duplicate));
    }
    bytes.extend_from_slice(&changes.head);
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    for (number, part) in bytes.chunks(PART).enumerate() {
        let head: &[u8] = if number == 0 { &len } else { &[] };
        pairs.push(seal(numbered(b's', 0, u32::try_from(number).unwrap_or(u32::MAX)), [head, part].concat()));
    }
    let mut gone = Vec::new();
    let mut put = |key: Vec<u8>, value: Option<&Vec<u8>>| match value {
        Some(value) => pairs.push(seal(key, value.clone())),
        None => gone.push(key),
    };
    changes.table.streams.iter().for_each(|(number, value)| put(numbered(STREAM, *number, 0), Some(value)));
    changes.table.logs.iter().for_each(|(slot, value)| put(numbered(LOG, *slot, 0), value.as_ref()));
    changes.heads.iter().for_each(|(key, value)| put([&[HEAD][..], &key.0].concat(), value.as_ref()));
    gone
}

fn read_checkpoint(input: &mut Input<'_>, stored: Stored<'_>) -> Option<Checkpoint> {
    let location = Location { segment: input.varint32()?, offset: input.varint()? };
    let mark = Mark { offset: input.varint()?, crc: input.varint32()? };
    let mut firsts = Vec::new();
    for _ in 0..input.varint()? {
        firsts.push(Position { change: input.varint()?, duplicate: input.varint32()? });
    }
    Some(Checkpoint { firsts, location, mark, state: RecordedState::load(input, stored)? })
}

/// The number in a key.
fn number_of(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*key.get(1..)?.first_chunk()?))
}

#[cfg(test)]
impl Index {
    /// The first part of its checkpoint, as another version would write it.
    pub(super) fn of_version(&self, version: u32) -> Vec<u8> {
        let mut value = self.get(&numbered(b's', 0, 0)).unwrap().unwrap().to_vec();
        value[4..8].copy_from_slice(&version.to_le_bytes());
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_slab_is_loaded_with_its_gate() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        let mut filter = Filter::default();
        (0..1000).for_each(|hash| filter.insert(0, 7, hash));
        let entries = slab_entries(&filter, 0, 0..SLAB_ENTRIES);
        let (gates, slabs): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(key, _)| key.starts_with(b"g"));
        let gate = |filter: &Filter| (0..GATE_PARTS).map(|part| filter.gate_part(0, part)).collect::<Vec<_>>();
        index.write(slabs, Vec::new()).unwrap();
        assert!(index.filter(COLUMNS - 1).is_ok(), "parts that no checkpoint counts are not looked at");
        assert!(index.filter(COLUMNS).is_err(), "a slab without its gate");
        index.write(gates, Vec::new()).unwrap();
        let found = index.filter(COLUMNS).unwrap();
        assert!(gate(&found) == gate(&filter));
        assert!((0..1000).all(|hash| found.candidates(7, hash).eq([0])));
    }

    #[test]
    fn an_index_of_another_version_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        let (store, changes) = ([7; 16], RecordedState::default().take_changes());
        let mut entries = Vec::new();
        checkpoint_entries(&store, &[], (Location::default(), Mark::default()), &changes, &mut entries);
        index.write(entries.clone(), Vec::new()).unwrap();
        assert!(matches!(index.contents(&store).unwrap(), Contents::UpTo(_)));
        let (key, _) = entries.remove(0);
        index.write(vec![seal(key, index.of_version(1))], Vec::new()).unwrap();
        assert!(matches!(index.contents(&store).unwrap(), Contents::OfAnotherVersion));
    }
}
