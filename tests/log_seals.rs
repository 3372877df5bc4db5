//! Sealed logs: which rows are stored, from whom, and what is passed on.

mod common;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use common::{emit, event, in_memory, incoming, key, open, open_trusting, sealed, sent, ALL};
use hyperemitter::error::Error;
use hyperemitter::event::{encode, Encoding};
use hyperemitter::hyperlog::parking::MAX_SOURCE_NODES;
use hyperemitter::hyperlog::trust::{Authors, Pin, Revoked, TrustPolicy, Unsigned};
use hyperemitter::hyperlog::verify::verify;
use hyperemitter::hyperlog::{Incoming, Log, Outcome, SourceId, Trust};
use hyperemitter::identity::key::base32;
use hyperemitter::identity::seal::{self, author_of, MAX_SEAL_ROWS};
use hyperemitter::node::{key_of, Digest, Key, Links, LogId, Seq, Signed};
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Position, Store};

const PEER: SourceId = SourceId(1);

fn add(log: &Log, source: SourceId, nodes: Vec<Incoming>) -> Vec<Outcome> {
    log.add(source, nodes).blocking_recv().unwrap().unwrap()
}

/// The outcomes in one letter each: added, known, parked, or refused with a code.
fn told(outcomes: &[Outcome]) -> Vec<&'static str> {
    let one = |outcome: &Outcome| match outcome {
        Outcome::Added | Outcome::AddedWith { .. } => "added",
        Outcome::Known => "known",
        Outcome::Parked => "parked",
        Outcome::Refused(error) => error.code(),
    };
    outcomes.iter().map(one).collect()
}

fn signed(signature: &[u8]) -> Option<Arc<Signed>> {
    Some(Arc::new(Signed { identity: None, signature: Some(Bytes::copy_from_slice(signature)) }))
}

/// A chain of events in a log of this key's, each with its seal.
struct Author {
    key: hyperemitter::identity::SecretKey,
    log: LogId,
    seq: Seq,
    digest: Digest,
    last: Option<Key>,
    number: u32,
}

impl Author {
    fn new(seed: u8) -> Self {
        let key = key(seed);
        let log = seal::new_sealed_log_id(&key.public()).unwrap();
        Author { key, log, seq: 0, digest: Digest::default(), last: None, number: 0 }
    }

    /// The next event, which links to the one before it and to `links`.
    fn next(&mut self, payload: &str, links: &[Key]) -> Incoming {
        self.number += 1;
        let mut id = seal::owner_tag(&self.key.public()).to_vec();
        id.extend_from_slice(&[1; 4]);
        id.extend_from_slice(&self.number.to_le_bytes());
        let mut value = BytesMut::new();
        encode(&mut value, "test", payload.as_bytes(), &id, 1, Encoding::V1);
        let links: Links = self.last.iter().chain(links).copied().collect();
        let node = key_of(&links, &value);
        (self.seq, self.digest, self.last) = (self.seq + 1, self.digest.extend(&node), Some(node));
        let seal = seal::seal(&self.key, &self.log, self.seq, &self.digest);
        Incoming {
            log: self.log.clone(),
            seq: self.seq,
            links,
            value: value.freeze(),
            signed: signed(&seal),
            claimed: Some(node),
        }
    }

    fn many(&mut self, count: usize) -> Vec<Incoming> {
        (0..count).map(|n| self.next(&n.to_string(), &[])).collect()
    }
}

fn without_seal(mut node: Incoming) -> Incoming {
    node.signed = None;
    node
}

fn key_of_node(node: &Incoming) -> Key {
    node.claimed.unwrap()
}

/// Seqs of the rows of a log that carry a seal, in a store.
fn seals_of(log: &Log, id: &LogId) -> Vec<Seq> {
    let rows = log.store().read(Position::START, ALL).unwrap();
    rows.iter().filter(|row| row.log() == id && row.node.signed.is_some()).map(|row| row.seq()).collect()
}

#[test]
fn what_one_emitter_seals_another_stores_and_passes_on() {
    let [one, two, three] = [1, 2, 3].map(sealed);
    (0..5).for_each(|n| emit(&one, &n.to_string()));
    let rows = sent(&one);
    assert_eq!(author_of(&rows[0].log), Some(&*key(1).public().to_string()));
    assert_eq!(told(&add(&two, PEER, rows)), ["added"; 5]);
    emit(&two, "answer");
    assert_eq!(told(&add(&three, PEER, sent(&two))), ["added"; 6]);
    assert_eq!(told(&add(&one, PEER, sent(&three))), ["known", "known", "known", "known", "known", "added"]);
    assert_eq!((one.digest(), two.digest()), (two.digest(), three.digest()));
    for log in [&one, &two, &three] {
        verify(log.store().as_ref(), &mut |_, _| {}).unwrap();
    }
    let found = verify(three.store().as_ref(), &mut |_, _| {}).unwrap();
    assert_eq!(found.seals, 2, "one for each of the others: more would say nothing");
}

