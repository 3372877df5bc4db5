//! Recordings of 1.x peers that talk to each other (`tests/data/wire`), and how each was made.

use bytes::{Bytes, BytesMut};
use hyperemitter::protocol::frame;
use serde_json::Value;

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub fn unframe(bytes: &[u8]) -> Bytes {
    let mut input = BytesMut::from(bytes);
    let frame = frame::split(&mut input, usize::MAX).unwrap().unwrap();
    assert!(input.is_empty());
    frame
}

pub fn load(name: &str) -> Value {
    let path = format!("{}/tests/data/wire/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// How a recording was made, as far as its frames do not show it.
pub struct Script {
    pub name: &'static str,
    /// Link: its dialler and listener.
    pub links: &'static [(&'static str, &'static str, &'static str)],
    /// Peer: nodes it had before the first link.
    pub before: &'static [(&'static str, usize)],
    /// (link, session, frames seen there, peer, log/seq): emitted at that moment, not when first seen.
    pub emits: &'static [(&'static str, usize, usize, &'static str, u64)],
}

pub const SCRIPTS: &[Script] = &[
    Script { name: "empty", links: &[("ab", "b", "a")], before: &[], emits: &[] },
    Script { name: "catchup-from-listener", links: &[("ab", "b", "a")], before: &[("a", 5)], emits: &[] },
    Script { name: "catchup-from-dialler", links: &[("ab", "b", "a")], before: &[("b", 3)], emits: &[] },
    Script { name: "divergent", links: &[("ab", "b", "a")], before: &[("a", 3), ("b", 2)], emits: &[] },
    Script { name: "live-echo", links: &[("ab", "b", "a")], before: &[], emits: &[] },
    Script { name: "live-concurrent", links: &[("ab", "b", "a")], before: &[], emits: &[] },
    Script { name: "chain", links: &[("ab", "b", "a"), ("bc", "c", "b")], before: &[("a", 1)], emits: &[] },
    Script { name: "causal", links: &[("ac", "c", "a")], before: &[("a", 4)], emits: &[] },
    Script {
        name: "reconnect",
        links: &[("ab", "b", "a")],
        before: &[],
        emits: &[("ab", 1, 0, "a", 2), ("ab", 1, 0, "a", 3)],
    },
    Script {
        name: "dropped-link",
        links: &[("ab", "b", "a")],
        before: &[("a", 2), ("b", 1)],
        emits: &[("ab", 1, 0, "a", 3)],
    },
    Script { name: "dedup", links: &[("ab", "b", "a")], before: &[("a", 2), ("b", 3)], emits: &[] },
    Script { name: "dedup-live-chain", links: &[("ac", "c", "a"), ("ad", "d", "a")], before: &[], emits: &[] },
    Script { name: "during-sync", links: &[("ab", "b", "a")], before: &[("a", 30)], emits: &[] },
    Script {
        name: "two-sources",
        links: &[("ac", "c", "a"), ("bc", "c", "b")],
        before: &[("a", 20), ("b", 20)],
        emits: &[],
    },
    Script { name: "plain-hyperlog", links: &[("xa", "x", "a")], before: &[("a", 2)], emits: &[] },
    Script {
        name: "snapshot-linked-log-1",
        links: &[("ac", "c", "a")],
        before: &[("a", 2)],
        emits: &[("ac", 0, 6, "a", 2), ("ac", 1, 0, "a", 3)],
    },
    Script {
        name: "snapshot-linked-log-3",
        links: &[("ac", "c", "a")],
        before: &[("a", 2)],
        emits: &[("ac", 0, 6, "a", 2), ("ac", 0, 6, "a", 3), ("ac", 0, 6, "a", 4), ("ac", 1, 0, "a", 5)],
    },
];

/// One frame as it passed the proxy.
#[derive(Clone)]
pub struct Seen {
    pub ms: u64,
    pub from_dialler: bool,
    pub bytes: Vec<u8>,
}

pub fn read_session(session: &Value) -> Vec<Seen> {
    let frames = session["frames"].as_array().unwrap();
    frames
        .iter()
        .map(|frame| {
            let mut fields = frame.as_str().unwrap().split(' ');
            let ms = fields.next().unwrap().parse().unwrap();
            let from_dialler = fields.next() == Some("D");
            Seen { ms, from_dialler, bytes: unhex(fields.next().unwrap()) }
        })
        .collect()
}
