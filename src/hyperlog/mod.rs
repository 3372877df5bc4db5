//! The log: one writer, any number of readers.
//!
//! Going down: [`Log`] is the handle. `commit_pipeline` decides which thread plans and commits when, over the `commit_queue` of
//! `job`s. `writer` turns jobs into a `commit_group`, by the rules in [`plan`] and `versions`. `committer` stores the group and
//! answers for it. `shared` is the state as of the last commit, which all threads can read.
//!
//! Further modules: [`Batch`] holds the events to append, `value_buffer` holds their values, [`recent_rows`] keeps the newest rows
//! in memory, [`parking`] holds nodes that came before their causes, [`fork`] limits how often other versions of our log move its
//! tail, `demands` are the conditions of an append, `uncommitted_events` finds events that are not stored yet, `decisions` finds
//! events of others that contradict a conditional append later, [`stuck`] knows the logs of which peers hold another version,
//! `stuck_record` is what the store keeps about them, [`trust`] says whose rows are stored, and `sealing` seals our own rows. If
//! another process writes the store, `following` takes the place of the pipeline.

#![forbid(unsafe_code)]

mod batch;
pub mod branch_digest;
mod commit_group;
mod commit_pipeline;
mod commit_queue;
mod committer;
mod decisions;
mod demands;
mod following;
pub mod fork;
mod ids;
pub mod import;
mod job;
mod job_sink;
mod linked_logs;
mod log;
mod observer;
mod options;
pub mod parking;
pub mod plan;
pub mod recent_rows;
mod relabelled;
mod sealing;
mod session_view;
mod shared;
pub mod stuck;
mod stuck_record;
pub mod trust;
mod uncommitted_events;
mod uncommitted_rows;
mod value_buffer;
pub mod verify;
mod versions;
mod writer;

pub use self::batch::{Append, Batch};
pub use self::demands::{Condition, Demands};
pub use self::ids::new_log_id;
pub use self::job::Response;
pub use self::log::Log;
pub use self::observer::LogObserver;
pub use self::options::LogOptions;
pub use self::shared::CommittedState;
pub use self::trust::Trust;
use crate::error::Error;
pub use crate::incoming::{Incoming, Outcome};
use crate::node::{Change, NodeRef};

/// One replication session. What it may park is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId(pub u64);

impl SourceId {
    /// The user of this emitter, whose imports may bring entries of the local log that are missing here. Sessions count up
    /// from 0.
    pub const USER: SourceId = SourceId(u64::MAX);
}

/// Where a session comes from. Sessions from the same origin share what they may park.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// An origin of its own.
    Alone(SourceId),
    /// The same for all sessions with this number, for example those from one prefix of addresses.
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

/// Which answer the caller of an append wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckKind {
    /// Nothing, not even a failure.
    None,
    /// That it is durable.
    Plain,
    /// The stored node.
    Node,
}

impl AckKind {
    /// The answer to an append that was stored with this change; `None` if no answer is wanted.
    fn of(self, change: Change, node: impl FnOnce() -> Option<NodeRef>) -> Option<Ack> {
        match self {
            AckKind::None => None,
            AckKind::Plain => Some(Ack { change, result: Ok(None) }),
            AckKind::Node => Some(Ack { change, result: Ok(node()) }),
        }
    }
}

/// A conditional append that was stored, and an event of another emitter that contradicts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Change of the append's first event.
    pub ours: Change,
    /// Change of the other event.
    pub theirs: Change,
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
