//! The simulated network: virtual time, links with delays, processes that come and go.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use bytes::{Bytes, BytesMut};
use hyperemitter::branch::Branch;
use hyperemitter::event::reason_unsafe_for_v1;
use hyperemitter::hyperlog::parking::{ParkedTotal, MAX_SOURCE_BYTES, MAX_SOURCE_NODES, MAX_TOTAL_BYTES};
use hyperemitter::hyperlog::trust::Unsigned;
use hyperemitter::hyperlog::verify::verify;
use hyperemitter::hyperlog::SourceId;
use hyperemitter::identity::seal::claims_owner;
use hyperemitter::node::{Key, LogId, Seq};
use hyperemitter::protocol::message::{LogSeq, Message, WireNode};
use hyperemitter::protocol::twins::{Turn, Twins};
use hyperemitter::protocol::unknown_logs::MAX_LOGS;
use hyperemitter::protocol::{
    frame, CloseReason, Config, InEvent, Incoming, Instance, Lookup, OutEvent, PeerKind, Session, SessionStage, Token,
};
use hyperemitter::store::{Position, ReadLimit};

use super::check::Witness;
use super::foe::{Deed, Foe};
use super::new::NewPeer;
use super::old::{Defects, OldLog, OldSession};
use super::rng::Rng;
use super::setup::{Fault, Kind, Setup};

/// Bytes under way on a link before reads wait, as the driver does.
const LOW_WATER: usize = 64 * 1024;

/// Attempts after which 1.x's dialler gives up.
const OLD_ATTEMPTS: u32 = 10;

/// Harness heals links between two 1.x peers now and then; they have no means of their own.
const HEAL_MS: u64 = 7_000;

pub enum Body {
    Old(OldLog),
    New(Box<NewPeer>),
    Hostile,
}

pub struct Peer {
    pub body: Body,
    up: bool,
    stalled_until: u64,
    emitted: BTreeSet<Key>,
    restarted: bool,
}

enum End {
    Old(Box<OldSession>, BytesMut),
    New(Box<NewEnd>),
    Hostile(Option<Box<Foe>>),
}

struct NewEnd {
    session: Session,
    input: BytesMut,
    source: SourceId,
    wake_set: Option<u64>,
    witness: Option<Witness>,
}

struct Conn {
    id: u64,
    ends: [Option<End>; 2],
    pipes: [VecDeque<Bytes>; 2],
    queued: [usize; 2],
    last_due: [u64; 2],
}

struct Link {
    peers: [usize; 2],
    delay: (u64, u64),
    conn: Option<Conn>,
    down_until: u64,
    attempts: u32,
    backoff: u64,
    dial_set: bool,
}

enum Work {
    Read(Position, ReadLimit),
    Add(Vec<Incoming>),
    Ask(Vec<Lookup>),
    Fork(LogId, Seq),
}

enum Ev {
    Arrive(usize, u64, usize),
    OldStep(usize, u64, usize),
    Answer(usize, u64, usize, Work),
    Wake(usize, u64, usize),
    TakeOver(usize, u64, usize),
    Advanced(usize),
    Dial(usize),
    Emit(usize, Vec<u8>),
    Fault(Fault),
    Return(usize),
    Heal,
    /// Only a time at which the state is checked.
    Look,
    Nonsense(usize, u64),
}

/// Results of a run.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub defects: Defects,
    pub nodes: usize,
    pub half_open: u64,
    pub half_open_inbound: u64,
    pub forks: u64,
    pub harmful: u64,
    pub peer_faults: u64,
    pub nonsense: u64,
    pub echoes: u64,
    pub in_vain: u64,
    pub level_at: u64,
    pub most_queued: usize,
    /// Bytes sent over all links.
    pub bytes: u64,
    pub foe: Caused,
}

/// What hostile members caused at their peers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caused {
    /// Bytes that they sent.
    pub bytes: u64,
    /// How often they sent something.
    pub turns: u64,
    /// How often an honest link ended because one side held what was made up.
    pub cut: u64,
    /// Links between honest peers.
    pub honest_links: u64,
    /// Nodes that honest peers hold and did not emit.
    pub made_up: usize,
    /// Look-ups in the store.
    pub asked: u64,
    /// Rows read.
    pub read: u64,
    /// Bytes sent to them.
    pub sent: u64,
    /// Nodes that one session had parked, at the most.
    pub parked: usize,
    /// Bytes of incomplete nodes kept, at the most.
    pub partial: usize,
}

pub struct World {
    pub now: u64,
    rng: Rng,
    setup: Setup,
    pub peers: Vec<Peer>,
    links: Vec<Link>,
    queue: BTreeMap<(u64, u64), Ev>,
    count: u64,
    conns: u64,
    pub emitted: BTreeSet<Key>,
    pub stats: Stats,
    advanced_set: HashSet<usize>,
    failure: Option<String>,
    pub trace: bool,
}

impl World {
    pub fn new(setup: Setup) -> Self {
        let peers = setup
            .kinds
            .iter()
            .enumerate()
            .map(|(index, kind)| {
                let id = format!("log-{index}");
                let unsigned = if setup.unsigned { Unsigned::Accept } else { Unsigned::Refuse };
                let body = match kind {
                    Kind::Old if !setup.relays_seals => Body::Old(OldLog::new(&id).without_signatures()),
                    Kind::Old => Body::Old(OldLog::new(&id)),
                    Kind::New if setup.sealed.contains(&index) => Body::New(Box::new(NewPeer::sealed(index, unsigned))),
                    Kind::New => Body::New(Box::new(NewPeer::new(&id))),
                    Kind::Hostile => Body::Hostile,
                };
                Peer { body, up: true, stalled_until: 0, emitted: BTreeSet::new(), restarted: false }
            })
            .collect();
        let links = setup
            .links
            .iter()
            .map(|(dialler, listener, delay)| Link {
                peers: [*dialler, *listener],
                delay: *delay,
                conn: None,
                down_until: 0,
                attempts: 0,
                backoff: 100,
                dial_set: false,
            })
            .collect();
        let mut world = World {
            now: 0,
            rng: Rng::new(setup.seed ^ 0xabcd),
            peers,
            links,
            queue: BTreeMap::new(),
            count: 0,
            conns: 0,
            emitted: BTreeSet::new(),
            stats: Stats::default(),
            advanced_set: HashSet::new(),
            failure: None,
            trace: std::env::var("SIM_TRACE").is_ok(),
            setup,
        };
        world.fill_queue();
        world
    }

