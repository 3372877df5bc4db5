//! How long a session waits for its peer.

use super::*;

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
fn what_a_peer_names_before_its_vector_sets_no_timer() {
    let mut scene = with_pieces(Mode::Sync, 1 << 20);
    scene.hear_extension(&Extension::Credit { bytes: 0, updates: vec![("unknown".into(), 9)] });
    scene.tick_at(10_000);
    let wakes = scene.session.wake_at().unwrap() - scene.now;
    assert!(wakes > 1_000, "a timer every {wakes} ms");
}
