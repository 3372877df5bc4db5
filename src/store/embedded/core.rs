//! The state that readers, the writer and the indexer share.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use super::chunk::Chunk;
use super::fault::Fault;
use super::filter::{Filter, COLUMNS};
use super::groups::Mark;
use super::index::{checkpoint_entries, slab_entries, Checkpoint, Index, SLAB_ENTRIES};
use super::index_keys::MAX_ROWS;
use super::last_rows::{KnownUnits, LastRowsBuilder};
use super::layout::Location;
use super::recorded_state::{Added, Changes, RecordedState};
use super::segments::Segments;
use super::term_blocks::Unit;
use crate::error::{Error, Result};
use crate::node::Key;
use crate::row::Position;
use crate::store::terms::Term;

/// Chunks that may wait for the index; beyond this number, commits wait. Each chunk takes 5 to 7 MB of memory. Indexing one takes
/// some 20 ms, and committing its rows takes longer on any disk.
const MAX_WAITING: usize = 4;

/// Chunks between two flushes of sled. A flush makes the file system commit, which delays commits of the log. It only saves reading
/// these chunks again after a crash, which takes some 10 ms per chunk.
const FLUSH_EVERY: u32 = 4;

/// Parts of a slab that are written at a time.
const SLAB_STEP: usize = 16;

/// Bytes of records after which a chunk ends even if it has few rows. Opening a store reads up to this many bytes again.
const CHUNK_BYTES: u64 = 64 << 20;

/// Room for rows beyond a chunk's nominal size, because its last group usually exceeds it.
const SPARE_ROWS: usize = 2048;

/// Name of the file that tells the next opening to rebuild the index.
pub(super) const REBUILD: &str = "rebuild-index";

/// The durable content of the store.
pub(super) struct View {
    pub(super) closed: bool,
    pub(super) state: RecordedState,
    /// Where the next group begins.
    pub(super) end: Location,
    /// The last position before each indexed chunk.
    pub(super) firsts: Vec<Position>,
    /// Complete chunks that the index does not have yet, oldest first.
    pub(super) waiting: VecDeque<Arc<Chunk>>,
    /// The growing chunk.
    pub(super) active: Chunk,
    /// Whether a chunk has ended within the current group, so that no checkpoint covers it yet.
    uncovered: bool,
}

impl View {
    pub(super) fn new(checkpoint: Checkpoint) -> Self {
        let before = (checkpoint.state.end, checkpoint.state.last);
        let active = Chunk::new(u32::try_from(checkpoint.firsts.len()).unwrap_or(u32::MAX), before);
        View {
            closed: false,
            state: checkpoint.state,
            end: checkpoint.location,
            firsts: checkpoint.firsts,
            waiting: VecDeque::new(),
            active,
            uncovered: false,
        }
    }

    /// Fails once the store is closed.
    pub(super) fn open(&self) -> Result<&Self> {
        if self.closed {
            Err(Error::Closed("its store was closed"))
        } else {
            Ok(self)
        }
    }

    /// Chunks in memory, newest first.
    pub(super) fn tail(&self) -> impl Iterator<Item = &Chunk> {
        std::iter::once(&self.active).chain(self.waiting.iter().rev().map(Arc::as_ref))
    }
}

/// The content of a checkpoint after a chunk that ends with a group: the location, the group, and the changes of the state since
/// the previous checkpoint.
struct Covered {
    location: Location,
    mark: Mark,
    changes: Changes,
}

/// A complete chunk on its way to the index.
struct Job {
    chunk: Arc<Chunk>,
    covered: Option<Arc<Covered>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Units whose last rows are to be loaded when the indexer has nothing else to do.
    wanted: Vec<Unit>,
    stop: bool,
    failed: Option<Fault>,
}

/// The parts of an open store that outlive a call.
pub(super) struct Core {
    pub(super) segments: Segments,
    pub(super) index: Index,
    pub(super) view: RwLock<View>,
    /// Loaded when first needed.
    filter: RwLock<Option<Filter>>,
    /// The last rows of units that are searched often.
    pub(super) known: RwLock<KnownUnits>,
    /// The memory of an indexed chunk, reused for the next one, because allocating fresh pages costs more than filling them.
    spare: Mutex<Option<Chunk>>,
    /// Rows after which a chunk ends, at the end of its current group.
    chunk_rows: usize,
    /// Slabs for which the next checkpoint removes the terms of the single chunks.
    merged: Mutex<Vec<u32>>,
    queue: Mutex<Queue>,
    broken: AtomicBool,
    /// Notified when a job comes, a job is done, or the indexer should stop.
    bell: Condvar,
}

impl Core {
    pub(super) fn new(segments: Segments, index: Index, checkpoint: Checkpoint, chunk_rows: usize) -> Self {
        // The previous run may have ended after a merge, before the merged terms were removed.
        let merged = (u32::try_from(checkpoint.firsts.len()).unwrap_or(0) / COLUMNS).checked_sub(1);
        Core {
            segments,
            index,
            view: RwLock::new(View::new(checkpoint)),
            filter: RwLock::new(None),
            known: RwLock::default(),
            spare: Mutex::new(None),
            chunk_rows: chunk_rows.clamp(1, MAX_ROWS),
            merged: Mutex::new(merged.into_iter().collect()),
            queue: Mutex::new(Queue::default()),
            broken: AtomicBool::new(false),
            bell: Condvar::new(),
        }
    }

