//! Batches: events that are stored together or not at all, locally and at peers.

mod common;

use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use common::flaky::Flaky;
use common::*;
use hyperemitter::event::{self, following, Encoding, ID_LEN, MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
use hyperemitter::hyperlog::import::import;
use hyperemitter::hyperlog::verify::verify;
use hyperemitter::hyperlog::{AckKind, Batch, Incoming, Log, LogOptions, Outcome, SourceId, Trust};
use hyperemitter::identity::seal::MAX_SEAL_ROWS;
use hyperemitter::node::{key_of, Key, Links};
use hyperemitter::store::conformance::Random;
use hyperemitter::store::embedded::EmbeddedStore;
use hyperemitter::store::memory::MemoryStore;
use hyperemitter::store::{Position, ReadLimit, Row, Store};

const PEER: SourceId = SourceId(1);
const OTHER: SourceId = SourceId(2);

fn batch(payloads: &[&str]) -> Batch {
    let mut batch = Batch::default();
    for payload in payloads {
        batch.push(&"test".into(), payload.as_bytes(), Encoding::V1, AckKind::Node);
    }
    batch.make_whole().unwrap();
    batch
}

fn add(log: &Log, source: SourceId, nodes: &[Incoming]) -> Vec<&'static str> {
    let outcomes = log.add(source, nodes.to_vec()).blocking_recv().unwrap().unwrap();
    let told = |outcome| match outcome {
        Outcome::Added => "added",
        Outcome::AddedWith { .. } => "added with",
        Outcome::Known => "known",
        Outcome::Parked => "parked",
        Outcome::Refused(error) => error.code(),
    };
    outcomes.into_iter().map(told).collect()
}

fn counts(log: &Log) -> Vec<usize> {
    rows(log).iter().map(|row| following(&row.node.value)).collect()
}

fn audit(log: &Log) {
    verify(log.store().as_ref(), &mut |_, _| {}).unwrap();
}

/// Made-up rows of a log: each links to the one before, and claims that `counts` events of its batch follow.
fn made_up(log: &str, after: Option<Key>, first: u64, counts: &[u64]) -> Vec<Incoming> {
    let mut last = after;
    let row = |(seq, count): (u64, &u64)| {
        let mut value = BytesMut::new();
        event::encode(&mut value, "test", format!("{log} {seq}").as_bytes(), &[3; ID_LEN], seq, Encoding::V1);
        value.put_u8(0x38);
        let mut count = *count;
        while count >= 0x80 {
            value.put_u8((count & 0x7f) as u8 | 0x80);
            count >>= 7;
        }
        value.put_u8(count as u8);
        let key = key_of(last.as_slice(), &value);
        let links = Links::from_slice(last.as_slice());
        last = Some(key);
        Incoming { log: log.into(), seq, links, value: value.freeze(), signed: None, claimed: Some(key) }
    };
    (first..).zip(counts).map(row).collect()
}

fn key_of_last(rows: &[Incoming]) -> Key {
    rows.last().unwrap().claimed.unwrap()
}

#[test]
fn a_batch_is_stored_in_one_commit_with_nothing_between() {
    let (log, heard) = in_memory();
    emit(&log, "before");
    let commits = log.commits();
    log.append(batch(&["1", "2", "3"]));
    assert_eq!(log.commits(), commits + 1);
    log.append(batch(&["alone"]));
    emit(&log, "behind");
    assert_eq!(heard.take(), [Ok(1), Ok(2), Ok(3), Ok(4), Ok(5), Ok(6)]);
    assert_eq!(payloads(&log), ["before", "1", "2", "3", "alone", "behind"]);
    assert_eq!(counts(&log), [0, 2, 1, 0, 0, 0]);
    let values: Vec<_> = rows(&log).into_iter().map(|row| row.node.value.clone()).collect();
    assert!(values[3].ends_with(b"\x38\x00"), "the last one says that it is");
    assert!(!values[4].ends_with(b"\x38\x00"), "one event is no batch");
    audit(&log);
}

