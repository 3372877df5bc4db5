//! Large nodes, which travel in pieces: sending them, and putting together those that arrive.

use bytes::{Bytes, BytesMut};

use super::V2;
use crate::error::{Error, Result};
use crate::node::Key;
use crate::protocol::common::Common;
use crate::protocol::extension::Extension;
use crate::protocol::frame::FRAME_OVERHEAD;
use crate::protocol::io::LocalLog;
use crate::protocol::peer_logs::PeerLog;
use crate::protocol::pieces::{Blob, Piece, Progress, BESIDE_VALUE, LARGE, MAX_PARTIALS};
use crate::protocol::version::WITH_PIECES;
use crate::row::Row;

/// A node on its way to the peer.
#[derive(Debug)]
pub(super) struct Large {
    row: Row,
    blob: Blob,
    offset: usize,
}

impl Large {
    /// Bytes of memory.
    pub(super) fn len(&self) -> usize {
        self.blob.len()
    }
}

impl V2 {
    /// The largest event that the peer takes, in bytes.
    pub(super) fn most_accepted(&self) -> u64 {
        let frame = self.capability.max_frame.saturating_sub(FRAME_OVERHEAD as u64);
        self.capability.max_value.map_or(frame, |most| most.min(frame))
    }

    /// Whether large nodes go in pieces, so that all frames are small.
    pub(crate) fn has_pieces(&self) -> bool {
        self.capability.version.min(self.version) >= WITH_PIECES
    }

    pub(super) fn is_large(&self, row: &Row) -> bool {
        self.has_pieces() && row.node.size() > LARGE
    }

    /// Starts to send a row in pieces, after the rows that have been collected before it.
    pub(super) fn begin_large(&mut self, common: &mut Common, row: &Row) {
        self.flush_batch(common);
        let blob = Blob::of(&row.node);
        let held = self.partly.remove(&row.node.key).and_then(|held| usize::try_from(held).ok());
        let offset = held.filter(|held| *held < blob.len()).unwrap_or(0);
        self.large = Some(Large { row: row.clone(), blob, offset });
    }

    pub(super) fn send_piece(&mut self, common: &mut Common) {
        let Some(large) = self.large.as_mut() else { return };
        let mut bytes = BytesMut::new();
        let offset = large.offset;
        // An incomplete piece is lost when the link breaks, so on a slow line pieces are small, like batches.
        large.offset = large.blob.put_piece(&mut bytes, offset, self.pace.chunk());
        let (log, seq, key) = (large.row.log().clone(), large.row.seq(), large.row.node.key);
        let total = large.blob.len();
        let last = large.offset >= total;
        let piece = Piece { log: log.clone(), seq, key, total: total as u64, offset: offset as u64, bytes: &bytes };
        // Counted without the prefix, as the receiver does: full credit has to mean that everything has arrived.
        let mut out = BytesMut::new();
        Extension::Piece(piece).encode(&mut out);
        let prefix = out.iter().take_while(|byte| **byte >= 0x80).count() + 1;
        let cost = out.len() - prefix;
        self.sent_at = common.now;
        common.send_bytes(out);
        common.counters.bytes_sent += cost as u64;
        self.credit -= i64::try_from(cost).unwrap_or(i64::MAX);
        self.pace.sent(common.now);
        if last {
            self.large = None;
            self.last_large = Some((key, log.clone(), seq));
            self.writer.remember(key);
            common.counters.nodes_sent += 1;
            if let Some(peer_log) = self.logs.get_mut(&log) {
                peer_log.note_sent(seq);
            }
        }
    }

    /// The peer says how much it has of some large nodes. The one on its way continues from there.
    pub(super) fn on_held(&mut self, held: Vec<(Key, u64)>) {
        for (key, bytes) in held {
            match self.large.as_mut().filter(|large| large.row.node.key == key) {
                Some(large) => {
                    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
                    large.offset = if bytes < large.blob.len() { bytes } else { 0 };
                }
                None => {
                    if self.partly.len() < MAX_PARTIALS {
                        self.partly.insert(key, bytes);
                    }
                    self.send_again(key);
                }
            }
        }
    }

    /// Sends the last large node once more, because it did not arrive intact.
    fn send_again(&mut self, key: Key) {
        let Some((_, log, seq)) = self.last_large.take_if(|(last, ..)| *last == key) else { return };
        let peer_log = self.logs.entry(log.clone()).or_insert_with(|| PeerLog::up_to(seq));
        peer_log.has = peer_log.has.min(seq - 1);
        peer_log.reread = 0;
        let (log, seq) = self.branches.our_entry(&log, seq);
        self.lookups.ask_start(log, seq);
    }

    /// Tells the peer how much has arrived of large nodes that it has sent in part.
    pub(super) fn tell_held(&mut self, common: &mut Common) {
        let held = common.config.partials.held(&self.origin);
        if self.has_pieces() && !held.is_empty() {
            self.say(common, &Extension::Held(held));
        }
    }

    pub(super) fn on_piece(
        &mut self,
        common: &mut Common,
        frame: &Bytes,
        piece: &Piece<'_>,
        view: &dyn LocalLog,
    ) -> Result<()> {
        self.received.check_window()?;
        common.config.check_brings(self.logs.mode)?;
        let most = common.config.max_frame.min(common.config.max_value.saturating_add(BESIDE_VALUE));
        if piece.total > most as u64 {
            return Err(Error::Protocol(format!(
                "a node of {} bytes is sent in pieces, the limit is {most}",
                piece.total
            )));
        }
        // Pieces have a memory limit of their own, so that credit for them can be granted at once.
        self.received.pass(frame.len() as u64);
        self.behind_since = common.now;
        self.note_has(common, &piece.log, piece.seq, view)?;
        let last = piece.offset.saturating_add(piece.bytes.len() as u64) >= piece.total;
        if last {
            self.reader.remember(piece.key);
        }
        match common.config.partials.add(&self.origin, self.session, piece, common.now) {
            Progress::More => {}
            Progress::Whole(node) => {
                common.counters.nodes_received += 1;
                let peer_log = self.logs.get_mut(&node.log);
                let of_use = peer_log.is_none_or(|peer_log| {
                    peer_log.own.told = peer_log.own.told.max(node.seq);
                    peer_log.takes(&node.log, node.seq)
                });
                if of_use {
                    common.intake.push(*node);
                }
            }
            Progress::Gap(have) => self.say(common, &Extension::Held(vec![(piece.key, have)])),
            Progress::Spoilt(true) => {
                return Err(Error::Protocol("a node sent in pieces does not match its key".into()));
            }
            // Some of it came in another session. The peer has to send it again from the beginning.
            Progress::Spoilt(false) => self.say(common, &Extension::Held(vec![(piece.key, 0)])),
        }
        Ok(())
    }
}
