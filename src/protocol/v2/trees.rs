//! Finds the logs that differ by comparing digests of ever smaller sets of logs (docs/design/wire.md, "Comparing many logs"). The
//! peers take turns. Each turn answers all questions of the turn before. A turn without a question is the last one.
//!
//! Afterwards only logs that differ have state. Of all other logs the peer has what we had when the comparison began: the rows up
//! to the position in [`V2::level`].

use std::collections::{HashMap, HashSet};

use bytes::BytesMut;

use super::log_state::LogState;
use super::V2;
use crate::error::{quoted, Error, Result};
use crate::node::{Digest, LogId, Seq};
use crate::protocol::batch::CHUNK;
use crate::protocol::common::Common;
use crate::protocol::extension::{Compare, Extension, Extent};
use crate::protocol::io::LocalLog;
use crate::protocol::peer_logs::PeerLog;
use crate::protocol::tree::{part_digest, Item};
use crate::protocol::unknown_logs::MAX_LOGS;
use crate::protocol::version::WITH_TREES;
use crate::row::{Position, Row};
use crate::store::log_set::{id_hash, Prefix};

/// Logs in one list that answers another: keeps the list at some 16 KiB. A larger part is divided into several lists.
const TELL_LOGS: u64 = 256;

/// Digits of the longest prefix.
const MOST_DIGITS: u8 = 16;

/// Comparisons that a peer may begin at once. A link needs one, and one more for each fork of either side's log.
const COMPARISONS: u64 = 64;

/// The peer may begin one more comparison each time this many milliseconds have passed.
const COMPARISON_MS: u64 = 1_000;

/// The comparison under way, if there is one.
#[derive(Debug, Default)]
pub(super) struct Trees {
    running: bool,
    number: u64,
    /// Comparisons that the peer has begun.
    pub(super) begun: u64,
    /// The end of our store when it began.
    since: Position,
    /// Prefixes of which the peer knows our digest.
    said: HashSet<Prefix>,
    /// Prefixes of which the peer got a list that it has to answer.
    listed: HashSet<Prefix>,
    /// The peer's extent of each log that is known to differ.
    found: Vec<Extent>,
    /// Whether the peer's turn asks a question.
    heard_question: bool,
    /// Our next turn.
    turn: Turn,
    /// Whether the peer named more logs than we can remember. Another comparison finds those that were left out.
    left_out: bool,
}

/// Our next turn.
#[derive(Debug, Default)]
struct Turn {
    /// Whole frames.
    frames: BytesMut,
    /// Items for the next frame.
    items: BytesMut,
    /// Whether one of the items asks a question.
    asks: bool,
    /// Parts with at most this many logs are listed.
    list_logs: u64,
    /// The next frame is the first of the comparison.
    first: bool,
    said: HashSet<Prefix>,
    listed: HashSet<Prefix>,
}

impl Turn {
    fn push(&mut self, number: u64, item: &Item) {
        match item {
            Item::Root(_) => drop(self.said.insert(Prefix::ROOT)),
            Item::Parts(prefix, _) => self.said.extend((0..16).filter_map(|digit| prefix.part(digit))),
            Item::List { prefix, asks: true, .. } => drop(self.listed.insert(*prefix)),
            Item::List { .. } => {}
        }
        self.asks |= item.is_question();
        item.put(&mut self.items);
        if self.items.len() >= CHUNK {
            self.end_frame(number, false);
        }
    }

    fn end_frame(&mut self, number: u64, last: bool) {
        let items = self.items.split();
        let first = std::mem::take(&mut self.first);
        Extension::Compare(Compare { number, first, last, again: false, items: &items }).encode(&mut self.frames);
    }

    /// Asks for the peer's logs in `prefix`, where we have `logs` of them and the peer others, or other entries.
    fn ask(&mut self, number: u64, prefix: Prefix, logs: u64, view: &dyn LocalLog) {
        let item = if logs <= self.list_logs || prefix.digits() == MOST_DIGITS {
            Item::List { prefix, asks: true, extents: extents_in(prefix, view) }
        } else {
            Item::Parts(prefix, view.parts(prefix).map(|part| part_digest(&part)))
        };
        self.push(number, &item);
    }

    /// Lists all of our logs in `prefix`.
    fn tell(&mut self, number: u64, prefix: Prefix, view: &dyn LocalLog) {
        let mut rest = vec![prefix];
        while let Some(prefix) = rest.pop() {
            if view.bucket(prefix).logs <= TELL_LOGS || prefix.digits() == MOST_DIGITS {
                let extents = extents_in(prefix, view);
                self.push(number, &Item::List { prefix, asks: false, extents });
            } else {
                rest.extend((0..16).filter_map(|digit| prefix.part(digit)));
            }
        }
    }
}

fn extents_in(prefix: Prefix, view: &dyn LocalLog) -> Vec<Extent> {
    let heads = view.logs_in(prefix).into_iter();
    heads.map(|head| Extent { log: head.log, seq: head.seq, digest: head.digest }).collect()
}

