//! Sessions with peers that misbehave, scripted frame by frame.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::batch::{BatchWriter, CHUNK, MAX_BATCH};
use super::capability::Capability;
use super::extension::{Extension, Extent, WINDOW};
use super::message::{Handshake, LogSeq, Message, Mode, WireNode};
use super::pieces::LARGE;
use super::session::HANDSHAKE_MS;
use super::unknown_logs::{LOGS_PER_SECOND, LOG_BURST, MAX_LOGS};
use super::v1::{GIVE_UP_PULL_MS, PATIENCE_MS, PATIENCE_WITH_DIALLER_MS};
use super::v2::{ALIVE_MS, SILENT_MS};
use super::version::VERSION;
use super::*;
use crate::error::Error;
use crate::event::reason_unsafe_for_v1;
use crate::node::{key_of, Digest, Key, LogId, Node};
use crate::store::{LogHead, Position, Row};

/// A log that a test writes by hand, and how often a head was looked up.
#[derive(Default)]
struct Paper(BTreeMap<String, u64>, Cell<usize>);

impl LocalLog for Paper {
    fn log_id(&self) -> LogId {
        "own".into()
    }
    fn head(&self, log: &str) -> Option<LogHead> {
        self.1.set(self.1.get() + 1);
        self.0.get(log).map(|seq| LogHead { log: log.into(), seq: *seq, digest: Digest([1; 32]) })
    }
    fn logs(&self) -> Vec<LogHead> {
        self.0.keys().filter_map(|log| self.head(log)).collect()
    }
    fn end(&self) -> Position {
        Position::of(self.0.values().sum())
    }
}

struct Scene {
    session: Session,
    log: Paper,
    now: u64,
    out: Vec<OutEvent>,
}

impl Scene {
    fn new(config: Config) -> Self {
        let mut scene = Scene { session: Session::new(config), log: Paper::default(), now: 0, out: Vec::new() };
        scene.feed(InEvent::Opened);
        scene
    }

    /// With a 1.x peer that has shaken hands.
    fn v1(dialled: bool) -> Self {
        let mut scene = Self::new(Config::new(dialled, reason_unsafe_for_v1));
        scene.hear(&Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata: None, live: Some(true) }));
        assert_eq!(scene.session.peer_kind(), PeerKind::V1);
        scene
    }

    /// With a 2.x peer that has shaken hands.
    fn v2(max_frame: u64) -> Self {
        Self::extension(1, max_frame)
    }

    /// With one that speaks this version of the extension.
    fn extension(version: u64, max_frame: u64) -> Self {
        let mut scene = Self::new(Config::new(true, reason_unsafe_for_v1));
        let capability = Capability {
            version,
            flags: 0,
            max_frame,
            window: WINDOW,
            log: "theirs".into(),
            max_value: None,
            twin: None,
        };
        let metadata = capability.encode();
        let handshake = Handshake { version: 1, mode: Mode::Sync, metadata: Some(&metadata), live: Some(true) };
        scene.hear(&Message::Handshake(handshake));
        assert_eq!(scene.session.peer_kind(), PeerKind::V2);
        scene
    }

    fn feed(&mut self, event: InEvent) {
        self.session.handle(event, self.now, &self.log);
        while let Some(out) = self.session.poll() {
            self.out.push(out);
        }
    }

    fn hear_bytes(&mut self, mut bytes: BytesMut) {
        while let Some(frame) = frame::split(&mut bytes, usize::MAX).unwrap() {
            self.feed(InEvent::Frame(frame));
        }
    }

    fn hear(&mut self, message: &Message<'_>) {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        self.hear_bytes(bytes);
    }

    fn hear_extension(&mut self, extension: &Extension<'_>) {
        let mut bytes = BytesMut::new();
        extension.encode(&mut bytes);
        self.hear_bytes(bytes);
    }

    fn tick_at(&mut self, now: u64) {
        self.now = now;
        self.feed(InEvent::Tick);
    }

    fn closed(&self) -> Option<&CloseReason> {
        self.out.iter().find_map(|out| match out {
            OutEvent::Close(reason) => Some(reason),
            _ => None,
        })
    }

    fn accused(&self) -> bool {
        matches!(self.closed(), Some(CloseReason::Peer(_)))
    }

    fn adds(&self) -> usize {
        self.out.iter().filter(|out| matches!(out, OutEvent::Add(_))).count()
    }
}

