//! An ordered map that behaves like a Level database behind the bridge, and can be told to fail.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::super::bridge::{LevelBridge, LevelReply, LevelRequest, Op};
use crate::error::{Error, Result};

#[derive(Default)]
pub struct Database {
    /// Rows by the bytes of their keys; keys are returned as text.
    rows: Mutex<BTreeMap<Vec<u8>, Bytes>>,
    text_only: AtomicBool,
    /// 0: no fault; 1: the next batch fails; 2: the next batch is applied, but reported as failed.
    fault: AtomicUsize,
    calls: AtomicUsize,
    batches: AtomicUsize,
}

impl Database {
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a (String, String)>) -> Arc<Self> {
        let database = Database::default();
        for (key, hex) in rows {
            database.put(key, unhex(hex));
        }
        Arc::new(database)
    }

    pub fn copy(other: &Database) -> Self {
        let copy = Database::default();
        copy.rows.lock().clone_from(&other.rows.lock());
        copy
    }

    pub fn connect(self: &Arc<Self>) -> Connection {
        Connection { database: Arc::clone(self), open: AtomicBool::new(true) }
    }

    pub fn put(&self, key: &str, value: impl Into<Bytes>) {
        self.put_raw(key.as_bytes(), value);
    }

    /// Sets a key that need not be text.
    pub fn put_raw(&self, key: &[u8], value: impl Into<Bytes>) {
        self.rows.lock().insert(key.to_owned(), value.into());
    }

    pub fn remove(&self, key: &str) {
        self.rows.lock().remove(key.as_bytes());
    }

    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.rows.lock().get(key.as_bytes()).cloned()
    }

    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        self.rows.lock().retain(|key, _| keep(&text(key)));
    }

    /// What 1.x sees: everything but our own records.
    pub fn as_1_x(&self) -> BTreeMap<String, Bytes> {
        let rows = self.rows.lock();
        rows.iter()
            .filter(|(key, _)| !key.starts_with(b"!hyper2!"))
            .map(|(key, value)| (text(key), value.clone()))
            .collect()
    }

    pub fn ours(&self) -> Vec<String> {
        self.rows.lock().keys().filter(|key| key.starts_with(b"!hyper2!")).map(|key| text(key)).collect()
    }

    pub fn set_text_only(&self) {
        self.text_only.store(true, Ordering::SeqCst);
    }

    pub fn fail_next_batch(&self, applied: bool) {
        self.fault.store(1 + usize::from(applied), Ordering::SeqCst);
    }

    /// Calls since this was last called, and how many of them were batches.
    pub fn take_calls(&self) -> (usize, usize) {
        (self.calls.swap(0, Ordering::SeqCst), self.batches.swap(0, Ordering::SeqCst))
    }

    fn batch(&self, ops: Vec<Op>) -> Result<()> {
        let fault = self.fault.swap(0, Ordering::SeqCst);
        if fault == 1 {
            return Err(Error::ForeignStore("disk full".into()));
        }
        let mut rows = self.rows.lock();
        let mut keys: Vec<&str> = ops.iter().map(Op::key).collect();
        keys.dedup();
        assert_eq!(keys.len(), ops.len(), "a batch names each key once");
        for op in ops {
            match op {
                Op::Put(key, value) if self.text_only.load(Ordering::SeqCst) => {
                    rows.insert(key.into_bytes(), String::from_utf8_lossy(&value).into_owned().into());
                }
                Op::Put(key, value) => {
                    rows.insert(key.into_bytes(), value);
                }
                Op::PutText(key, value) => {
                    rows.insert(key.into_bytes(), value.into());
                }
                Op::Delete(key) => {
                    rows.remove(key.as_bytes());
                }
            }
        }
        if fault == 2 {
            return Err(Error::ForeignStore("lost the answer".into()));
        }
        Ok(())
    }
}

pub struct Connection {
    database: Arc<Database>,
    open: AtomicBool,
}

impl LevelBridge for Connection {
    fn call(&self, request: LevelRequest) -> Result<LevelReply> {
        if !self.open.load(Ordering::SeqCst) {
            return Err(Error::ForeignStore("Database is not open".into()));
        }
        self.database.calls.fetch_add(1, Ordering::SeqCst);
        Ok(match request {
            LevelRequest::Get { keys, bytes } => {
                let rows = self.database.rows.lock();
                let mut values = Vec::new();
                let mut size = 0;
                for key in keys {
                    let value = rows.get(key.as_bytes()).cloned();
                    size += value.as_ref().map_or(0, Bytes::len);
                    values.push(value);
                    if size > bytes {
                        break;
                    }
                }
                LevelReply::Values(values)
            }
            LevelRequest::Ranges(ranges) => {
                let rows = self.database.rows.lock();
                let pair = |(key, value): (&Vec<u8>, &Bytes)| (Bytes::from(text(key)), value.clone());
                let answers = ranges.into_iter().map(|range| {
                    if range.from >= range.to {
                        return Vec::new();
                    }
                    let found = rows.range(range.from.into_bytes()..range.to.into_bytes());
                    let limit = range.limit as usize;
                    if range.reverse {
                        found.rev().take(limit).map(pair).collect()
                    } else {
                        found.take(limit).map(pair).collect()
                    }
                });
                LevelReply::Rows(answers.collect())
            }
            LevelRequest::Batch(ops) => {
                self.database.batches.fetch_add(1, Ordering::SeqCst);
                self.database.batch(ops)?;
                LevelReply::Done
            }
        })
    }

    fn close(&self) -> Result<()> {
        self.open.store(false, Ordering::SeqCst);
        Ok(())
    }
}

/// The text that a database returns for a key.
fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

pub fn unhex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
