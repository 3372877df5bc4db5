//! The container in which every event is stored, and the rules that protect 1.x peers.
//!
//! `Event { 1: name, 2: payload }` is hyperemitter 1.x's own (`codecs.proto`). Fields from 3 on are ours; protobuf
//! decoders of 1.x skip them. They are part of the node's value and so of its key: two peers that emit the same
//! payload from the same heads keep both events (docs/design/log.md, "Event container").

mod batch;
mod request;
mod tags;

use std::borrow::Cow;

use bytes::BufMut;

pub(crate) use self::batch::is_of_batch;
pub use self::batch::{following, put_following, FOLLOWING_LEN, MAX_BATCH_BYTES, MAX_BATCH_EVENTS};
pub use self::request::{put_request, request_len, MAX_REQUEST_LEN};
pub use self::tags::{check_tags, put_tag, tag_len, TagList, Tags, MAX_TAGS, MAX_TAG_LEN};
use crate::error::{quoted, Error, Result};
use crate::varint::{put_varint, take, take_varint, varint_len};

/// Bytes of a unique event id: 8 random ones per open of the store, then a little-endian counter.
pub const ID_LEN: usize = 12;

/// Bytes of an event id in a sealed log: 8 that name the log's owner, 4 random ones per open of the store, then the counter.
pub const SEALED_ID_LEN: usize = 16;

/// Members of `Object.prototype`. 1.x looks codecs up through the prototype chain, and crashes on these names.
const RESERVED: [&str; 12] = [
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

/// How a payload is encoded; container field 5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As protocol-buffers 3.2.1 writes it, but every message with its length; or a custom codec's own bytes. Field
    /// absent, on an event with an id.
    #[default]
    V1,
    /// Standard protobuf. Field = 1.
    Standard,
    /// As protocol-buffers 3.2.1 writes it, byte for byte. Field = 2, or absent on an event of 1.x, which has no id. It differs
    /// from [`Encoding::V1`] only in a few messages (`codec/v1/bare_fields.rs`), which early versions of 2.0 wrote differently.
    V1Exact,
    /// A mark of a later version; its payload cannot be decoded here.
    Unknown(u64),
}

impl Encoding {
    /// The value of container field 5.
    #[must_use]
    pub fn mark(self) -> u64 {
        match self {
            Encoding::V1 => 0,
            Encoding::Standard => 1,
            Encoding::V1Exact => 2,
            Encoding::Unknown(mark) => mark,
        }
    }

    /// The encoding with this mark.
    #[must_use]
    pub fn from_mark(mark: u64) -> Self {
        match mark {
            0 => Encoding::V1,
            1 => Encoding::Standard,
            2 => Encoding::V1Exact,
            other => Encoding::Unknown(other),
        }
    }
}

/// A decoded container. Everything borrows from the node's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Event name; invalid UTF-8 reads as U+FFFD, as in 1.x.
    pub name: Cow<'a, str>,
    /// Encoded payload.
    pub payload: &'a [u8],
    /// Unique id; absent on events of 1.x.
    pub id: Option<&'a [u8]>,
    /// Wall clock of the emitter in milliseconds since 1970; absent on events of 1.x.
    pub time: Option<u64>,
    /// How the payload is encoded.
    pub encoding: Encoding,
    /// Its tags.
    pub tags: Tags<'a>,
}

/// A decoded container whose name is still bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) id: Option<&'a [u8]>,
    pub(crate) time: Option<u64>,
    pub(crate) encoding: Encoding,
    pub(crate) tags: Tags<'a>,
    /// How many events of its batch follow, according to the container.
    pub(crate) batch: Option<u64>,
    /// Id of the request that brought it.
    pub(crate) request: Option<&'a [u8]>,
}

/// Appends a container without tags to `out`. `time` is in milliseconds since 1970.
///
/// # Panics
/// If `out` cannot grow and has less room than [`encoded_len`] bytes.
pub fn encode(out: &mut impl BufMut, name: &str, payload: &[u8], id: &[u8], time: u64, encoding: Encoding) {
    encode_tagged(out, name, payload, id, time, encoding, &[]);
}

