//! A disk in memory that can lose unsynced data, tear writes, become full, or ignore syncs.
//!
//! After [`FaultDisk::cut`] every call fails. [`FaultDisk::after_power_cut`] is what the medium then holds: of every
//! file the last synced content plus an arbitrary subset of the 512-byte sectors written since, of every folder
//! the last synced names plus an arbitrary subset of the changes since.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyperemitter::store::conformance::Random;
use hyperemitter::store::embedded::disk::{Disk, File, Guard};
use parking_lot::Mutex;

const SECTOR: usize = 512;

/// Kinds of operation at which power may fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Point {
    /// Within a write: it is torn.
    Write,
    /// Within an fdatasync.
    Sync,
    /// While a new segment is created: before its content is synced.
    Segment,
    /// Around a rename, or the sync of the folder behind it.
    Rename,
    /// While sled writes the index; it has files of its own, so the test cuts when they change.
    Index,
}

/// Calls that the system can refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// A write. A part of it is done before the error.
    Write,
    Sync,
    SetLen,
    Create,
    Rename,
    SyncDir,
    /// The check of the lock file before a commit.
    Look,
}

#[derive(Default)]
struct Content {
    live: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
    /// Created and not renamed yet.
    fresh: bool,
}

#[derive(Default)]
struct State {
    files: Vec<Content>,
    live: BTreeMap<PathBuf, usize>,
    durable: BTreeMap<PathBuf, usize>,
    dirs: BTreeSet<PathBuf>,
    off: bool,
    armed: Option<(Point, u32)>,
    random: Option<Random>,
    free: Option<usize>,
    sync_fails: bool,
    sync_panics: bool,
    /// The kind of call that is refused, how many more calls succeed before, and the error.
    refused: Option<(Call, u32, i32)>,
    removed: bool,
    /// The operation at which power failed.
    cut_at: Option<Point>,
    writes: u64,
}

struct Shared {
    state: Mutex<State>,
    locked: Mutex<BTreeSet<PathBuf>>,
    /// Whether fdatasync reports success without doing anything.
    lies: bool,
    /// A real folder for sled's files.
    index: PathBuf,
}

/// The disk. Clones are the same disk.
#[derive(Clone)]
pub struct FaultDisk(Arc<Shared>);

impl fmt::Debug for FaultDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultDisk")
    }
}

fn off() -> io::Error {
    io::Error::other("the power is off")
}

impl State {
    fn on(&self) -> io::Result<()> {
        if self.off {
            Err(off())
        } else {
            Ok(())
        }
    }