    /// Adds a durable row to the current chunk.
    pub(super) fn add(&self, view: &mut View, added: &Added, location: Location, bytes: u64, terms: &[Term]) {
        if view.active.rows.len() >= MAX_ROWS {
            self.seal(view, None);
            view.uncovered = true;
        }
        if view.active.rows.is_empty() {
            // Chunks of one size do not fragment the memory, and pages that are not used are never touched.
            view.active.reserve((self.chunk_rows + SPARE_ROWS).min(MAX_ROWS));
        }
        view.active.push(added, location, bytes, terms);
    }

    /// Ends a group, and with it the current chunk if that has enough rows.
    pub(super) fn end_group(&self, view: &mut View, location: Location, mark: Mark) {
        view.end = location;
        view.active.file();
        let full = view.active.rows.len() >= self.chunk_rows || view.active.bytes >= CHUNK_BYTES;
        if full || view.uncovered {
            view.uncovered = false;
            let changes = view.state.take_changes();
            self.seal(view, Some(Covered { location, mark, changes }));
        }
    }

    /// Hands the current chunk to the indexer and begins the next.
    fn seal(&self, view: &mut View, covered: Option<Covered>) {
        let (number, before) = (view.active.number + 1, view.active.end());
        let mut next = self.spare.lock().take().unwrap_or_else(|| Chunk::new(number, before));
        (next.number, next.before) = (number, before);
        view.active.file();
        let chunk = Arc::new(std::mem::replace(&mut view.active, next));
        view.waiting.push_back(chunk.clone());
        self.queue.lock().jobs.push_back(Job { chunk, covered: covered.map(Arc::new) });
        self.bell.notify_all();
    }

    /// Waits until the index has caught up enough for another chunk to begin. The caller must not hold the view's lock.
    pub(super) fn admit(&self) -> Result<()> {
        let mut queue = self.queue.lock();
        while queue.jobs.len() >= MAX_WAITING && queue.failed.is_none() {
            self.bell.wait(&mut queue);
        }
        match &queue.failed {
            Some(fault) => Err(self.faulty(fault)),
            None => Ok(()),
        }
    }

    /// Waits until the index has everything it should.
    pub(super) fn settle(&self) -> Result<()> {
        let mut queue = self.queue.lock();
        while !queue.jobs.is_empty() && queue.failed.is_none() && !queue.stop {
            self.bell.wait(&mut queue);
        }
        queue.failed.as_ref().map_or(Ok(()), |fault| Err(self.faulty(fault)))
    }

    /// Gives back memory and descriptors of a store that is closed.
    pub(super) fn release(&self) {
        {
            let mut view = self.view.write();
            view.state = RecordedState::default();
            (view.firsts, view.waiting) = (Vec::new(), VecDeque::new());
            view.active = Chunk::new(u32::MAX, (Position::START, Key::default()));
        }
        self.segments.release();
        *self.filter.write() = None;
        *self.known.write() = KnownUnits::default();
        *self.spare.lock() = None;
        self.queue.lock().jobs.clear();
    }

    /// Tells the indexer to finish the waiting chunks and stop.
    pub(super) fn stop(&self) {
        self.queue.lock().stop = true;
        self.bell.notify_all();
    }

    /// The indexer's thread.
    pub(super) fn run_indexer(&self) {
        // Loads the filter before anybody asks for an old key.
        let loaded = self.load_filter(|_| ());
        if let Err(fault) = loaded {
            self.queue.lock().failed.get_or_insert(fault);
            self.broken.store(true, Ordering::Release);
        }
        loop {
            let job = {
                let mut queue = self.queue.lock();
                while queue.jobs.is_empty() && !queue.stop {
                    match queue.wanted.pop() {
                        Some(unit) => MutexGuard::unlocked(&mut queue, || self.know(unit)),
                        None => self.bell.wait(&mut queue),
                    }
                }
                if queue.failed.is_some() {
                    self.bell.notify_all();
                    return;
                }
                match queue.jobs.front() {
                    Some(job) => Job { chunk: job.chunk.clone(), covered: job.covered.clone() },
                    None => return,
                }
            };
            let done = self.index_chunk(&job);
            let mut queue = self.queue.lock();
            match done {
                Ok(()) => drop(queue.jobs.pop_front()),
                // The chunk stays in memory, so reads still work; commits are refused.
                Err(fault) => {
                    queue.failed = Some(fault);
                    self.broken.store(true, Ordering::Release);
                }
            }
            drop(queue);
            if let Some(mut chunk) = Arc::into_inner(job.chunk) {
                chunk.clear();
                let old = self.spare.lock().replace(chunk);
                drop(old);
            }
            self.bell.notify_all();
        }
    }