impl V2 {
    pub(super) fn has_trees(&self) -> bool {
        self.capability.version.min(self.version) >= WITH_TREES
    }

    /// Starts a new comparison. The listener begins it; the dialler asks for it.
    pub(super) fn compare_anew(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if common.config.dialled {
            let number = self.trees.number;
            let again = Extension::Compare(Compare { number, first: false, last: false, again: true, items: &[] });
            return self.say(common, &again);
        }
        let number = self.trees.number + 1;
        self.begin(number, view);
        let root = view.bucket(Prefix::ROOT);
        let mut turn = Turn { first: true, list_logs: common.config.sizes.list, ..Turn::default() };
        if root.logs <= turn.list_logs {
            turn.ask(number, Prefix::ROOT, root.logs, view);
        } else {
            turn.push(number, &Item::Root(root));
        }
        self.trees.turn = turn;
        self.take_turn(common);
    }

    fn begin(&mut self, number: u64, view: &dyn LocalLog) {
        self.trees = Trees { running: true, number, begun: self.trees.begun, since: view.end(), ..Trees::default() };
    }

    /// Sends our turn.
    fn take_turn(&mut self, common: &mut Common) {
        let mut turn = std::mem::take(&mut self.trees.turn);
        turn.end_frame(self.trees.number, true);
        self.trees.said = turn.said;
        self.trees.listed = turn.listed;
        self.sent_at = common.now;
        common.send_bytes(turn.frames);
    }

    /// Counts a comparison that the peer begins or asks for. Each may cost us a list of all logs.
    pub(super) fn count_comparison(&mut self, common: &Common) -> Result<()> {
        self.trees.begun += 1;
        if self.trees.begun > COMPARISONS + common.now.saturating_sub(self.started_at) / COMPARISON_MS {
            return Err(Error::Protocol("the peer begins comparisons of logs too often".into()));
        }
        Ok(())
    }

    pub(super) fn on_compare(&mut self, common: &mut Common, said: &Compare<'_>, view: &dyn LocalLog) -> Result<()> {
        let mut items = said.items;
        if said.again {
            self.count_comparison(common)?;
            if !common.config.dialled {
                self.compare_anew(common, view);
            }
            return Ok(());
        }
        if said.first && common.config.dialled {
            self.count_comparison(common)?;
            if !std::mem::replace(&mut self.announced, true) {
                self.tell_held(common);
            }
            self.begin(said.number, view);
            self.trees.said.insert(Prefix::ROOT);
        } else if !self.trees.running || said.number != self.trees.number {
            // It belongs to a comparison that was replaced by a later one.
            return Ok(());
        }
        self.trees.turn.list_logs = common.config.sizes.list;
        while let Some(item) = Item::take(&mut items)? {
            self.trees.heard_question |= item.is_question();
            self.on_item(common, item, said.first, view)?;
        }
        if said.last {
            let answers = std::mem::take(&mut self.trees.heard_question);
            let asks = self.trees.turn.asks;
            if answers {
                self.take_turn(common);
            }
            if !asks {
                self.end_comparison(common, view);
            }
        }
        Ok(())
    }

    fn on_item(&mut self, common: &mut Common, item: Item, first: bool, view: &dyn LocalLog) -> Result<()> {
        let number = self.trees.number;
        match item {
            Item::Root(theirs) if first && self.trees.said.remove(&Prefix::ROOT) => {
                let ours = view.bucket(Prefix::ROOT);
                if ours != theirs {
                    self.trees.turn.ask(number, Prefix::ROOT, ours.logs, view);
                }
            }
            Item::Parts(prefix, theirs) if self.trees.said.remove(&prefix) => {
                let ours = view.parts(prefix);
                for ((digit, ours), theirs) in (0..).zip(&ours).zip(theirs) {
                    if let Some(part) = prefix.part(digit).filter(|_| part_digest(ours) != theirs) {
                        self.trees.turn.ask(number, part, ours.logs, view);
                    }
                }
            }
            Item::List { prefix, asks: true, extents } if self.trees.said.remove(&prefix) => {
                self.match_logs(common, prefix, extents, view)?;
                self.trees.turn.tell(number, prefix, view);
            }
            Item::List { prefix, asks: false, extents } if self.was_listed(prefix) => {
                self.match_logs(common, prefix, extents, view)?;
            }
            _ => return Err(Error::Protocol("the peer answers a question that was not asked".into())),
        }
        Ok(())
    }

    /// Whether we listed `prefix`, or a prefix that contains it.
    fn was_listed(&self, prefix: Prefix) -> bool {
        (0..=prefix.digits()).any(|digits| self.trees.listed.contains(&Prefix::of(prefix.bits(), digits)))
    }

