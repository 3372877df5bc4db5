//! A session with a hyperemitter 1.x peer: hyperlog 4.12.1's protocol (`lib/replicate.js`), its defects survived.
//!
//! What differs from hyperlog, and why (numbers are SPEC E4's):
//! - All logs are announced at the start, not just those of heads: nothing is left to announce later, when a log
//!   may have outgrown the snapshot (4).
//! - What the peer has is tracked per log, from its wants and haves, from what it sends and what it was sent.
//!   Nothing is sent twice or back (1).
//! - Nodes go in the store's order, which is causal, and only once the peer's wants are known: a 1.x peer may never
//!   retry a node that came too early (2).
//! - Nothing is sent while the peer still sends what we want: its logs would grow under its own snapshot (4).
//! - Completeness is what our log heads say, whoever brought the nodes (3).
//! - Both log entries of a deduplicated node are sent, live ones too (5).
//! - Unasked nodes wait for the peer's `sentWants` (6).
//! - Where the peer cannot recover, the link is closed for a new one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::asker::Asker;
use super::behind::Behind;
use super::feeder::before;
use super::fork::{Check, Compared};
use super::incoming::{Incoming, Outcome};
use super::intake::detach;
use super::message::{check_log_id, LogSeq, Message, Mode, WireNode};
use super::session::{CloseReason, Common, Found, InEvent, LocalLog, Lookup, OutEvent};
use super::window::Window;
use crate::error::{Error, Result};
use crate::node::{key_of, Key, LogId, Seq, Signed};
use crate::store::{Position, Row};

/// How long to wait for further wants after one, in milliseconds, where the protocol does not say that it was the
/// last. 1.x's Nagle delay costs up to 40 ms per turn.
pub const SETTLE_MS: u64 = 250;

/// Nothing has moved for this long and the peer owes us nodes: go on without them, in milliseconds. `sentWants`
/// makes a 1.x peer live, and what it announced beyond its snapshot (defect 4) is then in its live stream.
pub const GIVE_UP_PULL_MS: u64 = 2_000;

/// A live peer shows entries behind a gap: ask for the gap after this many milliseconds.
pub const GAP_MS: u64 = 1_000;

/// A link stays half dead and idle: close it after this many milliseconds if we opened it.
pub const PATIENCE_MS: u64 = 6_000;

/// The same if the 1.x peer opened it: each redial costs it one of its ten attempts.
pub const PATIENCE_WITH_DIALLER_MS: u64 = 30_000;

/// What a 1.x peer takes in per millisecond at the least, in bytes: idle time within which it may still be working
/// through what it was sent.
const PEER_BYTES_PER_MS: u64 = 100;

/// The most that [`PEER_BYTES_PER_MS`] adds, in milliseconds.
const MAX_DIGESTING_MS: u64 = 60_000;

/// Gaps asked for at a time.
const MAX_GAP_WANTS: usize = 64;

/// Bytes after which announcements go out as one chunk.
const CHUNK: usize = 64 * 1024;

/// What is known about one log of the peer.
#[derive(Debug, Default)]
struct PeerLog {
    /// The peer has entries up to here.
    has: Seq,
    /// We announced entries up to here.
    announced: Seq,
    /// Its place among our announcements.
    index: Option<usize>,
    /// The peer asked for it.
    wanted: bool,
    /// Our logs differ from this seq on: nothing of it is of use to either side.
    forked: Option<Seq>,
    /// Does our last entry agree with the peer's?
    check: Option<Check>,
    /// The entry for which the cursor last had to go back, against going in circles.
    reread: Seq,
}

