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
