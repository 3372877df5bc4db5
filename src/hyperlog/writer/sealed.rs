//! Rows of sealed logs, from peers and imported stores: they wait until a seal covers them, and become part of the log together.
//!
//! What one session has offered of one log and is not stored is a *run*. At the end of each job the run is looked at: where it
//! has a seal at which all links are known, or come with it, the rows up to there are planned. Of the seals in between only those are verified
//! and kept that the next peer needs, so all seals in a store are good ones. What is left waits in the parking.

use std::collections::{HashMap, HashSet, VecDeque};

use super::incoming::NodePlanner;
use super::Writer;
use crate::error::{Error, Result};
use crate::event::{self, SEALED_ID_LEN};
use crate::hyperlog::parking::{Parked, Waits};
use crate::hyperlog::plan::{Verdict, MAX_LINKS};
use crate::hyperlog::trust::Pin;
use crate::hyperlog::versions::forged;
use crate::hyperlog::{Outcome, SourceId};
use crate::identity::key::SIGNATURE_LEN;
use crate::identity::seal::{claims_owner, is_sealed, owner_of, owner_tag, SealSpan};
use crate::identity::PublicKey;
use crate::node::{Digest, Key, KeyMap, LogId, Node, Seq};
use crate::store::{Meta, NewRow, StoreState};

/// Owners of logs remembered, so that a key is read once for many rows.
const MAX_OWNERS: usize = 4096;

/// Wrong seals verified in a run before the rest of it counts as unsealed: an honest peer has none.
const MAX_WRONG_SEALS: usize = 4;

const NO_SEQ: &str = "without a seq, which a sealed log's have";
const NO_SEAL: &str = "without the seal that is due there";
const WRONG_SEAL: &str = "with a wrong seal";
const REFUSED_BEFORE: &str = "behind one without a valid seal";
const ANOTHER: &str = "in two versions, of which neither is sealed";
const FOREIGN: &str = "whose event has another log's id";
const NOT_PINNED: &str = "which does not lead to the digest that is pinned";

/// What the writer knows of sealed logs.
pub(super) struct SealedLogs {
    /// There are any. Until then no event's id is looked at.
    any: bool,
    owners: HashMap<LogId, PublicKey>,
    /// Runs with something wrong: the session's rows of that log are not looked at again.
    refused: HashMap<SourceId, HashSet<LogId>>,
    /// Runs that wait for something else than a seal: for a node, or for an entry before this one.
    blocked: HashMap<SourceId, HashMap<LogId, Option<Seq>>>,
}

impl SealedLogs {
    pub(super) fn new(local: &LogId, state: &StoreState) -> Self {
        let mut logs = state.logs.iter().map(|head| &head.log).chain([local]);
        SealedLogs {
            any: logs.any(|log| claims_owner(log)),
            owners: HashMap::new(),
            refused: HashMap::new(),
            blocked: HashMap::new(),
        }
    }

    /// A session has ended.
    pub(super) fn forget(&mut self, session: SourceId) {
        self.refused.remove(&session);
        self.blocked.remove(&session);
    }

    fn is_refused(&self, (session, log): &RunId) -> bool {
        self.refused.get(session).is_some_and(|logs| logs.contains(log))
    }

    /// Whether these rows, all that has come of a run now, cannot be what it waits for.
    fn is_blocked(&self, (session, log): &RunId, rows: &[HeldRow]) -> bool {
        let blocked = self.blocked.get(session).and_then(|logs| logs.get(log));
        blocked.is_some_and(|from| from.is_none_or(|from| rows.iter().all(|row| row.parked.node.seq >= from)))
    }

    fn owner(&mut self, log: &LogId) -> Result<Option<PublicKey>> {
        if !claims_owner(log) {
            return Ok(None);
        }
        if let Some(owner) = self.owners.get(log) {
            return Ok(Some(*owner));
        }
        let owner = owner_of(log)?;
        if self.owners.len() >= MAX_OWNERS {
            self.owners.clear();
        }
        self.owners.extend(owner.map(|owner| (log.clone(), owner)));
        self.any = true;
        Ok(owner)
    }
}

