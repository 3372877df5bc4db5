//! One connection: moves frames between the socket and the session, and does what the session asks of the log.
//!
//! The task alternates between a *turn* (hand what arrived to the session, do what it asks, write) and a wait for whatever comes
//! next. What it holds in memory is bounded:
//!
//! - reading pauses while the session has as many nodes as it wants, or while too many answers wait to be written;
//! - rows are read from the log only while little waits to be written, so a slow peer costs disk reads, not memory;
//! - at most one group of nodes, one read and one group of lookups are under way.

mod ending;
mod frames;
mod requests;
mod status;
mod timeouts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use self::ending::{farewell, lost};
use self::frames::FIRST_CHUNK;
pub(super) use self::timeouts::FRAME_MS;
use super::address_prefix::AddressPrefix;
use super::cpu_time::CpuTimer;
use super::event::{Counters, Direction, End, NetEvent, Reason, RemotePeer};
use super::link::Link;
use super::link_costs::LinkCosts;
use super::outbox::Outbox;
use super::pending_work::PendingWork;
use super::policy::Health;
use super::twin::Twin;
use super::Shared;
use crate::error::Error;
use crate::event::reason_unsafe_for_v1;
use crate::node::{Change, LogId};
use crate::panic::caught_async;
use crate::protocol::twins::Turn;
use crate::protocol::{CloseReason, Config, InEvent, Session};
use crate::store::{Position, ReadLimit};

/// Bytes moved before the task lets others run: some tens of microseconds of work.
const BYTES_PER_TURN: u64 = 128 * 1024;

/// What a read of the log counts in this, whether or not its rows have to be sent.
const BYTES_PER_READ: u64 = BYTES_PER_TURN / 4;

/// How long a closing network waits for a peer to take the last bytes.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long a link that would end at the same event again waits for the peer to take everything before that event: enough for some
/// megabytes on a slow line.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// Bytes that are read and dropped after a peer broke the rules, so that it can receive the reason: as much as may be on its way.
/// A peer that keeps sending does not get the reason.
const LAST_READ: usize = 256 * 1024;

/// How a served link ended.
pub(super) struct Served {
    pub(super) health: Health,
    pub(super) end: End,
    /// The owner of an inbound link is to hear of an error.
    pub(super) is_fault: bool,
}

/// Serves one connection until it ends. Nodes that it has parked in the log are dropped with it.
///
/// Not cancellation-safe.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    link: &Arc<Link>,
    socket: TcpStream,
    drops: watch::Receiver<u64>,
) -> Served {
    let ends = match (socket.local_addr(), socket.peer_addr()) {
        (Ok(ours), Ok(theirs)) => (ours, theirs),
        (Err(error), _) | (_, Err(error)) => {
            return Served { health: Health::Silent, end: lost(link, &error), is_fault: false };
        }
    };
    link.reached(ends.1);
    let costs = LinkCosts::open(shared, link, AddressPrefix::of(ends.1));
    let mut connection = Connection::new(shared, link, ends, costs);
    let end = caught_async("serving a link", connection.run(&socket, drops)).await;
    shared.log.forget(connection.costs.source().session);
    let served = match end {
        Ok(end) => {
            let health = connection.health();
            let tells = connection.say_goodbye(&end);
            let friendly = connection.hopeless || end.reason == Reason::Closing;
            let most = if friendly { usize::MAX } else { LAST_READ };
            let farewell = farewell(socket, std::mem::take(&mut connection.outbox), most);
            if connection.hopeless {
                // The next link would end at the same event, so this one has to bring everything before it.
                let mut closing = shared.closing();
                tokio::select! {
                    _ = timeout(LAST_WORDS, farewell) => {}
                    _ = closing.wait_for(|closing| *closing) => {}
                }
            } else if tells || end.reason == Reason::Closing && !end.told {
                // A courtesy: what does not get through now comes with the next link.
                drop(timeout(FAREWELL, farewell).await);
            }
            let is_fault = !connection.evicted
                && is_fault(end.reason)
                && shared.is_report_due(connection.costs.prefix(), &end.error);
            Served { health, end, is_fault }
        }
        // Half a frame may be waiting to be sent, so nothing is. The next link is likely to end at the same place.
        Err(error) => Served { health: Health::Hopeless, end: End::here(error), is_fault: true },
    };
    link.ended(served.end.clone());
    if let Some(peer) = connection.remote {
        shared.observe(NetEvent::Disconnected { key: link.key.clone(), peer, end: served.end.clone() });
    }
    served
}

