//! One replication session with one peer, as a state machine without I/O.
//!
//! The driver (`net`) hands over what happened ([`InEvent`]) with the clock and a view of the log, and carries out
//! what comes out ([`OutEvent`]). Which protocol is spoken is decided by the handshakes: with a peer that shows our
//! capability record in its `metadata` the extension (`v2`), with any other hyperlog 4.12.1's (`v1`).

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::asker::Asker;
use super::extension::{Capability, Extension, GoodbyeReason, Instance, Token};
use super::feeder::Feeder;
use super::frame::MAX_SMALL_FRAME;
use super::incoming::{Incoming, Outcome};
use super::intake::Intake;
use super::message::{Handshake, Message, Mode};
use super::pieces::Partials;
use super::twins::Turn;
use super::v1::V1;
use super::v2::V2;
use crate::error::{Error, Result};
use crate::node::{Digest, LogId, Seq};
use crate::store::log_set::{Bucket, LogSet, Prefix, PARTS};
use crate::store::{Entry, LogHead, Position, ReadLimit, Row};

/// How long a peer may take to send its handshake, in milliseconds. 1.x sends it with the first bytes.
pub const HANDSHAKE_MS: u64 = 10_000;

/// Logs that a peer may name in one session and that we have nothing of. Those in our store are not limited: they are there
/// anyway. Every process on a memory store has a log of its own, so an old fleet has very many; at some 250 bytes each this
/// bounds what a hostile peer can cost.
pub const MAX_LOGS: usize = 1024 * 1024;

/// Logs unknown to us that a peer may name at once; [`LOGS_PER_SECOND`] after that. No honest peer of an ordinary fleet notices.
pub const LOG_BURST: usize = 64 * 1024;

/// Logs unknown to us that a peer may name in a second, in the long run. A peer that brings a million of them takes some
/// three minutes for it, a stranger that wants to fill the table as long; meanwhile its socket is left unread.
pub const LOGS_PER_SECOND: u64 = 5_000;

/// Questions to the store that may wait before the driver stops reading the socket: each costs the peer a frame.
const MAX_BACKLOG: usize = 4096;

/// What happened.
#[derive(Debug)]
pub enum InEvent {
    /// The connection is up. Comes first, once.
    Opened,
    /// A whole frame without its length prefix.
    Frame(Bytes),
    /// No further whole frame is at hand: what was collected can go.
    Idle,
    /// Bytes of an incomplete frame arrived: the peer is alive.
    Arriving,
    /// The send buffer has drained.
    Written,
    /// The log has grown, or its id has changed.
    Advanced,
    /// Answers [`OutEvent::Read`]; empty at the end of the store.
    Rows(Result<Vec<Row>>),
    /// Answers [`OutEvent::Add`]: one outcome per node.
    Added(Result<Vec<Outcome>>),
    /// Answers [`OutEvent::Lookup`]: one reply per query.
    LookedUp(Result<Vec<Found>>),
    /// Answers [`OutEvent::ForkLocal`] with the new log id.
    Forked(Result<LogId>),
    /// Answers [`OutEvent::Met`] and [`OutEvent::Twin`], or comes when another link to the same peer has ended.
    Turn(Turn),
    /// Time has passed; see [`Session::wake_at`].
    Tick,
}

/// What is to be done. At most one `Read`, `Add`, `Ask` and `ForkLocal` each are unanswered at any time.
#[derive(Debug)]
pub enum OutEvent {
    /// Send these bytes: one or more whole frames.
    Send(Bytes),
    /// Read rows; the driver may wait until its send buffer has room.
    Read {
        /// Strictly after this place.
        after: Position,
        /// How much.
        limit: ReadLimit,
    },
    /// Offer nodes to the log, in order.
    Add(Vec<Incoming>),
    /// Ask the store.
    Lookup(Vec<Lookup>),
    /// Our own log is forked: go on under a new id from this seq.
    ForkLocal {
        /// Our own log, as the session knew it.
        log: LogId,
        /// First seq at which the peer holds something else.
        from: Seq,
    },
    /// The peer says which open emitter it is, and gives a token: there may be other links to it. Nothing is exchanged before the
    /// driver has said which of them carries ([`InEvent::Turn`]).
    Met(Instance, Token),
    /// The peer says that this link carries rows, or that the one on which we gave this token does.
    Twin(Option<Token>),
    /// Tell the user; the session goes on unless `Close` follows.
    Report(Error),
    /// End the connection. Nothing follows.
    Close(CloseReason),
}

