//! The log as its users see it: appends, nodes from peers, failures of the store.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use common::flaky::Flaky;
use common::*;
use hyperemitter::error::Error;
use hyperemitter::hyperlog::import::{import, import_facts};
use hyperemitter::hyperlog::verify::verify;
use hyperemitter::hyperlog::{Ack, AckKind, Append, Incoming, Log, LogObserver, LogOptions, Outcome, SourceId};
use hyperemitter::node::{Key, LogId};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Commit, Meta, Position, ReadLimit, Store};
use parking_lot::Mutex;

const PEER: SourceId = SourceId(1);

fn add(log: &Log, nodes: Vec<Incoming>) -> Vec<&'static str> {
    add_from(log, PEER, nodes)
}

fn add_from(log: &Log, source: SourceId, nodes: Vec<Incoming>) -> Vec<&'static str> {
    let outcomes = log.add(source, nodes).blocking_recv().unwrap().unwrap();
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Added | Outcome::AddedWith { .. } => "added",
            Outcome::Known => "known",
            Outcome::Parked => "parked",
            Outcome::Refused(error) => error.code(),
        })
        .collect()
}

fn audit(log: &Log) {
    verify(log.store().as_ref(), &mut |_, _| {}).unwrap();
}

#[test]
fn an_append_links_to_all_heads_and_is_answered_with_its_node() {
    let (log, heard) = in_memory();
    let (a, key_a) = node("peer-a", 1, &[], "a");
    let (b, key_b) = node("peer-b", 1, &[], "b");
    assert_eq!(add(&log, vec![a, b]), ["added", "added"]);
    emit(&log, "mine");
    let ack = heard.acks.lock().pop().unwrap();
    let mine = ack.result.unwrap().unwrap();
    let mut heads = [key_a, key_b];
    heads.sort();
    assert_eq!(mine.links.as_slice(), heads);
    assert_eq!((mine.change, mine.seq, &mine.log), (3, 1, &log.log_id()));
    assert_eq!(log.heads().unwrap().iter().map(|head| head.key).collect::<Vec<_>>(), [mine.key]);
    audit(&log);
}

#[test]
fn equal_payloads_from_equal_heads_stay_two_events() {
    let (one, _) = in_memory();
    let (two, _) = in_memory();
    emit(&one, "same");
    emit(&two, "same");
    assert_eq!(add(&one, offered(rows(&two))), ["added"]);
    assert_eq!(payloads(&one), ["same", "same"]);
}

#[test]
fn nodes_in_any_order_are_stored_causes_first() {
    let mut nodes = chain("peer", 50);
    nodes.reverse();
    let (log, _) = in_memory();
    let outcomes = add(&log, nodes);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == "parked").count(), 49);
    assert_eq!(log.seq("peer"), 50);
    assert_eq!(payloads(&log), (1..=50).map(|seq| format!("peer {seq}")).collect::<Vec<_>>());
    audit(&log);
}

#[test]
fn what_one_session_brings_releases_what_another_parked() {
    let nodes = chain("peer", 3);
    let (log, _) = in_memory();
    assert_eq!(add_from(&log, SourceId(1), vec![nodes[2].clone()]), ["parked"]);
    assert_eq!(add_from(&log, SourceId(2), nodes[..2].to_vec()), ["added", "added"]);
    assert_eq!(log.seq("peer"), 3);
}

#[test]
fn a_finished_session_leaves_nothing_parked() {
    let nodes = chain("peer", 2);
    let (log, _) = in_memory();
    assert_eq!(add(&log, vec![nodes[1].clone()]), ["parked"]);
    log.forget(PEER);
    assert_eq!(add_from(&log, SourceId(2), vec![nodes[0].clone()]), ["added"]);
    assert_eq!(log.seq("peer"), 1);
}

#[test]
fn a_node_under_a_second_log_becomes_a_further_entry() {
    let (log, _) = in_memory();
    let nodes = chain("first", 2);
    let again: Vec<Incoming> = nodes.iter().map(|node| Incoming { log: "second".into(), ..node.clone() }).collect();
    assert_eq!(add(&log, nodes), ["added", "added"]);
    assert_eq!(add(&log, again.clone()), ["added", "added"]);
    assert_eq!(add(&log, again), ["known", "known"]);
    assert_eq!(payloads(&log).len(), 2);
    let places: Vec<(u64, u32)> = rows(&log).iter().map(|row| (row.at.change, row.at.duplicate)).collect();
    assert_eq!(places, [(1, 0), (2, 0), (2, 1), (2, 2)]);
    assert_eq!((log.seq("first"), log.seq("second")), (2, 2));
    audit(&log);
}

