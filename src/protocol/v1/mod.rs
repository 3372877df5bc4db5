//! A session with a hyperemitter 1.x peer: hyperlog 4.12.1's protocol (`lib/replicate.js`), with defences against its defects.
//!
//! Differences from hyperlog, and the defects that they defend against (numbers as in docs/design/wire.md, "With a 1.x peer"):
//! - All logs are announced at the start, not just those of heads. So nothing is left to announce later, when a log may have
//!   outgrown the snapshot (4).
//! - What the peer has is tracked per log: from its wants and haves, from what it sends and from what it was sent. Nothing is
//!   sent twice or back (1).
//! - Nodes are sent in the store's order, causes first, and only once the peer's wants are known: a 1.x peer may never retry a node
//!   that came too early (2).
//! - Nothing is sent while the peer still sends what we want: its logs would grow under its own snapshot (4).
//! - Our log heads decide whether we have everything, no matter which peer sent the nodes (3).
//! - Both log entries of a deduplicated node are sent, live ones too (5).
//! - Nodes that the peer did not ask for wait for its `sentWants` (6).
//! - Where the peer cannot recover, the link is closed for a new one.

mod fork_search;
mod patience;
mod receive;
mod send;
mod sent_nodes;
mod wants;

use std::collections::HashSet;

use bytes::Bytes;

use self::fork_search::ForkSearch;
#[cfg(test)]
pub(super) use self::patience::{GIVE_UP_PULL_MS, PATIENCE_MS, PATIENCE_WITH_DIALLER_MS};
use self::receive::EntryToCompare;
use self::sent_nodes::SentNodes;
use super::common::Common;
use super::io::{CloseReason, InEvent, LocalLog};
use super::lookups::Lookups;
use super::message::{Message, Mode};
use super::peer_logs::PeerLogs;
use crate::error::{Error, Result};
use crate::node::{LogId, Seq};
use crate::row::Position;

/// What a session with a 1.x peer knows about one log in addition to [`super::peer_logs::PeerLog`].
#[derive(Debug, Default)]
struct LogState {
    /// We announced entries up to here.
    announced: Seq,
    /// Its index among our announcements.
    index: Option<usize>,
    /// The peer asked for it.
    wanted: bool,
    /// The search for a fork; `None` once it is known whether the peer's version agrees with ours.
    search: Option<ForkSearch>,
    /// Whether it is a sealed log that differs. Then the peer's version goes to the log, which has to see it up to a seal.
    proving: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct V1 {
    log_id: LogId,
    logs: PeerLogs<LogState>,
    /// Logs in the order announced. The peer's wants come in the same order.
    order: Vec<LogId>,
    /// How many of `order` the peer has passed, by wanting them or not.
    decided: usize,
    /// When the peer's last want came; 0 until the clock has been looked at.
    wanted_at: Option<u64>,
    /// Whether the peer's wants are known, as far as that can be decided.
    settled: bool,
    /// Logs that the peer wants, and that were not yet sent up to the announced seq.
    owed: HashSet<LogId>,
    /// The end of the store when the session began.
    snapshot: Position,
    peer_sent_heads: bool,
    peer_sent_wants: bool,
    sent_wants: bool,
    /// Whether everything that the peer lacks is sent, even if it did not ask for it.
    streaming: bool,
    lookups: Lookups<EntryToCompare>,
    sent_nodes: SentNodes,
    /// Whether the driver was asked to continue our own log under a new id.
    forking: bool,
    /// Nodes that the peer announced and that have not arrived: how 1.x judges completeness. Only used by the simulator, when
    /// the defence `complete_by_heads` is taken out.
    missing_by_count: i64,
}

impl V1 {
    pub(crate) fn start(common: &mut Common, mode: Mode, view: &dyn LocalLog) -> Self {
        let mut v1 = V1 {
            log_id: view.log_id(),
            logs: PeerLogs::new(mode),
            order: Vec::new(),
            decided: 0,
            wanted_at: None,
            settled: false,
            owed: HashSet::new(),
            snapshot: view.end(),
            peer_sent_heads: mode == Mode::Pull,
            peer_sent_wants: mode == Mode::Push,
            sent_wants: mode == Mode::Pull,
            streaming: false,
            lookups: Lookups::default(),
            sent_nodes: SentNodes::default(),
            forking: false,
            missing_by_count: 0,
        };
        if mode != Mode::Push {
            v1.announce(common, view);
        }
        v1
    }

