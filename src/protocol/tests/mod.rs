//! Sessions with scripted peers, most of which misbehave, frame by frame.

mod credit;
mod floods;
mod forks;
mod handshake;
mod large_nodes;
mod many_logs;
mod patience;
mod schemas;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::batch::{BatchWriter, CHUNK, MAX_BATCH};
use super::capability::Capability;
use super::extension::{Extension, Extent, WINDOW};
use super::message::{Handshake, LogSeq, Message, Mode, WireNode};
use super::pieces::LARGE;
use super::session::HANDSHAKE_MS;
use super::unknown_logs::{LOGS_PER_SECOND, LOG_BURST, MAX_LOGS};
use super::v1::{GIVE_UP_PULL_MS, PATIENCE_MS, PATIENCE_WITH_DIALLER_MS};
use super::v2::{ALIVE_MS, SILENT_MS};
use super::version::VERSION;
use super::*;
use crate::error::Error;
use crate::event::reason_unsafe_for_v1;
use crate::node::{key_of, Digest, Key, LogId, Node};
use crate::row::{LogHead, Position, Row};

/// A log that a test fills by hand: the seq of each log, and how often a head was looked up.
#[derive(Default)]
struct Paper(BTreeMap<String, u64>, Cell<usize>);

impl LocalLog for Paper {
    fn log_id(&self) -> LogId {
        "own".into()
    }
    fn head(&self, log: &str) -> Option<LogHead> {
        self.1.set(self.1.get() + 1);
        self.0.get(log).map(|seq| LogHead { log: log.into(), seq: *seq, digest: Digest([1; 32]) })
    }
    fn logs(&self) -> Vec<LogHead> {
        self.0.keys().filter_map(|log| self.head(log)).collect()
    }
    fn end(&self) -> Position {
        Position::of(self.0.values().sum())
    }
}

struct Scene {
    session: Session,
    log: Paper,
    now: u64,
    out: Vec<OutEvent>,
}

impl Scene {
    fn new(config: Config) -> Self {
        let mut scene = Scene { session: Session::new(config), log: Paper::default(), now: 0, out: Vec::new() };
        scene.feed(InEvent::Opened);
        scene
    }

    /// With a 1.x peer that has shaken hands.
    fn v1(dialled: bool) -> Self {
        let mut scene = Self::new(Config::new(dialled, reason_unsafe_for_v1));
        scene.hear(&Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata: None, live: Some(true) }));
        assert_eq!(scene.session.peer_kind(), PeerKind::V1);
        scene
    }

    /// With a 2.x peer that has shaken hands.
    fn v2(max_frame: u64) -> Self {
        Self::extension(1, max_frame)
    }

    /// With a 2.x peer that speaks this version of the extension.
    fn extension(version: u64, max_frame: u64) -> Self {
        let mut scene = Self::new(Config::new(true, reason_unsafe_for_v1));
        let capability = Capability {
            network: None,
            version,
            flags: 0,
            max_frame,
            window: WINDOW,
            log: "theirs".into(),
            max_value: None,
            twin: None,
            schema: None,
        };
        let metadata = capability.encode();
        let handshake = Handshake { version: 1, mode: Mode::Sync, metadata: Some(&metadata), live: Some(true) };
        scene.hear(&Message::Handshake(handshake));
        assert_eq!(scene.session.peer_kind(), PeerKind::V2);
        scene
    }

    fn feed(&mut self, event: InEvent) {
        self.session.handle(event, self.now, &self.log);
        while let Some(out) = self.session.poll() {
            self.out.push(out);
        }
    }

    fn hear_bytes(&mut self, mut bytes: BytesMut) {
        while let Some(frame) = frame::split(&mut bytes, usize::MAX).unwrap() {
            self.feed(InEvent::Frame(frame));
        }
    }

    fn hear(&mut self, message: &Message<'_>) {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        self.hear_bytes(bytes);
    }

    fn hear_extension(&mut self, extension: &Extension<'_>) {
        let mut bytes = BytesMut::new();
        extension.encode(&mut bytes);
        self.hear_bytes(bytes);
    }

    fn tick_at(&mut self, now: u64) {
        self.now = now;
        self.feed(InEvent::Tick);
    }

    fn closed(&self) -> Option<&CloseReason> {
        self.out.iter().find_map(|out| match out {
            OutEvent::Close(reason) => Some(reason),
            _ => None,
        })
    }

    fn accused(&self) -> bool {
        matches!(self.closed(), Some(CloseReason::Peer(_)))
    }

    fn adds(&self) -> usize {
        self.out.iter().filter(|out| matches!(out, OutEvent::Add(_))).count()
    }
}

fn node(log: &str, seq: u64, key: Option<Key>) -> WireNode<'_> {
    WireNode { change: seq, key, log, seq, identity: None, signature: None, value: b"value", links: Default::default() }
}

fn row(log: &str, seq: u64, value: Vec<u8>) -> Row {
    let value = Bytes::from(value);
    let key = key_of(&[], &value);
    let node = Node { key, change: seq, log: log.into(), seq, links: Default::default(), value, signed: None };
    Row::new(Position::of(seq), log.into(), seq, node.into())
}

/// With a peer that takes large nodes in pieces, and has nothing.
fn with_pieces(mode: Mode, window: u64) -> Scene {
    let mut scene = Scene::new(Config::new(true, reason_unsafe_for_v1));
    let capability =
        Capability { window, ..Capability::ours(&Config::new(true, reason_unsafe_for_v1), "theirs".into()) };
    let metadata = capability.encode();
    scene.hear(&Message::Handshake(Handshake { version: 1, mode, metadata: Some(&metadata), live: Some(true) }));
    scene
}

/// Bytes sent of nodes in pieces, by log.
fn pieces(scene: &Scene) -> std::collections::BTreeMap<String, usize> {
    let mut sent = std::collections::BTreeMap::new();
    for out in &scene.out {
        let OutEvent::Send(bytes) = out else { continue };
        let mut bytes = BytesMut::from(&bytes[..]);
        while let Some(frame) = frame::split(&mut bytes, usize::MAX).unwrap() {
            let Ok(Message::Extension(kind, body)) = Message::decode(&frame) else { continue };
            if let Ok(Extension::Piece(piece)) = Extension::decode(kind, body) {
                *sent.entry(piece.log.to_string()).or_default() += piece.bytes.len();
            }
        }
    }
    sent
}