#[test]
fn on_a_medium_one_seal_per_commit_and_one_every_so_many_rows() {
    let folder = tempfile::tempdir().unwrap();
    let store =
        hyperemitter::store::embedded::EmbeddedStore::open(folder.path(), &Default::default(), &mut |_, _| {}).unwrap();
    let (log, _) = open_trusting(Arc::new(store), Trust::of(key(1)));
    std::thread::scope(|scope| {
        scope.spawn(|| log.run());
        log.append((0..MAX_SEAL_ROWS + 100).map(|n| event("test", &n.to_string())).collect::<Vec<_>>());
        drop(log.add(PEER, Vec::new()).blocking_recv());
        emit(&log, "alone");
        log.append(vec![event("test", &"x".repeat(300_000)), event("test", "small")]);
        drop(log.add(PEER, Vec::new()).blocking_recv());
        log.close();
    });
    let n = MAX_SEAL_ROWS as Seq;
    assert_eq!(log.seq(&log.log_id()), n + 103);
    let seals = seals_of(&log, &log.log_id());
    assert!(seals.starts_with(&[n, n + 100]), "{seals:?}");
    assert!(seals.contains(&(n + 102)) && seals.ends_with(&[n + 103]), "{seals:?}");
    let [two] = [2].map(sealed);
    assert!(told(&add(&two, PEER, sent(&log))).iter().all(|told| *told == "added"));
    verify(log.store().as_ref(), &mut |_, _| {}).unwrap();
}

#[test]
fn a_row_waits_for_its_seal_and_goes_in_with_it() {
    let [two] = [2].map(sealed);
    let mut one = Author::new(1);
    let mut rows = one.many(10);
    rows[..9].iter_mut().for_each(|row| row.signed = None);
    for row in &rows[..9] {
        assert_eq!(told(&add(&two, PEER, vec![row.clone()])), ["parked"]);
        assert_eq!(two.end(), Position::START);
    }
    let outcomes = add(&two, PEER, rows[9..].to_vec());
    assert!(matches!(outcomes[..], [Outcome::AddedWith { rows: 9, .. }]), "{outcomes:?}");
    assert_eq!(two.seq(&one.log), 10);
}

#[test]
fn a_stripped_seal_holds_the_rows_back_and_an_overdue_one_refuses_them() {
    let [two] = [2].map(sealed);
    let mut one = Author::new(1);
    let rows: Vec<_> = one.many(MAX_SEAL_ROWS + 1).into_iter().map(without_seal).collect();
    let last = one.next("sealed", &[]);
    assert!(told(&add(&two, PEER, rows)).iter().all(|told| *told == "parked"));
    assert_eq!(told(&add(&two, PEER, vec![last])), ["ERR_HYPER_SEAL"]);
    assert_eq!(two.end(), Position::START);
    // No more rows of that log are checked on this link. Another link may bring them.
    let [more] = [one.next("more", &[])];
    assert_eq!(told(&add(&two, PEER, vec![more])), ["ERR_HYPER_SEAL"]);
    let mut again = Author::new(1);
    let rows = again.many(3);
    assert_eq!(told(&add(&two, PEER, rows)), ["added"; 3], "another log of the same author goes on");
}

#[test]
fn seals_in_another_place_or_order_are_wrong() {
    let swap = |rows: &mut [Incoming]| {
        let (a, b) = (rows[1].signed.clone(), rows[2].signed.clone());
        (rows[1].signed, rows[2].signed) = (b, a);
    };
    let shift = |rows: &mut [Incoming]| rows[2].signed = rows[1].signed.clone();
    let flip = |rows: &mut [Incoming]| {
        let mut seal = rows[2].signed.as_ref().unwrap().signature.clone().unwrap().to_vec();
        seal[10] ^= 1;
        rows[2].signed = signed(&seal);
    };
    let small = |rows: &mut [Incoming]| {
        // R of small order and S = 0: it verifies under a key of small order.
        let mut seal = [0; 64];
        seal[0] = 1;
        rows[2].signed = signed(&seal);
    };
    type Damage = fn(&mut [Incoming]);
    for (number, damage) in [swap as Damage, shift, flip, small].into_iter().enumerate() {
        let [two] = [2].map(sealed);
        let mut one = Author::new(1);
        let mut rows = one.many(3);
        damage(&mut rows);
        let expected = if number == 0 {
            ["added", "ERR_HYPER_SEAL", "ERR_HYPER_SEAL"]
        } else {
            ["added", "added", "ERR_HYPER_SEAL"]
        };
        assert_eq!(told(&add(&two, PEER, rows)), expected, "{number}");
        assert_eq!(two.end().change, expected.iter().filter(|told| **told == "added").count() as u64);
    }
}

