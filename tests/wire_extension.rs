//! Golden bytes of the extension (docs/design/wire.md). `WRITE_GOLDEN=1` writes them anew: a change of the wire, which
//! edits that document too.

// Helpers of tests, not of the product.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyperemitter::node::{key_of, Digest, Key, Links, Node, Signed};
use hyperemitter::protocol::batch::{BatchReader, BatchWriter};
use hyperemitter::protocol::capability::Capability;
use hyperemitter::protocol::extension::{Compare, Extension, Extent};
use hyperemitter::protocol::frame;
use hyperemitter::protocol::message::{Handshake, Message, Mode};
use hyperemitter::protocol::pieces::Piece;
use hyperemitter::protocol::tree::Item;
use hyperemitter::protocol::twins::{Instance, Token};
use hyperemitter::store::log_set::{Bucket, Prefix};
use hyperemitter::store::{Position, Row};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As peers of the first version show it.
fn first_capability() -> Capability {
    Capability { version: 1, max_value: None, twin: None, ..capability() }
}

fn capability() -> Capability {
    Capability {
        version: 2,
        flags: 1,
        max_frame: 64 << 20,
        window: 1 << 20,
        log: "log-a".into(),
        max_value: Some(8 << 20),
        network: None,
        twin: Some((Instance([9; 16]), Token([10; 8]))),
        schema: None,
    }
}

fn row(change: u64, log: &str, seq: u64, links: &[Key], value: &'static str, signed: Option<Signed>) -> Row {
    let links: Links = links.iter().copied().collect();
    let value = Bytes::from_static(value.as_bytes());
    let key = key_of(&links, &value);
    let node = Node { key, change, log: log.into(), seq, links, value, signed: signed.map(Arc::new) };
    Row::new(Position::of(change), log.into(), seq, node.into())
}

/// Rows that use every form of a batch.
fn rows() -> Vec<Row> {
    let far = Key([0xfa; 32]);
    let first = row(1, "log-a", 1, &[], "first", None);
    let second = row(2, "log-a", 2, &[first.node.key], "second", None);
    let other = row(3, "log-b", 7, &[], "other log", None);
    let merge = row(4, "log-a", 3, &[second.node.key, other.node.key, far], "merge", None);
    let signed = Signed { identity: Some(Bytes::from_static(b"me")), signature: Some(Bytes::from_static(b"sig")) };
    let signed = row(5, "log-a", 4, &[merge.node.key], "signed", Some(signed));
    let half = Signed { identity: None, signature: Some(Bytes::from_static(b"only")) };
    let half = row(6, "log-b", 8, &[other.node.key], "", Some(half));
    vec![first, second, other, merge, signed, half]
}

fn batches() -> Vec<BytesMut> {
    let mut writer = BatchWriter::default();
    writer.announce(&"log-a".into());
    let rows = rows();
    let (early, late) = rows.split_at(4);
    [early, late]
        .iter()
        .map(|part| {
            part.iter().for_each(|row| writer.push(row));
            writer.finish()
        })
        .collect()
}

fn comparisons() -> Vec<(&'static str, BytesMut)> {
    let extent = |log: &str, seq, fill| Extent { log: log.into(), seq, digest: Digest([fill; 32]) };
    let mut parts = [None; 16];
    (parts[0], parts[1], parts[15]) = (Some([1; 12]), Some([2; 12]), Some([3; 12]));
    let (even, odd) = (Prefix::of(0xab << 56, 2), Prefix::of(0xabc << 52, 3));
    let list = |prefix, asks, extents| Item::List { prefix, asks, extents };
    let messages = [
        ("compare-root", vec![Item::Root(Bucket { logs: 100_000, digest: Digest([9; 32]) })]),
        ("compare-parts", vec![Item::Parts(Prefix::ROOT, parts), Item::Parts(odd, [None; 16])]),
        ("compare-asks", vec![list(even, true, vec![extent("log-a", 3, 1), extent("log-b", 300, 2)])]),
        (
            "compare-tells",
            vec![list(odd, false, vec![]), list(Prefix::of(u64::MAX, 16), false, vec![extent("c", 1, 3)])],
        ),
        ("compare-nothing", vec![]),
        ("compare-again", vec![]),
    ];
    let put = |items: Vec<Item>| {
        let mut out = BytesMut::new();
        items.iter().for_each(|item| item.put(&mut out));
        let (mut body, mut again) = (&out[..], BytesMut::new());
        while let Some(item) = Item::take(&mut body).unwrap() {
            item.put(&mut again);
        }
        assert_eq!(again, out, "items read back");
        out
    };
    messages.into_iter().map(|(name, items)| (name, put(items))).collect()
}