    /// Compares our logs in `prefix` with the peer's complete list of them.
    fn match_logs(
        &mut self,
        common: &mut Common,
        prefix: Prefix,
        extents: Vec<Extent>,
        view: &dyn LocalLog,
    ) -> Result<()> {
        let mut ours: HashMap<LogId, Extent> =
            extents_in(prefix, view).into_iter().map(|extent| (extent.log.clone(), extent)).collect();
        for theirs in extents {
            if !prefix.holds(id_hash(&theirs.log)) {
                return Err(Error::Protocol(format!(
                    "log '{}' is listed where it does not belong",
                    quoted(&theirs.log)
                )));
            }
            let same = ours.remove(&theirs.log).is_some_and(|ours| ours == theirs);
            if same || !self.keep_in_mind(common, &theirs.log, view.seq(&theirs.log))? {
                continue;
            }
            self.trees.found.push(theirs);
        }
        let unknown_there = ours.into_keys().map(|log| Extent { log, seq: 0, digest: Digest::default() });
        self.trees.found.extend(unknown_there);
        Ok(())
    }

    /// Whether the extent of a log that the peer has may be remembered. We have `ours` entries of it.
    pub(super) fn keep_in_mind(&mut self, common: &mut Common, log: &LogId, ours: Seq) -> Result<bool> {
        if self.logs.contains_key(log) {
            return Ok(true);
        }
        if ours == 0 && self.has_trees() && common.unknown_logs.count() >= common.config.sizes.names.min(MAX_LOGS) {
            self.trees.left_out = true;
            return Ok(false);
        }
        common.name_log(log, ours)?;
        Ok(true)
    }

    /// Bytes of memory taken by a comparison under way and by its results.
    pub(super) fn comparison_bytes(&self) -> usize {
        (self.vector.capacity() + self.trees.found.capacity()) * size_of::<Extent>()
    }

    fn end_comparison(&mut self, common: &mut Common, view: &dyn LocalLog) {
        self.trees.running = false;
        self.trees.said = HashSet::new();
        self.trees.listed = HashSet::new();
        self.level = Some(self.trees.since);
        self.vector = std::mem::take(&mut self.trees.found);
        self.apply_vector(common, view);
    }

    /// Reads from the first row that the peer may lack, of logs that differ, or of other logs after `level`.
    pub(super) fn start_behind(&mut self, common: &mut Common, level: Position, view: &dyn LocalLog) {
        common.rows.lower(level);
        let mut lacking = Vec::new();
        for (log, peer_log) in self.logs.iter() {
            if !peer_log.own.doubted && view.seq(log) > peer_log.has {
                lacking.push((log.clone(), peer_log.has + 1));
            }
        }
        if lacking.len() > common.config.sizes.starts {
            common.rows.lower(Position::START);
            return;
        }
        for (log, seq) in lacking {
            self.lookups.ask_start(log, seq);
        }
    }

    /// What the peer has of a log for which no state is kept, derived from a row of it; `None` if the peer has the row.
    pub(super) fn unnamed(level: Option<Position>, row: &Row) -> Option<PeerLog<LogState>> {
        match level {
            Some(level) if row.at <= level => None,
            Some(_) => Some(PeerLog::up_to(row.seq().saturating_sub(1))),
            None => Some(PeerLog::default()),
        }
    }

    /// Drops the state of logs of which both sides have the same entries, once there are many and nothing is under way.
    pub(super) fn drop_level(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let many = self.logs.len() > self.max_states.max(common.config.sizes.states);
        let quiet = self.level.is_some()
            && self.vector_seen
            && !self.trees.running
            && self.logs.behind.is_empty()
            && self.pending.is_empty()
            && self.postponed.is_empty()
            && self.large.is_none()
            && self.lookups.is_idle()
            && common.intake.is_empty()
            && !common.intake.is_busy();
        let end = view.end();
        if !many || !quiet || common.rows.reached() != Some(end) {
            return;
        }
        let shared = &self.shared_logs;
        self.logs
            .retain(|log, peer_log| peer_log.is_disputed() || peer_log.has != view.seq(log) || shared.contains(log));
        self.logs.shrink_to_fit();
        // So that those that stay are not checked again with every event.
        self.max_states = self.logs.len().saturating_mul(2);
        self.level = Some(end);
        common.unknown_logs.forget();
    }

    /// Begins a new table of indices if the old one has become large. To be called when the last batch has been sent.
    pub(super) fn renew_table(&mut self, common: &mut Common) {
        if self.has_trees() && self.writer.logs() >= common.config.sizes.table {
            self.writer.reset_table();
            self.say(common, &Extension::NewTable);
        }
    }

    /// Starts another comparison for the logs that the last one left out, once the others have come.
    pub(super) fn look_for_left_out(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if self.trees.left_out && !self.trees.running && self.vector_seen && self.logs.behind.is_empty() {
            self.trees.left_out = false;
            common.unknown_logs.forget();
            self.compare_anew(common, view);
        }
    }
}
