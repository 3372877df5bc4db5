//! Publishes the state of the connection: to the link table, to the owner as events, and to the log.

use super::Connection;
use crate::error::Error;
use crate::net::event::{Direction, NetEvent, RemotePeer, Stage};
use crate::node::LogId;
use crate::protocol::{PeerKind, SessionStage};

impl Connection<'_> {
    /// Once the peer's handshake has arrived and the session goes on, tells the owner that the link is established. This comes
    /// before anything that the peer brings.
    ///
    /// # Errors
    /// `Itself` if the peer is this emitter.
    pub(super) fn introduce(&mut self) -> Result<(), Error> {
        let (kind, direction) = (self.session.peer_kind(), self.entry.direction());
        if kind == PeerKind::Unknown {
            return Ok(());
        }
        let now = self.shared.now_ms();
        let mut table = self.shared.table.lock();
        let theirs = self.session.capability().and_then(|capability| capability.twin);
        let is_own = self.ends.is_some_and(|ends| table.is_own(ends))
            || theirs.is_some_and(|(instance, _)| self.twin.is_ours(instance));
        if direction == Direction::Outbound && is_own {
            return Err(Error::Itself(self.link.key.clone()));
        }
        table.introduced(self.link, now);
        drop(table);
        let Some(right) = self.entry.right else { return Ok(()) };
        let (public_key, security) = (self.entry.public_key, self.entry.security);
        let address = self.ends.map(|ends| ends.1);
        let peer = RemotePeer { direction, address, public_key, security, right, kind };
        self.remote = Some(peer);
        self.shared.observe(NetEvent::Connected { key: self.link.key.clone(), peer });
        Ok(())
    }

    /// Publishes how far the connection has come.
    pub(super) fn publish(&mut self) {
        let stage = match self.session.stage() {
            SessionStage::Handshake => Stage::Handshake,
            SessionStage::StandBy => Stage::StandBy,
            SessionStage::Sync => Stage::Sync,
            SessionStage::Live => Stage::Live,
            SessionStage::Closed => return,
        };
        let session = self.session.counters();
        (self.counters.nodes_in, self.counters.nodes_out) = (session.nodes_received, session.nodes_sent);
        let useful = (self.counters.added, self.counters.nodes_out);
        if useful != self.useful_nodes {
            self.useful_nodes = useful;
            self.link.used(self.shared.now_ms());
        }
        self.update_stuck_logs(stage);
        if stage == Stage::Live && !self.live {
            self.live = true;
            // While a log is stuck, the two sides are not in sync.
            if let Some(peer) = self.remote.filter(|_| !self.link.is_stuck()) {
                self.shared.observe(NetEvent::Synced { key: self.link.key.clone(), peer });
            }
        }
        if let Some(at) = self.session.delivered().filter(|_| self.wire.waiting() == 0) {
            self.delivered = at.change;
        }
        self.link.publish(stage, self.session.peer_kind(), self.counters, self.delivered);
    }

    /// Tells the log how far the peer is with stuck logs, and notes those that are no longer stuck.
    fn update_stuck_logs(&self, stage: Stage) {
        let session = &self.session;
        for log in self.link.stuck_logs() {
            match session.compared(&log) {
                Some((has, true)) => self.shared.log.peers_have(&log.as_str().into(), has),
                // Before the session is live the log may not have been compared yet.
                Some((_, false)) if stage == Stage::Live => self.link.healed(&log),
                _ => {}
            }
        }
        if let Some(capability) = session.capability().filter(|_| stage == Stage::Live && !self.live) {
            let agrees = |log: &LogId, seq| session.compared(log).is_some_and(|(has, differs)| has >= seq && !differs);
            self.shared.log.agreed(&capability.log, agrees);
        }
    }
}
