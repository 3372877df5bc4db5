//! The life of links: dialling and redialling, limits, peers that misbehave, closing at every stage.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code outside test functions")]

mod net_support;

use std::time::{Duration, Instant};

use bytes::BytesMut;
use hyperemitter::event;
use hyperemitter::hyperlog::{Incoming, SourceId};
use hyperemitter::net::{Direction, End, NetEvent, NetOptions, PeerKind, Reason, Stage};
use hyperemitter::node::Links;
use net_support::proxy::{Mode, Proxy};
use net_support::{options, soon, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A port of this machine where nothing listens.
async fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port()
}

async fn connect(peer: &Peer) -> TcpStream {
    TcpStream::connect(("127.0.0.1", peer.port)).await.unwrap()
}

/// Reads until the other side closes, orderly or not.
async fn until_closed(mut socket: TcpStream) {
    let mut rest = Vec::new();
    let _ = soon("the link is closed", socket.read_to_end(&mut rest)).await;
}

/// Connects as a 1.x peer with nothing of its own would, and asks for all of `peer`'s log.
async fn ask_as_1_x(peer: &Peer) -> TcpStream {
    let log = peer.log.log_id();
    let len = u8::try_from(log.len()).unwrap();
    let mut said = vec![5, 0, 8, 1, 32, 1]; // handshake
    said.extend_from_slice(&[1, 4]); // sentHeads
    said.extend_from_slice(&[len + 5, 2, 10, len]); // want
    said.extend_from_slice(log.as_bytes());
    said.extend_from_slice(&[16, 0]);
    said.extend_from_slice(&[1, 5]); // sentWants
    let mut socket = connect(peer).await;
    socket.write_all(&said).await.unwrap();
    socket
}

fn is_up(event: &NetEvent) -> bool {
    matches!(event, NetEvent::Connected { .. })
}

/// How the first link that stood ended.
async fn end_of_link(peer: &Peer) -> End {
    let event = peer.event("a link's end", |event| matches!(event, NetEvent::Disconnected { .. })).await;
    let NetEvent::Disconnected { end, .. } = event else { unreachable!() };
    end
}

fn is_attempt(event: &NetEvent) -> bool {
    matches!(event, NetEvent::ConnectionError { .. })
}

#[tokio::test]
async fn an_absent_peer_is_given_up_after_ten_attempts() {
    let peer = Peer::new(NetOptions { reconnect_timeout_ms: 5, ..options() });
    let key = peer.dial(free_port().await);
    let event = peer.event("giving up", |event| matches!(event, NetEvent::GaveUp { .. })).await;
    let NetEvent::GaveUp { key: given_up, error } = event else { unreachable!() };
    assert_eq!(given_up, key);
    assert_eq!(error.code(), "ERR_HYPER_CONNECT");
    assert!(error.to_string().contains(&key) && error.to_string().contains("ECONNREFUSED"), "{error}");
    assert_eq!(peer.events().iter().filter(|event| is_attempt(event)).count(), 10);
    assert!(peer.net.peers().is_empty(), "the key is free again");
    assert!(peer.net.connect("127.0.0.1".into(), free_port().await, false));
}

#[tokio::test]
async fn a_known_peer_is_dialled_until_it_appears() {
    let port = free_port().await;
    let peer = Peer::new(NetOptions { reconnect_timeout_ms: 1, ..options() });
    peer.net.connect("127.0.0.1".into(), port, true);
    let mut from = 0;
    for _ in 0..12 {
        from = peer.event_after(from, "an attempt", is_attempt).await.0 + 1;
    }
    let other = Peer::new(options()).listen(port).await;
    other.emit("hello");
    peer.holds(1).await;
    assert!(!peer.events().iter().any(|event| matches!(event, NetEvent::GaveUp { .. })));
}

#[tokio::test]
async fn a_peer_that_was_healthy_once_is_dialled_until_it_is_back() {
    let a = Peer::listening().await;
    let port = a.port;
    let peer = Peer::new(NetOptions { reconnect_timeout_ms: 1, ..options() });
    peer.dial(port);
    peer.live(1).await;
    a.close().await;
    let mut from = 0;
    for _ in 0..12 {
        from = peer.event_after(from, "an attempt", is_attempt).await.0 + 1;
    }
    let back = Peer::new(options()).listen(port).await;
    back.emit("back");
    peer.holds(1).await;
}

