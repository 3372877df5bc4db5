//! One connection: frames ↔ session ↔ log.
//!
//! The task alternates between a *turn* (hand what arrived to the session, do what it asks, write) and a wait for
//! whatever comes next. What it holds is bounded:
//!
//! - reading pauses while the session has as many nodes as it wants, or while too many answers wait to be written;
//! - rows are read from the log only while little waits to be written, so a slow peer costs disk reads, not memory;
//! - one group of nodes, one read and one question are outstanding at the most.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout, Instant};

use super::cpu_time::CpuTimer;
use super::event::{Counters, Direction, End, NetEvent, PeerKind, Reason, Stage, Who};
use super::inbound_slots::Network;
use super::link::Link;
use super::link_costs::LinkCosts;
use super::outbox::Outbox;
use super::pending_work::PendingWork;
use super::policy::Health;
use super::twin::Twin;
use super::Shared;
use crate::error::{quoted, Error, Result};
use crate::event::reason_unsafe_for_v1;
use crate::hyperlog::Outcome;
use crate::node::{Change, LogId};
use crate::panic::caught_async;
use crate::protocol::twins::Turn;
use crate::protocol::{self, frame, CloseReason, Config, GoodbyeReason, InEvent, OutEvent, Session};
use crate::store::{Position, ReadLimit};

/// Bytes asked of the socket at a time.
const READ_CHUNK: usize = 64 * 1024;

/// At first, and on links that have little to say: what a link holds while it is idle.
const FIRST_CHUNK: usize = 4 * 1024;

/// A frame before the handshake is over: it is a handshake, and 512 silent connections may send one.
const FIRST_FRAME: usize = 64 * 1024;

/// The log is read for the peer while less than this waits to be written.
const OUTBOX_LOW: usize = 64 * 1024;

/// Frames of the peer are left unread while more than this waits to be written: whoever asks must take answers.
const OUTBOX_HIGH: usize = 4 * 1024 * 1024;

/// Bytes moved before the task lets others run: some tens of microseconds of work.
const BYTES_PER_TURN: u64 = 128 * 1024;

/// What a read of the log counts in this, whether or not its rows have to be sent.
const BYTES_PER_READ: u64 = BYTES_PER_TURN / 4;

/// A handshake may take so many times as long as a peer may be silent before it, if bytes come in all the while: a
/// handshake is some hundred bytes.
const HANDSHAKES: u64 = 6;

/// How often the system is asked whether it takes bytes after all before a link ends because it takes none.
const POKES: u64 = 4;

/// A frame that was begun has to grow by [`FRAME_STEP`] or come to its end within this time, in milliseconds: a
/// thirtieth of what a line of 20 kbit/s carries, so that only who dribbles on purpose, or hangs, fails to.
pub(super) const FRAME_MS: u64 = 60_000;
/// See [`FRAME_MS`].
const FRAME_STEP: u64 = 4 * 1024;

/// A link that served this long was healthy, even if it never went live (1.x peers can prevent that).
const SETTLED_AFTER_MS: u64 = 5_000;

/// How long a closing network waits for a peer to take the last bytes.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long a link that can go no further waits for the peer to take what comes before: some megabytes on a slow
/// line.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// What is read, and thrown away, of a peer that broke the rules so that it hears why the link ends: what may be on its way.
/// Whoever floods need not hear.
const LAST_READ: usize = 256 * 1024;

/// A timer that nobody waits for.
const FAR_AWAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How a served link ended.
pub(super) struct Served {
    pub(super) health: Health,
    pub(super) end: End,
    /// Something went wrong, which the owner of an inbound link is to hear.
    pub(super) is_fault: bool,
}

