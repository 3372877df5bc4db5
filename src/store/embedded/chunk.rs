//! A chunk: a run of rows with everything needed to find them, in memory while it grows, then written to the index.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::coding::put_varint;
use super::index_keys::{chunk_key, hash_entry, hash_of, log_entry, seal, Pair, PIECES};
use super::layout::Location;
use super::recorded_state::Added;
use super::scan_start::{Before, Start};
use super::table::EntryAt;
use crate::node::{Digest, Key, Seq};
use crate::row::Position;
use crate::store::slots::Slots;
use crate::store::terms::{Term, TermRows};

/// Entries of one log between two stored digests: recomputing 1024 takes about 0.1 ms.
pub(super) const DIGEST_STEP: usize = 1024;

/// The index stores the location of every row whose number is a multiple of this. So up to this many rows are read to find one:
/// some 4 KB of small events.
pub(super) const SPARSE_STEP: usize = 32;

/// One row of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkRow {
    pub(super) at: Position,
    pub(super) location: Location,
    pub(super) entry: EntryAt,
}

/// Entries of one stream in a chunk.
#[derive(Debug, Default)]
pub(super) struct StreamRows {
    pub(super) first: Seq,
    /// Row of each entry.
    pub(super) rows: Vec<u32>,
    /// Digest before the entries 0, `DIGEST_STEP`, 2 `DIGEST_STEP`…
    pub(super) digests: Vec<Digest>,
}

/// A trivial hasher for stream numbers. The store assigns them one after the other, so nobody can make them collide.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamHasher(u64);

impl Hasher for StreamHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}

/// Hashes and rows of a piece.
pub(super) type Piece = Vec<(u32, u16)>;

/// A run of the store's rows, in order.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) number: u32,
    /// The last position before the chunk, and the key of the node with its change.
    pub(super) before: (Position, Key),
    pub(super) rows: Vec<ChunkRow>,
    pub(super) keys: Vec<Key>,
    /// Rows of nodes by key, and how many of all rows are in there.
    slots: Slots,
    filed: usize,
    pub(super) streams: HashMap<u32, StreamRows, BuildHasherDefault<StreamHasher>>,
    /// Rows of nodes by term.
    pub(super) terms: TermRows,
    /// Bytes of records covered.
    pub(super) bytes: u64,
}

impl Chunk {
    pub(super) fn new(number: u32, before: (Position, Key)) -> Self {
        Chunk {
            number,
            before,
            rows: Vec::new(),
            keys: Vec::new(),
            slots: Slots::default(),
            filed: 0,
            streams: HashMap::default(),
            terms: TermRows::default(),
            bytes: 0,
        }
    }

    /// Empties the chunk and keeps its memory.
    pub(super) fn clear(&mut self) {
        (self.filed, self.bytes) = (0, 0);
        self.rows.clear();
        self.keys.clear();
        self.slots.clear();
        self.streams.clear();
        self.terms.clear();
    }

