//! Stores that 1.3.0 wrote (tests/data/leveldb) are opened, and written again byte for byte from their nodes.

use std::collections::BTreeMap;

use super::super::layout::{decode_entry, decode_node, parse_entry_key};
use super::super::*;
use super::database::{unhex, Database};
use super::open;
use crate::hyperlog::plan::{Lookup, Planner, Verdict};
use crate::hyperlog::Incoming;
use crate::node::key_of;

#[derive(serde::Deserialize)]
struct Vector {
    dumps: BTreeMap<String, Vec<(String, String)>>,
}

fn dumps() -> Vec<(String, Vec<(String, String)>)> {
    let files = [
        ("chain", include_str!("../../../../tests/data/leveldb/chain.json")),
        ("dedup", include_str!("../../../../tests/data/leveldb/dedup.json")),
        ("divergent", include_str!("../../../../tests/data/leveldb/divergent.json")),
        ("emits", include_str!("../../../../tests/data/leveldb/emits.json")),
        ("fresh", include_str!("../../../../tests/data/leveldb/fresh.json")),
        ("listen", include_str!("../../../../tests/data/leveldb/listen.json")),
        ("peers", include_str!("../../../../tests/data/leveldb/peers.json")),
    ];
    files
        .into_iter()
        .flat_map(|(file, text)| {
            let vector: Vector = serde_json::from_str(text).unwrap();
            vector.dumps.into_iter().map(move |(name, rows)| (format!("{file}/{name}"), rows))
        })
        .collect()
}

/// Its nodes and entries, parsed without the store.
struct Recorded {
    nodes: BTreeMap<Key, Node>,
    entries: BTreeMap<(String, Seq), Key>,
    heads: Vec<Key>,
}

fn recorded(rows: &[(String, String)]) -> Recorded {
    let mut found = Recorded { nodes: BTreeMap::new(), entries: BTreeMap::new(), heads: Vec::new() };
    for (key, hex) in rows {
        let value = Bytes::from(unhex(hex));
        if key.starts_with("!nodes!") {
            let node = decode_node(key, value).unwrap();
            assert_eq!(key_of(&node.links, &node.value), node.key);
            found.nodes.insert(node.key, node);
        } else if let Some((log, seq)) = parse_entry_key(key.as_bytes()) {
            found.entries.insert((log.to_owned(), seq), decode_entry(key, value).unwrap().key);
        } else if key.starts_with("!heads!") {
            found.heads.push(Key::from_hex(&value).unwrap());
        }
    }
    found
}

const ALL: ReadLimit = ReadLimit { rows: 1024, bytes: usize::MAX };

#[test]
fn every_dump_opens_with_all_its_rows() {
    let mut seen = 0;
    for (name, rows) in dumps() {
        let recorded = recorded(&rows);
        let database = Database::of(&rows);
        for turn in ["as 1.x left it", "again"] {
            let store = open(&database);
            let state = store.state().unwrap();
            assert_eq!(state.end.change, recorded.nodes.len() as u64, "{name} {turn}");
            assert_eq!(state.heads.iter().map(|head| head.key).collect::<Vec<_>>(), recorded.heads, "{name} {turn}");
            let read = store.read(Position::START, ALL).unwrap();
            assert_eq!(read.len(), recorded.entries.len(), "{name} {turn}");
            let mut ends: BTreeMap<String, (Seq, Digest)> = BTreeMap::new();
            let mut arrived = Vec::new();
            for row in &read {
                let end = ends.entry(row.log().to_string()).or_default();
                *end = (end.0 + 1, end.1.extend(&row.node.key));
                assert_eq!(row.seq(), end.0, "{name} {turn}: logs have no gaps");
                assert!(row.node.links.iter().all(|link| arrived.contains(link)), "{name} {turn}: causes first");
                arrived.push(row.node.key);
                assert_eq!(recorded.entries[&(row.log().to_string(), row.seq())], row.node.key);
                assert_eq!(recorded.nodes[&row.node.key], *row.node, "{name} {turn}");
                assert_eq!(store.entry(row.log(), row.seq()).unwrap().unwrap().at, row.at);
                assert_eq!(store.digest(row.log(), row.seq()).unwrap(), Some(end.1), "{name} {turn}");
            }
            let logs = state.logs.iter().map(|log| (log.log.to_string(), (log.seq, log.digest))).collect();
            assert_eq!(ends, logs, "{name} {turn}");
            for (key, meta) in [
                ("!!id", Meta::LogId),
                ("!!STOREID!!", Meta::StoreId),
                ("!!PEERS!!", Meta::Peers),
                ("!!MYEVENTPEER!!", Meta::MyEventPeer),
            ] {
                assert_eq!(store.meta(&meta).unwrap(), database.get(key), "{name}: {key}");
            }
            store.check(&mut |_, _| {}).unwrap();
            store.close().unwrap();
            assert_eq!(
                database.as_1_x(),
                Database::of(&rows).as_1_x(),
                "{name} {turn}: opening leaves 1.x's records alone"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * 17);
}

struct Found<'a>(&'a LevelStore);

impl Lookup for Found<'_> {
    fn locate(&mut self, key: &Key) -> Result<Option<Located>> {
        Ok(self.0.locate(&[*key])?.pop().flatten())
    }

    fn entry(&mut self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        self.0.entry(log, seq)
    }
}

