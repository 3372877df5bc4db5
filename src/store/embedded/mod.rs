//! The embedded store: append-only segment files hold the data, and sled is their index.
//!
//! A commit is one group of records: one write, one fdatasync. sled is written later, a chunk of rows at a time, and no
//! commit waits for it; rows that it does not have yet are found in memory. If it fails, it is rebuilt from the segments.
//! docs/design/store.md has the bytes and the crash argument.

mod backup;
mod check;
mod chunk;
mod coding;
mod core;
mod derived;
pub mod disk;
mod entries;
mod fault;
mod filter;
mod folder;
mod follower;
mod groups;
mod index;
mod index_db;
mod index_keys;
mod last_rows;
mod layout;
mod manifest;
mod memory_db;
mod read_only;
mod read_only_disk;
mod reads;
mod record;
mod recorded_state;
mod recovery;
mod restore;
mod scan;
mod scan_start;
mod search;
mod segments;
mod shared_list;
mod sled_db;
mod start;

mod segment_writer;
mod table;
mod term_blocks;
mod term_index;
#[cfg(test)]
mod tests;
mod witness;

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use self::core::{Core, REBUILD};
use self::derived::Derived;
use self::disk::{Disk, Guard, OsDisk};
use self::follower::Follower;
use self::layout::HEADER_LEN;
pub use self::restore::restore;
use self::scan_start::Start;
use self::segment_writer::SegmentWriter;
use self::segments::{read_header, Segments};
use self::start::{How, Running};
use super::search::{self as searches, Found, Order, Span};
use super::terms::Terms;
use super::{BackedUp, Commit, Growth, Meta, Progress, ReadLimit, Sizes, Store, StoreState};
use crate::error::{Error, Result};
use crate::node::{Digest, Key, LogId, Node, Seq};
use crate::query::Filter;
use crate::row::{Entry, Located, Position, Row};

/// How an embedded store is laid out.
#[derive(Clone, Debug)]
pub struct EmbeddedOptions {
    /// Bytes after which a new segment file begins. A commit is never split, so segments may be larger.
    pub segment_size: u64,
    /// Rows of a chunk, 1 to 65,536. A chunk goes to the index as a whole. Opening a store reads up to this many rows again.
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
    /// Bytes that were dropped, not counting zeros at the end.
    pub bytes: u64,
}

/// What opening a store found and repaired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpeningReport {
    /// The unacknowledged end that was cut off.
    pub cut: Option<Cut>,
    /// Why the index was rebuilt.
    pub rebuilt: Option<String>,
}

/// Readers whose position is remembered. Each further concurrent reader costs a look-up in the index per read.
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
    path: PathBuf,
    options: EmbeddedOptions,
    /// Replaced when the index had to be reopened.
    core: RwLock<Arc<Core>>,
    /// `None` once closed, because it holds a descriptor, and in a store that is open read-only.
    writer: Mutex<Option<SegmentWriter>>,
    /// Takes in what another process writes, if the store is open read-only.
    follower: Option<Mutex<Follower>>,
    cursors: Cursors,
    derived: Derived,
    opening: OpeningReport,
    /// The thread that writes the index.
    indexer: Mutex<Option<JoinHandle<()>>>,
    /// Keeps others out until the store is closed.
    guard: Mutex<Option<Box<dyn Guard>>>,
}

impl EmbeddedStore {
    /// Opens the store in the folder `path`, or creates one if the folder is missing or empty. Reports progress when it has to read
    /// much of the log, because the index has to be rebuilt.
    ///
    /// # Errors
    /// `Locked` if another process has it open; `NotAStore` if the folder holds something else; `Damaged` if data
    /// that were acknowledged are not what was written; `Storage` if the medium fails.
    pub fn open(path: &Path, options: &EmbeddedOptions, progress: Progress<'_>) -> Result<Self> {
        let folder = folder::prepare(options.disk.as_ref(), path)?;
        let segments = match folder.segments {
            0 => start::create(&options.disk, path)?,
            _ => {
                let (_, header) = read_header(options.disk.as_ref(), &path.join(segments::name_of(1)))?;
                Segments::new(options.disk.clone(), path, header.store)
            }
        };
        let how = How { rebuild: folder.rebuild, is_new: folder.segments == 0, alone: false };
        let Running { core, indexer, recovered, rebuilt } =
            start::run(segments, folder.segments.max(1), how, options, progress)?;
        let writer = SegmentWriter::new(recovered.segment, recovered.end, options.segment_size.max(HEADER_LEN));
        Ok(EmbeddedStore {
            path: path.to_owned(),
            options: options.clone(),
            core: RwLock::new(core),
            writer: Mutex::new(Some(writer)),
            follower: None,
            cursors: Cursors::default(),
            derived: Derived::new(options.disk.derived_dir(path)),
            opening: OpeningReport { cut: recovered.cut, rebuilt },
            indexer: Mutex::new(Some(indexer)),
            guard: Mutex::new(Some(folder.guard)),
        })
    }

