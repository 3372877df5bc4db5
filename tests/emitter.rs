//! The emitter's promises to JavaScript: callbacks before listeners, nothing dropped at close.

mod common;

use std::io::Write as _;
use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::flaky::{out_of_order, Flaky};
use common::{event, payload_of};
use hyperemitter::emitter::{Bell, Emitter, Notice, Options, Reply, Request, Source};
use hyperemitter::error::Error;
use hyperemitter::hyperlog::{AckKind, Append};
use hyperemitter::net::{Dial, NetEvent};
use hyperemitter::store::embedded::{EmbeddedOptions, EmbeddedStore};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Meta, ReadLimit, Store};
use parking_lot::Mutex;

struct Rung(Mutex<Sender<()>>);

impl Bell for Rung {
    fn ring(&self) {
        let _ = self.0.lock().send(());
    }
}

struct Harness {
    emitter: Arc<Emitter>,
    rung: std::sync::mpsc::Receiver<()>,
    notices: Vec<Notice>,
}

fn open(source: Source) -> Harness {
    open_with(source, Options::default())
}

fn open_with(source: Source, options: Options) -> Harness {
    let (sender, rung) = channel();
    let emitter = Emitter::open(source, options, Arc::new(Rung(Mutex::new(sender)))).unwrap();
    Harness { emitter, rung, notices: Vec::new() }
}

fn memory() -> Harness {
    open(Source::Immediate(Arc::new(MemoryStore::new())))
}

impl Harness {
    /// Takes notices as they come until one fits.
    fn wait(&mut self, fits: impl Fn(&Notice) -> bool) -> Notice {
        loop {
            self.notices.extend(self.emitter.take_notices());
            if let Some(at) = self.notices.iter().position(&fits) {
                return self.notices.remove(at);
            }
            self.rung.recv_timeout(Duration::from_secs(20)).expect("the bell rings");
        }
    }

    fn answer(&mut self, id: u32, request: Request) -> Result<Reply, Error> {
        self.emitter.request(id, request);
        self.answered(id)
    }

    fn answered(&mut self, id: u32) -> Result<Reply, Error> {
        match self.wait(|notice| matches!(notice, Notice::Answer { id: answered, .. } if *answered == id)) {
            Notice::Answer { result, .. } => result,
            _ => unreachable!(),
        }
    }

    fn events(&self) -> Vec<String> {
        self.emitter.take_events(1000, 1 << 20).iter().map(|row| payload_of(&row.node)).collect()
    }
}

fn numbered(range: std::ops::Range<u32>) -> Vec<Append> {
    range.map(|n| event("test", &n.to_string())).collect()
}

#[test]
fn no_event_is_delivered_before_its_callback_was_handed_over() {
    let harness = memory();
    assert!(harness.emitter.append(numbered(0..10)));
    assert_eq!(harness.events(), Vec::<String>::new());
    assert_eq!(harness.emitter.take_acks(4).len(), 4);
    assert_eq!(harness.events(), ["0", "1", "2", "3"]);
    assert_eq!(harness.emitter.take_acks(100).len(), 6);
    assert_eq!(harness.events(), ["4", "5", "6", "7", "8", "9"]);
    assert!(!harness.emitter.has_events());
}

#[test]
fn events_without_callbacks_are_delivered_too() {
    let harness = memory();
    harness
        .emitter
        .append(numbered(0..2).into_iter().map(|append| Append { ack: AckKind::None, ..append }).collect::<Vec<_>>());
    assert!(harness.emitter.take_acks(10).is_empty());
    assert_eq!(harness.events(), ["0", "1"]);
}

#[test]
fn passing_over_events_goes_no_further_than_their_callbacks() {
    let harness = memory();
    harness.emitter.append(numbered(0..10));
    harness.emitter.take_acks(5);
    harness.emitter.skip_events();
    harness.emitter.take_acks(5);
    assert_eq!(harness.events(), ["5", "6", "7", "8", "9"]);
}

