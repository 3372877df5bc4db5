//! Conditions of appends: that certain events have not been stored, and that an append is made only once.

mod common;

use std::sync::Arc;
use std::thread::JoinHandle;

use common::*;
use hyperemitter::error::Error;
use hyperemitter::event::Encoding;
use hyperemitter::hyperlog::{
    Ack, AckKind, Batch, Condition, Contradiction, Demands, Log, LogObserver, LogOptions, SourceId,
};
use hyperemitter::node::LogId;
use hyperemitter::query::{Item, Query};
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Meta, Store};
use parking_lot::Mutex;

const PEER: SourceId = SourceId(1);

fn query(names: &[&str], tags: &[&str]) -> Query {
    let texts = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect();
    Query::new(vec![Item { names: texts(names), tags: texts(tags) }]).unwrap()
}

fn fail_if(query: Query, after: u64) -> Demands {
    Demands { fail_if: Some(Condition { query, after }), ..Demands::default() }
}

fn id(id: &str) -> Demands {
    Demands { id: Some(id.into()), ..Demands::default() }
}

/// A batch of events with a name, a payload and tags.
fn demanding(events: &[(&str, &str, &[&str])], demands: Demands) -> Batch {
    let mut batch = Batch::default();
    for (name, payload, tags) in events {
        batch.push_tagged(&(*name).into(), payload.as_bytes(), tags, Encoding::V1, AckKind::Node).unwrap();
    }
    batch.make_demanding(demands).unwrap();
    batch
}

/// A log that writes on a thread of its own.
fn running(store: Arc<dyn Store>) -> (Arc<Log>, Arc<Recorder>, JoinHandle<()>) {
    let (log, heard) = open(store);
    let writer = log.clone();
    (log, heard, std::thread::spawn(move || writer.run()))
}

fn stop((log, _, thread): (Arc<Log>, Arc<Recorder>, JoinHandle<()>)) {
    log.close();
    thread.join().unwrap();
    log.store().close().unwrap();
}

#[test]
fn a_condition_fails_if_what_it_forbids_was_stored_behind_its_change() {
    let (log, heard) = in_memory();
    log.append(demanding(&[("ordered", "1", &["order:7"])], Demands::default()));
    log.append(demanding(&[("ordered", "2", &["order:8"])], Demands::default()));
    heard.acks.lock().clear();
    for (query, after, stored) in [
        (query(&[], &["order:7"]), 0, false),
        (query(&[], &["order:7"]), 1, true),
        (query(&["ordered"], &[]), 2, true),
        (query(&["paid"], &["order:7"]), 0, true),
        (query(&["ordered"], &["order:8", "order:7"]), 0, true),
        (Query::default(), 4, false),
        (Query::default(), 6, true),
    ] {
        log.append(demanding(&[("other", "x", &[])], fail_if(query, after)));
        let ack = heard.acks.lock().pop().unwrap();
        assert_eq!(ack.result.is_ok(), stored, "{after}: {:?}", ack.result);
    }
    log.append(demanding(&[("other", "x", &[]), ("other", "y", &[])], fail_if(query(&[], &["order:8"]), 1)));
    let acks = heard.acks.lock().drain(..).collect::<Vec<_>>();
    assert_eq!(acks.len(), 2);
    for ack in acks {
        let error = ack.result.unwrap_err();
        assert!(matches!(*error, Error::Condition { change: 2, after: 1, .. }), "{error}");
        assert_eq!((error.code(), error.details().change), ("ERR_HYPER_CONDITION", Some(2)));
        assert!(error.to_string().contains("\"ordered\" of change 2"), "{error}");
    }
    log.append(demanding(&[("other", "x", &[])], fail_if(Query::default(), 1000)));
    assert_eq!(heard.take(), [Err("ERR_HYPER_INVALID_ARG")]);
}

#[test]
fn conditions_are_judged_in_the_order_of_the_calls_on_what_is_planned_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> =
        Arc::new(EmbeddedStore::open(folder.path(), &Default::default(), &mut |_, _| {}).unwrap());
    let log = running(store);
    // All are in flight together; for each seat, the first append gets it.
    let mut expected = Vec::new();
    for number in 0..2000 {
        let seat = format!("seat:{}", number % 50);
        let taken = fail_if(query(&["taken"], &[&seat]), 0);
        log.0.append(demanding(&[("taken", "x", &[&seat]), ("paid", "x", &[&seat])], taken));
        expected.extend([number < 50; 2]);
    }
    log.1.wait_for(4000);
    let stored: Vec<bool> = log.1.take().iter().map(Result::is_ok).collect();
    assert_eq!(stored, expected);
    assert_eq!(log.0.end().change, 100);
    stop(log);
}