#[test]
fn one_event_that_may_not_be_stored_keeps_all_of_them_out() {
    let options = LogOptions { max_event_size: 200, ..LogOptions::default() };
    let (log, heard) = open_with(Arc::new(MemoryStore::new()), options);
    log.append(batch(&["1", &"x".repeat(300), "3"]));
    assert_eq!(heard.take(), [Err("ERR_HYPER_TOO_LARGE"); 3]);
    let mut reserved = batch(&["1"]);
    reserved.push(&"__proto__".into(), b"2", Encoding::V1, AckKind::Node);
    reserved.make_whole().unwrap();
    log.append(reserved);
    emit(&log, "fine");
    assert_eq!(heard.take(), [Err("ERR_HYPER_RESERVED_NAME"), Err("ERR_HYPER_RESERVED_NAME"), Ok(1)]);
    assert_eq!((payloads(&log), log.pending()), (vec!["fine".to_owned()], 0));
}

#[test]
fn a_batch_without_room_is_refused_as_a_whole() {
    let options = LogOptions { max_pending: 400, ..LogOptions::default() };
    let (log, heard) = open_with(Arc::new(MemoryStore::new()), options);
    log.append(batch(&["1", &"x".repeat(300), "3"]));
    emit(&log, "fine");
    assert_eq!(heard.take(), [Err("ERR_HYPER_BACKLOG"), Err("ERR_HYPER_BACKLOG"), Err("ERR_HYPER_BACKLOG"), Ok(1)]);
    assert_eq!(log.pending(), 0);
}

#[test]
fn a_batch_is_bounded_in_events_and_bytes() {
    let most = vec!["x"; MAX_BATCH_EVENTS + 1];
    let many = |payloads: &[&str]| {
        let mut batch = Batch::default();
        payloads.iter().for_each(|payload| batch.push(&"n".into(), payload.as_bytes(), Encoding::V1, AckKind::None));
        batch.make_whole().map(|()| batch)
    };
    let error = many(&most).unwrap_err();
    assert!(error.to_string().contains("1024 events at the most, not 1025"), "{error}");
    let half = "x".repeat(MAX_BATCH_BYTES / 2);
    assert!(many(&[&half, &half]).unwrap_err().to_string().contains("4194304 bytes at the most"));
    let (log, _) = in_memory();
    log.append(many(&most[1..]).unwrap());
    let (peer, _) = in_memory();
    let told = add(&peer, PEER, &sent(&log));
    assert_eq!((told[0], told[MAX_BATCH_EVENTS - 1]), ("parked", "added with"));
    assert_eq!(peer.digest(), log.digest());
}

#[test]
fn a_commit_that_fails_leaves_nothing_of_it() {
    let store = Arc::new(Flaky::default());
    let (log, heard) = open(store.clone());
    store.failing.store(true, Ordering::SeqCst);
    log.append(batch(&["1", "2"]));
    assert!(heard.take().iter().all(Result::is_err));
    store.failing.store(false, Ordering::SeqCst);
    log.append(batch(&["3", "4"]));
    assert_eq!((payloads(&log), counts(&log)), (vec!["3".to_owned(), "4".to_owned()], vec![1, 0]));
}

#[test]
fn events_of_a_batch_link_to_each_other_alone_behind_the_first() {
    let (log, _) = in_memory();
    for number in 0..100 {
        add(&log, PEER, &[node(&format!("log {number}"), 1, &[], &format!("head {number}")).0]);
    }
    log.append(batch(&["1", "2", "3"]));
    let links: Vec<usize> = rows(&log)[100..].iter().map(|row| row.node.links.len()).collect();
    assert_eq!(links, [16, 1, 1]);
    audit(&log);
}

