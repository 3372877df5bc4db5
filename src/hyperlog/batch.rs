//! Events to append, on their way to the writer.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{AckKind, Demands};
use crate::error::{Error, Result};
use crate::event::{self, check_tags, put_tag, Encoding, Tags, FOLLOWING_LEN, MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
use crate::node::Node;

/// An event to append.
#[derive(Clone, Debug)]
pub struct Append {
    /// Event name.
    pub name: Arc<str>,
    /// Encoded payload.
    pub payload: Bytes,
    /// How it is encoded.
    pub encoding: Encoding,
    /// What the caller wants to hear.
    pub ack: AckKind,
}

/// Events to append, in order. All payloads lie in one buffer, and a name is kept once for a run of events, so that an
/// event costs no reference count on its way between threads.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    payloads: Vec<u8>,
    /// The name of each run of events, and the run's first event.
    names: SmallVec<[(usize, Arc<str>); 1]>,
    events: SmallVec<[Item; 1]>,
    cost: usize,
    acks: usize,
    /// Either all of its events are stored, or none.
    whole: bool,
    demands: Option<Box<Demands>>,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    /// Where the event's payload ends, and how many bytes of tags follow. The payload begins where the tags of the event before
    /// end.
    end: usize,
    tags: u16,
    encoding: Encoding,
    ack: AckKind,
}

impl Item {
    /// Where the next event begins.
    fn behind(&self) -> usize {
        self.end + usize::from(self.tags)
    }
}

/// One event of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event<'a> {
    pub(crate) name: &'a Arc<str>,
    pub(crate) payload: &'a [u8],
    pub(crate) encoding: Encoding,
    pub(crate) ack: AckKind,
    /// Its tags as they stand in a container.
    pub(crate) tags: &'a [u8],
}

impl Event<'_> {
    /// Whether a node holds an event with the same name, payload, encoding and tags.
    pub(super) fn is_in(&self, node: &Node) -> bool {
        event::decode(&node.value).is_ok_and(|event| {
            event.name == **self.name
                && event.payload == self.payload
                && event.encoding == self.encoding
                && event.tags.list() == Tags::from(self.tags).list()
        })
    }

    /// Bytes of its container at the most.
    pub(super) fn size(&self) -> usize {
        event::encoded_len(self.name.len(), self.payload.len()) + self.tags.len()
    }
}

impl Batch {
    /// An empty batch with room for this many events and bytes of payload.
    #[must_use]
    pub fn with_capacity(events: usize, bytes: usize) -> Self {
        Batch { payloads: Vec::with_capacity(bytes), events: SmallVec::with_capacity(events), ..Batch::default() }
    }

    /// Adds an event without tags.
    pub fn push(&mut self, name: &Arc<str>, payload: &[u8], encoding: Encoding, ack: AckKind) {
        self.add(name, payload, &[], encoding, ack);
    }

    /// Adds an event with tags.
    ///
    /// # Errors
    /// `InvalidArgument` if the tags are not valid; then the event is not added.
    pub fn push_tagged(
        &mut self,
        name: &Arc<str>,
        payload: &[u8],
        tags: &[&str],
        encoding: Encoding,
        ack: AckKind,
    ) -> Result<()> {
        check_tags(tags)?;
        self.add(name, payload, tags, encoding, ack);
        Ok(())
    }

    /// Makes the batch atomic: either all of its events are stored, in consecutive entries, or none.
    ///
    /// # Errors
    /// `InvalidArgument` if it has too many events for that, or too many bytes.
    pub fn make_whole(&mut self) -> Result<()> {
        let count = self.events.len();
        if count > MAX_BATCH_EVENTS {
            let why = format!("a batch has {MAX_BATCH_EVENTS} events at the most, not {count}");
            return Err(Error::InvalidArgument(why));
        }
        if count > 1 {
            let cost = self.cost + count * FOLLOWING_LEN;
            if cost > MAX_BATCH_BYTES {
                let why = format!("a batch has {MAX_BATCH_BYTES} bytes at the most, not {cost}");
                return Err(Error::InvalidArgument(why));
            }
            self.cost = cost;
        }
        self.whole = true;
        Ok(())
    }

    /// [`Batch::make_whole`] for an append with demands.
    ///
    /// # Errors
    /// `InvalidArgument` also if its id cannot be one.
    pub fn make_demanding(&mut self, demands: Demands) -> Result<()> {
        demands.check()?;
        self.cost += demands.id.as_deref().map_or(0, event::request_len);
        self.make_whole()?;
        self.demands = Some(Box::new(demands));
        Ok(())
    }

    /// What the append demands.
    pub(crate) fn demands(&self) -> Option<&Demands> {
        self.demands.as_deref()
    }