#[test]
fn a_node_without_seq_takes_the_next_one_once() {
    let (log, _) = in_memory();
    let (mut bare, _) = node("peer", 0, &[], "bare");
    bare.claimed = None;
    assert_eq!(add(&log, vec![bare.clone(), bare]), ["added", "known"]);
    assert_eq!(log.seq("peer"), 1);
}

#[test]
fn a_false_key_is_refused() {
    let (log, _) = in_memory();
    let (mut forged, _) = node("peer", 1, &[], "x");
    forged.claimed = Some(Key([1; 32]));
    assert_eq!(add(&log, vec![forged]), ["ERR_HYPER_CHECKSUM_MISMATCH"]);
    assert_eq!(log.end(), Position::START);
}

#[test]
fn a_log_id_that_1x_could_not_store_is_refused() {
    let (log, _) = in_memory();
    for id in ["", "a!b", &"x".repeat(1000)] {
        assert_eq!(add(&log, vec![node(id, 1, &[], "x").0]), ["ERR_HYPER_PROTOCOL"], "{id}");
    }
    assert_eq!(log.end(), Position::START);
}

#[test]
fn a_fork_is_named_with_both_keys() {
    let (log, _) = in_memory();
    let (ours, our_key) = node("peer", 1, &[], "ours");
    let (theirs, their_key) = node("peer", 1, &[], "theirs");
    assert_eq!(add(&log, vec![ours]), ["added"]);
    let outcome = log.add(PEER, vec![theirs]).blocking_recv().unwrap().unwrap().remove(0);
    let Outcome::Refused(Error::Fork { log: id, seq, ours, theirs }) = outcome else { panic!("{outcome:?}") };
    assert_eq!((id.as_str(), seq, ours, theirs), ("peer", 1, our_key, their_key));
}

#[test]
fn our_own_tail_gives_way_to_what_peers_hold_and_both_survive() {
    let (backup, _) = in_memory();
    emit(&backup, "shared");
    let shared = offered(rows(&backup));
    // The peer saw two more events of ours, which the restored store has lost.
    let (peer, _) = in_memory();
    add(&peer, shared.clone());
    emit(&backup, "lost 2");
    emit(&backup, "lost 3");
    let id = backup.log_id();
    let lost = offered(rows(&backup)[1..].to_vec());
    add(&peer, lost.clone());

    let store = Arc::new(MemoryStore::new());
    let meta = vec![(Meta::LogId, Some(Bytes::copy_from_slice(id.as_bytes())))];
    store.commit(&Commit { meta, ..Commit::default() }).unwrap();
    let (restored, _) = open(store);
    add(&restored, shared);
    emit(&restored, "new");
    assert_eq!(add(&restored, lost[..1].to_vec()), ["ERR_HYPER_FORK"]);

    let renamed = restored.fork_local(id.clone(), 2).blocking_recv().unwrap().unwrap();
    assert_ne!(renamed, id);
    assert_eq!((restored.seq(&id), restored.seq(&renamed), restored.log_id()), (1, 1, renamed.clone()));
    assert_eq!(add(&restored, lost), ["added", "added"]);
    emit(&restored, "after");
    audit(&restored);
    add(&peer, offered(rows(&restored)));
    audit(&peer);
    assert_eq!(peer.digest(), restored.digest());
    let mut all = payloads(&peer);
    all.sort();
    assert_eq!(all, ["after", "lost 2", "lost 3", "new", "shared"]);
}

#[test]
fn a_lost_tail_of_our_own_log_is_taken_back() {
    let (original, _) = in_memory();
    (0..3).for_each(|n| emit(&original, &n.to_string()));
    let store = Arc::new(MemoryStore::new());
    let meta = vec![(Meta::LogId, Some(Bytes::copy_from_slice(original.log_id().as_bytes())))];
    store.commit(&Commit { meta, ..Commit::default() }).unwrap();
    let (restored, _) = open(store);
    assert_eq!(add(&restored, offered(rows(&original))), ["added", "added", "added"]);
    emit(&restored, "next");
    assert_eq!(restored.seq(&original.log_id()), 4);
}

#[test]
fn digests_are_equal_exactly_when_the_logs_are() {
    let (one, _) = in_memory();
    let (two, _) = in_memory();
    assert_eq!(one.digest(), two.digest());
    emit(&one, "a");
    emit(&one, "b");
    assert_ne!(one.digest(), two.digest());
    add(&two, offered(rows(&one)[..1].to_vec()));
    assert_ne!(one.digest(), two.digest());
    add(&two, offered(rows(&one)[1..].to_vec()));
    assert_eq!(one.digest(), two.digest());
}