/// An emitter on a store whose rows cannot be read, and `count` events that its listeners have not had.
fn unreadable(store: &Arc<Flaky>, count: u32, error: &Error) -> Harness {
    let shared = Arc::clone(store);
    let mut harness = match store.waits {
        true => open(Source::Opening(Box::new(move |_| Ok(shared)))),
        false => open(Source::Immediate(shared)),
    };
    harness.wait(|notice| matches!(notice, Notice::Ready { .. }));
    *store.unreadable.lock() = Some(error.clone());
    harness.emit_and_hear(0..count);
    harness
}

impl Harness {
    /// Emits numbered events and takes their answers.
    fn emit_and_hear(&self, numbers: std::ops::Range<u32>) {
        self.append_and_hear(numbered(numbers));
    }

    /// Emits events and takes their answers.
    fn append_and_hear(&self, events: Vec<Append>) {
        let mut left = events.len();
        self.emitter.append(events);
        while left > 0 {
            let acks = self.emitter.take_acks(usize::MAX).len();
            if acks == 0 {
                self.rung.recv_timeout(Duration::from_secs(20)).expect("the bell rings");
            }
            left -= acks;
        }
    }

    /// Takes events whenever the bell rings, until there are `count`.
    fn all_events(&mut self, count: usize) -> Vec<String> {
        let mut heard = self.events();
        while heard.len() < count {
            let more = self.events();
            if more.is_empty() {
                self.rung.recv_timeout(Duration::from_secs(20)).expect("the bell rings");
            }
            heard.extend(more);
        }
        heard
    }

    /// Requests events, and waits until this many reads of the store have failed. A store that never blocks is read twice at each
    /// attempt.
    fn refused(&self, store: &Flaky, times: usize) {
        assert_eq!(self.events(), Vec::<String>::new());
        store.wait_misread(times);
        assert_eq!(self.events(), Vec::<String>::new());
    }

    fn reports(&mut self) -> Vec<&'static str> {
        self.notices.extend(self.emitter.take_notices());
        let reports = self.notices.iter().filter_map(|notice| match notice {
            Notice::Report(error) => Some(error.code()),
            _ => None,
        });
        reports.collect()
    }
}

#[test]
fn rows_that_could_not_be_read_are_delivered_once_they_can_be() {
    // For the slow store, more than is kept in memory.
    for (waits, count) in [(false, 1000), (true, 40_000)] {
        let store = Arc::new(Flaky { waits, ..Flaky::default() });
        let mut harness = unreadable(&store, count, &out_of_order());
        harness.refused(&store, 4);
        harness.wait(|notice| matches!(notice, Notice::Report(error) if error.code() == "ERR_HYPER_STORE"));
        assert!(harness.emitter.has_events(), "the process is held");
        *store.unreadable.lock() = None;
        let expected: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        assert_eq!(harness.all_events(count as usize), expected);
        assert!(harness.reports().is_empty(), "told once");

        // The next failure is reported again.
        *store.unreadable.lock() = Some(out_of_order());
        harness.emit_and_hear(0..count);
        assert_eq!(harness.events(), Vec::<String>::new());
        harness.wait(|notice| matches!(notice, Notice::Report(_)));
        harness.emitter.shut_down().unwrap();
    }
}

#[test]
fn damage_is_told_and_never_passed_over() {
    let store = Arc::new(Flaky::default());
    let mut harness = unreadable(&store, 10, &Error::damaged("change 1", "bad bytes"));
    harness.refused(&store, 4);
    assert_eq!(harness.reports(), ["ERR_HYPER_DAMAGED"]);
    *store.unreadable.lock() = Some(out_of_order());
    let seen = *store.misread.lock();
    harness.refused(&store, seen + 4);
    assert_eq!(harness.reports(), ["ERR_HYPER_DAMAGED", "ERR_HYPER_STORE"], "another error is news");
    *store.unreadable.lock() = None;
    assert_eq!(harness.all_events(10).first().unwrap(), "0");
}

#[test]
fn what_nobody_listens_to_any_more_does_not_hold_back_what_comes_after() {
    let store = Arc::new(Flaky::default());
    let mut harness = unreadable(&store, 10, &out_of_order());
    harness.refused(&store, 8);
    harness.emitter.skip_events();
    *store.unreadable.lock() = None;
    harness.emit_and_hear(10..12);
    assert_eq!(harness.events(), ["10", "11"], "without waiting for the next attempt");
    assert_eq!(harness.reports(), ["ERR_HYPER_STORE"]);
}

