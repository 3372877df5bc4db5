//! A model of hyperlog 4.12.1, in memory: one batch per node, without our records.

use std::sync::Arc;

use bytes::Bytes;

use super::super::layout::{
    change_key, decode_node, encode_entry, encode_node, entry_key, head_key, key_value, node_key, parse_change_key,
    parse_entry_key,
};
use super::database::Database;
use crate::node::{key_of, Key, Links, LogId, Node, Seq};

pub struct Old(pub Arc<Database>);

impl Old {
    pub fn keys(&self) -> Vec<Key> {
        let rows = self.0.as_1_x();
        rows.iter()
            .filter(|(key, _)| key.starts_with("!changes!"))
            .filter_map(|(_, value)| Key::from_hex(value))
            .collect()
    }

    pub fn heads(&self) -> Vec<Key> {
        let rows = self.0.as_1_x();
        rows.iter()
            .filter(|(key, _)| key.starts_with("!heads!"))
            .filter_map(|(_, value)| Key::from_hex(value))
            .collect()
    }

    fn changes(&self) -> u64 {
        self.0.as_1_x().keys().filter_map(|key| parse_change_key(key.as_bytes())).max().unwrap_or(0)
    }

    fn seq(&self, log: &str) -> Seq {
        let rows = self.0.as_1_x();
        let seqs = rows
            .keys()
            .filter_map(|key| parse_entry_key(key.as_bytes()).and_then(|(found, seq)| (found == log).then_some(seq)));
        seqs.max().unwrap_or(0)
    }

    fn node(&self, key: &Key) -> Option<Node> {
        self.0.get(&node_key(key)).map(|record| decode_node(&node_key(key), record).unwrap())
    }

    fn log_links(&self, log: &str, links: &[Key]) -> Vec<LogId> {
        let mut logs: Vec<LogId> = Vec::new();
        for link in links {
            let found = self.node(link).expect("links are stored").log;
            if *found != *log && !logs.contains(&found) {
                logs.push(found);
            }
        }
        logs
    }

    /// The logs of a node's links, as an entry of `log` for it should say.
    pub fn log_links_of(&self, log: &str, key: &Key) -> Vec<LogId> {
        self.log_links(log, &self.node(key).unwrap().links)
    }

    /// `add`: stores a node, or a further entry for it.
    pub fn add(&self, log: &str, links: &[Key], value: &[u8]) -> Key {
        let key = key_of(links, value);
        let seq = self.seq(log) + 1;
        let log_links = self.log_links(log, links);
        let change = match self.node(&key) {
            Some(stored) => stored.change,
            None => {
                let change = self.changes() + 1;
                let node = Node {
                    key,
                    change,
                    log: log.into(),
                    seq,
                    links: Links::from_slice(links),
                    value: Bytes::copy_from_slice(value),
                    signed: None,
                };
                for link in links {
                    self.0.remove(&head_key(link));
                }
                self.0.put(&change_key(change).unwrap(), Bytes::from(key_value(&key)));
                self.0.put(&node_key(&key), encode_node(&node));
                self.0.put(&head_key(&key), Bytes::from(key_value(&key)));
                change
            }
        };
        self.0.put(&entry_key(log, seq).unwrap(), encode_entry(change, &key, &log_links));
        key
    }

    /// Adds a further entry for a stored node.
    pub fn add_again(&self, log: &str, key: &Key) {
        let node = self.node(key).unwrap();
        self.add(log, &node.links, &node.value);
    }
}
