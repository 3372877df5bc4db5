//! What the network tells its owner: link events, and a snapshot of each link.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::Error;
use crate::node::Change;
pub use crate::protocol::PeerKind;

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
    /// A link stands: the peer has introduced itself. Repeated after every successful redial.
    Connected {
        /// The link.
        key: String,
        /// Who is there.
        peer: Who,
    },
    /// Both sides have had everything that the other had when the link came up. Once per connection.
    Synced {
        /// The link.
        key: String,
        /// Who is there.
        peer: Who,
    },
    /// A link that stood is over.
    Disconnected {
        /// The link.
        key: String,
        /// Who was there.
        peer: Who,
        /// Why.
        end: End,
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

/// The peer at the other end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// Who dialled.
    pub direction: Direction,
    /// Where the connection leads.
    pub address: SocketAddr,
    /// What the peer speaks.
    pub kind: PeerKind,
}

/// Why a link, or the attempt to get one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// One of the two emitters closes.
    Closing,
    /// One side does not want the link: a limit, a right, a schema or an encoding that the other lacks.
    Refused,
    /// One side's store has failed or is damaged.
    Damaged,
    /// No sign of life, or no byte taken, for too long.
    Silent,
    /// One side broke the protocol.
    Protocol,
    /// The connection was cut, or could not be made.
    Lost,
    /// The other side ended the link in an orderly way and did not say why, as 1.x does.
    Ended,
    /// This side ended it for a fresh one.
    Renewed,
    /// `destroy()` of a peer in `_peers`.
    Dropped,
    /// The peer is this emitter.
    Itself,
    /// A defect of this module.
    Internal,
}

impl Reason {
    /// Its name in `status` and `stats()`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Closing => "closing",
            Reason::Refused => "refused",
            Reason::Damaged => "damaged",
            Reason::Silent => "silent",
            Reason::Protocol => "protocol",
            Reason::Lost => "lost",
            Reason::Ended => "ended",
            Reason::Renewed => "renewed",
            Reason::Dropped => "dropped",
            Reason::Itself => "self",
            Reason::Internal => "internal",
        }
    }

    /// What a failure found at this side means for the link.
    #[must_use]
    pub fn of(error: &Error) -> Reason {
        match error {
            Error::Closed(_) => Reason::Closing,
            Error::Connect { .. } | Error::Listen { .. } => Reason::Lost,
            Error::Silent(_) => Reason::Silent,
            Error::Ended => Reason::Ended,
            Error::Itself(_) => Reason::Itself,
            Error::Internal(_) => Reason::Internal,
            Error::Storage { .. } | Error::ForeignStore(_) | Error::Damaged { .. } | Error::Conflict(_) => {
                Reason::Damaged
            }
            Error::Limit(_) | Error::Incompatible(_) | Error::Harmful { .. } | Error::TooLarge { .. } => {
                Reason::Refused
            }
            _ => Reason::Protocol,
        }
    }
}

/// The end of a link.
#[derive(Debug, Clone)]
pub struct End {
    /// Why, in a word.
    pub reason: Reason,
    /// Whether the other side said so; else this side found out or decided.
    pub told: bool,
    /// The failure; [`Error::Ended`] where nothing failed.
    pub error: Error,
    /// When, in milliseconds of Unix time.
    pub at_ms: u64,
}

impl End {
    /// An end that this side found or decided.
    #[must_use]
    pub fn here(error: Error) -> End {
        End { reason: Reason::of(&error), told: false, error, at_ms: unix_ms() }
    }

    /// The same for another reason than the error's own.
    #[must_use]
    pub fn because(self, reason: Reason) -> End {
        End { reason, ..self }
    }
}

/// Milliseconds of Unix time; 0 where the clock is set before it began.
pub(super) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// Who dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// We did, and we redial.
    Outbound,
    /// The peer did.
    Inbound,
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
    /// Another link to the same emitter carries what there is; this one takes over when it ends.
    StandBy,
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
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Its key (see [`NetEvent`]).
    pub key: String,
    /// Who dialled.
    pub direction: Direction,
    /// What the peer speaks.
    pub kind: PeerKind,
    /// Where it stands.
    pub stage: Stage,
    /// Since when, in milliseconds of Unix time.
    pub since_ms: u64,
    /// Where the connection leads; the last one's while there is none.
    pub address: Option<SocketAddr>,
    /// How the last connection, or the last attempt to get one, ended.
    pub last_end: Option<End>,
    /// Logs of which this peer holds another version, as far as this connection has found: nothing of them gets across.
    pub stuck: Vec<String>,
    /// When the peer last brought something new or took what it lacked, in milliseconds of Unix time.
    pub useful_ms: Option<u64>,
    /// What went over it.
    pub counters: Counters,
    /// The last change up to which the peer has everything: stored by a 2.x peer, sent to a 1.x peer. It is known
    /// whenever the link comes to rest.
    pub delivered: Change,
}
