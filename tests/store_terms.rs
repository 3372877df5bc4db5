//! Searches by name and tag: their results, whatever happens to the index, and their cost.
//!
//! `HYPER_TERM_STEPS=100000` is the long form.

// Helpers of tests panic by design.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]

mod store_support;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use hyperemitter::event::{encode_tagged, put_tag, Encoding, ID_LEN};
use hyperemitter::node::{key_of, Digest, Key, Links, LogId, Node};
use hyperemitter::query::{Filter, Item, Query};
use hyperemitter::store::conformance::{compare_searches, random_event, Model, Random};
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Commit, NewRow, Order, ReadLimit, Span, Store};
use store_support::counted::Counted;
use tempfile::TempDir;

fn steps(short: usize) -> usize {
    std::env::var("HYPER_TERM_STEPS").map_or(short, |steps| steps.parse().expect("HYPER_TERM_STEPS is a number"))
}

/// Chunks of some twenty rows, so that a short test fills slabs of 32.
fn small() -> EmbeddedOptions {
    EmbeddedOptions { segment_size: 16 * 1024, chunk_rows: 20, ..EmbeddedOptions::default() }
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(path, &small(), &mut |_, _| {}).unwrap()
}

/// Adds a commit of a few events, some of them further entries.
fn commit(model: &mut Model, random: &mut Random) -> Commit {
    for _ in 0..1 + random.below(8) {
        let unique = model.rows().len() as u64;
        if unique > 0 && random.once_in(15) {
            model.duplicate("b", 1 + random.draw() % model.end().change);
        } else {
            let value = random_event(random, unique, 8);
            model.append_next(["a", "b"][random.below(2)], value);
        }
    }
    model.take()
}

/// Commits, searches, closing and opening again, with and without its index, in any order.
#[test]
fn whatever_happens_to_the_index_searches_find_what_a_scan_does() {
    let folder = TempDir::new().unwrap();
    let (mut model, mut random) = (Model::new(), Random(20_261_128));
    let mut store = open(folder.path());
    let memory = MemoryStore::new();
    for step in 0..steps(400) {
        let commit = commit(&mut model, &mut random);
        store.commit(&commit).unwrap();
        memory.commit(&commit).unwrap();
        if step % 40 == 39 {
            compare_searches(&store, model.rows(), &mut random, 4);
            compare_searches(&memory, model.rows(), &mut random, 2);
            store.check(&mut |_, _| {}).unwrap();
        }
        if random.once_in(60) {
            store.close().unwrap();
            drop(store);
            if random.once_in(3) {
                std::fs::remove_dir_all(folder.path().join("index")).unwrap();
            }
            store = open(folder.path());
            assert!(store.opening().cut.is_none());
            compare_searches(&store, model.rows(), &mut random, 4);
        }
    }
    assert!(model.rows().len() > 33 * 20, "no slab was complete");
}

/// While chunks become indexed and slabs complete, a search misses nothing that was stored before it began.
#[test]
fn searches_miss_nothing_while_the_index_grows() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let filter = Filter::of(Query::new(vec![item(&[], &["wanted"])]).unwrap());
    let stored = std::sync::atomic::AtomicU64::new(0);
    let done = AtomicBool::new(false);
    let mut rows = Rows::new();
    std::thread::scope(|scope| {
        for order in [Order::Up, Order::Down] {
            let (store, filter, stored, done) = (&store, &filter, &stored, &done);
            scope.spawn(move || {
                while !done.load(Ordering::SeqCst) {
                    let least = stored.load(Ordering::SeqCst);
                    let changes = all(store, filter, order);
                    assert!(changes.len() as u64 >= least, "{} of {least} found, {order:?}", changes.len());
                    let sorted =
                        if order == Order::Up { changes.is_sorted() } else { changes.iter().rev().is_sorted() };
                    assert!(sorted && changes.iter().all(|change| change % 10 == 0), "{changes:?}");
                }
            });
        }
        for number in 1..=2000_u64 {
            let tags: &[&str] = if number % 10 == 0 { &["wanted"] } else { &["other"] };
            store.commit(&rows.commit(&[("name", tags)])).unwrap();
            stored.store(number / 10, Ordering::SeqCst);
        }
        done.store(true, Ordering::SeqCst);
    });
    assert_eq!(all(&store, &filter, Order::Up).len(), 200);
}

