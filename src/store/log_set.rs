//! The heads of all logs, and digests over sets of logs. With these, two stores with many logs find out which logs differ by
//! exchanging few bytes.
//!
//! Logs are ordered by their *hash*, the first eight bytes of blake3 over the id. The set of all logs whose hashes begin
//! with the same hexadecimal digits, a [`Prefix`], is a *bucket*, and has a digest that depends on nothing but the logs in
//! it (docs/design/log.md, "Comparing many logs").

use std::collections::HashMap;

use crate::branch::Branch;
use crate::node::{Digest, LogId, Seq};
use crate::row::LogHead;

/// Logs of the largest bucket whose digest is computed from the logs themselves. The digest of a larger bucket is computed from its
/// sixteen parts. The number is small enough that one changed log costs only some microseconds of hashing, and large enough that
/// the tree takes only a tenth of the memory of the logs. It is part of the format.
pub const LEAF_LOGS: usize = 64;

/// Digits of a hash.
const DIGITS: u8 = 16;

/// Parts of a bucket.
pub const PARTS: usize = 16;

/// The first digits of hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The digits, in the highest bits; the others are 0.
    bits: u64,
    digits: u8,
}

impl Prefix {
    /// The prefix of all hashes.
    pub const ROOT: Prefix = Prefix { bits: 0, digits: 0 };

    /// The first `digits` digits of `hash`; all sixteen if there are no more.
    #[must_use]
    pub fn of(hash: u64, digits: u8) -> Self {
        let digits = digits.min(DIGITS);
        let mask = u64::MAX.checked_shl(u32::from(DIGITS - digits) * 4).unwrap_or(0);
        Prefix { bits: hash & mask, digits }
    }

    /// This prefix extended by a digit; `None` if it is complete.
    #[must_use]
    pub fn part(self, digit: u8) -> Option<Self> {
        let rest = DIGITS.checked_sub(self.digits + 1)?;
        Some(Prefix { bits: self.bits | u64::from(digit & 15) << (4 * rest), digits: self.digits + 1 })
    }

    /// The digits, in the highest bits.
    #[must_use]
    pub fn bits(self) -> u64 {
        self.bits
    }

    /// How many digits.
    #[must_use]
    pub fn digits(self) -> u8 {
        self.digits
    }

    /// Whether a hash begins with these digits.
    #[must_use]
    pub fn holds(self, hash: u64) -> bool {
        Prefix::of(hash, self.digits) == self
    }
}

/// Number and digest of the logs in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// How many.
    pub logs: u64,
    /// Their digest; the zero digest if there are none.
    pub digest: Digest,
}

