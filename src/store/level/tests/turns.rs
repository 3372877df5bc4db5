//! 1.x and 2.x use one store in turn; foreign records; faults; how often the bridge is crossed.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::super::layout::{decode_entry, parse_entry_key};
use super::super::*;
use super::database::Database;
use super::old::Old;
use super::open;
use crate::hyperlog::plan::{Lookup, Planner, Verdict};
use crate::hyperlog::Incoming;
use crate::store::conformance::Random;
use crate::store::Relabel;

struct Found<'a>(&'a LevelStore);

impl Lookup for Found<'_> {
    fn locate(&mut self, key: &Key) -> Result<Option<Located>> {
        Ok(self.0.locate(&[*key])?.pop().flatten())
    }

    fn entry(&mut self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        self.0.entry(log, seq)
    }
}

fn all(store: &LevelStore) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map_or(Position::START, |row| row.at);
        let more = store.read(after, ReadLimit { rows: 7, bytes: 2000 }).unwrap();
        if more.is_empty() {
            return rows;
        }
        rows.extend(more);
    }
}

/// Entries as 1.x sees them.
fn entries(database: &Database) -> BTreeMap<(String, Seq), Key> {
    let rows = database.as_1_x();
    let entries = rows.iter().filter_map(|(key, value)| {
        let (log, seq) = parse_entry_key(key.as_bytes())?;
        Some(((log.to_owned(), seq), decode_entry(key, value.clone()).unwrap().key))
    });
    entries.collect()
}

/// Every entry has a row; causes before effects; logs without gaps; positions ascending and found again by entry.
fn assert_sound(store: &LevelStore, database: &Database) {
    let mut seqs: HashMap<LogId, (Seq, Digest)> = HashMap::new();
    let mut arrived = HashSet::new();
    let mut wanted = entries(database);
    let mut last = Position::START;
    for row in all(store) {
        assert!(row.at > last, "{:?} after {last:?}", row.at);
        last = row.at;
        assert!(row.node.links.iter().all(|link| arrived.contains(link)), "causes first");
        arrived.insert(row.node.key);
        let (seq, digest) = seqs.entry(row.log().clone()).or_default();
        (*seq, *digest) = (*seq + 1, digest.extend(&row.node.key));
        assert_eq!(row.seq(), *seq, "log {} has no gaps", row.log());
        assert_eq!(store.digest(row.log(), row.seq()).unwrap(), Some(*digest));
        assert_eq!(store.entry(row.log(), row.seq()).unwrap(), Some(Entry { at: row.at, key: row.node.key }));
        assert_eq!(wanted.remove(&(row.log().to_string(), row.seq())), Some(row.node.key));
    }
    assert!(wanted.is_empty(), "without a row: {wanted:?}");
    let state = store.state().unwrap();
    assert_eq!(state.end, last);
    assert_eq!(state.logs.iter().map(|log| (log.log.clone(), (log.seq, log.digest))).collect::<HashMap<_, _>>(), seqs);
    assert_eq!(
        state.heads.iter().map(|head| head.key).collect::<Vec<_>>(),
        Old(Arc::new(Database::copy(database))).heads()
    );
    store.check(&mut |_, _| {}).unwrap();
}

const LOGS: [&str; 4] = ["a", "a b", "log-é", "zz"];

fn old_turn(database: &Arc<Database>, random: &mut Random) {
    let old = Old(Arc::clone(database));
    for _ in 0..random.below(12) {
        let log = LOGS[random.below(4)];
        let keys = old.keys();
        let value = random.draw().to_le_bytes();
        match random.below(5) {
            0 | 1 if !keys.is_empty() => old.add_again(log, &keys[random.below(keys.len())]),
            2 if !keys.is_empty() => {
                old.add(log, &[keys[random.below(keys.len())]], &value);
            }
            _ => {
                old.add(log, &old.heads(), &value);
            }
        }
    }
}

