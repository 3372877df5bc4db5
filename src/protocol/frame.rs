//! Frames: a varint length, then that many bytes.
//!
//! hyperlog's `length-prefixed-stream` has no limit and reserves whatever length is announced. Here the limit is checked before
//! anything is reserved, and memory grows only with bytes that have arrived.

use bytes::{Buf, Bytes, BytesMut};

use crate::error::{Error, Result};

/// Largest frame accepted by default, in bytes, without its prefix. It is eight times the default `maxEventSize`, so that a larger
/// event, from a peer with a raised limit, is read and refused with a reason instead of breaking the link.
pub const MAX_FRAME_LEN: usize = 64 * 1024 * 1024;

/// Largest frame of a peer that sends large nodes in pieces (version 2 of the extension), whatever the driver's limit. The
/// largest one that it needs is a vector of 1,024 logs with ids of 256 bytes each, some 300 KiB.
pub const MAX_SMALL_FRAME: usize = 512 * 1024;

/// Bytes of a frame in addition to its event: key, links, log id, numbers.
pub const FRAME_OVERHEAD: usize = 64 * 1024;

/// Longest prefix that any length needs.
const MAX_PREFIX_LEN: usize = 10;

/// Splits the first frame off `input`, without its prefix and without copying; `None` until it is complete. An empty frame is
/// returned as no bytes.
///
/// # Errors
/// `Protocol` if the prefix is malformed or announces more than `limit` bytes; the input is then useless.
pub fn split(input: &mut BytesMut, limit: usize) -> Result<Option<Bytes>> {
    let mut len = 0_u64;
    for (index, &byte) in input.iter().enumerate().take(MAX_PREFIX_LEN) {
        len |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(index).unwrap_or(u32::MAX)).unwrap_or(0);
        if byte < 0x80 {
            let prefix = index + 1;
            let Some(len) = usize::try_from(len).ok().filter(|&len| len <= limit) else {
                return Err(Error::Protocol(format!("a frame of {len} bytes is announced, the limit is {limit}")));
            };
            if input.len() - prefix < len {
                input.reserve(chunk(len + prefix - input.len()));
                return Ok(None);
            }
            input.advance(prefix);
            return Ok(Some(input.split_to(len).freeze()));
        }
    }
    if input.len() >= MAX_PREFIX_LEN {
        return Err(Error::Protocol("a frame's length prefix does not end".into()));
    }
    Ok(None)
}

/// How much to reserve for `missing` bytes of a frame. The announcement alone must not cost memory.
fn chunk(missing: usize) -> usize {
    missing.min(256 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        super::super::wire::put_varint(&mut out, body.len() as u64);
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn frames_come_out_whole_whatever_the_cuts() {
        let bodies: Vec<Vec<u8>> = [0, 1, 127, 128, 300, 20_000].iter().map(|&n| vec![7; n]).collect();
        let stream: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        for step in [1, 2, 3, 7, 1000, stream.len()] {
            let mut input = BytesMut::new();
            let mut out = Vec::new();
            for piece in stream.chunks(step) {
                input.extend_from_slice(piece);
                while let Some(frame) = split(&mut input, MAX_FRAME_LEN).unwrap() {
                    out.push(frame.to_vec());
                }
            }
            assert_eq!(out, bodies, "cut every {step} bytes");
            assert!(input.is_empty());
        }
    }

    #[test]
    fn an_announced_gigabyte_reserves_nothing() {
        let mut input = BytesMut::from(&framed(&[])[..0]);
        super::super::wire::put_varint(&mut input, 1 << 30);
        assert_eq!(split(&mut input, usize::MAX).unwrap(), None);
        assert!(input.capacity() <= 1024 * 1024);
    }

    #[test]
    fn a_frame_over_the_limit_ends_the_session() {
        let mut input = BytesMut::from(&[0xff_u8, 0xff, 0xff, 0xff, 0x0f][..]);
        assert_eq!(split(&mut input, MAX_FRAME_LEN).unwrap_err().code(), "ERR_HYPER_PROTOCOL");
    }

    #[test]
    fn an_endless_prefix_ends_the_session() {
        let mut input = BytesMut::from(&[0x80_u8; 9][..]);
        assert_eq!(split(&mut input, MAX_FRAME_LEN).unwrap(), None);
        input.extend_from_slice(&[0x80]);
        assert!(split(&mut input, MAX_FRAME_LEN).is_err());
    }
}
