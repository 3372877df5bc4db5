//! The emitter's promises to JavaScript: callbacks before listeners, nothing dropped at close.

mod common;

use std::sync::mpsc::{channel, Sender};
use std::sync::Arc;
use std::time::Duration;

use common::{event, payload_of};
use hyperemitter::emitter::{Bell, Emitter, Notice, Options, Reply, Request, Source};
use hyperemitter::error::Error;
use hyperemitter::hyperlog::{AckKind, Append};
use hyperemitter::net::NetEvent;
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
    let (sender, rung) = channel();
    let emitter = Emitter::open(source, Options::default(), Arc::new(Rung(Mutex::new(sender)))).unwrap();
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
        self.emitter.take_events(1000, 1 << 20, &mut |_| true).iter().map(|row| payload_of(&row.node)).collect()
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
    harness.emitter.append(numbered(0..2).into_iter().map(|append| Append { ack: AckKind::None, ..append }).collect());
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
    dialler.emitter.connect("127.0.0.1".into(), address.port(), false);
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
    harness.emitter.connect("127.0.0.1".into(), 9, false);
    harness.emitter.close(1);
    go.send(()).unwrap();
    harness.wait(|notice| matches!(notice, Notice::Net(NetEvent::GaveUp { .. })));
    assert!(matches!(harness.answered(1), Ok(Reply::Done)));
}