/// Which session offers which log.
pub(super) type RunId = (SourceId, LogId);

/// A row of a run, and its place among the outcomes of the job if it came with it.
pub(super) struct HeldRow {
    parked: Parked,
    slot: Option<usize>,
}

impl HeldRow {
    fn seal(&self) -> Option<&[u8]> {
        let seal = self.parked.node.signed.as_ref()?.signature.as_ref()?;
        (seal.len() == SIGNATURE_LEN).then_some(seal)
    }
}

/// See the module's documentation.
pub(super) struct Run {
    owner: PublicKey,
    pin: Option<Pin>,
    rows: Vec<HeldRow>,
    /// What the parking has of it is in `rows`.
    loaded: bool,
    /// Rows have come, or what it waited for, since it was last looked at.
    dirty: bool,
    /// The last entry of the log that was stored or planned then.
    looked_at: Seq,
    /// The row that waits for a node, and for which.
    waits: Option<(usize, Key)>,
    /// Its number among the job's: runs go into the log in the order in which they came.
    number: usize,
}

/// A run as it is looked at: consecutive rows behind what is stored.
struct Candidate {
    id: RunId,
    owner: PublicKey,
    pin: Option<Pin>,
    rows: Vec<HeldRow>,
    /// How many of the rows follow each other without a gap.
    whole: usize,
    /// The log's digest at each of these.
    digests: Vec<Digest>,
    base: Seq,
    /// So many rows are to be planned.
    cut: usize,
    /// Rows whose seal has been verified.
    verified: HashMap<usize, bool>,
    /// The first row that can never be stored, and why.
    fault: Option<(usize, &'static str)>,
    /// The row that waits for a node, and for which.
    blocked: Option<(usize, Key)>,
}

impl Candidate {
    fn seal_at(&self, index: usize) -> bool {
        self.rows.get(index).is_some_and(|row| row.seal().is_some()) || self.is_pinned(index)
    }

    /// Whether the log is pinned at this row.
    fn is_pinned(&self, index: usize) -> bool {
        self.pin.is_some_and(|pin| pin.seq == self.base + 1 + index as Seq)
    }

    /// Where the last row with a seal before `end` ends.
    fn last_seal(&self, end: usize) -> usize {
        (0..end.min(self.whole)).rev().find(|index| self.seal_at(*index)).map_or(0, |index| index + 1)
    }

    fn verify(&mut self, index: usize) -> bool {
        if let Some(known) = self.verified.get(&index) {
            return *known;
        }
        let (Some(row), Some(digest)) = (self.rows.get(index), self.digests.get(index)) else { return false };
        let seq = self.base + 1 + index as Seq;
        let good = match self.pin.filter(|pin| pin.seq == seq) {
            Some(pin) => pin.digest == *digest,
            None => row.seal().is_some_and(|seal| is_sealed(&self.owner, &self.id.1, seq, digest, seal)),
        };
        self.verified.insert(index, good);
        good
    }

