//! A slow store that can fail, on top of one in memory.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hyperemitter::error::{Error, Result};
use hyperemitter::node::{Digest, Key, LogId, Node, Seq};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Commit, Entry, Located, Meta, Position, Progress, ReadLimit, Row, Sizes, Store, StoreState};

#[derive(Default)]
pub struct Sluggish {
    inner: MemoryStore,
    /// What each commit takes.
    commit_takes: Duration,
    /// Whether commits fail.
    pub broken: AtomicBool,
    pub commits: AtomicU64,
    pub reads: AtomicU64,
}

impl Sluggish {
    /// A store whose commits take this long.
    pub fn new(commit_takes: Duration) -> Sluggish {
        Sluggish { commit_takes, ..Sluggish::default() }
    }
}

impl Store for Sluggish {
    fn commit(&self, commit: &Commit) -> Result<()> {
        std::thread::sleep(self.commit_takes);
        self.commits.fetch_add(1, Ordering::Relaxed);
        if self.broken.load(Ordering::Relaxed) {
            return Err(Error::storage("writing a test", std::io::Error::other("the disk is full")));
        }
        self.inner.commit(commit)
    }
    fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read(after, limit)
    }
    fn state(&self) -> Result<StoreState> {
        self.inner.state()
    }
    fn locate(&self, keys: &[Key]) -> Result<Vec<Option<Located>>> {
        self.inner.locate(keys)
    }
    fn node(&self, key: &Key) -> Result<Option<Node>> {
        self.inner.node(key)
    }
    fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        self.inner.entry(log, seq)
    }
    fn digest(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>> {
        self.inner.digest(log, seq)
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
}
