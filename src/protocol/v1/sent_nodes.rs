//! The last nodes sent. A 1.x peer echoes what it receives; these echoes are recognised without a lookup in the log.

use std::collections::{HashMap, VecDeque};

use crate::node::{Key, LogId, Seq};

/// Nodes remembered. An echo usually follows within a round trip; a later echo costs one lookup in the log.
const CAPACITY: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct SentNodes {
    sent: HashMap<Key, (LogId, Seq)>,
    order: VecDeque<Key>,
}

impl SentNodes {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_live_events_leaves_no_growth() {
        let mut nodes = SentNodes::default();
        let log: LogId = "log".into();
        let key = |seq: u64| crate::node::key_of(&[], &seq.to_le_bytes());
        for seq in 1..=200_000 {
            nodes.push(key(seq), log.clone(), seq);
            // A node is sent again after a second want.
            nodes.push(key(seq), log.clone(), seq);
        }
        assert!(nodes.sent.len() <= CAPACITY && nodes.order.len() <= CAPACITY);
        assert!(nodes.contains(&key(200_000), "log", 200_000));
        assert!(!nodes.contains(&key(1), "log", 1));
        assert!(!nodes.contains(&key(200_000), "other", 200_000));
    }
}
