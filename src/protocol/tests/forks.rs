//! Claims of peers about forks, and proofs.

use super::*;

/// Demands entry 2 of the log "own".
const DEMAND: &[u8] = &[6, 16, 3, b'o', b'w', b'n', 2];

#[test]
fn a_false_claim_of_a_fork_is_not_believed() {
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

/// A 2.x peer claims that its version of our log differs from entry 2 on.
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

#[test]
fn a_claimed_fork_of_our_log_is_checked_not_believed() {
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
fn a_1x_peer_moves_our_log_only_with_an_entry_that_came_and_was_hashed() {
    let moves = |scene: &Scene| scene.out.iter().any(|out| matches!(out, OutEvent::ForkLocal { .. }));
    let (links, value) = (crate::node::Links::default(), Bytes::from_static(b"theirs"));
    let theirs = key_of(&links, &value);
    let scene = |claimed: Option<Key>| {
        let mut scene = Scene::v1(true);
        scene.log.0.insert("own".into(), 1);
        // A peer that says it has more of our log than we have only makes a claim. It is asked for the entry before.
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
    // A key that is not the node's hash is no proof.
    let lying = scene(Some(Key([7; 32])));
    assert!(lying.accused() && !moves(&lying));
    for (ours, forked) in [(theirs, false), (Key([9; 32]), true)] {
        let mut scene = scene(Some(theirs));
        assert!(!moves(&scene), "it is compared with ours first");
        let at = Position::of(1);
        scene.feed(InEvent::LookedUp(Ok(vec![Found::Entry(Some(crate::store::Entry { key: ours, at }))])));
        assert_eq!(moves(&scene), forked);
        if forked {
            // If the log may not move again, that is reported, and other logs go on.
            let forged = Error::Forged { log: "own".into(), seq: 1, reason: "" };
            scene.feed(InEvent::Forked(Err(forged)));
            assert!(scene.session.stage() != SessionStage::Closed, "{:?}", scene.out.last());
            assert!(matches!(scene.out.last(), Some(OutEvent::Report(Error::Forged { .. }))));
        }
    }
}

/// Our node and the peer's as entry 3 of the log "x", of which both sides have five entries.
const THIRD: [Key; 2] = [Key([5; 32]), Key([4; 32])];

/// A 2.x peer has another version of "x" from entry 3 on, of which we have three entries as a branch.
fn parted() -> Scene {
    let mut scene = Scene::extension(VERSION, 1 << 20);
    let theirs = crate::branch::name("x", 3, &THIRD[1]).unwrap();
    scene.log.0.extend([("x".to_owned(), 5), (theirs.to_string(), 3)]);
    let extents = vec![Extent { log: "x".into(), seq: 5, digest: Digest([2; 32]) }];
    scene.hear_extension(&Extension::Vector { first: true, last: true, extents });
    claim_fork(&mut scene, 3, THIRD);
    scene
}

fn claim_fork(scene: &mut Scene, seq: u64, [ours, theirs]: [Key; 2]) {
    scene.hear_extension(&Extension::Fork { log: "x".into(), seq, key: theirs });
    answer_all(scene, seq, ours);
}

/// Answers all questions: we have this entry, whichever is asked for.
fn answer_all(scene: &mut Scene, seq: u64, key: Key) {
    while let Some(last) = scene.out.iter().rposition(|out| matches!(out, OutEvent::Lookup(_))) {
        let OutEvent::Lookup(questions) = scene.out.remove(last) else { unreachable!() };
        let entry = || Found::Entry(Some(crate::store::Entry { at: Position::of(seq), key }));
        scene.feed(InEvent::LookedUp(Ok(questions.iter().map(|_| entry()).collect())));
    }
}

fn reports(scene: &Scene) -> usize {
    scene.out.iter().filter(|out| matches!(out, OutEvent::Report(Error::Fork { .. }))).count()
}

#[test]
fn what_we_have_of_the_peers_version_is_not_sent_and_ours_is_once() {
    let mut scene = parted();
    let theirs = crate::branch::name("x", 3, &THIRD[1]).unwrap();
    let of =
        |log: &str, seqs: std::ops::RangeInclusive<u64>| seqs.map(|seq| row(log, seq, vec![7])).collect::<Vec<_>>();
    let rows = [of("x", 1..=5), of(&theirs, 1..=3)].concat();
    let rows = (1..).zip(rows).map(|(change, row)| Row { at: Position::of(change), ..row }).collect::<Vec<_>>();
    for _ in 0..3 {
        scene.feed(InEvent::Rows(Ok(rows.clone())));
    }
    assert_eq!((scene.session.counters().nodes_sent, reports(&scene)), (3, 1));
}

#[test]
fn a_further_fork_of_a_log_that_has_parted_is_ignored() {
    let mut scene = parted();
    assert_eq!(reports(&scene), 1);
    for seq in [2, 4] {
        claim_fork(&mut scene, seq, [Key([6; 32]), Key([7; 32])]);
    }
    assert_eq!(reports(&scene), 1);
}

#[test]
fn an_entry_behind_a_fork_of_somebody_elses_log_is_not_taken_for_a_proof() {
    let mut scene = parted();
    let mut writer = BatchWriter::default();
    writer.push(&row("x", 3, b"another".to_vec()));
    scene.hear_extension(&Extension::Batch(&writer.finish()));
    scene.feed(InEvent::Idle);
    assert_eq!((scene.adds(), scene.accused()), (0, false), "nobody asked for it");
}

#[test]
fn an_entry_of_a_branch_that_a_peer_tells_unasked_is_not_looked_up() {
    let mut scene = parted();
    let ours = crate::branch::name("x", 3, &THIRD[0]).unwrap();
    let extent = Extent { log: ours, seq: 2, digest: Digest([3; 32]) };
    scene.hear_extension(&Extension::Proof { extent, key: Key([9; 32]) });
    assert!(!scene.out.iter().any(|out| matches!(out, OutEvent::Lookup(_))));
}