fn node(log: &str, seq: u64, key: Option<Key>) -> WireNode<'_> {
    WireNode { change: seq, key, log, seq, identity: None, signature: None, value: b"value", links: Default::default() }
}

fn row(log: &str, seq: u64, value: Vec<u8>) -> Row {
    let value = Bytes::from(value);
    let key = key_of(&[], &value);
    let node = Node { key, change: seq, log: log.into(), seq, links: Default::default(), value, signed: None };
    Row::new(Position::of(seq), log.into(), seq, node.into())
}

#[test]
fn a_peer_that_connects_and_says_nothing_is_given_up() {
    let mut scene = Scene::new(Config::new(true, reason_unsafe_for_v1));
    assert_eq!(scene.session.wake_at(), Some(HANDSHAKE_MS));
    scene.tick_at(HANDSHAKE_MS - 1);
    assert!(scene.closed().is_none());
    scene.tick_at(HANDSHAKE_MS);
    assert!(matches!(scene.closed(), Some(CloseReason::Silent)));
}

#[test]
fn a_1x_peer_that_never_says_sent_wants_is_given_up_sooner_if_we_dialled() {
    for (dialled, patience) in [(true, PATIENCE_MS), (false, PATIENCE_WITH_DIALLER_MS)] {
        let mut scene = Scene::v1(dialled);
        scene.hear(&Message::SentHeads);
        scene.tick_at(patience - 1);
        assert!(scene.closed().is_none());
        scene.tick_at(patience);
        assert!(matches!(scene.closed(), Some(CloseReason::HalfOpen)));
    }
}

#[test]
fn a_level_1x_peer_may_be_silent_for_ever() {
    let mut scene = Scene::v1(true);
    scene.hear(&Message::SentHeads);
    scene.hear(&Message::SentWants);
    assert_eq!(scene.session.stage(), SessionStage::Live);
    scene.tick_at(u64::MAX / 2);
    assert!(scene.closed().is_none());
}

#[test]
fn what_a_1x_peer_announced_and_never_sends_does_not_hold_our_sent_wants_back_for_ever() {
    let mut scene = Scene::v1(true);
    scene.hear(&Message::Have(LogSeq { log: "promised", seq: 3 }));
    scene.hear(&Message::SentHeads);
    let said = |scene: &Scene| scene.out.iter().any(|out| matches!(out, OutEvent::Send(bytes) if bytes[..] == [1, 5]));
    assert!(!said(&scene));
    scene.tick_at(GIVE_UP_PULL_MS);
    assert!(said(&scene));
    scene.hear(&Message::SentWants);
    assert!(scene.closed().is_none());
    scene.tick_at(GIVE_UP_PULL_MS + PATIENCE_MS);
    assert!(matches!(scene.closed(), Some(CloseReason::HalfOpen)), "the promise is still open");
}

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

/// Look-ups in the log that `have` or `credit` frames cost, naming `logs` logs of which nothing ever comes; then 100 events.
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
fn a_large_event_on_a_slow_line_is_waited_for_and_nothing_is_announced_anew() {
    let mut scene = Scene::v2(1 << 20);
    let extents = vec![Extent { log: "theirs".into(), seq: 1, digest: Digest([3; 32]) }];
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents });
    scene.feed(InEvent::Rows(Ok(vec![])));
    let vectors = |scene: &Scene| {
        scene
            .out
            .iter()
            .filter(|out| matches!(out, OutEvent::Send(bytes) if bytes.contains(&6) && bytes.len() > 3))
            .count()
    };
    let before = vectors(&scene);
    // Half an hour in which some bytes of one frame arrive every two seconds.
    for _ in 0..900 {
        scene.now += 2_000;
        scene.feed(InEvent::Arriving);
        scene.feed(InEvent::Tick);
    }
    assert!(scene.closed().is_none());
    assert_eq!(vectors(&scene), before);
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

#[test]
fn a_second_handshake_changes_nothing() {
    let mut scene = Scene::v1(true);
    let before = scene.out.len();
    let metadata = Capability::ours(&Config::new(true, reason_unsafe_for_v1), "x".into()).encode();
    let handshake = Handshake { version: 1, mode: Mode::Sync, metadata: Some(&metadata), live: Some(true) };
    scene.hear(&Message::Handshake(handshake));
    assert_eq!((scene.session.peer_kind(), scene.out.len()), (PeerKind::V1, before));
}

