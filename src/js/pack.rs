//! Packs acknowledgements, events and rows into buffers for JavaScript. [`super::layout`] describes the layout.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use super::error;
use super::layout::{self, NOT_AN_EVENT, UNNUMBERED, WHOLE_VALUES};
use super::names::{Interest, TextTable};
use crate::event;
use crate::hyperlog::Ack;
use crate::node::{Change, Key, LogId, Node};
use crate::row::Row;

/// Sizes of heads and records, in bytes.
const HEAD: usize = layout::HEAD_BYTES as usize;
const ACK: usize = layout::ACK_BYTES as usize;
const EVENT: usize = layout::EVENT_BYTES as usize;
const ROW: usize = layout::ROW_BYTES as usize;

/// Writes numbers and bytes into a buffer whose size has been checked. A write beyond its end is ignored.
struct Sheet<'a>(&'a mut [u8]);

impl Sheet<'_> {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(place) = self.0.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    }

    /// Writes a word of the record that begins at `record`.
    fn word(&mut self, record: usize, word: u32, value: usize) {
        self.put(record + layout::word(word), &u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes());
    }

    /// Writes a double of the record that begins at `record`.
    #[allow(clippy::cast_precision_loss)] // Changes, seqs and milliseconds stay below 2^53.
    fn double(&mut self, record: usize, double: u32, value: u64) {
        self.put(record + layout::double(double), &(value as f64).to_le_bytes());
    }
}

/// The answer to one ack, borrowed.
enum Item<'a> {
    Node { node: &'a Node, follows: bool },
    Run(u64),
    Error(String),
}

/// Packs acks from the front of `acks` into `out`, as many as fit, and removes them.
///
/// `last` is the node that was acknowledged before; usually the next node links to this one only.
pub fn pack_acks(acks: &mut VecDeque<Ack>, out: &mut [u8], logs: &mut TextTable, last: &mut Option<Key>) {
    let room = out.len();
    let (mut items, mut taken) = (Vec::with_capacity(acks.len()), 0);
    let (mut keys, mut links, mut values, mut need) = (0, 0, 0, 0);
    let mut previous = *last;
    for ack in acks.iter() {
        let (item, key, more_links, value) = match &ack.result {
            Ok(Some(node)) => {
                let follows = matches!((node.links.as_slice(), previous), ([link], Some(before)) if *link == before);
                let more_links = if follows { 0 } else { node.links.len() };
                previous = Some(node.key);
                (Item::Node { node, follows }, 1, more_links, node.value.len())
            }
            Ok(None) => {
                if let Some(Item::Run(count)) = items.last_mut() {
                    *count += 1;
                    taken += 1;
                    continue;
                }
                (Item::Run(1), 0, 0, 0)
            }
            Err(error) => {
                let text = error::json(error);
                let len = text.len();
                (Item::Error(text), 0, 0, len)
            }
        };
        let size = HEAD
            + ACK * (items.len() + 1)
            + Key::HEX_LEN * (keys + key + links + more_links)
            + (values + value).next_multiple_of(8);
        if size > room {
            need = size;
            break;
        }
        items.push(item);
        taken += 1;
        (keys, links, values) = (keys + key, links + more_links, values + value);
    }
    let mut sheet = Sheet(out);
    let mut key_at = HEAD + ACK * items.len();
    let mut link_at = key_at + Key::HEX_LEN * keys;
    let mut value_at = link_at + Key::HEX_LEN * links;
    sheet.word(0, layout::COUNT_WORD, items.len());
    sheet.word(0, layout::KEYS_WORD, keys);
    sheet.word(0, layout::USED_WORD, (value_at + values).next_multiple_of(8));
    sheet.word(0, layout::NEED_WORD, if items.is_empty() { need } else { 0 });
    let mut recent: Option<(&LogId, Option<u32>)> = None;
    for (index, item) in items.iter().enumerate() {
        let at = HEAD + ACK * index;
        let (kind, change, seq, link_count, value, log) = match item {
            Item::Node { node, follows } => {
                sheet.put(key_at, &node.key.to_hex());
                key_at += Key::HEX_LEN;
                if !*follows {
                    for link in &node.links {
                        sheet.put(link_at, &link.to_hex());
                        link_at += Key::HEX_LEN;
                    }
                }
                *last = Some(node.key);
                let kind = if *follows { layout::ACK_NEXT_NODE } else { layout::ACK_NODE };
                let number = match recent {
                    Some((log, number)) if Arc::ptr_eq(log, &node.log) => number,
                    _ => logs.number(&node.log),
                };
                recent = Some((&node.log, number));
                (kind, node.change, node.seq, node.links.len(), &node.value[..], number)
            }
            Item::Run(count) => (layout::ACK_RUN, 0, *count, 0, &[][..], None),
            Item::Error(text) => (layout::ACK_ERROR, 0, 0, 0, text.as_bytes(), None),
        };
        sheet.double(at, layout::ACK_CHANGE_DOUBLE, change);
        sheet.double(at, layout::ACK_SEQ_DOUBLE, seq);
        sheet.word(at, layout::ACK_KIND_WORD, kind as usize);
        sheet.word(at, layout::ACK_LINKS_WORD, link_count);
        sheet.word(at, layout::ACK_VALUE_LENGTH_WORD, value.len());
        sheet.word(at, layout::ACK_LOG_WORD, log.unwrap_or(UNNUMBERED) as usize);
        sheet.put(value_at, value);
        value_at += value.len();
    }
    acks.drain(..taken);
}

