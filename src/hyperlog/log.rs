//! The log's handle, with all calls. Appends and peers' nodes enter [`CommitPipeline`] through [`JobSink`]; reads use [`Shared`] and the store.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::commit_pipeline::CommitPipeline;
use super::committer::Committer;
use super::following::Following;
use super::ids::stored_log_id;
use super::job::{Job, Response};
use super::job_sink::JobSink;
use super::observer::{CatchingObserver, LogObserver};
use super::parking::ParkedTotal;
use super::sealing::Sealer;
use super::shared::{CommittedState, Shared};
use super::stuck::{KeptStuckLog, Stuck, StuckLog};
use super::trust::{Pin, TrustPolicy, TrustState};
use super::writer::{OwnLog, Writer};
use super::{Batch, Incoming, LogOptions, Outcome, Source, SourceId, Trust};
use crate::error::{Error, Result};
use crate::identity::seal::claims_owner;
use crate::identity::PublicKey;
use crate::node::{key_of, Digest, Key, LogId, Node, Seq};
use crate::query::Filter;
use crate::row::{Entry, Located, LogHead, Position, Row};
use crate::store::log_set::{digest_of, LogSet};
use crate::store::{Found, Meta, Order, ReadLimit, Sizes, Span, Store};

/// A log on a store.
pub struct Log {
    shared: Arc<Shared>,
    jobs: JobSink,
    options: LogOptions,
}

impl Log {
    /// Opens the log on an open store; gives it a log id if it has none. Blocks. On a store that is open read-only, jobs are
    /// refused, and [`Log::run`] announces the rows that another process stores.
    ///
    /// # Errors
    /// The store's.
    pub fn open(store: Arc<dyn Store>, options: LogOptions, observer: Arc<dyn LogObserver>) -> Result<Arc<Self>> {
        Log::open_trusting(store, options, Trust::default(), observer)
    }

    /// Like [`Log::open`], with a key that seals the local log, and a policy that says whose rows are stored.
    ///
    /// # Errors
    /// The store's.
    pub fn open_trusting(
        store: Arc<dyn Store>,
        options: LogOptions,
        trust: Trust,
        observer: Arc<dyn LogObserver>,
    ) -> Result<Arc<Self>> {
        let state = store.state()?;
        let stuck = Stuck::of(store.meta(&Meta::Stuck)?);
        if store.is_read_only() {
            // A store that has never been opened for writing has no log of its own.
            let committed = CommittedState::of(stored_log_id(store.as_ref())?.unwrap_or_else(|| "".into()), &state);
            let trust = TrustState::new(None, HashMap::new(), trust.policy);
            let shared = Arc::new(Shared::new(store, CatchingObserver(observer), committed, stuck, None, trust));
            let jobs = JobSink::Following(Following::new(&shared));
            return Ok(Arc::new(Log { shared, jobs, options }));
        }
        let sealer = trust.identity.map(Sealer::new);
        let own = OwnLog::open(store.as_ref(), sealer.as_ref(), &state)?;
        let immediate = store.is_immediate();
        let committed = CommittedState::of(own.id.clone(), &state);
        let trust = TrustState::new(sealer.as_ref().map(|sealer| *sealer.public()), own.older.clone(), trust.policy);
        let shared = Arc::new(Shared::new(store, CatchingObserver(observer), committed, stuck, sealer, trust));
        let committer = Arc::new(Committer::new(Arc::clone(&shared)));
        let writer = Writer::new(Arc::clone(&shared), Arc::clone(&committer), options, &own, &state)?;
        let jobs = JobSink::Pipeline(Box::new(CommitPipeline::new(writer, committer, immediate)));
        Ok(Arc::new(Log { shared, jobs, options }))
    }

    /// Does the writing until [`Log::close`]. A store that never blocks can do without.
    pub fn run(&self) {
        self.jobs.run();
    }

    /// Stops accepting jobs. Queued jobs are still written and answered: by [`Log::run`] before it returns, or here if the store is
    /// immediate.
    pub fn close(&self) {
        self.jobs.close();
    }

    /// Appends events in order. Never waits for the medium; answers come through [`LogObserver::acks`]. Events beyond
    /// [`LogOptions::max_pending`] are dropped here, and answered with `Backlog` when their turn comes.
    pub fn append(&self, batch: impl Into<Batch>) {
        let mut batch = batch.into();
        let (limit, waiting) = (self.options.max_pending, self.pending());
        let pending = waiting + batch.cost();
        let refused = batch.cut(limit.saturating_sub(waiting));
        if !batch.is_empty() {
            self.shared.pending.fetch_add(batch.cost(), Ordering::Relaxed);
            self.jobs.submit(Job::Append(batch));
        }
        self.refuse_appends(refused, Error::Backlog { pending, limit });
    }

    /// Answers this many appends with an error, when their turn comes.
    pub fn refuse_appends(&self, acks: usize, error: Error) {
        if acks > 0 {
            self.jobs.submit(Job::Refused { acks, error });
        }
    }

