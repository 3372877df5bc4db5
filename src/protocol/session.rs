//! One replication session with one peer, as a state machine without I/O.
//!
//! The driver (`net`) tells it what happened ([`InEvent`]), with the time and a view of the log, and does what it asks
//! ([`OutEvent`]). The handshakes decide which protocol is spoken: with a peer whose `metadata` holds our capability record
//! the extension (`v2`), with any other peer hyperlog 4.12.1's protocol (`v1`).

use super::capability::Capability;
use super::common::Common;
use super::config::Config;
use super::extension::Extension;
use super::frame::MAX_SMALL_FRAME;
use super::io::{CloseReason, InEvent, LocalLog, OutEvent, PeerKind, SessionCounters, SessionStage};
use super::message::{Handshake, Message, Mode};
use super::v1::V1;
use super::v2::V2;
use crate::error::{quoted, Error, Result};
use crate::node::Seq;
use crate::row::Position;

/// How long a peer may take to send its handshake, in milliseconds. 1.x sends it with the first bytes.
pub const HANDSHAKE_MS: u64 = 10_000;

/// Lookups that may wait before the driver stops reading the socket. Each of them costs the peer a frame.
const MAX_BACKLOG: usize = 4096;

#[derive(Debug)]
enum Protocol {
    Opening,
    V1(Box<V1>),
    V2(Box<V2>),
}

/// See the module's documentation.
#[derive(Debug)]
pub struct Session {
    common: Common,
    protocol: Protocol,
    /// [`LocalLog::adoptions`] at the start.
    adoptions: Option<u64>,
}

