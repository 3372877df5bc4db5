//! Large nodes travel in pieces, and what has arrived of one outlives its link (docs/design/wire.md, "Pieces").
//!
//! A frame that is cut off has to come again from its beginning. On a slow line, or one that breaks often, a large frame
//! would never arrive. So a node of more than [`LARGE`] bytes is sent as pieces of [`PIECE`] bytes each. The receiver
//! keeps them in [`Partials`], which all links of an emitter share, and says in its next session how much it holds.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use parking_lot::Mutex;

use super::batch::{put_signed, read_signed};
use super::incoming::Incoming;
use super::message::MAX_LINKS;
use super::wire::{put_varint, take_hash, take_prefixed, take_varint};
use crate::node::{key_of, Key, Links, LogId, Node, Seq};

/// Bytes of a piece. Seven seconds of a line of 20 kbit/s: what a cut can waste there.
pub const PIECE: usize = 16 * 1024;

/// A node that takes more bytes than this is sent in pieces; several smaller ones share a batch.
pub const LARGE: usize = 64 * 1024;

/// Bytes of incomplete nodes that an emitter keeps, for all of its links. Eight of the largest events allowed by default.
pub const MAX_PARTIAL_BYTES: usize = 64 * 1024 * 1024;

/// Incomplete nodes that an emitter keeps of one origin, and that one message tells of.
pub const MAX_PARTIALS: usize = 64;

/// What is not continued for this long is dropped, in milliseconds: its sender has other things to do, or is gone.
pub const PARTIAL_MS: u64 = 60 * 60 * 1000;

/// A node as bytes: links, signature, value. Its log and seq are said beside it.
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

    /// Appends the piece that begins at `offset`; answers where it ends.
    pub(crate) fn put_piece(&self, out: &mut BytesMut, offset: usize) -> usize {
        let end = (offset + PIECE).min(self.len());
        let (from_head, to_head) = (offset.min(self.head.len()), end.min(self.head.len()));
        out.put_slice(self.head.get(from_head..to_head).unwrap_or_default());
        let value = |at: usize| at.saturating_sub(self.head.len());
        out.put_slice(self.value.get(value(offset)..value(end)).unwrap_or_default());
        end
    }
}

/// The node that `blob` is, or nothing if it is not the one with this key.
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

/// One piece, as a peer sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The log under which the sender has the node.
    pub log: LogId,
    /// Its seq there.
    pub seq: Seq,
    /// The node's key.
    pub key: Key,
    /// Bytes of the whole.
    pub total: u64,
    /// Where the piece begins.
    pub offset: u64,
    /// The piece.
    pub bytes: &'a [u8],
}

/// What a piece led to.
#[derive(Debug)]
pub(crate) enum Progress {
    /// More are to come.
    More,
    /// The node is complete.
    Whole(Box<Incoming>),
    /// The piece does not continue what is here: so many bytes are.
    Gap(u64),
    /// All bytes are there and are not the node with this key. `true` if every one of them came in this session.
    Spoilt(bool),
}

/// Where pieces come from: a network and the log that the peer says it writes. What one origin brought, no other continues,
/// so nobody can spoil what honest peers send.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PieceOrigin {
    /// Number of the network, as the driver counts them.
    pub network: u64,
    /// The log of the peer's capability record.
    pub log: LogId,
}

#[derive(Debug)]
struct Partial {
    bytes: Vec<u8>,
    total: u64,
    /// The session that began it.
    session: u64,
    used_at: u64,
}

#[derive(Debug, Default)]
struct Inner {
    partials: HashMap<(PieceOrigin, Key), Partial>,
    bytes: usize,
    sessions: u64,
}

/// What has arrived of large nodes: shared by all links of an emitter, and bounded by [`MAX_PARTIAL_BYTES`].
#[derive(Clone, Debug, Default)]
pub struct Partials(Arc<Mutex<Inner>>);