#[derive(Debug)]
enum Purpose {
    /// Start reading before this entry.
    Start,
    /// Compare this entry with the peer's key.
    Compare { log: LogId, seq: Seq, theirs: Key },
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct V1 {
    remote: Mode,
    log_id: LogId,
    logs: HashMap<LogId, PeerLog>,
    /// Logs in the order announced; wants come back in this order.
    order: Vec<LogId>,
    /// So many of `order` have been decided by the peer.
    decided: usize,
    wanted_at: Option<u64>,
    settled: bool,
    /// Logs wanted and not yet sent up to what was announced.
    owed: HashSet<LogId>,
    snapshot: Position,
    behind: Behind,
    peer_sent_heads: bool,
    peer_sent_wants: bool,
    sent_wants: bool,
    streaming: bool,
    starts: usize,
    asker: Asker<Purpose>,
    window: Window,
    forking: bool,
    missing_by_count: i64,
}

impl V1 {
    pub(crate) fn start(common: &mut Common, remote: Mode, view: &dyn LocalLog) -> Self {
        let log_id = view.log_id();
        let mut v1 = V1 {
            remote,
            logs: HashMap::new(),
            order: Vec::new(),
            decided: 0,
            wanted_at: None,
            settled: false,
            owed: HashSet::new(),
            snapshot: view.end(),
            behind: Behind::default(),
            peer_sent_heads: remote == Mode::Pull,
            peer_sent_wants: remote == Mode::Push,
            sent_wants: remote == Mode::Pull,
            streaming: false,
            starts: 0,
            asker: Asker::default(),
            window: Window::default(),
            forking: false,
            missing_by_count: 0,
            log_id,
        };
        if remote != Mode::Push {
            v1.announce(common, view);
        }
        v1
    }

    /// Announces every log, our own last: it is the one the peer most likely lacks, and its want then tells that
    /// all others are decided.
    fn announce(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let mut heads = view.logs();
        heads.sort_by(|a, b| (a.log == self.log_id, &a.log).cmp(&(b.log == self.log_id, &b.log)));
        let mut out = BytesMut::new();
        for head in heads {
            Message::Have(LogSeq { log: &head.log, seq: head.seq }).encode(&mut out);
            if out.len() >= CHUNK {
                common.send_bytes(std::mem::take(&mut out));
            }
            let index = Some(self.order.len());
            self.logs.insert(head.log.clone(), PeerLog { announced: head.seq, index, ..PeerLog::default() });
            self.order.push(head.log);
        }
        Message::SentHeads.encode(&mut out);
        common.send_bytes(out);
    }

    pub(crate) fn is_live(&self) -> bool {
        self.sent_wants && self.peer_sent_wants && self.peer_sent_heads
    }

    pub(crate) fn backlog(&self) -> usize {
        self.asker.len()
    }

    /// # Errors
    /// What the peer did wrong.
    pub(crate) fn handle(&mut self, common: &mut Common, event: InEvent, view: &dyn LocalLog) -> Result<()> {
        let more_to_come = matches!(event, InEvent::Frame(_));
        let tick = matches!(event, InEvent::Tick);
        match event {
            InEvent::Frame(frame) => self.on_frame(common, &frame, view)?,
            InEvent::Rows(Ok(rows)) => self.on_rows(common, rows),
            InEvent::Added(Ok(outcomes)) => self.on_added(common, outcomes, view)?,
            InEvent::LookedUp(Ok(replies)) => self.on_answered(common, replies, view),
            InEvent::Rows(Err(error)) | InEvent::Added(Err(error)) | InEvent::LookedUp(Err(error)) => {
                common.close(CloseReason::Local(error));
            }
            InEvent::Forked(Ok(_)) => common.close(CloseReason::Renew),
            InEvent::Forked(Err(error)) => common.close(CloseReason::Local(error)),
            InEvent::Advanced => {
                common.feeder.advanced();
                self.behind.grown();
            }
            InEvent::Opened
            | InEvent::Idle
            | InEvent::Arriving
            | InEvent::Written
            | InEvent::Tick
            | InEvent::Turn(_) => {}
        }
        if view.log_id() != self.log_id {
            // Everything announced under the old id is void, and a log is announced once per connection.
            common.close(CloseReason::Renew);
        }
        if !more_to_come {
            common.flush_intake();
        }
        self.catch_up_with(common, tick, view);
        self.proceed(common, view);
        Ok(())
    }

    fn on_frame(&mut self, common: &mut Common, frame: &Bytes, view: &dyn LocalLog) -> Result<()> {
        match Message::decode(frame)? {
            Message::Have(have) => self.on_have(common, &have, view),
            Message::Want(want) => self.on_want(&want, view),
            Message::Node(node) => self.on_node(common, frame, &node, view),
            Message::SentHeads => {
                self.peer_sent_heads = true;
                Ok(())
            }
            Message::SentWants => {
                if !self.peer_sent_wants {
                    self.peer_sent_wants = true;
                    self.decide_up_to(self.order.len());
                }
                Ok(())
            }
            // A repeated handshake would make 1.x announce anew; the first one stands.
            Message::Handshake(_) | Message::Extension(..) | Message::Empty => Ok(()),
        }
    }

