//! The local log, when peers claim to have more of it, or another version of it.

mod common;

use std::sync::atomic::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use common::flaky::Flaky;
use common::*;
use hyperemitter::branch;
use hyperemitter::error::Error;
use hyperemitter::hyperlog::fork::FORKS_AT_ONCE;
use hyperemitter::hyperlog::import::import;
use hyperemitter::hyperlog::verify::verify;
use hyperemitter::hyperlog::{Incoming, Log, Outcome, SourceId};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Commit, Meta, Store};

const PEER: SourceId = SourceId(1);

fn add(log: &Log, nodes: Vec<Incoming>) -> Vec<Outcome> {
    log.add(PEER, nodes).blocking_recv().unwrap().unwrap()
}

fn codes(outcomes: &[Outcome]) -> Vec<&'static str> {
    let code = |outcome: &Outcome| match outcome {
        Outcome::Added | Outcome::AddedWith { .. } => "added",
        Outcome::Known => "known",
        Outcome::Parked => "parked",
        Outcome::Refused(error) => error.code(),
    };
    outcomes.iter().map(code).collect()
}

/// A store whose local log has an id that others may know, as a copied or restored one.
fn known(id: &str) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::new());
    let meta = vec![(Meta::LogId, Some(Bytes::copy_from_slice(id.as_bytes())))];
    store.commit(&Commit { meta, ..Commit::default() }).unwrap();
    store
}

fn audit(log: &Log) {
    verify(log.store().as_ref(), &mut |_, _| {}).unwrap();
}

/// A node that anybody can make under the next seq of `log`, or under another one.
fn forge(log: &str, seq: u64, text: &str) -> Incoming {
    node(log, seq, &[], text).0
}

#[test]
fn nobody_else_writes_in_our_log_once_we_have_appended() {
    let (log, _) = open(known("mine"));
    let tail = chain("mine", 3);
    assert_eq!(codes(&add(&log, tail[..2].to_vec())), ["added", "added"], "a lost tail comes back");
    emit(&log, "ours");
    let before = (log.end(), log.digest());
    let offered = vec![forge("mine", 4, "next"), forge("mine", 9, "ahead"), forge("mine", 0, "without seq")];
    assert_eq!(codes(&add(&log, offered)), ["ERR_HYPER_FORGED"; 3]);
    // Being known from another log does not make it ours.
    assert_eq!(
        codes(&add(&log, vec![forge("other", 1, "theirs"), forge("mine", 4, "theirs")])),
        ["added", "ERR_HYPER_FORGED"]
    );
    assert_eq!((log.end().change, log.seq("mine"), log.log_id()), (before.0.change + 1, 3, "mine".into()));
    emit(&log, "ours, too");
    assert_eq!(payloads(&log), ["mine 1", "mine 2", "ours", "theirs", "ours, too"]);
    audit(&log);
}

#[test]
fn a_log_made_by_this_open_emitter_has_no_lost_tail() {
    let (log, _) = in_memory();
    let id = log.log_id();
    assert_eq!(codes(&add(&log, vec![forge(&id, 1, "first")])), ["ERR_HYPER_FORGED"]);
    emit(&log, "ours");
    assert_eq!(payloads(&log), ["ours"]);
}

#[test]
fn an_append_under_way_counts() {
    let store = Arc::new(Flaky { waits: true, ..Flaky::default() });
    let meta = vec![(Meta::LogId, Some(Bytes::from_static(b"mine")))];
    store.commit(&Commit { meta, ..Commit::default() }).unwrap();
    let (log, heard) = open(store);
    emit(&log, "ours");
    let offered = log.add(PEER, vec![forge("mine", 2, "forged")]);
    let writer = {
        let log = log.clone();
        std::thread::spawn(move || log.run())
    };
    assert_eq!(codes(&offered.blocking_recv().unwrap().unwrap()), ["ERR_HYPER_FORGED"]);
    log.close();
    writer.join().unwrap();
    assert_eq!(heard.take(), [Ok(1)]);
    assert_eq!(payloads(&log), ["ours"]);
}