/// The hash by which logs are ordered. Finding an id whose hash begins with n given digits takes 2^4n attempts.
#[must_use]
pub fn id_hash(log: &str) -> u64 {
    blake3::hash(log.as_bytes()).as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

/// The heads of all logs.
///
/// A change of a log is only noted. Digests are computed on demand, if their bucket has changed.
#[derive(Debug, Default)]
pub struct LogSet {
    heads: HashMap<LogId, Head>,
    /// Logs not yet in the tree, or changed since; each once.
    unsettled: Vec<LogId>,
    tree: Tree,
    #[cfg(test)]
    hashed: usize,
}

#[derive(Debug)]
struct Head {
    seq: Seq,
    digest: Digest,
    /// Whether the log is in the tree.
    filed: bool,
    /// Whether the log is in `unsettled`.
    noted: bool,
}

#[derive(Debug, Default)]
struct Tree {
    logs: u32,
    /// `None` if something has changed.
    digest: Option<Digest>,
    parts: Parts,
}

#[derive(Debug)]
enum Parts {
    /// At most [`LEAF_LOGS`] logs; more only if all digits of their hashes are equal.
    Logs(Vec<(u64, LogId)>),
    Buckets(Box<[Tree; PARTS]>),
}

impl Default for Parts {
    fn default() -> Self {
        Parts::Logs(Vec::new())
    }
}

impl LogSet {
    /// How many logs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Last seq of a log and the digest up to there, if it has entries.
    #[must_use]
    pub fn get(&self, log: &str) -> Option<(Seq, Digest)> {
        self.heads.get(log).map(|head| (head.seq, head.digest))
    }

    /// Head of a log, if it has entries.
    #[must_use]
    pub fn head(&self, log: &str) -> Option<LogHead> {
        self.heads.get_key_value(log).map(|(log, head)| head.of(log))
    }

    /// All heads, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = LogHead> + '_ {
        self.heads.iter().map(|(log, head)| head.of(log))
    }

    /// Sets the head of a log that has grown, or is new.
    pub fn set(&mut self, log: &LogId, seq: Seq, digest: Digest) {
        if let Some(head) = self.heads.get_mut(log) {
            (head.seq, head.digest) = (seq, digest);
            if !std::mem::replace(&mut head.noted, true) {
                self.unsettled.push(log.clone());
            }
            return;
        }
        self.heads.insert(log.clone(), Head { seq, digest, filed: false, noted: true });
        self.unsettled.push(log.clone());
    }

    /// How many logs have changed that are not in the tree's digests yet.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    /// Takes some of the logs that have changed into the tree, at most `most`.
    pub fn settle(&mut self, most: usize) {
        let rest = self.unsettled.len().saturating_sub(most);
        for log in self.unsettled.drain(rest..) {
            let Some(head) = self.heads.get_mut(&log) else { continue };
            head.noted = false;
            let hash = id_hash(&log);
            if std::mem::replace(&mut head.filed, true) {
                self.tree.touch(hash);
            } else {
                self.tree.insert(hash, log, 0);
            }
        }
        if self.unsettled.is_empty() {
            // After opening, these are all logs.
            self.unsettled.shrink_to(LEAF_LOGS);
        }
    }

    /// The logs in `prefix`.
    pub fn bucket(&mut self, prefix: Prefix) -> Bucket {
        self.settle(usize::MAX);
        let mut hasher = Hasher { heads: &self.heads, hashed: 0 };
        let bucket = self.tree.find(prefix, &mut hasher);
        #[cfg(test)]
        {
            self.hashed += hasher.hashed;
        }
        bucket
    }

    /// The sixteen parts of `prefix`; empty ones if it has no more digits.
    pub fn parts(&mut self, prefix: Prefix) -> [Bucket; PARTS] {
        let mut parts = [Bucket::default(); PARTS];
        for (digit, part) in (0..).zip(&mut parts) {
            if let Some(prefix) = prefix.part(digit) {
                *part = self.bucket(prefix);
            }
        }
        parts
    }

    /// Heads of the logs in `prefix`, in order of their hashes.
    pub fn logs_in(&mut self, prefix: Prefix) -> Vec<LogHead> {
        self.settle(usize::MAX);
        let mut found = Vec::new();
        self.tree.collect(prefix, &mut found);
        found.sort_unstable();
        found.into_iter().filter_map(|(_, log)| self.head(&log)).collect()
    }
}

impl Head {
    fn of(&self, log: &LogId) -> LogHead {
        LogHead { log: log.clone(), seq: self.seq, digest: self.digest }
    }
}

impl FromIterator<LogHead> for LogSet {
    fn from_iter<T: IntoIterator<Item = LogHead>>(heads: T) -> Self {
        let mut set = LogSet::default();
        for LogHead { log, seq, digest } in heads {
            set.set(&log, seq, digest);
        }
        set
    }
}

/// Computes digests, and counts the work.
struct Hasher<'a> {
    heads: &'a HashMap<LogId, Head>,
    /// Logs and parts that went into digests.
    hashed: usize,
}

impl Hasher<'_> {
    fn logs<'a>(&mut self, logs: impl Iterator<Item = &'a LogId>) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"L");
        for log in logs {
            let Some(head) = self.heads.get(log) else { continue };
            hash_head(&mut hasher, log, head.seq, &head.digest);
            self.hashed += 1;
        }
        Digest(*hasher.finalize().as_bytes())
    }

    fn parts(&mut self, digests: impl Iterator<Item = Digest>) -> Digest {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"P");
        for digest in digests {
            hasher.update(&digest.0);
            self.hashed += 1;
        }
        Digest(*hasher.finalize().as_bytes())
    }
}

/// Digest over all logs: blake3 over, for each log in order of its id, the id, its seq and its digest. Equal on two stores exactly
/// when they hold the same logs. Branches do not count: a store that has got one may hold its entries under the log's own id since.
pub(crate) fn digest_of(mut logs: Vec<LogHead>) -> Digest {
    logs.retain(|head| Branch::of(&head.log).is_none());
    logs.sort_by(|a, b| a.log.cmp(&b.log));
    let mut hasher = blake3::Hasher::new();
    for log in &logs {
        hash_head(&mut hasher, &log.log, log.seq, &log.digest);
    }
    Digest(*hasher.finalize().as_bytes())
}

