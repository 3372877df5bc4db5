//! Turns nodes of peers, and of imported stores, into rows.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::sealed_run::{Kind, LinkInto, Run, RunId};
use super::Writer;
use crate::branch::Branch;
use crate::error::{Error, Result};
use crate::event;
use crate::hyperlog::commit_group::{CommitGroup, Fork};
use crate::hyperlog::parking::{Parked, Waits};
use crate::hyperlog::plan::{Lookup, Planner, Verdict};
use crate::hyperlog::trust::TrustPolicy;
use crate::hyperlog::versions::forged;
use crate::hyperlog::{Incoming, Outcome, Source, SourceId};
use crate::node::{Key, KeyMap, LogId, Node, Seq};
use crate::row::{share_nodes, Entry, Located, NewRow};
use crate::store::Store;

/// Plans the nodes of one job.
pub(super) struct NodePlanner<'a> {
    pub(super) writer: &'a mut Writer,
    pub(super) group: &'a mut CommitGroup,
    pub(super) lookup: StoreLookup<'a>,
    pub(super) planned: Vec<NewRow<Node>>,
    /// Nodes that have come out of the parking.
    pub(super) work: VecDeque<Parked>,
    /// Rows of sealed logs that wait for their seal.
    pub(super) runs: HashMap<RunId, Run>,
    /// Links between the runs that are looked at.
    pub(super) linked: Vec<Vec<LinkInto>>,
    pub(super) policy: Arc<TrustPolicy>,
    /// Any log without seals may be stored.
    pub(super) plain: bool,
}

