//! Credit, and how much a peer can make us hold or send.

use super::*;

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
fn what_a_batch_expands_to_in_memory_is_bounded() {
    // Rows of two bytes: no links, no value, consecutive entries of one log.
    let rows = |count: usize| {
        let mut body = b"\x01\x06theirs\x00\x00\x01\x00".to_vec();
        body.extend_from_slice(&b"\x04\x00".repeat(count));
        body
    };
    // Rows with the largest number of links, of one byte each, to the node before.
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
        // A count for which the frame has too few bytes.
        (b"\x01\x06theirs\x02\x00\x01\x80\x80\x04\x00".to_vec(), true),
    ] {
        let mut scene = Scene::v2(1 << 20);
        scene.hear_extension(&Extension::Batch(&body));
        assert_eq!(scene.accused(), accused, "{} bytes", body.len());
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
