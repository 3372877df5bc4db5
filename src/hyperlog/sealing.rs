//! Seals on rows of our own logs. They are made when a group is committed, or, with a store in memory, when rows are sent to a
//! peer. Also finds the seals of entries that have moved to another log.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::error::Result;
use crate::event::{following, is_of_batch};
use crate::identity::key::SIGNATURE_LEN;
use crate::identity::seal::{claims_owner, owner_tag, seal, SealSpan, OWNER_TAG_LEN};
use crate::identity::{PublicKey, SecretKey};
use crate::node::{Digest, Key, LogId, Node, NodeRef, Seq, Signed};
use crate::row::{Body, NewRow, Row};
use crate::store::{Meta, Store};

/// Seals made for peers that are kept: all links read the same rows at about the same time, and one signature serves them all.
const MAX_KEPT: usize = 4096;

/// Logs for which the number of moved entries is remembered. Each fork makes one.
const MAX_MOVED: usize = 1024;

/// The signature slot of a node that carries this seal.
pub(super) fn signed(seal: Bytes) -> Arc<Signed> {
    Arc::new(Signed { identity: None, signature: Some(seal) })
}

/// An entry that moves to another log.
pub(super) struct MovedEntry {
    pub(super) key: Key,
    /// Bytes of its value.
    pub(super) size: usize,
    /// No event of its batch follows.
    pub(super) ends_batch: bool,
}

/// Seals the rows of one key's logs.
pub(super) struct Sealer {
    key: SecretKey,
    public: PublicKey,
    /// The prefix of the ids of the key's logs.
    prefix: String,
    kept: Mutex<HashMap<(LogId, Seq), [u8; SIGNATURE_LEN]>>,
}

impl Sealer {
    pub(super) fn new(key: SecretKey) -> Self {
        let public = key.public();
        Sealer { key, public, prefix: format!("{public}."), kept: Mutex::default() }
    }

    pub(super) fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The prefix of the ids of our events.
    pub(super) fn tag(&self) -> [u8; OWNER_TAG_LEN] {
        owner_tag(&self.public)
    }

    /// Whether a log is one of ours.
    pub(super) fn owns(&self, log: &str) -> bool {
        log.starts_with(&self.prefix)
    }

    /// Seals rows that are about to be committed: our last row, and the rows at which a seal is due.
    pub(super) fn seal_group(&self, rows: &mut [NewRow]) {
        let mut span = SealSpan::default();
        let mut due = Vec::new();
        let mut last = None;
        for (index, row) in rows.iter().enumerate() {
            let Some(node) = row.node().filter(|node| self.owns(&node.log)) else { continue };
            if node.signed.is_some() {
                span.sealed();
                last = None;
            } else if span.is_due(&node.value) {
                due.push(index);
                span.sealed();
                last = None;
            } else {
                last = Some(index);
            }
        }
        for index in due.into_iter().chain(last) {
            if let Some(row) = rows.get_mut(index) {
                let digest = row.digest;
                if let Body::Node(node) = &mut row.body {
                    *node = with_seal(node, Some(self.sign(&node.log, node.seq, &digest)));
                }
            }
        }
    }

    /// The seals of a log that begins with these moved entries. Their distances are those of entries that are written to the log.
    pub(super) fn seals_of_moved(&self, log: &LogId, keys: &[MovedEntry]) -> Vec<(Seq, Bytes)> {
        let (mut span, mut digest, mut seals) = (SealSpan::default(), Digest::default(), Vec::new());
        for (seq, MovedEntry { key, size, ends_batch }) in (1..).zip(keys) {
            digest = digest.extend(key);
            if span.add(*size) && (*ends_batch || span.is_over()) || seq == keys.len() as Seq {
                span.sealed();
                seals.push((seq, Bytes::copy_from_slice(&seal(&self.key, log, seq, &digest))));
            }
        }
        seals
    }

    fn sign(&self, log: &LogId, seq: Seq, digest: &Digest) -> Bytes {
        Bytes::copy_from_slice(&seal(&self.key, log, seq, digest))
    }