#[tokio::test]
async fn the_pause_before_the_next_attempt_is_told() {
    let peer = Peer::new(NetOptions { reconnect_timeout_ms: 77, ..options() });
    peer.dial(free_port().await);
    let event = peer.event("a failure", is_attempt).await;
    assert!(matches!(event, NetEvent::ConnectionError { will_retry_in_ms: Some(77), .. }), "{event:?}");
}

#[tokio::test]
async fn a_link_that_is_cut_again_and_again_but_brings_events_each_time_is_redialled_soon() {
    let (a, b) = (Peer::listening().await, Peer::new(NetOptions { reconnect_timeout_ms: 5, ..options() }));
    a.emit_many(50_000);
    let proxy = Proxy::to(a.port).await;
    b.dial(proxy.port);
    let (mut end, mut from) = (b.log.watch(), 0);
    for _ in 0..4 {
        let had = b.len();
        soon("progress", end.wait_for(|end| end.change > had)).await.unwrap();
        proxy.cut();
        let (at, event) = b.event_after(from, "the cut", is_attempt).await;
        from = at + 1;
        assert!(matches!(event, NetEvent::ConnectionError { will_retry_in_ms: Some(5), .. }), "{event:?}");
    }
    b.holds(50_000).await;
}

#[tokio::test]
async fn a_key_in_use_is_not_dialled_twice() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    let key = b.dial(a.port);
    assert!(!b.net.connect("127.0.0.1".into(), a.port, false), "still connecting");
    b.live(1).await;
    assert!(!b.net.connect("127.0.0.1".into(), a.port, false), "connected");
    assert_eq!(b.net.peers().len(), 1);
    assert_eq!(b.net.peers()[0].key, key);
    assert_eq!(a.net.peers().len(), 1);
}

#[tokio::test]
async fn a_host_that_does_not_resolve_is_named() {
    let peer = Peer::new(NetOptions { reconnect_timeout_ms: 1, ..options() });
    peer.net.connect("no such host".into(), 1, false);
    let NetEvent::ConnectionError { error, .. } = peer.event("a failure", is_attempt).await else { unreachable!() };
    assert!(error.to_string().contains("no such host:1"), "{error}");
}

#[tokio::test]
async fn a_busy_port_is_an_answer_and_another_may_be_tried() {
    let (a, b) = (Peer::listening().await, Peer::new(options()));
    let error = b.net.listen(Some("127.0.0.1".into()), a.port).await.unwrap().unwrap_err();
    assert_eq!(error.code(), "ERR_HYPER_LISTEN");
    assert!(error.to_string().contains("EADDRINUSE"), "{error}");
    let address = b.net.listen(Some("127.0.0.1".into()), 0).await.unwrap().unwrap();
    assert_ne!(address.port(), 0);
    let error = b.net.listen(None, 0).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("listens already"), "{error}");
}

#[tokio::test]
async fn without_a_host_it_listens_on_all_addresses() {
    let a = Peer::new(options());
    let port = a.net.listen(None, 0).await.unwrap().unwrap().port();
    let b = Peer::new(options());
    b.net.connect("localhost".into(), port, false);
    b.live(1).await;
}

#[tokio::test]
async fn an_inbound_peer_is_announced_before_it_says_anything() {
    let a = Peer::listening().await;
    let mut socket = connect(&a).await;
    a.event("the link", |event| matches!(event, NetEvent::Inbound { key } if key == "0")).await;
    socket.shutdown().await.unwrap();
    until_closed(socket).await;
    let event = a.event("its end", |event| matches!(event, NetEvent::InboundGone { .. })).await;
    assert!(matches!(event, NetEvent::InboundGone { error: None, .. }), "an orderly end is no error: {event:?}");
    assert!(a.net.peers().is_empty());
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_dropped_with_a_reason() {
    let a = Peer::listening().await;
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..], &[0xff; 64], &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00]]
    {
        let from = a.events().len();
        let mut socket = connect(&a).await;
        socket.write_all(garbage).await.unwrap();
        // Some greetings look like the beginning of a long frame: those end with the stream.
        socket.shutdown().await.unwrap();
        until_closed(socket).await;
        a.event_after(from, "its end", |event| matches!(event, NetEvent::InboundGone { .. })).await;
    }
    let good = Peer::listening().await;
    good.dial(a.port);
    good.live(1).await;
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_link_before_it_is_buffered() {
    let a = Peer::listening().await;
    let mut socket = connect(&a).await;
    // A varint of 2^40.
    socket.write_all(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x20]).await.unwrap();
    until_closed(socket).await;
    let event = a.event("its end", |event| matches!(event, NetEvent::InboundGone { .. })).await;
    let NetEvent::InboundGone { error: Some(error), .. } = event else { panic!("{event:?}") };
    assert_eq!(error.code(), "ERR_HYPER_PROTOCOL");
    assert!(error.to_string().contains("1099511627776"), "{error}");
}