impl Partials {
    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.lock().bytes
    }

    /// A number for a new session.
    pub(crate) fn session(&self) -> u64 {
        let mut inner = self.0.lock();
        inner.sessions += 1;
        inner.sessions
    }

    /// What is held of this origin's nodes.
    pub(crate) fn held(&self, origin: &PieceOrigin) -> Vec<(Key, u64)> {
        let inner = self.0.lock();
        let mut held: Vec<_> = inner
            .partials
            .iter()
            .filter(|((of, _), _)| of == origin)
            .map(|((_, key), partial)| (*key, partial.bytes.len() as u64))
            .collect();
        held.sort_unstable_by_key(|(key, _)| key.0);
        held.truncate(MAX_PARTIALS);
        held
    }

    /// Takes a piece in. `now` is the session's clock.
    pub(crate) fn add(&self, origin: &PieceOrigin, session: u64, piece: &Piece<'_>, now: u64) -> Progress {
        let mut inner = self.0.lock();
        let id = (origin.clone(), piece.key);
        let held = inner.partials.get(&id).filter(|partial| partial.total == piece.total);
        let have = held.map_or(0, |partial| partial.bytes.len() as u64);
        let end = piece.offset.saturating_add(piece.bytes.len() as u64);
        if piece.offset > have || end > piece.total || piece.bytes.is_empty() {
            return Progress::Gap(have);
        }
        if end <= have {
            // It comes again: the sender did not know yet how much is here.
            return Progress::More;
        }
        if held.is_none() {
            inner.drop_one(&id);
            let partial = Partial { bytes: Vec::new(), total: piece.total, session, used_at: now };
            inner.partials.insert(id.clone(), partial);
        }
        let new =
            usize::try_from(have - piece.offset).ok().and_then(|from| piece.bytes.get(from..)).unwrap_or_default();
        inner.make_room(&id, new.len(), now);
        let Some(partial) = inner.partials.get_mut(&id) else { return Progress::Gap(0) };
        partial.bytes.extend_from_slice(new);
        partial.used_at = now;
        inner.bytes += new.len();
        if end < piece.total {
            return Progress::More;
        }
        let Some(partial) = inner.drop_one(&id) else { return Progress::Gap(0) };
        drop(inner);
        match parse(piece.log.clone(), piece.seq, piece.key, partial.bytes) {
            Some(node) => Progress::Whole(Box::new(node)),
            None => Progress::Spoilt(partial.session == session),
        }
    }
}

impl Inner {
    fn drop_one(&mut self, id: &(PieceOrigin, Key)) -> Option<Partial> {
        let partial = self.partials.remove(id)?;
        self.bytes -= partial.bytes.len();
        Some(partial)
    }