#[test]
fn bad_appends_are_answered_in_order_and_store_nothing() {
    let options = LogOptions { max_event_size: 100, ..LogOptions::default() };
    let (log, heard) = open_with(Arc::new(MemoryStore::new()), options);
    log.append(vec![event("ok", "1"), event("ok", &"x".repeat(100)), event("__proto__", "2"), event("ok", "3")]);
    assert_eq!(heard.take(), [Ok(1), Err("ERR_HYPER_TOO_LARGE"), Err("ERR_HYPER_RESERVED_NAME"), Ok(2)]);
    assert_eq!(log.pending(), 0);
    log.close();
    emit(&log, "late");
    assert_eq!(heard.take(), [Err("ERR_HYPER_CLOSED")]);
    assert_eq!((payloads(&log), log.pending()), (vec!["1".to_owned(), "3".to_owned()], 0));
}

#[test]
fn more_than_may_wait_is_refused_and_the_rest_goes_on() {
    let options = LogOptions { max_pending: 10_000, ..LogOptions::default() };
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard) = open_with(store, options);
    for _ in 0..1000 {
        emit(&log, "x");
    }
    log.close();
    log.run();
    let answers = heard.take();
    assert_eq!(answers.len(), 1000);
    let stored = payloads(&log).len();
    assert!(stored > 100, "what fits is stored");
    // The oldest ones are accepted; there is no room for the later ones.
    assert_eq!(answers[..stored], (1..=stored as u64).map(Ok).collect::<Vec<_>>());
    assert!(answers[stored..].iter().all(|answer| *answer == Err("ERR_HYPER_BACKLOG")));
    assert_eq!(log.pending(), 0);
}

#[test]
fn a_failed_commit_answers_everyone_and_the_log_goes_on_when_the_store_recovers() {
    let store = Arc::new(Flaky::default());
    let (log, heard) = open(store.clone());
    emit(&log, "before");
    store.failing.store(true, Ordering::SeqCst);
    emit(&log, "failed");
    let refused = log.add(PEER, chain("peer", 2)).blocking_recv().unwrap();
    assert_eq!(refused.unwrap_err().code(), "ERR_HYPER_STORE");
    store.failing.store(false, Ordering::SeqCst);
    emit(&log, "after");
    assert_eq!(heard.take(), [Ok(1), Err("ERR_HYPER_STORE"), Ok(2)]);
    assert_eq!(heard.reports.lock().len(), 1, "one cause is told once");
    store.failing.store(true, Ordering::SeqCst);
    emit(&log, "failed again");
    store.failing.store(false, Ordering::SeqCst);
    assert_eq!(heard.take(), [Err("ERR_HYPER_STORE")]);
    assert_eq!(heard.reports.lock().len(), 2, "after something was stored it is told again");
    assert_eq!(add(&log, chain("peer", 2)), ["added", "added"]);
    assert_eq!(payloads(&log), ["before", "after", "peer 1", "peer 2"]);
    audit(&log);
}

#[test]
fn a_state_that_could_not_be_read_back_is_asked_for_again_at_the_next_job() {
    let store = Arc::new(Flaky::default());
    let (log, heard) = open(store.clone());
    emit(&log, "before");
    store.failing.store(true, Ordering::SeqCst);
    store.stateless.store(2, Ordering::SeqCst);
    emit(&log, "failed");
    store.failing.store(false, Ordering::SeqCst);
    emit(&log, "refused");
    emit(&log, "after");
    assert_eq!(heard.take(), [Ok(1), Err("ERR_HYPER_STORE"), Err("ERR_HYPER_STORE"), Ok(2)]);
    assert_eq!(add(&log, chain("peer", 2)), ["added", "added"]);
    assert_eq!(
        (payloads(&log), log.pending()),
        (["before", "after", "peer 1", "peer 2"].map(String::from).to_vec(), 0)
    );
    audit(&log);
}

#[test]
fn a_failed_commit_leaves_other_refusals_their_own_errors() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard) = open(store.clone());
    store.failing.store(true, Ordering::SeqCst);
    log.append(vec![event("ok", "1"), event("__proto__", "2"), event("ok", "3")]);
    log.close();
    log.run();
    assert_eq!(heard.take(), [Err("ERR_HYPER_STORE"), Err("ERR_HYPER_RESERVED_NAME"), Err("ERR_HYPER_STORE")]);
}

#[test]
fn recent_rows_are_read_while_the_medium_is_asked_for_a_duplicate() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, _) = open(store.clone());
    let writer = {
        let log = log.clone();
        std::thread::spawn(move || log.run())
    };
    let first = chain("first", 1);
    assert_eq!(add(&log, first.clone()), ["added"]);
    let (answered, was_answered) = channel();
    *store.on_node.lock() = Some({
        let log = Arc::downgrade(&log);
        Box::new(move || {
            // Like a Level store: this look-up ends only after the JavaScript thread, which takes events, has continued.
            let (log, (done, wait)) = (log.upgrade().unwrap(), channel());
            std::thread::spawn(move || done.send(log.read_recent(Position::START, ALL).map(|rows| rows.len())));
            answered.send(wait.recv_timeout(Duration::from_secs(5))).unwrap();
        })
    });
    let again = Incoming { log: "second".into(), ..first[0].clone() };
    assert_eq!(add(&log, vec![again]), ["added"]);
    assert_eq!(was_answered.recv().unwrap(), Ok(Some(1)));
    assert_eq!(log.read_recent(Position::START, ALL).unwrap().len(), 2);
    log.close();
    writer.join().unwrap();
}

