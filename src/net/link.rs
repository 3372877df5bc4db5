//! The link table: what is dialled, what was dialled to us, and where each link stands.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::event::{unix_ms, Counters, Direction, End, PeerInfo, PeerKind, Stage};
use super::inbound_slots::{Network, Places, Room};
use super::NetOptions;
use crate::error::Error;
use crate::node::Change;

/// Logs named as stuck per link; copies of databases are few, and what a stranger makes up needs no list.
const MAX_STUCK: usize = 16;

/// One entry of the table, shared by the task that serves the link and by whoever asks about it.
pub(super) struct Link {
    pub(super) key: String,
    pub(super) direction: Direction,
    /// Set once it is known that an earlier run was connected to this peer: it is then never given up.
    known: AtomicBool,
    /// Bumped by [`Link::drop_connection`].
    drops: watch::Sender<u64>,
    /// Why the connection was dropped, if not by the user.
    fate: Mutex<Option<Error>>,
    /// When the peer last brought or took what was new, in milliseconds of the network's clock; 0 for never.
    useful_at: AtomicU64,
    status: Mutex<Status>,
}

#[derive(Default)]
struct Status {
    stage: Stage,
    since_ms: u64,
    address: Option<SocketAddr>,
    last_end: Option<End>,
    stuck: Vec<String>,
    useful_ms: Option<u64>,
    kind: PeerKind,
    counters: Counters,
    delivered: Change,
}

impl Status {
    fn enter(&mut self, stage: Stage) {
        if self.stage != stage || self.since_ms == 0 {
            self.stage = stage;
            self.since_ms = unix_ms();
        }
    }
}

impl Link {
    pub(super) fn new(key: String, direction: Direction, known: bool) -> Arc<Link> {
        Arc::new(Link {
            key,
            direction,
            known: AtomicBool::new(known),
            drops: watch::Sender::new(0),
            fate: Mutex::default(),
            useful_at: AtomicU64::new(0),
            status: Mutex::default(),
        })
    }

    /// The peer brought something new, or took something it lacked.
    pub(super) fn used(&self, now_ms: u64) {
        self.useful_at.store(now_ms.max(1), Ordering::Relaxed);
        self.status.lock().useful_ms = Some(unix_ms());
    }

