//! Our session takes the place of each side of each recording: it gets, frame by frame, what a 1.x peer once sent, and must end
//! with the same nodes as that side.

// Helpers of tests, not of the product.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value
)]

mod sim;

use std::collections::{BTreeSet, HashMap};

use bytes::{Bytes, BytesMut};
use hyperemitter::event::reason_unsafe_for_v1;
use hyperemitter::hyperlog::SourceId;
use hyperemitter::node::Key;
use hyperemitter::protocol::message::Message;
use hyperemitter::protocol::{
    frame, CloseReason, Config, InEvent, Incoming, OutEvent, PeerKind, Session, SessionStage,
};
use serde_json::Value;
use sim::new::NewPeer;
use sim::recordings::{load, read_session, unframe, unhex, Script, Seen, SCRIPTS};

/// Our session on a log, with everything it asks for answered at once.
struct Side {
    peer: NewPeer,
    session: Session,
    sent: Vec<Bytes>,
    closed: Option<CloseReason>,
}

impl Side {
    fn new(peer: NewPeer, dialled: bool) -> Self {
        let session = Session::new(Config::new(dialled, reason_unsafe_for_v1));
        let mut side = Side { peer, session, sent: Vec::new(), closed: None };
        side.feed(InEvent::Opened, 0);
        side
    }

    fn feed(&mut self, event: InEvent, now: u64) {
        let mut next = vec![event];
        while let Some(event) = next.pop() {
            self.session.handle(event, now, &*self.peer.log);
            while let Some(out) = self.session.poll() {
                match out {
                    OutEvent::Send(bytes) => {
                        let mut input = BytesMut::from(&bytes[..]);
                        while let Some(frame) = frame::split(&mut input, usize::MAX).unwrap() {
                            self.sent.push(frame);
                        }
                    }
                    OutEvent::Read { after, limit } => next.push(InEvent::Rows(self.peer.log.read(after, limit))),
                    OutEvent::Add(nodes) => next.push(InEvent::Added(Ok(self.peer.add(SourceId(1), nodes)))),
                    OutEvent::Lookup(queries) => next.push(InEvent::LookedUp(Ok(self.peer.answer(&queries)))),
                    OutEvent::ForkLocal { from, .. } => panic!("a fork at {from}"),
                    OutEvent::Met(..) | OutEvent::Twin(_) => panic!("it has no instance id"),
                    OutEvent::Report(error) => panic!("{error}"),
                    OutEvent::Close(reason) => self.closed = Some(reason),
                }
            }
        }
    }

    fn hear(&mut self, frame: Bytes, now: u64) {
        self.feed(InEvent::Frame(frame), now);
        self.feed(InEvent::Idle, now);
        self.feed(InEvent::Advanced, now);
    }

    fn keys(&self) -> BTreeSet<Key> {
        self.peer.rows().iter().map(|row| row.node.key).collect()
    }

    fn nodes_sent(&self) -> Vec<(String, u64)> {
        let decoded = self.sent.iter().map(|frame| Message::decode(frame).unwrap());
        decoded
            .filter_map(|message| match message {
                Message::Node(node) => Some((node.log.to_string(), node.seq)),
                _ => None,
            })
            .collect()
    }
}

fn values(recording: &Value) -> HashMap<(String, u64), Bytes> {
    let mut values = HashMap::new();
    for session in recording["links"].as_object().unwrap().values().flat_map(|link| link.as_array().unwrap()) {
        for seen in read_session(session) {
            if let Message::Node(node) = Message::decode(&unframe(&seen.bytes)).unwrap() {
                values.insert((node.log.to_string(), node.seq), Bytes::copy_from_slice(node.value));
            }
        }
    }
    values
}

/// Our peer with what the recorded one had before the first link.
fn peer_before(script: &Script, recording: &Value, name: &str, values: &HashMap<(String, u64), Bytes>) -> NewPeer {
    let count = script.before.iter().find(|before| before.0 == name).map_or(0, |before| before.1);
    let peer = NewPeer::new(&format!("log-{name}"));
    let mut nodes = Vec::new();
    for node in recording["final"][name].as_array().unwrap().iter().take(count) {
        let fields: Vec<&str> = node.as_str().unwrap().split(' ').collect();
        let seq = fields[2].parse().unwrap();
        let links = fields[4].split(',').filter(|link| !link.is_empty()).map(|link| link.parse().unwrap()).collect();
        nodes.push(Incoming {
            log: fields[1].into(),
            seq,
            links,
            value: values[&(fields[1].to_string(), seq)].clone(),
            signed: None,
            claimed: Some(fields[3].parse().unwrap()),
        });
    }
    peer.add(SourceId(9), nodes);
    peer
}

