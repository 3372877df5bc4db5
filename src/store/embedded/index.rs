//! sled as the index: everything in it can be made again from the segments.
//!
//! sled 0.34 panics on files it cannot make sense of, so every call is caught; what fails is a [`Fault`], and a
//! store whose index is at fault makes a new one the next time it opens.

use std::fs;
use std::io;
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::coding::{put_varint, Input};
use super::disk::is_locked;
use super::fault::Fault;
use super::filter::{Filter, COLUMNS, GATE_PARTS, SLAB_PARTS};
use super::groups::Mark;
use super::index_keys::{
    chunk_key, hash_key, hashes, log_key, numbered, seal, unseal, LogBlock, Pair, END, PART, PIECES,
};
use super::layout::Place;
use super::state::{Changes, State, Stored};
use super::table::EntryAt;
use crate::node::Key;
use crate::store::Position;

/// Version of what is written here. An index of another one is made anew.
const VERSION: u32 = 4;

/// First bytes of the keys of a checkpoint's streams, logs and heads, which are written when they change.
const STREAM: u8 = b't';
const LOG: u8 = b'o';
const HEAD: u8 = b'd';

/// Memory sled may use for pages it has read, in bytes. The hot parts of the index are in the filter and the tail.
const CACHE: u64 = 2 << 20;

/// The file that sled locks.
const DATABASE: &str = "db";

/// How long sled's threads may hold its files after it was closed. They need milliseconds; if they never let go, the
/// next open makes a new index.
const RELEASE: Duration = Duration::from_secs(10);

/// Pause between two looks whether they have.
const POLL: Duration = Duration::from_millis(1);

/// How many times longer than its blocks a file of sled's may be, and how much more. File systems that compress make files
/// shorter on the medium; what is refused here is a file of holes.
const HOLES: u64 = 64;
const SPARSE: u64 = 256 << 20;

type Outcome<T> = std::result::Result<T, Fault>;

/// Covered by the index: chunks `0..chunks`, and the log up to `place`, with the state there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Checkpoint {
    /// The last place before each chunk.
    pub(super) firsts: Vec<Position>,
    pub(super) place: Place,
    /// The group before `place`.
    pub(super) mark: Mark,
    pub(super) state: State,
}

/// What an index holds.
#[derive(Debug)]
pub(super) enum Contents {
    Nothing,
    UpTo(Box<Checkpoint>),
    /// Nothing that can be used; the end of the log is told in the same way.
    OfAnotherVersion,
}

/// The index of one store.
pub(super) struct Index {
    path: PathBuf,
    db: RwLock<Option<sled::Db>>,
}

fn caught<T>(call: impl FnOnce() -> sled::Result<T>) -> Outcome<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Fault::content("sled panicked")),
    }
}

