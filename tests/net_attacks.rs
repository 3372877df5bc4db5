//! Attacks by a raw client. Each attack is stopped after a bounded number of frames and bytes, with a reason, and does not keep
//! other peers from replicating.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code outside test functions")]

mod net_support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use hyperemitter::net::{End, NetEvent, NetOptions, PeerKind, Reason, Shares, Stage};
use hyperemitter::node::key_of;
use net_support::{options, soon, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpSocket};

/// Buckets of a hundredth of the usual size, so that few frames drain them.
fn poor() -> NetOptions {
    NetOptions { shares: Shares { percent: 1, patience_ms: 40 }, ..options() }
}

/// Factor for the load of the attacks, set by `npm run attack`.
fn heavy() -> usize {
    std::env::var("HYPER_ATTACK").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
    out
}

fn text(text: &str) -> Vec<u8> {
    [varint(text.len() as u64), text.as_bytes().to_vec()].concat()
}

fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    [varint(body.len() as u64 + 1), vec![kind], body.to_vec()].concat()
}

/// The handshake of a 2.x peer, with an unlimited window.
fn greeting() -> Vec<u8> {
    let mut record = b"hyper2".to_vec();
    for (field, number) in [(1, 1), (2, 0), (3, 64 << 20), (4, 1 << 60)] {
        record.push(field << 3);
        record.extend(varint(number));
    }
    record.push(5 << 3 | 2);
    record.extend(text("stranger"));
    let body = [vec![8, 1, 3 << 3 | 2], varint(record.len() as u64), record, vec![32, 1]].concat();
    frame(0, &body)
}

/// A vector without logs.
fn nothing() -> Vec<u8> {
    frame(6, &[3, 0])
}

fn credit(updates: &[(String, u64)]) -> Vec<u8> {
    let mut body = [varint(0), varint(updates.len() as u64)].concat();
    for (log, seq) in updates {
        body.extend(text(log));
        body.extend(varint(*seq));
    }
    frame(8, &body)
}

/// A connection from an address of this machine; what comes in is read and dropped.
async fn stranger(peer: &Peer, from: [u8; 4]) -> OwnedWriteHalf {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let socket = socket.connect(([127, 0, 0, 1], peer.port).into()).await.unwrap();
    let (mut reading, writing) = socket.into_split();
    tokio::spawn(async move {
        let mut rest = vec![0; 64 * 1024];
        while reading.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    });
    writing
}

/// Another address prefix than that of honest peers, which must not wait for what a stranger has overdrawn.
const ELSEWHERE: [u8; 4] = [127, 0, 0, 2];

/// Sends repeatedly until the other side ends the link. Returns how often, and the end.
async fn until_ended(peer: &Peer, mut stranger: OwnedWriteHalf, what: &[u8]) -> (usize, End) {
    let mut times = 0;
    let flood = async {
        while stranger.write_all(what).await.is_ok() {
            times += 1;
        }
    };
    soon("the flood is ended", flood).await;
    let event = peer.event("its end", |event| matches!(event, NetEvent::Disconnected { .. })).await;
    let NetEvent::Disconnected { end, .. } = event else { unreachable!() };
    (times, end)
}

fn is_over_share(end: &End, of: &[&str]) {
    assert_eq!((end.reason, end.error.code()), (Reason::Refused, "ERR_HYPER_LIMIT"), "{end:?}");
    let text = end.error.to_string();
    assert!(of.iter().any(|of| text.contains(of)), "{text}");
}

/// An honest peer replicates with `peer` both ways.
async fn serves_others(peer: &Peer) {
    let had = peer.len();
    let honest = Peer::new(options());
    honest.emit("from there");
    honest.dial(peer.port);
    peer.holds(had + 1).await;
    honest.holds(had + 1).await;
}

#[tokio::test]
async fn no_frame_above_64_kib_is_taken_before_the_handshake() {
    let a = Peer::listening().await;
    let (mut links, chunk) = (Vec::new(), vec![0; 64 * 1024]);
    for _ in 0..24 * heavy() {
        let mut stranger = stranger(&a, ELSEWHERE).await;
        stranger.write_all(&varint(64 << 20)).await.unwrap();
        links.push(stranger);
    }
    for mut link in links {
        let flood = async { while link.write_all(&chunk).await.is_ok() {} };
        soon("it is ended", flood).await;
    }
    let event = a.event("its end", |event| matches!(event, NetEvent::InboundGone { error: Some(_), .. })).await;
    let NetEvent::InboundGone { error: Some(error), .. } = event else { unreachable!() };
    assert!(error.to_string().contains("the limit is 65536"), "{error}");
    serves_others(&a).await;
}