#[test]
fn an_append_that_was_lost_does_not_keep_a_lost_tail_away() {
    let store = Arc::new(Flaky::default());
    let meta = vec![(Meta::LogId, Some(Bytes::from_static(b"mine")))];
    store.commit(&Commit { meta, ..Commit::default() }).unwrap();
    let next = store.commits.load(Ordering::SeqCst) + 1;
    *store.on_commit.lock() = Some(Box::new(move |number| number != next));
    let (log, heard) = open(store);
    emit(&log, "lost");
    assert!(heard.take()[0].is_err());
    assert_eq!(codes(&add(&log, chain("mine", 2))), ["added", "added"]);
}

#[test]
fn what_the_user_imports_may_go_beyond_what_was_written() {
    let (original, _) = open(known("mine"));
    (0..4).for_each(|n| emit(&original, &n.to_string()));
    let (restored, _) = open(known("mine"));
    add(&restored, offered(rows(&original)[..1].to_vec()));
    // Appended, in this open, but by a log that the backup has, too.
    let (copy, _) = open(known("mine"));
    let source = Arc::clone(original.store());
    assert_eq!(import(&copy, source.as_ref(), &mut |_, _| {}).unwrap(), 4);
    emit(&copy, "5");
    let tail = Arc::clone(copy.store());
    emit(&original, "other 5");
    let refused = import(&original, tail.as_ref(), &mut |_, _| {}).unwrap_err();
    assert_eq!((refused.code(), original.log_id()), ("ERR_HYPER_FORK", "mine".into()), "an import never moves entries");
    assert_eq!(import(&restored, source.as_ref(), &mut |_, _| {}).unwrap(), 3 + 1);
}

#[test]
fn another_version_of_our_log_moves_our_tail_and_is_taken_in() {
    let shared = chain("mine", 2);
    let (log, _) = open(known("mine"));
    add(&log, shared);
    (3..=5).for_each(|n| emit(&log, &format!("ours {n}")));
    let theirs = vec![
        forge("mine", 3, "their 3"),
        forge("mine", 4, "their 4"),
        forge("mine", 5, "their 5"),
        forge("mine", 6, "their 6"),
    ];
    let outcomes = add(&log, theirs.clone());
    let Outcome::Refused(Error::Fork { log: id, seq: 3, .. }) = &outcomes[0] else { panic!("{outcomes:?}") };
    assert_eq!((id.as_str(), log.log_id() == "mine".into()), ("mine", false));
    // Rows after the proof are not counted against the peer.
    assert_eq!(codes(&outcomes)[1..], ["ERR_HYPER_FORK", "ERR_HYPER_FORK", "parked"]);
    assert_eq!((log.seq("mine"), log.seq(&log.log_id())), (2, 3));
    assert_eq!(codes(&add(&log, theirs)), ["added", "added", "added", "known"]);
    assert_eq!(log.seq("mine"), 6);
    emit(&log, "ours 6");
    assert_eq!((log.seq(&log.log_id()), rows(&log).len()), (4, 2 + 3 + 4 + 1));
    audit(&log);
}

#[test]
fn an_entry_sent_ahead_does_not_get_into_a_log_that_was_ours_before_the_honest_one() {
    for again in [false, true] {
        let (log, _) = open(known("mine"));
        (1..=8).for_each(|n| emit(&log, &n.to_string()));
        let honest: Vec<_> = offered(rows(&log));
        // It waits for the entry before it, once our tail has moved.
        assert_eq!(codes(&add(&log, vec![forge("mine", 2, "forged 2")])), ["ERR_HYPER_FORK"]);
        assert_eq!(codes(&add(&log, vec![forge("mine", 5, "forged 5")])), ["parked"]);
        if again {
            emit(&log, "9");
            let own = log.log_id();
            assert_eq!(codes(&add(&log, vec![forge(&own, 8, "forged")])), ["ERR_HYPER_FORK"]);
        }
        let outcomes = log.add(SourceId(2), honest).blocking_recv().unwrap().unwrap();
        assert_eq!(codes(&outcomes)[1..], ["added"; 7]);
        assert_eq!(log.seq("mine"), 8);
        assert!(payloads(&log).iter().all(|payload| !payload.starts_with("forged")));
        audit(&log);
    }
}