/// Appends a container to `out`, with tags as [`put_tag`] has written them.
///
/// # Panics
/// If `out` cannot grow and has less room than [`encoded_len`] bytes and those of the tags.
pub fn encode_tagged(
    out: &mut impl BufMut,
    name: &str,
    payload: &[u8],
    id: &[u8],
    time: u64,
    encoding: Encoding,
    tags: &[u8],
) {
    put_bytes(out, 1, name.as_bytes());
    put_bytes(out, 2, payload);
    put_bytes(out, 3, id);
    out.put_u8(4 << 3);
    put_varint(out, time);
    if encoding != Encoding::V1 {
        out.put_u8(5 << 3);
        put_varint(out, encoding.mark());
    }
    out.put_slice(tags);
}

/// Size in bytes of the container that [`encode`] makes of a name and payload of these lengths, at the most.
#[must_use]
pub fn encoded_len(name: usize, payload: usize) -> usize {
    2 + varint_len(name as u64) + name + varint_len(payload as u64) + payload + 2 + SEALED_ID_LEN + 1 + 10 + 2
}

fn put_bytes(out: &mut impl BufMut, field: u8, bytes: &[u8]) {
    out.put_u8(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Decodes a container. Unknown fields are skipped, the last of repeated ones wins, as in 1.x. A name or payload of
/// another wire type is refused: 1.x would take it for the real one.
///
/// # Errors
/// `InvalidArgument` if the value is no container or lacks name or payload.
pub fn decode(value: &[u8]) -> Result<Event<'_>> {
    let parts = parse(value);
    let Parts { name, payload, id, time, encoding, tags, .. } =
        parts.ok_or_else(|| Error::InvalidArgument("the node's value is not an event container".into()))?;
    Ok(Event { name: String::from_utf8_lossy(name), payload, id, time, encoding, tags })
}

/// [`decode`] without decoding the name; `None` if the value is no container or lacks name or payload.
pub(crate) fn parse(value: &[u8]) -> Option<Parts<'_>> {
    let mut rest = value;
    let (mut name, mut payload, mut id, mut time, mut encoding) = (None, None, None, None, None);
    let (mut tagged, mut batch, mut request) = (None, None, None);
    while !rest.is_empty() {
        let field = rest;
        let tag = take_varint(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (4, 0) => time = Some(take_varint(&mut rest)?),
            (5, 0) => encoding = Some(Encoding::from_mark(take_varint(&mut rest)?)),
            (batch::FIELD, 0) => batch = Some(take_varint(&mut rest)?),
            // 1.x ignores the wire types of fields it knows, and would read something else here.
            (1 | 2, 0 | 1 | 5) => return None,
            (_, 0) => {
                take_varint(&mut rest)?;
            }
            (_, 1) => {
                take(&mut rest, 8)?;
            }
            (number, 2) => {
                let len = take_varint(&mut rest)?;
                let bytes = take(&mut rest, len)?;
                match number {
                    1 => name = Some(bytes),
                    2 => payload = Some(bytes),
                    3 => id = Some(bytes),
                    tags::FIELD => tagged = tagged.or(Some(field)),
                    request::FIELD => request = Some(bytes),
                    _ => {}
                }
            }
            (_, 5) => {
                take(&mut rest, 4)?;
            }
            _ => return None,
        }
    }
    let encoding = encoding.unwrap_or(if id.is_some() { Encoding::V1 } else { Encoding::V1Exact });
    let tags = tagged.map_or(Tags::default(), Tags::from);
    Some(Parts { name: name?, payload: payload?, id, time, encoding, tags, batch, request })
}

/// Refuses names that would crash a 1.x process.
///
/// # Errors
/// `ReservedName`.
pub fn check_name(name: &str) -> Result<()> {
    if is_reserved(name) {
        return Err(Error::ReservedName(name.to_owned()));
    }
    Ok(())
}

