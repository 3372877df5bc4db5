//! Keys and values of the index, both ways. Every value ends with a checksum over its key and itself.

use super::coding::{put_varint, Input};
use super::layout::Location;
use super::scan_start::{Before, Start};
use super::table::EntryAt;
use crate::node::{Digest, Key};
use crate::row::Position;

/// Pieces into which a chunk's hashes are divided, by their first bits. One is about 6 KB.
pub(super) const PIECES: usize = 64;

/// Most rows of a chunk: a row's number in its chunk takes two bytes in the index.
pub(super) const MAX_ROWS: usize = 1 << 16;

/// Bytes of the state or the filter in one value: few enough that sled keeps the value in its log.
pub(super) const PART: usize = 32 * 1024;

/// Bytes that store one row's location: row, segment, offset, and change relative to the chunk's first.
const NAMED: usize = 16;

pub(super) use super::sled_db::Pair;

/// The end of the log when the store was last closed.
pub(super) const END: &[u8] = b"e";

/// The piece of a chunk's hashes to which a key belongs, and its hash within the piece. Both depend on the store's id, which
/// never leaves the store, so that nobody can send many keys of one piece or one hash.
pub(super) fn hash_of(store: &[u8; 16], key: &Key) -> (usize, u32) {
    let half = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    // The upper bits of a product depend on all bits of both factors.
    let mixed = half(&key.0).wrapping_mul(half(store) | 1);
    let hash = mixed << PIECES.ilog2() >> 32;
    let piece = mixed >> (u64::BITS - PIECES.ilog2());
    (usize::try_from(piece).unwrap_or(0), u32::try_from(hash).unwrap_or(0))
}

/// Appends the checksum.
pub(super) fn seal(key: Vec<u8>, mut value: Vec<u8>) -> Pair {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&key), &value);
    value.extend_from_slice(&crc.to_le_bytes());
    (key, value)
}

/// Removes the checksum; `None` if it is wrong.
pub(super) fn unseal<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (value, crc) = value.split_at_checked(value.len().checked_sub(4)?)?;
    (Input(crc).u32()? == crc32c::crc32c_append(crc32c::crc32c(key), value)).then_some(value)
}

/// The key of a part of a numbered object.
pub(super) fn numbered(kind: u8, number: u32, part: u32) -> Vec<u8> {
    let mut key = vec![kind];
    key.extend_from_slice(&number.to_be_bytes());
    key.extend_from_slice(&part.to_be_bytes());
    key
}

pub(super) fn chunk_key(number: u32) -> Vec<u8> {
    numbered(b'c', number, 0)
}

pub(super) fn hash_key(number: u32, piece: usize) -> Vec<u8> {
    numbered(b'h', number, u32::try_from(piece).unwrap_or(u32::MAX))
}

/// The key of the block that begins with this entry. The later a block begins, the earlier its key sorts: so the block that holds
/// an entry is the first one from the entry's own key on, and the index never has to be read backwards. (Doing that would link a
/// constant of one MiB, with which sled's iterators go back, into the addon.)
pub(super) fn log_key(entry: EntryAt) -> Vec<u8> {
    let mut key = vec![b'l'];
    key.extend_from_slice(&entry.stream.to_be_bytes());
    key.extend_from_slice(&(!entry.seq).to_be_bytes());
    key
}

/// Seq of the first entry of the block with this key.
pub(super) fn first_seq(key: &[u8]) -> Option<u64> {
    key.get(5..)?.first_chunk().map(|seq| !u64::from_be_bytes(*seq))
}

/// Where the rows of a chunk are, read from its value.
pub(super) struct RowLocations<'a> {
    before: (Position, Key),
    first: Location,
    named: &'a [u8],
}

/// A row whose location is stored.
#[derive(Clone, Copy)]
pub(super) struct Named {
    pub(super) row: usize,
    pub(super) location: Location,
    /// Its change minus the last change before the chunk.
    behind: u32,
}

impl<'a> RowLocations<'a> {
    pub(super) fn read(value: &'a [u8]) -> Option<Self> {
        let mut input = Input(value);
        let at = Position { change: input.varint()?, duplicate: input.varint32()? };
        let key = Key(input.array()?);
        let first = Location { segment: input.varint32()?, offset: input.varint()? };
        Some(RowLocations { before: (at, key), first, named: input.0 })
    }

    /// The last row with a stored location for which `before` holds: its number, and a start there. `before` must hold for a prefix
    /// of these rows. If it holds for none, the chunk's own start.
    pub(super) fn last(&self, before: impl Fn(usize, Position) -> bool) -> (usize, Start) {
        let (mut low, mut high) = (0, self.named.len() / NAMED);
        let mut best = None;
        while low < high {
            let middle = low + (high - low) / 2;
            match self.named(middle) {
                Some(named) if before(named.row, self.position(&named)) => {
                    best = Some(named);
                    low = middle + 1;
                }
                _ => high = middle,
            }
        }
        match best {
            Some(named) => {
                let change = self.position(&named).change;
                (named.row, Start { location: named.location, before: Before::At(change) })
            }
            None => (0, Start { location: self.first, before: Before::Known(self.before.0, self.before.1) }),
        }
    }

