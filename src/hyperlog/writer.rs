//! The single writer: takes what waits, plans it, commits it as one group, announces it.
//!
//! On a store that never blocks ([`Store::is_immediate`]) the caller's own thread does this under the writer lock;
//! on others a thread of its own does ([`Log::run`]). Everything that waits while a commit is under way becomes the
//! next commit, so one flush serves all of it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{oneshot, watch};

use super::feed::Recent;
use super::parking::{Parked, Parking, Waits};
use super::plan::{Lookup, Planner, Verdict};
use super::{Ack, AckKind, Append, Incoming, Job, Outcome, Reply, SourceId, State};
use crate::error::{Error, Result};
use crate::event::{self, ID_LEN};
use crate::node::{key_of, Change, Digest, Key, LogId, Node, Seq};
use crate::store::{
    Body, Commit, Entry, Located, LogHead, Meta, NewRow, Position, ReadLimit, Relabel, Row, Sizes, Store,
};

/// Jobs' bytes in one group. Large enough that a flush costs nothing per event, small enough that one group takes
/// milliseconds.
const MAX_GROUP_BYTES: usize = 4 * 1024 * 1024;

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

/// Hears what the log did. Called by whichever thread committed; must not block or call back into the log's writer.
pub trait LogObserver: Send + Sync {
    /// Answers, in append order. They are announced before the rows they speak of become visible.
    fn acks(&self, acks: Vec<Ack>);
    /// More rows are visible.
    fn advanced(&self);
    /// Appends go to another log from now on: the old one is forked.
    fn log_id_changed(&self, log: &LogId);
    /// The store failed.
    fn report(&self, error: Error);
}

struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

struct Writer {
    planner: Planner,
    parking: Parking,
    id: [u8; ID_LEN],
    counter: u32,
    /// Set when the store failed in a way that leaves its content unknown.
    failed: Option<Error>,
}

/// A log on a store.
pub struct Log {
    store: Arc<dyn Store>,
    options: LogOptions,
    observer: Arc<dyn LogObserver>,
    queue: Mutex<Queue>,
    arrived: Condvar,
    pending: AtomicUsize,
    writer: Mutex<Writer>,
    state: RwLock<State>,
    recent: RwLock<Recent>,
    end: watch::Sender<Position>,
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

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Log {
    /// Opens the log on an open store; gives it a log id if it has none. Blocks.
    ///
    /// # Errors
    /// The store's.
    pub fn open(store: Arc<dyn Store>, options: LogOptions, observer: Arc<dyn LogObserver>) -> Result<Arc<Self>> {
        let state = store.state()?;
        let local: LogId = match store.meta(&Meta::LogId)? {
            Some(id) => String::from_utf8_lossy(&id).into(),
            None => {
                let id = new_id()?;
                let meta = vec![(Meta::LogId, Some(Bytes::copy_from_slice(id.as_bytes())))];
                store.commit(&Commit { meta, ..Commit::default() })?;
                id
            }
        };
        let mut id = [0_u8; ID_LEN];
        getrandom::fill(&mut id).map_err(|error| Error::Internal(format!("no randomness: {error}")))?;
        let planner = Planner::new(local, &state);
        Ok(Arc::new(Log {
            state: RwLock::new(state_of(&planner, &state)),
            recent: RwLock::new(Recent::new(state.end)),
            end: watch::Sender::new(state.end),
            writer: Mutex::new(Writer { planner, parking: Parking::default(), id, counter: 0, failed: None }),
            queue: Mutex::new(Queue { jobs: VecDeque::new(), closed: false }),
            arrived: Condvar::new(),
            pending: AtomicUsize::new(0),
            store,
            options,
            observer,
        }))
    }

    /// Does the writing until [`Log::close`]; for stores that block, on a thread of its own.
    pub fn run(&self) {
        loop {
            let mut queue = self.queue.lock();
            while queue.jobs.is_empty() && !queue.closed {
                self.arrived.wait(&mut queue);
            }
            if queue.jobs.is_empty() {
                return;
            }
            let group = take_group(&mut queue.jobs);
            drop(queue);
            self.write(&mut self.writer.lock(), group);
        }
    }

    fn submit(&self, job: Job) {
        let mut queue = self.queue.lock();
        if queue.closed {
            drop(queue);
            self.refuse(job, &Error::Closed("it accepts nothing more"));
            return;
        }
        queue.jobs.push_back(job);
        drop(queue);
        if self.store.is_immediate() {
            self.drain();
        } else {
            self.arrived.notify_one();
        }
    }

    fn drain(&self) {
        let mut writer = self.writer.lock();
        loop {
            let group = take_group(&mut self.queue.lock().jobs);
            if group.is_empty() {
                return;
            }
            self.write(&mut writer, group);
        }
    }

    /// Appends events in order. Never waits for the medium; answers come through [`LogObserver::acks`].
    pub fn append(&self, appends: Vec<Append>) {
        let bytes = appends.iter().map(append_cost).sum();
        self.pending.fetch_add(bytes, Ordering::Relaxed);
        self.submit(Job::Append(appends));
    }

    /// Bytes of appends not yet answered.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.load(Ordering::Relaxed)
    }

