//! A session with a 2.x peer: version vectors with digests, one ordered stream of what the peer lacks, credit.
//!
//! 1. They find out which logs differ, and what each has of those: by digests of sets of logs (`trees`), or with a peer of
//!    the extension's first version by a vector from each side: every log with its seq and digest.
//! 2. For each log, the side with more entries compares digests at the other's seq (equal lengths: both see it, the
//!    dialler acts). A mismatch is a fork; its first entry is found by bisecting with probes, and both sides report it.
//! 3. Each side streams the rows the other lacks, in its store's order, from the lowest place on, for ever: the
//!    live tail is the end of the catch-up. Batches cost credit, which the receiver grants as its log stores them.
//! 4. Entries that reach a side from elsewhere meanwhile are named with the credit, and skipped.

mod compare;
mod large;
mod pace;
mod send;
mod standby;
mod trees;

use std::collections::{BTreeSet, HashMap, VecDeque};

use bytes::{Bytes, BytesMut};

use super::asker::Asker;
use super::batch::{BatchReader, BatchWriter, MAX_BATCH};
use super::behind::Behind;
use super::extension::{
    Capability, Compare, Extension, Extent, GoodbyeReason, MAX_UPDATES, VECTOR_CHUNK, WINDOW, WITH_DEMANDS, WITH_PIECES,
};
use super::feeder::before;
use super::fork::Compared;
use super::frame::FRAME_OVERHEAD;
use super::incoming::Outcome;
use super::message::{Message, Mode};
use super::pieces::PieceOrigin;
use super::recent::{MOST_RECENT, RECENT};
use super::session::{CloseReason, Common, Found, InEvent, LocalLog, Lookup, OutEvent};
use crate::error::{quoted, Error, Result};
use crate::node::{Digest, Key, LogId, Seq};
use crate::store::{LogHead, Position, Row};
use large::Large;
use pace::Pace;
use trees::Trees;

/// Nothing sent for this long: send a sign of life, in milliseconds.
pub const ALIVE_MS: u64 = 15_000;

/// Nothing heard for this long: the peer is gone, in milliseconds. Three signs of life.
pub const SILENT_MS: u64 = 45_000;

/// The peer has more of a log and does not send it: tell it anew what we have, after this many milliseconds.
pub const RESYNC_MS: u64 = 5_000;

/// How long a listener that lacks something waits for the dialler's first rows to be stored before it sends its own,
/// in milliseconds. In 1.x the listener hears the dialler's history first, and its examples print that; a commit is
/// all that this costs.
const YIELD_MS: u64 = 100;

/// How long a row of a log that the peer also gets from elsewhere waits for the peer's word that it has it, in
/// milliseconds. Without word it is sent, and the log's next rows go at once again.
pub const LAZY_MS: u64 = 30;

/// Rows that may wait so at a time; then the oldest ones go.
const MAX_HELD: usize = 256;

/// Bytes of rows that may wait so at a time, beside one row.
const MAX_HELD_BYTES: usize = 256 * 1024;

/// Logs that the peer gets from elsewhere as well and that are all looked at whenever the log grows; of more, those in the rows
/// that are read.
const MAX_RECHECKED: usize = 16;

/// What was stored is acknowledged after this long, in milliseconds, even if little of the window is used up: a sender
/// that wants to leave knows then that its peer has all. Small frames, so few that they cost nothing.
pub const SETTLE_MS: u64 = 25;

/// After this many vectors that changed nothing the link is closed for a new one.
const MAX_RESYNCS: u32 = 3;

#[derive(Debug, Default)]
struct PeerLog {
    /// The peer has entries up to here.
    has: Seq,
    /// Our logs differ from this seq on.
    forked: Option<Seq>,
    /// Not yet known to agree: nothing of it is sent.
    doubted: bool,
    bisect: Option<Bisect>,
    /// The fork that was reported last, so that a further vector does not report it again.
    reported: Option<Compared>,
    /// The first entry that differs was asked for, so that the log can judge it.
    demanded: bool,
    /// The peer asked for this entry of ours, as the first that differs.
    shown: Option<Seq>,
    /// The entry for which the cursor last had to go back.
    reread: Seq,
    /// The peer knows that we have entries up to here.
    told: Seq,
    /// The peer gets this log from elsewhere as well: our rows of it wait for its word.
    lazy: bool,
    /// The peer sent in vain: it is to hear how far we are, even if it could know.
    remind: bool,
}

