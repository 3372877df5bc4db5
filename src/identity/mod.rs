//! Who an emitter is: an Ed25519 key, and what it signs. Pure: no sockets, no files.

#![forbid(unsafe_code)]

pub mod key;
pub mod seal;

pub use key::{PublicKey, SecretKey};
