//! sled (version 0.34), with workarounds:
//!
//! - It panics on files that it cannot parse. Panics are caught and become a [`Fault`]. Pipes, devices and links are refused before
//!   sled opens them.
//! - On Linux, its flush does not reach the medium (`sync_file_range`). So its files are synced once more.
//! - Threads of its pool hold its files, and so its lock, for a moment after the last handle has gone. Closing waits for them.
//! - It frees a page's memory only after the page has been read. So what is written is read again immediately.
//!
//! After its first I/O error, all later calls fail with the text of that error. The system's error number is parsed from the
//! text.

use std::fs;
use std::io;
use std::ops::{Range, RangeInclusive};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::RwLock;

use super::disk::is_locked;
use super::fault::{Fault, Outcome};
use crate::store::ReadLimit;

/// Key and value.
pub(super) type Pair = (Vec<u8>, Vec<u8>);

/// Memory sled may use for pages it has read, in bytes. The hot parts of the index are in the filter and the tail.
const CACHE: u64 = 2 << 20;

/// The file that sled locks.
const DATABASE: &str = "db";

/// The folder of sled's large values.
const BLOBS: &str = "blobs";

/// How long sled's threads may hold its files after it was closed. They need milliseconds; if they never let go, the
/// next open makes a new index.
const RELEASE: Duration = Duration::from_secs(10);

/// Interval at which this is checked.
const POLL: Duration = Duration::from_millis(1);

/// A file of sled's may be this many times longer than its blocks on the medium, plus some bytes. Compressing file systems need
/// fewer blocks than bytes, but a file beyond this must consist of holes.
const HOLES: u64 = 64;
const SPARSE: u64 = 256 << 20;

/// An open database of sled's.
pub(super) struct SledDb {
    path: PathBuf,
    db: RwLock<Option<sled::Db>>,
    /// Values that were asked for.
    reads: AtomicU64,
}

fn caught<T>(call: impl FnOnce() -> sled::Result<T>) -> Outcome<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Fault::content("sled panicked")),
    }
}

impl SledDb {
    /// Opens or creates the database in this folder.
    pub(super) fn open(path: &Path) -> Outcome<Self> {
        inspect(path)?;
        let config = sled::Config::new().path(path).cache_capacity(CACHE).flush_every_ms(None);
        let db = caught(|| config.mode(sled::Mode::HighThroughput).open())?;
        Ok(SledDb { path: path.to_owned(), db: RwLock::new(Some(db)), reads: AtomicU64::new(0) })
    }

    /// Removes a database that cannot be used.
    pub(super) fn discard(path: &Path) -> io::Result<()> {
        let removed = fs::symlink_metadata(path).and_then(|found| {
            // A link itself is removed, not its target.
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

    /// Whether no process has the database in this folder open. Waits for a lock that may soon be released: a process that is being
    /// started holds copies of its parent's files, and of their locks, until it runs its own program.
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

    /// Calls `read`, and counts it.
    fn read<T>(&self, read: impl FnOnce(&sled::Db) -> sled::Result<T>) -> Outcome<T> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.with(read)
    }

    /// Values that were asked for since it was opened.
    pub(super) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &[u8]) -> Outcome<Option<sled::IVec>> {
        self.read(|db| db.get(key))
    }

    /// The first key within these bounds, and its value.
    pub(super) fn first_of(&self, bounds: RangeInclusive<Vec<u8>>) -> Outcome<Option<(sled::IVec, sled::IVec)>> {
        self.read(|db| db.range(bounds).next().transpose())
    }

    /// Keys of a range and their values, in order, up to `limit`. A single value may exceed it.
    pub(super) fn range(&self, range: Range<&[u8]>, limit: ReadLimit) -> Outcome<Vec<(sled::IVec, sled::IVec)>> {
        self.read(|db| {
            let (mut found, mut bytes) = (Vec::new(), 0_usize);
            for pair in db.range(range).take(limit.rows) {
                let (key, value) = pair?;
                bytes = bytes.saturating_add(value.len());
                if bytes > limit.bytes && !found.is_empty() {
                    break;
                }
                found.push((key, value));
            }
            Ok(found)
        })
    }

    /// Every key that begins with these bytes, in order.
    pub(super) fn keys_of(&self, prefix: &[u8]) -> Outcome<Vec<Vec<u8>>> {
        self.read(|db| db.scan_prefix(prefix).keys().map(|key| key.map(|key| key.to_vec())).collect())
    }

    /// Every key that begins with these bytes, in order, and its value.
    pub(super) fn all_of(&self, prefix: &[u8]) -> Outcome<Vec<(sled::IVec, sled::IVec)>> {
        self.with(|db| db.scan_prefix(prefix).collect())
    }

    /// Writes `pairs` and removes the keys in `gone` atomically: after a crash, either all of this is done or none.
    pub(super) fn write(&self, pairs: Vec<Pair>, gone: Vec<Vec<u8>>) -> Outcome<()> {
        let mut batch = sled::Batch::default();
        let mut keys = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            keys.push(key.clone());
            batch.insert(key, value);
        }
        gone.into_iter().for_each(|key| batch.remove(key));
        self.with(|db| db.apply_batch(batch))?;
        // So that sled counts the pages towards its cache.
        self.with(|db| keys.iter().try_for_each(|key| db.get(key).map(drop)))
    }

