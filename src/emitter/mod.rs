//! Wires store, log, network and delivery together, and owns the order of opening and closing.
//!
//! Everything that JavaScript hears is pulled by it: acknowledgements, events and notices wait here, and a [`Bell`]
//! says that something does.

#![forbid(unsafe_code)]

mod delivery;
mod network;
mod notices;
mod request;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Runtime;

use self::delivery::Delivery;
use self::network::EarlyConnect;
use self::notices::Notices;
pub use self::request::{Reply, Request, Stats};
use crate::error::{Error, Result};
use crate::hyperlog::{Ack, Batch, Log, LogObserver, LogOptions};
use crate::net::{Net, NetEvent, NetOptions};
use crate::node::{Change, LogId};
use crate::panic::caught;
use crate::store::{Row, Store};

/// How long a closing emitter waits for tasks that hold sockets.
const RUNTIME_SHUTDOWN: Duration = Duration::from_secs(2);

/// Says, from any thread, that something waits to be taken.
pub trait Bell: Send + Sync {
    /// Must not block.
    fn ring(&self);
}

/// Opens a store; blocks. The argument reports long work (rebuilding an index) as (done, total).
pub type Opener = Box<dyn FnOnce(&mut dyn FnMut(u64, u64)) -> Result<Arc<dyn Store>> + Send>;

/// Where the log is kept.
pub enum Source {
    /// A store that never blocks, open already.
    Immediate(Arc<dyn Store>),
    /// A store that is opened by the writer's thread.
    Opening(Opener),
}

/// What JavaScript should hear besides acknowledgements and events.
#[derive(Debug)]
pub enum Notice {
    /// The store is open; events after `change` will be delivered.
    Ready {
        /// The local log.
        log_id: LogId,
        /// The last change stored.
        change: Change,
    },
    /// The store cannot be opened. Everything asked of the emitter fails with this.
    Failed(Error),
    /// The answer to a request.
    Answer {
        /// The request's id.
        id: u32,
        /// Its result.
        result: Result<Reply>,
    },
    /// Long work goes on.
    Progress {
        /// The request's id; 0 while the store opens.
        id: u32,
        /// Units done.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// Appends go to another log: peers hold something else under the old one.
    LogIdChanged(LogId),
    /// Something happened on the network.
    Net(NetEvent),
    /// Something went wrong that no call of the user's can be blamed for.
    Report(Error),
}

enum Opening {
    /// What was asked before the store was open, in order.
    Waiting {
        appends: Vec<Early>,
        bytes: usize,
        requests: Vec<(u32, Request)>,
        connects: Vec<EarlyConnect>,
    },
    Open,
    Failed(Error),
}

/// What was emitted before the store was open.
enum Early {
    Append(Batch),
    /// So many were refused, and are answered in their turn.
    Refused(usize, Error),
}

/// Which calls have something to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// [`Emitter::take_acks`].
    pub acks: bool,
    /// [`Emitter::take_notices`].
    pub notices: bool,
}

#[derive(Default)]
struct Outbox {
    acks: VecDeque<Ack>,
    notices: Notices,
}

/// Settings of an emitter.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Of its log.
    pub log: LogOptions,
    /// Of its network.
    pub net: NetOptions,
}

/// One emitter.
pub struct Emitter {
    options: Options,
    log: OnceLock<Arc<Log>>,
    net: OnceLock<Net>,
    opening: Mutex<Opening>,
    outbox: Mutex<Outbox>,
    delivery: Mutex<Delivery>,
    closing: AtomicBool,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// The thread that [`Emitter::close`] started.
    closer: Mutex<Option<JoinHandle<()>>>,
    /// The last change, where there is no log any more to ask.
    left_at: Change,
    runtime: Mutex<Option<Runtime>>,
    bell: Arc<dyn Bell>,
    /// While JavaScript is inside a call that it ends by asking what waits, nobody needs to ring.
    muted: AtomicUsize,
}

