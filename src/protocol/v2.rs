//! A session with a 2.x peer: version vectors with digests, one ordered stream of what the peer lacks, credit.
//!
//! 1. Both send their vector right behind the handshake: every log with its seq and digest.
//! 2. For each log, the side with more entries compares digests at the other's seq (equal lengths: both see it, the
//!    dialler acts). A mismatch is a fork; its first entry is found by bisecting with probes, and both sides report it.
//! 3. Each side streams the rows the other lacks, in its store's order, from the lowest place on, for ever: the
//!    live tail is the end of the catch-up. Batches cost credit, which the receiver grants as its log stores them.
//! 4. Entries that reach a side from elsewhere meanwhile are named with the credit, and skipped.

use std::collections::{BTreeMap, HashMap, VecDeque};

use bytes::{Bytes, BytesMut};

use super::asker::Asker;
use super::batch::{Reader, Writer, CHUNK};
use super::extension::{Capability, Extension, Extent, MAX_UPDATES, VECTOR_CHUNK, WINDOW};
use super::feeder::before;
use super::fork::Compared;
use super::frame::FRAME_OVERHEAD;
use super::incoming::Outcome;
use super::message::Message;
use super::session::{CloseReason, Common, InEvent, LocalLog, OutEvent, Query, Reply, MAX_LOGS};
use crate::error::{Error, Result};
use crate::node::{Digest, Key, LogId, Seq};
use crate::store::{Position, Row};

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
    /// The entry for which the cursor last had to go back.
    reread: Seq,
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
    /// What the peer probed for: digest, then entry.
    ProbedDigest,
    ProbedEntry(LogId, Seq),
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct V2 {
    capability: Capability,
    log_id: LogId,
    logs: HashMap<LogId, PeerLog>,
    vector: Vec<Extent>,
    vector_seen: bool,
    /// Ours has been sent.
    announced: bool,
    /// The dialler goes first: until then, or until something of it is stored, we send no rows.
    yield_until: u64,
    writer: Writer,
    reader: Reader,
    pending: VecDeque<Row>,
    /// Bytes the peer still accepts; the last batch may overdraw it.
    credit: i64,
    /// Bytes received for which no credit was granted yet, by how far they have come.
    received: u64,
    collecting: u64,
    storing: u64,
    stored: u64,
    /// Logs that have grown here beyond what the peer sent.
    ahead: BTreeMap<LogId, Seq>,
    /// Logs of which the peer has more, with our seq.
    behind: BTreeMap<LogId, Seq>,
    behind_since: u64,
    resyncs: u32,
    starts: usize,
    asker: Asker<Purpose>,
    probed: Option<Digest>,
    forking: bool,
    heard_at: u64,
    sent_at: u64,
}

impl V2 {
    pub(crate) fn start(common: &mut Common, capability: Capability, view: &dyn LocalLog) -> Self {
        let mut v2 = V2 {
            credit: i64::try_from(capability.window).unwrap_or(i64::MAX),
            capability,
            log_id: view.log_id(),
            logs: HashMap::new(),
            vector: Vec::new(),
            vector_seen: false,
            announced: false,
            yield_until: 0,
            writer: Writer::default(),
            reader: Reader::default(),
            pending: VecDeque::new(),
            received: 0,
            collecting: 0,
            storing: 0,
            stored: 0,
            ahead: BTreeMap::new(),
            behind: BTreeMap::new(),
            behind_since: common.now,
            resyncs: 0,
            starts: 0,
            asker: Asker::default(),
            probed: None,
            forking: false,
            heard_at: common.now,
            sent_at: common.now,
        };
        // The dialler waits for the listener's vector, so that its own travels with its first rows.
        if !common.config.dialled {
            v2.announce(common, view);
        }
        v2
    }

    pub(crate) fn capability(&self) -> &Capability {
        &self.capability
    }

    pub(crate) fn is_live(&self, common: &Common) -> bool {
        self.vector_seen
            && self.behind.is_empty()
            && self.pending.is_empty()
            && self.asker.is_idle()
            && common.feeder.is_at_end()
    }

    pub(crate) fn backlog(&self) -> usize {
        self.asker.len()
    }

