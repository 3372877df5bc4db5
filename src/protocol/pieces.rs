//! Large nodes travel in pieces, and what has arrived of one outlives its link (docs/design/wire.md, "Pieces").
//!
//! A frame that is cut off has to be sent again from its beginning, so on a slow line, or one that breaks often, a large frame would
//! never arrive. Therefore a node of more than [`LARGE`] bytes is sent as pieces of [`PIECE`] bytes. The receiver keeps them in
//! [`Partials`], which all links of an emitter share, and says in its next session how much it has.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;

use super::message::MAX_LINKS;
use super::signed::{put_signed, read_signed};
use super::wire::{put_varint, take_hash, take_prefixed, take_varint};
use crate::incoming::Incoming;
use crate::node::{key_of, Key, Links, LogId, Node, Seq};

/// Bytes of a piece. On a line of 20 kbit/s it takes seven seconds: that is the most that a broken connection wastes.
pub const PIECE: usize = 16 * 1024;

/// A node of more bytes than this is sent in pieces. Smaller ones share batches.
pub const LARGE: usize = 64 * 1024;

/// Memory for incomplete nodes of all links of an emitter, in bytes, including the overhead of keeping them: four of the largest
/// events allowed by default. Together with the bounds for what links hold and for parked nodes, this is 256 MiB.
pub const MAX_PARTIAL_BYTES: usize = 32 * 1024 * 1024;

/// Incomplete nodes that are kept from one origin, and entries in one `Held` message.
pub const MAX_PARTIALS: usize = 64;

/// An incomplete node that was not continued for this many milliseconds is dropped.
pub const PARTIAL_MS: u64 = 60 * 60 * 1000;

/// How often such nodes are looked for, in milliseconds.
const SWEEP_MS: u64 = 60 * 1000;

/// An incomplete node that was not continued for this many milliseconds is dropped before others of its address prefix. A cut line is
/// redialled well within this time.
const IDLE_MS: u64 = 60 * 1000;

/// Memory that an incomplete node takes in addition to its bytes: its entries in the indexes, and its origin's log id.
const OVERHEAD: usize = 1024;

/// By how many bytes a node in pieces may exceed the largest event: enough for the most links that a node may have, and a
/// signature.
pub const BESIDE_VALUE: usize = 4 * 1024 * 1024;

/// A node as bytes: links, signature, value. Each piece names its log and seq separately.
#[derive(Debug)]
pub(crate) struct Blob {
    head: BytesMut,
    value: Bytes,
}

impl Blob {
    pub(crate) fn of(node: &Node) -> Self {
        let mut head = BytesMut::with_capacity(16 + node.links.len() * 32);
        put_varint(&mut head, node.links.len() as u64);
        for link in &node.links {
            head.put_slice(&link.0);
        }
        put_signed(&mut head, node.signed.as_deref());
        put_varint(&mut head, node.value.len() as u64);
        Blob { head, value: node.value.clone() }
    }

    pub(crate) fn len(&self) -> usize {
        self.head.len() + self.value.len()
    }

    /// Appends the piece of at most `size` bytes that begins at `offset`. Returns where it ends.
    pub(crate) fn put_piece(&self, out: &mut BytesMut, offset: usize, size: usize) -> usize {
        let end = (offset + size.min(PIECE)).min(self.len());
        let (from_head, to_head) = (offset.min(self.head.len()), end.min(self.head.len()));
        out.put_slice(self.head.get(from_head..to_head).unwrap_or_default());
        let value = |at: usize| at.saturating_sub(self.head.len());
        out.put_slice(self.value.get(value(offset)..value(end)).unwrap_or_default());
        end
    }
}

/// The node that `blob` encodes; `None` if it is malformed or not the one with this key.
fn parse(log: LogId, seq: Seq, key: Key, blob: Vec<u8>) -> Option<Incoming> {
    let blob = Bytes::from(blob);
    let mut body = blob.as_ref();
    let count = take_varint(&mut body).filter(|count| *count <= MAX_LINKS as u64)?;
    let mut links = Links::new();
    for _ in 0..count {
        links.push(Key(take_hash(&mut body)?));
    }
    let signed = read_signed(&mut body).ok()?;
    let value = take_prefixed(&mut body)?;
    if !body.is_empty() || key_of(&links, value) != key {
        return None;
    }
    let signed = (signed.identity.is_some() || signed.signature.is_some()).then(|| Arc::new(signed));
    Some(Incoming { log, seq, links, value: blob.slice_ref(value), signed, claimed: Some(key) })
}

/// One piece of a node, as a peer sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The log under which the sender has the node.
    pub log: LogId,
    /// Its seq there.
    pub seq: Seq,
    /// The node's key.
    pub key: Key,
    /// Bytes of the whole node.
    pub total: u64,
    /// Where the piece begins.
    pub offset: u64,
    /// The bytes of the piece.
    pub bytes: &'a [u8],
}

