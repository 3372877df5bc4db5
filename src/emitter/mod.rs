//! One emitter: store, log, network and delivery, wired together.
//!
//! `opening` and `shutdown` decide in which order they start and stop. Everything that JavaScript hears is pulled by it:
//! acknowledgements and notices wait in the `outbox`, events in `delivery`, and a [`Bell`] says that something waits.

#![forbid(unsafe_code)]

mod answering;
mod arrival;
mod belonging;
mod delivery;
mod network;
mod notices;
mod observer;
mod opening;
mod outbox;
mod pending_answer;
mod request;
mod shutdown;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::runtime::Runtime;

use self::arrival::Arrivals;
use self::delivery::Delivery;
pub use self::network::{Origin, StreamNews, Use};
use self::opening::{Call, Opening};
use self::outbox::Outbox;
pub use self::outbox::Waiting;
pub use self::request::{Cursor, Place, Reply, Request, Stats};
use crate::error::{Error, Result};
use crate::hyperlog::trust::TrustPolicy;
use crate::hyperlog::{Ack, Batch, Contradiction, Log, LogOptions, Trust};
use crate::net::{Net, NetEvent, NetOptions};
use crate::node::{Change, LogId};
use crate::panic::caught;
use crate::row::Row;
use crate::store::Store;

/// Notifies JavaScript, from any thread, that something waits to be taken.
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
    /// The store cannot be opened. All calls of the emitter fail with this error.
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
        /// Total units.
        total: u64,
    },
    /// Appends now go to this log, because peers hold another version of the old one.
    LogIdChanged(LogId),
    /// Something happened on the network.
    Net(NetEvent),
    /// Something happened to a stream that JavaScript carries.
    Stream {
        /// Its number.
        id: u32,
        /// What.
        news: StreamNews,
    },
    /// An event of another emitter contradicts a conditional append of ours: had it been here, the append would have been refused.
    Contradiction(Contradiction),
    /// Something went wrong, but not in answer to a call.
    Report(Error),
}

/// Settings of an emitter.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Of its log.
    pub log: LogOptions,
    /// The key that seals its log, and whose logs it stores.
    pub seals: Trust,
    /// Of its network.
    pub net: NetOptions,
}

/// One emitter.
pub struct Emitter {
    options: Options,
    log: OnceLock<Arc<Log>>,
    /// Whose logs to store, if that was changed before the log was open.
    policy: Mutex<Option<TrustPolicy>>,
    net: OnceLock<Net>,
    opening: Opening,
    outbox: Outbox,
    delivery: Mutex<Delivery>,
    /// Requests that wait for events to arrive; set by the first of them.
    arrivals: OnceLock<Arrivals>,
    closing: AtomicBool,
    /// The thread that opens the store and then writes to it.
    writer: Mutex<Option<JoinHandle<()>>>,
    /// The thread that [`Emitter::close`] started.
    closer: Mutex<Option<JoinHandle<()>>>,
    /// The last change, kept for the time after the log was closed.
    last_change_when_closed: Change,
    runtime: Mutex<Option<Runtime>>,
}

impl Emitter {
    fn new(options: Options, opening: Opening, outbox: Outbox, runtime: Option<Runtime>) -> Self {
        Emitter {
            options,
            log: OnceLock::new(),
            policy: Mutex::new(None),
            net: OnceLock::new(),
            opening,
            outbox,
            delivery: Mutex::new(Delivery::default()),
            arrivals: OnceLock::new(),
            closing: AtomicBool::new(false),
            writer: Mutex::new(None),
            closer: Mutex::new(None),
            last_change_when_closed: 0,
            runtime: Mutex::new(runtime),
        }
    }