impl PeerLog {
    /// Whether our logs differ, or may.
    fn is_disputed(&self) -> bool {
        self.forked.is_some() || self.doubted || self.reported.is_some() || self.demanded || self.shown.is_some()
    }

    /// Whether an entry that the peer sends is of use: before a fork, or the one at it that we asked for.
    fn takes(&self, seq: Seq) -> bool {
        self.forked.is_none_or(|from| seq < from || seq == from && self.demanded)
    }
}

/// The logs agree up to `low` and differ at `high`.
#[derive(Debug)]
struct Bisect {
    low: Seq,
    high: Seq,
    /// The peer's key at `high`.
    theirs: Option<Key>,
}

#[derive(Debug)]
enum Purpose {
    /// Start reading before this entry.
    Start,
    /// Our digest where the peer's log ends.
    Verify(Extent),
    /// Our digest where the peer was probed.
    Bisect(Extent, Key),
    /// Our key of the first entry that differs; `true` if the peer does not know yet.
    Fork {
        log: LogId,
        seq: Seq,
        theirs: Key,
        tell: bool,
    },
    /// Our digest before the first entry that differs, for a peer that knows no demands.
    Before(LogId, Seq),
    /// What the peer probed for: digest, then entry.
    ProbedDigest,
    ProbedEntry(LogId, Seq),
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct V2 {
    capability: Capability,
    /// The peer only takes, or only brings.
    remote: Mode,
    log_id: LogId,
    logs: HashMap<LogId, PeerLog>,
    /// The comparison of all logs.
    trees: Trees,
    /// Of a log without state the peer has our entries up to this place; `None` if it has none of it.
    level: Option<Position>,
    /// So many logs may have state before those that are level are dropped.
    states: usize,
    /// Highest version of the extension that we speak.
    version: u64,
    vector: Vec<Extent>,
    vector_seen: bool,
    /// Ours has been sent.
    announced: bool,
    /// The dialler goes first: until then, or until something of it is stored, we send no rows.
    yield_until: u64,
    writer: BatchWriter,
    reader: BatchReader,
    pending: VecDeque<Row>,
    /// Bytes the peer still accepts; the last batch may overdraw it.
    credit: i64,
    /// Bytes received for which no credit was granted yet, by how far they have come.
    received: u64,
    collecting: u64,
    storing: u64,
    stored: u64,
    /// Since when bytes are stored without having been granted.
    stored_since: Option<u64>,
    /// Logs that we get from elsewhere as well: the peer hears how far we are, so that it need not send.
    telling: BTreeSet<LogId>,
    /// Those of them that may have grown since the peer last heard.
    grown: BTreeSet<LogId>,
    /// Rows that wait for the peer's word, and since when; each log's in order.
    held: VecDeque<(u64, Row)>,
    /// Bytes of the rows in `pending` and `held`.
    waiting: usize,
    held_bytes: usize,
    /// The node that goes to the peer in pieces.
    large: Option<Large>,
    /// The last one that went so, in case the peer has to ask for it anew.
    last_large: Option<(Key, LogId, Seq)>,
    /// What the peer holds of nodes that it got in part.
    partly: HashMap<Key, u64>,
    origin: PieceOrigin,
    /// This session's number among those that bring pieces.
    session: u64,
    pace: Pace,
    /// Logs of which the peer has more.
    behind: Behind,
    behind_since: u64,
    /// When bytes of a frame came that is not whole yet; a large event on a slow line takes long.
    arriving_at: u64,
    resyncs: u32,
    /// Another link to the same emitter carries rows.
    stands_by: bool,
    /// The peer has said something of its logs.
    heard: bool,
    /// The peer said goodbye, and why.
    leaving: Option<(GoodbyeReason, String)>,
    starts: usize,
    asker: Asker<Purpose>,
    probed: Option<Digest>,
    started_at: u64,
    heard_at: u64,
    sent_at: u64,
}

/// What a row takes in memory, beside what all take.
fn size(row: &Row) -> usize {
    row.node.value.len() + row.node.links.len() * size_of::<Key>()
}

impl V2 {
    pub(crate) fn start(common: &mut Common, capability: Capability, remote: Mode, view: &dyn LocalLog) -> Self {
        let mut v2 = V2::waiting(common, capability, remote, view);
        match v2.capability.twin.filter(|_| common.config.twin.is_some() && v2.has_trees()) {
            Some((instance, token)) => {
                v2.stands_by = true;
                common.out.push_back(OutEvent::Met(instance, token));
            }
            None => v2.begin_exchange(common, view),
        }
        v2
    }