    /// When it last did.
    pub(super) fn useful_at(&self) -> Option<u64> {
        Some(self.useful_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// The number of its place, of an inbound link: its key.
    fn place(&self) -> Option<u64> {
        self.key.parse().ok().filter(|_| self.direction == Direction::Inbound)
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    pub(super) fn set_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Ends the present connection, or attempt, as a failure would. Between attempts nothing happens.
    pub(super) fn drop_connection(&self) {
        self.drops.send_modify(|drops| *drops += 1);
    }

    /// Ends the present connection for `error`.
    pub(super) fn end_for(&self, error: Error) {
        *self.fate.lock() = Some(error);
        self.drop_connection();
    }

    /// Why the connection was dropped; `None` if the user did it.
    pub(super) fn take_fate(&self) -> Option<Error> {
        self.fate.lock().take()
    }

    /// Changes when the connection that exists from now on is to be dropped.
    pub(super) fn drops(&self) -> watch::Receiver<u64> {
        self.drops.subscribe()
    }

    /// A new attempt, or the pause before it: counters start again.
    pub(super) fn restart(&self, stage: Stage) {
        let status = &mut *self.status.lock();
        status.enter(stage);
        (status.kind, status.counters, status.delivered) = Default::default();
        (status.stuck, status.useful_ms) = Default::default();
    }

    /// The peer holds another version of this log.
    pub(super) fn stuck(&self, log: &str) {
        let stuck = &mut self.status.lock().stuck;
        if stuck.len() < MAX_STUCK && !stuck.iter().any(|known| known == log) {
            stuck.push(log.to_owned());
        }
    }

    /// The logs of which it does.
    pub(super) fn stuck_logs(&self) -> Vec<String> {
        self.status.lock().stuck.clone()
    }

    /// It holds our version of this log after all.
    pub(super) fn healed(&self, log: &str) {
        self.status.lock().stuck.retain(|known| known != log);
    }

    /// Whether there is such a log.
    pub(super) fn is_stuck(&self) -> bool {
        !self.status.lock().stuck.is_empty()
    }

    /// The connection is made.
    pub(super) fn reached(&self, address: SocketAddr) {
        self.status.lock().address = Some(address);
    }

    /// The connection, or the attempt to get one, has ended.
    pub(super) fn ended(&self, end: End) {
        self.status.lock().last_end = Some(end);
    }

    /// Publishes where the connection stands.
    pub(super) fn publish(&self, stage: Stage, kind: PeerKind, counters: Counters, delivered: Change) {
        let status = &mut *self.status.lock();
        status.enter(stage);
        (status.kind, status.counters, status.delivered) = (kind, counters, delivered);
    }

    fn describe(&self) -> PeerInfo {
        let status = self.status.lock();
        PeerInfo {
            key: self.key.clone(),
            direction: self.direction,
            kind: status.kind,
            stage: status.stage,
            since_ms: status.since_ms,
            address: status.address,
            last_end: status.last_end.clone(),
            stuck: status.stuck.clone(),
            useful_ms: status.useful_ms,
            counters: status.counters,
            delivered: status.delivered,
        }
    }
}

/// All links, by key. Keys of dialled links contain a colon, keys of the others are numbers: they never meet.
#[derive(Default)]
pub(super) struct Table {
    links: HashMap<String, Arc<Link>>,
    next_inbound: u64,
    places: Places,
    /// Both ends of each inbound connection, the peer's first: by them a connection to ourselves is known.
    ends: HashSet<(SocketAddr, SocketAddr)>,
}

/// What becomes of a connection that was dialled to us.
pub(super) enum Admission {
    Entered(Arc<Link>),
    /// Entered, and a silent one had to go for it.
    ReplacedSilent(Arc<Link>),
    /// Entered, and an idle one had to go for it.
    ReplacedIdle(Arc<Link>),
    /// There are as many peers as there may be, and all of them are of use.
    Refused,
}

impl Table {
    /// Enters a link that we shall dial; `None` if the key is taken.
    pub(super) fn dial(&mut self, key: &str, known: bool) -> Option<Arc<Link>> {
        if let Some(link) = self.links.get(key) {
            if known {
                link.set_known();
            }
            return None;
        }
        let link = Link::new(key.to_owned(), Direction::Outbound, known);
        self.links.insert(key.to_owned(), Arc::clone(&link));
        Some(link)
    }

    /// Enters a link that was dialled to us, from a peer's address to ours. Where the bounds are reached another one may
    /// have to give way.
    pub(super) fn accept(&mut self, ends: (SocketAddr, SocketAddr), options: &NetOptions, now_ms: u64) -> Admission {
        let network = Network::of(ends.0);
        let room = self.places.room(network, options, now_ms);
        match room {
            Room::Free => {}
            Room::Silent(id) => self.evict(id, "it said nothing, and others wait for its place"),
            Room::Idle(id) => self.evict(id, "it was of no use for a while, and others wait for its place"),
            Room::None => return Admission::Refused,
        }
        let id = self.next_inbound;
        self.next_inbound += 1;
        let link = Link::new(id.to_string(), Direction::Inbound, false);
        link.reached(ends.0);
        self.links.insert(link.key.clone(), Arc::clone(&link));
        self.places.enter(id, network, Arc::clone(&link));
        self.ends.insert(canonical(ends));
        match room {
            Room::Silent(_) => Admission::ReplacedSilent(link),
            Room::Idle(_) => Admission::ReplacedIdle(link),
            Room::Free | Room::None => Admission::Entered(link),
        }
    }

    /// Its place is free at once; its task ends when it gets to it.
    fn evict(&mut self, id: u64, why: &str) {
        if let Some(link) = self.places.leave(id) {
            self.links.remove(&link.key);
            link.end_for(Error::Limit(why.to_owned()));
        }
    }

    /// The peer has introduced itself.
    pub(super) fn greeted(&mut self, link: &Link, now_ms: u64) {
        if let Some(id) = link.place() {
            self.places.greeted(id, now_ms);
        }
    }

    pub(super) fn remove(&mut self, link: &Link) {
        self.links.remove(&link.key);
        if let Some(id) = link.place() {
            self.places.leave(id);
        }
    }

    /// A connection that was dialled to us has ended.
    pub(super) fn forget(&mut self, ends: (SocketAddr, SocketAddr)) {
        self.ends.remove(&canonical(ends));
    }

    /// Whether the other end of a connection that we dialled is one that we accepted.
    pub(super) fn is_own(&self, (ours, theirs): (SocketAddr, SocketAddr)) -> bool {
        self.ends.contains(&canonical((ours, theirs)))
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Link>> {
        self.links.get(key).cloned()
    }

    /// Every link, in no particular order.
    pub(super) fn describe(&self) -> Vec<PeerInfo> {
        self.links.values().map(|link| link.describe()).collect()
    }
}

/// A listener of both families sees IPv4 addresses in IPv6 form.
fn canonical((from, to): (SocketAddr, SocketAddr)) -> (SocketAddr, SocketAddr) {
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    (plain(from), plain(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_dialled_once_and_can_become_known_meanwhile() {
        let mut table = Table::default();
        let link = table.dial("a:1", false).unwrap();
        assert!(table.dial("a:1", true).is_none());
        assert!(link.is_known());
        table.remove(&link);
        assert!(table.dial("a:1", false).is_some());
    }

    const ENDS: (&str, &str) = ("10.0.0.1:9", "10.0.0.2:80");

    fn ends((from, to): (&str, &str)) -> (SocketAddr, SocketAddr) {
        (from.parse().unwrap(), to.parse().unwrap())
    }

    /// The link of a connection that is accepted, and whether another had to go for it.
    fn accept(table: &mut Table, options: &NetOptions) -> Option<(Arc<Link>, bool)> {
        match table.accept(ends(ENDS), options, 0) {
            Admission::Entered(link) => Some((link, false)),
            Admission::ReplacedSilent(link) | Admission::ReplacedIdle(link) => Some((link, true)),
            Admission::Refused => None,
        }
    }

    fn at_most(max_inbound: usize, max_silent: usize) -> NetOptions {
        NetOptions { max_inbound, max_silent, ..NetOptions::default() }
    }

    #[test]
    fn few_stuck_logs_are_named() {
        let link = Table::default().dial("a:1", false).unwrap();
        for n in 0..3 * MAX_STUCK {
            link.stuck(&format!("log {n}"));
            link.stuck("log 0");
        }
        assert_eq!(link.status.lock().stuck.len(), MAX_STUCK);
    }

    #[test]
    fn inbound_keys_count_up_and_are_never_used_again() {
        let (mut table, options) = (Table::default(), at_most(2, 2));
        let first = accept(&mut table, &options).unwrap().0;
        let second = accept(&mut table, &options).unwrap().0;
        table.remove(&first);
        let third = accept(&mut table, &options).unwrap().0;
        assert_eq!([&first.key, &second.key, &third.key], ["0", "1", "2"]);
    }

    #[test]
    fn peers_that_have_just_introduced_themselves_are_not_dropped_for_others() {
        let (mut table, options) = (Table::default(), at_most(2, 2));
        for _ in 0..2 {
            let link = accept(&mut table, &options).unwrap().0;
            table.greeted(&link, 0);
        }
        assert!(accept(&mut table, &options).is_none());
    }

    #[test]
    fn silent_links_give_way_at_either_bound_and_leave_one_place_each() {
        for options in [at_most(3, 2), at_most(2, 3)] {
            let mut table = Table::default();
            let (first, _) = accept(&mut table, &options).unwrap();
            let dropped = first.drops();
            let (second, replaced) = accept(&mut table, &options).unwrap();
            assert!(!replaced && !dropped.has_changed().unwrap());
            let (_, replaced) = accept(&mut table, &options).unwrap();
            assert!(replaced && dropped.has_changed().unwrap());
            assert!(matches!(first.take_fate(), Some(Error::Limit(_))));
            // As its task does when it ends.
            table.remove(&first);
            assert_eq!(table.describe().len(), 2);
            table.greeted(&second, 0);
            assert_eq!(
                accept(&mut table, &options).unwrap().1,
                options.max_inbound == 2,
                "one that speaks counts less"
            );
        }
    }

    #[test]
    fn a_connection_to_ourselves_is_known_by_its_ends() {
        let mut table = Table::default();
        let mapped = ends(("[::ffff:127.0.0.1]:5", "[::ffff:127.0.0.1]:80"));
        table.accept(mapped, &at_most(2, 2), 0);
        assert!(table.is_own(ends(("127.0.0.1:5", "127.0.0.1:80"))));
        assert!(!table.is_own(ends(("127.0.0.1:80", "127.0.0.1:5"))));
        table.forget(mapped);
        assert!(!table.is_own(ends(("127.0.0.1:5", "127.0.0.1:80"))));
    }
}