/// Serves one connection until it ends. What it had set aside in the log is dropped with it.
///
/// Not cancellation-safe.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    socket: TcpStream,
    drops: watch::Receiver<u64>,
) -> Served {
    let ends = match (socket.local_addr(), socket.peer_addr()) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(error), _) | (_, Err(error)) => {
            return Served { health: Health::Silent, end: lost(link, &error), is_fault: false };
        }
    };
    link.reached(ends.1);
    let costs = LinkCosts::open(shared, link, Network::of(ends.1));
    let mut peer = Peer::new(shared, link, ends, costs);
    let end = caught_async("serving a link", peer.run(&socket, drops)).await;
    shared.log.forget(peer.costs.source().session);
    let served = match end {
        Ok(end) => {
            let health = peer.health();
            let tells = peer.say_goodbye(&end);
            let friendly = peer.hopeless || end.reason == Reason::Closing;
            let most = if friendly { usize::MAX } else { LAST_READ };
            let farewell = farewell(socket, std::mem::take(&mut peer.outbox), most);
            if peer.hopeless {
                // The peer is to have everything up to what ends the link: the next one would get no further.
                let mut closing = shared.closing();
                tokio::select! {
                    _ = timeout(LAST_WORDS, farewell) => {}
                    _ = closing.wait_for(|closing| *closing) => {}
                }
            } else if tells || end.reason == Reason::Closing && !end.told {
                // Only a courtesy: whatever does not get through now comes with the next link.
                drop(timeout(FAREWELL, farewell).await);
            }
            let is_fault = !peer.gave_way && is_fault(end.reason) && shared.tells(peer.costs.network(), &end.error);
            Served { health, end, is_fault }
        }
        // What waits to be sent may be half a frame. The next link is likely to end at the same place.
        Err(error) => Served { health: Health::Hopeless, end: End::here(error), is_fault: true },
    };
    link.ended(served.end.clone());
    if let Some(peer) = peer.told {
        shared.observe(NetEvent::Disconnected { key: link.key.clone(), peer, end: served.end.clone() });
    }
    served
}

/// Whether the owner of a link that somebody else dialled is to hear of its end as of an error.
fn is_fault(reason: Reason) -> bool {
    !matches!(reason, Reason::Closing | Reason::Ended | Reason::Renewed | Reason::Dropped | Reason::Itself)
}

struct Peer<'a> {
    shared: &'a Arc<Shared>,
    link: &'a Link,
    costs: LinkCosts<'a>,
    /// Its place among the links that lead to the same emitter.
    twin: Twin<'a>,
    session: Session,
    /// Bytes read, not yet whole frames.
    inbox: BytesMut,
    /// Bytes asked of the socket at a time.
    chunk: usize,
    /// Frames may be among them that were not wanted when it was their turn.
    held_back: bool,
    outbox: Outbox,
    /// A read that the session asked for and that waits for room in the outbox.
    wanted: Option<(Position, ReadLimit)>,
    pending: PendingWork,
    /// A frame is incomplete: when it last got on, and the bytes read by then.
    begun: Option<(u64, u64)>,
    /// The peer sent its last byte; what has arrived is still stored.
    ended: bool,
    /// The session ended the link.
    closed: Option<CloseReason>,
    since_ms: u64,
    /// When the system was last asked whether it takes bytes after all.
    poked_at: u64,
    /// When bytes last came in.
    heard_at: u64,
    /// Our log when the connection began.
    own_log: LogId,
    /// Our end of the connection, and the peer's.
    ends: (SocketAddr, SocketAddr),
    /// The owner knows that the link stands: who is there.
    told: Option<Who>,
    live: bool,
    /// It was ended for others.
    gave_way: bool,
    /// Nodes in and out that were of use, when the table last heard of it.
    useful: (u64, u64),
    hopeless: bool,
    /// Bytes moved since the task last let others run.
    moved: u64,
    counters: Counters,
    /// The last change up to which the peer has everything.
    delivered: Change,
}

