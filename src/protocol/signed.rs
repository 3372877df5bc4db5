//! A node's identity and signature on the wire.

use bytes::{BufMut, Bytes, BytesMut};

use super::wire::{put_varint, take_prefixed, take_varint};
use crate::error::{Error, Result};
use crate::node::Signed;

const IDENTITY: u64 = 1;
const SIGNATURE: u64 = 2;

fn malformed() -> Error {
    Error::Protocol("undecodable signature".into())
}

/// Appends flags that say which of the two are present, and then the present ones.
pub(super) fn put_signed(out: &mut BytesMut, signed: Option<&Signed>) {
    let parts = signed.map_or([None, None], |signed| [signed.identity.as_ref(), signed.signature.as_ref()]);
    let [identity, signature] = parts.map(|part| part.is_some());
    put_varint(out, if identity { IDENTITY } else { 0 } | if signature { SIGNATURE } else { 0 });
    for bytes in parts.into_iter().flatten() {
        put_varint(out, bytes.len() as u64);
        out.put_slice(bytes);
    }
}

/// Reads what [`put_signed`] wrote.
pub(super) fn read_signed(body: &mut &[u8]) -> Result<Signed> {
    let flags = take_varint(body).ok_or_else(malformed)?;
    let mut part = |flag| -> Result<Option<Bytes>> {
        if flags & flag == 0 {
            return Ok(None);
        }
        Ok(Some(Bytes::copy_from_slice(take_prefixed(body).ok_or_else(malformed)?)))
    };
    Ok(Signed { identity: part(IDENTITY)?, signature: part(SIGNATURE)? })
}