#[tokio::test]
async fn a_dialled_peer_that_speaks_something_else_is_given_up() {
    let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = server.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (mut socket, _) = server.accept().await.unwrap();
            let _ = socket.write_all(&[0xff; 16]).await;
        }
    });
    let peer = Peer::new(NetOptions { reconnect_timeout_ms: 1, ..options() });
    peer.dial(port);
    let event = peer.event("giving up", |event| matches!(event, NetEvent::GaveUp { .. })).await;
    assert!(matches!(event, NetEvent::GaveUp { .. }));
    assert!(!peer.events().iter().any(is_up), "that TCP connects is no link");
    serving.abort();
}

#[tokio::test]
async fn a_peer_that_stalls_in_the_handshake_is_dropped() {
    let a = Peer::new(NetOptions { handshake_timeout_ms: 50, ..options() }).listen(0).await;
    for opening in [&b""[..], &[0x05], &[0x05, 0x00, 0x08]] {
        let from = a.events().len();
        let mut socket = connect(&a).await;
        socket.write_all(opening).await.unwrap();
        until_closed(socket).await;
        let (_, event) = a.event_after(from, "its end", |event| matches!(event, NetEvent::InboundGone { .. })).await;
        let NetEvent::InboundGone { error: Some(error), .. } = event else { panic!("{event:?}") };
        assert!(error.to_string().contains("no handshake within 50 ms"), "{error}");
    }
}

#[tokio::test]
async fn a_peer_that_asks_for_everything_and_takes_nothing_is_dropped() {
    let a = Peer::new(NetOptions { stall_timeout_ms: 100, ..options() }).listen(0).await;
    for _ in 0..50 {
        a.emit_bytes(vec![1; 1_000_000].into());
    }
    let _socket = ask_as_1_x(&a).await;
    let event = a.event("its end", |event| matches!(event, NetEvent::InboundGone { .. })).await;
    let NetEvent::InboundGone { error: Some(error), .. } = event else { panic!("{event:?}") };
    assert!(error.to_string().contains("for 100 ms"), "{error}");
}

#[tokio::test]
async fn a_1_x_peer_gets_everything_up_to_what_would_crash_it() {
    let a = Peer::listening().await;
    for _ in 0..6 {
        a.emit_bytes(vec![1; 1_000_000].into());
    }
    let mut value = BytesMut::new();
    event::encode(&mut value, "constructor", b"", &[0; event::ID_LEN], 0, event::Encoding::V1);
    let harmful = Incoming {
        log: a.log.log_id(),
        seq: 7,
        links: Links::from_slice(&[a.log.heads().unwrap()[0].key]),
        value: value.freeze(),
        signed: None,
        claimed: None,
    };
    a.log.add(SourceId(u64::MAX), vec![harmful]).try_recv().unwrap().unwrap();
    let mut socket = ask_as_1_x(&a).await;
    let mut heard = Vec::new();
    soon("an orderly end", socket.read_to_end(&mut heard)).await.unwrap();
    assert!(heard.len() > 6_000_000, "{} bytes", heard.len());
    drop(socket);
    let event = a.event("its end", |event| matches!(event, NetEvent::InboundGone { .. })).await;
    let NetEvent::InboundGone { error: Some(error), .. } = event else { panic!("{event:?}") };
    assert_eq!(error.code(), "ERR_HYPER_HARMFUL");
}