/// A question about what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Running digest of a log after `seq` entries.
    Digest(LogId, Seq),
    /// The entry of a log at a seq.
    Entry(LogId, Seq),
}

/// Answer to the [`Lookup`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// `None` beyond the log's end.
    Digest(Option<Digest>),
    /// `None` if there is no such entry.
    Entry(Option<Entry>),
}

/// Why a session ends.
#[derive(Debug)]
pub enum CloseReason {
    /// The peer broke the protocol, or sent what can never be stored.
    Peer(Error),
    /// A 1.x peer left the link half dead (SPEC E4): a new session heals it.
    HalfOpen,
    /// No handshake, or no sign of life.
    Silent,
    /// Going on would send a 1.x peer an event that crashes it. A new session ends at the same place.
    Harmful(Error),
    /// This emitter and this peer cannot replicate. A new session ends the same way.
    Incompatible(Error),
    /// What was announced no longer holds (our log id changed): start anew at once.
    Renew,
    /// Our own log or store failed.
    Local(Error),
    /// The peer ends the link, and says why.
    Told(GoodbyeReason, String),
}

/// The log as a session sees it: memory only, never blocking.
pub trait LocalLog {
    /// Id of the log that appends go to.
    fn log_id(&self) -> LogId;
    /// Head of a log, if it has entries.
    fn head(&self, log: &str) -> Option<LogHead>;
    /// Last seq of a log, 0 if unknown.
    fn seq(&self, log: &str) -> Seq {
        self.head(log).map_or(0, |head| head.seq)
    }
    /// Head of every log.
    fn logs(&self) -> Vec<LogHead>;
    /// How many logs there are in `prefix`, and their digest. Costs what has changed there since it was last asked.
    fn bucket(&self, prefix: Prefix) -> Bucket {
        self.logs().into_iter().collect::<LogSet>().bucket(prefix)
    }
    /// The sixteen parts of `prefix`.
    fn parts(&self, prefix: Prefix) -> [Bucket; PARTS] {
        self.logs().into_iter().collect::<LogSet>().parts(prefix)
    }
    /// Heads of the logs in `prefix`, in order of their places.
    fn logs_in(&self, prefix: Prefix) -> Vec<LogHead> {
        self.logs().into_iter().collect::<LogSet>().logs_in(prefix)
    }
    /// How often another version of a log was adopted: what was announced before no longer holds.
    fn adoptions(&self) -> u64 {
        0
    }
    /// The first entry of our own log that peers hold and that we did not write: what they have from there on is of no use.
    fn forged_from(&self) -> Option<Seq> {
        None
    }
    /// The last place stored.
    fn end(&self) -> Position;
}

/// Which protocol the peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PeerKind {
    /// Its handshake has not arrived.
    #[default]
    Unknown,
    /// hyperlog 4.12.1's: the peer is hyperemitter 1.x or plain hyperlog.
    V1,
    /// The 2.x extension.
    V2,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStage {
    /// Waiting for the peer's handshake.
    Handshake,
    /// Another link to the same emitter carries what there is.
    StandBy,
    /// At least one side still lacks what the other announced.
    Sync,
    /// Both sides are level; new events flow.
    Live,
    /// Over.
    Closed,
}

