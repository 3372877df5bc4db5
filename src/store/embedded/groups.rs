//! Reads a segment group by group, and checks everything.

use std::sync::Arc;

use super::layout::{group_frame, group_header, group_passes, GroupHeader, Location, GROUP_HEADER_LEN};
use super::record::{Frame, Record};
use super::segments::Segment;
use crate::error::Result;

/// Bytes read at a time.
const READ: usize = 1 << 20;

/// A group that passed its checksum.
pub(super) struct Group {
    pub(super) offset: u64,
    pub(super) crc: u32,
    pub(super) header: GroupHeader,
    /// Offset behind it.
    pub(super) end: u64,
    /// Where in `body` the records begin.
    records: usize,
    body: Vec<u8>,
}

/// Identifies the group after which a checkpoint was taken, so that a checkpoint of another log is detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(super) struct Mark {
    pub(super) offset: u64,
    pub(super) crc: u32,
}

impl Group {
    pub(super) fn mark(&self) -> Mark {
        Mark { offset: self.offset, crc: self.crc }
    }

    /// Calls `each` with every record, its offset and its length.
    pub(super) fn records(
        &self,
        segment: &Segment,
        mut each: impl FnMut(Record<'_>, Location, u64) -> Result<()>,
    ) -> Result<()> {
        let mut at = self.records;
        while at < self.body.len() {
            let offset = self.offset + (GROUP_HEADER_LEN + at) as u64;
            let bytes = self.body.get(at..).unwrap_or(&[]);
            let frame = Frame::read(bytes);
            let record = frame.and_then(|frame| Some((frame, frame.decode(bytes, segment.salt, offset)?)));
            let (frame, record) = record.ok_or_else(|| segment.damaged(offset, "no record begins here"))?;
            each(record, Location { segment: segment.number, offset }, frame.len() as u64)?;
            at += frame.len();
        }
        Ok(())
    }
}

/// What is found at an offset.
pub(super) enum Step {
    Group(Group),
    /// No valid group, and why.
    Bad(&'static str),
}

/// Reads groups of one segment.
pub(super) struct Groups {
    segment: Arc<Segment>,
    /// Bytes from `at` on.
    buffer: Vec<u8>,
    base: u64,
    end: u64,
}

impl Groups {
    /// Groups before offset `end`.
    pub(super) fn new(segment: Arc<Segment>, end: u64) -> Self {
        Groups { segment, buffer: Vec::new(), base: 0, end }
    }

    /// `len` bytes at `at`, or what there is of them.
    fn bytes(&mut self, at: u64, len: usize) -> Result<&[u8]> {
        let have = (self.base + self.buffer.len() as u64).saturating_sub(at);
        if at < self.base || have < len as u64 {
            let left = usize::try_from(self.end.saturating_sub(at)).unwrap_or(usize::MAX);
            self.buffer = self.segment.read(at, len.max(READ).min(left))?;
            self.base = at;
        }
        let from = usize::try_from(at - self.base).unwrap_or(usize::MAX);
        let rest = self.buffer.get(from..).unwrap_or(&[]);
        Ok(rest.get(..len).unwrap_or(rest))
    }

    /// The group at `at`.
    pub(super) fn at(&mut self, at: u64) -> Result<Step> {
        let head = self.bytes(at, GROUP_HEADER_LEN)?;
        let Some((len, crc)) = group_frame(head) else { return Ok(Step::Bad("no group begins here")) };
        let end = at + (GROUP_HEADER_LEN + len) as u64;
        if end > self.end {
            return Ok(Step::Bad("the group is longer than the file"));
        }
        let salt = self.segment.salt;
        let bytes = self.bytes(at, GROUP_HEADER_LEN + len)?;
        let body = bytes.get(GROUP_HEADER_LEN..).filter(|body| body.len() == len);
        let Some(body) = body.filter(|body| group_passes(salt, at, body, crc)) else {
            return Ok(Step::Bad("the group's checksum is wrong"));
        };
        let Some((header, records)) = group_header(body, at) else {
            return Ok(Step::Bad("the group's header makes no sense"));
        };
        Ok(Step::Group(Group { offset: at, crc, header, end, records, body: body.to_vec() }))
    }
}