    /// Sends our vector. Indices of logs start anew with it.
    fn announce(&mut self, common: &mut Common, view: &dyn LocalLog) {
        self.announced = true;
        self.writer.reset_table();
        let mut heads = view.logs();
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
        let more_to_come = matches!(event, InEvent::Frame(_));
        match event {
            InEvent::Frame(frame) => {
                self.heard_at = common.now;
                self.on_frame(common, &frame, view)?;
            }
            InEvent::Arriving => self.heard_at = common.now,
            InEvent::Rows(Ok(rows)) => self.pending.extend(common.feeder.finish(rows)),
            InEvent::Added(Ok(outcomes)) => self.on_added(common, outcomes, view)?,
            InEvent::Answered(Ok(replies)) => self.on_answered(common, replies),
            InEvent::Rows(Err(error)) | InEvent::Added(Err(error)) | InEvent::Answered(Err(error)) => {
                common.close(CloseReason::Local(error));
            }
            InEvent::Forked(Ok(_)) => self.forking = false,
            InEvent::Forked(Err(error)) => common.close(CloseReason::Local(error)),
            InEvent::Advanced => common.feeder.advanced(),
            InEvent::Opened | InEvent::Idle | InEvent::Written | InEvent::Tick => {}
        }
        if view.log_id() != self.log_id {
            self.on_relabelled(common, view);
        }
        if !more_to_come || common.intake.is_full() {
            self.offer(common);
        }
        self.proceed(common, view);
        Ok(())
    }

    fn on_frame(&mut self, common: &mut Common, frame: &Bytes, view: &dyn LocalLog) -> Result<()> {
        // Of hyperlog's own messages a 2.x peer needs none but the handshake.
        let Message::Extension(kind, body) = Message::decode(frame)? else { return Ok(()) };
        match Extension::decode(kind, body)? {
            Extension::Vector { first, last, extents } => self.on_vector(common, first, last, extents, view),
            Extension::Batch(rows) => self.on_batch(common, frame, rows, view),
            Extension::Credit { bytes, updates } => {
                self.credit = self.credit.saturating_add(i64::try_from(bytes).unwrap_or(i64::MAX));
                for (log, seq) in updates {
                    self.note_has(common, &log, seq, view)?;
                }
                Ok(())
            }
            Extension::Probe { log, seq } => {
                self.asker.ask(Query::Digest(log.clone(), seq), Purpose::ProbedDigest);
                self.asker.ask(Query::Entry(log.clone(), seq), Purpose::ProbedEntry(log, seq));
                Ok(())
            }
            Extension::Proof { extent, key } => {
                let query = Query::Digest(extent.log.clone(), extent.seq);
                self.asker.ask(query, Purpose::Bisect(extent, key));
                Ok(())
            }
            Extension::Fork { log, seq, key } => {
                self.asker.ask(Query::Entry(log.clone(), seq), Purpose::Fork { log, seq, theirs: key, tell: false });
                Ok(())
            }
            Extension::Alive | Extension::Unknown => Ok(()),
        }
    }

    fn on_vector(
        &mut self,
        common: &mut Common,
        first: bool,
        last: bool,
        extents: Vec<Extent>,
        view: &dyn LocalLog,
    ) -> Result<()> {
        if first {
            self.reader.reset_table();
            self.vector.clear();
        }
        if self.vector.len() + extents.len() > MAX_LOGS {
            return Err(Error::Protocol(format!("more than {MAX_LOGS} logs")));
        }
        for extent in extents {
            self.reader.announce(extent.log.clone())?;
            self.vector.push(extent);
        }
        if last {
            if !self.announced {
                self.announce(common, view);
            }
            self.compare(common, view);
        }
        Ok(())
    }

    /// The peer's vector is complete: finds out what each side lacks.
    fn compare(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let first = !std::mem::replace(&mut self.vector_seen, true);
        let reported: HashMap<_, _> =
            self.logs.drain().filter_map(|(log, peer_log)| Some((log, peer_log.reported?))).collect();
        self.behind.clear();
        self.behind_since = common.now;
        self.pending.clear();
        common.feeder.stop();
        for theirs in std::mem::take(&mut self.vector) {
            let ours = view.head(&theirs.log);
            let ours_seq = ours.as_ref().map_or(0, |head| head.seq);
            let mut peer_log =
                PeerLog { has: theirs.seq, reported: reported.get(&theirs.log).copied(), ..PeerLog::default() };
            if theirs.seq > ours_seq {
                self.behind.insert(theirs.log.clone(), ours_seq);
            } else if theirs.seq == ours_seq {
                if ours.is_some_and(|head| head.digest != theirs.digest) {
                    peer_log.doubted = true;
                    if common.config.dialled {
                        peer_log.bisect = Some(Bisect { low: 0, high: theirs.seq, theirs: None });
                    }
                }
            } else if theirs.seq > 0 {
                peer_log.doubted = true;
                let query = Query::Digest(theirs.log.clone(), theirs.seq);
                self.asker.ask(query, Purpose::Verify(theirs.clone()));
            }
            self.logs.insert(theirs.log, peer_log);
        }
        if first && !common.config.dialled && !self.behind.is_empty() {
            self.yield_until = common.now + YIELD_MS;
        }
        let mut bisected: Vec<LogId> =
            self.logs.iter().filter(|(_, peer_log)| peer_log.bisect.is_some()).map(|(log, _)| log.clone()).collect();
        bisected.sort();
        for log in bisected {
            self.probe(common, &log);
        }
        self.start_where_lacking(common, view);
    }

