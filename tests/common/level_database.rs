//! An ordered map that serves as a Level database.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyperemitter::error::Result;
use hyperemitter::store::level::{LevelBridge, LevelReply, LevelRequest, Op};
use parking_lot::Mutex;

/// A key as it is named in a request, and as it is returned.
type Rows = BTreeMap<String, Bytes>;

#[derive(Default)]
pub struct LevelDatabase(Mutex<Rows>);

impl LevelDatabase {
    /// Removes the index of terms, as a user may.
    pub fn remove_terms(&self) {
        self.0.lock().retain(|key, _| !key.starts_with("!hyper2!term"));
    }
}

impl LevelBridge for LevelDatabase {
    fn call(&self, request: LevelRequest) -> Result<LevelReply> {
        let mut rows = self.0.lock();
        Ok(match request {
            LevelRequest::Get { keys, .. } => {
                LevelReply::Values(keys.iter().map(|key| rows.get(key).cloned()).collect())
            }
            LevelRequest::Ranges(ranges) => {
                let answers = ranges.into_iter().map(|range| {
                    if range.from >= range.to {
                        return Vec::new();
                    }
                    let found = rows.range(range.from..range.to);
                    let found = found.map(|(key, value)| (Bytes::from(key.clone()), value.clone()));
                    let limit = range.limit as usize;
                    if range.reverse {
                        found.rev().take(limit).collect()
                    } else {
                        found.take(limit).collect()
                    }
                });
                LevelReply::Rows(answers.collect())
            }
            LevelRequest::Batch(ops) => {
                for op in ops {
                    match op {
                        Op::Put(key, value) => drop(rows.insert(key, value)),
                        Op::PutText(key, value) => drop(rows.insert(key, value.into())),
                        Op::Delete(key) => drop(rows.remove(&key)),
                    }
                }
                LevelReply::Done
            }
        })
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }
}