    /// Offers nodes from a peer, in the peer's order. The answer has one outcome per node and comes when the added
    /// ones are durable. A session has one group under way at a time, which bounds the queue.
    pub fn add(&self, source: SourceId, nodes: Vec<Incoming>) -> Reply<Vec<Outcome>> {
        // Hashing is most of the work and needs no lock.
        let nodes = nodes
            .into_iter()
            .map(|node| {
                let key = key_of(&node.links, &node.value);
                (node, key)
            })
            .collect();
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

    /// Goes on under a new log id because peers hold something else under `(local log, from)`: our tail from there
    /// moves to the new log, so that both versions exist everywhere.
    pub fn fork_local(&self, from: Seq) -> Reply<LogId> {
        let (reply, receiver) = oneshot::channel();
        self.submit(Job::ForkLocal { from, reply });
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
        self.state.read().logs.values().cloned().collect()
    }

    /// The last place stored.
    #[must_use]
    pub fn end(&self) -> Position {
        self.state.read().end
    }

    /// Id of the log that appends go to.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.state.read().log_id.clone()
    }

    /// Nodes that nothing links to. Waits for a commit under way.
    #[must_use]
    pub fn heads(&self) -> Vec<Located> {
        self.writer.lock().planner.heads().cloned().collect()
    }

