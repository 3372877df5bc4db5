//! Who an emitter is, what it signs, and how it proves who it is to others: an Ed25519 key, and links that are encrypted and
//! authenticated by it. Pure: no sockets, no files. docs/design/wire.md has the bytes of secure links.

#![forbid(unsafe_code)]

pub mod key;
pub mod noise;
pub mod seal;

pub use key::{PublicKey, SecretKey};
