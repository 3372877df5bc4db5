//! The embedded store in a real folder: conformance, and its own guarantees.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::store::conformance::{self, Medium};

/// Sizes small enough that a short test crosses every boundary.
fn small() -> EmbeddedOptions {
    EmbeddedOptions { segment_size: 4096, chunk_rows: 16, ..EmbeddedOptions::default() }
}

struct Folder(TempDir, EmbeddedOptions);

impl Medium for Folder {
    fn open(&self) -> Arc<dyn Store> {
        let store = EmbeddedStore::open(self.0.path(), &self.1, &mut |_, _| {}).unwrap();
        assert_eq!(store.opening(), &OpeningReport::default());
        Arc::new(store)
    }
}

#[test]
fn embedded_conforms() {
    conformance::run(&|| Box::new(Folder(TempDir::new().unwrap(), EmbeddedOptions::default())));
}

#[test]
fn embedded_conforms_across_segments_and_chunks() {
    conformance::run(&|| Box::new(Folder(TempDir::new().unwrap(), small())));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(6))]
    /// After random commits, closing, and losing the index, the store always holds what the model says.
    #[test]
    fn embedded_matches_the_model(seed: u64) {
        let folder = TempDir::new().unwrap();
        let (mut model, mut random) = (conformance::Model::new(), conformance::Random(seed));
        for _ in 0..4 {
            let store = EmbeddedStore::open(folder.path(), &small(), &mut |_, _| {}).unwrap();
            for _ in 0..8 {
                conformance::random_commit(&mut model, &mut random);
                model.commit(&store);
            }
            conformance::compare(&store, &model);
            drop(store);
            if random.once_in(3) {
                std::fs::remove_dir_all(folder.path().join("index")).unwrap();
            }
        }
        let store = EmbeddedStore::open(folder.path(), &small(), &mut |_, _| {}).unwrap();
        conformance::compare(&store, &model);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(6))]
    /// After random commits, relabels among them, a reader beside the writer always holds what the model says.
    #[test]
    fn a_reader_matches_the_model(seed: u64) {
        let folder = TempDir::new().unwrap();
        let (mut model, mut random) = (conformance::Model::new(), conformance::Random(seed));
        let store = EmbeddedStore::open(folder.path(), &small(), &mut |_, _| {}).unwrap();
        let reader = EmbeddedStore::open_read_only(folder.path(), &small(), &mut |_, _| {}).unwrap();
        for _ in 0..16 {
            conformance::random_commit(&mut model, &mut random);
            model.commit(&store);
            if random.once_in(2) {
                reader.catch_up().unwrap();
                reader.catch_up().unwrap();
                conformance::compare(&reader, &model);
            }
        }
        let late = EmbeddedStore::open_read_only(folder.path(), &small(), &mut |_, _| {}).unwrap();
        conformance::compare(&late, &model);
        late.check(&mut |_, _| {}).unwrap();
    }
}

/// Rows that opening may have to read again.
const MAX_TAIL: usize = 48 << 10;

/// Writes `groups` commits of `rows` nodes each, and finds them again through the index.
fn found_again(groups: u64, rows: u64, options: &EmbeddedOptions) {
    let folder = TempDir::new().unwrap();
    let open = || EmbeddedStore::open(folder.path(), options, &mut |_, _| {}).unwrap();
    let store = open();
    let (mut keys, mut digest, mut digests) = (Vec::<Key>::new(), Digest::default(), Vec::new());
    let log: LogId = Arc::from("a");
    for group in 0..groups {
        let mut commit = Commit::default();
        for row in 0..rows {
            let change = group * rows + row + 1;
            let value = Bytes::copy_from_slice(&change.to_le_bytes());
            let links: crate::node::Links = keys.last().copied().into_iter().collect();
            let key = crate::node::key_of(&links, &value);
            digest = digest.extend(&key);
            keys.push(key);
            digests.push(digest);
            let node = Node { key, change, log: log.clone(), seq: change, links, value, signed: None };
            commit.rows.push(crate::store::NewRow::first(node.into(), digest, Default::default()));
        }
        store.commit(&commit).unwrap();
        // Immediately, before the index has them.
        located(&store, &keys, (group * rows) as usize);
    }
    drop(store);
    let store = open();
    assert_eq!(store.opening(), &OpeningReport::default());
    located(&store, &keys, 0);
    let last = keys.len() - 1;
    for index in (0..keys.len()).step_by(997).chain([65_534, 65_535, 65_536, 65_537].map(|at: usize| at.min(last))) {
        let seq = index as u64 + 1;
        let node = store.node(&keys[index]).unwrap().unwrap();
        assert_eq!(crate::node::key_of(&node.links, &node.value), keys[index]);
        assert_eq!(store.entry(&log, seq).unwrap(), Some(Entry { at: Position::of(seq), key: keys[index] }));
        assert_eq!(store.digest(&log, seq).unwrap(), Some(digests[index]));
        let rows = store.read(Position::of(seq - 1), ReadLimit { rows: 1, bytes: 1 }).unwrap();
        assert_eq!(*rows[0].node, node);
    }
    store.check(&mut |_, _| {}).unwrap();
    assert!(store.core().view.read().active.rows.len() < MAX_TAIL, "opening reads no more than one chunk again");
}