/// Plays one side of one link; returns it and what the other side sent.
fn play(script: &Script, recording: &Value, link: &str, name: &str, dialled: bool) -> (Side, BTreeSet<Key>) {
    let values = values(recording);
    let mut side = Side::new(peer_before(script, recording, name, &values), dialled);
    let mut received = BTreeSet::new();
    for (index, session) in recording["links"][link].as_array().unwrap().iter().enumerate() {
        if index > 0 {
            side = Side::new(side.peer.reopened(), dialled);
        }
        let mut now = 0;
        for Seen { ms, from_dialler, bytes } in read_session(session) {
            now = ms;
            let frame = unframe(&bytes);
            if from_dialler != dialled {
                if let Message::Node(node) = Message::decode(&frame).unwrap() {
                    received.extend(node.key);
                }
                side.hear(frame, now);
            } else if let Message::Node(node) = Message::decode(&frame).unwrap() {
                // The events that this side's user emitted in the meantime, with their causes.
                let own = format!("log-{name}");
                if node.log == own && node.seq == side.peer.seq(&own) + 1 {
                    side.peer.add(
                        SourceId(9),
                        vec![Incoming {
                            log: own.as_str().into(),
                            seq: node.seq,
                            links: node.links.clone(),
                            value: Bytes::copy_from_slice(node.value),
                            signed: None,
                            claimed: node.key,
                        }],
                    );
                    side.feed(InEvent::Advanced, now);
                }
            }
        }
        assert_eq!(side.session.peer_kind(), PeerKind::V1);
        assert!(!matches!(side.closed, Some(CloseReason::Peer(_) | CloseReason::Local(_))), "{:?}", side.closed);
        for _ in 0..20 {
            let Some(at) = side.session.wake_at().filter(|at| *at < now + 3_000) else { break };
            side.feed(InEvent::Tick, at);
        }
    }
    (side, received)
}

#[test]
fn our_session_lives_through_every_recording_on_either_side() {
    for script in SCRIPTS.iter().filter(|script| script.name != "plain-hyperlog") {
        let recording = load(script.name);
        for (link, dialler, listener) in script.links {
            for (name, dialled) in [(dialler, true), (listener, false)] {
                let (side, received) = play(script, &recording, link, name, dialled);
                let label = format!("{}: {name} on {link}", script.name);
                if script.links.len() == 1 {
                    assert!(side.keys().is_superset(&received), "{label}");
                    let expected = recording["final"][*name].as_array().unwrap().len();
                    // Emits that the recording shows only as a later announcement cannot be replayed here.
                    assert!(side.keys().len() + script.emits.len() >= expected, "{label}");
                }
                let sent = side.nodes_sent();
                let unique: BTreeSet<_> = sent.iter().collect();
                assert_eq!(unique.len(), sent.len(), "{label}: a node is sent twice");
                let markers = |kind: &Message<'_>| {
                    side.sent.iter().filter(|frame| Message::decode(frame).unwrap() == *kind).count()
                };
                assert_eq!(markers(&Message::SentHeads), 1, "{label}");
                assert_eq!(markers(&Message::SentWants), 1, "{label}");
            }
        }
    }
}

#[test]
fn our_session_takes_hand_made_bytes_as_1x_takes_them() {
    // Nodes that 1.x accepts and ours refuses: 1.x would store the node under its own log, or split the log id at the `!`.
    let stricter = ["node with an empty log name", "node with an exclamation mark in its log name"];
    for case in load("raw")["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let peer = NewPeer::new("log-a");
        for number in 1..=3_u8 {
            peer.append([&b"\x0a\x05Test1\x12\x05\x0a\x01a\x10"[..], &[number]].concat().into());
        }
        let mut side = Side::new(peer, false);
        let mut input = BytesMut::new();
        let mut ended = false;
        for step in case["sent"].as_array().unwrap() {
            if let Some(hex) = step["hex"].as_str().or(step["echo"].as_str()) {
                input.extend_from_slice(&unhex(hex));
                while let Some(frame) = frame::split(&mut input, usize::MAX).unwrap() {
                    side.hear(frame, 0);
                }
            } else if step["action"] == "c.s.end()" {
                ended = true;
            } else {
                side.peer.append(Bytes::from_static(b"\x0a\x05Test1\x12\x08\x0a\x04live\x10\x01"));
                side.feed(InEvent::Advanced, 0);
            }
        }
        let closed = matches!(side.closed, Some(CloseReason::Peer(_)));
        let expected = (case["closed"] == true && !ended) || stricter.contains(&name);
        assert_eq!(closed, expected, "{name}: {:?}", side.closed);
        if let (Some(logs), false) = (case["logs"].as_array(), stricter.contains(&name)) {
            let ours: BTreeSet<String> =
                side.peer.rows().iter().map(|row| format!("!logs!{}!{:02x}", row.log(), row.seq())).collect();
            let expected: BTreeSet<String> = logs.iter().map(|key| key.as_str().unwrap().into()).collect();
            assert!(ours.is_superset(&expected), "{name}: {ours:?}");
            // Where 1.x starves a node behind an echo, ours takes it in.
            assert!(ours == expected || name == "live nodes out of order behind an echo", "{name}: {ours:?}");
        }
    }
}

#[test]
fn a_level_1x_peer_hears_of_an_event_at_once_and_only_once() {
    let peer = NewPeer::new("log-b");
    let mut side = Side::new(peer, true);
    for hex in ["0008012001", "04", "05"] {
        side.hear(unhex(hex).into(), 1);
    }
    assert_eq!(side.session.stage(), SessionStage::Live);
    side.peer.append(Bytes::from_static(b"\x0a\x01e\x12\x01x"));
    side.feed(InEvent::Advanced, 2);
    assert_eq!(side.nodes_sent(), [("log-b".to_string(), 1)]);
    let echo = side.sent.last().unwrap().clone();
    for now in 3..100 {
        side.hear(echo.clone(), now);
    }
    assert_eq!(side.nodes_sent().len(), 1);
    assert_eq!(side.session.counters().echoes, 97);
}