#[test]
fn a_broken_capability_record_ends_the_session_and_a_foreign_one_is_ignored() {
    for (metadata, accused) in [(&b"hyper2\xff"[..], true), (b"hyper2", true), (b"m", false), (b"", false)] {
        let mut scene = Scene::new(Config::new(true, reason_unsafe_for_v1));
        let handshake = Handshake { version: 1, mode: Mode::Sync, metadata: Some(metadata), live: Some(true) };
        scene.hear(&Message::Handshake(handshake));
        assert_eq!(scene.accused(), accused, "{metadata:?}");
        assert_eq!(scene.session.peer_kind() == PeerKind::V1, !accused);
    }
}

#[test]
fn an_emitter_of_standard_protobuf_refuses_a_1x_peer_and_says_why() {
    let mut config = Config::new(true, reason_unsafe_for_v1);
    config.standard = true;
    let mut scene = Scene::new(config);
    scene.hear(&Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata: None, live: Some(true) }));
    let reported = scene.out.iter().any(|out| matches!(out, OutEvent::Report(Error::Incompatible(_))));
    assert!(reported && matches!(scene.closed(), Some(CloseReason::Incompatible(_))));
}

#[test]
fn a_2x_peer_that_sends_beyond_its_window_is_cut_off() {
    let mut scene = Scene::v2(1 << 20);
    let mut writer = BatchWriter::default();
    let mut sent = 0;
    for seq in 1.. {
        writer.push(&row("theirs", seq, vec![7; 60_000]));
        let body = writer.finish();
        sent += body.len() as u64;
        scene.hear_extension(&Extension::Batch(&body));
        scene.feed(InEvent::Idle);
        if scene.closed().is_some() {
            break;
        }
        assert!(sent < 2 * WINDOW, "it is never cut off");
    }
    assert!(scene.accused() && sent > WINDOW);
}

#[test]
fn a_2x_peer_gets_credit_once_the_log_has_stored_what_it_sent() {
    let mut scene = Scene::v2(1 << 20);
    let mut writer = BatchWriter::default();
    for seq in 1..=8 {
        writer.push(&row("theirs", seq, vec![7; 40_000]));
    }
    let body = writer.finish();
    scene.hear_extension(&Extension::Batch(&body));
    scene.feed(InEvent::Idle);
    let credit = |scene: &Scene| {
        scene.out.iter().find_map(|out| match out {
            OutEvent::Send(bytes) if bytes.get(1) == Some(&8) => Some(bytes.clone()),
            _ => None,
        })
    };
    assert!(credit(&scene).is_none());
    scene.log.0.insert("theirs".into(), 8);
    scene.feed(InEvent::Added(Ok(vec![Outcome::Added; 8])));
    assert!(credit(&scene).is_some());
}

#[test]
fn without_credit_nothing_is_sent_and_nothing_is_read() {
    let mut scene = Scene::v2(1 << 20);
    scene.log.0.insert("own".into(), 100);
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
    let reads = |scene: &Scene| scene.out.iter().filter(|out| matches!(out, OutEvent::Read { .. })).count();
    let sent = |scene: &Scene| -> usize {
        scene.out.iter().map(|out| if let OutEvent::Send(bytes) = out { bytes.len() } else { 0 }).sum()
    };
    assert_eq!(reads(&scene), 1);
    for group in 0..20_u64 {
        let rows = (group * 5 + 1..=group * 5 + 5).map(|seq| row("own", seq, vec![7; 50_000])).collect();
        let before = reads(&scene);
        scene.feed(InEvent::Rows(Ok(rows)));
        if reads(&scene) == before {
            break;
        }
    }
    let limit = usize::try_from(WINDOW).unwrap() + 200_000;
    assert!(sent(&scene) > limit / 2 && sent(&scene) < limit, "{}", sent(&scene));
    let (before, reads_before) = (sent(&scene), reads(&scene));
    scene.hear_extension(&Extension::Credit { bytes: 1 << 20, updates: vec![] });
    assert!(sent(&scene) > before || reads(&scene) > reads_before, "credit sets it going again");
}

