//! What the network tells its owner: link events, and a snapshot of each link.

use crate::error::Error;
use crate::node::Change;

/// Something happened to a link. Keys are 1.x's: `host:port` as given for links we dial, a counter (`"0"`,
/// `"1"`, …) for links that were dialled to us.
#[derive(Debug, Clone)]
pub enum NetEvent {
    /// A peer connected to us; nothing has been read from it yet.
    Inbound {
        /// The new link.
        key: String,
    },
    /// A link that was dialled to us is over.
    InboundGone {
        /// The link; its key is never used again.
        key: String,
        /// What went wrong; `None` when either side simply closed.
        error: Option<Error>,
    },
    /// A dialled link is up (TCP; the handshake follows). Repeated after every successful redial.
    Connected {
        /// The link.
        key: String,
    },
    /// A dialled link failed or ended, for whatever reason, the local `close` included.
    ConnectionError {
        /// The link.
        key: String,
        /// Why.
        error: Error,
        /// Pause until the next attempt in milliseconds; `None` when there will be none.
        will_retry_in_ms: Option<u64>,
    },
    /// No further attempt will be made: ten consecutive ones failed without the peer ever having been reached,
    /// or the network is closed. The key is free again. The last event of every `connect`.
    GaveUp {
        /// The link.
        key: String,
        /// The last failure, or `Closed`.
        error: Error,
    },
    /// Something the owner should know about although the network goes on: a forked log, a peer that broke the
    /// protocol, an event that must not reach a 1.x peer.
    Report {
        /// The link it happened on; `None` for the listener.
        key: Option<String>,
        /// What.
        error: Error,
    },
}

/// Hears the network's events.
pub trait NetObserver: Send + Sync {
    /// Called on the runtime's thread, in the order of each link's life: must not block.
    fn event(&self, event: NetEvent);
}

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// We did, and we redial.
    Outbound,
    /// The peer did.
    Inbound,
}

/// What a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// Its handshake has not arrived.
    #[default]
    Unknown,
    /// hyperemitter 1.x or plain hyperlog.
    V1,
    /// The 2.x extension.
    V2,
}

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// TCP connect under way.
    #[default]
    Connecting,
    /// Between two attempts.
    Waiting,
    /// Connected; the peer's handshake is awaited.
    Handshake,
    /// Exchanging what existed before the link.
    Sync,
    /// Exchanging events as they appear.
    Live,
}

/// What went over a link since it came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Bytes read from the socket.
    pub bytes_in: u64,
    /// Bytes written to the socket.
    pub bytes_out: u64,
    /// Write system calls.
    pub writes: u64,
    /// Frames received.
    pub frames_in: u64,
    /// Nodes received.
    pub nodes_in: u64,
    /// Nodes sent.
    pub nodes_out: u64,
    /// Nodes received that were new.
    pub added: u64,
    /// Nodes received that were stored already: echoes, or another peer was faster.
    pub known: u64,
    /// Nodes received before their causes, set aside.
    pub parked: u64,
}

/// One link, for `stats()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    /// Its key (see [`NetEvent`]).
    pub key: String,
    /// Who dialled.
    pub direction: Direction,
    /// What the peer speaks.
    pub dialect: Dialect,
    /// Where it stands.
    pub stage: Stage,
    /// What went over it.
    pub counters: Counters,
    /// The last change up to which the peer has everything: stored by a 2.x peer, sent to a 1.x peer. It is known
    /// whenever the link comes to rest.
    pub delivered: Change,
}
