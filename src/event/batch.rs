//! Events that are stored together or not at all: container field 7 tells how many events of the same batch follow in the log.
//!
//! Appends beyond the bounds are refused. In events of other emitters, a count beyond the bounds is ignored: such an event counts
//! as a single one. So nobody can make a log wait for events that never come.

use bytes::BufMut;

use super::{parse, put_varint};

/// Events of a batch. A peer holds them back until it has the last one; in a sealed log it holds back all rows up to the batch's
/// end.
pub const MAX_BATCH_EVENTS: usize = 1024;

/// Bytes of a batch's containers: as many as one group commit takes. A peer holds back up to this many.
pub const MAX_BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Container field of the count.
pub(super) const FIELD: u64 = 7;

/// The byte with which the field begins: its number, and that a varint follows.
const TAG: u8 = 7 << 3;

/// Bytes that [`put_following`] writes at the most.
pub const FOLLOWING_LEN: usize = 3;

/// Appends the container field that counts the events that follow in the batch.
pub fn put_following(out: &mut impl BufMut, following: usize) {
    out.put_u8(TAG);
    put_varint(out, following as u64);
}

/// How many events of its batch follow the event in this container: 0 for a single event, for the last one of a batch, and for a
/// count beyond the bounds.
#[must_use]
pub fn following(value: &[u8]) -> usize {
    // This runs for each row from a peer. Most rows do not have the field; searching their bytes for the tag is faster than
    // parsing.
    if !value.contains(&TAG) {
        return 0;
    }
    let said = parse(value).and_then(|event| event.batch).unwrap_or(0);
    usize::try_from(said).ok().filter(|said| *said < MAX_BATCH_EVENTS).unwrap_or(0)
}

/// Whether an event of a batch is in this container.
pub(crate) fn is_of_batch(value: &[u8]) -> bool {
    parse(value).is_some_and(|event| event.batch.is_some())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::event::{encode, reason_unsafe_for_v1, Encoding, ID_LEN};

    fn value(count: Option<usize>) -> BytesMut {
        let mut value = BytesMut::new();
        encode(&mut value, "name", b"payload", &[7; ID_LEN], 5, Encoding::V1);
        if let Some(count) = count {
            put_following(&mut value, count);
        }
        value
    }

    #[test]
    fn the_count_stands_behind_all_else_and_means_nothing_to_1x() {
        assert_eq!(&value(Some(1023))[value(None).len()..], b"\x38\xff\x07");
        assert_eq!(&value(Some(0))[value(None).len()..], b"\x38\x00");
        for (count, told) in [(None, 0), (Some(0), 0), (Some(1), 1), (Some(MAX_BATCH_EVENTS - 1), MAX_BATCH_EVENTS - 1)]
        {
            assert_eq!((following(&value(count)), is_of_batch(&value(count))), (told, count.is_some()));
            assert_eq!(reason_unsafe_for_v1(&value(count)), None);
            assert!(value(count).len() <= value(None).len() + FOLLOWING_LEN);
        }
    }

    #[test]
    fn a_count_beyond_the_bounds_says_nothing() {
        for count in [MAX_BATCH_EVENTS, usize::MAX] {
            assert_eq!(following(&value(Some(count))), 0);
        }
        assert_eq!(following(b"no container"), 0);
    }
}