    fn on_have(&mut self, common: &mut Common, have: &LogSeq<'_>, view: &dyn LocalLog) -> Result<()> {
        check_log_id(have.log)?;
        if self.remote == Mode::Pull {
            return Ok(());
        }
        let ours = view.seq(have.log);
        let log = self.note_has(common, have.log, have.seq, view)?;
        let Some(peer_log) = self.logs.get_mut(&log) else { return Ok(()) };
        if ours >= have.seq || peer_log.forked.is_some() {
            return Ok(());
        }
        self.missing_by_count = self.missing_by_count.saturating_add_unsigned(have.seq - ours);
        let mut from = ours;
        if ours > 0 && common.config.defences.prove_forks && peer_log.check.is_none() {
            peer_log.check = Some(Check::new(ours));
            from = ours - 1;
        }
        common.send(&Message::Want(LogSeq { log: &log, seq: from }));
        Ok(())
    }

    fn on_want(&mut self, want: &LogSeq<'_>, view: &dyn LocalLog) -> Result<()> {
        check_log_id(want.log)?;
        let ours = view.seq(want.log);
        if self.remote == Mode::Push || ours == 0 {
            return Ok(());
        }
        let index = self.logs.get(want.log).and_then(|peer_log| peer_log.index);
        if let Some(index) = index.filter(|index| *index >= self.decided) {
            self.decide_up_to(index);
            self.decided += 1;
        }
        let Some((log, _)) = self.logs.get_key_value(want.log) else {
            self.want_of_unannounced(want, ours);
            return Ok(());
        };
        let log = log.clone();
        self.wanted(log, want.seq, ours);
        Ok(())
    }

    /// A plain hyperlog may want what nobody announced.
    fn want_of_unannounced(&mut self, want: &LogSeq<'_>, ours: Seq) {
        let log: LogId = want.log.into();
        self.logs.insert(log.clone(), PeerLog { announced: ours, ..PeerLog::default() });
        self.wanted(log, want.seq, ours);
    }

    fn wanted(&mut self, log: LogId, from: Seq, ours: Seq) {
        let Some(peer_log) = self.logs.get_mut(&log) else { return };
        // What it names is what it has, also when it asks for something a second time.
        peer_log.has = from;
        peer_log.wanted = true;
        peer_log.reread = 0;
        let bound = if self.peer_sent_wants { ours } else { peer_log.announced };
        if from >= bound || peer_log.forked.is_some() {
            return;
        }
        self.wanted_at = Some(0);
        self.owed.insert(log.clone());
        self.ask_start(log, from + 1);
    }

    fn ask_start(&mut self, log: LogId, seq: Seq) {
        self.starts += 1;
        self.asker.ask(Lookup::Entry(log, seq), Purpose::Start);
    }

    /// The peer has passed the first `count` announcements: those it did not want, it has.
    fn decide_up_to(&mut self, count: usize) {
        for log in self.order.iter().take(count).skip(self.decided) {
            if let Some(peer_log) = self.logs.get_mut(log).filter(|peer_log| !peer_log.wanted) {
                peer_log.has = peer_log.has.max(peer_log.announced);
            }
        }
        self.decided = self.decided.max(count);
    }

    fn on_node(&mut self, common: &mut Common, frame: &Bytes, node: &WireNode<'_>, view: &dyn LocalLog) -> Result<()> {
        common.counters.nodes_received += 1;
        check_log_id(node.log)?;
        if self.remote == Mode::Pull {
            return Err(Error::Protocol("a peer in mode 'pull' sends nodes".into()));
        }
        if node.key.is_some_and(|key| self.window.contains(&key, node.log, node.seq)) {
            common.counters.echoes += 1;
            return Ok(());
        }
        let log = self.note_has(common, node.log, node.seq, view)?;
        if let Some(peer_log) = self.logs.get(&log) {
            if peer_log.forked.is_some_and(|from| node.seq >= from) {
                return Ok(());
            }
            if peer_log.check.is_some() && node.seq > 0 && node.seq <= view.seq(&log) {
                return self.compare(log, node);
            }
        }
        let signed = (node.identity.is_some() || node.signature.is_some()).then(|| {
            let part = |bytes: Option<&[u8]>| bytes.map(Bytes::copy_from_slice);
            Arc::new(Signed { identity: part(node.identity), signature: part(node.signature) })
        });
        common.intake.push(Incoming {
            log,
            seq: node.seq,
            links: node.links.clone(),
            value: detach(frame, node.value),
            signed,
            claimed: node.key,
        });
        if common.intake.is_full() {
            common.flush_intake();
        }
        Ok(())
    }

