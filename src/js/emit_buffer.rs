//! Reads the records of emits that lib/native/emit-buffer.js writes one after the other and flushes with one call.
//! [`super::layout`] describes a record.

use std::sync::Arc;

use super::change;
use super::layout::{
    word, ASK_NODE, ASK_PLAIN, BATCH, DEMAND_CONDITION, DEMAND_ID, EMIT_ACK_SHIFT, EMIT_ALIGNMENT, EMIT_ENCODING_SHIFT,
    EMIT_FLAGS_WORD, EMIT_HEAD_BYTES, EMIT_LENGTH_WORD, EMIT_TAGGED,
};
use crate::error::{Error, Result};
use crate::event::{Encoding, TagList};
use crate::hyperlog::{AckKind, Batch, Condition, Demands};
use crate::query::{Item, Query};

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

/// A record of the emit buffer, without its tags.
struct Record<'a> {
    /// The number of the event's name. In the head of a batch: how many events follow.
    number: u32,
    /// Which answer is wanted. In the head of a batch: [`BATCH`].
    ack: u32,
    encoding: u32,
    payload: &'a [u8],
}

/// Reads records one after the other.
struct Records<'a> {
    all: &'a [u8],
    at: usize,
}

impl<'a> Records<'a> {
    fn is_empty(&self) -> bool {
        self.at >= self.all.len()
    }

    fn torn(&self) -> Error {
        Error::Internal(format!("torn record at byte {} of the emit buffer", self.at))
    }

    /// The next record. Does not move past it.
    fn peek(&self) -> Result<Record<'a>> {
        let number = |index| {
            let bytes = self.all.get(self.at + word(index)..)?.first_chunk()?;
            Some(u32::from_le_bytes(*bytes))
        };
        let (len, flags) = number(EMIT_LENGTH_WORD).zip(number(EMIT_FLAGS_WORD)).ok_or_else(|| self.torn())?;
        let [ack, encoding] = [EMIT_ACK_SHIFT, EMIT_ENCODING_SHIFT].map(|shift| flags >> shift & 0xff);
        let start = self.at + HEAD;
        let payload = self.all.get(start..start + len as usize).ok_or_else(|| self.torn())?;
        Ok(Record { number: flags & 0xffff, ack, encoding, payload })
    }

    fn pass(&mut self, end: usize) {
        self.at = end.next_multiple_of(EMIT_ALIGNMENT as usize);
    }

    /// Adds the next record, which is an emit, to a batch.
    fn take_emit<'n>(
        &mut self,
        record: &Record<'a>,
        out: &mut Batch,
        name_of: &impl Fn(u32) -> Option<&'n Arc<str>>,
    ) -> Result<()> {
        let end = self.at + HEAD + record.payload.len();
        let name = name_of(record.number).ok_or_else(|| self.torn())?;
        let ack = ack_kind(record.ack)?;
        let mark = Encoding::from_mark((record.encoding & !EMIT_TAGGED).into());
        if record.encoding & EMIT_TAGGED == 0 {
            out.push(name, record.payload, mark, ack);
            self.pass(end);
        } else {
            let mut rest = self.all.get(end..).unwrap_or_default();
            let tags = take_tags(&mut rest).ok_or_else(|| self.torn())?;
            out.push_tagged(name, record.payload, &tags, mark, ack)?;
            self.pass(self.all.len() - rest.len());
        }
        Ok(())
    }

    /// Reads a batch. The next record is its head.
    fn take_batch<'n>(&mut self, head: &Record<'a>, name_of: &impl Fn(u32) -> Option<&'n Arc<str>>) -> Result<Batch> {
        let demands = take_demands(head.payload).ok_or_else(|| self.torn())?;
        self.pass(self.at + HEAD + head.payload.len());
        let mut out = Batch::with_capacity(head.number as usize, 0);
        for _ in 0..head.number {
            let record = self.peek()?;
            self.take_emit(&record, &mut out, name_of)?;
        }
        let Some((id, condition)) = demands else {
            out.make_whole()?;
            return Ok(out);
        };
        let fail_if = match condition {
            Some((items, after)) => Some(Condition { query: Query::new(items)?, after: change(after) }),
            None => None,
        };
        out.make_demanding(Demands { id, fail_if, facts: Vec::new() })?;
        Ok(out)
    }
}

