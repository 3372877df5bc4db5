//! Names for versions of a log that has forked.
//!
//! Where two peers hold different nodes under one entry of a log, each keeps its own version under the log's id. The other's
//! version, from the first entry that differs on, is a log of its own there, its *branch*. Its id is `fork-`, that entry's seq,
//! `-`, the key of its node, `-`, and the id of the log: `fork-7-94ee…-cjx5w8ca4…`. So everybody gives a version the same name, and
//! entry n of a branch that begins with entry f is the log's entry f + n - 1. A branch that forks has branches of the same log, not of
//! its own.

use crate::identity::seal::claims_owner;
use crate::node::{Key, LogId, Seq};

const PREFIX: &str = "fork-";

/// Bytes of a branch's id at the most: no peer takes a longer id.
pub const MAX_BRANCH_ID: usize = 256;

/// An id of a branch, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch<'a> {
    /// The log of which it is a version.
    pub log: &'a str,
    /// The seq of its first entry there.
    pub from: Seq,
    /// The node of that entry.
    pub first: Key,
}

impl<'a> Branch<'a> {
    /// What `id` says, if it is that of a branch. Sealed logs have none, and branches neither.
    #[must_use]
    pub fn of(id: &'a str) -> Option<Self> {
        let (from, rest) = id.strip_prefix(PREFIX).filter(|_| id.len() <= MAX_BRANCH_ID)?.split_once('-')?;
        let (first, log) = rest.split_once('-')?;
        let branch = Branch { log, from: from.parse().ok()?, first: Key::from_hex(first.as_bytes())? };
        let has_branches = !log.is_empty() && !claims_owner(log) && Branch::of(log).is_none();
        // One spelling: no sign, no leading zeros.
        (has_branches && branch.from > 0 && from == branch.from.to_string()).then_some(branch)
    }

    /// The seq that entry `seq` of the branch has in its log.
    #[must_use]
    pub fn seq_in_log(&self, seq: Seq) -> Seq {
        self.from.saturating_add(seq.saturating_sub(1))
    }
}

/// The id of the branch that begins with the entry `seq` of `log`, whose node is `first`. `None` for sealed logs, and for ids so long that
/// a branch's would be too long.
#[must_use]
pub fn name(log: &str, seq: Seq, first: &Key) -> Option<LogId> {
    let (log, seq) = match Branch::of(log) {
        Some(branch) => (branch.log, branch.seq_in_log(seq)),
        None => (log, seq),
    };
    let name = format!("{PREFIX}{seq}-{first}-{log}");
    Branch::of(&name).is_some().then(|| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_log_its_first_entry_and_that_entrys_node() {
        let (key, other) = (Key([7; 32]), Key([8; 32]));
        let id = name("a-log", 5, &key).unwrap();
        assert_eq!(Branch::of(&id), Some(Branch { log: "a-log", from: 5, first: key }));
        assert_eq!(Branch::of(&id).map(|branch| branch.seq_in_log(3)), Some(7));
        // A branch that forks has branches of the same log.
        assert_eq!(name(&id, 3, &other), name("a-log", 7, &other));
    }

    #[test]
    fn other_ids_are_no_branches() {
        let key = Key([7; 32]);
        let branch = name("a", 1, &key).unwrap();
        let ids = [
            String::new(),
            "fork-".into(),
            "cjx5w8ca40000q7l2v5yd3f8k".into(),
            "fork-1-2-a".into(),
            format!("fork-{key}"),
            format!("fork-1-{key}-"),
            format!("fork-0-{key}-a"),
            format!("fork-01-{key}-a"),
            format!("fork-+1-{key}-a"),
            format!("fork-1-{key}-{branch}"),
            format!("fork-1-{key}-ed25519-x"),
        ];
        for id in ids {
            assert_eq!(Branch::of(&id), None, "{id}");
        }
        assert!(name("ed25519-x", 1, &key).is_none() && name(&"x".repeat(250), 1, &key).is_none());
    }

    #[test]
    fn no_branch_has_an_id_that_is_too_long() {
        let key = Key([7; 32]);
        let longest = MAX_BRANCH_ID - format!("{PREFIX}1-{key}-").len();
        assert!(name(&"x".repeat(longest), 1, &key).is_some() && name(&"x".repeat(longest + 1), 1, &key).is_none());
        let deep = (0..10_000).fold(String::from("a"), |log, _| format!("fork-1-{key}-{log}"));
        assert!(Branch::of(&deep).is_none());
    }
}
