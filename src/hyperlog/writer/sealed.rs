//! Rows of sealed logs, from peers and imported stores. They wait until a seal covers them, and are then stored together.
//!
//! The rows of one log that one session has offered, and that are not stored, are a *run*. At the end of each job, the run is
//! checked. If it has a seal up to which all links name nodes that are stored, or are stored with it, the rows up to this seal are
//! planned. Of the seals in between, only those that the next peer needs are verified and kept, so all seals in a store are valid.
//! The other rows stay parked.

use std::collections::{HashMap, HashSet};

use super::incoming::NodePlanner;
use super::sealed_run::{HeldRow, Kind, Run, RunId, NOT_PINNED};
use super::Writer;
use crate::error::{Error, Result};
use crate::event::{self, SEALED_ID_LEN};
use crate::hyperlog::parking::{Parked, Waits};
use crate::hyperlog::plan::MAX_LINKS;
use crate::hyperlog::trust::Pin;
use crate::hyperlog::{Outcome, SourceId};
use crate::identity::seal::{claims_owner, owner_of, owner_tag};
use crate::identity::PublicKey;
use crate::node::{Digest, Key, LogId, Seq};
use crate::store::StoreState;

/// Owners of logs remembered, so that a key is read once for many rows.
const MAX_OWNERS: usize = 4096;

const NO_SEQ: &str = "without a seq, which entries of sealed logs have";
pub(super) const REFUSED_BEFORE: &str = "after one without a valid seal";
const FOREIGN: &str = "whose event has another log's id";

/// What the writer knows of sealed logs.
pub(super) struct SealedLogs {
    /// Whether there are sealed logs. Until then no event's id is checked, and no row is held.
    pub(super) any: bool,
    owners: HashMap<LogId, PublicKey>,
    /// Runs with a fault: further rows of that log from the session are refused without a check.
    pub(super) refused: HashMap<SourceId, HashSet<LogId>>,
    /// Runs that wait for something other than a seal: for a node, or for an entry before this one.
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

    /// Forgets a session that has ended.
    pub(super) fn forget(&mut self, session: SourceId) {
        self.refused.remove(&session);
        self.blocked.remove(&session);
    }

    fn is_refused(&self, (session, log): &RunId) -> bool {
        self.refused.get(session).is_some_and(|logs| logs.contains(log))
    }

    /// Whether a run still has to wait after these rows, the only ones of it that have come now.
    fn is_blocked(&self, (session, log): &RunId, rows: &[HeldRow]) -> bool {
        let blocked = self.blocked.get(session).and_then(|logs| logs.get(log));
        blocked.is_some_and(|from| from.is_none_or(|from| rows.iter().all(|row| row.parked.node.seq >= from)))
    }

    /// The key that a log names. `read` counts the keys that have to be read.
    fn owner(&mut self, log: &LogId, read: &mut usize) -> Result<Option<PublicKey>> {
        if !claims_owner(log) {
            return Ok(None);
        }
        if let Some(owner) = self.owners.get(log) {
            return Ok(Some(*owner));
        }
        *read += 1;
        let owner = owner_of(log)?;
        if self.owners.len() >= MAX_OWNERS {
            self.owners.clear();
        }
        self.owners.extend(owner.map(|owner| (log.clone(), owner)));
        self.any = true;
        Ok(owner)
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

impl NodePlanner<'_> {
    /// The kind of log that a node belongs to, and whether its log may be stored.
    pub(super) fn kind(&mut self, parked: &Parked) -> Result<Kind> {
        let node = &parked.node;
        let writer = &mut *self.writer;
        let mut read = 0;
        let owner = writer.sealed.owner(&node.log, &mut read);
        writer.shared.checked_seals(parked.source.session, read);
        let owner = match owner {
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
                return Ok(Kind::Decided(unsealed(&node.log, node.seq, FOREIGN)));
            }
            if let (None, Some(pin)) = (owner, pin) {
                let head = writer.planner.head(&node.log).map_or(Digest::default(), |head| head.digest);
                if node.seq == pin.seq && last + 1 == pin.seq && head.extend(&parked.key) != pin.digest {
                    return Ok(Kind::Decided(unsealed(&node.log, node.seq, NOT_PINNED)));
                }
            }
            return Ok(owner.map_or(Kind::Plain, |owner| Kind::Sealed(owner, pin)));
        }
        Ok(owner.map_or(Kind::Plain, |owner| Kind::Sealed(owner, None)))
    }

