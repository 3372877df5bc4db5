//! Passes nodes from the peer to the log, and detects forks with them.

use std::sync::Arc;

use bytes::Bytes;

use super::V1;
use crate::error::{Error, Result};
use crate::identity::seal::claims_owner;
use crate::incoming::{Incoming, Outcome};
use crate::node::{key_of, Key, LogId, Seq, Signed};
use crate::protocol::common::Common;
use crate::protocol::intake::detach;
use crate::protocol::io::{Found, LocalLog, Lookup, OutEvent};
use crate::protocol::lookups::Purpose;
use crate::protocol::message::{check_log_id, LogSeq, Message, WireNode};
use crate::protocol::peer_logs::Compared;
use crate::protocol::row_cursor::before;

/// An entry of ours that is looked up to compare it with the peer's.
#[derive(Debug)]
pub(super) struct EntryToCompare {
    log: LogId,
    seq: Seq,
    theirs: Key,
}

impl V1 {
    pub(super) fn on_node(
        &mut self,
        common: &mut Common,
        frame: &Bytes,
        node: &WireNode<'_>,
        view: &dyn LocalLog,
    ) -> Result<()> {
        common.counters.nodes_received += 1;
        check_log_id(node.log)?;
        if !common.config.may_write {
            // 1.x sends its events even if our handshake says that we accept none. The peer stays connected, and its events are
            // dropped.
            common.refuse_node();
            return Ok(());
        }
        common.config.check_brings(self.logs.mode)?;
        if node.key.is_some_and(|key| self.sent_nodes.contains(&key, node.log, node.seq)) {
            common.counters.echoes += 1;
            return Ok(());
        }
        let log = self.note_has(common, node.log, node.seq, view)?;
        if let Some(peer_log) = self.logs.get(&log) {
            let is_left_out = peer_log.left_out.is_some_and(|from| node.seq >= from);
            let is_behind_fork = peer_log.forked.is_some_and(|from| node.seq >= from);
            if is_left_out || is_behind_fork && !peer_log.own.proving {
                return Ok(());
            }
            if peer_log.own.search.is_some() && node.seq > 0 && node.seq <= view.seq(&log) {
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
            common.offer_nodes();
        }
        Ok(())
    }

    pub(super) fn on_added(&mut self, common: &mut Common, outcomes: Vec<Outcome>, view: &dyn LocalLog) -> Result<()> {
        for ((log, seq), outcome) in common.intake.finish().into_iter().zip(outcomes) {
            self.logs.look_at(&log, view, common.now);
            match outcome {
                Outcome::Added => self.missing_by_count = self.missing_by_count.saturating_sub(1),
                Outcome::AddedWith { rows, .. } => {
                    self.missing_by_count = self.missing_by_count.saturating_sub_unsigned(rows.saturating_add(1));
                }
                Outcome::Known => {}
                Outcome::Parked => common.counters.parked += 1,
                Outcome::Refused(Error::Fork { seq, ours, theirs, .. }) => {
                    self.fork_proved(common, &log, Compared { seq, ours, theirs });
                }
                // 1.x does not know seals, and passes on rows of others without them.
                Outcome::Refused(error @ (Error::Unsealed { .. } | Error::Author { .. })) => {
                    if self.logs.note_left_out(&log, seq) {
                        common.report(error);
                    }
                }
                Outcome::Refused(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Looks up our version of an entry of a log that is searched for a fork.
    fn compare(&mut self, log: LogId, node: &WireNode<'_>) -> Result<()> {
        let theirs = key_of(&node.links, node.value);
        match node.key {
            Some(claimed) if claimed != theirs => return Err(Error::ChecksumMismatch { claimed, actual: theirs }),
            _ => {}
        }
        let lookup = Lookup::Entry(log.clone(), node.seq);
        self.lookups.ask(lookup, EntryToCompare { log, seq: node.seq, theirs });
        Ok(())
    }

    pub(super) fn on_looked_up(&mut self, common: &mut Common, found: Vec<Found>, view: &dyn LocalLog) {
        for (purpose, found) in self.lookups.finish(found) {
            let Found::Entry(Some(entry)) = found else { continue };
            match purpose {
                Purpose::Start => common.rows.lower(before(entry.at)),
                Purpose::Own(EntryToCompare { log, seq, theirs }) => {
                    self.compared(common, &log, Compared { seq, ours: entry.key, theirs }, view);
                }
            }
        }
    }

    fn compared(&mut self, common: &mut Common, log: &LogId, compared: Compared, view: &dyn LocalLog) {
        let Some(search) = self.logs.get_mut(log).and_then(|peer_log| peer_log.own.search.as_mut()) else { return };
        let last = view.seq(log);
        search.learn(&compared);
        if let Some(fork) = search.fork() {
            self.fork_found(common, log, fork);
        } else if let Some(from) = search.look_back(compared.seq) {
            common.send(&Message::Want(LogSeq { log, seq: from }));
        } else if search.agrees_at() >= last.min(search.started_at()) {
            if let Some(peer_log) = self.logs.get_mut(log) {
                peer_log.own.search = None;
            }
        }
    }

    /// Notes a fork that the log itself has seen. For a sealed log, this is the only proof.
    fn fork_proved(&mut self, common: &mut Common, log: &LogId, fork: Compared) {
        let proving = self.logs.get_mut(log).is_some_and(|peer_log| std::mem::take(&mut peer_log.own.proving));
        if proving {
            common.report(fork.fork_of(log));
        } else {
            self.fork_found(common, log, fork);
        }
    }

    fn fork_found(&mut self, common: &mut Common, log: &LogId, fork: Compared) {
        if !self.logs.note_fork(log, fork.seq) {
            return;
        }
        if let Some(peer_log) = self.logs.get_mut(log) {
            peer_log.own.search = None;
        }
        self.owed.remove(log);
        if claims_owner(log) {
            // The log has to see the other version up to its seal.
            if let Some(peer_log) = self.logs.get_mut(log) {
                peer_log.own.proving = true;
            }
            return common.send(&Message::Want(LogSeq { log, seq: fork.seq - 1 }));
        }
        common.report(fork.fork_of(log));
        if *log == self.log_id && !self.forking {
            self.forking = true;
            common.out.push_back(OutEvent::ForkLocal { log: log.clone(), from: fork.seq });
        }
    }
}
