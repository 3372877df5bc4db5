//! The cases. Each begins with an empty medium.

use std::sync::Arc;

use bytes::Bytes;

use super::model::{compare, Model};
use super::random::Random;
use super::random_commit::random_commit;
use super::relabel_cases::{
    a_log_may_be_relabelled_as_a_whole, a_relabel_moves_the_tail_of_a_log, a_relabelled_log_goes_on,
    relabels_that_make_no_sense_are_refused,
};
use super::reopening::{compare_reopened, reopen};
use super::searches::{compare_searches, random_event, random_filter};
use super::{Case, Medium};
use crate::node::{key_of, LogId, Node, Signed};
use crate::row::{Body, NewRow, Position};
use crate::store::{Commit, Meta, Order, ReadLimit, Span, Store, StoreState};

macro_rules! cases {
    ($($name:ident),* $(,)?) => { pub(super) const ALL: &[(&str, Case)] = &[$((stringify!($name), $name)),*]; };
}

cases!(
    a_new_store_is_empty,
    rows_come_back_as_they_were_stored,
    reads_respect_both_limits,
    reads_start_anywhere,
    duplicates_have_places_of_their_own,
    a_node_may_link_within_its_commit,
    heads_are_the_nodes_nothing_links_to,
    signatures_are_kept,
    facts_are_set_and_deleted,
    derived_values_are_set_and_deleted,
    a_commit_that_does_not_continue_changes_nothing,
    a_relabel_moves_the_tail_of_a_log,
    a_relabelled_log_goes_on,
    a_log_may_be_relabelled_as_a_whole,
    relabels_that_make_no_sense_are_refused,
    large_values_are_stored,
    ids_may_be_any_text,
    many_rows_in_one_commit,
    many_small_commits,
    readers_see_whole_commits,
    closing_twice_is_harmless,
    random_histories_match_the_model,
    searches_find_what_a_scan_does,
);

fn a_new_store_is_empty(medium: &dyn Medium) {
    let store = medium.open();
    assert_eq!(store.state().unwrap(), StoreState::default());
    let store = compare_reopened(medium, store, &Model::new());
    store.commit(&Commit::default()).unwrap();
    compare(store.as_ref(), &Model::new());
}

fn rows_come_back_as_they_were_stored(medium: &dyn Medium) {
    let mut store = medium.open();
    let mut model = Model::new();
    for round in 0..5 {
        for index in 0..4 {
            model.append(["a", "b"][index % 2], format!("event {round} {index}"));
        }
        model.append("a", []);
        model.append("b", [0, 255, b'!', b'\n']);
        model.commit(store.as_ref());
        store = compare_reopened(medium, store, &model);
    }
}

fn reads_respect_both_limits(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    for index in 0..20_u8 {
        model.append("a", vec![index; 100]);
    }
    model.commit(store.as_ref());
    let read = |rows, bytes| store.read(Position::START, ReadLimit { rows, bytes }).unwrap().len();
    assert_eq!(read(3, usize::MAX), 3);
    assert_eq!(read(20, usize::MAX), 20);
    assert_eq!(read(usize::MAX, usize::MAX), 20);
    assert_eq!(read(usize::MAX, 500), 5);
    assert_eq!(read(usize::MAX, 599), 5);
    assert_eq!(read(2, 500), 2);
    assert_eq!(read(usize::MAX, 1), 1, "one row larger than the limit is still read");
    assert_eq!(read(usize::MAX, 0), 1);
}

fn reads_start_anywhere(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    for index in 0..50 {
        model.append_next("a", format!("event {index}"));
        if index % 10 == 9 {
            model.commit(store.as_ref());
        }
    }
    let read = |after| store.read(after, ReadLimit { rows: 5, bytes: usize::MAX }).unwrap();
    assert_eq!(read(Position::of(17)), &model.rows()[17..22]);
    assert_eq!(read(Position { change: 17, duplicate: 9 }), &model.rows()[17..22], "a place between two rows");
    assert_eq!(read(Position::of(48)), &model.rows()[48..]);
    assert_eq!(read(Position::of(50)), &[]);
    assert_eq!(read(Position::of(51)), &[]);
    assert_eq!(read(Position { change: u64::MAX, duplicate: u32::MAX }), &[]);
}

