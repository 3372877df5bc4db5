//! A node on its way from a peer into the log, and the outcome.

use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;
use crate::node::{Key, Links, LogId, Seq, Signed};

/// A node as a peer sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Log under which the peer has it.
    pub log: LogId,
    /// Its seq in that log; 0 if the peer gave none (1.x then takes the next one).
    pub seq: Seq,
    /// Keys of its causes, in hashed order.
    pub links: Links,
    /// The event container.
    pub value: Bytes,
    /// Identity and signature, unchecked.
    pub signed: Option<Arc<Signed>>,
    /// The key the peer claims; `None` if it gave none, which skips the comparison.
    pub claimed: Option<Key>,
}

/// Bytes of memory that a node takes beside its parts: the struct, and its entries in a queue and an index.
const BOOKKEEPING: usize = 256;

impl Incoming {
    /// Bytes of memory that it takes: everything that grows with what the peer sent, counted in full.
    #[must_use]
    pub fn cost(&self) -> usize {
        let signed = self.signed.as_ref().map_or(0, |signed| {
            [&signed.identity, &signed.signature].into_iter().flatten().map(Bytes::len).sum::<usize>()
        });
        BOOKKEEPING + self.log.len() + self.value.len() + self.links.len() * size_of::<Key>() + signed
    }
}

/// The outcome for one incoming node.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Stored, durably.
    Added,
    /// The same, with rows of its log that had come before it and waited for its seal.
    AddedWith {
        /// How many.
        rows: u64,
        /// What they cost ([`Incoming::cost`]).
        bytes: u64,
    },
    /// Stored already.
    Known,
    /// Set aside until something it depends on arrives.
    Parked,
    /// It can never be stored; the session decides what that means for the link.
    Refused(Error),
}
