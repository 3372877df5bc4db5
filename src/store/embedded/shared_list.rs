//! A list that readers hold while the writer adds to it.

use std::sync::Arc;

/// Items of a block. Changing an item while a reader holds the list copies one block and the list of blocks: for a million streams
/// some 50 KB, not 100 MB.
const BLOCK: usize = 256;

/// Items by number, in blocks that copies share.
#[derive(Clone, Debug)]
pub(super) struct SharedList<T> {
    blocks: Arc<Vec<Arc<Vec<T>>>>,
}

impl<T> Default for SharedList<T> {
    fn default() -> Self {
        SharedList { blocks: Arc::default() }
    }
}

fn block_of(number: u32) -> Option<(usize, usize)> {
    let number = usize::try_from(number).ok()?;
    Some((number / BLOCK, number % BLOCK))
}

impl<T: Clone> SharedList<T> {
    /// How many there are: the number of the next.
    pub(super) fn len(&self) -> u32 {
        let last = self.blocks.last().map_or(0, |block| block.len());
        u32::try_from(self.blocks.len().saturating_sub(1) * BLOCK + last).unwrap_or(u32::MAX)
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        let (block, index) = block_of(number)?;
        self.blocks.get(block)?.get(index)
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        let (block, index) = block_of(number)?;
        Arc::make_mut(Arc::make_mut(&mut self.blocks).get_mut(block)?).get_mut(index)
    }

    pub(super) fn push(&mut self, item: T) {
        let blocks = Arc::make_mut(&mut self.blocks);
        match blocks.last_mut().filter(|block| block.len() < BLOCK) {
            Some(block) => Arc::make_mut(block).push(item),
            None => blocks.push(Arc::new(vec![item])),
        }
    }

    /// In order of number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// How many blocks are not shared with `other`.
    #[cfg(test)]
    pub(super) fn not_shared(&self, other: &Self) -> usize {
        let shared = self.blocks.iter().zip(other.blocks.iter()).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        self.blocks.len() - shared
    }
}
