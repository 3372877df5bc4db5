//! The model of 1.x (`sim::old`) against recordings of the original: every frame, byte for byte.
//!
//! Tolerance: a recording does not tell when a peer read a frame or when its user emitted, only when frames passed
//! the proxy. The replay lets the model choose among the steps that 1.x itself could have taken in that order; per
//! direction of each link the bytes and their order must match exactly, and nothing may be left over or missing.

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

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::{Bytes, BytesMut};
use hyperemitter::node::Key;
use hyperemitter::protocol::frame;
use hyperemitter::protocol::message::{Handshake, Message};
use serde_json::Value;
use sim::old::{OldLog, OldSession, Step};
use sim::recordings::{load, read_session, unframe, unhex, Script, Seen, SCRIPTS};

struct Wire {
    dialler: &'static str,
    listener: &'static str,
    sessions: Vec<Vec<Seen>>,
    session: usize,
    next: usize,
    ends: Option<[OldSession; 2]>,
    sent: [VecDeque<Bytes>; 2],
}

struct Replay {
    logs: BTreeMap<&'static str, OldLog>,
    values: HashMap<(String, u64), Bytes>,
    wires: BTreeMap<&'static str, Wire>,
}

impl Replay {
    fn new(script: &'static Script, recording: &Value) -> Self {
        let mut replay = Replay { logs: BTreeMap::new(), values: HashMap::new(), wires: BTreeMap::new() };
        for (link, dialler, listener) in script.links {
            let sessions = recording["links"][link].as_array().unwrap();
            let sessions: Vec<Vec<Seen>> = sessions.iter().map(read_session).collect();
            for seen in sessions.iter().flatten() {
                if let Message::Node(node) = Message::decode(&unframe(&seen.bytes)).unwrap() {
                    replay.values.insert((node.log.into(), node.seq), Bytes::copy_from_slice(node.value));
                }
            }
            let wire = Wire { dialler, listener, sessions, session: 0, next: 0, ends: None, sent: Default::default() };
            replay.wires.insert(link, wire);
            for peer in [dialler, listener] {
                replay.logs.entry(peer).or_insert_with(|| OldLog::new(&format!("log-{peer}")));
            }
        }
        for (peer, count) in script.before {
            replay.fill(peer, &recording["final"][peer], *count);
        }
        replay
    }

    /// Gives a peer its first `count` nodes, of whichever log.
    fn fill(&mut self, peer: &str, nodes: &Value, count: usize) {
        for node in nodes.as_array().unwrap().iter().take(count) {
            let fields: Vec<&str> = node.as_str().unwrap().split(' ').collect();
            let value = self.values[&(fields[1].to_string(), fields[2].parse().unwrap())].clone();
            let log = self.logs.get_mut(peer).unwrap();
            let own = std::mem::replace(&mut log.id, fields[1].into());
            assert_eq!(log.append(value).to_string(), fields[3]);
            log.id = own;
        }
    }

    fn run(&mut self, script: &'static Script) {
        loop {
            let mut order: Vec<&'static str> = self.wires.keys().copied().collect();
            order.sort_by_key(|link| self.upcoming(link).map_or(u64::MAX, |seen| seen.ms));
            if order.iter().all(|link| self.upcoming(link).is_none()) {
                break;
            }
            let moved = order.iter().any(|link| self.upcoming(link).is_some() && self.advance(script, link));
            assert!(moved, "{}: the model cannot produce {:?}", script.name, self.describe());
        }
    }

    fn upcoming(&self, link: &str) -> Option<Seen> {
        let wire = &self.wires[link];
        wire.sessions.get(wire.session)?.get(wire.next).cloned()
    }

    fn describe(&self) -> Vec<String> {
        self.wires
            .iter()
            .filter_map(|(link, wire)| {
                let seen = self.upcoming(link)?;
                let frame = unframe(&seen.bytes);
                Some(format!(
                    "{link} session {} frame {} from dialler {}: {:?}",
                    wire.session,
                    wire.next,
                    seen.from_dialler,
                    Message::decode(&frame)
                ))
            })
            .collect()
    }

