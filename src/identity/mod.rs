//! The identity of an emitter: an Ed25519 key, the seals that it signs, and secure links that it authenticates. Pure: no sockets,
//! no files. docs/design/wire.md has the bytes of secure links.

#![forbid(unsafe_code)]

pub mod key;
pub mod noise;
pub mod seal;

pub use key::{PublicKey, SecretKey};