#[test]
fn an_id_is_answered_with_the_nodes_of_its_first_append_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let store = || -> Arc<dyn Store> {
        Arc::new(EmbeddedStore::open(folder.path(), &Default::default(), &mut |_, _| {}).unwrap())
    };
    let events: &[(&str, &str, &[&str])] = &[("a", "1", &["x"]), ("b", "2", &[]), ("a", "3", &[])];
    for opened in 0..3 {
        let log = running(store());
        // Twice in flight at once, and once more when it is stored.
        log.0.append(demanding(events, id("request-17")));
        log.0.append(demanding(events, id("request-17")));
        log.1.wait_for(6);
        log.0.append(demanding(events, id("request-17")));
        log.1.wait_for(9);
        assert_eq!(log.1.take(), [Ok(1), Ok(2), Ok(3), Ok(1), Ok(2), Ok(3), Ok(1), Ok(2), Ok(3)], "{opened}");
        for other in
            [&events[..2], &[events[0], events[1], ("a", "4", &[])], &[("a", "1", &["y"]), events[1], events[2]]]
        {
            log.0.append(demanding(other, id("request-17")));
        }
        log.0.append(demanding(&[events[0], events[1], events[2], events[2]], id("request-17")));
        log.1.wait_for(12);
        let refused = log.1.take();
        assert!(refused.iter().all(|answer| *answer == Err("ERR_HYPER_ID_REUSED")), "{refused:?}");
        assert_eq!(log.0.end().change, 3);
        stop(log);
    }
}

#[test]
fn a_repeated_append_is_answered_although_its_condition_does_not_hold_any_more() {
    let (log, heard) = in_memory();
    let taken = Demands { id: Some("request".into()), ..fail_if(query(&["taken"], &[]), 0) };
    log.append(demanding(&[("taken", "x", &[])], taken.clone()));
    log.append(demanding(&[("taken", "x", &[])], taken));
    log.append(demanding(&[("taken", "x", &[])], fail_if(query(&["taken"], &[]), 0)));
    assert_eq!(heard.take(), [Ok(1), Ok(1), Err("ERR_HYPER_CONDITION")]);
}

/// The newest rows are read from memory, but only some hundred of them, and a node may have any number of further entries.
#[test]
fn a_condition_finds_what_is_stored_behind_many_further_entries_of_a_node() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), &EmbeddedOptions::default(), &mut |_, _| {}).unwrap();
    let log = running(Arc::new(store));
    emit(&log.0, "before");
    log.1.wait_for(1);
    let entries = (0..300).map(|number| node(&format!("cjld2cjxh0000qzrmn83{number:05}"), 1, &[], "same").0);
    log.0.add(PEER, entries.collect()).blocking_recv().unwrap().unwrap();
    log.0.append(demanding(&[("taken", "x", &[])], Demands::default()));
    log.1.wait_for(2);
    // The writer itself still knows the last group.
    emit(&log.0, "later");
    log.1.wait_for(3);
    emit(&log.0, "last");
    log.1.wait_for(4);
    log.0.append(demanding(&[("free", "x", &[])], fail_if(query(&["taken"], &[]), 1)));
    log.1.wait_for(5);
    assert_eq!(log.1.take(), [Ok(1), Ok(3), Ok(4), Ok(5), Err("ERR_HYPER_CONDITION")]);
    assert_eq!(rows(&log.0).len(), 304);
    stop(log);
}

#[test]
fn facts_of_an_append_are_stored_with_its_events_or_not_at_all() {
    let (log, heard) = in_memory();
    let fact = |change| Meta::Consumer("mails".into(), change);
    let with = |change, demands| Demands { facts: vec![(fact(change), Some("done".into()))], ..demands };
    log.append(demanding(&[("a", "1", &[]), ("a", "2", &[])], with(1, Demands::default())));
    log.append(demanding(&[("b", "1", &[])], with(2, id("request"))));
    log.append(demanding(&[("b", "1", &[])], with(3, id("request"))));
    log.append(demanding(&[("b", "1", &[])], with(4, fail_if(query(&["a"], &[]), 0))));
    log.append(demanding(&[("b", "other", &[])], with(5, id("request"))));
    let refused = [Err("ERR_HYPER_CONDITION"), Err("ERR_HYPER_ID_REUSED")];
    assert_eq!(heard.take(), [vec![Ok(1), Ok(2), Ok(3), Ok(3)], refused.to_vec()].concat());
    let mut stored: Vec<_> = log.store().consumer_records().unwrap().into_iter().map(|(fact, _)| fact).collect();
    stored.sort();
    assert_eq!(stored, [fact(1), fact(2), fact(3)], "a repeated append keeps its facts too");
}