#[test]
fn an_event_too_large_for_a_2x_peer_is_named_and_ends_the_session() {
    let mut scene = Scene::v2(100_000);
    scene.log.0.insert("own".into(), 1);
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
    scene.feed(InEvent::Rows(Ok(vec![row("own", 1, vec![7; 200_000])])));
    let named =
        scene.out.iter().any(|out| matches!(out, OutEvent::Report(Error::TooLarge { name, .. }) if name == "own/1"));
    assert!(named && matches!(scene.closed(), Some(CloseReason::Incompatible(_))));
}

#[test]
fn a_2x_peer_gone_silent_is_noticed_and_one_that_is_alive_is_not_cut_off() {
    let mut scene = Scene::v2(1 << 20);
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
    scene.feed(InEvent::Rows(Ok(vec![])));
    let alive = |scene: &Scene| {
        scene.out.iter().filter(|out| matches!(out, OutEvent::Send(bytes) if bytes[..] == [1, 12])).count()
    };
    scene.tick_at(ALIVE_MS);
    assert_eq!(alive(&scene), 1);
    scene.hear_extension(&Extension::Alive);
    scene.tick_at(SILENT_MS);
    assert!(scene.closed().is_none());
    scene.tick_at(ALIVE_MS + SILENT_MS);
    assert!(matches!(scene.closed(), Some(CloseReason::Silent)));
}

#[test]
fn a_vector_that_promises_everything_costs_a_few_vectors_and_then_the_link() {
    let mut scene = Scene::v2(1 << 20);
    let extents = vec![Extent { log: "vast".into(), seq: u64::MAX, digest: Digest([3; 32]) }];
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents });
    scene.feed(InEvent::Rows(Ok(vec![])));
    for second in 0..200 {
        scene.now = second * 1_000;
        scene.hear_extension(&Extension::Alive);
        scene.feed(InEvent::Tick);
    }
    assert!(matches!(scene.closed(), Some(CloseReason::HalfOpen)));
}

#[test]
fn a_fork_that_is_none_is_not_believed() {
    let mut scene = Scene::v2(1 << 20);
    scene.log.0.insert("own".into(), 5);
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
    scene.feed(InEvent::Rows(Ok(vec![])));
    let key = Key([4; 32]);
    scene.hear_extension(&Extension::Fork { log: "own".into(), seq: 2, key });
    let queries = scene.out.iter().rev().find_map(|out| match out {
        OutEvent::Lookup(queries) => Some(queries.len()),
        _ => None,
    });
    let entry = || Found::Entry(Some(crate::store::Entry { at: Position::of(2), key }));
    scene.feed(InEvent::LookedUp(Ok((0..queries.unwrap()).map(|_| entry()).collect())));
    assert!(!scene.out.iter().any(|out| matches!(out, OutEvent::ForkLocal { .. } | OutEvent::Report(_))));
}

#[test]
fn nothing_comes_out_of_a_closed_session() {
    let mut scene = Scene::v1(true);
    scene.hear(&Message::Have(LogSeq { log: "", seq: 1 }));
    let before = scene.out.len();
    scene.hear(&Message::Have(LogSeq { log: "x", seq: 1 }));
    scene.feed(InEvent::Forked(Ok(Arc::from("new"))));
    scene.tick_at(1_000_000);
    assert_eq!((scene.out.len(), scene.session.wake_at()), (before, None));
}

/// A 2.x peer says that our log and its log part at entry 2.
fn accused_of_a_fork(version: u64, times: usize) -> Scene {
    let mut scene = Scene::extension(version, 1 << 20);
    scene.log.0.insert("own".into(), 5);
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
    scene.feed(InEvent::Rows(Ok(vec![])));
    for _ in 0..times {
        scene.hear_extension(&Extension::Fork { log: "own".into(), seq: 2, key: Key([4; 32]) });
        answer(&mut scene, || Found::Entry(Some(crate::store::Entry { at: Position::of(2), key: Key([5; 32]) })));
    }
    scene
}

/// Answers the last questions, whatever they were.
fn answer(scene: &mut Scene, reply: impl Fn() -> Found) {
    let queries = scene.out.iter().rev().find_map(|out| match out {
        OutEvent::Lookup(queries) => Some(queries.len()),
        _ => None,
    });
    scene.feed(InEvent::LookedUp(Ok((0..queries.unwrap_or(0)).map(|_| reply()).collect())));
}