    /// Whether all of its events are stored, or none.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    fn add(&mut self, name: &Arc<str>, payload: &[u8], tags: &[&str], encoding: Encoding, ack: AckKind) {
        if self.names.last().is_none_or(|(_, last)| last != name) {
            self.names.push((self.events.len(), Arc::clone(name)));
        }
        self.payloads.extend_from_slice(payload);
        let end = self.payloads.len();
        tags.iter().for_each(|tag| put_tag(&mut self.payloads, tag));
        let tags = self.payloads.len() - end;
        // At most 16 of 259 bytes.
        self.events.push(Item { end, tags: u16::try_from(tags).unwrap_or(u16::MAX), encoding, ack });
        self.cost += event::encoded_len(name.len(), payload.len()) + tags;
        self.acks += usize::from(ack != AckKind::None);
    }

    /// How much these events count towards [`LogOptions::max_pending`](super::LogOptions::max_pending), in bytes.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// How many of the events get an answer.
    #[must_use]
    pub fn acks(&self) -> usize {
        self.acks
    }

    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Drops the first event that does not fit into `room` (in the unit of [`Batch::cost`]), and all events after it; of an atomic
    /// batch, all events. Returns how many of the dropped events have to be answered.
    pub(super) fn cut(&mut self, room: usize) -> usize {
        if self.cost <= room {
            return 0;
        }
        if self.whole {
            return std::mem::take(self).acks;
        }
        let (mut count, mut cost, mut acks) = (0, 0, 0);
        for event in self.iter() {
            let size = event.size();
            if cost + size > room {
                break;
            }
            (count, cost, acks) = (count + 1, cost + size, acks + usize::from(event.ack != AckKind::None));
        }
        let refused = self.acks - acks;
        self.events.truncate(count);
        self.names.retain(|(first, _)| *first < count);
        self.payloads.truncate(self.events.last().map_or(0, Item::behind));
        (self.cost, self.acks) = (cost, acks);
        refused
    }

    /// The events in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Event<'_>> {
        let mut names = self.names.iter().peekable();
        let mut name = None;
        let mut start = 0;
        self.events.iter().enumerate().filter_map(move |(index, item)| {
            if let Some((_, next)) = names.next_if(|(first, _)| *first == index) {
                name = Some(next);
            }
            let payload = self.payloads.get(start..item.end)?;
            start = item.behind();
            let tags = self.payloads.get(item.end..start)?;
            Some(Event { name: name?, payload, encoding: item.encoding, ack: item.ack, tags })
        })
    }
}

impl From<Vec<Append>> for Batch {
    fn from(appends: Vec<Append>) -> Self {
        let mut batch = Batch::default();
        for Append { name, payload, encoding, ack } in &appends {
            batch.push(name, payload, *encoding, *ack);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        let mut batch = Batch::default();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        batch.push_tagged(&one, b"1", &["a", "b"], Encoding::V1, AckKind::Node).unwrap();
        batch.push(&one, b"", Encoding::Standard, AckKind::None);
        batch.push(&two, b"222", Encoding::V1, AckKind::Plain);
        batch.push(&one, b"4444", Encoding::V1, AckKind::Node);
        batch
    }

    #[test]
    fn tags_stand_as_they_will_in_the_container_and_wrong_ones_are_refused() {
        let mut batch = batch();
        let tags = |batch: &Batch| batch.iter().map(|event| event.tags.to_vec()).collect::<Vec<_>>();
        assert_eq!(tags(&batch), [&b"\x32\x01a\x32\x01b"[..], b"", b"", b""]);
        let name: Arc<str> = "one".into();
        let error = batch.push_tagged(&name, b"5", &["x", "x"], Encoding::V1, AckKind::Node).unwrap_err();
        assert_eq!((error.code(), batch.len()), ("ERR_HYPER_INVALID_ARG", 4));
        let most = "x".repeat(event::MAX_TAG_LEN - 2);
        let most: Vec<String> = (10..10 + event::MAX_TAGS).map(|number| format!("{number}{most}")).collect();
        let most: Vec<&str> = most.iter().map(String::as_str).collect();
        batch.push_tagged(&name, b"5", &most, Encoding::V1, AckKind::Node).unwrap();
        batch.push(&name, b"6", Encoding::V1, AckKind::Node);
        assert_eq!(batch.iter().map(|event| event.payload.to_vec()).collect::<Vec<_>>()[4..], [b"5", b"6"]);
        assert_eq!(tags(&batch)[4].len(), most.iter().map(|tag| event::tag_len(tag)).sum::<usize>());
    }

    fn told(batch: &Batch) -> Vec<(&str, &[u8], Encoding, AckKind)> {
        batch.iter().map(|event| (&**event.name, event.payload, event.encoding, event.ack)).collect()
    }

    #[test]
    fn events_come_back_as_they_were_added() {
        let expected: [(&str, &[u8], Encoding, AckKind); 4] = [
            ("one", b"1", Encoding::V1, AckKind::Node),
            ("one", b"", Encoding::Standard, AckKind::None),
            ("two", b"222", Encoding::V1, AckKind::Plain),
            ("one", b"4444", Encoding::V1, AckKind::Node),
        ];
        assert_eq!(told(&batch()), expected);
        assert_eq!(batch().acks(), 3);
    }

    #[test]
    fn what_does_not_fit_is_cut_off_and_counted() {
        let whole = batch();
        for keep in 0..=4 {
            let mut fitting = Batch::default();
            for event in whole.iter().take(keep) {
                let tags: &[&str] = if event.tags.is_empty() { &[] } else { &["a", "b"] };
                fitting.push_tagged(event.name, event.payload, tags, event.encoding, event.ack).unwrap();
            }
            let mut cut = batch();
            assert_eq!(cut.cut(fitting.cost()), whole.acks() - fitting.acks(), "{keep}");
            assert_eq!((told(&cut), cut.cost(), cut.acks()), (told(&fitting), fitting.cost(), fitting.acks()));
            assert_eq!((cut.len(), cut.is_empty()), (keep, keep == 0));
            let last: Arc<str> = "last".into();
            cut.push(&last, b"5", Encoding::V1, AckKind::Node);
            fitting.push(&last, b"5", Encoding::V1, AckKind::Node);
            assert_eq!(told(&cut), told(&fitting));
        }
    }
}