/// What is searched often is kept in memory as soon as it is indexed. Each run of three events has a name and a tag of its own, so
/// that no other event leads a search to them.
#[test]
fn what_is_known_of_chunks_and_slabs_hides_no_event() {
    let folder = TempDir::new().unwrap();
    let store = open(folder.path());
    let (mut rows, mut random) = (Rows::new(), Random(19));
    for number in 1..=2400_u64 {
        let own = ((number - 1) / 3).to_string();
        store.commit(&rows.commit(&[(&own, &[&own])])).unwrap();
        for order in [Order::Up, Order::Down] {
            let run = random.draw() % number.div_ceil(3);
            let after = 3 * run + random.draw() % 4;
            let expected: Vec<u64> = (after + 1..=number.min(3 * run + 3)).collect();
            let text = run.to_string();
            let wanted = if random.once_in(2) { item(&[&text], &[]) } else { item(&[], &[&text]) };
            let filter = Filter::of(Query::new(vec![wanted]).unwrap());
            let mut found = all_of(&store, &filter, Span { after, until: u64::MAX }, order);
            found.sort_unstable();
            assert_eq!(found, expected, "of run {run} after {after}, {order:?}, at {number}");
        }
    }
}

fn item(names: &[&str], tags: &[&str]) -> Item {
    let texts = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect();
    Item { names: texts(names), tags: texts(tags) }
}

/// Changes of all that a search finds.
fn all(store: &dyn Store, filter: &Filter, order: Order) -> Vec<u64> {
    all_of(store, filter, Span::ALL, order)
}

/// The same in a span.
fn all_of(store: &dyn Store, filter: &Filter, mut rest: Span, order: Order) -> Vec<u64> {
    let mut changes = Vec::new();
    loop {
        let found = store.search(filter, rest, order, ReadLimit { rows: 64, bytes: 1 << 20 }).unwrap();
        changes.extend(found.rows.iter().map(|row| row.at.change));
        if found.done {
            return changes;
        }
        rest = found.rest;
    }
}

/// Rows of one log with names and tags as asked.
struct Rows {
    log: LogId,
    change: u64,
    last: Option<Key>,
    digest: Digest,
}

impl Rows {
    fn new() -> Self {
        Rows { log: Arc::from("cjld2cjxh0000qzrmn831i7rn"), change: 0, last: None, digest: Digest::default() }
    }

