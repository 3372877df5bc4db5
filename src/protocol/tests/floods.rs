//! Peers that name, send or ask for very much.

use super::*;

#[test]
fn a_flood_of_log_names_is_read_ever_more_slowly_and_ends_the_session() {
    let mut scene = Scene::v1(true);
    let (mut waits, mut named) = (0, 0);
    while scene.closed().is_none() {
        if !scene.session.wants_frames() {
            waits += 1;
            let wake = scene.session.wake_at().unwrap();
            assert!(named >= LOG_BURST && wake > scene.now);
            scene.tick_at(wake);
            continue;
        }
        scene.hear(&Message::Have(LogSeq { log: &named.to_string(), seq: 0 }));
        named += 1;
    }
    assert!(scene.accused() && named == MAX_LOGS + 1 && waits > 100_000);
    assert!(scene.now > (MAX_LOGS - LOG_BURST) as u64 * 1_000 / LOGS_PER_SECOND - 1_000, "{}", scene.now);
    assert_eq!(scene.session.stage(), SessionStage::Closed);
}

#[test]
fn logs_in_our_store_are_named_without_limit() {
    let mut scene = Scene::new(Config::new(true, reason_unsafe_for_v1));
    for log in 0..100_000 {
        scene.log.0.insert(log.to_string(), 1);
    }
    scene.hear(&Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata: None, live: Some(true) }));
    for log in 0..100_000 {
        scene.hear(&Message::Have(LogSeq { log: &log.to_string(), seq: 1 }));
    }
    assert!(scene.closed().is_none() && scene.session.wants_frames());
}

/// Counts look-ups in the log: for `have` or `credit` frames that name `logs` logs of which nothing ever comes, and then for 100
/// events.
fn lookups(logs: usize, v2: bool) -> (usize, usize) {
    let mut scene = if v2 { Scene::v2(1 << 20) } else { Scene::v1(true) };
    if v2 {
        scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
        scene.feed(InEvent::Rows(Ok(vec![])));
    }
    scene.log.1.set(0);
    for log in 0..logs {
        let log = log.to_string();
        if v2 {
            scene.hear_extension(&Extension::Credit { bytes: 1, updates: vec![(log.as_str().into(), 9)] });
        } else {
            scene.hear(&Message::Have(LogSeq { log: &log, seq: 9 }));
        }
    }
    let frames = scene.log.1.replace(0);
    for _ in 0..100 {
        scene.feed(InEvent::Advanced);
        scene.feed(InEvent::Written);
    }
    (frames, scene.log.1.get())
}

#[test]
fn a_frame_and_an_event_cost_the_same_however_many_logs_a_peer_has_named() {
    for v2 in [false, true] {
        let (_, events) = lookups(1_000, v2);
        for logs in [1_000, 10_000, 100_000] {
            let (frames, more) = lookups(logs, v2);
            assert!(frames <= 4 * logs, "{frames} look-ups for {logs} frames");
            assert!(more <= events && events < 10_000, "{more} look-ups for events, {events} with 1,000 logs");
        }
    }
}

#[test]
fn log_names_that_cannot_be_stored_end_the_session() {
    let long = "x".repeat(257);
    for log in ["", "a!b", &long] {
        let mut scene = Scene::v1(true);
        scene.hear(&Message::Have(LogSeq { log, seq: 1 }));
        assert!(scene.accused(), "{log:?}");
    }
}

#[test]
fn a_flood_of_nodes_stops_the_reading_while_the_log_is_busy() {
    let mut scene = Scene::v1(true);
    scene.hear(&Message::Node(node("flood", 1, None)));
    scene.feed(InEvent::Idle);
    assert_eq!(scene.adds(), 1);
    let mut seq = 1;
    while scene.session.wants_frames() {
        seq += 1;
        scene.hear(&Message::Node(node("flood", seq, None)));
        assert!(seq < 10_000, "it must stop some time");
    }
    assert_eq!(scene.adds(), 1, "one group at a time");
    scene.feed(InEvent::Added(Ok(vec![Outcome::Added])));
    assert_eq!(scene.adds(), 2);
    assert!(scene.session.wants_frames());
}

#[test]
fn a_flood_of_wants_stops_the_reading_while_the_store_is_busy() {
    let mut scene = Scene::new(Config::new(true, reason_unsafe_for_v1));
    scene.log.0.insert("own".into(), 9);
    scene.hear(&Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata: None, live: Some(true) }));
    let mut wants = 0;
    while scene.session.wants_frames() {
        scene.hear(&Message::Want(LogSeq { log: "own", seq: 0 }));
        wants += 1;
        assert!(wants < 10_000, "it must stop some time");
    }
    assert_eq!(scene.out.iter().filter(|out| matches!(out, OutEvent::Lookup(_))).count(), 1);
}

#[test]
fn a_flood_of_probes_stops_the_reading_while_the_store_is_busy() {
    let mut scene = Scene::v2(1 << 20);
    let mut probes = 0;
    while scene.session.wants_frames() {
        scene.hear_extension(&Extension::Probe { log: "own".into(), seq: 1 });
        probes += 1;
        assert!(probes < 10_000, "it must stop some time");
    }
    assert_eq!(scene.out.iter().filter(|out| matches!(out, OutEvent::Lookup(_))).count(), 1);
}

#[test]
fn a_node_with_a_wrong_key_ends_the_session() {
    let mut scene = Scene::v1(true);
    let claimed = Key([9; 32]);
    scene.hear(&Message::Node(node("log", 1, Some(claimed))));
    scene.feed(InEvent::Idle);
    let actual = key_of(&[], b"value");
    scene.feed(InEvent::Added(Ok(vec![Outcome::Refused(Error::ChecksumMismatch { claimed, actual })])));
    assert!(scene.accused());
}
