//! Calls for derived values, and their packed form: for each value the length of its key (u32, little-endian), the key, the length
//! of the value, the value. The length [`NOTHING`] stands for a value that is missing, or to be deleted.

use bytes::Bytes;
use napi_derive::napi;

use super::error::{thrown, Result};
use super::Core;
use crate::emitter::Request;
use crate::error::Error;
use crate::store::ReadLimit;

/// The length of no value. No value is that long.
const NOTHING: u32 = u32::MAX;

#[napi]
impl Core {
    /// Asks for the derived values of these keys. The answer has them packed, in this order, without keys.
    #[napi(catch_unwind)]
    pub fn ask_derived(&self, id: u32, keys: Vec<String>) {
        self.emitter.borrow().request(id, Request::Derived(keys));
    }

    /// Asks for derived values with keys from `from` up to, but not including, `to`. The answer has them packed.
    #[napi(catch_unwind)]
    pub fn ask_derived_range(&self, id: u32, from: String, to: String, rows: u32, bytes: u32) {
        let limit = ReadLimit { rows: rows as usize, bytes: bytes as usize };
        self.emitter.borrow().request(id, Request::DerivedRange(from, to, limit));
    }

    /// Sets and deletes derived values, which are packed, atomically and durably.
    #[napi(catch_unwind)]
    pub fn set_derived(&self, id: u32, values: &[u8]) -> Result<()> {
        let values = unpack(values).ok_or_else(|| thrown(&Error::Internal("derived values are cut off".into())))?;
        self.emitter.borrow().request(id, Request::SetDerived(values));
        Ok(())
    }
}

/// Packs values for an answer.
pub(super) fn pack(values: &[(String, Option<Bytes>)]) -> Vec<u8> {
    let sizes = values.iter().map(|(key, value)| 8 + key.len() + value.as_ref().map_or(0, Bytes::len));
    let mut out = Vec::with_capacity(sizes.sum());
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(NOTHING).to_le_bytes();
    for (key, value) in values {
        out.extend_from_slice(&length(key.as_bytes()));
        out.extend_from_slice(key.as_bytes());
        match value {
            None => out.extend_from_slice(&NOTHING.to_le_bytes()),
            Some(value) => {
                out.extend_from_slice(&length(value));
                out.extend_from_slice(value);
            }
        }
    }
    out
}

/// Reads back what [`pack`] or JavaScript has packed; `None` if it is cut off, or a key is not text.
fn unpack(mut bytes: &[u8]) -> Option<Vec<(String, Option<Bytes>)>> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let len = u32_of(&mut bytes)?;
        let key = std::str::from_utf8(take(&mut bytes, len)?).ok()?.to_owned();
        let value = match u32_of(&mut bytes)? {
            NOTHING => None,
            len => Some(Bytes::copy_from_slice(take(&mut bytes, len)?)),
        };
        values.push((key, value));
    }
    Some(values)
}

fn u32_of(bytes: &mut &[u8]) -> Option<u32> {
    take(bytes, 4)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

fn take<'a>(bytes: &mut &'a [u8], len: u32) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len as usize)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_were_packed() {
        let values =
            vec![("ä".to_owned(), Some(Bytes::from("1"))), (String::new(), None), ("b".to_owned(), Some(Bytes::new()))];
        let packed = pack(&values);
        assert_eq!(unpack(&packed), Some(values));
        assert!((1..packed.len()).filter_map(|len| unpack(&packed[..len])).all(|values| values.len() < 3));
    }
}
