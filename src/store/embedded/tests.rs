//! The embedded store on a real folder: conformance, and what only it promises.

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
        assert_eq!(store.opening(), &Opening::default());
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
