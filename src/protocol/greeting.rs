//! Frames that are sent outside a session: before it begins, and on links that are refused.

use bytes::{Bytes, BytesMut};

use super::capability::Capability;
use super::extension::Extension;
use super::goodbye::GoodbyeReason;
use super::message::Message;

/// The frame that tells a 2.x peer why a link ends. Sent last.
#[must_use]
pub fn goodbye(why: GoodbyeReason, text: &str) -> Bytes {
    let mut out = BytesMut::new();
    Extension::Goodbye { why, text: text.to_owned() }.encode(&mut out);
    out.freeze()
}

/// Whether a frame is the handshake of a 2.x peer.
#[must_use]
pub fn is_of_the_extension(frame: &[u8]) -> bool {
    match Message::decode(frame) {
        Ok(Message::Handshake(handshake)) => {
            handshake.metadata.is_some_and(|metadata| matches!(Capability::decode(metadata), Ok(Some(_))))
        }
        _ => false,
    }
}
