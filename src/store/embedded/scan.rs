//! Reads rows one after the other, from any location that is known to begin a record.

use std::sync::Arc;

use bytes::Bytes;

use super::layout::{group_frame, group_header, Location, GROUP, GROUP_HEADER_LEN, HEADER_LEN};
use super::record::{Frame, Linked, Record};
use super::scan_start::{Before, Start};
use super::segments::{Segment, Segments};
use super::table::EntryAt;
use crate::error::Result;
use crate::node::{Key, Links, Signed};
use crate::row::Position;

/// First read of a scan, in bytes, unless more is asked for: some thirty small events.
pub(super) const SMALL_READ: usize = 8 * 1024;

/// Largest read of a scan, apart from single records larger than it.
pub(super) const LARGE_READ: usize = 256 * 1024;

/// Most bytes of a group's header, including the part in its body.
const GROUP_WORDS: usize = GROUP_HEADER_LEN + 25;

/// A row as found on disk.
pub(super) struct Found {
    pub(super) at: Position,
    pub(super) entry: EntryAt,
    pub(super) key: Key,
    pub(super) body: FoundBody,
}

/// The content of a row found on disk.
pub(super) enum FoundBody {
    /// A node. Its links are unknown only in the first row of a scan that began without knowing the row before.
    Node { links: Option<Links>, signed: Option<Signed>, value: Bytes },
    /// The change of the node it repeats.
    Duplicate(u64),
}

/// Goes through the rows in order.
pub(super) struct Scan<'a> {
    segments: &'a Segments,
    /// Where the stored data end. Nothing from there on is read.
    end: Location,
    segment: Arc<Segment>,
    /// Where the data of `segment` end.
    limit: u64,
    at: u64,
    buffer: Bytes,
    /// Offset of the buffer's first byte.
    base: u64,
    ahead: usize,
    /// The last position and the key of its change's node; `None` until the first row of a bare start.
    last: Option<(Position, Key)>,
    bare: u64,
}

impl<'a> Scan<'a> {
    /// Begins at `start`; the first read takes about `ahead` bytes.
    pub(super) fn new(segments: &'a Segments, start: Start, end: Location, ahead: usize) -> Result<Self> {
        let segment = segments.get(start.location.segment)?;
        let (last, bare) = match start.before {
            Before::Known(at, key) => (Some((at, key)), 0),
            Before::At(change) => (None, change),
        };
        let mut scan = Scan {
            segments,
            end,
            segment,
            limit: 0,
            at: start.location.offset,
            buffer: Bytes::new(),
            base: 0,
            ahead: ahead.clamp(SMALL_READ, LARGE_READ),
            last,
            bare,
        };
        scan.limit = scan.limit()?;
        Ok(scan)
    }

    fn limit(&self) -> Result<u64> {
        if self.segment.number < self.end.segment {
            self.segments.sealed_end(&self.segment)
        } else {
            Ok(self.end.offset)
        }
    }

    /// A start for a later scan that continues after the last row.
    pub(super) fn resume(&self) -> Option<Start> {
        let (at, key) = self.last?;
        let location = Location { segment: self.segment.number, offset: self.at };
        Some(Start { location, before: Before::Known(at, key) })
    }

    /// Reads the next `len` bytes, or as many as there are.
    fn ensure(&mut self, len: usize) -> Result<()> {
        let left = self.limit.saturating_sub(self.at);
        let len = len.min(usize::try_from(left).unwrap_or(usize::MAX));
        let have = (self.base + self.buffer.len() as u64).saturating_sub(self.at);
        if self.at >= self.base && have >= len as u64 {
            return Ok(());
        }
        let wanted = len.max(self.ahead).min(usize::try_from(left).unwrap_or(usize::MAX));
        self.ahead = (self.ahead * 4).min(LARGE_READ);
        self.buffer = Bytes::from(self.segment.read(self.at, wanted)?);
        self.base = self.at;
        if self.buffer.len() < wanted {
            let end = self.base + self.buffer.len() as u64;
            return Err(self
                .segment
                .damaged(end, format!("the file ends, but its data should reach byte {}", self.limit)));
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        usize::try_from(self.at - self.base).ok().and_then(|at| self.buffer.get(at..)).unwrap_or(&[])
    }

    /// The next row; `None` at the end of what is stored.
    pub(super) fn next_row(&mut self) -> Result<Option<Found>> {
        loop {
            if self.at >= self.limit {
                if self.segment.number >= self.end.segment {
                    return Ok(None);
                }
                self.segment = self.segments.get(self.segment.number + 1)?;
                self.limit = self.limit()?;
                (self.at, self.base, self.buffer) = (HEADER_LEN, 0, Bytes::new());
                continue;
            }
            self.ensure(GROUP_WORDS)?;
            if self.bytes().first() == Some(&GROUP) {
                self.group()?;
                continue;
            }
            let damaged = |scan: &Self, detail: &str| scan.segment.damaged(scan.at, detail);
            let frame = Frame::read(self.bytes()).ok_or_else(|| damaged(self, "no record begins here"))?;
            self.ensure(frame.len())?;
            if !frame.is_row() {
                self.at += frame.len() as u64;
                continue;
            }
            return self.row(frame).map(Some);
        }
    }

    fn group(&mut self) -> Result<()> {
        let header = group_frame(self.bytes())
            .and_then(|_| group_header(self.bytes().get(GROUP_HEADER_LEN..)?, self.at))
            .filter(|(header, _)| self.last.is_none_or(|(last, _)| last == header.base));
        match header {
            Some((_, len)) => {
                self.at += (GROUP_HEADER_LEN + len) as u64;
                Ok(())
            }
            None => Err(self.segment.damaged(self.at, "no group that continues the log begins here")),
        }
    }

    fn row(&mut self, frame: Frame) -> Result<Found> {
        let record = frame.decode(self.bytes(), self.segment.salt, self.at);
        let unfit = || self.segment.damaged(self.at, "the record's checksum is wrong");
        let found = match record.ok_or_else(unfit)? {
            Record::Node(node) => {
                let at = Position::of(self.last.map_or(self.bare, |(last, _)| last.change + 1));
                let links = match (node.links, self.last) {
                    (Linked::These(links), _) => Some(links),
                    (Linked::Previous, Some((_, key))) => Some(Links::from_slice(&[key])),
                    (Linked::Previous, None) => None,
                };
                let value = self.buffer.slice_ref(node.value);
                let body = FoundBody::Node { links, signed: node.signed, value };
                Found { at, entry: EntryAt { stream: node.stream, seq: node.seq }, key: node.key, body }
            }
            Record::Duplicate { stream, seq, change, key } => {
                let (last, _) = self.last.ok_or_else(unfit)?;
                let at = Position { change: last.change, duplicate: last.duplicate + 1 };
                Found { at, entry: EntryAt { stream, seq }, key, body: FoundBody::Duplicate(change) }
            }
            _ => return Err(unfit()),
        };
        let node_key = match (&found.body, self.last) {
            (FoundBody::Duplicate(_), Some((_, key))) => key,
            _ => found.key,
        };
        self.last = Some((found.at, node_key));
        self.at += frame.len() as u64;
        Ok(found)
    }
}