    /// Lets the sender of the next recorded frame of `link` produce it, and passes it on.
    fn advance(&mut self, script: &'static Script, link: &'static str) -> bool {
        let seen = self.upcoming(link).unwrap();
        let wire = self.wires.get_mut(link).unwrap();
        if wire.ends.is_none() {
            let live = |peer: &str| peer != "x";
            let mut ends = [OldSession::new(live(wire.dialler)), OldSession::new(live(wire.listener))];
            for (index, end) in ends.iter_mut().enumerate() {
                wire.sent[index].extend(end.take_out());
            }
            wire.ends = Some(ends);
        }
        let side = usize::from(!seen.from_dialler);
        let (session, next) = (wire.session, wire.next);
        let peer = if seen.from_dialler { wire.dialler } else { wire.listener };
        let due: Vec<_> = script
            .emits
            .iter()
            .filter(|emit| {
                (emit.0, emit.1, emit.2) == (link, session, next)
                    && self.logs[emit.3].seq(&format!("log-{}", emit.3)) < emit.4
            })
            .collect();
        for emit in due {
            let value = self.values[&(format!("log-{}", emit.3), emit.4)].clone();
            self.logs.get_mut(emit.3).unwrap().append(value);
        }
        loop {
            let wire = self.wires.get_mut(link).unwrap();
            if let Some(produced) = wire.sent[side].pop_front() {
                assert_eq!(
                    Message::decode(&unframe(&produced)).unwrap(),
                    Message::decode(&unframe(&seen.bytes)).unwrap(),
                    "{}: {:?}",
                    script.name,
                    self.describe()
                );
                assert_eq!(produced, seen.bytes, "{}: {:?}", script.name, self.describe());
                break;
            }
            if !self.step(peer, link, side, &seen) {
                return false;
            }
        }
        let wire = self.wires.get_mut(link).unwrap();
        wire.ends.as_mut().unwrap()[1 - side].deliver(unframe(&seen.bytes));
        wire.next += 1;
        if wire.next == wire.sessions[wire.session].len() && wire.session + 1 < wire.sessions.len() {
            self.settle(script);
            let wire = self.wires.get_mut(link).unwrap();
            wire.session += 1;
            wire.next = 0;
            wire.ends = None;
        }
        true
    }

    /// Takes one step of `peer` towards the frame that it has to send on `link`.
    fn step(&mut self, peer: &'static str, link: &'static str, side: usize, wanted: &Seen) -> bool {
        let log = self.logs.get_mut(peer).unwrap();
        let wire = self.wires.get_mut(link).unwrap();
        let end = &mut wire.ends.as_mut().unwrap()[side];
        for step in [Step::Push, Step::Stream] {
            if end.steps(log).contains(&step) {
                end.run(step, log);
                wire.sent[side].extend(end.take_out());
                return true;
            }
        }
        let frame = unframe(&wanted.bytes);
        if let Message::Node(node) = Message::decode(&frame).unwrap() {
            let next = node.log == log.id && node.seq == log.seq(&log.id) + 1 && node.change == log.changes() + 1;
            if next && node.key == Some(log.key_of_next(node.value)) {
                log.append(Bytes::copy_from_slice(node.value));
                return true;
            }
        }
        // A reconnecting peer announces what it emitted while it was away.
        if let Message::Have(have) = Message::decode(&frame).unwrap() {
            assert!(
                have.log != log.id || have.seq <= log.seq(&log.id),
                "{link}: an emit is missing in the script: {have:?}"
            );
        }
        if end.steps(log).contains(&Step::Parse) {
            self.parse_one(link, side);
            return true;
        }
        // Something that arrived on another link may cause it.
        let others: Vec<_> = self.wires.keys().copied().filter(|other| *other != link).collect();
        for other in others {
            for side in 0..2 {
                if self.peer_of(other, side) == peer && self.parse_one(other, side) {
                    return true;
                }
            }
        }
        false
    }

    fn peer_of(&self, link: &str, side: usize) -> &'static str {
        let wire = &self.wires[link];
        if side == 0 {
            wire.dialler
        } else {
            wire.listener
        }
    }

    fn parse_one(&mut self, link: &str, side: usize) -> bool {
        let peer = self.peer_of(link, side);
        let log = self.logs.get_mut(peer).unwrap();
        let wire = self.wires.get_mut(link).unwrap();
        let Some(ends) = wire.ends.as_mut() else { return false };
        if !ends[side].steps(log).contains(&Step::Parse) {
            return false;
        }
        ends[side].run(Step::Parse, log);
        wire.sent[side].extend(ends[side].take_out());
        true
    }

    /// Handles everything that was delivered. It must not produce frames that were not recorded.
    fn settle(&mut self, script: &Script) {
        let links: Vec<_> = self.wires.keys().copied().collect();
        for link in links {
            for side in 0..2 {
                while self.parse_one(link, side) {}
                let peer = self.peer_of(link, side);
                let wire = self.wires.get_mut(link).unwrap();
                let over = wire.next == wire.sessions[wire.session].len();
                let Some(ends) = wire.ends.as_mut() else { continue };
                let log = self.logs.get_mut(peer).unwrap();
                while let (true, Some(step)) = (over, ends[side].steps(log).first().copied()) {
                    ends[side].run(step, log);
                    wire.sent[side].extend(ends[side].take_out());
                }
                if over {
                    let left: Vec<_> = wire.sent[side].drain(..).collect();
                    assert!(
                        left.is_empty(),
                        "{}: {link} side {side} sends {left:02x?} beyond the recording",
                        script.name
                    );
                }
            }
        }
    }
}