/// Looks up each append while it is being answered: its change, the rows from there on, the end, its log's seq.
#[derive(Default)]
struct Reader {
    log: OnceLock<Weak<Log>>,
    found: Mutex<Vec<(u64, usize, u64, u64)>>,
}

impl LogObserver for Reader {
    fn acks(&self, acks: Vec<Ack>) {
        let log = self.log.get().unwrap().upgrade().unwrap();
        for Ack { change, .. } in acks {
            let rows = log.read(Position::of(change - 1), ALL).unwrap().len();
            self.found.lock().push((change, rows, log.end().change, log.seq(&log.log_id())));
        }
    }
    fn advanced(&self) {}
    fn log_id_changed(&self, _log: &LogId) {}
    fn report(&self, _error: Error) {}
}

#[test]
fn what_is_answered_can_be_read() {
    for waits in [false, true] {
        let reader = Arc::new(Reader::default());
        let store = Arc::new(Flaky { waits, ..Flaky::default() });
        let log = Log::open(store, LogOptions::default(), reader.clone()).unwrap();
        reader.log.set(Arc::downgrade(&log)).unwrap();
        emit(&log, "one");
        log.append(vec![event("test", "two"), event("test", "three")]);
        log.close();
        log.run();
        let found = std::mem::take(&mut *reader.found.lock());
        assert_eq!(found.iter().map(|(change, ..)| *change).collect::<Vec<_>>(), [1, 2, 3]);
        for (change, rows, end, seq) in found {
            assert!(rows > 0 && end >= change && seq >= change, "{change} when {rows} rows are there, {end}, {seq}");
        }
    }
}

#[test]
fn two_sessions_that_find_the_same_fork_move_the_tail_once() {
    let (log, _) = in_memory();
    (0..5).for_each(|n| emit(&log, &n.to_string()));
    let old = log.log_id();
    let first = log.fork_local(old.clone(), 2).blocking_recv().unwrap().unwrap();
    let second = log.fork_local(old.clone(), 2).blocking_recv().unwrap().unwrap();
    assert_eq!((&first, &log.log_id()), (&second, &first));
    assert_eq!((log.seq(&old), log.seq(&first)), (1, 4));
    audit(&log);
}

#[test]
fn what_waits_becomes_one_commit_and_close_finishes_it() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard) = open(store);
    let writer = {
        let log = log.clone();
        std::thread::spawn(move || log.run())
    };
    for n in 0..1000 {
        emit(&log, &n.to_string());
    }
    log.close();
    writer.join().unwrap();
    assert_eq!(heard.take(), (1..=1000).map(Ok).collect::<Vec<_>>());
    assert_eq!(payloads(&log), (0..1000).map(|n| n.to_string()).collect::<Vec<_>>());
}

type Written = (Arc<Log>, Arc<Recorder>, JoinHandle<()>);

/// A log on a store that waits, and its writing threads.
fn written(store: &Arc<Flaky>) -> Written {
    let (log, heard) = open(store.clone());
    let writer = {
        let log = log.clone();
        std::thread::spawn(move || log.run())
    };
    (log, heard, writer)
}

/// The next commit sends a signal when it starts, and ends as it is told.
fn hold_next_commit(store: &Flaky) -> (Receiver<()>, Sender<bool>) {
    let ((begun, has_begun), (end, ends)) = (channel(), channel());
    let next = store.commits.load(Ordering::SeqCst) + 1;
    *store.on_commit.lock() = Some(Box::new(move |number| {
        number != next || {
            begun.send(()).unwrap();
            ends.recv_timeout(Duration::from_secs(20)).unwrap()
        }
    }));
    (has_begun, end)
}

/// Sends a signal when nodes are looked up, which is the first step of planning them.
fn watch_planning(store: &Flaky) -> Receiver<()> {
    let (planned, is_planned) = channel();
    *store.on_locate.lock() = Some(Box::new(move || {
        // Whoever watched may have seen enough.
        let _ = planned.send(());
    }));
    is_planned
}

/// Nodes of a peer arrive and are planned while `first` is being flushed; then the flush ends as told. Returns the peer's answer,
/// and the log, still open, with its recorded answers.
fn planned_behind_a_flush(ends_well: bool) -> (Result<Vec<Outcome>, Error>, Written) {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard, writer) = written(&store);
    let (begun, end) = hold_next_commit(&store);
    let planned = watch_planning(&store);
    emit(&log, "first");
    begun.recv().unwrap();
    let added = log.add(PEER, chain("peer", 2));
    planned.recv_timeout(Duration::from_secs(20)).expect("planning does not wait for the flush");
    assert!(heard.acks.lock().is_empty() && payloads(&log).is_empty());
    end.send(ends_well).unwrap();
    (added.blocking_recv().unwrap(), (log, heard, writer))
}

