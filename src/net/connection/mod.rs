//! One connection: moves frames between the socket and the session, and does what the session asks of the log.
//!
//! The task alternates between a *turn* (hand what arrived to the session, do what it asks, write) and a wait for whatever comes
//! next. What it holds in memory is bounded:
//!
//! - reading pauses while the session has as many nodes as it wants, or while too many answers wait to be written;
//! - rows are read from the log only while little waits to be written, so a slow peer costs disk reads, not memory;
//! - at most one group of nodes, one read and one group of lookups are under way.

mod ending;
mod entry;
mod frames;
mod requests;
mod status;
mod timeouts;
mod wire;

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::sleep_until;

use self::ending::{lost, part};
use self::entry::Entry;
pub(super) use self::timeouts::FRAME_MS;
use self::wire::Wire;
use super::address_prefix::AddressPrefix;
use super::cpu_time::CpuTimer;
use super::event::{Counters, End, NetEvent, Reason, RemotePeer};
use super::gate::Approach;
use super::link::Link;
use super::link_costs::LinkCosts;
use super::pending_work::PendingWork;
use super::policy::Health;
use super::rights::{Right, Trust};
use super::send_turns::SendTurn;
use super::stream::{Ends, Stream};
use super::twin::Twin;
use super::Shared;
use crate::error::Error;
use crate::event::reason_unsafe_for_v1;
use crate::node::{Change, LogId};
use crate::panic::caught_async;
use crate::protocol::twins::Turn;
use crate::protocol::{CloseReason, Config, InEvent, Session};
use crate::row::Position;
use crate::store::ReadLimit;

/// Bytes moved before the task lets others run: some tens of microseconds of work.
const BYTES_PER_TURN: u64 = 128 * 1024;

/// How many bytes each frame adds to its own size towards [`BYTES_PER_TURN`]: so a turn handles at most 1,024 small frames, in a
/// tenth of a millisecond.
pub(in crate::net) const BYTES_PER_FRAME: u64 = 128;

/// How many bytes a read of the log counts for towards [`BYTES_PER_TURN`], whether or not its rows have to be sent.
const BYTES_PER_READ: u64 = BYTES_PER_TURN / 4;

/// How a served link ended.
pub(super) struct Served {
    pub(super) health: Health,
    pub(super) end: End,
    /// Whether to report the end of an inbound link as an error.
    pub(super) is_fault: bool,
}

/// Serves one connection until it ends. Nodes that it has parked in the log are dropped with it.
///
/// Not cancellation-safe.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    stream: Stream,
    approach: Approach,
    drops: watch::Receiver<u64>,
) -> Served {
    let ends = match stream.ends() {
        Ok(ends) => ends,
        Err(error) => return Served { health: Health::Silent, end: lost(link, &error), is_fault: false },
    };
    if let Some(ends) = ends {
        link.reached(ends.1);
    }
    let costs = LinkCosts::open(shared, link, AddressPrefix::of_any(ends.map(|ends| ends.1)));
    let mut connection = Connection::new(shared, link, ends, approach, costs);
    let end = caught_async("serving a link", connection.run(&stream, drops)).await;
    shared.log.forget(connection.costs.source().session);
    let served = match end {
        Ok(end) => {
            let health = connection.health(&end);
            let tells = connection.say_goodbye(&end);
            if !end.told {
                shared.reports.lock().count(&end.error);
            }
            let outbox = std::mem::replace(&mut connection.wire, Wire::new()).into_outbox();
            part(shared, stream, outbox, &end, tells, connection.lingers).await;
            let is_fault = !connection.evicted
                && is_fault(end.reason)
                && shared.is_report_due(connection.costs.prefix(), &end.error);
            Served { health, end, is_fault }
        }
        // Half a frame may be in the outbox, so nothing more is sent. The next link is likely to end in the same way.
        Err(error) => Served { health: Health::Hopeless, end: End::here(error), is_fault: true },
    };
    link.ended(served.end.clone());
    if let Some(peer) = connection.remote {
        shared.observe(NetEvent::Disconnected { key: link.key.clone(), peer, end: served.end.clone() });
    }
    served
}

