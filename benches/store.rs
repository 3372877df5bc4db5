//! The stores by themselves: commits, sequential reads, look-ups. `cargo bench --no-default-features --bench store`.
//!
//! `examples/store_speed.rs` compares the whole embedded store with a plain file; these benches measure single operations.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)] // a bench

use std::hint::black_box;
use std::sync::Arc;

use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use hyperemitter::node::{key_of, Digest, Key, Links, LogId, Node};
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Commit, NewRow, Position, ReadLimit, Store};

/// A 38-byte payload in its container: name, unique id, time.
const VALUE_LEN: usize = 74;

/// Makes commits of a single log.
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

    fn commit(&mut self, rows: usize) -> Commit {
        let rows = (0..rows).map(|_| {
            self.change += 1;
            let mut value = vec![7; VALUE_LEN];
            value.iter_mut().zip(self.change.to_le_bytes()).for_each(|(byte, id)| *byte = id);
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

/// Each kind of store, with the folder it needs.
fn stores() -> Vec<(&'static str, Box<dyn Store>, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let embedded = EmbeddedStore::open(folder.path(), &EmbeddedOptions::default(), &mut |_, _| {}).unwrap();
    vec![("memory", Box::new(MemoryStore::new()), None), ("embedded", Box::new(embedded), Some(folder))]
}

fn commits(criterion: &mut Criterion) {
    for rows in [1, 1024] {
        let mut group = criterion.benchmark_group(format!("commit {rows}"));
        group.throughput(Throughput::Elements(rows as u64)).sample_size(20);
        for (name, store, _folder) in stores() {
            let mut source = Source::new();
            let run = |commit: Commit| store.commit(&commit).unwrap();
            // One at a time: commits must come in order.
            group
                .bench_function(name, |bench| bench.iter_batched(|| source.commit(rows), run, BatchSize::PerIteration));
        }
        group.finish();
    }
}

fn reads(criterion: &mut Criterion) {
    const ROWS: usize = 200_000;
    for (name, store, _folder) in stores() {
        let mut source = Source::new();
        let mut keys = Vec::new();
        for _ in 0..ROWS / 1000 {
            let commit = source.commit(1000);
            keys.extend(commit.rows.first().map(|row| *row.key()));
            store.commit(&commit).unwrap();
        }
        let mut group = criterion.benchmark_group(name);
        group.sample_size(20);
        group.bench_function("read 1024 rows", |bench| {
            let mut after = Position::START;
            bench.iter(|| {
                let rows = store.read(after, ReadLimit { rows: 1024, bytes: 1 << 20 }).unwrap();
                after = rows.last().filter(|row| row.at.change < ROWS as u64).map_or(Position::START, |row| row.at);
                rows
            });
        });
        let mut turn = (0..keys.len()).cycle();
        group.bench_function("node by key", |bench| {
            bench.iter(|| turn.next().and_then(|index| keys.get(index)).map(|key| store.node(key).unwrap()));
        });
        let absent: Vec<Key> = (0..1000_u32).map(|n| key_of(&[], &n.to_le_bytes())).collect();
        group.bench_function("locate 1000 absent keys", |bench| {
            bench.iter(|| black_box(store.locate(&absent).unwrap()));
        });
        let mut seq = 0_u64;
        group.bench_function("digest", |bench| {
            bench.iter(|| {
                seq = (seq + 7919) % ROWS as u64;
                store.digest(&source.log, seq).unwrap()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, commits, reads);
criterion_main!(benches);
