//! Which chunks may hold a key: a Bloom filter per chunk, 32 of them side by side.
//!
//! A *slab* serves 32 chunks. It has 2^20 rows of 32 bits; bit `c` of a row belongs to chunk `c`. A key has eight rows,
//! and the chunks whose bit is set in all of them may hold it: four to eight reads for a million and a half of keys.
//! With 48 Ki keys per chunk one chunk in 10,000 is a false positive, with 65,536 one in 2,000.
//!
//! Before each slab comes its *gate*, a Bloom filter over all its keys, in which each key uses a single line of 512 bits. So nearly
//! all keys that a slab does not have cost only one read of memory per slab.
//!
//! The keys of one piece share a 64th of the slab, 64 KiB, and of the gate, so that putting a chunk in piece by piece works
//! in the processor's cache.
//!
//! Together they cost 4 bytes per key.

use super::index_keys::{PART, PIECES};

/// Chunks per slab: the bits of a row.
pub(super) const COLUMNS: u32 = 32;

/// Rows of a slab: 16 for each key of a full chunk.
const ROWS: usize = 1 << 20;

/// Rows of one piece. Shifting a 64-bit hash by `ROW_SHIFT` leaves the number of one of them.
const PIECE_ROWS: usize = ROWS / PIECES;
const ROW_SHIFT: u32 = u64::BITS - PIECE_ROWS.ilog2();

/// Parts in which a complete slab is stored.
pub(super) const SLAB_PARTS: usize = ROWS * 4 / PART;

/// Lines of a gate: 11 bits for each key, if the slab's chunks have 48 Ki keys each. One key in 100 is a false positive.
const LINES: usize = 1 << 15;

/// Bits of its line that a key sets.
const GATE_BITS: u32 = 6;

/// Lines of one piece. Shifting a 64-bit hash by `LINE_SHIFT` leaves the number of one of them.
const PIECE_LINES: usize = LINES / PIECES;
const LINE_SHIFT: u32 = u64::BITS - PIECE_LINES.ilog2();

/// Parts in which a complete slab's gate is stored.
pub(super) const GATE_PARTS: usize = LINES * 64 / PART;

/// 512 bits, one line of the processor's cache.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line([u64; 8]);

struct Slab {
    rows: Vec<u32>,
    gate: Vec<Line>,
}

/// The filter of every indexed chunk.
#[derive(Default)]
pub(super) struct Filter {
    slabs: Vec<Slab>,
}

/// Two independent numbers of a key, computed from its piece and hash, which the index stores.
fn mixed(piece: usize, hash: u32) -> (u64, u64) {
    let mixed = (((piece as u64) << 32) | u64::from(hash)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = mixed ^ (mixed >> 29);
    (mixed, mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9))
}

/// A key's line of a gate, and the bits that it sets there.
fn line(piece: usize, hash: u32) -> (usize, Line) {
    let (first, second) = mixed(piece, hash);
    let mut bits = [0_u64; 8];
    // These bits must differ from those that select the key's rows in the slab. Otherwise both would have false positives for the
    // same keys.
    let mut rest = second.rotate_left(17) ^ first.wrapping_mul(0x94D0_49BB_1331_11EB);
    let number = piece * PIECE_LINES + (rest >> LINE_SHIFT) as usize;
    for _ in 0..GATE_BITS {
        if let Some(word) = bits.get_mut((rest & 7) as usize) {
            *word |= 1 << (rest >> 3 & 63);
        }
        rest >>= 8;
    }
    (number, Line(bits))
}

/// Rows of a key in a slab.
fn rows(piece: usize, hash: u32) -> [[usize; 4]; 2] {
    let (mixed, step) = mixed(piece, hash);
    let step = step | 1;
    let row = |probe: u64| piece * PIECE_ROWS + (mixed.wrapping_add(probe.wrapping_mul(step)) >> ROW_SHIFT) as usize;
    [[row(0), row(1), row(2), row(3)], [row(4), row(5), row(6), row(7)]]
}

impl Slab {
    fn new() -> Self {
        Slab { rows: vec![0; ROWS], gate: vec![Line([0; 8]); LINES] }
    }

    fn may_hold(&self, number: usize, bits: &Line) -> bool {
        self.gate.get(number).is_some_and(|line| line.0.iter().zip(bits.0).all(|(line, bits)| line & bits == bits))
    }
}

impl Filter {
    fn slab(&mut self, slab: usize) -> Option<&mut Slab> {
        while self.slabs.len() <= slab {
            self.slabs.push(Slab::new());
        }
        self.slabs.get_mut(slab)
    }

    /// Notes that `chunk` holds this key.
    pub(super) fn insert(&mut self, chunk: u32, piece: usize, hash: u32) {
        let Some(slab) = self.slab((chunk / COLUMNS) as usize) else { return };
        for row in rows(piece, hash).into_iter().flatten() {
            if let Some(row) = slab.rows.get_mut(row) {
                *row |= 1 << (chunk % COLUMNS);
            }
        }
        let (number, bits) = line(piece, hash);
        if let Some(line) = slab.gate.get_mut(number) {
            line.0.iter_mut().zip(bits.0).for_each(|(line, bits)| *line |= bits);
        }
    }

