//! Sessions with logs that are forked, truncated, or contain events that 1.x must not get.

// Helpers of tests, not of the product.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value
)]

mod sim;

use hyperemitter::event::reason_unsafe_for_v1;
use sim::new::NewPeer;
use sim::setup::{event, Kind, Setup};
use sim::world::{Body, World};

fn text(text: &str) -> bytes::Bytes {
    event(text).into()
}

fn world(kinds: &[Kind], links: &[(usize, usize)], seed: u64) -> World {
    let mut setup = Setup::quiet(seed, kinds.to_vec(), links.to_vec());
    setup.deadline = 60_000;
    World::new(setup)
}

/// Two emitters on copies of one store, which have both continued to write.
fn clones(shared: usize, first: usize, second: usize) -> (NewPeer, NewPeer) {
    let one = NewPeer::new("log-0");
    for number in 0..shared {
        one.append(text(&format!("shared {number}")));
    }
    let two = one.copied();
    for number in 0..first {
        one.append(text(&format!("first {number}")));
    }
    for number in 0..second {
        two.append(text(&format!("second {number}")));
    }
    (one, two)
}

#[test]
fn clones_of_a_store_find_their_fork_and_both_go_on() {
    for (shared, first, second) in [(0, 1, 1), (1, 1, 1), (10, 3, 3), (10, 1, 40), (300, 7, 2), (1000, 1, 1)] {
        for seed in 0..4 {
            let mut world = world(&[Kind::New, Kind::New], &[(0, 1)], seed);
            let (one, two) = clones(shared, first, second);
            world.peers[0].body = Body::New(Box::new(one));
            world.peers[1].body = Body::New(Box::new(two));
            world.take_stock();
            assert_eq!(world.emitted.len(), shared + first + second);
            let mut world = world.run().unwrap();
            assert!(world.stats.forks >= 1, "the fork is reported");
            let ids = [world.new_peer(0).log.log_id(), world.new_peer(1).log.log_id()];
            assert!(ids[0] != ids[1] && (ids[0].as_ref() != "log-0" || ids[1].as_ref() != "log-0"), "{ids:?}");
            // Both go on, each in its own log.
            for peer in 0..2 {
                let key = world.new_peer(peer).append(text(&format!("{peer} goes on")));
                assert!(world.new_peer(peer).log.node(&key).unwrap().is_some());
            }
        }
    }
}

#[test]
fn a_fork_shows_even_if_a_1x_peer_is_all_that_is_left_of_the_other_side() {
    for (shared, first, second) in [(1, 1, 2), (10, 3, 5), (10, 1, 40), (60, 30, 31)] {
        for seed in 0..4 {
            let mut world = world(&[Kind::New, Kind::Old], &[(0, 1)], seed);
            let (one, two) = clones(shared, first, second);
            *world.old_log(1) = old_with(&two);
            world.peers[0].body = Body::New(Box::new(one));
            world.take_stock();
            let mut world = world.run().unwrap();
            assert!(world.stats.forks >= 1, "the fork is reported");
            assert_ne!(world.new_peer(0).log.log_id().as_ref(), "log-0");
            assert_eq!(world.new_peer(0).seq("log-0") as usize, shared + second, "the other side's entries stay");
        }
    }
}

#[test]
fn without_proof_a_fork_at_a_1x_peer_goes_unseen() {
    let mut setup = Setup::quiet(1, vec![Kind::New, Kind::Old], vec![(0, 1)]);
    setup.deadline = 60_000;
    setup.defences.prove_forks = false;
    let mut world = World::new(setup);
    let (one, two) = clones(10, 3, 5);
    *world.old_log(1) = old_with(&two);
    world.peers[0].body = Body::New(Box::new(one));
    world.take_stock();
    assert!(world.run_on().is_err());
    assert_eq!(world.stats.forks, 0);
}

/// A 1.x peer that holds what `peer` has.
fn old_with(peer: &NewPeer) -> sim::old::OldLog {
    let mut log = sim::old::OldLog::new("log-1");
    for row in peer.rows() {
        let own = std::mem::replace(&mut log.id, row.log().to_string());
        assert_eq!(log.append(row.node.value.clone()), row.node.key);
        log.id = own;
    }
    log
}

#[test]
fn a_fork_of_somebody_elses_log_is_reported_by_both() {
    let mut world = world(&[Kind::New, Kind::New], &[(0, 1)], 1);
    let (one, two) = clones(5, 2, 2);
    for (peer, clone) in [one, two].iter().enumerate() {
        let holder = world.new_peer(peer);
        let nodes = clone.rows().iter().map(sim::new::incoming).collect();
        holder.add(hyperemitter::hyperlog::SourceId(99), nodes);
    }
    world.new_peer(0);
    // Both have a log of their own too, named otherwise.
    let _ = world.run_on();
    assert_eq!(world.stats.forks, 2);
    for peer in 0..2 {
        assert_eq!(world.new_peer(peer).seq("log-0"), 7, "each keeps what it has");
    }
}

#[test]
fn a_store_restored_from_a_backup_gets_its_own_tail_back() {
    for other in [Kind::New, Kind::Old] {
        for seed in 0..4 {
            let mut world = world(&[Kind::New, other], &[(0, 1)], seed);
            let whole = NewPeer::new("log-0");
            for number in 0..10 {
                whole.append(text(&format!("{number}")));
            }
            let restored = whole.copied();
            for number in 10..15 {
                whole.append(text(&format!("{number}")));
            }
            match other {
                Kind::Old => *world.old_log(1) = old_with(&whole),
                _ => {
                    let nodes = whole.rows().iter().map(sim::new::incoming).collect();
                    world.new_peer(1).add(hyperemitter::hyperlog::SourceId(99), nodes);
                }
            }
            world.peers[0].body = Body::New(Box::new(restored));
            world.take_stock();
            let mut world = world.run().unwrap();
            assert_eq!(world.stats.forks, 0);
            assert_eq!(world.new_peer(0).seq("log-0"), 15);
            assert_eq!(world.new_peer(0).log.log_id().as_ref(), "log-0");
        }
    }
}

#[test]
fn an_event_that_kills_1x_reaches_ours_and_never_a_1x_peer() {
    let mut deadly = b"\x0a\x0bconstructor\x12\x01x".to_vec();
    deadly.extend_from_slice(&[0x1a, 1, 7]);
    assert!(reason_unsafe_for_v1(&deadly).is_some());
    for seed in 0..4 {
        // 0 (ours) - 1 (ours) - 2 (1.x)
        let mut world = world(&[Kind::New, Kind::New, Kind::Old], &[(0, 1), (1, 2)], seed);
        for number in 0..5 {
            world.new_peer(0).append(text(&format!("before {number}")));
        }
        world.new_peer(0).append(deadly.clone().into());
        world.new_peer(0).append(text("after"));
        world.take_stock();
        assert!(world.run_on().is_err(), "the 1.x peer cannot become level");
        assert!(world.stats.harmful > 0);
        assert_eq!(world.new_peer(1).rows().len(), 7);
        assert_eq!(world.old_log(2).changes(), 5, "it has all that came before");
    }
}
