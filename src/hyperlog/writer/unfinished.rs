//! Incomplete batches: the rows that a session has brought stay parked, and are stored together with the rest.
//!
//! Rows of sealed logs are not held here: they wait for a seal, and a batch is sealed only at its end.
//!
//! A log does not wait for ever for rows that never come. Held rows are treated as single events as soon as the next entry does not
//! fit the batch, or the batch exceeds its bounds. The same happens after some time if events of other logs wait for one of the
//! rows: a 1.x peer does not know batches, so it may emit an event when it has only a part of one, and that event links to this
//! part.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::incoming::NodePlanner;
use super::sealed_run::Kind;
use crate::error::{Error, Result};
use crate::event::{following, MAX_BATCH_BYTES};
use crate::hyperlog::parking::{Parked, Waits};
use crate::hyperlog::{Outcome, SourceId};
use crate::node::{LogId, Seq};

/// How long an incomplete batch is held back while events of other logs wait for it. A 1.x peer in between passes on the rest
/// within this time, unless its own link is broken.
pub const BATCH_PATIENCE: Duration = Duration::from_secs(10);

/// Interval of the check for overdue batches. Each check walks all incomplete batches, and there may be as many as the parking has
/// room for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The part of a batch that one session has brought of one log.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Its entries: from the first one to the one before `next`.
    first: Seq,
    next: Seq,
    /// How many events of the batch follow the last one of these.
    following: usize,
    bytes: usize,
    /// From then on it is released if events of other logs wait for it.
    overdue_at: Instant,
}

/// All incomplete batches that are held.
#[derive(Default)]
pub(super) struct Unfinished {
    parts: HashMap<SourceId, HashMap<LogId, Part>>,
    /// When overdue batches were last looked for.
    looked_at: Option<Instant>,
}

impl Unfinished {
    fn get(&self, session: SourceId, log: &LogId) -> Option<Part> {
        self.parts.get(&session)?.get(log).copied()
    }

    fn remove(&mut self, session: SourceId, log: &LogId) -> Option<Part> {
        let parts = self.parts.get_mut(&session)?;
        let part = parts.remove(log);
        if parts.is_empty() {
            self.parts.remove(&session);
        }
        part
    }

    /// Forgets a session that has ended.
    pub(super) fn forget(&mut self, session: SourceId) {
        self.parts.remove(&session);
    }
}

