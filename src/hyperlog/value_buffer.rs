//! Memory for the values of a batch of appends.

use bytes::{BufMut, Bytes, BytesMut};

use super::batch::Event;
use crate::event;

/// Values of a batch, encoded one after the other and then shared without copying.
pub(super) enum ValueBuffer {
    /// From the allocator.
    Heap(BytesMut),
    /// Pages that were mapped with one system call, and how many of their bytes are written. Touching fresh pages one by one would
    /// take about as long as hashing what is written to them.
    #[cfg(target_os = "linux")]
    Pages(memmap2::MmapMut, usize),
}

impl ValueBuffer {
    /// From this many pages on, a system call pays off, and the unused rest of the last page does not matter.
    #[cfg(target_os = "linux")]
    const PAGES_FROM: usize = 8;

    /// Room for this many bytes, which a store in memory keeps for as long as it lives.
    #[cfg(target_os = "linux")]
    pub(super) fn to_keep(len: usize) -> Self {
        let pages = (len >= Self::PAGES_FROM * rustix::param::page_size())
            .then(|| memmap2::MmapOptions::new().len(len).populate().map_anon());
        match pages {
            Some(Ok(pages)) => ValueBuffer::Pages(pages, 0),
            // If the kernel has no pages, the allocator may still have some.
            Some(Err(_)) | None => ValueBuffer::to_pass_on(len),
        }
    }

    /// Room for this many bytes, which a store in memory keeps for as long as it lives.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn to_keep(len: usize) -> Self {
        ValueBuffer::to_pass_on(len)
    }

    /// Room for this many bytes, which are dropped once they are on disk. The allocator reuses pages that have been touched
    /// before.
    pub(super) fn to_pass_on(len: usize) -> Self {
        ValueBuffer::Heap(BytesMut::with_capacity(len))
    }

    /// Appends the container of an event; `behind` holds the fields that come last.
    ///
    /// # Panics
    /// If it does not fit, and the buffer is made of pages.
    pub(super) fn push(&mut self, event: &Event<'_>, id: &[u8], time: u64, behind: &[u8]) {
        match self {
            ValueBuffer::Heap(bytes) => encode(bytes, event, id, time, behind),
            #[cfg(target_os = "linux")]
            ValueBuffer::Pages(pages, len) => {
                let mut rest = pages.get_mut(*len..).unwrap_or_default();
                let before = rest.len();
                encode(&mut rest, event, id, time, behind);
                *len += before - rest.len();
            }
        }
    }

    /// Bytes written.
    pub(super) fn len(&self) -> usize {
        match self {
            ValueBuffer::Heap(bytes) => bytes.len(),
            #[cfg(target_os = "linux")]
            ValueBuffer::Pages(_, len) => *len,
        }
    }

    /// What was written, to be shared.
    pub(super) fn freeze(self) -> Bytes {
        match self {
            ValueBuffer::Heap(bytes) => bytes.freeze(),
            #[cfg(target_os = "linux")]
            ValueBuffer::Pages(pages, len) => Bytes::from_owner(pages).slice(..len),
        }
    }
}

fn encode(out: &mut impl BufMut, event: &Event<'_>, id: &[u8], time: u64, behind: &[u8]) {
    event::encode_tagged(out, event.name, event.payload, id, time, event.encoding, event.tags);
    out.put_slice(behind);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Encoding, ID_LEN};
    use crate::hyperlog::AckKind;

    #[test]
    fn what_is_written_is_the_same_in_all_kinds_of_buffer() {
        let name: Arc<str> = "name".into();
        for len in [0, 100, 4096, 200_000] {
            let payload = vec![7; len];
            let event = Event {
                name: &name,
                payload: &payload,
                encoding: Encoding::Standard,
                ack: AckKind::None,
                tags: b"\x32\x01t",
            };
            let most = event::encoded_len(name.len(), len) + 5;
            let [mut kept, mut passed] = [ValueBuffer::to_keep(3 * most), ValueBuffer::to_pass_on(3 * most)];
            let times = [1, u64::MAX, 1_790_000_000_000];
            let ends = times.map(|time| {
                kept.push(&event, &[9; ID_LEN], time, b"\x38\x02");
                passed.push(&event, &[9; ID_LEN], time, b"\x38\x02");
                assert_eq!(kept.len(), passed.len());
                kept.len()
            });
            let values = kept.freeze();
            assert_eq!(values, passed.freeze());
            for ((start, end), time) in std::iter::once(0).chain(ends).zip(ends).zip(times) {
                let read = event::decode(&values[start..end]).unwrap();
                assert_eq!((read.payload, read.time), (&payload[..], Some(time)), "{len}");
                assert_eq!(read.tags.list().as_slice(), ["t"]);
                assert_eq!(event::following(&values[start..end]), 2);
            }
        }
    }
}
