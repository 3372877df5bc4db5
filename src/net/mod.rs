//! Sockets and timers: listening, dialling, and one task per connection that drives a pure
//! [`Session`](crate::protocol::Session).
//!
//! The accept loop (`listener`) gives each connection a task of its own. Each dialled peer has one task through all its
//! reconnections (`dialer`). Both serve a connection in `connection`: it owns one socket and one session, and shares only the log
//! and the bounds with other connections. So peers cannot stall one another.
//!
//! Everything is bounded: slots for inbound links (`inbound_slots`), what a link may cost (`cost_limits`) and hold in memory
//! (`link_memory`), and [`NetOptions`]. docs/design/network.md has the reasons.
//!
//! Shutdown: [`Net::close`] stops the accept loop, ends every session and pause, and waits for the tasks.

mod address_prefix;
mod connection;
mod cost_buckets;
mod cost_limits;
mod cpu_time;
mod dialer;
mod event;
mod gate;
mod inbound_slots;
mod link;
mod link_costs;
mod link_memory;
mod link_table;
mod listener;
mod options;
mod outbox;
mod pending_work;
pub mod pipe;
pub mod policy;
mod questions;
mod rare_reports;
pub mod rights;
mod send_turns;
mod socket;
mod stream;
mod twin;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

pub use event::{
    Candidate, Counters, Direction, End, NetEvent, NetObserver, PeerInfo, PeerKind, Reason, RemotePeer, Security, Stage,
};

use crate::error::{Error, Result};
use crate::hyperlog::{Log, SourceId};
use crate::identity::PublicKey;
use crate::protocol::pieces::Partials;
use crate::schema::ToldSchema;
use address_prefix::AddressPrefix;
pub use cost_buckets::Shares;
use cost_limits::CostLimits;
use gate::Approach;
use link::Manner;
use link_memory::LinkMemory;
use link_table::LinkTable;
pub use options::{Carried, Dial, NetOptions};
use questions::Questions;
use rare_reports::RareReports;
pub use rare_reports::Refusals;
use rights::{Peers, Plain, Right, Trust};
use send_turns::SendTurns;
use socket::Resolver;
use stream::Stream;
use twin::Family;

/// The longest time that [`Net::close`] waits for its tasks. They end within a turn. Only a peer that does not take the last bytes
/// can delay a task, and for less than this time (see `connection`).
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// The network of one emitter.
pub struct Net {
    shared: Arc<Shared>,
}

/// What the tasks share.
struct Shared {
    log: Arc<Log>,
    options: NetOptions,
    observer: Arc<dyn NetObserver>,
    runtime: Handle,
    resolver: Resolver,
    table: Mutex<LinkTable>,
    /// What peers cost.
    cost_limits: Mutex<CostLimits>,
    memory: Mutex<LinkMemory>,
    send_turns: Mutex<SendTurns>,
    /// Links to the same emitter.
    family: Mutex<Family>,
    /// Recent reports of forks and refusals.
    reports: Mutex<RareReports>,
    /// When the owner was last told that connections were refused for lack of slots.
    crowded: Mutex<listener::Reports>,
    trust: watch::Sender<Arc<Trust>>,
    /// The schema that peers of new links are told.
    schema: Mutex<Option<Arc<ToldSchema>>>,
    /// Peers that wait for the owner's decision.
    admissions: Questions<Option<Right>>,
    /// Connections that the owner was asked to make.
    dials: Questions<Result<(Stream, Option<Approach>)>>,
    /// Whether the network listens, and on which address.
    listening: Mutex<Listening>,
    closing: watch::Sender<bool>,
    /// Tasks alive.
    tasks: watch::Sender<usize>,
    /// Start of the sessions' clock.
    epoch: Instant,
    /// Large nodes that have arrived in part.
    partials: Partials,
    next_source: AtomicU64,
}

#[derive(Clone, Copy)]
enum Listening {
    No,
    Binding,
    On(SocketAddr),
}

impl Net {
    /// A network that neither listens nor dials yet. Its tasks run on `runtime`.
    #[must_use]
    pub fn new(log: Arc<Log>, options: NetOptions, observer: Arc<dyn NetObserver>, runtime: Handle) -> Net {
        let shared = Shared {
            log,
            observer,
            runtime,
            resolver: Resolver::new(),
            table: Mutex::default(),
            cost_limits: Mutex::new(CostLimits::new(options.shares)),
            memory: Mutex::default(),
            send_turns: Mutex::default(),
            family: Mutex::default(),
            reports: Mutex::default(),
            crowded: Mutex::default(),
            trust: watch::Sender::new(Arc::new(options.trust.clone())),
            schema: Mutex::default(),
            admissions: Questions::default(),
            dials: Questions::default(),
            options,
            listening: Mutex::new(Listening::No),
            closing: watch::Sender::new(false),
            tasks: watch::Sender::new(0),
            epoch: Instant::now(),
            partials: Partials::default(),
            next_source: AtomicU64::new(0),
        };
        Net { shared: Arc::new(shared) }
    }

