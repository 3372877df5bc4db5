//! A model of hyperemitter 1.x's replication: hyperlog 4.12.1 with its defects (docs/design/wire.md, "With a 1.x peer").
//!
//! A peer works in the same steps as hyperlog's callbacks: its parser handles one frame, its outgoing loop sends one node, or its
//! live stream sends one node. The caller chooses the next step; in the original it depends on timing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use bytes::{Bytes, BytesMut};
use hyperemitter::node::{key_of, Key};
use hyperemitter::protocol::message::{Handshake, LogSeq, Message, Mode, WireNode};

/// How often each defect occurred.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Defects {
    /// 1: a node the peer already has was parked for ever.
    pub echo_parked: u64,
    /// 2: a parked node could have been added, but another one was tried.
    pub starved: u64,
    /// 3: everything wanted is there, yet `missing` is not 0.
    pub two_sources: u64,
    /// 4: announced one entry more than the snapshot holds.
    pub grown_by_one: u64,
    /// 4: had to announce a log that had grown by more than one entry since the snapshot, and never stopped reading.
    pub grown_loop: u64,
    /// 5: a duplicate entry was stored that live links never relay.
    pub unrelayed: u64,
    /// 6: `missing` went below 0.
    pub negative: u64,
}

impl Defects {
    pub fn add(&mut self, other: &Defects) {
        self.echo_parked += other.echo_parked;
        self.starved += other.starved;
        self.two_sources += other.two_sources;
        self.grown_by_one += other.grown_by_one;
        self.grown_loop += other.grown_loop;
        self.unrelayed += other.unrelayed;
        self.negative += other.negative;
    }
}

#[derive(Clone, Debug)]
pub struct OldNode {
    pub change: u64,
    pub key: Key,
    pub log: String,
    pub seq: u64,
    pub links: Vec<Key>,
    pub value: Bytes,
    pub identity: Option<Bytes>,
    pub signature: Option<Bytes>,
}

#[derive(Clone, Debug)]
struct OldEntry {
    change: u64,
    key: Key,
    links: Vec<String>,
}

enum Refusal {
    NotFound,
    Checksum,
}

/// hyperlog's log, in memory.
#[derive(Clone, Debug)]
pub struct OldLog {
    pub id: String,
    /// Keeps the signatures of nodes, as hyperlog does.
    relays_seals: bool,
    nodes: HashMap<Key, OldNode>,
    by_change: Vec<Key>,
    heads: BTreeSet<Key>,
    logs: BTreeMap<String, Vec<OldEntry>>,
}

impl OldLog {
    pub fn new(id: &str) -> Self {
        OldLog {
            id: id.into(),
            relays_seals: true,
            nodes: HashMap::new(),
            by_change: Vec::new(),
            heads: BTreeSet::new(),
            logs: BTreeMap::new(),
        }
    }

    /// One that drops the signatures of nodes.
    pub fn without_signatures(self) -> Self {
        OldLog { relays_seals: false, ..self }
    }

    pub fn changes(&self) -> u64 {
        self.by_change.len() as u64
    }