#[test]
fn a_seal_of_another_log_or_seq_is_wrong() {
    let mut one = Author::new(1);
    let log = seal::new_sealed_log_id(&one.key.public()).unwrap();
    for node in one.many(2) {
        let [two] = [2].map(sealed);
        // The same rows under another id of the same author.
        let seq = node.seq;
        let moved = Incoming { log: log.clone(), ..node };
        let told = told(&add(&two, PEER, vec![moved]));
        assert_eq!(told, [if seq == 1 { "ERR_HYPER_SEAL" } else { "parked" }]);
        assert_eq!(two.end(), Position::START);
    }
}

#[test]
fn an_id_with_a_key_of_small_order_names_no_log() {
    let [two] = [2].map(sealed);
    let mut one = Author::new(1);
    for weak in [[0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    }] {
        let log: LogId = format!("ed25519-{}.aaaaaaaa", base32(&weak)).into();
        let node = Incoming { log, ..one.next("weak", &[]) };
        assert_eq!(told(&add(&two, PEER, vec![node])), ["ERR_HYPER_INVALID_ARG"]);
    }
}

#[test]
fn a_wrong_seal_behind_good_ones_costs_what_comes_after_the_last_good_one() {
    let [two] = [2].map(sealed);
    let mut one = Author::new(1);
    let mut rows = one.many(6);
    rows[2].signed = None;
    rows[4].signed = None;
    rows[5].signed = signed(&[7; 64]);
    let expected = ["added", "added", "added", "added", "ERR_HYPER_SEAL", "ERR_HYPER_SEAL"];
    assert_eq!(told(&add(&two, PEER, rows)), expected);
    assert_eq!((two.seq(&one.log), seals_of(&two, &one.log)), (4, vec![4]));
    verify(two.store().as_ref(), &mut |_, _| {}).unwrap();
}

#[test]
fn many_wrong_seals_cost_few_verifications_and_the_rest_of_the_log() {
    let [two] = [2].map(sealed);
    let mut one = Author::new(1);
    let mut rows = one.many(100);
    rows[50..].iter_mut().for_each(|row| row.signed = signed(&[7; 64]));
    let told = told(&add(&two, PEER, rows));
    assert!(told.iter().all(|told| *told == "ERR_HYPER_SEAL"));
    assert_eq!(two.end(), Position::START);
    assert!(two.stuck_logs().is_empty());
}

#[test]
fn what_a_session_has_checked_for_it_is_counted_for_it() {
    let two = sealed(2);
    let mut one = Author::new(1);
    let mut rows = one.many(100);
    rows[50..].iter_mut().for_each(|row| row.signed = signed(&[7; 64]));
    add(&two, PEER, rows);
    assert_eq!(two.take_checked_seals(PEER), 1 + 4, "the key of the log, and few wrong seals");
    assert_eq!(two.take_checked_seals(PEER), 0);
    // Rows that wait for what another session brings.
    let (mut other, three) = (Author::new(3), SourceId(3));
    let cause = other.next("cause", &[]);
    let mut waiting = Author::new(4);
    let late = waiting.next("late", &[key_of_node(&cause)]);
    assert_eq!(told(&add(&two, PEER, vec![late])), ["parked"]);
    assert_eq!(two.take_checked_seals(PEER), 1, "only the key: the seal is looked at once it can count");
    assert_eq!(told(&add(&two, three, vec![cause])), ["added"]);
    assert_eq!((two.take_checked_seals(three), two.take_checked_seals(PEER)), (2, 1));
    // Catching up with a log costs one seal for as many rows as a seal may cover.
    let mut long = Author::new(5);
    let mut rows = long.many(2 * MAX_SEAL_ROWS);
    rows.iter_mut().filter(|row| row.seq % MAX_SEAL_ROWS as u64 != 0).for_each(|row| row.signed = None);
    add(&two, PEER, rows);
    assert_eq!(two.take_checked_seals(PEER), 1 + 2);
}