#[test]
fn an_entry_moves_once_in_its_life() {
    let store = known("mine");
    let (log, _) = open(store.clone());
    (1..=1000).for_each(|n| emit(&log, &n.to_string()));
    assert_eq!(codes(&add(&log, vec![forge("mine", 1, "forged")])), ["ERR_HYPER_FORK"]);
    let moved = log.log_id();
    assert_eq!(log.seq(&moved), 1000);
    for log in [log, open(store).0] {
        for seq in [1, 500, 1000] {
            let outcomes = add(&log, vec![forge(&moved, seq, &format!("forged {seq}"))]);
            assert_eq!(codes(&outcomes), ["ERR_HYPER_FORGED"], "also when the store is opened again");
        }
        assert_eq!((log.log_id(), log.logs().len()), (moved.clone(), 1));
    }
}

#[test]
fn few_forks_are_acted_upon_one_after_the_other() {
    let (log, _) = open(known("mine"));
    let mut acted = 0;
    for round in 0..20 {
        emit(&log, &format!("{round} a"));
        emit(&log, &format!("{round} b"));
        let own = log.log_id();
        let last = log.seq(&own);
        let outcomes = add(&log, vec![forge(&own, last, &format!("forged {round}"))]);
        acted += u32::from(log.log_id() != own);
        let expected = if round < FORKS_AT_ONCE { "ERR_HYPER_FORK" } else { "ERR_HYPER_FORGED" };
        assert_eq!(codes(&outcomes), [expected]);
    }
    assert_eq!((acted, rows(&log).len()), (FORKS_AT_ONCE, 40), "no entry has become two");
    audit(&log);
}

/// A log with one version of `other`, which differs from the peers' version from seq 3 on, and the peers' entries from there on.
fn stuck() -> (Arc<Log>, Vec<Incoming>) {
    let (log, _) = open(known("mine"));
    add(&log, chain("other", 2));
    add(&log, vec![forge("other", 3, "ours 3"), forge("other", 4, "ours 4")]);
    let theirs = ["their 3", "their 4", "their 5"];
    let theirs: Vec<_> = (3..).zip(theirs).map(|(seq, text)| forge("other", seq, text)).collect();
    assert_eq!(codes(&add(&log, theirs[..1].to_vec())), ["ERR_HYPER_FORK"]);
    (log, theirs)
}

#[test]
fn a_log_of_which_peers_hold_another_version_is_told() {
    let (log, theirs) = stuck();
    let found = log.stuck_logs();
    let [stuck] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!((&*stuck.log, stuck.seq, Some(stuck.theirs), stuck.proven), ("other", 3, theirs[0].claimed, true));
    assert_eq!(stuck.ours, log.entry(&"other".into(), 3).unwrap().unwrap().key);
    log.peers_have(&"other".into(), 9);
    assert_eq!(log.stuck_logs()[0].behind(), 7);
    let (id, holder) = ("other".into(), "holder".into());
    log.note_fork(&id, 3, stuck.ours, stuck.theirs, Some(&holder));
    log.agreed(&"somebody else".into(), |_, _| true);
    log.agreed(&holder, |_, _| false);
    assert_eq!(log.stuck_logs().len(), 1, "the one that holds it still does");
    log.agreed(&holder, |log, seq| *log == id && seq == 3);
    assert_eq!(log.stuck_logs(), []);
}