#[test]
fn a_peer_shows_nothing_of_a_batch_before_it_has_all_of_it() {
    let (one, _) = in_memory();
    emit(&one, "before");
    one.append(batch(&["1", "2", "3"]));
    one.append(batch(&["4", "5"]));
    let rows = sent(&one);
    let (two, _) = in_memory();
    let mut seen = Vec::new();
    for row in &rows {
        seen.push((add(&two, PEER, std::slice::from_ref(row))[0], two.end().change));
        // Sent again, as after a comparison.
        add(&two, PEER, std::slice::from_ref(row));
    }
    let expected = [("added", 1), ("parked", 1), ("parked", 1), ("added with", 4), ("parked", 4), ("added with", 6)];
    assert_eq!(seen, expected);
    assert_eq!((two.digest(), payloads(&two)), (one.digest(), payloads(&one)));
    audit(&two);
}

#[test]
fn a_session_that_ends_in_the_middle_takes_its_part_with_it() {
    let (one, _) = in_memory();
    one.append(batch(&["1", "2", "3"]));
    let rows = sent(&one);
    let (two, _) = in_memory();
    assert_eq!(add(&two, PEER, &rows[..2]), ["parked"; 2]);
    assert_eq!(add(&two, OTHER, &rows[..1]), ["parked"]);
    two.forget(PEER);
    assert_eq!(add(&two, SourceId(3), &rows[2..]), ["parked"], "it waits for those before it");
    assert_eq!(two.end(), Position::START);
    assert_eq!(add(&two, OTHER, &rows[1..]), ["parked", "added with"]);
    assert_eq!(two.digest(), one.digest());
    assert_eq!(add(&two, SourceId(3), &rows), ["known"; 3]);
}

#[test]
fn several_sessions_that_bring_the_same_batch_bring_it_once() {
    let (one, _) = in_memory();
    one.append(batch(&["1", "2", "3"]));
    let rows = sent(&one);
    let (two, _) = in_memory();
    for row in &rows[..2] {
        assert_eq!(add(&two, PEER, std::slice::from_ref(row)), ["parked"]);
        assert_eq!(add(&two, OTHER, std::slice::from_ref(row)), ["parked"]);
    }
    assert_eq!(add(&two, OTHER, &rows[2..]), ["added with"]);
    assert_eq!(add(&two, PEER, &rows[2..]), ["known"]);
    emit(&one, "more");
    assert_eq!(add(&two, PEER, &sent(&one)[3..]), ["added"]);
    assert_eq!(two.digest(), one.digest());
}

#[test]
fn what_waits_for_a_cause_goes_in_together_with_nothing_between() {
    let (one, _) = in_memory();
    let (cause, key) = node("cause", 1, &[], "cause");
    add(&one, PEER, std::slice::from_ref(&cause));
    one.append(batch(&["1", "2", "3"]));
    let rows = sent(&one);
    let (rival, _) = node("rival", 1, &[key], "rival");
    let (two, _) = in_memory();
    assert_eq!(add(&two, PEER, std::slice::from_ref(&rival)), ["parked"]);
    assert_eq!(add(&two, PEER, &rows[1..]), ["parked"; 3]);
    let (late, _) = node("late", 1, &[key], "late");
    assert_eq!(add(&two, OTHER, &[late]), ["parked"]);
    let commits = two.commits();
    assert_eq!(add(&two, OTHER, &[cause]), ["added"]);
    assert_eq!((two.commits(), payloads(&two)[..].join(" ")), (commits + 1, "cause rival 1 2 3 late".to_owned()));
    audit(&two);
}