    /// The seals that are needed up to `cut`: the last one, and before it as few as are never further apart than they may be.
    /// All of them are good; the last one may come before `cut`.
    fn needed_seals(&mut self, cut: usize) -> Vec<usize> {
        let mut needed = Vec::new();
        let mut start = 0;
        while start < cut {
            let mut span = SealSpan::default();
            let due = (start..cut)
                .find(|index| self.rows.get(*index).is_some_and(|row| span.add(row.parked.node.value.len())));
            let end = due.map_or(cut, |due| due + 1);
            let mut found = None;
            for index in (start..end).rev() {
                if !self.seal_at(index) {
                    continue;
                }
                if self.verify(index) {
                    found = Some(index);
                    break;
                }
                let why = if self.is_pinned(index) { NOT_PINNED } else { WRONG_SEAL };
                if self.fault.is_none_or(|(first, _)| index < first) {
                    self.fault = Some((index, why));
                }
                if self.verified.values().filter(|good| !**good).count() >= MAX_WRONG_SEALS {
                    break;
                }
            }
            let Some(found) = found else { break };
            needed.push(found);
            start = found + 1;
        }
        needed
    }
}

/// Whether the id of an event fits the owner of its log: events of sealed logs name the owner, others nobody.
fn fits(owner: Option<&PublicKey>, value: &[u8]) -> bool {
    let id = event::parse(value).and_then(|event| event.id);
    match (owner, id) {
        (Some(owner), Some(id)) => id.len() == SEALED_ID_LEN && id.starts_with(&owner_tag(owner)),
        (Some(_), None) => false,
        (None, id) => id.is_none_or(|id| id.len() != SEALED_ID_LEN),
    }
}

/// A link from a row of one run to one of another.
pub(super) struct LinkInto {
    /// The row that it names.
    at: usize,
    /// The run and row that it is in.
    from: (usize, usize),
    key: Key,
}

/// What is done with a node that is not of a sealed log, or may not be stored.
pub(super) enum Kind {
    /// Of a log without seals.
    Plain,
    /// Of this key's log.
    Sealed(PublicKey, Option<Pin>),
    Decided(Outcome),
}

impl NodePlanner<'_> {
    /// Whose log a node is of, and whether it may be stored for that.
    pub(super) fn kind(&mut self, parked: &Parked) -> Result<Kind> {
        let node = &parked.node;
        let writer = &mut *self.writer;
        let owner = match writer.sealed.owner(&node.log) {
            Ok(owner) => owner,
            Err(error) => return Ok(Kind::Decided(Outcome::Refused(error))),
        };
        let trust = &writer.shared.trust;
        if owner.is_none() && self.plain && !writer.sealed.any {
            return Ok(Kind::Plain);
        }
        let last = writer.planner.seq(&node.log);
        if node.seq > last || node.seq == 0 {
            let pin = match trust.admits(&self.policy, &node.log, owner.as_ref(), node.seq.max(1)) {
                Ok(pin) => pin,
                Err(error) => return Ok(Kind::Decided(Outcome::Refused(error))),
            };
            if !fits(owner.as_ref(), &node.value) {
                return Ok(Kind::Decided(unsealed(node.log.clone(), node.seq, FOREIGN)));
            }
            if let (None, Some(pin)) = (owner, pin) {
                let head = writer.planner.head(&node.log).map_or(Digest::default(), |head| head.digest);
                if node.seq == pin.seq && last + 1 == pin.seq && head.extend(&parked.key) != pin.digest {
                    return Ok(Kind::Decided(unsealed(node.log.clone(), node.seq, NOT_PINNED)));
                }
            }
            return Ok(owner.map_or(Kind::Plain, |owner| Kind::Sealed(owner, pin)));
        }
        Ok(owner.map_or(Kind::Plain, |owner| Kind::Sealed(owner, None)))
    }

