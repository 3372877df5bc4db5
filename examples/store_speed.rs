//! Compares the embedded store with a plain file, on the disk of the given folder.
//!
//! `cargo run --release --no-default-features --example store_speed [rows] [folder]` — a million rows by default.
//! Both sides write the same bytes per event in the same groups, one fdatasync per group.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyperemitter::node::{key_of, Digest, Key, Links, LogId, Node};
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::{Commit, NewRow, Position, ReadLimit, Store};

/// A 38-byte payload in its container: name, unique id, time.
const VALUE_LEN: usize = 74;

struct Source {
    log: LogId,
    change: u64,
    last: Option<Key>,
    digest: Digest,
}

impl Source {
    fn new() -> Self {
        Source { log: Arc::from("cjld2cjxh0000qzrmn831i7rn"), change: 0, last: None, digest: Digest::default() }
    }

    /// Continues after what a store holds.
    fn behind(store: &dyn Store) -> Self {
        let state = store.state().unwrap();
        let last = state.heads.last().map(|head| head.key);
        Source { change: state.end.change, last, digest: state.logs[0].digest, log: state.logs[0].log.clone() }
    }

    fn commit(&mut self, rows: usize) -> Commit {
        let rows = (0..rows).map(|_| {
            self.change += 1;
            let mut value = vec![7; VALUE_LEN];
            value[..8].copy_from_slice(&self.change.to_le_bytes());
            let links: Links = self.last.into_iter().collect();
            let key = key_of(&links, &value);
            self.last = Some(key);
            self.digest = self.digest.extend(&key);
            let (log, change, value) = (self.log.clone(), self.change, value.into());
            let node = Node { key, change, log, seq: change, links, value, signed: None };
            NewRow::first(node.into(), self.digest, Default::default())
        });
        Commit { rows: rows.collect(), ..Commit::default() }
    }
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, &EmbeddedOptions::default(), &mut |_, _| {}).unwrap()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Resident memory of this process, in MB.
fn rss() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

fn files(path: &Path) -> u64 {
    let mut bytes = 0;
    for entry in fs::read_dir(path).unwrap().flatten() {
        let meta = entry.metadata().unwrap();
        bytes += if meta.is_dir() { files(&entry.path()) } else { meta.len() };
    }
    bytes
}

/// Appends groups to a store and to a plain file in turn, so that a slow moment of the disk affects both.
fn side_by_side(folder: &Path, group: usize, groups: usize, rounds: usize) {
    let (mut ours, mut plain) = (Vec::new(), Vec::new());
    let path = folder.join(format!("group-{group}"));
    let store = open(&path);
    let mut source = Source::new();
    // What the store writes per row, without the frame of the group.
    let bytes = vec![1_u8; group * (VALUE_LEN + 42)];
    let mut file = File::create(folder.join(format!("plain-{group}"))).unwrap();
    for round in 0..=rounds {
        let commits: Vec<Commit> = (0..groups).map(|_| source.commit(group)).collect();
        let start = Instant::now();
        commits.iter().for_each(|commit| store.commit(commit).unwrap());
        let mine = start.elapsed();
        let start = Instant::now();
        for _ in 0..groups {
            file.write_all(&bytes).unwrap();
            file.sync_data().unwrap();
        }
        // The first round warms up.
        if round > 0 {
            ours.push(mine);
            plain.push(start.elapsed());
        }
    }
    let rows = (group * groups) as f64;
    let (ours, plain) = (median(ours).as_secs_f64(), median(plain).as_secs_f64());
    println!(
        "group {group:5}: store {:9.0} rows/s, plain file {:9.0} rows/s, ratio {:.2}",
        rows / ours,
        rows / plain,
        plain / ours
    );
}

