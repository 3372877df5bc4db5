use std::sync::Arc;

use super::*;
use crate::store::conformance::{self, random_commit, Medium, Model, Random};

struct Memory;

impl Medium for Memory {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(MemoryStore::new())
    }

    fn keeps(&self) -> bool {
        false
    }
}

#[test]
fn memory_conforms() {
    conformance::run(&|| Box::new(Memory));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(40))]
    #[test]
    fn memory_matches_the_model(seed: u64) {
        let (store, mut model, mut random) = (MemoryStore::new(), Model::new(), Random(seed));
        for _ in 0..25 {
            random_commit(&mut model, &mut random);
            model.commit(&store);
        }
        conformance::compare(&store, &model);
    }
}

#[test]
fn the_links_of_rows_and_the_slots_count_as_their_index() {
    let (store, mut model) = (MemoryStore::new(), Model::new());
    let heads: Vec<_> = (0..10).map(|log| model.append_linked(&format!("log {log}"), &[], "a root")).collect();
    model.commit(&store);
    let before = store.sizes().unwrap();
    assert_eq!(before.data, 10 * "a root".len() as u64);
    model.append_linked("log 0", &heads, "all of them");
    model.commit(&store);
    let after = store.sizes().unwrap();
    assert_eq!(after.data - before.data, "all of them".len() as u64);
    let row = after.index - before.index;
    let links = 10 * size_of::<Key>() as u64;
    assert!(row > links && row < links + 512, "{row} bytes");
    assert!(before.index > 10 * 100);
}