#[test]
fn closing_does_not_wait_for_the_next_attempt_to_read() {
    let store = Arc::new(Flaky::default());
    let harness = unreadable(&store, 10, &out_of_order());
    // The pause has grown beyond what is allowed here.
    harness.refused(&store, 10);
    let start = Instant::now();
    harness.emitter.shut_down().unwrap();
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn what_is_asked_before_the_store_is_open_is_answered_in_order_after() {
    let (go, wait) = channel::<()>();
    let mut harness = open(Source::Opening(Box::new(move |_| {
        wait.recv().unwrap();
        Ok(Arc::new(MemoryStore::new()) as Arc<dyn Store>)
    })));
    harness.emitter.append(numbered(0..3));
    harness.emitter.request(7, Request::Digest);
    assert!(harness.emitter.take_acks(10).is_empty());
    go.send(()).unwrap();
    harness.wait(|notice| matches!(notice, Notice::Ready { change: 0, .. }));
    assert!(matches!(harness.answered(7), Ok(Reply::Digest(_))));
    harness.emitter.append(numbered(3..4));
    assert_eq!(harness.emitter.take_acks(10).iter().map(|ack| ack.change).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(harness.events(), ["0", "1", "2", "3"]);
}

#[test]
fn a_store_that_does_not_open_answers_everything_with_its_error() {
    let failed = || Error::Locked { path: "./db".into() };
    let mut harness = open(Source::Opening(Box::new(move |_| Err(failed()))));
    harness.emitter.append(numbered(0..2));
    assert!(
        matches!(harness.wait(|notice| matches!(notice, Notice::Failed(_))), Notice::Failed(error) if error.code() == "ERR_HYPER_LOCKED")
    );
    harness.emitter.append(numbered(2..3));
    let codes: Vec<_> = harness.emitter.take_acks(10).into_iter().map(|ack| ack.result.unwrap_err().code()).collect();
    assert_eq!(codes, ["ERR_HYPER_LOCKED"; 3]);
    assert_eq!(harness.answer(1, Request::Digest).unwrap_err().code(), "ERR_HYPER_LOCKED");
}

#[test]
fn a_store_that_panics_when_it_is_opened_answers_everything_too() {
    let mut harness = open(Source::Opening(Box::new(|_| panic!("on purpose"))));
    harness.emitter.append(numbered(0..1));
    harness.wait(|notice| matches!(notice, Notice::Failed(error) if error.code() == "ERR_HYPER_INTERNAL"));
    assert_eq!(harness.answer(1, Request::Heads).unwrap_err().code(), "ERR_HYPER_INTERNAL");
    assert!(harness.emitter.take_acks(10)[0].result.is_err());
    harness.emitter.shut_down().unwrap();
}

#[test]
fn what_is_too_much_before_the_store_is_open_is_refused_in_its_turn() {
    let (go, wait) = channel::<()>();
    let mut options = Options::default();
    options.log.max_pending = 1000;
    let source = Source::Opening(Box::new(move |_| {
        wait.recv().unwrap();
        Ok(Arc::new(MemoryStore::new()) as Arc<dyn Store>)
    }));
    let mut harness = open_with(source, options);
    for payload in ["first".to_owned(), "x".repeat(2000), "third".to_owned()] {
        harness.emitter.append(vec![event("test", &payload)]);
    }
    go.send(()).unwrap();
    harness.wait(|notice| matches!(notice, Notice::Ready { .. }));
    assert!(matches!(harness.answer(1, Request::Wait(1)), Ok(Reply::Change(2))));
    let answers: Vec<_> =
        harness.emitter.take_acks(10).into_iter().map(|ack| ack.result.map_err(|error| error.code())).collect();
    assert!(matches!(&answers[..], [Ok(_), Err("ERR_HYPER_BACKLOG"), Ok(_)]), "{answers:?}");
    assert_eq!(harness.events(), ["first", "third"]);
}

#[test]
fn what_opening_a_folder_had_to_mend_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let opened = || {
        let path = folder.path().to_owned();
        open(Source::Opening(Box::new(move |progress| {
            Ok(Arc::new(EmbeddedStore::open(&path, &EmbeddedOptions::default(), progress)?) as Arc<dyn Store>)
        })))
    };
    let closed = |mut harness: Harness| {
        harness.emitter.close(9);
        assert!(matches!(harness.answered(9), Ok(Reply::Done)));
        harness.notices.extend(harness.emitter.take_notices());
        let reports = harness.notices.into_iter().filter_map(|notice| match notice {
            Notice::Report(error) => Some((error.code(), error.to_string())),
            _ => None,
        });
        reports.collect::<Vec<_>>()
    };
    let mut harness = opened();
    harness.emitter.append(numbered(0..3));
    harness.wait(|notice| matches!(notice, Notice::Ready { .. }));
    assert_eq!(closed(harness), []);

    let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let segment = files.into_iter().find(|path| path.to_string_lossy().contains("segment-")).unwrap();
    std::fs::OpenOptions::new().append(true).open(segment).unwrap().write_all(&[0xc7; 11]).unwrap();
    std::fs::write(folder.path().join("rebuild-index"), "").unwrap();
    let mut harness = opened();
    harness.wait(|notice| matches!(notice, Notice::Ready { change: 3, .. }));
    let reports = closed(harness);
    assert!(reports.iter().all(|(code, _)| *code == "ERR_HYPER_REPAIRED"), "{reports:?}");
    assert!(reports.len() == 2 && reports[0].1.contains("11 bytes") && reports[1].1.contains("index"), "{reports:?}");
}

#[test]
fn a_connection_asked_for_is_given_up_when_the_store_does_not_open() {
    let (go, wait) = channel::<()>();
    let mut harness = open(Source::Opening(Box::new(move |_| {
        wait.recv().unwrap();
        Err(Error::Locked { path: "./db".into() })
    })));
    harness.emitter.connect("127.0.0.1".into(), 9, Dial::default());
    go.send(()).unwrap();
    let given_up = harness.wait(|notice| matches!(notice, Notice::Net(NetEvent::GaveUp { .. })));
    let Notice::Net(NetEvent::GaveUp { key, error }) = given_up else { unreachable!() };
    assert_eq!((key.as_str(), error.code()), ("127.0.0.1:9", "ERR_HYPER_LOCKED"));
}

#[test]
fn closing_answers_everything_that_is_under_way() {
    let mut harness = memory();
    harness.emitter.append(numbered(0..5));
    harness.emitter.request(1, Request::Wait(1000));
    harness.emitter.close(2);
    assert_eq!(harness.answered(1).unwrap_err().code(), "ERR_HYPER_CLOSED");
    assert!(matches!(harness.answered(2), Ok(Reply::Done)));
    harness.emitter.append(numbered(5..6));
    let acks = harness.emitter.take_acks(10);
    assert_eq!(acks.iter().filter(|ack| ack.result.is_ok()).count(), 5);
    assert_eq!(acks.last().unwrap().result.as_ref().unwrap_err().code(), "ERR_HYPER_CLOSED");
    assert!(harness.events().is_empty(), "deliveries stop at once");
    harness.emitter.close(4);
    assert!(matches!(harness.answered(4), Ok(Reply::Done)));
}

#[test]
fn reads_go_both_ways_and_say_where_they_end() {
    let mut harness = memory();
    harness.emitter.append(numbered(0..10));
    let limit = ReadLimit { rows: 4, bytes: 1 << 20 };
    let mut seen = Vec::new();
    let mut from = 0;
    loop {
        let Ok(Reply::Rows { rows, next, done }) = harness.answer(1, Request::Read { from, reverse: false, limit })
        else {
            panic!()
        };
        seen.extend(rows.iter().map(|row| payload_of(&row.node)));
        from = next;
        if done {
            break;
        }
    }
    let forward: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(seen, forward);
    seen.clear();
    from = u64::MAX;
    loop {
        let Ok(Reply::Rows { rows, next, done }) = harness.answer(1, Request::Read { from, reverse: true, limit })
        else {
            panic!()
        };
        seen.extend(rows.iter().map(|row| payload_of(&row.node)));
        from = next;
        if done {
            break;
        }
    }
    seen.reverse();
    assert_eq!(seen, forward);
}

#[test]
fn reads_backwards_heed_the_limit_of_bytes_too() {
    let mut harness = memory();
    harness.append_and_hear((0..100).map(|n| event("test", &format!("{n} {}", "x".repeat(1000)))).collect());
    let limit = ReadLimit { rows: 1000, bytes: 10_000 };
    let (mut from, mut changes) = (u64::MAX, Vec::new());
    loop {
        let Ok(Reply::Rows { rows, next, done }) = harness.answer(1, Request::Read { from, reverse: true, limit })
        else {
            panic!()
        };
        assert!((1..10).contains(&rows.len()), "{}", rows.len());
        changes.extend(rows.iter().map(|row| row.at.change));
        from = next;
        if done {
            break;
        }
    }
    assert_eq!(changes, (1..=100).rev().collect::<Vec<_>>());
}

#[test]
fn facts_and_questions_are_answered() {
    let mut harness = memory();
    let position = Meta::Position("billing".into());
    assert!(matches!(harness.answer(1, Request::MetaGet(position.clone())), Ok(Reply::Fact(None))));
    assert!(matches!(harness.answer(2, Request::MetaSet(vec![(position.clone(), Some("7".into()))])), Ok(Reply::Done)));
    assert!(matches!(harness.answer(3, Request::MetaGet(position)), Ok(Reply::Fact(Some(value))) if &*value == b"7"));
    harness.emitter.append(numbered(0..3));
    assert!(matches!(harness.answer(4, Request::Wait(2)), Ok(Reply::Change(3))));
    assert!(matches!(harness.answer(5, Request::Verify), Ok(Reply::Verified(found)) if found.nodes == 3));
    let Ok(Reply::Stats(stats)) = harness.answer(6, Request::Stats) else { panic!() };
    assert_eq!((stats.change, stats.heads, stats.logs.len()), (3, 1, 1));
    let Ok(Reply::Heads(heads)) = harness.answer(7, Request::Heads) else { panic!() };
    let Ok(Reply::Node(Some(node))) = harness.answer(8, Request::Get(heads[0].key)) else { panic!() };
    assert_eq!(payload_of(&node), "2");
}

#[test]
fn two_emitters_exchange_events_whether_they_connect_before_or_after_opening() {
    let (mut listener, mut dialler) = (memory(), memory());
    listener.emitter.append(numbered(0..3));
    let Ok(Reply::Listening(address)) = listener.answer(1, Request::Listen { host: Some("127.0.0.1".into()), port: 0 })
    else {
        panic!()
    };
    dialler.emitter.connect("127.0.0.1".into(), address.port(), Dial::default());
    dialler.wait(|notice| matches!(notice, Notice::Net(NetEvent::Connected { .. })));
    assert!(matches!(dialler.answer(2, Request::Wait(2)), Ok(Reply::Change(_))));
    dialler.emitter.append(numbered(3..4));
    assert!(matches!(listener.answer(3, Request::Wait(3)), Ok(Reply::Change(4))));
    dialler.emitter.take_acks(10);
    assert_eq!(dialler.events(), ["0", "1", "2", "3"]);
    assert_eq!(dialler.emitter.peers().len(), 1);
    dialler.emitter.close(9);
    assert!(matches!(dialler.answered(9), Ok(Reply::Done)));
    dialler.wait(|notice| matches!(notice, Notice::Net(NetEvent::GaveUp { .. })));
    listener.emitter.close(9);
    assert!(matches!(listener.answered(9), Ok(Reply::Done)));
}

#[test]
fn a_connection_asked_for_before_opening_is_answered_at_close() {
    let (go, wait) = channel::<()>();
    let mut harness = open(Source::Opening(Box::new(move |_| {
        wait.recv().unwrap();
        Ok(Arc::new(MemoryStore::new()) as Arc<dyn Store>)
    })));
    harness.emitter.connect("127.0.0.1".into(), 9, Dial::default());
    harness.emitter.close(1);
    go.send(()).unwrap();
    harness.wait(|notice| matches!(notice, Notice::Net(NetEvent::GaveUp { .. })));
    assert!(matches!(harness.answered(1), Ok(Reply::Done)));
}
