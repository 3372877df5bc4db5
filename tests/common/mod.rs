//! Helpers of the log's tests: a recording observer, and shorthand for appends and nodes.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod flaky;
pub mod level_database;
pub mod model;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use hyperemitter::error::Error;
use hyperemitter::event::{self, Encoding, ID_LEN};
use hyperemitter::hyperlog::{Ack, AckKind, Append, Incoming, Log, LogObserver, LogOptions, Trust};
use hyperemitter::identity::SecretKey;
use hyperemitter::node::{key_of, Key, Links, LogId, Node};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Position, ReadLimit, Row, Store};
use parking_lot::Mutex;

pub const ALL: ReadLimit = ReadLimit { rows: 1_000_000, bytes: usize::MAX };

#[derive(Default)]
pub struct Recorder {
    pub acks: Mutex<Vec<Ack>>,
    pub reports: Mutex<Vec<Error>>,
}

impl LogObserver for Recorder {
    fn acks(&self, acks: Vec<Ack>) {
        self.acks.lock().extend(acks);
    }
    fn advanced(&self) {}
    fn log_id_changed(&self, _log: &LogId) {}
    fn report(&self, error: Error) {
        self.reports.lock().push(error);
    }
}

impl Recorder {
    /// Waits until this many answers have been recorded and not taken.
    pub fn wait_for(&self, answers: usize) {
        let start = Instant::now();
        while self.acks.lock().len() < answers {
            assert!(start.elapsed() < Duration::from_secs(20), "{} of {answers} answers", self.acks.lock().len());
            std::thread::yield_now();
        }
    }

    /// Takes the recorded answers: the node's change, or the error's code.
    pub fn take(&self) -> Vec<Result<u64, &'static str>> {
        self.acks.lock().drain(..).map(|ack| ack.result.map(|_| ack.change).map_err(|error| error.code())).collect()
    }
}

pub fn open(store: Arc<dyn Store>) -> (Arc<Log>, Arc<Recorder>) {
    open_with(store, LogOptions::default())
}

pub fn open_with(store: Arc<dyn Store>, options: LogOptions) -> (Arc<Log>, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    (Log::open(store, options, recorder.clone()).unwrap(), recorder)
}

pub fn in_memory() -> (Arc<Log>, Arc<Recorder>) {
    open(Arc::new(MemoryStore::new()))
}

pub fn event(name: &str, payload: &str) -> Append {
    Append {
        name: name.into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        encoding: Encoding::V1,
        ack: AckKind::Node,
    }
}

pub fn emit(log: &Log, payload: &str) {
    log.append(vec![event("test", payload)]);
}

pub fn value(payload: &str, id: u8) -> Bytes {
    let mut out = BytesMut::new();
    event::encode(&mut out, "test", payload.as_bytes(), &[id; ID_LEN], 1, Encoding::V1);
    out.freeze()
}

/// A node as a peer would send it, and its key.
pub fn node(log: &str, seq: u64, links: &[Key], payload: &str) -> (Incoming, Key) {
    let value = value(payload, 9);
    let key = key_of(links, &value);
    (Incoming { log: log.into(), seq, links: Links::from_slice(links), value, signed: None, claimed: Some(key) }, key)
}

/// `count` nodes of one log, each linking to the one before.
pub fn chain(log: &str, count: u64) -> Vec<Incoming> {
    let mut last: Option<Key> = None;
    (1..=count)
        .map(|seq| {
            let (node, key) = node(log, seq, last.as_slice(), &format!("{log} {seq}"));
            last = Some(key);
            node
        })
        .collect()
}

pub fn rows(log: &Log) -> Vec<Row> {
    log.read(Position::START, ALL).unwrap()
}

pub fn payload_of(node: &Node) -> String {
    String::from_utf8_lossy(event::decode(&node.value).unwrap().payload).into_owned()
}

pub fn payloads(log: &Log) -> Vec<String> {
    rows(log).iter().filter(|row| row.at.duplicate == 0).map(|row| payload_of(&row.node)).collect()
}

/// Offers the rows of one log to another, as a peer would.
pub fn offered(rows: Vec<Row>) -> Vec<Incoming> {
    rows.into_iter()
        .map(|row| Incoming {
            log: row.log().clone(),
            seq: row.seq(),
            links: row.node.links.clone(),
            value: row.node.value.clone(),
            signed: None,
            claimed: Some(row.node.key),
        })
        .collect()
}

pub fn open_trusting(store: Arc<dyn Store>, trust: Trust) -> (Arc<Log>, Arc<Recorder>) {
    let recorder = Arc::new(Recorder::default());
    (Log::open_trusting(store, LogOptions::default(), trust, recorder.clone()).unwrap(), recorder)
}

/// A key that is the same in every run.
pub fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

/// A log in memory that this key seals.
pub fn sealed(seed: u8) -> Arc<Log> {
    open_trusting(Arc::new(MemoryStore::new()), Trust::of(key(seed))).0
}

/// A row as its holder sends it.
pub fn incoming(row: &Row) -> Incoming {
    Incoming {
        log: row.log().clone(),
        seq: row.seq(),
        links: row.node.links.clone(),
        value: row.node.value.clone(),
        signed: row.node.signed.clone(),
        claimed: Some(row.node.key),
    }
}

/// All rows of a log, with their seals, as peers get them.
pub fn sent(log: &Log) -> Vec<Incoming> {
    log.read_sealed(Position::START, ALL).unwrap().iter().map(incoming).collect()
}
