//! Sends rows to the peer.

use bytes::BytesMut;

use super::V1;
use crate::error::Error;
use crate::protocol::common::Common;
use crate::protocol::io::CloseReason;
use crate::protocol::message::{Message, Mode, WireNode};
use crate::protocol::peer_logs::{Judgement, PeerLog};
use crate::row::Row;

impl V1 {
    pub(super) fn on_rows(&mut self, common: &mut Common, rows: Vec<Row>) {
        let mut out = BytesMut::new();
        for row in common.rows.finish(rows) {
            match self.judge(common, &row) {
                Judgement::Skip => {}
                Judgement::Reread(seq) => {
                    self.lookups.ask_start(row.log().clone(), seq);
                    break;
                }
                Judgement::Send => {
                    if common.config.defences.spare_v1 {
                        if let Some(reason) = (common.config.unsafe_for_v1)(&row.node.value) {
                            common.send_bytes(out);
                            let error = Error::Harmful { log: row.log().to_string(), seq: row.seq(), reason };
                            return common.close_and_report(CloseReason::Harmful, error);
                        }
                    }
                    self.send_row(common, &row, &mut out);
                }
            }
            common.rows.passed(row.at);
        }
        common.counters.bytes_sent += out.len() as u64;
        common.send_bytes(out);
        if !self.streaming && self.owed.is_empty() && !self.lookups.is_starting() {
            common.rows.stop();
        }
    }

    /// Whether the peer lacks this row and may have it now.
    fn judge(&mut self, common: &Common, row: &Row) -> Judgement {
        let (streaming, seq) = (self.streaming, row.seq());
        self.logs.judge(
            row,
            common.config.defences,
            || streaming.then(PeerLog::default),
            |peer_log| {
                let asked_for = peer_log.own.wanted && seq <= peer_log.own.announced;
                peer_log.forked.is_some_and(|from| seq >= from) || !(streaming || asked_for)
            },
        )
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
        self.sent_nodes.push(row.node.key, row.log().clone(), row.seq());
        if let Some(peer_log) = self.logs.get_mut(row.log()) {
            peer_log.has = peer_log.has.max(row.seq());
            if peer_log.has >= peer_log.own.announced {
                self.owed.remove(row.log());
            }
        }
    }

    /// From the peer's `sentWants` on it gets everything it lacks.
    pub(super) fn start_streaming(&mut self, common: &mut Common) {
        let allowed = self.peer_sent_wants || !common.config.defences.live_after_wants;
        if !self.streaming && allowed && self.logs.mode != Mode::Push {
            self.streaming = true;
            common.rows.lower(self.snapshot);
        }
    }

    pub(super) fn may_send(&self, common: &Common) -> bool {
        let pulled = self.sent_wants || !common.config.defences.pull_first;
        self.settled && pulled && !self.lookups.is_starting()
    }
}