    /// Takes a row of a sealed log into its run. What is returned is final, unless it is `Parked`.
    pub(super) fn hold(
        &mut self,
        parked: Parked,
        (owner, pin): (PublicKey, Option<Pin>),
        slot: Option<usize>,
    ) -> Result<Outcome> {
        let node = &parked.node;
        let (log, seq) = (node.log.clone(), node.seq);
        let id = (parked.source.session, log.clone());
        // What comes from the parking tells that there may be more of its run.
        let released = slot.is_none();
        let mut outcome = Outcome::Parked;
        if seq == 0 {
            outcome = unsealed(log.clone(), seq, NO_SEQ);
        } else if self.writer.sealed.is_refused(&id) {
            outcome = unsealed(log.clone(), seq, REFUSED_BEFORE);
        } else if node.links.len() > MAX_LINKS {
            outcome = Outcome::Refused(Error::Protocol(format!(
                "a node with {} links, the limit is {MAX_LINKS}",
                node.links.len()
            )));
        } else if seq <= self.writer.planner.seq(&log) {
            let ours = self.writer.planner.entry_key(&log, seq, &mut self.lookup)?;
            if ours.is_none_or(|ours| ours == parked.key) {
                outcome = Outcome::Known;
            }
        }
        if !matches!(outcome, Outcome::Parked) && !released {
            return Ok(outcome);
        }
        let key = parked.key;
        let number = self.runs.len();
        let new =
            || Run { owner, pin, rows: Vec::new(), loaded: false, dirty: false, looked_at: 0, waits: None, number };
        let run = self.runs.entry(id.clone()).or_insert_with(new);
        run.pin = pin.or(run.pin);
        run.dirty = true;
        let loaded = run.loaded;
        if matches!(outcome, Outcome::Parked) {
            run.rows.push(HeldRow { parked, slot });
            self.wake(id.0, key);
        }
        if released && !loaded {
            self.load(&id);
        }
        Ok(outcome)
    }

    /// A row is held: a run that waits for it may go together with its own.
    fn wake(&mut self, session: SourceId, key: Key) {
        let waits = Waits::Node(key);
        for parked in self.writer.parking.release_of(session, &waits) {
            self.group.released.push((parked.clone(), waits.clone()));
            self.work.push_back(parked);
        }
    }

    /// Takes what the parking has of a run.
    fn load(&mut self, id: &RunId) {
        let Some(run) = self.runs.get_mut(id) else { return };
        run.loaded = true;
        let Writer { sealed, parking, planner, .. } = &mut *self.writer;
        let blocked = sealed.blocked.get_mut(&id.0).and_then(|logs| logs.remove(&id.1)).flatten();
        // The first row waits for itself, or for the one before it, to be brought by somebody else.
        let firsts = [Some(planner.seq(&id.1) + 1), blocked.map(|from| from.saturating_sub(1))];
        let mut all = vec![Waits::Seal(id.0, id.1.clone())];
        all.extend(firsts.into_iter().flatten().map(|seq| Waits::Entry(id.1.clone(), seq)));
        let mut keys = Vec::new();
        for waits in all {
            for parked in parking.release_of(id.0, &waits) {
                self.group.released.push((parked.clone(), waits.clone()));
                keys.push(parked.key);
                run.rows.push(HeldRow { parked, slot: None });
            }
        }
        keys.into_iter().for_each(|key| self.wake(id.0, key));
    }

    /// Plans what is sealed of the runs, and what waited for that, as long as there is more.
    pub(super) fn settle(&mut self, outcomes: &mut [Outcome]) -> Result<()> {
        let settled = self.settle_all(outcomes);
        self.park_rest(outcomes);
        settled
    }

    fn settle_all(&mut self, outcomes: &mut [Outcome]) -> Result<()> {
        loop {
            self.work_off()?;
            let waiting = self.runs.iter().filter(|(id, run)| {
                // Another row changes nothing for a run that waits for a seal, and a seal nothing for one that waits for more.
                !run.loaded
                    && run.dirty
                    && !self.writer.sealed.is_blocked(id, &run.rows)
                    && (run.pin.is_some()
                        || id.1 == *self.writer.planner.local()
                        || run.rows.iter().any(|row| row.seal().is_some()))
            });
            for id in waiting.map(|(id, _)| id.clone()).collect::<Vec<_>>() {
                self.load(&id);
            }
            self.work_off()?;
            self.look_again()?;
            if !self.runs.values().any(|run| run.loaded && run.dirty) {
                return Ok(());
            }
            // Those that were looked at before may go together with one that has changed.
            let mut all: Vec<(usize, RunId)> = Vec::with_capacity(self.runs.len());
            all.extend(self.runs.iter().filter(|(_, run)| run.loaded).map(|(id, run)| (run.number, id.clone())));
            all.sort_unstable();
            let all = all.into_iter().map(|(_, id)| id).collect();
            self.admit(all, outcomes)?;
        }
    }