    fn fill_queue(&mut self) {
        for (at, peer, value) in self.setup.emits.clone() {
            if at == 0 {
                self.emit(peer, value);
            } else {
                self.at(at, Ev::Emit(peer, value));
            }
        }
        for (at, fault) in self.setup.faults.clone() {
            self.at(at, Ev::Fault(fault));
        }
        for (link, at) in self.setup.dials.clone().into_iter().enumerate() {
            self.links[link].dial_set = true;
            self.at(at, Ev::Dial(link));
        }
        self.at(HEAL_MS, Ev::Heal);
        self.at(self.calm_at(), Ev::Look);
    }

    fn at(&mut self, at: u64, event: Ev) {
        self.count += 1;
        self.queue.insert((at.max(self.now), self.count), event);
    }

    fn soon(&mut self, most: u64, event: Ev) {
        let delay = self.rng.below(most + 1);
        self.at(self.now + delay, event);
    }

    /// Everything the peers hold now counts as emitted.
    pub fn take_stock(&mut self) {
        for peer in 0..self.peers.len() {
            self.emitted.extend(self.keys_of(peer).unwrap_or_default());
        }
    }

    pub fn new_peer(&mut self, peer: usize) -> &mut NewPeer {
        match &mut self.peers[peer].body {
            Body::New(new) => new,
            _ => panic!("peer {peer} is not one of ours"),
        }
    }

    pub fn old_log(&mut self, peer: usize) -> &mut OldLog {
        match &mut self.peers[peer].body {
            Body::Old(log) => log,
            _ => panic!("peer {peer} is not of 1.x"),
        }
    }

    /// When nothing disturbs the network any more.
    fn calm_at(&self) -> u64 {
        if let Some(calm) = self.setup.calm {
            return calm;
        }
        let emits = self.setup.emits.iter().map(|emit| emit.0);
        let faults = self.setup.faults.iter().map(|(at, fault)| match fault {
            Fault::Cut(_) => *at,
            Fault::Partition(_, ms) | Fault::Restart(_, ms) | Fault::Stall(_, ms) => at + ms,
        });
        emits.chain(faults).chain(self.setup.dials.iter().copied()).max().unwrap_or(0)
    }

    /// Runs until all peers are level.
    ///
    /// # Errors
    /// What went wrong, in one line.
    pub fn run(mut self) -> Result<World, String> {
        self.run_on()?;
        Ok(self)
    }

    /// The same, keeping the world when it fails.
    pub fn run_on(&mut self) -> Result<(), String> {
        let calm = self.calm_at();
        let deadline = calm + self.setup.deadline;
        let mut next_check = calm;
        let mut events = 0_u64;
        while let Some((&(at, number), _)) = self.queue.first_key_value() {
            let Some(event) = self.queue.remove(&(at, number)) else { break };
            self.now = at;
            self.happen(event);
            if let Some(failure) = self.failure.take() {
                return Err(format!("at {} ms: {failure}", self.now));
            }
            events += 1;
            if events > 20_000_000 {
                return Err("the network never comes to rest".into());
            }
            if self.now >= next_check && self.now > calm {
                next_check = self.now + 50;
                if self.is_level() {
                    self.stats.level_at = self.now - calm;
                    if !self.setup.twins {
                        self.collect_defects();
                        self.nothing_is_parked()?;
                    }
                    return self.check_logs();
                }
                if self.now > deadline {
                    return Err(format!(
                        "not level {} ms after the last disturbance: {}",
                        self.setup.deadline,
                        self.describe()
                    ));
                }
            }
        }
        Err("nothing left to happen".into())
    }

    /// Continues for this many milliseconds although all peers are in sync.
    pub fn settle(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some((&(at, number), _)) = self.queue.first_key_value() {
            if at > end {
                return;
            }
            let Some(event) = self.queue.remove(&(at, number)) else { return };
            self.now = at;
            self.happen(event);
        }
    }

    fn keys_of(&self, peer: usize) -> Option<Vec<Key>> {
        match &self.peers[peer].body {
            Body::Old(log) => Some(log.nodes().map(|node| node.key).collect()),
            Body::New(new) => {
                Some(new.rows().iter().filter(|row| row.at.duplicate == 0).map(|row| row.node.key).collect())
            }
            Body::Hostile => None,
        }
    }

    fn count_of(&self, peer: usize) -> Option<usize> {
        match &self.peers[peer].body {
            Body::Old(log) => Some(log.changes() as usize),
            Body::New(new) => Some(new.log.end().change as usize),
            Body::Hostile => None,
        }
    }

    fn is_level(&self) -> bool {
        if self.setup.deed.is_some() {
            // In addition to emitted events there may be forged ones.
            if self.setup.deed == Some(Deed::ForgeOthers) {
                // That may stay where it is.
                return self.peers.iter().all(|peer| peer.up) && self.lacking().is_none();
            }
            let counts: BTreeSet<_> = (0..self.peers.len()).filter_map(|peer| self.count_of(peer)).collect();
            let enough = counts.first().is_some_and(|count| *count >= self.emitted.len());
            // Equal numbers may be of other nodes, while some are on their way.
            let has_all = |keys: Vec<Key>| keys.into_iter().collect::<BTreeSet<_>>().is_superset(&self.emitted);
            return self.peers.iter().all(|peer| peer.up)
                && counts.len() == 1
                && enough
                && (0..self.peers.len()).all(|peer| self.keys_of(peer).is_none_or(has_all));
        }
        (0..self.peers.len())
            .all(|peer| self.peers[peer].up && self.count_of(peer).is_none_or(|count| count == self.emitted.len()))
    }