    pub fn seq(&self, log: &str) -> u64 {
        self.logs.get(log).map_or(0, |entries| entries.len() as u64)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &OldNode> {
        self.by_change.iter().map(|key| &self.nodes[key])
    }

    pub fn node(&self, key: &Key) -> Option<&OldNode> {
        self.nodes.get(key)
    }

    /// Keys of the log records, as in 1.x's store.
    pub fn entries(&self) -> impl Iterator<Item = (&String, u64, Key)> {
        self.logs.iter().flat_map(|(log, entries)| {
            entries.iter().enumerate().map(move |(index, entry)| (log, index as u64 + 1, entry.key))
        })
    }

    /// The key that an event would get if emitted now.
    pub fn key_of_next(&self, value: &[u8]) -> Key {
        let links: Vec<Key> = self.heads.iter().copied().collect();
        key_of(&links, value)
    }

    pub fn append(&mut self, value: Bytes) -> Key {
        let links: Vec<Key> = self.heads.iter().copied().collect();
        let key = key_of(&links, &value);
        let id = self.id.clone();
        let _ = self.add(links, value, &id, 0, None, None, None);
        key
    }

    /// hyperlog's `add`: links, then checksum, then seq. `Ok(true)` if only a log entry was written.
    #[allow(clippy::too_many_arguments)]
    fn add(
        &mut self,
        links: Vec<Key>,
        value: Bytes,
        log: &str,
        seq: u64,
        hash: Option<Key>,
        identity: Option<Bytes>,
        signature: Option<Bytes>,
    ) -> Result<bool, Refusal> {
        let log = if log.is_empty() { self.id.clone() } else { log.to_string() };
        let mut log_links: Vec<String> = Vec::new();
        for link in &links {
            let node = self.nodes.get(link).ok_or(Refusal::NotFound)?;
            if node.log != log && !log_links.contains(&node.log) {
                log_links.push(node.log.clone());
            }
        }
        let key = key_of(&links, &value);
        let next = self.seq(&log) + 1;
        if hash.is_some_and(|hash| hash != key) {
            return Err(Refusal::Checksum);
        }
        if seq != 0 && seq != next {
            return Err(Refusal::NotFound);
        }
        let clone = self.nodes.get(&key).map(|node| node.change);
        let change = clone.unwrap_or(self.changes() + 1);
        self.logs.entry(log.clone()).or_default().push(OldEntry { change, key, links: log_links });
        if clone.is_some() {
            return Ok(true);
        }
        for link in &links {
            self.heads.remove(link);
        }
        self.heads.insert(key);
        self.by_change.push(key);
        let signature = signature.filter(|_| self.relays_seals);
        self.nodes.insert(key, OldNode { change, key, log, seq: next, links, value, identity, signature });
        Ok(false)
    }
}

#[derive(Clone, Debug)]
struct Parked {
    change: u64,
    key: Option<Key>,
    log: String,
    seq: u64,
    links: Vec<Key>,
    value: Bytes,
    identity: Option<Bytes>,
    signature: Option<Bytes>,
}

#[derive(Clone, Debug)]
struct Pending {
    change: u64,
    key: Key,
    log: String,
    seq: u64,
}

/// What a session can do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Handle the next frame.
    Parse,
    /// Send the next wanted node.
    Push,
    /// Send the next node of the live stream.
    Stream,
}

/// One end of a 1.x link.
#[derive(Clone, Debug)]
pub struct OldSession {
    inbox: VecDeque<Bytes>,
    out: Vec<Bytes>,
    outgoing: Vec<Pending>,
    incoming: Vec<Parked>,
    pushing: HashSet<String>,
    changes: u64,
    missing: i64,
    done: bool,
    remote_sent_wants: bool,
    remote_sent_heads: bool,
    local_sent_wants: bool,
    local_sent_heads: bool,
    heads_heard: bool,
    wants_heard: bool,
    live: bool,
    stream_at: Option<u64>,
    parser_stuck: bool,
    pusher_stuck: bool,
    closed: bool,
    haves: Vec<(String, u64)>,
    dead_counted: bool,
    pub defects: Defects,
}

impl OldSession {
    pub fn new(live: bool) -> Self {
        let mut session = OldSession {
            inbox: VecDeque::new(),
            out: Vec::new(),
            outgoing: Vec::new(),
            incoming: Vec::new(),
            pushing: HashSet::new(),
            changes: 0,
            missing: 0,
            done: false,
            remote_sent_wants: false,
            remote_sent_heads: false,
            local_sent_wants: false,
            local_sent_heads: false,
            heads_heard: false,
            wants_heard: false,
            live,
            stream_at: None,
            parser_stuck: false,
            pusher_stuck: false,
            closed: false,
            haves: Vec::new(),
            dead_counted: false,
            defects: Defects::default(),
        };
        let live = live.then_some(true);
        session.send(&Message::Handshake(Handshake { version: 1, mode: Mode::Sync, metadata: None, live }));
        session
    }

    pub fn deliver(&mut self, frame: Bytes) {
        self.inbox.push_back(frame);
    }