impl<'a> Peer<'a> {
    fn new(shared: &'a Arc<Shared>, link: &'a Link, ends: (SocketAddr, SocketAddr), costs: LinkCosts<'a>) -> Self {
        let options = &shared.options;
        let twin = Twin::open(&shared.family, costs.source().session.0);
        let config = Config {
            twin: twin.record,
            standard: options.standard,
            max_frame: options.max_frame,
            max_value: options.max_value,
            partials: shared.partials.clone(),
            address_prefix: costs.network(),
            patience_ms: options.patience_ms,
            ..Config::new(link.direction == Direction::Outbound, reason_unsafe_for_v1)
        };
        Peer {
            shared,
            link,
            costs,
            twin,
            session: Session::new(config),
            inbox: BytesMut::new(),
            chunk: FIRST_CHUNK,
            held_back: false,
            outbox: Outbox::default(),
            wanted: None,
            pending: PendingWork::default(),
            begun: None,
            ended: false,
            closed: None,
            since_ms: shared.now_ms(),
            poked_at: 0,
            heard_at: shared.now_ms(),
            own_log: shared.log.log_id(),
            ends,
            told: None,
            live: false,
            gave_way: false,
            useful: (0, 0),
            hopeless: false,
            moved: 0,
            counters: Counters::default(),
            delivered: 0,
        }
    }

    async fn run(&mut self, socket: &TcpStream, mut drops: watch::Receiver<u64>) -> End {
        let mut closing = self.shared.closing();
        let mut grown = self.shared.log.watch();
        self.handle(InEvent::Opened);
        loop {
            let again = match self.turn(socket) {
                Ok(again) => again,
                Err(end) => return end,
            };
            if self.moved > BYTES_PER_TURN {
                self.moved = 0;
                tokio::task::yield_now().await;
            }
            let (deadline, reads) = (self.deadline(), self.reads());
            let handled = tokio::select! {
                biased;
                _ = drops.changed() => Err(self.dropped()),
                _ = closing.wait_for(|closing| *closing) => Err(End::here(Error::Closed("it keeps no links"))),
                event = self.pending.finished() => { self.answer(event); Ok(()) }
                ready = socket.writable(), if !self.outbox.is_empty() => ready.map_err(|error| self.lost(&error)),
                ready = socket.readable(), if reads => ready.map_err(|error| self.lost(&error)).and_then(|()| self.receive(socket)),
                () = self.twin.takes_over() => { self.handle(InEvent::Turn(Turn::TakeOver)); Ok(()) }
                // The log outlives its peers: this never fails.
                _ = grown.changed() => { self.handle(InEvent::Advanced); Ok(()) }
                () = sleep_until(deadline) => { self.poke(socket); self.check_time() }
                () = std::future::ready(()), if again => Ok(()),
            };
            if let Err(end) = handled {
                return end;
            }
        }
    }

    /// Everything that can be done without waiting, short of reading the socket. Whether a further turn would find
    /// more to do at once.
    fn turn(&mut self, socket: &TcpStream) -> Result<bool, End> {
        let began = CpuTimer::start();
        self.take_frames().map_err(End::here)?;
        self.act();
        // One read per turn: a peer that has all of a long log must not keep the others waiting while it is scanned.
        if self.has_room() {
            if let Some((after, limit)) = self.wanted.take() {
                if let Some(rows) = self.pending.read(self.shared, after, limit) {
                    self.moved += BYTES_PER_READ;
                    self.answer(InEvent::Rows(rows));
                    self.act();
                }
            }
        }
        self.flush(socket)?;
        self.publish();
        self.costs.took(began.micros());
        self.costs.settle(self.counters.nodes_in, self.counters.nodes_out).map_err(End::here)?;
        self.costs.hold(self.inbox.capacity() + self.outbox.held() + self.session.unsent_bytes());
        if let Some(reason) = self.closed.take() {
            return Err(self.end_of(reason));
        }
        if self.ended && !self.pending.adds() {
            return Err(End::here(Error::Ended));
        }
        let writes = !self.outbox.is_empty() && self.outbox.stalled_since().is_none();
        // Writing has made room for the answers: the socket may have nothing more to wake us with.
        let frames = self.held_back && self.takes_frames();
        Ok(writes || frames || self.wanted.is_some() && self.has_room())
    }

