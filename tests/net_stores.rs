//! Replication between stores that block or fail.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code outside test functions")]

mod net_support;

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyperemitter::net::{NetEvent, PeerInfo};
use net_support::sluggish::Sluggish;
use net_support::{agree, assert_causal, open, options, soon, Peer};

/// A peer on a store that blocks; its writer thread ends with the log.
fn on_blocking(store: Arc<Sluggish>) -> Peer {
    let log = open(store);
    let writer = Arc::clone(&log);
    std::thread::spawn(move || writer.run());
    Peer::on(log, options())
}

/// Waits until the log has stored what was emitted on this side.
async fn stored(peer: &Peer, count: u64) {
    let mut end = peer.log.watch();
    soon("the store", end.wait_for(|end| end.change >= count)).await.unwrap();
}

#[tokio::test]
async fn blocking_stores_catch_up_with_more_than_is_kept_in_memory() {
    let (at_a, at_b) = (Arc::new(Sluggish::default()), Arc::new(Sluggish::new(Duration::from_millis(2))));
    let (a, b) = (on_blocking(Arc::clone(&at_a)).listen(0).await, on_blocking(Arc::clone(&at_b)));
    a.emit_many(50_000);
    stored(&a, 50_000).await;
    b.dial(a.port);
    b.holds(50_000).await;
    b.live(1).await;
    a.emit("live");
    b.emit("live");
    a.holds(50_002).await;
    b.holds(50_002).await;
    assert!(agree(&[&a, &b]));
    assert_causal(&b);
    assert!(at_a.reads.load(Ordering::Relaxed) > 0, "old rows come from the medium");
    let commits = at_b.commits.load(Ordering::Relaxed);
    assert!(commits < 2_000, "{commits} commits for 50,002 events: what waits is to be stored as one group");
    a.log.close();
    b.log.close();
}

#[tokio::test]
async fn a_store_that_fails_ends_the_link_and_the_next_one_brings_the_rest() {
    let at_b = Arc::new(Sluggish::default());
    let (a, b) = (Peer::listening().await, on_blocking(Arc::clone(&at_b)));
    b.dial(a.port);
    b.live(1).await;
    at_b.broken.store(true, Ordering::Relaxed);
    a.emit_many(100);
    let event = b.event("the link's end", |event| matches!(event, NetEvent::ConnectionError { .. })).await;
    let NetEvent::ConnectionError { error, will_retry_in_ms: Some(_), .. } = event else { panic!("{event:?}") };
    assert_eq!(error.code(), "ERR_HYPER_STORAGE");
    at_b.broken.store(false, Ordering::Relaxed);
    b.holds(100).await;
    assert!(agree(&[&a, &b]));
    b.log.close();
}

#[tokio::test]
async fn a_slow_commit_does_not_hold_up_closing() {
    let at_b = Arc::new(Sluggish::new(Duration::from_millis(700)));
    let (a, b) = (Peer::listening().await, on_blocking(Arc::clone(&at_b)));
    a.emit_many(10);
    let key = b.dial(a.port);
    b.when("nodes on their way", |peers| peers.iter().any(|peer| peer.counters.frames_in > 2)).await;
    let start = Instant::now();
    b.close().await;
    assert!(start.elapsed() < Duration::from_millis(600), "{:?}", start.elapsed());
    assert!(b.link(&key).is_none());
    b.log.close();
}

#[tokio::test]
async fn what_arrived_before_a_peer_left_is_stored() {
    let at_b = Arc::new(Sluggish::new(Duration::from_millis(50)));
    let (a, b) = (Peer::new(options()), on_blocking(Arc::clone(&at_b)).listen(0).await);
    a.emit_many(1_000);
    let key = a.dial(b.port);
    let sent = |peers: &[PeerInfo]| peers.iter().any(|peer| peer.key == key && peer.counters.nodes_out == 1_000);
    a.when("all is sent", sent).await;
    a.close().await;
    b.holds(1_000).await;
    b.log.close();
}