#[test]
fn the_next_group_is_planned_while_one_is_flushed() {
    let (added, (log, heard, writer)) = planned_behind_a_flush(true);
    assert!(added.is_ok());
    log.close();
    writer.join().unwrap();
    assert_eq!(heard.take(), [Ok(1)]);
    assert_eq!(payloads(&log), ["first", "peer 1", "peer 2"]);
    audit(&log);
}

#[test]
fn what_was_planned_behind_a_failed_commit_fails_with_it() {
    let (added, (log, heard, writer)) = planned_behind_a_flush(false);
    assert_eq!(added.unwrap_err().code(), "ERR_HYPER_STORE");
    emit(&log, "after");
    assert_eq!(add(&log, chain("peer", 2)), ["added", "added"]);
    log.close();
    writer.join().unwrap();
    assert_eq!(heard.take(), [Err("ERR_HYPER_STORE"), Ok(1)]);
    assert_eq!(payloads(&log), ["after", "peer 1", "peer 2"]);
    assert_eq!(log.pending(), 0);
    audit(&log);
}

#[test]
fn who_tries_again_on_hearing_of_a_failure_is_tried_again() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let again = Arc::new(Again::default());
    let log = Log::open(store.clone(), LogOptions::default(), again.clone()).unwrap();
    *again.log.lock() = Arc::downgrade(&log);
    let writer = {
        let log = log.clone();
        std::thread::spawn(move || log.run())
    };
    for n in 1..=100 {
        let next = store.commits.load(Ordering::SeqCst) + 1;
        *store.on_commit.lock() = Some(Box::new(move |number| number != next));
        emit(&log, &n.to_string());
        again
            .heard
            .lock()
            .as_mut()
            .unwrap()
            .recv_timeout(Duration::from_secs(20))
            .expect("the second attempt is stored");
    }
    log.close();
    writer.join().unwrap();
    assert_eq!(payloads(&log), vec!["again"; 100]);
}

/// Emits again whenever an append has failed; reports those that were stored.
struct Again {
    log: Mutex<Weak<Log>>,
    tell: Sender<()>,
    heard: Mutex<Option<Receiver<()>>>,
    failed: AtomicBool,
}

impl Default for Again {
    fn default() -> Self {
        let (tell, heard) = channel();
        Again { log: Mutex::default(), tell, heard: Mutex::new(Some(heard)), failed: AtomicBool::new(false) }
    }
}

impl LogObserver for Again {
    fn acks(&self, acks: Vec<Ack>) {
        for ack in acks {
            match ack.result {
                Ok(_) => self.tell.send(()).unwrap(),
                Err(_) => {
                    assert!(!self.failed.swap(true, Ordering::SeqCst), "the second attempt failed");
                    emit(&self.log.lock().upgrade().unwrap(), "again");
                    continue;
                }
            }
            self.failed.store(false, Ordering::SeqCst);
        }
    }
    fn advanced(&self) {}
    fn log_id_changed(&self, _log: &LogId) {}
    fn report(&self, _error: Error) {}
}

#[test]
fn what_a_failed_commit_had_released_waits_again() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, _, writer) = written(&store);
    let nodes = chain("peer", 2);
    assert_eq!(add_from(&log, SourceId(1), vec![nodes[1].clone()]), ["parked"]);
    let next = store.commits.load(Ordering::SeqCst) + 1;
    *store.on_commit.lock() = Some(Box::new(move |number| number != next));
    assert!(log.add(SourceId(2), vec![nodes[0].clone()]).blocking_recv().unwrap().is_err());
    assert_eq!(add_from(&log, SourceId(2), vec![nodes[0].clone()]), ["added"]);
    log.close();
    writer.join().unwrap();
    assert_eq!(payloads(&log), ["peer 1", "peer 2"]);
    audit(&log);
}

#[test]
fn a_fork_from_a_duplicate_entry_that_is_not_stored_yet_is_named() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, _, writer) = written(&store);
    let first = chain("first", 1);
    assert_eq!(add(&log, first.clone()), ["added"]);
    let (begun, end) = hold_next_commit(&store);
    let second = log.add(PEER, vec![Incoming { log: "second".into(), ..first[0].clone() }]);
    begun.recv().unwrap();
    let planned = watch_planning(&store);
    let other = log.add(PEER, vec![node("second", 1, &[], "another").0]);
    planned.recv_timeout(Duration::from_secs(20)).unwrap();
    end.send(true).unwrap();
    assert!(second.blocking_recv().unwrap().is_ok());
    let outcomes = other.blocking_recv().unwrap().unwrap();
    assert!(matches!(&outcomes[..], [Outcome::Refused(Error::Fork { seq: 1, .. })]), "{outcomes:?}");
    log.close();
    writer.join().unwrap();
}

