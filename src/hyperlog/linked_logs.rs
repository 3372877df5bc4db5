//! The logs that a node's links lead to.

use std::collections::HashSet;

use crate::node::LogId;
use crate::row::LogLinks;

/// Logs other than the node's own, each once, in the order in which they are noted.
pub(super) struct LinkedLogs<'a> {
    own: &'a LogId,
    pub(super) noted: LogLinks,
    /// The same logs as a set, once there are too many to compare one by one.
    seen: HashSet<LogId>,
    /// Comparisons of ids. A test checks that they do not grow with the square of the links.
    #[cfg(test)]
    compared: usize,
}

/// Up to this many ids are compared one by one; beyond it, a set is faster.
const FEW_LOGS: usize = 16;

impl<'a> LinkedLogs<'a> {
    /// Starts with no logs. `own`, the node's own log, is not counted.
    pub(super) fn new(own: &'a LogId) -> Self {
        LinkedLogs {
            own,
            noted: LogLinks::new(),
            seen: HashSet::new(),
            #[cfg(test)]
            compared: 0,
        }
    }

    /// Adds a log that a link leads to.
    pub(super) fn note(&mut self, log: &LogId) {
        if log == self.own {
            return;
        }
        #[cfg(test)]
        {
            self.compared += self.noted.len().min(FEW_LOGS);
        }
        let new = if self.noted.len() < FEW_LOGS {
            !self.noted.contains(log)
        } else {
            if self.seen.is_empty() {
                self.seen.extend(self.noted.iter().cloned());
            }
            self.seen.insert(log.clone())
        };
        if new {
            self.noted.push(log.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noting_logs_takes_few_comparisons_however_many_there_are() {
        for logs in [1_000, 10_000, 100_000] {
            let own = LogId::from("own");
            let mut noted = LinkedLogs::new(&own);
            let ids: Vec<LogId> = (0..logs).map(|number| number.to_string().into()).collect();
            for id in ids.iter().chain(&ids).chain([&own]) {
                noted.note(id);
            }
            assert!(noted.noted.iter().eq(&ids), "each once, in order");
            assert!(noted.compared <= 2 * logs * FEW_LOGS);
        }
    }
}