#[test]
fn a_batch_that_never_ends_does_not_stop_its_log() {
    let (log, _) = in_memory();
    // Each claims to be the first of six, and each next one shows that this was not true.
    let rows = made_up("a", None, 1, &[5; 20]);
    for row in &rows {
        add(&log, PEER, std::slice::from_ref(row));
    }
    assert_eq!(log.seq("a"), 19);
    // Counts beyond the bounds are ignored.
    let beyond = made_up("b", None, 1, &[u64::MAX, 1 << 40, MAX_BATCH_EVENTS as u64]);
    assert_eq!(add(&log, PEER, &beyond), ["added"; 3]);
    // It ends with a single event.
    let mut ends = made_up("c", None, 1, &[9, 8]);
    let (alone, _) = node("c", 3, &[key_of_last(&ends)], "alone");
    ends.push(alone);
    assert_eq!(add(&log, PEER, &ends), ["parked", "parked", "added"]);
    assert_eq!(log.seq("c"), 3);
    // Larger than any batch.
    let large = |row: &Incoming| {
        let mut value = BytesMut::from(&row.value[..]);
        value.put_slice(b"\x7a\x80\x80\x40");
        value.put_bytes(0, 1 << 20);
        let key = key_of(&row.links, &value);
        Incoming { value: value.freeze(), claimed: Some(key), ..row.clone() }
    };
    let mut last = None;
    for (seq, count) in (1..=8).zip((0..8).rev()) {
        let row = Incoming { links: Links::from_iter(last), ..made_up("d", None, seq, &[count + 500])[0].clone() };
        let row = large(&row);
        last = row.claimed;
        add(&log, PEER, &[row]);
    }
    assert!(log.seq("d") >= 3, "{}", log.seq("d"));
    audit(&log);
}

#[test]
fn a_row_of_another_version_in_the_middle_is_told_as_a_fork() {
    let (log, _) = in_memory();
    let ours = made_up("a", None, 1, &[0, 0, 0]);
    assert_eq!(add(&log, PEER, &ours), ["added"; 3]);
    let theirs = made_up("a", None, 1, &[2, 1, 0]);
    assert_eq!(add(&log, OTHER, &theirs)[0], "ERR_HYPER_FORK");
    assert_eq!(log.seq("a"), 3);
}

#[test]
fn half_a_batch_is_let_go_once_others_have_waited_for_it_long_enough() {
    for (patience, stored) in [(Duration::ZERO, true), (Duration::from_secs(3600), false)] {
        let options = LogOptions { batch_patience: patience, ..LogOptions::default() };
        let (log, _) = open_with(Arc::new(MemoryStore::new()), options);
        let half = made_up("a", None, 1, &[3, 2]);
        assert_eq!(add(&log, PEER, &half), ["parked"; 2]);
        assert_eq!(add(&log, PEER, &made_up("idle", None, 1, &[0])), ["added"]);
        assert_eq!(log.seq("a"), 0, "nobody needs it");
        // A 1.x peer has linked to half of it.
        let (behind, _) = node("old", 1, &[key_of_last(&half)], "behind");
        assert_eq!(add(&log, PEER, &[behind]), ["parked"]);
        assert_eq!((log.seq("a"), log.seq("old")), if stored { (2, 1) } else { (0, 0) });
        // The rest comes after all.
        let rest = made_up("a", half[1].claimed, 3, &[1, 0]);
        add(&log, PEER, &rest);
        assert_eq!((log.seq("a"), log.seq("old")), (4, 1));
        audit(&log);
    }
}

#[test]
fn an_import_takes_half_a_batch_as_the_store_has_it() {
    let (old, _) = in_memory();
    assert_eq!(add(&old, SourceId::USER, &made_up("a", None, 1, &[3, 2])), ["added"; 2]);
    let (log, _) = in_memory();
    assert_eq!(import(&log, old.store().as_ref(), &mut |_, _| {}).unwrap(), 2);
}