#[test]
fn a_store_that_panics_fails_its_group_and_the_log_can_be_closed() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard, writer) = written(&store);
    let next = store.commits.load(Ordering::SeqCst) + 1;
    *store.on_commit.lock() = Some(Box::new(move |number| number != next || panic!("the store's own defect")));
    log.append((0..3).map(|n| event("test", &n.to_string())).collect::<Vec<_>>());
    heard.wait_for(3);
    assert_eq!(heard.take(), [Err("ERR_HYPER_INTERNAL"); 3]);
    assert_eq!(add(&log, chain("peer", 1)), ["added"]);
    log.close();
    writer.join().unwrap();
    assert_eq!(log.pending(), 0);
}

/// Panics on the first acks, and records what comes afterwards.
struct Clumsy {
    clumsy: AtomicBool,
    acks: Sender<usize>,
    reports: Sender<Error>,
}

impl LogObserver for Clumsy {
    fn acks(&self, acks: Vec<Ack>) {
        assert!(!self.clumsy.swap(false, Ordering::SeqCst), "a defect of the observer's");
        self.acks.send(acks.len()).unwrap();
    }
    fn advanced(&self) {}
    fn log_id_changed(&self, _log: &LogId) {}
    fn report(&self, error: Error) {
        self.reports.send(error).unwrap();
    }
}

#[test]
fn a_panic_while_answering_is_reported_and_the_log_goes_on() {
    for (waits, stored) in [(true, true), (false, true), (true, false), (false, false)] {
        let ((acks, acked), (reports, reported)) = (channel(), channel());
        let store = Arc::new(Flaky { waits, ..Flaky::default() });
        let next = store.commits.load(Ordering::SeqCst) + 2;
        *store.on_commit.lock() = Some(Box::new(move |number| stored || number != next));
        let observer = Arc::new(Clumsy { clumsy: AtomicBool::new(true), acks, reports });
        let log = Log::open(store, LogOptions::default(), observer).unwrap();
        let writer = {
            let log = log.clone();
            std::thread::spawn(move || log.run())
        };
        emit(&log, "unanswered");
        assert_eq!(reported.recv_timeout(Duration::from_secs(20)).unwrap().code(), "ERR_HYPER_INTERNAL");
        emit(&log, "answered");
        assert_eq!(acked.recv_timeout(Duration::from_secs(20)), Ok(1));
        log.close();
        writer.join().unwrap();
        assert_eq!(payloads(&log), if stored { &["unanswered", "answered"][..] } else { &["answered"] });
        assert_eq!(log.pending(), 0);
    }
}

#[test]
fn a_store_that_panics_when_asked_for_a_duplicate_loses_no_answer_and_no_row() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard, writer) = written(&store);
    let node = Incoming { log: "first".into(), ..chain("peer", 1).remove(0) };
    assert_eq!(add(&log, vec![node.clone()]), ["added"]);
    *store.on_node.lock() = Some(Box::new(|| panic!("the store's own defect")));
    assert_eq!(add(&log, vec![Incoming { log: "second".into(), ..node }]), ["added"]);
    *store.on_node.lock() = None;
    emit(&log, "after");
    log.close();
    writer.join().unwrap();
    assert_eq!(heard.take(), [Ok(2)]);
    let shown = log.read_recent(Position::START, ReadLimit { rows: 9, bytes: usize::MAX });
    assert!(shown.is_none(), "what is not in memory is read from the store");
    assert_eq!((log.seq("second"), rows(&log).len()), (1, 3));
    audit(&log);
}

#[test]
fn quiet_appends_that_are_refused_wait_no_longer() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, _, writer) = written(&store);
    log.append(vec![Append { ack: AckKind::None, ..event("__proto__", "refused") }]);
    log.close();
    writer.join().unwrap();
    assert_eq!(log.pending(), 0);
}

#[test]
fn a_panic_while_planning_fails_its_group_and_nothing_else() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard, writer) = written(&store);
    let (begun, end) = hold_next_commit(&store);
    emit(&log, "first");
    begun.recv().unwrap();
    emit(&log, "beside");
    let (looked, has_looked) = channel();
    *store.on_locate.lock() = Some(Box::new(move || {
        looked.send(()).unwrap();
        panic!("a defect of the planner's");
    }));
    // Planned after the emit while the first is being flushed, so both are in one group.
    let refused = log.add(PEER, chain("peer", 1));
    has_looked.recv_timeout(Duration::from_secs(20)).unwrap();
    end.send(true).unwrap();
    assert!(refused.blocking_recv().is_err());
    heard.wait_for(2);
    *store.on_locate.lock() = None;
    assert_eq!(add(&log, chain("peer", 1)), ["added"]);
    emit(&log, "last");
    log.close();
    writer.join().unwrap();
    assert_eq!(heard.take(), [Ok(1), Err("ERR_HYPER_INTERNAL"), Ok(3)]);
    assert_eq!(payloads(&log), ["first", "peer 1", "last"]);
    assert_eq!(log.pending(), 0);
    audit(&log);
}

