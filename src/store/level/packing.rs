//! Encodes requests and replies as bytes, for a database in another language. `lib/stores/level/packing.js` is the other side.
//!
//! All numbers are u32, little-endian. Text is UTF-8.
//!
//! | request | bytes |
//! | --- | --- |
//! | 0 get | bytes limit, count, count × key length, keys |
//! | 1 ranges | count, count × (reverse 0/1, limit, length of from, length of to), froms and tos |
//! | 2 batch | count, count × (key length, value length plus [`TEXT`] if it is text, or [`ABSENT`] to delete), keys, values |
//!
//! | reply | bytes |
//! | --- | --- |
//! | 0 get | count, count × (length or [`ABSENT`]), values |
//! | 1 ranges | count of ranges, each: count of rows, count × (key length, value length); then all keys and values in turn |
//! | 2 batch | nothing |

use bytes::{Buf, BufMut, Bytes};

use super::bridge::{LevelReply, LevelRequest, Op};
use crate::error::{Error, Result};

/// Stands for "no value" where a length is expected.
pub const ABSENT: u32 = u32::MAX;

/// Marks the length of a value that is text.
pub const TEXT: u32 = 1 << 31;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// [`LevelRequest::Get`]
    Get = 0,
    /// [`LevelRequest::Ranges`]
    Ranges = 1,
    /// [`LevelRequest::Batch`]
    Batch = 2,
}

/// A request as bytes.
///
/// # Errors
/// `ForeignStore` beyond 2 GiB.
pub fn pack(request: &LevelRequest) -> Result<(Kind, Vec<u8>)> {
    let mut out = Out::default();
    let kind = match request {
        LevelRequest::Get { keys, bytes } => {
            out.bytes.reserve(8 + keys.iter().map(|key| key.len() + 4).sum::<usize>());
            out.bytes.put_u32_le(u32::try_from(*bytes).unwrap_or(u32::MAX));
            out.length(keys.len());
            for key in keys {
                out.length(key.len());
            }
            for key in keys {
                out.bytes.put_slice(key.as_bytes());
            }
            Kind::Get
        }
        LevelRequest::Ranges(ranges) => {
            out.length(ranges.len());
            for range in ranges {
                out.bytes.put_u32_le(range.reverse.into());
                out.bytes.put_u32_le(range.limit);
                out.length(range.from.len());
                out.length(range.to.len());
            }
            for range in ranges {
                out.bytes.put_slice(range.from.as_bytes());
                out.bytes.put_slice(range.to.as_bytes());
            }
            Kind::Ranges
        }
        LevelRequest::Batch(ops) => {
            let size = |op: &Op| match op {
                Op::Put(key, value) => key.len() + value.len() + 8,
                Op::PutText(key, value) => key.len() + value.len() + 8,
                Op::Delete(key) => key.len() + 8,
            };
            out.bytes.reserve(4 + ops.iter().map(size).sum::<usize>());
            out.length(ops.len());
            for op in ops {
                out.length(op.key().len());
                match op {
                    Op::Put(_, value) => out.value_length(value.len(), 0),
                    Op::PutText(_, value) => out.value_length(value.len(), TEXT),
                    Op::Delete(_) => out.bytes.put_u32_le(ABSENT),
                }
            }
            for op in ops {
                out.bytes.put_slice(op.key().as_bytes());
            }
            for op in ops {
                match op {
                    Op::Put(_, value) => out.bytes.put_slice(value),
                    Op::PutText(_, value) => out.bytes.put_slice(value.as_bytes()),
                    Op::Delete(_) => {}
                }
            }
            Kind::Batch
        }
    };
    if out.too_large || out.bytes.len() >= TEXT as usize {
        return Err(Error::ForeignStore("a request to the store would be larger than 2 GiB".into()));
    }
    Ok((kind, out.bytes))
}

#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    too_large: bool,
}

impl Out {
    fn length(&mut self, n: usize) {
        let n = u32::try_from(n).unwrap_or(ABSENT);
        self.too_large |= n == ABSENT;
        self.bytes.put_u32_le(n);
    }

    fn value_length(&mut self, n: usize, mark: u32) {
        let n = u32::try_from(n).unwrap_or(ABSENT);
        self.too_large |= n >= TEXT;
        self.bytes.put_u32_le(n | mark);
    }
}

/// The reply to a request of this kind.
///
/// # Errors
/// `ForeignStore` if the bytes are no such reply.
pub fn unpack(kind: Kind, reply: Bytes) -> Result<LevelReply> {
    let mut rest = reply;
    let reply = match kind {
        Kind::Get => unpack_values(&mut rest).map(LevelReply::Values),
        Kind::Ranges => unpack_rows(&mut rest).map(LevelReply::Rows),
        Kind::Batch => Some(LevelReply::Done),
    };
    reply.filter(|_| rest.is_empty()).ok_or_else(|| Error::ForeignStore("the answer of the store is malformed".into()))
}

