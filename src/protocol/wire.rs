//! Protobuf's wire primitives, as far as hyperlog's messages and ours need them.
//!
//! They are written by hand, because the order of fields and the absence of defaults must match what protocol-buffers 3.2.1
//! writes, and because decoding borrows from the frame.

use bytes::BufMut;

pub(crate) use crate::varint::{put_varint, take, take_varint, varint_len};

/// Takes bytes preceded by their length.
pub(crate) fn take_prefixed<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = take_varint(bytes)?;
    take(bytes, len)
}

/// Takes a 32-byte key or digest.
pub(crate) fn take_hash(bytes: &mut &[u8]) -> Option<[u8; 32]> {
    take(bytes, 32)?.try_into().ok()
}

/// A length-delimited field.
pub(crate) fn put_bytes(out: &mut impl BufMut, field: u8, bytes: &[u8]) {
    out.put_u8(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Bytes that [`put_bytes`] writes for a field number below 16.
pub(crate) fn bytes_len(bytes: &[u8]) -> usize {
    1 + varint_len(bytes.len() as u64) + bytes.len()
}

/// A varint field.
pub(crate) fn put_number(out: &mut impl BufMut, field: u8, value: u64) {
    out.put_u8(field << 3);
    put_varint(out, value);
}

/// Bytes that [`put_number`] writes for a field number below 16.
pub(crate) fn number_len(value: u64) -> usize {
    1 + varint_len(value)
}

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Fixed-width; no message here has such a field.
    Fixed,
}

/// Takes the next field: its number and value. `None` if it is malformed (groups included, as in 1.x).
pub(crate) fn take_field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let tag = take_varint(bytes)?;
    let value = match tag & 7 {
        0 => Value::Number(take_varint(bytes)?),
        1 => take(bytes, 8).map(|_| Value::Fixed)?,
        2 => Value::Bytes(take_prefixed(bytes)?),
        5 => take(bytes, 4).map(|_| Value::Fixed)?,
        _ => return None,
    };
    Some((tag >> 3, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_varint_is_refused() {
        assert_eq!(take_varint(&mut &[0xff_u8; 11][..]), None);
        assert_eq!(take_varint(&mut &[0x80_u8][..]), None);
    }
}