#[test]
fn the_peers_version_is_adopted_and_ours_is_kept_under_another_log() {
    let (log, theirs) = stuck();
    let ours = offered(rows(&log)[2..].to_vec());
    let moved = log.adopt(&"other".into(), None).blocking_recv().unwrap().unwrap();
    assert_eq!((log.seq("other"), log.seq(&moved), log.log_id()), (2, 2, "mine".into()));
    assert_eq!(Some(moved), branch::name("other", 3, &ours[0].claimed.unwrap()), "everybody knows it by this name");
    assert_eq!(log.stuck_logs(), []);
    // Peers that still hold our version cannot bring it back, not even with later entries.
    let witness = SourceId(2);
    for node in ours {
        let outcomes = log.add(witness, vec![node]).blocking_recv().unwrap().unwrap();
        assert_eq!(codes(&outcomes), ["ERR_HYPER_FORK"]);
    }
    // With the adoption sessions begin anew.
    log.forget(PEER);
    assert_eq!(codes(&add(&log, theirs)), ["added", "added", "added"]);
    assert_eq!((log.seq("other"), rows(&log).len()), (5, 7));
    audit(&log);
}

#[test]
fn only_a_version_that_peers_hold_is_adopted() {
    let (log, theirs) = stuck();
    let refused = |id: &str, key| log.adopt(&id.into(), key).blocking_recv().unwrap().unwrap_err().code();
    assert_eq!(refused("mine", None), "ERR_HYPER_INVALID_ARG");
    assert_eq!(refused("other", forge("other", 3, "whose?").claimed), "ERR_HYPER_INVALID_ARG");
    let second = forge("other", 3, "a third version");
    log.add(SourceId(2), vec![second.clone()]).blocking_recv().unwrap().unwrap();
    assert_eq!(refused("other", None), "ERR_HYPER_INVALID_ARG", "there are several");
    log.adopt(&"other".into(), second.claimed).blocking_recv().unwrap().unwrap();
    log.forget(PEER);
    assert_eq!(codes(&add(&log, vec![second, theirs[0].clone()])), ["added", "ERR_HYPER_FORK"]);
}

#[test]
fn a_fork_of_our_own_log_that_was_refused_may_be_adopted() {
    let (log, _) = open(known("mine"));
    emit(&log, "ours");
    assert_eq!(codes(&add(&log, vec![forge("mine", 1, "theirs")])), ["ERR_HYPER_FORK"]);
    let second = log.log_id();
    let again = forge(&second, 1, "theirs again");
    assert_eq!(codes(&add(&log, vec![again.clone()])), ["ERR_HYPER_FORGED"]);
    assert_eq!(&*log.stuck_logs()[0].log, &*second);
    let third = log.adopt(&second, None).blocking_recv().unwrap().unwrap();
    assert_eq!((log.log_id(), log.seq(&third)), (third.clone(), 1));
    assert_eq!(codes(&add(&log, vec![again])), ["added"]);
    emit(&log, "goes on");
    assert_eq!(log.seq(&third), 2);
    audit(&log);
}

/// Entries under the name of the branch of `log` that begins with entry `from` of `entries`, which are those of `log` from 1 on.
fn as_branch(log: &str, from: u64, entries: &[Incoming]) -> Vec<Incoming> {
    let entries = &entries[from as usize - 1..];
    let id = branch::name(log, from, &entries[0].claimed.unwrap()).unwrap();
    (1..).zip(entries).map(|(seq, entry)| Incoming { log: id.clone(), seq, ..entry.clone() }).collect()
}

