//! The part of a session's state that does not depend on the protocol spoken: what it has asked of the driver, and the clock.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::config::Config;
use super::intake::Intake;
use super::io::{CloseReason, OutEvent, SessionCounters};
use super::lookups::Lookups;
use super::message::Message;
use super::row_cursor::RowCursor;
use super::unknown_logs::UnknownLogs;
use crate::error::{Error, Result};
use crate::node::Seq;

#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: Config,
    /// What the driver is to do, in order.
    pub(crate) out: VecDeque<OutEvent>,
    /// The session's clock, in milliseconds.
    pub(crate) now: u64,
    /// When bytes last moved or the log last answered.
    pub(crate) active_at: u64,
    pub(crate) rows: RowCursor,
    pub(crate) intake: Intake,
    pub(crate) counters: SessionCounters,
    pub(crate) unknown_logs: UnknownLogs,
    /// Whether the user was told that the peer sends events without the right to.
    refused: bool,
    closed: bool,
}

impl Common {
    pub(crate) fn new(config: Config) -> Self {
        Common {
            config,
            out: VecDeque::new(),
            now: 0,
            active_at: 0,
            rows: RowCursor::default(),
            intake: Intake::default(),
            counters: SessionCounters::default(),
            unknown_logs: UnknownLogs::default(),
            refused: false,
            closed: false,
        }
    }

    /// Drops a node that the peer has no right to send. The user is told once.
    pub(crate) fn refuse_node(&mut self) {
        if !std::mem::replace(&mut self.refused, true) {
            self.report(Error::Rights(
                "it sends events, but has only the right to read: they are not stored".to_owned(),
            ));
        }
    }

    /// Counts a log that the peer names and that the session does not know yet. We have `ours` entries of it.
    ///
    /// # Errors
    /// `Protocol` if it has named too many that are unknown here.
    pub(crate) fn name_log(&mut self, log: &str, ours: Seq) -> Result<()> {
        if ours > 0 {
            return Ok(());
        }
        self.unknown_logs.add(log.len(), self.now)
    }

    pub(crate) fn send(&mut self, message: &Message<'_>) {
        let mut out = BytesMut::new();
        message.encode(&mut out);
        self.send_bytes(out);
    }

    pub(crate) fn send_bytes(&mut self, out: BytesMut) {
        if !out.is_empty() {
            self.out.push_back(OutEvent::Send(out.freeze()));
        }
    }

    pub(crate) fn report(&mut self, error: Error) {
        self.out.push_back(OutEvent::Report(error));
    }

    pub(crate) fn close(&mut self, reason: CloseReason) {
        if !self.closed {
            self.closed = true;
            self.out.push_back(OutEvent::Close(reason));
        }
    }

    /// Closes the session because of `error`, and reports it to the user.
    pub(crate) fn close_and_report(&mut self, reason: fn(Error) -> CloseReason, error: Error) {
        self.report(error.clone());
        self.close(reason(error));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Offers the nodes collected so far to the log, unless others are on their way into it.
    pub(crate) fn offer_nodes(&mut self) {
        if let Some(nodes) = self.intake.start() {
            self.out.push_back(OutEvent::Add(nodes));
        }
    }

    /// Reads the next rows, if some are due.
    pub(crate) fn read_rows(&mut self) {
        if let Some(read) = self.rows.start() {
            self.out.push_back(read);
        }
    }

    /// Starts the next group of lookups, if none is under way.
    pub(crate) fn look_up<P>(&mut self, lookups: &mut Lookups<P>) {
        if let Some(group) = lookups.next_group() {
            self.out.push_back(group);
        }
    }

    /// Milliseconds without any activity; 0 while this side is still working.
    pub(crate) fn idle_ms(&self) -> u64 {
        if self.intake.is_busy() || self.rows.is_reading() {
            return 0;
        }
        self.now.saturating_sub(self.active_at)
    }
}