#[test]
fn logs_that_link_to_each_other_go_in_together_where_only_their_last_rows_are_sealed() {
    // A peer that stored them one by one has kept only these two seals, in a single group.
    let chained = || {
        let (mut one, mut three) = (Author::new(1), Author::new(3));
        let mut rows: Vec<Incoming> = Vec::new();
        for n in 0..20 {
            let before: Vec<Key> = rows.last().map(key_of_node).into_iter().collect();
            let author = if n % 2 == 0 { &mut one } else { &mut three };
            rows.push(author.next("chained", &before));
        }
        rows[..18].iter_mut().for_each(|row| row.signed = None);
        rows
    };
    for cut in 0..20 {
        let [two] = [2].map(sealed);
        let rows = chained();
        let mut added = add(&two, PEER, rows[..cut].to_vec());
        added.extend(add(&two, PEER, rows[cut..].to_vec()));
        let now = told(&added).iter().filter(|told| **told == "added").count();
        assert!(told(&added).iter().all(|told| ["added", "parked"].contains(told)));
        assert_eq!(now, 20 - cut, "{cut}: {:?}", told(&added));
        assert_eq!(two.end().change, 20, "{cut}");
        verify(two.store().as_ref(), &mut |_, _| {}).unwrap();
    }
}

#[test]
fn rows_of_other_logs_between_sealed_ones_go_in_with_them() {
    for cut in 0..10 {
        let (two, _) = open_trusting(
            Arc::new(MemoryStore::new()),
            Trust { identity: Some(key(2)), policy: TrustPolicy::default() },
        );
        let mut one = Author::new(1);
        let mut rows: Vec<Incoming> = Vec::new();
        for n in 1..=5 {
            let before: Vec<Key> = rows.last().map(key_of_node).into_iter().collect();
            rows.push(without_seal(one.next("sealed", &before)));
            rows.push(common::node("plain", n, &[key_of_node(&rows[rows.len() - 1])], "plain").0);
        }
        let last = key_of_node(&rows[9]);
        rows.push(one.next("last", &[last]));
        add(&two, PEER, rows[..cut].to_vec());
        assert_eq!(two.end(), Position::START, "{cut}");
        let outcomes = add(&two, PEER, rows[cut..].to_vec());
        assert!(told(&outcomes).iter().all(|told| *told == "added"), "{cut}: {:?}", told(&outcomes));
        assert_eq!(two.end().change, 11, "{cut}");
    }
}

#[test]
fn a_run_whose_link_comes_over_another_session_goes_in_when_it_is_there() {
    let [two] = [2].map(sealed);
    let (mut one, mut three) = (Author::new(1), Author::new(3));
    let cause = three.next("cause", &[]);
    let mut effects = vec![one.next("effect", &[key_of_node(&cause)])];
    effects.extend(one.many(3));
    assert_eq!(told(&add(&two, PEER, effects)), ["parked"; 4]);
    assert_eq!(told(&add(&two, SourceId(2), vec![cause])), ["added"]);
    assert_eq!(two.end().change, 5);
}

#[test]
fn a_gap_that_another_session_closes_lets_the_rest_in() {
    for first in [PEER, SourceId(2)] {
        let [two] = [2].map(sealed);
        let mut one = Author::new(1);
        let rows = one.many(8);
        assert_eq!(told(&add(&two, PEER, rows[4..].to_vec())), ["parked"; 4]);
        assert_eq!(told(&add(&two, first, rows[..4].to_vec())), ["added"; 4]);
        assert_eq!(two.seq(&one.log), 8, "{first:?}");
    }
}

#[test]
fn what_several_sessions_bring_of_one_log_is_stored_once_and_nothing_stays_behind() {
    let [two] = [2].map(sealed);
    let mut one = Author::new(1);
    let rows = one.many(6);
    let bare = |range: std::ops::Range<usize>| rows[range].iter().cloned().map(without_seal).collect::<Vec<_>>();
    assert_eq!(told(&add(&two, PEER, bare(0..4))), ["parked"; 4]);
    assert_eq!(told(&add(&two, SourceId(2), bare(0..3))), ["parked"; 3]);
    assert_eq!(told(&add(&two, SourceId(3), rows[..2].to_vec())), ["added"; 2]);
    assert_eq!(told(&add(&two, SourceId(2), rows[3..4].to_vec())), ["added"]);
    assert_eq!(told(&add(&two, PEER, rows[4..].to_vec())), ["added"; 2]);
    assert_eq!(two.seq(&one.log), 6);
}

#[test]
fn runs_of_one_log_from_several_sessions_that_wait_for_the_same_go_in_one_after_the_other() {
    let [two] = [2].map(sealed);
    let (mut one, mut three) = (Author::new(1), Author::new(3));
    let cause = three.next("cause", &[]);
    let mut rows = vec![one.next("effect", &[key_of_node(&cause)])];
    rows.extend(one.many(3));
    assert_eq!(told(&add(&two, PEER, rows[..3].to_vec())), ["parked"; 3]);
    assert_eq!(told(&add(&two, SourceId(2), rows.clone())), ["parked"; 4]);
    assert_eq!(told(&add(&two, SourceId(3), vec![cause])), ["added"]);
    assert_eq!((two.end().change, two.seq(&one.log)), (5, 4));
}