impl Index {
    /// Opens or creates the index in this folder.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        inspect(path)?;
        let config = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None);
        let db = caught(|| config.mode(sled::Mode::HighThroughput).open())?;
        Ok(Index { path: path.to_owned(), db: RwLock::new(Some(db)) })
    }

    /// Removes an index that cannot be used.
    pub(super) fn discard(path: &Path) -> io::Result<()> {
        let removed = fs::symlink_metadata(path).and_then(|found| {
            // A link is removed, not what it leads to.
            if found.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            }
        });
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether nobody has the index in this folder open any more. Waits a moment for a lock that is about to go: a process
    /// that is being started holds copies of its parent's files, and so of their locks, until it runs its own program.
    pub(super) fn is_released(path: &Path, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        while is_locked(&path.join(DATABASE)).unwrap_or(false) {
            if Instant::now() > end {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }

    fn with<T>(&self, call: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Outcome<T> {
        let db = self.db.read();
        let db = db.as_ref().ok_or(Fault::Closed)?;
        caught(|| call(db))
    }

    /// The value of a key, checked.
    fn get(&self, key: &[u8]) -> Outcome<Option<sled::IVec>> {
        match self.with(|db| db.get(key))? {
            Some(value) => checked(key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Whether the index has exactly this value, checksum included.
    pub(super) fn holds(&self, key: &[u8], value: &[u8]) -> Outcome<bool> {
        Ok(self.with(|db| db.get(key))?.is_some_and(|held| held == value))
    }

    /// Where the rows of a chunk are.
    pub(super) fn places(&self, chunk: u32) -> Outcome<sled::IVec> {
        self.get(&chunk_key(chunk))?.ok_or_else(|| Fault::content(format!("chunk {chunk} is missing")))
    }

    /// A piece of a chunk's hashes; empty if it has none.
    pub(super) fn hashes(&self, chunk: u32, piece: usize) -> Outcome<sled::IVec> {
        Ok(self.get(&hash_key(chunk, piece))?.unwrap_or_default())
    }

    /// The block of entries of a stream that holds this one.
    pub(super) fn block(&self, entry: EntryAt) -> Outcome<LogBlock> {
        let missing = || Fault::content(format!("entry {} of stream {} is missing", entry.seq, entry.stream));
        let (first, last) = (log_key(EntryAt { seq: 0, ..entry }), log_key(entry));
        let found = self.with(|db| db.range(first..=last).next_back().transpose())?;
        let (key, value) = found.ok_or_else(missing)?;
        let value = checked(&key, &value)?;
        let seq = key.get(5..).and_then(|seq| seq.first_chunk()).map(|seq| u64::from_be_bytes(*seq));
        let block = LogBlock::read(seq.ok_or_else(missing)?, &value).ok_or_else(missing)?;
        if entry.seq - block.first < block.rows.len() as u64 {
            Ok(block)
        } else {
            Err(missing())
        }
    }

    /// Writes everything at once: after a crash all of it is there or none.
    pub(super) fn write(&self, pairs: Vec<Pair>, gone: Vec<Vec<u8>>) -> Outcome<()> {
        let mut batch = sled::Batch::default();
        let mut keys = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            keys.push(key.clone());
            batch.insert(key, value);
        }
        gone.into_iter().for_each(|key| batch.remove(key));
        self.with(|db| db.apply_batch(batch))?;
        // sled counts a page towards its cache, and so gives its memory back, only once it has been read.
        self.with(|db| keys.iter().try_for_each(|key| db.get(key).map(drop)))
    }

    /// Puts what was written on the medium. sled's own flush stops short of that on Linux (sync_file_range), so
    /// its files are synced as well.
    pub(super) fn flush(&self) -> Outcome<()> {
        self.with(|db| db.flush())?;
        let sync = || -> io::Result<()> {
            for entry in fs::read_dir(&self.path)? {
                let entry = entry?;
                if entry.file_type()?.is_file() {
                    fs::File::open(entry.path())?.sync_data()?;
                }
            }
            Ok(())
        };
        sync().map_err(Fault::from)
    }

    /// Bytes on disk.
    pub(super) fn size(&self) -> Outcome<u64> {
        self.with(sled::Db::size_on_disk)
    }

    /// Flushes and releases the files: once this returns they can be opened again.
    pub(super) fn close(&self) -> Outcome<()> {
        let flushed = self.flush();
        self.abandon()?;
        self.wait_for_release();
        flushed
    }

    /// Lets go of the files, whatever others have made of their names meanwhile.
    pub(super) fn abandon(&self) -> Outcome<()> {
        let db = self.db.write().take();
        caught(|| {
            drop(db);
            Ok(())
        })
    }

    /// Threads of sled's pool may hold its files, and so its lock, for a moment after the last handle has gone. Whoever
    /// opens the index in that moment would take it for broken.
    fn wait_for_release(&self) {
        let _ = Index::is_released(&self.path, RELEASE);
    }

    /// Remembers where the log ended when the store was closed.
    pub(super) fn set_end(&self, place: Place) -> Outcome<()> {
        let mut value = Vec::new();
        put_varint(&mut value, u64::from(place.segment));
        put_varint(&mut value, place.offset);
        self.write(vec![seal(END.to_vec(), value)], Vec::new())
    }

    /// Where the log ended when the store was last closed, if that is known.
    pub(super) fn end(&self) -> Outcome<Option<Place>> {
        let Some(value) = self.get(END)? else { return Ok(None) };
        let mut input = Input(&value);
        let place = (|| Some(Place { segment: input.varint32()?, offset: input.varint()? }))();
        place.map(Some).ok_or_else(|| Fault::content("the end of the log is unreadable"))
    }

    /// What is in it for the store with this id.
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
        let mut found = Vec::new();
        self.with(|db| {
            for pair in db.scan_prefix([kind]) {
                found.push(pair?);
            }
            Ok(())
        })?;
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

/// Refuses a folder that sled would wait in, or be led out of: nothing but files and folders belongs there. Refuses holes,
/// too: sled reads whatever its file is long, and writes all of it.
fn inspect(path: &Path) -> Outcome<()> {
    let found = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found?,
    };
    if !found.is_dir() {
        return Err(Fault::content("it is no folder"));
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let found = entry.metadata()?;
        if !found.is_file() && !found.is_dir() {
            return Err(Fault::content(format!("{:?} in it is neither a file nor a folder", entry.file_name())));
        }
        if found.len() > holes_from(&found) {
            return Err(Fault::content(format!("{:?} in it is {} bytes of holes", entry.file_name(), found.len())));
        }
    }
    Ok(())
}

/// The length from which a file has more holes than sled leaves: it makes a file as long as a segment at once.
#[cfg(unix)]
fn holes_from(found: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    found.blocks().saturating_mul(512).saturating_mul(HOLES).saturating_add(SPARSE)
}

#[cfg(not(unix))]
fn holes_from(_: &fs::Metadata) -> u64 {
    u64::MAX
}

fn checked(key: &[u8], value: &sled::IVec) -> Outcome<sled::IVec> {
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

/// Some parts of a slab of the filter and its gate as stored, once its last chunk is in it.
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
    (place, mark): (Place, Mark),
    changes: &Changes,
    pairs: &mut Vec<Pair>,
) -> Vec<Vec<u8>> {
    let mut bytes = Vec::with_capacity(changes.head.len() + firsts.len() * 8 + 64);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(store);
    put_varint(&mut bytes, u64::from(place.segment));
    put_varint(&mut bytes, place.offset);
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
    let place = Place { segment: input.varint32()?, offset: input.varint()? };
    let mark = Mark { offset: input.varint()?, crc: input.varint32()? };
    let mut firsts = Vec::new();
    for _ in 0..input.varint()? {
        firsts.push(Position { change: input.varint()?, duplicate: input.varint32()? });
    }
    Some(Checkpoint { firsts, place, mark, state: State::load(input, stored)? })
}

/// The number in a key.
fn number_of(key: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*key.get(1..)?.first_chunk()?))
}

#[cfg(test)]
impl Index {
    /// The first part of its checkpoint as another version would have written it.
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
    fn closing_waits_for_threads_that_still_hold_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let index = Index::open(folder.path()).unwrap();
        index.write(vec![seal(b"key".to_vec(), b"value".to_vec())], Vec::new()).unwrap();
        let held = index.db.read().clone();
        std::thread::scope(|scope| {
            let (index, slow) = (&index, folder.path().join("slow"));
            let released = slow.clone();
            scope.spawn(move || {
                while index.db.read().is_some() {
                    std::thread::yield_now();
                }
                fs::write(released, "").unwrap();
                drop(held);
            });
            index.close().unwrap();
            assert!(slow.exists(), "closed although a thread held the files");
        });
        let index = Index::open(folder.path()).unwrap();
        assert!(index.get(b"key").unwrap().is_some());
    }

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
        let (store, changes) = ([7; 16], State::default().take_changes());
        let mut entries = Vec::new();
        checkpoint_entries(&store, &[], (Place::default(), Mark::default()), &changes, &mut entries);
        index.write(entries.clone(), Vec::new()).unwrap();
        assert!(matches!(index.contents(&store).unwrap(), Contents::UpTo(_)));
        let (key, _) = entries.remove(0);
        index.write(vec![seal(key, index.of_version(1))], Vec::new()).unwrap();
        assert!(matches!(index.contents(&store).unwrap(), Contents::OfAnotherVersion));
    }
}