/// The first change after `after` whose event has listeners.
pub fn first_event(rows: &[Row], after: Change, interest: &Interest) -> Option<Change> {
    let heard = |row: &&Row| {
        let name = event::parse(&row.node.value).map(|event| String::from_utf8_lossy(event.name));
        name.is_some_and(|name| interest.number(&name).is_some())
    };
    rows.iter().filter(|row| row.at.change > after).find(heard).map(|row| row.at.change)
}

/// Packs those of `rows` that come after `after` and have listeners into `out`, as many as fit. Returns their number.
pub fn pack_events(rows: &[Row], after: Change, out: &mut [u8], interest: &Interest) -> usize {
    let room = out.len();
    let first = rows.partition_point(|row| row.at.change <= after);
    let rows = rows.get(first..).unwrap_or_default();
    // Records take at most half of the room, because their payloads need the rest.
    let records = rows.len().min(room / (2 * EVENT)).max(1);
    let payloads_at = HEAD + EVENT * records;
    let (mut count, mut used, mut need) = (0, payloads_at, 0);
    let mut sheet = Sheet(out);
    // Events come in runs of one name.
    let mut latest: Option<(&[u8], Option<u32>)> = None;
    for row in rows {
        // A value that is not an event container has no listeners.
        let Some(event) = event::parse(&row.node.value) else { continue };
        let number = match latest {
            Some((name, number)) if name == event.name => number,
            _ => latest.insert((event.name, interest.number(&String::from_utf8_lossy(event.name)))).1,
        };
        let Some(number) = number else { continue };
        let end = used + event.payload.len();
        if count == records || end.next_multiple_of(8) > room {
            // Enough for any number of records that the next buffer may have room for.
            need = (HEAD + EVENT * rows.len() + event.payload.len()).next_multiple_of(8);
            break;
        }
        let at = HEAD + EVENT * count;
        sheet.double(at, layout::EVENT_CHANGE_DOUBLE, row.at.change);
        sheet.word(at, layout::EVENT_LISTENERS_WORD, number as usize);
        sheet.word(at, layout::EVENT_PAYLOAD_LENGTH_WORD, event.payload.len());
        sheet.word(at, layout::EVENT_ENCODING_WORD, usize::try_from(event.encoding.mark()).unwrap_or(usize::MAX));
        sheet.put(used, event.payload);
        (count, used) = (count + 1, end);
    }
    // Users keep views of the payloads. So the room that these few events do not need is left for the next pack.
    let end = HEAD + EVENT * count;
    if end < payloads_at && used <= room {
        sheet.0.copy_within(payloads_at..used, end);
        used -= payloads_at - end;
    }
    sheet.word(0, layout::COUNT_WORD, count);
    sheet.word(0, layout::KEYS_WORD, 0);
    sheet.word(0, layout::USED_WORD, used.next_multiple_of(8));
    sheet.word(0, layout::NEED_WORD, if count == 0 { need } else { 0 });
    count
}

