//! The embedded store: append-only segment files are the truth, sled is their index.
//!
//! A commit is one group of records: one write, one fdatasync. sled is written behind, a chunk of rows at a time, and
//! never waited for; rows it does not cover yet are found in memory. Whatever happens to it, it is made again from the
//! segments. docs/design/store.md has the bytes and the crash argument.

mod check;
mod chunk;
mod coding;
mod core;
pub mod disk;
mod filter;
mod folder;
mod groups;
mod index;
mod index_keys;
mod layout;
mod reads;
mod recovery;
mod scan;
mod segments;
mod state;
mod table;
#[cfg(test)]
mod tests;
mod writer;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::Mutex;

use self::chunk::Start;
use self::core::{Core, REBUILD};
use self::disk::{Disk, Guard, OsDisk};
use self::index::{Checkpoint, Contents, Index};
use self::layout::{Place, HEADER_LEN};
use self::segments::{read_header, Segments};
use self::state::State;
use self::writer::Writer;
use super::{Commit, Entry, Located, Meta, Position, Progress, ReadLimit, Row, Sizes, Store, StoreState};
use crate::error::{Error, Result};
use crate::node::{Digest, Key, LogId, Node, Seq};

/// How an embedded store is laid out.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Bytes after which a new segment file begins. A commit is never split, so segments may be larger.
    pub segment_size: u64,
    /// Rows after which they are handed to the index, 1 to 65,536: what opening a store reads again.
    pub chunk_rows: usize,
    /// The file system.
    pub disk: Arc<dyn Disk>,
}

impl Default for EmbeddedOptions {
    /// Segments of 64 MiB, chunks of 48 Ki rows, the operating system's files.
    fn default() -> Self {
        EmbeddedOptions { segment_size: 64 << 20, chunk_rows: 48 << 10, disk: Arc::new(OsDisk) }
    }
}

/// The end of a log that a crash left behind and that was never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The segment file.
    pub file: PathBuf,
    /// Where it was cut off.
    pub offset: u64,
    /// Bytes that were dropped, zeros at the end not counted.
    pub bytes: u64,
}

/// What opening a store found and mended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// The unacknowledged end that was cut off.
    pub cut: Option<Cut>,
    /// Why the index was made anew.
    pub rebuilt: Option<String>,
}

/// Readers whose place is remembered: more of them at once only cost a look into the index per read.
const CURSORS: usize = 8;

/// Where recent reads stopped, so that the next one begins without searching.
#[derive(Default)]
struct Cursors(Mutex<Vec<(Position, Start)>>);

impl Cursors {
    fn take(&self, after: Position) -> Option<Start> {
        let mut cursors = self.0.lock();
        let index = cursors.iter().position(|(at, _)| *at == after)?;
        Some(cursors.remove(index).1)
    }

    fn put(&self, after: Position, start: Start) {
        let mut cursors = self.0.lock();
        if cursors.len() >= CURSORS {
            cursors.remove(0);
        }
        cursors.push((after, start));
    }
}

/// A log in a folder.
pub struct EmbeddedStore {
    core: Arc<Core>,
    writer: Mutex<Writer>,
    cursors: Cursors,
    opening: Opening,
    /// Taken by the first close.
    rest: Mutex<Option<Rest>>,
}

/// What closing gives back: the indexer's thread, then the lock.
type Rest = (JoinHandle<()>, Box<dyn Guard>);

/// An index that fits the segments, and how far it reaches.
struct Indexed {
    index: Index,
    checkpoint: Option<Checkpoint>,
    known: Place,
    rebuilt: Option<String>,
}

impl EmbeddedStore {
    /// Opens the store in the folder `path`, or makes one if the folder is missing or empty. Reports progress while
    /// it reads much of the log (an index that has to be made anew).
    ///
    /// # Errors
    /// `Locked` if another process has it open; `NotAStore` if the folder holds something else; `Damaged` if data
    /// that were acknowledged are not what was written; `Storage` if the medium fails.
    pub fn open(path: &Path, options: &EmbeddedOptions, progress: Progress<'_>) -> Result<Self> {
        let disk = options.disk.clone();
        let folder = folder::prepare(disk.as_ref(), path)?;
        let (segments, last) = match folder.segments {
            0 => (create(&disk, path)?, 1),
            last => {
                let (_, header) = read_header(disk.as_ref(), &path.join(segments::name_of(1)))?;
                (Segments::new(disk.clone(), path, header.store), last)
            }
        };
        let Indexed { index, checkpoint, known, rebuilt } = open_index(&segments, folder.rebuild, folder.segments > 0)?;
        let start = Place { segment: 1, offset: HEADER_LEN };
        let fresh =
            || Checkpoint { firsts: Vec::new(), place: start, mark: Default::default(), state: State::default() };
        let core = Arc::new(Core::new(segments, index, checkpoint.unwrap_or_else(fresh), options.chunk_rows));
        let indexer = {
            let core = core.clone();
            let thread = std::thread::Builder::new().name("hyper-index".to_owned()).spawn(move || core.run_indexer());
            thread.map_err(|error| Error::storage("start the index's thread", error))?
        };
        let recovered = recovery::recover(&core, last, known, progress).inspect_err(|_| core.stop());
        let recovered = match recovered {
            Ok(recovered) => recovered,
            Err(error) => {
                let _ = indexer.join();
                let _ = core.index.close();
                return Err(error);
            }
        };
        if folder.rebuild {
            core.settle();
            let removed = disk.remove(&path.join(REBUILD));
            removed.map_err(|error| Error::storage(format!("remove {}", path.join(REBUILD).display()), error))?;
        }
        let writer = Writer::new(recovered.segment, recovered.end, options.segment_size.max(HEADER_LEN));
        Ok(EmbeddedStore {
            core,
            writer: Mutex::new(writer),
            cursors: Cursors::default(),
            opening: Opening { cut: recovered.cut, rebuilt },
            rest: Mutex::new(Some((indexer, folder.guard))),
        })
    }

