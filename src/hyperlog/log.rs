//! The log's handle: what callers may ask, and the queue in front of the writer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{oneshot, watch};

use super::commit_pipeline::Queue;
use super::fork::Forks;
use super::guard::Guarded;
use super::parking::Parking;
use super::plan::Planner;
use super::recent_rows::Recent;
use super::relabelled::Left;
use super::stuck::{Stuck, StuckLog};
use super::writer::{state_of, Writer};
use super::{Ack, Batch, Incoming, Job, Outcome, Reply, Source, SourceId, State};
use crate::error::{Error, Result};
use crate::event::ID_LEN;
use crate::node::{key_of, Digest, Key, LogId, Node, Seq};
use crate::store::log_set::{hash_head, LogSet, Prefix};
use crate::store::{Commit, Entry, Located, LogHead, Meta, Position, ReadLimit, Row, Sizes, Store};

/// Logs that are taken into the set's digests while the lock on the state is held: about a millisecond of hashing.
const SETTLE_AT_ONCE: usize = 4096;

/// Settings of a log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// Largest container accepted from `append`, in bytes.
    pub max_event_size: usize,
    /// Largest value accepted from peers, in bytes; above the former, so that peers may differ a little.
    pub max_incoming_size: usize,
    /// Bytes of unacknowledged appends.
    pub max_pending: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { max_event_size: 8 << 20, max_incoming_size: 32 << 20, max_pending: 256 << 20 }
    }
}

/// Hears what the log did. Called by whichever thread writes, plans or asks; must not block or call back into the log's writer.
pub trait LogObserver: Send + Sync {
    /// Answers, in append order. The rows they speak of are visible, and not yet announced.
    fn acks(&self, acks: Vec<Ack>);
    /// More rows are announced.
    fn advanced(&self);
    /// Appends go to another log from now on: the old one is forked.
    fn log_id_changed(&self, log: &LogId);
    /// The store failed.
    fn report(&self, error: Error);
}

/// A log on a store.
pub struct Log {
    pub(super) store: Arc<dyn Store>,
    pub(super) options: LogOptions,
    pub(super) observer: Guarded,
    pub(super) queue: Mutex<Queue>,
    /// Rung when the queue has changed for somebody who waits.
    pub(super) bell: Condvar,
    pub(super) pending: AtomicUsize,
    pub(super) commits: AtomicU64,
    pub(super) stuck: Mutex<Stuck>,
    pub(super) adoptions: AtomicU64,
    /// The first entry of the local log that was refused because somebody else wrote it; 0 if there is none.
    pub(super) forged_from: AtomicU64,
    /// What was last told of a group that failed; nothing once one is stored.
    pub(super) told: Mutex<Option<String>>,
    /// On a store that waits, whoever plans holds it (`turns`), and nobody else asks for it.
    pub(super) writer: Mutex<Writer>,
    pub(super) state: Arc<RwLock<State>>,
    pub(super) recent: RwLock<Recent>,
    pub(super) end: watch::Sender<Position>,
    /// A thread lingers for a job. Set under the queue's lock.
    pub(super) looking: AtomicBool,
    /// Threads run at the same time here.
    pub(super) parallel: bool,
}

/// A fresh id in the form of 1.x's cuids: `c` and 24 base-36 digits.
///
/// # Errors
/// `Internal` if the system has no randomness.
pub fn new_id() -> Result<LogId> {
    let mut random = [0_u8; 24];
    getrandom::fill(&mut random).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
    let digits = random.iter().map(|byte| char::from_digit(u32::from(*byte) % 36, 36).unwrap_or('0'));
    Ok(std::iter::once('c').chain(digits).collect::<String>().into())
}

/// The id of the local log that the store names.
pub(super) fn stored_id(store: &dyn Store) -> Result<Option<LogId>> {
    Ok(store.meta(&Meta::LogId)?.map(|id| String::from_utf8_lossy(&id).into()))
}

/// The local log's last node.
pub(super) fn last_key(store: &dyn Store, planner: &Planner) -> Result<Option<Key>> {
    match planner.seq(planner.local()) {
        0 => Ok(None),
        seq => Ok(store.entry(planner.local(), seq)?.map(|entry| entry.key)),
    }
}