    /// Digest over all logs: blake3 over, for each log in order of its id, the id, its seq and its digest. Equal on two
    /// stores exactly when they hold the same logs.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut logs = self.logs();
        logs.sort_by(|a, b| a.log.cmp(&b.log));
        let mut hasher = blake3::Hasher::new();
        for log in &logs {
            hasher.update(&(log.log.len() as u64).to_le_bytes());
            hasher.update(log.log.as_bytes());
            hasher.update(&log.seq.to_le_bytes());
            hasher.update(&log.digest.0);
        }
        Digest(*hasher.finalize().as_bytes())
    }

    /// Follows the end of what is stored.
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

    /// Accepts nothing more. What waits is still written and answered: by [`Log::run`] before it returns, or here.
    pub fn close(&self) {
        self.queue.lock().closed = true;
        self.arrived.notify_all();
        if self.store.is_immediate() {
            self.drain();
        }
    }

    // ---- writing

    fn write(&self, writer: &mut Writer, jobs: Vec<Job>) {
        let mut group = Group::default();
        for job in jobs {
            if let Some(error) = &writer.failed {
                let error = error.clone();
                self.refuse(job, &error);
                continue;
            }
            match job {
                Job::Append(appends) => self.plan_appends(writer, &mut group, appends),
                Job::Add { source, nodes, reply } => self.plan_nodes(writer, &mut group, source, nodes, reply),
                Job::SetMeta { facts, reply } => {
                    group.commit.meta.extend(facts);
                    group.facts.push(reply);
                }
                Job::Forget(source) => writer.parking.forget(source),
                Job::ForkLocal { from, reply } => {
                    self.commit(writer, std::mem::take(&mut group));
                    // The receiver may be gone; the fork is still right.
                    let _ = reply.send(self.fork(writer, from));
                }
            }
        }
        self.commit(writer, group);
    }

    fn plan_appends(&self, writer: &mut Writer, group: &mut Group, appends: Vec<Append>) {
        let time = now_ms();
        let mut buffer = BytesMut::with_capacity(appends.iter().map(append_cost).sum());
        for append in appends {
            group.answered += append_cost(&append);
            match self.check(&append) {
                Err(error) if append.ack != AckKind::None => group.acks.push(Planned::Refused(error)),
                Err(_) => {}
                Ok(()) => {
                    let id = writer.next_id();
                    event::encode(&mut buffer, &append.name, &append.payload, &id, time, append.encoding);
                    let row = writer.planner.append(buffer.split().freeze());
                    match append.ack {
                        AckKind::None => {}
                        AckKind::Plain => group.acks.push(Planned::Plain(row.at.change)),
                        AckKind::Node => group.acks.push(Planned::Row(group.commit.rows.len())),
                    }
                    group.commit.rows.push(row);
                }
            }
        }
    }

    fn check(&self, append: &Append) -> Result<()> {
        event::check_name(&append.name)?;
        let size = event::encoded_len(append.name.len(), append.payload.len());
        if size > self.options.max_event_size {
            return Err(Error::TooLarge { name: append.name.to_string(), size, limit: self.options.max_event_size });
        }
        let pending = self.pending.load(Ordering::Relaxed);
        if pending > self.options.max_pending {
            return Err(Error::Backlog { pending, limit: self.options.max_pending });
        }
        Ok(())
    }

    fn plan_nodes(
        &self,
        writer: &mut Writer,
        group: &mut Group,
        source: SourceId,
        nodes: Vec<(Incoming, Key)>,
        reply: oneshot::Sender<Result<Vec<Outcome>>>,
    ) {
        let planned = self.lookup(&nodes).and_then(|mut lookup| {
            let mut outcomes = Vec::with_capacity(nodes.len());
            for (node, key) in nodes {
                outcomes.push(self.plan_node(writer, group, &mut lookup, Parked { node, key, source })?);
            }
            Ok(outcomes)
        });
        match planned {
            Ok(outcomes) => group.nodes.push((outcomes, reply)),
            // A failed look-up: what was planned before it is sound and stays.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn lookup(&self, nodes: &[(Incoming, Key)]) -> Result<StoreLookup<'_>> {
        let mut found = HashMap::new();
        if !self.store.is_immediate() {
            let mut keys: Vec<Key> =
                nodes.iter().flat_map(|(node, key)| node.links.iter().chain(std::iter::once(key))).copied().collect();
            keys.sort_unstable();
            keys.dedup();
            let places = self.store.locate(&keys)?;
            found = keys.into_iter().zip(places).collect();
        }
        Ok(StoreLookup { store: self.store.as_ref(), found })
    }

    /// Plans one node and whatever was parked waiting for it.
    fn plan_node(
        &self,
        writer: &mut Writer,
        group: &mut Group,
        lookup: &mut StoreLookup<'_>,
        parked: Parked,
    ) -> Result<Outcome> {
        if let Some(claimed) = parked.node.claimed.filter(|claimed| *claimed != parked.key) {
            return Ok(Outcome::Refused(Error::ChecksumMismatch { claimed, actual: parked.key }));
        }
        if parked.node.value.len() > self.options.max_incoming_size {
            let name = event::decode(&parked.node.value).map_or(String::new(), |event| event.name.into_owned());
            return Ok(Outcome::Refused(Error::TooLarge {
                name,
                size: parked.node.value.len(),
                limit: self.options.max_incoming_size,
            }));
        }
        let mut first = None;
        let mut work = VecDeque::from([parked]);
        while let Some(parked) = work.pop_front() {
            let waits = match writer.planner.add(&parked.node, parked.key, lookup)? {
                Verdict::Store(row) => {
                    work.extend(writer.parking.release(&Waits::Node(row.key)));
                    work.extend(writer.parking.release(&Waits::Entry(row.log.clone(), row.seq)));
                    group.commit.rows.push(row);
                    first.get_or_insert(Outcome::Added);
                    continue;
                }
                Verdict::Known => {
                    first.get_or_insert(Outcome::Known);
                    continue;
                }
                Verdict::Refuse(error) => {
                    first.get_or_insert(Outcome::Refused(error));
                    continue;
                }
                Verdict::NeedsNode(key) => Waits::Node(key),
                Verdict::NeedsEntry(log, seq) => Waits::Entry(log, seq),
            };
            let kept = writer.parking.park(parked, waits);
            first.get_or_insert(if kept {
                Outcome::Parked
            } else {
                Outcome::Refused(Error::Protocol(
                    "more nodes ahead of their causes than this peer may have waiting".into(),
                ))
            });
        }
        Ok(first.unwrap_or(Outcome::Known))
    }

    fn commit(&self, writer: &mut Writer, group: Group) {
        let Group { commit, acks, answered, nodes, facts } = group;
        let result = if commit.is_empty() { Ok(()) } else { self.store.commit(&commit) };
        self.pending.fetch_sub(answered, Ordering::Relaxed);
        match result {
            Ok(()) => {
                writer.planner.settle();
                let acks: Vec<Ack> = acks.into_iter().map(|planned| planned.answer(&commit.rows)).collect();
                if !acks.is_empty() {
                    self.observer.acks(acks);
                }
                if !commit.rows.is_empty() {
                    self.publish(writer, commit.rows);
                }
                nodes.into_iter().for_each(|(outcomes, reply)| drop(reply.send(Ok(outcomes))));
                facts.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
            }
            Err(error) => {
                self.reload(writer);
                let acks = acks.iter().map(|_| Ack { change: 0, result: Err(error.clone()) }).collect::<Vec<_>>();
                if !acks.is_empty() {
                    self.observer.acks(acks);
                }
                nodes.into_iter().for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
                facts.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
                self.observer.report(error);
            }
        }
    }

    /// Makes committed rows visible.
    fn publish(&self, writer: &Writer, rows: Vec<NewRow>) {
        let end = writer.planner.end();
        {
            let mut state = self.state.write();
            let mut rest = rows.iter().rev().peekable();
            let mut done: Vec<&LogId> = Vec::new();
            while let Some(row) = rest.next() {
                if rest.peek().is_some() && done.last().is_some_and(|log| **log == row.log) || done.contains(&&row.log)
                {
                    continue;
                }
                done.push(&row.log);
                match state.logs.get_mut(&row.log) {
                    Some(head) => (head.seq, head.digest) = (row.seq, row.digest),
                    None => {
                        drop(state.logs.insert(
                            row.log.clone(),
                            LogHead { log: row.log.clone(), seq: row.seq, digest: row.digest },
                        ))
                    }
                }
            }
            state.end = end;
        }
        if !self.store.is_immediate() {
            self.remember(rows, end);
        }
        self.end.send_replace(end);
        self.observer.advanced();
    }

    fn remember(&self, rows: Vec<NewRow>, end: Position) {
        let mut recent = self.recent.write();
        for row in rows {
            let node = match row.body {
                Body::Node(node) => Ok(Some(node)),
                Body::Duplicate(_) => self.store.node(&row.key),
            };
            match node {
                Ok(Some(node)) => recent.push(Row { at: row.at, log: row.log, seq: row.seq, node }),
                // Readers then ask the medium, and hear its error there.
                _ => recent.reset(end),
            }
        }
    }

    fn fork(&self, writer: &mut Writer, from: Seq) -> Result<LogId> {
        let log = writer.planner.local().clone();
        let to = new_id()?;
        let relabel = (from >= 1 && from <= writer.planner.seq(&log)).then(|| Relabel { log, from, to: to.clone() });
        let meta = vec![(Meta::LogId, Some(Bytes::copy_from_slice(to.as_bytes())))];
        self.store.commit(&Commit { relabel, meta, ..Commit::default() })?;
        writer.planner.set_local(to.clone());
        self.reload(writer);
        self.end.send_replace(writer.planner.end());
        self.observer.log_id_changed(&to);
        Ok(to)
    }

    /// Reads the state back from the store: after a commit that failed, or that moved entries.
    fn reload(&self, writer: &mut Writer) {
        match self.store.state() {
            Ok(state) => {
                writer.planner = Planner::new(writer.planner.local().clone(), &state);
                *self.state.write() = state_of(&writer.planner, &state);
                self.recent.write().reset(state.end);
            }
            Err(error) => writer.failed = Some(error),
        }
    }

    fn refuse(&self, job: Job, error: &Error) {
        match job {
            Job::Append(appends) => {
                self.pending.fetch_sub(appends.iter().map(append_cost).sum(), Ordering::Relaxed);
                let acks = appends
                    .iter()
                    .filter(|append| append.ack != AckKind::None)
                    .map(|_| Ack { change: 0, result: Err(error.clone()) });
                self.observer.acks(acks.collect());
            }
            Job::Add { reply, .. } => drop(reply.send(Err(error.clone()))),
            Job::SetMeta { reply, .. } => drop(reply.send(Err(error.clone()))),
            Job::ForkLocal { reply, .. } => drop(reply.send(Err(error.clone()))),
            Job::Forget(_) => {}
        }
    }
}