    /// Of each peer, which of those that know branches it is linked with, directly or through others of them: the lowest such.
    fn islands(&self) -> Vec<Option<usize>> {
        let knows_branches = |peer: usize| self.setup.kinds[peer] == Kind::New && !self.setup.first.contains(&peer);
        let mut islands: Vec<_> =
            (0..self.peers.len()).map(|peer| Some(peer).filter(|peer| knows_branches(*peer))).collect();
        for _ in 0..self.peers.len() {
            for link in &self.links {
                let [a, b] = link.peers;
                if let (Some(first), Some(second)) = (islands[a], islands[b]) {
                    (islands[a], islands[b]) = (Some(first.min(second)), Some(first.min(second)));
                }
            }
        }
        islands
    }

    /// A peer that lacks an event which another one emitted that all peers between them would pass on, although its log is forged.
    fn lacking(&self) -> Option<usize> {
        let islands = self.islands();
        let lacks = |peer: usize| {
            let keys: BTreeSet<Key> = self.keys_of(peer).unwrap_or_default().into_iter().collect();
            let mut others = (0..self.peers.len()).filter(|other| islands[*other] == islands[peer]);
            others.any(|other| !self.peers[other].emitted.is_subset(&keys))
        };
        (0..self.peers.len()).find(|peer| islands[*peer].is_some() && lacks(*peer))
    }

    fn describe(&self) -> String {
        let counts: Vec<_> = (0..self.peers.len())
            .map(|peer| {
                let keys: BTreeSet<Key> = self.keys_of(peer).unwrap_or_default().into_iter().collect();
                let missing = self.emitted.difference(&keys).count();
                format!("{:?} {} lacks {missing}", self.setup.kinds[peer], keys.len())
            })
            .collect();
        let links: Vec<_> = self
            .links
            .iter()
            .map(|link| {
                let ends: Vec<String> = link
                    .conn
                    .iter()
                    .flat_map(|conn| conn.ends.iter().flatten())
                    .map(|end| match end {
                        End::Old(session, _) => format!("old live={} parked={}", session.is_live(), session.parked()),
                        End::New(new) => format!("new {:?} {:?}", new.session.peer_kind(), new.session.stage()),
                        End::Hostile(_) => "hostile".into(),
                    })
                    .collect();
                format!("{}>{} attempts {} [{}]", link.peers[0], link.peers[1], link.attempts, ends.join(", "))
            })
            .collect();
        format!("{} emitted; peers {counts:?}; links {links:#?}", self.emitted.len())
    }

    /// Every event once, causes first, and logs that agree.
    fn check_logs(&mut self) -> Result<(), String> {
        self.stats.nodes = self.emitted.len();
        let mut held = None;
        for peer in 0..self.peers.len() {
            let Some(keys) = self.keys_of(peer) else { continue };
            let set: BTreeSet<Key> = keys.iter().copied().collect();
            if set.len() != keys.len() {
                return Err(format!("peer {peer} has a node twice"));
            }
            let forged = self.setup.deed == Some(Deed::ForgeOthers);
            if forged || self.setup.deed.is_some() && set.is_superset(&self.emitted) {
                if !forged && *held.get_or_insert_with(|| set.clone()) != set {
                    return Err(format!("peer {peer} has other nodes than others"));
                }
                self.stats.foe.made_up = self.stats.foe.made_up.max(set.difference(&self.emitted).count());
                self.stats.foe.honest_links =
                    (0..self.links.len()).filter(|link| !self.is_hostile(*link)).count() as u64;
                if !self.peers[peer].restarted {
                    self.own_logs_are_own(peer)?;
                }
            } else if set != self.emitted {
                return Err(format!("peer {peer} has other nodes than were emitted"));
            }
            let mut seen = HashSet::new();
            let links: Vec<(Key, Vec<Key>)> = match &self.peers[peer].body {
                Body::Old(log) => log.nodes().map(|node| (node.key, node.links.clone())).collect(),
                Body::New(new) => new
                    .rows()
                    .iter()
                    .filter(|row| row.at.duplicate == 0)
                    .map(|row| (row.node.key, row.node.links.to_vec()))
                    .collect(),
                Body::Hostile => continue,
            };
            for (key, links) in links {
                if links.iter().any(|link| !seen.contains(link)) {
                    return Err(format!("peer {peer} has {key} before its cause"));
                }
                seen.insert(key);
            }
        }
        self.check_seals()?;
        if self.setup.kinds.iter().all(|kind| *kind == Kind::New) {
            let digests: BTreeSet<_> = self
                .peers
                .iter()
                .filter_map(|peer| match &peer.body {
                    Body::New(new) => Some(new.log.digest().0),
                    _ => None,
                })
                .collect();
            if digests.len() > 1 && self.stats.forks == 0 {
                return Err("logs differ between 2.x peers".into());
            }
        }
        Ok(())
    }