#[tokio::test]
async fn probes_are_answered_until_the_account_is_empty() {
    let a = Peer::new(poor()).listen(0).await;
    a.emit_many(100);
    let mut stranger = stranger(&a, ELSEWHERE).await;
    stranger.write_all(&[greeting(), nothing()].concat()).await.unwrap();
    let log = a.log.log_id();
    let probe = frame(9, &[text(&log), varint(50)].concat());
    let (_, end) = until_ended(&a, stranger, &probe.repeat(64)).await;
    is_over_share(&end, &["reads of the store", "processor time"]);
    serves_others(&a).await;
}

#[tokio::test]
async fn scans_of_the_log_that_find_nothing_to_send_are_bounded() {
    let a = Peer::new(poor()).listen(0).await;
    a.emit_many(5_000);
    let mut stranger = stranger(&a, ELSEWHERE).await;
    stranger.write_all(&greeting()).await.unwrap();
    // "I have nothing", then "I have everything": the log is read from its beginning, in vain.
    let order = [nothing(), credit(&[(a.log.log_id().to_string(), 1 << 50)])].concat();
    let (_, end) = until_ended(&a, stranger, &order).await;
    is_over_share(&end, &["reads of the store", "processor time"]);
    serves_others(&a).await;
}

#[tokio::test]
async fn names_of_unknown_logs_are_bounded() {
    let a = Peer::new(poor()).listen(0).await;
    let mut stranger = stranger(&a, ELSEWHERE).await;
    stranger.write_all(&[greeting(), nothing()].concat()).await.unwrap();
    let named = |n: usize| (format!("log number {n} of nobody"), 1);
    let all: Vec<_> = (0..1_000).map(named).collect();
    let (times, end) = until_ended(&a, stranger, &credit(&all)).await;
    is_over_share(&end, &["processor time", "bytes received"]);
    assert!(times * credit(&all).len() < 16 << 20, "{times}");
    serves_others(&a).await;
}

#[tokio::test]
async fn nodes_that_are_stored_already_are_bounded() {
    let a = Peer::new(poor()).listen(0).await;
    let mut stranger = stranger(&a, ELSEWHERE).await;
    stranger.write_all(&[greeting(), nothing()].concat()).await.unwrap();
    // One new log, one row of it again and again: head without links, log 0, seq 1, a value of one byte.
    let rows = [0, 0, 1, 1, b'x'].repeat(100);
    let first = frame(7, &[varint(1), text("mine"), rows.clone()].concat());
    stranger.write_all(&first).await.unwrap();
    let again = frame(7, &[varint(0), rows].concat());
    let (_, end) = until_ended(&a, stranger, &again).await;
    is_over_share(&end, &["nodes received", "processor time", "bytes received"]);
    assert_eq!(a.len(), 1);
    serves_others(&a).await;
}

#[tokio::test]
async fn wants_of_the_whole_log_again_and_again_are_bounded() {
    let a = Peer::new(poor()).listen(0).await;
    a.emit_many(2_000);
    let log = a.log.log_id();
    let mut stranger = stranger(&a, ELSEWHERE).await;
    stranger.write_all(&[5, 0, 8, 1, 32, 1, 1, 4, 1, 5]).await.unwrap();
    let want = frame(2, &[vec![10], text(&log), vec![16, 0]].concat());
    let (_, end) = until_ended(&a, stranger, &want).await;
    is_over_share(&end, &["reads of the store", "processor time", "bytes received"]);
    serves_others(&a).await;
}

#[tokio::test]
async fn honest_peers_at_full_speed_are_never_over_their_share() {
    let (a, b) = (Peer::listening().await, Peer::new(options()));
    let count = 50_000 * heavy();
    a.emit_many(count);
    b.emit_many(count);
    b.dial(a.port);
    a.holds(2 * count as u64).await;
    b.holds(2 * count as u64).await;
    for peer in [&a, &b] {
        assert!(!peer.events().iter().any(|event| matches!(event, NetEvent::Disconnected { .. })));
    }
}

