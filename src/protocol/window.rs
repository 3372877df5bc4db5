//! The last nodes sent, by which a 1.x peer's echo is recognised without asking the log.

use std::collections::{HashMap, VecDeque};

use crate::node::{Key, LogId, Seq};

/// Nodes remembered. An echo follows within a round trip; later ones cost the log one look-up each.
const CAPACITY: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Window {
    sent: HashMap<Key, (LogId, Seq)>,
    order: VecDeque<Key>,
}

impl Window {
    pub(crate) fn push(&mut self, key: Key, log: LogId, seq: Seq) {
        if self.sent.insert(key, (log, seq)).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > CAPACITY {
            if let Some(oldest) = self.order.pop_front() {
                self.sent.remove(&oldest);
            }
        }
    }

    pub(crate) fn contains(&self, key: &Key, log: &str, seq: Seq) -> bool {
        self.sent.get(key).is_some_and(|(sent_log, sent_seq)| **sent_log == *log && *sent_seq == seq)
    }
}