fn new_turn(database: &Arc<Database>, random: &mut Random, relabels: &mut usize) {
    let store = open(database);
    assert_sound(&store, database);
    let mut planner = Planner::new(LOGS[random.below(4)].into(), &store.state().unwrap());
    for _ in 0..random.below(4) {
        let mut commit = Commit::default();
        let keys = Old(Arc::clone(database)).keys();
        for _ in 0..random.below(if random.clone().once_in(8) { 400 } else { 9 }) {
            if random.once_in(4) && !keys.is_empty() {
                let node = store.node(&keys[random.below(keys.len())]).unwrap().unwrap();
                let log: LogId = LOGS[random.below(4)].into();
                let again = Incoming {
                    seq: planner.seq(&log) + 1,
                    log,
                    links: node.links,
                    value: node.value,
                    signed: None,
                    claimed: None,
                };
                match planner.add(&again, node.key, &mut Found(&store)).unwrap() {
                    Verdict::Store(row) => commit.rows.push(row.into()),
                    other => panic!("{other:?}"),
                }
            } else {
                commit.rows.push(planner.append(random.draw().to_le_bytes().to_vec().into()).into());
            }
        }
        store.commit(&commit).unwrap();
        planner.hand_over();
    }
    let state = store.state().unwrap();
    if random.once_in(4) && !state.logs.is_empty() {
        let head = &state.logs[random.below(state.logs.len())];
        let from = 1 + random.draw() % head.seq;
        *relabels += 1;
        let relabel = Relabel { log: head.log.clone(), from, to: format!("new-{relabels}").into() };
        store.commit(&Commit { relabel: Some(relabel), ..Commit::default() }).unwrap();
    }
    assert_sound(&store, database);
    assert_links(database);
    if random.once_in(2) {
        // Without closing, it is as if the process were killed.
        store.close().unwrap();
    }
}

/// The links that are stored with each entry must be those that 1.x would have computed.
fn assert_links(database: &Arc<Database>) {
    let old = Old(Arc::clone(database));
    for (key, value) in database.as_1_x() {
        if let Some((log, _)) = parse_entry_key(key.as_bytes()) {
            let entry = decode_entry(&key, value).unwrap();
            let sorted = |mut logs: Vec<LogId>| {
                logs.sort();
                logs
            };
            assert_eq!(sorted(entry.log_links), sorted(old.log_links_of(log, &entry.key)), "{key}");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(12))]
    #[test]
    fn taking_turns_loses_nothing(seed: u64) {
        let database = Arc::new(Database::default());
        let (mut random, mut relabels) = (Random(seed), 0);
        for _ in 0..10 {
            if random.once_in(2) {
                old_turn(&database, &mut random);
            } else {
                new_turn(&database, &mut random, &mut relabels);
            }
            if random.once_in(6) {
                database.retain(|key| !key.starts_with("!hyper2!"));
            }
        }
        let store = open(&database);
        assert_sound(&store, &database);
        let rows = all(&store);
        drop(store);
        proptest::prop_assert_eq!(all(&open(&database)), rows, "places are stable across openings");
    }
}

fn append(store: &LevelStore, count: usize) {
    let mut planner = Planner::new("local".into(), &store.state().unwrap());
    let rows = (0..count).map(|index| planner.append(format!("event {index}").into()).into()).collect();
    store.commit(&Commit { rows, ..Commit::default() }).unwrap();
}

#[test]
fn foreign_records_in_every_range_are_left_alone() {
    let database = Arc::new(Database::default());
    Old(Arc::clone(&database)).add("log-a", &[], b"one");
    let foreign = [
        "a",
        "!",
        "!changes!",
        "!changes!x",
        "!changes!~",
        "!changes!zz",
        "!heads!zz",
        "!logs!",
        "!logs!log-a",
        "!logs!log-a!",
        "!logs!log-a!0",
        "!logs!log-a!ff!",
        "!logs!log-a!b!zz",
        "!logs!x",
        "!logs!~",
        "!nodes!x",
        "!enum!!log-a",
        "!hyper2!x",
        "!sub!key",
        "zzz",
        "日本語",
    ];
    for key in foreign {
        database.put(key, "theirs");
    }
    for _ in 0..3 {
        let store = open(&database);
        append(&store, 3);
        assert_sound(&store, &database);
        store.close().unwrap();
    }
    for key in foreign {
        assert_eq!(database.get(key).as_deref(), Some(&b"theirs"[..]), "{key}");
    }
}

