//! Reads the records of emits that lib/native/emit-buffer.js writes one after the other and flushes with one call.
//! [`super::layout`] describes a record.

use std::sync::Arc;

use super::layout::{
    word, ASK_NODE, ASK_PLAIN, EMIT_ACK_SHIFT, EMIT_ALIGNMENT, EMIT_ENCODING_SHIFT, EMIT_FLAGS_WORD, EMIT_HEAD_BYTES,
    EMIT_LENGTH_WORD, EMIT_TAGGED,
};
use crate::error::{Error, Result};
use crate::event::{Encoding, TagList};
use crate::hyperlog::{AckKind, Batch};

const HEAD: usize = EMIT_HEAD_BYTES as usize;

/// Bytes of a small record.
const SMALL: usize = 32;
/// Most records that lib/native/emit-buffer.js hands over with one call.
const MOST: usize = 256;

/// The ack kind with this number.
///
/// # Errors
/// `Internal` for any other number.
pub fn ack_kind(number: u32) -> Result<AckKind> {
    match number {
        0 => Ok(AckKind::None),
        ASK_PLAIN => Ok(AckKind::Plain),
        ASK_NODE => Ok(AckKind::Node),
        other => Err(Error::Internal(format!("ack kind {other} of an emit"))),
    }
}

/// Parses the records; `name_of` looks up names by their numbers.
///
/// # Errors
/// `Internal` if the two ends disagree about the layout.
pub fn batch<'a>(records: &[u8], name_of: impl Fn(u32) -> Option<&'a Arc<str>>) -> Result<Batch> {
    let mut out = Batch::with_capacity((records.len() / SMALL).min(MOST), records.len());
    let mut at = 0;
    while at < records.len() {
        let torn = || Error::Internal(format!("torn record at byte {at} of the emit buffer"));
        let number = |index| {
            let bytes = records.get(at + word(index)..)?.first_chunk()?;
            Some(u32::from_le_bytes(*bytes))
        };
        let (len, flags) = number(EMIT_LENGTH_WORD).zip(number(EMIT_FLAGS_WORD)).ok_or_else(torn)?;
        let [ack, encoding] = [EMIT_ACK_SHIFT, EMIT_ENCODING_SHIFT].map(|shift| flags >> shift & 0xff);
        let end = at + HEAD + len as usize;
        let payload = records.get(at + HEAD..end).ok_or_else(torn)?;
        let name = name_of(flags & 0xffff).ok_or_else(torn)?;
        let (ack, mark) = (ack_kind(ack)?, Encoding::from_mark((encoding & !EMIT_TAGGED).into()));
        let end = if encoding & EMIT_TAGGED == 0 {
            out.push(name, payload, mark, ack);
            end
        } else {
            let mut rest = records.get(end..).unwrap_or_default();
            let tags = take_tags(&mut rest).ok_or_else(torn)?;
            out.push_tagged(name, payload, &tags, mark, ack)?;
            records.len() - rest.len()
        };
        at = end.next_multiple_of(EMIT_ALIGNMENT as usize);
    }
    Ok(out)
}

/// Takes the tags of a record.
fn take_tags<'a>(rest: &mut &'a [u8]) -> Option<TagList<'a>> {
    let (count, mut bytes) = rest.split_first()?;
    let mut tags = TagList::new();
    for _ in 0..*count {
        let (len, behind) = bytes.split_first()?;
        let (tag, behind) = behind.split_at_checked(usize::from(*len) + 1)?;
        tags.push(std::str::from_utf8(tag).ok()?);
        bytes = behind;
    }
    *rest = bytes;
    Some(tags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::js::names::TextTable;

    #[test]
    fn records_are_taken_apart_and_torn_ones_refused() {
        let mut names = TextTable::default();
        names.number("first");
        names.number("second");
        let mut records = vec![3, 0, 0, 0, 1, 0, 2, 0, b'a', b'b', b'c', 0];
        records.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        let batch = super::batch(&records, |number| names.text(number)).unwrap();
        let events: Vec<_> = batch.iter().collect();
        assert_eq!(&**events[0].name, "second");
        assert_eq!((events[0].payload, events[0].ack), (&b"abc"[..], AckKind::Node));
        assert_eq!((&**events[1].name, events[1].encoding), ("first", Encoding::Standard));
        for len in 1..records.len() {
            if len != 12 {
                assert!(super::batch(&records[..len], |number| names.text(number)).is_err() || len == 11, "{len}");
            }
        }
        assert!(super::batch(&[0, 0, 0, 0, 9, 0, 0, 0], |number| names.text(number)).is_err());
    }

    #[test]
    fn tags_follow_the_payload() {
        let mut names = TextTable::default();
        names.number("first");
        let mut records = vec![1, 0, 0, 0, 0, 0, 2, 0x81, b'p', 2, 0, b'a', 1, b'b', b'c', 0];
        records.extend([1, 0, 0, 0, 0, 0, 2, 0, b'q', 0, 0, 0]);
        let batch = super::batch(&records, |number| names.text(number)).unwrap();
        let events: Vec<_> = batch.iter().collect();
        assert_eq!((events[0].payload, events[0].tags), (&b"p"[..], &b"\x32\x01a\x32\x02bc"[..]));
        assert_eq!(events[0].encoding, Encoding::Standard);
        assert_eq!((events[1].payload, events[1].tags), (&b"q"[..], &b""[..]));
        for len in 8..15 {
            assert!(super::batch(&records[..len], |number| names.text(number)).is_err(), "{len}");
        }
        records[14] = 0xFF;
        assert!(super::batch(&records, |number| names.text(number)).is_err(), "a tag that is no text");
    }
}