#[test]
fn a_version_of_a_log_is_stored_once_whatever_it_is_called() {
    let (log, _) = open(known("mine"));
    let theirs = chain("theirs", 9);
    add(&log, theirs[..5].to_vec());
    assert_eq!(codes(&add(&log, as_branch("theirs", 1, &theirs[..5]))), ["known"; 5]);
    assert_eq!(codes(&add(&log, as_branch("theirs", 3, &theirs[..6]))), ["known", "known", "known", "added"]);
    assert_eq!(log.seq("theirs"), 6);
    // The same where it is here as a branch, because of another version.
    let (log, _) = open(known("mine"));
    add(&log, vec![forge("theirs", 1, "made up")]);
    let branch = as_branch("theirs", 1, &theirs);
    assert_eq!(codes(&add(&log, branch[..5].to_vec())), ["added"; 5]);
    assert_eq!(codes(&add(&log, as_branch("theirs", 3, &theirs[..6]))), ["known", "known", "known", "added"]);
    // Although somebody entered its node under a log of their own before.
    let (log, _) = open(known("mine"));
    add(&log, vec![Incoming { log: "evil".into(), ..theirs[0].clone() }]);
    add(&log, theirs[..5].to_vec());
    assert_eq!(codes(&add(&log, as_branch("theirs", 1, &theirs[..5]))), ["known"; 5]);
    assert_eq!((log.logs().len(), rows(&log).len()), (2, 6));
    audit(&log);
}

#[test]
fn a_branch_begins_with_the_node_in_its_id() {
    let (log, _) = open(known("mine"));
    let branch = as_branch("theirs", 1, &chain("theirs", 2));
    let false_one = Incoming { log: branch[0].log.clone(), ..forge("x", 1, "made up") };
    let without_seq = Incoming { seq: 0, ..false_one.clone() };
    assert_eq!(codes(&add(&log, vec![false_one, without_seq])), ["ERR_HYPER_FORK"; 2]);
    assert_eq!(codes(&add(&log, branch)), ["added"; 2]);
    assert_eq!(log.stuck_logs(), []);
}

#[test]
fn where_a_version_parts_from_a_branch_is_told_in_the_peers_words() {
    let (log, _) = open(known("mine"));
    let (ours, mut theirs) = (chain("theirs", 5), chain("theirs", 3));
    theirs.push(forge("theirs", 4, "another 4"));
    theirs.push(forge("theirs", 5, "another 5"));
    add(&log, ours.clone());
    let branch = as_branch("theirs", 2, &theirs);
    let outcomes = add(&log, branch.clone());
    assert_eq!(codes(&outcomes), ["known", "known", "ERR_HYPER_FORK", "ERR_HYPER_FORK"]);
    for outcome in &outcomes[2..] {
        let Outcome::Refused(Error::Fork { log, seq, ours: here, theirs: there }) = outcome else { panic!() };
        assert_eq!((&**log, *seq, Some(*here), Some(*there)), (&*branch[0].log, 3, ours[3].claimed, theirs[3].claimed));
    }
    assert_eq!(log.seq("theirs"), 5);
    // As a branch of its own it is taken in.
    assert_eq!(codes(&add(&log, as_branch("theirs", 4, &theirs))), ["added"; 2]);
    audit(&log);
}

#[test]
fn what_waits_for_an_entry_of_a_branch_hears_of_it_under_the_logs_own_id() {
    let (log, _) = open(known("mine"));
    let (cause, key) = node("cause", 1, &[], "cause");
    let first = node("theirs", 1, &[key], "1").0;
    let theirs = [first, forge("theirs", 2, "2")];
    let other = SourceId(2);
    assert_eq!(codes(&log.add(other, vec![theirs[0].clone()]).blocking_recv().unwrap().unwrap()), ["parked"]);
    assert_eq!(codes(&add(&log, as_branch("theirs", 1, &theirs))), ["parked"; 2]);
    add(&log, vec![cause]);
    assert_eq!((log.seq("theirs"), log.end().change, log.end().duplicate), (2, 3, 0));
}