    /// Chunks that may hold this key, newest first.
    pub(super) fn candidates(&self, piece: usize, hash: u32) -> impl Iterator<Item = u32> + '_ {
        let (number, bits) = line(piece, hash);
        let [first, second] = rows(piece, hash);
        // Four reads before a decision, so that they wait for memory at the same time.
        let all = |slab: &Slab, rows: [usize; 4]| {
            rows.iter().fold(u32::MAX, |bits, row| bits & slab.rows.get(*row).unwrap_or(&0))
        };
        let passed = self.slabs.iter().enumerate().rev().filter(move |(_, slab)| slab.may_hold(number, &bits));
        passed.flat_map(move |(number, slab)| {
            let mut bits = all(slab, first);
            if bits != 0 {
                bits &= all(slab, second);
            }
            let first = u32::try_from(number).unwrap_or(u32::MAX).saturating_mul(COLUMNS);
            (0..COLUMNS).rev().filter(move |column| bits >> column & 1 == 1).map(move |column| first + column)
        })
    }

    /// A part of a complete slab as stored.
    pub(super) fn part(&self, slab: usize, part: usize) -> Option<Vec<u8>> {
        let rows = self.slabs.get(slab)?.rows.get(part * (PART / 4)..)?.get(..PART / 4)?;
        Some(rows.iter().flat_map(|row| row.to_le_bytes()).collect())
    }

    /// A part of a complete slab's gate as stored.
    pub(super) fn gate_part(&self, slab: usize, part: usize) -> Option<Vec<u8>> {
        let lines = self.slabs.get(slab)?.gate.get(part * (PART / 64)..)?.get(..PART / 64)?;
        Some(lines.iter().flat_map(|line| line.0).flat_map(u64::to_le_bytes).collect())
    }

    /// Takes in a part of a slab; `false` if it has the wrong size.
    pub(super) fn load(&mut self, slab: usize, part: usize, bytes: &[u8]) -> bool {
        let rows = self.slab(slab).and_then(|slab| slab.rows.get_mut(part * (PART / 4)..)?.get_mut(..PART / 4));
        let Some(rows) = rows.filter(|rows| rows.len() * 4 == bytes.len()) else { return false };
        for (row, bytes) in rows.iter_mut().zip(bytes.as_chunks().0) {
            *row = u32::from_le_bytes(*bytes);
        }
        true
    }

    /// Takes in a part of a slab's gate; `false` if it has the wrong size.
    pub(super) fn load_gate(&mut self, slab: usize, part: usize, bytes: &[u8]) -> bool {
        let lines = self.slab(slab).and_then(|slab| slab.gate.get_mut(part * (PART / 64)..)?.get_mut(..PART / 64));
        let Some(lines) = lines.filter(|lines| lines.len() * 64 == bytes.len()) else { return false };
        let words = lines.iter_mut().flat_map(|line| line.0.iter_mut());
        for (word, bytes) in words.zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::Random;

    fn draw(random: &mut Random) -> (usize, u32) {
        let hash = random.draw();
        ((hash >> 58) as usize, u32::try_from(hash & u64::from(u32::MAX)).unwrap())
    }

    #[test]
    fn every_inserted_key_is_found_and_few_others() {
        let (mut filter, mut random) = (Filter::default(), Random(5));
        let mut keys = Vec::new();
        for chunk in 0..40 {
            for _ in 0..4000 {
                let key = draw(&mut random);
                filter.insert(chunk, key.0, key.1);
                keys.push((chunk, key));
            }
        }
        for (chunk, (piece, hash)) in keys {
            assert!(filter.candidates(piece, hash).any(|other| other == chunk));
        }
        let wrong: usize = (0..10_000)
            .map(|_| {
                let (piece, hash) = draw(&mut random);
                filter.candidates(piece, hash).count()
            })
            .sum();
        assert!(wrong < 10, "{wrong} false positives");
    }

    #[test]
    fn a_full_chunk_has_one_false_positive_in_two_thousand() {
        let (mut filter, mut random) = (Filter::default(), Random(6));
        for _ in 0..65_536 {
            let (piece, hash) = draw(&mut random);
            filter.insert(3, piece, hash);
        }
        let wrong: usize = (0..100_000)
            .map(|_| {
                let (piece, hash) = draw(&mut random);
                filter.candidates(piece, hash).count()
            })
            .sum();
        assert!(wrong < 90, "{wrong} false positives of 100,000");
    }

    #[test]
    fn the_gate_of_a_full_slab_turns_nearly_all_other_keys_away() {
        let (mut filter, mut random) = (Filter::default(), Random(8));
        let mut keys = Vec::new();
        for chunk in 0..COLUMNS {
            for _ in 0..48 << 10 {
                let key = draw(&mut random);
                filter.insert(chunk, key.0, key.1);
                keys.push(key);
            }
        }
        let passes = |(piece, hash)| {
            let (number, bits) = line(piece, hash);
            filter.slabs[0].may_hold(number, &bits)
        };
        assert!(keys.into_iter().all(passes));
        let wrong = (0..100_000).filter(|_| passes(draw(&mut random))).count();
        assert!(wrong < 2500, "{wrong} false positives of 100,000");
    }

    #[test]
    fn a_stored_slab_answers_as_before() {
        let (mut filter, mut again, mut random) = (Filter::default(), Filter::default(), Random(7));
        let keys: Vec<_> = (0..1000).map(|_| draw(&mut random)).collect();
        keys.iter().for_each(|(piece, hash)| filter.insert(9, *piece, *hash));
        for part in 0..SLAB_PARTS {
            assert!(again.load(0, part, &filter.part(0, part).unwrap()));
        }
        for part in 0..GATE_PARTS {
            assert!(again.load_gate(0, part, &filter.gate_part(0, part).unwrap()));
        }
        assert!(keys.iter().all(|(piece, hash)| again.candidates(*piece, *hash).next() == Some(9)));
        assert!(!again.load(0, 0, &[1, 2, 3]) && !again.load_gate(0, 0, &[1, 2, 3]));
    }
}
