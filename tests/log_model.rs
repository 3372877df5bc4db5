//! Batches, conditions, ids and queries of several threads, compared with a plain list.
//!
//! `HYPER_MODEL_STEPS=100000` is the long form.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use common::level_database::LevelDatabase;
use common::model::{random_query, Answers, Model, Plain};
use common::*;
use hyperemitter::event::Encoding;
use hyperemitter::hyperlog::verify::verify;
use hyperemitter::hyperlog::{AckKind, Batch, Log, SourceId};
use hyperemitter::query::{Filter, Query};
use hyperemitter::store::conformance::Random;
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::level::LevelStore;
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Order, Position, ReadLimit, Span, Store};
use parking_lot::Mutex;
use tempfile::TempDir;

const PEER: SourceId = SourceId(1);

/// Threads that append, and threads that search at the same time.
const CALLERS: usize = 3;
const READERS: u64 = 2;

/// Most appends before all answers are compared and the store may be opened again.
const MOST_IN_FLIGHT: usize = 400;

/// Searches of each reader meanwhile.
const SEARCHES: usize = 15;

/// A chunk has one event for so many steps of the whole test.
const STEPS_PER_CHUNK: usize = 75;

/// Where a log is kept.
enum Medium {
    Memory,
    Folder(TempDir),
    Level(Arc<LevelDatabase>),
}

impl Medium {
    /// Chunks are so small that most of a folder's log is in its index, in several slabs.
    fn open(&self, steps: usize) -> Arc<dyn Store> {
        match self {
            Medium::Memory => Arc::new(MemoryStore::new()),
            Medium::Folder(folder) => {
                let options =
                    EmbeddedOptions { chunk_rows: (steps / STEPS_PER_CHUNK).max(1), ..EmbeddedOptions::default() };
                Arc::new(EmbeddedStore::open(folder.path(), &options, &mut |_, _| {}).unwrap())
            }
            Medium::Level(database) => Arc::new(LevelStore::open(database.clone(), &mut |_, _| {}).unwrap()),
        }
    }

    fn remove_index(&self) {
        match self {
            Medium::Memory => {}
            Medium::Folder(folder) => std::fs::remove_dir_all(folder.path().join("index")).unwrap(),
            Medium::Level(database) => database.remove_terms(),
        }
    }
}

/// What the callers share. Under one lock, so that the order of their calls is known.
struct Calls {
    random: Random,
    model: Model,
    expected: Answers,
    /// Steps before the next comparison.
    left: usize,
    peer: Arc<Log>,
    /// Events of the peer that the log has been offered.
    brought: usize,
}

impl Calls {
    fn step(&mut self, log: &Log) {
        if self.random.once_in(10) {
            let events = self.model.random_events(&mut self.random);
            let mut batch = Batch::default();
            for Plain { name, payload, tags } in &events {
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                batch.push_tagged(&(**name).into(), payload.as_bytes(), &tags, Encoding::V1, AckKind::Node).unwrap();
            }
            batch.make_whole().unwrap();
            self.peer.append(batch);
            let after = Position::of(self.brought as u64);
            let nodes: Vec<_> = self.peer.read(after, ALL).unwrap().iter().map(incoming).collect();
            self.brought += nodes.len();
            // Later appends are planned after these nodes, also without waiting for the answer.
            drop(log.add(PEER, nodes));
            self.model.push(events);
        } else {
            let (batch, answers) = self.model.append(&mut self.random);
            log.append(batch);
            self.expected.extend(answers);
        }
    }
}

/// Searches until all is found.
fn search(log: &Log, query: &Query, span: Span, order: Order, limit: ReadLimit) -> Vec<(u64, Plain)> {
    let (mut rest, mut all) = (span, Vec::new());
    loop {
        let found = log.search(&Filter::of(query.clone()), rest, order, limit).unwrap();
        all.extend(found.rows.iter().map(|row| (row.at.change, Plain::of(row))));
        if found.done || found.rest.is_empty() {
            return all;
        }
        rest = found.rest;
    }
}

