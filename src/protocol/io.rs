//! What goes into a session and what comes out of it: the events, the lookups in the store, and the view of the log.

use bytes::Bytes;

use super::goodbye::GoodbyeReason;
use super::twins::{Instance, Token, Turn};
use crate::error::{Error, Result};
use crate::hyperlog::branch_digest::MAX_COMPARED;
use crate::incoming::{Incoming, Outcome};
use crate::node::{Digest, LogId, Seq};
use crate::row::{Entry, LogHead, Position, Row};
use crate::store::log_set::{Bucket, LogSet, Prefix, PARTS};
use crate::store::ReadLimit;

/// Something that happened, which the driver tells the session.
#[derive(Debug)]
pub enum InEvent {
    /// The connection is up. Always the first event, and only once.
    Opened,
    /// A whole frame, without its length prefix.
    Frame(Bytes),
    /// No further whole frame has arrived: nodes collected so far can go to the log.
    Idle,
    /// Bytes of an incomplete frame arrived: the peer is alive.
    Arriving,
    /// The socket took bytes again after it had refused them.
    Written,
    /// The log has grown, or its id has changed.
    Advanced,
    /// Answers [`OutEvent::Read`]. No rows means the end of the store.
    Rows(Result<Vec<Row>>),
    /// Answers [`OutEvent::Add`], with one outcome per node.
    Added(Result<Vec<Outcome>>),
    /// Answers [`OutEvent::Lookup`], with one result per lookup.
    LookedUp(Result<Vec<Found>>),
    /// Answers [`OutEvent::ForkLocal`] with the new log id.
    Forked(Result<LogId>),
    /// Answers [`OutEvent::Met`] and [`OutEvent::Twin`], or comes when another link to the same peer has ended.
    Turn(Turn),
    /// Time has passed; see [`Session::wake_at`](super::Session::wake_at).
    Tick,
}

/// Something the driver is to do. At most one `Read`, one `Add`, one `Lookup` and one `ForkLocal` are unanswered at any time.
#[derive(Debug)]
pub enum OutEvent {
    /// Send these bytes: one or more whole frames.
    Send(Bytes),
    /// Read rows. The driver may wait until its send buffer has room.
    Read {
        /// Read rows after this position.
        after: Position,
        /// How many at most.
        limit: ReadLimit,
    },
    /// Offer nodes to the log, in this order.
    Add(Vec<Incoming>),
    /// Look these up in the store.
    Lookup(Vec<Lookup>),
    /// Our own log has forked: continue it under a new id from this seq.
    ForkLocal {
        /// Our own log's id, as the session knew it.
        log: LogId,
        /// The first seq at which the peer has a different entry.
        from: Seq,
    },
    /// The peer has said which open emitter it is, and given a token. There may be other links to it, so nothing is exchanged
    /// before the driver says which of them carries rows ([`InEvent::Turn`]).
    Met(Instance, Token),
    /// The peer says that this link carries rows, or that the one on which we gave this token does.
    Twin(Option<Token>),
    /// Tell the user. The session goes on unless `Close` follows.
    Report(Error),
    /// End the connection. Nothing follows.
    Close(CloseReason),
}

/// Something to look up in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The running digest of a log after its entry `seq`.
    Digest(LogId, Seq),
    /// The digest of a log's entries from the first of these on up to the second, as if they were a log of their own. Answered as `Digest` is.
    DigestBetween(LogId, Seq, Seq),
    /// The entry of a log with this seq.
    Entry(LogId, Seq),
}

impl Lookup {
    /// How many entries are looked up in the store for it.
    #[must_use]
    pub fn entries(&self) -> u64 {
        match self {
            Lookup::Digest(..) | Lookup::Entry(..) => 1,
            Lookup::DigestBetween(_, from, to) => to.saturating_add(1).saturating_sub(*from).min(MAX_COMPARED),
        }
    }
}

/// The result of the [`Lookup`] of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// `None` if the log is shorter, or there are too many entries.
    Digest(Option<Digest>),
    /// `None` if there is no such entry.
    Entry(Option<Entry>),
}

/// Why a session ends.
#[derive(Debug)]
pub enum CloseReason {
    /// The peer broke the protocol, or sent something that can never be stored.
    Peer(Error),
    /// The exchange is stuck; a new session resolves that (for 1.x peers: docs/design/wire.md, "Half-dead links").
    HalfOpen,
    /// The peer sent no handshake, or nothing at all for too long.
    Silent,
    /// The next event to send would crash the 1.x peer. A new session ends at the same event.
    Harmful(Error),
    /// This emitter and this peer cannot replicate. A new session ends the same way.
    Incompatible(Error),
    /// Our log id has changed, so what was announced is no longer valid: start a new session immediately.
    Renew,
    /// Our own log or store failed.
    Local(Error),
    /// The peer ended the session with a goodbye: its reason and its text.
    Told(GoodbyeReason, String),
}

/// Which protocol the peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PeerKind {
    /// Its handshake has not arrived.
    #[default]
    Unknown,
    /// hyperlog 4.12.1's: the peer is hyperemitter 1.x or plain hyperlog.
    V1,
    /// The 2.x extension.
    V2,
}

/// How far a session has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStage {
    /// Waiting for the peer's handshake.
    Handshake,
    /// Another link to the same emitter carries the rows.
    StandBy,
    /// At least one side still lacks entries that the other announced.
    Sync,
    /// Both sides have the same entries; new events flow.
    Live,
    /// Over.
    Closed,
}

/// What a session has done so far, for `peers()` and the simulator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Nodes sent.
    pub nodes_sent: u64,
    /// Nodes received, echoes included.
    pub nodes_received: u64,
    /// Nodes received that were echoes of nodes sent shortly before.
    pub echoes: u64,
    /// Nodes received that had already come over another link.
    pub in_vain: u64,
    /// Nodes that arrived before something they depend on.
    pub parked: u64,
    /// Bytes of node frames sent.
    pub bytes_sent: u64,
}

/// The log as a session sees it. Answers come from memory and never block.
pub trait LocalLog {
    /// Id of the log that appends go to.
    fn log_id(&self) -> LogId;
    /// Head of a log, if it has entries.
    fn head(&self, log: &str) -> Option<LogHead>;
    /// Last seq of a log; 0 if it is unknown.
    fn seq(&self, log: &str) -> Seq {
        self.head(log).map_or(0, |head| head.seq)
    }
    /// Head of every log.
    fn logs(&self) -> Vec<LogHead>;
    /// Number and digest of the logs in `prefix`. Costs as much as has changed there since the last call.
    fn bucket(&self, prefix: Prefix) -> Bucket {
        self.logs().into_iter().collect::<LogSet>().bucket(prefix)
    }
    /// The sixteen parts of `prefix`.
    fn parts(&self, prefix: Prefix) -> [Bucket; PARTS] {
        self.logs().into_iter().collect::<LogSet>().parts(prefix)
    }
    /// Heads of the logs in `prefix`, in the set's order.
    fn logs_in(&self, prefix: Prefix) -> Vec<LogHead> {
        self.logs().into_iter().collect::<LogSet>().logs_in(prefix)
    }
    /// How often another version of a log was adopted. When this changes, earlier announcements are no longer valid.
    fn adoptions(&self) -> u64 {
        0
    }
    /// The first entry of our own log that peers have and that we did not write. Their entries from there on are ignored.
    fn forged_from(&self) -> Option<Seq> {
        None
    }
    /// The position of the last row stored.
    fn end(&self) -> Position;
}