#[test]
fn a_flood_without_seals_is_bounded_as_all_that_waits_is() {
    let [two] = [2].map(sealed);
    let mut flood = 0;
    'flood: for _ in 0..100 {
        let rows: Vec<_> = Author::new(1).many(MAX_SEAL_ROWS - 1).into_iter().map(without_seal).collect();
        for outcome in told(&add(&two, PEER, rows)) {
            match outcome {
                "parked" => flood += 1,
                _ => break 'flood,
            }
        }
    }
    assert_eq!(flood, MAX_SOURCE_NODES);
    // Others find room.
    assert_eq!(told(&add(&two, SourceId(2), Author::new(3).many(3))), ["added"; 3]);
    two.forget(PEER);
    assert_eq!(two.end().change, 3);
}

#[test]
fn nobody_enters_another_ones_node_under_a_log_of_their_own() {
    let mut victim = Author::new(1);
    let node = victim.next("mine", &[]);
    // As the first entry of a thief's own log, sealed by the thief.
    let mut thief = Author::new(3);
    let thieves = thief.log.clone();
    let digest = Digest::default().extend(&key_of_node(&node));
    let seal = seal::seal(&thief.key, &thieves, 1, &digest);
    let stolen = Incoming { log: thieves, seq: 1, signed: signed(&seal), ..node.clone() };
    // And in a log without seals.
    let plain = Incoming { log: "plain".into(), seq: 1, ..node.clone() };
    let policy = TrustPolicy { unsigned: Unsigned::Accept, ..TrustPolicy::default() };
    let trust = Trust { identity: Some(key(2)), policy };
    let (two, _) = open_trusting(Arc::new(MemoryStore::new()), trust);
    assert_eq!(told(&add(&two, PEER, vec![stolen, plain])), ["ERR_HYPER_SEAL", "ERR_HYPER_SEAL"]);
    assert_eq!(told(&add(&two, PEER, vec![node, thief.next("own", &[])])), ["added", "added"]);
    let first = two.read(Position::START, ALL).unwrap();
    assert_eq!(author_of(first[0].log()), Some(&*victim.key.public().to_string()));
}

#[test]
fn an_emitter_without_a_key_checks_seals_too_and_takes_everything_else_as_before() {
    let (plain, _) = in_memory();
    let mut one = Author::new(1);
    let mut rows = one.many(3);
    rows[2].signed = signed(&[9; 64]);
    assert_eq!(told(&add(&plain, PEER, rows)), ["added", "added", "ERR_HYPER_SEAL"]);
    let (node, _) = common::node("unsealed", 1, &[], "x");
    assert_eq!(told(&add(&plain, PEER, vec![node])), ["added"]);
    emit(&plain, "own");
    assert_eq!(author_of(&plain.log_id()), None);
}

#[test]
fn with_a_key_logs_without_seals_are_refused_unless_the_user_takes_them() {
    let (node, _) = common::node("unsealed", 1, &[], "x");
    let [two] = [2].map(sealed);
    assert_eq!(told(&add(&two, PEER, vec![node.clone()])), ["ERR_HYPER_AUTHOR"]);
    two.set_trust(TrustPolicy::default());
    assert_eq!(told(&add(&two, PEER, vec![node])), ["added"]);
}

#[test]
fn only_listed_authors_are_stored() {
    let policy = TrustPolicy {
        authors: Authors::Only(HashSet::from([key(1).public()])),
        unsigned: Unsigned::Refuse,
        ..TrustPolicy::default()
    };
    let (two, _) = open_trusting(Arc::new(MemoryStore::new()), Trust { identity: Some(key(2)), policy });
    assert_eq!(told(&add(&two, PEER, Author::new(3).many(1))), ["ERR_HYPER_AUTHOR"]);
    assert_eq!(told(&add(&two, PEER, Author::new(1).many(1))), ["added"]);
    assert_eq!(told(&add(&two, PEER, Author::new(2).many(1))), ["added"], "one's own, from before");
}