    /// The system's refusal, if this call meets one.
    fn refusal(&mut self, call: Call) -> io::Result<()> {
        match &mut self.refused {
            Some((refused, 0, code)) if *refused == call => Err(io::Error::from_raw_os_error(*code)),
            Some((refused, left, _)) if *refused == call => {
                *left -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether power fails in this operation.
    fn strikes(&mut self, point: Point) -> bool {
        match &mut self.armed {
            Some((armed, 0)) if *armed == point => {
                (self.off, self.cut_at, self.armed) = (true, Some(point), None);
                true
            }
            Some((armed, left)) if *armed == point => {
                *left -= 1;
                false
            }
            _ => false,
        }
    }
}

impl Content {
    fn write(&mut self, bytes: &[u8], offset: usize) {
        let end = offset + bytes.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        self.live[offset..end].copy_from_slice(bytes);
        self.dirty.extend(offset / SECTOR..end.div_ceil(SECTOR));
    }

    /// What survives: synced content, and each unsynced sector with probability `keep` of 8.
    fn survive(&self, random: &mut Random, keep: usize) -> Vec<u8> {
        let mut out = self.durable.clone();
        for sector in &self.dirty {
            if random.below(8) >= keep {
                continue;
            }
            let from = sector * SECTOR;
            let Some(bytes) = self.live.get(from..(from + SECTOR).min(self.live.len())) else { continue };
            if out.len() < from + bytes.len() {
                out.resize(from + bytes.len(), 0);
            }
            out[from..from + bytes.len()].copy_from_slice(bytes);
        }
        // A truncation may have reached the medium or not.
        if self.live.len() < out.len() && random.once_in(2) {
            out.truncate(self.live.len());
        }
        out
    }
}

impl FaultDisk {
    pub fn new(index: &Path) -> Self {
        Self::build(index, false, State::default())
    }

    /// A disk whose fdatasync does nothing.
    pub fn lying(index: &Path) -> Self {
        Self::build(index, true, State::default())
    }

    fn build(index: &Path, lies: bool, state: State) -> Self {
        FaultDisk(Arc::new(Shared {
            state: Mutex::new(state),
            locked: Mutex::default(),
            lies,
            index: index.to_owned(),
        }))
    }

    /// Power fails at the nth operation of this kind from now on.
    pub fn arm(&self, point: Point, nth: u32, seed: u64) {
        let mut state = self.0.state.lock();
        state.random = Some(Random(seed));
        if point != Point::Index {
            state.armed = Some((point, nth));
        }
    }

    /// Power fails now.
    pub fn cut(&self, point: Point) {
        let mut state = self.0.state.lock();
        if !state.off {
            (state.off, state.cut_at) = (true, Some(point));
        }
    }

    pub fn cut_at(&self) -> Option<Point> {
        self.0.state.lock().cut_at
    }

    /// Bytes that can still be written; `None` for no limit.
    pub fn set_free(&self, free: Option<usize>) {
        self.0.state.lock().free = free;
    }

    /// Refuses this kind of call with the system's error `code`, after `nth` calls that succeed, until [`FaultDisk::allow`].
    pub fn refuse(&self, call: Call, nth: u32, code: i32) {
        self.0.state.lock().refused = Some((call, nth, code));
    }

    /// Lets all calls succeed again.
    pub fn allow(&self) {
        self.0.state.lock().refused = None;
    }

    /// Removes the lock file's name, or restores it.
    pub fn set_removed(&self, removed: bool) {
        self.0.state.lock().removed = removed;
    }

    pub fn set_sync_panics(&self, panics: bool) {
        self.0.state.lock().sync_panics = panics;
    }

    pub fn set_sync_fails(&self, fails: bool) {
        self.0.state.lock().sync_fails = fails;
    }

    pub fn writes(&self) -> u64 {
        self.0.state.lock().writes
    }

    /// The medium after the cut, as a disk of its own; sled's files are looked for in `index`.
    pub fn after_power_cut(&self, index: &Path, random: &mut Random) -> FaultDisk {
        let state = self.0.state.lock();
        // What was not synced survives wholly, in part, or not at all.
        let keep = [0, 1, 4, 7, 8][random.below(5)];
        let mut names = state.durable.clone();
        let changed: BTreeSet<&PathBuf> = state.live.keys().chain(state.durable.keys()).collect();
        for name in changed {
            if state.live.get(name) != state.durable.get(name) && random.below(8) < keep {
                match state.live.get(name) {
                    Some(file) => drop(names.insert(name.clone(), *file)),
                    None => drop(names.remove(name)),
                }
            }
        }
        let mut after = State { dirs: state.dirs.clone(), ..State::default() };
        for content in &state.files {
            let bytes = content.survive(random, keep);
            after.files.push(Content { live: bytes.clone(), durable: bytes, ..Content::default() });
        }
        (after.live, after.durable) = (names.clone(), names);
        Self::build(index, self.0.lies, after)
    }

    /// Changes a file as a failing medium does.
    pub fn spoil(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.state.lock();
        let file = state.live[path];
        let content = &mut state.files[file];
        change(&mut content.live);
        content.durable = content.live.clone();
    }

    pub fn remove_file(&self, path: &Path) {
        let mut state = self.0.state.lock();
        state.live.remove(path);
        state.durable.remove(path);
    }

    pub fn content(&self, path: &Path) -> Vec<u8> {
        let state = self.0.state.lock();
        state.files[state.live[path]].live.clone()
    }

    /// Files with content, in order of name.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.state.lock().live.keys().cloned().collect()
    }
}

struct Handle(Arc<Shared>, usize);

impl File for Handle {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.0.state.lock();
        state.on()?;
        let rest = state.files[self.1].live.get(offset as usize..).unwrap_or(&[]);
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.on()?;
        state.writes += 1;
        let point = if state.files[self.1].fresh { Point::Segment } else { Point::Write };
        if state.strikes(point) {
            let torn = state.random.as_mut().map_or(0, |random| random.below(bytes.len() + 1));
            state.files[self.1].write(&bytes[..torn], offset as usize);
            return Err(off());
        }
        if let Err(error) = state.refusal(Call::Write) {
            state.files[self.1].write(&bytes[..bytes.len() - 1], offset as usize);
            return Err(error);
        }
        if let Some(free) = state.free {
            let fits = free.min(bytes.len());
            state.files[self.1].write(&bytes[..fits], offset as usize);
            state.free = Some(free - fits);
            return if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) };
        }
        state.files[self.1].write(bytes, offset as usize);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.on()?;
        assert!(!state.sync_panics, "a defect on the way to the disk");
        state.refusal(Call::Sync)?;
        if state.sync_fails {
            return Err(io::Error::other("input/output error"));
        }
        let point = if state.files[self.1].fresh { Point::Segment } else { Point::Sync };
        if state.strikes(point) {
            return Err(off());
        }
        if !self.0.lies {
            let content = &mut state.files[self.1];
            content.durable = content.live.clone();
            content.dirty.clear();
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.on()?;
        state.refusal(Call::SetLen)?;
        let content = &mut state.files[self.1];
        content.live.resize(len as usize, 0);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.0.state.lock();
        state.on()?;
        Ok(state.files[self.1].live.len() as u64)
    }
}