#[tokio::test]
async fn connections_over_the_limit_are_turned_away_and_the_others_served() {
    let a = Peer::new(NetOptions { max_inbound: 16, ..options() }).listen(0).await;
    let mut kept = Vec::new();
    for _ in 0..16 {
        kept.push(ask_as_1_x(&a).await);
    }
    a.when("16 peers", |peers| peers.iter().filter(|peer| peer.kind == PeerKind::V1).count() == 16).await;
    for _ in 0..200 {
        until_closed(connect(&a).await).await;
    }
    let told = a.event("a report", |event| matches!(event, NetEvent::Report { key: None, .. })).await;
    assert!(matches!(told, NetEvent::Report { error, .. } if error.to_string().contains("16 peers")));
    assert_eq!(a.events().iter().filter(|event| matches!(event, NetEvent::Report { .. })).count(), 1, "told once");
    assert_eq!(a.net.peers().len(), 16);
    drop(kept.pop());
    let late = Peer::listening().await;
    late.dial(a.port);
    late.live(1).await;
}

/// Silent connections from an address of this machine, all of them accepted.
async fn flood(peer: &Peer, from: [u8; 4], count: usize) -> Vec<TcpStream> {
    let (mut silent, mut heard) = (Vec::new(), peer.events().len());
    for _ in 0..count {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        silent.push(socket.connect(([127, 0, 0, 1], peer.port).into()).await.unwrap());
    }
    for _ in 0..count {
        heard = peer.event_after(heard, "a link", |event| matches!(event, NetEvent::Inbound { .. })).await.0 + 1;
    }
    silent
}

/// Introduces itself as a 1.x peer that has nothing and wants nothing.
async fn hold_a_place(peer: &Peer) -> TcpStream {
    let mut socket = connect(peer).await;
    socket.write_all(&[5, 0, 8, 1, 32, 1, 1, 4, 1, 5]).await.unwrap();
    socket
}

#[tokio::test]
async fn peers_that_hold_their_places_and_are_of_no_use_give_way() {
    let a = Peer::new(NetOptions { max_inbound: 8, max_silent: 4, idle_after_ms: 0, ..options() }).listen(0).await;
    let mut held = Vec::new();
    for n in 1..=8 {
        held.push(hold_a_place(&a).await);
        a.when("another place is taken", |peers| peers.iter().filter(|peer| peer.kind == PeerKind::V1).count() == n)
            .await;
    }
    let b = Peer::new(options());
    b.dial(a.port);
    b.live(1).await;
    a.emit("heard");
    b.holds(1).await;
    let end = end_of_link(&a).await;
    assert_eq!((end.reason, end.error.code()), (Reason::Refused, "ERR_HYPER_LIMIT"), "{end:?}");
    assert!(a.net.peers().len() <= 8);
    let told = a.event("a report", |event| matches!(event, NetEvent::Report { key: None, .. })).await;
    assert!(matches!(told, NetEvent::Report { error, .. } if error.to_string().contains("neither bring nor take")));
    let errors = a.events().into_iter().filter(|event| matches!(event, NetEvent::InboundGone { error: Some(_), .. }));
    assert_eq!(errors.count(), 0, "giving way is nobody's fault");
}