    /// Adds a row to its run. `owner` is the owner of its log, if the log is sealed. A row of an unsealed log is held while it
    /// waits for a node, because sealed rows may have to be stored with it. The outcome is final, unless it is `Parked`.
    pub(super) fn hold(
        &mut self,
        parked: Parked,
        (owner, pin): (Option<PublicKey>, Option<Pin>),
        slot: Option<usize>,
    ) -> Result<Outcome> {
        let node = &parked.node;
        let (log, seq) = (node.log.clone(), node.seq);
        let id = (parked.source.session, log.clone());
        // A row that comes from the parking shows that more of its run may be there.
        let released = slot.is_none();
        let mut outcome = Outcome::Parked;
        if seq == 0 {
            outcome = unsealed(&log, seq, NO_SEQ);
        } else if self.writer.sealed.is_refused(&id) {
            outcome = unsealed(&log, seq, REFUSED_BEFORE);
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

    /// Marks runs that wait for this held row: they may be stored together with its run.
    fn wake(&mut self, session: SourceId, key: Key) {
        let waits = Waits::Node(key);
        for parked in self.writer.parking.release_of(session, &waits) {
            self.group.released.push((parked.clone(), waits.clone()));
            self.work.push_back(parked);
        }
    }

    /// Takes the parked rows of a run.
    fn load(&mut self, id: &RunId) {
        let Some(run) = self.runs.get_mut(id) else { return };
        run.loaded = true;
        let Writer { sealed, parking, planner, .. } = &mut *self.writer;
        let blocked = sealed.blocked.get_mut(&id.0).and_then(|logs| logs.remove(&id.1)).flatten();
        // The first row is parked under its own entry or the entry before it, which another session may bring.
        let firsts = [Some(planner.seq(&id.1) + 1), blocked.map(|from| from.saturating_sub(1))];
        let mut all = vec![Waits::Seal(id.0, id.1.clone())];
        all.extend(firsts.into_iter().flatten().map(|seq| Waits::Entry(id.1.clone(), seq)));
        let mut keys = Vec::new();
        let mut take = |run: &mut Run, waits: Waits| {
            for parked in parking.release_of(id.0, &waits) {
                self.group.released.push((parked.clone(), waits.clone()));
                keys.push(parked.key);
                run.rows.push(HeldRow { parked, slot: None });
            }
        };
        for waits in all {
            take(run, waits);
        }
        if run.owner.is_none() {
            // Each further row is parked under the entry before it.
            let mut at = 0;
            while let Some(row) = run.rows.get(at) {
                let waits = Waits::Entry(id.1.clone(), row.parked.node.seq);
                take(run, waits);
                at += 1;
            }
        }
        keys.into_iter().for_each(|key| self.wake(id.0, key));
    }

    /// Plans the sealed parts of runs, and the nodes that waited for them, until nothing is left to plan.
    pub(super) fn settle(&mut self, outcomes: &mut [Outcome]) -> Result<()> {
        let settled = self.settle_all(outcomes);
        self.park_rest(outcomes);
        settled
    }

    fn settle_all(&mut self, outcomes: &mut [Outcome]) -> Result<()> {
        loop {
            self.work_off()?;
            let waiting = self.runs.iter().filter(|(id, run)| {
                // A further row does not help a run that waits for a seal, and a seal does not help a run that waits for a node or
                // an entry.
                !run.loaded
                    && run.dirty
                    && !self.writer.sealed.is_blocked(id, &run.rows)
                    && (run.owner.is_none()
                        || run.pin.is_some()
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
            // Runs that were checked before may be stored together with one that has changed.
            let mut all: Vec<(bool, usize, RunId)> = Vec::with_capacity(self.runs.len());
            let loaded = self.runs.iter().filter(|(_, run)| run.loaded);
            all.extend(loaded.map(|(id, run)| (!run.dirty, run.number, id.clone())));
            all.sort_unstable();
            // If several sessions bring the same log, one run is planned at a time: the others have to continue from there.
            let mut logs = HashSet::new();
            all.retain(|(_, _, (_, log))| logs.insert(log.clone()));
            all.sort_unstable_by_key(|(_, number, _)| *number);
            let all = all.into_iter().map(|(.., id)| id).collect();
            self.admit(all, outcomes)?;
        }
    }

    /// Marks the runs that may go further because of what has been planned since they were checked.
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

    /// Decides about nodes that have come out of the parking.
    pub(super) fn work_off(&mut self) -> Result<()> {
        while let Some(parked) = self.work.pop_front() {
            self.decide(parked, None)?;
        }
        Ok(())
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
                    _ if !run.loaded && run.owner.is_some() => Waits::Seal(id.0, id.1.clone()),
                    Some((at, key)) if at == index => {
                        blocked(None);
                        Waits::Node(key)
                    }
                    // The entry before it is still to come, perhaps from another session.
                    _ if index == 0 && seq > last + 1 => {
                        blocked(Some(seq));
                        Waits::Entry(id.1.clone(), seq - 1)
                    }
                    _ if run.owner.is_none() => Waits::Entry(id.1.clone(), seq.saturating_sub(1)),
                    // Another session may bring this entry together with the seal.
                    _ if index == 0 && seq > last => Waits::Entry(id.1.clone(), seq),
                    _ => Waits::Seal(id.0, id.1.clone()),
                };
                let outcome = self.park(row.parked, waits);
                set(outcomes, row.slot, outcome);
            }
        }
    }
}

pub(super) fn set(outcomes: &mut [Outcome], slot: Option<usize>, outcome: Outcome) {
    if let Some(place) = slot.and_then(|slot| outcomes.get_mut(slot)) {
        *place = outcome;
    }
}

pub(super) fn unsealed(log: &LogId, seq: Seq, reason: &'static str) -> Outcome {
    Outcome::Refused(Error::Unsealed { log: log.to_string(), seq, reason })
}
