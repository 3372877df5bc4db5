//! The bytes of segment files, except records (`record`): headers of segments and groups. docs/design/store.md has the tables.

use super::coding::{put_varint, Input};
use crate::row::Position;

/// Version of this layout. In format 1 a segment began with the whole state. A store with an unknown version is refused.
pub(super) const FORMAT: u32 = 2;

/// The oldest version that is read.
const OLDEST: u32 = 1;

/// Bytes before the first group of a segment.
pub(super) const HEADER_LEN: u64 = 64;

const MAGIC: [u8; 8] = *b"HYPERSEG";

/// First byte of a group. It differs from the tags of records and from zero, which is unwritten space.
pub(super) const GROUP: u8 = 0xC7;

/// Bytes before a group's body: marker, length, checksum.
pub(super) const GROUP_HEADER_LEN: usize = 9;

/// Largest group body, in bytes: offsets within a segment stay below 2^32.
pub(super) const MAX_GROUP_LEN: usize = 1 << 30;

/// A location in the log: a segment, and a byte offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Location {
    pub(super) segment: u32,
    pub(super) offset: u64,
}

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Number of the segment, from 1.
    pub(super) number: u32,
    /// Random id of the store; part of every checksum.
    pub(super) store: [u8; 16],
    /// Position of the last row before this segment.
    pub(super) base: Position,
    /// Where the previous segment's data end; 0 in the first.
    pub(super) previous_end: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.store);
        out.extend_from_slice(&self.base.change.to_le_bytes());
        out.extend_from_slice(&self.base.duplicate.to_le_bytes());
        out.extend_from_slice(&self.previous_end.to_le_bytes());
        out.resize(60, 0);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Decodes a header. The error says why it cannot be used.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut input = Input(bytes);
        let short = || "the header is cut off".to_owned();
        if input.array::<8>().ok_or_else(short)? != MAGIC {
            return Err("the header does not begin with HYPERSEG".to_owned());
        }
        let format = input.u32().ok_or_else(short)?;
        let (body, crc) = bytes.split_at_checked(60).ok_or_else(short)?;
        if Input(crc).u32() != Some(crc32c::crc32c(body)) {
            return Err("the header's checksum is wrong".to_owned());
        }
        if !(OLDEST..=FORMAT).contains(&format) {
            return Err(format!(
                "it has format {format}, this version of hyperemitter reads formats {OLDEST} to {FORMAT}"
            ));
        }
        let mut fields = || {
            Some(SegmentHeader {
                number: input.u32()?,
                store: input.array()?,
                base: Position { change: input.u64()?, duplicate: input.u32()? },
                previous_end: input.u64()?,
            })
        };
        fields().ok_or_else(short)
    }
}

/// The seed of every checksum in a segment. It depends on store and segment, so that bytes pass only where they were
/// written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Salt(u32);

impl Salt {
    pub(super) fn new(store: &[u8; 16], segment: u32) -> Self {
        Salt(crc32c::crc32c_append(crc32c::crc32c(store), &segment.to_le_bytes()))
    }

    pub(super) fn crc(self, offset: u64, bytes: &[u8]) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c_append(self.0, &offset.to_le_bytes()), bytes)
    }
}

/// A group's header: how far the segment was synced when the group was written, and the position that it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct GroupHeader {
    /// Everything before this offset was on the medium.
    pub(super) synced: u64,
    /// The last position before the group.
    pub(super) base: Position,
}

/// Begins a group at `offset`; records follow, then [`end_group`].
pub(super) fn begin_group(out: &mut Vec<u8>, offset: u64, header: GroupHeader) {
    out.clear();
    out.push(GROUP);
    out.extend_from_slice(&[0; GROUP_HEADER_LEN - 1]);
    put_varint(out, offset - header.synced);
    put_varint(out, header.base.change);
    put_varint(out, u64::from(header.base.duplicate));
}

/// Fills in length and checksum of the group that takes up all of `out`.
pub(super) fn end_group(out: &mut [u8], salt: Salt, offset: u64) {
    let len = u32::try_from(out.len() - GROUP_HEADER_LEN).unwrap_or(u32::MAX);
    let Some((head, body)) = out.split_at_mut_checked(GROUP_HEADER_LEN) else { return };
    let crc = group_crc(salt, offset, len, body);
    if let [_, rest @ ..] = head {
        let (at_len, at_crc) = rest.split_at_mut(4);
        at_len.copy_from_slice(&len.to_le_bytes());
        at_crc.copy_from_slice(&crc.to_le_bytes());
    }
}

fn group_crc(salt: Salt, offset: u64, len: u32, body: &[u8]) -> u32 {
    crc32c::crc32c_append(salt.crc(offset, &len.to_le_bytes()), body)
}

impl Salt {
    /// The checksum of a group before its body.
    pub(super) fn group_seed(self, offset: u64, len: usize) -> u32 {
        self.crc(offset, &u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes())
    }
}

/// Length and checksum of the body of the group at the beginning of `bytes`.
pub(super) fn group_frame(bytes: &[u8]) -> Option<(usize, u32)> {
    let mut input = Input(bytes);
    if input.byte()? != GROUP {
        return None;
    }
    let len = usize::try_from(input.u32()?).ok()?;
    Some((len, input.u32()?)).filter(|_| (1..=MAX_GROUP_LEN).contains(&len))
}

/// Reads a group's header from the start of its body. Also returns the header's length.
pub(super) fn group_header(body: &[u8], offset: u64) -> Option<(GroupHeader, usize)> {
    let mut input = Input(body);
    let synced = offset.checked_sub(input.varint()?)?;
    let base = Position { change: input.varint()?, duplicate: input.varint32()? };
    Some((GroupHeader { synced, base }, body.len() - input.0.len()))
}

/// Whether `body` is what was written as a group at `offset`.
pub(super) fn group_passes(salt: Salt, offset: u64, body: &[u8], crc: u32) -> bool {
    u32::try_from(body.len()).is_ok_and(|len| group_crc(salt, offset, len, body) == crc)
}
