//! Logs over real sockets: catching up, live, in every shape of network, through failures.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "test code outside test functions")]

mod net_support;

use std::time::Duration;

use hyperemitter::net::{NetEvent, Stage};
use net_support::proxy::{Mode, Proxy};
use net_support::{agree, assert_causal, options, soon, Peer};

#[tokio::test]
async fn a_new_peer_catches_up_and_goes_live() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    a.emit_many(500);
    b.emit_many(300);
    b.dial(a.port);
    a.holds(800).await;
    b.holds(800).await;
    a.live(1).await;
    b.live(1).await;
    a.emit("live from a");
    b.emit("live from b");
    a.holds(802).await;
    b.holds(802).await;
    assert!(agree(&[&a, &b]));
    assert_causal(&a);
    assert_causal(&b);
}

#[tokio::test]
async fn two_empty_peers_go_live() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    b.dial(a.port);
    b.live(1).await;
    a.emit("first");
    b.holds(1).await;
}

#[tokio::test]
async fn nothing_is_sent_back_to_where_it_came_from() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    a.emit_many(1000);
    let key = b.dial(a.port);
    b.live(1).await;
    b.holds(1000).await;
    for n in 0..50 {
        a.emit(&format!("{n}"));
        b.holds(1001 + n).await;
    }
    let at_a = a.link("0").unwrap().counters;
    let at_b = b.link(&key).unwrap().counters;
    assert_eq!((at_a.added, at_a.known, at_a.parked), (0, 0, 0), "an echo");
    assert_eq!((at_b.added, at_b.known, at_b.parked), (1050, 0, 0), "a duplicate");
}

#[tokio::test]
async fn large_events_pass_whole() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    for size in [1, 100_000, 3_000_000, 8_000_000] {
        a.emit_bytes(vec![7; size].into());
    }
    b.dial(a.port);
    b.holds(4).await;
    a.emit_bytes(vec![8; 8_000_000].into());
    b.holds(5).await;
    assert!(agree(&[&a, &b]));
}

#[tokio::test]
async fn a_chain_carries_events_from_end_to_end() {
    let peers = [Peer::listening().await, Peer::listening().await, Peer::listening().await, Peer::listening().await];
    peers[0].emit_many(100);
    for pair in peers.windows(2) {
        pair[1].dial(pair[0].port);
    }
    all_hold(&peers, 100).await;
    peers[3].emit("from the far end");
    peers[1].emit("from the middle");
    all_hold(&peers, 102).await;
    assert_converged(&peers);
}

#[tokio::test]
async fn a_ring_delivers_everything_once() {
    let peers = several(5).await;
    for (n, peer) in peers.iter().enumerate() {
        peer.dial(peers[(n + 1) % 5].port);
    }
    for peer in &peers {
        peer.live(2).await;
    }
    emit_everywhere(&peers, 20).await;
    all_hold(&peers, 100).await;
    assert_converged(&peers);
}

#[tokio::test]
async fn a_full_mesh_of_five_delivers_everything_once() {
    let peers = several(5).await;
    for (n, peer) in peers.iter().enumerate() {
        for other in &peers[n + 1..] {
            peer.dial(other.port);
        }
    }
    for peer in &peers {
        peer.live(4).await;
    }
    emit_everywhere(&peers, 50).await;
    all_hold(&peers, 250).await;
    assert_converged(&peers);
    let counters: Vec<_> = peers.iter().flat_map(|peer| peer.net.peers()).map(|link| link.counters).collect();
    let sum = |field: fn(&hyperemitter::net::Counters) -> u64| -> u64 { counters.iter().map(field).sum() };
    let (added, known, parked) = (sum(|c| c.added), sum(|c| c.known), sum(|c| c.parked));
    // A node that arrives before its cause, which takes another path, is parked first.
    assert!(added <= 250 * 4 && added + parked >= 250 * 4, "{added} added, {parked} parked");
    // Plain flooding brings up to 3,000 in vain; each log soon keeps to one tree.
    assert!(known <= 1500, "{known} nodes received in vain");
    println!("{added} added, {parked} parked, {known} in vain");
}

#[tokio::test]
async fn a_mesh_that_forms_over_full_logs_sends_each_event_once() {
    let peers = several(5).await;
    for peer in &peers {
        peer.emit_many(200);
    }
    for (n, peer) in peers.iter().enumerate() {
        for other in &peers[n + 1..] {
            peer.dial(other.port);
        }
    }
    all_hold(&peers, 1000).await;
    assert_converged(&peers);
}

#[tokio::test]
async fn a_peer_that_dials_itself_goes_on_as_before() {
    let a = Peer::listening().await;
    a.emit_many(50);
    a.dial(a.port);
    a.event("giving up", |event| matches!(event, NetEvent::GaveUp { .. })).await;
    a.emit_many(50);
    let b = Peer::listening().await;
    b.dial(a.port);
    b.holds(100).await;
    a.holds(100).await;
}