    /// Nothing has been exchanged yet but handshakes.
    fn waiting(common: &Common, capability: Capability, remote: Mode, view: &dyn LocalLog) -> Self {
        // Both ends must remember as much.
        let reach = if capability.version.min(common.config.version) >= WITH_PIECES { MOST_RECENT } else { RECENT };
        V2 {
            credit: i64::try_from(capability.window).unwrap_or(i64::MAX),
            remote,
            log_id: view.log_id(),
            logs: HashMap::new(),
            trees: Trees::default(),
            level: None,
            states: 0,
            version: common.config.version,
            vector: Vec::new(),
            vector_seen: false,
            announced: false,
            yield_until: 0,
            writer: BatchWriter::reaching(reach),
            reader: BatchReader::reaching(reach),
            pending: VecDeque::new(),
            received: 0,
            collecting: 0,
            storing: 0,
            stored: 0,
            stored_since: None,
            telling: BTreeSet::new(),
            grown: BTreeSet::new(),
            held: VecDeque::new(),
            waiting: 0,
            held_bytes: 0,
            large: None,
            last_large: None,
            partly: HashMap::new(),
            origin: PieceOrigin { network: common.config.network, log: capability.log.clone() },
            session: common.config.partials.session(),
            pace: Pace::default(),
            behind: Behind::default(),
            behind_since: common.now,
            arriving_at: 0,
            resyncs: 0,
            stands_by: false,
            heard: false,
            leaving: None,
            starts: 0,
            asker: Asker::default(),
            probed: None,
            started_at: common.now,
            heard_at: common.now,
            sent_at: common.now,
            capability,
        }
    }

    /// The link carries rows from now on.
    fn begin_exchange(&mut self, common: &mut Common, view: &dyn LocalLog) {
        // The dialler waits for the listener's vector, so that its own travels with its first rows.
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
            && self.behind.is_empty()
            && self.pending.is_empty()
            && self.large.is_none()
            && self.asker.is_idle()
            && (common.feeder.is_at_end() || self.remote == Mode::Push)
    }

    /// The place up to which the peer has stored everything, once that is all we have.
    pub(crate) fn delivered(&self, common: &Common) -> Option<Position> {
        let granted = u64::try_from(self.credit).is_ok_and(|credit| credit >= self.capability.window);
        let sent = self.vector_seen
            && self.pending.is_empty()
            && self.held.is_empty()
            && self.large.is_none()
            && self.starts == 0;
        common.feeder.reached().filter(|_| sent && granted && self.asker.is_idle())
    }

    /// How far the peer has a log, and whether it is another version than ours; `None` while that is not known.
    pub(crate) fn compared(&self, log: &str) -> Option<(Seq, bool)> {
        match self.logs.get(log) {
            Some(known) => Some((known.has, known.forked.is_some())).filter(|_| !known.doubted && self.vector_seen),
            // Without state it was level.
            None => self.level.map(|_| (Seq::MAX, false)),
        }
    }

    pub(crate) fn backlog(&self) -> usize {
        self.asker.len()
    }

    /// Sends our vector, with which indices of logs start anew, or has all logs compared.
    fn announce(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if self.has_trees() {
            self.announced = true;
            self.tell_held(common);
            return self.compare_anew(common, view);
        }
        self.announce_heads(common, view.logs());
    }