struct Lock(Arc<Shared>, PathBuf);

impl Guard for Lock {
    fn holds(&self) -> io::Result<bool> {
        let mut state = self.0.state.lock();
        state.refusal(Call::Look)?;
        Ok(!state.removed)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.locked.lock().remove(&self.1);
    }
}

impl Disk for FaultDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.0.state.lock().dirs.insert(path.to_owned());
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.0.state.lock();
        state.on()?;
        if !state.dirs.contains(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = state.live.keys().filter(|file| file.parent() == Some(path));
        Ok(names.map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect())
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let state = self.0.state.lock();
        state.on()?;
        let file = state.live.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(Handle(self.0.clone(), file)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.state.lock();
        state.on()?;
        state.refusal(Call::Create)?;
        if state.strikes(Point::Segment) {
            return Err(off());
        }
        state.files.push(Content { fresh: true, ..Content::default() });
        let file = state.files.len() - 1;
        state.live.insert(path.to_owned(), file);
        Ok(Arc::new(Handle(self.0.clone(), file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.on()?;
        state.refusal(Call::Rename)?;
        let before = state.strikes(Point::Rename);
        if before && state.random.as_mut().is_some_and(|random| random.once_in(2)) {
            return Err(off());
        }
        let file = state.live.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.live.insert(to.to_owned(), file);
        state.files[file].fresh = false;
        if before {
            Err(off())
        } else {
            Ok(())
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.on()?;
        state.live.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.on()?;
        state.refusal(Call::SyncDir)?;
        if state.strikes(Point::Rename) {
            return Err(off());
        }
        if !self.0.lies {
            state.durable = state.live.clone();
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Guard>>> {
        self.0.state.lock().on()?;
        let free = self.0.locked.lock().insert(path.to_owned());
        Ok(free.then(|| Box::new(Lock(self.0.clone(), path.to_owned())) as Box<dyn Guard>))
    }

    fn index_dir(&self, _: &Path) -> PathBuf {
        self.0.index.clone()
    }
}
