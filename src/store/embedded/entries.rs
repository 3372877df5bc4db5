//! Entries of logs: finds the row, the digest and the keys of an entry, in memory or through the index.

use super::core::Core;
use super::index_keys::LogBlock;
use super::reads::{ahead_of, horizon, row_of, unreadable};
use super::scan::{Scan, SMALL_READ};
use super::table::EntryAt;
use crate::error::{quoted, Error, Result};
use crate::node::{Digest, Key, LogId, Seq};
use crate::row::Entry;

/// Where an entry is, and whether digests along its stream are its log's.
fn locate_entry(core: &Core, log: &LogId, seq: Seq) -> Result<Option<(EntryAt, bool)>> {
    Ok(core.view.read().open()?.state.table.locate(log, seq))
}

/// The entry of a log.
pub(super) fn entry(core: &Core, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
    let Some((entry, _)) = locate_entry(core, log, seq)? else { return Ok(None) };
    {
        let view = core.view.read();
        for chunk in view.tail() {
            if let Some(row) = chunk.entry(entry) {
                let found = chunk.rows.get(row).zip(chunk.keys.get(row));
                return Ok(found.map(|(row, key)| Entry { at: row.at, key: *key }));
            }
        }
    }
    let (block, row) = block_of(core, entry)?;
    let found = row_of(core, &horizon(core)?, block.chunk, row)?;
    if found.entry != entry {
        return Err(unreadable(core, "an entry"));
    }
    Ok(Some(Entry { at: found.at, key: found.key }))
}

fn block_of(core: &Core, entry: EntryAt) -> Result<(LogBlock, usize)> {
    let block = core.index.block(entry).map_err(|fault| core.faulty(&fault))?;
    let index = usize::try_from(entry.seq - block.first).ok();
    let row = index.and_then(|index| block.rows.get(index).copied());
    row.map(|row| (block, row)).ok_or_else(|| unreadable(core, "a block of entries"))
}

/// Digest of a log after `seq` entries.
pub(super) fn digest(core: &Core, log: &LogId, seq: Seq) -> Result<Option<Digest>> {
    let location = {
        let view = core.view.read();
        let table = &view.open()?.state.table;
        match table.log(log) {
            _ if seq == 0 => return Ok(Some(Digest::default())),
            Some(state) if state.seq == seq => return Ok(Some(state.digest)),
            _ => table.locate(log, seq),
        }
    };
    let Some((entry, home)) = location else { return Ok(None) };
    let (from, mut digest) = if home { remembered(core, seq, entry)? } else { (1, Digest::default()) };
    for key in keys(core, log, from, seq)? {
        digest = digest.extend(&key);
    }
    Ok(Some(digest))
}

/// The nearest stored digest before an entry: the first seq that it does not cover, and the digest.
fn remembered(core: &Core, seq: Seq, entry: EntryAt) -> Result<(Seq, Digest)> {
    let first = |first: Seq| seq - (entry.seq - first);
    {
        let view = core.view.read();
        for chunk in view.tail() {
            let Some(rows) = chunk.streams.get(&entry.stream).filter(|_| chunk.entry(entry).is_some()) else {
                continue;
            };
            let step = usize::try_from(entry.seq - rows.first).unwrap_or(0) / super::chunk::DIGEST_STEP;
            if let Some(digest) = rows.digests.get(step) {
                return Ok((first(rows.first + (step * super::chunk::DIGEST_STEP) as u64), *digest));
            }
        }
    }
    let (block, _) = block_of(core, entry)?;
    Ok((first(block.first), block.digest))
}

/// Keys of the entries `from..=to` of a log.
pub(super) fn keys(core: &Core, log: &LogId, from: Seq, to: Seq) -> Result<Vec<Key>> {
    let mut keys = Vec::new();
    let mut seq = from;
    while seq <= to {
        let missing = || Error::Internal(format!("log {} has no entry {seq}", quoted(log)));
        let (entry, _) = locate_entry(core, log, seq)?.ok_or_else(missing)?;
        let before = keys.len();
        if !tail_keys(core, log, seq, to, entry, &mut keys)? {
            block_keys(core, log, seq, to, entry, &mut keys)?;
        }
        if keys.len() == before {
            return Err(missing());
        }
        seq += (keys.len() - before) as u64;
    }
    Ok(keys)
}

/// How many of the entries from `seq` to `to` are in the same stream, without a gap.
fn together(core: &Core, log: &LogId, seq: Seq, to: Seq, entry: EntryAt) -> Result<Seq> {
    let view = core.view.read();
    let table = &view.open()?.state.table;
    let last = table.log(log).and_then(|state| {
        let next = state.spans.iter().find(|span| span.seq > seq);
        next.map(|span| span.seq - 1)
    });
    debug_assert!(table.locate(log, seq).is_some_and(|(at, _)| at == entry));
    Ok(last.unwrap_or(to).min(to) - seq + 1)
}

fn tail_keys(core: &Core, log: &LogId, seq: Seq, to: Seq, entry: EntryAt, keys: &mut Vec<Key>) -> Result<bool> {
    let count = together(core, log, seq, to, entry)?;
    let view = core.view.read();
    for chunk in view.tail() {
        let mut found = false;
        for index in 0..count {
            let Some(row) = chunk.entry(EntryAt { seq: entry.seq + index, ..entry }) else { break };
            keys.extend(chunk.keys.get(row));
            found = true;
        }
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn block_keys(core: &Core, log: &LogId, seq: Seq, to: Seq, entry: EntryAt, keys: &mut Vec<Key>) -> Result<()> {
    let count = together(core, log, seq, to, entry)?;
    let (block, _) = block_of(core, entry)?;
    let skip = usize::try_from(entry.seq - block.first).unwrap_or(usize::MAX);
    let rows = block.rows.iter().skip(skip).take(usize::try_from(count).unwrap_or(usize::MAX));
    let mut rows = rows.copied().peekable();
    let Some(first) = rows.peek().copied() else { return Ok(()) };
    let (start, skip) = ahead_of(core, block.chunk, first)?;
    let mut scan = Scan::new(&core.segments, start, horizon(core)?.end, SMALL_READ)?;
    let mut row = first - skip;
    while let Some(wanted) = rows.peek().copied() {
        let found = scan.next_row()?.ok_or_else(|| unreadable(core, "a row"))?;
        if row == wanted {
            if found.entry.stream != entry.stream {
                return Err(unreadable(core, "an entry"));
            }
            keys.push(found.key);
            rows.next();
        }
        row += 1;
    }
    Ok(())
}