fn is_reserved(name: &str) -> bool {
    RESERVED.binary_search(&name).is_ok()
}

/// The reason why this value must not be sent to a 1.x peer, if there is one: it would crash or mislead a 1.x process.
#[must_use]
pub fn reason_unsafe_for_v1(value: &[u8]) -> Option<String> {
    let Ok(event) = decode(value) else {
        return Some("its value is not an event container".into());
    };
    if is_reserved(&event.name) {
        return Some(format!("its name {} is a member of Object.prototype", quoted(&event.name)));
    }
    if !matches!(event.encoding, Encoding::V1 | Encoding::V1Exact) {
        return Some(format!("event {} is in standard protobuf, which 1.x misreads", quoted(&event.name)));
    }
    if event.name == "EventPeer" && !announces_an_address(event.payload) {
        return Some("it is an EventPeer without addresses".into());
    }
    None
}

/// Whether an `EventPeer { 1: id, 2: addresses }` payload decodes in 1.x and has at least one address.
fn announces_an_address(payload: &[u8]) -> bool {
    let mut rest = payload;
    let (mut id, mut addresses) = (false, false);
    while !rest.is_empty() {
        match take_field(&mut rest) {
            Some((1, 2, _)) => id = true,
            Some((2, 2, address)) if is_address(address) => addresses = true,
            Some((1 | 2, ..)) | None => return false,
            Some(_) => {}
        }
    }
    id && addresses
}

/// Whether a `PeerAddress { 1: ip, 2: port }` decodes; 1.x requires both.
fn is_address(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let (mut ip, mut port) = (false, false);
    while !rest.is_empty() {
        match take_field(&mut rest) {
            Some((1, 2, _)) => ip = true,
            Some((2, 0, _)) => port = true,
            Some((1 | 2, ..)) | None => return false,
            Some(_) => {}
        }
    }
    ip && port
}

/// The length-delimited fields, up to the first field of another wire type.
fn take_fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || take_field(&mut rest))
        .filter_map(|(number, wire, content)| (wire == 2).then_some((number, content)))
}

