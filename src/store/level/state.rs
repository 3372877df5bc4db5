//! What a store keeps in memory: the end, the heads and the logs, but nothing per event.

use std::collections::{BTreeMap, HashMap};

use super::records::{Checkpoint, LogCheckpoint};
use crate::node::{Change, Digest, Key, LogId, Seq};
use crate::row::{Located, LogHead, Position};
use crate::store::StoreState;

/// The end of one log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEnd {
    /// Its last seq.
    pub seq: Seq,
    /// Its digest.
    pub digest: Digest,
    /// Node of its last entry.
    pub key: Key,
    /// Change part of the last entry's position.
    pub change: Change,
}

/// The state after the last commit.
#[derive(Clone, Debug, Default)]
pub struct LevelState {
    /// The last position in use.
    pub end: Position,
    /// Node of the last change.
    pub last_key: Option<Key>,
    /// Nodes that nothing links to.
    pub heads: BTreeMap<Key, Located>,
    /// Logs that have entries.
    pub logs: HashMap<LogId, LogEnd>,
    /// Rows committed since the last checkpoint.
    pub since_checkpoint: usize,
}

impl LevelState {
    /// In the form that `hyperlog` takes.
    pub fn describe(&self) -> StoreState {
        StoreState {
            end: self.end,
            heads: self.heads.values().cloned().collect(),
            logs: self
                .logs
                .iter()
                .map(|(log, state)| LogHead { log: log.clone(), seq: state.seq, digest: state.digest })
                .collect(),
        }
    }

    /// In the form of our own records.
    pub fn checkpoint(&self) -> Checkpoint {
        let mut logs: Vec<LogCheckpoint> = self
            .logs
            .iter()
            .map(|(log, state)| LogCheckpoint {
                log: log.clone(),
                seq: state.seq,
                digest: state.digest,
                key: state.key,
                change: state.change,
            })
            .collect();
        logs.sort_by(|a, b| a.log.cmp(&b.log));
        Checkpoint { change: self.end.change, key: self.last_key, logs }
    }
}
