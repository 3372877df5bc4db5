//! Conditions of appends: that certain events have not been stored, and that an append is made only once.

mod common;

use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use common::*;
use hyperemitter::error::Error;
use hyperemitter::event::{self, Encoding};
use hyperemitter::hyperlog::{
    Ack, AckKind, Batch, Condition, Contradiction, Demands, Log, LogObserver, LogOptions, SourceId,
};
use hyperemitter::node::LogId;
use hyperemitter::query::{Item, Query};
use hyperemitter::store::conformance::Random;
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

/// A plain model of a log with conditions and ids.
#[derive(Default)]
struct Plain {
    /// Name and tags of each event.
    events: Vec<(String, Vec<String>)>,
    /// First change and payloads of each request.
    requests: HashMap<String, (u64, Vec<String>)>,
}

impl Plain {
    fn matches(&self, names: &[&str], tags: &[&str], after: u64) -> bool {
        self.events.iter().skip(after as usize).any(|(name, found)| {
            (names.is_empty() || names.contains(&&**name)) && tags.iter().all(|tag| found.iter().any(|one| one == tag))
        })
    }
}

/// Compares random batches with conditions and ids with a simple model. Many batches are in flight, with events of a peer between
/// them. The store is in memory, or on a disk and opened again, with its index or without. Chunks are so small that most of the log
/// is in the index, in several slabs.
#[test]
fn whatever_is_demanded_the_log_does_as_a_plain_list_would() {
    let steps = std::env::var("HYPER_DEMAND_STEPS").map_or(1_500, |steps| steps.parse().unwrap());
    for on_disk in [false, true] {
        let mut random = Random(17);
        let folder = tempfile::tempdir().unwrap();
        let store = || -> Arc<dyn Store> {
            if on_disk {
                let options = EmbeddedOptions { chunk_rows: 20, ..EmbeddedOptions::default() };
                Arc::new(EmbeddedStore::open(folder.path(), &options, &mut |_, _| {}).unwrap())
            } else {
                Arc::new(MemoryStore::new())
            }
        };
        let mut log = running(store());
        let mut model = Plain::default();
        let mut expected: Vec<Result<u64, &'static str>> = Vec::new();
        let (peer, _) = in_memory();
        let mut brought = 0;
        for step in 0..steps {
            let names = ["a", "b", "c"];
            let tags: Vec<String> = (0..8).map(|number| format!("tag:{number}")).collect();
            let count = 1 + random.below(3);
            let events: Vec<(&str, String, Vec<&str>)> = (0..count)
                .map(|at| {
                    let tags = (0..random.below(3)).map(|at| &*tags[(at * 3 + random.below(3)).min(7)]).collect();
                    (names[random.below(3)], format!("{step} {at}"), tags)
                })
                .collect();
            if random.below(10) == 0 {
                let list: Vec<(&str, &str, &[&str])> =
                    events.iter().map(|(name, payload, tags)| (*name, &**payload, &**tags)).collect();
                peer.append(demanding(&list, Demands::default()));
                let nodes = sent(&peer).split_off(brought);
                brought += nodes.len();
                // No need to wait for the answer: later batches are planned after these nodes.
                drop(log.0.add(PEER, nodes));
                for (name, _, tags) in events {
                    model.events.push((name.to_owned(), tags.iter().map(ToString::to_string).collect()));
                }
                continue;
            }
            let mut demands = Demands::default();
            let mut holds = true;
            let end = model.events.len();
            if random.below(2) == 0 {
                let names: Vec<&str> = names.iter().copied().filter(|_| random.below(3) == 0).collect();
                let mut tags: Vec<&str> = tags.iter().map(String::as_str).filter(|_| random.below(6) == 0).collect();
                if names.is_empty() && tags.is_empty() {
                    tags.push("tag:1");
                }
                let after =
                    if random.below(4) == 0 { random.below(end + 1) } else { end - random.below(end.min(6) + 1) };
                holds = !model.matches(&names, &tags, after as u64);
                demands = fail_if(query(&names, &tags), after as u64);
            }
            let request = format!("request {}", random.below(40));
            let mut answer = None;
            if random.below(3) == 0 {
                demands.id = Some(request.clone().into());
                if let Some((first, payloads)) = model.requests.get(&request) {
                    let same = payloads.len() == count && random.below(2) == 0;
                    answer = Some(if same { Ok(*first) } else { Err("ERR_HYPER_ID_REUSED") });
                    if same {
                        // The very same append again.
                        let events: Vec<_> = payloads
                            .iter()
                            .enumerate()
                            .map(|(at, payload)| {
                                let (name, tags) = &model.events[*first as usize - 1 + at];
                                (name.clone(), payload.clone(), tags.clone())
                            })
                            .collect();
                        let tags: Vec<Vec<&str>> =
                            events.iter().map(|(.., tags)| tags.iter().map(String::as_str).collect()).collect();
                        let events: Vec<(&str, &str, &[&str])> = events
                            .iter()
                            .zip(&tags)
                            .map(|((name, payload, _), tags)| (&**name, &**payload, &**tags))
                            .collect();
                        log.0.append(demanding(&events, demands));
                        expected.extend((0..count as u64).map(|at| Ok(first + at)));
                        continue;
                    }
                }
            }
            let list: Vec<(&str, &str, &[&str])> =
                events.iter().map(|(name, payload, tags)| (*name, &**payload, &**tags)).collect();
            let has_id = demands.id.is_some();
            log.0.append(demanding(&list, demands));
            match answer {
                Some(Err(code)) => expected.extend(vec![Err(code); count]),
                _ if !holds => expected.extend(vec![Err("ERR_HYPER_CONDITION"); count]),
                _ => {
                    let first = end as u64 + 1;
                    if has_id {
                        let payloads = events.iter().map(|(_, payload, _)| payload.clone()).collect();
                        model.requests.insert(request, (first, payloads));
                    }
                    for (name, _, tags) in events {
                        model.events.push((name.to_owned(), tags.iter().map(ToString::to_string).collect()));
                    }
                    expected.extend((0..count as u64).map(|at| Ok(first + at)));
                }
            }
            if random.below(60) == 0 {
                log.1.wait_for(expected.len());
                assert_eq!(log.1.take(), std::mem::take(&mut expected), "before step {step}");
                if on_disk && random.below(3) == 0 {
                    stop(log);
                    if random.below(3) == 0 {
                        std::fs::remove_dir_all(folder.path().join("index")).unwrap();
                    }
                    log = running(store());
                }
            }
        }
        log.1.wait_for(expected.len());
        assert_eq!(log.1.take(), expected);
        let stored: Vec<_> =
            rows(&log.0).iter().map(|row| event::decode(&row.node.value).unwrap().name.into_owned()).collect();
        assert_eq!(stored, model.events.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
        stop(log);
    }
}
