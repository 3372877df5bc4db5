//! The cost of work, in bytes, with growing stores: only the log itself may grow with the log.

// Helpers of tests panic by design.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod store_support;

use std::sync::atomic::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use hyperemitter::node::{key_of, Digest, Key, Links, LogId, Node};
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::{Commit, NewRow, Store};
use store_support::counted::Counted;
use tempfile::TempDir;

/// Bytes of the log ids in this test.
const ID: usize = 200;

/// Appends rows, each with links of its own.
struct Rows {
    change: u64,
}

impl Rows {
    fn row(&mut self, log: &LogId, seq: u64, digest: &mut Digest, links: &[Key]) -> (NewRow, Key) {
        self.change += 1;
        let (links, value) = (Links::from_slice(links), Bytes::copy_from_slice(&self.change.to_le_bytes()));
        let key = key_of(&links, &value);
        *digest = digest.extend(&key);
        let node = Node { key, change: self.change, log: log.clone(), seq, links, value, signed: None };
        (NewRow::first(node.into(), *digest, Default::default()), key)
    }
}

/// Makes a store with `logs` logs, each with an id of `ID` bytes and its own head, and then `commits` commits of one row. Returns
/// the average bytes written per commit, and the store's number of segments.
fn cost_of_a_commit(logs: u64, commits: u64) -> (u64, usize) {
    let folder = TempDir::new().unwrap();
    let disk = Counted::default();
    let options = EmbeddedOptions { segment_size: 64 << 10, chunk_rows: 2000, disk: Arc::new(disk.clone()) };
    let open = || EmbeddedStore::open(folder.path(), &options, &mut |_, _| {}).unwrap();
    let store = open();
    let mut rows = Rows { change: 0 };
    let ids: Vec<LogId> = (0..logs).map(|log| LogId::from(format!("{log:0>ID$}"))).collect();
    for ids in ids.chunks(1000) {
        let row = |log| rows.row(log, 1, &mut Digest::default(), &[]).0;
        store.commit(&Commit { rows: ids.iter().map(row).collect(), ..Commit::default() }).unwrap();
    }
    let segments = || std::fs::read_dir(folder.path()).unwrap().count();
    let (before, own) = (segments(), LogId::from("own"));
    let written = disk.written.load(Ordering::Relaxed);
    let (mut digest, mut last) = (Digest::default(), None);
    for seq in 1..=commits {
        let (row, key) = rows.row(&own, seq, &mut digest, last.as_slice());
        last = Some(key);
        store.commit(&Commit { rows: vec![row], ..Commit::default() }).unwrap();
    }
    let cost = (disk.written.load(Ordering::Relaxed) - written) / commits;
    let made = segments() - before;
    store.close().unwrap();
    let store = open();
    let state = store.state().unwrap();
    assert_eq!((state.logs.len() as u64, state.heads.len() as u64), (logs + 1, logs + 1));
    store.check(&mut |_, _| {}).unwrap();
    (cost, made)
}

#[test]
fn a_commit_costs_the_same_however_many_logs_and_heads_there_are() {
    let costs: Vec<(u64, usize)> = [500, 5_000, 20_000].map(|logs| cost_of_a_commit(logs, 1000)).to_vec();
    println!("bytes per commit, segments: {costs:?}");
    // 90 bytes of group, the zeros ahead, and a segment's beginning now and then.
    assert!(costs.iter().all(|(bytes, segments)| *bytes < 512 && *segments <= 4), "{costs:?}");
}

/// A link to a node other than the one before costs its hash, so that reading a row never requires another row.
#[test]
fn a_link_costs_its_hash() {
    let bytes_per_row = |links: usize| {
        let folder = TempDir::new().unwrap();
        let store = EmbeddedStore::open(folder.path(), &EmbeddedOptions::default(), &mut |_, _| {}).unwrap();
        let (mut rows, mut digest, log) = (Rows { change: 0 }, Digest::default(), LogId::from("log"));
        let mut keys: Vec<Key> = Vec::new();
        let mut add = |seq, links: &[Key]| {
            let (row, key) = rows.row(&log, seq, &mut digest, links);
            store.commit(&Commit { rows: vec![row], ..Commit::default() }).unwrap();
            key
        };
        (1..=100).for_each(|seq| keys.push(add(seq, &[])));
        let before = store.sizes().unwrap().data;
        for seq in 101..=200 {
            let last = keys.len();
            let links = keys[last - links..].to_vec();
            keys.push(add(seq, &links));
        }
        (store.sizes().unwrap().data - before) / 100
    };
    let [one, sixteen] = [1, 16].map(bytes_per_row);
    println!("bytes of a commit of one row: {one} with one link, {sixteen} with sixteen");
    assert!(one < 80 && sixteen <= one + 16 * 32 + 4, "{one}, {sixteen}");
}
