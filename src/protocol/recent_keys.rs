//! The keys of the last nodes that crossed a link in one direction. Both ends keep them, so that a row can name a node that it
//! links to by its distance instead of its hash.
//!
//! The number of keys kept follows from the rows alone, so both ends agree on it without negotiating. It starts at `FIRST`,
//! doubles (up to the link's bound) with each row that has to name a node by its hash, and halves again, down to [`RECENT`], when no row reaches
//! that far back. A link that carries one writer's log at a time stays small; one that carries a hundred writers' logs reaches far.

use std::collections::{HashMap, VecDeque};

use crate::node::Key;

/// Nodes that a row can always name by their distance, also at the start of a link.
pub const RECENT: usize = 64;

/// How far back a link between peers of version 2 reaches at its start. If a hundred writers share a hub, each has sent a node
/// before any of them links to another's node. With a smaller window, all these links would be sent as hashes, on every connection.
const FIRST: usize = 256;

/// Most nodes that a row can name by their distance, between peers of version 2: what a hundred writers with ten events per second
/// emit in a second, which is longer than a round trip through their hub. It takes 32 KiB at the reader of such a link, and 64 KiB
/// at its writer.
pub const MOST_RECENT: usize = 1024;

/// The window halves after this many times its own size in rows, if none of them needed more than half of it.
const IDLE_WINDOWS: usize = 4;

/// Keys of the last nodes, latest first.
#[derive(Debug)]
pub(super) struct RecentKeys {
    keys: VecDeque<Key>,
    window: usize,
    most: usize,
    /// Rows since the last one that reached into the farther half of the window.
    unused: usize,
    /// Nodes so far; also the number of the latest one.
    count: u64,
    /// The number of each key in `keys`, by the key's first bytes. Only kept by a writer with a large window. If two keys begin
    /// with the same bytes, only the later one is found; the earlier one is named by its hash.
    numbers: Option<HashMap<u64, u64>>,
}

fn short(key: &Key) -> u64 {
    let (first, _) = key.0.split_at(8);
    first.try_into().map_or(0, u64::from_le_bytes)
}

impl RecentKeys {
    /// Remembers at most `most` nodes.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(RECENT);
        let window = if most > RECENT { FIRST.min(most) } else { RECENT };
        RecentKeys { keys: VecDeque::new(), window, most, unused: 0, count: 0, numbers: None }
    }

    pub(super) fn latest(&self) -> Option<&Key> {
        self.keys.front()
    }

    /// The node at this distance; 1 is the latest.
    pub(super) fn at(&self, distance: usize) -> Option<&Key> {
        self.keys.get(distance.checked_sub(1)?)
    }

    /// How far back this node is; `None` if it is too far.
    pub(super) fn distance(&mut self, key: &Key) -> Option<usize> {
        if self.window == RECENT {
            return self.keys.iter().position(|each| each == key).map(|index| index + 1);
        }
        let (keys, count) = (&self.keys, self.count);
        let numbers = self
            .numbers
            .get_or_insert_with(|| (0..count).rev().zip(keys).map(|(at, key)| (short(key), at + 1)).collect());
        let distance = usize::try_from(count - numbers.get(&short(key))?).ok()? + 1;
        (self.at(distance) == Some(key)).then_some(distance)
    }

    pub(super) fn push(&mut self, key: Key) {
        self.count += 1;
        if let Some(numbers) = &mut self.numbers {
            numbers.insert(short(&key), self.count);
        }
        self.keys.push_front(key);
        self.trim();
    }

    fn trim(&mut self) {
        while self.keys.len() > self.window {
            let number = self.count - (self.keys.len() as u64 - 1);
            let Some(key) = self.keys.pop_back() else { return };
            if let Some(numbers) = &mut self.numbers {
                let short = short(&key);
                if numbers.get(&short) == Some(&number) {
                    numbers.remove(&short);
                }
            }
        }
    }

    /// A row has named nodes up to this distance, and maybe others by their hash.
    pub(super) fn used(&mut self, farthest: usize, by_hash: bool) {
        if by_hash {
            self.window = (self.window * 2).min(self.most);
            self.unused = 0;
        } else if self.window > RECENT {
            self.unused = if farthest > self.window / 2 { 0 } else { self.unused + 1 };
            if self.unused >= IDLE_WINDOWS * self.window {
                self.unused = 0;
                self.window /= 2;
                if self.window == RECENT {
                    self.numbers = None;
                }
                self.trim();
                self.keys.shrink_to(self.window);
                if let Some(numbers) = &mut self.numbers {
                    numbers.shrink_to(self.window);
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn window(&self) -> usize {
        self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::key_of;

    fn key(number: u64) -> Key {
        key_of(&[], &number.to_le_bytes())
    }

    #[test]
    fn the_window_grows_while_it_is_too_small_and_shrinks_when_it_is_not_used() {
        let mut recent = RecentKeys::new(MOST_RECENT);
        let (mut number, mut by_hash) = (0, 0);
        let mut step = |recent: &mut RecentKeys, back: u64| {
            let distance = (number >= back).then(|| recent.distance(&key(number - back))).flatten();
            let hashed = number >= back && distance.is_none();
            if let Some(distance) = distance {
                assert_eq!((distance as u64, recent.at(distance)), (back, Some(&key(number - back))));
            }
            by_hash += u64::from(hashed);
            recent.used(distance.unwrap_or(0), hashed);
            recent.push(key(number));
            number += 1;
            by_hash
        };
        for _ in 0..4000 {
            step(&mut recent, 900);
        }
        assert_eq!(recent.window(), MOST_RECENT);
        // Rows name hashes until the grown window has filled, and none after that.
        let before = step(&mut recent, 900);
        assert!(before < 2000, "{before}");
        for _ in 0..4000 {
            assert_eq!(step(&mut recent, 900), before);
        }
        for _ in 0..10_000 {
            step(&mut recent, 1);
        }
        assert_eq!((recent.window(), recent.keys.len(), recent.numbers.is_none()), (RECENT, RECENT, true));
    }

    #[test]
    fn with_a_peer_of_the_first_version_it_stays_what_it_is() {
        let mut recent = RecentKeys::new(RECENT);
        for number in 0..1000 {
            recent.used(0, true);
            recent.push(key(number));
        }
        assert_eq!((recent.window(), recent.keys.len()), (RECENT, RECENT));
        assert_eq!(recent.distance(&key(999)), Some(1));
        assert_eq!(recent.distance(&key(936)), Some(64));
        assert_eq!(recent.distance(&key(935)), None);
    }
}
