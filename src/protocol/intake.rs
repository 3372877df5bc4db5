//! Nodes received and not yet stored: one group that the log is adding, and the next group, which is being collected.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::incoming::Incoming;
use crate::node::{LogId, Seq};

/// Nodes collected before the driver stops reading the socket. With half as many, the flush no longer dominates the cost of storing
/// a group.
pub const MAX_NODES: usize = 1024;

/// Bytes collected before the driver stops reading the socket; one frame may exceed it.
pub const MAX_BYTES: usize = 2 * 1024 * 1024;

/// Values up to this size are copied out of the frame. A slice would keep the driver's whole read buffer alive for as long as
/// the node stays in memory (parked, recent, or in a memory store).
const COPY_UP_TO: usize = 16 * 1024;

/// Collects nodes into groups.
#[derive(Debug, Default)]
pub(crate) struct Intake {
    nodes: Vec<Incoming>,
    bytes: usize,
    under_way: Option<VecDeque<(LogId, Seq)>>,
}

impl Intake {
    pub(crate) fn push(&mut self, node: Incoming) {
        self.bytes += node.cost();
        self.nodes.push(node);
    }

    /// Whether the driver should stop handing frames over.
    pub(crate) fn is_full(&self) -> bool {
        self.nodes.len() >= MAX_NODES || self.bytes >= MAX_BYTES
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// The next group, if something was collected and none is under way.
    pub(crate) fn start(&mut self) -> Option<Vec<Incoming>> {
        if self.under_way.is_some() || self.nodes.is_empty() {
            return None;
        }
        self.under_way = Some(self.nodes.iter().map(|node| (node.log.clone(), node.seq)).collect());
        self.bytes = 0;
        Some(std::mem::take(&mut self.nodes))
    }

    /// Ends the group that the log has answered. Returns its log entries, in order.
    pub(crate) fn finish(&mut self) -> VecDeque<(LogId, Seq)> {
        self.under_way.take().unwrap_or_default()
    }
}

/// `part` of `frame`: a copy if it is small, else a slice of the frame.
pub(crate) fn detach(frame: &Bytes, part: &[u8]) -> Bytes {
    if part.len() <= COPY_UP_TO {
        Bytes::copy_from_slice(part)
    } else {
        frame.slice_ref(part)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::node::{Key, Links, Signed};

    #[test]
    fn links_and_signatures_of_what_is_collected_count() {
        let (links, blob) = (Links::from_vec(vec![Key::default(); 1000]), Some(Bytes::from(vec![0; 32_000])));
        for signed in [None, Some(Arc::new(Signed { identity: blob.clone(), signature: blob }))] {
            let node =
                Incoming { log: "a".into(), seq: 1, links: links.clone(), value: Bytes::new(), signed, claimed: None };
            let (mut intake, cost) = (Intake::default(), node.cost());
            let mut nodes = 0;
            while !intake.is_full() {
                intake.push(node.clone());
                nodes += 1;
            }
            assert!(nodes * cost < MAX_BYTES + cost, "{nodes} nodes of {cost} bytes");
        }
    }
}