fn sent(scene: &Scene, frame: &[u8]) -> usize {
    scene.out.iter().filter(|out| matches!(out, OutEvent::Send(bytes) if bytes[..] == *frame)).count()
}

/// "Show me entry 2 of own."
const DEMAND: &[u8] = &[6, 16, 3, b'o', b'w', b'n', 2];

#[test]
fn a_fork_of_our_log_is_not_believed_but_looked_at() {
    let mut scene = accused_of_a_fork(VERSION, 3);
    assert!(!scene.out.iter().any(|out| matches!(out, OutEvent::ForkLocal { .. })));
    assert_eq!(sent(&scene, DEMAND), 1, "the entry is asked for once");
    let mut writer = BatchWriter::default();
    for seq in [2, 3] {
        writer.push(&row("own", seq, b"another".to_vec()));
    }
    scene.hear_extension(&Extension::Batch(&writer.finish()));
    scene.feed(InEvent::Idle);
    let offered: Vec<u64> = scene
        .out
        .iter()
        .filter_map(|out| if let OutEvent::Add(nodes) = out { Some(nodes) } else { None })
        .flat_map(|nodes| nodes.iter().map(|node| node.seq))
        .collect();
    assert_eq!(offered, [2], "the log judges the entry, and what follows is of no use");
}

#[test]
fn a_peer_of_the_first_version_shows_the_entry_that_differs_because_our_vector_lacks_it() {
    let mut scene = accused_of_a_fork(1, 1);
    assert_eq!(sent(&scene, DEMAND), 0, "it would not understand");
    answer(&mut scene, || Found::Digest(Some(Digest([7; 32]))));
    let mut vector = BytesMut::new();
    let extents = vec![Extent { log: "own".into(), seq: 1, digest: Digest([7; 32]) }];
    Extension::Vector { first: true, last: true, extents }.encode(&mut vector);
    assert_eq!(sent(&scene, &vector), 1);
    assert!(!scene.out.iter().any(|out| matches!(out, OutEvent::ForkLocal { .. })));
    let mut writer = BatchWriter::default();
    writer.push(&row("own", 2, b"another".to_vec()));
    scene.hear_extension(&Extension::Batch(&writer.finish()));
    scene.feed(InEvent::Idle);
    assert_eq!(scene.adds(), 1, "the log judges it");
}

#[test]
fn a_peer_of_the_first_version_hears_of_a_fork_of_our_log_from_the_vector_alone() {
    for (version, told) in [(1, 0), (VERSION, 1)] {
        let mut scene = accused_of_a_fork(version, 0);
        let mut writer = BatchWriter::default();
        writer.push(&row("own", 2, b"another".to_vec()));
        scene.hear_extension(&Extension::Batch(&writer.finish()));
        scene.feed(InEvent::Idle);
        let (ours, theirs) = (Key([5; 32]), Key([4; 32]));
        let fork = Error::Fork { log: "own".into(), seq: 2, ours, theirs };
        scene.feed(InEvent::Added(Ok(vec![Outcome::Refused(fork)])));
        let mut frame = BytesMut::new();
        Extension::Fork { log: "own".into(), seq: 2, key: ours }.encode(&mut frame);
        assert_eq!(sent(&scene, &frame), told, "version {version}");
    }
}

#[test]
fn the_entry_that_differs_is_shown_once_and_nothing_behind_it() {
    let mut scene = accused_of_a_fork(VERSION, 3);
    let batches = |scene: &Scene| {
        scene.out.iter().filter(|out| matches!(out, OutEvent::Send(bytes) if bytes.get(1) == Some(&7))).count()
    };
    for _ in 0..3 {
        scene.hear_bytes(DEMAND.into());
        answer(&mut scene, || Found::Entry(Some(crate::store::Entry { at: Position::of(2), key: Key([5; 32]) })));
    }
    scene.feed(InEvent::Rows(Ok((2..=5).map(|seq| row("own", seq, b"ours".to_vec())).collect())));
    scene.feed(InEvent::Rows(Ok((2..=5).map(|seq| row("own", seq, b"ours".to_vec())).collect())));
    assert_eq!((batches(&scene), scene.session.counters().nodes_sent), (1, 1));
}