    /// Finds the runs for which something has been planned since they were looked at.
    fn look_again(&mut self) -> Result<()> {
        for ((_, log), run) in &mut self.runs {
            if !run.loaded || run.dirty || run.rows.is_empty() {
                continue;
            }
            let planner = &mut self.writer.planner;
            let grown = planner.seq(log) != run.looked_at;
            run.dirty = grown
                || match run.waits {
                    Some((_, key)) => planner.locate(&key, &mut self.lookup)?.is_some(),
                    None => false,
                };
        }
        Ok(())
    }

    /// Decides about what has come out of the parking.
    pub(super) fn work_off(&mut self) -> Result<()> {
        while let Some(parked) = self.work.pop_front() {
            self.decide(parked, None)?;
        }
        Ok(())
    }

    /// Plans the rows of these runs that are sealed and whose links are there or come with them.
    fn admit(&mut self, ids: Vec<RunId>, outcomes: &mut [Outcome]) -> Result<()> {
        let mut candidates = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(candidate) = self.candidate(id, outcomes)? {
                candidates.push(candidate);
            }
        }
        self.cut_at_links(&mut candidates)?;
        let needed = self.cut_at_seals(&mut candidates);
        self.plan_candidates(&mut candidates, &needed, outcomes)?;
        for candidate in candidates {
            self.put_back(candidate, outcomes);
        }
        Ok(())
    }

    /// The rows of a run in order, without those that are stored. `None` if it is another version of what is stored.
    fn candidate(&mut self, id: RunId, outcomes: &mut [Outcome]) -> Result<Option<Candidate>> {
        let Some(run) = self.runs.get_mut(&id) else { return Ok(None) };
        (run.dirty, run.waits) = (false, None);
        run.looked_at = self.writer.planner.seq(&id.1);
        let mut rows = std::mem::take(&mut run.rows);
        let (owner, pin) = (run.owner, run.pin);
        if !rows.is_sorted_by_key(|row| row.parked.node.seq) {
            rows.sort_by_key(|row| row.parked.node.seq);
        }
        let head = self.writer.planner.head(&id.1);
        let (last, digest) = head.map_or((0, Digest::default()), |head| (head.seq, head.digest));
        let mut kept: Vec<HeldRow> = Vec::with_capacity(rows.len());
        let mut other = false;
        for row in rows {
            let seq = row.parked.node.seq;
            if seq <= last && !other {
                let ours = self.writer.planner.entry_key(&id.1, seq, &mut self.lookup)?;
                if ours.is_none_or(|ours| ours == row.parked.key) {
                    set(outcomes, row.slot, Outcome::Known);
                    continue;
                }
                other = true;
            }
            match kept.last() {
                Some(before) if before.parked.node.seq == seq && before.parked.key == row.parked.key => {
                    set(outcomes, row.slot, Outcome::Parked);
                }
                Some(before) if before.parked.node.seq == seq => {
                    set(outcomes, row.slot, unsealed(id.1.clone(), seq, ANOTHER));
                }
                _ => kept.push(row),
            }
        }
        if !other && !self.group.is_last() && self.is_forged(&id, &kept) {
            for row in kept {
                let seq = row.parked.node.seq;
                self.writer.shared.note_forged(seq);
                set(outcomes, row.slot, Outcome::Refused(forged(&id.1, seq, "has not written it")));
            }
            self.runs.remove(&id);
            return Ok(None);
        }
        let base = if other { kept.first().map_or(0, |row| row.parked.node.seq.saturating_sub(1)) } else { last };
        let digest = if other { self.writer.shared.store.digest(&id.1, base)? } else { Some(digest) };
        let mut digests = Vec::with_capacity(kept.len());
        if let Some(mut digest) = digest {
            for (seq, row) in (base + 1..).zip(&kept) {
                if row.parked.node.seq != seq {
                    break;
                }
                digest = digest.extend(&row.parked.key);
                digests.push(digest);
            }
        }
        let mut candidate = Candidate {
            id,
            owner,
            pin,
            whole: digests.len(),
            rows: kept,
            digests,
            base,
            cut: 0,
            verified: HashMap::new(),
            fault: None,
            blocked: None,
        };
        if let Some(index) = overdue(&candidate) {
            candidate.whole = index;
            candidate.fault = Some((index, NO_SEAL));
        }
        candidate.cut = candidate.last_seal(candidate.whole);
        if other {
            self.prove_fork(candidate, outcomes)?;
            return Ok(None);
        }
        Ok(Some(candidate))
    }

    /// Whether rows continue our own log behind what we have written. With a seal they are of somebody who has our key.
    fn is_forged(&self, id: &RunId, rows: &[HeldRow]) -> bool {
        id.0 != SourceId::USER && rows.iter().any(|row| self.writer.planner.is_forged(&row.parked.node))
    }

    /// Another version of entries that are stored: it counts once its seal is there.
    fn prove_fork(&mut self, mut candidate: Candidate, outcomes: &mut [Outcome]) -> Result<()> {
        let needed = candidate.needed_seals(candidate.cut);
        if needed.is_empty() {
            self.put_back(candidate, outcomes);
            return Ok(());
        }
        let Some(first) = candidate.rows.first().map(|row| row.parked.clone()) else { return Ok(()) };
        let (log, seq) = (first.node.log.clone(), first.node.seq);
        let Some(ours) = self.writer.planner.entry_key(&log, seq, &mut self.lookup)? else { return Ok(()) };
        let fork = Error::Fork { log: log.to_string(), seq, ours, theirs: first.key };
        let refusal = self.refused(&first, fork);
        for row in candidate.rows {
            set(outcomes, row.slot, Outcome::Refused(refusal.clone()));
        }
        Ok(())
    }

    /// Cuts runs so that each link of what is left names a node that is there, or one that is left.
    fn cut_at_links(&mut self, candidates: &mut [Candidate]) -> Result<()> {
        let mut held: KeyMap<(usize, usize)> = KeyMap::default();
        // For each run what links into it: at which row, and from where.
        let mut linked: Vec<Vec<LinkInto>> = candidates.iter().map(|_| Vec::new()).collect();
        let mut lowered = Vec::new();
        for run in 0..candidates.len() {
            let Some(cut) = candidates.get(run).map(|candidate| candidate.cut) else { continue };
            'rows: for index in 0..cut {
                let Some(rows) = candidates.get(run).map(|candidate| &candidate.rows) else { break };
                let Some(row) = rows.get(index) else { break };
                let before = index.checked_sub(1).and_then(|before| rows.get(before)).map(|row| row.parked.key);
                for link in row.parked.node.links.clone() {
                    if before == Some(link) || self.writer.planner.locate(&link, &mut self.lookup)?.is_some() {
                        continue;
                    }
                    if held.is_empty() {
                        for (run, candidate) in candidates.iter().enumerate() {
                            for (index, row) in candidate.rows.iter().enumerate().take(candidate.cut) {
                                held.insert(row.parked.key, (run, index));
                            }
                        }
                    }
                    match held.get(&link) {
                        Some(&(other, at)) if other != run => {
                            if let Some(linked) = linked.get_mut(other) {
                                linked.push(LinkInto { at, from: (run, index), key: link });
                            }
                        }
                        Some(&(_, at)) if at < index => {}
                        _ => {
                            if let Some(candidate) = candidates.get_mut(run) {
                                candidate.blocked = Some((index, link));
                                candidate.cut = candidate.last_seal(index);
                                lowered.push(run);
                            }
                            break 'rows;
                        }
                    }
                }
            }
        }
        self.linked = linked;
        self.linked.iter_mut().for_each(|linked| linked.sort_unstable_by_key(|link| link.at));
        lower(candidates, &mut self.linked, lowered);
        Ok(())
    }

    /// Cuts runs at good seals; tells which ones are needed.
    fn cut_at_seals(&mut self, candidates: &mut [Candidate]) -> Vec<Vec<usize>> {
        loop {
            let mut lowered = Vec::new();
            let mut all = Vec::with_capacity(candidates.len());
            for (run, candidate) in candidates.iter_mut().enumerate() {
                let needed = candidate.needed_seals(candidate.cut);
                let cut = needed.last().map_or(0, |last| last + 1);
                if cut < candidate.cut {
                    candidate.cut = cut;
                    lowered.push(run);
                }
                all.push(needed);
            }
            if lowered.is_empty() {
                return all;
            }
            lower(candidates, &mut self.linked, lowered);
        }
    }

    /// Plans the rows up to the cuts, causes first.
    fn plan_candidates(
        &mut self,
        candidates: &mut [Candidate],
        needed: &[Vec<usize>],
        outcomes: &mut [Outcome],
    ) -> Result<()> {
        let mut next: Vec<usize> = candidates.iter().map(|_| 0).collect();
        let mut waiting: KeyMap<Vec<usize>> = KeyMap::default();
        let mut ready: VecDeque<usize> = (0..candidates.len()).collect();
        while let Some(run) = ready.pop_front() {
            let (Some(candidate), Some(next), Some(needed)) =
                (candidates.get_mut(run), next.get_mut(run), needed.get(run))
            else {
                continue;
            };
            while *next < candidate.cut {
                let Some(row) = candidate.rows.get_mut(*next) else { break };
                let node = &mut row.parked.node;
                if needed.binary_search(next).is_err() {
                    node.signed = None;
                }
                // What was looked at a moment ago: only the store's failures can keep a row from being planned.
                match self.writer.planner.add(node, row.parked.key, &mut self.lookup) {
                    Ok(Verdict::Store(planned)) => {
                        let seal = node.signed.as_ref().and_then(|signed| signed.signature.clone());
                        ready.extend(waiting.remove(planned.key()).into_iter().flatten());
                        self.plan_row(planned, seal);
                        *next += 1;
                    }
                    Ok(Verdict::NeedsNode(key)) => {
                        waiting.entry(key).or_default().push(run);
                        break;
                    }
                    Ok(_) => {
                        self.group.spoil(Error::Internal("a sealed row cannot be planned".into()));
                        return Ok(());
                    }
                    Err(error) => {
                        // Half of a run must not be stored.
                        self.group.spoil(error.clone());
                        return Err(error);
                    }
                }
            }
        }
        for (candidate, next) in candidates.iter_mut().zip(next) {
            if next < candidate.cut {
                self.group.spoil(Error::Internal("sealed rows wait for each other".into()));
                return Ok(());
            }
            let (mut rows, mut bytes, mut last) = (0, 0, None);
            for row in candidate.rows.drain(..next) {
                match row.slot {
                    Some(slot) => {
                        set(outcomes, Some(slot), Outcome::Added);
                        last = Some(slot);
                    }
                    None => {
                        rows += 1;
                        bytes += row.parked.node.cost() as u64;
                    }
                }
            }
            if rows > 0 {
                set(outcomes, last, Outcome::AddedWith { rows, bytes });
            }
            candidate.whole -= next;
            candidate.base += next as Seq;
            candidate.fault = candidate.fault.map(|(index, why)| (index.saturating_sub(next), why));
            candidate.blocked = candidate.blocked.and_then(|(index, key)| Some((index.checked_sub(next)?, key)));
        }
        Ok(())
    }

    /// A row of a sealed log goes into the group; the seal of a further entry for a known node has no room in the node.
    fn plan_row(&mut self, row: NewRow<Node>, seal: Option<bytes::Bytes>) {
        if let (None, Some(seal)) = (row.node(), seal) {
            self.group.commit.meta.push((Meta::Seal(row.log().clone(), row.seq()), Some(seal)));
        }
        self.release(&row);
        self.planned.push(row);
    }

    /// What is left of a run waits, or is refused if something is wrong with it.
    fn put_back(&mut self, candidate: Candidate, outcomes: &mut [Outcome]) {
        let Candidate { id, rows, fault, blocked, base, .. } = candidate;
        if let Some((index, why)) = fault {
            let first = rows.get(index).map_or(base + 1, |row| row.parked.node.seq);
            for row in &rows {
                let seq = row.parked.node.seq;
                set(outcomes, row.slot, unsealed(id.1.clone(), seq, if seq == first { why } else { REFUSED_BEFORE }));
            }
            self.writer.sealed.refused.entry(id.0).or_default().insert(id.1.clone());
            self.runs.remove(&id);
            return;
        }
        if let Some(run) = self.runs.get_mut(&id) {
            let mut left: Vec<HeldRow> = rows;
            left.append(&mut run.rows);
            run.rows = left;
            run.waits = blocked;
        }
    }

    /// Parks what is left of all runs.
    fn park_rest(&mut self, outcomes: &mut [Outcome]) {
        let mut runs: Vec<(RunId, Run)> = std::mem::take(&mut self.runs).into_iter().collect();
        runs.sort_unstable_by(|(a, one), (b, two)| (one.number, a).cmp(&(two.number, b)));
        for (id, run) in runs {
            let last = self.writer.planner.seq(&id.1);
            for (index, row) in run.rows.into_iter().enumerate() {
                let seq = row.parked.node.seq;
                let mut blocked = |from| {
                    self.writer.sealed.blocked.entry(id.0).or_default().insert(id.1.clone(), from);
                };
                let waits = match run.waits {
                    _ if !run.loaded => Waits::Seal(id.0, id.1.clone()),
                    Some((at, key)) if at == index => {
                        blocked(None);
                        Waits::Node(key)
                    }
                    // The entry before it comes from somebody else, or has yet to come.
                    _ if index == 0 && seq > last + 1 => {
                        blocked(Some(seq));
                        Waits::Entry(id.1.clone(), seq - 1)
                    }
                    // Somebody else may bring it, and the seal.
                    _ if index == 0 && seq > last => Waits::Entry(id.1.clone(), seq),
                    _ => Waits::Seal(id.0, id.1.clone()),
                };
                let outcome = self.park(row.parked, waits);
                set(outcomes, row.slot, outcome);
            }
        }
    }
}

