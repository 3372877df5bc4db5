//! Helpers of the network tests: peers on memory stores, their recorded events, and a TCP proxy with faults.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code outside test functions")]

pub mod proxy;
pub mod shaped;
pub mod sluggish;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyperemitter::error::Error;
use hyperemitter::event::Encoding;
use hyperemitter::hyperlog::{Ack, AckKind, Append, Log, LogObserver, LogOptions};
use hyperemitter::net::{Net, NetEvent, NetObserver, NetOptions, PeerInfo, Stage};
use hyperemitter::node::LogId;
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Position, ReadLimit, Row, Store};
use parking_lot::Mutex;
use tokio::sync::watch;

/// Longest wait for anything that must happen. It is far above what is needed, so that only a hang reaches it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Everything in the log, whatever its size.
pub const ALL: ReadLimit = ReadLimit { rows: usize::MAX, bytes: usize::MAX };

/// Fails the test if `wait` takes longer than [`PATIENCE`].
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}

/// Quick redials; the rest as in production.
pub fn options() -> NetOptions {
    NetOptions { reconnect_timeout_ms: 20, ..NetOptions::default() }
}

struct Deaf;

impl LogObserver for Deaf {
    fn acks(&self, _: Vec<Ack>) {}
    fn advanced(&self) {}
    fn log_id_changed(&self, _: &LogId) {}
    fn report(&self, _: Error) {}
}

/// A log on a store, without an observer.
pub fn open(store: Arc<dyn Store>) -> Arc<Log> {
    Log::open(store, LogOptions::default(), Arc::new(Deaf)).unwrap()
}

/// Remembers events, and wakes whoever waits for one.
pub struct Seen {
    events: Mutex<Vec<NetEvent>>,
    count: watch::Sender<usize>,
}

impl NetObserver for Seen {
    fn event(&self, event: NetEvent) {
        self.events.lock().push(event);
        self.count.send_modify(|count| *count += 1);
    }
}

/// A log and its network.
pub struct Peer {
    pub log: Arc<Log>,
    pub net: Net,
    seen: Arc<Seen>,
    pub port: u16,
}

impl Peer {
    /// A peer that does not listen.
    pub fn new(options: NetOptions) -> Peer {
        Peer::on(open(Arc::new(MemoryStore::default())), options)
    }

    /// A new network on an existing log, as after a restart.
    pub fn on(log: Arc<Log>, options: NetOptions) -> Peer {
        let seen = Arc::new(Seen { events: Mutex::default(), count: watch::Sender::new(0) });
        let net = Net::new(
            Arc::clone(&log),
            options,
            Arc::clone(&seen) as Arc<dyn NetObserver>,
            tokio::runtime::Handle::current(),
        );
        Peer { log, net, seen, port: 0 }
    }

    /// A peer that listens on a free loopback port.
    pub async fn listening() -> Peer {
        Peer::new(options()).listen(0).await
    }

    pub async fn listen(mut self, port: u16) -> Peer {
        self.port = self.net.listen(Some("127.0.0.1".into()), port).await.unwrap().unwrap().port();
        self
    }

    /// Dials a port of this machine; the link's key.
    pub fn dial(&self, port: u16) -> String {
        self.net.connect("127.0.0.1".into(), port, false);
        format!("127.0.0.1:{port}")
    }

    pub fn emit(&self, text: &str) {
        self.emit_bytes(Bytes::copy_from_slice(text.as_bytes()));
    }

    pub fn emit_bytes(&self, payload: Bytes) {
        self.log.append(vec![Append { name: "Test".into(), payload, encoding: Encoding::V1, ack: AckKind::None }]);
    }

    /// `count` small events.
    pub fn emit_many(&self, count: usize) {
        let batch = (0..count).map(|n| Append {
            name: "Test".into(),
            payload: Bytes::from(format!("event number {n}")),
            encoding: Encoding::V1,
            ack: AckKind::None,
        });
        self.log.append(batch.collect::<Vec<_>>());
    }

    pub fn len(&self) -> u64 {
        self.log.end().change
    }

    /// Waits until the log holds exactly `count` events; more is a failure.
    pub async fn holds(&self, count: u64) {
        let mut end = self.log.watch();
        let waited = tokio::time::timeout(PATIENCE, end.wait_for(|end| end.change >= count)).await;
        assert!(waited.is_ok(), "holds {} of {count} events; links: {:#?}", self.len(), self.net.peers());
        assert_eq!(self.len(), count, "events doubled");
    }

    pub fn rows(&self) -> Vec<Row> {
        self.log.read(Position::START, ALL).unwrap()
    }

    /// Waits for the first event from number `from` on that matches; its number and itself.
    pub async fn event_after(&self, from: usize, what: &str, matches: impl Fn(&NetEvent) -> bool) -> (usize, NetEvent) {
        let mut count = self.seen.count.subscribe();
        soon(what, async {
            loop {
                count.borrow_and_update();
                let found = self
                    .seen
                    .events
                    .lock()
                    .iter()
                    .enumerate()
                    .skip(from)
                    .find(|(_, event)| matches(event))
                    .map(|(n, event)| (n, event.clone()));
                if let Some(found) = found {
                    return found;
                }
                count.changed().await.unwrap();
            }
        })
        .await
    }

    pub async fn event(&self, what: &str, matches: impl Fn(&NetEvent) -> bool) -> NetEvent {
        self.event_after(0, what, matches).await.1
    }

    /// What the peer was told so far.
    pub fn events(&self) -> Vec<NetEvent> {
        self.seen.events.lock().clone()
    }

    pub fn link(&self, key: &str) -> Option<PeerInfo> {
        self.net.peers().into_iter().find(|peer| peer.key == key)
    }

    /// Waits until `count` links are live. Stages are published without a signal, hence the polling.
    pub async fn live(&self, count: usize) {
        self.when(&format!("{count} live links"), |peers| {
            peers.iter().filter(|peer| peer.stage == Stage::Live).count() == count
        })
        .await;
    }

    /// Waits until the links are as `wanted`.
    pub async fn when(&self, what: &str, wanted: impl Fn(&[PeerInfo]) -> bool) {
        let polled = tokio::time::timeout(PATIENCE, async {
            while !wanted(&self.net.peers()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        });
        assert!(polled.await.is_ok(), "waited in vain: {what}; links: {:#?}", self.net.peers());
    }

    pub async fn close(&self) {
        soon("close", self.net.close()).await.unwrap();
    }
}

/// Whether all hold the same logs.
pub fn agree(peers: &[&Peer]) -> bool {
    peers.windows(2).all(|pair| pair[0].log.digest() == pair[1].log.digest())
}

/// Every node comes after what it links to, and every log is gapless.
pub fn assert_causal(peer: &Peer) {
    let mut stored = std::collections::HashSet::new();
    let mut logs = std::collections::HashMap::new();
    for row in peer.rows() {
        assert!(row.node.links.iter().all(|link| stored.contains(link)), "an effect before its cause");
        assert_eq!(row.seq(), logs.get(row.log()).copied().unwrap_or(0) + 1, "a gap");
        stored.insert(row.node.key);
        logs.insert(row.log().clone(), row.seq());
    }
}
