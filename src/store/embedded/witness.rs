//! Looks for a later group after bytes that are not a group. If there is one, those bytes were once synced, so they are damaged.
//! Takes linear time.
//!
//! An event of a peer may be full of bytes that look like groups. Checking each of them in full would read the same bytes
//! repeatedly, so their checksums are combined from the checksums of blocks.

use std::sync::Arc;

use super::layout::{group_frame, group_header, GROUP, GROUP_HEADER_LEN};
use super::segments::Segment;
use crate::error::Result;
use crate::row::Position;

/// Bytes read at a time.
const READ: usize = 1 << 20;

/// Bytes between two stored checksums. A candidate costs at most two reads of this many bytes.
const BLOCK: usize = 512;

/// Most bytes of a group's header: marker, length, checksum, three varints.
const WORDS: usize = GROUP_HEADER_LEN + 25;

/// The bytes of a segment from an offset on, holes left out.
pub(super) struct Behind {
    segment: Arc<Segment>,
    /// Where the search ends.
    end: u64,
    from: u64,
    /// Checksums of all bytes from `from` to each block's beginning; made when first needed.
    sums: Vec<u32>,
}

impl Behind {
    /// Starts a search. It ends at offset 2^32 at the latest, because offsets within a segment are below that.
    pub(super) fn new(segment: Arc<Segment>, from: u64, end: u64) -> Self {
        Behind { segment, end: end.min(u64::from(u32::MAX)), from, sums: Vec::new() }
    }

    /// Where the next bytes that are not a hole begin.
    fn data_from(&self, at: u64) -> Result<Option<u64>> {
        if at >= self.end {
            return Ok(None);
        }
        let found = self.segment.file.data_from(at).map_err(|error| self.segment.failed("measure", error))?;
        Ok(found.map(|found| found.max(at)).filter(|found| *found < self.end))
    }

    fn read(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        let left = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
        self.segment.read(at, len.min(left))
    }

    /// The offset after the last byte that is not zero; `from` if there is none.
    pub(super) fn last_nonzero(&self) -> Result<u64> {
        let (mut at, mut last) = (self.from, self.from);
        while let Some(data) = self.data_from(at)? {
            let bytes = self.read(data, READ)?;
            if let Some(found) = bytes.iter().rposition(|byte| *byte != 0) {
                last = data + found as u64 + 1;
            }
            at = data + bytes.len().max(1) as u64;
        }
        Ok(last)
    }

    /// Looks for a group that was written after the byte at `from` had been synced, and returns its offset. If there is one, the
    /// bytes at `from` are damaged, not merely unacknowledged. `base` is the last position before.
    pub(super) fn witness(&mut self, base: Position) -> Result<Option<u64>> {
        let mut at = self.from + 1;
        while let Some(data) = self.data_from(at)? {
            let bytes = self.read(data, READ + WORDS)?;
            let own = bytes.len().min(READ);
            let marked = bytes.iter().take(own).enumerate().filter(|(_, byte)| **byte == GROUP);
            for (found, _) in marked {
                let offset = data + found as u64;
                let Some((len, crc)) = self.plausible(bytes.get(found..).unwrap_or(&[]), offset, base) else {
                    continue;
                };
                if self.sum_of_group(offset, len)? == crc {
                    return Ok(Some(offset));
                }
            }
            at = data + own.max(1) as u64;
        }
        Ok(None)
    }

    /// Length and checksum of the group whose header this may be. The header rules out nearly all bytes that only look like
    /// a group.
    fn plausible(&self, words: &[u8], offset: u64, base: Position) -> Option<(usize, u32)> {
        let (len, crc) = group_frame(words)?;
        let (header, _) = group_header(words.get(GROUP_HEADER_LEN..)?, offset)?;
        let fits = offset + (GROUP_HEADER_LEN + len) as u64 <= self.end;
        (fits && header.synced > self.from && header.base >= base).then_some((len, crc))
    }

    /// The checksum that a group of this length at `offset` must have.
    fn sum_of_group(&mut self, offset: u64, len: usize) -> Result<u32> {
        if self.sums.is_empty() {
            self.sum_blocks()?;
        }
        let body = offset + GROUP_HEADER_LEN as u64;
        let (before, behind) = (self.sum_to(body)?, self.sum_to(body + len as u64)?);
        // CRCs are linear, so the checksum of the body follows from those of everything before it and of everything up to
        // its end.
        let seed = self.segment.salt.group_seed(offset, len);
        Ok(crc32c::crc32c_combine(seed ^ before, behind, len))
    }

    /// Checksum of everything from `from` to `to`.
    fn sum_to(&self, to: u64) -> Result<u32> {
        let block = usize::try_from((to - self.from) / BLOCK as u64).unwrap_or(usize::MAX);
        let begin = self.from + (block * BLOCK) as u64;
        let rest = self.read(begin, usize::try_from(to - begin).unwrap_or(0))?;
        Ok(crc32c::crc32c_append(self.sums.get(block).copied().unwrap_or(0), &rest))
    }

    fn sum_blocks(&mut self) -> Result<()> {
        let (mut sum, mut at) = (0, self.from);
        self.sums.push(sum);
        while at < self.end {
            let bytes = self.read(at, READ)?;
            if bytes.is_empty() {
                break;
            }
            for block in bytes.chunks(BLOCK) {
                sum = crc32c::crc32c_append(sum, block);
                self.sums.push(sum);
            }
            at += bytes.len() as u64;
        }
        Ok(())
    }
}
