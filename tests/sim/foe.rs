//! Hostile members that know the protocols.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hyperemitter::hyperlog::parking::MAX_SOURCE_NODES;
use hyperemitter::node::{Digest, Key, Links, Node, Signed};
use hyperemitter::protocol::batch::BatchWriter;
use hyperemitter::protocol::capability::Capability;
use hyperemitter::protocol::extension::{Extension, Extent, WINDOW};
use hyperemitter::protocol::message::{Handshake, LogSeq, Message, Mode, WireNode};
use hyperemitter::protocol::pieces::{Piece, LARGE, PIECE};
use hyperemitter::protocol::version::VERSION;
use hyperemitter::store::{Position, Row};

use super::rng::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Forges entries in its peer's log and after the ends of others' logs, and enters others' events as its own.
    Forge,
    /// Writes the next entries of logs of peers that it is not linked with.
    ForgeOthers,
    /// Claims that logs differ, in every way there is.
    Fork,
    /// Names, vectors, credit, probes, haves and wants without end.
    Flood,
    /// Nodes that wait for ever, pieces that are never finished.
    Hoard,
    /// Causes everything to be read and sent repeatedly.
    Amplify,
    /// Passes on rows of sealed logs without their seals, with wrong ones, or as entries of other logs.
    Strip,
}

impl Deed {
    pub const ALL: [Deed; 5] = [Deed::Forge, Deed::Fork, Deed::Flood, Deed::Hoard, Deed::Amplify];
}

/// Nodes that greedy ones send at once to be parked.
const GREEDY_NODES: usize = 3_000;

/// One end of a hostile link.
pub struct Foe {
    deed: Deed,
    is_v2: bool,
    writer: BatchWriter,
    seq: u64,
    is_greedy: bool,
}

impl Foe {
    pub fn new(deed: Deed, rng: &mut Rng) -> Self {
        Foe { deed, is_v2: rng.chance(60), writer: BatchWriter::default(), seq: 0, is_greedy: false }
    }