impl Writer {
    fn next_id(&mut self) -> [u8; ID_LEN] {
        self.counter = self.counter.wrapping_add(1);
        if self.counter == 0 {
            // 2^32 events in one open: count on in the random part, which stays distinct from the first round.
            self.id.iter_mut().take(8).any(|byte| {
                *byte = byte.wrapping_add(1);
                *byte != 0
            });
        }
        for (slot, byte) in self.id.iter_mut().skip(8).zip(self.counter.to_le_bytes()) {
            *slot = byte;
        }
        self.id
    }
}

/// What one commit will store and whom it answers.
#[derive(Default)]
struct Group {
    commit: Commit,
    acks: Vec<Planned>,
    answered: usize,
    nodes: Vec<(Vec<Outcome>, oneshot::Sender<Result<Vec<Outcome>>>)>,
    facts: Vec<oneshot::Sender<Result<()>>>,
}

enum Planned {
    Plain(Change),
    Row(usize),
    Refused(Error),
}

impl Planned {
    fn answer(self, rows: &[NewRow]) -> Ack {
        match self {
            Planned::Plain(change) => Ack { change, result: Ok(None) },
            Planned::Refused(error) => Ack { change: 0, result: Err(error) },
            Planned::Row(index) => match rows.get(index).map(|row| &row.body) {
                Some(Body::Node(node)) => Ack { change: node.change, result: Ok(Some(node.clone())) },
                _ => Ack { change: 0, result: Err(Error::Internal("an append was not planned as a node".into())) },
            },
        }
    }
}