/// What a session needs to know at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether we opened the connection. Links that a 1.x peer opened are given up more patiently: each redial
    /// costs it one of its ten attempts.
    pub dialled: bool,
    /// Why a value must not reach a 1.x peer (`event::reason_unsafe_for_v1`).
    pub harm: fn(&[u8]) -> Option<String>,
    /// This emitter writes standard protobuf, which 1.x misreads: sessions with 1.x are refused.
    pub standard: bool,
    /// Largest frame the driver accepts, in bytes; announced to 2.x peers.
    pub max_frame: usize,
    /// Largest event container that the log stores, in bytes; announced to 2.x peers, which send nothing larger.
    pub max_value: usize,
    /// This emitter among all, and what it calls this connection. Without it each of several links to one peer carries everything.
    pub twin: Option<(Instance, Token)>,
    /// What has arrived of large nodes, over all links of this emitter.
    pub partials: Partials,
    /// Number of the network that the peer is in: what it leaves incomplete is kept for this network.
    pub network: u64,
    /// How long a half-dead link to a 1.x peer may stay idle, in milliseconds; `None` for the default of its
    /// direction.
    pub patience_ms: Option<u64>,
    /// For tests: smaller ones make the same happen with few logs.
    #[doc(hidden)]
    pub sizes: Sizes,
    /// Highest version of the extension to speak; for tests.
    #[doc(hidden)]
    pub version: u64,
    /// Offer the extension. Without it every peer is treated as 1.x.
    pub extension: bool,
    /// For tests: defences that can be taken out one by one.
    #[doc(hidden)]
    pub defences: Defences,
}

impl Config {
    /// The usual session.
    #[must_use]
    pub fn new(dialled: bool, harm: fn(&[u8]) -> Option<String>) -> Self {
        Config {
            dialled,
            harm,
            standard: false,
            max_frame: super::frame::MAX_FRAME_LEN,
            max_value: super::frame::MAX_FRAME_LEN / 2,
            twin: None,
            partials: Partials::default(),
            network: 0,
            patience_ms: None,
            sizes: Sizes::default(),
            version: super::extension::VERSION,
            extension: true,
            defences: Defences::default(),
        }
    }
}

/// Logs of the largest part that is listed instead of taken apart: their digests cost about as much as one more level.
const LIST_LOGS: u64 = 16;

/// Logs of which a peer lacks entries and whose place in the store is looked up; with more of them the store is read from
/// its beginning, which then costs less.
const MAX_STARTS: usize = 4096;

/// Logs that have state on a link before those are dropped of which both sides have the same entries: below 1 MiB.
const MAX_STATES: usize = 4096;

/// Logs in a sender's table of indices before it begins a new one: some 6 MiB on both sides.
const MAX_TABLE: usize = 64 * 1024;

/// How many logs a session with a 2.x peer deals with at a time.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Of the largest part that is listed.
    pub list: u64,
    /// Looked up before all is read.
    pub starts: usize,
    /// With state before some are dropped.
    pub states: usize,
    /// In a table of indices.
    pub table: usize,
    /// Named by the peer and unknown here.
    pub names: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes { list: LIST_LOGS, starts: MAX_STARTS, states: MAX_STATES, table: MAX_TABLE, names: MAX_LOGS }
    }
}

/// Defences against 1.x's defects (SPEC E4). The simulator takes each one out to show that it is needed.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defences {
    /// Remember what the peer has and never send it again.
    pub no_echo: bool,
    /// Judge completeness by log heads, not by counting arrivals.
    pub complete_by_heads: bool,
    /// Close links that stay half dead.
    pub close_half_open: bool,
    /// Send nothing while a 1.x peer still sends what we want.
    pub pull_first: bool,
    /// Wait until the peer's wants are known before sending, so that causes go first.
    pub settle: bool,
    /// Hold live nodes back until the peer's sentWants.
    pub live_after_wants: bool,
    /// Notice entries that a live 1.x peer never relays.
    pub mind_gaps: bool,
    /// Send further log entries of stored nodes.
    pub send_duplicates: bool,
    /// Close before events that crash 1.x.
    pub spare_v1: bool,
    /// Ask for one node more than is missing, as proof that both logs agree.
    pub prove_forks: bool,
}