fn located(store: &EmbeddedStore, keys: &[Key], first: usize) {
    for (index, located) in (first..).zip(store.locate(&keys[first..]).unwrap()) {
        assert_eq!(located.map(|located| located.change), Some(index as u64 + 1));
    }
}

#[test]
fn an_index_of_another_version_is_made_anew() {
    let folder = TempDir::new().unwrap();
    let open = || EmbeddedStore::open(folder.path(), &small(), &mut |_, _| {}).unwrap();
    let store = open();
    let mut model = conformance::Model::new();
    for number in 0..100 {
        model.append("a", format!("{number}"));
        model.commit(&store);
    }
    store.close().unwrap();
    let index = index::Index::open(&OsDisk.index_dir(folder.path())).unwrap();
    index.write(vec![index_keys::seal(index_keys::numbered(b's', 0, 0), index.of_version(1))], Vec::new()).unwrap();
    index.close().unwrap();
    let store = open();
    assert!(store.opening().rebuilt.as_ref().is_some_and(|why| why.contains("version")), "{:?}", store.opening());
    conformance::compare(&store, &model);
}

/// What the index knows about the end of the log survives a rebuild of the index.
#[test]
fn an_old_backup_is_reported_at_every_open_until_the_index_is_removed() {
    let folder = TempDir::new().unwrap();
    let open = || EmbeddedStore::open(folder.path(), &small(), &mut |_, _| {});
    let files = |folder: &std::path::Path| {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_file()).collect::<Vec<_>>()
    };
    let write = |model: &mut conformance::Model, rows: u32| {
        let store = open().unwrap();
        for number in 0..rows {
            model.append("a", format!("{number}"));
            model.commit(&store);
        }
        store.close().unwrap();
    };
    let mut model = conformance::Model::new();
    write(&mut model, 10);
    let backup = TempDir::new().unwrap();
    for file in files(folder.path()) {
        std::fs::copy(&file, backup.path().join(file.file_name().unwrap())).unwrap();
    }
    write(&mut model.clone(), 100);
    files(folder.path()).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    for file in files(backup.path()) {
        std::fs::copy(&file, folder.path().join(file.file_name().unwrap())).unwrap();
    }
    for _ in 0..3 {
        let error = open().map(drop).unwrap_err();
        assert_eq!(error.code(), "ERR_HYPER_DAMAGED", "{error}");
    }
    std::fs::remove_dir_all(OsDisk.index_dir(folder.path())).unwrap();
    conformance::compare(&open().unwrap(), &model);
}

/// Rows that are only in the index are found like those in memory.
#[test]
fn forty_thousand_rows_are_found_again_from_the_index() {
    let options = EmbeddedOptions { chunk_rows: 1000, segment_size: 1 << 20, ..EmbeddedOptions::default() };
    found_again(40, 1000, &options);
}

/// A chunk cannot hold more than 65,536 rows, so it ends within the group: without a checkpoint.
#[test]
fn one_commit_may_fill_more_than_a_chunk() {
    found_again(2, 70_000, &EmbeddedOptions::default());
}

/// Stores events with one of `kinds` tags each. Returns the bytes per event that the index needs for terms, including keys.
fn bytes_of_terms(events: u64, kinds: u64, name: impl Fn(u64) -> &'static str) -> f64 {
    let folder = TempDir::new().unwrap();
    let options = EmbeddedOptions { chunk_rows: 1500, ..EmbeddedOptions::default() };
    let store = EmbeddedStore::open(folder.path(), &options, &mut |_, _| {}).unwrap();
    let mut model = conformance::Model::new();
    for number in 1..=events {
        let (mut value, mut tags) = (Vec::new(), Vec::new());
        if kinds > 0 {
            crate::event::put_tag(&mut tags, &format!("order:{}", number * 7919 % kinds));
        }
        let (name, id) = (name(number), [1; crate::event::ID_LEN]);
        let encoding = crate::event::Encoding::V1;
        crate::event::encode_tagged(&mut value, name, &number.to_le_bytes(), &id, number, encoding, &tags);
        model.append_next("a", value);
        if number % 500 == 0 {
            model.commit(&store);
        }
    }
    let core = store.core();
    core.settle().unwrap();
    let [chunks, slabs] = [b"w", b"x"].map(|kind| core.index.db.all_of(kind).unwrap());
    assert!(chunks.len() < 50 * 20 && !slabs.is_empty(), "those of the chunks give way to the slab's");
    let bytes: usize = chunks.iter().chain(&slabs).map(|(key, value)| key.len() + value.len()).sum();
    bytes as f64 / events as f64
}

#[test]
fn a_tag_takes_a_few_bytes_of_the_index_and_a_name_nearly_none() {
    const EVENTS: u64 = 50_000;
    let plain = bytes_of_terms(EVENTS, 0, |_| "added");
    let names = bytes_of_terms(EVENTS, 0, |number| ["added", "moved", "gone"][(number * 31 % 3) as usize]);
    let [unique, common] = [EVENTS, 1000].map(|kinds| bytes_of_terms(EVENTS, kinds, |_| "added"));
    println!("bytes per event: {plain} with one name, {names} with three, {unique} with a tag of its own, {common} with one of 1000");
    assert!(plain < 0.1 && names < 2.0 && unique < 8.0 && common < 5.0);
}
