//! A history from a seed: the commits to make, and what a store must hold after any number of them.

use std::sync::Arc;

use bytes::Bytes;
use hyperemitter::node::{key_of, Digest, Key, Links, LogId, Node};
use hyperemitter::store::conformance::{compare_searches, random_event, Random};
use hyperemitter::store::{Body, Commit, Meta, NewRow, Position, ReadLimit, Store};

struct Log {
    id: LogId,
    seq: u64,
    digest: Digest,
}

/// What one commit left behind.
#[derive(Clone, Debug, PartialEq)]
struct After {
    rows: usize,
    fact: Option<Bytes>,
}

/// The commits so far.
pub struct History {
    random: Random,
    logs: Vec<Log>,
    /// Position, log, seq and key of every row.
    rows: Vec<(Position, LogId, u64, Key)>,
    last: Option<Key>,
    /// After each commit, the first being none at all.
    after: Vec<After>,
    /// Largest commit, in rows.
    group: usize,
    /// Values are events, with names and tags.
    events: bool,
}

impl History {
    pub fn new(seed: u64, group: usize) -> Self {
        let log = |id: &str| Log { id: Arc::from(id), seq: 0, digest: Digest::default() };
        History {
            random: Random(seed),
            logs: vec![log("cjld2cjxh0000qzrmn831i7rn"), log("cjld2cyuq0000t3rmniod1foy")],
            rows: Vec::new(),
            last: None,
            after: vec![After { rows: 0, fact: None }],
            group,
            events: false,
        }
    }

    /// One whose values are events, with names and tags.
    #[allow(dead_code)] // not every test needs them
    pub fn of_events(seed: u64, group: usize) -> Self {
        History { events: true, ..History::new(seed, group) }
    }

    /// The next commit. The history counts it as made.
    pub fn next(&mut self) -> Commit {
        let mut commit = Commit::default();
        for _ in 0..1 + self.random.below(self.group) {
            let end = self.rows.last().map_or(Position::START, |row| row.0);
            let log = self.random.below(2);
            let (id, seq) = (self.logs[log].id.clone(), self.logs[log].seq + 1);
            let duplicate = end.change > 0 && self.random.once_in(20);
            let (at, body, key) = if duplicate {
                let change = 1 + self.random.draw() % end.change;
                let key = self.rows[self.rows.partition_point(|row| row.0 < Position::of(change))].3;
                let at = Position { change: end.change, duplicate: end.duplicate + 1 };
                (at, Body::Duplicate { change, key, log: id.clone(), seq }, key)
            } else {
                let len = if self.random.once_in(200) { 20_000 } else { 8 + self.random.below(100) };
                let value = if self.events {
                    random_event(&mut self.random, end.change, len)
                } else {
                    let mut value = self.random.bytes(len);
                    value[..8].copy_from_slice(&end.change.to_le_bytes());
                    value
                };
                let links: Links = self.last.into_iter().collect();
                let (key, change) = (key_of(&links, &value), end.change + 1);
                let value = Bytes::from(value);
                self.last = Some(key);
                let node = Node { key, change, log: id.clone(), seq, links, value, signed: None };
                (Position::of(change), Body::Node(node.into()), key)
            };
            let log = &mut self.logs[log];
            log.seq = seq;
            log.digest = log.digest.extend(&key);
            self.rows.push((at, id, seq, key));
            commit.rows.push(NewRow { at, digest: log.digest, log_links: Default::default(), body });
        }
        let mut fact = self.after.last().unwrap().fact.clone();
        if self.random.once_in(3) {
            fact = Some(Bytes::from(self.rows.len().to_string()));
            commit.meta.push((Meta::Position("mirror".into()), fact.clone()));
        }
        self.after.push(After { rows: self.rows.len(), fact });
        commit
    }

    /// Rows made so far.
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Says what is wrong with a store of which `acknowledged` commits were acknowledged, and one more may be there.
    /// Returns the number of commits it holds.
    pub fn compare(&self, store: &dyn Store, acknowledged: usize) -> Result<usize, String> {
        let (mut rows, mut nodes) = (Vec::new(), Vec::new());
        let mut after = Position::START;
        loop {
            let part = store.read(after, ReadLimit { rows: 512, bytes: 1 << 20 }).map_err(|error| error.to_string())?;
            let Some(last) = part.last() else { break };
            after = last.at;
            for row in part {
                if key_of(&row.node.links, &row.node.value) != row.node.key {
                    return Err(format!("the node at {:?} is not what was hashed", row.at));
                }
                rows.push((row.at, row.log().clone(), row.seq(), row.node.key));
                nodes.push(row);
            }
        }
        let held = self.after.iter().rposition(|after| after.rows == rows.len());
        let held = held.ok_or_else(|| format!("{} rows end within a commit", rows.len()))?;
        if held < acknowledged {
            return Err(format!("{held} commits, {acknowledged} were acknowledged"));
        }
        if held > acknowledged + 1 {
            return Err(format!("{held} commits, {acknowledged} were acknowledged and one was under way"));
        }
        if rows[..] != self.rows[..rows.len()] {
            return Err("rows differ from those written".to_owned());
        }
        let fact = store.meta(&Meta::Position("mirror".into())).map_err(|error| error.to_string())?;
        if fact != self.after[held].fact {
            return Err(format!("the fact is {fact:?}, not {:?}", self.after[held].fact));
        }
        for log in store.state().map_err(|error| error.to_string())?.logs {
            let keys = rows.iter().filter(|row| row.1 == log.log).map(|row| &row.3);
            if keys.fold(Digest::default(), |digest, key| digest.extend(key)) != log.digest {
                return Err(format!("the digest of {} differs", log.log));
            }
        }
        compare_searches(store, &nodes, &mut Random(rows.len() as u64), 4);
        store.check(&mut |_, _| {}).map_err(|error| error.to_string())?;
        Ok(held)
    }

    /// Forgets commits that a crash took, so that the next one continues what the store holds.
    pub fn rewind(&mut self, commits: usize) {
        self.after.truncate(commits + 1);
        self.rows.truncate(self.after[commits].rows);
        for log in &mut self.logs {
            let keys = self.rows.iter().filter(|row| row.1 == log.id).map(|row| row.3);
            (log.seq, log.digest) =
                keys.fold((0, Digest::default()), |(seq, digest), key| (seq + 1, digest.extend(&key)));
        }
        self.last = self.rows.iter().rev().find(|row| row.0.duplicate == 0).map(|row| row.3);
    }
}
