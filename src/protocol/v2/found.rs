//! Results of lookups in the store, and what each was for.

use super::{row_size, V2};
use crate::node::{Key, LogId, Seq};
use crate::protocol::common::Common;
use crate::protocol::extension::{Extension, Extent};
use crate::protocol::io::{Found, LocalLog};
use crate::protocol::lookups;
use crate::protocol::peer_logs::Compared;
use crate::protocol::row_cursor::before;
use crate::row::LogHead;

/// What a lookup in the store is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Our digest at the end of the peer's version of a log.
    Verify(Extent),
    /// Our digest at an entry that the peer was probed for. The key is the peer's.
    Bisect(Extent, Key),
    /// Our node of an entry of a branch that is ours under another id. Follows the branch's digest. The key is the peer's.
    CompareBranch(Extent, Key),
    /// Our key of the first entry that differs. `tell` if the peer does not know of the fork yet.
    /// `settled` if the peer has seen our version of its own log before, and keeps its own.
    Fork { log: LogId, seq: Seq, theirs: Key, tell: bool, settled: bool },
    /// Our node of an entry of our own log, which does not move although the peer holds another version.
    Unmoved(LogId, Seq),
    /// Our digest before the first entry that differs, for a peer that cannot be asked for that entry.
    BeforeFork(LogId, Seq),
    /// Our digest at an entry that the peer probes for, or was probed for.
    ProbedDigest,
    /// The entry that the peer probes for. Follows the digest.
    ProbedEntry(LogId, Seq),
}

impl V2 {
    pub(super) fn on_looked_up(&mut self, common: &mut Common, found: Vec<Found>, view: &dyn LocalLog) {
        for (purpose, found) in self.lookups.finish(found) {
            match (purpose, found) {
                (lookups::Purpose::Start, Found::Entry(Some(entry))) => {
                    // Rows that were read and not yet sent are read again.
                    self.unsent_bytes -= self.pending.drain(..).map(|row| row_size(&row)).sum::<usize>();
                    common.rows.lower(before(entry.at));
                }
                (lookups::Purpose::Own(purpose), found) => self.on_found(common, purpose, found, view),
                // The log has become shorter.
                (lookups::Purpose::Start, _) => {}
            }
        }
    }

    fn on_found(&mut self, common: &mut Common, purpose: Purpose, found: Found, view: &dyn LocalLog) {
        match (purpose, found) {
            (Purpose::Verify(theirs), Found::Digest(Some(ours))) => self.verified(common, &theirs, ours),
            (Purpose::Bisect(theirs, key), Found::Digest(Some(ours))) => {
                self.bisected(common, &theirs, key, ours == theirs.digest);
            }
            (Purpose::CompareBranch(theirs, key), Found::Entry(Some(ours))) => {
                // Of very many entries the last one stands for all: a node of an honest emitter follows from those before it.
                let same = self.probed.take().map_or(ours.key == key, |digest| digest == theirs.digest);
                self.branch_compared(common, &theirs, key, same);
            }
            (Purpose::Fork { log, seq, theirs, tell, settled }, Found::Entry(Some(entry))) => {
                let fork = Compared { seq, ours: entry.key, theirs };
                self.fork_found(common, &log, fork, tell, settled, view);
            }
            (Purpose::Unmoved(log, seq), Found::Entry(Some(entry))) if !self.branches.part_from(&log) => {
                self.say(common, &Extension::Fork { log: log.clone(), seq, key: entry.key });
                let reported = self.logs.get(&log).and_then(|peer_log| peer_log.own.reported.as_ref());
                let theirs = reported.map_or(Key::default(), |fork| fork.theirs);
                self.branch_off(common, &log, &Compared { seq, ours: entry.key, theirs }, view);
            }
            (Purpose::BeforeFork(log, seq), Found::Digest(Some(digest))) => {
                self.send_vector_without_tail(common, view, LogHead { log, seq, digest });
            }
            (Purpose::ProbedDigest, Found::Digest(digest)) => self.probed = digest,
            (Purpose::ProbedEntry(log, seq), Found::Entry(Some(entry))) => {
                if let Some(digest) = self.probed.take() {
                    let extent = Extent { log, seq, digest };
                    self.say(common, &Extension::Proof { extent, key: entry.key });
                }
            }
            // The log has become shorter: its tail has moved to a new id, and a new announcement is under way.
            _ => {}
        }
    }
}
