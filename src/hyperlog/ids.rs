//! Ids of logs and of events.

use crate::error::{Error, Result};
use crate::event::{ID_LEN, SEALED_ID_LEN};
use crate::identity::seal::OWNER_TAG_LEN;
use crate::node::LogId;
use crate::store::{Meta, Store};

/// A fresh log id in the form of 1.x's cuids: `c` and 24 base-36 digits.
///
/// # Errors
/// `Internal` if the system has no randomness.
pub fn new_log_id() -> Result<LogId> {
    let mut random = [0_u8; 24];
    fill(&mut random)?;
    let digits = random.iter().map(|byte| char::from_digit(u32::from(*byte) % 36, 36).unwrap_or('0'));
    Ok(std::iter::once('c').chain(digits).collect::<String>().into())
}

/// The id of the local log, if the store has one.
pub(super) fn stored_log_id(store: &dyn Store) -> Result<Option<LogId>> {
    Ok(store.meta(&Meta::LogId)?.map(|id| String::from_utf8_lossy(&id).into()))
}

/// Generates unique event ids: in a sealed log a tag that names its owner, then random bytes per open of the store, then a
/// little-endian counter.
pub(super) struct EventIds {
    last: [u8; SEALED_ID_LEN],
    len: usize,
    /// Offset of the random bytes.
    random: usize,
    counter: u32,
}

/// Bytes of the counter.
const COUNTER: usize = 4;

impl EventIds {
    /// Ids for a log without seals.
    pub(super) fn new() -> Result<Self> {
        let mut last = [0_u8; SEALED_ID_LEN];
        fill(&mut last)?;
        Ok(EventIds { last, len: ID_LEN, random: 0, counter: 0 })
    }

    /// Ids for a sealed log; `tag` names its owner.
    pub(super) fn of_owner(tag: [u8; OWNER_TAG_LEN]) -> Result<Self> {
        let mut ids = EventIds { len: SEALED_ID_LEN, random: OWNER_TAG_LEN, ..EventIds::new()? };
        if let Some(start) = ids.last.first_chunk_mut() {
            *start = tag;
        }
        Ok(ids)
    }

    /// The next id.
    pub(super) fn next(&mut self) -> &[u8] {
        let counter_at = self.len - COUNTER;
        self.counter = self.counter.wrapping_add(1);
        if self.counter == 0 {
            // The counter overflows after 2^32 events in one open. Then the random part is incremented, so ids stay unique.
            self.last.iter_mut().take(counter_at).skip(self.random).any(|byte| {
                *byte = byte.wrapping_add(1);
                *byte != 0
            });
        }
        for (slot, byte) in self.last.iter_mut().skip(counter_at).zip(self.counter.to_le_bytes()) {
            *slot = byte;
        }
        self.last.get(..self.len).unwrap_or_default()
    }
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes)
        .map_err(|error| Error::Internal(format!("the random number generator of the system failed: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_stay_distinct_when_the_counter_starts_again() {
        for (len, random) in [(ID_LEN, 0), (SEALED_ID_LEN, OWNER_TAG_LEN)] {
            let mut ids = EventIds { last: [u8::MAX; SEALED_ID_LEN], len, random, counter: u32::MAX - 1 };
            let [before, after] = [(); 2].map(|()| ids.next().to_vec());
            let counter_at = len - COUNTER;
            assert_eq!((before.len(), after.len()), (len, len));
            assert_eq!(before[counter_at..], [u8::MAX; COUNTER]);
            assert_eq!(after[random..], vec![0; len - random]);
            assert_eq!(after[..random], before[..random], "the owner stays");
        }
    }

    #[test]
    fn ids_of_a_sealed_log_begin_with_its_owner() {
        let tag = [1, 2, 3, 4, 5, 6, 7, 8];
        let mut ids = EventIds::of_owner(tag).unwrap();
        let [one, two] = [(); 2].map(|()| ids.next().to_vec());
        assert!(one.starts_with(&tag) && two.starts_with(&tag) && one != two);
        assert_eq!(one.len(), SEALED_ID_LEN);
    }
}
