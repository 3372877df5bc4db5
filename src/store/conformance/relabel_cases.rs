//! The cases in which the tail of a log moves to another log.

use std::sync::Arc;

use super::model::Model;
use super::reopening::compare_reopened;
use super::Medium;
use crate::store::{Commit, Meta, Relabel};

pub(super) fn a_relabel_moves_the_tail_of_a_log(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    for index in 0..10 {
        model.append("a", format!("a{index}"));
        model.append("b", format!("b{index}"));
    }
    model.duplicate("a", 2);
    model.duplicate("b", 1);
    model.commit(store.as_ref());
    model.relabel("a", 6, "a2");
    model.set(Meta::LogId, Some(b"a2"));
    model.commit(store.as_ref());
    assert_eq!(model.seq("a"), 5);
    assert_eq!(model.seq("a2"), 6);
    compare_reopened(medium, store, &model);
}

pub(super) fn a_relabelled_log_goes_on(medium: &dyn Medium) {
    let mut store = medium.open();
    let mut model = Model::new();
    for index in 0..8 {
        model.append("a", format!("a{index}"));
    }
    model.commit(store.as_ref());
    model.relabel("a", 5, "b");
    model.append("b", "in the commit of the relabel");
    model.append("a", "the other side's fifth");
    model.commit(store.as_ref());
    store = compare_reopened(medium, store, &model);
    for index in 0..4 {
        model.append("a", format!("more {index}"));
        model.append("b", format!("own {index}"));
    }
    model.commit(store.as_ref());
    store = compare_reopened(medium, store, &model);
    // Again, with a tail that includes entries that have been moved before.
    model.relabel("b", 3, "c");
    model.commit(store.as_ref());
    model.relabel("a", 4, "d");
    model.append("c", "end of c");
    model.append("d", "end of d");
    model.append("a", "end of a");
    model.append("b", "end of b");
    model.commit(store.as_ref());
    compare_reopened(medium, store, &model);
}

pub(super) fn a_log_may_be_relabelled_as_a_whole(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    model.append("a", "one");
    model.append("a", "two");
    model.commit(store.as_ref());
    model.relabel("a", 1, "b");
    model.commit(store.as_ref());
    let store = compare_reopened(medium, store, &model);
    model.append("a", "begins again");
    model.append("b", "three");
    model.commit(store.as_ref());
    compare_reopened(medium, store, &model);
}

pub(super) fn relabels_that_make_no_sense_are_refused(medium: &dyn Medium) {
    let store = medium.open();
    let mut model = Model::new();
    model.append("a", "one");
    model.append("b", "two");
    model.commit(store.as_ref());
    for (log, from, to) in [("a", 0, "c"), ("a", 2, "c"), ("a", 1, "b"), ("a", 1, "a"), ("c", 1, "d"), ("a", 1, "")] {
        let relabel = Some(Relabel { log: Arc::from(log), from, to: Arc::from(to) });
        let error = store.commit(&Commit { relabel, ..Commit::default() }).unwrap_err();
        assert_eq!(error.code(), "ERR_HYPER_CONFLICT", "{log} {from} {to}: {error}");
    }
    compare_reopened(medium, store, &model);
}