#[test]
fn a_revoked_author_is_frozen_where_the_log_is_pinned() {
    let mut one = Author::new(1);
    let mut rows = one.many(3);
    let pin = Pin { seq: 3, digest: one.digest };
    rows.extend(one.many(3));
    // A relay has kept only one seal, which is after the pin.
    rows[..5].iter_mut().for_each(|row| row.signed = None);
    let other = Author::new(1).many(1);
    let revoked = |revoked| TrustPolicy {
        revoked: HashMap::from([(key(1).public(), revoked)]),
        unsigned: Unsigned::Refuse,
        ..TrustPolicy::default()
    };
    let log = one.log.clone();
    let at = |digest| revoked(Revoked::At(HashMap::from([(log.clone(), Pin { seq: 3, digest })])));
    let open = |policy| open_trusting(Arc::new(MemoryStore::new()), Trust { identity: Some(key(2)), policy }).0;
    let author = "ERR_HYPER_AUTHOR";
    let two = open(at(pin.digest));
    assert_eq!(told(&add(&two, PEER, rows.clone())), ["added", "added", "added", author, author, author]);
    assert_eq!(told(&add(&two, PEER, other.clone())), [author]);
    let two = open(at(Digest([1; 32])));
    assert!(told(&add(&two, PEER, rows.clone())).iter().all(|told| *told != "added"));
    // Without a pin, what is stored stays, and nothing is added.
    let [two] = [2].map(sealed);
    assert_eq!(told(&add(&two, PEER, rows)), ["added"; 6]);
    two.set_trust(revoked(Revoked::Here));
    assert_eq!(told(&add(&two, PEER, one.many(1))), [author]);
    assert_eq!(told(&add(&two, PEER, other)), [author]);
    assert_eq!(two.end().change, 6);
}

#[test]
fn a_store_of_today_goes_on_in_a_sealed_log_and_its_older_one_is_pinned() {
    let store = Arc::new(MemoryStore::new());
    let (log, _) = open(store.clone());
    let older = log.log_id();
    (0..3).for_each(|n| emit(&log, &n.to_string()));
    let pin = log.pins();
    drop(log);

    let (log, _) = open_trusting(store.clone(), Trust::of(key(1)));
    assert_eq!(author_of(&log.log_id()), Some(&*key(1).public().to_string()));
    assert_eq!(log.pins(), pin, "its own log has a seal");
    emit(&log, "sealed");
    // The older log is not continued.
    log.set_trust(TrustPolicy::default());
    let (node, _) = common::node(&older, 4, &[], "more");
    assert_eq!(told(&add(&log, PEER, vec![node])), ["ERR_HYPER_AUTHOR"]);
    let id = log.log_id();
    let rows = sent(&log);
    drop(log);
    let (log, _) = open_trusting(store.clone(), Trust::of(key(1)));
    assert_eq!(log.log_id(), id, "it goes on in the same log");
    emit(&log, "again");
    drop(log);

    // A new peer takes the older log as far as it is pinned, and then only in the pinned version.
    let pinned = |digest| TrustPolicy {
        unsigned: Unsigned::Pinned(HashMap::from([(older.clone(), Pin { seq: 3, digest })])),
        ..TrustPolicy::default()
    };
    let open_pinned = |digest| {
        open_trusting(Arc::new(MemoryStore::new()), Trust { identity: Some(key(2)), policy: pinned(digest) }).0
    };
    let two = open_pinned(pin[0].1.digest);
    assert_eq!(told(&add(&two, PEER, rows.clone())), ["added"; 4]);
    let two = open_pinned(Digest([3; 32]));
    assert_eq!(told(&add(&two, PEER, rows))[..3], ["added", "added", "ERR_HYPER_SEAL"]);

    // Another key: a new log. None: what is there can be read, and passed on, but nothing written.
    let (log, _) = open_trusting(store.clone(), Trust::of(key(9)));
    assert_eq!(author_of(&log.log_id()), Some(&*key(9).public().to_string()));
    emit(&log, "rotated");
    drop(log);
    let (log, recorder) = open(store);
    emit(&log, "refused");
    assert_eq!(recorder.take(), [Err("ERR_HYPER_IDENTITY")]);
    assert_eq!(log.read(Position::START, ALL).unwrap().len(), 6);
    verify(log.store().as_ref(), &mut |_, _| {}).unwrap();
}

#[test]
fn a_forged_row_of_our_own_sealed_log_is_refused_and_a_lost_tail_comes_back() {
    let store = Arc::new(MemoryStore::new());
    let (log, _) = open_trusting(store, Trust::of(key(1)));
    emit(&log, "1");
    let id = log.log_id();
    let head = log.with_state(|state| state.logs.head(&id)).unwrap();
    let rows = sent(&log);
    // A copy made before has lost only the tail.
    let lost = Arc::new(MemoryStore::new());
    let meta = hyperemitter::store::Commit {
        meta: vec![(hyperemitter::store::Meta::LogId, Some(Bytes::copy_from_slice(id.as_bytes())))],
        ..Default::default()
    };
    lost.commit(&meta).unwrap();
    let (lost, _) = open_trusting(lost, Trust::of(key(1)));
    assert_eq!(told(&add(&lost, PEER, vec![without_seal(rows[0].clone())])), ["parked"]);
    assert_eq!(told(&add(&lost, PEER, rows)), ["added"]);
    emit(&lost, "2");
    assert_eq!((lost.log_id(), lost.seq(&id)), (id.clone(), 2));
    // Without the key this is not possible.
    let mut forged = Author::new(1);
    (forged.log, forged.seq, forged.digest) = (id, 1, head.digest);
    let node = without_seal(forged.next("forged", &[]));
    assert_eq!(told(&add(&log, PEER, vec![node])), ["ERR_HYPER_FORGED"]);
}