#[test]
fn a_seal_falls_on_the_end_of_a_batch() {
    let folder = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(folder.path(), &Default::default(), &mut |_, _| {}).unwrap();
    let (disk, _) = open_trusting(Arc::new(store), Trust::of(key(1)));
    let memory = sealed(2);
    let large = "x".repeat(40_000);
    std::thread::scope(|scope| {
        scope.spawn(|| disk.run());
        for log in [&disk, &memory] {
            log.append((0..MAX_SEAL_ROWS - 10).map(|n| event("test", &n.to_string())).collect::<Vec<_>>());
            for _ in 0..4 {
                log.append(batch(&["small"; 700]));
                log.append(batch(&[&*large; 20]));
            }
            emit(log, "last");
        }
        drop(disk.add(PEER, Vec::new()).blocking_recv());
        disk.close();
    });
    for log in [&disk, &memory] {
        for limit in [1, 7, 512, 100_000] {
            let limit = ReadLimit { rows: limit, bytes: 256 * 1024 };
            let peer = sealed(3);
            let mut at = Position::START;
            loop {
                let rows = log.read_sealed(at, limit).unwrap();
                let Some(last) = rows.last() else { break };
                at = last.at;
                let rows: Vec<Incoming> = rows.iter().map(incoming).collect();
                let told = add(&peer, PEER, &rows);
                assert!(told.iter().all(|told| ["added", "added with", "parked"].contains(told)), "{told:?}");
                let end = common::rows(&peer).last().map_or(0, |row| following(&row.node.value));
                assert_eq!(end, 0, "half a batch is stored, up to {}", peer.end().change);
            }
            assert_eq!(peer.digest(), log.digest());
            audit(&peer);
            // And from there to the next one.
            let next = sealed(4);
            for rows in sent(&peer).chunks(100) {
                add(&next, PEER, rows);
                assert_eq!(common::rows(&next).last().map_or(0, |row| following(&row.node.value)), 0);
            }
            assert_eq!(next.digest(), log.digest());
        }
    }
}

#[test]
fn a_sealed_log_whose_batch_never_ends_is_refused_within_bounds() {
    let one = sealed(1);
    // Rows that look like those of `one`, all within batches and without a seal.
    emit(&one, "first");
    let tag = sent(&one)[0].value.windows(2).position(|at| at == [0x1a, 16]).unwrap();
    let id = sent(&one)[0].value[tag + 2..tag + 18].to_vec();
    let mut last = None;
    let rows: Vec<Incoming> = (1..=3000_u64)
        .map(|seq| {
            let mut value = BytesMut::new();
            event::encode(&mut value, "test", &seq.to_le_bytes(), &id, seq, Encoding::V1);
            value.put_slice(b"\x38\x05");
            let links = Links::from_iter(last);
            let key = key_of(&links, &value);
            last = Some(key);
            Incoming { log: one.log_id(), seq, links, value: value.freeze(), signed: None, claimed: Some(key) }
        })
        .collect();
    let peer = sealed(2);
    let told: Vec<_> = rows.chunks(500).flat_map(|rows| add(&peer, PEER, rows)).collect();
    assert!(told[..1500].iter().all(|told| *told == "parked"));
    // A seal makes it look at them.
    let mut sealed_row = rows[2999].clone();
    sealed_row.seq = 3001;
    sealed_row.signed = sent(&one)[0].signed.clone();
    sealed_row.links = Links::from_iter(last);
    sealed_row.claimed = Some(key_of(&sealed_row.links, &sealed_row.value));
    assert_eq!(add(&peer, PEER, &[sealed_row]), ["ERR_HYPER_SEAL"]);
    assert_eq!(peer.end(), Position::START);
}

/// Checks that the rows of a store contain only complete batches, with their events in consecutive entries.
fn check_whole(rows: &[Row]) {
    let mut open: Option<(usize, &Row)> = None;
    for row in rows {
        let count = following(&row.node.value);
        if let Some((expected, before)) = open {
            assert_eq!((row.log(), row.seq(), count), (before.log(), before.seq() + 1, expected), "a batch is torn");
        }
        open = (count > 0).then(|| (count - 1, row));
    }
    assert!(open.is_none(), "half a batch is shown");
}

