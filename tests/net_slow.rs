//! Slow lines: links are kept as long as bytes move, and what has arrived is not sent again.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code outside test functions")]

mod net_support;

use std::time::Duration;

use hyperemitter::net::{NetEvent, NetOptions};
use net_support::shaped::{read_slowly, Line, Shaped};
use net_support::{options, soon, Peer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

/// Timeouts a hundred times shorter than usual: 300 ms on this line correspond to 30 s on a line of 20 kbit/s.
fn hasty() -> NetOptions {
    NetOptions { stall_timeout_ms: 300, frame_timeout_ms: 600, handshake_timeout_ms: 100, ..options() }
}

#[tokio::test]
async fn a_peer_that_takes_its_bytes_slowly_gets_all_of_them() {
    const EVENTS: usize = 8;
    const SIZE: usize = 1_000_000;
    let a = Peer::new(hasty()).listen(0).await;
    for _ in 0..EVENTS {
        a.emit_bytes(vec![1; SIZE].into());
    }
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(32 * 1024).unwrap();
    let mut socket = socket.connect(([127, 0, 0, 1], a.port).into()).await.unwrap();
    // A 1.x peer that has nothing and wants everything.
    let log = a.log.log_id();
    let len = u8::try_from(log.len()).unwrap();
    let said = [&[5, 0, 8, 1, 32, 1, 1, 4, len + 5, 2, 10, len][..], log.as_bytes(), &[16, 0, 1, 5]].concat();
    socket.write_all(&said).await.unwrap();
    // The kernel takes megabytes immediately, and reports room only when a third is free, which takes seconds.
    let line = Line::slow(16 * 1024, Duration::from_millis(8), Some((EVENTS * SIZE) as u64));
    let came = soon("all of it", read_slowly(socket, line)).await;
    assert!(came >= (EVENTS * SIZE) as u64, "{came} bytes; {:?}", a.events().last());
}

#[tokio::test]
async fn a_handshake_that_arrives_slowly_is_waited_for() {
    // It takes longer in all than the longest silence, but there is much room for a machine that is late with each byte.
    let a = Peer::new(NetOptions { handshake_timeout_ms: 2_000, ..options() }).listen(0).await;
    let mut socket = TcpSocket::new_v4().unwrap().connect(([127, 0, 0, 1], a.port).into()).await.unwrap();
    socket.set_nodelay(true).unwrap();
    for byte in [5, 0, 8, 1, 32, 1] {
        socket.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(450)).await;
    }
    a.event("the link", |event| matches!(event, NetEvent::Connected { .. })).await;
}

#[tokio::test]
async fn a_catch_up_that_is_cut_again_and_again_brings_nothing_twice() {
    const EVENTS: usize = 1_000;
    const SIZE: usize = 4_096;
    let (a, b) = (Peer::listening().await, Peer::new(NetOptions { reconnect_timeout_ms: 1, ..hasty() }));
    for _ in 0..EVENTS {
        a.emit_bytes(vec![1; SIZE].into());
    }
    let line = Line::slow(8 * 1024, Duration::from_millis(2), Some(1_000_000));
    let shaped = Shaped::to(a.port, line).await;
    b.dial(shaped.port);
    b.holds(EVENTS as u64).await;
    let (carried, least) = (shaped.carried(), (EVENTS * SIZE) as u64);
    assert!(shaped.connections() >= 4, "{} connections", shaped.connections());
    assert!(carried * 10 <= least * 11 + 10 * 64 * 1024, "{carried} bytes for {least}");
}

#[tokio::test]
async fn a_large_event_arrives_over_a_line_that_is_cut_before_it_is_through() {
    const SIZE: usize = 4_000_000;
    let (a, b) = (Peer::listening().await, Peer::new(NetOptions { reconnect_timeout_ms: 1, ..hasty() }));
    a.emit_bytes(vec![1; SIZE].into());
    a.emit("behind it");
    let line = Line::slow(8 * 1024, Duration::from_millis(2), Some(1_000_000));
    let shaped = Shaped::to(a.port, line).await;
    b.dial(shaped.port);
    b.holds(2).await;
    let (carried, least) = (shaped.carried(), SIZE as u64);
    assert!(shaped.connections() >= 4, "{} connections", shaped.connections());
    assert!(carried * 10 <= least * 11, "{carried} bytes for {least}");
}

/// In real time, with a tenth of the size and ten times the speed; `npm run attack` uses the real speed.
#[tokio::test]
async fn over_a_line_with_delay_and_losses_that_is_cut_all_arrives_in_little_more_than_its_bytes() {
    let literal = std::env::var("HYPER_ATTACK").is_ok();
    let speed: u32 = if literal { 1 } else { 40 };
    let (events, large) = (40, 160 * 1024);
    let (a, b) = (Peer::listening().await, Peer::new(NetOptions { reconnect_timeout_ms: 100, ..options() }));
    for _ in 0..events {
        a.emit_bytes(vec![1; 4096].into());
    }
    a.emit_bytes(vec![1; large].into());
    let least = (events * 4096 + large) as u64;
    // 20 kbit/s in steps of a tenth of a second; a step in fifty is lost; a cut every 40 s.
    let line = Line {
        delay: Duration::from_millis(300) / speed,
        lost_every: Some(50),
        ..Line::slow(250, Duration::from_millis(100) / speed, Some(100_000))
    };
    let shaped = Shaped::to(a.port, line).await;
    b.dial(shaped.port);
    let mut end = b.log.watch();
    let all = end.wait_for(|end| end.change > events as u64);
    assert!(
        tokio::time::timeout(Duration::from_secs(1800), all).await.is_ok(),
        "{} events; {:#?}",
        b.len(),
        b.net.peers()
    );
    let carried = shaped.carried();
    println!("{carried} bytes for {least} over {} connections", shaped.connections());
    assert!(shaped.connections() >= 3, "{} connections", shaped.connections());
    // At this speed a batch may be sixteen times as large as on a line of 20 kbit/s, and so may what a cut wastes.
    let wasted = if literal { 0 } else { (shaped.connections() - 1) * 64 * 1024 };
    assert!(carried * 10 <= least * 11 + 10 * wasted, "{carried} bytes for {least}");
}
