//! A store that another process may have open for writing. It is read without its lock, and nothing in its folder is changed.
//!
//! sled's files belong to the process that writes. So all segments are read when the store is opened, and the index is kept in
//! memory.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::core::Core;
use super::derived::Derived;
use super::disk::Disk;
use super::follower::Follower;
use super::groups::{Groups, Step};
use super::index::Index;
use super::layout::Location;
use super::read_only_disk::ReadOnlyDisk;
use super::recovery::{replay_sealed, reports, tail, total};
use super::segments::{name_of, read_header, Segments};
use super::{folder, start, Cursors, EmbeddedOptions, EmbeddedStore, OpeningReport};
use crate::error::Result;
use crate::store::{Growth, Progress};

impl EmbeddedStore {
    /// Opens the store in the folder `path` for reading, whether or not a process has it open for writing. Reads the whole log,
    /// and reports progress. Then [`Store::catch_up`](crate::store::Store::catch_up) takes in what is stored meanwhile.
    ///
    /// # Errors
    /// `NotAStore` if the folder holds something else, or nothing; `Damaged` if data that were acknowledged are not what was
    /// written; `Storage` if the medium fails.
    pub fn open_read_only(path: &Path, options: &EmbeddedOptions, progress: Progress<'_>) -> Result<Self> {
        let disk: Arc<dyn Disk> = Arc::new(ReadOnlyDisk(options.disk.clone()));
        let last = folder::look(disk.as_ref(), path)?;
        let (_, header) = read_header(disk.as_ref(), &path.join(name_of(1)))?;
        let segments = Segments::new(disk, path, header.store);
        let (core, indexer) = start::assemble(segments, Index::in_memory(), None, options.chunk_rows)?;
        let follower = match read_log(&core, last, progress) {
            Ok(follower) => follower,
            Err(error) => {
                core.stop();
                let _ = indexer.join();
                return Err(error);
            }
        };
        Ok(EmbeddedStore {
            path: path.to_owned(),
            options: options.clone(),
            core: RwLock::new(core),
            writer: Mutex::new(None),
            follower: Some(Mutex::new(follower)),
            derived: Derived::elsewhere(),
            cursors: Cursors::default(),
            opening: OpeningReport::default(),
            indexer: Mutex::new(Some(indexer)),
            guard: Mutex::new(None),
        })
    }

    /// Takes in what the writing process has stored.
    pub(super) fn follow(&self, follower: &Mutex<Follower>) -> Result<Option<Growth>> {
        follower.lock().advance(&self.core())
    }

    /// Ends reading.
    pub(super) fn close_read_only(&self) {
        let core = self.core();
        core.view.write().closed = true;
        core.stop();
        if let Some(indexer) = self.indexer.lock().take() {
            let _ = indexer.join();
        }
        core.release();
    }
}

/// Reads the log up to its end.
fn read_log(core: &Core, last: u32, progress: Progress<'_>) -> Result<Follower> {
    let mut report = reports(total(core, core.view.read().end, last)?, progress);
    replay_sealed(core, last, &mut report)?;
    let mut follower = Follower::new(core, core.segments.get(last)?)?;
    // The second look shows a newest group that nothing follows.
    follower.advance(core)?;
    follower.advance(core)?;
    while let Some(damage) = damage_at_end(core, &follower)? {
        // If a process is writing, these bytes may have been a group in the making, and complete groups follow by now.
        let before = core.view.read().end;
        follower.advance(core)?;
        if core.view.read().end == before {
            return Err(damage);
        }
    }
    Ok(follower)
}

/// The error for bytes at the end of the log that are no group although they were once synced.
fn damage_at_end(core: &Core, follower: &Follower) -> Result<Option<crate::error::Error>> {
    let segment = follower.segment();
    let at = core.view.read().end.offset;
    let len = segment.file.size().map_err(|error| segment.failed("measure", error))?;
    match Groups::new(segment.clone(), len).at(at)? {
        Step::Bad(why) if at < len => Ok(tail(core, segment, at, len, why, Location::default()).err()),
        _ => Ok(None),
    }
}

/// Bytes of the index of the process that writes.
pub(super) fn index_size(dir: &Path) -> u64 {
    let sizes = fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
    sizes.filter(fs::Metadata::is_file).map(|found| found.len()).sum()
}