#[tokio::test]
async fn the_time_that_many_small_frames_take_is_charged() {
    let a = Peer::new(poor()).listen(0).await;
    let mut stranger = stranger(&a, ELSEWHERE).await;
    stranger.write_all(&[greeting(), nothing()].concat()).await.unwrap();
    // Frames that are only signs of life are so small that the bound on bytes alone would allow ten times as many.
    let (_, end) = until_ended(&a, stranger, &frame(12, &[]).repeat(1_000)).await;
    is_over_share(&end, &["processor time"]);
    serves_others(&a).await;
}

/// More small frames than a turn handles: everything that arrived before the end of the link is still stored.
#[tokio::test]
async fn of_many_small_frames_before_the_end_of_a_connection_none_is_lost() {
    let a = Peer::listening().await;
    let mut stranger = stranger(&a, ELSEWHERE).await;
    let count = 5_000_u64;
    let mut said = [greeting(), nothing()].concat();
    for seq in 1..=count {
        let logs = if seq == 1 { [varint(1), text("mine")].concat() } else { varint(0) };
        let row = [vec![0, 0], varint(seq), vec![4], (seq as u32).to_le_bytes().to_vec()].concat();
        said.extend(frame(7, &[logs, row].concat()));
    }
    stranger.write_all(&said).await.unwrap();
    stranger.shutdown().await.unwrap();
    a.event("its end", |event| matches!(event, NetEvent::Disconnected { .. })).await;
    assert_eq!(a.len(), count);
}

/// A node of `log` as 1.x sends it.
fn node(log: &str, seq: u64, value: &[u8]) -> Vec<u8> {
    let key = key_of(&[], value).to_string();
    let fields = [(2, key.as_bytes()), (3, log.as_bytes())];
    let mut body = vec![1 << 3, 1];
    for (field, bytes) in fields {
        body.extend([field << 3 | 2, bytes.len() as u8]);
        body.extend(bytes);
    }
    body.extend([vec![4 << 3], varint(seq), vec![5 << 3 | 2, value.len() as u8], value.to_vec()].concat());
    frame(3, &body)
}

#[tokio::test]
async fn a_1x_forger_that_we_dial_is_cut_off_once_and_then_left_aside() {
    let server = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let a = Peer::new(NetOptions { reconnect_timeout_ms: 1, ..options() });
    a.emit("ours");
    a.holds(1).await;
    a.dial(server.local_addr().unwrap().port());
    let own = a.log.log_id();
    let have = |log: &str, seq| frame(1, &[vec![10], text(log), vec![16], varint(seq)].concat());
    // First an entry of our own log that we have not written, then an entry of another log.
    let said = [
        vec![5, 0, 8, 1, 32, 1],
        have(&own, 2),
        have("theirs", 1),
        vec![1, 4],
        node(&own, 2, b"x"),
        node("theirs", 1, b"y"),
        vec![1, 5],
    ];
    let is_attempt = |event: &NetEvent| matches!(event, NetEvent::ConnectionError { .. });
    let (mut first, _) = soon("it dials", server.accept()).await.unwrap();
    first.write_all(&said.concat()).await.unwrap();
    let NetEvent::ConnectionError { error, .. } = a.event("its end", is_attempt).await else { unreachable!() };
    assert_eq!(error.code(), "ERR_HYPER_FORGED");
    let (mut second, _) = soon("it dials again", server.accept()).await.unwrap();
    second.write_all(&said.concat()).await.unwrap();
    a.live(1).await;
    a.holds(2).await;
    assert_eq!(a.rows().last().unwrap().log().as_ref(), "theirs");
    assert_eq!(a.events().iter().filter(|event| is_attempt(event)).count(), 1, "told once");
}

