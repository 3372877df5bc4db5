//! A store that fails on demand, and can pretend to need a writer thread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyperemitter::error::{Error, Result};
use hyperemitter::node::{Digest, Key, LogId, Node, Seq};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Commit, Entry, Located, Meta, Position, Progress, ReadLimit, Row, Sizes, Store, StoreState};
use parking_lot::{Condvar, Mutex};

type OnCommit = Box<dyn FnMut(usize) -> bool + Send>;

#[derive(Default)]
pub struct Flaky {
    pub inner: MemoryStore,
    /// Commits fail.
    pub failing: AtomicBool,
    /// How many further calls of `state` fail.
    pub stateless: AtomicUsize,
    /// The error with which reading rows fails.
    pub unreadable: Mutex<Option<Error>>,
    /// Calls of `read` that failed.
    pub misread: Mutex<usize>,
    pub misread_again: Condvar,
    pub waits: bool,
    /// Whether the largest possible change is already in use.
    pub full: bool,
    /// Called when a node is looked up.
    pub on_node: Mutex<Option<Box<dyn FnMut() + Send>>>,
    /// Called when nodes are located.
    pub on_locate: Mutex<Option<Box<dyn FnMut() + Send>>>,
    /// The number of a commit that is stored, but reported as failed.
    pub lost_answer: AtomicUsize,
    /// Called by each commit with its number, from 1; it fails if this says `false`.
    pub on_commit: Mutex<Option<OnCommit>>,
    pub commits: AtomicUsize,
}

pub fn out_of_order() -> Error {
    Error::ForeignStore("out of order".into())
}

impl Flaky {
    /// Waits until this many reads have failed.
    pub fn wait_misread(&self, times: usize) {
        let mut misread = self.misread.lock();
        while *misread < times {
            let waited = self.misread_again.wait_for(&mut misread, Duration::from_secs(20));
            assert!(!waited.timed_out(), "{misread} of {times} reads");
        }
    }
}

impl Store for Flaky {
    fn state(&self) -> Result<StoreState> {
        let left = self.stateless.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match left {
            Ok(_) => Err(out_of_order()),
            Err(_) if self.full => Ok(StoreState { end: Position::of(u64::MAX), ..self.inner.state()? }),
            Err(_) => self.inner.state(),
        }
    }
    fn locate(&self, keys: &[Key]) -> Result<Vec<Option<Located>>> {
        if let Some(on_locate) = &mut *self.on_locate.lock() {
            on_locate();
        }
        self.inner.locate(keys)
    }
    fn node(&self, key: &Key) -> Result<Option<Node>> {
        if let Some(on_node) = &mut *self.on_node.lock() {
            on_node();
        }
        self.inner.node(key)
    }
    fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        self.inner.entry(log, seq)
    }
    fn digest(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>> {
        self.inner.digest(log, seq)
    }
    fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        if let Some(error) = &*self.unreadable.lock() {
            *self.misread.lock() += 1;
            self.misread_again.notify_all();
            return Err(error.clone());
        }
        self.inner.read(after, limit)
    }
    fn commit(&self, commit: &Commit) -> Result<()> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        let passes = self.on_commit.lock().as_mut().is_none_or(|on_commit| on_commit(number));
        if self.failing.load(Ordering::SeqCst) || !passes {
            return Err(out_of_order());
        }
        self.inner.commit(commit)?;
        if self.lost_answer.load(Ordering::SeqCst) == number {
            return Err(out_of_order());
        }
        Ok(())
    }
    fn meta(&self, key: &Meta) -> Result<Option<Bytes>> {
        self.inner.meta(key)
    }

    fn consumer_records(&self) -> Result<Vec<(Meta, Bytes)>> {
        self.inner.consumer_records()
    }
    fn sizes(&self) -> Result<Sizes> {
        self.inner.sizes()
    }
    fn check(&self, progress: Progress<'_>) -> Result<()> {
        self.inner.check(progress)
    }
    fn close(&self) -> Result<()> {
        self.inner.close()
    }
    fn is_immediate(&self) -> bool {
        !self.waits
    }
}