    /// Bytes of appends not yet answered.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.pending.load(Ordering::Relaxed)
    }

    /// Commits since the log was opened. On a medium that waits, each is one flush.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Offers nodes from a peer, in the peer's order. The answer has one outcome per node, and comes when the added ones are
    /// durable. A session offers one group at a time, which bounds the queue.
    pub fn add(&self, source: impl Into<Source>, nodes: Vec<Incoming>) -> Response<Vec<Outcome>> {
        // Hashing is most of the work, and needs no lock.
        let nodes = nodes
            .into_iter()
            .map(|node| {
                let key = key_of(&node.links, &node.value);
                (node, key)
            })
            .collect();
        let source = source.into();
        let (responder, response) = oneshot::channel();
        self.jobs.submit(Job::Add { source, nodes, responder });
        response
    }

    /// How many seals were verified, and owners' keys read, for the rows that a session has offered, since the last call. This
    /// includes checks that became possible only when another session brought nodes that this one's rows had waited for.
    #[must_use]
    pub fn take_checked_seals(&self, session: SourceId) -> u64 {
        self.shared.take_checked_seals(session)
    }

    /// How much sessions have parked. Waits while a group is planned.
    #[doc(hidden)]
    #[must_use]
    pub fn parked(&self) -> ParkedTotal {
        self.jobs.parked()
    }

    /// Drops what a finished session has parked.
    pub fn forget(&self, source: SourceId) {
        self.jobs.submit(Job::Forget(source));
    }

    /// Sets or deletes facts, durably and atomically.
    pub fn set_meta(&self, facts: Vec<(Meta, Option<Bytes>)>) -> Response<()> {
        let (responder, response) = oneshot::channel();
        self.jobs.submit(Job::SetMeta { facts, responder });
        response
    }

    /// Continues under a new log id, because a peer holds another entry under `(local log, from)`. Our tail from there moves to the
    /// new log, so that both versions exist everywhere. If `log` is no longer the local log, another session was first, and nothing
    /// happens. The number of moves is bounded ([`fork`](super::fork)).
    ///
    /// Sessions that offer another version of an entry ([`Log::add`]) need not call this: that has the same effect, and is a proof.
    /// This call relies on what a peer claims. It is needed as long as sessions do not ask for the differing node.
    pub fn fork_local(&self, log: LogId, from: Seq) -> Response<LogId> {
        let (responder, response) = oneshot::channel();
        self.jobs.submit(Job::ForkLocal { log, from, responder });
        response
    }

    /// Logs of which peers hold another version, as far as it was noticed since the log was opened. The log itself notes what peers
    /// offer.
    #[must_use]
    pub fn stuck_logs(&self) -> Vec<StuckLog> {
        self.shared.stuck.lock().all()
    }

    /// Logs that were stuck when the log was last open, and of which no peer has said anything since.
    #[must_use]
    pub fn stuck_logs_before(&self) -> Vec<KeptStuckLog> {
        self.shared.stuck.lock().earlier()
    }

    /// A receiver that is told when [`Log::stuck_logs`] changes.
    pub fn watch_stuck_logs(&self) -> watch::Receiver<u64> {
        self.shared.stuck.lock().watch()
    }

    /// Has the store keep what is known of stuck logs, if that has changed since the last call. Returns at once.
    pub fn keep_stuck_logs(&self) {
        let record = self.shared.stuck.lock().take_record();
        if let Some(record) = record {
            // If it cannot be written, the store reports its trouble to those who wait for commits.
            drop(self.set_meta(vec![(Meta::Stuck, record)]));
        }
    }

    /// Notes a fork that a session has found. It need not have received the other version's node. `holder` is the id of the peer's
    /// own log, if the peer gave it.
    pub fn note_fork(&self, log: &LogId, seq: Seq, ours: Key, theirs: Key, holder: Option<&LogId>) {
        if *log != self.log_id() {
            let mut stuck = self.shared.stuck.lock();
            stuck.note(log, seq, ours, theirs, false);
            if let Some(holder) = holder {
                stuck.held_by(log, theirs, holder);
            }
        }
    }

    /// Notes that a peer with another version of a log has it up to `seq`.
    pub fn peers_have(&self, log: &LogId, seq: Seq) {
        self.shared.stuck.lock().peers_have(log, seq);
    }

    /// Forgets stuck logs that are no longer stuck, after a comparison with the peer whose own log is `holder`: logs of which it
    /// held another version, if `agrees` says that it now has our version up to that entry.
    pub fn agreed(&self, holder: &LogId, agrees: impl Fn(&LogId, Seq) -> bool) {
        self.shared.stuck.lock().forget_healed(holder, agrees);
    }

    /// Replaces our version of a log by that of peers, because the user has chosen it. Our entries from the first difference on
    /// move to a new log, so nothing is lost; the answer is the id of that log. The other version comes from the peers, in new
    /// sessions. `theirs`, the peers' node at the first difference, is needed if several versions are known. This also works for
    /// the local log, to act upon a fork that was refused.
    pub fn adopt(&self, log: &LogId, theirs: Option<Key>) -> Response<LogId> {
        let (responder, response) = oneshot::channel();
        let versions = self.shared.stuck.lock().versions_of(log);
        let chosen: Vec<_> = versions.iter().filter(|known| theirs.is_none_or(|key| key == known.theirs)).collect();
        match chosen.as_slice() {
            [known] => {
                let (from, theirs) = (known.seq, known.theirs);
                self.jobs.submit(Job::Adopt { log: log.clone(), from, theirs, responder });
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
                drop(responder.send(Err(Error::InvalidArgument(why))));
            }
        }
        response
    }

    /// Runs `read` over the state as of the last commit. It holds a lock: no blocking inside.
    pub fn with_state<T>(&self, read: impl FnOnce(&CommittedState) -> T) -> T {
        read(&self.shared.state.read())
    }

    /// Last seq of a log, 0 if it is unknown.
    #[must_use]
    pub fn seq(&self, log: &str) -> Seq {
        self.shared.state.read().seq(log)
    }

    /// Heads of all logs.
    #[must_use]
    pub fn logs(&self) -> Vec<LogHead> {
        self.shared.state.read().logs.iter().collect()
    }

    /// Runs `ask` over the set of all logs as of the last commit. It holds a lock: no blocking inside.
    pub fn with_set<T>(&self, ask: impl FnOnce(&mut LogSet) -> T) -> T {
        self.shared.with_set(ask)
    }

    /// Position of the last row stored.
    #[must_use]
    pub fn end(&self) -> Position {
        self.shared.state.read().end
    }

    /// Position of the last row announced: appends up to there have been answered. At most [`Log::end`].
    #[must_use]
    pub fn announced(&self) -> Position {
        self.shared.announced()
    }

    /// Id of the log that appends go to.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.shared.state.read().log_id.clone()
    }

    /// Nodes that nothing links to, as of the last commit.
    ///
    /// # Errors
    /// The store's.
    pub fn heads(&self) -> Result<Vec<Located>> {
        Ok(self.shared.store.state()?.heads)
    }

    /// Digest over all logs, equal on two stores exactly when they hold the same logs.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest_of(self.logs())
    }

    /// A receiver of the position of the last row announced.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Position> {
        self.shared.watch()
    }

    /// Rows after `after`, without blocking; `None` if they are only on the medium.
    #[must_use]
    pub fn read_recent(&self, after: Position, limit: ReadLimit) -> Option<Vec<Row>> {
        self.shared.read_recent(after, limit)
    }

    /// Rows after `after`. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn read(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        self.shared.read(after, limit)
    }

    /// Like [`Log::read_recent`], for a peer: rows come with the seals that the peer needs.
    #[must_use]
    pub fn read_recent_sealed(&self, after: Position, limit: ReadLimit) -> Option<Vec<Row>> {
        self.shared.read_recent_sealed(after, limit)
    }

    /// Like [`Log::read`], for a peer: rows come with the seals that the peer needs. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn read_sealed(&self, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
        self.shared.read_sealed(after, limit)
    }

    /// Sets whose rows are stored from now on. What is stored stays.
    pub fn set_trust(&self, policy: TrustPolicy) {
        self.shared.trust.set_policy(policy);
    }

    /// The public key that the local log names, if this emitter has it.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        self.shared.sealer.as_ref().map(|sealer| *sealer.public())
    }

    /// Every log without seals, with the pin for its present state.
    #[must_use]
    pub fn pins(&self) -> Vec<(LogId, Pin)> {
        let unsealed = self.logs().into_iter().filter(|head| !claims_owner(&head.log));
        unsealed.map(|head| (head.log, Pin { seq: head.seq, digest: head.digest })).collect()
    }

    /// Nodes of a span whose events `filter` wants, as [`Store::search`] finds them. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn search(&self, filter: &Filter, span: Span, order: Order, limit: ReadLimit) -> Result<Found> {
        self.shared.store.search(filter, span, order, limit)
    }

    /// A node. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn node(&self, key: &Key) -> Result<Option<Node>> {
        self.shared.store.node(key)
    }

    /// An entry of a log. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn entry(&self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        self.shared.store.entry(log, seq)
    }

    /// Digest of a log after `seq` entries. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn digest_at(&self, log: &LogId, seq: Seq) -> Result<Option<Digest>> {
        self.shared.store.digest(log, seq)
    }

    /// A fact. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn meta(&self, key: &Meta) -> Result<Option<Bytes>> {
        self.shared.store.meta(key)
    }

    /// Bytes on the medium. May block.
    ///
    /// # Errors
    /// The store's.
    pub fn sizes(&self) -> Result<Sizes> {
        self.shared.store.sizes()
    }

    /// The store, for work that needs all of it (verify, import).
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }
    /// How often the user has chosen another version of a log than ours.
    pub(super) fn adoptions(&self) -> u64 {
        self.shared.adoptions.load(Ordering::Relaxed)
    }

    /// The first entry of the local log that peers hold although we did not write it.
    pub(super) fn forged_from(&self) -> Option<Seq> {
        self.shared.forged_from()
    }
}