impl Log {
    /// Opens the log on an open store; gives it a log id if it has none. Blocks.
    ///
    /// # Errors
    /// The store's.
    pub fn open(store: Arc<dyn Store>, options: LogOptions, observer: Arc<dyn LogObserver>) -> Result<Arc<Self>> {
        let state = store.state()?;
        let stored = stored_id(store.as_ref())?;
        let fresh = stored.is_none();
        let local = match stored {
            Some(id) => id,
            None => {
                let id = new_id()?;
                let meta = vec![(Meta::LogId, Some(Bytes::copy_from_slice(id.as_bytes())))];
                store.commit(&Commit { meta, ..Commit::default() })?;
                id
            }
        };
        let mut id = [0_u8; ID_LEN];
        getrandom::fill(&mut id).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
        let forks = Forks::of(store.as_ref(), &local)?;
        let shared = Arc::new(RwLock::new(state_of(local.clone(), &state)));
        let mut planner = Planner::beside(Arc::clone(&shared), local.clone(), &state);
        if fresh {
            planner.set_local(local);
        }
        planner.set_own_last(last_key(store.as_ref(), &planner)?);
        Ok(Arc::new(Log {
            state: shared,
            recent: RwLock::new(Recent::new(state.end)),
            end: watch::Sender::new(state.end),
            looking: AtomicBool::new(false),
            parallel: std::thread::available_parallelism().is_ok_and(|threads| threads.get() > 1),
            writer: Mutex::new(Writer {
                planner,
                parking: Parking::default(),
                id,
                counter: 0,
                failed: None,
                forks,
                left: Left::default(),
                parted: HashMap::new(),
                adopted: HashMap::new(),
            }),
            queue: Mutex::new(Queue::default()),
            bell: Condvar::new(),
            pending: AtomicUsize::new(0),
            commits: AtomicU64::new(0),
            stuck: Mutex::default(),
            adoptions: AtomicU64::new(0),
            forged_from: AtomicU64::new(0),
            told: Mutex::new(None),
            store,
            options,
            observer: Guarded(observer),
        }))
    }

    /// Appends events in order. Never waits for the medium; answers come through [`LogObserver::acks`]. Those for which
    /// [`LogOptions::max_pending`] leaves no room are dropped here, and answered with `Backlog` in their turn.
    pub fn append(&self, batch: impl Into<Batch>) {
        let mut batch = batch.into();
        let (limit, waiting) = (self.options.max_pending, self.pending());
        let pending = waiting + batch.cost();
        let refused = batch.cut(limit.saturating_sub(waiting));
        if !batch.is_empty() {
            self.pending.fetch_add(batch.cost(), Ordering::Relaxed);
            self.submit(Job::Append(batch));
        }
        self.refuse_appends(refused, Error::Backlog { pending, limit });
    }

    /// Answers this many appends with an error, in their turn.
    pub fn refuse_appends(&self, acks: usize, error: Error) {
        if acks > 0 {
            self.submit(Job::Refused { acks, error });
        }
    }

    /// Bytes of appends not yet answered.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Commits of the writer's since the log was opened: on a medium that waits, one flush each.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Offers nodes from a peer, in the peer's order. The answer has one outcome per node and comes when the added
    /// ones are durable. A session has one group under way at a time, which bounds the queue.
    pub fn add(&self, source: impl Into<Source>, nodes: Vec<Incoming>) -> Reply<Vec<Outcome>> {
        // Hashing is most of the work and needs no lock.
        let nodes = nodes
            .into_iter()
            .map(|node| {
                let key = key_of(&node.links, &node.value);
                (node, key)
            })
            .collect();
        let source = source.into();
        let (reply, receiver) = oneshot::channel();
        self.submit(Job::Add { source, nodes, reply });
        receiver
    }

    /// Drops what a finished session has parked.
    pub fn forget(&self, source: SourceId) {
        self.submit(Job::Forget(source));
    }

    /// Sets or deletes facts, durably and atomically.
    pub fn set_meta(&self, facts: Vec<(Meta, Option<Bytes>)>) -> Reply<()> {
        let (reply, receiver) = oneshot::channel();
        self.submit(Job::SetMeta { facts, reply });
        receiver
    }

    /// Goes on under a new log id because a peer was seen to hold something else under `(local log, from)`: our tail from
    /// there moves to the new log, so that both versions exist everywhere. If `log` is no longer the local one, another
    /// session was first, and nothing happens. How often is bounded ([`fork`](super::fork)).
    ///
    /// A session need not call it: another version of an entry that is offered ([`Log::add`]) does the same, and is a
    /// proof, which a peer's word is not. It stays until sessions of the extension ask for that node.
    pub fn fork_local(&self, log: LogId, from: Seq) -> Reply<LogId> {
        let (reply, receiver) = oneshot::channel();
        self.submit(Job::ForkLocal { log, from, reply });
        receiver
    }

    /// Logs of which peers hold another version, as far as this open has seen: what peers offer is noted by the log itself.
    #[must_use]
    pub fn stuck_logs(&self) -> Vec<StuckLog> {
        self.stuck.lock().all()
    }

    /// A session has found a fork, perhaps without having received the other version's node. `holder` is the log that the peer
    /// writes, if it says so.
    pub fn note_fork(&self, log: &LogId, seq: Seq, ours: Key, theirs: Key, holder: Option<&LogId>) {
        if *log != self.log_id() {
            let mut stuck = self.stuck.lock();
            stuck.note(log, seq, ours, theirs, false);
            if let Some(holder) = holder {
                stuck.held_by(log, theirs, holder);
            }
        }
    }

    /// A peer has a log up to `seq`, of which it holds another version.
    pub fn peers_have(&self, log: &LogId, seq: Seq) {
        self.stuck.lock().peers_have(log, seq);
    }

