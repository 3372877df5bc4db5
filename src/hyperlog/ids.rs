//! Ids of logs and of events.

use crate::error::{Error, Result};
use crate::event::ID_LEN;
use crate::node::LogId;
use crate::store::{Meta, Store};

/// Random bytes at the start of an event id; a counter follows.
const RANDOM: usize = 8;

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

/// Unique ids for events: eight random bytes per open of the store, then a little-endian counter.
pub(super) struct EventIds {
    last: [u8; ID_LEN],
    counter: u32,
}

impl EventIds {
    pub(super) fn new() -> Result<Self> {
        let mut last = [0_u8; ID_LEN];
        fill(&mut last)?;
        Ok(EventIds { last, counter: 0 })
    }

    /// The next id.
    pub(super) fn next(&mut self) -> [u8; ID_LEN] {
        self.counter = self.counter.wrapping_add(1);
        if self.counter == 0 {
            // 2^32 events in one open: the random part counts on, and stays distinct from the first round.
            self.last.iter_mut().take(RANDOM).any(|byte| {
                *byte = byte.wrapping_add(1);
                *byte != 0
            });
        }
        for (slot, byte) in self.last.iter_mut().skip(RANDOM).zip(self.counter.to_le_bytes()) {
            *slot = byte;
        }
        self.last
    }
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|error| Error::Internal(format!("no randomness: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_ids_stay_distinct_when_the_counter_starts_again() {
        let mut ids = EventIds { last: [u8::MAX; ID_LEN], counter: u32::MAX - 1 };
        let (before, after) = (ids.next(), ids.next());
        assert_eq!(before[RANDOM..], [u8::MAX; 4]);
        assert_eq!((after[..RANDOM].to_vec(), after[RANDOM..].to_vec()), (vec![0; RANDOM], vec![0; 4]));
        assert_ne!(before[..RANDOM], after[..RANDOM]);
    }
}
