//! Carries out what the session asks for, and passes the results on to it.

use super::Connection;
use crate::error::Error;
use crate::hyperlog::Outcome;
use crate::net::event::NetEvent;
use crate::protocol::{InEvent, Lookup, OutEvent};

/// The log is read for the peer while less than this waits to be written.
const OUTBOX_LOW: usize = 64 * 1024;

impl Connection<'_> {
    /// Whether rows may be read for the peer now.
    pub(super) fn may_read_log(&self) -> bool {
        let waits = self.costs.paused_until().is_some();
        !waits && self.wire.waiting() < OUTBOX_LOW && self.costs.has_room()
    }

    /// Passes an event to the session.
    pub(super) fn handle(&mut self, event: InEvent) {
        if self.entry.right.is_none() {
            // There is no session yet.
            return;
        }
        self.session.handle(event, self.shared.now_ms(), self.shared.log.as_ref());
    }

    /// Carries out what the session asks for, until it asks for nothing more.
    pub(super) fn carry_out(&mut self) {
        while let Some(out) = self.session.poll() {
            match out {
                OutEvent::Send(frames) => self.wire.push(&frames),
                OutEvent::Read { after, limit } => self.due_read = Some((after, limit)),
                OutEvent::Add(nodes) => {
                    self.costs.start_adding(&nodes);
                    if let Some(outcomes) = self.pending.add(self.shared, self.costs.source(), nodes) {
                        self.answer(InEvent::Added(outcomes));
                    }
                }
                OutEvent::Lookup(lookups) => {
                    self.costs.add_lookups(lookups.iter().map(Lookup::entries).sum());
                    self.pending.look_up(self.shared, lookups);
                }
                OutEvent::ForkLocal { log, from } => self.pending.fork(self.shared, log, from),
                OutEvent::Met(instance, token) => self.handle(InEvent::Turn(self.twin.met(instance, token))),
                OutEvent::Twin(token) => self.handle(InEvent::Turn(self.twin.told(token))),
                OutEvent::Report(error) => {
                    if let Error::Fork { log, seq, ours, theirs } = &error {
                        self.note_fork_elsewhere(log);
                        let holder = self.session.capability().map(|capability| &capability.log);
                        self.shared.log.note_fork(&log.as_str().into(), *seq, *ours, *theirs, holder);
                    }
                    if self.shared.is_report_due(self.costs.prefix(), &error) {
                        self.shared.observe(NetEvent::Report { key: Some(self.link.key.clone()), error });
                    }
                }
                OutEvent::Close(reason) => {
                    self.closed.get_or_insert(reason);
                }
            }
        }
    }

    /// Notes that the peer has another version of a log, which is therefore stuck on this link. A log of one of the two sides is
    /// not stuck: its owner continues in a new log.
    fn note_fork_elsewhere(&self, log: &str) {
        let peers_own = self.session.capability().is_some_and(|capability| *capability.log == *log);
        if *self.own_log != *log && !peers_own {
            self.link.stuck(log);
        }
    }

    /// Passes the result of work that the session asked for on to it.
    pub(super) fn answer(&mut self, event: InEvent) {
        if let InEvent::Rows(Ok(rows)) = &event {
            self.costs.add_rows(rows);
        }
        if let InEvent::Added(Ok(outcomes)) = &event {
            self.costs.finish_adding(outcomes);
            for outcome in outcomes {
                match outcome {
                    Outcome::Added => self.counters.added += 1,
                    Outcome::AddedWith { rows, .. } => self.counters.added += 1 + rows,
                    Outcome::Known => self.counters.known += 1,
                    Outcome::Parked => self.counters.parked += 1,
                    Outcome::Refused(_) => {}
                }
            }
        }
        self.handle(event);
    }
}
