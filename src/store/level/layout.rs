//! hyperemitter 1.x's keys and values, byte for byte (docs/design/level.md).

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::error::{Error, Result};
use crate::node::{Change, Key, Links, LogId, Node, Seq, Signed};

/// The log's own id, text.
pub const LOG_ID: &str = "!!id";
/// The emitter's id, text.
pub const STORE_ID: &str = "!!STOREID!!";
/// Peers to dial at start, JSON.
pub const PEERS: &str = "!!PEERS!!";
/// The last announced address record, JSON.
pub const MY_EVENT_PEER: &str = "!!MYEVENTPEER!!";
/// Prefix of all change keys.
pub const CHANGES: &str = "!changes!";
/// Prefix of all head keys.
pub const HEADS: &str = "!heads!";
/// Prefix of all log entry keys.
pub const LOGS: &str = "!logs!";
const NODES: &str = "!nodes!";

/// Largest integer that 1.x's order-preserving text holds in five bytes. 1.x rounds larger ones.
pub const MAX_ORDERED: u64 = 251 + u32::MAX as u64;

/// 1.x's order-preserving integer as lowercase hex (npm `lexicographic-integer`): numbers below 251 are one
/// byte; a first byte of 251 to 254 announces one to four big-endian bytes of `n - 251`.
///
/// # Errors
/// `Conflict` above [`MAX_ORDERED`], where the text would no longer be exact.
pub fn push_ordered(out: &mut String, n: u64) -> Result<()> {
    let (first, rest, width) = match n.checked_sub(251) {
        None => (n, 0, 0),
        Some(x) if x < 1 << 8 => (251, x, 1),
        Some(x) if x < 1 << 16 => (252, x, 2),
        Some(x) if x < 1 << 24 => (253, x, 3),
        Some(x) if x < 1 << 32 => (254, x, 4),
        Some(_) => {
            return Err(Error::Conflict(format!("{n} is above {MAX_ORDERED}, where the keys of a Level store end")))
        }
    };
    push_hex(out, first);
    for index in (0..width).rev() {
        push_hex(out, rest >> (8 * index));
    }
    Ok(())
}

/// The lowest byte of `n` as two digits.
fn push_hex(out: &mut String, n: u64) {
    for shift in [4, 0] {
        let nibble = u32::try_from((n >> shift) & 15).unwrap_or(0);
        out.push(char::from_digit(nibble, 16).unwrap_or('0'));
    }
}

/// Reads back exactly what [`push_ordered`] writes. Anything else is not an integer of 1.x.
#[must_use]
pub fn parse_ordered(text: &[u8]) -> Option<u64> {
    if text.len() > 10 || !text.len().is_multiple_of(2) {
        return None;
    }
    let mut bytes = text.chunks_exact(2).map(hex_byte);
    let first = bytes.next()??;
    let mut rest = 0;
    let mut width = 0;
    for byte in bytes {
        rest = rest << 8 | byte?;
        width += 1;
    }
    let n = if first < 251 { first } else { 251 + rest };
    let wanted = if first < 251 { 0 } else { first - 250 };
    // Only the shortest form is accepted; otherwise two keys would mean the same number.
    let shortest = width < 2 || rest >> (8 * (width - 1)) != 0;
    (wanted == width && shortest).then_some(n)
}

fn hex_byte(pair: &[u8]) -> Option<u64> {
    let mut value = 0;
    for digit in pair {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        value = value << 4 | u64::from(digit);
    }
    Some(value)
}

/// The key of the record that names the node with this change.
///
/// # Errors
/// As [`push_ordered`].
pub fn change_key(change: Change) -> Result<String> {
    let mut key = String::with_capacity(CHANGES.len() + 10);
    key.push_str(CHANGES);
    push_ordered(&mut key, change)?;
    Ok(key)
}

/// The change in a change key.
#[must_use]
pub fn parse_change_key(key: &[u8]) -> Option<Change> {
    parse_ordered(key.strip_prefix(CHANGES.as_bytes())?)
}

/// The key of a node's record.
#[must_use]
pub fn node_key(key: &Key) -> String {
    with_hex(NODES, key)
}

/// The key of a head's record.
#[must_use]
pub fn head_key(key: &Key) -> String {
    with_hex(HEADS, key)
}

fn with_hex(prefix: &str, key: &Key) -> String {
    let mut out = String::with_capacity(prefix.len() + Key::HEX_LEN);
    out.push_str(prefix);
    out.extend(key.to_hex().map(char::from));
    out
}

/// The prefix of all entry keys of a log. A hex integer follows, so `g` ends the range.
#[must_use]
pub fn log_prefix(log: &str) -> String {
    format!("{LOGS}{log}!")
}

/// The key of a log entry's record.
///
/// # Errors
/// As [`push_ordered`].
pub fn entry_key(log: &str, seq: Seq) -> Result<String> {
    let mut key = String::with_capacity(LOGS.len() + log.len() + 11);
    key.push_str(LOGS);
    key.push_str(log);
    key.push('!');
    push_ordered(&mut key, seq)?;
    Ok(key)
}

