//! Replication between two peers: frames, messages, and the session as a state machine.
//!
//! No I/O, no clock, no randomness: [`session::Session`] takes what happened and says what is to be done. With
//! hyperemitter 1.x it speaks hyperlog 4.12.1's protocol ([`message`]), with 2.x the extension ([`extension`],
//! docs/DESIGN.md "Wire").

#![forbid(unsafe_code)]

mod asker;
pub mod batch;
mod behind;
pub mod extension;
mod feeder;
mod fork;
pub mod frame;
#[cfg(test)]
mod hostile_tests;
mod incoming;
mod intake;
#[cfg(test)]
mod many_logs_tests;
pub mod message;
pub mod pieces;
pub mod recent;
pub mod session;
pub mod tree;
pub mod twins;
mod v1;
mod v2;
mod window;
mod wire;

pub use self::extension::{GoodbyeReason, Instance, Token};
pub use self::incoming::{Incoming, Outcome};
pub use self::session::{
    CloseReason, Config, Found, InEvent, LocalLog, Lookup, OutEvent, PeerKind, Session, SessionCounters, SessionStage,
};