/// The first row at which a seal is due and missing.
fn overdue(candidate: &Candidate) -> Option<usize> {
    let mut span = SealSpan::default();
    (0..candidate.whole).find(|index| {
        let due = candidate.rows.get(*index).is_some_and(|row| span.add(row.parked.node.value.len()));
        if candidate.seal_at(*index) {
            span.sealed();
            return false;
        }
        due
    })
}

/// Cuts runs that link to what no longer goes with them, after those in `lowered` have been cut.
fn lower(candidates: &mut [Candidate], linked: &mut [Vec<LinkInto>], mut lowered: Vec<usize>) {
    while let Some(run) = lowered.pop() {
        let cut = candidates.get(run).map_or(0, |candidate| candidate.cut);
        while let Some(link) = linked.get_mut(run).and_then(|linked| linked.pop_if(|link| link.at >= cut)) {
            let (from, index) = link.from;
            let Some(candidate) = candidates.get_mut(from).filter(|candidate| candidate.cut > index) else { continue };
            candidate.cut = candidate.last_seal(index);
            candidate.blocked = Some((index, link.key));
            lowered.push(from);
        }
    }
}

fn set(outcomes: &mut [Outcome], slot: Option<usize>, outcome: Outcome) {
    if let Some(place) = slot.and_then(|slot| outcomes.get_mut(slot)) {
        *place = outcome;
    }
}

fn unsealed(log: LogId, seq: Seq, reason: &'static str) -> Outcome {
    Outcome::Refused(Error::Unsealed { log: log.to_string(), seq, reason })
}