    pub(crate) fn is_live(&self) -> bool {
        self.sent_wants && self.peer_sent_wants && self.peer_sent_heads
    }

    /// Lookups that wait.
    pub(crate) fn backlog(&self) -> usize {
        self.lookups.waiting()
    }

    /// Bytes of memory taken by what is known about logs, without the ids of unknown ones.
    pub(crate) fn state_bytes(&self) -> usize {
        self.logs.bytes()
    }

    /// # Errors
    /// What the peer did wrong.
    pub(crate) fn handle(&mut self, common: &mut Common, event: InEvent, view: &dyn LocalLog) -> Result<()> {
        let more_to_come = matches!(event, InEvent::Frame(_));
        let tick = matches!(event, InEvent::Tick);
        match event {
            InEvent::Frame(frame) => self.on_frame(common, &frame, view)?,
            InEvent::Rows(Ok(rows)) => self.on_rows(common, rows),
            InEvent::Added(Ok(outcomes)) => self.on_added(common, outcomes, view)?,
            InEvent::LookedUp(Ok(found)) => self.on_looked_up(common, found, view),
            InEvent::Rows(Err(error)) | InEvent::Added(Err(error)) | InEvent::LookedUp(Err(error)) => {
                common.close(CloseReason::Local(error));
            }
            InEvent::Forked(Ok(_)) => common.close(CloseReason::Renew),
            // Our log does not move because of it. None of its entries are stored, and other logs continue.
            InEvent::Forked(Err(error @ Error::Forged { .. })) => common.report(error),
            InEvent::Forked(Err(error)) => common.close(CloseReason::Local(error)),
            InEvent::Advanced => {
                common.rows.advanced();
                self.logs.behind.grown();
            }
            InEvent::Opened
            | InEvent::Idle
            | InEvent::Arriving
            | InEvent::Written
            | InEvent::Tick
            | InEvent::Turn(_) => {}
        }
        if view.log_id() != self.log_id {
            // Announcements under the old id are no longer valid, and a log can be announced only once per connection.
            common.close(CloseReason::Renew);
        }
        if !more_to_come {
            common.offer_nodes();
        }
        for log in self.logs.behind.next(tick) {
            self.logs.look_at(&log, view, common.now);
        }
        self.proceed(common, view);
        Ok(())
    }

    fn on_frame(&mut self, common: &mut Common, frame: &Bytes, view: &dyn LocalLog) -> Result<()> {
        match Message::decode(frame)? {
            Message::Have(have) => self.on_have(common, &have, view),
            Message::Want(want) => self.on_want(&want, view),
            Message::Node(node) => self.on_node(common, frame, &node, view),
            Message::SentHeads => {
                self.peer_sent_heads = true;
                Ok(())
            }
            Message::SentWants => {
                if !self.peer_sent_wants {
                    self.peer_sent_wants = true;
                    self.decide_up_to(self.order.len());
                }
                Ok(())
            }
            // A repeated handshake would make 1.x announce everything again. Only the first one counts here.
            Message::Handshake(_) | Message::Extension(..) | Message::Empty => Ok(()),
        }
    }

    /// Takes all steps that have become possible.
    fn proceed(&mut self, common: &mut Common, view: &dyn LocalLog) {
        if common.is_closed() {
            return;
        }
        self.settle(common);
        self.say_sent_wants(common);
        self.start_streaming(common);
        self.ask_for_gaps(common, view);
        if self.may_send(common) {
            common.read_rows();
        }
        common.look_up(&mut self.lookups);
        self.close_if_half_open(common);
    }
}