/// Splits the records into batches. Single emits that follow each other become one batch, and each batch of events that are stored
/// together remains one. `name_of` returns the name with a number.
///
/// # Errors
/// `Internal` if the two ends disagree about the layout.
pub fn batches<'n>(records: &[u8], name_of: impl Fn(u32) -> Option<&'n Arc<str>>) -> Result<Vec<Batch>> {
    let mut records = Records { all: records, at: 0 };
    let mut all = Vec::new();
    let mut emits = None;
    while !records.is_empty() {
        let record = records.peek()?;
        if record.ack == BATCH {
            all.extend(emits.take());
            all.push(records.take_batch(&record, &name_of)?);
        } else {
            let left = records.all.len() - records.at;
            let out = emits.get_or_insert_with(|| Batch::with_capacity((left / SMALL).min(MOST), left));
            records.take_emit(&record, out, &name_of)?;
        }
    }
    all.extend(emits);
    Ok(all)
}

/// Reads records that are all single emits, into one batch.
///
/// # Errors
/// `Internal` if the two ends disagree about the layout.
pub fn batch<'n>(records: &[u8], name_of: impl Fn(u32) -> Option<&'n Arc<str>>) -> Result<Batch> {
    Ok(batches(records, name_of)?.pop().unwrap_or_default())
}

/// The id of a batch, and the items and the change of its condition.
type Demanded = (Option<Box<str>>, Option<(Vec<Item>, f64)>);

/// Reads what a batch demands. The inner `None` means that it demands nothing; the outer one, that the bytes are torn.
fn take_demands(payload: &[u8]) -> Option<Option<Demanded>> {
    let (what, mut rest) = payload.split_first()?;
    let what = u32::from(*what);
    if what == 0 {
        return Some(None);
    }
    let boxed = |texts: TagList<'_>| texts.iter().map(|text| Box::from(*text)).collect();
    let id = if what & DEMAND_ID == 0 { None } else { take_tags(&mut rest)?.first().map(|id| Box::from(*id)) };
    if what & DEMAND_CONDITION == 0 {
        return Some(Some((id, None)));
    }
    let (after, behind) = rest.split_first_chunk()?;
    let (count, mut rest) = behind.split_first()?;
    let mut items = Vec::with_capacity(usize::from(*count));
    for _ in 0..*count {
        let names = boxed(take_tags(&mut rest)?);
        items.push(Item { names, tags: boxed(take_tags(&mut rest)?) });
    }
    Some(Some((id, Some((items, f64::from_le_bytes(*after))))))
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

    #[test]
    fn batches_are_apart_from_the_emits_around_them() {
        let mut names = TextTable::default();
        names.number("first");
        let emit = |text: u8| [1, 0, 0, 0, 0, 0, 2, 0, text, 0, 0, 0];
        let head = |count: u8, demands: &[u8]| {
            let mut head = vec![u8::try_from(demands.len()).unwrap(), 0, 0, 0, count, 0, 3, 0];
            head.extend_from_slice(demands);
            head.resize(head.len().next_multiple_of(4), 0);
            head
        };
        let mut demands = vec![3, 1, 1, b'i', b'd'];
        demands.extend_from_slice(&7_f64.to_le_bytes());
        // Two items: one with a name and two tags, one with a tag.
        demands.extend_from_slice(b"\x02\x01\x04first\x02\x00a\x01bc\x00\x01\x00d");
        let mut records = [emit(b'1'), emit(b'2')].concat();
        records.extend(head(2, &[0]));
        records.extend([emit(b'3'), emit(b'4')].concat());
        let whole = records.len();
        records.extend(head(1, &demands));
        records.extend([emit(b'5'), emit(b'6')].concat());
        let found = batches(&records, |number| names.text(number)).unwrap();
        let payloads = |batch: &Batch| batch.iter().map(|event| event.payload[0]).collect::<Vec<_>>();
        assert_eq!(found.iter().map(payloads).collect::<Vec<_>>(), [&b"12"[..], b"34", b"5", b"6"]);
        assert_eq!(found.iter().map(Batch::is_whole).collect::<Vec<_>>(), [false, true, true, false]);
        let texts = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect::<Vec<Box<str>>>();
        let wanted = [
            Item { names: texts(&["first"]), tags: texts(&["a", "bc"]) },
            Item { names: Vec::new(), tags: texts(&["d"]) },
        ];
        let demanded = found[2].demands().unwrap();
        assert_eq!(demanded.id.as_deref(), Some("id"));
        let condition = demanded.fail_if.as_ref().unwrap();
        assert_eq!((condition.query.items(), condition.after), (&wanted[..], 7));
        for len in 1..demands.len() {
            let torn = [head(1, &demands[..len]), emit(b'5').to_vec()].concat();
            assert!(batches(&torn, |number| names.text(number)).is_err(), "{len}");
        }
        assert!(
            batches(&records[..whole - 12], |number| names.text(number)).is_err(),
            "an event of the batch is missing"
        );
    }
}