    pub fn hello(&mut self) -> Bytes {
        let mut out = BytesMut::new();
        let (max_frame, window, max_value) = (64 << 20, WINDOW, Some(8 << 20));
        let capability = Capability {
            version: VERSION,
            flags: 0,
            max_frame,
            window,
            log: "evil".into(),
            max_value,
            network: None,
            twin: None,
            schema: None,
        }
        .encode();
        let metadata = Some(&capability[..]).filter(|_| self.is_v2);
        Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata, live: Some(true) }).encode(&mut out);
        if self.is_v2 {
            Extension::Vector { first: true, last: true, extents: Vec::new() }.encode(&mut out);
        } else {
            Message::SentHeads.encode(&mut out);
            Message::SentWants.encode(&mut out);
        }
        out.freeze()
    }

    /// The next bytes that it sends to the owner of the log `victim`, which has `rows`.
    pub fn next(&mut self, rng: &mut Rng, victim: &str, logs: &[String], rows: &[Row]) -> Bytes {
        let mut out = BytesMut::new();
        self.seq += 1;
        let log = rng.pick(logs).clone();
        let seq = *rng.pick(&[1, 2, 5, 40, 1000, u64::from(u32::MAX), u64::MAX - 1]);
        let last = |log: &str| rows.iter().filter(|row| row.log().as_ref() == log).count() as u64;
        match self.deed {
            Deed::Forge => match rng.below(3) {
                0 => self.node(&mut out, victim, last(victim) + rng.range(1, 3), rng.bytes(20), Links::new()),
                1 => self.node(&mut out, &log, last(&log) + rng.range(1000, 2000), rng.bytes(20), Links::new()),
                _ => {
                    if let Some(row) = rows.get(self.seq as usize - 1) {
                        self.node(&mut out, "evil", self.seq, row.node.value.to_vec(), row.node.links.clone());
                    }
                }
            },
            Deed::ForgeOthers => {
                if log != victim {
                    self.node(&mut out, &log, last(&log) + 1, rng.bytes(20), Links::new());
                }
            }
            Deed::Fork => match rng.below(4) {
                _ if !self.is_v2 => {
                    Message::Have(LogSeq { log: &log, seq }).encode(&mut out);
                }
                0 => {
                    let digest = Digest(rng.bytes(32).try_into().unwrap());
                    let extents = vec![Extent { log: log.as_str().into(), seq, digest }];
                    self.writer = BatchWriter::default();
                    Extension::Vector { first: true, last: true, extents }.encode(&mut out);
                }
                1 => {
                    let key = Key(rng.bytes(32).try_into().unwrap());
                    let seq = 1 + rng.below(last(&log) + 1);
                    Extension::Fork { log: log.as_str().into(), seq, key }.encode(&mut out);
                }
                2 => {
                    Extension::Demand { log: log.as_str().into(), seq: 1 + rng.below(last(&log) + 2) }.encode(&mut out);
                }
                _ => {
                    let digest = Digest(rng.bytes(32).try_into().unwrap());
                    let extent = Extent { log: log.as_str().into(), seq: 1 + rng.below(last(&log) + 2), digest };
                    Extension::Proof { extent, key: Key([7; 32]) }.encode(&mut out);
                }
            },
            Deed::Flood => {
                for number in 0..200 {
                    let name = format!("{}-{number}", self.seq);
                    match rng.below(4) {
                        _ if !self.is_v2 && number % 2 == 0 => {
                            Message::Have(LogSeq { log: &name, seq }).encode(&mut out);
                        }
                        _ if !self.is_v2 => Message::Want(LogSeq { log: &log, seq: 0 }).encode(&mut out),
                        0 => Extension::Probe { log: log.as_str().into(), seq }.encode(&mut out),
                        1 => Extension::Credit { bytes: seq, updates: vec![(name.as_str().into(), seq)] }
                            .encode(&mut out),
                        2 => Extension::Credit { bytes: 0, updates: vec![(log.as_str().into(), 0)] }.encode(&mut out),
                        _ => {
                            let extents = vec![Extent { log: name.as_str().into(), seq, digest: Digest([1; 32]) }];
                            Extension::Vector { first: false, last: false, extents }.encode(&mut out);
                        }
                    }
                }
            }
            Deed::Hoard => {
                if self.seq == 1 {
                    self.is_greedy = rng.chance(25);
                }
                // All that may be parked, in pieces that the window has room for.
                let greedy = self.is_greedy && self.seq as usize * GREEDY_NODES < 2 * MAX_SOURCE_NODES;
                let nodes = if greedy { GREEDY_NODES } else { 20 };
                for _ in 0..nodes {
                    let cause = Key(rng.bytes(32).try_into().unwrap());
                    if self.is_v2 && rng.chance(30) {
                        let (bytes, total) = (rng.bytes(PIECE as u64), 2 * LARGE as u64);
                        let piece = Piece { log: "evil".into(), seq: 1, key: cause, total, offset: 0, bytes: &bytes };
                        Extension::Piece(piece).encode(&mut out);
                    } else {
                        let value = rng.bytes(if greedy { 8 } else { 200 });
                        self.node(&mut out, "evil", self.seq, value, std::iter::once(cause).collect());
                    }
                }
            }
            Deed::Strip => {
                let from = rng.below(rows.len() as u64 + 1) as usize;
                let mut before = None;
                for row in rows.iter().skip(from).take(rng.range(1, 30) as usize) {
                    let signed = row.node.signed.clone();
                    let made_up = || Some(Arc::new(Signed { identity: None, signature: Some(vec![7; 64].into()) }));
                    let signed = match rng.below(4) {
                        0 => None,
                        1 => std::mem::replace(&mut before, signed),
                        2 if rng.chance(20) => made_up(),
                        _ => signed,
                    };
                    let log = if rng.chance(10) { log.as_str() } else { &**row.log() };
                    let seq = if rng.chance(5) { row.seq() + 1 } else { row.seq() };
                    let value = row.node.value.to_vec();
                    self.signed_node(&mut out, log, seq, value, row.node.links.clone(), signed);
                }
            }
            Deed::Amplify if self.is_v2 => {
                self.writer = BatchWriter::default();
                Extension::Vector { first: true, last: true, extents: Vec::new() }.encode(&mut out);
                Extension::Credit { bytes: WINDOW, updates: Vec::new() }.encode(&mut out);
                Extension::Demand { log: log.as_str().into(), seq: 1 }.encode(&mut out);
            }
            Deed::Amplify => {
                for log in logs {
                    Message::Want(LogSeq { log, seq: 0 }).encode(&mut out);
                }
            }
        }
        out.freeze()
    }

    fn node(&mut self, out: &mut BytesMut, log: &str, seq: u64, value: Vec<u8>, links: Links) {
        self.signed_node(out, log, seq, value, links, None);
    }

    fn signed_node(
        &mut self,
        out: &mut BytesMut,
        log: &str,
        seq: u64,
        value: Vec<u8>,
        links: Links,
        signed: Option<Arc<Signed>>,
    ) {
        if self.is_v2 {
            let value = Bytes::from(value);
            let key = hyperemitter::node::key_of(&links, &value);
            let node = Node { key, change: seq, log: log.into(), seq, links, value, signed };
            self.writer.push(&Row::new(Position::of(seq), log.into(), seq, node.into()));
            // Only the batch's own table counts: a vector before it may have reset all indices.
            Extension::Batch(&self.writer.finish()).encode(out);
        } else {
            let (identity, signature) = (None, signed.as_ref().and_then(|signed| signed.signature.as_deref()));
            let node = WireNode { change: 1, key: None, log, seq, identity, signature, value: &value, links };
            Message::Node(node).encode(out);
        }
    }
}
