//! Decides which rows of sealed logs are stored: those that a valid seal covers, together with all nodes that they link to.

use std::collections::{HashMap, VecDeque};

use super::incoming::NodePlanner;
use super::sealed::{set, unsealed, REFUSED_BEFORE};
use super::sealed_run::{lower, overdue, Candidate, HeldRow, LinkInto, RunId, NO_SEAL};
use crate::error::{Error, Result};
use crate::hyperlog::plan::Verdict;
use crate::hyperlog::versions::forged;
use crate::hyperlog::{Outcome, SourceId};
use crate::node::{Digest, KeyMap, Node, Seq};
use crate::row::NewRow;
use crate::store::Meta;

const ANOTHER: &str = "in two versions, of which neither is sealed";

impl NodePlanner<'_> {
    /// Plans the rows of these runs that are sealed, and whose links name nodes that are stored or planned with them.
    pub(super) fn admit(&mut self, ids: Vec<RunId>, outcomes: &mut [Outcome]) -> Result<()> {
        let mut candidates = Vec::with_capacity(ids.len());
        for id in ids {
            if let Some(candidate) = self.candidate(id, outcomes)? {
                candidates.push(candidate);
            }
        }
        self.cut_at_links(&mut candidates)?;
        let needed = self.cut_at_seals(&mut candidates);
        candidates.iter().for_each(|candidate| self.count_seals(candidate));
        self.plan_candidates(&mut candidates, &needed, outcomes)?;
        for candidate in candidates {
            self.put_back(candidate, outcomes);
        }
        Ok(())
    }

    /// The rows of a run in order, without those that are stored. `None` if the run is another version of stored entries.
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
                    set(outcomes, row.slot, unsealed(&id.1, seq, ANOTHER));
                }
                _ => kept.push(row),
            }
        }
        if owner.is_some() && !other && !self.group.is_last() && self.is_forged(&id, &kept) {
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

    /// Whether rows continue our own log after our last entry. If they are sealed, somebody else has our key.
    fn is_forged(&self, id: &RunId, rows: &[HeldRow]) -> bool {
        id.0 != SourceId::USER && rows.iter().any(|row| self.writer.planner.is_forged(&row.parked.node))
    }

    /// Handles another version of stored entries. It counts only with its seal.
    fn prove_fork(&mut self, mut candidate: Candidate, outcomes: &mut [Outcome]) -> Result<()> {
        let needed = candidate.needed_seals(candidate.cut);
        self.count_seals(&candidate);
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

    /// Counts the verified seals for the session, whose link is charged for them.
    fn count_seals(&self, candidate: &Candidate) {
        self.writer.shared.checked_seals(candidate.id.0, candidate.verified.len());
    }

    /// Cuts runs so that each link in the remaining rows names a node that is stored, or another remaining row.
    fn cut_at_links(&mut self, candidates: &mut [Candidate]) -> Result<()> {
        let mut held: KeyMap<(usize, usize)> = KeyMap::default();
        // For each run, the links into it: to which row, and from which row of which run.
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

    /// Cuts runs at valid seals. Returns the seals that are needed.
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
                if candidate.owner.is_some() && needed.binary_search(next).is_err() {
                    node.signed = None;
                }
                // These rows have just been checked, so only a failure of the store can keep a row from being planned.
                match self.writer.planner.add(node, row.parked.key, &mut self.lookup) {
                    Ok(Verdict::Store(planned)) => {
                        let seal =
                            candidate.owner.and(node.signed.as_ref()).and_then(|signed| signed.signature.clone());
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
                        // A part of a run must not be stored.
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

    /// Adds a row of a sealed log to the group. The seal of a duplicate becomes a fact, because its node cannot hold a second seal.
    fn plan_row(&mut self, row: NewRow<Node>, seal: Option<bytes::Bytes>) {
        if let (None, Some(seal)) = (row.node(), seal) {
            self.group.commit.meta.push((Meta::Seal(row.log().clone(), row.seq()), Some(seal)));
        }
        self.release(&row);
        self.planned.push(row);
    }

    /// Lets the rest of a run wait, or refuses it if it has a fault.
    fn put_back(&mut self, candidate: Candidate, outcomes: &mut [Outcome]) {
        let Candidate { id, rows, fault, blocked, base, .. } = candidate;
        if let Some((index, why)) = fault {
            let first = rows.get(index).map_or(base + 1, |row| row.parked.node.seq);
            for row in &rows {
                let seq = row.parked.node.seq;
                set(outcomes, row.slot, unsealed(&id.1, seq, if seq == first { why } else { REFUSED_BEFORE }));
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
}
