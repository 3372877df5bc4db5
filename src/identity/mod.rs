//! Who an emitter is: an Ed25519 key. Pure: no sockets, no files.

#![forbid(unsafe_code)]

pub mod key;

pub use key::{PublicKey, SecretKey};
