//! The cost of replication without the log: frames, messages, batches, and a whole catch-up through two sessions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "measured code is not the product"
)]
#![allow(missing_docs, reason = "Criterion's macros write undocumented items")]

use std::hint::black_box;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use criterion::{criterion_group, criterion_main, BatchSize, Criterion, Throughput};
use hyperemitter::error::Error;
use hyperemitter::event::reason_unsafe_for_v1;
use hyperemitter::hyperlog::branch_digest::digest_between;
use hyperemitter::hyperlog::{Ack, Log, LogObserver, LogOptions, SourceId};
use hyperemitter::node::LogId;
use hyperemitter::protocol::batch::{BatchReader, BatchWriter};
use hyperemitter::protocol::message::{Message, WireNode};
use hyperemitter::protocol::{frame, Config, Found, InEvent, Incoming, Lookup, OutEvent, Session};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Position, ReadLimit, Row};

/// Events per measured run.
const EVENTS: u64 = 1_000;

struct Quiet;

impl LogObserver for Quiet {
    fn acks(&self, _: Vec<Ack>) {}
    fn advanced(&self) {}
    fn log_id_changed(&self, _: &LogId) {}
    fn report(&self, _: Error) {}
}

fn log() -> Arc<Log> {
    Log::open(Arc::new(MemoryStore::new()), LogOptions::default(), Arc::new(Quiet)).unwrap()
}

/// A log of `EVENTS` events of 100 bytes, each caused by the one before.
fn full_log() -> Arc<Log> {
    let log = log();
    for seq in 1..=EVENTS {
        let links = log.heads().unwrap().iter().map(|head| head.key).collect();
        let mut value = b"\x0a\x01e\x12\x5e".to_vec();
        value.resize(99, 0);
        value.extend_from_slice(&seq.to_le_bytes());
        let node = Incoming { log: "writer".into(), seq, links, value: value.into(), signed: None, claimed: None };
        log.add(SourceId(0), vec![node]).try_recv().unwrap().unwrap();
    }
    log
}

fn rows(log: &Log) -> Vec<Row> {
    log.read(Position::START, ReadLimit { rows: usize::MAX, bytes: usize::MAX }).unwrap()
}

fn node_frames(rows: &[Row]) -> BytesMut {
    let mut out = BytesMut::new();
    for row in rows {
        Message::Node(WireNode {
            change: row.node.change,
            key: Some(row.node.key),
            log: row.log(),
            seq: row.seq(),
            identity: None,
            signature: None,
            value: &row.node.value,
            links: row.node.links.clone(),
        })
        .encode(&mut out);
    }
    out
}

struct Side {
    log: Arc<Log>,
    session: Session,
    input: BytesMut,
}

impl Side {
    fn new(log: Arc<Log>, dialled: bool, extension: bool) -> Self {
        let mut config = Config::new(dialled, reason_unsafe_for_v1);
        config.extension = extension;
        Side { log, session: Session::new(config), input: BytesMut::new() }
    }

    /// Handles `event` and all its consequences on this side. `out` receives what goes to the other side.
    fn handle(&mut self, event: InEvent, now: u64, out: &mut Vec<Bytes>) {
        let mut next = vec![event];
        while let Some(event) = next.pop() {
            self.session.handle(event, now, &*self.log);
            while let Some(event) = self.session.poll() {
                match event {
                    OutEvent::Send(bytes) => out.push(bytes),
                    OutEvent::Read { after, limit } => next.push(InEvent::Rows(self.log.read(after, limit))),
                    OutEvent::Add(nodes) => {
                        next.push(InEvent::Added(self.log.add(SourceId(1), nodes).try_recv().unwrap()));
                    }
                    OutEvent::Lookup(queries) => {
                        let replies = queries.iter().map(|query| match query {
                            Lookup::Digest(log, seq) => Found::Digest(self.log.digest_at(log, *seq).unwrap()),
                            Lookup::DigestBetween(log, from, to) => {
                                Found::Digest(digest_between(self.log.store().as_ref(), log, *from, *to).unwrap())
                            }
                            Lookup::Entry(log, seq) => Found::Entry(self.log.entry(log, *seq).unwrap()),
                        });
                        next.push(InEvent::LookedUp(Ok(replies.collect())));
                    }
                    OutEvent::Met(..) | OutEvent::Twin(_) | OutEvent::ForkLocal { .. } => panic!("{event:?}"),
                    OutEvent::Report(_) | OutEvent::Close(_) => panic!("{event:?}"),
                }
            }
        }
    }
}

/// Lets an empty log catch up with `full`.
fn catch_up(full: &Arc<Log>, extension: bool) {
    let mut sides = [Side::new(full.clone(), true, extension), Side::new(log(), false, extension)];
    let mut now = 0;
    let mut wires = [Vec::new(), Vec::new()];
    for (side, wire) in sides.iter_mut().zip(&mut wires) {
        side.handle(InEvent::Opened, now, wire);
    }
    while sides[1].log.end().change < EVENTS {
        now += 1;
        for index in 0..2 {
            let sent = std::mem::take(&mut wires[index]);
            let other = &mut sides[1 - index];
            let wire = &mut wires[1 - index];
            for bytes in sent {
                other.input.extend_from_slice(&bytes);
            }
            while let Some(frame) = frame::split(&mut other.input, frame::MAX_FRAME_LEN).unwrap() {
                other.handle(InEvent::Frame(frame), now, wire);
            }
            other.handle(InEvent::Idle, now, wire);
        }
    }
}

fn benches(criterion: &mut Criterion) {
    let full = full_log();
    let rows = rows(&full);
    let stream = node_frames(&rows);
    let mut group = criterion.benchmark_group("session");
    group.throughput(Throughput::Elements(EVENTS));
    group.bench_function("encode 1.x nodes", |bencher| bencher.iter(|| black_box(node_frames(&rows))));
    group.bench_function("split and decode 1.x nodes", |bencher| {
        bencher.iter_batched(
            || stream.clone(),
            |mut input| {
                while let Some(frame) = frame::split(&mut input, frame::MAX_FRAME_LEN).unwrap() {
                    black_box(Message::decode(&frame).unwrap());
                }
            },
            BatchSize::SmallInput,
        );
    });
    let batch = |rows: &[Row]| {
        let mut writer = BatchWriter::default();
        rows.iter().for_each(|row| writer.push(row));
        writer.finish().freeze()
    };
    group.bench_function("write a batch", |bencher| bencher.iter(|| black_box(batch(&rows))));
    let body = batch(&rows);
    group.bench_function("read a batch", |bencher| {
        bencher.iter(|| black_box(BatchReader::default().read(&body, &body, 0).unwrap()));
    });
    group.bench_function("catch up as 1.x", |bencher| bencher.iter(|| catch_up(&full, false)));
    group.bench_function("catch up as 2.x", |bencher| bencher.iter(|| catch_up(&full, true)));
    group.finish();
    println!("1.x: {} bytes a node, 2.x: {} (values: 107)", stream.len() as u64 / EVENTS, body.len() as u64 / EVENTS);
}

criterion_group!(session, benches);
criterion_main!(session);
