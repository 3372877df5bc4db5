//! The state of one link: shared by the task that serves it and by everybody who asks about it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::event::{unix_ms, Counters, Direction, End, PeerInfo, PeerKind, Security, Stage};
use super::gate::Approach;
use super::rights::Right;
use crate::error::Error;
use crate::identity::PublicKey;
use crate::node::Change;

/// Stuck logs that are listed per link. Real ones are few, and made-up ones need not be listed.
const MAX_STUCK: usize = 16;

/// How a peer is dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    pub(super) approach: Approach,
    /// Whether the owner makes the connection.
    pub(super) carried: bool,
}

/// One entry of the link table.
pub(super) struct Link {
    pub(super) key: String,
    pub(super) direction: Direction,
    /// Whether an earlier run was connected to this peer, so that dialling it is never given up.
    known: AtomicBool,
    /// How it is dialled, if we do that.
    manner: watch::Sender<Option<Manner>>,
    /// Counts calls of [`Link::drop_connection`].
    drops: watch::Sender<u64>,
    /// Why the connection was dropped, unless the user did it.
    eviction: Mutex<Option<Error>>,
    /// When the peer last brought something new or took something it lacked, in milliseconds of the network's clock; 0 if never.
    useful_at: AtomicU64,
    status: Mutex<Status>,
}

#[derive(Default)]
struct Status {
    stage: Stage,
    since_ms: u64,
    address: Option<SocketAddr>,
    /// Whether we are the side that dialled, although the link is listed as inbound: the owner made the connection.
    is_ours: bool,
    public_key: Option<PublicKey>,
    security: Option<Security>,
    right: Option<Right>,
    last_end: Option<End>,
    stuck: Vec<String>,
    useful_ms: Option<u64>,
    kind: PeerKind,
    counters: Counters,
    delivered: Change,
}

impl Status {
    fn enter(&mut self, stage: Stage) {
        if self.stage != stage || self.since_ms == 0 {
            self.stage = stage;
            self.since_ms = unix_ms();
        }
    }
}

impl Link {
    pub(super) fn new(key: String, direction: Direction, known: bool) -> Arc<Link> {
        Arc::new(Link {
            key,
            direction,
            known: AtomicBool::new(known),
            manner: watch::Sender::new(None),
            drops: watch::Sender::new(0),
            eviction: Mutex::default(),
            useful_at: AtomicU64::new(0),
            status: Mutex::default(),
        })
    }

    /// The peer brought something new, or took something it lacked.
    pub(super) fn used(&self, now_ms: u64) {
        self.useful_at.store(now_ms.max(1), Ordering::Relaxed);
        self.status.lock().useful_ms = Some(unix_ms());
    }

    /// When that last happened.
    pub(super) fn useful_at(&self) -> Option<u64> {
        Some(self.useful_at.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    /// The number of an inbound link's slot: its key.
    pub(super) fn slot(&self) -> Option<u64> {
        self.key.parse().ok().filter(|_| self.direction == Direction::Inbound)
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    pub(super) fn set_known(&self) {
        self.known.store(true, Ordering::Relaxed);
    }

    /// Sets how the peer is dialled from now on. A connection that was made in another manner ends.
    pub(super) fn dial_as(&self, manner: Manner) {
        let before = self.manner.send_replace(Some(manner));
        if before.is_some_and(|before| before != manner) {
            self.drop_connection();
        }
    }

    /// A receiver of how the peer is dialled.
    pub(super) fn manner(&self) -> watch::Receiver<Option<Manner>> {
        self.manner.subscribe()
    }

    /// Ends the present connection or attempt, as a failure would. Does nothing between attempts.
    pub(super) fn drop_connection(&self) {
        self.drops.send_modify(|drops| *drops += 1);
    }

    /// Ends the present connection to make room for others; `error` says why.
    pub(super) fn evict(&self, error: Error) {
        *self.eviction.lock() = Some(error);
        self.drop_connection();
    }

    /// Why the connection was dropped; `None` if the user did it.
    pub(super) fn take_eviction(&self) -> Option<Error> {
        self.eviction.lock().take()
    }

    /// A receiver that changes when the connection has to be dropped. Earlier drops do not count.
    pub(super) fn drops(&self) -> watch::Receiver<u64> {
        self.drops.subscribe()
    }

    /// Resets all counters, because a new attempt, or the pause before it, begins.
    pub(super) fn restart(&self, stage: Stage) {
        let status = &mut *self.status.lock();
        status.enter(stage);
        (status.kind, status.counters, status.delivered) = Default::default();
        (status.stuck, status.useful_ms) = Default::default();
        (status.public_key, status.security, status.right) = Default::default();
    }

    /// Notes that the peer has another version of this log.
    pub(super) fn stuck(&self, log: &str) {
        let stuck = &mut self.status.lock().stuck;
        if stuck.len() < MAX_STUCK && !stuck.iter().any(|known| known == log) {
            stuck.push(log.to_owned());
        }
    }

    /// The logs of which the peer has another version.
    pub(super) fn stuck_logs(&self) -> Vec<String> {
        self.status.lock().stuck.clone()
    }

    /// Notes that the peer has our version of this log after all.
    pub(super) fn healed(&self, log: &str) {
        self.status.lock().stuck.retain(|known| known != log);
    }

    /// Whether any log is stuck.
    pub(super) fn is_stuck(&self) -> bool {
        !self.status.lock().stuck.is_empty()
    }

    /// The connection is made.
    pub(super) fn reached(&self, address: SocketAddr) {
        self.status.lock().address = Some(address);
    }

    /// Which side dialled.
    pub(super) fn leads(&self, direction: Direction) {
        self.status.lock().is_ours = direction == Direction::Outbound;
    }

    /// The peer has been identified, as far as it has to be.
    pub(super) fn set_identity(&self, public_key: Option<PublicKey>, security: Security) {
        let status = &mut *self.status.lock();
        (status.public_key, status.security) = (public_key, Some(security));
    }

    /// What the peer may do has been decided.
    pub(super) fn set_right(&self, right: Right) {
        self.status.lock().right = Some(right);
    }

    /// The connection, or the attempt to get one, has ended.
    pub(super) fn ended(&self, end: End) {
        self.status.lock().last_end = Some(end);
    }

    /// Publishes how far the connection has come.
    pub(super) fn publish(&self, stage: Stage, kind: PeerKind, counters: Counters, delivered: Change) {
        let status = &mut *self.status.lock();
        status.enter(stage);
        (status.kind, status.counters, status.delivered) = (kind, counters, delivered);
    }

    pub(super) fn describe(&self) -> PeerInfo {
        let status = self.status.lock();
        PeerInfo {
            key: self.key.clone(),
            direction: if status.is_ours { Direction::Outbound } else { self.direction },
            kind: status.kind,
            stage: status.stage,
            since_ms: status.since_ms,
            address: status.address,
            public_key: status.public_key,
            security: status.security,
            right: status.right,
            last_end: status.last_end.clone(),
            stuck: status.stuck.clone(),
            useful_ms: status.useful_ms,
            counters: status.counters,
            delivered: status.delivered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_stuck_logs_are_named() {
        let link = Link::new("a:1".into(), Direction::Outbound, false);
        for n in 0..3 * MAX_STUCK {
            link.stuck(&format!("log {n}"));
            link.stuck("log 0");
        }
        assert_eq!(link.status.lock().stuck.len(), MAX_STUCK);
    }
}