impl Default for Defences {
    fn default() -> Self {
        Defences {
            no_echo: true,
            complete_by_heads: true,
            close_half_open: true,
            pull_first: true,
            settle: true,
            live_after_wants: true,
            mind_gaps: true,
            send_duplicates: true,
            spare_v1: true,
            prove_forks: true,
        }
    }
}

/// State that both protocols share.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: Config,
    pub(crate) out: VecDeque<OutEvent>,
    pub(crate) now: u64,
    /// When bytes last moved or the log last answered.
    pub(crate) active_at: u64,
    pub(crate) feeder: Feeder,
    pub(crate) intake: Intake,
    pub(crate) counters: SessionCounters,
    names: Names,
    closed: bool,
}

/// What a session has done, for `peers()` and the simulator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Nodes sent.
    pub nodes_sent: u64,
    /// Nodes received, echoes included.
    pub nodes_received: u64,
    /// Of those, echoes of what was sent shortly before.
    pub echoes: u64,
    /// Nodes received that had come over another link before.
    pub in_vain: u64,
    /// Nodes that arrived before something they depend on.
    pub parked: u64,
    /// Bytes of node frames sent.
    pub bytes_sent: u64,
}

/// Logs that the peer has named and that we have nothing of.
#[derive(Debug, Default)]
struct Names {
    count: usize,
    /// Time that the names beyond the burst take, in microseconds of the session's clock: until then nothing more is read.
    until_us: u64,
}

impl Common {
    /// The peer names a log that the session does not know yet, of which we have `ours` entries.
    ///
    /// # Errors
    /// `Protocol` if there are too many.
    pub(crate) fn name_log(&mut self, ours: Seq) -> Result<()> {
        if ours > 0 {
            return Ok(());
        }
        if self.names.count >= MAX_LOGS {
            return Err(Error::Protocol(format!("the peer names more than {MAX_LOGS} logs that are unknown here")));
        }
        self.names.count += 1;
        let now_us = self.now.saturating_mul(1_000);
        self.names.until_us = self.names.until_us.max(now_us).saturating_add(1_000_000 / LOGS_PER_SECOND);
        Ok(())
    }

    /// Logs that the peer has named and that we had nothing of.
    pub(crate) fn names(&self) -> usize {
        self.names.count
    }

    /// Nothing is kept any more of the logs named so far.
    pub(crate) fn forget_names(&mut self) {
        self.names.count = 0;
    }

    /// When the peer may name further logs, if it has named too many at once.
    fn reads_again_at(&self) -> Option<u64> {
        let burst_us = LOG_BURST as u64 * (1_000_000 / LOGS_PER_SECOND);
        Some(self.names.until_us.saturating_sub(burst_us).div_ceil(1_000)).filter(|at| *at > self.now)
    }

    pub(crate) fn send(&mut self, message: &Message<'_>) {
        let mut out = BytesMut::new();
        message.encode(&mut out);
        self.send_bytes(out);
    }

    pub(crate) fn send_bytes(&mut self, out: BytesMut) {
        if !out.is_empty() {
            self.out.push_back(OutEvent::Send(out.freeze()));
        }
    }

    pub(crate) fn report(&mut self, error: Error) {
        self.out.push_back(OutEvent::Report(error));
    }

    pub(crate) fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.out.push_back(OutEvent::Close(reason));
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Offers what was collected, if no group is under way.
    pub(crate) fn flush_intake(&mut self) {
        if let Some(nodes) = self.intake.start() {
            self.out.push_back(OutEvent::Add(nodes));
        }
    }

    pub(crate) fn read_on(&mut self) {
        if let Some(read) = self.feeder.start() {
            self.out.push_back(read);
        }
    }

    pub(crate) fn ask_on<P>(&mut self, asker: &mut Asker<P>) {
        if let Some(ask) = asker.start() {
            self.out.push_back(ask);
        }
    }

    /// Milliseconds without any movement; 0 while we ourselves are at work.
    pub(crate) fn idle_ms(&self) -> u64 {
        if self.intake.is_busy() || self.feeder.is_reading() {
            return 0;
        }
        self.now.saturating_sub(self.active_at)
    }
}