/// One log in a digest over several.
pub(crate) fn hash_head(hasher: &mut blake3::Hasher, log: &str, seq: Seq, digest: &Digest) {
    hasher.update(&(log.len() as u64).to_le_bytes());
    hasher.update(log.as_bytes());
    hasher.update(&seq.to_le_bytes());
    hasher.update(&digest.0);
}

/// Digit `depth` of a hash.
fn digit(hash: u64, depth: u8) -> usize {
    let shift = 4 * u32::from(DIGITS.saturating_sub(depth + 1));
    ((hash >> shift) & 15) as usize
}

impl Tree {
    fn touch(&mut self, hash: u64) {
        let (mut at, mut depth) = (self, 0);
        loop {
            at.digest = None;
            let Parts::Buckets(parts) = &mut at.parts else { return };
            let Some(next) = parts.get_mut(digit(hash, depth)) else { return };
            (at, depth) = (next, depth + 1);
        }
    }

    fn insert(&mut self, hash: u64, log: LogId, depth: u8) {
        self.digest = None;
        self.logs = self.logs.saturating_add(1);
        match &mut self.parts {
            Parts::Logs(logs) if logs.len() < LEAF_LOGS || depth == DIGITS => logs.push((hash, log)),
            Parts::Logs(logs) => {
                let mut parts = Box::<[Tree; PARTS]>::default();
                let logs = std::mem::take(logs).into_iter().chain(std::iter::once((hash, log)));
                for (hash, log) in logs {
                    if let Some(part) = parts.get_mut(digit(hash, depth)) {
                        part.insert(hash, log, depth + 1);
                    }
                }
                self.parts = Parts::Buckets(parts);
            }
            Parts::Buckets(parts) => {
                if let Some(part) = parts.get_mut(digit(hash, depth)) {
                    part.insert(hash, log, depth + 1);
                }
            }
        }
    }

    /// The bucket of `prefix`, which begins with the digits of this branch.
    fn find(&mut self, prefix: Prefix, hasher: &mut Hasher<'_>) -> Bucket {
        let (mut at, mut depth) = (self, 0);
        while depth < prefix.digits {
            match &mut at.parts {
                Parts::Buckets(parts) => {
                    let Some(next) = parts.get_mut(digit(prefix.bits, depth)) else { return Bucket::default() };
                    (at, depth) = (next, depth + 1);
                }
                Parts::Logs(logs) => {
                    logs.sort();
                    let within = logs.iter().filter(|(hash, _)| prefix.holds(*hash));
                    let logs = within.clone().count() as u64;
                    let digest = if logs == 0 { Digest::default() } else { hasher.logs(within.map(|(_, log)| log)) };
                    return Bucket { logs, digest };
                }
            }
        }
        Bucket { logs: at.logs.into(), digest: at.digest(hasher) }
    }

    fn digest(&mut self, hasher: &mut Hasher<'_>) -> Digest {
        if self.logs == 0 {
            return Digest::default();
        }
        if let Some(digest) = self.digest {
            return digest;
        }
        let digest = match &mut self.parts {
            Parts::Logs(logs) => {
                logs.sort();
                hasher.logs(logs.iter().map(|(_, log)| log))
            }
            Parts::Buckets(parts) => {
                let digests: Vec<Digest> = parts.iter_mut().map(|part| part.digest(hasher)).collect();
                hasher.parts(digests.into_iter())
            }
        };
        self.digest = Some(digest);
        digest
    }

    fn collect(&self, prefix: Prefix, found: &mut Vec<(u64, LogId)>) {
        let (mut at, mut depth) = (self, 0);
        while let (Parts::Buckets(parts), true) = (&at.parts, depth < prefix.digits) {
            let Some(next) = parts.get(digit(prefix.bits, depth)) else { return };
            (at, depth) = (next, depth + 1);
        }
        let mut rest = vec![at];
        while let Some(tree) = rest.pop() {
            match &tree.parts {
                Parts::Logs(logs) => found.extend(logs.iter().filter(|(hash, _)| prefix.holds(*hash)).cloned()),
                Parts::Buckets(parts) => rest.extend(parts.iter()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