#[test]
fn a_goodbye_ends_the_session_with_its_reason_and_what_it_says_is_one_short_line() {
    let scene = Scene::v2(1 << 20);
    let frame = scene.session.goodbye(GoodbyeReason::Refused, "no\nroom").unwrap();
    assert_eq!(frame[..], *b"\x0a\x0f\x02\x07no\nroom");
    assert!(Scene::v1(true).session.goodbye(GoodbyeReason::Closing, "").is_none(), "1.x would not understand it");
    let mut scene = Scene::v2(1 << 20);
    scene.hear_bytes(frame[..].into());
    assert!(matches!(scene.closed(), Some(CloseReason::Told(GoodbyeReason::Refused, text)) if text == "noroom"));
    let mut scene = Scene::v2(1 << 20);
    scene.hear_bytes(scene.session.goodbye(GoodbyeReason::Protocol, &"x".repeat(100_000)).unwrap()[..].into());
    assert!(matches!(scene.closed(), Some(CloseReason::Told(_, text)) if text.len() == 512));
    // A reason of a later version.
    let mut scene = Scene::v2(1 << 20);
    scene.hear_bytes(b"\x03\x0f\x63\x00"[..].into());
    assert!(matches!(scene.closed(), Some(CloseReason::Told(GoodbyeReason::Other, _))));
}

#[test]
fn a_peer_that_only_takes_may_not_send_and_one_that_only_brings_gets_nothing() {
    let metadata = Capability::ours(&Config::new(true, reason_unsafe_for_v1), "theirs".into()).encode();
    let with = |mode, v2: bool| {
        let mut scene = Scene::new(Config::new(true, reason_unsafe_for_v1));
        scene.log.0.insert("own".into(), 1);
        let metadata = Some(&metadata[..]).filter(|_| v2);
        scene.hear(&Message::Handshake(Handshake { version: 1, mode, metadata, live: Some(true) }));
        scene
    };
    let mut scene = with(Mode::Pull, false);
    scene.hear(&Message::Node(node("theirs", 1, None)));
    scene.feed(InEvent::Idle);
    assert!(scene.accused() && scene.adds() == 0);
    let mut scene = with(Mode::Pull, true);
    let mut writer = BatchWriter::default();
    writer.push(&row("theirs", 1, vec![7]));
    scene.hear_extension(&Extension::Batch(&writer.finish()));
    scene.feed(InEvent::Idle);
    assert!(scene.accused() && scene.adds() == 0);
    let mut scene = with(Mode::Push, true);
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
    assert!(!scene.out.iter().any(|out| matches!(out, OutEvent::Read { .. })));
    assert_eq!(scene.session.stage(), SessionStage::Live);
}

#[test]
fn a_1x_peer_moves_our_log_only_with_an_entry_that_came_and_was_hashed() {
    let moves = |scene: &Scene| scene.out.iter().any(|out| matches!(out, OutEvent::ForkLocal { .. }));
    let (links, value) = (crate::node::Links::default(), Bytes::from_static(b"theirs"));
    let theirs = key_of(&links, &value);
    let scene = |claimed: Option<Key>| {
        let mut scene = Scene::v1(true);
        scene.log.0.insert("own".into(), 1);
        // That it has more of our log than we have is only a claim: the entry before is asked for.
        scene.hear(&Message::Have(LogSeq { log: "own", seq: 2 }));
        assert!(!moves(&scene));
        let node = WireNode {
            change: 1,
            key: claimed,
            log: "own",
            seq: 1,
            identity: None,
            signature: None,
            value: &value,
            links: links.clone(),
        };
        scene.hear(&Message::Node(node));
        scene
    };
    // A key that is not the node's own is no proof.
    let lying = scene(Some(Key([7; 32])));
    assert!(lying.accused() && !moves(&lying));
    for (ours, forked) in [(theirs, false), (Key([9; 32]), true)] {
        let mut scene = scene(Some(theirs));
        assert!(!moves(&scene), "it is compared with ours first");
        let at = Position::of(1);
        scene.feed(InEvent::LookedUp(Ok(vec![Found::Entry(Some(crate::store::Entry { key: ours, at }))])));
        assert_eq!(moves(&scene), forked);
        if forked {
            // Where the log moves no more, that is told, and other logs go on.
            let forged = Error::Forged { log: "own".into(), seq: 1, reason: "" };
            scene.feed(InEvent::Forked(Err(forged)));
            assert!(scene.session.stage() != SessionStage::Closed, "{:?}", scene.out.last());
            assert!(matches!(scene.out.last(), Some(OutEvent::Report(Error::Forged { .. }))));
        }
    }
}