struct StoreLookup<'a> {
    store: &'a dyn Store,
    found: HashMap<Key, Option<Located>>,
}

impl Lookup for StoreLookup<'_> {
    fn locate(&mut self, key: &Key) -> Result<Option<Located>> {
        if let Some(found) = self.found.get(key) {
            return Ok(found.clone());
        }
        Ok(self.store.locate(&[*key])?.pop().flatten())
    }

    fn entry(&mut self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        self.store.entry(log, seq)
    }
}

fn state_of(planner: &Planner, state: &crate::store::StoreState) -> State {
    State {
        end: state.end,
        log_id: planner.local().clone(),
        logs: state.logs.iter().map(|log| (log.log.clone(), log.clone())).collect(),
    }
}

fn append_cost(append: &Append) -> usize {
    event::encoded_len(append.name.len(), append.payload.len())
}

fn job_cost(job: &Job) -> usize {
    match job {
        Job::Append(appends) => appends.iter().map(append_cost).sum(),
        Job::Add { nodes, .. } => nodes.iter().map(|(node, _)| node.value.len() + 64).sum(),
        _ => 0,
    }
}

fn take_group(jobs: &mut VecDeque<Job>) -> Vec<Job> {
    let mut bytes = 0;
    let mut group = Vec::new();
    while bytes < MAX_GROUP_BYTES {
        let Some(job) = jobs.pop_front() else { break };
        bytes += job_cost(&job);
        group.push(job);
    }
    group
}