#[test]
fn an_id_counts_whoever_has_used_it_first() {
    let [(one, _), (two, heard)] = [in_memory(), in_memory()];
    one.append(demanding(&[("a", "1", &[]), ("a", "2", &[])], id("request")));
    two.add(PEER, sent(&one)).blocking_recv().unwrap().unwrap();
    two.append(demanding(&[("a", "1", &[]), ("a", "2", &[])], id("request")));
    two.append(demanding(&[("a", "other", &[])], id("request")));
    assert_eq!(heard.take(), [Ok(1), Ok(2), Err("ERR_HYPER_ID_REUSED")]);
}

#[test]
fn a_part_of_an_append_is_no_repetition_of_it() {
    let (log, heard) = in_memory();
    log.append(demanding(&[("a", "1", &[]), ("a", "2", &[])], id("request")));
    log.append(demanding(&[("a", "1", &[])], id("request")));
    assert_eq!(heard.take(), [Ok(1), Ok(2), Err("ERR_HYPER_ID_REUSED")]);
}

#[test]
fn an_id_has_1_to_256_bytes() {
    for wrong in [String::new(), "x".repeat(257)] {
        let mut batch = Batch::default();
        batch.push(&"a".into(), b"", Encoding::V1, AckKind::None);
        let error = batch.make_demanding(id(&wrong)).unwrap_err();
        assert!(error.to_string().contains("1 to 256 bytes"), "{error}");
    }
    let (log, heard) = in_memory();
    log.append(demanding(&[("a", "1", &[])], id(&"x".repeat(256))));
    assert_eq!(heard.take(), [Ok(1)]);
    assert!(rows(&log)[0].node.value.ends_with(b"xxx"));
}

#[derive(Default)]
struct Watcher(Mutex<Vec<Contradiction>>);

impl LogObserver for Watcher {
    fn acks(&self, _: Vec<Ack>) {}
    fn advanced(&self) {}
    fn log_id_changed(&self, _: &LogId) {}
    fn contradicted(&self, found: Contradiction) {
        self.0.lock().push(found);
    }
    fn report(&self, error: Error) {
        panic!("{error}");
    }
}

#[test]
fn events_of_others_that_contradict_a_decision_are_told_unless_their_emitter_knew_of_it() {
    let watcher = Arc::new(Watcher::default());
    let ours = Log::open(Arc::new(MemoryStore::new()), LogOptions::default(), watcher.clone()).unwrap();
    let [(near, _), (far, _)] = [in_memory(), in_memory()];
    let bring = |to: &Log, from: &Log| drop(to.add(PEER, sent(from)).blocking_recv().unwrap().unwrap());
    let take = |log: &Log, payload: &str| {
        log.append(demanding(&[("taken", payload, &["seat:1"])], fail_if(query(&["taken"], &["seat:1"]), 0)));
    };
    emit(&ours, "before");
    take(&ours, "ours");
    // Neither knows of the other.
    take(&near, "theirs");
    bring(&ours, &near);
    assert_eq!(watcher.0.lock().drain(..).collect::<Vec<_>>(), [Contradiction { ours: 2, theirs: 3 }]);
    // Whatever they emit after they know of it follows from it, also for peers that get it from them.
    bring(&near, &ours);
    near.append(demanding(&[("taken", "again", &["seat:1"])], Demands::default()));
    bring(&far, &near);
    far.append(demanding(&[("taken", "and again", &["seat:1"])], Demands::default()));
    bring(&ours, &far);
    assert_eq!(watcher.0.lock().len(), 0);
    // If there are two decisions, it contradicts only the one that it did not know of.
    ours.append(demanding(&[("taken", "ours", &["seat:9"])], fail_if(query(&["taken"], &["seat:9"]), 0)));
    near.append(demanding(&[("taken", "once more", &["seat:1"])], Demands::default()));
    bring(&ours, &near);
    assert_eq!(watcher.0.lock().len(), 0);
    // Other events contradict nothing.
    let (stranger, _) = in_memory();
    stranger.append(demanding(&[("taken", "x", &["seat:2"])], Demands::default()));
    bring(&ours, &stranger);
    assert_eq!(watcher.0.lock().len(), 0);
    stranger.append(demanding(&[("taken", "x", &["seat:1"])], Demands::default()));
    bring(&ours, &stranger);
    assert_eq!(watcher.0.lock().len(), 1);
    // However many a peer sends, only a limited number is reported per decision; two have been reported for this one.
    for number in 0..40 {
        stranger.append(demanding(&[("taken", &number.to_string(), &["seat:1"])], Demands::default()));
    }
    bring(&ours, &stranger);
    assert_eq!(watcher.0.lock().len(), 1 + 14);
}