/// With a peer that takes large nodes in pieces, and has nothing.
fn with_pieces(mode: Mode, window: u64) -> Scene {
    let mut scene = Scene::new(Config::new(true, reason_unsafe_for_v1));
    let capability =
        Capability { window, ..Capability::ours(&Config::new(true, reason_unsafe_for_v1), "theirs".into()) };
    let metadata = capability.encode();
    scene.hear(&Message::Handshake(Handshake { version: 1, mode, metadata: Some(&metadata), live: Some(true) }));
    scene
}

/// The peer says that it gets these logs from elsewhere, too: their rows wait for its word.
fn lazy(scene: &mut Scene, logs: &[&str]) {
    for log in logs {
        scene.log.0.insert((*log).into(), 1);
    }
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
    let updates = logs.iter().map(|log| ((*log).into(), 0)).collect();
    scene.hear_extension(&Extension::Credit { bytes: 0, updates });
}

/// Bytes sent of nodes in pieces, by log.
fn pieces(scene: &Scene) -> std::collections::BTreeMap<String, usize> {
    let mut sent = std::collections::BTreeMap::new();
    for out in &scene.out {
        let OutEvent::Send(bytes) = out else { continue };
        let mut bytes = BytesMut::from(&bytes[..]);
        while let Some(frame) = frame::split(&mut bytes, usize::MAX).unwrap() {
            let Ok(Message::Extension(kind, body)) = Message::decode(&frame) else { continue };
            if let Ok(Extension::Piece(piece)) = Extension::decode(kind, body) {
                *sent.entry(piece.log.to_string()).or_default() += piece.bytes.len();
            }
        }
    }
    sent
}

#[test]
fn large_events_that_wait_for_the_peers_word_go_one_after_the_other_and_whole() {
    let mut scene = with_pieces(Mode::Sync, 1 << 30);
    lazy(&mut scene, &["a", "b", "c"]);
    scene.feed(InEvent::Rows(Ok(["a", "b", "c"].iter().map(|log| row(log, 1, vec![7; 70_000])).collect())));
    assert!(pieces(&scene).is_empty());
    scene.tick_at(1_000);
    let sent = pieces(&scene);
    assert!(sent.len() == 3 && sent.values().all(|bytes| *bytes > 70_000), "{sent:?}");
}

#[test]
fn a_peer_that_grants_nothing_makes_us_hold_one_large_row_and_wakes_nobody() {
    let mut scene = with_pieces(Mode::Sync, 1);
    lazy(&mut scene, &["a", "b", "c", "d", "e", "f", "g", "h"]);
    let reads = |scene: &Scene| scene.out.iter().filter(|out| matches!(out, OutEvent::Read { .. })).count();
    let (mut answered, mut most) = (0, 0);
    for log in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        if reads(&scene) > answered {
            answered += 1;
            scene.feed(InEvent::Rows(Ok(vec![row(log, 1, vec![7; 1 << 20])])));
        }
        most = most.max(scene.session.unsent_bytes());
    }
    scene.tick_at(scene.now + 1_000);
    assert!(most >= 1 << 20, "what is held is told: {most}");
    assert!(most < 3 << 20, "{most} bytes are held");
    let wakes = scene.session.wake_at().unwrap() - scene.now;
    assert!(wakes > 1_000, "a timer every {wakes} ms");
}

#[test]
fn what_a_peer_names_before_its_vector_sets_no_timer() {
    let mut scene = with_pieces(Mode::Sync, 1 << 20);
    scene.hear_extension(&Extension::Credit { bytes: 0, updates: vec![("unknown".into(), 9)] });
    scene.tick_at(10_000);
    let wakes = scene.session.wake_at().unwrap() - scene.now;
    assert!(wakes > 1_000, "a timer every {wakes} ms");
}

