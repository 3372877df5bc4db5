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
    /// Our key of the first entry that differs. `tell` if the peer does not know of the fork yet.
    Fork { log: LogId, seq: Seq, theirs: Key, tell: bool },
    /// Our digest before the first entry that differs, for a peer that cannot be asked for that entry.
    BeforeFork(LogId, Seq),
    /// Our digest at an entry that the peer probes for.
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
            (Purpose::Bisect(theirs, key), Found::Digest(Some(ours))) => self.bisected(common, &theirs, key, ours),
            (Purpose::Fork { log, seq, theirs, tell }, Found::Entry(Some(entry))) => {
                let fork = Compared { seq, ours: entry.key, theirs };
                self.fork_found(common, &log, fork, tell);
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
