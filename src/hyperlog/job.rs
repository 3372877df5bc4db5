//! Jobs for the writer.

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{Batch, Incoming, Outcome, Source, SourceId};
use crate::error::{Error, Result};
use crate::node::{Key, LogId, Seq};
use crate::store::Meta;

/// An answer that comes later.
pub type Response<T> = oneshot::Receiver<Result<T>>;

/// The writer's end of a [`Response`].
pub(super) type Responder<T> = oneshot::Sender<Result<T>>;

/// What each member of a job costs in addition to its bytes.
const MEMBER: usize = 64;

/// A job for the writer.
pub(super) enum Job {
    Append(Batch),
    /// Appends that were refused before they got here. They are answered when their turn comes.
    Refused {
        acks: usize,
        error: Error,
    },
    Add {
        source: Source,
        nodes: Vec<(Incoming, Key)>,
        responder: Responder<Vec<Outcome>>,
    },
    SetMeta {
        facts: Vec<(Meta, Option<Bytes>)>,
        responder: Responder<()>,
    },
    ForkLocal {
        log: LogId,
        from: Seq,
        responder: Responder<LogId>,
    },
    Adopt {
        log: LogId,
        from: Seq,
        theirs: Key,
        responder: Responder<LogId>,
    },
    Forget(SourceId),
}

impl Job {
    /// How many acks the job has to get.
    pub(super) fn acks(&self) -> usize {
        match self {
            Job::Append(batch) => batch.acks(),
            Job::Refused { acks, .. } => *acks,
            _ => 0,
        }
    }

    /// Its size in bytes, as it counts towards the size of a group.
    pub(super) fn cost(&self) -> usize {
        match self {
            Job::Append(batch) => batch.cost(),
            Job::Refused { acks, .. } => acks * MEMBER,
            Job::Add { nodes, .. } => {
                nodes.iter().map(|(node, _)| node.value.len() + MEMBER * (1 + node.links.len())).sum()
            }
            Job::SetMeta { facts, .. } => {
                facts.iter().flat_map(|(_, value)| value).map(|value| MEMBER + value.len()).sum()
            }
            Job::ForkLocal { .. } | Job::Adopt { .. } | Job::Forget(_) => 0,
        }
    }

    /// Whether it has to be the last job of its group.
    pub(super) fn ends_group(&self) -> bool {
        matches!(self, Job::ForkLocal { .. } | Job::Adopt { .. })
    }
}
