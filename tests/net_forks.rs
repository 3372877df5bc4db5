//! Databases that were copied, restored or lost their tail, over real connections between 2.x peers.

mod net_support;

use std::sync::Arc;

use bytes::Bytes;
use hyperemitter::branch;
use hyperemitter::error::Error;
use hyperemitter::event;
use hyperemitter::hyperlog::import::import;
use hyperemitter::hyperlog::verify::verify;
use hyperemitter::hyperlog::{Incoming, Log, LogObserver, LogOptions, SourceId};
use hyperemitter::net::{NetEvent, PeerInfo, Stage};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Commit, Meta, Store};
use net_support::{agree, open, options, Peer};

struct Deaf;

impl LogObserver for Deaf {
    fn acks(&self, _: Vec<hyperemitter::hyperlog::Ack>) {}
    fn advanced(&self) {}
    fn log_id_changed(&self, _: &hyperemitter::node::LogId) {}
    fn report(&self, _: Error) {}
}

/// Another store with what `log` holds now, the log id included: what a backup or a copied folder is.
fn copy(log: &Arc<Log>) -> Peer {
    let store = Arc::new(MemoryStore::default());
    let id = Bytes::copy_from_slice(log.log_id().as_bytes());
    store.commit(&Commit { meta: vec![(Meta::LogId, Some(id))], ..Commit::default() }).unwrap();
    let copy = Log::open(store, LogOptions::default(), Arc::new(Deaf)).unwrap();
    let source = Arc::clone(log.store());
    let target = Arc::clone(&copy);
    std::thread::spawn(move || import(&target, source.as_ref(), &mut |_, _| {}).unwrap()).join().unwrap();
    Peer::on(copy, options())
}

fn texts(peer: &Peer) -> Vec<String> {
    let mut texts: Vec<String> = peer
        .rows()
        .iter()
        .filter(|row| row.at.duplicate == 0)
        .map(|row| String::from_utf8_lossy(event::decode(&row.node.value).unwrap().payload).into_owned())
        .collect();
    texts.sort();
    texts
}