impl NodePlanner<'_> {
    /// Decides about a node that has come with this job. It is held if the rest of its batch is still to come.
    pub(super) fn take(&mut self, parked: Parked, slot: usize) -> Result<Outcome> {
        let following = following(&parked.node.value);
        // Imported rows are taken as they are: the rest of a batch may be missing in the other store, too.
        let is_single = following == 0 && self.writer.unfinished.parts.is_empty();
        if is_single || parked.source.session == SourceId::USER {
            return self.decide(parked, Some(slot));
        }
        let (session, log, seq) = (parked.source.session, parked.node.log.clone(), parked.node.seq);
        if let Some(part) = self.writer.unfinished.get(session, &log) {
            let bytes = part.bytes + parked.node.value.len();
            let goes_on = seq == part.next && following + 1 == part.following && bytes <= MAX_BATCH_BYTES;
            if goes_on && following > 0 {
                return Ok(self.hold_part(parked, Part { next: seq + 1, following, bytes, ..part }));
            } else if goes_on {
                return self.finish(parked, slot);
            } else if (part.first..part.next).contains(&seq) && self.writer.parking.has(&parked) {
                return Ok(Outcome::Parked);
            } else if !(part.first..=part.next).contains(&seq) {
                return self.decide(parked, Some(slot));
            }
            self.let_go(session, &log)?;
        }
        let is_new = seq > self.writer.planner.seq(&log) && !self.writer.planner.is_forged(&parked.node);
        if following == 0 || !is_new {
            return self.decide(parked, Some(slot));
        }
        match self.kind(&parked)? {
            Kind::Plain => {
                let overdue_at = Instant::now() + self.writer.options.batch_patience;
                let bytes = parked.node.value.len();
                Ok(self.hold_part(parked, Part { first: seq, next: seq + 1, following, bytes, overdue_at }))
            }
            Kind::Sealed(..) => self.decide(parked, Some(slot)),
            Kind::Decided(outcome) => Ok(outcome),
        }
    }

    /// Holds a row; `part` describes the batch together with it.
    fn hold_part(&mut self, parked: Parked, part: Part) -> Outcome {
        let (session, log) = (parked.source.session, parked.node.log.clone());
        let outcome = self.park(parked, Waits::Batch(session, log.clone()));
        if matches!(outcome, Outcome::Parked) {
            self.writer.unfinished.parts.entry(session).or_default().insert(log, part);
        }
        outcome
    }

    /// Takes the held rows of a batch out of the parking.
    fn take_part(&mut self, session: SourceId, log: &LogId) -> Vec<Parked> {
        self.writer.unfinished.remove(session, log);
        let waits = Waits::Batch(session, log.clone());
        let held = self.writer.parking.release(&waits);
        self.group.released.extend(held.iter().map(|parked| (parked.clone(), waits.clone())));
        held
    }

    /// Completes a batch whose last row has come: either all of it is stored, or all of it waits for its causes. Only the first row
    /// of a batch links to nodes other than the row before.
    fn finish(&mut self, last: Parked, slot: usize) -> Result<Outcome> {
        let (session, log) = (last.source.session, last.node.log.clone());
        let count = self.writer.unfinished.get(session, &log).map_or(0, |part| part.next - part.first);
        let held = self.take_part(session, &log);
        if held.len() as u64 != count {
            let why = "a part of a batch was dropped in favour of other peers' nodes".into();
            return Ok(Outcome::Refused(Error::Protocol(why)));
        }
        let decided = self.decide_held(held).and_then(|held| Ok((held, self.decide(last, Some(slot))?)));
        let ((rows, bytes, refused), outcome) = decided.inspect_err(|error| {
            // A part of a batch must not be stored.
            self.group.spoil(error.clone());
        })?;
        Ok(match (outcome, refused) {
            (_, Some(error)) => Outcome::Refused(error),
            (Outcome::Added, None) => Outcome::AddedWith { rows, bytes },
            (outcome, None) => outcome,
        })
    }

    /// Treats the held rows as single events.
    fn let_go(&mut self, session: SourceId, log: &LogId) -> Result<()> {
        let held = self.take_part(session, log);
        self.decide_held(held)?;
        self.work_off()
    }

    /// Decides about formerly held rows, one after the other. Returns how many were added, their cost, and why one was refused.
    fn decide_held(&mut self, held: Vec<Parked>) -> Result<(u64, u64, Option<Error>)> {
        let (mut rows, mut bytes, mut refused) = (0, 0, None);
        for parked in held {
            let cost = parked.node.cost() as u64;
            match self.decide(parked, None)? {
                Outcome::Added => (rows, bytes) = (rows + 1, bytes + cost),
                Outcome::Refused(error) => drop(refused.get_or_insert(error)),
                _ => {}
            }
        }
        Ok((rows, bytes, refused))
    }

    /// Releases rows that have been held for too long while events of other logs wait for them.
    pub(super) fn let_go_overdue(&mut self) -> Result<()> {
        if self.writer.unfinished.parts.is_empty() {
            return Ok(());
        }
        let (now, every) = (Instant::now(), LOOK_EVERY.min(self.writer.options.batch_patience));
        let Unfinished { parts, looked_at } = &mut self.writer.unfinished;
        if looked_at.is_some_and(|looked_at| now < looked_at + every) {
            return Ok(());
        }
        *looked_at = Some(now);
        let logs = parts.iter().flat_map(|(session, parts)| parts.iter().map(move |(log, part)| (*session, log, part)));
        let overdue: Vec<_> =
            logs.filter(|(.., part)| part.overdue_at <= now).map(|(session, log, _)| (session, log.clone())).collect();
        for (session, log) in overdue {
            if self.writer.parking.others_wait_for(&Waits::Batch(session, log.clone())) {
                self.let_go(session, &log)?;
            }
        }
        Ok(())
    }
}