fn duplicates_have_places_of_their_own(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    model.append("a", "one");
    model.duplicate("b", 1);
    model.duplicate("c", 1);
    model.append("a", "two");
    model.commit(store.as_ref());
    model.duplicate("b", 2);
    model.commit(store.as_ref());
    model.duplicate("b", 1);
    model.append("b", "three");
    model.duplicate("a", 3);
    model.commit(store.as_ref());
    let store = compare_reopened(medium, store, &model);
    model.duplicate("c", 3);
    model.commit(store.as_ref());
    compare_reopened(medium, store, &model);
}

fn a_node_may_link_within_its_commit(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    let first = model.append_linked("a", &[], "first");
    let second = model.append_linked("b", &[first], "second");
    let third = model.append_linked("a", &[first], "third");
    model.append_linked("c", &[third, second, first], "fourth");
    model.append_linked("c", &[first, first], "the same link twice");
    model.commit(store.as_ref());
    compare_reopened(medium, store, &model);
}

fn heads_are_the_nodes_nothing_links_to(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    for index in 0..30 {
        model.append_linked("a", &[], format!("root {index}"));
    }
    model.commit(store.as_ref());
    assert_eq!(store.state().unwrap().heads.len(), 30);
    let store = compare_reopened(medium, store, &model);
    model.append("b", "joins them all");
    model.commit(store.as_ref());
    assert_eq!(store.state().unwrap().heads.len(), 1);
    compare_reopened(medium, store, &model);
}

fn signatures_are_kept(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    let both = Signed { identity: Some(Bytes::from_static(b"who")), signature: Some(Bytes::from_static(b"")) };
    let one = Signed { identity: None, signature: Some(Bytes::from(vec![7; 300])) };
    model.append_signed("a", &[], "signed", Some(both));
    model.append_signed("a", &[], "half signed", Some(one));
    model.append("a", "not signed");
    model.commit(store.as_ref());
    compare_reopened(medium, store, &model);
}

fn facts_are_set_and_deleted(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    model.set(Meta::LogId, Some(b"cid00001"));
    model.set(Meta::StoreId, Some(b"an emitter"));
    model.set(Meta::Moved, Some(b"3 cid00001"));
    model.set(Meta::Network, Some("städtisch".as_bytes()));
    model.set(Meta::Position(String::new()), Some(b"0"));
    model.set(Meta::Position("mirror".into()), Some(b"17"));
    model.set(Meta::Position("other".into()), Some(b""));
    model.set(Meta::Consumer("mails".into(), 0), Some(b"{}"));
    model.set(Meta::Consumer("mails".into(), u64::MAX), Some(b"{\"attempts\":10}"));
    model.set(Meta::Consumer("a!7".into(), 17), Some(b"done"));
    model.set(Meta::Consumer(String::new(), 0), Some(b""));
    model.set(Meta::OlderLogs, Some(b"3 00 cid00001\n"));
    model.set(Meta::Schemas, Some(b"[]"));
    model.set(Meta::Stuck, Some(b"[{}]"));
    model.set(Meta::Seal("ed25519-x.y".into(), 0), Some(b"5"));
    model.set(Meta::Seal("ed25519-x.y".into(), u64::MAX), Some(&[0xff; 64]));
    model.commit(store.as_ref());
    let store = compare_reopened(medium, store, &model);
    model.set(Meta::Position("mirror".into()), Some(b"18"));
    model.set(Meta::Position("other".into()), None);
    model.set(Meta::Consumer("mails".into(), u64::MAX), None);
    model.set(Meta::Peers, None);
    model.append("a", "with a row");
    model.set(Meta::Peers, Some(b"[]"));
    model.set(Meta::Peers, Some("[{\"address\":\"é\"}]".as_bytes()));
    model.commit(store.as_ref());
    compare_reopened(medium, store, &model);
}

