//! The log: one writer, any number of readers.
//!
//! [`Log`] is the handle, [`Batch`] brings appends, [`plan`] decides, `writer` commits in groups (`group`) and announces,
//! `turns` says which thread does that when, `room` is the memory of new values, `guard` makes errors of other people's
//! panics, [`fork`] bounds what other versions of our log may cause, [`stuck`] knows the logs of which peers hold another version, [`recent_rows`] keeps what is recent in memory, [`parking`] holds nodes that came too early.

#![forbid(unsafe_code)]

mod batch;
mod commit_group;
mod commit_pipeline;
pub mod fork;
mod guard;
pub mod import;
mod log;
pub mod parking;
pub mod plan;
pub mod recent_rows;
mod relabelled;
mod session_view;
pub mod stuck;
mod value_buffer;
pub mod verify;
mod writer;

use bytes::Bytes;
use tokio::sync::oneshot;

pub use self::batch::{Append, Batch};
pub use self::log::{new_id, Log, LogObserver, LogOptions};
use crate::error::{Error, Result};
use crate::node::{Change, Key, LogId, NodeRef, Seq};
pub use crate::protocol::{Incoming, Outcome};
use crate::store::log_set::LogSet;
use crate::store::{Meta, Position};

/// One replication session, for the quota of what it may have parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u64);

impl SourceId {
    /// The user of this emitter, whose imports may hold what is missing of the local log. Sessions count up from 0.
    pub const USER: SourceId = SourceId(u64::MAX);
}

/// Where a session comes from, as far as sessions share what they may have parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody else comes from there.
    Alone(SourceId),
    /// All sessions with this number count as one: those from one prefix of addresses, say.
    Shared(u64),
}

/// A session and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    /// The session.
    pub session: SourceId,
    /// Where it comes from.
    pub origin: Origin,
}

impl From<SourceId> for Source {
    fn from(session: SourceId) -> Self {
        Source { session, origin: Origin::Alone(session) }
    }
}

/// What the caller of an append wants to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// Nothing, not even a failure.
    None,
    /// That it is durable.
    Plain,
    /// The stored node.
    Node,
}

/// The answer to one append whose [`AckKind`] is not `None`.
#[derive(Clone, Debug)]
pub struct Ack {
    /// Its change; 0 if it was not stored.
    pub change: Change,
    /// The node if it was asked for, once it is durable. Errors are rare, and boxed so that acks stay small.
    pub result: std::result::Result<Option<NodeRef>, Box<Error>>,
}

impl Ack {
    /// The answer to an append that was not stored.
    #[must_use]
    pub fn failed(error: Error) -> Self {
        Ack { change: 0, result: Err(Box::new(error)) }
    }
}

/// A question answered later.
pub type Reply<T> = oneshot::Receiver<Result<T>>;

/// The asking side's end of a [`Reply`].
pub(crate) type Answer<T> = oneshot::Sender<Result<T>>;

/// A job for the writer.
pub(crate) enum Job {
    Append(Batch),
    /// Appends that were refused before they got here; they are answered in their turn.
    Refused {
        acks: usize,
        error: Error,
    },
    Add {
        source: Source,
        nodes: Vec<(Incoming, Key)>,
        reply: Answer<Vec<Outcome>>,
    },
    SetMeta {
        facts: Vec<(Meta, Option<Bytes>)>,
        reply: Answer<()>,
    },
    ForkLocal {
        log: LogId,
        from: Seq,
        reply: Answer<LogId>,
    },
    Adopt {
        log: LogId,
        from: Seq,
        theirs: Key,
        reply: Answer<LogId>,
    },
    Forget(SourceId),
}

/// The log's state as of the last commit, for decisions that must not block.
#[derive(Debug)]
pub struct State {
    /// The last place stored.
    pub end: Position,
    /// Id of the local log.
    pub log_id: LogId,
    /// Head of every log.
    pub logs: LogSet,
}

impl State {
    /// Last seq of a log, 0 if it is unknown.
    #[must_use]
    pub fn seq(&self, log: &str) -> Seq {
        self.logs.get(log).map_or(0, |(seq, _)| seq)
    }
}
