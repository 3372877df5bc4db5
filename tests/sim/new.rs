//! A peer of ours: the real log on a memory store.

use std::sync::Arc;

use bytes::Bytes;
use hyperemitter::error::Error;
use hyperemitter::event::Encoding;
use hyperemitter::hyperlog::branch_digest::digest_between;
use hyperemitter::hyperlog::trust::{TrustPolicy, Unsigned};
use hyperemitter::hyperlog::{Ack, AckKind, Append, Log, LogObserver, LogOptions, SourceId, Trust};
use hyperemitter::identity::SecretKey;
use hyperemitter::node::{Key, LogId, Seq};
use hyperemitter::protocol::pieces::Partials;
use hyperemitter::protocol::twins::Twins;
use hyperemitter::protocol::{Found, Incoming, Lookup, Outcome};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Commit, Meta, Position, ReadLimit, Row, Store};

struct Quiet;

impl LogObserver for Quiet {
    fn acks(&self, _: Vec<Ack>) {}
    fn advanced(&self) {}
    fn log_id_changed(&self, _: &LogId) {}
    fn report(&self, error: Error) {
        // The log reports forgeries of others; nothing else may go wrong in it.
        let made_up = ["ERR_HYPER_FORGED", "ERR_HYPER_FORK"].contains(&error.code());
        assert!(made_up, "the log reports {error}");
    }
}

/// Source of our own events; sessions count from 1.
const LOCAL: SourceId = SourceId::USER;

pub struct NewPeer {
    pub store: Arc<MemoryStore>,
    pub log: Arc<Log>,
    trust: Trust,
    sources: u64,
    pub partials: Partials,
    /// Its links, where several may lead to one peer; by the link, connection and side of the simulated network.
    pub twins: Option<Twins<(usize, u64, usize)>>,
}

impl NewPeer {
    pub fn new(id: &str) -> Self {
        let store = Arc::new(MemoryStore::new());
        let meta = vec![(Meta::LogId, Some(Bytes::copy_from_slice(id.as_bytes())))];
        store.commit(&Commit { meta, ..Commit::default() }).unwrap();
        Self::open(store)
    }

    /// A peer whose log is sealed by a key of this number.
    pub fn sealed(number: usize, unsigned: Unsigned) -> Self {
        let key = SecretKey::from_seed(&[number as u8 + 1; 32]);
        let trust = Trust { identity: Some(key), policy: TrustPolicy { unsigned, ..TrustPolicy::default() } };
        let store = Arc::new(MemoryStore::new());
        let id = Self::sealed_log(number);
        let meta = vec![(Meta::LogId, Some(Bytes::copy_from_slice(id.as_bytes())))];
        store.commit(&Commit { meta, ..Commit::default() }).unwrap();
        Self::open_trusting(store, trust)
    }

    /// The log that such a peer writes at first: the same in every run.
    pub fn sealed_log(number: usize) -> String {
        format!("{}.aaaaaaaa", SecretKey::from_seed(&[number as u8 + 1; 32]).public())
    }

    fn open(store: Arc<MemoryStore>) -> Self {
        Self::open_trusting(store, Trust::default())
    }

    fn open_trusting(store: Arc<MemoryStore>, trust: Trust) -> Self {
        let log = Log::open_trusting(store.clone(), LogOptions::default(), trust.clone(), Arc::new(Quiet)).unwrap();
        NewPeer { store, log, trust, sources: 0, partials: Partials::default(), twins: None }
    }

    /// A new process on the same store.
    pub fn reopened(&self) -> Self {
        Self::open_trusting(self.store.clone(), self.trust.clone())
    }

    /// A store restored from a copy of this one.
    pub fn copied(&self) -> Self {
        let copy = Arc::new(MemoryStore::new());
        let meta = vec![(Meta::LogId, Some(Bytes::copy_from_slice(self.log.log_id().as_bytes())))];
        copy.commit(&Commit { meta, ..Commit::default() }).unwrap();
        let peer = Self::open(copy);
        for row in self.rows() {
            let outcomes = peer.add(LOCAL, vec![incoming(&row)]);
            assert!(matches!(outcomes[..], [Outcome::Added]));
        }
        peer
    }

    pub fn next_source(&mut self) -> SourceId {
        self.sources += 1;
        SourceId(self.sources)
    }

    /// Emits an event whose container is `value`; its key depends on nothing but the log.
    pub fn append(&self, value: Bytes) -> Key {
        let mut links: Vec<Key> = self.log.heads().unwrap().iter().map(|head| head.key).collect();
        links.sort();
        let log = self.log.log_id();
        let seq = self.log.seq(&log) + 1;
        let node = Incoming { log, seq, links: links.into_iter().collect(), value, signed: None, claimed: None };
        let key = hyperemitter::node::key_of(&node.links, &node.value);
        let outcomes = self.add(LOCAL, vec![node]);
        assert!(matches!(outcomes[..], [Outcome::Added]), "{outcomes:?}");
        key
    }

    /// Emits as users do: the log makes the container and the links.
    pub fn emit(&self, payload: &[u8]) -> Key {
        let (name, payload) = ("reading".into(), Bytes::copy_from_slice(payload));
        self.log.append(vec![Append { name, payload, encoding: Encoding::V1, ack: AckKind::None }]);
        let end = self.log.end();
        // Duplicates of earlier nodes may come after them.
        let rows = self.log.read(Position::of(end.change - 1), ReadLimit { rows: 1000, bytes: usize::MAX }).unwrap();
        rows.iter().find(|row| row.at == Position::of(end.change)).unwrap().node.key
    }

    pub fn add(&self, source: SourceId, nodes: Vec<Incoming>) -> Vec<Outcome> {
        self.log.add(source, nodes).try_recv().expect("a memory store answers at once").unwrap()
    }

    pub fn answer(&self, queries: &[Lookup]) -> Vec<Found> {
        queries
            .iter()
            .map(|query| match query {
                Lookup::Digest(log, seq) => Found::Digest(self.log.digest_at(log, *seq).unwrap()),
                Lookup::DigestBetween(log, from, to) => {
                    Found::Digest(digest_between(self.log.store().as_ref(), log, *from, *to).unwrap())
                }
                Lookup::Entry(log, seq) => Found::Entry(self.log.entry(log, *seq).unwrap()),
            })
            .collect()
    }

    pub fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows.last().map_or(Position::START, |row| row.at);
            let more = self.log.read(after, ReadLimit { rows: 1000, bytes: usize::MAX }).unwrap();
            if more.is_empty() {
                return rows;
            }
            rows.extend(more);
        }
    }

    pub fn seq(&self, log: &str) -> Seq {
        self.log.seq(log)
    }
}

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