/// Sessions that are cut anywhere bring random batches of several authors to peers in memory and on disk, which are reopened.
#[test]
fn whatever_is_cut_peers_show_whole_batches() {
    let seeds = std::env::var("HYPER_BATCH_SEEDS").map_or(6, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        let mut random = Random(seed);
        let authors: Vec<_> = (0..3).map(|n| if n == 2 { sealed(7) } else { in_memory().0 }).collect();
        let folder = tempfile::tempdir().unwrap();
        let disk = || -> Arc<dyn Store> {
            Arc::new(EmbeddedStore::open(folder.path(), &Default::default(), &mut |_, _| {}).unwrap())
        };
        let mut peers = vec![running(Arc::new(MemoryStore::new())), running(disk())];
        let mut session = 10;
        for _ in 0..40 {
            let author = &authors[random.below(3)];
            match random.below(3) {
                0 => emit(author, "alone"),
                1 => {
                    let count = 2 + random.below(6);
                    author.append(batch(&vec!["of a batch"; count]));
                }
                _ => {
                    // Authors hear of each other: later batches link to events of others.
                    let from = authors[random.below(3)].clone();
                    add(author, SourceId(5), &sent(&from));
                }
            }
            let sources: Vec<_> = authors.iter().chain(peers.iter().map(|(log, _)| log)).collect();
            let rows = sent(sources[random.below(sources.len())]);
            if random.below(12) == 0 {
                let (log, thread) = peers.pop().unwrap();
                log.close();
                thread.join().unwrap();
                log.store().close().unwrap();
                drop(log);
                peers.push(running(disk()));
            }
            let (peer, _) = &peers[random.below(2)];
            session += 1;
            let from = random.below(rows.len() + 1);
            let to = from + random.below(rows.len() - from + 1);
            let from = if random.below(2) == 0 { 0 } else { from };
            for part in rows[from..to].chunks(1 + random.below(5)) {
                add(peer, SourceId(session), part);
                check_whole(&common::rows(peer));
            }
            if random.below(2) == 0 {
                peer.forget(SourceId(session));
            }
        }
        for (peer, _) in &peers {
            for author in &authors {
                session += 1;
                add(peer, SourceId(session), &sent(author));
            }
            for author in &authors {
                session += 1;
                add(peer, SourceId(session), &sent(author));
                assert_eq!(peer.seq(&author.log_id()), author.seq(&author.log_id()), "seed {seed}");
            }
            check_whole(&common::rows(peer));
            audit(peer);
        }
        for (log, thread) in peers {
            log.close();
            thread.join().unwrap();
        }
    }
}

fn running(store: Arc<dyn Store>) -> (Arc<Log>, std::thread::JoinHandle<()>) {
    let (log, _) = open(store);
    let writer = log.clone();
    (log, std::thread::spawn(move || writer.run()))
}

#[test]
fn nothing_is_stored_of_a_batch_of_which_a_part_has_given_way_to_others() {
    const MIB: usize = 1 << 20;
    let (log, _) = in_memory();
    let row = |log: &str, seq: u64, links: &[Key], following: u8, size: usize| {
        let mut value = BytesMut::new();
        event::encode(&mut value, "test", &vec![7; size], &[3; ID_LEN], seq, Encoding::V1);
        value.put_slice(&[0x38, following]);
        let claimed = Some(key_of(links, &value));
        Incoming { log: log.into(), seq, links: Links::from_slice(links), value: value.freeze(), signed: None, claimed }
    };
    // Waits for the first entry of a log, which never comes.
    let fill = |session: u64, count: u64| {
        for seq in 2..2 + count {
            let node = row(&format!("filler {session}"), seq, &[], 0, MIB);
            assert_eq!(add(&log, SourceId(session), &[node]), ["parked"]);
        }
    };
    fill(1, 12);
    let first = row("batch", 1, &[], 2, 10);
    let second = row("batch", 2, first.claimed.as_slice(), 1, 2 * MIB);
    let third = row("batch", 3, second.claimed.as_slice(), 0, 10);
    assert_eq!(add(&log, SourceId(1), &[first, second]), ["parked", "parked"]);
    for session in 2..=5 {
        fill(session, 12);
    }
    // There is not room for all of it, so the last row of the first session is dropped: the second row.
    fill(6, 2);
    assert_eq!(add(&log, SourceId(1), &[third]), ["ERR_HYPER_PROTOCOL"]);
    assert_eq!(log.seq("batch"), 0);
}