    /// Puts what was written on the medium.
    pub(super) fn flush(&self) -> Outcome<()> {
        self.with(|db| db.flush())?;
        sync_files(&self.path).map_err(Fault::from)
    }

    /// Bytes on disk.
    pub(super) fn size(&self) -> Outcome<u64> {
        self.with(sled::Db::size_on_disk)
    }

    /// Flushes and releases the files: once this returns they can be opened again.
    pub(super) fn close(&self) -> Outcome<()> {
        let flushed = self.flush();
        self.abandon()?;
        // Opening the files before that would fail as if they were damaged.
        let _ = SledDb::is_released(&self.path, RELEASE);
        flushed
    }

    /// Closes the files without a flush, even if other files have their names by now.
    pub(super) fn abandon(&self) -> Outcome<()> {
        let db = self.db.write().take();
        caught(|| {
            drop(db);
            Ok(())
        })
    }
}

/// Syncs the files in a folder, and in the folder where sled puts values that are too large for its log.
fn sync_files(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match entry.file_type()? {
            found if found.is_file() => match fs::File::open(entry.path()) {
                // sled removes what it has replaced.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                file => file?.sync_data()?,
            },
            found if found.is_dir() && entry.file_name() == BLOBS => sync_files(&entry.path())?,
            _ => {}
        }
    }
    Ok(())
}

/// Refuses a folder with anything but files and folders, because sled might block on a pipe or follow a link out of the folder.
/// Also refuses files of holes, because sled reads and writes the whole length of a file.
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

/// The length from which a file has more holes than sled leaves. sled extends a file by a whole segment.
#[cfg(unix)]
fn holes_from(found: &fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    found.blocks().saturating_mul(512).saturating_mul(HOLES).saturating_add(SPARSE)
}

#[cfg(not(unix))]
fn holes_from(_: &fs::Metadata) -> u64 {
    u64::MAX
}

impl From<sled::Error> for Fault {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => original(error).into(),
            error => Fault::content(error.to_string()),
        }
    }
}

/// The system's error that caused one of sled's. For later calls, sled keeps its first error as a text, in which the number follows
/// "code: ".
fn original(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some() {
        return error;
    }
    let text = error.to_string();
    let digits = text.split_once("code: ").map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next());
    let code = digits.flatten().and_then(|digits| digits.parse().ok());
    code.map_or(error, io::Error::from_raw_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_waits_for_threads_that_still_hold_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let open = SledDb::open(folder.path()).unwrap();
        open.write(vec![(b"key".to_vec(), b"value".to_vec())], Vec::new()).unwrap();
        let held = open.db.read().clone();
        std::thread::scope(|scope| {
            let (open, slow) = (&open, folder.path().join("slow"));
            let released = slow.clone();
            scope.spawn(move || {
                while open.db.read().is_some() {
                    std::thread::yield_now();
                }
                fs::write(released, "").unwrap();
                drop(held);
            });
            open.close().unwrap();
            assert!(slow.exists(), "closed although a thread held the files");
        });
        assert!(SledDb::open(folder.path()).unwrap().get(b"key").unwrap().is_some());
    }

    #[test]
    fn the_number_of_an_error_survives_what_sled_makes_of_it() {
        let first = sled::Error::Io(io::Error::from_raw_os_error(24));
        let later = first.clone();
        let Fault::System(later) = Fault::from(later) else { panic!("{first}") };
        assert_eq!(later.raw_os_error(), Some(24));
        let Fault::System(other) = Fault::from(sled::Error::Io(io::Error::other("odd"))) else { panic!() };
        assert_eq!(other.to_string(), "odd");
    }
}