    fn commit<T: AsRef<str>>(&mut self, events: &[(&str, &[T])]) -> Commit {
        let rows = events.iter().map(|(name, tags)| {
            self.change += 1;
            let (mut value, mut encoded) = (Vec::new(), Vec::new());
            tags.iter().for_each(|tag| put_tag(&mut encoded, tag.as_ref()));
            let payload = [&self.change.to_le_bytes()[..], &[7; 30]].concat();
            encode_tagged(&mut value, name, &payload, &[5; ID_LEN], 1_790_000_000_000, Encoding::V1, &encoded);
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

/// A store of `events` events. Every thousandth has the name `rare` and the tag `rare`; all have one of 10,000 tags.
fn filled(path: &Path, disk: &Counted, events: u64, tagged: bool) -> EmbeddedStore {
    let options = EmbeddedOptions { chunk_rows: 1000, disk: Arc::new(disk.clone()), ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(path, &options, &mut |_, _| {}).unwrap();
    let mut rows = Rows::new();
    for group in 0..events / 500 {
        let tags: Vec<Vec<String>> = (0..500_u64)
            .map(|row| {
                let number = group * 500 + row;
                let rare = (number % 1000 == 999).then(|| "rare".to_owned());
                if tagged {
                    rare.into_iter().chain([format!("tag:{}", number * 7919 % 10_000)]).collect()
                } else {
                    Vec::new()
                }
            })
            .collect();
        let name = |row: usize| if (group * 500) as usize % 1000 + row == 999 { "rare" } else { "common" };
        let events: Vec<(&str, &[String])> =
            tags.iter().enumerate().map(|(row, tags)| (name(row), &tags[..])).collect();
        store.commit(&rows.commit(&events)).unwrap();
    }
    store
}

/// The cost of a search depends on its matches: a few look-ups in the index for each slab, and some kilobytes of the log for each
/// match.
#[test]
fn a_search_costs_what_its_matches_do() {
    let costs = |events: u64| {
        let (folder, disk) = (TempDir::new().unwrap(), Counted::default());
        let store = filled(folder.path(), &disk, events, true);
        store.close().unwrap();
        let options = EmbeddedOptions { chunk_rows: 1000, disk: Arc::new(disk.clone()), ..EmbeddedOptions::default() };
        let store = EmbeddedStore::open(folder.path(), &options, &mut |_, _| {}).unwrap();
        // The filter of keys is loaded in the background after opening; a look-up waits for it, so that its reads are not counted.
        store.locate(&[Key::default()]).unwrap();
        let cost = |items: Vec<Item>, span: Span, order, rows| {
            let (index, log) = (store.index_reads(), disk.read.load(Ordering::Relaxed));
            let filter = Filter::of(Query::new(items).unwrap());
            let found = store.search(&filter, span, order, ReadLimit { rows, bytes: 1 << 20 }).unwrap();
            (found.rows.len(), store.index_reads() - index, disk.read.load(Ordering::Relaxed) - log)
        };
        let last_20 = Span { after: events - 20_000, until: u64::MAX };
        [
            cost(vec![item(&["rare"], &[])], last_20, Order::Up, 1000),
            cost(vec![item(&[], &["rare"])], last_20, Order::Up, 1000),
            cost(vec![item(&["rare", "common"], &["rare"])], last_20, Order::Up, 1000),
            cost(vec![item(&["common"], &["tag:7919"])], Span::ALL, Order::Down, 1),
            cost(vec![item(&[], &["never"])], Span::ALL, Order::Up, 1),
        ]
    };
    let [few, many] = [40_000, 200_000].map(costs);
    println!("matches, looks into the index, bytes of the log: {few:?}, {many:?}");
    for ((found, index, log), (again, more_index, more_log)) in few.into_iter().zip(many).take(3) {
        assert_eq!((found, again), (20, 20));
        // A place and a block each, and a block per chunk or slab and term.
        assert!(index <= 40 + 3 * 32 && more_index <= 40 + 3 * 40, "{index}, {more_index}");
        assert!(log <= 21 * 8192 && more_log <= 21 * 8192, "{log}, {more_log}");
    }
    for ((_, index, _), (found, more_index, more_log)) in few.into_iter().zip(many).skip(3) {
        // Once for each slab, twice at the most, and once for each chunk of the last.
        assert!(index <= 3 + 2 * 32 && more_index <= 20 + 2 * 32, "{index}, {more_index}");
        assert!(more_log <= 8192 * found as u64, "{more_log}");
    }
}

/// Chunks and slabs that are searched often answer without the index that no event has a tag, or that no event after a change has
/// it.
#[test]
fn what_is_not_there_costs_no_look_into_the_index() {
    let (folder, disk) = (TempDir::new().unwrap(), Counted::default());
    // Enough for one slab, some indexed chunks, and a chunk in memory.
    let events = 40_000;
    drop(filled(folder.path(), &disk, events, true));
    let options = EmbeddedOptions { chunk_rows: 1000, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(folder.path(), &options, &mut |_, _| {}).unwrap();
    let reads = |tag: &str, after: u64| {
        let before = store.index_reads();
        let filter = Filter::of(Query::new(vec![item(&[], &[tag])]).unwrap());
        let span = Span { after, until: u64::MAX };
        let found = store.search(&filter, span, Order::Up, ReadLimit { rows: 1, bytes: 1 << 20 }).unwrap();
        (found.rows.len(), store.index_reads() - before)
    };
    let (found, index) = reads("never", 0);
    assert!(found == 0 && index >= 2, "at first each chunk and slab is asked: {index}");
    // The last rows are loaded in the background, for each unit after some look-ups.
    // Another tag each time: one in a hundred is looked up in a unit although it is not there.
    let is_known = (0..).any(|number| {
        std::thread::yield_now();
        reads(&format!("absent:{number}"), 0).1 == 0
    });
    assert!(is_known);
    let asked: u64 = (0..1000).map(|number| reads(&format!("new:{number}"), 0).1).sum();
    assert!(asked < 150, "{asked} looks for a thousand tags that nothing has");
    // There are 10,000 tags, and the last event with each of them is among the last 10,000 events.
    let asked: u64 = (0..1000)
        .map(|number| {
            let last = (events - 10_000..events).rev().find(|event| event * 7919 % 10_000 == number * 10).unwrap();
            let (found, index) = reads(&format!("tag:{}", number * 10), last + 1);
            assert_eq!(found, 0);
            index
        })
        .sum();
    assert!(asked < 150, "{asked} looks for a thousand tags that nothing has had since");
    let found: usize = (0..100).map(|number| reads(&format!("tag:{number}"), events - 10_000).0).sum();
    assert_eq!(found, 100, "and what is there is found");
}