impl NodePlanner<'_> {
    /// Plans `nodes`, and whatever was parked waiting for one of them. Gives the outcome of each.
    ///
    /// # Errors
    /// The store's. What was planned before is sound, and stays in the group.
    pub(super) fn plan(
        writer: &mut Writer,
        group: &mut CommitGroup,
        source: Source,
        nodes: Vec<(Incoming, Key)>,
    ) -> Result<Vec<Outcome>> {
        let store = Arc::clone(&writer.shared.store);
        let lookup = StoreLookup::of(store.as_ref(), &nodes)?;
        let planned = Vec::with_capacity(nodes.len());
        let policy = writer.shared.trust.policy();
        let plain = writer.shared.trust.accepts_unsigned(&policy);
        let mut planner = NodePlanner {
            writer,
            group,
            lookup,
            planned,
            work: VecDeque::new(),
            runs: HashMap::new(),
            linked: Vec::new(),
            policy,
            plain,
        };
        let mut outcomes = Vec::with_capacity(nodes.len());
        let mut failed = None;
        for (slot, (node, key)) in nodes.into_iter().enumerate() {
            match planner.plan_node(Parked { node, key, source, named: None }, slot) {
                Ok(outcome) => outcomes.push(outcome),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let failed = failed.or_else(|| planner.let_go_overdue().err());
        let settled = planner.settle(&mut outcomes);
        let first = planner.group.commit.rows.len();
        let planned = std::mem::take(&mut planner.planned);
        planner.group.commit.rows.extend(share_nodes(planned));
        if let Some(node) = planner.group.commit.rows.iter().skip(first).find_map(NewRow::node) {
            planner.writer.planner.note_shared(node.clone());
        }
        let contradicted = if source.session == SourceId::USER { Ok(()) } else { planner.contradictions(first) };
        let failed = failed.or(settled.err()).or(contradicted.err());
        failed.map_or(Ok(outcomes), Err)
    }

    /// Finds what the planned rows from this one on contradict.
    fn contradictions(&mut self, first: usize) -> Result<()> {
        if self.writer.decisions.is_empty() {
            return Ok(());
        }
        let Writer { decisions, planner, .. } = &mut *self.writer;
        let local = planner.local().clone();
        let mut lookup = PlannedLookup { planner, lookup: &mut self.lookup };
        for node in self.group.commit.rows.iter().skip(first).filter_map(NewRow::node) {
            if node.log != local {
                self.group.answers.contradictions.extend(decisions.add(node, &local, &mut lookup)?);
            }
        }
        Ok(())
    }

    /// Plans one node and whatever was parked waiting for it.
    fn plan_node(&mut self, parked: Parked, slot: usize) -> Result<Outcome> {
        if let Some(error) = self.unfit(&parked) {
            return Ok(Outcome::Refused(error));
        }
        let outcome = self.take(parked, slot)?;
        self.work_off()?;
        Ok(outcome)
    }

    /// Why a node cannot be stored, whatever the log holds.
    fn unfit(&self, parked: &Parked) -> Option<Error> {
        let node = &parked.node;
        if let Some(claimed) = node.claimed.filter(|claimed| *claimed != parked.key) {
            return Some(Error::ChecksumMismatch { claimed, actual: parked.key });
        }
        let (size, limit) = (node.value.len(), self.writer.options.max_incoming_size);
        if size > limit {
            let name = event::decode(&node.value).map_or(String::new(), |event| event.name.into_owned());
            return Some(Error::TooLarge { name, size, limit });
        }
        None
    }

    /// Decides about one node. Nodes that waited for it are added to the end of the work. `slot` is the index of its outcome, if it came
    /// with this job: a node that is `Parked` because it is held may get another outcome in the end.
    pub(super) fn decide(&mut self, mut parked: Parked, slot: Option<usize>) -> Result<Outcome> {
        if let Some(error) = self.place(&mut parked)? {
            return Ok(Outcome::Refused(error));
        }
        if parked.named.is_some() && self.writer.planner.is_forged(&parked.node) {
            // Others hold it in good faith. Once we have written that entry, the two versions part there.
            return Ok(Outcome::Known);
        }
        let owner = match self.kind(&parked)? {
            Kind::Plain => None,
            Kind::Sealed(owner, pin) => Some((owner, pin)),
            Kind::Decided(outcome) => return Ok(outcome),
        };
        // What a user imports is the user's own.
        if owner.is_none() && parked.source.session != SourceId::USER && self.writer.planner.is_forged(&parked.node) {
            return Ok(self.forged(parked));
        }
        if let Some(error) = self.writer.versions.fork_before(&parked) {
            return Ok(Outcome::Refused(error));
        }
        if let Some(owner) = owner {
            // Another version counts once its seal is there.
            return match self
                .writer
                .versions
                .unlike_adopted(&parked)
                .filter(|_| parked.source.session != SourceId::USER)
            {
                Some(error) => Ok(Outcome::Refused(error)),
                None => self.hold(parked, (Some(owner.0), owner.1), slot),
            };
        }
        if let Some(error) = self.other_version(&parked)? {
            return Ok(Outcome::Refused(self.refused(&parked, error)));
        }
        let waits = match self.writer.planner.add(&parked.node, parked.key, &mut self.lookup)? {
            Verdict::Store(row) => {
                self.release(&row);
                self.planned.push(row);
                return Ok(Outcome::Added);
            }
            Verdict::Known => return Ok(Outcome::Known),
            Verdict::Refuse(error) => return Ok(Outcome::Refused(self.refused(&parked, error))),
            Verdict::NeedsNode(key) => Waits::Node(key),
            Verdict::NeedsEntry(log, seq) => Waits::Entry(log, seq),
        };
        if self.writer.sealed.any && parked.node.seq > 0 {
            return self.hold(parked, (None, None), slot);
        }
        Ok(self.park(parked, waits))
    }

    /// Finds the log to which an entry of a branch belongs here: if that version is stored under another id, it is an entry of that log.
    /// Returns an error if it cannot belong to the branch.
    fn place(&mut self, parked: &mut Parked) -> Result<Option<Error>> {
        if let Some((log, seq)) = parked.named.take() {
            // It was parked. What is here may have changed since.
            (parked.node.log, parked.node.seq) = (log, seq);
        }
        let (log, seq) = (parked.node.log.clone(), parked.node.seq);
        let Some(branch) = Branch::of(&log) else { return Ok(None) };
        if seq <= 1 && parked.key != branch.first && self.writer.planner.seq(&log) == 0 {
            return Ok(Some(Error::Fork { log: log.to_string(), seq: 1, ours: branch.first, theirs: parked.key }));
        }
        if seq == 0 {
            return Ok(None);
        }
        let whole = LogId::from(branch.log);
        if self.writer.planner.entry_key(&whole, branch.from, &mut self.lookup)? == Some(branch.first) {
            (parked.node.log, parked.node.seq) = (whole, branch.seq_in_log(seq));
        } else {
            let is_part = |found: &Located| {
                let other = Branch::of(&found.log).filter(|other| other.log == branch.log && *found.log != *log);
                other.is_some_and(|other| other.seq_in_log(found.seq) == branch.from)
            };
            let Some(first) = self.writer.planner.locate(&branch.first, &mut self.lookup)?.filter(is_part) else {
                return Ok(None);
            };
            (parked.node.log, parked.node.seq) = (first.log, first.seq.saturating_add(seq - 1));
        }
        // What waits for it may know it by its name in the branch.
        self.release_next(log.clone(), seq);
        parked.named = Some((log, seq));
        Ok(None)
    }

    /// A peer's node of the local log that we have not written.
    fn forged(&mut self, parked: Parked) -> Outcome {
        let (log, seq) = (parked.node.log.clone(), parked.node.seq);
        if self.group.is_last() && seq > 1 {
            // Our tail is about to move, and the log will be somebody else's.
            return self.park(parked, Waits::Entry(log, seq - 1));
        }
        self.writer.shared.note_forged(seq);
        Outcome::Refused(forged(&log, seq, "has not written it"))
    }

    /// The fork if a peer's node is of a version of its log that must not become part of ours.
    fn other_version(&mut self, parked: &Parked) -> Result<Option<Error>> {
        if parked.source.session == SourceId::USER {
            return Ok(None);
        }
        let Writer { versions, planner, .. } = &mut *self.writer;
        match versions.unlike_adopted(parked) {
            Some(error) => Ok(Some(error)),
            None => versions.unlike_left(parked, planner, &mut self.lookup),
        }
    }

    /// Takes the nodes that waited for `row` out of the parking.
    pub(super) fn release(&mut self, row: &NewRow<Node>) {
        if self.writer.parking.is_empty() {
            return;
        }
        let waits = Waits::Node(*row.key());
        for parked in self.writer.parking.release(&waits) {
            self.group.released.push((parked.clone(), waits.clone()));
            self.work.push_back(parked);
        }
        self.release_next(row.log().clone(), row.seq());
    }

    /// Takes what waited for an entry out of the parking.
    fn release_next(&mut self, log: LogId, seq: Seq) {
        // The next entry of the log comes first: nothing goes between the events of a batch.
        let waits = Waits::Entry(log, seq);
        for parked in self.writer.parking.release(&waits).into_iter().rev() {
            self.group.released.push((parked.clone(), waits.clone()));
            self.work.push_front(parked);
        }
    }

    /// Why a node is refused. Another version of an entry of our own log, received and hashed, proves that somebody else
    /// writes that log, too: our tail moves once the group is stored, if that may be.
    pub(super) fn refused(&mut self, parked: &Parked, error: Error) -> Error {
        let (log, session) = (&parked.node.log, parked.source.session);
        let Error::Fork { seq, ours, theirs, .. } = error else { return error };
        if session == SourceId::USER {
            return error;
        }
        let writer = &mut *self.writer;
        if let Some((log, seq)) = &parked.named {
            // The session knows the entry by this name only.
            writer.versions.note_parted(session, log, *seq, ours, theirs);
            return Error::Fork { log: log.to_string(), seq: *seq, ours, theirs };
        }
        let mut refusal = None;
        if log == writer.planner.local() {
            // Once is enough for a group.
            if self.group.is_last() {
                return error;
            }
            match writer.versions.admit_fork(seq) {
                Ok(()) => {
                    self.group.answers.fork = Some(Fork { log: log.clone(), from: seq, theirs: None, responder: None });
                    return error;
                }
                Err(reason) => {
                    writer.shared.note_forged(seq);
                    refusal = Some(forged(log, seq, reason));
                }
            }
        }
        if refusal.is_none() {
            writer.versions.note_parted(session, log, seq, ours, theirs);
        }
        writer.shared.stuck.lock().note(log, seq, ours, theirs, true);
        refusal.unwrap_or(error)
    }

    /// Sets a node aside.
    pub(super) fn park(&mut self, parked: Parked, waits: Waits) -> Outcome {
        if self.writer.parking.park(parked, waits) {
            Outcome::Parked
        } else {
            Outcome::Refused(Error::Protocol("the peer sent too many nodes before the nodes that they link to".into()))
        }
    }
}

/// Looks into the store; nodes that one job names are looked up together.
pub(super) struct StoreLookup<'a> {
    store: &'a dyn Store,
    found: KeyMap<Option<Located>>,
}

impl<'a> StoreLookup<'a> {
    fn of(store: &'a dyn Store, nodes: &[(Incoming, Key)]) -> Result<Self> {
        let mut found = KeyMap::default();
        if !store.is_immediate() {
            let named = nodes.iter().flat_map(|(node, key)| node.links.iter().chain(std::iter::once(key)));
            let mut keys: Vec<Key> = named.copied().collect();
            keys.sort_unstable();
            keys.dedup();
            let located = store.locate(&keys)?;
            found = keys.into_iter().zip(located).collect();
        }
        Ok(StoreLookup { store, found })
    }
}

/// Looks among what is planned, too.
struct PlannedLookup<'a, 'b> {
    planner: &'a mut Planner,
    lookup: &'a mut StoreLookup<'b>,
}

impl Lookup for PlannedLookup<'_, '_> {
    fn locate(&mut self, key: &Key) -> Result<Option<Located>> {
        self.planner.locate(key, self.lookup)
    }

    fn entry(&mut self, log: &LogId, seq: Seq) -> Result<Option<Entry>> {
        self.lookup.entry(log, seq)
    }
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