    /// The peer that writes `holder` has been compared with us: where it held another version of a log and `agrees` tells that
    /// it has ours up to that entry, nothing is stuck any more.
    pub fn agreed(&self, holder: &LogId, agrees: impl Fn(&LogId, Seq) -> bool) {
        self.stuck.lock().forget_healed(holder, agrees);
    }

    /// Lets the version of a log that peers hold take the place of ours, because the user says so. Our entries from where the
    /// two part move to a new log, whose id is the answer, so nothing is lost; the other version comes from the peers, with
    /// sessions that begin anew. Needs `theirs`, the peers' node there, if several versions are known. Also for the local
    /// log, to act upon a fork that was refused.
    pub fn adopt(&self, log: &LogId, theirs: Option<Key>) -> Reply<LogId> {
        let (reply, receiver) = oneshot::channel();
        let versions = self.stuck.lock().of(log);
        let chosen: Vec<_> = versions.iter().filter(|known| theirs.is_none_or(|key| key == known.theirs)).collect();
        match chosen.as_slice() {
            [known] => {
                let (from, theirs) = (known.seq, known.theirs);
                self.submit(Job::Adopt { log: log.clone(), from, theirs, reply });
            }
            found => {
                let keys: Vec<_> = versions.iter().map(|known| known.theirs.to_string()).collect();
                let why = match (found, keys.is_empty()) {
                    (_, true) => format!("no peer is known to hold another version of log {log:?}"),
                    ([], false) => {
                        format!("no peer is known to hold that version of log {log:?}, but {}", keys.join(", "))
                    }
                    (_, false) => format!(
                        "peers hold several versions of log {log:?}: name one by its key, {}",
                        keys.join(" or ")
                    ),
                };
                drop(reply.send(Err(Error::InvalidArgument(why))));
            }
        }
        receiver
    }

    /// Runs `read` over the state as of the last commit. It holds a lock: no blocking inside.
    pub fn with_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(&self.state.read())
    }

    /// Last seq of a log, 0 if it is unknown.
    #[must_use]
    pub fn seq(&self, log: &str) -> Seq {
        self.state.read().seq(log)
    }

    /// Heads of all logs.
    #[must_use]
    pub fn logs(&self) -> Vec<LogHead> {
        self.state.read().logs.iter().collect()
    }

    /// Runs `ask` over the set of all logs as of the last commit. It holds a lock: no blocking inside.
    pub fn with_set<T>(&self, ask: impl FnOnce(&mut LogSet) -> T) -> T {
        let many = self.state.read().logs.unsettled() > SETTLE_AT_ONCE;
        if many {
            // After opening. The writer must not wait until all logs are hashed.
            while self.state.read().logs.unsettled() > 0 {
                self.state.write().logs.settle(SETTLE_AT_ONCE);
            }
            for place in 0..=u8::MAX {
                let prefix = Prefix::of(u64::from(place) << 56, 2);
                self.state.write().logs.bucket(prefix);
            }
        }
        ask(&mut self.state.write().logs)
    }

    /// The last place stored.
    #[must_use]
    pub fn end(&self) -> Position {
        self.state.read().end
    }

    /// The last place announced: appends up to there have been answered. At most [`Log::end`].
    #[must_use]
    pub fn announced(&self) -> Position {
        *self.end.borrow()
    }

    /// Id of the log that appends go to.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.state.read().log_id.clone()
    }

    /// Nodes that nothing links to, as of the last commit.
    ///
    /// # Errors
    /// The store's.
    pub fn heads(&self) -> Result<Vec<Located>> {
        Ok(self.store.state()?.heads)
    }

    /// Digest over all logs: blake3 over, for each log in order of its id, the id, its seq and its digest. Equal on two
    /// stores exactly when they hold the same logs.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut logs = self.logs();
        logs.sort_by(|a, b| a.log.cmp(&b.log));
        let mut hasher = blake3::Hasher::new();
        for log in &logs {
            hash_head(&mut hasher, &log.log, log.seq, &log.digest);
        }
        Digest(*hasher.finalize().as_bytes())
    }

    /// Follows the end of what is announced.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.end.subscribe()
    }

    /// Rows after `after`, without blocking; `None` if they are only on the medium.
    #[must_use]
    pub fn read_recent(&self, after: Position, limit: ReadLimit) -> Option<Vec<Row>> {
        if self.store.is_immediate() {
            return self.store.read(after, limit).ok();
        }
        self.recent.read().read(after, limit)
    }

    /// Rows after `after`. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        match self.read_recent(after, limit) {
            Some(rows) => Ok(rows),
            None => self.store.read(after, limit),
        }
    }

    /// A node. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn node(&self, key: &Key) -> Result<Option<Node>> {
        self.store.node(key)
    }

    /// An entry of a log. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        self.store.entry(log, seq)
    }

    /// Digest of a log after `seq` entries. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn digest_at(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>> {
        self.store.digest(log, seq)
    }

    /// A fact. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn meta(&self, key: &Meta) -> Result<Option<Bytes>> {
        self.store.meta(key)
    }

    /// Bytes on the medium. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn sizes(&self) -> Result<Sizes> {
        self.store.sizes()
    }

    /// The store, for work that needs all of it (verify, import).
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}