fn compare_search(log: &Log, calls: &Mutex<Calls>, random: &mut Random) {
    let query = random_query(random);
    // What is stored later does not change the answer.
    let until = log.end().change;
    // Mostly short spans, because long ones cost much.
    let longest = 1 << (4 + random.below(14));
    let span = Span { after: until.saturating_sub(random.draw() % longest), until };
    let order = if random.once_in(2) { Order::Up } else { Order::Down };
    let limit = ReadLimit { rows: 1 + random.below(100), bytes: 1 << (8 + random.below(12)) };
    let found = search(log, &query, span, order, limit);
    let calls = calls.lock();
    let wanted = calls.model.find(&query, span.after, span.until);
    let mut wanted: Vec<_> = wanted.map(|change| (change, calls.model.events[change as usize - 1].clone())).collect();
    if order == Order::Down {
        wanted.reverse();
    }
    assert!(found == wanted, "{query:?} in {span:?}, {order:?}, {limit:?}: {found:?}, not {wanted:?}");
}

/// Compares the rows after change `known` with the model; returns the number of all rows.
fn compare_rows(log: &Log, model: &Model, mut known: usize) -> usize {
    loop {
        let rows = log.read(Position::of(known as u64), ALL).unwrap();
        let end = known + rows.len();
        let stored = rows.iter().map(Plain::of);
        assert!(
            stored.eq(model.events[known..end].iter().cloned()),
            "events {known} to {end} are not those of the model"
        );
        known = end;
        if rows.is_empty() {
            assert_eq!(known, model.events.len());
            return known;
        }
    }
}

/// Returns how often the store was opened.
fn compare(medium: &Medium, steps: usize) -> usize {
    let (peer, _) = in_memory();
    let calls =
        Calls { random: Random(17), model: Model::default(), expected: Answers::new(), left: 0, peer, brought: 0 };
    let calls = Mutex::new(calls);
    let (mut done, mut known, mut opened) = (0, 0, 0);
    while done < steps {
        let (log, heard) = open(medium.open(steps));
        opened += 1;
        let writer = log.clone();
        let writer = std::thread::spawn(move || writer.run());
        loop {
            let left = (1 + calls.lock().random.below(MOST_IN_FLIGHT)).min(steps - done);
            calls.lock().left = left;
            let calling = AtomicBool::new(true);
            std::thread::scope(|scope| {
                let callers: Vec<_> = (0..CALLERS)
                    .map(|_| {
                        scope.spawn(|| loop {
                            let mut calls = calls.lock();
                            if calls.left == 0 {
                                return;
                            }
                            calls.left -= 1;
                            calls.step(&log);
                        })
                    })
                    .collect();
                for reader in 0..READERS {
                    let (calls, log, calling) = (&calls, &log, &calling);
                    let mut random = Random(done as u64 * READERS + reader);
                    scope.spawn(move || {
                        for search in 0.. {
                            // At least one once all has been called.
                            let last = !calling.load(Ordering::SeqCst);
                            compare_search(log, calls, &mut random);
                            if last || search == SEARCHES {
                                return;
                            }
                        }
                    });
                }
                callers.into_iter().for_each(|caller| caller.join().unwrap());
                calling.store(false, Ordering::SeqCst);
            });
            done += left;
            let mut calls = calls.lock();
            heard.wait_for(calls.expected.len());
            assert_eq!(heard.take(), std::mem::take(&mut calls.expected), "before step {done}");
            known = compare_rows(&log, &calls.model, known);
            if done >= steps || !matches!(medium, Medium::Memory) && calls.random.once_in(3) {
                break;
            }
        }
        if done >= steps {
            compare_rows(&log, &calls.lock().model, 0);
            verify(log.store().as_ref(), &mut |_, _| {}).unwrap();
        }
        log.close();
        writer.join().unwrap();
        log.store().close().unwrap();
        if calls.lock().random.once_in(3) {
            medium.remove_index();
        }
    }
    opened
}

fn steps() -> usize {
    std::env::var("HYPER_MODEL_STEPS").map_or(1_500, |steps| steps.parse().expect("HYPER_MODEL_STEPS is a number"))
}

#[test]
fn a_log_in_memory_does_what_a_plain_list_would() {
    assert_eq!(compare(&Medium::Memory, steps()), 1);
}

#[test]
fn a_log_in_a_folder_does_what_a_plain_list_would() {
    let opened = compare(&Medium::Folder(tempfile::tempdir().unwrap()), steps());
    assert!(opened > 1, "it was never opened again");
}

#[test]
fn a_log_in_a_level_database_does_what_a_plain_list_would() {
    let opened = compare(&Medium::Level(Arc::default()), steps());
    assert!(opened > 1, "it was never opened again");
}