#[test]
fn a_checkpoint_that_is_not_about_this_store_is_not_believed() {
    let database = Arc::new(Database::default());
    let store = open(&database);
    append(&store, 600);
    store.close().unwrap();
    let ours: Vec<(String, Bytes)> =
        database.ours().into_iter().map(|key| (key.clone(), database.get(&key).unwrap())).collect();
    assert!(ours.len() >= 3, "{ours:?}");
    let other = Arc::new(Database::default());
    let old = Old(Arc::clone(&other));
    for index in 0..700_u32 {
        old.add("local", &old.heads(), &index.to_le_bytes());
    }
    for (key, value) in ours {
        other.put(&key, value);
    }
    assert_sound(&open(&other), &other);
    // An older 1.x state under newer records of ours.
    let shorter = Arc::new(Database::default());
    Old(Arc::clone(&shorter)).add("local", &[], b"x");
    for key in database.ours() {
        shorter.put(&key, database.get(&key).unwrap());
    }
    assert_sound(&open(&shorter), &shorter);
}

#[test]
fn a_failed_batch_changes_nothing_and_the_next_one_goes_through() {
    let database = Arc::new(Database::default());
    let store = open(&database);
    append(&store, 3);
    let before = (all(&store), database.as_1_x());
    database.fail_next_batch(false);
    let mut planner = Planner::new("local".into(), &store.state().unwrap());
    let commit = Commit { rows: vec![planner.append(Bytes::from_static(b"lost")).into()], ..Commit::default() };
    assert_eq!(store.commit(&commit).unwrap_err().code(), "ERR_HYPER_STORE");
    assert_eq!((all(&store), database.as_1_x()), before);
    append(&store, 2);
    assert_sound(&store, &database);
}

#[test]
fn a_batch_that_failed_but_was_stored_stops_writing_until_reopened() {
    let database = Arc::new(Database::default());
    let store = open(&database);
    append(&store, 3);
    database.fail_next_batch(true);
    let mut planner = Planner::new("local".into(), &store.state().unwrap());
    let commit = Commit { rows: vec![planner.append(Bytes::from_static(b"there")).into()], ..Commit::default() };
    assert!(store.commit(&commit).is_err());
    assert_eq!(all(&store).len(), 3, "what was not acknowledged is not shown");
    let mut other = Planner::new("local".into(), &store.state().unwrap());
    let commit = Commit { rows: vec![other.append(Bytes::from_static(b"else")).into()], ..Commit::default() };
    assert_eq!(store.commit(&commit).unwrap_err().code(), "ERR_HYPER_STORE");
    store.close().unwrap();
    let store = open(&database);
    assert_eq!(all(&store).len(), 4);
    assert_sound(&store, &database);
}

#[test]
fn damage_is_named_by_the_record_it_is_in() {
    let make = || {
        let database = Arc::new(Database::default());
        let store = open(&database);
        append(&store, 5);
        store.close().unwrap();
        (open(&database), database)
    };
    let (store, _) = make();
    let node = layout::node_key(&all(&store)[2].node.key);
    for (position, value) in [
        (node.as_str(), None),
        (node.as_str(), Some("junk")),
        ("!logs!local!03", None),
        ("!logs!local!03", Some("\u{8}")),
        ("!changes!03", Some("no key")),
        ("!changes!03", None),
    ] {
        let (store, database) = make();
        match value {
            Some(value) => database.put(position, value),
            None => database.remove(position),
        }
        let error = store.check(&mut |_, _| {}).unwrap_err();
        assert_eq!(error.code(), "ERR_HYPER_DAMAGED", "{position}");
        assert!(error.to_string().contains(position), "{error} should name {position}");
    }
    let (_, database) = make();
    database.remove("!logs!local!03");
    database.retain(|key| !key.starts_with("!hyper2!"));
    let error = LevelStore::open(Arc::new(database.connect()), &mut |_, _| {}).err().unwrap();
    assert!(error.to_string().contains("!logs!local!03"), "{error}");
}