impl Session {
    /// A session on a connection that is about to open.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Session { common: Common::new(config), protocol: Protocol::Opening, adoptions: None }
    }

    /// Handles `event`, at `now` (milliseconds of any clock that never goes back). Afterwards the driver drains
    /// [`Session::poll`] and looks at [`Session::wake_at`].
    pub fn handle(&mut self, event: InEvent, now: u64, view: &dyn LocalLog) {
        let common = &mut self.common;
        if common.is_closed() {
            return;
        }
        common.now = common.now.max(now);
        let adoptions = view.adoptions();
        if *self.adoptions.get_or_insert(adoptions) != adoptions {
            common.close(CloseReason::Renew);
            return;
        }
        if !matches!(event, InEvent::Tick | InEvent::Advanced | InEvent::Idle) {
            common.active_at = common.now;
        }
        let failed = match &mut self.protocol {
            Protocol::Opening => return self.opening(event, view),
            Protocol::V1(v1) => v1.handle(common, event, view),
            Protocol::V2(v2) => v2.handle(common, event, view),
        };
        if let Err(error) = failed {
            common.close(CloseReason::Peer(error));
        }
    }

    /// The next thing that the driver is to do.
    pub fn poll(&mut self) -> Option<OutEvent> {
        self.common.out.pop_front()
    }

    /// When a `Tick` is due, in the clock of [`Session::handle`].
    #[must_use]
    pub fn wake_at(&self) -> Option<u64> {
        if self.common.is_closed() {
            return None;
        }
        let due = match &self.protocol {
            Protocol::Opening => Some(self.common.active_at + HANDSHAKE_MS),
            Protocol::V1(v1) => v1.wake_at(&self.common),
            Protocol::V2(v2) => v2.wake_at(&self.common),
        };
        [due, self.common.unknown_logs.paused_until(self.common.now)].into_iter().flatten().min()
    }

    /// Whether the driver should go on reading the socket.
    #[must_use]
    pub fn wants_frames(&self) -> bool {
        let backlog = match &self.protocol {
            Protocol::Opening => 0,
            Protocol::V1(v1) => v1.backlog(),
            Protocol::V2(v2) => v2.backlog(),
        };
        self.common.unknown_logs.paused_until(self.common.now).is_none()
            && backlog < MAX_BACKLOG
            && !(self.common.intake.is_busy() && self.common.intake.is_full())
    }

    /// The largest frame that this peer may send, in bytes. The driver may have a lower limit of its own.
    #[must_use]
    pub fn frame_limit(&self) -> usize {
        match &self.protocol {
            Protocol::V2(v2) if v2.has_pieces() => MAX_SMALL_FRAME,
            _ => self.common.config.max_frame,
        }
    }

    /// Which protocol the peer speaks.
    #[must_use]
    pub fn peer_kind(&self) -> PeerKind {
        match self.protocol {
            Protocol::Opening => PeerKind::Unknown,
            Protocol::V1(_) => PeerKind::V1,
            Protocol::V2(_) => PeerKind::V2,
        }
    }

    /// How far the session has come.
    #[must_use]
    pub fn stage(&self) -> SessionStage {
        if self.common.is_closed() {
            return SessionStage::Closed;
        }
        let live = match &self.protocol {
            Protocol::Opening => return SessionStage::Handshake,
            Protocol::V1(v1) => v1.is_live(),
            Protocol::V2(v2) => v2.is_live(&self.common),
        };
        if matches!(&self.protocol, Protocol::V2(v2) if v2.stands_by()) {
            SessionStage::StandBy
        } else if live {
            SessionStage::Live
        } else {
            SessionStage::Sync
        }
    }

    /// The position up to which the peer has everything, once that is all we have. A 2.x peer has stored it. A 1.x peer
    /// acknowledges nothing, so for it this is what was handed to the driver for sending.
    #[must_use]
    pub fn delivered(&self) -> Option<Position> {
        match &self.protocol {
            Protocol::Opening => None,
            Protocol::V1(v1) => self.common.rows.reached().filter(|_| v1.is_live()),
            Protocol::V2(v2) => v2.delivered(&self.common),
        }
    }

    /// What the session has done so far.
    #[must_use]
    pub fn counters(&self) -> SessionCounters {
        self.common.counters
    }

    /// What the peer's capability record said; `None` for 1.x.
    #[must_use]
    pub fn capability(&self) -> Option<&Capability> {
        match &self.protocol {
            Protocol::V2(v2) => Some(v2.capability()),
            _ => None,
        }
    }

    /// Bytes of rows that wait to be sent to the peer.
    #[must_use]
    pub fn unsent_bytes(&self) -> usize {
        match &self.protocol {
            Protocol::V2(v2) => v2.unsent_bytes(),
            _ => 0,
        }
    }

    /// Bytes of memory taken by what is known about the peer's logs.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        let logs = match &self.protocol {
            Protocol::Opening => 0,
            Protocol::V1(v1) => v1.state_bytes(),
            Protocol::V2(v2) => v2.state_bytes(),
        };
        logs + self.common.unknown_logs.bytes()
    }

    /// How far a 2.x peer has a log, and whether its version differs from ours; `None` while that is not known.
    #[must_use]
    pub fn compared(&self, log: &str) -> Option<(Seq, bool)> {
        match &self.protocol {
            Protocol::V2(v2) => v2.compared(log),
            _ => None,
        }
    }

    /// Logs that have state here.
    #[cfg(test)]
    pub(crate) fn states(&self) -> usize {
        match &self.protocol {
            Protocol::V2(v2) => v2.states(),
            _ => 0,
        }
    }

    fn opening(&mut self, event: InEvent, view: &dyn LocalLog) {
        match event {
            InEvent::Opened => {
                let metadata =
                    self.common.config.extension.then(|| Capability::ours(&self.common.config, view.log_id()).encode());
                let mode = if self.common.config.may_write { Mode::Sync } else { Mode::Push };
                let handshake = Handshake { version: 1, mode, metadata: metadata.as_deref(), live: Some(true) };
                self.common.send(&Message::Handshake(handshake));
            }
            InEvent::Frame(frame) => match Message::decode(&frame) {
                Ok(Message::Handshake(handshake)) => self.begin(&handshake, view),
                Ok(Message::Extension(kind, body)) => self.early(kind, body),
                // A peer begins with its handshake. 1.x would answer earlier messages from an empty snapshot; here they are
                // ignored.
                Ok(_) => {}
                Err(error) => self.common.close(CloseReason::Peer(error)),
            },
            InEvent::Tick if self.common.now >= self.common.active_at + HANDSHAKE_MS => {
                self.common.close(CloseReason::Silent);
            }
            _ => {}
        }
    }

    /// Handles a message before the handshake, with which a 2.x peer may say why it refuses a session.
    fn early(&mut self, kind: u8, body: &[u8]) {
        if let Ok(Extension::Goodbye { why, text }) = Extension::decode(kind, body) {
            self.common.close(CloseReason::Told(why, text));
        }
    }

    fn begin(&mut self, handshake: &Handshake<'_>, view: &dyn LocalLog) {
        let offered = handshake.metadata.filter(|_| self.common.config.extension);
        let capability = match offered.map(Capability::decode).transpose() {
            Ok(capability) => capability.flatten(),
            Err(error) => return self.common.close(CloseReason::Peer(error)),
        };
        if let Err(error) = self.belongs(capability.as_ref()) {
            return self.common.close(CloseReason::Incompatible(error));
        }
        let mode = match self.common.config.mode_of(handshake.mode) {
            Ok(mode) => mode,
            Err(error) => return self.common.close(CloseReason::Incompatible(error)),
        };
        match capability {
            Some(capability) => {
                self.protocol = Protocol::V2(Box::new(V2::start(&mut self.common, capability, mode, view)));
            }
            None if self.common.config.standard => {
                let error = Error::Incompatible(
                    "the peer is hyperemitter 1.x, which misreads the standard protobuf this emitter writes: upgrade the peer, \
                     or open this emitter with protobuf: '1.x'"
                        .into(),
                );
                self.common.close_and_report(CloseReason::Incompatible, error);
            }
            None => self.protocol = Protocol::V1(Box::new(V1::start(&mut self.common, mode, view))),
        }
    }

    /// # Errors
    /// `Network` if the peer belongs to another network.
    fn belongs(&self, capability: Option<&Capability>) -> Result<()> {
        let config = &self.common.config;
        let theirs = match capability {
            Some(capability) => capability.network.as_deref(),
            None if config.takes_nameless => return Ok(()),
            None => None,
        };
        let ours = config.network.as_deref();
        if theirs == ours {
            return Ok(());
        }
        let named =
            |name: Option<&str>| name.map_or("no network".to_owned(), |name| format!("the network {}", quoted(name)));
        let of_v1 =
            if capability.is_none() { " (it is hyperemitter 1.x: the option plain would let it in)" } else { "" };
        Err(Error::Network(format!("the peer belongs to {}{of_v1}, this emitter to {}", named(theirs), named(ours))))
    }
}
