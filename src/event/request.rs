//! The id of the append that brought an event: container field 8, on its first event.

use bytes::BufMut;

use super::put_bytes;

/// Bytes of such an id: enough for a UUID, a hash or a request's URL.
pub const MAX_REQUEST_LEN: usize = 256;

/// Container field of the id.
pub(super) const FIELD: u64 = 8;

/// Appends the container field with the id.
pub fn put_request(out: &mut impl BufMut, id: &str) {
    put_bytes(out, 8, id.as_bytes());
}

/// Bytes that [`put_request`] writes at the most.
#[must_use]
pub fn request_len(id: &str) -> usize {
    3 + id.len()
}
