//! Sockets and timers: listening, dialling, and one task per connection that drives a pure
//! [`Session`](crate::protocol::Session).
//!
//! Tasks: the accept loop hands each connection to a task; each dialled peer has a task that lives through all
//! its reconnections. A task owns one socket and one session, waits for the log with at most one group of nodes
//! and one read outstanding, and shares nothing with other tasks but the log: peers cannot stall one another.
//! Everything is bounded by the constants of `policy`, `socket`, `peer` and by [`NetOptions`].
//!
//! Shutdown: [`Net::close`] stops the accept loop, ends every session and pause, and waits for the tasks.

mod cost_limits;
mod cpu_time;
mod dialer;
mod event;
mod fork_reports;
mod inbound_slots;
mod link;
mod link_costs;
mod link_memory;
mod listener;
mod outbox;
mod peer;
mod pending_work;
pub mod policy;
mod socket;
mod twin;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

pub use event::{Counters, Direction, End, NetEvent, NetObserver, PeerInfo, PeerKind, Reason, Stage, Who};

use crate::error::{Error, Result};
use crate::hyperlog::{Log, SourceId};
use crate::protocol::frame;
use crate::protocol::pieces::Partials;
use cost_limits::CostLimits;
pub use cost_limits::Shares;
use fork_reports::ForkReports;
use link::Table;
use link_memory::LinkMemory;
use socket::Resolver;
use twin::Family;

/// Longest wait of [`Net::close`] for its tasks. They end within a turn; only a peer that does not take the last
/// bytes (see `peer`) delays one, and not for as long as this.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// What an emitter can choose.
#[derive(Debug, Clone)]
pub struct NetOptions {
    /// Pause before the first redial in milliseconds (1.x's `reconnectTimeout`).
    pub reconnect_timeout_ms: u64,
    /// Connections accepted at one time; then one that is of no use gives way, or the newcomer is turned away.
    pub max_inbound: usize,
    /// How many of them may be without a handshake; then old silent ones give way to new ones.
    pub max_silent: usize,
    /// A peer that has not sent its handshake by then is dropped, in milliseconds.
    pub handshake_timeout_ms: u64,
    /// An accepted link that was of no use for this long may be ended for a newcomer when all places are taken, in
    /// milliseconds.
    pub idle_after_ms: u64,
    /// A frame that was begun and grows by less than 4 KiB within this time ends the link, in milliseconds.
    pub frame_timeout_ms: u64,
    /// A peer that takes none of the bytes waiting for it for this long is dropped, in milliseconds.
    pub stall_timeout_ms: u64,
    /// How long a link that a 1.x peer left half dead may stay idle, in milliseconds; `None` for the protocol's own
    /// choice.
    pub patience_ms: Option<u64>,
    /// What a link, and a network of links, may cost in vain.
    pub shares: Shares,
    /// Largest frame accepted, in bytes.
    pub max_frame: usize,
    /// Largest event container that the log takes from peers, in bytes: they are told.
    pub max_value: usize,
    /// The emitter writes standard protobuf, which 1.x peers misread: they are refused.
    pub standard: bool,
}

impl Default for NetOptions {
    /// 1.x's pause; 1,024 connections (the usual limit on a process's files), half of which are kept for peers that
    /// have introduced themselves; a handshake takes one round trip,
    /// so 10 s serve the slowest line; 30 s without a byte taken mean a hung process or a dead line.
    fn default() -> Self {
        NetOptions {
            reconnect_timeout_ms: 1000,
            max_inbound: 1024,
            max_silent: 512,
            handshake_timeout_ms: 10_000,
            idle_after_ms: inbound_slots::IDLE_MS,
            frame_timeout_ms: peer::FRAME_MS,
            stall_timeout_ms: 30_000,
            patience_ms: None,
            shares: Shares::default(),
            max_frame: frame::MAX_FRAME_LEN,
            max_value: frame::MAX_FRAME_LEN / 2,
            standard: false,
        }
    }
}

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
    table: Mutex<Table>,
    /// What peers cost, and what links hold for them.
    cost_limits: Mutex<CostLimits>,
    memory: Mutex<LinkMemory>,
    /// Links to the same emitter.
    family: Mutex<Family>,
    /// What was told of forks.
    fork_reports: Mutex<ForkReports>,
    /// The bound address, or that binding is under way.
    listening: Mutex<Listening>,
    closing: watch::Sender<bool>,
    /// Tasks alive.
    tasks: watch::Sender<usize>,
    /// Start of the sessions' clock.
    epoch: Instant,
    /// What has arrived of large nodes.
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
            family: Mutex::default(),
            fork_reports: Mutex::default(),
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

    /// Accepts connections on `port` (0: any free one) of `host`; without a host, on all addresses of both
    /// families. Answers with the bound address.
    ///
    /// # Errors
    /// `Listen` if the address cannot be bound, or if this network listens already; after a failure it may be
    /// called again. `Closed` after [`Net::close`].
    #[must_use]
    pub fn listen(&self, host: Option<String>, port: u16) -> oneshot::Receiver<Result<SocketAddr>> {
        let (answer, answered) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        self.shared.spawn(async move {
            // An owner that no longer listens for the answer needs none.
            let _ = answer.send(shared.listen(host.as_deref(), port).await);
        });
        answered
    }

    /// Dials `host:port`, and redials it after every failure (see [`policy`]). A `known` peer, one that an
    /// earlier run was connected to, is never given up. The outcome goes to the observer; the last event of
    /// every call that returned `true` is `GaveUp`.
    ///
    /// Returns whether the link is new: a key that is in use, even if still connecting, is left alone.
    pub fn connect(&self, host: String, port: u16, known: bool) -> bool {
        let key = socket::target(&host, port);
        let Some(link) = self.shared.table.lock().dial(&key, known) else { return false };
        let ending = dialer::Ending::new(&self.shared, link);
        self.shared.spawn(dialer::keep_connected(ending, dialer::Target { host, port }));
        true
    }

    /// Ends the connection of a link abruptly, as a failure would; a dialled link is then redialled. Unknown
    /// keys and links between two attempts are left alone.
    pub fn drop_link(&self, key: &str) {
        let link = self.shared.table.lock().get(key);
        if let Some(link) = link {
            link.drop_connection();
        }
    }

    /// Stops listening and ends every link and pause. Resolves when all is quiet. May be called repeatedly.
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

    /// Bytes that links hold for their peers: received and not yet stored, or waiting to be sent.
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

    /// Whether the owner is to hear of what a peer of `network` did.
    fn tells(&self, network: u64, error: &Error) -> bool {
        self.fork_reports.lock().tells(network, error, self.now_ms())
    }

    /// A receiver that turns true when the network closes.
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

    /// For messages.
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

/// Counts a task for as long as it exists, also when it is aborted or panics.
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
