//! The store's view of the bridge: complete answers, parsed rows, long scans in chunks.

use std::sync::Arc;

use bytes::Bytes;

use super::bridge::{LevelBridge, LevelReply, LevelRequest, Op, Pair, Range};
use super::layout;
use crate::error::{Error, Result};

/// Rows of one chunk of a scan over small records: a few hundred KB per crossing of the bridge.
pub const SCAN_ROWS: u32 = 4096;

/// Bytes of values that one crossing should not exceed, if the caller sets no limit.
pub const GET_BYTES: usize = 8 * 1024 * 1024;

/// Operations of one batch where atomicity is not needed.
pub const BATCH_OPS: usize = 16 * 1024;

/// A Level database.
#[derive(Clone)]
pub struct Medium(pub Arc<dyn LevelBridge>);

impl Medium {
    /// The values of all keys.
    pub fn get(&self, mut keys: Vec<String>) -> Result<Vec<Option<Bytes>>> {
        let mut all = Vec::with_capacity(keys.len());
        while !keys.is_empty() {
            let values = self.get_some(keys.clone(), GET_BYTES)?;
            keys.drain(..values.len());
            all.extend(values);
        }
        Ok(all)
    }

    /// The value of one key.
    pub fn get_one(&self, key: String) -> Result<Option<Bytes>> {
        Ok(self.get(vec![key])?.pop().flatten())
    }

    /// The values of the first keys: at least one, and until they hold more than `bytes` bytes.
    pub fn get_some(&self, keys: Vec<String>, bytes: usize) -> Result<Vec<Option<Bytes>>> {
        let asked = keys.len();
        match self.0.call(LevelRequest::Get { keys, bytes })? {
            LevelReply::Values(values) if values.len() <= asked && (asked == 0 || !values.is_empty()) => Ok(values),
            other => Err(unexpected(&other)),
        }
    }

    /// The rows of these ranges, in one crossing.
    pub fn ranges(&self, ranges: Vec<Range>) -> Result<Vec<Vec<Pair>>> {
        let asked: Vec<u32> = ranges.iter().map(|range| range.limit).collect();
        match self.0.call(LevelRequest::Ranges(ranges))? {
            LevelReply::Rows(rows)
                if rows.len() == asked.len()
                    && rows.iter().zip(&asked).all(|(rows, limit)| rows.len() <= *limit as usize) =>
            {
                Ok(rows)
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Applies a batch, if there is anything in it.
    pub fn batch(&self, ops: Vec<Op>) -> Result<()> {
        if ops.is_empty() {
            return Ok(());
        }
        match self.0.call(LevelRequest::Batch(ops))? {
            LevelReply::Done => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Visits all rows of a range in key order, a chunk at a time.
    ///
    /// The next chunk begins after the last key that is valid text. If a key is not, the database only returns a replacement, and
    /// keys after the replacement may come before the key itself. So rows after such keys are read again and skipped.
    pub fn scan(&self, from: String, to: &str, mut visit: impl FnMut(Pair) -> Result<()>) -> Result<()> {
        let mut from = from;
        let mut visited = 0;
        loop {
            // Twice as many each time, so that a range full of such keys is not read again and again.
            let again = u32::try_from(visited).unwrap_or(u32::MAX).saturating_mul(2);
            let limit = SCAN_ROWS.saturating_add(again);
            let range = Range { from: from.clone(), to: to.to_owned(), reverse: false, limit };
            let rows = self.ranges(vec![range])?.pop().unwrap_or_default();
            let whole = rows.len() < limit as usize;
            let last = rows.iter().rposition(|(key, _)| is_exact(key));
            let next = last.and_then(|last| Some((after(&rows.get(last)?.0), rows.len() - 1 - last)));
            let count = rows.len();
            for row in rows.into_iter().skip(visited) {
                visit(row)?;
            }
            if whole {
                return Ok(());
            }
            match next {
                Some((next, behind)) => (from, visited) = (next, behind),
                None => visited = count,
            }
        }
    }

    /// The last row of a range that `parse` accepts.
    pub fn last<T>(&self, from: &str, to: &str, parse: impl Fn(&Pair) -> Option<T>) -> Result<Option<T>> {
        let range = Range { from: from.to_owned(), to: to.to_owned(), reverse: true, limit: 1 };
        let Some(row) = self.ranges(vec![range])?.pop().unwrap_or_default().pop() else { return Ok(None) };
        if let Some(found) = parse(&row) {
            return Ok(Some(found));
        }
        // The last key is foreign. Going back from key to key could loop on keys that are not text, so all are read; this is
        // rare.
        let mut last = None;
        self.scan(from.to_owned(), to, |row| {
            last = parse(&row).or(last.take());
            Ok(())
        })?;
        Ok(last)
    }
}

/// Whether a key is certainly the one in the database. Databases return keys as text, with replacement characters for invalid
/// bytes.
pub fn is_exact(key: &[u8]) -> bool {
    !text(key).contains(char::REPLACEMENT_CHARACTER)
}

/// A key after this one, with no ASCII key in between, except keys that begin with the same text. (An ASCII key that begins with
/// the same text comes before one that continues with other characters.)
pub fn behind_ascii(key: &[u8]) -> String {
    let text = text(key);
    if text.is_ascii() {
        return after(key);
    }
    let mut next: String = text.chars().take_while(char::is_ascii).collect();
    if let Some(last) = next.pop().and_then(|last| char::from_u32(u32::from(last) + 1)) {
        next.push(last);
    }
    next
}

/// The first key after this one.
pub fn after(key: &[u8]) -> String {
    let mut next = text(key);
    next.push('\0');
    next
}

/// A key as text. One that is not text cannot be ours.
pub fn text(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

/// The end of a range of all keys with this prefix, whose last character is `!`.
pub(super) fn end_of(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    end.pop();
    end.push('"');
    end
}

/// The end of the range of a log's entries: their keys continue with hex digits.
pub(super) fn log_end(log: &str) -> String {
    let mut end = layout::log_prefix(log);
    end.push('g');
    end
}

fn unexpected(reply: &LevelReply) -> Error {
    let kind = match reply {
        LevelReply::Values(values) => format!("{} values", values.len()),
        LevelReply::Rows(rows) => format!("rows of {} ranges", rows.len()),
        LevelReply::Done => "nothing".to_owned(),
    };
    Error::ForeignStore(format!("the store answered a request with {kind}, which is not an answer to it"))
}
