//! The store on a database in memory that behaves like a Level database.

mod database;
mod layout_vectors;
mod old;
mod turns;

use std::sync::Arc;

use super::*;
use crate::query::{Item, Query};
use crate::store::conformance::{self, Medium as Conformance};
use database::Database;

pub(super) fn open(database: &Arc<Database>) -> LevelStore {
    LevelStore::open(Arc::new(database.connect()), &mut |_, _| {}).unwrap()
}

struct Kept(Arc<Database>);

impl Conformance for Kept {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(open(&self.0))
    }
}

#[test]
fn passes_the_suite_of_every_store() {
    conformance::run(&|| Box::new(Kept(Arc::default())));
}

#[test]
fn the_number_of_events_that_a_search_would_read_first_is_known() {
    let database = Arc::new(Database::default());
    let store = open(&database);
    let (mut model, mut random) = (conformance::Model::new(), conformance::Random(1));
    let mut grow = |store: &LevelStore| {
        for _ in 0..100 {
            conformance::random_commit(&mut model, &mut random);
            model.commit(store);
        }
        store.end().change
    };
    let first = grow(&store);
    assert_eq!(store.unindexed(), first);
    store.prepare_search(&mut |_, _| {}).unwrap();
    assert_eq!(store.unindexed(), 0);
    let second = grow(&store);
    assert_eq!(store.unindexed(), second - first);
    database.fail_next_batch(false);
    store.prepare_search(&mut |_, _| {}).unwrap_err();
    assert_eq!(store.unindexed(), second, "it is not known what was written");
    let query = Query::new(vec![Item { names: vec!["a".into()], tags: Vec::new() }]).unwrap();
    store.search(&Filter::of(query), Span::ALL, Order::Up, ReadLimit { rows: 1, bytes: 1 }).unwrap();
    assert_eq!(store.unindexed(), 0);
}

#[test]
fn a_store_that_mangles_bytes_is_refused_before_it_mangles_an_event() {
    let database = Arc::new(Database::default());
    database.set_text_only();
    let error = LevelStore::open(Arc::new(database.connect()), &mut |_, _| {}).err().unwrap();
    assert_eq!(error.code(), "ERR_HYPER_INVALID_ARG");
}