/// Whether the owner of an inbound link is to hear of its end as an error.
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
    ends: (SocketAddr, SocketAddr),
    /// Our log when the connection began.
    own_log: LogId,

    /// Bytes read that are not yet whole frames.
    inbox: BytesMut,
    /// Bytes asked of the socket at a time.
    read_size: usize,
    /// Whole frames may be left in the inbox, because the session did not want them when they arrived.
    held_back: bool,
    /// The last frame is incomplete: when it last grew enough, and the bytes read from the socket by then.
    incomplete_frame: Option<(u64, u64)>,
    /// The peer has sent its last byte. What has arrived is still stored.
    peer_finished: bool,
    outbox: Outbox,
    /// A read that the session asked for, and that waits until little is left to be written.
    due_read: Option<(Position, ReadLimit)>,
    pending: PendingWork,

    since_ms: u64,
    /// When bytes last came in.
    heard_at: u64,
    /// When the system was last asked whether it takes bytes although it has not said so.
    poked_at: u64,
    /// Bytes moved since the task last let others run.
    moved_bytes: u64,

    /// The session has ended the link.
    closed: Option<CloseReason>,
    /// It was ended to make room for another link.
    evicted: bool,
    /// The next link will end in the same way.
    hopeless: bool,

    /// The peer, once the owner knows that the link stands.
    remote: Option<RemotePeer>,
    live: bool,
    counters: Counters,
    /// Nodes in and out that were of use, when the link table last heard of them.
    useful_nodes: (u64, u64),
    /// The last change up to which the peer has everything.
    delivered: Change,
}

impl<'a> Connection<'a> {
    fn new(shared: &'a Arc<Shared>, link: &'a Link, ends: (SocketAddr, SocketAddr), costs: LinkCosts<'a>) -> Self {
        let options = &shared.options;
        let twin = Twin::open(&shared.family, costs.source().session.0);
        let config = Config {
            twin: twin.record,
            standard: options.standard,
            max_frame: options.max_frame,
            max_value: options.max_value,
            partials: shared.partials.clone(),
            address_prefix: costs.prefix().number(),
            patience_ms: options.patience_ms,
            ..Config::new(link.direction == Direction::Outbound, reason_unsafe_for_v1)
        };
        Connection {
            shared,
            link,
            costs,
            twin,
            session: Session::new(config),
            ends,
            own_log: shared.log.log_id(),
            inbox: BytesMut::new(),
            read_size: FIRST_CHUNK,
            held_back: false,
            incomplete_frame: None,
            peer_finished: false,
            outbox: Outbox::default(),
            due_read: None,
            pending: PendingWork::default(),
            since_ms: shared.now_ms(),
            heard_at: shared.now_ms(),
            poked_at: 0,
            moved_bytes: 0,
            closed: None,
            evicted: false,
            hopeless: false,
            remote: None,
            live: false,
            counters: Counters::default(),
            useful_nodes: (0, 0),
            delivered: 0,
        }
    }

    async fn run(&mut self, socket: &TcpStream, mut drops: watch::Receiver<u64>) -> End {
        let mut closing = self.shared.closing();
        let mut grown = self.shared.log.watch();
        self.handle(InEvent::Opened);
        loop {
            let again = match self.turn(socket) {
                Ok(again) => again,
                Err(end) => return end,
            };
            if self.moved_bytes > BYTES_PER_TURN {
                self.moved_bytes = 0;
                tokio::task::yield_now().await;
            }
            let (deadline, reads) = (self.deadline(), self.reads_socket());
            let handled = tokio::select! {
                biased;
                _ = drops.changed() => Err(self.dropped()),
                _ = closing.wait_for(|closing| *closing) => Err(End::here(Error::Closed("it keeps no links"))),
                event = self.pending.finished() => { self.answer(event); Ok(()) }
                ready = socket.writable(), if !self.outbox.is_empty() => ready.map_err(|error| self.lost(&error)),
                ready = socket.readable(), if reads => ready.map_err(|error| self.lost(&error)).and_then(|()| self.receive(socket)),
                () = self.twin.takes_over() => { self.handle(InEvent::Turn(Turn::TakeOver)); Ok(()) }
                // Never fails, because the log outlives its peers.
                _ = grown.changed() => { self.handle(InEvent::Advanced); Ok(()) }
                () = sleep_until(deadline) => { self.poke(socket); self.check_time() }
                () = std::future::ready(()), if again => Ok(()),
            };
            if let Err(end) = handled {
                return end;
            }
        }
    }

    /// Does everything that can be done without waiting, apart from reading the socket. Returns whether another turn would find
    /// more to do at once.
    fn turn(&mut self, socket: &TcpStream) -> Result<bool, End> {
        let timer = CpuTimer::start();
        self.handle_frames().map_err(End::here)?;
        self.carry_out();
        // One read per turn: scanning a long log for a peer that has all of it must not keep the others waiting.
        if self.may_read_log() {
            if let Some((after, limit)) = self.due_read.take() {
                if let Some(rows) = self.pending.read(self.shared, after, limit) {
                    self.moved_bytes += BYTES_PER_READ;
                    self.answer(InEvent::Rows(rows));
                    self.carry_out();
                }
            }
        }
        self.flush(socket)?;
        self.publish();
        self.costs.add_time(timer.micros());
        self.costs.settle(self.counters.nodes_in, self.counters.nodes_out).map_err(End::here)?;
        self.costs.hold(self.inbox.capacity() + self.outbox.held() + self.session.unsent_bytes());
        if let Some(reason) = self.closed.take() {
            return Err(self.end_of(reason));
        }
        if self.peer_finished && !self.pending.adds() {
            return Err(End::here(Error::Ended));
        }
        let writes = !self.outbox.is_empty() && self.outbox.stalled_since().is_none();
        // Writing has made room for answers, and the socket may have nothing more that would wake the task.
        let frames = self.held_back && self.takes_frames();
        Ok(writes || frames || self.due_read.is_some() && self.may_read_log())
    }
}
