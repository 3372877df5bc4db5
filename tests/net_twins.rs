//! Several links between the same two emitters: all are established, and one of them carries rows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code outside test functions")]

mod net_support;

use hyperemitter::net::{NetEvent, PeerInfo, Reason, Stage};
use net_support::proxy::Proxy;
use net_support::{agree, options, Peer};

/// How many links of each kind there are.
fn stages(peers: &[PeerInfo]) -> (usize, usize) {
    let count = |stage| peers.iter().filter(|peer| peer.stage == stage).count();
    (count(Stage::Live), count(Stage::StandBy))
}

fn connected(peer: &Peer) -> usize {
    peer.events().iter().filter(|event| matches!(event, NetEvent::Connected { .. })).count()
}

/// Waits until both ends have one link that carries rows, and this many that stand by.
async fn one_carries(peers: [&Peer; 2], others: usize) {
    for peer in peers {
        peer.when(&format!("one live link and {others} that stand by"), |peers| stages(peers) == (1, others)).await;
        assert_eq!(connected(peer), 1 + others, "every link is told as connected");
    }
}

/// Nodes received over all of a peer's links, and how many of them it already had.
fn received(peer: &Peer) -> (u64, u64) {
    let peers = peer.net.peers();
    (peers.iter().map(|peer| peer.counters.nodes_in).sum(), peers.iter().map(|peer| peer.counters.known).sum())
}

#[tokio::test]
async fn a_burst_crosses_once_however_many_links_there_are() {
    const BURST: usize = 5_000;
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    let (first, second) = (Proxy::to(a.port).await, Proxy::to(a.port).await);
    b.dial(first.port);
    b.live(1).await;
    b.dial(second.port);
    a.dial(b.port);
    one_carries([&a, &b], 2).await;
    a.emit_many(BURST);
    b.emit_many(BURST);
    a.holds(2 * BURST as u64).await;
    b.holds(2 * BURST as u64).await;
    for peer in [&a, &b] {
        assert_eq!(received(peer), (BURST as u64, 0), "every event came once: {:#?}", peer.net.peers());
        for link in peer.net.peers().iter().filter(|link| link.stage == Stage::StandBy) {
            let bytes = link.counters.bytes_in + link.counters.bytes_out;
            assert!(bytes < 2_000, "{bytes} bytes on a link that stands by");
        }
    }
    assert!(agree(&[&a, &b]));
}

#[tokio::test]
async fn emitters_that_dial_each_other_at_the_same_time_choose_the_same_link() {
    for _ in 0..20 {
        let (a, b) = (Peer::listening().await, Peer::listening().await);
        a.emit("of a");
        b.emit("of b");
        a.dial(b.port);
        b.dial(a.port);
        for peer in [&a, &b] {
            peer.when("one live link and one that stands by", |peers| stages(peers) == (1, 1)).await;
            peer.holds(2).await;
        }
        let carries = |peer: &Peer| peer.net.peers().into_iter().find(|link| link.stage == Stage::Live).unwrap();
        assert_ne!(carries(&a).direction, carries(&b).direction, "the same link at both ends");
    }
}

#[tokio::test]
async fn when_the_link_that_carried_is_cut_the_other_takes_over_without_loss() {
    let (a, b) = (Peer::listening().await, Peer::new(options()));
    let (first, second) = (Proxy::to(a.port).await, Proxy::to(a.port).await);
    b.dial(first.port);
    b.live(1).await;
    b.dial(second.port);
    one_carries([&a, &b], 1).await;
    let mut total = 0;
    for proxy in [&first, &second].into_iter().cycle().take(6) {
        a.emit_many(1_000);
        b.emit_many(1_000);
        total += 2_000;
        // Whatever is in flight is also sent over the other link.
        proxy.cut();
        a.holds(total).await;
        b.holds(total).await;
        for peer in [&a, &b] {
            peer.when("both links are back", |peers| stages(peers) == (1, 1)).await;
        }
    }
    assert!(agree(&[&a, &b]));
}

#[tokio::test]
async fn an_emitter_that_is_dialled_through_something_else_knows_itself() {
    let a = Peer::listening().await;
    let proxy = Proxy::to(a.port).await;
    a.dial(proxy.port);
    let event = a.event("giving up", |event| matches!(event, NetEvent::GaveUp { .. })).await;
    let NetEvent::GaveUp { error, .. } = event else { unreachable!() };
    assert_eq!(error.code(), "ERR_HYPER_SELF");
    let ends = a.events().into_iter().filter_map(|event| match event {
        NetEvent::Disconnected { end, .. } => Some(end.reason),
        _ => None,
    });
    assert!(ends.into_iter().all(|reason| matches!(reason, Reason::Ended | Reason::Lost)));
}