    /// Drops what is old, then what was used longest ago by whoever holds most, until `more` bytes fit in.
    fn make_room(&mut self, keep: &(PieceOrigin, Key), more: usize, now: u64) {
        let old: Vec<_> = self
            .partials
            .iter()
            .filter(|(_, each)| each.used_at + PARTIAL_MS < now)
            .map(|(id, _)| id.clone())
            .collect();
        for id in old.iter().filter(|id| *id != keep) {
            self.drop_one(id);
        }
        loop {
            let mine = self.partials.keys().filter(|(origin, _)| *origin == keep.0).count();
            let full = self.bytes + more > MAX_PARTIAL_BYTES;
            if !full && mine <= MAX_PARTIALS {
                return;
            }
            let mut held: HashMap<u64, usize> = HashMap::new();
            for ((origin, _), partial) in &self.partials {
                *held.entry(origin.network).or_default() += partial.bytes.len();
            }
            let most = held.into_iter().max_by_key(|(_, bytes)| *bytes).map(|(network, _)| network);
            let victim = self
                .partials
                .iter()
                .filter(|(id, _)| *id != keep && if full { Some(id.0.network) == most } else { id.0 == keep.0 })
                .min_by_key(|(_, partial)| partial.used_at)
                .map(|(id, _)| id.clone());
            match victim {
                Some(id) => drop(self.drop_one(&id)),
                // The one that grows is all that its network has: it gives way itself.
                None => {
                    self.drop_one(keep);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(size: usize, links: usize) -> Node {
        let links: Links = (0..links).map(|n| key_of(&[], &n.to_le_bytes())).collect();
        let value = Bytes::from((0..size).map(|n| (n % 251) as u8).collect::<Vec<_>>());
        Node { key: key_of(&links, &value), change: 1, log: "a".into(), seq: 7, links, value, signed: None }
    }

    fn origin(network: u64) -> PieceOrigin {
        PieceOrigin { network, log: "theirs".into() }
    }

    fn piece<'a>(node: &Node, blob: &Blob, out: &'a mut BytesMut, offset: usize) -> Piece<'a> {
        blob.put_piece(out, offset);
        Piece {
            log: node.log.clone(),
            seq: node.seq,
            key: node.key,
            total: blob.len() as u64,
            offset: offset as u64,
            bytes: out,
        }
    }

    /// Sends pieces from `offset` until told otherwise.
    fn send(
        partials: &Partials,
        origin: &PieceOrigin,
        session: u64,
        node: &Node,
        mut offset: usize,
        most: usize,
    ) -> Progress {
        let blob = Blob::of(node);
        let mut last = Progress::More;
        for _ in 0..most {
            let mut out = BytesMut::new();
            last = partials.add(origin, session, &piece(node, &blob, &mut out, offset), 0);
            offset += out.len();
            if offset >= blob.len() || !matches!(last, Progress::More) {
                break;
            }
        }
        last
    }

    #[test]
    fn a_node_in_pieces_is_the_node_also_over_several_sessions() {
        for (size, links) in [(LARGE + 1, 0), (1 << 20, 3), (10, 5000), (3 * PIECE, 1)] {
            let partials = Partials::default();
            let node = node(size, links);
            let blob = Blob::of(&node);
            for session in 1.. {
                let held = partials.held(&origin(1));
                let from = held.first().map_or(0, |(key, bytes)| {
                    assert_eq!(*key, node.key);
                    usize::try_from(*bytes).unwrap()
                });
                assert_eq!(from, (session as usize - 1) * 2 * PIECE, "a session goes on where the one before ended");
                match send(&partials, &origin(1), session, &node, from, 2) {
                    Progress::More => {}
                    Progress::Whole(whole) => {
                        assert_eq!((whole.links, whole.value, whole.seq), (node.links.clone(), node.value.clone(), 7));
                        break;
                    }
                    other => panic!("{other:?} of {} bytes", blob.len()),
                }
            }
            assert_eq!(partials.bytes(), 0);
        }
    }

    #[test]
    fn what_one_network_spoils_another_brings_whole() {
        let partials = Partials::default();
        let node = node(1 << 20, 0);
        let other = Node { value: Bytes::from(vec![0; 1 << 20]), ..node.clone() };
        assert!(matches!(send(&partials, &origin(1), 1, &other, 0, 3), Progress::More));
        assert!(matches!(send(&partials, &origin(2), 2, &node, 0, 1000), Progress::Whole(_)));
        // What an earlier session left is not held against this one; what this one sent, is.
        assert!(matches!(send(&partials, &origin(1), 3, &node, 3 * PIECE, 1000), Progress::Spoilt(false)));
        assert!(matches!(send(&partials, &origin(1), 3, &other, 0, 1000), Progress::Spoilt(true)));
    }

    #[test]
    fn what_does_not_continue_is_asked_for_from_where_it_ends() {
        let partials = Partials::default();
        let node = node(1 << 20, 0);
        assert!(matches!(send(&partials, &origin(1), 1, &node, 5 * PIECE, 1), Progress::Gap(0)));
        assert!(matches!(send(&partials, &origin(1), 1, &node, 0, 2), Progress::More));
        assert!(matches!(send(&partials, &origin(1), 1, &node, 0, 1), Progress::More));
        assert!(
            matches!(send(&partials, &origin(1), 1, &node, 3 * PIECE, 1), Progress::Gap(have) if have == 2 * PIECE as u64)
        );
    }

    #[test]
    fn hoarders_displace_themselves() {
        let partials = Partials::default();
        let honest = node(4 << 20, 0);
        assert!(matches!(send(&partials, &origin(1), 1, &honest, 0, 100), Progress::More));
        for number in 0..200_u64 {
            let mut hoarded = node(2 << 20, 0);
            hoarded.key = key_of(&[], &number.to_le_bytes());
            send(&partials, &origin(2), 2, &hoarded, 0, 127);
            assert!(partials.bytes() <= MAX_PARTIAL_BYTES);
        }
        assert!(partials.held(&origin(2)).len() <= MAX_PARTIALS);
        assert_eq!(partials.held(&origin(1)), [(honest.key, 100 * PIECE as u64)]);
    }
}