/// Two emitters with the same key on copies of one store: `common` events are from before the copy, `each` from after it.
fn copies(common: usize, each: [usize; 2]) -> [Arc<Log>; 2] {
    let store = Arc::new(MemoryStore::new());
    let (log, _) = open_trusting(store, Trust::of(key(1)));
    (0..common).for_each(|n| emit(&log, &n.to_string()));
    let copy = Arc::new(MemoryStore::new());
    let meta = vec![(hyperemitter::store::Meta::LogId, Some(Bytes::copy_from_slice(log.log_id().as_bytes())))];
    copy.commit(&hyperemitter::store::Commit { meta, ..Default::default() }).unwrap();
    let (copy, _) = open_trusting(copy, Trust::of(key(1)));
    add(&copy, PEER, sent(&log));
    for (log, each) in [&log, &copy].into_iter().zip(each) {
        (0..each).for_each(|n| emit(log, &format!("{n} after")));
    }
    [log, copy]
}

#[test]
fn a_fork_counts_with_a_seal_only_and_the_moved_tail_is_sealed_anew() {
    let [log, copy] = copies(3, [4, 5]);
    let id = log.log_id();
    let theirs: Vec<_> = sent(&copy);
    // Not the version itself.
    let bare: Vec<_> = theirs[3..5].iter().cloned().map(without_seal).collect();
    assert_eq!(told(&add(&log, PEER, bare)), ["parked", "parked"]);
    assert_eq!(log.log_id(), id);
    // Nor with a made-up seal.
    let mut forged = theirs[3].clone();
    forged.signed = signed(&[1; 64]);
    assert_eq!(told(&add(&log, SourceId(2), vec![forged])), ["ERR_HYPER_SEAL"]);
    assert_eq!(log.log_id(), id);
    // It counts up to its seal.
    let rest = add(&log, PEER, theirs[5..].to_vec());
    assert!(told(&rest).iter().all(|told| *told == "ERR_HYPER_FORK"), "{:?}", told(&rest));
    let moved = log.log_id();
    assert_ne!(moved, id);
    assert_eq!((log.seq(&id), log.seq(&moved)), (3, 4));
    assert_eq!(author_of(&moved), author_of(&id));
    // The other version has room now, and everybody gets both, whoever comes first.
    assert_eq!(told(&add(&log, SourceId(3), theirs.clone()))[3..], ["added"; 5]);
    emit(&log, "behind");
    verify(log.store().as_ref(), &mut |_, _| {}).unwrap();
    for first in [false, true] {
        let [two] = [2].map(sealed);
        if first {
            add(&two, PEER, theirs.clone());
        }
        let outcomes = add(&two, SourceId(2), sent(&log));
        assert!(told(&outcomes).iter().all(|told| ["added", "known"].contains(told)), "{:?}", told(&outcomes));
        assert_eq!(two.digest(), log.digest());
        let [three] = [3].map(sealed);
        add(&three, PEER, sent(&two));
        assert_eq!(three.digest(), log.digest());
        verify(three.store().as_ref(), &mut |_, _| {}).unwrap();
    }
}

#[test]
fn whoever_holds_the_old_version_takes_the_moved_tail_as_further_entries_and_passes_their_seals_on() {
    let [log, copy] = copies(2, [3, 3]);
    let [two] = [2].map(sealed);
    assert_eq!(told(&add(&two, PEER, sent(&log))), ["added"; 5]);
    let theirs = sent(&copy);
    add(&log, PEER, theirs);
    let moved = sent(&log);
    assert_eq!(told(&add(&two, PEER, moved)), ["known", "known", "added", "added", "added"]);
    let [three] = [3].map(sealed);
    let outcomes = add(&three, PEER, sent(&two));
    assert!(told(&outcomes).iter().all(|told| *told == "added"), "{:?}", told(&outcomes));
    assert_eq!(three.seq(&log.log_id()), 3);
    verify(two.store().as_ref(), &mut |_, _| {}).unwrap();
}

