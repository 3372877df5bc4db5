//! Settings of a network, and of its links.

use std::net::SocketAddr;

use super::connection;
use super::cost_buckets::Shares;
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
    /// Whether the emitter writes standard protobuf. If so, 1.x peers are refused, because they would misread it.
    pub standard: bool,
    /// Whom the emitter trusts, and its identity.
    pub trust: Trust,
}

impl Default for NetOptions {
    /// The reconnect timeout is 1.x's. 1,024 connections are the usual limit on a process's files; half of them are kept for peers
    /// whose handshake has arrived. A handshake takes one round trip, so 10 s are enough on the slowest line. If a peer takes no
    /// byte for 30 s, its process hangs or the line is dead.
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
    /// Whether an earlier run was connected to the peer. If so, it is never given up.
    pub known: bool,
    /// The key that the peer must have; `None` for any accepted key.
    pub key: Option<PublicKey>,
    /// Dial without encryption, although this emitter has an identity. The peer gets this right.
    pub plain: Option<Right>,
    /// Whether the owner makes the connections, when [`NetEvent::Dial`](super::NetEvent::Dial) asks for them.
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
