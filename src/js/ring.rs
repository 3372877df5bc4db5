//! The ring: emits as lib/native/emit-buffer.js writes them, one after another, flushed with one call.
//!
//! A record is `[u32 payload length][u16 name number][u8 ack kind][u8 encoding]`, little-endian, then the payload, padded
//! to a multiple of 4. Ack kinds: 0 none, 1 plain, 2 node.

use super::names::Texts;
use crate::error::{Error, Result};
use crate::event::Encoding;
use crate::hyperlog::{AckKind, Batch};

const HEAD: usize = 8;

/// A small record, in bytes; and lib/native/emit-buffer.js hands over no more records at a time.
const SMALL: usize = 32;
const MOST: usize = 256;

/// The ack kind with this number.
///
/// # Errors
/// `Internal` for any other number.
pub fn ack_kind(number: u8) -> Result<AckKind> {
    match number {
        0 => Ok(AckKind::None),
        1 => Ok(AckKind::Plain),
        2 => Ok(AckKind::Node),
        other => Err(Error::Internal(format!("ack kind {other} in the ring"))),
    }
}

/// Takes the records apart.
///
/// # Errors
/// `Internal` if the two ends disagree about the layout.
pub fn batch(ring: &[u8], names: &Texts) -> Result<Batch> {
    let mut out = Batch::with_capacity((ring.len() / SMALL).min(MOST), ring.len());
    let mut at = 0;
    while at < ring.len() {
        let torn = || Error::Internal(format!("torn record at byte {at} of the ring"));
        let head = ring.get(at..at + HEAD).ok_or_else(torn)?;
        let &[l0, l1, l2, l3, n0, n1, ack, encoding] = head else { return Err(torn()) };
        let end = at + HEAD + u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let payload = ring.get(at + HEAD..end).ok_or_else(torn)?;
        let name = names.text(u32::from(u16::from_le_bytes([n0, n1]))).ok_or_else(torn)?;
        out.push(name, payload, Encoding::from_mark(u64::from(encoding)), ack_kind(ack)?);
        at = end.next_multiple_of(4);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_taken_apart_and_torn_ones_refused() {
        let mut names = Texts::default();
        names.number("first");
        names.number("second");
        let mut ring = vec![3, 0, 0, 0, 1, 0, 2, 0, b'a', b'b', b'c', 0];
        ring.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        let batch = super::batch(&ring, &names).unwrap();
        let events: Vec<_> = batch.iter().collect();
        assert_eq!(&**events[0].name, "second");
        assert_eq!((events[0].payload, events[0].ack), (&b"abc"[..], AckKind::Node));
        assert_eq!((&**events[1].name, events[1].encoding), ("first", Encoding::Standard));
        for len in 1..ring.len() {
            if len != 12 {
                assert!(super::batch(&ring[..len], &names).is_err() || len == 11, "{len}");
            }
        }
        assert!(super::batch(&[0, 0, 0, 0, 9, 0, 0, 0], &names).is_err());
    }
}