/// The session's settings for a link whose peer has this right.
fn config(shared: &Shared, costs: &LinkCosts<'_>, twin: &Twin<'_>, entry: &Entry, right: Right) -> Config {
    let options = &shared.options;
    let trust = shared.trust.borrow();
    Config {
        network: trust.network.clone(),
        takes_nameless: trust.takes_nameless(),
        may_write: right == Right::Write,
        twin: twin.record,
        schema: shared.schema.lock().clone(),
        standard: options.standard,
        max_frame: options.max_frame,
        max_value: options.max_value,
        partials: shared.partials.clone(),
        address_prefix: costs.prefix().number(),
        patience_ms: options.patience_ms,
        ..Config::new(entry.dials(), reason_unsafe_for_v1)
    }
}

/// Whether the end of an inbound link is reported to its owner as an error.
fn is_fault(reason: Reason) -> bool {
    !matches!(reason, Reason::Closing | Reason::Ended | Reason::Renewed | Reason::Dropped | Reason::Itself)
}

struct Connection<'a> {
    shared: &'a Arc<Shared>,
    link: &'a Link,
    costs: LinkCosts<'a>,
    /// Its entry among the links to the same emitter.
    twin: Twin<'a>,
    session: Session,
    /// Our end of the connection, and the peer's.
    ends: Option<Ends>,
    /// Our log when the connection began.
    own_log: LogId,

    /// The state before the session.
    entry: Entry,
    wire: Wire,
    /// Whether whole frames may be left in the inbox, because the session did not want them, or because other tasks get their turn
    /// first.
    held_back: bool,
    /// The last frame is incomplete: when it last grew enough, and the bytes read from the socket by then.
    incomplete_frame: Option<(u64, u64)>,
    /// Whether the peer has sent its last byte. What has arrived is still stored.
    peer_finished: bool,
    /// A read that the session asked for. It is made once few bytes are left to be written.
    due_read: Option<(Position, ReadLimit)>,
    send_turn: SendTurn<'a>,
    pending: PendingWork,

    since_ms: u64,
    /// When bytes last came in.
    heard_at: u64,
    /// When a write was last attempted without the system having reported room.
    poked_at: u64,
    /// Bytes moved since the task last let others run.
    moved_bytes: u64,

    /// Why the session has ended the link; `None` while it goes on.
    closed: Option<CloseReason>,
    /// Whether it was evicted to make room for another link.
    evicted: bool,
    /// Whether the next link will end in the same way.
    hopeless: bool,
    /// Whether the peer still gets everything before the event that ends the link.
    lingers: bool,

    /// The peer, once the link was reported to the owner as established.
    remote: Option<RemotePeer>,
    live: bool,
    counters: Counters,
    /// Nodes received and sent that were of use, as last noted in the link table.
    useful_nodes: (u64, u64),
    /// The last change up to which the peer has everything.
    delivered: Change,
}

impl<'a> Connection<'a> {
    fn new(
        shared: &'a Arc<Shared>,
        link: &'a Link,
        ends: Option<Ends>,
        approach: Approach,
        costs: LinkCosts<'a>,
    ) -> Self {
        let twin = Twin::open(&shared.family, costs.source().session.0);
        let entry = Entry::new(approach);
        let prefix = costs.prefix();
        let config = config(shared, &costs, &twin, &entry, Right::Read);
        Connection {
            shared,
            link,
            costs,
            twin,
            session: Session::new(config),
            ends,
            own_log: shared.log.log_id(),
            entry,
            wire: Wire::new(),
            held_back: false,
            incomplete_frame: None,
            peer_finished: false,
            due_read: None,
            send_turn: SendTurn::open(&shared.send_turns, prefix),
            pending: PendingWork::default(),
            since_ms: shared.now_ms(),
            heard_at: shared.now_ms(),
            poked_at: 0,
            moved_bytes: 0,
            closed: None,
            evicted: false,
            hopeless: false,
            lingers: false,
            remote: None,
            live: false,
            counters: Counters::default(),
            useful_nodes: (0, 0),
            delivered: 0,
        }
    }

    /// The peer may connect, so the session begins.
    fn begin_session(&mut self, right: Right) {
        self.session = Session::new(config(self.shared, &self.costs, &self.twin, &self.entry, right));
        self.own_log = self.shared.log.log_id();
        self.handle(InEvent::Opened);
    }

    fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.shared.trust.borrow())
    }

    async fn run(&mut self, stream: &Stream, mut drops: watch::Receiver<u64>) -> End {
        let mut closing = self.shared.closing();
        let mut grown = self.shared.log.watch();
        let mut trust = self.shared.trust.subscribe();
        if let Err(error) = self.enter() {
            return End::here(error);
        }
        loop {
            let again = match self.turn(stream) {
                Ok(again) => again,
                Err(end) => return end,
            };
            let ends_turn = self.send_turn.is_on() && !self.can_send() && !self.pending.reads();
            if self.moved_bytes > BYTES_PER_TURN || ends_turn {
                self.moved_bytes = 0;
                tokio::task::yield_now().await;
                if !self.pending.reads() {
                    self.send_turn.end();
                }
            }
            let (deadline, reads) = (self.deadline(), self.reads_socket());
            let handled = tokio::select! {
                biased;
                _ = drops.changed() => Err(self.dropped()),
                _ = closing.wait_for(|closing| *closing) => Err(End::here(Error::Closed("its links have ended"))),
                event = self.pending.finished() => { self.answer(event); Ok(()) }
                ready = stream.writable(), if self.wire.waiting() > 0 && !self.send_turn.waits() => ready.map_err(|error| self.lost(&error)),
                ready = stream.readable(), if reads => ready.map_err(|error| self.lost(&error)).and_then(|()| self.receive(stream)),
                Ok(()) = trust.changed() => self.decide(),
                decision = self.entry.decided() => self.decided(decision),
                () = self.send_turn.comes(), if self.send_turn.waits() => Ok(()),
                () = self.twin.takes_over() => { self.handle(InEvent::Turn(Turn::TakeOver)); Ok(()) }
                // Never fails, because the log outlives its peers.
                _ = grown.changed() => { self.handle(InEvent::Advanced); Ok(()) }
                () = sleep_until(deadline) => { self.poke(stream); self.check_time() }
                () = std::future::ready(()), if again => Ok(()),
            };
            if let Err(end) = handled {
                return end;
            }
        }
    }

    /// Does everything that can be done without waiting, apart from reading the socket. Returns whether another turn would find
    /// more to do at once.
    fn turn(&mut self, stream: &Stream) -> Result<bool, End> {
        let timer = CpuTimer::start();
        self.handle_frames().map_err(End::here)?;
        self.carry_out();
        self.costs.add_time(timer.micros());
        let (timer, sent) = (CpuTimer::start(), self.counters.nodes_out);
        // One read per turn: scanning a long log for a peer that has all of it must not keep other peers waiting.
        let sends = (self.wire.waiting() > 0 || self.can_send()) && self.send_turn.begin();
        if sends && self.may_read_log() {
            if let Some((after, limit)) = self.due_read.take() {
                if let Some(rows) = self.pending.read(self.shared, after, limit) {
                    self.moved_bytes += BYTES_PER_READ;
                    self.answer(InEvent::Rows(rows));
                    self.carry_out();
                }
            }
        }
        if sends {
            self.flush(stream)?;
        }
        self.publish();
        if self.counters.nodes_out == sent {
            self.costs.add_time(timer.micros());
        }
        self.costs.settle(self.counters.nodes_in, self.counters.nodes_out).map_err(End::here)?;
        let session = self.session.unsent_bytes() + self.session.state_bytes();
        self.costs.hold(self.wire.held() + session);
        if let Some(reason) = self.closed.take() {
            return Err(self.end_of(reason));
        }
        if self.peer_finished && !self.pending.adds() {
            return Err(End::here(Error::Ended));
        }
        // Writing has made room for answers, and the socket may have nothing more that would wake the task.
        let frames = self.held_back && self.takes_frames();
        Ok(frames || self.can_send() && !self.send_turn.waits())
    }

    /// Whether there is something to write or to read from the log for which nothing has to be awaited, apart from its turn.
    fn can_send(&self) -> bool {
        let writes = self.wire.waiting() > 0 && self.wire.stalled_since().is_none();
        writes || self.due_read.is_some() && self.may_read_log()
    }
}