    /// Counts a look-up of a unit in the index, and has the unit's last rows loaded when it is searched often.
    pub(super) fn ask(&self, unit: Unit) {
        if self.known.write().ask(unit) {
            self.queue.lock().wanted.push(unit);
            self.bell.notify_all();
        }
    }

    /// Loads the last rows of a unit into memory. An error of the index is ignored here: the next search reports it.
    fn know(&self, unit: Unit) {
        if let Ok(rows) = self.index.last_rows(unit) {
            self.known.write().insert(unit, rows);
        }
    }

    fn index_chunk(&self, job: &Job) -> std::result::Result<(), Fault> {
        let Job { chunk, covered } = job;
        let pieces = chunk.pieces(&self.segments.store);
        let mut pairs = chunk.encode(&pieces);
        for (number, piece) in pieces.iter().enumerate() {
            // One piece at a time, so that readers wait only for a piece. Until the chunk is indexed, its keys are found in the
            // chunk itself.
            let mut filter = self.filter.write();
            let filter = filter.get_or_insert_with(Filter::default);
            piece.iter().for_each(|(hash, _)| filter.insert(chunk.number, number, *hash));
        }
        let completes = (chunk.number + 1).is_multiple_of(COLUMNS);
        if completes {
            // They are not read before the next checkpoint counts this chunk. They are written in steps, because all together take
            // 20 MB.
            for first in (0..SLAB_ENTRIES).step_by(SLAB_STEP) {
                let (slab, parts) = (chunk.number / COLUMNS, first..(first + SLAB_STEP).min(SLAB_ENTRIES));
                self.index.write(self.load_filter(|filter| slab_entries(filter, slab, parts))?, Vec::new())?;
            }
            self.index.merge_terms(chunk.number / COLUMNS, chunk.terms.sorted())?;
            if self.known.read().is_in_use() {
                self.know(Unit::Slab(chunk.number / COLUMNS));
            }
        }
        let mut gone = Vec::new();
        if !completes {
            let unit = Unit::Chunk(chunk.number);
            let runs = chunk.terms.sorted();
            if self.known.read().is_in_use() {
                let mut found = LastRowsBuilder::default();
                runs.iter().for_each(|run| found.push(run.term, run.last));
                self.known.write().insert(unit, found.finish());
            }
            let (blocks, stale) = self.index.chunk_blocks(unit, runs.into_iter())?;
            pairs.extend(blocks);
            gone = stale;
        }
        if let Some(covered) = covered {
            // Not before a checkpoint counts the slab and readers use it.
            for slab in std::mem::take(&mut *self.merged.lock()) {
                for chunk in Unit::Slab(slab).first()..Unit::Slab(slab).end() {
                    gone.extend(self.index.block_keys(Unit::Chunk(chunk))?);
                }
            }
            let Covered { location, mark, changes } = covered.as_ref();
            let mut firsts = self.view.read().firsts.clone();
            firsts.push(chunk.before.0);
            gone.extend(checkpoint_entries(&self.segments.store, &firsts, (*location, *mark), changes, &mut pairs));
        }
        self.index.write(pairs, gone)?;
        if (chunk.number + 1).is_multiple_of(FLUSH_EVERY) {
            self.index.flush()?;
        }
        let mut view = self.view.write();
        view.firsts.push(chunk.before.0);
        view.waiting.pop_front();
        drop(view);
        if completes {
            self.merged.lock().push(chunk.number / COLUMNS);
        }
        Ok(())
    }

    /// Calls `call` with the filter of all indexed chunks.
    pub(super) fn with_filter<T>(&self, call: impl FnOnce(&Filter) -> T) -> Result<T> {
        self.load_filter(call).map_err(|fault| self.faulty(&fault))
    }

    fn load_filter<T>(&self, call: impl FnOnce(&Filter) -> T) -> std::result::Result<T, Fault> {
        if let Some(filter) = self.filter.read().as_ref() {
            return Ok(call(filter));
        }
        let mut filter = self.filter.write();
        if filter.is_none() {
            let chunks = u32::try_from(self.view.read().firsts.len()).unwrap_or(u32::MAX);
            *filter = Some(self.index.filter(chunks)?);
        }
        Ok(call(filter.get_or_insert_with(Filter::default)))
    }

    /// Turns a fault of the index into an error. The index is reopened before it is used again, and rebuilt if its content is
    /// wrong.
    pub(super) fn faulty(&self, fault: &Fault) -> Error {
        self.broken.store(true, Ordering::Release);
        let dir = self.segments.disk.index_dir(&self.segments.dir);
        match fault {
            Fault::Closed => Error::Closed("its store was closed"),
            Fault::System(error) => {
                Error::Storage { action: "use the index in".into(), path: Some(dir), source: error.clone() }
            }
            Fault::Content(detail) => {
                // If this fails, too, the next opening tries the index as it is.
                let _ = self.segments.disk.create(&self.segments.dir.join(REBUILD));
                let detail = format!("{detail} (the log is intact: its index is rebuilt when it is used next)");
                Error::damaged_file(&dir, None, detail)
            }
        }
    }

    /// Whether the index has failed, so that this core cannot be used any more.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}
