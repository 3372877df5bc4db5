//! The single writer: plans what waits as one group, commits it, announces it.
//!
//! `turns` says which thread does that when. Everything that comes while a commit is under way becomes the next
//! commit, so one flush serves all of it.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::batch::Event;
use super::commit_group::{job_acks, Answers, Failed, Fork, Group};
use super::fork::Forks;
use super::guard::caught;
use super::log::{last_key, new_id, stored_id, Log};
use super::parking::{Parked, Parking, Waits};
use super::plan::{Lookup, Planner, Verdict};
use super::relabelled::Left;
use super::value_buffer::Room;
use super::{Ack, AckKind, Answer, Batch, Incoming, Job, Outcome, Source, SourceId, State};
use crate::error::{Error, Result};
use crate::event::{self, ID_LEN};
use crate::node::{Key, KeyMap, LogId, Node, NodeRef, Seq};
use crate::store::{
    share_nodes, Body, Commit, Entry, Located, Meta, NewRow, Position, Relabel, Row, Store, StoreState,
};

pub(super) struct Writer {
    pub(super) planner: Planner,
    pub(super) parking: Parking,
    pub(super) forks: Forks,
    pub(super) left: Left,
    /// Logs of which a session offered another version, and where that is: what it has of them from there on must not become
    /// part of ours.
    pub(super) parted: HashMap<SourceId, HashMap<LogId, Parted>>,
    /// Versions that the user chose: the node at the entry from which on others differ. Until it is there, and after.
    pub(super) adopted: HashMap<LogId, (Seq, Key)>,
    pub(super) id: [u8; ID_LEN],
    pub(super) counter: u32,
    /// Why the state could not be read back after a commit that failed: the planner then knows less than the store,
    /// and nothing can be planned.
    pub(super) failed: Option<Error>,
}