/// The log and seq in an entry key, split at its last `!` as 1.x does.
#[must_use]
pub fn parse_entry_key(key: &[u8]) -> Option<(&str, Seq)> {
    let (log, seq) = split_log_seq(key.strip_prefix(LOGS.as_bytes())?)?;
    Some((log, seq))
}

/// `log!seq`, with the seq as an ordered integer.
#[must_use]
pub fn split_log_seq(text: &[u8]) -> Option<(&str, Seq)> {
    let text = std::str::from_utf8(text).ok()?;
    let (log, seq) = text.rsplit_once('!')?;
    let seq = parse_ordered(seq.as_bytes())?;
    (!log.is_empty() && seq > 0).then_some((log, seq))
}

/// The key text of a change or head record.
#[must_use]
pub fn key_value(key: &Key) -> String {
    with_hex("", key)
}

/// A log entry as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRecord {
    /// Change of its node.
    pub change: Change,
    /// Its node.
    pub key: Key,
    /// Logs, other than the entry's own, under which the node's links are stored.
    pub log_links: Vec<LogId>,
}

#[derive(Clone, PartialEq, Message)]
struct NodeMessage {
    #[prost(uint64, optional, tag = "1")]
    change: Option<u64>,
    #[prost(string, optional, tag = "2")]
    key: Option<String>,
    #[prost(string, optional, tag = "3")]
    log: Option<String>,
    #[prost(uint64, optional, tag = "4")]
    seq: Option<u64>,
    #[prost(bytes = "bytes", optional, tag = "5")]
    value: Option<Bytes>,
    #[prost(string, repeated, tag = "6")]
    links: Vec<String>,
    #[prost(bytes = "bytes", optional, tag = "7")]
    identity: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "8")]
    signature: Option<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct EntryMessage {
    #[prost(uint64, optional, tag = "1")]
    change: Option<u64>,
    #[prost(string, optional, tag = "2")]
    node: Option<String>,
    #[prost(string, repeated, tag = "3")]
    links: Vec<String>,
}

/// A node record. 1.x writes its fields in the order of their declaration: 1, 2, 3, 4, 7, 8, 5, 6.
#[must_use]
pub fn encode_node(node: &Node) -> Bytes {
    let mut out = BytesMut::with_capacity(node.value.len() + node.log.len() + 66 * (node.links.len() + 1) + 40);
    put_number(&mut out, 1, node.change);
    put_bytes(&mut out, 2, &node.key.to_hex());
    put_bytes(&mut out, 3, node.log.as_bytes());
    put_number(&mut out, 4, node.seq);
    if let Some(signed) = &node.signed {
        for (field, part) in [(7, &signed.identity), (8, &signed.signature)] {
            if let Some(part) = part {
                put_bytes(&mut out, field, part);
            }
        }
    }
    put_bytes(&mut out, 5, &node.value);
    for link in &node.links {
        put_bytes(&mut out, 6, &link.to_hex());
    }
    out.freeze()
}

/// Reads a node record; `name` is its key, for the error text.
///
/// # Errors
/// `Damaged` if it is not a whole node whose key is the one in `name`.
pub fn decode_node(name: &str, record: Bytes) -> Result<Node> {
    let read = || -> Result<Node, String> {
        let message = NodeMessage::decode(record).map_err(|error| error.to_string())?;
        let key = message.key.ok_or("it has no key")?;
        if name.strip_prefix(NODES) != Some(key.as_str()) {
            return Err(format!("it names itself {key:?}"));
        }
        let signed = Signed { identity: message.identity, signature: message.signature };
        Ok(Node {
            key: Key::from_hex(key.as_bytes()).ok_or("its key is not 64 hex digits")?,
            change: message.change.filter(|change| *change > 0).ok_or("it has no change")?,
            log: message.log.ok_or("it has no log")?.into(),
            seq: message.seq.filter(|seq| *seq > 0).ok_or("it has no seq")?,
            links: message
                .links
                .iter()
                .map(|link| Key::from_hex(link.as_bytes()))
                .collect::<Option<Links>>()
                .ok_or("a link is not 64 hex digits")?,
            value: message.value.ok_or("it has no value")?,
            signed: (signed != Signed::default()).then(|| signed.into()),
        })
    };
    read().map_err(|detail| Error::damaged(name, format!("not a node record: {detail}")))
}

/// A log entry record.
pub fn encode_entry<'a>(change: Change, key: &Key, log_links: impl IntoIterator<Item = &'a LogId>) -> Bytes {
    let mut out = BytesMut::with_capacity(112);
    put_number(&mut out, 1, change);
    put_bytes(&mut out, 2, &key.to_hex());
    for log in log_links {
        put_bytes(&mut out, 3, log.as_bytes());
    }
    out.freeze()
}