// Elsewhere loopback has one address only.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_name_counts_in_the_memory_of_all_links() {
    const LINKS: usize = 4;
    const NAMES: usize = 10_000;
    let a = Arc::new(Peer::new(options()).listen(0).await);
    let mut strangers = Vec::new();
    for link in 0..LINKS {
        let mut stranger = stranger(&a, ELSEWHERE).await;
        let extents = (0..NAMES).flat_map(|n| [text(&format!("{link} {n:0>60}")), vec![1], vec![0; 32]].concat());
        let vector = frame(6, &[varint(3), varint(NAMES as u64), extents.collect()].concat());
        stranger.write_all(&[greeting(), vector].concat()).await.unwrap();
        strangers.push(stranger);
    }
    // Each name is kept: its bytes, and what is known of its log.
    soon("it counts", async {
        while a.net.held() < LINKS * NAMES * 200 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    drop(strangers);
    soon("it is given back", async {
        while a.net.held() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

// Elsewhere loopback has one address only.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_all_strangers_together_have_in_memory_is_bounded_and_the_honest_one_is_served() {
    const LIMIT: usize = 144 << 20;
    let a = Arc::new(Peer::new(options()).listen(0).await);
    let honest = Peer::new(options());
    honest.dial(a.port);
    honest.live(1).await;
    let mut hoarders = Vec::new();
    for _ in 0..100 * heavy() {
        let mut stranger = stranger(&a, ELSEWHERE).await;
        hoarders.push(tokio::spawn(async move {
            // 3 MiB of a frame of 60 MiB, which have to be held.
            let said = [greeting(), nothing(), varint(60 << 20), vec![7], vec![0; 3 << 20]].concat();
            let _ = stranger.write_all(&said).await;
            stranger
        }));
    }
    let mut most = 0;
    for hoarder in &mut hoarders {
        let _kept = soon("it has sent what it may", hoarder).await.unwrap();
        most = most.max(a.net.held());
    }
    assert!(most <= LIMIT, "{most} bytes");
    let event = a.event("one that gave way", |event| matches!(event, NetEvent::Disconnected { .. })).await;
    let NetEvent::Disconnected { end, peer, .. } = event else { unreachable!() };
    assert_eq!(
        (end.reason, peer.address.map(|at| at.ip().to_string())),
        (Reason::Refused, Some("127.0.0.2".to_owned())),
        "{end:?}"
    );
    a.emit("to the honest one");
    honest.holds(1).await;
    let linked =
        a.net.peers().into_iter().find(|peer| peer.address.is_some_and(|at| at.ip().to_string() == "127.0.0.1"));
    let linked = linked.unwrap();
    assert_eq!((linked.stage, linked.kind), (Stage::Live, PeerKind::V2));
}

/// Reads the whole log, of at least `bytes` bytes, as fast as it can. Counts what it gets.
async fn read_log(port: u16, from: [u8; 4], bytes: u64, got: &AtomicU64) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let Ok(mut socket) = socket.connect(([127, 0, 0, 1], port).into()).await else { return };
    socket.write_all(&[greeting(), nothing()].concat()).await.unwrap();
    let (mut buffer, mut left) = (vec![0; 64 * 1024], bytes);
    while left > 0 {
        let Ok(read @ 1..) = socket.read(&mut buffer).await else { break };
        left = left.saturating_sub(read as u64);
        got.fetch_add(read as u64, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn those_who_read_the_whole_log_over_many_links_get_no_more_together_than_one_link_of_another_address() {
    let (events, size, links) = (2000, 4096, 64);
    let a = Peer::listening().await;
    for _ in 0..events {
        a.emit_bytes(vec![7; size].into());
    }
    let log_bytes = (events * size) as u64;
    let got = Arc::new(AtomicU64::new(0));
    for _ in 0..links {
        let (port, got) = (a.port, Arc::clone(&got));
        tokio::spawn(async move {
            loop {
                read_log(port, ELSEWHERE, log_bytes, &got).await;
            }
        });
    }
    let all_read = async {
        while got.load(Ordering::Relaxed) < log_bytes {
            tokio::task::yield_now().await;
        }
    };
    soon("all of them read", all_read).await;
    let (before, honest) = (got.load(Ordering::Relaxed), AtomicU64::new(0));
    // Several times, because what was on the way to the others when it began counts as well.
    while honest.load(Ordering::Relaxed) < 10 * log_bytes {
        soon("the log arrives", read_log(a.port, [127, 0, 0, 1], log_bytes, &honest)).await;
    }
    let times = (got.load(Ordering::Relaxed) - before) as f64 / honest.into_inner() as f64;
    assert!(times < 4.0, "they got {times} times as much");
}