#[test]
fn a_bystander_tells_a_fork_of_a_sealed_log_only_when_it_is_sealed() {
    let [log, copy] = copies(2, [2, 2]);
    let [two] = [2].map(sealed);
    add(&two, PEER, sent(&log));
    let theirs = sent(&copy);
    assert_eq!(told(&add(&two, SourceId(2), vec![without_seal(theirs[2].clone())])), ["parked"]);
    assert!(two.stuck_logs().is_empty());
    assert_eq!(told(&add(&two, SourceId(2), vec![theirs[3].clone()])), ["ERR_HYPER_FORK"]);
    let stuck = two.stuck_logs();
    assert_eq!((stuck.len(), stuck[0].seq, stuck[0].proven), (1, 3, true));
}

#[test]
fn a_copy_of_a_store_is_imported_with_its_seals() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        hyperemitter::store::embedded::EmbeddedStore::open(folder.path(), &Default::default(), &mut |_, _| {}).unwrap()
    };
    let (log, _) = open_trusting(Arc::new(open()), Trust::of(key(1)));
    std::thread::scope(|scope| {
        scope.spawn(|| log.run());
        log.append((0..3000).map(|n| event("test", &n.to_string())).collect::<Vec<_>>());
        drop(log.add(PEER, Vec::new()).blocking_recv());
        log.close();
    });
    log.store().close().unwrap();
    let source = open();
    let [two] = [2].map(sealed);
    assert_eq!(hyperemitter::hyperlog::import::import(&two, &source, &mut |_, _| {}).unwrap(), 3000);
    assert_eq!(two.end().change, 3000);
    // A row that no seal covers ends it.
    let (memory, _) = open_trusting(Arc::new(MemoryStore::new()), Trust::of(key(1)));
    emit(&memory, "never sealed");
    let error = hyperemitter::hyperlog::import::import(&two, memory.store().as_ref(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(&error, Error::Import { cause, .. } if cause.code() == "ERR_HYPER_SEAL"), "{error}");
}

#[test]
fn a_group_cut_by_a_crash_anywhere_leaves_a_log_that_ends_with_a_seal() {
    let folder = tempfile::tempdir().unwrap();
    let segment = |folder: &std::path::Path| folder.join("segment-0000000001");
    let embedded = |folder: &std::path::Path| {
        Arc::new(
            hyperemitter::store::embedded::EmbeddedStore::open(folder, &Default::default(), &mut |_, _| {}).unwrap(),
        )
    };
    let (log, _) = open_trusting(embedded(folder.path()), Trust::of(key(1)));
    let bytes = std::thread::scope(|scope| {
        scope.spawn(|| log.run());
        let append = |count: usize| {
            log.append((0..count).map(|n| event("test", &n.to_string())).collect::<Vec<_>>());
            drop(log.add(PEER, Vec::new()).blocking_recv());
        };
        append(5);
        let before = std::fs::read(segment(folder.path())).unwrap();
        append(20);
        let after = std::fs::read(segment(folder.path())).unwrap();
        log.close();
        // After the data there may be zeros that were written ahead.
        let end = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        (end(&before), after[..end(&after)].to_vec())
    });
    let (before, after) = bytes;
    let mut seen = HashSet::new();
    for cut in (before..=after.len()).step_by(61).chain([after.len()]) {
        let copy = tempfile::tempdir().unwrap();
        std::fs::write(segment(copy.path()), &after[..cut]).unwrap();
        let (log, _) = open_trusting(embedded(copy.path()), Trust::of(key(1)));
        seen.insert(log.seq(&log.log_id()));
        verify(log.store().as_ref(), &mut |_, _| {}).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| log.run());
            emit(&log, "goes on");
            drop(log.add(PEER, Vec::new()).blocking_recv());
            log.close();
        });
        let [two] = [2].map(sealed);
        assert!(told(&add(&two, PEER, sent(&log))).iter().all(|told| *told == "added"), "{cut}");
    }
    assert_eq!(seen, HashSet::from([5, 25]));
}

#[test]
fn a_relayed_row_keeps_its_place_in_the_order_of_its_holder() {
    let [one, two] = [1, 2].map(sealed);
    (0..50).for_each(|n| emit(&one, &n.to_string()));
    add(&two, PEER, sent(&one));
    let order = |log: &Log| log.read(Position::START, ALL).unwrap().iter().map(|row| row.node.key).collect::<Vec<_>>();
    assert_eq!(order(&one), order(&two));
    let rows = two.read_sealed(Position::START, ALL).unwrap();
    assert_eq!(rows.iter().map(incoming).filter(|node| node.signed.is_some()).count(), 1);
}