    /// The entry of a log under [`Check`]: ours is fetched and compared.
    fn compare(&mut self, log: LogId, node: &WireNode<'_>) -> Result<()> {
        let theirs = key_of(&node.links, node.value);
        match node.key {
            Some(claimed) if claimed != theirs => return Err(Error::ChecksumMismatch { claimed, actual: theirs }),
            _ => {}
        }
        self.asker.ask(Lookup::Entry(log.clone(), node.seq), Purpose::Compare { log, seq: node.seq, theirs });
        Ok(())
    }

    /// The peer has this log up to `seq`.
    fn note_has(&mut self, common: &mut Common, log: &str, seq: Seq, view: &dyn LocalLog) -> Result<LogId> {
        let ours = view.seq(log);
        let log: LogId = match self.logs.get_key_value(log) {
            Some((log, _)) => log.clone(),
            None => {
                common.name_log(ours)?;
                log.into()
            }
        };
        let peer_log = self.logs.entry(log.clone()).or_default();
        if seq > peer_log.has && common.config.defences.no_echo {
            peer_log.has = seq;
        }
        if seq > ours && peer_log.forked.is_none() {
            self.behind.insert(&log, ours, common.now);
        }
        Ok(log)
    }

    fn on_added(&mut self, common: &mut Common, outcomes: Vec<Outcome>, view: &dyn LocalLog) -> Result<()> {
        for ((log, _), outcome) in common.intake.finish().into_iter().zip(outcomes) {
            self.look(common, &log, view);
            match outcome {
                Outcome::Added => self.missing_by_count = self.missing_by_count.saturating_sub(1),
                Outcome::Known => {}
                Outcome::Parked => common.counters.parked += 1,
                Outcome::Refused(Error::Fork { seq, ours, theirs, .. }) => {
                    self.fork_found(common, &log, Compared { seq, ours, theirs });
                }
                Outcome::Refused(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn on_answered(&mut self, common: &mut Common, replies: Vec<Found>, view: &dyn LocalLog) {
        for (purpose, reply) in self.asker.finish(replies) {
            let Found::Entry(entry) = reply else { continue };
            match purpose {
                Purpose::Start => {
                    self.starts = self.starts.saturating_sub(1);
                    if let Some(entry) = entry {
                        common.feeder.lower(before(entry.at));
                    }
                }
                Purpose::Compare { log, seq, theirs } => {
                    let Some(ours) = entry.map(|entry| entry.key) else { continue };
                    self.compared(common, &log, Compared { seq, ours, theirs }, view);
                }
            }
        }
    }

    fn compared(&mut self, common: &mut Common, log: &LogId, compared: Compared, view: &dyn LocalLog) {
        let Some(check) = self.logs.get_mut(log).and_then(|peer_log| peer_log.check.as_mut()) else { return };
        let last = view.seq(log);
        check.learn(&compared);
        if let Some(fork) = check.fork() {
            self.fork_found(common, log, fork);
        } else if let Some(from) = check.look_back(compared.seq) {
            common.send(&Message::Want(LogSeq { log, seq: from }));
        } else if check.agrees_at() >= last.min(check.started_at()) {
            if let Some(peer_log) = self.logs.get_mut(log) {
                peer_log.check = None;
            }
        }
    }

    fn fork_found(&mut self, common: &mut Common, log: &LogId, fork: Compared) {
        let Some(peer_log) = self.logs.get_mut(log) else { return };
        if peer_log.forked.is_some() {
            return;
        }
        peer_log.forked = Some(fork.seq);
        peer_log.check = None;
        self.behind.remove(log);
        self.owed.remove(log);
        common.report(Error::Fork { log: log.to_string(), seq: fork.seq, ours: fork.ours, theirs: fork.theirs });
        if *log == self.log_id && !self.forking {
            self.forking = true;
            common.out.push_back(OutEvent::ForkLocal { log: log.clone(), from: fork.seq });
        }
    }

    fn on_rows(&mut self, common: &mut Common, rows: Vec<Row>) {
        let mut out = BytesMut::new();
        for row in common.feeder.finish(rows) {
            match self.judge(common, &row) {
                Judgement::Pass => {}
                Judgement::Reread(seq) => {
                    self.ask_start(row.log().clone(), seq);
                    break;
                }
                Judgement::Send => {
                    if common.config.defences.spare_v1 {
                        if let Some(reason) = (common.config.harm)(&row.node.value) {
                            common.send_bytes(out);
                            let error = Error::Harmful { log: row.log().to_string(), seq: row.seq(), reason };
                            common.report(error.clone());
                            return common.close(CloseReason::Harmful(error));
                        }
                    }
                    self.send_row(common, &row, &mut out);
                }
            }
            common.feeder.passed(row.at);
        }
        common.counters.bytes_sent += out.len() as u64;
        common.send_bytes(out);
        if !self.streaming && self.owed.is_empty() && self.starts == 0 {
            common.feeder.stop();
        }
    }

    /// Whether the peer lacks this row and may have it now.
    fn judge(&mut self, common: &Common, row: &Row) -> Judgement {
        let defences = common.config.defences;
        if row.at.duplicate > 0 && !defences.send_duplicates {
            return Judgement::Pass;
        }
        if !self.logs.contains_key(row.log()) {
            if !self.streaming {
                return Judgement::Pass;
            }
            self.logs.insert(row.log().clone(), PeerLog::default());
        }
        let Some(peer_log) = self.logs.get_mut(row.log()) else { return Judgement::Pass };
        if row.seq() <= peer_log.has || peer_log.forked.is_some_and(|from| row.seq() >= from) {
            return Judgement::Pass;
        }
        if !(self.streaming || peer_log.wanted && row.seq() <= peer_log.announced) {
            return Judgement::Pass;
        }
        let next = peer_log.has + 1;
        if row.seq() > next && defences.no_echo {
            if peer_log.reread == next {
                return Judgement::Pass;
            }
            peer_log.reread = next;
            return Judgement::Reread(next);
        }
        Judgement::Send
    }

    fn send_row(&mut self, common: &mut Common, row: &Row, out: &mut BytesMut) {
        let signed = row.node.signed.as_deref();
        Message::Node(WireNode {
            change: row.node.change,
            key: Some(row.node.key),
            log: row.log(),
            seq: row.seq(),
            identity: signed.and_then(|signed| signed.identity.as_deref()),
            signature: signed.and_then(|signed| signed.signature.as_deref()),
            value: &row.node.value,
            links: row.node.links.clone(),
        })
        .encode(out);
        common.counters.nodes_sent += 1;
        self.window.push(row.node.key, row.log().clone(), row.seq());
        if let Some(peer_log) = self.logs.get_mut(row.log()) {
            peer_log.has = peer_log.has.max(row.seq());
            if peer_log.has >= peer_log.announced {
                self.owed.remove(row.log());
            }
        }
    }

    /// Does whatever has become possible.
    fn proceed(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if common.is_closed() {
            return;
        }
        self.settle(common);
        self.say_sent_wants(common);
        self.start_streaming(common);
        self.mind_gaps(common, view);
        if self.may_send(common) {
            common.read_on();
        }
        common.ask_on(&mut self.asker);
        self.close_if_half_open(common);
    }

    /// Crosses off what is no longer behind.
    fn catch_up_with(&mut self, common: &Common, tick: bool, view: &dyn LocalLog) {
        for log in self.behind.next(tick) {
            self.look(common, &log, view);
        }
    }

    fn look(&mut self, common: &Common, log: &LogId, view: &dyn LocalLog) {
        if self.behind.contains(log) {
            let has = self.logs.get(log).map_or(0, |peer_log| peer_log.has);
            self.behind.look(log, view.seq(log), has, common.now);
        }
    }

    fn settle(&mut self, common: &Common) {
        if self.settled {
            return;
        }
        // `wanted_at` is set to 0 where the clock is not at hand.
        if self.wanted_at == Some(0) {
            self.wanted_at = Some(common.now.max(1));
        }
        let quiet = self.wanted_at.is_some_and(|at| common.now >= at + SETTLE_MS);
        self.settled =
            !common.config.defences.settle || quiet || self.decided >= self.order.len() || self.peer_sent_wants;
        if self.settled && common.config.defences.settle {
            self.decide_up_to(self.order.len());
        }
    }

    fn say_sent_wants(&mut self, common: &mut Common) {
        if self.sent_wants || !self.peer_sent_heads {
            return;
        }
        let complete = if common.config.defences.complete_by_heads {
            self.behind.is_empty() || common.idle_ms() >= GIVE_UP_PULL_MS
        } else {
            self.missing_by_count == 0
        };
        if complete {
            self.sent_wants = true;
            common.send(&Message::SentWants);
        }
    }

    fn start_streaming(&mut self, common: &mut Common) {
        let allowed = self.peer_sent_wants || !common.config.defences.live_after_wants;
        if !self.streaming && allowed && self.remote != Mode::Push {
            self.streaming = true;
            common.feeder.lower(self.snapshot);
        }
    }

    fn may_send(&self, common: &Common) -> bool {
        let pulled = self.sent_wants || !common.config.defences.pull_first;
        self.settled && pulled && self.starts == 0
    }

    /// Asks for what a live peer evidently has and does not send by itself.
    fn mind_gaps(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if !self.is_live() || !common.config.defences.mind_gaps {
            return;
        }
        let mut out = BytesMut::new();
        let Some(until) = common.now.checked_sub(GAP_MS) else { return };
        for log in self.behind.ask(until, MAX_GAP_WANTS) {
            // It may have come over another link and not have been looked at.
            self.look(common, &log, view);
            if self.behind.contains(&log) {
                Message::Want(LogSeq { log: &log, seq: view.seq(&log) }).encode(&mut out);
            }
        }
        common.send_bytes(out);
    }

    fn patience(&self, common: &Common) -> u64 {
        let base = if common.config.dialled { PATIENCE_MS } else { PATIENCE_WITH_DIALLER_MS };
        let digesting = if self.peer_sent_wants { 0 } else { common.counters.bytes_sent / PEER_BYTES_PER_MS };
        common.config.patience_ms.unwrap_or(base) + digesting.min(MAX_DIGESTING_MS)
    }

    fn close_if_half_open(&mut self, common: &mut Common) {
        if !common.config.defences.close_half_open || self.forking {
            return;
        }
        let patience = self.patience(common);
        let half_open = if self.is_live() {
            // Other logs may go on while one is stuck, so idleness is no criterion.
            // Only what was asked for and looked at since: everything that grew waits anew.
            let oldest = [self.behind.asked_since(), self.behind.waiting_since()].into_iter().flatten().min();
            let overdue = oldest.is_some_and(|since| common.now >= since + patience);
            common.config.defences.mind_gaps && overdue && !self.behind.is_looking()
        } else {
            common.idle_ms() >= patience && self.asker.is_idle()
        };
        if half_open {
            common.close(CloseReason::HalfOpen);
        }
    }

    pub(crate) fn wake_at(&self, common: &Common) -> Option<u64> {
        let settle = self.wanted_at.filter(|_| !self.settled).map(|at| at + SETTLE_MS);
        let give_up = (!self.sent_wants && self.peer_sent_heads).then_some(common.active_at + GIVE_UP_PULL_MS);
        let patience = self.patience(common);
        let half_open = (!self.is_live()).then_some(common.active_at + patience);
        let asked = self.behind.asked_since().map(|since| since + patience);
        let waiting = self.behind.waiting_since().map(|since| since + GAP_MS);
        let gap = [asked, waiting].into_iter().flatten().min().filter(|_| self.is_live());
        let look = self.behind.is_looking().then_some(common.now + 1);
        let due = [settle, give_up, half_open, gap, look].into_iter().flatten().min()?;
        // What is due while we are at work waits for the answer; nothing is gained by waking at once.
        Some(due.max(common.now + 1))
    }
}

enum Judgement {
    /// The peer has it, or does not want it yet.
    Pass,
    Send,
    /// The peer lacks an earlier entry of the log: go back to this one.
    Reread(Seq),
}