    /// Makes room for this many rows at once.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.rows.reserve_exact(rows);
        self.keys.reserve_exact(rows);
    }

    /// Adds a row, with the terms of a node; [`Chunk::file`] follows.
    pub(super) fn push(&mut self, added: &Added, location: Location, bytes: u64, terms: &[Term]) {
        let row = self.rows.len();
        self.terms.push(u32::try_from(row).unwrap_or(u32::MAX), terms);
        self.rows.push(ChunkRow { at: added.at, location, entry: added.entry });
        self.keys.push(added.key);
        self.bytes += bytes;
        let stream = self.streams.entry(added.entry.stream).or_default();
        if stream.rows.is_empty() {
            stream.first = added.entry.seq;
        }
        if stream.rows.len().is_multiple_of(DIGEST_STEP) {
            stream.digests.push(added.before);
        }
        stream.rows.push(u32::try_from(row).unwrap_or(u32::MAX));
    }

    /// Lets [`Chunk::find`] find all rows added so far.
    pub(super) fn file(&mut self) {
        let rows = self.rows.iter().zip(&self.keys).enumerate().skip(self.filed);
        let nodes: Vec<_> =
            rows.filter(|(_, (row, _))| row.at.duplicate == 0).map(|(row, (_, key))| (row, key)).collect();
        self.slots.insert(nodes.into_iter());
        self.filed = self.rows.len();
    }

    /// Row of the node with this key.
    pub(super) fn find(&self, key: &Key) -> Option<usize> {
        self.slots.find(key, |row| self.keys.get(row).copied())
    }

    /// Number of the first row after `after`.
    pub(super) fn after(&self, after: Position) -> usize {
        // The row is here if no row before it is a duplicate.
        let behind = usize::try_from(after.change.saturating_sub(self.before.0.change)).unwrap_or(usize::MAX);
        let guess = behind.min(self.rows.len());
        let at = |row: usize| self.rows.get(row).map(|row| row.at);
        let is_behind = at(guess).is_none_or(|at| at > after);
        if is_behind && guess.checked_sub(1).and_then(at).is_none_or(|at| at <= after) {
            return guess;
        }
        self.rows.partition_point(|row| row.at <= after)
    }

    /// How to read this row.
    pub(super) fn start(&self, row: usize) -> Option<Start> {
        let location = self.rows.get(row)?.location;
        let Some(before) = row.checked_sub(1) else {
            return Some(Start { location, before: Before::Known(self.before.0, self.before.1) });
        };
        let at = self.rows.get(before)?.at;
        // A duplicate is preceded by the node of its change, or that node is before the chunk.
        let node = self.rows.partition_point(|row| row.at < Position::of(at.change));
        let key = match self.rows.get(node) {
            Some(found) if found.at == Position::of(at.change) => *self.keys.get(node)?,
            _ => self.before.1,
        };
        Some(Start { location, before: Before::Known(at, key) })
    }

    /// The last position of the chunk, and the key of its change's node.
    pub(super) fn end(&self) -> (Position, Key) {
        let Some(last) = self.rows.last() else { return self.before };
        let node = self.rows.partition_point(|row| row.at < Position::of(last.at.change));
        match (self.rows.get(node), self.keys.get(node)) {
            (Some(row), Some(key)) if row.at == Position::of(last.at.change) => (last.at, *key),
            _ => (last.at, self.before.1),
        }
    }

    /// Row of a stream's entry.
    pub(super) fn entry(&self, entry: EntryAt) -> Option<usize> {
        let rows = self.streams.get(&entry.stream)?;
        let index = usize::try_from(entry.seq.checked_sub(rows.first)?).ok()?;
        Some(*rows.rows.get(index)? as usize)
    }

    /// Hashes of the nodes' keys and their rows, by piece, sorted.
    pub(super) fn pieces(&self, store: &[u8; 16]) -> Vec<Piece> {
        let mut pieces = vec![Piece::new(); PIECES];
        for (number, (row, key)) in self.rows.iter().zip(&self.keys).enumerate() {
            let (piece, hash) = hash_of(store, key);
            if let (0, Some(piece)) = (row.at.duplicate, pieces.get_mut(piece)) {
                piece.push((hash, u16::try_from(number).unwrap_or(u16::MAX)));
            }
        }
        pieces.iter_mut().for_each(|piece| piece.sort_unstable());
        pieces
    }

    /// The index entries of this chunk, as keys and values.
    pub(super) fn encode(&self, pieces: &[Piece]) -> Vec<Pair> {
        let mut out = vec![self.rows_entry()];
        for (number, piece) in pieces.iter().enumerate().filter(|(_, piece)| !piece.is_empty()) {
            out.push(hash_entry(self.number, number, piece));
        }
        let mut streams: Vec<_> = self.streams.iter().collect();
        streams.sort_unstable_by_key(|(stream, _)| **stream);
        for (stream, rows) in streams {
            for (index, (part, digest)) in rows.rows.chunks(DIGEST_STEP).zip(&rows.digests).enumerate() {
                let first = rows.first + (index * DIGEST_STEP) as u64;
                out.push(log_entry(EntryAt { stream: *stream, seq: first }, self.number, *digest, part));
            }
        }
        out
    }

    /// Where the rows are: the chunk's start, and every 32nd row.
    fn rows_entry(&self) -> Pair {
        let mut out = Vec::new();
        put_varint(&mut out, self.before.0.change);
        put_varint(&mut out, u64::from(self.before.0.duplicate));
        out.extend_from_slice(&self.before.1 .0);
        let first = self.rows.first().map_or(Location::default(), |row| row.location);
        put_varint(&mut out, u64::from(first.segment));
        put_varint(&mut out, first.offset);
        for (number, row) in self.rows.iter().enumerate().step_by(SPARSE_STEP).skip(1) {
            // Only a node has the key that the next row's start needs.
            if row.at.duplicate == 0 {
                let behind = row.at.change - self.before.0.change;
                for field in [number as u64, u64::from(row.location.segment), row.location.offset, behind] {
                    // All four fit: a chunk has at most 65,536 rows, and segments are smaller than 2^31 bytes.
                    out.extend_from_slice(&u32::try_from(field).unwrap_or(u32::MAX).to_le_bytes());
                }
            }
        }
        seal(chunk_key(self.number), out)
    }
}
