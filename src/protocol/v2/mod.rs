//! A session with a 2.x peer: comparison of all logs, one ordered stream of the rows that the peer lacks, and credit.
//!
//! 1. The peers find out which logs differ, and what each side has of them. They compare digests of sets of logs (`trees`). With a
//!    peer of the extension's first version, each side sends a vector instead: every log with its seq and digest (`vectors`).
//! 2. For each log, the side with more entries compares digests at the other side's last seq. If both sides have equally many, both
//!    see a difference, and the dialler acts. A mismatch is a fork; probes find its first entry by bisection, and both sides report
//!    it (`forks`).
//! 3. Each side streams the rows that the other lacks, in its store's order and without end, so that live events follow the
//!    catch-up (`send`). Batches cost credit. The receiver grants it again when its log has stored them (`receive`, `credit`).
//! 4. A side that gets entries from other peers in the meantime says so in its credit messages, and the peer skips them.

mod branches;
mod credit;
mod forks;
mod found;
mod large;
mod log_state;
mod pace;
mod receive;
mod schema;
mod send;
mod standby;
mod trees;
mod vectors;

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::BytesMut;

use self::branches::Branches;
use self::credit::ReceivedBytes;
use self::found::Purpose;
use self::large::Large;
use self::log_state::LogState;
use self::pace::Pace;
use self::trees::Trees;
use super::batch::{BatchReader, BatchWriter};
use super::capability::Capability;
use super::common::Common;
use super::extension::{Extension, Extent};
use super::goodbye::GoodbyeReason;
use super::io::{CloseReason, InEvent, LocalLog, OutEvent};
use super::lookups::Lookups;
use super::message::Mode;
use super::peer_logs::{Compared, PeerLogs};
use super::pieces::PieceOrigin;
use super::recent_keys::{MOST_RECENT, RECENT};
use super::version::WITH_PIECES;
use crate::error::Result;
use crate::node::{Digest, Key, LogId, Seq};
use crate::row::{Position, Row};

/// A sign of life is sent when nothing else was for this many milliseconds.
pub const ALIVE_MS: u64 = 15_000;

/// A peer from which nothing came for this many milliseconds is gone: three signs of life are missing.
pub const SILENT_MS: u64 = 45_000;

/// If the peer gets at most this many logs from other peers, too, all of them are checked whenever our log grows. If there are
/// more, only the logs of the rows that are read are checked.
const MAX_RECHECKED: usize = 16;

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct V2 {
    capability: Capability,
    /// Highest version of the extension that we speak.
    version: u64,
    log_id: LogId,
    logs: PeerLogs<LogState>,
    branches: Branches,
    /// The peer has asked for an entry of its own log in our version.
    owner_was_shown: bool,
    /// The position up to which the peer has our rows of logs without state; `None` if it has none of them.
    level: Option<Position>,
    /// How many logs may have state before those with the same entries on both sides are dropped.
    max_states: usize,
    lookups: Lookups<Purpose>,
    /// The digest that a probe asked for, until the entry is known too.
    probed: Option<Digest>,

    /// The comparison of all logs.
    trees: Trees,
    /// The peer's vector, as far as it has come.
    vector: Vec<Extent>,
    vector_seen: bool,
    /// Whether our vector has been sent.
    announced: bool,

    reader: BatchReader,
    received: ReceivedBytes,
    origin: PieceOrigin,
    /// The number of this session for its pieces.
    session: u64,
    /// When the peer last sent something that we lacked.
    behind_since: u64,
    /// When bytes of an incomplete frame last arrived. A large event takes long on a slow line.
    arriving_at: u64,
    /// Vectors in a row that changed nothing.
    resyncs: u32,
    /// Whether another link to the same emitter carries rows.
    stands_by: bool,
    /// Whether the peer has said anything about its logs.
    heard: bool,
    /// The peer has said goodbye: its reason and its text.
    leaving: Option<(GoodbyeReason, String)>,

    /// The peer has sent its schema.
    schema_seen: bool,

    /// Logs that other peers send us, too. This peer is told how far we have them, so that it need not send them.
    shared_logs: BTreeSet<LogId>,
    /// Those of `shared_logs` that may have grown since the peer last heard.
    shared_grown: BTreeSet<LogId>,

    writer: BatchWriter,
    /// Rows that were read and not yet dealt with.
    pending: VecDeque<Row>,
    /// Rows that the peer may get from other peers, and since when they have been waiting. Each log's rows are in order.
    postponed: VecDeque<(u64, Row)>,
    postponed_bytes: usize,
    /// Bytes of the rows in `pending` and `postponed`.
    unsent_bytes: usize,
    /// Bytes that the peer still accepts. The last batch may overdraw it.
    credit: i64,
    pace: Pace,
    /// The dialler goes first: we send no rows until this time, or until something of the dialler's is stored.
    yield_until: u64,
    /// The node that is on its way to the peer in pieces.
    large: Option<Large>,
    /// The last node that went in pieces, in case the peer asks for it again.
    last_large: Option<(Key, LogId, Seq)>,
    /// How many bytes the peer has of incomplete nodes.
    partly: HashMap<Key, u64>,

    started_at: u64,
    heard_at: u64,
    sent_at: u64,
}

