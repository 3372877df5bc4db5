//! Settings of a network, and of its links.

use std::net::SocketAddr;

use super::connection;
use super::cost_limits::Shares;
use super::event::Security;
use super::pipe::Pipe;
use super::rights::{Right, Trust};
use crate::identity::PublicKey;
use crate::protocol::frame;

/// A link that was of no use for this many milliseconds may be evicted for a newcomer. So a newcomer never waits longer, and a
/// real peer's first exchange is over well before.
pub(super) const IDLE_MS: u64 = 10_000;

/// Settings of a network.
#[derive(Debug, Clone)]
pub struct NetOptions {
    /// Pause before the first redial in milliseconds (1.x's `reconnectTimeout`).
    pub reconnect_timeout_ms: u64,
    /// Inbound connections at a time. Beyond this number one that is of no use is ended, or the newcomer is refused.
    pub max_inbound: usize,
    /// How many of them may be without a handshake. Beyond this number old ones are ended for new ones.
    pub max_silent: usize,
    /// How long a peer may take to send its handshake, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// When all slots are taken, an inbound link that was of no use for this many milliseconds may be ended for a newcomer.
    pub idle_after_ms: u64,
    /// An incomplete frame that grows by less than 4 KiB within this many milliseconds ends the link.
    pub frame_timeout_ms: u64,
    /// A peer that takes none of the bytes waiting for it for this many milliseconds is dropped.
    pub stall_timeout_ms: u64,
    /// How long a half-open link to a 1.x peer may stay idle, in milliseconds; `None` for the protocol's own choice.
    pub patience_ms: Option<u64>,
    /// What links may cost in vain.
    pub shares: Shares,
    /// Largest frame accepted, in bytes.
    pub max_frame: usize,
    /// Largest event container that the log takes from peers, in bytes. Peers are told.
    pub max_value: usize,
    /// The emitter writes standard protobuf, which 1.x peers misread: they are refused.
    pub standard: bool,
    /// Whom it trusts, and how it proves who it is.
    pub trust: Trust,
}

impl Default for NetOptions {
    /// 1.x's pause. 1,024 connections, the usual limit on a process's files, half of which are kept for peers with a handshake. A
    /// handshake takes one round trip, so 10 s suffice for the slowest line. 30 s without a byte taken mean a hung process or a
    /// dead line.
    fn default() -> Self {
        NetOptions {
            reconnect_timeout_ms: 1000,
            max_inbound: 1024,
            max_silent: 512,
            handshake_timeout_ms: 10_000,
            idle_after_ms: IDLE_MS,
            frame_timeout_ms: connection::FRAME_MS,
            stall_timeout_ms: 30_000,
            patience_ms: None,
            shares: Shares::default(),
            max_frame: frame::MAX_FRAME_LEN,
            max_value: frame::MAX_FRAME_LEN / 2,
            standard: false,
            trust: Trust::default(),
        }
    }
}

/// How a peer is dialled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dial {
    /// An earlier run was connected to it: it is never given up.
    pub known: bool,
    /// The only key that the peer may have. Without one, any key that is accepted.
    pub key: Option<PublicKey>,
    /// Dial without encryption, although this emitter has an identity. The peer gets this right.
    pub plain: Option<Right>,
    /// The owner makes the connections: [`NetEvent::Dial`](super::NetEvent::Dial) asks for them.
    pub carried: bool,
}

/// A connection that the owner has made.
pub struct Carried {
    /// Its bytes.
    pub pipe: Pipe,
    /// Our end of it, and the peer's, where they are known.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// What protects it and what the peer may do, if the owner vouches for the peer. Otherwise the peer has to prove who it is,
    /// as on any other connection.
    pub vouched: Option<(Security, Right)>,
}