    /// What opening found and repaired.
    #[must_use]
    pub fn opening(&self) -> &OpeningReport {
        &self.opening
    }

    /// Values read from the index since it was opened: the cost of reading in addition to the log.
    #[must_use]
    pub fn index_reads(&self) -> u64 {
        self.core().index.reads()
    }

    fn core(&self) -> Arc<Core> {
        self.core.read().clone()
    }

    /// Calls `call`, and once more if the index failed and could be reopened.
    fn reading<T>(&self, call: impl Fn(&Core) -> Result<T>) -> Result<T> {
        let core = self.core();
        match call(&core) {
            Err(_) if core.is_broken() => {
                if let Some(writer) = self.writer.lock().as_mut() {
                    self.renew(writer)?;
                }
                call(&self.core())
            }
            answer => answer,
        }
    }

    /// Reopens the index if it has failed, because the cause may be over. An index with wrong content is rebuilt.
    fn renew(&self, writer: &mut SegmentWriter) -> Result<()> {
        let old = self.core();
        if !old.is_broken() {
            return Ok(());
        }
        old.stop();
        if let Some(indexer) = self.indexer.lock().take() {
            let _ = indexer.join();
        }
        let _ = old.index.close();
        let disk = &self.options.disk;
        let names = disk.list(&self.path);
        let names = names.map_err(|error| Error::storage_at("open the folder", &self.path, error))?;
        let how = How { rebuild: names.iter().any(|name| name == REBUILD), is_new: false, alone: true };
        let segments = Segments::new(disk.clone(), &self.path, old.segments.store);
        let Running { core, indexer, recovered, .. } =
            start::run(segments, writer.segment_number(), how, &self.options, &mut |_, _| {})?;
        *self.indexer.lock() = Some(indexer);
        *self.core.write() = core;
        writer.resume(recovered.segment, recovered.end);
        Ok(())
    }
}

impl Store for EmbeddedStore {
    fn repairs(&self) -> Vec<String> {
        let cut = self.opening.cut.as_ref().map(|Cut { file, offset, bytes }| {
            format!("{}: {bytes} bytes from offset {offset} on, which a crash left behind and nobody was told of, were cut off", file.display())
        });
        let rebuilt = self.opening.rebuilt.as_ref().map(|why| format!("the index was made anew from the log: {why}"));
        cut.into_iter().chain(rebuilt).collect()
    }

    fn state(&self) -> Result<StoreState> {
        Ok(self.core().view.read().open()?.state.public())
    }

    fn locate(&self, keys: &[Key]) -> Result<Vec<Option<Located>>> {
        self.reading(|core| reads::locate(core, keys))
    }

    fn node(&self, key: &Key) -> Result<Option<Node>> {
        self.reading(|core| reads::node(core, key))
    }

    fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        self.reading(|core| entries::entry(core, log, seq))
    }

    fn digest(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>> {
        self.reading(|core| entries::digest(core, log, seq))
    }

    fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        self.reading(|core| reads::read(core, &self.cursors, after, limit))
    }

    fn last_position(&self) -> Result<Position> {
        Ok(self.core().view.read().open()?.state.end)
    }

    fn search(&self, filter: &Filter, span: Span, order: Order, limit: ReadLimit) -> Result<Found> {
        let wants = |value: &[u8]| filter.matches(value);
        if filter.query.is_all() {
            return searches::scan(self, &wants, span, order, limit);
        }
        self.reading(|core| {
            let plan = Terms::new(&core.segments.store).plan(&filter.query);
            search::search(core, &plan, &wants, (span, order, limit))
        })
    }

    fn of_request(&self, id: &[u8]) -> Result<Option<Row>> {
        let wants = |value: &[u8]| searches::is_of_request(value, id);
        searches::first(|span, limit| {
            self.reading(|core| {
                let plan = Terms::new(&core.segments.store).plan_request(id);
                search::search(core, &plan, &wants, (span, Order::Up, limit))
            })
        })
    }

    fn is_read_only(&self) -> bool {
        self.follower.is_some()
    }

    fn catch_up(&self) -> Result<Option<Growth>> {
        self.follower.as_ref().map_or(Ok(None), |follower| self.follow(follower))
    }

    /// `log_links` are not stored, because they follow from the linked nodes.
    fn commit(&self, commit: &Commit) -> Result<()> {
        if self.is_read_only() {
            return Err(Error::ReadOnly);
        }
        let mut writer = self.writer.lock();
        let writer = writer.as_mut().ok_or(Error::Closed("its store was closed"))?;
        writer.inspect(&self.path, self.guard.lock().as_deref())?;
        self.renew(writer)?;
        let core = self.core();
        catch_unwind(AssertUnwindSafe(|| writer.commit(&core, commit)))
            .unwrap_or_else(|_| Err(writer.give_up(Error::Internal("a commit panicked; open the store again".into()))))
    }

    fn meta(&self, key: &Meta) -> Result<Option<Bytes>> {
        Ok(self.core().view.read().open()?.state.facts.get(key).cloned())
    }

    fn consumer_records(&self) -> Result<Vec<(Meta, Bytes)>> {
        let core = self.core();
        let view = core.view.read();
        let facts = &view.open()?.state.facts;
        Ok(facts
            .iter()
            .filter(|(fact, _)| fact.is_of_consumer())
            .map(|(fact, value)| (fact.clone(), value.clone()))
            .collect())
    }

    fn derived(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>> {
        self.derived.get(keys)
    }

    fn derived_range(&self, from: &str, to: &str, limit: ReadLimit) -> Result<Vec<(String, Bytes)>> {
        self.derived.range(from, to, limit)
    }

    fn set_derived(&self, values: &[(String, Option<Bytes>)]) -> Result<()> {
        self.derived.set(values)
    }

    fn sizes(&self) -> Result<Sizes> {
        self.reading(|core| {
            let end = core.view.read().open()?.end;
            let mut data = end.offset;
            for number in 1..end.segment {
                data += core.segments.sealed_end(&*core.segments.get(number)?)?;
            }
            let index = match self.is_read_only() {
                true => read_only::index_size(&core.segments.disk.index_dir(&self.path)),
                false => core.index.size().map_err(|fault| core.faulty(&fault))?,
            };
            Ok(Sizes { data, index })
        })
    }

    fn check(&self, progress: Progress<'_>) -> Result<()> {
        check::check(&self.core(), progress)
    }

    fn backup(&self, folder: &Path, copy: bool, progress: Progress<'_>) -> Result<BackedUp> {
        backup::backup(self.options.disk.as_ref(), &self.core(), folder, copy, progress)
    }

    fn close(&self) -> Result<()> {
        if self.is_read_only() {
            self.close_read_only();
            return Ok(());
        }
        let mut writer = self.writer.lock();
        let (Some(mut writer), Some(guard)) = (writer.take(), self.guard.lock().take()) else { return Ok(()) };
        // If the folder's files were removed while the store was open, another store may have been created there.
        let ours = guard.holds().unwrap_or(false);
        let core = self.core();
        let marked = if ours { writer.close(&core) } else { Ok(()) };
        let end = {
            let mut view = core.view.write();
            view.closed = true;
            view.end
        };
        core.stop();
        self.derived.close(ours);
        if let Some(indexer) = self.indexer.lock().take() {
            let _ = indexer.join();
        }
        // A failure of the index is no error here: at worst it is rebuilt at the next opening.
        if ours {
            if marked.is_ok() && !core.is_broken() {
                let _ = core.index.set_end(end);
            }
            let _ = core.index.close();
        } else {
            let _ = core.index.abandon();
        }
        core.release();
        drop(guard);
        marked
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        let _ = self.close();
    }
}