fn messages() -> BTreeMap<&'static str, Vec<u8>> {
    let extent = |log: &str, seq, fill| Extent { log: log.into(), seq, digest: Digest([fill; 32]) };
    let mut out = BTreeMap::new();
    let mut put = |name, extension: Extension<'_>| {
        let mut bytes = BytesMut::new();
        extension.encode(&mut bytes);
        out.insert(name, bytes.to_vec());
    };
    put("vector-empty", Extension::Vector { first: true, last: true, extents: vec![] });
    put(
        "vector-first",
        Extension::Vector { first: true, last: false, extents: vec![extent("log-a", 3, 1), extent("log-b", 300, 2)] },
    );
    put("vector-last", Extension::Vector { first: false, last: true, extents: vec![extent("log-c", 1, 3)] });
    let batches = batches();
    put("batch-1", Extension::Batch(&batches[0]));
    put("batch-2", Extension::Batch(&batches[1]));
    put("credit", Extension::Credit { bytes: 262_144, updates: vec![("log-b".into(), 9)] });
    put("probe", Extension::Probe { log: "log-a".into(), seq: 150 });
    put("proof", Extension::Proof { extent: extent("log-a", 150, 4), key: Key([5; 32]) });
    put("fork", Extension::Fork { log: "log-a".into(), seq: 151, key: Key([6; 32]) });
    put("alive", Extension::Alive);
    let piece =
        Piece { log: "log-a".into(), seq: 5, key: Key([7; 32]), total: 100_000, offset: 16_384, bytes: b"part" };
    put("piece", Extension::Piece(piece));
    put("held", Extension::Held(vec![(Key([7; 32]), 16_388), (Key([8; 32]), 0)]));
    for (name, items) in comparisons() {
        let (number, first, last) = (300, name == "compare-root", name != "compare-parts");
        let again = name == "compare-again";
        put(name, Extension::Compare(Compare { number, first, last: last && !again, again, items: &items }));
    }
    put("new-table", Extension::NewTable);
    put("twin-yield", Extension::Twin(Some(Token([10; 8]))));
    put("twin-carry", Extension::Twin(None));
    put("schema", Extension::Schema(br#"{"events":[["order",0,1]],"types":[{"name":"Order","fields":[]}]}"#));
    for (name, capability) in [
        ("handshake", first_capability()),
        ("handshake-2", Capability { twin: None, ..capability() }),
        ("handshake-twin", capability()),
        ("handshake-schema", Capability { schema: Some([11; 16]), ..capability() }),
    ] {
        let metadata = capability.encode();
        let mut bytes = BytesMut::new();
        let handshake = Handshake { version: 1, mode: Mode::Sync, metadata: Some(&metadata), live: Some(true) };
        Message::Handshake(handshake).encode(&mut bytes);
        out.insert(name, bytes.to_vec());
    }
    out
}

#[test]
fn every_message_has_the_bytes_it_always_had() {
    let path = format!("{}/tests/data/wire/extension.json", env!("CARGO_MANIFEST_DIR"));
    let ours: BTreeMap<&str, String> = messages().into_iter().map(|(name, bytes)| (name, hex(&bytes))).collect();
    if std::env::var("WRITE_GOLDEN").is_ok() {
        std::fs::write(&path, serde_json::to_string_pretty(&ours).unwrap() + "\n").unwrap();
    }
    let golden: BTreeMap<String, String> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(ours.len(), golden.len());
    for (name, bytes) in ours {
        assert_eq!(Some(&bytes), golden.get(name), "{name}");
    }
}

#[test]
fn every_message_reads_back() {
    for (name, bytes) in messages() {
        let mut input = BytesMut::from(&bytes[..]);
        let frame = frame::split(&mut input, usize::MAX).unwrap().unwrap();
        match Message::decode(&frame).unwrap() {
            Message::Handshake(handshake) => {
                let expected = match name {
                    "handshake" => first_capability(),
                    "handshake-2" => Capability { twin: None, ..capability() },
                    "handshake-schema" => Capability { schema: Some([11; 16]), ..capability() },
                    _ => capability(),
                };
                assert_eq!(Capability::decode(handshake.metadata.unwrap()).unwrap(), Some(expected));
            }
            Message::Extension(kind, body) => {
                let mut again = BytesMut::new();
                Extension::decode(kind, body).unwrap().encode(&mut again);
                assert_eq!(again, bytes, "{name}");
            }
            other => panic!("{name} reads as {other:?}"),
        }
    }
}

#[test]
fn batches_bring_the_same_nodes_without_their_keys() {
    let mut reader = BatchReader::default();
    reader.announce("log-a".into());
    let mut nodes = Vec::new();
    for body in batches() {
        let frame = body.freeze();
        nodes.extend(reader.read(&frame, &frame, 0).unwrap());
    }
    let rows = rows();
    assert_eq!(nodes.len(), rows.len());
    for (node, row) in nodes.iter().zip(&rows) {
        assert_eq!((&node.log, node.seq), (row.log(), row.seq()));
        assert_eq!((&node.links, &node.value), (&row.node.links, &row.node.value));
        assert_eq!(node.signed, row.node.signed);
        assert_eq!(key_of(&node.links, &node.value), row.node.key);
    }
}

#[test]
fn a_chain_of_events_costs_two_bytes_each_beside_its_values() {
    let mut writer = BatchWriter::default();
    let mut last: Vec<Key> = Vec::new();
    let mut values = 0;
    for seq in 1..=100 {
        let row = row(seq, "log-a", seq, &last, "twenty bytes of text", None);
        values += row.node.value.len();
        last = vec![row.node.key];
        writer.push(&row);
    }
    assert!(writer.finish().len() <= values + 2 * 100 + 10);
}

#[test]
fn a_cut_or_changed_batch_is_refused_or_reads_as_other_nodes_but_never_panics() {
    let batch = batches()[0].clone().freeze();
    for len in 0..batch.len() {
        let mut reader = BatchReader::default();
        reader.announce("log-a".into());
        let cut = batch.slice(..len);
        let _ = reader.read(&cut, &cut, 0);
    }
    for at in 0..batch.len() {
        for bit in 0..8 {
            let mut reader = BatchReader::default();
            reader.announce("log-a".into());
            let mut changed = batch.to_vec();
            changed[at] ^= 1 << bit;
            let changed = Bytes::from(changed);
            let _ = reader.read(&changed, &changed, 0);
        }
    }
}

#[test]
fn lists_that_announce_more_than_they_may_have_are_refused() {
    let number = |out: &mut Vec<u8>, mut number: u64| {
        while number >= 0x80 {
            out.push(number as u8 | 0x80);
            number >>= 7;
        }
        out.push(number as u8);
    };
    let updates = |count: u64| {
        let mut body = Vec::new();
        number(&mut body, 0);
        number(&mut body, count);
        (0..count).for_each(|_| body.extend([1, b'a', 1]));
        Extension::decode(8, &body).map(|message| matches!(message, Extension::Credit { .. }))
    };
    assert!(matches!(updates(1024), Ok(true)));
    assert!(updates(1025).is_err());
}