    /// Hands whole frames to the session, as long as it wants them and its answers do not pile up.
    fn take_frames(&mut self) -> Result<()> {
        let before = self.counters.frames_in;
        while self.takes_frames() {
            let limit = self.session.frame_limit();
            let limit = if self.session.peer_kind() == PeerKind::Unknown { limit.min(FIRST_FRAME) } else { limit };
            let Some(frame) = frame::split(&mut self.inbox, limit)? else { break };
            self.counters.frames_in += 1;
            self.costs.frame(frame.len());
            self.handle(InEvent::Frame(frame));
            self.act();
            if self.told.is_none() && self.closed.is_none() {
                self.greet()?;
            }
        }
        self.held_back = !self.inbox.is_empty() && !self.takes_frames();
        self.watch_frame(self.counters.frames_in != before);
        if self.counters.frames_in != before {
            self.handle(InEvent::Idle);
            self.act();
            self.costs.idle();
        }
        Ok(())
    }

    /// Notes how an incomplete frame gets on.
    fn watch_frame(&mut self, another: bool) {
        if self.inbox.is_empty() || self.held_back {
            self.begun = None;
        } else if another || self.begun.is_none_or(|(_, bytes)| self.counters.bytes_in >= bytes + FRAME_STEP) {
            self.begun = Some((self.shared.now_ms(), self.counters.bytes_in));
        }
    }

    fn takes_frames(&self) -> bool {
        let waits = self.costs.paused_until().is_some();
        !waits && self.closed.is_none() && self.session.wants_frames() && self.outbox.len() < OUTBOX_HIGH
    }

    fn reads(&self) -> bool {
        !self.ended && self.takes_frames()
    }

    fn has_room(&self) -> bool {
        let waits = self.costs.paused_until().is_some();
        !waits && self.outbox.len() < OUTBOX_LOW && self.costs.has_room()
    }

    fn handle(&mut self, event: InEvent) {
        self.session.handle(event, self.shared.now_ms(), self.shared.log.as_ref());
    }

    /// Does what the session asks, until it asks no more.
    fn act(&mut self) {
        while let Some(out) = self.session.poll() {
            match out {
                OutEvent::Send(frames) => {
                    self.outbox.push(&frames);
                }
                OutEvent::Read { after, limit } => self.wanted = Some((after, limit)),
                OutEvent::Add(nodes) => {
                    self.costs.offers(&nodes);
                    if let Some(outcomes) = self.pending.add(self.shared, self.costs.source(), nodes) {
                        self.answer(InEvent::Added(outcomes));
                    }
                }
                OutEvent::Lookup(queries) => {
                    self.costs.lookups(queries.len());
                    self.pending.ask(self.shared, queries);
                }
                OutEvent::ForkLocal { log, from } => self.pending.fork(self.shared, log, from),
                OutEvent::Met(instance, token) => self.handle(InEvent::Turn(self.twin.met(instance, token))),
                OutEvent::Twin(token) => self.handle(InEvent::Turn(self.twin.told(token))),
                OutEvent::Report(error) => {
                    if let Error::Fork { log, seq, ours, theirs } = &error {
                        self.note_stuck(log);
                        let holder = self.session.capability().map(|capability| &capability.log);
                        self.shared.log.note_fork(&log.as_str().into(), *seq, *ours, *theirs, holder);
                    }
                    if self.shared.tells(self.costs.network(), &error) {
                        self.shared.observe(NetEvent::Report { key: Some(self.link.key.clone()), error });
                    }
                }
                OutEvent::Close(reason) => {
                    self.closed.get_or_insert(reason);
                }
            }
        }
    }

    /// The peer holds another version of a log. Where it is the log of one of the two, its owner goes on under another id
    /// and nothing is stuck.
    fn note_stuck(&self, log: &str) {
        let peers_own = self.session.capability().is_some_and(|capability| *capability.log == *log);
        if *self.own_log != *log && !peers_own {
            self.link.stuck(log);
        }
    }

