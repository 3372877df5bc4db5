//! Large nodes, in pieces or not.

use super::*;

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

/// The peer says that it gets these logs from other peers, too, so their rows wait.
fn lazy(scene: &mut Scene, logs: &[&str]) {
    for log in logs {
        scene.log.0.insert((*log).into(), 1);
    }
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents: vec![] });
    let updates = logs.iter().map(|log| ((*log).into(), 0)).collect();
    scene.hear_extension(&Extension::Credit { bytes: 0, updates });
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
fn without_credit_one_large_row_is_held_and_no_timer_is_set() {
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

/// With a 2.x peer whose handshake has the same settings as ours.
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