    /// Reads from the first entry of each log that the peer does not have at all.
    fn start_where_lacking(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if self.logs.is_empty() {
            common.feeder.lower(Position::START);
            return;
        }
        common.feeder.lower(view.end());
        for head in view.logs() {
            let known = self.logs.get(&head.log);
            let has = known.map_or(0, |peer_log| peer_log.has);
            if head.seq > has && !known.is_some_and(|peer_log| peer_log.doubted) {
                self.ask_start(head.log, has + 1);
            }
        }
    }

    fn ask_start(&mut self, log: LogId, seq: Seq) {
        self.starts += 1;
        self.asker.ask(Query::Entry(log, seq), Purpose::Start);
    }

    fn on_answered(&mut self, common: &mut Common, replies: Vec<Reply>) {
        for (purpose, reply) in self.asker.finish(replies) {
            match (purpose, reply) {
                (Purpose::Start, reply) => {
                    self.starts = self.starts.saturating_sub(1);
                    if let Reply::Entry(Some(entry)) = reply {
                        self.lower(common, before(entry.at));
                    }
                }
                (Purpose::Verify(theirs), Reply::Digest(Some(ours))) => self.verified(common, &theirs, ours),
                (Purpose::Bisect(theirs, key), Reply::Digest(Some(ours))) => self.bisected(common, &theirs, key, ours),
                (Purpose::Fork { log, seq, theirs, tell }, Reply::Entry(Some(entry))) => {
                    let fork = Compared { seq, ours: entry.key, theirs };
                    self.fork_found(common, &log, fork, tell);
                }
                (Purpose::ProbedDigest, Reply::Digest(digest)) => self.probed = digest,
                (Purpose::ProbedEntry(log, seq), Reply::Entry(Some(entry))) => {
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
        self.pending.clear();
        common.feeder.lower(after);
    }

    fn verified(&mut self, common: &mut Common, theirs: &Extent, ours: Digest) {
        let Some(peer_log) = self.logs.get_mut(&theirs.log) else { return };
        if !peer_log.doubted {
            return;
        }
        if ours == theirs.digest {
            peer_log.doubted = false;
            self.ask_start(theirs.log.clone(), theirs.seq + 1);
        } else {
            peer_log.bisect = Some(Bisect { low: 0, high: theirs.seq, theirs: None });
            self.probe(common, &theirs.log);
        }
    }

    fn probe(&mut self, common: &mut Common, log: &LogId) {
        let Some(bisect) = self.logs.get(log).and_then(|peer_log| peer_log.bisect.as_ref()) else { return };
        let seq = if bisect.high == bisect.low + 1 { bisect.high } else { bisect.low + (bisect.high - bisect.low) / 2 };
        self.say(common, &Extension::Probe { log: log.clone(), seq });
    }

    fn bisected(&mut self, common: &mut Common, theirs: &Extent, key: Key, ours: Digest) {
        let Some(bisect) = self.logs.get_mut(&theirs.log).and_then(|peer_log| peer_log.bisect.as_mut()) else { return };
        if theirs.seq <= bisect.low || theirs.seq > bisect.high {
            return;
        }
        if ours == theirs.digest {
            if theirs.seq == bisect.high {
                // It differed before and agrees now: the peer's log was exchanged. Its new vector decides.
                return;
            }
            bisect.low = theirs.seq;
        } else {
            bisect.high = theirs.seq;
            bisect.theirs = Some(key);
        }
        match bisect.theirs {
            Some(theirs_key) if bisect.high == bisect.low + 1 => {
                let (log, seq) = (theirs.log.clone(), bisect.high);
                self.asker
                    .ask(Query::Entry(log.clone(), seq), Purpose::Fork { log, seq, theirs: theirs_key, tell: true });
            }
            _ => self.probe(common, &theirs.log),
        }
    }

    fn fork_found(&mut self, common: &mut Common, log: &LogId, fork: Compared, tell: bool) {
        if fork.ours == fork.theirs || !self.logs.contains_key(log) && self.logs.len() >= MAX_LOGS {
            return;
        }
        let peer_log = self.logs.entry(log.clone()).or_default();
        if peer_log.forked.is_some() {
            return;
        }
        peer_log.forked = Some(fork.seq);
        peer_log.doubted = false;
        peer_log.bisect = None;
        let known = peer_log.reported.replace(fork) == Some(fork);
        self.behind.remove(log);
        if tell {
            self.say(common, &Extension::Fork { log: log.clone(), seq: fork.seq, key: fork.ours });
        }
        if !known {
            common.report(Error::Fork { log: log.to_string(), seq: fork.seq, ours: fork.ours, theirs: fork.theirs });
        }
        if *log == self.log_id && !self.forking {
            self.forking = true;
            common.out.push_back(OutEvent::ForkLocal { from: fork.seq });
        }
    }

    /// Our log's tail has gone to a new id.
    fn on_relabelled(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let old = std::mem::replace(&mut self.log_id, view.log_id());
        if let Some(peer_log) = self.logs.get_mut(&old) {
            peer_log.forked = None;
            if peer_log.has > view.seq(&old) {
                self.behind.insert(old.clone(), view.seq(&old));
            }
        }
        self.announce(common, view);
        self.ask_start(self.log_id.clone(), 1);
    }

    /// The peer has this log up to `seq`.
    fn note_has(&mut self, common: &Common, log: &LogId, seq: Seq, view: &dyn LocalLog) -> Result<()> {
        if !self.logs.contains_key(log) && self.logs.len() >= MAX_LOGS {
            return Err(Error::Protocol(format!("more than {MAX_LOGS} logs")));
        }
        let peer_log = self.logs.entry(log.clone()).or_default();
        if seq > peer_log.has && common.config.defences.no_echo {
            peer_log.has = seq;
        }
        let ours = view.seq(log);
        if seq > ours && peer_log.forked.is_none() && !self.behind.contains_key(log) {
            if self.behind.is_empty() {
                self.behind_since = common.now;
            }
            self.behind.insert(log.clone(), ours);
        }
        Ok(())
    }

    fn on_batch(&mut self, common: &mut Common, frame: &Bytes, rows: &[u8], view: &dyn LocalLog) -> Result<()> {
        if self.received >= WINDOW {
            return Err(Error::Protocol("the peer sends more than it was granted".into()));
        }
        let bytes = frame.len() as u64;
        self.received += bytes;
        self.collecting += bytes;
        for node in self.reader.read(frame, rows)? {
            common.counters.nodes_received += 1;
            self.note_has(common, &node.log, node.seq, view)?;
            if self.logs.get(&node.log).and_then(|peer_log| peer_log.forked).is_some_and(|from| node.seq >= from) {
                continue;
            }
            common.intake.push(node);
        }
        Ok(())
    }

    fn on_added(&mut self, common: &mut Common, outcomes: Vec<Outcome>, view: &dyn LocalLog) -> Result<()> {
        self.stored += std::mem::take(&mut self.storing);
        self.yield_until = 0;
        for ((log, seq), outcome) in common.intake.finish().into_iter().zip(outcomes) {
            match outcome {
                Outcome::Added => {}
                Outcome::Known => {
                    let ours = view.seq(&log);
                    if ours > seq && self.ahead.len() < MAX_UPDATES {
                        self.ahead.insert(log, ours);
                    }
                }
                Outcome::Parked => common.counters.parked += 1,
                Outcome::Refused(Error::Fork { seq, ours, theirs, .. }) => {
                    self.fork_found(common, &log, Compared { seq, ours, theirs }, true);
                }
                Outcome::Refused(error) => return Err(error),
            }
        }
        // What the peer itself has sent by now is no news to it.
        let logs = &self.logs;
        self.ahead.retain(|log, seq| logs.get(log).is_none_or(|peer_log| peer_log.has < *seq));
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
        self.grant(common);
        if common.now >= self.yield_until {
            self.send_pending(common);
            if self.pending.is_empty() && self.starts == 0 && self.vector_seen && self.credit > 0 {
                common.read_on();
            }
        }
        common.ask_on(&mut self.asker);
        self.catch_up_with(common, view);
        self.keep_alive(common);
    }

    fn grant(&mut self, common: &mut Common) {
        if self.stored >= WINDOW / 4 || !self.ahead.is_empty() {
            let bytes = std::mem::take(&mut self.stored);
            self.received = self.received.saturating_sub(bytes);
            let updates = std::mem::take(&mut self.ahead).into_iter().collect();
            self.say(common, &Extension::Credit { bytes, updates });
        }
    }

    fn send_pending(&mut self, common: &mut Common) {
        while self.credit > 0 && self.starts == 0 {
            let Some(row) = self.pending.pop_front() else { break };
            match self.judge(common, &row) {
                Judgement::Pass => {}
                Judgement::Reread(seq) => {
                    self.ask_start(row.log.clone(), seq);
                    break;
                }
                Judgement::TooLarge(size) => {
                    let limit = usize::try_from(self.capability.max_frame).unwrap_or(usize::MAX);
                    let error = Error::TooLarge { name: format!("{}/{}", row.log, row.seq), size, limit };
                    self.flush_batch(common);
                    common.report(error.clone());
                    return common.close(CloseReason::Incompatible(error));
                }
                Judgement::Send => {
                    self.writer.push(&row);
                    common.counters.nodes_sent += 1;
                    if let Some(peer_log) = self.logs.get_mut(&row.log) {
                        peer_log.has = peer_log.has.max(row.seq);
                    }
                }
            }
            common.feeder.passed(row.at);
            if self.writer.len() >= CHUNK {
                self.flush_batch(common);
            }
        }
        self.flush_batch(common);
    }

    fn flush_batch(&mut self, common: &mut Common) {
        if self.writer.is_empty() {
            return;
        }
        let body = self.writer.finish();
        let bytes = body.len() + 1;
        common.counters.bytes_sent += bytes as u64;
        self.credit -= i64::try_from(bytes).unwrap_or(i64::MAX);
        self.say(common, &Extension::Batch(&body));
    }

    fn judge(&mut self, common: &Common, row: &Row) -> Judgement {
        let defences = common.config.defences;
        if row.at.duplicate > 0 && !defences.send_duplicates {
            return Judgement::Pass;
        }
        if !self.logs.contains_key(&row.log) {
            self.logs.insert(row.log.clone(), PeerLog::default());
        }
        let Some(peer_log) = self.logs.get_mut(&row.log) else { return Judgement::Pass };
        if row.seq <= peer_log.has || peer_log.doubted || peer_log.forked.is_some_and(|from| row.seq >= from) {
            return Judgement::Pass;
        }
        let next = peer_log.has + 1;
        if row.seq > next && defences.no_echo {
            if peer_log.reread == next {
                return Judgement::Pass;
            }
            peer_log.reread = next;
            return Judgement::Reread(next);
        }
        let size = row.node.value.len() + row.node.links.len() * 33 + FRAME_OVERHEAD;
        if size as u64 > self.capability.max_frame {
            return Judgement::TooLarge(size);
        }
        Judgement::Send
    }

    fn catch_up_with(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let logs = &self.logs;
        let before = self.behind.len();
        let mut moved = false;
        self.behind.retain(|log, seen| {
            let ours = view.seq(log);
            moved |= ours != *seen;
            *seen = ours;
            logs.get(log).is_some_and(|peer_log| peer_log.has > ours)
        });
        if moved || self.behind.len() != before || common.intake.is_busy() {
            self.behind_since = common.now;
            self.resyncs = 0;
        }
        if !self.behind.is_empty() && self.vector_seen && common.now >= self.behind_since + RESYNC_MS && !self.forking {
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
        let resync = (!self.behind.is_empty()).then_some(self.behind_since + RESYNC_MS);
        let yielded = (self.yield_until > common.now).then_some(self.yield_until);
        let due = [Some(self.heard_at + SILENT_MS), Some(self.sent_at + ALIVE_MS), resync, yielded];
        let due = due.into_iter().flatten().min()?;
        Some(due.max(common.now + 1))
    }
}

enum Judgement {
    /// The peer has it, or cannot use it.
    Pass,
    Send,
    /// The peer lacks an earlier entry of the log: go back to this one.
    Reread(Seq),
    /// Larger than what the peer accepts.
    TooLarge(usize),
}
