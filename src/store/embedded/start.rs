//! Assembles an open store: its index, the rows that the index does not cover yet, the thread that writes the index.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::core::{Core, REBUILD};
use super::disk::Disk;
use super::fault::Fault;
use super::index::{Checkpoint, Contents, Index};
use super::layout::{Location, HEADER_LEN};
use super::recorded_state::RecordedState;
use super::recovery::{self, Recovered};
use super::segments::Segments;
use super::EmbeddedOptions;
use crate::error::{Error, Result};
use crate::node::Key;
use crate::row::Position;
use crate::store::Progress;

/// How long opening waits for the index's lock to be released by a process that is being started. Starting one takes
/// milliseconds, on a loaded machine some hundred.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// The situation in which a store is assembled.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// Whether the index has to be rebuilt.
    pub(super) rebuild: bool,
    /// Whether the store is empty.
    pub(super) is_new: bool,
    /// Whether only threads of this store can still hold the index's files.
    pub(super) alone: bool,
}

/// A store that runs.
pub(super) struct Running {
    pub(super) core: Arc<Core>,
    pub(super) indexer: JoinHandle<()>,
    pub(super) recovered: Recovered,
    /// Why the index was rebuilt.
    pub(super) rebuilt: Option<String>,
}

/// An index that matches the segments, and how far it reaches.
struct Indexed {
    index: Index,
    checkpoint: Option<Checkpoint>,
    known: Location,
    rebuilt: Option<String>,
}

/// Creates the first segment of a new store.
pub(super) fn create(disk: &Arc<dyn Disk>, path: &Path) -> Result<Segments> {
    let mut store = [0; 16];
    getrandom::fill(&mut store)
        .map_err(|error| Error::storage("draw a random store id", io::Error::other(error.to_string())))?;
    let segments = Segments::new(disk.clone(), path, store);
    segments.create(1, Position::START, 0, (&Key::default(), 0))?;
    Ok(segments)
}

/// Opens the index and reads what it does not cover, up to the end of segment `last`.
pub(super) fn run(
    segments: Segments,
    last: u32,
    how: How,
    options: &EmbeddedOptions,
    progress: Progress<'_>,
) -> Result<Running> {
    let Indexed { index, checkpoint, known, rebuilt } = open_index(&segments, how)?;
    let (core, indexer) = assemble(segments, index, checkpoint, options.chunk_rows)?;
    let recovered = recovery::recover(&core, last, known, progress).and_then(|recovered| {
        if how.rebuild {
            core.settle()?;
            let path = core.segments.dir.join(REBUILD);
            let removed = options.disk.remove(&path);
            removed.map_err(|error| Error::storage_at("remove", &path, error))?;
        }
        Ok(recovered)
    });
    match recovered {
        Ok(recovered) => Ok(Running { core, indexer, recovered, rebuilt }),
        Err(error) => {
            core.stop();
            let _ = indexer.join();
            let _ = core.index.close();
            Err(error)
        }
    }
}

/// A store as its index knows it, and the thread that writes the index.
pub(super) fn assemble(
    segments: Segments,
    index: Index,
    checkpoint: Option<Checkpoint>,
    chunk_rows: usize,
) -> Result<(Arc<Core>, JoinHandle<()>)> {
    let start = Location { segment: 1, offset: HEADER_LEN };
    let fresh = || Checkpoint {
        firsts: Vec::new(),
        location: start,
        mark: Default::default(),
        state: RecordedState::default(),
    };
    let core = Arc::new(Core::new(segments, index, checkpoint.unwrap_or_else(fresh), chunk_rows));
    let indexed = core.clone();
    let thread = std::thread::Builder::new().name("hyper-index".to_owned()).spawn(move || indexed.run_indexer());
    let indexer = thread.map_err(|error| Error::storage("start the index's thread", error))?;
    Ok((core, indexer))
}

/// Opens the index. It is replaced by an empty one if it does not open, belongs to another log, or is to be rebuilt.
fn open_index(segments: &Segments, how: How) -> Result<Indexed> {
    let dir = segments.disk.index_dir(&segments.dir);
    // We hold the folder's lock, so only a process that ignores that lock can hold this one for long.
    if !how.alone && !Index::is_released(&dir, LOCK_PATIENCE) {
        return Err(Error::Locked { path: segments.dir.display().to_string() });
    }
    let mut known = Location::default();
    let mut attempt = || -> std::result::Result<(Index, Option<Checkpoint>), Fault> {
        let index = Index::open(&dir)?;
        let found = index.contents(&segments.store).and_then(|contents| Ok((contents, index.end()?)));
        let checkpoint = found.and_then(|(contents, end)| {
            known = end.unwrap_or_default();
            match contents {
                _ if how.rebuild => Err(Fault::content("a part of it could not be read")),
                Contents::Nothing => Ok(None),
                Contents::OfAnotherVersion => Err(Fault::content("another version of this module wrote it")),
                Contents::UpTo(checkpoint) => {
                    known = known.max(checkpoint.location);
                    let fits = recovery::fits(segments, &checkpoint);
                    fits.then_some(Some(*checkpoint)).ok_or_else(|| Fault::content("it does not fit the log"))
                }
            }
        });
        match checkpoint {
            Ok(checkpoint) => Ok((index, checkpoint)),
            Err(fault) => {
                // sled's threads may hold its files for a moment, and what follows removes them.
                let _ = index.close();
                Err(fault)
            }
        }
    };
    let fault = match attempt() {
        Ok((index, checkpoint)) => return Ok(Indexed { index, checkpoint, known, rebuilt: None }),
        Err(fault) => fault,
    };
    let failed = |fault: Fault| {
        let source = match fault {
            Fault::System(source) => source,
            fault => Arc::new(io::Error::other(fault.to_string())),
        };
        Error::Storage { action: "open the index in".into(), path: Some(dir.clone()), source }
    };
    // A transient error says nothing about the index.
    let error = failed(fault.clone());
    if error.is_transient() {
        return Err(error);
    }
    Index::discard(&dir).map_err(|error| Error::storage_at("remove", &dir, error))?;
    let index = Index::open(&dir).map_err(failed)?;
    if known > Location::default() {
        // Stored for the next opening, too: a log that ends before this is damaged.
        index.set_end(known).and_then(|()| index.flush()).map_err(failed)?;
    }
    Ok(Indexed { index, checkpoint: None, known, rebuilt: (!how.is_new).then(|| fault.to_string()) })
}