#[test]
fn the_model_reproduces_every_recording_frame_for_frame() {
    for script in SCRIPTS {
        let recording = load(script.name);
        let mut replay = Replay::new(script, &recording);
        replay.run(script);
        replay.settle(script);
        for (peer, nodes) in recording["final"].as_object().unwrap() {
            let log = &replay.logs[peer.as_str()];
            let expected: Vec<String> =
                nodes.as_array().unwrap().iter().map(|node| node.as_str().unwrap().into()).collect();
            let ours: Vec<String> = log
                .nodes()
                .map(|node| {
                    let links: Vec<String> = node.links.iter().map(Key::to_string).collect();
                    format!("{} {} {} {} {}", node.change, node.log, node.seq, node.key, links.join(","))
                })
                .collect();
            // What never crossed a recorded link cannot be known.
            assert!(expected.starts_with(&ours) && expected.len() <= ours.len() + 1, "{}: {peer}", script.name);
        }
    }
}

/// The emits of `raw.json`'s actions, by number.
fn live_value(number: u8) -> Bytes {
    let mut value = b"\x0a\x05Test1\x12\x08\x0a\x04live\x10".to_vec();
    value.push(number);
    value.into()
}

#[test]
fn the_model_answers_hand_made_bytes_as_the_original_did() {
    let recording = load("raw");
    let mut checked = 0;
    for case in recording["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let mut log = OldLog::new("log-a");
        for number in 1..=3 {
            let mut value = b"\x0a\x05Test1\x12\x05\x0a\x01a\x10".to_vec();
            value.push(number);
            log.append(value.into());
        }
        let mut session = OldSession::new(true);
        let mut sent: Vec<Bytes> = session.take_out();
        let mut input = BytesMut::new();
        let mut ended = false;
        for step in case["sent"].as_array().unwrap() {
            match step["action"].as_str() {
                Some("c.s.end()") => ended = true,
                Some(action) => {
                    log.append(live_value(action.trim_start_matches("c.emit(").trim_end_matches(')').parse().unwrap()));
                }
                None => {
                    let hex = step["hex"].as_str().or(step["echo"].as_str()).unwrap();
                    input.extend_from_slice(&unhex(hex));
                    while let Some(frame) = frame::split(&mut input, usize::MAX).unwrap() {
                        session.deliver(frame);
                    }
                }
            }
            while let Some(step) = session.steps(&log).first().copied() {
                session.run(step, &mut log);
            }
            sent.extend(session.take_out());
        }
        let expected: Vec<Vec<u8>> =
            case["received"].as_array().unwrap().iter().map(|hex| unhex(hex.as_str().unwrap())).collect();
        let shown = |frames: &[Bytes]| -> Vec<String> {
            frames.iter().map(|frame| format!("{:?}", Message::decode(&unframe(frame)))).collect()
        };
        // 1.x crashes (on a value that is not an event) in its dispatcher, before the live stream's next turn.
        let crashed = case["crash"] == true;
        if crashed {
            sent.truncate(expected.len());
        }
        assert_eq!(sent, expected, "{name}: {:#?}", shown(&sent));
        assert_eq!(session.is_closed() || ended, case["closed"] == true, "{name}");
        if let Some(logs) = case["logs"].as_array() {
            let mut ours: Vec<String> = log.entries().map(|(log, seq, _)| format!("!logs!{log}!{seq:02x}")).collect();
            ours.sort();
            let expected: Vec<&str> = logs.iter().map(|key| key.as_str().unwrap()).collect();
            assert_eq!(ours, expected, "{name}");
        }
        if name == "unsolicited node before sentHeads" {
            assert_eq!(session.defects.negative, 1, "defect 6 of docs/design/wire.md");
        }
        checked += 1;
    }
    assert_eq!(checked, 54);
}

#[test]
fn every_recorded_frame_survives_decoding_and_encoding() {
    let mut frames = 0;
    for script in SCRIPTS {
        let recording = load(script.name);
        for session in
            recording["links"].as_object().unwrap().values().flat_map(|sessions| sessions.as_array().unwrap())
        {
            for seen in read_session(session) {
                let frame = unframe(&seen.bytes);
                let mut again = BytesMut::new();
                Message::decode(&frame).unwrap().encode(&mut again);
                assert_eq!(again, seen.bytes);
                frames += 1;
            }
        }
    }
    for case in load("raw")["cases"].as_array().unwrap() {
        for hex in case["received"].as_array().unwrap() {
            let bytes = unhex(hex.as_str().unwrap());
            let frame = unframe(&bytes);
            let mut again = BytesMut::new();
            Message::decode(&frame).unwrap().encode(&mut again);
            assert_eq!(again, bytes);
            frames += 1;
        }
    }
    assert!(frames > 600, "{frames}");
    let plain = Handshake { version: 1, mode: Default::default(), metadata: None, live: Some(true) };
    let mut out = BytesMut::new();
    Message::Handshake(plain).encode(&mut out);
    assert_eq!(out, unhex("050008012001"));
}