    /// The log to which a peer of ours appends holds what it emitted, and nothing else.
    /// Sealed logs hold what their owners have emitted, and nothing else; every seal is theirs.
    pub fn check_seals(&self) -> Result<(), String> {
        for peer in 0..self.peers.len() {
            let Body::New(new) = &self.peers[peer].body else { continue };
            let rows = new.rows();
            let forged = rows.iter().find(|row| claims_owner(row.log()) && !self.emitted.contains(&row.node.key));
            if let Some(row) = forged {
                return Err(format!("peer {peer} has a forged entry {}/{} of a sealed log", row.log(), row.seq()));
            }
            if self.setup.sealed.is_empty() {
                continue;
            }
            // A store in memory keeps its own rows without seals; all others have them.
            let own = new.log.log_id();
            let ends = rows.iter().filter(|row| claims_owner(row.log()) && *row.log() != own && row.again.is_none());
            let ends = ends.filter(|row| row.seq() == new.log.seq(row.log()));
            if let Some(row) = ends.clone().find(|row| row.node.signed.is_none()) {
                return Err(format!("peer {peer} has {}/{} without a seal", row.log(), row.seq()));
            }
            verify(new.store.as_ref(), &mut |_, _| {}).map_err(|error| format!("peer {peer}: {error}"))?;
        }
        Ok(())
    }

    pub fn own_logs_are_own(&self, peer: usize) -> Result<(), String> {
        let Body::New(new) = &self.peers[peer].body else { return Ok(()) };
        let own = new.log.log_id();
        match new.rows().iter().find(|row| *row.log() == own && !self.emitted.contains(&row.node.key)) {
            Some(row) => Err(format!("peer {peer} has a forged entry {}/{} in its own log", row.log(), row.seq())),
            None => Ok(()),
        }
    }

    fn collect_defects(&mut self) {
        for link in 0..self.links.len() {
            self.take_conn(link);
        }
    }

