//! The log without a network: hashing, planning, appending to memory, taking nodes from a peer.

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::sync::Arc;

use common::{chain, in_memory, open, value};
use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use hyperemitter::hyperlog::plan::Planner;
use hyperemitter::hyperlog::{AckKind, Append, SourceId};
use hyperemitter::node::{key_of, Digest, Key};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::StoreState;

/// Events per group, as in a busy emitter.
const GROUP: usize = 1024;

fn hashing(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash");
    for size in [38, 250, 4096] {
        let payload = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("key of {size} bytes and one link"), |b| {
            b.iter(|| key_of(black_box(&[Key([7; 32])]), black_box(&payload)));
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("digest of one entry", |b| {
        b.iter(|| black_box(Digest([1; 32])).extend(black_box(&Key([2; 32]))));
    });
    group.finish();
}

fn planning(c: &mut Criterion) {
    let mut group = c.benchmark_group("plan");
    group.throughput(Throughput::Elements(GROUP as u64));
    let value = value("a payload of thirty-eight bytes, so so", 1);
    group.bench_function("append", |b| {
        let mut planner = Planner::new("local".into(), &StoreState::default());
        b.iter(|| {
            for _ in 0..GROUP {
                black_box(planner.append(value.clone()));
            }
            planner.hand_over();
        });
    });
    group.finish();
}

fn appending(c: &mut Criterion) {
    let mut group = c.benchmark_group("memory log");
    group.throughput(Throughput::Elements(GROUP as u64));
    for (size, name) in [(38, "append 38 bytes"), (4096, "append 4 KiB")] {
        let event = Append { payload: vec![b'x'; size].into(), ack: AckKind::Node, ..common::event("userAdded", "") };
        group.bench_function(name, |b| {
            b.iter_batched(
                || (in_memory(), vec![event.clone(); GROUP]),
                |((log, heard), appends)| {
                    log.append(appends);
                    (log, heard)
                },
                BatchSize::LargeInput,
            );
        });
    }
    let nodes = chain("peer", GROUP as u64);
    group.bench_function("add from a peer", |b| {
        b.iter_batched(
            || (open(Arc::new(MemoryStore::new())), nodes.clone()),
            |((log, heard), nodes)| {
                drop(log.add(SourceId(1), nodes));
                (log, heard)
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, hashing, planning, appending);
criterion_main!(benches);