    /// Notes how far the peer is with logs of which it holds another version, and whether it still does.
    fn look_at_stuck(&self, stage: Stage) {
        let session = &self.session;
        for log in self.link.stuck_logs() {
            match session.compared(&log) {
                Some((has, true)) => self.shared.log.peers_have(&log.as_str().into(), has),
                // Before that it may not have been compared.
                Some((_, false)) if stage == Stage::Live => self.link.healed(&log),
                _ => {}
            }
        }
        if let Some(capability) = session.capability().filter(|_| stage == Stage::Live && !self.live) {
            let agrees = |log: &LogId, seq| session.compared(log).is_some_and(|(has, differs)| has >= seq && !differs);
            self.shared.log.agreed(&capability.log, agrees);
        }
    }

    /// Passes the result of outside work to the session.
    fn answer(&mut self, event: InEvent) {
        if let InEvent::Rows(Ok(rows)) = &event {
            self.costs.rows(rows);
        }
        if let InEvent::Added(Ok(outcomes)) = &event {
            self.costs.stored(outcomes);
            for outcome in outcomes {
                match outcome {
                    Outcome::Added => self.counters.added += 1,
                    Outcome::Known => self.counters.known += 1,
                    Outcome::Parked => self.counters.parked += 1,
                    Outcome::Refused(_) => {}
                }
            }
        }
        self.handle(event);
    }