#[test]
fn what_was_parked_as_part_of_the_log_and_differs_by_now_is_still_an_entry_of_the_branch() {
    let (log, _) = open(known("mine"));
    let ours = chain("theirs", 3);
    add(&log, ours[..1].to_vec());
    let (cause, key) = node("cause", 1, &[], "cause");
    let third = node("theirs", 3, &[key], "another 3").0;
    let theirs = [ours[..2].to_vec(), vec![third, forge("theirs", 4, "another 4")]].concat();
    let branch = as_branch("theirs", 1, &theirs);
    let offer = |nodes| codes(&log.add(SourceId(2), nodes).blocking_recv().unwrap().unwrap());
    assert_eq!(offer(branch[..3].to_vec()), ["known", "added", "parked"]);
    assert_eq!(codes(&add(&log, ours[1..].to_vec())), ["known", "added"]);
    add(&log, vec![cause]);
    assert_eq!(log.stuck_logs(), [], "the session did not offer it under the log's own id");
    assert_eq!(offer(branch[3..].to_vec()), ["ERR_HYPER_FORK"]);
    audit(&log);
}

#[test]
fn a_branch_of_our_own_log_neither_goes_on_in_it_nor_moves_it() {
    let (log, _) = open(known("mine"));
    (1..=3).for_each(|n| emit(&log, &n.to_string()));
    let own = offered(rows(&log));
    let another = [own[..2].to_vec(), vec![forge("mine", 3, "another 3")]].concat();
    let longer = [own, vec![forge("mine", 4, "made up")]].concat();
    assert_eq!(codes(&add(&log, as_branch("mine", 1, &another))), ["known", "known", "ERR_HYPER_FORK"]);
    let offered = log.add(SourceId(2), as_branch("mine", 1, &longer));
    assert_eq!(codes(&offered.blocking_recv().unwrap().unwrap()), ["known"; 4], "others hold it in good faith");
    assert_eq!((log.log_id(), log.seq("mine"), rows(&log).len()), ("mine".into(), 3, 3));
    emit(&log, "4");
    assert_eq!(codes(&add(&log, as_branch("mine", 4, &longer))), ["added"]);
    assert_eq!((log.log_id(), log.seq("mine"), payloads(&log)[4].as_str()), ("mine".into(), 4, "made up"));
    audit(&log);
}

#[test]
fn who_writes_under_the_name_of_a_branch_does_not_keep_the_true_one_away() {
    let (log, _) = open(known("mine"));
    let theirs = chain("theirs", 4);
    add(&log, vec![forge("theirs", 1, "made up")]);
    let digest = log.digest();
    let usurped = [theirs[..1].to_vec(), vec![forge("theirs", 2, "made up, too")]].concat();
    assert_eq!(codes(&add(&log, as_branch("theirs", 1, &usurped))), ["added"; 2]);
    let offer = |nodes| codes(&log.add(SourceId(2), nodes).blocking_recv().unwrap().unwrap());
    let expected = ["known", "ERR_HYPER_FORK", "ERR_HYPER_FORK", "ERR_HYPER_FORK"];
    assert_eq!(offer(as_branch("theirs", 1, &theirs)), expected);
    // It parts from the false one there, as a branch of its own.
    assert_eq!(offer(as_branch("theirs", 2, &theirs)), ["added"; 3]);
    assert_eq!((rows(&log).len(), log.digest()), (6, digest), "branches do not count in the digest");
    audit(&log);
}

#[test]
fn a_branch_whose_first_node_somebody_has_in_a_log_of_their_own_does_not_go_on_there() {
    let (log, _) = open(known("mine"));
    let theirs = chain("theirs", 3);
    add(&log, vec![Incoming { log: "evil".into(), ..theirs[0].clone() }, forge("theirs", 1, "made up")]);
    let branch = as_branch("theirs", 1, &theirs);
    let id = branch[0].log.clone();
    assert_eq!(codes(&add(&log, branch)), ["added"; 3]);
    assert_eq!((log.seq("evil"), log.seq(&id)), (1, 3));
    audit(&log);
}