#[test]
fn keys_that_are_no_text_end_nothing_and_hide_nothing() {
    let database = Arc::new(Database::default());
    let old = Old(Arc::clone(&database));
    for log in ["a", "b", "m", "m\u{fffd}", "mé", "z", "é", "\u{10FFFF}"] {
        for number in 0..3_u8 {
            old.add(log, &old.heads(), &[number]);
        }
    }
    let entry = database.get("!logs!a!01").unwrap();
    for byte in [0x80, 0xBF, 0xC3, 0xEF, 0xFF_u8] {
        for prefix in ["!logs!", "!logs!m", "!logs!m!0", "!changes!", "!changes!0", "!heads!"] {
            database.put_raw(&[prefix.as_bytes(), &[byte], b"!01"].concat(), entry.clone());
        }
    }
    // More of them than are read at a time, before and after the text as which they are returned.
    for number in 0..6000 {
        for byte in [0x80, 0xFF_u8] {
            let name = format!("{number}!01");
            database.put_raw(&[b"!logs!b", &[byte][..], name.as_bytes()].concat(), entry.clone());
            database.put_raw(&[b"!changes!1", &[byte][..], name.as_bytes()].concat(), b"foreign".as_slice());
        }
    }
    for _ in 0..2 {
        database.take_calls();
        let store = open(&database);
        assert_eq!(store.state().unwrap().logs.len(), 8);
        assert_eq!(all(&store).len(), 24);
        store.check(&mut |_, _| {}).unwrap();
        store.close().unwrap();
        let (calls, _) = database.take_calls();
        assert!(calls < 300, "{calls} calls");
    }
}

#[test]
fn the_bridge_is_crossed_per_group_and_not_per_event() {
    let database = Arc::new(Database::default());
    let store = open(&database);
    database.take_calls();
    append(&store, 1000);
    assert_eq!(database.take_calls(), (1, 1), "one commit is one batch");
    assert_eq!(store.read(Position::START, ReadLimit { rows: 1000, bytes: usize::MAX }).unwrap().len(), 1000);
    assert_eq!(database.take_calls(), (2, 0), "a read");
    store.close().unwrap();
    database.take_calls();
    let store = open(&database);
    let (calls, batches) = database.take_calls();
    assert!(calls <= 10 && batches == 0, "an open whose records are up to date: {calls} calls, {batches} batches");
    let old = Old(Arc::clone(&database));
    for index in 0..100_u32 {
        old.add(&format!("other-{}", index % 10), &old.heads(), &index.to_le_bytes());
    }
    drop(store);
    let store = open(&database);
    let (calls, batches) = database.take_calls();
    assert!(calls <= 50 && batches <= 2, "after 100 events of 1.x in 10 new logs: {calls} calls, {batches} batches");
    assert_sound(&store, &database);
}

#[test]
fn a_closed_store_says_so_and_asks_nothing_of_the_database() {
    let database = Arc::new(Database::default());
    let store = open(&database);
    append(&store, 1);
    store.close().unwrap();
    store.close().unwrap();
    database.take_calls();
    assert_eq!(store.read(Position::START, ReadLimit { rows: 1, bytes: 1 }).unwrap_err().code(), "ERR_HYPER_CLOSED");
    assert_eq!(store.commit(&Commit::default()).unwrap_err().code(), "ERR_HYPER_CLOSED");
    assert_eq!(store.meta(&Meta::LogId).unwrap_err().code(), "ERR_HYPER_CLOSED");
    assert_eq!(store.state().unwrap_err().code(), "ERR_HYPER_CLOSED");
    assert_eq!(database.take_calls(), (0, 0));
}