/// What a piece led to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// More pieces are expected.
    More,
    /// The node is complete.
    Whole(Box<Incoming>),
    /// The piece does not continue what has arrived, which is this many bytes.
    Gap(u64),
    /// All bytes have arrived, but they are not the node with this key. `true` if all of them came in this session. If not, the
    /// node has to be sent once more, and then this session's pieces are kept apart from those of others.
    Spoilt(bool),
}

/// Where pieces come from: an address prefix, and the log that the peer says it writes. Pieces of different origins are never put
/// together, so nobody can spoil what peers of other prefixes send.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PieceOrigin {
    /// Number of the address prefix, which the driver chooses.
    pub address_prefix: u64,
    /// The log of the peer's capability record.
    pub log: LogId,
}

/// Identifies an incomplete node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Id {
    origin: PieceOrigin,
    key: Key,
    total: u64,
    /// The only session that may continue it; set after sessions of the same origin have corrupted the node for each other.
    session: Option<u64>,
}

#[derive(Debug)]
struct Partial {
    id: Id,
    bytes: Vec<u8>,
    /// The session that brought all of it; `None` if there were several.
    session: Option<u64>,
    /// Whether it was corrupted by several sessions together. Each of them then begins again with an entry of its own, and this
    /// entry keeps no bytes.
    spoilt: bool,
    used_at: u64,
}

impl Partial {
    fn cost(&self) -> usize {
        self.bytes.capacity() + OVERHEAD
    }
}

/// The incomplete nodes from one address prefix, by when they began and by when they were last continued.
#[derive(Debug, Default)]
struct Share {
    bytes: usize,
    begun: BTreeSet<u64>,
    used: BTreeSet<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Inner {
    /// By number, in the order in which they were begun.
    partials: HashMap<u64, Partial>,
    numbers: HashMap<Id, u64>,
    origins: HashMap<PieceOrigin, BTreeSet<u64>>,
    prefixes: HashMap<u64, Share>,
    /// Prefixes by bytes.
    largest: BTreeSet<(usize, u64)>,
    bytes: usize,
    next: u64,
    sessions: u64,
    swept_at: u64,
}

/// Large nodes that have arrived in part. All links of an emitter share them. Their memory is bounded by [`MAX_PARTIAL_BYTES`], or by
/// the size of one node if that is larger.
#[derive(Clone, Debug, Default)]
pub struct Partials(Arc<Mutex<Inner>>);

impl Partials {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// The number of a new session.
    pub(crate) fn session(&self) -> u64 {
        let mut inner = self.0.lock();
        inner.sessions += 1;
        inner.sessions
    }

    /// How many bytes have arrived of each of this origin's nodes.
    pub(crate) fn held(&self, origin: &PieceOrigin) -> Vec<(Key, u64)> {
        let inner = self.0.lock();
        let of_origin = inner.origins.get(origin).into_iter().flatten();
        let partials = of_origin.filter_map(|number| inner.partials.get(number));
        let shared = partials.filter(|partial| partial.id.session.is_none() && !partial.spoilt);
        shared.map(|partial| (partial.id.key, partial.bytes.len() as u64)).take(MAX_PARTIALS).collect()
    }

    /// Adds a piece. `now` is the session's clock.
    pub(crate) fn add(&self, origin: &PieceOrigin, session: u64, piece: &Piece<'_>, now: u64) -> Progress {
        let mut inner = self.0.lock();
        inner.sweep(now);
        let mut id = Id { origin: origin.clone(), key: piece.key, total: piece.total, session: None };
        let shared = inner.numbers.get(&id).and_then(|number| inner.partials.get(number));
        if shared.is_some_and(|partial| partial.spoilt) {
            id.session = Some(session);
        }
        let number = inner.numbers.get(&id).copied();
        let held = number.and_then(|number| inner.partials.get(&number));
        let have = held.map_or(0, |partial| partial.bytes.len() as u64);
        let end = piece.offset.saturating_add(piece.bytes.len() as u64);
        if piece.offset > have || end > piece.total || piece.bytes.is_empty() {
            return Progress::Gap(have);
        }
        if end <= have {
            // The sender did not know yet how much had arrived.
            return Progress::More;
        }
        let number = number.unwrap_or_else(|| inner.begin(id.clone(), session, now));
        let new =
            usize::try_from(have - piece.offset).ok().and_then(|from| piece.bytes.get(from..)).unwrap_or_default();
        if !inner.grow(number, new, session, now) {
            return Progress::Gap(0);
        }
        if end < piece.total {
            return Progress::More;
        }
        let Some(partial) = inner.remove(number) else { return Progress::Gap(0) };
        if let Some(node) = parse(piece.log.clone(), piece.seq, piece.key, partial.bytes) {
            return Progress::Whole(Box::new(node));
        }
        let alone = partial.session == Some(session);
        if !alone {
            // A peer of the same origin has corrupted it. It will be sent once more, and no other session adds to that.
            let number = inner.begin(id, session, now);
            if let Some(partial) = inner.partials.get_mut(&number) {
                partial.spoilt = true;
            }
        }
        Progress::Spoilt(alone)
    }
}

impl Inner {
    fn begin(&mut self, id: Id, session: u64, now: u64) -> u64 {
        self.next += 1;
        let number = self.next;
        let prefix = id.origin.address_prefix;
        self.numbers.insert(id.clone(), number);
        self.origins.entry(id.origin.clone()).or_default().insert(number);
        let partial = Partial { id, bytes: Vec::new(), session: Some(session), spoilt: false, used_at: now };
        let cost = partial.cost();
        self.partials.insert(number, partial);
        let share = self.prefixes.entry(prefix).or_default();
        share.begun.insert(number);
        share.used.insert((now, number));
        self.recount(prefix, 0, cost);
        number
    }

