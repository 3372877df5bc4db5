//! Version vectors: what each side has of every log, and the position from which rows are read for the peer.

use std::collections::HashMap;

use bytes::BytesMut;

use super::found::Purpose;
use super::log_state::{Bisect, LogState};
use super::V2;
use crate::branch::Branch;
use crate::error::Result;
use crate::node::LogId;
use crate::protocol::common::Common;
use crate::protocol::extension::{Extension, Extent, VECTOR_CHUNK};
use crate::protocol::io::{LocalLog, Lookup};
use crate::protocol::message::Mode;
use crate::protocol::peer_logs::PeerLog;
use crate::row::{LogHead, Position};

/// How long a listener that lacks something waits, in milliseconds, until the dialler's first rows are stored, before it sends its
/// own. In 1.x the listener gets the dialler's history first, and its examples print this order. The wait takes no longer than a
/// commit.
const YIELD_MS: u64 = 100;

impl V2 {
    /// Tells the peer what we have: starts a comparison of all logs, or sends our vector.
    pub(super) fn announce(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if self.has_trees() {
            self.announced = true;
            self.tell_held(common);
            return self.compare_anew(common, view);
        }
        self.send_vector(common, view.logs());
    }

    /// Sends a vector. It also starts a new table of indices.
    fn send_vector(&mut self, common: &mut Common, mut heads: Vec<LogHead>) {
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

    /// Sends a vector that lacks the end of one log, from a fork on: a peer of the first version, which cannot be asked for the
    /// entry that differs, then sends it by itself.
    pub(super) fn send_vector_without_tail(&mut self, common: &mut Common, view: &dyn LocalLog, agreed: LogHead) {
        let mut heads = view.logs();
        heads.retain(|head| head.log != agreed.log);
        if agreed.seq > 0 {
            heads.push(agreed);
        }
        self.send_vector(common, heads);
    }

    pub(super) fn on_vector(
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
        for extent in extents {
            // A further vector may repeat names that were counted before.
            if !self.logs.contains_key(&extent.log) {
                common.name_log(&extent.log, view.seq(&extent.log))?;
            }
            self.reader.announce(extent.log.clone());
            self.vector.push(extent);
        }
        if last {
            self.level = None;
            if !self.announced {
                self.announce(common, view);
            }
            self.apply_vector(common, view);
        }
        Ok(())
    }

    /// Finds out from the peer's complete vector what each side lacks.
    pub(super) fn apply_vector(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let first = !std::mem::replace(&mut self.vector_seen, true);
        let reported: HashMap<_, _> =
            self.logs.drain().filter_map(|(log, peer_log)| Some((log, *peer_log.own.reported?))).collect();
        self.branches.clear();
        self.logs.behind.clear();
        self.behind_since = common.now;
        self.pending.clear();
        self.postponed.clear();
        (self.unsent_bytes, self.postponed_bytes) = (0, 0);
        self.shared_logs.clear();
        self.shared_grown.clear();
        common.rows.stop();
        for theirs in std::mem::take(&mut self.vector) {
            self.apply_extent(common, theirs, &reported, view);
        }
        if first && !common.config.dialled && !self.logs.behind.is_empty() {
            self.yield_until = common.now + YIELD_MS;
        }
        let mut bisected: Vec<LogId> = self
            .logs
            .iter()
            .filter(|(_, peer_log)| peer_log.own.bisect.is_some())
            .map(|(log, _)| log.clone())
            .collect();
        bisected.sort();
        for log in bisected {
            self.probe(common, &log);
        }
        self.start_where_lacking(common, view);
    }

    fn apply_extent(
        &mut self,
        common: &Common,
        theirs: Extent,
        reported: &HashMap<LogId, super::Compared>,
        view: &dyn LocalLog,
    ) {
        let ours = view.head(&theirs.log);
        let ours_seq = ours.as_ref().map_or(0, |head| head.seq);
        let own =
            LogState { reported: reported.get(&theirs.log).map(|reported| Box::new(*reported)), ..LogState::default() };
        let mut peer_log = PeerLog { has: theirs.seq, own, ..PeerLog::default() };
        if theirs.seq > ours_seq && theirs.log == self.log_id {
            peer_log.forked = view.forged_from().map(|_| ours_seq + 1);
        }
        if theirs.seq > ours_seq && Branch::of(&theirs.log).is_some() {
            // It comes, and is not waited for.
        } else if theirs.seq > ours_seq && peer_log.forked.is_none() && self.logs.mode != Mode::Pull {
            self.logs.behind.insert(&theirs.log, ours_seq, common.now);
        } else if theirs.seq == ours_seq {
            if ours.is_some_and(|head| head.digest != theirs.digest) {
                peer_log.own.doubted = true;
                if common.config.dialled {
                    peer_log.own.bisect = Some(Box::new(Bisect::below(theirs.seq)));
                }
            }
        } else if theirs.seq > 0 && theirs.seq < ours_seq {
            peer_log.own.doubted = true;
            let lookup = Lookup::Digest(theirs.log.clone(), theirs.seq);
            self.lookups.ask(lookup, Purpose::Verify(theirs.clone()));
        }
        self.logs.insert(theirs.log, peer_log);
    }

    /// Finds the first row that the peer lacks, to read from there on.
    pub(super) fn start_where_lacking(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if let Some(level) = self.level {
            return self.start_behind(common, level, view);
        }
        if self.logs.is_empty() {
            common.rows.lower(Position::START);
            return;
        }
        common.rows.lower(view.end());
        for head in view.logs() {
            let known = self.logs.get(&head.log);
            let has = known.map_or(0, |peer_log| peer_log.has);
            if head.seq > has && !known.is_some_and(|peer_log| peer_log.own.doubted) {
                self.lookups.ask_start(head.log, has + 1);
            }
        }
    }

    /// Handles the move of our own log's tail to a new id.
    pub(super) fn on_relabelled(&mut self, common: &mut Common, view: &dyn LocalLog) {
        let old = std::mem::replace(&mut self.log_id, view.log_id());
        if let Some(peer_log) = self.logs.get_mut(&old) {
            peer_log.forked = None;
            self.branches.forget(&old);
            if peer_log.has > view.seq(&old) {
                self.logs.behind.insert(&old, view.seq(&old), common.now);
            }
        }
        self.announce(common, view);
        // The peer has nothing of the new log.
        self.logs.entry(self.log_id.clone()).or_default();
        self.lookups.ask_start(self.log_id.clone(), 1);
    }
}