fn unpack_values(rest: &mut Bytes) -> Option<Vec<Option<Bytes>>> {
    let lengths = (0..count(rest, 4)?).map(|_| rest.try_get_u32_le().ok()).collect::<Option<Vec<u32>>>()?;
    lengths.into_iter().map(|length| if length == ABSENT { Some(None) } else { take(rest, length).map(Some) }).collect()
}

fn unpack_rows(rest: &mut Bytes) -> Option<Vec<Vec<(Bytes, Bytes)>>> {
    let mut lengths: Vec<Vec<(u32, u32)>> = Vec::new();
    for _ in 0..count(rest, 4)? {
        let rows = (0..count(rest, 8)?).map(|_| Some((rest.try_get_u32_le().ok()?, rest.try_get_u32_le().ok()?)));
        lengths.push(rows.collect::<Option<_>>()?);
    }
    let ranges = lengths
        .into_iter()
        .map(|rows| rows.into_iter().map(|(key, value)| Some((take(rest, key)?, take(rest, value)?))).collect());
    ranges.collect()
}

/// A count of things that take at least `each` bytes. It is checked against the remaining bytes, so that a wrong count cannot make
/// us reserve memory.
fn count(rest: &mut Bytes, each: usize) -> Option<usize> {
    let count = rest.try_get_u32_le().ok()? as usize;
    (count.checked_mul(each)? <= rest.len()).then_some(count)
}

fn take(rest: &mut Bytes, length: u32) -> Option<Bytes> {
    (length as usize <= rest.len()).then(|| rest.split_to(length as usize))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::store::level::Range;

    /// Test vectors, which are also used to test lib/stores/level/packing.js.
    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../tests/data/level_packing.json")).unwrap()
    }

    fn bytes(hex: &Value) -> Bytes {
        let hex = hex.as_str().unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    fn text(value: &Value) -> String {
        value.as_str().unwrap().to_owned()
    }

    fn list<T>(values: &Value, read: impl Fn(&Value) -> T) -> Vec<T> {
        values.as_array().unwrap().iter().map(read).collect()
    }

    #[test]
    fn requests_are_packed_as_javascript_reads_them() {
        let vectors = vectors();
        let get = &vectors["get"];
        let limit = usize::try_from(get["limit"].as_u64().unwrap()).unwrap();
        let request = LevelRequest::Get { keys: list(&get["keys"], text), bytes: limit };
        assert_eq!(pack(&request).unwrap(), (Kind::Get, bytes(&get["packed"]).to_vec()));

        let range = |range: &Value| Range {
            from: text(&range["from"]),
            to: text(&range["to"]),
            reverse: range["reverse"].as_bool().unwrap(),
            limit: u32::try_from(range["limit"].as_u64().unwrap()).unwrap(),
        };
        let request = LevelRequest::Ranges(list(&vectors["ranges"]["ranges"], range));
        assert_eq!(pack(&request).unwrap(), (Kind::Ranges, bytes(&vectors["ranges"]["packed"]).to_vec()));

        let op = |op: &Value| match op {
            _ if op["put"].is_array() => Op::Put(text(&op["put"][0]), bytes(&op["put"][1])),
            _ if op["putText"].is_array() => Op::PutText(text(&op["putText"][0]), text(&op["putText"][1])),
            _ => Op::Delete(text(&op["delete"])),
        };
        let request = LevelRequest::Batch(list(&vectors["batch"]["ops"], op));
        assert_eq!(pack(&request).unwrap(), (Kind::Batch, bytes(&vectors["batch"]["packed"]).to_vec()));
    }

    #[test]
    fn replies_are_read_as_javascript_packs_them() {
        let vectors = vectors();
        let values = list(&vectors["values"]["values"], |value| (!value.is_null()).then(|| bytes(value)));
        let packed = bytes(&vectors["values"]["packed"]);
        assert_eq!(unpack(Kind::Get, packed).unwrap(), LevelReply::Values(values));
        let rows = list(&vectors["rows"]["rows"], |rows| list(rows, |row| (bytes(&row[0]), bytes(&row[1]))));
        let packed = bytes(&vectors["rows"]["packed"]);
        assert_eq!(unpack(Kind::Ranges, packed).unwrap(), LevelReply::Rows(rows));
        assert_eq!(unpack(Kind::Batch, Bytes::new()).unwrap(), LevelReply::Done);
    }

    proptest! {
        #[test]
        fn malformed_replies_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for kind in [Kind::Get, Kind::Ranges, Kind::Batch] {
                let _ = unpack(kind, Bytes::from(bytes.clone()));
            }
        }
    }
}