async fn converge(peers: &[&Peer], nodes: u64) {
    for peer in peers {
        peer.holds(nodes).await;
    }
    net_support::soon("equal digests", async {
        while !agree(peers) {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
    for peer in peers {
        verify(peer.log.store().as_ref(), &mut |_, _| {}).unwrap();
    }
}

async fn until(what: &str, reached: impl Fn() -> bool) {
    net_support::soon(what, async {
        while !reached() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// A peer that has seen everything, and an older copy of the emitter's store.
async fn restored() -> (Peer, Peer) {
    let original = Peer::listening().await;
    original.emit("1");
    original.emit("2");
    let backup = copy(&original.log);
    original.emit("3");
    original.emit("4");
    let witness = Peer::listening().await;
    witness.dial(original.port);
    witness.holds(4).await;
    original.close().await;
    (witness, backup)
}

#[tokio::test]
async fn a_restored_backup_gets_its_lost_tail_back_and_goes_on() {
    let (witness, backup) = restored().await;
    let id = backup.log.log_id();
    backup.dial(witness.port);
    backup.holds(4).await;
    backup.emit("5");
    converge(&[&witness, &backup], 5).await;
    assert_eq!((backup.log.log_id(), backup.log.seq(&id)), (id, 5));
}

#[tokio::test]
async fn a_restored_backup_that_was_written_first_goes_on_under_another_log_and_loses_nothing() {
    let (witness, backup) = restored().await;
    let id = backup.log.log_id();
    backup.emit("other 3");
    backup.emit("other 4");
    backup.emit("other 5");
    backup.dial(witness.port);
    converge(&[&witness, &backup], 7).await;
    assert_ne!(backup.log.log_id(), id);
    witness.emit("w");
    backup.emit("6");
    converge(&[&witness, &backup], 9).await;
    assert_eq!(texts(&witness), ["1", "2", "3", "4", "6", "other 3", "other 4", "other 5", "w"]);
}

#[tokio::test]
async fn two_running_copies_of_one_database_find_each_other_out() {
    let one = Peer::listening().await;
    one.emit("shared");
    let two = copy(&one.log);
    one.emit("one");
    two.emit("two");
    two.dial(one.port);
    converge(&[&one, &two], 3).await;
    one.emit("one more");
    two.emit("two more");
    converge(&[&one, &two], 5).await;
    assert!(one.net.peers().iter().chain(&two.net.peers()).all(|peer| peer.stuck.is_empty()));
    assert_ne!(one.log.log_id(), two.log.log_id());
    assert_eq!(texts(&one), texts(&two));
}

#[tokio::test]
async fn a_fork_of_somebody_elses_log_is_reported_with_both_keys_and_the_rest_goes_on() {
    let one = Peer::new(options());
    one.emit("shared");
    let two = copy(&one.log);
    one.emit("one");
    two.emit("two");
    two.emit("two more");
    let id = one.log.log_id();
    // Two third parties, each with one version.
    let (left, right) = (Peer::listening().await, Peer::listening().await);
    one.dial(left.port);
    two.dial(right.port);
    left.holds(2).await;
    right.holds(3).await;
    one.close().await;
    two.close().await;
    left.dial(right.port);
    let event =
        left.event("the fork", |event| matches!(event, NetEvent::Report { error: Error::Fork { .. }, .. })).await;
    let NetEvent::Report { error: Error::Fork { log, seq, ours, theirs }, .. } = event else { unreachable!() };
    assert_eq!((log.as_str(), seq), (&*id, 2));
    assert_eq!(left.log.entry(&id, 2).unwrap().unwrap().key, ours);
    assert_eq!(right.log.entry(&id, 2).unwrap().unwrap().key, theirs);
    left.when("a link that is not level", |peers| peers.iter().any(|peer| peer.stuck == [&*id])).await;
    // It stays stuck until a user decides.
    let stuck = left.log.stuck_logs();
    assert_eq!((stuck.len(), &*stuck[0].log, stuck[0].seq, stuck[0].theirs), (1, &*id, 2, theirs));
    until("both missing entries are told", || left.log.stuck_logs()[0].behind() == 2).await;
    until("the other side knows, too", || right.log.stuck_logs().len() == 1).await;
    let moved = left.log.adopt(&id, None).await.unwrap().unwrap();
    converge(&[&left, &right], 4).await;
    until("it knows that the log is whole again", || right.log.stuck_logs().is_empty()).await;
    left.when("a level link", |peers| peers.iter().any(|peer| peer.stage == Stage::Live && peer.stuck.is_empty()))
        .await;
    assert_eq!(left.log.entry(&id, 2).unwrap().unwrap().key, theirs);
    assert_eq!(right.log.entry(&moved, 1).unwrap().unwrap().key, ours);
    assert_eq!(texts(&left), ["one", "shared", "two", "two more"]);
}

/// A peer that has a version of a log only as a branch, because it does not know what such an id means, or has not heard of the log.
#[tokio::test]
async fn a_branch_that_is_here_as_another_log_comes_once_per_link_and_is_not_stored_again() {
    const ENTRIES: u64 = 20;
    let owner = Peer::listening().await;
    owner.emit_many(ENTRIES as usize);
    let id = owner.log.log_id();
    let first = owner.log.entry(&id, 1).unwrap().unwrap().key;
    let branch = branch::name(&id, 1, &first).unwrap();
    let nodes = owner.rows().into_iter().map(|row| Incoming {
        log: branch.clone(),
        seq: row.seq(),
        links: row.node.links.clone(),
        value: row.node.value.clone(),
        signed: None,
        claimed: None,
    });
    let here = Peer::listening().await;
    here.dial(owner.port);
    here.holds(ENTRIES).await;
    owner.close().await;
    let holder = open(Arc::new(MemoryStore::default()));
    holder.add(SourceId(1), nodes.collect()).await.unwrap().unwrap();
    assert_eq!(holder.seq(&branch), ENTRIES);
    for link in 1..=3 {
        let peer = Peer::on(Arc::clone(&holder), options());
        peer.dial(here.port);
        peer.live(1).await;
        let arrived = |peers: &[PeerInfo]| peers.iter().any(|peer| peer.counters.known >= ENTRIES);
        here.when("the branch has come", arrived).await;
        peer.emit("what comes after it");
        here.holds(ENTRIES + 2 * link - 1).await;
        here.emit("an answer");
        peer.holds(ENTRIES + 2 * link).await;
        let counters = here.net.peers().into_iter().map(|peer| peer.counters).find(|counters| counters.known > 0);
        assert_eq!(counters.map(|counters| (counters.nodes_in, counters.known)), Some((ENTRIES + 1, ENTRIES)));
        assert!(here.rows().iter().all(|row| *row.log() != branch && row.at.duplicate == 0));
        peer.close().await;
        here.when("the link is over", |peers| !peers.iter().any(|peer| peer.counters.known > 0)).await;
    }
}