/// Reads a log entry record; `name` is its key, for the error text.
///
/// # Errors
/// `Damaged` if it is not an entry record.
pub fn decode_entry(name: &str, record: Bytes) -> Result<EntryRecord> {
    let read = || -> Result<EntryRecord, String> {
        let message = EntryMessage::decode(record).map_err(|error| error.to_string())?;
        let node = message.node.ok_or("it names no node")?;
        Ok(EntryRecord {
            change: message.change.filter(|change| *change > 0).ok_or("it has no change")?,
            key: Key::from_hex(node.as_bytes()).ok_or("its node is not 64 hex digits")?,
            log_links: message.links.into_iter().map(LogId::from).collect(),
        })
    };
    read().map_err(|detail| Error::damaged(name, format!("not a log entry: {detail}")))
}

fn put_number(out: &mut BytesMut, field: u8, n: u64) {
    out.put_u8(field << 3);
    prost::encoding::encode_varint(n, out);
}

fn put_bytes(out: &mut BytesMut, field: u8, bytes: &[u8]) {
    out.put_u8(field << 3 | 2);
    prost::encoding::encode_varint(bytes.len() as u64, out);
    out.put_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ordered(n: u64) -> String {
        let mut out = String::new();
        push_ordered(&mut out, n).unwrap();
        out
    }

    #[test]
    fn integers_are_written_as_1_x_wrote_them() {
        let cases: Vec<(u64, String)> =
            serde_json::from_str(include_str!("../../../tests/data/leveldb/ordered.json")).unwrap();
        assert!(cases.len() > 25);
        for (n, hex) in cases {
            assert_eq!(ordered(n), hex, "{n}");
            assert_eq!(parse_ordered(hex.as_bytes()), Some(n), "{hex}");
        }
    }

    #[test]
    fn text_that_1_x_never_writes_is_no_integer() {
        for text in
            ["", "0", "000", "FB00", "fb", "fb0000", "fc00ff", "fd00ffff", "ff", "fe", "fe00000000ff", "zz", "fb-1"]
        {
            assert_eq!(parse_ordered(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn integers_end_where_1_x_begins_to_round() {
        assert_eq!(parse_ordered(ordered(MAX_ORDERED).as_bytes()), Some(MAX_ORDERED));
        assert_eq!(push_ordered(&mut String::new(), MAX_ORDERED + 1).unwrap_err().code(), "ERR_HYPER_CONFLICT");
    }

    #[test]
    fn entry_keys_split_at_their_last_mark() {
        assert_eq!(parse_entry_key(b"!logs!log-a!05"), Some(("log-a", 5)));
        assert_eq!(parse_entry_key(b"!logs!odd!log!fb00"), Some(("odd!log", 251)));
        for foreign in
            ["!logs!", "!logs!log-a", "!logs!log-a!", "!logs!log-a!xx", "!logs!!01", "!logs!log-a!00", "!logs"]
        {
            assert_eq!(parse_entry_key(foreign.as_bytes()), None, "{foreign}");
        }
    }

    fn node() -> impl Strategy<Value = Node> {
        let part = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9).prop_map(Bytes::from));
        let key = any::<[u8; 32]>().prop_map(Key);
        (
            key,
            proptest::collection::vec(any::<[u8; 32]>().prop_map(Key), 0..4),
            1..u64::from(u32::MAX),
            1..u64::from(u32::MAX),
            "[a-z0-9é-]{1,30}",
            proptest::collection::vec(any::<u8>(), 0..300),
            part(),
            part(),
        )
            .prop_map(|(key, links, change, seq, log, value, identity, signature)| {
                let signed = Signed { identity, signature };
                let signed = (signed != Signed::default()).then(|| signed.into());
                Node { key, change, log: log.as_str().into(), seq, links: links.into(), value: value.into(), signed }
            })
    }

    proptest! {
        #[test]
        fn the_text_of_integers_orders_as_they_do(a in 0..MAX_ORDERED, b in 0..MAX_ORDERED) {
            prop_assert_eq!(a.cmp(&b), ordered(a).cmp(&ordered(b)));
            prop_assert_eq!(parse_ordered(ordered(a).as_bytes()), Some(a));
        }

        #[test]
        fn a_node_survives_its_record(node in node()) {
            prop_assert_eq!(decode_node(&node_key(&node.key), encode_node(&node)).unwrap(), node);
        }

        #[test]
        fn bytes_that_are_no_record_are_reported_not_believed(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let name = node_key(&Key([7; 32]));
            let result = decode_node(&name, Bytes::from(bytes));
            prop_assert_eq!(result.unwrap_err().code(), "ERR_HYPER_DAMAGED");
        }

        #[test]
        fn a_torn_entry_is_reported(change in 1..u64::from(u32::MAX), cut in 1..70_usize) {
            let record = encode_entry(change, &Key([9; 32]), []);
            let torn = record.slice(..record.len().saturating_sub(cut));
            prop_assert!(decode_entry("!logs!a!01", torn).is_err());
            prop_assert_eq!(decode_entry("!logs!a!01", record).unwrap(), EntryRecord { change, key: Key([9; 32]), log_links: vec![] });
        }
    }
}
