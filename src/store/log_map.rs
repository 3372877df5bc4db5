//! A map by log, for code that processes rows in order.

use std::collections::HashMap;

use crate::node::LogId;

/// Values by log. The log that was used last is kept outside the map. Rows come in runs of one log, so all but the first row of a
/// run are found without hashing.
#[derive(Clone, Debug)]
pub(crate) struct LogMap<V> {
    latest: Option<(LogId, V)>,
    others: HashMap<LogId, V>,
}

impl<V> Default for LogMap<V> {
    fn default() -> Self {
        LogMap { latest: None, others: HashMap::new() }
    }
}

impl<V> LogMap<V> {
    pub(crate) fn get(&self, log: &str) -> Option<&V> {
        match &self.latest {
            Some((latest, value)) if **latest == *log => Some(value),
            _ => self.others.get(log),
        }
    }

    /// The value of `log`, which is the latest from now on.
    pub(crate) fn get_mut(&mut self, log: &LogId) -> Option<&mut V> {
        if self.latest.as_ref().is_none_or(|(latest, _)| latest != log) {
            let found = self.others.remove_entry(log)?;
            self.make_latest(found);
        }
        self.latest.as_mut().map(|(_, value)| value)
    }

    /// Sets the value of `log`, which is the latest from now on.
    pub(crate) fn insert(&mut self, log: LogId, value: V) {
        match self.get_mut(&log) {
            Some(old) => *old = value,
            None => self.make_latest((log, value)),
        }
    }

    fn make_latest(&mut self, entry: (LogId, V)) {
        if let Some((before, value)) = self.latest.replace(entry) {
            self.others.insert(before, value);
        }
    }

    pub(crate) fn remove(&mut self, log: &LogId) -> Option<V> {
        match self.latest.take_if(|(latest, _)| latest == log) {
            Some((_, value)) => Some(value),
            None => self.others.remove(log),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.others.len() + usize::from(self.latest.is_some())
    }

    /// In no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&LogId, &V)> {
        self.latest.iter().map(|(log, value)| (log, value)).chain(&self.others)
    }
}

impl<V> FromIterator<(LogId, V)> for LogMap<V> {
    fn from_iter<T: IntoIterator<Item = (LogId, V)>>(logs: T) -> Self {
        LogMap { latest: None, others: logs.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn a_log_map_is_a_map(steps: Vec<(u8, u8)>) {
            let (mut logs, mut model) = (LogMap::default(), HashMap::new());
            for (step, (what, number)) in steps.into_iter().enumerate() {
                let log = LogId::from((number % 4).to_string());
                match what % 4 {
                    0 => {
                        logs.insert(log.clone(), step);
                        model.insert(log.clone(), step);
                    }
                    1 => proptest::prop_assert_eq!(logs.get_mut(&log), model.get_mut(&log)),
                    2 => proptest::prop_assert_eq!(logs.remove(&log), model.remove(&log)),
                    _ => {}
                }
                proptest::prop_assert_eq!(logs.get(&log), model.get(&log));
                let all: HashMap<_, _> = logs.iter().map(|(log, value)| (log.clone(), *value)).collect();
                proptest::prop_assert_eq!(&all, &model);
                proptest::prop_assert_eq!(logs.len(), model.len());
            }
        }
    }
}