    fn announce_heads(&mut self, common: &mut Common, mut heads: Vec<LogHead>) {
        self.announced = true;
        self.tell_held(common);
        self.writer.reset_table();
        heads.sort_by(|a, b| a.log.cmp(&b.log));
        let mut out = BytesMut::new();
        let mut chunks = heads.chunks(VECTOR_CHUNK).peekable();
        let mut first = true;
        loop {
            let chunk = chunks.next().unwrap_or(&[]);
            for head in chunk {
                self.writer.announce(&head.log);
            }
            let extents =
                chunk.iter().map(|head| Extent { log: head.log.clone(), seq: head.seq, digest: head.digest }).collect();
            let last = chunks.peek().is_none();
            Extension::Vector { first, last, extents }.encode(&mut out);
            first = false;
            if last {
                break;
            }
        }
        self.sent_at = common.now;
        common.send_bytes(out);
    }

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
            InEvent::LookedUp(Ok(replies)) => self.on_answered(common, replies, view),
            InEvent::Rows(Err(error)) | InEvent::Added(Err(error)) | InEvent::LookedUp(Err(error)) => {
                common.close(CloseReason::Local(error));
            }
            InEvent::Advanced => {
                common.feeder.advanced();
                self.behind.grown();
                if self.telling.len() <= MAX_RECHECKED {
                    self.grown.clone_from(&self.telling);
                }
            }
            InEvent::Turn(turn) => self.on_turn(common, turn, view),
            // A fork of our log is the log's own business: it gets the entry that differs.
            InEvent::Opened | InEvent::Idle | InEvent::Written | InEvent::Tick | InEvent::Forked(_) => {}
        }
        if view.log_id() != self.log_id {
            self.on_relabelled(common, view);
        }
        if !more_to_come || common.intake.is_full() {
            self.offer(common);
        }
        if self.leaving.is_some() {
            self.leave(common);
            return Ok(());
        }
        self.look_at_some(common, tick, view);
        self.proceed(common, view);
        Ok(())
    }

    fn on_frame(&mut self, common: &mut Common, frame: &Bytes, view: &dyn LocalLog) -> Result<()> {
        // Of hyperlog's own messages a 2.x peer needs none but the handshake.
        let Message::Extension(kind, body) = Message::decode(frame)? else { return Ok(()) };
        let extension = Extension::decode(kind, body)?;
        self.heard |= !matches!(extension, Extension::Twin(_) | Extension::Alive | Extension::Unknown);
        match extension {
            Extension::Twin(token) => self.on_twin(common, token),
            Extension::Vector { first, last, extents } => self.on_vector(common, first, last, extents, view),
            Extension::Compare(said) => self.on_compare(common, &said, view),
            Extension::NewTable => {
                self.reader.reset_table();
                Ok(())
            }
            Extension::Batch(rows) => self.on_batch(common, frame, rows, view),
            Extension::Piece(piece) => self.on_piece(common, frame, &piece, view),
            Extension::Held(held) => {
                self.on_held(held);
                Ok(())
            }
            Extension::Credit { bytes, updates } => {
                self.pace.granted(bytes, common.now);
                self.credit = self.credit.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
                for (log, seq) in updates {
                    self.note_has(common, &log, seq, view)?;
                    if let Some(peer_log) = self.logs.get_mut(&log) {
                        peer_log.lazy = true;
                    }
                }
                Ok(())
            }
            Extension::Probe { log, seq } => {
                self.asker.ask(Lookup::Digest(log.clone(), seq), Purpose::ProbedDigest);
                self.asker.ask(Lookup::Entry(log.clone(), seq), Purpose::ProbedEntry(log, seq));
                Ok(())
            }
            Extension::Proof { extent, key } => {
                let query = Lookup::Digest(extent.log.clone(), extent.seq);
                self.asker.ask(query, Purpose::Bisect(extent, key));
                Ok(())
            }
            Extension::Fork { log, seq, key } => {
                self.asker.ask(Lookup::Entry(log.clone(), seq), Purpose::Fork { log, seq, theirs: key, tell: false });
                Ok(())
            }
            Extension::Demand { log, seq } => {
                self.show(log, seq);
                Ok(())
            }
            Extension::Goodbye { why, text } => {
                // What came before it is still stored.
                self.leaving.get_or_insert((why, text));
                Ok(())
            }
            Extension::Alive | Extension::Unknown => Ok(()),
        }
    }

    /// The peer has said goodbye: the session ends once the log has what it brought.
    fn leave(&mut self, common: &mut Common) {
        if common.intake.is_busy() || !common.intake.is_empty() {
            return;
        }
        if let Some((why, text)) = self.leaving.take() {
            common.close(CloseReason::Told(why, text));
        }
    }

    fn ask_start(&mut self, log: LogId, seq: Seq) {
        self.starts += 1;
        self.asker.ask(Lookup::Entry(log, seq), Purpose::Start);
    }

    fn on_answered(&mut self, common: &mut Common, replies: Vec<Found>, view: &dyn LocalLog) {
        for (purpose, reply) in self.asker.finish(replies) {
            match (purpose, reply) {
                (Purpose::Start, reply) => {
                    self.starts = self.starts.saturating_sub(1);
                    if let Found::Entry(Some(entry)) = reply {
                        self.lower(common, before(entry.at));
                    }
                }
                (Purpose::Verify(theirs), Found::Digest(Some(ours))) => self.verified(common, &theirs, ours),
                (Purpose::Bisect(theirs, key), Found::Digest(Some(ours))) => self.bisected(common, &theirs, key, ours),
                (Purpose::Fork { log, seq, theirs, tell }, Found::Entry(Some(entry))) => {
                    let fork = Compared { seq, ours: entry.key, theirs };
                    self.fork_found(common, &log, fork, tell);
                }
                (Purpose::Before(log, seq), Found::Digest(Some(digest))) => {
                    self.announce_without_tail(common, view, LogHead { log, seq, digest });
                }
                (Purpose::ProbedDigest, Found::Digest(digest)) => self.probed = digest,
                (Purpose::ProbedEntry(log, seq), Found::Entry(Some(entry))) => {
                    if let Some(digest) = self.probed.take() {
                        let extent = Extent { log, seq, digest };
                        self.say(common, &Extension::Proof { extent, key: entry.key });
                    }
                }
                // The log is shorter than it was: its tail went to a new id, and a new vector is under way.
                _ => {}
            }
        }
    }

    fn lower(&mut self, common: &mut Common, after: Position) {
        // What was read and not yet sent is read again.
        self.waiting -= self.pending.drain(..).map(|row| size(&row)).sum::<usize>();
        common.feeder.lower(after);
    }

    /// The peer has this log up to `seq`.
    fn note_has(&mut self, common: &mut Common, log: &LogId, seq: Seq, view: &dyn LocalLog) -> Result<()> {
        let ours = view.seq(log);
        if !self.keep_in_mind(common, log, ours)? {
            return Ok(());
        }
        let peer_log = self.logs.entry(log.clone()).or_default();
        if seq > peer_log.has && common.config.defences.no_echo {
            peer_log.has = seq;
        }
        if seq > ours && *log == self.log_id {
            peer_log.forked = peer_log.forked.or(view.forged_from().filter(|from| seq >= *from));
        }
        if seq > ours && peer_log.forked.is_none() && self.remote != Mode::Pull {
            if self.behind.is_empty() {
                self.behind_since = common.now;
            }
            self.behind.insert(log, ours, common.now);
        }
        Ok(())
    }

    fn on_batch(&mut self, common: &mut Common, frame: &Bytes, rows: &[u8], view: &dyn LocalLog) -> Result<()> {
        if self.received >= WINDOW {
            return Err(Error::Protocol("the peer sends more than it was granted".into()));
        }
        if self.has_pieces() && frame.len() > MAX_BATCH {
            let sent = frame.len();
            return Err(Error::Protocol(format!(
                "a batch of {sent} bytes, the limit is {MAX_BATCH}: larger nodes go in pieces"
            )));
        }
        if self.remote == Mode::Pull {
            return Err(Error::Protocol("a peer in mode 'pull' sends nodes".into()));
        }
        self.behind_since = common.now;
        let bytes = frame.len() as u64;
        self.received += bytes;
        self.collecting += bytes;
        for node in self.reader.read(frame, rows, self.logs.len())? {
            common.counters.nodes_received += 1;
            self.note_has(common, &node.log, node.seq, view)?;
            if let Some(peer_log) = self.logs.get_mut(&node.log) {
                peer_log.told = peer_log.told.max(node.seq);
            }
            if self.logs.get(&node.log).is_some_and(|peer_log| !peer_log.takes(node.seq)) {
                continue;
            }
            common.intake.push(node);
        }
        Ok(())
    }

    fn on_added(&mut self, common: &mut Common, outcomes: Vec<Outcome>, view: &dyn LocalLog) -> Result<()> {
        self.stored += std::mem::take(&mut self.storing);
        self.yield_until = 0;
        for ((log, _), outcome) in common.intake.finish().into_iter().zip(outcomes) {
            self.look_at(common, &log, view);
            match outcome {
                Outcome::Added => {}
                Outcome::Known => {
                    common.counters.in_vain += 1;
                    self.tell_from_now_on(log);
                }
                Outcome::Parked => common.counters.parked += 1,
                Outcome::Refused(Error::Fork { seq, ours, theirs, .. }) => {
                    self.fork_found(common, &log, Compared { seq, ours, theirs }, true);
                }
                // We asked for it, and may move our log for it no more: other logs go on.
                Outcome::Refused(error @ Error::Forged { .. })
                    if self.logs.get(&log).is_some_and(|log| log.demanded) =>
                {
                    common.report(error);
                }
                Outcome::Refused(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Offers what was collected to the log, if no group is under way.
    fn offer(&mut self, common: &mut Common) {
        if common.is_closed() || common.intake.is_busy() {
            return;
        }
        let bytes = std::mem::take(&mut self.collecting);
        if common.intake.is_empty() {
            // Nothing in it was of use: its bytes are free again at once.
            self.stored += bytes;
        } else {
            self.storing += bytes;
            common.flush_intake();
        }
    }

    /// Does whatever has become possible.
    fn proceed(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if common.is_closed() {
            return;
        }
        self.grant(common, view);
        if common.now >= self.yield_until && self.remote != Mode::Push {
            self.send_pending(common);
            if self.pending.is_empty()
                && self.large.is_none()
                && self.starts == 0
                && self.vector_seen
                && self.credit > 0
            {
                common.read_on();
            }
        }
        common.ask_on(&mut self.asker);
        self.catch_up_with(common, view);
        self.look_for_left_out(common, view);
        self.drop_level(common, view);
        self.keep_alive(common);
    }

    fn on_rows(&mut self, common: &mut Common, rows: Vec<Row>, view: &dyn LocalLog) {
        let rows = common.feeder.finish(rows);
        for row in &rows {
            self.look_at(common, row.log(), view);
        }
        self.waiting += rows.iter().map(size).sum::<usize>();
        self.pending.extend(rows);
    }

    /// Bytes of the rows that are held for the peer.
    pub(crate) fn held(&self) -> usize {
        self.waiting + self.large.as_ref().map_or(0, Large::len)
    }

    /// Notes how far we are with a log that has grown, if anybody waits for that.
    fn look_at(&mut self, common: &Common, log: &LogId, view: &dyn LocalLog) {
        if self.telling.contains(log) {
            self.grown.insert(log.clone());
        }
        if self.behind.contains(log) {
            let has = self.logs.get(log).map_or(0, |peer_log| peer_log.has);
            if self.behind.look(log, view.seq(log), has, common.now) {
                self.behind_since = common.now;
                self.resyncs = 0;
            }
        }
    }

    /// What came over other links is seen in the rows we read, or, while nothing is read, by looking at all in turn.
    fn look_at_some(&mut self, common: &Common, tick: bool, view: &dyn LocalLog) {
        for log in self.behind.next(tick) {
            self.look_at(common, &log, view);
        }
    }

    fn catch_up_with(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if common.intake.is_busy() || self.behind.is_looking() {
            self.behind_since = common.now;
        }
        self.behind_since = self.behind_since.max(self.arriving_at);
        if !self.behind.is_empty() && self.vector_seen && common.now >= self.behind_since + RESYNC_MS {
            self.behind_since = common.now;
            self.resyncs += 1;
            if self.resyncs > MAX_RESYNCS {
                common.close(CloseReason::HalfOpen);
            } else {
                self.announce(common, view);
            }
        }
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
        let resync = (self.vector_seen && !self.behind.is_empty()).then_some(self.behind_since + RESYNC_MS);
        let yielded = (self.yield_until > common.now).then_some(self.yield_until);
        let look = self.behind.is_looking().then_some(common.now + 1);
        // Without credit time changes nothing.
        let held = self.held.front().filter(|_| self.may_send()).map(|(since, _)| since + LAZY_MS);
        let settle = self.stored_since.map(|since| since + SETTLE_MS);
        let due = [Some(self.heard_at + SILENT_MS), Some(self.sent_at + ALIVE_MS), resync, yielded, look, held, settle];
        let due = due.into_iter().flatten().min()?;
        Some(due.max(common.now + 1))
    }
}