/// Counting beyond the last change panics where overflow is checked.
#[cfg(debug_assertions)]
#[test]
fn a_panic_while_planning_swallows_no_answer() {
    let store = Arc::new(Flaky { waits: true, full: true, ..Flaky::default() });
    let (log, heard, writer) = written(&store);
    let quiet = Append { ack: AckKind::None, ..event("test", "quiet") };
    log.append(vec![event("__proto__", "refused"), event("test", "1"), quiet, event("test", "2")]);
    emit(&log, "3");
    log.close();
    writer.join().unwrap();
    assert_eq!(heard.take(), [Err("ERR_HYPER_INTERNAL"); 4]);
    assert_eq!(log.pending(), 0);
}

#[test]
fn a_fork_waits_for_the_flush_before_it_and_goes_before_what_comes_after() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard, writer) = written(&store);
    let old = log.log_id();
    let (begun, end) = hold_next_commit(&store);
    emit(&log, "before");
    begun.recv().unwrap();
    emit(&log, "moved");
    let forked = log.fork_local(old.clone(), 2);
    // Another session found the same.
    let again = log.fork_local(old.clone(), 2);
    emit(&log, "after");
    end.send(true).unwrap();
    let new = forked.blocking_recv().unwrap().unwrap();
    assert_eq!(again.blocking_recv().unwrap().unwrap(), new);
    log.close();
    writer.join().unwrap();
    assert_eq!(heard.take(), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(payloads(&log), ["before", "moved", "after"]);
    assert_eq!((log.seq(&old), log.seq(&new), log.log_id()), (1, 2, new.clone()));
    audit(&log);
}

#[test]
fn a_fork_that_is_stored_although_it_fails_is_kept_to() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard, writer) = written(&store);
    let old = log.log_id();
    emit(&log, "moved");
    heard.wait_for(1);
    store.lost_answer.store(store.commits.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
    assert!(log.fork_local(old.clone(), 1).blocking_recv().unwrap().is_err());
    emit(&log, "after");
    log.close();
    writer.join().unwrap();
    let new = log.log_id();
    assert_eq!((log.seq(&old), log.seq(&new), new == old), (0, 2, false));
    audit(&log);
}

#[test]
fn a_store_that_panics_in_a_fork_fails_it_and_the_log_goes_on() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let (log, heard, writer) = written(&store);
    emit(&log, "before");
    heard.wait_for(1);
    let next = store.commits.load(Ordering::SeqCst) + 1;
    *store.on_commit.lock() = Some(Box::new(move |number| number != next || panic!("the store's own defect")));
    let forked = log.fork_local(log.log_id(), 1).blocking_recv().unwrap();
    assert_eq!(forked.unwrap_err().code(), "ERR_HYPER_INTERNAL");
    emit(&log, "after");
    log.close();
    writer.join().unwrap();
    assert_eq!(payloads(&log), ["before", "after"]);
    audit(&log);
}

#[test]
fn whatever_fails_exactly_what_was_acknowledged_is_stored() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    *store.on_commit.lock() = Some(Box::new(|number| {
        assert_ne!(number % 11, 0, "the store's own defect");
        number % 5 != 0 && number % 7 != 0
    }));
    let (log, heard, writer) = written(&store);
    let peer = {
        let log = log.clone();
        std::thread::spawn(move || {
            // Like a session: failed nodes are offered again.
            for node in chain("peer", 300) {
                while log.add(PEER, vec![node.clone()]).blocking_recv().unwrap().is_err() {}
                if node.seq % 20 == 0 {
                    let own = log.log_id();
                    // Fails as often as any commit.
                    let _ = log.fork_local(own.clone(), log.seq(&own).max(1)).blocking_recv().unwrap();
                }
            }
        })
    };
    for batch in 0..2000 {
        // So that there are many commits.
        while log.pending() > 1000 {
            std::thread::yield_now();
        }
        log.append((0..batch % 7 + 1).map(|n| event("test", &format!("{batch}.{n}"))).collect::<Vec<_>>());
    }
    peer.join().unwrap();
    log.close();
    writer.join().unwrap();
    let answers = heard.acks.lock();
    let emitted = (0..2000).flat_map(|batch| (0..batch % 7 + 1).map(move |n| format!("{batch}.{n}")));
    let stored: Vec<String> =
        emitted.zip(answers.iter()).filter(|(_, ack)| ack.result.is_ok()).map(|(id, _)| id).collect();
    assert!(answers.iter().any(|ack| ack.result.is_err()) && stored.len() > 100, "some fail, some do not");
    let (ours, theirs): (Vec<String>, Vec<String>) = payloads(&log).into_iter().partition(|id| !id.starts_with("peer"));
    assert_eq!(ours, stored);
    assert_eq!(theirs, (1..=300).map(|seq| format!("peer {seq}")).collect::<Vec<_>>());
    for ack in answers.iter().filter(|ack| ack.result.is_ok()) {
        assert_eq!(ack.result.as_ref().unwrap().as_ref().unwrap().change, ack.change);
    }
    assert_eq!(log.pending(), 0);
    audit(&log);
}