/// Removes the next field from `rest`. Returns its number, its wire type, and its content if it is length-delimited.
fn take_field<'a>(rest: &mut &'a [u8]) -> Option<(u64, u64, &'a [u8])> {
    let tag = take_varint(rest)?;
    let content = match tag & 7 {
        0 => take_varint(rest).map(|_| &[][..]),
        1 => take(rest, 8),
        2 => take_varint(rest).and_then(|len| take(rest, len)),
        5 => take(rest, 4),
        _ => None,
    };
    Some((tag >> 3, tag & 7, content?))
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn sample(name: &str, payload: &[u8], encoding: Encoding) -> BytesMut {
        let mut out = BytesMut::new();
        encode(&mut out, name, payload, &[7; ID_LEN], 1_790_000_000_000, encoding);
        out
    }

    #[test]
    fn a_container_comes_apart_as_it_was_put_together() {
        let value = sample("userAdded", b"payload", Encoding::Standard);
        let event = decode(&value).unwrap();
        assert_eq!(event.name, "userAdded");
        assert_eq!(event.payload, b"payload");
        assert_eq!(event.id, Some(&[7_u8; ID_LEN][..]));
        assert_eq!(event.time, Some(1_790_000_000_000));
        assert_eq!(event.encoding, Encoding::Standard);
        assert!(value.len() <= encoded_len(9, 7));
        assert!(event.tags.is_empty());
    }

    #[test]
    fn tags_stand_behind_all_else_and_cost_events_without_any_nothing() {
        let (mut tags, mut tagged) = (BytesMut::new(), BytesMut::new());
        ["order:7", "user:3"].iter().for_each(|tag| put_tag(&mut tags, tag));
        encode_tagged(&mut tagged, "userAdded", b"payload", &[7; ID_LEN], 5, Encoding::V1Exact, &tags);
        let mut plain = BytesMut::new();
        encode(&mut plain, "userAdded", b"payload", &[7; ID_LEN], 5, Encoding::V1Exact);
        assert_eq!(tagged.strip_prefix(&plain[..]), Some(&b"\x32\x07order:7\x32\x06user:3"[..]));
        let event = decode(&tagged).unwrap();
        assert_eq!(event.tags.list().as_slice(), ["order:7", "user:3"]);
        assert_eq!((event.payload, event.encoding), (&b"payload"[..], Encoding::V1Exact));
        assert_eq!(reason_unsafe_for_v1(&tagged), None);
    }

    #[test]
    fn a_container_of_1x_has_neither_id_nor_time() {
        let event = decode(b"\x0a\x01a\x12\x02hi").unwrap();
        assert_eq!((event.id, event.time, event.encoding), (None, None, Encoding::V1Exact));
    }

    #[test]
    fn the_mark_of_1x_bytes_is_written_and_does_1x_no_harm() {
        for encoding in [Encoding::V1, Encoding::V1Exact] {
            let value = sample("tree", b"x", encoding);
            assert_eq!(decode(&value).unwrap().encoding, encoding);
            assert_eq!(reason_unsafe_for_v1(&value), None);
        }
        assert!(sample("tree", b"x", Encoding::V1Exact).ends_with(b"\x28\x02"));
        assert!(reason_unsafe_for_v1(&sample("tree", b"x", Encoding::Standard)).is_some());
    }

    #[test]
    fn cut_containers_are_refused_at_every_length() {
        let value = sample("a", b"", Encoding::V1);
        for len in 0..value.len() {
            let _ = decode(&value[..len]);
        }
        assert!(decode(&value[..3]).is_err());
        assert!(decode(b"").is_err());
    }

    #[test]
    fn names_that_kill_1x_are_refused_and_others_not() {
        assert!(RESERVED.windows(2).all(|pair| pair[0] < pair[1]), "binary search needs order");
        for name in RESERVED {
            assert_eq!(check_name(name).unwrap_err().code(), "ERR_HYPER_RESERVED_NAME");
            assert!(reason_unsafe_for_v1(&sample(name, b"", Encoding::V1)).is_some());
        }
        check_name("").unwrap();
        check_name("userAdded").unwrap();
        assert_eq!(reason_unsafe_for_v1(&sample("userAdded", b"x", Encoding::V1)), None);
    }

    #[test]
    fn an_event_peer_without_addresses_is_harmful() {
        assert!(reason_unsafe_for_v1(&sample("EventPeer", b"\x0a\x01i", Encoding::V1)).is_some());
        assert_eq!(
            reason_unsafe_for_v1(&sample("EventPeer", b"\x0a\x01i\x12\x05\x0a\x01h\x10\x01", Encoding::V1)),
            None
        );
    }

    #[test]
    fn what_only_1x_would_read_as_something_harmful_is_harmful() {
        // By the wire types these are a number and unknown fields. 1.x ignores the wire type, and takes what follows for the name.
        let hidden = b"\x12\x00\x0a\x02ok\x08\x09EventPeer\x1a\x01\x00";
        assert!(decode(hidden).is_err());
        assert!(reason_unsafe_for_v1(hidden).is_some());
        // Addresses without ip or port, cut short, or of another wire type do not decode in 1.x.
        for address in
            [&b"\x12\x00"[..], b"\x12\x02\x10\x01", b"\x12\x03\x0a\x01h", b"\x12\x04\x0a\x05h\x10", b"\x10\x01"]
        {
            let payload = [b"\x0a\x01i\x12\x05\x0a\x01h\x10\x01", address].concat();
            assert!(reason_unsafe_for_v1(&sample("EventPeer", &payload, Encoding::V1)).is_some(), "{address:?}");
        }
    }
}