    pub fn take_out(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.out)
    }

    pub fn is_closed(&self) -> bool {
        self.closed
    }

    pub fn parked(&self) -> usize {
        self.incoming.len()
    }

    pub fn is_live(&self) -> bool {
        self.done
    }

    pub fn inbox_len(&self) -> usize {
        self.inbox.len()
    }

    /// What can happen next.
    pub fn steps(&self, log: &OldLog) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.closed {
            return steps;
        }
        if !self.inbox.is_empty() && !self.parser_stuck {
            steps.push(Step::Parse);
        }
        if !self.outgoing.is_empty() && !self.pusher_stuck {
            steps.push(Step::Push);
        }
        if self.stream_at.is_some_and(|at| at < log.changes()) {
            steps.push(Step::Stream);
        }
        steps
    }

    pub fn run(&mut self, step: Step, log: &mut OldLog) {
        match step {
            Step::Parse => {
                let Some(frame) = self.inbox.pop_front() else { return };
                if self.parse(&frame, log).is_none() {
                    self.closed = true;
                }
            }
            Step::Push => self.push(log),
            Step::Stream => self.stream(log),
        }
        self.notice_two_sources(log);
    }

    fn send(&mut self, message: &Message<'_>) {
        let mut out = BytesMut::new();
        message.encode(&mut out);
        self.out.push(out.freeze());
    }

    /// `None` if the link ends.
    fn parse(&mut self, frame: &Bytes, log: &mut OldLog) -> Option<()> {
        match Message::decode(frame).ok()? {
            Message::Handshake(handshake) => {
                self.remote_sent_wants = handshake.mode == Mode::Push;
                self.remote_sent_heads = handshake.mode == Mode::Pull;
                self.local_sent_wants = handshake.mode == Mode::Pull;
                self.local_sent_heads = handshake.mode == Mode::Push;
                self.live |= handshake.live.unwrap_or(false);
                if self.local_sent_heads {
                    self.update();
                    return Some(());
                }
                self.changes = log.changes();
                for key in log.heads.clone() {
                    let of = log.nodes[&key].log.clone();
                    if !self.send_have(&of, log) {
                        self.parser_stuck = true;
                        return Some(());
                    }
                }
                self.local_sent_heads = true;
                self.send(&Message::SentHeads);
                self.update();
            }
            Message::Have(have) => {
                self.haves.push((have.log.into(), have.seq));
                let ours = log.seq(have.log);
                if ours < have.seq {
                    self.missing += (have.seq - ours) as i64;
                    self.send(&Message::Want(LogSeq { log: have.log, seq: ours }));
                }
            }
            Message::Want(want) => {
                if !self.send_node(want.log, want.seq + 1, log) {
                    self.parser_stuck = true;
                }
            }
            Message::Node(node) => {
                let parked = Parked {
                    change: node.change,
                    key: node.key,
                    log: node.log.into(),
                    seq: node.seq,
                    links: node.links.to_vec(),
                    value: Bytes::copy_from_slice(node.value),
                    identity: node.identity.map(Bytes::copy_from_slice),
                    signature: node.signature.map(Bytes::copy_from_slice),
                };
                self.receive(parked, log)?;
            }
            Message::SentHeads => {
                if !std::mem::replace(&mut self.heads_heard, true) {
                    if !self.local_sent_wants && self.missing == 0 {
                        self.say_sent_wants();
                    }
                    self.remote_sent_heads = true;
                    self.update();
                }
            }
            Message::SentWants => {
                if !std::mem::replace(&mut self.wants_heard, true) {
                    self.remote_sent_wants = true;
                    self.update();
                }
            }
            Message::Extension(..) | Message::Empty => {}
        }
        Some(())
    }

    fn update(&mut self) {
        let all = self.local_sent_wants && self.local_sent_heads && self.remote_sent_wants && self.remote_sent_heads;
        if self.done || !all {
            return;
        }
        self.done = true;
        if self.live {
            self.stream_at = Some(self.changes);
        } else {
            self.closed = true;
        }
    }

    fn say_sent_wants(&mut self) {
        self.local_sent_wants = true;
        self.send(&Message::SentWants);
        self.update();
    }

    /// `false` if it never returns (defect 4).
    fn send_have(&mut self, of: &str, log: &OldLog) -> bool {
        if !self.pushing.insert(of.into()) {
            return true;
        }
        let seq = log.seq(of);
        let entries = &log.logs[of];
        let change =
            |seq: u64| seq.checked_sub(1).and_then(|index| entries.get(index as usize)).map(|entry| entry.change);
        match change(seq) {
            None => return true,
            Some(at) if at <= self.changes => {}
            Some(_) => match change(seq - 1) {
                None => return true,
                // The loop of 1.x looks at the entry before this one, but never at an earlier one. It announces the seq that it
                // started with.
                Some(at) if at <= self.changes => self.defects.grown_by_one += 1,
                Some(_) => {
                    self.defects.grown_loop += 1;
                    return false;
                }
            },
        }
        self.send(&Message::Have(LogSeq { log: of, seq }));
        true
    }

    /// `false` if it never returns.
    fn send_node(&mut self, of: &str, seq: u64, log: &OldLog) -> bool {
        let Some(entry) = seq.checked_sub(1).and_then(|index| log.logs.get(of)?.get(index as usize)) else {
            return true;
        };
        if entry.change > self.changes {
            return true;
        }
        for link in entry.links.clone() {
            if !self.send_have(&link, log) {
                return false;
            }
        }
        let pending = Pending { change: entry.change, key: entry.key, log: of.into(), seq };
        let at = self.outgoing.partition_point(|other| other.change <= pending.change);
        self.outgoing.insert(at, pending);
        true
    }

    fn push(&mut self, log: &OldLog) {
        let pending = self.outgoing.remove(0);
        self.write_node(&log.nodes[&pending.key], &pending.log, pending.seq);
        if !self.send_node(&pending.log, pending.seq + 1, log) {
            self.pusher_stuck = true;
        }
    }

    fn stream(&mut self, log: &OldLog) {
        let Some(at) = self.stream_at else { return };
        let node = &log.nodes[&log.by_change[at as usize]];
        self.write_node(node, &node.log, node.seq);
        self.stream_at = Some(at + 1);
    }

    fn write_node(&mut self, node: &OldNode, log: &str, seq: u64) {
        self.send(&Message::Node(WireNode {
            change: node.change,
            key: Some(node.key),
            log,
            seq,
            identity: node.identity.as_deref(),
            signature: node.signature.as_deref(),
            value: &node.value,
            links: node.links.iter().copied().collect(),
        }));
    }

    fn receive(&mut self, node: Parked, log: &mut OldLog) -> Option<()> {
        let mut next = Some(node);
        while let Some(node) = next.take() {
            let added = log.add(
                node.links.clone(),
                node.value.clone(),
                &node.log,
                node.seq,
                node.key,
                node.identity.clone(),
                node.signature.clone(),
            );
            match added {
                Err(Refusal::Checksum) => return None,
                Err(Refusal::NotFound) => {
                    if node.seq != 0 && node.seq <= log.seq(&node.log) {
                        self.defects.echo_parked += 1;
                    }
                    let at = self.incoming.partition_point(|other| other.change <= node.change);
                    self.incoming.insert(at, node);
                    self.notice_starvation(log);
                }
                Ok(duplicate) => {
                    if duplicate {
                        self.defects.unrelayed += 1;
                    }
                    if !self.local_sent_wants {
                        self.missing -= 1;
                        if self.missing == -1 {
                            self.defects.negative += 1;
                        }
                        if self.missing == 0 {
                            self.say_sent_wants();
                            return Some(());
                        }
                    }
                    if !self.incoming.is_empty() {
                        next = Some(self.incoming.remove(0));
                    }
                }
            }
        }
        Some(())
    }

    fn notice_starvation(&mut self, log: &OldLog) {
        let addable = |node: &Parked| {
            node.seq == log.seq(&node.log) + 1 && node.links.iter().all(|link| log.nodes.contains_key(link))
        };
        if self.incoming.len() > 1 && self.incoming.len() < 200 && self.incoming.iter().skip(1).any(addable) {
            self.defects.starved += 1;
        }
    }

    fn notice_two_sources(&mut self, log: &OldLog) {
        if self.dead_counted || self.local_sent_wants || !self.remote_sent_heads || self.missing <= 0 {
            return;
        }
        if self.inbox.is_empty() && self.haves.iter().all(|(of, seq)| log.seq(of) >= *seq) {
            self.dead_counted = true;
            self.defects.two_sources += 1;
        }
    }
}