fn derived_values_are_set_and_deleted(medium: &dyn Medium) {
    // A store that keeps nothing keeps no derived values.
    if !medium.keeps() {
        return;
    }
    let store = medium.open();
    let mut model = Model::new();
    model.append("a", "one");
    model.commit(store.as_ref());
    let value = |key: &str, value: &'static str| (key.to_owned(), Some(Bytes::from(value)));
    let keys = |store: &dyn Store, from: &str, to: &str, rows: usize| -> Vec<String> {
        let limit = ReadLimit { rows, bytes: 1 << 20 };
        store.derived_range(from, to, limit).unwrap().into_iter().map(|(key, _)| key).collect()
    };
    assert!(keys(store.as_ref(), "", "~", 9).is_empty());
    store.set_derived(&[value("b", "1"), value("a!é", "2"), value("a!", "3"), value("c\0", "")]).unwrap();
    store.set_derived(&[("b".to_owned(), None), value("a!", "4"), ("none".to_owned(), None)]).unwrap();
    store.set_derived(&[]).unwrap();
    let store = compare_reopened(medium, store, &model);
    let asked = ["c\0", "b", "a!é", "a!"].map(String::from);
    let found = ["", "-", "2", "4"].map(|value| Some(Bytes::from(value)).filter(|value| value != "-"));
    assert_eq!(store.derived(&asked).unwrap(), found);
    assert_eq!(keys(store.as_ref(), "", "~", 9), ["a!", "a!é", "c\0"]);
    assert_eq!(keys(store.as_ref(), "a!", "b", 9), ["a!", "a!é"], "the end does not belong to it");
    assert_eq!(keys(store.as_ref(), "a!\0", "~", 1), ["a!é"]);
    store.close().unwrap();
    assert!(store.derived(&asked).is_err());
}

fn a_commit_that_does_not_continue_changes_nothing(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    model.append("a", "one");
    model.duplicate("b", 1);
    model.append("a", "two");
    model.commit(store.as_ref());
    let mut next = model.clone();
    next.set(Meta::Peers, Some(b"not stored"));
    next.append("a", "three");
    next.append("c", "four");
    next.duplicate("b", 2);
    let good = next.take();
    let replace = |row: &mut NewRow, change: &dyn Fn(&mut Node)| {
        let mut node = Node::clone(row.node().unwrap());
        change(&mut node);
        row.body = Body::Node(node.into());
    };
    let key = model.state().heads[0].key;
    let again = |change, seq| Body::Duplicate { change, key, log: Arc::from("b"), seq };
    let spoil: [&dyn Fn(&mut Commit); 9] = [
        &|commit| commit.rows[0].at = Position::of(2),
        &|commit| commit.rows[1].at = Position::of(9),
        &|commit| commit.rows[2].at.duplicate = 2,
        &|commit| replace(&mut commit.rows[0], &|node| node.seq = 2),
        &|commit| replace(&mut commit.rows[0], &|node| node.change = 2),
        &|commit| replace(&mut commit.rows[0], &|node| node.log = Arc::from("d")),
        &|commit| commit.rows[2].body = again(2, 3),
        &|commit| commit.rows[2].body = again(99, 2),
        &|commit| drop(commit.rows.remove(0)),
    ];
    for (index, spoil) in spoil.iter().enumerate() {
        let mut commit = good.clone();
        spoil(&mut commit);
        let error = store.commit(&commit).unwrap_err();
        assert_eq!(error.code(), "ERR_HYPER_CONFLICT", "variant {index}: {error}");
        compare(store.as_ref(), &model);
    }
    store.commit(&good).unwrap();
    compare_reopened(medium, store, &next);
}

fn large_values_are_stored(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    for len in [0, 1, 127, 128, 16_383, 16_384, 65_535, 1 << 20, 5 << 20] {
        let value: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
        model.append("a", value);
        model.append("a", format!("behind {len}"));
    }
    model.commit(store.as_ref());
    model.append("a", vec![1; 3 << 20]);
    model.commit(store.as_ref());
    compare_reopened(medium, store, &model);
}

fn ids_may_be_any_text(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    for id in ["x", "ÿ", "日本語", "with space", "\u{10FFFF}", "a\u{0}b", &"long".repeat(200)] {
        model.append(id, format!("of {id}"));
        model.append(id, format!("again {id}"));
        model.set(Meta::Position(id.to_owned()), Some(id.as_bytes()));
    }
    model.commit(store.as_ref());
    compare_reopened(medium, store, &model);
}