#[tokio::test]
async fn bytes_that_never_make_a_frame_end_the_link_also_after_the_handshake() {
    let a = Peer::new(NetOptions { frame_timeout_ms: 60, ..options() }).listen(0).await;
    let mut socket = hold_a_place(&a).await;
    // The beginning of a frame of 1,000 bytes, which then comes one byte at a time.
    socket.write_all(&[0xe8, 0x07, 2]).await.unwrap();
    let (mut reading, mut writing) = socket.into_split();
    let dribble = tokio::spawn(async move {
        while writing.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut rest = Vec::new();
    let _ = soon("the link is closed", reading.read_to_end(&mut rest)).await;
    dribble.abort();
    let end = end_of_link(&a).await;
    assert_eq!((end.reason, end.error.code()), (Reason::Silent, "ERR_HYPER_SILENT"), "{end:?}");
}

#[tokio::test]
async fn a_link_stands_when_the_peer_has_introduced_itself_not_when_something_accepts() {
    let (a, b) = (Peer::listening().await, Peer::new(NetOptions { reconnect_timeout_ms: 5, ..options() }));
    let proxy = Proxy::to(a.port).await;
    proxy.set(Mode::Refuse);
    let key = b.dial(proxy.port);
    let (mut from, _) = b.event_after(0, "an attempt", is_attempt).await;
    (from, _) = b.event_after(from + 1, "another", is_attempt).await;
    assert!(!b.events().iter().any(is_up));
    proxy.set(Mode::Pass);
    let (_, event) = b.event_after(from, "the link", is_up).await;
    let NetEvent::Connected { key: up, peer } = event else { unreachable!() };
    assert_eq!((up, peer.direction, peer.kind), (key, Direction::Outbound, PeerKind::V2));
    b.event("level", |event| matches!(event, NetEvent::Synced { .. })).await;
    a.event("the other side", is_up).await;
}

#[tokio::test]
async fn a_peer_that_is_ourselves_is_not_dialled_again() {
    let a = Peer::listening().await;
    let key = a.dial(a.port);
    let event = a.event("giving up", |event| matches!(event, NetEvent::GaveUp { .. })).await;
    assert!(matches!(&event, NetEvent::GaveUp { key: own, error } if *own == key && error.code() == "ERR_HYPER_SELF"));
    assert!(!a.events().iter().any(is_attempt), "it is no failure");
    a.when("no link is left", <[_]>::is_empty).await;
}

#[tokio::test]
async fn both_sides_know_why_a_link_ended() {
    // A cut.
    let (a, b) = (Peer::listening().await, Peer::new(NetOptions { reconnect_timeout_ms: 3_600_000, ..options() }));
    let proxy = Proxy::to(a.port).await;
    let key = b.dial(proxy.port);
    b.live(1).await;
    a.live(1).await;
    proxy.cut();
    for peer in [&a, &b] {
        let end = end_of_link(peer).await;
        assert!(matches!(end.reason, Reason::Lost | Reason::Ended), "{end:?}");
    }
    let last_end = b.link(&key).unwrap().last_end.unwrap();
    assert!(matches!(last_end.reason, Reason::Lost | Reason::Ended) && last_end.at_ms > 0, "{last_end:?}");

    // Garbage.
    let a = Peer::listening().await;
    let mut socket = hold_a_place(&a).await;
    socket.write_all(&[1, 0xff]).await.unwrap();
    let _ = socket.write_all(&[2, 2, 0xff]).await;
    until_closed(socket).await;
    assert_eq!(end_of_link(&a).await.reason, Reason::Protocol);

    // A peer in `_peers` that was destroyed.
    let (a, b) = (Peer::listening().await, Peer::new(options()));
    let key = b.dial(a.port);
    b.live(1).await;
    b.net.drop_link(&key);
    assert_eq!(end_of_link(&b).await.reason, Reason::Dropped);

    // Closing.
    let (a, b) = (Peer::listening().await, Peer::new(options()));
    b.dial(a.port);
    b.live(1).await;
    b.close().await;
    let end = end_of_link(&b).await;
    assert_eq!((end.reason, end.error.code()), (Reason::Closing, "ERR_HYPER_CLOSED"));
    assert!(matches!(end_of_link(&a).await.reason, Reason::Ended | Reason::Closing));
}

// Elsewhere loopback has one address only.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn silent_connections_keep_nobody_of_another_address_out() {
    let a = Peer::new(NetOptions { max_inbound: 16, max_silent: 8, ..options() }).listen(0).await;
    let mut slow = connect(&a).await;
    a.when("the slow one", |peers| peers.len() == 1).await;
    let silent = flood(&a, [127, 0, 0, 2], 200).await;
    assert_eq!(a.net.peers().len(), 8);
    let told = a.event("a report", |event| matches!(event, NetEvent::Report { key: None, .. })).await;
    assert!(matches!(told, NetEvent::Report { error, .. } if error.to_string().contains("send no handshake")));
    // The handshake of a 1.x peer, long after the flood.
    slow.write_all(&[5, 0, 8, 1, 32, 1]).await.unwrap();
    a.when("a 1.x peer", |peers| peers.iter().any(|peer| peer.kind == PeerKind::V1)).await;
    assert_eq!(a.link("0").unwrap().kind, PeerKind::V1);
    let b = Peer::listening().await;
    b.dial(a.port);
    b.live(1).await;
    drop(silent);
}

#[tokio::test]
async fn silent_connections_keep_nobody_of_their_own_address_out() {
    let a = Peer::new(NetOptions { max_inbound: 8, max_silent: 8, ..options() }).listen(0).await;
    let silent = flood(&a, [127, 0, 0, 1], 200).await;
    let b = Peer::new(options());
    b.dial(a.port);
    b.live(1).await;
    let more = flood(&a, [127, 0, 0, 1], 200).await;
    a.emit("heard");
    b.holds(1).await;
    assert!(!b.events().iter().any(is_attempt), "who has introduced himself is not dropped");
    drop((silent, more));
}

#[tokio::test]
async fn closing_ends_links_on_both_sides_and_tells() {
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    let key = b.dial(a.port);
    b.live(1).await;
    b.close().await;
    assert!(b.net.peers().is_empty());
    let events = b.events();
    assert!(
        events.iter().any(|event| matches!(event, NetEvent::ConnectionError { will_retry_in_ms: None, .. })),
        "{events:?}"
    );
    assert!(matches!(events.last(), Some(NetEvent::GaveUp { key: given_up, .. }) if *given_up == key), "{events:?}");
    let event = a.event("the link's end", |event| matches!(event, NetEvent::InboundGone { .. })).await;
    assert!(matches!(event, NetEvent::InboundGone { error: None, .. }), "{event:?}");
}

#[tokio::test]
async fn closing_twice_and_using_it_afterwards_is_harmless() {
    let a = Peer::listening().await;
    a.close().await;
    a.close().await;
    let error = a.net.listen(None, 0).await.unwrap().unwrap_err();
    assert_eq!(error.code(), "ERR_HYPER_CLOSED");
    a.net.connect("127.0.0.1".into(), 1, false);
    let event = a.event("the answer", |event| matches!(event, NetEvent::GaveUp { .. })).await;
    assert!(matches!(event, NetEvent::GaveUp { error, .. } if error.code() == "ERR_HYPER_CLOSED"));
    a.net.drop_link("nobody");
    assert!(TcpStream::connect(("127.0.0.1", a.port)).await.is_err(), "the port is free");
}

#[test]
fn a_connect_is_answered_even_when_the_runtime_is_gone() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let peer = runtime.block_on(async { Peer::new(options()) });
    runtime.shutdown_timeout(net_support::PATIENCE);
    assert!(peer.net.connect("127.0.0.1".into(), 1, false));
    let events = peer.events();
    assert!(
        matches!(&events[..], [NetEvent::GaveUp { error, .. }] if error.code() == "ERR_HYPER_CLOSED"),
        "{events:?}"
    );
    assert!(peer.net.peers().is_empty());
}