#[test]
fn an_import_keeps_logs_and_keys_and_may_be_repeated() {
    let (source, _) = in_memory();
    add(&source, chain("peer", 3000));
    emit(&source, "mine");
    let (target, _) = in_memory();
    assert_eq!(import(&target, source.store().as_ref(), &mut |_, _| {}).unwrap(), 3001);
    assert_eq!(import(&target, source.store().as_ref(), &mut |_, _| {}).unwrap(), 0);
    assert_eq!(target.digest(), source.digest());
    audit(&target);
}

#[test]
fn what_a_store_knows_of_its_emitter_is_imported_where_there_is_nothing_yet() {
    let fact = |log: &Log, meta: Meta| log.meta(&meta).unwrap().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
    let (source, _) = in_memory();
    let facts = [(Meta::StoreId, "theirs"), (Meta::Peers, "[1]"), (Meta::Position("mine".into()), "5")];
    let facts = facts.map(|(meta, text)| (meta, Some(Bytes::from(text))));
    source.set_meta(facts.into()).blocking_recv().unwrap().unwrap();
    let (target, _) = in_memory();
    target.set_meta(vec![(Meta::Peers, Some(Bytes::from("[2]")))]).blocking_recv().unwrap().unwrap();
    for _ in 0..2 {
        import_facts(&target, source.store().as_ref()).unwrap();
        assert_eq!(fact(&target, Meta::StoreId).as_deref(), Some("theirs"));
        assert_eq!(fact(&target, Meta::Peers).as_deref(), Some("[2]"));
        assert_eq!(fact(&target, Meta::MyEventPeer), None);
        assert_eq!(fact(&target, Meta::Position("mine".into())), None);
    }
}

#[test]
fn a_refused_import_says_how_far_it_came_and_leaves_nothing_waiting() {
    let (source, _) = in_memory();
    add(&source, chain("early", 2000));
    add(&source, chain("peer", 3));
    let (target, _) = in_memory();
    // The second entry of this log differs here, so the source's later entries wait for it in vain.
    let (ours, _) = node("peer", 1, &[], "peer 1");
    let (other, _) = node("peer", 2, &[ours.claimed.unwrap()], "not peer 2");
    assert_eq!(add(&target, vec![ours, other]), ["added", "added"]);
    let import = || import(&target, source.store().as_ref(), &mut |_, _| {});

    let error = import().unwrap_err();
    assert_eq!(error.code(), "ERR_HYPER_FORK");
    let text = error.to_string();
    assert!(text.contains("change 2002 of 2003") && text.contains("peer") && text.contains("2000 new rows"), "{text}");

    let again = import().unwrap_err();
    assert_eq!(again.to_string(), text.replace("2000 new rows", "0 new rows"), "and may be tried again");

    let theirs = rows(&source).into_iter().find(|row| row.at.change == 2002).unwrap();
    let elsewhere = Incoming { log: "elsewhere".into(), seq: 1, ..offered(vec![theirs]).remove(0) };
    assert_eq!(add(&target, vec![elsewhere]), ["added"]);
    assert_eq!(target.seq("peer"), 2, "what the import left waiting is stored long after it was refused");
    audit(&target);
}

#[test]
fn an_import_that_the_store_refused_is_run_again() {
    let (source, _) = in_memory();
    add(&source, chain("peer", 3000));
    let store = Arc::new(Flaky::default());
    let (target, _) = open(store.clone());
    let failing = &mut |done, _| store.failing.store(done == 1024, Ordering::SeqCst);
    let error = import(&target, source.store().as_ref(), failing).unwrap_err();
    assert_eq!(error.code(), "ERR_HYPER_STORE");
    assert!(error.to_string().contains("1024 of 3000"), "{error}");
    store.failing.store(false, Ordering::SeqCst);
    assert_eq!(import(&target, source.store().as_ref(), &mut |_, _| {}).unwrap(), 3000 - 1024);
    assert_eq!(target.digest(), source.digest());
}
