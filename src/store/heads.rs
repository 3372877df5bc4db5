//! The heads: nodes that no other node links to.

use std::collections::BTreeMap;

use crate::node::Key;

/// Heads by key. The one added last is kept outside the map: while each node links to the one before, as with a single
/// writer, the map stays empty and nothing is searched.
#[derive(Clone, Debug)]
pub(crate) struct Heads<V> {
    latest: Option<(Key, V)>,
    others: BTreeMap<Key, V>,
}

impl<V> Default for Heads<V> {
    fn default() -> Self {
        Heads { latest: None, others: BTreeMap::new() }
    }
}

impl<V: PartialEq> PartialEq for Heads<V> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<V> Heads<V> {
    pub(crate) fn len(&self) -> usize {
        self.others.len() + usize::from(self.latest.is_some())
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&V> {
        match &self.latest {
            Some((latest, value)) if latest == key => Some(value),
            _ => self.others.get(key),
        }
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<V> {
        match self.latest.take_if(|(latest, _)| latest == key) {
            Some((_, value)) => Some(value),
            None => self.others.remove(key),
        }
    }

    pub(crate) fn insert(&mut self, key: Key, value: V) {
        if let Some((before, value)) = self.latest.replace((key, value)) {
            self.others.insert(before, value);
        }
        // The new one may have been among the others.
        if !self.others.is_empty() {
            self.others.remove(&key);
        }
    }

    /// Ascending by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Key, &V)> {
        let latest = self.latest.as_ref().map(|(key, value)| (key, value));
        let split = latest.map_or(Key::default(), |(key, _)| *key);
        self.others.range(..split).chain(latest).chain(self.others.range(split..))
    }
}

impl<V> FromIterator<(Key, V)> for Heads<V> {
    fn from_iter<T: IntoIterator<Item = (Key, V)>>(heads: T) -> Self {
        Heads { latest: None, others: heads.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn heads_are_a_sorted_map(steps: Vec<(bool, u8)>) {
            let (mut heads, mut model) = (Heads::default(), BTreeMap::new());
            for (value, (add, number)) in steps.into_iter().enumerate() {
                let key = Key([number % 16; 32]);
                if add {
                    heads.insert(key, value);
                    model.insert(key, value);
                } else {
                    heads.remove(&key);
                    model.remove(&key);
                }
                proptest::prop_assert_eq!(heads.get(&key), model.get(&key));
                proptest::prop_assert_eq!(heads.len(), model.len());
                proptest::prop_assert!(heads.iter().eq(model.iter()));
                proptest::prop_assert!(heads == model.iter().map(|(key, value)| (*key, *value)).collect());
            }
        }
    }
}