#[derive(Debug)]
enum Protocol {
    Opening,
    V1(Box<V1>),
    V2(Box<V2>),
}

/// One replication session. See the module's documentation.
#[derive(Debug)]
pub struct Session {
    common: Common,
    protocol: Protocol,
    /// [`LocalLog::adoptions`] at the start.
    adoptions: Option<u64>,
}

impl Session {
    /// A session on a connection that is about to open.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Session {
            common: Common {
                config,
                out: VecDeque::new(),
                now: 0,
                active_at: 0,
                feeder: Feeder::default(),
                intake: Intake::default(),
                counters: SessionCounters::default(),
                names: Names::default(),
                closed: false,
            },
            protocol: Protocol::Opening,
            adoptions: None,
        }
    }

    /// Takes notice of `event` at `now` (milliseconds of any clock that never goes back). Then drain
    /// [`Session::poll`] and look at [`Session::wake_at`].
    pub fn handle(&mut self, event: InEvent, now: u64, view: &dyn LocalLog) {
        let common = &mut self.common;
        if common.closed {
            return;
        }
        common.now = common.now.max(now);
        let adoptions = view.adoptions();
        if *self.adoptions.get_or_insert(adoptions) != adoptions {
            common.close(CloseReason::Renew);
            return;
        }
        if !matches!(event, InEvent::Tick | InEvent::Advanced | InEvent::Idle) {
            common.active_at = common.now;
        }
        let failed = match &mut self.protocol {
            Protocol::Opening => return self.opening(event, view),
            Protocol::V1(v1) => v1.handle(common, event, view),
            Protocol::V2(v2) => v2.handle(common, event, view),
        };
        if let Err(error) = failed {
            common.close(CloseReason::Peer(error));
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<OutEvent> {
        self.common.out.pop_front()
    }

    /// When a `Tick` is due, in the clock of [`Session::handle`].
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        if self.common.closed {
            return None;
        }
        let due = match &self.protocol {
            Protocol::Opening => Some(self.common.active_at + HANDSHAKE_MS),
            Protocol::V1(v1) => v1.wake_at(&self.common),
            Protocol::V2(v2) => v2.wake_at(&self.common),
        };
        [due, self.common.reads_again_at()].into_iter().flatten().min()
    }

    /// Whether the driver should go on reading the socket.
    #[must_use]
    pub fn wants_frames(&self) -> bool {
        let backlog = match &self.protocol {
            Protocol::Opening => 0,
            Protocol::V1(v1) => v1.backlog(),
            Protocol::V2(v2) => v2.backlog(),
        };
        self.common.reads_again_at().is_none()
            && backlog < MAX_BACKLOG
            && !(self.common.intake.is_busy() && self.common.intake.is_full())
    }

    /// The largest frame that this peer may send, in bytes; the driver's own limit holds beside it.
    #[must_use]
    pub fn frame_limit(&self) -> usize {
        match &self.protocol {
            Protocol::V2(v2) if v2.has_pieces() => MAX_SMALL_FRAME,
            _ => self.common.config.max_frame,
        }
    }

    /// Which protocol the peer speaks.
    #[must_use]
    pub fn peer_kind(&self) -> PeerKind {
        match self.protocol {
            Protocol::Opening => PeerKind::Unknown,
            Protocol::V1(_) => PeerKind::V1,
            Protocol::V2(_) => PeerKind::V2,
        }
    }

    /// How far the session has come.
    #[must_use]
    pub fn stage(&self) -> SessionStage {
        if self.common.closed {
            return SessionStage::Closed;
        }
        let live = match &self.protocol {
            Protocol::Opening => return SessionStage::Handshake,
            Protocol::V1(v1) => v1.is_live(),
            Protocol::V2(v2) => v2.is_live(&self.common),
        };
        if matches!(&self.protocol, Protocol::V2(v2) if v2.stands_by()) {
            SessionStage::StandBy
        } else if live {
            SessionStage::Live
        } else {
            SessionStage::Sync
        }
    }

    /// The place up to which the peer has all that we have, once it does: stored by a 2.x peer, sent to a 1.x peer
    /// (which acknowledges nothing). Sending is what [`OutEvent::Send`] asked for; the driver's buffer is not known here.
    #[must_use]
    pub fn delivered(&self) -> Option<Position> {
        match &self.protocol {
            Protocol::Opening => None,
            Protocol::V1(v1) => self.common.feeder.reached().filter(|_| v1.is_live()),
            Protocol::V2(v2) => v2.delivered(&self.common),
        }
    }

    /// What the session has done so far.
    #[must_use]
    pub fn counters(&self) -> SessionCounters {
        self.common.counters
    }

    /// What the peer's capability record said; `None` for 1.x.
    #[must_use]
    pub fn capability(&self) -> Option<&Capability> {
        match &self.protocol {
            Protocol::V2(v2) => Some(v2.capability()),
            _ => None,
        }
    }

    /// Bytes of rows that wait for the peer's credit.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.protocol {
            Protocol::V2(v2) => v2.held(),
            _ => 0,
        }
    }

    /// How far a 2.x peer has a log, and whether it is another version than ours; `None` while that is not known.
    #[must_use]
    pub fn compared(&self, log: &str) -> Option<(Seq, bool)> {
        match &self.protocol {
            Protocol::V2(v2) => v2.compared(log),
            _ => None,
        }
    }

    /// The frame that tells the peer why the link ends; `None` if it would not understand. To be sent last.
    #[must_use]
    pub fn goodbye(&self, why: GoodbyeReason, text: &str) -> Option<Bytes> {
        if self.peer_kind() != PeerKind::V2 {
            return None;
        }
        let mut out = BytesMut::new();
        Extension::Goodbye { why, text: text.to_owned() }.encode(&mut out);
        Some(out.freeze())
    }

    /// Logs that have state here.
    #[cfg(test)]
    pub(crate) fn states(&self) -> usize {
        match &self.protocol {
            Protocol::V2(v2) => v2.states(),
            _ => 0,
        }
    }

    fn opening(&mut self, event: InEvent, view: &dyn LocalLog) {
        match event {
            InEvent::Opened => {
                let metadata =
                    self.common.config.extension.then(|| Capability::ours(&self.common.config, view.log_id()).encode());
                let handshake =
                    Handshake { version: 1, mode: Mode::Sync, metadata: metadata.as_deref(), live: Some(true) };
                self.common.send(&Message::Handshake(handshake));
            }
            InEvent::Frame(frame) => match Message::decode(&frame) {
                Ok(Message::Handshake(handshake)) => self.begin(&handshake, view),
                // A 1.x peer opens with its handshake. Whatever comes before it, 1.x answers from an empty
                // snapshot; here it is not worth an answer.
                Ok(_) => {}
                Err(error) => self.common.close(CloseReason::Peer(error)),
            },
            InEvent::Tick if self.common.now >= self.common.active_at + HANDSHAKE_MS => {
                self.common.close(CloseReason::Silent);
            }
            _ => {}
        }
    }

    fn begin(&mut self, handshake: &Handshake<'_>, view: &dyn LocalLog) {
        let offered = handshake.metadata.filter(|_| self.common.config.extension);
        match offered.map(Capability::decode) {
            Some(Ok(Some(capability))) => {
                self.protocol = Protocol::V2(Box::new(V2::start(&mut self.common, capability, handshake.mode, view)));
            }
            Some(Err(error)) => self.common.close(CloseReason::Peer(error)),
            _ if self.common.config.standard => {
                let error = Error::Incompatible(
                    "the peer is hyperemitter 1.x, which misreads the standard protobuf this emitter writes: upgrade the peer, \
                     or use encoding 'v1' here"
                        .into(),
                );
                self.common.report(error.clone());
                self.common.close(CloseReason::Incompatible(error));
            }
            _ => self.protocol = Protocol::V1(Box::new(V1::start(&mut self.common, handshake.mode, view))),
        }
    }
}
