//! Closing and reopening the store of a medium.

use std::sync::Arc;

use super::model::{compare, Model};
use super::Medium;
use crate::store::Store;

/// Closes the store and opens it again, on media that keep what was stored.
pub(super) fn reopen(medium: &dyn Medium, store: Arc<dyn Store>) -> Arc<dyn Store> {
    if !medium.keeps() {
        return store;
    }
    store.close().unwrap();
    drop(store);
    medium.open()
}

/// Compares now and after closing and opening again.
pub(super) fn compare_reopened(medium: &dyn Medium, store: Arc<dyn Store>, model: &Model) -> Arc<dyn Store> {
    compare(store.as_ref(), model);
    let store = reopen(medium, store);
    compare(store.as_ref(), model);
    store
}