    /// Starts opening; returns at once. [`Notice::Ready`] or [`Notice::Failed`] follows.
    ///
    /// # Errors
    /// `Storage` if the system gives no thread or no descriptors.
    pub fn open(source: Source, options: Options, bell: Arc<dyn Bell>) -> Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            // Reads for JavaScript and for peers that have fallen behind; each waits for the disk most of the time.
            .max_blocking_threads(8)
            .thread_name("hyper-net")
            .enable_all()
            .build()
            .map_err(|error| Error::storage("start the network's thread", error))?;
        let emitter = Arc::new(Emitter::new(options, Opening::begun(), Outbox::new(bell), Some(runtime)));
        let opener = match source {
            Source::Immediate(store) => {
                emitter.opened(Ok(store));
                None
            }
            Source::Opening(opener) => Some(opener),
        };
        let opened = Arc::clone(&emitter);
        let write = move || {
            if let Some(opener) = opener {
                let progress = &mut |done, total| opened.outbox.notify(Notice::Progress { id: 0, done, total });
                // All calls wait for this thread, so a panic must become an error, too.
                opened.opened(caught("opening the store", || {
                    let store = opener(progress)?;
                    if opened.opening.needs_search() {
                        // If this fails, so does the search, and then the append gets the error.
                        let _ = store.prepare_search(progress);
                    }
                    Ok(store)
                }));
            }
            if let Some(log) = opened.log.get() {
                log.run();
            }
        };
        let thread = std::thread::Builder::new().name("hyper-writer".into()).spawn(write);
        let thread = thread.map_err(|error| Error::storage("start the store's thread", error))?;
        *emitter.writer.lock() = Some(thread);
        Ok(emitter)
    }

    /// Appends events in order; allowed before the store is open. Returns whether something waits to be taken.
    pub fn append(self: &Arc<Self>, batch: impl Into<Batch>) -> bool {
        self.append_all(vec![batch.into()])
    }

    /// Appends several batches in order, as `append` does for one.
    pub fn append_all(self: &Arc<Self>, batches: Vec<Batch>) -> bool {
        self.outbox.muted(|| {
            for batch in batches {
                match self.log.get() {
                    Some(log) => log.append(batch),
                    None => self.call(Call::Append(batch)),
                }
            }
        });
        self.has_output()
    }

    /// Takes at most `max` answers to appends, in order. Events may be taken only after their answers, so callbacks run before
    /// listeners.
    pub fn take_acks(&self, max: usize) -> Vec<Ack> {
        // Read before the queue is: the acks up to here have been queued, so once they are taken, events may follow up to here.
        let end = self.log.get().map(|log| log.announced().change);
        let (acks, emptied) = self.outbox.take_acks(max);
        let last = acks.iter().rev().map(|ack| ack.change).find(|change| *change > 0);
        let allowed = if emptied { end } else { last };
        if let Some(change) = allowed.max(last) {
            self.delivery.lock().allow(change);
        }
        acks
    }

    /// The next events for listeners, in log order. Never past what the last [`Emitter::take_acks`] allowed. May return
    /// none although some are left; the bell rings when they are at hand.
    pub fn take_events(self: &Arc<Self>, max_rows: usize, max_bytes: usize) -> Vec<Row> {
        let Some(log) = self.log.get() else { return Vec::new() };
        if self.closing.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let mut delivery = self.delivery.lock();
        let (rows, fetch) = delivery.take(log, max_rows, max_bytes);
        drop(delivery);
        if let Some(after) = fetch {
            self.fetch_events(log, after);
        }
        rows
    }

    /// Skips the events that [`Emitter::take_acks`] allowed, because nobody listens.
    pub fn skip_events(&self) {
        self.delivery.lock().skip();
    }

    /// The change up to which events were taken or skipped.
    #[must_use]
    pub fn delivered(&self) -> Change {
        self.delivery.lock().change()
    }

    /// The last change stored.
    #[must_use]
    pub fn last_change(&self) -> Change {
        self.log.get().map_or(self.last_change_when_closed, |log| log.end().change)
    }

    /// Whether there are committed events that were neither taken nor skipped.
    #[must_use]
    pub fn has_events(&self) -> bool {
        let Some(log) = self.log.get() else { return false };
        !self.closing.load(Ordering::SeqCst) && self.delivery.lock().is_behind(log.end().change)
    }

    /// Whether [`Emitter::take_events`] can continue immediately: acks have been taken, and rows are in memory.
    #[must_use]
    pub fn has_events_at_hand(&self) -> bool {
        !self.closing.load(Ordering::SeqCst) && self.delivery.lock().is_at_hand()
    }

    fn has_output(&self) -> bool {
        let waiting = self.waiting();
        waiting.acks || waiting.notices || self.has_events()
    }

    /// Which queues besides events have something to take.
    #[must_use]
    pub fn waiting(&self) -> Waiting {
        self.outbox.waiting()
    }

    /// Takes the notices, in order.
    pub fn take_notices(&self) -> Vec<Notice> {
        self.outbox.take_notices()
    }

    /// The log, once it is open.
    #[must_use]
    pub fn log(&self) -> Option<&Arc<Log>> {
        self.log.get()
    }

    /// How many stored events are not in the index that a search needs. 0 before the store is open.
    #[must_use]
    pub fn unindexed(&self) -> u64 {
        self.log.get().map_or(0, |log| log.store().unindexed())
    }

    /// Bytes of appends not yet answered.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.log.get().map_or_else(|| self.opening.pending(), |log| log.pending())
    }
}