    /// Seals rows that are sent to a peer, if the store keeps them without seals: of each of our logs, the last row that ends a
    /// batch or is a single event, and the rows at which a seal is due.
    fn seal_leaving(&self, rows: &mut [Row], store: &dyn Store) -> Result<()> {
        let mut spans: Vec<(LogId, SealSpan)> = Vec::new();
        let mut due = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            if row.again.is_some() || !self.owns(&row.node.log) {
                continue;
            }
            let found = match spans.iter_mut().find(|(log, _)| Arc::ptr_eq(log, &row.node.log) || *log == row.node.log)
            {
                Some(found) => found,
                None => {
                    spans.push((row.node.log.clone(), SealSpan::default()));
                    let Some(new) = spans.last_mut() else { continue };
                    new
                }
            };
            if found.1.is_due(&row.node.value) {
                found.1.sealed();
                due.push(index);
            }
        }
        for (log, _) in &spans {
            let is_of_log = |row: &Row| row.again.is_none() && row.node.log == *log;
            let ends_batch = |row: &Row| is_of_log(row) && following(&row.node.value) == 0;
            due.extend(rows.iter().rposition(ends_batch));
            // The first row may continue a batch whose earlier rows were sent without a seal.
            if rows.iter().find(|row| is_of_log(row)).is_some_and(|first| is_of_batch(&first.node.value)) {
                due.extend(rows.iter().position(ends_batch));
            }
        }
        due.sort_unstable();
        due.dedup();
        for index in due {
            if let Some(row) = rows.get_mut(index) {
                let (log, seq) = (row.node.log.clone(), row.node.seq);
                if let Some(seal) = self.kept_seal(&log, seq, store)? {
                    row.node = with_seal(&row.node, Some(seal));
                }
            }
        }
        Ok(())
    }

    fn kept_seal(&self, log: &LogId, seq: Seq, store: &dyn Store) -> Result<Option<Bytes>> {
        let place = (log.clone(), seq);
        if let Some(seal) = self.kept.lock().get(&place) {
            return Ok(Some(Bytes::copy_from_slice(seal)));
        }
        // There is no digest if the entry has moved in the meantime; then the session is about to start anew.
        let Some(digest) = store.digest(log, seq)? else { return Ok(None) };
        let made = seal(&self.key, log, seq, &digest);
        let mut kept = self.kept.lock();
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(place, made);
        Ok(Some(Bytes::copy_from_slice(&made)))
    }

    /// Forgets seals because entries have moved: a sealed position may hold another entry now.
    pub(super) fn forget(&self) {
        self.kept.lock().clear();
    }
}

fn with_seal(node: &NodeRef, seal: Option<Bytes>) -> NodeRef {
    NodeRef::from(Node { signed: seal.map(signed), ..(**node).clone() })
}

/// Finds seals that are not in their node's signature slot.
#[derive(Default)]
pub(super) struct MovedSeals {
    /// How many of a log's first entries were moved there.
    moved: Mutex<HashMap<LogId, Seq>>,
}

impl MovedSeals {
    /// The facts that keep seals of entries moved to a log.
    pub(super) fn facts(log: &LogId, moved: Seq, seals: Vec<(Seq, Bytes)>) -> Vec<(Meta, Option<Bytes>)> {
        let count = (Meta::Seal(log.clone(), 0), Some(moved.to_string().into()));
        let seals = seals.into_iter().map(|(seq, seal)| (Meta::Seal(log.clone(), seq), Some(seal)));
        std::iter::once(count).chain(seals).collect()
    }

    /// Forgets the numbers, because entries have moved.
    pub(super) fn forget(&self) {
        self.moved.lock().clear();
    }

    fn moved(&self, log: &LogId, store: &dyn Store) -> Result<Seq> {
        if let Some(moved) = self.moved.lock().get(log) {
            return Ok(*moved);
        }
        let fact = store.meta(&Meta::Seal(log.clone(), 0))?;
        let moved = fact.and_then(|fact| std::str::from_utf8(&fact).ok()?.parse().ok()).unwrap_or(0);
        let mut known = self.moved.lock();
        if known.len() >= MAX_MOVED {
            known.clear();
        }
        known.insert(log.clone(), moved);
        Ok(moved)
    }

    /// The seal of a stored row. May block.
    pub(super) fn of(&self, row: &Row, store: &dyn Store) -> Result<Option<Arc<Signed>>> {
        if !claims_owner(row.log()) || row.again.is_none() && row.node.seq > self.moved(&row.node.log, store)? {
            return Ok(row.node.signed.clone());
        }
        Ok(store.meta(&Meta::Seal(row.log().clone(), row.seq()))?.map(signed))
    }
}

/// Gives rows their seals before they are sent to a peer.
pub(super) struct Leaving<'a> {
    pub(super) sealer: Option<&'a Sealer>,
    pub(super) moved: &'a MovedSeals,
    pub(super) store: &'a dyn Store,
}

impl Leaving<'_> {
    /// Puts each row's seal into its node, unless it is there already. May block if the store does.
    pub(super) fn seal(&self, rows: &mut [Row]) -> Result<()> {
        for of_log in rows.chunk_by_mut(is_same_log) {
            let Some(log) = of_log.first().map(|row| row.log().clone()).filter(|log| claims_owner(log)) else {
                continue;
            };
            let moved = self.moved.moved(&log, self.store)?;
            for row in of_log.iter_mut().filter(|row| row.again.is_some() || row.node.seq <= moved) {
                let kept = self.moved.of(row, self.store)?;
                row.node = with_seal(&row.node, kept.and_then(|signed| signed.signature.clone()));
            }
        }
        match self.sealer {
            Some(sealer) if self.store.is_immediate() => sealer.seal_leaving(rows, self.store),
            _ => Ok(()),
        }
    }

    /// Whether [`Leaving::seal`] has nothing to look up in the store.
    pub(super) fn is_at_hand(&self, rows: &[Row]) -> bool {
        rows.chunk_by(is_same_log).all(|of_log| {
            let Some(log) = of_log.first().map(Row::log).filter(|log| claims_owner(log)) else { return true };
            let moved = self.moved.moved.lock().get(log).copied();
            of_log.iter().all(|row| row.again.is_none() && moved.is_some_and(|moved| row.node.seq > moved))
        })
    }
}

fn is_same_log(a: &Row, b: &Row) -> bool {
    Arc::ptr_eq(a.log(), b.log())
}