/// An entry and its nodes in two versions of a log.
#[derive(Clone, Copy)]
pub(super) struct Parted {
    seq: Seq,
    ours: Key,
    theirs: Key,
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl Log {
    /// Plans `jobs` behind what `group` has already. What cannot be planned is answered here.
    pub(super) fn plan(&self, writer: &mut Writer, group: &mut Group, jobs: Vec<Job>) {
        if writer.failed.is_some() {
            // Once for all that waits. A store whose reads failed for a moment is well again with the next job.
            self.reload(writer);
        }
        for job in jobs {
            if let Some(error) = &writer.failed {
                let error = error.clone();
                self.refuse(job, &error);
                continue;
            }
            group.count(&job);
            let owed = group.answers.acks.len() + job_acks(&job);
            // Answers are told apart by their order alone, so a defect here must not swallow any.
            let planned = caught("planning", || {
                self.plan_job(writer, group, job);
                Ok(())
            });
            if let Err(error) = planned {
                group.answers.acks.resize(owed, Ack { change: 0, result: Ok(None) });
                group.spoil(error);
            }
        }
    }

    fn plan_job(&self, writer: &mut Writer, group: &mut Group, job: Job) {
        match job {
            Job::Append(batch) => self.plan_appends(writer, group, &batch),
            Job::Refused { acks, error } => {
                group.answers.acks.extend(std::iter::repeat_n(Ack::failed(error), acks));
            }
            Job::Add { source, nodes, reply } => self.plan_nodes(writer, group, source, nodes, reply),
            Job::SetMeta { facts, reply } => {
                group.commit.meta.extend(facts);
                group.answers.facts.push(reply);
            }
            Job::Forget(source) => {
                writer.parking.forget(source);
                writer.parted.remove(&source);
            }
            Job::ForkLocal { log, from, reply } => {
                // A node before it may have proved a fork that goes further back.
                let pending = group.answers.fork.take().map(|fork| fork.from);
                if pending.is_none() && log == *writer.planner.local() {
                    if let Err(reason) = writer.forks.admit(from, Instant::now()) {
                        return drop(reply.send(Err(forged(&log, from, reason))));
                    }
                }
                let from = pending.map_or(from, |pending| pending.min(from));
                group.answers.fork = Some(Fork { log, from, theirs: None, reply: Some(reply) });
            }
            Job::Adopt { log, from, theirs, reply } => match &group.answers.fork {
                Some(_) => {
                    let why = "our own log has just forked, and its entries are about to move: ask again";
                    drop(reply.send(Err(Error::InvalidArgument(why.into()))));
                }
                None => group.answers.fork = Some(Fork { log, from, theirs: Some(theirs), reply: Some(reply) }),
            },
        }
    }

    fn plan_appends(&self, writer: &mut Writer, group: &mut Group, batch: &Batch) {
        let time = now_ms();
        group.answers.appended += batch.cost();
        let room = if self.store.is_immediate() { Room::to_keep } else { Room::to_pass_on };
        let mut values = room(batch.cost());
        let mut checked = Vec::with_capacity(batch.len());
        // Events come in runs of one name.
        let mut sound: Option<&Arc<str>> = None;
        for event in batch.iter() {
            let sound_name = sound.is_some_and(|name| Arc::ptr_eq(name, event.name));
            let fit = self.check(&event, sound_name);
            if fit.is_ok() {
                sound = Some(event.name);
                values.push(&event, &writer.next_id(), time);
            }
            checked.push(fit.map(|()| values.len()));
        }
        let values = values.freeze();
        let mut start = 0;
        let mut planned = Vec::with_capacity(batch.len());
        for end in checked.iter().flatten() {
            planned.push(writer.planner.append(values.slice(start..*end)));
            start = *end;
        }
        let first = group.commit.rows.len();
        group.commit.rows.extend(share_nodes(planned));
        group.answers.acks.reserve(batch.acks());
        let mut rows = group.commit.rows.iter().skip(first);
        for (event, fit) in batch.iter().zip(checked) {
            let row = match fit {
                Ok(_) => rows.next(),
                Err(error) => {
                    if event.ack != AckKind::None {
                        group.answers.acks.push(Ack::failed(error));
                    }
                    continue;
                }
            };
            let change = row.map_or(0, |row| row.at.change);
            match event.ack {
                AckKind::None => {}
                AckKind::Plain => group.answers.acks.push(Ack { change, result: Ok(None) }),
                AckKind::Node => {
                    let node = row.and_then(NewRow::node).cloned();
                    group.answers.acks.push(Ack { change, result: Ok(node) });
                }
            }
        }
    }

    /// Whether this event may be stored; its name has been `checked` already or is checked here.
    fn check(&self, event: &Event<'_>, checked: bool) -> Result<()> {
        if !checked {
            event::check_name(event.name)?;
        }
        let size = event::encoded_len(event.name.len(), event.payload.len());
        if size > self.options.max_event_size {
            return Err(Error::TooLarge { name: event.name.to_string(), size, limit: self.options.max_event_size });
        }
        Ok(())
    }

    fn plan_nodes(
        &self,
        writer: &mut Writer,
        group: &mut Group,
        source: Source,
        nodes: Vec<(Incoming, Key)>,
        reply: Answer<Vec<Outcome>>,
    ) {
        let mut planned = Vec::with_capacity(nodes.len());
        let outcomes = self.lookup(&nodes).and_then(|mut lookup| {
            let mut outcomes = Vec::with_capacity(nodes.len());
            for (node, key) in nodes {
                let parked = Parked { node, key, source };
                outcomes.push(self.plan_node(writer, group, &mut planned, &mut lookup, parked)?);
            }
            Ok(outcomes)
        });
        group.commit.rows.extend(share_nodes(planned));
        match outcomes {
            Ok(outcomes) => group.answers.nodes.push((outcomes, reply)),
            // A failed look-up: what was planned before it is sound and stays.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    fn lookup(&self, nodes: &[(Incoming, Key)]) -> Result<StoreLookup<'_>> {
        let mut found = KeyMap::default();
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
        planned: &mut Vec<NewRow<Node>>,
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
            // What a user imports is a user's own.
            let from_peer = parked.source.session != SourceId::USER;
            if from_peer && writer.planner.is_forged(&parked.node) {
                let node = &parked.node;
                first.get_or_insert(if group.is_last() && node.seq > 1 {
                    // Our tail is about to move, and the log will be somebody else's.
                    park(writer, parked.clone(), Waits::Entry(node.log.clone(), node.seq - 1))
                } else {
                    self.note_forged(node.seq);
                    Outcome::Refused(forged(&node.log, node.seq, "has not written it"))
                });
                continue;
            }
            if let Some(error) = writer.parted_before(&parked) {
                first.get_or_insert(Outcome::Refused(error));
                continue;
            }
            if let Some(error) = writer.unlike_adopted(&parked).filter(|_| from_peer) {
                first.get_or_insert(Outcome::Refused(self.refused(writer, group, &parked, error)));
                continue;
            }
            if let Some(error) = writer.made_up(&parked, lookup)?.filter(|_| from_peer) {
                first.get_or_insert(Outcome::Refused(self.refused(writer, group, &parked, error)));
                continue;
            }
            let waits = match writer.planner.add(&parked.node, parked.key, lookup)? {
                Verdict::Store(row) => {
                    for waits in [Waits::Node(*row.key()), Waits::Entry(row.log().clone(), row.seq())] {
                        for parked in writer.parking.release(&waits) {
                            group.released.push((parked.clone(), waits.clone()));
                            work.push_back(parked);
                        }
                    }
                    planned.push(row);
                    first.get_or_insert(Outcome::Added);
                    continue;
                }
                Verdict::Known => {
                    first.get_or_insert(Outcome::Known);
                    continue;
                }
                Verdict::Refuse(error) => {
                    first.get_or_insert(Outcome::Refused(self.refused(writer, group, &parked, error)));
                    continue;
                }
                Verdict::NeedsNode(key) => Waits::Node(key),
                Verdict::NeedsEntry(log, seq) => Waits::Entry(log, seq),
            };
            first.get_or_insert(park(writer, parked, waits));
        }
        Ok(first.unwrap_or(Outcome::Known))
    }

    /// Peers hold entries of our own log from `seq` on that are not ours: honest ones, too, who got them from whoever made
    /// them up. Links that begin from now on know, and leave them aside.
    fn note_forged(&self, seq: Seq) {
        let before = self.forged_from.load(Ordering::Relaxed);
        if before == 0 || seq < before {
            self.forged_from.store(seq, Ordering::Relaxed);
        }
    }

    /// Why a node is refused. Another version of an entry of our own log, received and hashed, is the proof that somebody
    /// else writes it, too: our tail moves once the group is stored, if that may be.
    fn refused(&self, writer: &mut Writer, group: &mut Group, parked: &Parked, error: Error) -> Error {
        let log = &parked.node.log;
        let Error::Fork { seq, ours, theirs, .. } = error else { return error };
        if parked.source.session == SourceId::USER {
            return error;
        }
        let mut refusal = None;
        if log == writer.planner.local() {
            // Once is enough for a group.
            if group.is_last() {
                return error;
            }
            match writer.forks.admit(seq, Instant::now()) {
                Ok(()) => {
                    group.answers.fork = Some(Fork { log: log.clone(), from: seq, theirs: None, reply: None });
                    return error;
                }
                Err(reason) => {
                    self.note_forged(seq);
                    refusal = Some(forged(log, seq, reason));
                }
            }
        }
        if refusal.is_none() {
            let parted = writer.parted.entry(parked.source.session).or_default();
            parted.entry(log.clone()).or_insert(Parted { seq, ours, theirs });
        }
        self.stuck.lock().note(log, seq, ours, theirs, true);
        refusal.unwrap_or(error)
    }

    /// Stores a planned group whose turn it is, and what must follow it at once. The planner knows of nothing else that
    /// is not stored.
    pub(super) fn finish(&self, writer: &mut Writer, mut group: Group) {
        let fork = group.answers.fork.take();
        writer.planner.hand_over();
        let stored = self.commit(group).map_err(|failed| {
            let error = failed.error.clone();
            self.start_anew(writer, failed, Group::default());
            error
        });
        if let Some(fork) = fork {
            let forked = stored.and_then(|()| self.fork(writer, &fork));
            match (fork.reply, forked) {
                // The receiver may be gone; the fork is still right.
                (Some(reply), forked) => drop(reply.send(forked)),
                // Nobody asked for it. The next proof is as good as this one.
                (None, Err(error)) => self.observer.report(error),
                (None, Ok(_)) => {}
            }
        }
    }

    /// Stores a planned group and answers for it. If it cannot be stored nobody is answered yet, and the planner is ahead
    /// of the store until [`Log::start_anew`].
    pub(super) fn commit(&self, group: Group) -> std::result::Result<(), Box<Failed>> {
        if let Err(error) = self.store_group(&group) {
            return Err(Box::new(Failed { error, untold: Some(group.answers), released: group.released }));
        }
        let Group { commit, answers, .. } = group;
        let Answers { acks, appended, nodes, facts, .. } = answers;
        self.pending.fetch_sub(appended, Ordering::Relaxed);
        let end = commit.rows.last().map(|row| row.at);
        // Whoever is answered finds what the answer speaks of; who follows the log hears of it afterwards.
        if let Some(end) = end {
            self.publish(commit.rows, end);
        }
        if !acks.is_empty() {
            self.observer.acks(acks);
        }
        if let Some(end) = end {
            self.end.send_replace(end);
            self.observer.advanced();
        }
        nodes.into_iter().for_each(|(outcomes, reply)| drop(reply.send(Ok(outcomes))));
        facts.into_iter().for_each(|reply| drop(reply.send(Ok(()))));
        Ok(())
    }

    fn store_group(&self, group: &Group) -> Result<()> {
        if let Some(error) = &group.spoilt {
            return Err(error.clone());
        }
        if group.commit.is_empty() {
            return Ok(());
        }
        // Everybody in the group waits for an answer.
        caught("the store", || self.store.commit(&group.commit))?;
        self.commits.fetch_add(1, Ordering::Relaxed);
        *self.told.lock() = None;
        Ok(())
    }

    /// Answers what will not be stored.
    fn fail(&self, answers: Answers, error: &Error) {
        let Answers { mut acks, appended, nodes, facts, fork } = answers;
        self.pending.fetch_sub(appended, Ordering::Relaxed);
        acks.iter_mut().filter(|ack| ack.result.is_ok()).for_each(|ack| *ack = Ack::failed(error.clone()));
        if !acks.is_empty() {
            self.observer.acks(acks);
        }
        nodes.into_iter().for_each(|(_, reply)| drop(reply.send(Err(error.clone()))));
        facts.into_iter().for_each(|reply| drop(reply.send(Err(error.clone()))));
        if let Some(reply) = fork.and_then(|fork| fork.reply) {
            drop(reply.send(Err(error.clone())));
        }
    }

    /// Tells of a group that failed, unless that has been done. The operator hears of a cause once, until something is
    /// stored or the cause is another: each of the groups that a full disk refuses has an answer of its own.
    pub(super) fn tell(&self, untold: Option<Answers>, error: &Error) {
        let Some(answers) = untold else { return };
        self.fail(answers, error);
        let what = error.to_string();
        if self.told.lock().replace(what.clone()) != Some(what) {
            self.observer.report(error.clone());
        }
    }

    /// Goes back to what is stored after a group that failed. `group` was planned behind it and fails with it. What either
    /// took out of the parking waits again.
    pub(super) fn start_anew(&self, writer: &mut Writer, mut failed: Box<Failed>, group: Group) {
        self.tell(failed.untold.take(), &failed.error);
        self.fail(group.answers, &failed.error);
        self.reload(writer);
        for (parked, waits) in failed.released.into_iter().chain(group.released) {
            // Beyond the bound its session asks again, as for any node that is refused there.
            let _ = writer.parking.park(parked, waits);
        }
    }

    /// Makes committed rows visible, without telling anybody.
    fn publish(&self, rows: Vec<NewRow>, end: Position) {
        let known = self.duplicated(&rows);
        {
            let mut state = self.state.write();
            for row in rows.chunk_by(|a, b| a.log() == b.log()).filter_map(<[NewRow]>::last) {
                state.logs.set(row.log(), row.seq(), row.digest);
            }
            state.end = end;
        }
        if !self.store.is_immediate() {
            self.remember(rows, known, end);
        }
    }

    /// The nodes of the duplicates among `rows`. Holds no lock: a Level store waits for the JavaScript thread, which
    /// reads what is recent.
    fn duplicated(&self, rows: &[NewRow]) -> Vec<Option<NodeRef>> {
        if self.store.is_immediate() {
            return Vec::new();
        }
        let duplicates = rows.iter().filter(|row| row.node().is_none());
        let node = |key: &Key| caught("the store", || self.store.node(key));
        duplicates.map(|row| node(row.key()).ok().flatten().map(NodeRef::from)).collect()
    }

    fn remember(&self, rows: Vec<NewRow>, known: Vec<Option<NodeRef>>, end: Position) {
        let mut known = known.into_iter();
        let mut recent = self.recent.write();
        for row in rows {
            match row.body {
                Body::Node(node) => recent.push(Row::first(node)),
                Body::Duplicate { log, seq, .. } => match known.next().flatten() {
                    Some(node) => recent.push(Row::new(row.at, log, seq, node)),
                    // Readers then ask the medium, and hear its error there.
                    None => recent.reset(end),
                },
            }
        }
    }

    /// Moves a log's tail to a new log, which appends go to if it was the local one.
    fn fork(&self, writer: &mut Writer, fork: &Fork) -> Result<LogId> {
        let Fork { log, from, theirs, .. } = fork;
        let (local, last) = (log == writer.planner.local(), writer.planner.seq(log));
        if !local && theirs.is_none() {
            // Another session was first.
            return Ok(writer.planner.local().clone());
        }
        let to = new_id()?;
        let moves = *from >= 1 && *from <= last;
        let mut commit = Commit::default();
        if moves {
            commit.relabel = Some(Relabel { log: log.clone(), from: *from, to: to.clone() });
        } else if !local {
            return Err(Error::InvalidArgument(format!("log {log:?} has no entry {from} that could give way")));
        }
        let moved = if moves { last + 1 - from } else { 0 };
        if local {
            let id = Some(Bytes::copy_from_slice(to.as_bytes()));
            commit.meta = vec![(Meta::LogId, id), Forks::fact(&to, moved)];
        }
        let stored = caught("the store", || self.store.commit(&commit));
        // It may be stored although it failed.
        let kept = || matches!(caught("the store", || stored_id(self.store.as_ref())), Ok(Some(id)) if id == to);
        if local && (stored.is_ok() || kept()) {
            writer.planner.set_local(to.clone());
            self.forged_from.store(0, Ordering::Relaxed);
            writer.forks.moved(moved);
            if moves {
                writer.left.note(log, *from, &to, moved);
            }
        }
        self.reload(writer);
        stored?;
        if let Some(theirs) = theirs {
            writer.adopted.insert(log.clone(), (*from, *theirs));
            self.stuck.lock().forget(log);
            self.adoptions.fetch_add(1, Ordering::Relaxed);
        }
        self.end.send_replace(writer.planner.end());
        if local {
            self.observer.log_id_changed(&to);
        }
        Ok(to)
    }

    /// Reads the state back from the store: after a commit that failed, or that moved entries.
    pub(super) fn reload(&self, writer: &mut Writer) {
        let read = caught("the store", || {
            let state = self.store.state()?;
            let end = state.end;
            *self.state.write() = state_of(writer.planner.local().clone(), &state);
            let mut planner = writer.planner.renewed(&state);
            planner.set_own_last(last_key(self.store.as_ref(), &planner)?);
            Ok((end, planner))
        });
        match read {
            Ok((end, planner)) => {
                writer.planner = planner;
                self.recent.write().reset(end);
                writer.failed = None;
            }
            Err(error) => writer.failed = Some(error),
        }
    }

    pub(super) fn refuse(&self, job: Job, error: &Error) {
        match job {
            Job::Append(batch) => {
                self.pending.fetch_sub(batch.cost(), Ordering::Relaxed);
                self.observer.acks(vec![Ack::failed(error.clone()); batch.acks()]);
            }
            Job::Refused { acks, error } => {
                self.observer.acks(vec![Ack::failed(error); acks]);
            }
            Job::Add { reply, .. } => drop(reply.send(Err(error.clone()))),
            Job::SetMeta { reply, .. } => drop(reply.send(Err(error.clone()))),
            Job::ForkLocal { reply, .. } | Job::Adopt { reply, .. } => drop(reply.send(Err(error.clone()))),
            Job::Forget(_) => {}
        }
    }
}

/// Sets a node aside.
fn park(writer: &mut Writer, parked: Parked, waits: Waits) -> Outcome {
    if writer.parking.park(parked, waits) {
        Outcome::Parked
    } else {
        Outcome::Refused(Error::Protocol("more nodes ahead of their causes than this peer may have waiting".into()))
    }
}

/// A node of the local log that cannot be.
fn forged(log: &LogId, seq: Seq, reason: &'static str) -> Error {
    Error::Forged { log: log.to_string(), seq, reason }
}

impl Writer {
    /// The fork that a session's node lies behind, if it offered another version of its log before.
    fn parted_before(&self, parked: &Parked) -> Option<Error> {
        let Parted { seq, ours, theirs } = *self.parted.get(&parked.source.session)?.get(&parked.node.log)?;
        (parked.node.seq >= seq).then(|| Error::Fork { log: parked.node.log.to_string(), seq, ours, theirs })
    }