    /// What sessions have parked goes with them.
    fn nothing_is_parked(&self) -> Result<(), String> {
        for peer in 0..self.peers.len() {
            let Body::New(new) = &self.peers[peer].body else { continue };
            let parked = new.log.parked();
            if parked != ParkedTotal::default() {
                return Err(format!("peer {peer} keeps {parked:?} of sessions that have ended"));
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Ev) {
        match event {
            Ev::Arrive(link, conn, side) => self.arrive(link, conn, side),
            Ev::OldStep(link, conn, side) => self.old_step(link, conn, side),
            Ev::Answer(link, conn, side, work) => self.answer(link, conn, side, work),
            Ev::TakeOver(link, conn, side) => self.feed(link, conn, side, vec![InEvent::Turn(Turn::TakeOver)]),
            Ev::Wake(link, conn, side) => {
                if let Some(End::New(end)) = self.end(link, conn, side) {
                    end.wake_set = None;
                    self.feed(link, conn, side, vec![InEvent::Tick]);
                }
            }
            Ev::Advanced(peer) => {
                self.advanced_set.remove(&peer);
                for (link, conn, side) in self.ends_of(peer) {
                    self.feed(link, conn, side, vec![InEvent::Advanced]);
                }
            }
            Ev::Dial(link) => self.dial(link),
            Ev::Emit(peer, value) => {
                if self.peers[peer].up {
                    self.emit(peer, value);
                    self.grown(peer);
                }
            }
            Ev::Fault(fault) => self.fault(fault),
            Ev::Return(peer) => {
                self.peers[peer].up = true;
                for link in 0..self.links.len() {
                    if self.links[link].peers.contains(&peer) {
                        if self.links[link].peers[0] == peer {
                            self.links[link].attempts = 0;
                        }
                        self.redial(link);
                    }
                }
            }
            Ev::Heal => {
                for link in 0..self.links.len() {
                    let old = |peer: usize| matches!(self.peers[peer].body, Body::Old(_));
                    let [a, b] = self.links[link].peers;
                    if old(a) && old(b) {
                        self.links[link].attempts = 0;
                        self.drop_conn(link);
                    }
                }
                self.at(self.now + HEAL_MS, Ev::Heal);
            }
            Ev::Look => self.at(self.now + 50, Ev::Look),
            Ev::Nonsense(link, conn) => self.nonsense(link, conn),
        }
    }

    fn emit(&mut self, peer: usize, value: Vec<u8>) {
        let key = match &mut self.peers[peer].body {
            Body::Old(log) => log.append(value.into()),
            Body::New(new) if self.setup.as_users => new.emit(&value),
            Body::New(new) => {
                // Ours are unique; 1.x's are not.
                let mut unique = value;
                unique.extend_from_slice(&[0x1a, 12, 0, 0, 0, 0, 0, 0, 0, peer as u8]);
                unique.extend_from_slice(&(self.emitted.len() as u32).to_le_bytes());
                new.append(unique.into())
            }
            Body::Hostile => return,
        };
        self.emitted.insert(key);
        self.peers[peer].emitted.insert(key);
    }

    /// The log of a peer has grown.
    fn grown(&mut self, peer: usize) {
        match self.peers[peer].body {
            Body::Old(_) => {
                for (link, conn, side) in self.ends_of(peer) {
                    self.soon(3, Ev::OldStep(link, conn, side));
                }
            }
            Body::New(_) => {
                if self.advanced_set.insert(peer) {
                    self.soon(2, Ev::Advanced(peer));
                }
            }
            Body::Hostile => {}
        }
    }

    fn ends_of(&self, peer: usize) -> Vec<(usize, u64, usize)> {
        let mut ends = Vec::new();
        for (index, link) in self.links.iter().enumerate() {
            if let (Some(conn), Some(side)) = (&link.conn, link.peers.iter().position(|other| *other == peer)) {
                ends.push((index, conn.id, side));
            }
        }
        ends
    }

    fn end(&mut self, link: usize, conn: u64, side: usize) -> Option<&mut End> {
        let current = self.links[link].conn.as_mut().filter(|current| current.id == conn)?;
        current.ends[side].as_mut()
    }

    fn redial(&mut self, link: usize) {
        if self.links[link].dial_set || self.links[link].conn.is_some() {
            return;
        }
        self.links[link].dial_set = true;
        let delay = match self.peers[self.links[link].peers[0]].body {
            Body::Old(_) => 1_000,
            _ => self.links[link].backoff,
        };
        self.links[link].backoff = (delay * 2).min(5_000);
        self.at(self.now + delay, Ev::Dial(link));
    }

    fn dial(&mut self, link: usize) {
        self.links[link].dial_set = false;
        let [dialler, listener] = self.links[link].peers;
        if self.links[link].conn.is_some() || !self.peers[dialler].up {
            return;
        }
        if matches!(self.peers[dialler].body, Body::Old(_)) {
            if self.links[link].attempts >= OLD_ATTEMPTS {
                return;
            }
            self.links[link].attempts += 1;
        }
        if !self.peers[listener].up || self.now < self.links[link].down_until {
            self.redial(link);
            return;
        }
        self.conns += 1;
        let id = self.conns;
        let ends = [self.make_end(dialler, (link, id, 0)), self.make_end(listener, (link, id, 1))];
        let both = |kind: fn(&Body) -> bool| kind(&self.peers[dialler].body) || kind(&self.peers[listener].body);
        let mixed = both(|body| matches!(body, Body::Old(_))) && both(|body| matches!(body, Body::New(_)));
        let forges = self.setup.deed == Some(Deed::ForgeOthers);
        let ends = ends.map(|mut end| {
            if let (End::New(new), true) = (&mut end, mixed) {
                new.witness = Some(Witness::new(forges));
            }
            Some(end)
        });
        self.links[link].conn =
            Some(Conn { id, ends, pipes: Default::default(), queued: [0; 2], last_due: [self.now; 2] });
        for side in 0..2 {
            match self.end(link, id, side) {
                Some(End::New(_)) => self.feed(link, id, side, vec![InEvent::Opened]),
                Some(End::Old(session, _)) => {
                    let out = session.take_out();
                    for bytes in out {
                        self.write(link, id, side, bytes);
                    }
                }
                Some(End::Hostile(foe)) => {
                    let hello = foe.as_mut().map(|foe| foe.hello());
                    if let Some(hello) = hello {
                        self.write(link, id, side, hello);
                    }
                    self.soon(50, Ev::Nonsense(link, id));
                }
                None => {}
            }
        }
    }

    fn make_end(&mut self, peer: usize, place: (usize, u64, usize)) -> End {
        let dialled = place.2 == 0;
        match &mut self.peers[peer].body {
            Body::Old(_) => End::Old(Box::new(OldSession::new(true)), BytesMut::new()),
            Body::New(new) => {
                let mut config = Config::new(dialled, reason_unsafe_for_v1);
                config.defences = self.setup.defences;
                config.sizes = self.setup.sizes;
                if self.setup.first.contains(&peer) {
                    config.version = 1;
                    config.defences.branches = false;
                }
                config.partials = new.partials.clone();
                if self.setup.twins {
                    let token = Token((place.1 * 2 + place.2 as u64).to_be_bytes());
                    let twins = new.twins.get_or_insert_with(|| {
                        let drawn = self.rng.bytes(16);
                        Twins::new(Instance(drawn.try_into().unwrap()))
                    });
                    twins.opened(place, token);
                    config.twin = Some((twins.ours(), token));
                }
                End::New(Box::new(NewEnd {
                    session: Session::new(config),
                    input: BytesMut::new(),
                    source: new.next_source(),
                    wake_set: None,
                    witness: None,
                }))
            }
            Body::Hostile => End::Hostile(self.setup.deed.map(|deed| Box::new(Foe::new(deed, &mut self.rng)))),
        }
    }

    fn take_conn(&mut self, link: usize) {
        let Some(conn) = self.links[link].conn.take() else { return };
        for (side, end) in conn.ends.into_iter().enumerate() {
            match end {
                Some(End::Old(session, _)) => self.stats.defects.add(&session.defects),
                Some(End::New(new)) => {
                    self.stats.echoes += new.session.counters().echoes;
                    self.stats.in_vain += new.session.counters().in_vain;
                    if let Body::New(peer) = &mut self.peers[self.links[link].peers[side]].body {
                        peer.log.forget(new.source);
                        let next = peer.twins.as_mut().and_then(|twins| twins.closed((link, conn.id, side)));
                        if let Some((link, conn, side)) = next {
                            self.soon(2, Ev::TakeOver(link, conn, side));
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn drop_conn(&mut self, link: usize) {
        self.take_conn(link);
        self.redial(link);
    }

    fn write(&mut self, link: usize, conn: u64, side: usize, bytes: Bytes) {
        let (low, high) = self.links[link].delay;
        let delay = self.rng.range(low, high);
        let now = self.now;
        let Some(current) = self.links[link].conn.as_mut().filter(|current| current.id == conn) else { return };
        let due = (now + delay).max(current.last_due[side]);
        current.last_due[side] = due;
        current.queued[side] += bytes.len();
        self.stats.bytes += bytes.len() as u64;
        self.stats.most_queued = self.stats.most_queued.max(current.queued[side]);
        current.pipes[side].push_back(bytes);
        self.at(due, Ev::Arrive(link, conn, 1 - side));
    }

    fn arrive(&mut self, link: usize, conn: u64, side: usize) {
        let peer = self.links[link].peers[side];
        let (now, duplicates) = (self.now, self.setup.duplicates);
        let stalled = self.peers[peer].stalled_until;
        let again = self.rng.chance(duplicates);
        let Some(current) = self.links[link].conn.as_mut().filter(|current| current.id == conn) else { return };
        let full = matches!(&current.ends[side], Some(End::New(new)) if !new.session.wants_frames());
        if full || stalled > now {
            let at = if full { now + 2 } else { stalled };
            // The pipe keeps its order: the first arrival takes the first chunk.
            self.at(at, Ev::Arrive(link, conn, side));
            return;
        }
        let Some(bytes) = current.pipes[1 - side].pop_front() else { return };
        current.queued[1 - side] -= bytes.len();
        match &mut current.ends[side] {
            Some(End::Old(session, input)) => {
                input.extend_from_slice(&bytes);
                while let Ok(Some(frame)) = frame::split(input, usize::MAX) {
                    session.deliver(frame);
                }
                self.soon(3, Ev::OldStep(link, conn, side));
            }
            Some(End::New(new)) => {
                new.input.extend_from_slice(&bytes);
                // A node frame that comes twice (each chunk of 1.x is one frame).
                if again && new.witness.is_some() && bytes.get(1..4).is_some_and(|head| head.contains(&3)) {
                    let frame = bytes.clone();
                    if matches!(frame::split(&mut BytesMut::from(&frame[..]), usize::MAX), Ok(Some(frame)) if frame.first() == Some(&3))
                    {
                        new.input.extend_from_slice(&bytes);
                    }
                }
                self.read_input(link, conn, side);
            }
            _ => {}
        }
    }

    fn read_input(&mut self, link: usize, conn: u64, side: usize) {
        loop {
            let Some(End::New(new)) = self.end(link, conn, side) else { return };
            if !new.session.wants_frames() {
                return;
            }
            match frame::split(&mut new.input, new.session.frame_limit()) {
                Ok(Some(frame)) => {
                    if let Some(witness) = &mut new.witness {
                        witness.heard(&frame);
                    }
                    self.feed(link, conn, side, vec![InEvent::Frame(frame)]);
                }
                Ok(None) => break,
                Err(_) => {
                    self.stats.peer_faults += 1;
                    return self.drop_conn(link);
                }
            }
        }
        self.feed(link, conn, side, vec![InEvent::Idle]);
    }

    /// Passes events to a session of ours and carries out its requests.
    fn feed(&mut self, link: usize, conn: u64, side: usize, events: Vec<InEvent>) {
        let now = self.now;
        let peer = self.links[link].peers[side];
        let Some(current) = self.links[link].conn.as_mut().filter(|current| current.id == conn) else { return };
        let Some(End::New(end)) = current.ends[side].as_mut() else { return };
        let Body::New(new) = &self.peers[peer].body else { return };
        let mut out = Vec::new();
        for event in events {
            end.session.handle(event, now, &*new.log);
            while let Some(event) = end.session.poll() {
                out.push(event);
            }
        }
        let wake = end.session.wake_at().filter(|wake| end.wake_set.is_none_or(|set| *wake < set || set <= now));
        if let Some(wake) = wake {
            end.wake_set = Some(wake);
            self.at(wake, Ev::Wake(link, conn, side));
        }
        for event in out {
            self.carry_out(link, conn, side, event);
        }
    }

    fn carry_out(&mut self, link: usize, conn: u64, side: usize, event: OutEvent) {
        match event {
            OutEvent::Send(bytes) => {
                if self.is_hostile(link) {
                    self.stats.foe.sent += bytes.len() as u64;
                }
                self.witness(link, conn, side, &bytes);
                self.write(link, conn, side, bytes);
            }
            OutEvent::Read { after, limit } => {
                let limit = ReadLimit { rows: self.rng.range(1, limit.rows as u64) as usize, ..limit };
                self.soon(3, Ev::Answer(link, conn, side, Work::Read(after, limit)));
            }
            OutEvent::Add(nodes) => self.soon(8, Ev::Answer(link, conn, side, Work::Add(nodes))),
            OutEvent::Lookup(queries) => {
                if self.is_hostile(link) {
                    self.stats.foe.asked += queries.len() as u64;
                }
                self.soon(5, Ev::Answer(link, conn, side, Work::Ask(queries)));
            }
            OutEvent::ForkLocal { log, from } => self.soon(5, Ev::Answer(link, conn, side, Work::Fork(log, from))),
            OutEvent::Met(instance, token) => {
                let turn = self.twins(link, side).map(|twins| twins.met((link, conn, side), instance, token));
                self.feed(link, conn, side, turn.map(InEvent::Turn).into_iter().collect());
            }
            OutEvent::Twin(token) => {
                let Some(twins) = self.twins(link, side) else { return };
                let (turn, woken) = match token {
                    Some(token) => twins.told((link, conn, side), token),
                    None => (twins.carries((link, conn, side)), None),
                };
                if let Some((link, conn, side)) = woken {
                    self.soon(2, Ev::TakeOver(link, conn, side));
                }
                self.feed(link, conn, side, vec![InEvent::Turn(turn)]);
            }
            OutEvent::Report(error) => {
                if error.code() == "ERR_HYPER_FORK" {
                    self.stats.forks += 1;
                }
                if self.trace {
                    println!("{} link {link} side {side} reports {error}", self.now);
                }
            }
            OutEvent::Close(reason) => {
                if self.trace {
                    println!("{} link {link} side {side} closes: {reason:?}", self.now);
                }
                let hostile = self.is_hostile(link);
                match reason {
                    CloseReason::HalfOpen => {
                        self.stats.half_open += 1;
                        self.stats.half_open_inbound += u64::from(side == 1);
                    }
                    CloseReason::Harmful(_) => {
                        self.stats.harmful += 1;
                        self.flush(link, side);
                    }
                    CloseReason::Peer(error) => {
                        self.stats.peer_faults += 1;
                        if error.code() == "ERR_HYPER_FORGED" && self.setup.deed == Some(Deed::ForgeOthers) {
                            // It holds in good faith what a stranger made up.
                            self.stats.foe.cut += 1;
                        } else if !hostile {
                            self.failure = Some(format!("an honest peer is accused: {error}"));
                        }
                    }
                    CloseReason::Local(error) => self.failure = Some(format!("our own fault: {error}")),
                    _ => {}
                }
                self.drop_conn(link);
            }
        }
    }

    fn twins(&mut self, link: usize, side: usize) -> Option<&mut Twins<(usize, u64, usize)>> {
        match &mut self.peers[self.links[link].peers[side]].body {
            Body::New(new) => new.twins.as_mut(),
            _ => None,
        }
    }

    /// Links between each two peers that carry rows at either end, and all that are up.
    pub fn carrying(&self) -> BTreeMap<(usize, usize), (usize, usize)> {
        let mut count = BTreeMap::new();
        for link in &self.links {
            let Some(conn) = &link.conn else { continue };
            let [a, b] = link.peers;
            let (carry, up) = count.entry((a.min(b), a.max(b))).or_insert((0, 0));
            let stands_by =
                |end: &Option<End>| matches!(end, Some(End::New(new)) if new.session.stage() == SessionStage::StandBy);
            *carry += usize::from(!conn.ends.iter().all(stands_by));
            *up += 1;
        }
        count
    }

    /// Delivers what a side has sent: the connection ends in an orderly way.
    fn flush(&mut self, link: usize, side: usize) {
        let other = self.links[link].peers[1 - side];
        let Some(conn) = self.links[link].conn.as_mut() else { return };
        let (Some(End::Old(session, input)), Body::Old(log)) =
            (conn.ends[1 - side].as_mut(), &mut self.peers[other].body)
        else {
            return;
        };
        for bytes in conn.pipes[side].drain(..) {
            input.extend_from_slice(&bytes);
        }
        while let Ok(Some(frame)) = frame::split(input, usize::MAX) {
            session.deliver(frame);
        }
        while let Some(step) = session.steps(log).first().copied() {
            session.run(step, log);
        }
    }

    /// Checks what goes to a 1.x peer.
    fn witness(&mut self, link: usize, conn: u64, side: usize, bytes: &Bytes) {
        let other = self.links[link].peers[1 - side];
        let Some(current) = self.links[link].conn.as_mut().filter(|current| current.id == conn) else { return };
        let (Some(End::New(end)), Body::Old(old)) = (current.ends[side].as_mut(), &self.peers[other].body) else {
            return;
        };
        let Some(witness) = end.witness.as_mut() else { return };
        if let Err(failure) = witness.said(bytes, old, reason_unsafe_for_v1) {
            self.failure = Some(format!("link {link}, to 1.x: {failure}"));
        }
        assert!(end.session.peer_kind() != PeerKind::V2, "1.x is taken for 2.x");
    }

    fn is_hostile(&self, link: usize) -> bool {
        self.links[link].peers.iter().any(|peer| matches!(self.peers[*peer].body, Body::Hostile))
    }

    fn answer(&mut self, link: usize, conn: u64, side: usize, work: Work) {
        let peer = self.links[link].peers[side];
        let Some(current) = self.links[link].conn.as_mut().filter(|current| current.id == conn) else { return };
        let queued = current.queued[side];
        let Some(End::New(end)) = current.ends[side].as_mut() else { return };
        let source = end.source;
        let hostile = self.links[link].peers.iter().any(|peer| matches!(self.peers[*peer].body, Body::Hostile));
        let Body::New(new) = &self.peers[peer].body else { return };
        match work {
            Work::Read(after, limit) => {
                if queued > LOW_WATER {
                    self.at(self.now + 5, Ev::Answer(link, conn, side, Work::Read(after, limit)));
                    return;
                }
                let rows = new.log.read_sealed(after, limit);
                if hostile {
                    self.stats.foe.read += rows.as_ref().map_or(0, |rows| rows.len() as u64);
                }
                self.feed(link, conn, side, vec![InEvent::Rows(rows)]);
            }
            Work::Add(nodes) => {
                if nodes.len() > 4096 {
                    self.failure = Some(format!("a group of {} nodes", nodes.len()));
                }
                let end = new.log.end();
                let outcomes = new.add(source, nodes);
                let parked = new.log.parked();
                self.stats.foe.parked = self.stats.foe.parked.max(parked.of_one.0);
                if parked.of_one.0 > MAX_SOURCE_NODES
                    || parked.of_one.1 > MAX_SOURCE_BYTES
                    || parked.bytes > MAX_TOTAL_BYTES
                {
                    self.failure = Some(format!("{parked:?}"));
                }
                self.stats.foe.partial = self.stats.foe.partial.max(new.partials.bytes());
                let grown = new.log.end() != end;
                self.feed(link, conn, side, vec![InEvent::Added(Ok(outcomes))]);
                self.read_input(link, conn, side);
                if grown {
                    self.grown(peer);
                }
            }
            Work::Ask(queries) => {
                let replies = new.answer(&queries);
                self.feed(link, conn, side, vec![InEvent::LookedUp(Ok(replies))]);
            }
            Work::Fork(log, from) => {
                let id = new.log.fork_local(log, from).try_recv().expect("a memory store answers at once");
                self.feed(link, conn, side, vec![InEvent::Forked(id)]);
                self.grown(peer);
            }
        }
    }

    fn old_step(&mut self, link: usize, conn: u64, side: usize) {
        let peer = self.links[link].peers[side];
        if self.peers[peer].stalled_until > self.now {
            let at = self.peers[peer].stalled_until;
            self.at(at, Ev::OldStep(link, conn, side));
            return;
        }
        let Some(current) = self.links[link].conn.as_mut().filter(|current| current.id == conn) else { return };
        let (Some(End::Old(session, _)), Body::Old(log)) = (current.ends[side].as_mut(), &mut self.peers[peer].body)
        else {
            return;
        };
        let steps = session.steps(log);
        if steps.is_empty() {
            return;
        }
        let before = log.changes();
        session.run(*self.rng.pick(&steps), log);
        let (out, closed, grown) = (session.take_out(), session.is_closed(), log.changes() != before);
        for bytes in out {
            self.write(link, conn, side, bytes);
        }
        if closed {
            return self.drop_conn(link);
        }
        if grown {
            self.grown(peer);
        }
        self.soon(2, Ev::OldStep(link, conn, side));
    }

    fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Cut(link) => self.drop_conn(link),
            Fault::Partition(link, ms) => {
                self.links[link].down_until = self.now + ms;
                self.links[link].attempts = 0;
                self.drop_conn(link);
            }
            Fault::Restart(peer, ms) => {
                if matches!(self.peers[peer].body, Body::Hostile) {
                    return;
                }
                self.peers[peer].up = false;
                for link in 0..self.links.len() {
                    if self.links[link].peers.contains(&peer) {
                        self.links[link].attempts = 0;
                        self.drop_conn(link);
                    }
                }
                if let Body::New(new) = &self.peers[peer].body {
                    self.peers[peer].body = Body::New(Box::new(new.reopened()));
                    self.peers[peer].restarted = true;
                }
                self.at(self.now + ms, Ev::Return(peer));
            }
            Fault::Stall(peer, ms) => {
                if matches!(self.peers[peer].body, Body::Old(_)) {
                    self.peers[peer].stalled_until = self.now + ms;
                }
            }
        }
    }

    /// Sends something that no honest peer would. It does not forge events, because 1.x's protocol has no defence against that.
    fn nonsense(&mut self, link: usize, conn: u64) {
        if self.links[link].conn.as_ref().is_none_or(|current| current.id != conn) {
            return;
        }
        self.stats.nonsense += 1;
        self.stats.foe.turns += 1;
        let victim = self.links[link].peers[1];
        // A member that strips seals has rows that its victim does not have yet.
        let source = match self.setup.deed {
            Some(Deed::Strip) => self.rng.below(self.peers.len() as u64) as usize,
            _ => victim,
        };
        let rows = match &self.peers[source].body {
            Body::New(new) if self.setup.deed.is_some() => new.rows(),
            _ => Vec::new(),
        };
        let log = |peer: usize| match self.setup.sealed.contains(&peer) {
            true => NewPeer::sealed_log(peer),
            false => format!("log-{peer}"),
        };
        let mut logs: Vec<String> = (0..self.peers.len() - 1).map(log).collect();
        if self.setup.deed == Some(Deed::ForgeOthers) {
            // Branches fork as well.
            let branches: BTreeSet<&str> =
                rows.iter().map(|row| &**row.log()).filter(|log| Branch::of(log).is_some()).collect();
            logs.extend(branches.into_iter().map(String::from));
        }
        let current = self.links[link].conn.as_mut().and_then(|conn| conn.ends[0].as_mut());
        let bytes = match current {
            Some(End::Hostile(Some(foe))) => foe.next(&mut self.rng, &logs[victim], &logs, &rows),
            _ => nonsense_bytes(&mut self.rng, &self.emitted),
        };
        self.stats.foe.bytes += bytes.len() as u64;
        self.write(link, conn, 0, bytes);
        // Once the honest are level there is no point in going on.
        if self.now < self.setup.deeds_until.unwrap_or(self.calm_at() + 20_000) {
            self.soon(120, Ev::Nonsense(link, conn));
        }
    }
}

fn nonsense_bytes(rng: &mut Rng, emitted: &BTreeSet<Key>) -> Bytes {
    let mut out = BytesMut::new();
    let log = format!("log-{}", rng.below(14));
    let seq = *rng.pick(&[0, 1, 2, 5, 1000, u64::from(u32::MAX), u64::MAX, MAX_LOGS as u64]);
    match rng.below(12) {
        0 => out.extend_from_slice(b"\x05\x00\x08\x01\x20\x01"),
        1 => {
            let metadata = [&b"hyper2\x08\x01\x10\x00\x18\x80\x80\x80\x20\x20\x80\x80\x40\x2a\x04evil"[..]].concat();
            Message::Handshake(hyperemitter::protocol::message::Handshake {
                version: 1,
                mode: Default::default(),
                metadata: Some(&metadata),
                live: Some(true),
            })
            .encode(&mut out);
        }
        2 => Message::Have(LogSeq { log: &log, seq }).encode(&mut out),
        3 => Message::Want(LogSeq { log: &log, seq }).encode(&mut out),
        4 => Message::SentHeads.encode(&mut out),
        5 => Message::SentWants.encode(&mut out),
        6 => {
            let body_len = rng.below(60);
            let body = rng.bytes(body_len);
            Message::Extension(rng.range(6, 14) as u8, &body).encode(&mut out);
        }
        7 => {
            let len = rng.below(40);
            let body = rng.bytes(len);
            Message::Extension(rng.below(6) as u8, &body).encode(&mut out);
        }
        8 => {
            let len = rng.below(20);
            out.extend_from_slice(&rng.bytes(len));
        }
        9 => {
            // Waits for a node that does not exist.
            let (value_len, cause) = (rng.below(200), rng.bytes(32));
            let value = rng.bytes(value_len);
            let links = std::iter::once(Key(cause.try_into().unwrap())).collect();
            let node = WireNode {
                change: 1,
                key: None,
                log: "evil",
                seq: 1,
                identity: None,
                signature: None,
                value: &value,
                links,
            };
            Message::Node(node).encode(&mut out);
        }
        10 => {
            // A key that is not the hash of the content.
            let key = Some(emitted.first().copied().unwrap_or(Key([1; 32])));
            let node = WireNode {
                change: 1,
                key,
                log: &log,
                seq,
                identity: None,
                signature: None,
                value: b"x",
                links: Default::default(),
            };
            Message::Node(node).encode(&mut out);
        }
        _ => Message::Empty.encode(&mut out),
    }
    out.freeze()
}
