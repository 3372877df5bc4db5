//! Varints (LEB128), as protobuf and this module's own formats write them.

use bytes::BufMut;

/// Appends `value` in 1 to 10 bytes.
pub fn put_varint(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8((value & 0x7f) as u8);
}

/// Bytes that [`put_varint`] writes for `value`.
#[must_use]
pub fn varint_len(value: u64) -> usize {
    ((70 - (value | 1).leading_zeros() as usize) / 7).max(1)
}

/// Removes a varint from the front of `bytes`; `None` if it is incomplete or longer than ten bytes.
pub fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        // The tenth byte has room for one bit; 1.x's doubles lose the other bits as well.
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Removes `len` bytes from the front; `None` if there are fewer.
pub fn take<'a>(bytes: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(head)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn varints_of_every_length_round_trip() {
        for bits in 0..64 {
            for value in [1_u64 << bits, (1_u64 << bits) - 1, u64::MAX >> bits] {
                let mut out = BytesMut::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_len(value));
                let mut rest = &out[..];
                assert_eq!(take_varint(&mut rest), Some(value));
            }
        }
    }

    #[test]
    fn cut_or_endless_varints_are_none() {
        assert_eq!(take_varint(&mut &[][..]), None);
        assert_eq!(take_varint(&mut &[0x80, 0x80][..]), None);
        assert_eq!(take_varint(&mut &[0xFF; 11][..]), None);
    }
}