    /// Accepts connections on `port` (0: any free one) of `host`; without a host, on all addresses of both families. The answer is
    /// the bound address.
    ///
    /// # Errors
    /// `Listen` if the address cannot be bound, or if this network listens already; after a failure it may be
    /// called again. `Closed` after [`Net::close`].
    #[must_use]
    pub fn listen(&self, host: Option<String>, port: u16) -> oneshot::Receiver<Result<SocketAddr>> {
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        self.shared.spawn(async move {
            // The caller may have stopped waiting for the answer.
            let _ = answer.send(shared.listen(host.as_deref(), port).await);
        });
        answered
    }

    /// Dials `host:port`, and redials it after every failure (see [`policy`]). A `known` peer, which an earlier run was connected
    /// to, is never given up. The observer is told of each attempt.
    ///
    /// Returns whether the link is new; then its last event will be `GaveUp`. If there is already a link to this peer, it is
    /// dialled as `dial` says from now on, and a connection that was made in another manner ends.
    ///
    /// An emitter with an identity dials only secure links, unless `dial` says otherwise.
    pub fn dial(&self, host: String, port: u16, dial: Dial) -> bool {
        let key = socket::target(&host, port);
        let secure = dial.key.is_some() || self.shared.trust.borrow().identity.is_some();
        let approach = match dial.plain {
            Some(right) if dial.key.is_none() => Approach::Plain(right),
            _ if secure => Approach::Secure(dial.key),
            _ => Approach::Plain(Right::Write),
        };
        let (link, is_new) = self.shared.table.lock().dial(&key, dial.known);
        link.dial_as(Manner { approach, carried: dial.carried });
        if is_new {
            let ending = dialer::Ending::new(&self.shared, link);
            self.shared.spawn(dialer::keep_connected(ending, dialer::Target { host, port }));
        }
        is_new
    }

    /// [`Net::dial`] with the default settings.
    pub fn connect(&self, host: String, port: u16, known: bool) -> bool {
        self.dial(host, port, Dial { known, ..Dial::default() })
    }

    /// Answers [`NetEvent::Admit`] with the peer's right; `None` ends its link. An answer that comes too late has no effect.
    pub fn admit(&self, question: u64, right: Option<Right>) {
        // An answer that comes too late has no receiver.
        let _ = self.shared.admissions.answer(question, right);
    }

    /// Answers [`NetEvent::Dial`].
    pub fn dialled(&self, question: u64, connection: Result<Carried>) {
        let connection = connection.map(|carried| {
            let vouched = |(security, right)| Approach::Vouched { security, right, dialled: true };
            (Stream::Pipe(carried.pipe, carried.ends), carried.vouched.map(vouched))
        });
        // A connection that came too late is closed by being dropped.
        drop(self.shared.dials.answer(question, connection));
    }

    /// Serves a connection that the owner has made or accepted. It is not dialled again. `dialled` says whether this side counts as
    /// the dialler; exactly one of the two sides must. Returns the link's key, if there is room for it.
    pub fn handle(&self, carried: Carried, dialled: bool, key: Option<PublicKey>) -> Option<String> {
        let approach = match carried.vouched {
            Some((security, right)) => Approach::Vouched { security, right, dialled },
            None if !dialled => Approach::Accepted,
            None if self.shared.trust.borrow().identity.is_some() => Approach::Secure(key),
            None => Approach::Plain(Right::Write),
        };
        if self.shared.is_closing() {
            return None;
        }
        let from = carried.ends.map(|(ours, theirs)| (theirs, ours));
        let stream = Stream::Pipe(carried.pipe, carried.ends);
        listener::enter(&self.shared, stream, from, approach)
    }

    /// Sets which peers may connect, and with which rights. Links whose peers have lost their right end at once; links whose
    /// right has changed are closed and reopened.
    pub fn set_peers(&self, peers: Peers) {
        self.shared.trust.send_modify(|trust| Arc::make_mut(trust).peers = peers);
    }

    /// Sets the schema that peers of new links are told.
    pub fn set_schema(&self, schema: Option<Arc<ToldSchema>>) {
        *self.shared.schema.lock() = schema;
    }