fn main() {
    let rows: usize = std::env::args().nth(1).map_or(1_000_000, |rows| rows.parse().unwrap());
    let base = std::env::args().nth(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = base.join(format!("store-speed-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    println!("memory at start: {:.0} MB", rss());
    for (group, groups) in [(1, 2000), (16, 500), (256, 100), (1024, 40), (4096, 10)] {
        side_by_side(&folder, group, groups, 7);
    }
    let path = folder.join("large");
    let store = open(&path);
    let mut source = Source::new();
    let (mut spent, mut slowest) = (Duration::ZERO, Duration::ZERO);
    while source.change < rows as u64 {
        let commit = source.commit(1024.min(rows - source.change as usize));
        let start = Instant::now();
        store.commit(&commit).unwrap();
        spent += start.elapsed();
        slowest = slowest.max(start.elapsed());
    }
    println!(
        "{rows} rows in groups of 1024: {:.0} rows/s, slowest commit {slowest:?}, memory {:.0} MB",
        rows as f64 / spent.as_secs_f64(),
        rss()
    );
    let start = Instant::now();
    store.close().unwrap();
    println!("close: {:?}", start.elapsed());
    drop(store);
    println!(
        "disk: {:.1} bytes per row (value {VALUE_LEN} + key 32), index {:.1}",
        files(&path) as f64 / rows as f64,
        files(&path.join("index")) as f64 / rows as f64
    );
    let times = (0..5).map(|_| {
        let start = Instant::now();
        let store = open(&path);
        let opened = start.elapsed();
        drop(store);
        opened
    });
    println!("reopen: {:?}", median(times.collect()));
    let store = open(&path);
    println!("memory after reopen: {:.0} MB", rss());
    let start = Instant::now();
    let (mut after, mut read) = (Position::START, 0);
    loop {
        let part = store.read(after, ReadLimit { rows: 1024, bytes: 1 << 20 }).unwrap();
        let Some(last) = part.last() else { break };
        after = last.at;
        read += black_box(&part).len();
    }
    println!(
        "sequential read: {:.2} M rows/s, memory {:.0} MB",
        read as f64 / start.elapsed().as_secs_f64() / 1e6,
        rss()
    );
    let absent: Vec<Key> = (0..200_000_u32).map(|n| key_of(&[], &n.to_le_bytes())).collect();
    let start = Instant::now();
    assert!(store.locate(&absent).unwrap().iter().all(Option::is_none));
    println!("absent key: {:.0} ns", start.elapsed().as_nanos() as f64 / absent.len() as f64);
    let mut some = Vec::new();
    for step in 0..2000 {
        let after = Position::of((step * 7919 * 31) % rows as u64);
        some.extend(store.read(after, ReadLimit { rows: 1, bytes: 1 }).unwrap().first().map(|row| row.node.key));
    }
    let start = Instant::now();
    assert!(store.locate(&some).unwrap().iter().all(Option::is_some));
    println!("old key: {:.1} µs", start.elapsed().as_micros() as f64 / some.len() as f64);
    let start = Instant::now();
    some.iter().for_each(|key| drop(black_box(store.node(key).unwrap())));
    println!("old node: {:.1} µs", start.elapsed().as_micros() as f64 / some.len() as f64);
    let log = source.log.clone();
    let start = Instant::now();
    for n in 0..500 {
        black_box(store.digest(&log, 1 + n * 7919 % rows as u64).unwrap());
    }
    println!("old digest: {:.0} µs", start.elapsed().as_micros() as f64 / 500.0);
    let mut source = Source::behind(&store);
    let start = Instant::now();
    store.commit(&source.commit(1)).unwrap();
    println!("first commit after reopen: {:?}", start.elapsed());
    drop(store);
    fs::remove_dir_all(path.join("index")).unwrap();
    let start = Instant::now();
    let store = open(&path);
    println!("reopen with the index to be made anew: {:?}, memory {:.0} MB", start.elapsed(), rss());
    let start = Instant::now();
    store.check(&mut |_, _| {}).unwrap();
    println!("check: {:?}", start.elapsed());
    drop(store);
    fs::remove_dir_all(&folder).unwrap();
}
