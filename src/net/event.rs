//! What the network tells its owner: events of links, and a snapshot of each link.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::rights::Right;
use crate::error::Error;
use crate::identity::PublicKey;
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
    /// An inbound link is over.
    InboundGone {
        /// The link; its key is never used again.
        key: String,
        /// What went wrong; `None` if one of the sides simply closed it.
        error: Option<Error>,
    },
    /// A link is established: the peer's handshake has arrived. Repeated after every successful redial.
    Connected {
        /// The link.
        key: String,
        /// The peer.
        peer: RemotePeer,
    },
    /// Both sides have received everything that the other had when the link came up. Once per connection.
    Synced {
        /// The link.
        key: String,
        /// The peer.
        peer: RemotePeer,
    },
    /// An established link has ended.
    Disconnected {
        /// The link.
        key: String,
        /// The peer.
        peer: RemotePeer,
        /// Why.
        end: End,
    },
    /// A dialled link failed or ended, for any reason, including the local `close`.
    ConnectionError {
        /// The link.
        key: String,
        /// Why.
        error: Error,
        /// Pause until the next attempt, in milliseconds; `None` if there will be none.
        will_retry_in_ms: Option<u64>,
    },
    /// The last event of every `connect`. No further attempt will be made, because ten in a row failed and the peer was never
    /// reached, or because the network is closed. The key is free again.
    GaveUp {
        /// The link.
        key: String,
        /// The last failure, or `Closed`.
        error: Error,
    },
    /// A peer wants to connect, and the owner decides (`Peers::Asked`): answer with `Net::admit`. Until then the peer is told
    /// nothing, and nothing is read from it. The time limit is that of a handshake.
    Admit {
        /// Number of the question.
        question: u64,
        /// The link.
        key: String,
        /// Who is there.
        peer: Candidate,
    },
    /// A link that is dialled by the owner needs a connection: answer with `Net::dialled`.
    Dial {
        /// Number of the question.
        question: u64,
        /// The link.
        key: String,
    },
    /// An error that does not stop the network: a forked log, a peer that broke the protocol, an event that must not reach a 1.x
    /// peer.
    Report {
        /// The link; `None` for the listener.
        key: Option<String>,
        /// The error.
        error: Error,
    },
}

/// Receives the network's events.
pub trait NetObserver: Send + Sync {
    /// Called on the runtime's thread, in the order of each link's events. Must not block.
    fn event(&self, event: NetEvent);
}

/// How a link is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// It is not.
    Plain,
    /// Encrypted and authenticated by the identities of both emitters.
    Noise,
    /// By TLS, in JavaScript.
    Tls,
    /// By the stream that JavaScript carries, if at all.
    Stream,
}

impl Security {
    /// Its name in `status` and `stats()`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Security::Plain => "plain",
            Security::Noise => "noise",
            Security::Tls => "tls",
            Security::Stream => "stream",
        }
    }
}

/// Somebody who wants to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Who dialled.
    pub direction: Direction,
    /// Where the connection leads, if that is known.
    pub address: Option<SocketAddr>,
    /// The key that the peer has proven to own.
    pub public_key: PublicKey,
}

/// The peer at the other end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemotePeer {
    /// Who dialled.
    pub direction: Direction,
    /// Where the connection leads, if that is known.
    pub address: Option<SocketAddr>,
    /// The key that the peer has proven to own.
    pub public_key: Option<PublicKey>,
    /// How the link is protected.
    pub security: Security,
    /// What the peer may do here.
    pub right: Right,
    /// The protocol that the peer speaks.
    pub kind: PeerKind,
}

/// Why a link, or the attempt to get one, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// One of the two emitters closes.
    Closing,
    /// One side refuses the link, because of a limit, a right, a schema or an encoding.
    Refused,
    /// One side's store has failed or is damaged.
    Damaged,
    /// No sign of life, or no byte taken, for too long.
    Silent,
    /// One side broke the protocol.
    Protocol,
    /// The connection was cut, or could not be made.
    Lost,
    /// The other side ended the link in an orderly way and did not say why. 1.x never says why.
    Ended,
    /// This side ended it to replace it by a new one.
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

    /// The reason for ending a link that follows from an error on this side.
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
            Error::Limit(_)
            | Error::Incompatible(_)
            | Error::Refused(_)
            | Error::Harmful { .. }
            | Error::TooLarge { .. }
            | Error::Network(_)
            | Error::Rights(_)
            | Error::Insecure(_) => Reason::Refused,
            _ => Reason::Protocol,
        }
    }
}

/// The end of a link.
#[derive(Debug, Clone)]
pub struct End {
    /// The kind of reason.
    pub reason: Reason,
    /// Whether the other side gave the reason. Otherwise this side found out, or decided.
    pub told: bool,
    /// The failure; [`Error::Ended`] where nothing failed.
    pub error: Error,
    /// When it ended, in milliseconds of Unix time.
    pub at_ms: u64,
}

impl End {
    /// An end that this side found out or decided.
    #[must_use]
    pub fn here(error: Error) -> End {
        End { reason: Reason::of(&error), told: false, error, at_ms: unix_ms() }
    }

    /// The same end with another reason than the error's own.
    #[must_use]
    pub fn because(self, reason: Reason) -> End {
        End { reason, ..self }
    }
}

/// Milliseconds of Unix time; 0 if the clock is set to a time before 1970.
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

/// How far a link has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// Connecting.
    #[default]
    Connecting,
    /// Between two attempts.
    Waiting,
    /// Connected, and waiting for the peer's handshake.
    Handshake,
    /// Another link to the same emitter carries the events. This one takes over when that ends.
    StandBy,
    /// Exchanging what existed before the link.
    Sync,
    /// Exchanging events as they appear.
    Live,
}

/// Counters of a link since it was established.
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
    /// Nodes received before their causes, which wait for them.
    pub parked: u64,
}

/// One link, for `stats()`.
#[derive(Debug, Clone)]
pub struct PeerInfo {
    /// Its key (see [`NetEvent`]).
    pub key: String,
    /// Who dialled.
    pub direction: Direction,
    /// The protocol that the peer speaks.
    pub kind: PeerKind,
    /// How far it has come.
    pub stage: Stage,
    /// Since when, in milliseconds of Unix time.
    pub since_ms: u64,
    /// The peer's address; between connections that of the last one.
    pub address: Option<SocketAddr>,
    /// The key that the peer has proven to own.
    pub public_key: Option<PublicKey>,
    /// How the link is protected; `None` while that is not known.
    pub security: Option<Security>,
    /// What the peer may do here; `None` while that is not decided.
    pub right: Option<Right>,
    /// How the last connection or attempt ended.
    pub last_end: Option<End>,
    /// Logs of which this connection has found that the peer has another version. Nothing of them is exchanged.
    pub stuck: Vec<String>,
    /// When the peer last brought something new or took what it lacked, in milliseconds of Unix time.
    pub useful_ms: Option<u64>,
    /// Its counters.
    pub counters: Counters,
    /// The last change up to which the peer has everything: stored by a 2.x peer, sent to a 1.x peer. Updated whenever everything
    /// has been delivered.
    pub delivered: Change,
}
