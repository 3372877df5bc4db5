//! Which chunks may hold a key: a Bloom filter per chunk, 32 of them side by side.
//!
//! A *slab* serves 32 chunks. It has 2^20 rows of 32 bits; bit `c` of a row belongs to chunk `c`. A key has eight rows,
//! and the chunks whose bit is set in all of them may hold it: four to eight reads for a million and a half of keys.
//! With 48 Ki keys per chunk one chunk in 10,000 is named in vain, with 65,536 one in 2,000. The cost is under 3 bytes
//! per key.

use super::index_keys::PART;

/// Chunks per slab: the bits of a row.
pub(super) const COLUMNS: u32 = 32;

/// Rows of a slab: 16 for each key of a full chunk.
const ROWS: usize = 1 << 20;

/// Leaves the twenty bits that number a row.
const ROW_SHIFT: u32 = 64 - 20;

/// Parts in which a complete slab is stored.
pub(super) const SLAB_PARTS: usize = ROWS * 4 / PART;

/// The filter of every indexed chunk.
#[derive(Default)]
pub(super) struct Filter {
    slabs: Vec<Vec<u32>>,
}

/// Rows of a key, from its piece and hash: what the index can rebuild them from.
fn rows(piece: usize, hash: u32) -> [[usize; 4]; 2] {
    let mixed = (((piece as u64) << 32) | u64::from(hash)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = mixed ^ (mixed >> 29);
    let step = mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) | 1;
    let row = |probe: u64| (mixed.wrapping_add(probe.wrapping_mul(step)) >> ROW_SHIFT) as usize;
    [[row(0), row(1), row(2), row(3)], [row(4), row(5), row(6), row(7)]]
}

impl Filter {
    /// Says that `chunk` holds this key.
    pub(super) fn insert(&mut self, chunk: u32, piece: usize, hash: u32) {
        let slab = (chunk / COLUMNS) as usize;
        while self.slabs.len() <= slab {
            self.slabs.push(vec![0; ROWS]);
        }
        let Some(slab) = self.slabs.get_mut(slab) else { return };
        for row in rows(piece, hash).into_iter().flatten() {
            if let Some(row) = slab.get_mut(row) {
                *row |= 1 << (chunk % COLUMNS);
            }
        }
    }

    /// Chunks that may hold this key, newest first.
    pub(super) fn candidates(&self, piece: usize, hash: u32) -> impl Iterator<Item = u32> + '_ {
        let [first, second] = rows(piece, hash);
        // Four reads at once, then a decision: the reads wait for memory together.
        let all = |slab: &[u32], rows: [usize; 4]| {
            rows.iter().fold(u32::MAX, |bits, row| bits & slab.get(*row).unwrap_or(&0))
        };
        self.slabs.iter().enumerate().rev().flat_map(move |(number, slab)| {
            let mut bits = all(slab, first);
            if bits != 0 {
                bits &= all(slab, second);
            }
            let first = u32::try_from(number).unwrap_or(u32::MAX).saturating_mul(COLUMNS);
            (0..COLUMNS).rev().filter(move |column| bits >> column & 1 == 1).map(move |column| first + column)
        })
    }

    /// A complete slab as stored.
    pub(super) fn part(&self, slab: usize, part: usize) -> Option<Vec<u8>> {
        let rows = self.slabs.get(slab)?.get(part * (PART / 4)..)?.get(..PART / 4)?;
        Some(rows.iter().flat_map(|row| row.to_le_bytes()).collect())
    }

    /// Takes in a part of a slab; `false` if it has the wrong size.
    pub(super) fn load(&mut self, slab: usize, part: usize, bytes: &[u8]) -> bool {
        while self.slabs.len() <= slab {
            self.slabs.push(vec![0; ROWS]);
        }
        let rows = self.slabs.get_mut(slab).and_then(|slab| slab.get_mut(part * (PART / 4)..)?.get_mut(..PART / 4));
        let Some(rows) = rows.filter(|rows| rows.len() * 4 == bytes.len()) else { return false };
        for (row, bytes) in rows.iter_mut().zip(bytes.chunks_exact(4)) {
            *row = bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
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
        let vain: usize = (0..10_000)
            .map(|_| {
                let (piece, hash) = draw(&mut random);
                filter.candidates(piece, hash).count()
            })
            .sum();
        assert!(vain < 10, "{vain} chunks named in vain");
    }

    #[test]
    fn a_full_chunk_is_named_in_vain_once_in_two_thousand() {
        let (mut filter, mut random) = (Filter::default(), Random(6));
        for _ in 0..65_536 {
            let (piece, hash) = draw(&mut random);
            filter.insert(3, piece, hash);
        }
        let vain: usize = (0..100_000)
            .map(|_| {
                let (piece, hash) = draw(&mut random);
                filter.candidates(piece, hash).count()
            })
            .sum();
        assert!(vain < 90, "{vain} of 100,000 named in vain");
    }

    #[test]
    fn a_stored_slab_answers_as_before() {
        let (mut filter, mut again, mut random) = (Filter::default(), Filter::default(), Random(7));
        let keys: Vec<_> = (0..1000).map(|_| draw(&mut random)).collect();
        keys.iter().for_each(|(piece, hash)| filter.insert(9, *piece, *hash));
        for part in 0..SLAB_PARTS {
            assert!(again.load(0, part, &filter.part(0, part).unwrap()));
        }
        assert!(keys.iter().all(|(piece, hash)| again.candidates(*piece, *hash).next() == Some(9)));
        assert!(!again.load(0, 0, &[1, 2, 3]));
    }
}