    /// Sets which plain links are accepted.
    pub fn set_plain(&self, plain: Option<Plain>) {
        self.shared.trust.send_modify(|trust| Arc::make_mut(trust).plain = plain);
    }

    /// Ends a link that the owner vouched for, because its peer has lost its right.
    pub fn revoke(&self, key: &str) {
        let link = self.shared.table.lock().get(key);
        if let Some(link) = link {
            link.evict(Error::Rights("its right was withdrawn".to_owned()));
        }
    }

    /// The name of the network that this emitter belongs to.
    #[must_use]
    pub fn network(&self) -> Option<String> {
        self.shared.trust.borrow().network.clone()
    }

    /// How often peers were refused.
    #[must_use]
    pub fn refusals(&self) -> Refusals {
        self.shared.reports.lock().refusals()
    }

    /// Ends the connection of a link abruptly, as a failure would. A dialled link is then redialled. Does nothing for unknown keys
    /// and for links between two attempts.
    pub fn drop_link(&self, key: &str) {
        let link = self.shared.table.lock().get(key);
        if let Some(link) = link {
            link.drop_connection();
        }
    }

    /// Stops listening and ends every link and pause. Resolves when all tasks have ended. May be called repeatedly.
    #[must_use]
    pub fn close(&self) -> oneshot::Receiver<()> {
        let (answer, answered) = oneshot::channel();
        self.shared.closing.send_replace(true);
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.spawn(async move {
            let mut tasks = shared.tasks.subscribe();
            let _ = tokio::time::timeout(CLOSE_WITHIN, tasks.wait_for(|tasks| *tasks == 0)).await;
            let _ = answer.send(());
        });
        answered
    }

    /// Bytes of memory that links hold for their peers: received and not yet stored, or waiting to be sent.
    #[must_use]
    pub fn held(&self) -> usize {
        self.shared.memory.lock().total()
    }

    /// Every link, in no particular order.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        self.shared.table.lock().describe()
    }
}

impl Shared {
    fn observe(&self, event: NetEvent) {
        self.observer.event(event);
    }

    /// Whether to report to the owner an error that a peer from `prefix` caused.
    fn is_report_due(&self, prefix: AddressPrefix, error: &Error) -> bool {
        self.reports.lock().is_due(prefix, error, self.now_ms())
    }

    /// A receiver that becomes true when the network closes.
    fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn next_source(&self) -> SourceId {
        SourceId(self.next_source.fetch_add(1, Ordering::Relaxed))
    }

    /// Runs a task that `close` waits for.
    fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let alive = Alive::new(self);
        self.runtime.spawn(async move {
            task.await;
            drop(alive);
        });
    }

    async fn listen(self: &Arc<Self>, host: Option<&str>, port: u16) -> Result<SocketAddr> {
        if self.is_closing() {
            return Err(refused());
        }
        {
            let mut listening = self.listening.lock();
            if !matches!(*listening, Listening::No) {
                let reason = "this emitter listens already: close it first, or create another".to_owned();
                return Err(Error::Listen {
                    address: socket::target(host.unwrap_or("::"), port),
                    reason,
                    system: None,
                });
            }
            *listening = Listening::Binding;
        }
        let bound = match self.resolver.bind(host, port).await {
            Ok(listener) => listener
                .local_addr()
                .map(|address| (listener, address))
                .map_err(|error| Error::storage("listening", error)),
            Err(error) => Err(error),
        };
        let bound = if self.is_closing() { Err(refused()) } else { bound };
        match bound {
            Ok((listener, address)) => {
                *self.listening.lock() = Listening::On(address);
                self.spawn(listener::accept_loop(Arc::clone(self), listener));
                Ok(address)
            }
            Err(error) => {
                *self.listening.lock() = Listening::No;
                Err(error)
            }
        }
    }

    /// The address we listen on, for error messages.
    fn listening_on(&self) -> String {
        match *self.listening.lock() {
            Listening::On(address) => address.to_string(),
            Listening::No | Listening::Binding => String::new(),
        }
    }
}

fn refused() -> Error {
    Error::Closed("it accepts no peers")
}

/// Counts a task as long as it exists, even if it is aborted or panics.
struct Alive(Arc<Shared>);

impl Alive {
    fn new(shared: &Arc<Shared>) -> Alive {
        shared.tasks.send_modify(|tasks| *tasks += 1);
        Alive(Arc::clone(shared))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.tasks.send_modify(|tasks| *tasks -= 1);
    }
}