    /// The first row with a stored location for which `beyond` holds. `beyond` must hold for a suffix of these rows.
    pub(super) fn first_row(&self, beyond: impl Fn(Position) -> bool) -> Option<usize> {
        let (mut low, mut high) = (0, self.named.len() / NAMED);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.named(middle) {
                Some(named) if beyond(self.position(&named)) => high = middle,
                _ => low = middle + 1,
            }
        }
        self.named(low).map(|named| named.row)
    }

    fn position(&self, named: &Named) -> Position {
        Position::of(self.before.0.change + u64::from(named.behind))
    }

    fn named(&self, index: usize) -> Option<Named> {
        let mut input = Input(self.named.get(index * NAMED..)?);
        let row = input.u32()? as usize;
        let location = Location { segment: input.u32()?, offset: u64::from(input.u32()?) };
        Some(Named { row, location, behind: input.u32()? })
    }
}

/// Sorted hashes of a piece, then their rows.
pub(super) fn hash_entry(number: u32, piece: usize, hashes: &[(u32, u16)]) -> Pair {
    let mut out = Vec::with_capacity(hashes.len() * 6 + 4);
    hashes.iter().for_each(|(hash, _)| out.extend_from_slice(&hash.to_le_bytes()));
    hashes.iter().for_each(|(_, row)| out.extend_from_slice(&row.to_le_bytes()));
    seal(hash_key(number, piece), out)
}

/// Rows of a piece whose hash is `hash`: nearly always one or none.
pub(super) fn rows_of_hash(piece: &[u8], hash: u32) -> impl Iterator<Item = usize> + '_ {
    let count = piece.len() / 6;
    let at = move |index: usize| Input(piece.get(index * 4..).unwrap_or(&[])).u32();
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if at(middle).is_some_and(|other| other < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let row = move |index: usize| Input(piece.get(count * 4 + index * 2..)?).array().map(u16::from_le_bytes);
    (low..count).take_while(move |index| at(*index) == Some(hash)).filter_map(move |index| row(index).map(usize::from))
}

/// All hashes of a piece.
pub(super) fn hashes(piece: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let count = piece.len() / 6;
    piece.chunks_exact(4).take(count).filter_map(|bytes| Input(bytes).u32())
}

/// Rows of up to `DIGEST_STEP` entries of a stream, and the digest before them.
pub(super) fn log_entry(first: EntryAt, chunk: u32, digest: Digest, rows: &[u32]) -> Pair {
    let mut out = Vec::new();
    put_varint(&mut out, u64::from(chunk));
    out.extend_from_slice(&digest.0);
    // Runs of neighbouring rows: gap, length.
    let mut next = 0;
    let mut rows = rows.iter().copied().peekable();
    while let Some(first) = rows.next() {
        let mut last = first;
        while rows.peek() == Some(&(last + 1)) {
            last += 1;
            rows.next();
        }
        put_varint(&mut out, u64::from(first - next));
        put_varint(&mut out, u64::from(last - first) + 1);
        next = last + 1;
    }
    seal(log_key(first), out)
}

/// What `log_entry` wrote.
pub(super) struct LogBlock {
    /// Seq, in the stream, of the first entry.
    pub(super) first: u64,
    pub(super) chunk: u32,
    /// The log's digest before the first entry.
    pub(super) digest: Digest,
    pub(super) rows: Vec<usize>,
}

impl LogBlock {
    pub(super) fn read(first: u64, value: &[u8]) -> Option<Self> {
        let mut input = Input(value);
        let (chunk, digest) = (input.varint32()?, Digest(input.array()?));
        let mut rows = Vec::new();
        let mut next = 0_usize;
        while !input.is_empty() {
            let start = next.checked_add(usize::try_from(input.varint()?).ok()?)?;
            let len = usize::try_from(input.varint()?).ok().filter(|len| *len <= MAX_ROWS)?;
            next = start.checked_add(len)?;
            rows.extend(start..next);
        }
        Some(LogBlock { first, chunk, digest, rows })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn nobody_who_does_not_know_the_store_can_choose_the_piece_of_a_key() {
        let store = |seed: u64| {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
            id
        };
        // Chosen so that all are in one piece in a store whose id is 0.
        let chosen = (0..200_u64).map(|number| {
            let mut key = Key::default();
            key.0[..8].copy_from_slice(&(42 << 58 | number.wrapping_mul(0xD1B5_4A32_D192_ED03) >> 6).to_le_bytes());
            key
        });
        let chosen: Vec<Key> = chosen.collect();
        let pieces = |id: &[u8; 16]| chosen.iter().map(|key| hash_of(id, key).0).collect::<HashSet<_>>().len();
        assert_eq!(pieces(&[0; 16]), 1);
        assert!((1..20).all(|seed| pieces(&store(seed)) > PIECES / 2));
    }
}