    /// What opening found and mended.
    #[must_use]
    pub fn opening(&self) -> &Opening {
        &self.opening
    }
}

/// Makes the first segment of a new store.
fn create(disk: &Arc<dyn Disk>, path: &Path) -> Result<Segments> {
    let mut store = [0; 16];
    getrandom::fill(&mut store)
        .map_err(|error| Error::storage("draw a random store id", std::io::Error::other(error.to_string())))?;
    let segments = Segments::new(disk.clone(), path, store);
    segments.create(1, Position::START, 0, &State::default().encode())?;
    Ok(segments)
}

/// Opens the index; one that will not open, is about another log, or should be made anew is replaced by an empty one.
fn open_index(segments: &Segments, rebuild: bool, expected: bool) -> Result<Indexed> {
    let dir = segments.disk.index_dir(&segments.dir);
    let mut known = Place::default();
    let mut attempt = || -> std::result::Result<(Index, Option<Checkpoint>), String> {
        let index = Index::open(&dir).map_err(|fault| fault.0)?;
        let found = index.contents(&segments.store).and_then(|contents| Ok((contents, index.end()?)));
        let checkpoint = found.map_err(|fault| fault.0).and_then(|(contents, end)| {
            known = end.unwrap_or_default();
            match contents {
                _ if rebuild => Err("a part of it could not be read".to_owned()),
                Contents::Nothing => Ok(None),
                Contents::OfAnotherVersion => Err("another version of this module wrote it".to_owned()),
                Contents::UpTo(checkpoint) => {
                    known = known.max(checkpoint.place);
                    let fits = recovery::fits(segments, &checkpoint);
                    fits.then_some(Some(*checkpoint)).ok_or_else(|| "it does not fit the log".to_owned())
                }
            }
        });
        match checkpoint {
            Ok(checkpoint) => Ok((index, checkpoint)),
            Err(why) => {
                // sled's threads may hold its files for a moment, and what follows removes them.
                let _ = index.close();
                Err(why)
            }
        }
    };
    match attempt() {
        Ok((index, checkpoint)) => Ok(Indexed { index, checkpoint, known, rebuilt: None }),
        Err(why) => {
            Index::discard(&dir).map_err(|error| Error::storage(format!("remove {}", dir.display()), error))?;
            let failed = |fault: index::Fault| {
                Error::storage(format!("create the index in {}", dir.display()), std::io::Error::other(fault.0))
            };
            let index = Index::open(&dir).map_err(failed)?;
            if known > Place::default() {
                // A log that ends before this is damaged, also for those who open it the next time.
                index.set_end(known).and_then(|()| index.flush()).map_err(failed)?;
            }
            Ok(Indexed { index, checkpoint: None, known, rebuilt: expected.then_some(why) })
        }
    }
}

impl Store for EmbeddedStore {
    fn mended(&self) -> Vec<String> {
        let cut = self.opening.cut.as_ref().map(|Cut { file, offset, bytes }| {
            format!("{}: {bytes} bytes from offset {offset} on, which a crash left behind and nobody was told of, were cut off", file.display())
        });
        let rebuilt = self.opening.rebuilt.as_ref().map(|why| format!("the index was made anew from the log: {why}"));
        cut.into_iter().chain(rebuilt).collect()
    }

    fn state(&self) -> Result<StoreState> {
        Ok(self.core.view.read().open()?.state.public())
    }

    fn locate(&self, keys: &[Key]) -> Result<Vec<Option<Located>>> {
        reads::locate(&self.core, keys)
    }

    fn node(&self, key: &Key) -> Result<Option<Node>> {
        reads::node(&self.core, key)
    }

    fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        reads::entry(&self.core, log, seq)
    }

    fn digest(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>> {
        reads::digest(&self.core, log, seq)
    }

    fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        reads::read(&self.core, &self.cursors, after, limit)
    }

    /// The links of entries (`log_links`) are not stored: the linked nodes tell them.
    fn commit(&self, commit: &Commit) -> Result<()> {
        let mut writer = self.writer.lock();
        catch_unwind(AssertUnwindSafe(|| writer.commit(&self.core, commit)))
            .unwrap_or_else(|_| Err(writer.fail(Error::Internal("a commit panicked; open the store again".into()))))
    }

    fn meta(&self, key: &Meta) -> Result<Option<Bytes>> {
        Ok(self.core.view.read().open()?.state.facts.get(key).cloned())
    }

    fn sizes(&self) -> Result<Sizes> {
        let end = self.core.view.read().open()?.end;
        let mut data = end.offset;
        for number in 1..end.segment {
            data += self.core.segments.sealed_end(&*self.core.segments.get(number)?)?;
        }
        Ok(Sizes { data, index: self.core.index.size().map_err(|fault| self.core.faulty(&fault))? })
    }

    fn check(&self, progress: Progress<'_>) -> Result<()> {
        check::check(&self.core, progress)
    }

    fn close(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        let Some((indexer, guard)) = self.rest.lock().take() else { return Ok(()) };
        let marked = writer.close(&self.core);
        let end = {
            let mut view = self.core.view.write();
            view.closed = true;
            view.end
        };
        self.core.stop();
        let _ = indexer.join();
        // The index is not worth an error: at worst it is made anew.
        if marked.is_ok() {
            let _ = self.core.index.set_end(end);
        }
        let _ = self.core.index.close();
        drop(guard);
        marked
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        let _ = self.close();
    }
}