/// Feeds the rows of a recorded store, in its own order, through the log's planner into an empty one.
fn written_again(rows: &[(String, String)], group: usize) -> Arc<Database> {
    let source = open(&Database::of(rows));
    let database = Arc::new(Database::default());
    let store = open(&database);
    let log: LogId = std::str::from_utf8(&source.meta(&Meta::LogId).unwrap().unwrap()).unwrap().into();
    let mut planner = Planner::new(log, &store.state().unwrap());
    for rows in source.read(Position::START, ALL).unwrap().chunks(group) {
        let mut commit = Commit::default();
        for row in rows {
            let node = Incoming {
                log: row.log().clone(),
                seq: row.seq(),
                links: row.node.links.clone(),
                value: row.node.value.clone(),
                signed: row.node.signed.clone(),
                claimed: Some(row.node.key),
            };
            match planner.add(&node, row.node.key, &mut Found(&store)).unwrap() {
                Verdict::Store(row) => commit.rows.push(row.into()),
                other => panic!("{other:?}"),
            }
        }
        store.commit(&commit).unwrap();
        planner.hand_over();
    }
    for meta in [Meta::LogId, Meta::StoreId, Meta::Peers, Meta::MyEventPeer] {
        let value = source.meta(&meta).unwrap();
        store.commit(&Commit { meta: vec![(meta, value)], ..Commit::default() }).unwrap();
    }
    store.check(&mut |_, _| {}).unwrap();
    store.close().unwrap();
    database
}

#[test]
fn every_dump_is_written_again_byte_for_byte() {
    for (name, rows) in dumps() {
        // 1.x writes these only while it replicates; a store without them is as good.
        let wanted = Database::of(rows.iter().filter(|(key, _)| !key.starts_with("!enum!!")));
        for group in [1, 2, 100] {
            let written = written_again(&rows, group);
            assert_eq!(written.as_1_x(), wanted.as_1_x(), "{name} in groups of {group}");
        }
    }
}

#[test]
fn keys_widen_as_1_x_widens_them() {
    let vector: Vector = serde_json::from_str(include_str!("../../../../tests/data/leveldb/widths.json")).unwrap();
    let recorded = &vector.dumps["a"];
    let database = Arc::new(Database::default());
    let store = open(&database);
    let mut planner = Planner::new("log-a".into(), &StoreState::default());
    let mut number = 0_u32;
    for group in [1, 7, 243, 5, 256, 8] {
        let rows = (0..group).map(|_| {
            // Event { name: "Test1", payload: Test1 { num } }, as 1.3.0 encodes it.
            let mut payload = vec![0x10];
            prost::encoding::encode_varint(number.into(), &mut payload);
            let value = [b"\x0a\x05Test1\x12", &[u8::try_from(payload.len()).unwrap()][..], &payload].concat();
            number += 1;
            planner.append(value.into())
        });
        store.commit(&Commit { rows: rows.map(Into::into).collect(), ..Commit::default() }).unwrap();
        planner.hand_over();
    }
    assert_eq!(number, 520);
    let written = database.as_1_x();
    assert!(recorded.len() > 30);
    for (key, hex) in recorded {
        assert_eq!(written.get(key).map(|value| value.as_ref()), Some(&unhex(hex)[..]), "{key}");
    }
    assert_eq!(written.len(), 3 * 520 + 1);
}
