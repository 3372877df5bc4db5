//! The few operations that a Level database has to offer, as a trait.

use bytes::Bytes;

use crate::error::Result;

/// A user's Level database, which may be in another language.
///
/// Calls block until the database has answered; several may be under way at once. Keys are UTF-8 text, values
/// are bytes, ranges run in key order.
pub trait LevelBridge: Send + Sync {
    /// Performs one request.
    ///
    /// # Errors
    /// `ForeignStore` with the database's own message; `Closed` once the database cannot answer any more.
    fn call(&self, request: LevelRequest) -> Result<LevelReply>;

    /// Closes the database, as its user would. Later calls fail.
    ///
    /// # Errors
    /// As [`LevelBridge::call`].
    fn close(&self) -> Result<()>;
}

/// What is asked of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LevelRequest {
    /// The values of these keys. Once its values hold more than `bytes` bytes, the answer may stop early, but not before the
    /// first value.
    Get {
        /// In any order, repeats allowed.
        keys: Vec<String>,
        /// Bytes of values after which the answer stops.
        bytes: usize,
    },
    /// The rows of these ranges.
    Ranges(Vec<Range>),
    /// One atomic, synced batch; no key occurs twice.
    Batch(Vec<Op>),
}

/// A half-open range of keys, `from <= key < to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// First key that belongs to it.
    pub from: String,
    /// First key that no longer does.
    pub to: String,
    /// Descending instead of ascending.
    pub reverse: bool,
    /// Most rows.
    pub limit: u32,
}

/// One operation of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Sets a key.
    Put(String, Bytes),
    /// Sets a key to text. A database reads it back as its bytes; in memory the text may take less room.
    PutText(String, String),
    /// Removes a key, which need not exist.
    Delete(String),
}

impl Op {
    /// The key it touches.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Op::Put(key, _) | Op::PutText(key, _) | Op::Delete(key) => key,
        }
    }
}

/// A key, as the database returned it, and its value.
pub type Pair = (Bytes, Bytes);

/// The answer to a request of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LevelReply {
    /// Values for the first keys, `None` where there is no value.
    Values(Vec<Option<Bytes>>),
    /// Rows of each range.
    Rows(Vec<Vec<Pair>>),
    /// The batch is stored, as durably as the database can.
    Done,
}