    fn receive(&mut self, socket: &TcpStream) -> Result<(), End> {
        self.inbox.reserve(self.chunk);
        match socket.try_read_buf(&mut self.inbox) {
            Ok(0) => self.ended = true,
            Ok(read) => {
                self.heard_at = self.shared.now_ms();
                self.chunk = (2 * read).clamp(FIRST_CHUNK, READ_CHUNK);
                self.moved += read as u64;
                self.counters.bytes_in += read as u64;
                self.handle(InEvent::Arriving);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(self.lost(&error)),
        }
        Ok(())
    }

    fn flush(&mut self, socket: &TcpStream) -> Result<(), End> {
        let waited = self.outbox.stalled_since().is_some();
        let flushed = self.outbox.flush(socket, self.shared.now_ms()).map_err(|error| self.lost(&error))?;
        self.moved += flushed.bytes;
        self.counters.bytes_out += flushed.bytes;
        self.counters.writes += flushed.writes;
        if waited && flushed.bytes > 0 {
            // The peer is slow, not dead.
            self.handle(InEvent::Written);
            self.act();
        }
        Ok(())
    }

    /// The link stands once the peer has introduced itself and the session goes on: before anything it brings is heard.
    fn greet(&mut self) -> Result<()> {
        let (kind, direction) = (self.session.peer_kind(), self.link.direction);
        if kind == PeerKind::Unknown {
            return Ok(());
        }
        let now = self.shared.now_ms();
        let mut table = self.shared.table.lock();
        let theirs = self.session.capability().and_then(|capability| capability.twin);
        let is_own = table.is_own(self.ends) || theirs.is_some_and(|(instance, _)| self.twin.is_ours(instance));
        if direction == Direction::Outbound && is_own {
            return Err(Error::Itself(self.link.key.clone()));
        }
        table.greeted(self.link, now);
        drop(table);
        let peer = Who { direction, address: self.ends.1, kind };
        self.told = Some(peer);
        self.shared.observe(NetEvent::Connected { key: self.link.key.clone(), peer });
        Ok(())
    }

    /// Where nothing has been taken for a while: whether that is so.
    fn poke(&mut self, socket: &TcpStream) {
        let now = self.shared.now_ms();
        if self.poke_due().is_none_or(|due| now < due) {
            return;
        }
        self.poked_at = now;
        let bytes = self.outbox.poke(socket);
        if bytes > 0 {
            self.moved += bytes;
            self.counters.bytes_out += bytes;
            self.counters.writes += 1;
            self.handle(InEvent::Written);
            self.act();
        }
    }

    fn poke_due(&self) -> Option<u64> {
        let since = self.outbox.stalled_since()?.max(self.poked_at);
        Some(since.saturating_add(self.shared.options.stall_timeout_ms / POKES))
    }

    fn publish(&mut self) {
        let stage = match self.session.stage() {
            protocol::SessionStage::Handshake => Stage::Handshake,
            protocol::SessionStage::StandBy => Stage::StandBy,
            protocol::SessionStage::Sync => Stage::Sync,
            protocol::SessionStage::Live => Stage::Live,
            protocol::SessionStage::Closed => return,
        };
        let session = self.session.counters();
        (self.counters.nodes_in, self.counters.nodes_out) = (session.nodes_received, session.nodes_sent);
        let useful = (self.counters.added, self.counters.nodes_out);
        if useful != self.useful {
            self.useful = useful;
            self.link.used(self.shared.now_ms());
        }
        self.look_at_stuck(stage);
        if stage == Stage::Live && !self.live {
            self.live = true;
            // A log that does not get across is not level.
            if let Some(peer) = self.told.filter(|_| !self.link.is_stuck()) {
                self.shared.observe(NetEvent::Synced { key: self.link.key.clone(), peer });
            }
        }
        if let Some(at) = self.session.delivered().filter(|_| self.outbox.is_empty()) {
            self.delivered = at.change;
        }
        self.link.publish(stage, self.session.peer_kind(), self.counters, self.delivered);
    }

    /// When something happens even if nothing else does.
    fn deadline(&self) -> Instant {
        let paused = self.costs.paused_until();
        let due =
            [self.session.wake_at(), self.handshake_due(), self.stall_due(), self.poke_due(), self.frame_due(), paused];
        let due = due.into_iter().flatten().min();
        let epoch = Instant::from_std(self.shared.epoch);
        due.and_then(|due| epoch.checked_add(Duration::from_millis(due))).unwrap_or_else(|| Instant::now() + FAR_AWAY)
    }

    fn handshake_due(&self) -> Option<u64> {
        let greeted = self.session.peer_kind() != PeerKind::Unknown;
        let patience = self.shared.options.handshake_timeout_ms;
        let last = self.since_ms.saturating_add(patience.saturating_mul(HANDSHAKES));
        (!greeted).then(|| self.heard_at.saturating_add(patience).min(last))
    }

    fn stall_due(&self) -> Option<u64> {
        self.outbox.stalled_since().map(|since| since.saturating_add(self.shared.options.stall_timeout_ms))
    }

    fn frame_due(&self) -> Option<u64> {
        self.begun.map(|(since, _)| since.saturating_add(self.shared.options.frame_timeout_ms))
    }

    fn check_time(&mut self) -> Result<(), End> {
        let now = self.shared.now_ms();
        let options = &self.shared.options;
        if self.handshake_due().is_some_and(|due| due <= now) {
            let waited = options.handshake_timeout_ms;
            return Err(End::here(Error::Silent(format!("no handshake within {waited} ms"))));
        }
        if self.stall_due().is_some_and(|due| due <= now) {
            let waiting = self.outbox.len();
            let waited = options.stall_timeout_ms;
            let what = format!("the peer took none of the {waiting} bytes waiting for it for {waited} ms");
            return Err(End::here(Error::Silent(what)));
        }
        if self.frame_due().is_some_and(|due| due <= now) {
            let waited = options.frame_timeout_ms;
            let what = format!("a frame that was begun grew by less than {FRAME_STEP} bytes within {waited} ms");
            return Err(End::here(Error::Silent(what)));
        }
        if self.session.wake_at().is_some_and(|due| due <= now) {
            self.handle(InEvent::Tick);
        }
        Ok(())
    }

    fn health(&self) -> Health {
        let lasted = self.shared.now_ms().saturating_sub(self.since_ms);
        match self.session.peer_kind() {
            PeerKind::Unknown => Health::Silent,
            _ if self.hopeless => Health::Hopeless,
            // What it brought, the next one need not: it gets further, however often it is cut.
            _ if self.live || self.counters.added > 0 || lasted >= SETTLED_AFTER_MS => Health::Settled,
            _ => Health::Greeted,
        }
    }

    /// Tells a 2.x peer why the link ends, if this side ends it.
    fn say_goodbye(&mut self, end: &End) -> bool {
        let why = match end.reason {
            _ if end.told => return false,
            Reason::Closing => GoodbyeReason::Closing,
            Reason::Refused => GoodbyeReason::Refused,
            Reason::Damaged => GoodbyeReason::Damaged,
            Reason::Silent => GoodbyeReason::Silent,
            Reason::Protocol => GoodbyeReason::Protocol,
            Reason::Renewed => GoodbyeReason::Renewed,
            Reason::Lost | Reason::Ended | Reason::Dropped | Reason::Itself | Reason::Internal => return false,
        };
        // What is wrong with our own store, and where it is, is nobody else's business.
        let text = match why {
            GoodbyeReason::Refused | GoodbyeReason::Protocol | GoodbyeReason::Silent => end.error.to_string(),
            _ => String::new(),
        };
        let frame = self.session.goodbye(why, &text);
        if let Some(frame) = &frame {
            self.outbox.push(frame);
        }
        frame.is_some()
    }

    fn end_of(&mut self, reason: CloseReason) -> End {
        match reason {
            CloseReason::Peer(error) | CloseReason::Local(error) => End::here(error),
            CloseReason::Harmful(error) | CloseReason::Incompatible(error) => {
                self.hopeless = true;
                End::here(error)
            }
            CloseReason::Told(why, text) => End { told: true, ..end_told(why, &text) },
            CloseReason::Silent => End::here(Error::Silent("no sign of life from the peer".to_owned())),
            CloseReason::HalfOpen | CloseReason::Renew => End::here(Error::Ended).because(Reason::Renewed),
        }
    }

    /// Somebody ended the connection from outside: the user, or whoever needed its place.
    fn dropped(&mut self) -> End {
        match self.link.take_fate() {
            Some(error) => {
                self.gave_way = true;
                End::here(error)
            }
            None => End::here(Error::Ended).because(Reason::Dropped),
        }
    }

    fn lost(&self, error: &io::Error) -> End {
        lost(self.link, error)
    }
}

/// The peer ended the link and said why.
fn end_told(why: GoodbyeReason, text: &str) -> End {
    let error = |what: &str| match text {
        "" => Error::Incompatible(format!("the peer ended the link: {what}")),
        text => Error::Incompatible(format!("the peer ended the link: {what}: {}", quoted(text))),
    };
    match why {
        GoodbyeReason::Closing => End::here(Error::Ended).because(Reason::Closing),
        GoodbyeReason::Renewed => End::here(Error::Ended).because(Reason::Renewed),
        GoodbyeReason::Other => End::here(Error::Ended),
        GoodbyeReason::Refused => End::here(error("it does not want it")).because(Reason::Refused),
        GoodbyeReason::Damaged => End::here(error("its store has failed")).because(Reason::Damaged),
        GoodbyeReason::Silent => End::here(error("it heard nothing from here for too long")).because(Reason::Silent),
        GoodbyeReason::Protocol => {
            End::here(error("it was sent what it does not understand")).because(Reason::Protocol)
        }
    }
}

/// The connection broke.
fn lost(link: &Link, error: &io::Error) -> End {
    let (reason, system) = (super::socket::reason(error), super::socket::system(error));
    End::here(Error::Connect { target: link.key.clone(), reason, system })
}

/// Writes what waits, says goodbye, and lets the peer do the same: closing a socket with unread bytes would take
/// back what was written.
async fn farewell(mut socket: TcpStream, mut outbox: Outbox, most: usize) -> io::Result<()> {
    while !outbox.is_empty() {
        socket.writable().await?;
        outbox.flush(&socket, 0)?;
    }
    socket.shutdown().await?;
    let mut rest = BytesMut::with_capacity(READ_CHUNK);
    let mut read = 0;
    while read < most {
        socket.readable().await?;
        rest.clear();
        match socket.try_read_buf(&mut rest) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