/// Bytes of memory that a row takes, without the fixed part.
fn row_size(row: &Row) -> usize {
    row.node.value.len() + row.node.links.len() * size_of::<Key>()
}

impl V2 {
    pub(crate) fn start(common: &mut Common, capability: Capability, mode: Mode, view: &dyn LocalLog) -> Self {
        let mut v2 = V2::waiting(common, capability, mode, view);
        match v2.capability.twin.filter(|_| common.config.twin.is_some() && v2.has_trees()) {
            Some((instance, token)) => {
                v2.stands_by = true;
                common.out.push_back(OutEvent::Met(instance, token));
            }
            None => v2.begin_exchange(common, view),
        }
        v2
    }

    /// A session in which only handshakes have been exchanged.
    fn waiting(common: &Common, capability: Capability, mode: Mode, view: &dyn LocalLog) -> Self {
        // Both ends must remember the same number of keys.
        let reach = if capability.version.min(common.config.version) >= WITH_PIECES { MOST_RECENT } else { RECENT };
        V2 {
            version: common.config.version,
            log_id: view.log_id(),
            logs: PeerLogs::new(mode),
            branches: Branches::default(),
            owner_was_shown: false,
            level: None,
            max_states: 0,
            lookups: Lookups::default(),
            probed: None,
            trees: Trees::default(),
            vector: Vec::new(),
            vector_seen: false,
            announced: false,
            reader: BatchReader::reaching(reach),
            received: ReceivedBytes::default(),
            origin: PieceOrigin { address_prefix: common.config.address_prefix, log: capability.log.clone() },
            session: common.config.partials.session(),
            behind_since: common.now,
            arriving_at: 0,
            resyncs: 0,
            stands_by: false,
            heard: false,
            leaving: None,
            schema_seen: false,
            shared_logs: BTreeSet::new(),
            shared_grown: BTreeSet::new(),
            writer: BatchWriter::reaching(reach),
            pending: VecDeque::new(),
            postponed: VecDeque::new(),
            postponed_bytes: 0,
            unsent_bytes: 0,
            credit: i64::try_from(capability.window).unwrap_or(i64::MAX),
            pace: Pace::default(),
            yield_until: 0,
            large: None,
            last_large: None,
            partly: HashMap::new(),
            started_at: common.now,
            heard_at: common.now,
            sent_at: common.now,
            capability,
        }
    }

    /// The link carries rows from now on.
    fn begin_exchange(&mut self, common: &mut Common, view: &dyn LocalLog) {
        self.tell_schema(common);
        // The dialler waits for the listener's announcement, so that its own travels with its first rows.
        if !common.config.dialled {
            self.announce(common, view);
        }
    }

    #[cfg(test)]
    pub(crate) fn states(&self) -> usize {
        self.logs.len()
    }

    pub(crate) fn capability(&self) -> &Capability {
        &self.capability
    }

    pub(crate) fn is_live(&self, common: &Common) -> bool {
        !self.stands_by
            && self.vector_seen
            && self.logs.behind.is_empty()
            && self.pending.is_empty()
            && self.large.is_none()
            && self.lookups.is_idle()
            && (common.rows.is_at_end() || self.logs.mode == Mode::Push)
    }

    /// The position up to which the peer has stored everything, once that is all we have.
    pub(crate) fn delivered(&self, common: &Common) -> Option<Position> {
        let granted = u64::try_from(self.credit).is_ok_and(|credit| credit >= self.capability.window);
        let sent = self.vector_seen
            && self.pending.is_empty()
            && self.postponed.is_empty()
            && self.large.is_none()
            && !self.lookups.is_starting();
        common.rows.reached().filter(|_| sent && granted && self.lookups.is_idle())
    }

    /// How far the peer has a log, and whether its version differs from ours; `None` while that is not known.
    pub(crate) fn compared(&self, log: &str) -> Option<(Seq, bool)> {
        match self.logs.get(log) {
            Some(known) => Some((known.has, known.forked.is_some())).filter(|_| !known.own.doubted && self.vector_seen),
            // A log without state was the same on both sides.
            None => self.level.map(|_| (Seq::MAX, false)),
        }
    }

    /// Lookups that wait.
    pub(crate) fn backlog(&self) -> usize {
        self.lookups.waiting()
    }

    /// Sends one message.
    fn say(&mut self, common: &mut Common, extension: &Extension<'_>) {
        let mut out = BytesMut::new();
        extension.encode(&mut out);
        self.sent_at = common.now;
        common.send_bytes(out);
    }