    fn recount(&mut self, prefix: u64, less: usize, more: usize) {
        let Some(share) = self.prefixes.get_mut(&prefix) else { return };
        self.largest.remove(&(share.bytes, prefix));
        share.bytes = share.bytes + more - less;
        self.bytes = self.bytes + more - less;
        if share.begun.is_empty() {
            self.prefixes.remove(&prefix);
        } else {
            self.largest.insert((share.bytes, prefix));
        }
    }

    fn remove(&mut self, number: u64) -> Option<Partial> {
        let partial = self.partials.remove(&number)?;
        self.numbers.remove(&partial.id);
        if let Some(of_origin) = self.origins.get_mut(&partial.id.origin) {
            of_origin.remove(&number);
            if of_origin.is_empty() {
                self.origins.remove(&partial.id.origin);
            }
        }
        let prefix = partial.id.origin.address_prefix;
        if let Some(share) = self.prefixes.get_mut(&prefix) {
            share.begun.remove(&number);
            share.used.remove(&(partial.used_at, number));
        }
        self.recount(prefix, partial.cost(), 0);
        Some(partial)
    }

    /// Appends to a node. Returns whether there was room for it.
    fn grow(&mut self, number: u64, new: &[u8], session: u64, now: u64) -> bool {
        let Some(partial) = self.partials.get(&number) else { return false };
        let len = partial.bytes.len();
        let total = usize::try_from(partial.id.total).unwrap_or(usize::MAX);
        // Grows by a quarter at a time. A vector by itself would double.
        let capacity = match len + new.len() {
            enough if enough <= partial.bytes.capacity() => partial.bytes.capacity(),
            needed => needed.max(len + len / 4).min(total),
        };
        if !self.make_room(number, capacity - partial.bytes.capacity(), total, now) {
            return false;
        }
        let Some(partial) = self.partials.get_mut(&number) else { return false };
        let (before, used_at) = (partial.cost(), std::mem::replace(&mut partial.used_at, now));
        partial.bytes.reserve_exact(capacity - len);
        partial.bytes.extend_from_slice(new);
        partial.session = partial.session.filter(|only| *only == session);
        let (prefix, after) = (partial.id.origin.address_prefix, partial.cost());
        if let Some(share) = self.prefixes.get_mut(&prefix) {
            share.used.remove(&(used_at, number));
            share.used.insert((now, number));
        }
        self.recount(prefix, before, after);
        true
    }

    /// Makes room for `more` bytes of this node by dropping others. First the oldest one of the same origin, if there are too many.
    /// Then, of the address prefix that takes most, one that was not continued for [`IDLE_MS`], or else the newest one, so that
    /// those before it can be completed. Returns `false` if this node itself had to be dropped.
    fn make_room(&mut self, keep: u64, more: usize, total: usize, now: u64) -> bool {
        let origin = self.partials.get(&keep).and_then(|partial| self.origins.get(&partial.id.origin));
        let first = origin
            .filter(|numbers| numbers.len() > MAX_PARTIALS)
            .and_then(|numbers| numbers.iter().find(|number| **number != keep).copied());
        first.map(|number| self.remove(number));
        let most = MAX_PARTIAL_BYTES.max(total.saturating_add(OVERHEAD));
        while self.bytes + more > most {
            let share = self.largest.last().and_then(|(_, prefix)| self.prefixes.get(prefix));
            let Some(share) = share else { return false };
            let idle = share.used.first().filter(|(used_at, _)| used_at + IDLE_MS < now).map(|(_, number)| *number);
            let Some(victim) = idle.filter(|idle| *idle != keep).or(share.begun.last().copied()) else { return false };
            self.remove(victim);
            if victim == keep {
                return false;
            }
        }
        true
    }

    /// Drops nodes that are too old.
    fn sweep(&mut self, now: u64) {
        if now < self.swept_at.saturating_add(SWEEP_MS) {
            return;
        }
        self.swept_at = now;
        let is_old = |partial: &Partial| partial.used_at.saturating_add(PARTIAL_MS) < now;
        let old: Vec<u64> =
            self.partials.iter().filter(|(_, partial)| is_old(partial)).map(|(number, _)| *number).collect();
        for number in old {
            self.remove(number);
        }
    }
}

#[cfg(test)]
mod tests;