#[tokio::test]
async fn closing_interrupts_every_phase() {
    // Between two attempts.
    let peer = Peer::new(NetOptions { reconnect_timeout_ms: 3_600_000, ..options() });
    let key = peer.dial(free_port().await);
    peer.event("a failure", is_attempt).await;
    assert_eq!(peer.link(&key).unwrap().stage, Stage::Waiting);
    closes_at_once(&peer).await;

    // In the handshake, on both sides of the socket.
    let a = Peer::listening().await;
    let _silent = connect(&a).await;
    a.when("a link", |peers| peers.len() == 1).await;
    closes_at_once(&a).await;
    let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let peer = Peer::new(options());
    peer.dial(server.local_addr().unwrap().port());
    let _silent = server.accept().await.unwrap();
    closes_at_once(&peer).await;

    // In the middle of catching up.
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    a.emit_many(50_000);
    b.dial(a.port);
    let mut end = b.log.watch();
    soon("progress", end.wait_for(|end| end.change > 1000)).await.unwrap();
    closes_at_once(&b).await;
    closes_at_once(&a).await;

    // While bytes are held up on their way.
    let (a, b) = (Peer::listening().await, Peer::listening().await);
    let proxy = Proxy::to(a.port).await;
    b.dial(proxy.port);
    b.live(1).await;
    proxy.set(Mode::Stall);
    for _ in 0..50 {
        a.emit_bytes(vec![1; 1_000_000].into());
    }
    closes_at_once(&a).await;
}

async fn closes_at_once(peer: &Peer) {
    let start = Instant::now();
    peer.close().await;
    assert!(start.elapsed() < Duration::from_millis(1900), "within its bound, not at it: {:?}", start.elapsed());
    assert!(peer.net.peers().is_empty());
}