/// Packs rows for a reader. `wants` is 0 or [`WHOLE_VALUES`].
#[must_use]
pub fn pack_rows(
    rows: &[Row],
    next: Change,
    done: bool,
    wants: u32,
    names: &mut TextTable,
    logs: &mut TextTable,
) -> Vec<u8> {
    let mut heads = vec![0; HEAD + ROW * rows.len()];
    let mut bodies = Vec::with_capacity(rows.iter().map(|row| row.node.value.len() + 2 * Key::HEX_LEN).sum());
    let mut sheet = Sheet(&mut heads);
    sheet.word(0, layout::COUNT_WORD, rows.len());
    sheet.word(0, layout::DONE_WORD, usize::from(done));
    sheet.double(0, layout::NEXT_DOUBLE, next);
    // Rows come in runs of one name and one log.
    let mut latest_name: Option<(&[u8], Option<u32>)> = None;
    let mut latest_log: Option<(&LogId, Option<u32>)> = None;
    for (index, row) in rows.iter().enumerate() {
        let at = HEAD + ROW * index;
        let node = &row.node;
        let event = event::parse(&node.value);
        // Without a number the name is spelled out.
        let mut spelled = Cow::Borrowed("");
        let (name, time, encoding) = match &event {
            Some(event) => {
                let number = match latest_name {
                    Some((name, number)) if name == event.name => number,
                    _ => latest_name.insert((event.name, names.number(&String::from_utf8_lossy(event.name)))).1,
                };
                if number.is_none() {
                    spelled = String::from_utf8_lossy(event.name);
                }
                (number.unwrap_or(UNNUMBERED), event.time, event.encoding.mark())
            }
            None => (UNNUMBERED, None, 0),
        };
        let log = match latest_log {
            Some((log, number)) if log == row.log() => number,
            _ => latest_log.insert((row.log(), logs.number(row.log()))).1,
        };
        let spelled = spelled.as_bytes();
        let body = match &event {
            Some(event) if wants & WHOLE_VALUES == 0 => event.payload,
            _ => &node.value[..],
        };
        sheet.double(at, layout::ROW_CHANGE_DOUBLE, row.at.change);
        sheet.double(at, layout::ROW_SEQ_DOUBLE, row.seq());
        match time {
            Some(time) => sheet.double(at, layout::ROW_TIME_DOUBLE, time),
            None => sheet.put(at + layout::double(layout::ROW_TIME_DOUBLE), &f64::NAN.to_le_bytes()),
        }
        sheet.word(at, layout::ROW_NAME_WORD, name as usize);
        sheet.word(at, layout::ROW_LOG_WORD, log.unwrap_or(UNNUMBERED) as usize);
        sheet.word(
            at,
            layout::ROW_NAME_LENGTH_WORD,
            if event.is_none() { NOT_AN_EVENT as usize } else { spelled.len() },
        );
        sheet.word(at, layout::ROW_BODY_LENGTH_WORD, body.len());
        sheet.word(at, layout::ROW_ENCODING_WORD, usize::try_from(encoding).unwrap_or(usize::MAX));
        sheet.word(at, layout::ROW_LINKS_WORD, node.links.len());
        bodies.extend_from_slice(&node.key.to_hex());
        node.links.iter().for_each(|link| bodies.extend_from_slice(&link.to_hex()));
        bodies.extend_from_slice(spelled);
        bodies.extend_from_slice(body);
        let signed = node.signed.as_deref();
        let extras =
            [signed.and_then(|signed| signed.identity.as_ref()), signed.and_then(|signed| signed.signature.as_ref())];
        for (extra, word) in extras.into_iter().zip([layout::ROW_IDENTITY_WORD, layout::ROW_SIGNATURE_WORD]) {
            if let Some(bytes) = extra {
                sheet.word(at, word, bytes.len() + 1);
                bodies.extend_from_slice(bytes);
            }
        }
        if let Some(event) = event.filter(|event| !event.tags.is_empty()) {
            let before = bodies.len();
            for tag in event.tags.list() {
                bodies.push(u8::try_from(tag.len() - 1).unwrap_or(u8::MAX));
                bodies.extend_from_slice(tag.as_bytes());
            }
            sheet.word(at, layout::ROW_TAGS_WORD, bodies.len() - before);
        }
    }
    heads.append(&mut bodies);
    heads
}

#[cfg(test)]
mod tests;