    /// The fork if a node is of another version of its log than the user chose.
    fn unlike_adopted(&self, parked: &Parked) -> Option<Error> {
        if self.adopted.is_empty() {
            return None;
        }
        let node = &parked.node;
        let (seq, ours) = self.adopted.get(&node.log).copied()?;
        (node.seq == seq && parked.key != ours).then(|| Error::Fork {
            log: node.log.to_string(),
            seq,
            ours,
            theirs: parked.key,
        })
    }

    /// The fork if a node is neither ours nor of another version of a log that was ours.
    fn made_up(&mut self, parked: &Parked, lookup: &mut StoreLookup<'_>) -> Result<Option<Error>> {
        let Parked { node, key, .. } = parked;
        let planner = &mut self.planner;
        let ours = self.left.must_be(&node.log, node.seq, |log, seq| planner.entry_key(log, seq, lookup))?;
        Ok(ours.filter(|ours| ours != key).map(|ours| Error::Fork {
            log: node.log.to_string(),
            seq: node.seq,
            ours,
            theirs: *key,
        }))
    }

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

struct StoreLookup<'a> {
    store: &'a dyn Store,
    found: KeyMap<Option<Located>>,
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

/// What sessions and callers are told of a store in this state.
pub(super) fn state_of(log_id: LogId, state: &StoreState) -> State {
    State { end: state.end, log_id, logs: state.logs.iter().cloned().collect() }
}