    /// # Errors
    /// What the peer did wrong.
    pub(crate) fn handle(&mut self, common: &mut Common, event: InEvent, view: &dyn LocalLog) -> Result<()> {
        if self.stands_by {
            return self.stand_by(common, event, view);
        }
        let more_to_come = matches!(event, InEvent::Frame(_));
        let tick = matches!(event, InEvent::Tick);
        match event {
            InEvent::Frame(frame) => {
                self.heard_at = common.now;
                self.arriving_at = 0;
                self.on_frame(common, &frame, view)?;
            }
            InEvent::Arriving => {
                self.heard_at = common.now;
                self.arriving_at = common.now;
            }
            InEvent::Rows(Ok(rows)) => self.on_rows(common, rows, view),
            InEvent::Added(Ok(outcomes)) => self.on_added(common, outcomes, view)?,
            InEvent::LookedUp(Ok(found)) => self.on_looked_up(common, found, view),
            InEvent::Rows(Err(error)) | InEvent::Added(Err(error)) | InEvent::LookedUp(Err(error)) => {
                common.close(CloseReason::Local(error));
            }
            InEvent::Advanced => {
                common.rows.advanced();
                self.logs.behind.grown();
                if self.shared_logs.len() <= MAX_RECHECKED {
                    self.shared_grown.clone_from(&self.shared_logs);
                }
            }
            InEvent::Turn(turn) => self.on_turn(common, turn, view),
            // This protocol does not use `ForkLocal`: the log itself decides once it gets the entry that differs.
            InEvent::Opened | InEvent::Idle | InEvent::Written | InEvent::Tick | InEvent::Forked(_) => {}
        }
        if view.log_id() != self.log_id {
            self.on_relabelled(common, view);
        }
        if !more_to_come || common.intake.is_full() {
            self.offer_nodes(common);
        }
        if self.leaving.is_some() {
            self.leave(common);
            return Ok(());
        }
        // Entries that came over other links are noticed in the rows that we read, or, while nothing is read, by checking all logs
        // in turn.
        for log in self.logs.behind.next(tick) {
            self.look_at(common, &log, view);
        }
        self.proceed(common, view);
        Ok(())
    }

    /// Takes all steps that have become possible.
    fn proceed(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if common.is_closed() {
            return;
        }
        self.grant(common, view);
        if common.now >= self.yield_until && self.logs.mode != Mode::Push {
            self.send_pending(common);
            if self.pending.is_empty()
                && self.large.is_none()
                && !self.lookups.is_starting()
                && self.vector_seen
                && self.credit > 0
            {
                common.read_rows();
            }
        }
        common.look_up(&mut self.lookups);
        self.resync_if_stuck(common, view);
        self.look_for_left_out(common, view);
        self.drop_level(common, view);
        self.keep_alive(common);
    }

    fn on_rows(&mut self, common: &mut Common, rows: Vec<Row>, view: &dyn LocalLog) {
        let rows = common.rows.finish(rows);
        // All of these rows are stored, so one check for each run of a log's rows is enough.
        let mut looked_at = None;
        for row in &rows {
            if looked_at.replace(row.log()) != Some(row.log()) {
                self.look_at(common, row.log(), view);
            }
        }
        self.unsent_bytes += rows.iter().map(row_size).sum::<usize>();
        self.pending.extend(rows);
    }

    /// Bytes of the rows that wait to be sent to the peer.
    pub(crate) fn unsent_bytes(&self) -> usize {
        self.unsent_bytes + self.large.as_ref().map_or(0, Large::len)
    }

    /// Bytes of memory taken by what is known about logs, without the ids of unknown ones.
    pub(crate) fn state_bytes(&self) -> usize {
        self.logs.bytes() + self.branches.bytes() + self.reader.table_bytes() + self.comparison_bytes()
    }

    fn keep_alive(&mut self, common: &mut Common) {
        if common.now >= self.heard_at + SILENT_MS && !common.intake.is_full() {
            common.close(CloseReason::Silent);
        } else if common.now >= self.sent_at + ALIVE_MS {
            self.say(common, &Extension::Alive);
        }
    }

    pub(crate) fn wake_at(&self, common: &Common) -> Option<u64> {
        if self.stands_by {
            return Some((self.heard_at + SILENT_MS).min(self.sent_at + ALIVE_MS).max(common.now + 1));
        }
        let due = [
            Some(self.heard_at + SILENT_MS),
            Some(self.sent_at + ALIVE_MS),
            self.resync_due(),
            (self.yield_until > common.now).then_some(self.yield_until),
            self.logs.behind.is_looking().then_some(common.now + 1),
            self.postponed_due(),
            self.received.due(),
        ];
        let due = due.into_iter().flatten().min()?;
        Some(due.max(common.now + 1))
    }
}
