//! Replication between two peers: frames, messages, and the session as a state machine.
//!
//! No I/O, no clock, no randomness: the [`Session`] is told what happened, and says what to do. With hyperemitter 1.x it speaks
//! hyperlog 4.12.1's protocol ([`message`], `v1`), with 2.x the extension ([`extension`], `v2`; docs/design/wire.md).
//!
//! - [`io`]: what goes into a session and comes out; [`config`]: what it needs at its start;
//! - [`frame`], [`message`], [`extension`], [`capability`], [`batch`], [`pieces`], [`tree`]: bytes on the wire;
//! - [`session`]: the handshake, then `v1` or `v2`; `common` and `peer_logs` hold what these two share.

#![forbid(unsafe_code)]

pub mod batch;
mod behind;
pub mod capability;
mod common;
pub mod config;
pub mod extension;
pub mod frame;
mod goodbye;
mod greeting;
mod intake;
pub mod io;
mod lookups;
pub mod message;
mod peer_logs;
pub mod pieces;
pub mod recent_keys;
mod row_cursor;
pub mod session;
mod signed;
pub mod tree;
pub mod twins;
pub mod unknown_logs;
mod v1;
mod v2;
pub mod version;
mod wire;

#[cfg(test)]
mod tests;

pub use self::config::Config;
pub use self::goodbye::GoodbyeReason;
pub use self::greeting::{goodbye, is_of_the_extension};
pub use self::io::{CloseReason, Found, InEvent, LocalLog, Lookup, OutEvent, PeerKind, SessionCounters, SessionStage};
pub use self::session::Session;
pub use self::twins::{Instance, Token};
pub use crate::incoming::{Incoming, Outcome};
