//! The store on a database in memory that behaves like a Level database.

mod database;
mod layout_vectors;
mod old;
mod turns;

use std::sync::Arc;

use super::*;
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
fn a_store_that_mangles_bytes_is_refused_before_it_mangles_an_event() {
    let database = Arc::new(Database::default());
    database.set_text_only();
    let error = LevelStore::open(Arc::new(database.connect()), &mut |_, _| {}).err().unwrap();
    assert_eq!(error.code(), "ERR_HYPER_INVALID_ARG");
}
