//! How sessions begin and end, whatever the peer says.

use super::*;

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
fn nothing_comes_out_of_a_closed_session() {
    let mut scene = Scene::v1(true);
    scene.hear(&Message::Have(LogSeq { log: "", seq: 1 }));
    let before = scene.out.len();
    scene.hear(&Message::Have(LogSeq { log: "x", seq: 1 }));
    scene.feed(InEvent::Forked(Ok(Arc::from("new"))));
    scene.tick_at(1_000_000);
    assert_eq!((scene.out.len(), scene.session.wake_at()), (before, None));
}

#[test]
fn a_goodbye_ends_the_session_with_its_reason_and_what_it_says_is_one_short_line() {
    let frame = goodbye(GoodbyeReason::Refused, "no\nroom");
    assert_eq!(frame[..], *b"\x0a\x0f\x02\x07no\nroom");
    let mut scene = Scene::v2(1 << 20);
    scene.hear_bytes(frame[..].into());
    assert!(matches!(scene.closed(), Some(CloseReason::Told(GoodbyeReason::Refused, text)) if text == "noroom"));
    let mut scene = Scene::v2(1 << 20);
    scene.hear_bytes(goodbye(GoodbyeReason::Protocol, &"x".repeat(100_000))[..].into());
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
