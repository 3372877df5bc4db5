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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_of_live_events_leaves_no_growth() {
        let mut window = Window::default();
        let log: LogId = "log".into();
        let key = |seq: u64| crate::node::key_of(&[], &seq.to_le_bytes());
        for seq in 1..=200_000 {
            window.push(key(seq), log.clone(), seq);
            // Also what is sent a second time, after a second want.
            window.push(key(seq), log.clone(), seq);
        }
        assert!(window.sent.len() <= CAPACITY && window.order.len() <= CAPACITY);
        assert!(window.contains(&key(200_000), "log", 200_000));
        assert!(!window.contains(&key(1), "log", 1));
        assert!(!window.contains(&key(200_000), "other", 200_000));
    }
}