impl Emitter {
    /// Starts opening; returns at once. [`Notice::Ready`] or [`Notice::Failed`] follows.
    ///
    /// # Errors
    /// `Internal` if the system gives no thread.
    pub fn open(source: Source, options: Options, bell: Arc<dyn Bell>) -> Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            // Reads for JavaScript and for peers that have fallen behind; each waits for the disk most of the time.
            .max_blocking_threads(8)
            .thread_name("hyper-net")
            .enable_all()
            .build()
            .map_err(|error| Error::Internal(format!("no runtime: {error}")))?;
        let emitter = Arc::new(Emitter {
            options,
            log: OnceLock::new(),
            net: OnceLock::new(),
            opening: Mutex::new(Opening::Waiting {
                appends: Vec::new(),
                bytes: 0,
                requests: Vec::new(),
                connects: Vec::new(),
            }),
            outbox: Mutex::new(Outbox::default()),
            delivery: Mutex::new(Delivery::default()),
            closing: AtomicBool::new(false),
            writer: Mutex::new(None),
            closer: Mutex::new(None),
            left_at: 0,
            runtime: Mutex::new(Some(runtime)),
            bell,
            muted: AtomicUsize::new(0),
        });
        let opener = match source {
            Source::Immediate(store) => {
                emitter.start(Ok(store));
                None
            }
            Source::Opening(opener) => Some(opener),
        };
        let opened = Arc::clone(&emitter);
        let write = move || {
            if let Some(opener) = opener {
                let progress = &mut |done, total| opened.notify(Notice::Progress { id: 0, done, total });
                // Everybody waits for this: whatever becomes of it must be told.
                opened.start(caught("opening the store", || opener(progress)));
            }
            if let Some(log) = opened.log.get() {
                log.run();
            }
        };
        let thread = std::thread::Builder::new().name("hyper-writer".into()).spawn(write);
        let thread = thread.map_err(|error| Error::Internal(format!("no writer thread: {error}")))?;
        *emitter.writer.lock() = Some(thread);
        Ok(emitter)
    }

    fn start(self: &Arc<Self>, store: Result<Arc<dyn Store>>) {
        let observer = Arc::new(Observer(Arc::downgrade(self)));
        let log = store.and_then(|store| Log::open(store, self.options.log, observer.clone()));
        let mut opening = self.opening.lock();
        let state = match &log {
            Ok(_) => Opening::Open,
            Err(error) => Opening::Failed(error.clone()),
        };
        let Opening::Waiting { appends, requests, connects, .. } = std::mem::replace(&mut *opening, state) else {
            return;
        };
        match log {
            Ok(log) => {
                self.delivery.lock().start(log.end());
                self.notify(Notice::Ready { log_id: log.log_id(), change: log.end().change });
                for found in log.store().mended() {
                    self.notify(Notice::Report(Error::Mended(found)));
                }
                // Under the lock: what is appended from now on must come after what waited.
                for early in appends {
                    match early {
                        Early::Append(batch) => log.append(batch),
                        Early::Refused(acks, error) => log.refuse_appends(acks, error),
                    }
                }
                if self.closing.load(Ordering::SeqCst) {
                    log.close();
                }
                if let Some(runtime) = &*self.runtime.lock() {
                    let net = Net::new(Arc::clone(&log), self.options.net.clone(), observer, runtime.handle().clone());
                    // Only this thread sets these, once.
                    let _ = self.net.set(net);
                }
                let _ = self.log.set(log);
                drop(opening);
                self.connect_early(connects);
                for (id, request) in requests {
                    self.request(id, request);
                }
            }
            Err(error) => {
                // Under the lock: what is refused from now on must come after what waited.
                for early in appends {
                    match early {
                        Early::Append(batch) => self.push_acks(vec![Ack::failed(error.clone()); batch.acks()]),
                        Early::Refused(acks, own) => self.push_acks(vec![Ack::failed(own); acks]),
                    }
                }
                drop(opening);
                self.notify(Notice::Failed(error.clone()));
                self.connect_early(connects);
                for (id, _) in requests {
                    self.notify(Notice::Answer { id, result: Err(error.clone()) });
                }
            }
        }
    }

    /// Appends events in order; allowed before the store is open. Returns whether something waits to be taken.
    pub fn append(&self, batch: impl Into<Batch>) -> bool {
        let batch = batch.into();
        self.muted.fetch_add(1, Ordering::SeqCst);
        match self.log.get() {
            Some(log) => log.append(batch),
            None => self.append_early(batch),
        }
        self.muted.fetch_sub(1, Ordering::SeqCst);
        self.has_output()
    }

    fn append_early(&self, batch: Batch) {
        let mut opening = self.opening.lock();
        match &mut *opening {
            Opening::Waiting { appends, bytes, .. } => {
                let limit = self.options.log.max_pending;
                let pending = *bytes + batch.cost();
                let refused = if self.closing.load(Ordering::SeqCst) {
                    Error::Closed("it was closed before its store was open")
                } else if pending > limit {
                    Error::Backlog { pending, limit }
                } else {
                    *bytes = pending;
                    appends.push(Early::Append(batch));
                    return;
                };
                appends.push(Early::Refused(batch.acks(), refused));
            }
            Opening::Failed(error) => {
                let acks = vec![Ack::failed(error.clone()); batch.acks()];
                drop(opening);
                self.push_acks(acks);
            }
            Opening::Open => {
                drop(opening);
                if let Some(log) = self.log.get() {
                    log.append(batch);
                }
            }
        }
    }

    /// Answers to appends, in their order, `max` at the most. Events they speak of may be taken from now on: callbacks
    /// run before listeners.
    pub fn take_acks(&self, max: usize) -> Vec<Ack> {
        // Read before the queue: acks up to here have been pushed, so once they are taken it may be delivered.
        let end = self.log.get().map(|log| log.announced().change);
        let mut outbox = self.outbox.lock();
        let count = outbox.acks.len().min(max);
        let acks: Vec<Ack> = outbox.acks.drain(..count).collect();
        let emptied = outbox.acks.is_empty();
        drop(outbox);
        let last = acks.iter().rev().map(|ack| ack.change).find(|change| *change > 0);
        let allowed = if emptied { end } else { last };
        if let Some(change) = allowed.max(last) {
            self.delivery.lock().allow(change);
        }
        acks
    }

    /// The next events for listeners, in log order, of those that `interested` keeps. Never past what the last
    /// [`Emitter::take_acks`] allowed. May return none although some are left; the bell rings when they are at hand.
    pub fn take_events(
        self: &Arc<Self>,
        max_rows: usize,
        max_bytes: usize,
        interested: &mut dyn FnMut(&Row) -> bool,
    ) -> Vec<Row> {
        let Some(log) = self.log.get() else { return Vec::new() };
        if self.closing.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut delivery = self.delivery.lock();
        let (rows, fetch) = delivery.take(log, max_rows, max_bytes, interested);
        drop(delivery);
        if let Some(after) = fetch {
            self.fetch_events(log, after);
        }
        rows
    }

    /// Nobody listens: passes over what [`Emitter::take_acks`] allowed.
    pub fn skip_events(&self) {
        self.delivery.lock().skip();
    }

    /// The last change stored.
    #[must_use]
    pub fn last_change(&self) -> Change {
        self.log.get().map_or(self.left_at, |log| log.end().change)
    }

    /// Whether events are committed that were neither taken nor skipped.
    #[must_use]
    pub fn has_events(&self) -> bool {
        let Some(log) = self.log.get() else { return false };
        !self.closing.load(Ordering::SeqCst) && self.delivery.lock().is_behind(log.end().change)
    }

    /// Whether [`Emitter::take_events`] gets on at once: callbacks have been taken, rows are in memory.
    #[must_use]
    pub fn has_events_at_hand(&self) -> bool {
        !self.closing.load(Ordering::SeqCst) && self.delivery.lock().is_at_hand()
    }

    fn has_output(&self) -> bool {
        let waiting = self.waiting();
        waiting.acks || waiting.notices || self.has_events()
    }

    /// What waits to be taken besides events.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        let outbox = self.outbox.lock();
        Waiting { acks: !outbox.acks.is_empty(), notices: !outbox.notices.is_empty() }
    }

    /// Everything else that happened, in order.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.outbox.lock().notices.take()
    }

    /// The log, once it is open.
    #[must_use]
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.log.get()
    }

    /// Bytes of appends not yet answered.
    #[must_use]
    pub fn pending(&self) -> usize {
        match (self.log.get(), &*self.opening.lock()) {
            (Some(log), _) => log.pending(),
            (None, Opening::Waiting { bytes, .. }) => *bytes,
            _ => 0,
        }
    }

    fn push_acks(&self, acks: Vec<Ack>) {
        if acks.is_empty() {
            return;
        }
        self.outbox.lock().acks.extend(acks);
        self.ring();
    }

    fn notify(&self, notice: Notice) {
        self.outbox.lock().notices.push(notice);
        self.ring();
    }

    fn ring(&self) {
        if self.muted.load(Ordering::SeqCst) == 0 {
            self.bell.ring();
        }
    }

    /// Stops accepting, ends sessions, writes what waits, closes the store; then answers `id`. Returns at once.
    pub fn close(self: &Arc<Self>, id: u32) {
        let emitter = Arc::clone(self);
        let spawned = std::thread::Builder::new().name("hyper-close".into()).spawn(move || {
            let result = emitter.shut_down();
            emitter.notify(Notice::Answer { id, result: result.map(|()| Reply::Done) });
        });
        match spawned {
            Ok(thread) => *self.closer.lock() = Some(thread),
            // No thread to wait with: this one has to. Who lacks threads gets one back by it.
            Err(_) => {
                let result = self.shut_down().map(|()| Reply::Done);
                self.notify(Notice::Answer { id, result });
            }
        }
    }

    /// What takes the place of this emitter once `close` has been answered: it knows the last change and refuses
    /// everything. When the last other owner of this one lets go, all that it held is free: descriptors, threads, memory.
    #[must_use]
    pub fn closed(&self) -> Arc<Self> {
        if let Some(thread) = self.closer.lock().take() {
            // It has given its answer and owns the emitter for a moment more.
            let _ = thread.join();
        }
        Arc::new(Emitter {
            options: self.options.clone(),
            log: OnceLock::new(),
            net: OnceLock::new(),
            opening: Mutex::new(Opening::Failed(Error::Closed("it keeps nothing"))),
            outbox: Mutex::new(Outbox::default()),
            delivery: Mutex::new(Delivery::default()),
            closing: AtomicBool::new(true),
            writer: Mutex::new(None),
            closer: Mutex::new(None),
            left_at: self.last_change(),
            runtime: Mutex::new(None),
            bell: Arc::clone(&self.bell),
            muted: AtomicUsize::new(0),
        })
    }

    fn end_sessions(&self) {
        if let Some(net) = self.net.get() {
            // Ends by itself within a bound; a runtime that is gone already has ended everything.
            let _ = net.close().blocking_recv();
        }
    }

    /// [`Emitter::close`] on this thread; for an environment that goes away. Harmless when closed already.
    ///
    /// # Errors
    /// The store's, on closing it.
    pub fn shut_down(&self) -> Result<()> {
        // A second call (the environment ends while a close is under way) waits for the first: the store must not be
        // closed under the writer.
        let mut writer = self.writer.lock();
        {
            // Under the lock: a store that opens right now sees this and closes its log, or its log is here already.
            let _opening = self.opening.lock();
            self.closing.store(true, Ordering::SeqCst);
        }
        self.end_sessions();
        if let Some(log) = self.log.get() {
            log.close();
        }
        if let Some(thread) = writer.take() {
            // A writer that panicked has nothing left to write.
            let _ = thread.join();
            // A store that was still opening may have started to dial.
            self.end_sessions();
        }
        // Not under its lock: what is dropped with the runtime answers, and may look for it.
        let runtime = self.runtime.lock().take();
        if let Some(runtime) = runtime {
            runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
        }
        match self.log.get() {
            Some(log) => log.store().close(),
            None => Ok(()),
        }
    }
}

/// Passes on what the log announces, for as long as the emitter is there.
struct Observer(std::sync::Weak<Emitter>);

impl LogObserver for Observer {
    fn acks(&self, acks: Vec<Ack>) {
        if let Some(emitter) = self.0.upgrade() {
            emitter.push_acks(acks);
        }
    }

    fn advanced(&self) {
        if let Some(emitter) = self.0.upgrade() {
            emitter.ring();
        }
    }

    fn log_id_changed(&self, log: &LogId) {
        if let Some(emitter) = self.0.upgrade() {
            emitter.notify(Notice::LogIdChanged(log.clone()));
        }
    }

    fn report(&self, error: Error) {
        if let Some(emitter) = self.0.upgrade() {
            emitter.notify(Notice::Report(error));
        }
    }
}