#[tokio::test]
async fn a_dropped_link_is_dialled_again_and_what_was_missed_follows() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    let key = b.dial(a.port);
    b.live(1).await;
    for round in 1..=5 {
        let seen = b.events().len();
        b.net.drop_link(&key);
        a.emit("while away");
        b.event_after(seen, "told of the redial", |event| {
            matches!(event, NetEvent::ConnectionError { will_retry_in_ms: Some(_), .. })
        })
        .await;
        b.holds(round).await;
    }
    assert!(agree(&[&a, &b]));
}

#[tokio::test]
async fn an_inbound_link_can_be_dropped_as_well() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    b.dial(a.port);
    a.live(1).await;
    a.net.drop_link("0");
    a.event("the link's end", |event| matches!(event, NetEvent::InboundGone { key, .. } if key == "0")).await;
    a.event("the peer's return", |event| matches!(event, NetEvent::Inbound { key } if key == "1")).await;
    a.live(1).await;
}

#[tokio::test]
async fn catching_up_survives_one_cut_after_the_other() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    a.emit_many(30_000);
    let proxy = Proxy::to(a.port).await;
    b.dial(proxy.port);
    let mut end = b.log.watch();
    for part in 1..=10 {
        soon("progress", end.wait_for(|end| end.change >= part * 2_000)).await.unwrap();
        proxy.cut();
    }
    b.holds(30_000).await;
    assert!(agree(&[&a, &b]));
    assert_causal(&b);
}

#[tokio::test]
async fn events_emitted_while_a_peer_catches_up_arrive_too() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    a.emit_many(5_000);
    let proxy = Proxy::to(a.port).await;
    proxy.set(Mode::Delay(Duration::from_millis(1)));
    b.dial(proxy.port);
    for n in 0..500 {
        a.emit(&format!("a{n}"));
        b.emit(&format!("b{n}"));
        tokio::task::yield_now().await;
    }
    a.holds(6_000).await;
    b.holds(6_000).await;
    assert!(agree(&[&a, &b]));
    assert_causal(&a);
    assert_causal(&b);
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_up_nobody_else_and_little_memory() {
    let (a, slow, quick) = (Peer::listening().await, Peer::listening().await, Peer::listening().await);
    let proxy = Proxy::to(a.port).await;
    slow.dial(proxy.port);
    slow.live(1).await;
    proxy.set(Mode::Stall);
    for _ in 0..100 {
        a.emit_bytes(vec![1; 1_000_000].into());
    }
    quick.dial(a.port);
    quick.holds(100).await;
    // What the sockets and the proxy hold, and what waits at a: far less than the log.
    let sent = a.link("0").unwrap().counters.bytes_out;
    assert!(sent < 30_000_000, "{sent} bytes sent to a peer that reads nothing");
    proxy.set(Mode::Pass);
    slow.holds(100).await;
}

#[tokio::test]
async fn links_that_are_up_again_after_a_peers_restart_catch_up() {
    let (mut a, b) = (Peer::listening().await, Peer::listening().await);
    let port = a.port;
    b.dial(port);
    b.live(1).await;
    for round in 1..=3 {
        a.close().await;
        b.emit("while it was down");
        let log = std::sync::Arc::clone(&a.log);
        a = Peer::on(log, options()).listen(port).await;
        a.holds(round).await;
    }
    assert!(agree(&[&a, &b]));
}

#[tokio::test]
async fn stats_tell_where_a_link_stands() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    let key = b.dial(a.port);
    b.live(1).await;
    let link = b.link(&key).unwrap();
    assert_eq!(link.stage, Stage::Live);
    assert!(link.counters.bytes_in > 0 && link.counters.bytes_out > 0 && link.counters.frames_in > 0);
    assert_eq!(a.link("0").unwrap().kind, hyperemitter::net::PeerKind::V2);
}

#[tokio::test]
async fn a_link_at_rest_tells_that_the_peer_has_stored_everything() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    let proxy = Proxy::to(a.port).await;
    b.emit_many(300);
    let key = b.dial(proxy.port);
    b.when("all delivered", |peers| peers.iter().all(|peer| peer.delivered == 300)).await;
    assert_eq!(a.len(), 300);
    proxy.set(Mode::Stall);
    b.emit("held up");
    assert!(b.link(&key).unwrap().delivered < 301);
    proxy.set(Mode::Pass);
    b.when("the last one delivered", |peers| peers.iter().all(|peer| peer.delivered == 301)).await;
    assert_eq!(a.len(), 301);
}

async fn several(count: usize) -> Vec<Peer> {
    let mut peers = Vec::new();
    for _ in 0..count {
        peers.push(Peer::listening().await);
    }
    peers
}

/// `count` events at each peer, interleaved.
async fn emit_everywhere(peers: &[Peer], count: usize) {
    for n in 0..count {
        for peer in peers {
            peer.emit(&format!("event {n}"));
            tokio::task::yield_now().await;
        }
    }
}

async fn all_hold(peers: &[Peer], count: u64) {
    for peer in peers {
        peer.holds(count).await;
    }
}

fn assert_converged(peers: &[Peer]) {
    assert!(agree(&peers.iter().collect::<Vec<_>>()));
    peers.iter().for_each(assert_causal);
}