fn many_rows_in_one_commit(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    for index in 0..3000 {
        model.append_next("a", format!("event {index}"));
    }
    model.commit(store.as_ref());
    compare_reopened(medium, store, &model);
}

fn many_small_commits(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    for index in 0..400 {
        model.append_next(["a", "b", "c"][index % 3], format!("event {index}"));
        model.commit(store.as_ref());
    }
    compare_reopened(medium, store, &model);
}

/// While commits of four rows are stored, a reader that continues from its last position never misses a row, and only whole commits
/// are visible.
fn readers_see_whole_commits(medium: &dyn Medium) {
    let store = medium.open();
    let commits = 200;
    let mut model = Model::new();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let store = store.clone();
            scope.spawn(move || {
                let (mut after, mut seen) = (Position::START, 0);
                while seen < commits * 4 {
                    let end = store.state().unwrap().end;
                    assert_eq!(end.change % 4, 0, "part of a commit is visible");
                    let rows = store.read(after, ReadLimit { rows: 100, bytes: usize::MAX }).unwrap();
                    for row in &rows {
                        assert_eq!(row.at.change, after.change + 1, "rows without gaps");
                        assert_eq!(row.node.key, key_of(&row.node.links, &row.node.value));
                        after = row.at;
                    }
                    assert!(!rows.is_empty() || end <= after || store.state().unwrap().end == end);
                    seen += rows.len();
                    std::thread::yield_now();
                }
            });
        }
        for commit in 0..commits {
            for row in 0..4 {
                model.append_next("a", format!("event {commit} {row}"));
            }
            model.commit(store.as_ref());
        }
    });
    compare_reopened(medium, store, &model);
}

fn closing_twice_is_harmless(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    let key = model.append("a", "one");
    model.commit(store.as_ref());
    store.close().unwrap();
    store.close().unwrap();
    let log: LogId = Arc::from("a");
    let limit = ReadLimit { rows: 1, bytes: 1 };
    model.append("a", "two");
    let errors = [
        store.state().map(drop),
        store.locate(&[key]).map(drop),
        store.node(&key).map(drop),
        store.entry(&log, 1).map(drop),
        store.digest(&log, 1).map(drop),
        store.read(Position::START, limit).map(drop),
        store.commit(&model.take()),
        store.meta(&Meta::LogId).map(drop),
        store.search(&random_filter(&mut Random(1)), Span::ALL, Order::Up, limit).map(drop),
        store.of_request(b"request").map(drop),
        store.last_position().map(drop),
        store.sizes().map(drop),
        store.check(&mut |_, _| {}),
    ];
    for (index, error) in errors.into_iter().enumerate() {
        assert_eq!(error.unwrap_err().code(), "ERR_HYPER_CLOSED", "method {index}");
    }
}

fn random_histories_match_the_model(medium: &dyn Medium) {
    let mut store = medium.open();
    let mut model = Model::new();
    let mut random = Random(0x1CE_C0DE);
    for round in 0..60 {
        random_commit(&mut model, &mut random);
        model.commit(store.as_ref());
        if round % 15 == 14 {
            store = compare_reopened(medium, store, &model);
        }
    }
}

/// There are enough rows that a search takes several steps, and that an index has several parts.
fn searches_find_what_a_scan_does(medium: &dyn Medium) {
    let mut store = medium.open();
    let mut model = Model::new();
    let mut random = Random(0x5EA_2C4);
    for round in 0..12_u64 {
        for row in 0..200 {
            let value = random_event(&mut random, round << 16 | row, 8);
            if row > 0 && random.once_in(50) {
                model.duplicate("b", 1 + random.draw() % model.end().change);
            } else {
                model.append_next(["a", "b"][random.below(2)], value);
            }
        }
        model.commit(store.as_ref());
        if round % 4 == 3 {
            store = reopen(medium, store);
        }
        compare_searches(store.as_ref(), model.rows(), &mut random, 8);
    }
}