#[test]
fn a_peer_that_only_takes_may_not_send_in_pieces_either_and_none_is_larger_than_an_event_may_be() {
    let piece = |total| {
        Extension::Piece(super::pieces::Piece {
            log: "theirs".into(),
            seq: 1,
            key: Key([1; 32]),
            total,
            offset: 0,
            bytes: b"x",
        })
    };
    for (mode, total, accused) in [
        (Mode::Pull, 1_000_000, true),
        (Mode::Sync, 1_000_000, false),
        (Mode::Sync, (1 << 20) + super::pieces::BESIDE_VALUE as u64, false),
        (Mode::Sync, (1 << 20) + super::pieces::BESIDE_VALUE as u64 + 1, true),
        (Mode::Sync, u64::MAX, true),
    ] {
        let mut scene = Scene::new(Config { max_value: 1 << 20, ..Config::new(true, reason_unsafe_for_v1) });
        let metadata = Capability::ours(&Config::new(true, reason_unsafe_for_v1), "theirs".into()).encode();
        scene.hear(&Message::Handshake(Handshake { version: 1, mode, metadata: Some(&metadata), live: Some(true) }));
        scene.hear_extension(&piece(total));
        assert_eq!(scene.accused(), accused, "{mode:?} {total}");
    }
}

#[test]
fn saying_again_and_again_that_nothing_of_a_large_node_arrived_costs_the_peer_its_credit() {
    let mut scene = with_pieces(Mode::Sync, 1 << 20);
    scene.log.0.insert("own".into(), 1);
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
    let large = row("own", 1, vec![7; 4 << 20]);
    scene.feed(InEvent::Rows(Ok(vec![large.clone()])));
    for _ in 0..10_000 {
        scene.hear_extension(&Extension::Held(vec![(large.node.key, 0)]));
    }
    let sent: usize = pieces(&scene).values().sum();
    assert!(sent <= (1 << 20) + 2 * super::pieces::PIECE, "{sent}");
}

/// With a 2.x peer whose handshake is as ours.
fn with_our_like() -> Scene {
    let metadata = Capability::ours(&Config::new(true, reason_unsafe_for_v1), "theirs".into()).encode();
    let mut scene = Scene::new(Config::new(true, reason_unsafe_for_v1));
    let metadata = Some(&metadata[..]);
    scene.hear(&Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata, live: Some(true) }));
    scene
}

#[test]
fn a_peer_that_knows_pieces_may_send_no_large_frames() {
    assert_eq!(Scene::v2(1 << 20).session.frame_limit(), frame::MAX_FRAME_LEN);
    assert_eq!(Scene::v1(true).session.frame_limit(), frame::MAX_FRAME_LEN);
    assert_eq!(with_our_like().session.frame_limit(), frame::MAX_SMALL_FRAME);
    for (size, accused) in [(LARGE, false), (MAX_BATCH, true)] {
        let mut scene = with_our_like();
        let mut writer = BatchWriter::default();
        writer.push(&row("theirs", 1, vec![7; size]));
        scene.hear_extension(&Extension::Batch(&writer.finish()));
        assert_eq!(scene.accused(), accused, "{size} bytes");
    }
}

#[test]
fn what_a_batch_expands_to_in_memory_is_bounded() {
    // Rows of two bytes: no links, no value, each behind the one before.
    let rows = |count: usize| {
        let mut body = b"\x01\x06theirs\x00\x00\x01\x00".to_vec();
        body.extend_from_slice(&b"\x04\x00".repeat(count));
        body
    };
    // Rows with as many links as there may be, of a byte each, to the node before.
    let links = |count: usize| {
        let mut body = rows(0);
        for _ in 0..count {
            body.extend_from_slice(b"\x06\x80\x80\x04");
            body.extend_from_slice(&vec![1; 65_536]);
            body.push(0);
        }
        body
    };
    for (body, accused) in [
        (rows(CHUNK / 2), false),
        (rows(16 * CHUNK), true),
        (links(2), false),
        (links(9), true),
        // A count that the frame has no bytes for.
        (b"\x01\x06theirs\x02\x00\x01\x80\x80\x04\x00".to_vec(), true),
    ] {
        let mut scene = Scene::v2(1 << 20);
        scene.hear_extension(&Extension::Batch(&body));
        assert_eq!(scene.accused(), accused, "{} bytes", body.len());
    }
}
