//! Commits: one group of records, one write, one fdatasync.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::core::{Core, View};
use super::disk::Guard;
use super::entries;
use super::groups::Mark;
use super::layout::{begin_group, end_group, group_frame, GroupHeader, Location, MAX_GROUP_LEN};
use super::record::RecordWriter;
use super::segments::Segment;
use super::table::{EntryAt, Table};
use crate::error::{quoted, Error, Result};
use crate::node::{Digest, LogId, Seq};
use crate::row::Body;
use crate::store::order::{check_relabel, Staged};
use crate::store::terms::{Term, Terms};
use crate::store::{Commit, Relabel};

/// After groups of up to this many bytes, zeros are written ahead. So the next small groups neither change the file's length nor
/// allocate blocks, and fdatasync has only data to write. With larger groups, everything would be written twice.
const SMALL_GROUP: usize = 32 * 1024;

/// Zeros written ahead, in bytes: the least, the most, and the divisor that makes them a part of the segment so far.
const AHEAD_MIN: u64 = 64 * 1024;
const AHEAD_MAX: u64 = 1 << 20;
const AHEAD_PART: u64 = 4;

/// Buffers of more bytes than this are freed after a commit.
const KEEP_BUFFER: usize = 4 << 20;

/// Appends groups to the last segment.
pub(super) struct SegmentWriter {
    segment: Arc<Segment>,
    /// Where the next group goes; everything before it is synced.
    end: u64,
    /// The file is zeros from `end` to here.
    zeroed: u64,
    segment_size: u64,
    buffer: Vec<u8>,
    /// Why nothing more is written until the store is opened again.
    failed: Option<Error>,
    /// Whether something was written since the store was opened.
    dirty: bool,
    terms: Terms,
}

/// The terms of a group's rows.
struct RowTerms {
    all: Vec<Term>,
    /// The end of each row's terms.
    ends: Vec<usize>,
}

/// The location of a row of a group, for the view.
struct Written {
    entry: EntryAt,
    offset: u64,
    len: u64,
}

impl SegmentWriter {
    pub(super) fn new(segment: Arc<Segment>, end: u64, segment_size: u64) -> Self {
        let terms = Terms::new(&segment.header.store);
        SegmentWriter { segment, end, zeroed: end, segment_size, buffer: Vec::new(), failed: None, dirty: false, terms }
    }

    pub(super) fn segment_number(&self) -> u32 {
        self.segment.number
    }

    /// Continues at the end of the log, which has been read again.
    pub(super) fn resume(&mut self, segment: Arc<Segment>, end: u64) {
        (self.segment, self.end, self.zeroed) = (segment, end, end);
    }

    /// Fails if the folder or its files were removed or replaced. Without this check, everything up to the next segment would be
    /// acknowledged and lost. Checking two names takes a few microseconds.
    pub(super) fn inspect(&mut self, path: &Path, guard: Option<&dyn Guard>) -> Result<()> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let held = guard.map_or(Ok(true), Guard::holds);
        let stands = held.and_then(|held| Ok(held && self.segment.file.is_named()?));
        match stands {
            Ok(true) => Ok(()),
            Ok(false) => {
                let gone =
                    io::Error::other("the folder or its files were removed or replaced while the store was open");
                Err(self.fail(Error::storage_at("write to", path, gone)))
            }
            Err(error) => Err(self.refuse(Error::storage_at("look at", path, error))),
        }
    }

    pub(super) fn commit(&mut self, core: &Core, commit: &Commit) -> Result<()> {
        // Only this thread changes the view's state, so what is checked here still holds when it is applied.
        check(&core.view.read(), commit)?;
        if commit.is_empty() {
            return Ok(());
        }
        core.admit()?;
        self.roll(core)?;
        let relabelled = match &commit.relabel {
            Some(relabel) => Some(self.relabel(core, relabel)?),
            None => None,
        };
        let (rows, defined) = self.encode(&core.view.read(), commit, relabelled.as_ref());
        if self.buffer.len() > MAX_GROUP_LEN {
            let len = self.buffer.len();
            self.buffer = Vec::new();
            return Err(Error::InvalidArgument(format!(
                "a commit of {len} bytes is too large, the limit is {MAX_GROUP_LEN}"
            )));
        }
        let mark = Mark { offset: self.end, crc: group_frame(&self.buffer).map_or(0, |(_, crc)| crc) };
        self.write()?;
        let terms = self.terms_of(commit);
        self.publish(core, commit, relabelled, (&rows, &terms), &defined, mark);
        if self.buffer.capacity() > KEEP_BUFFER {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Begins the next segment if this one is full.
    fn roll(&mut self, core: &Core) -> Result<()> {
        if self.end < self.segment_size {
            return Ok(());
        }
        let (base, last, streams) = {
            let state = &core.view.read().state;
            (state.end, state.last, state.table.next_stream())
        };
        let created =
            self.trim().and_then(|()| core.segments.create(self.segment.number + 1, base, self.end, (&last, streams)));
        let (segment, end) = created.map_err(|error| self.refuse(error))?;
        core.view.write().end = Location { segment: segment.number, offset: end };
        (self.segment, self.end, self.zeroed) = (segment, end, end);
        Ok(())
    }

    /// Cuts off zeros written ahead. They are harmless, so nothing waits for this to be durable.
    fn trim(&mut self) -> Result<()> {
        if self.zeroed > self.end {
            self.segment.file.set_len(self.end).map_err(|error| self.segment.failed("shorten", error))?;
            self.zeroed = self.end;
        }
        Ok(())
    }

    /// Refuses everything from now on.
    fn fail(&mut self, error: Error) -> Error {
        self.failed = Some(error.clone());
        error
    }

    /// Refuses this commit, and all further ones if the cause is not temporary.
    fn refuse(&mut self, error: Error) -> Error {
        if error.is_transient() {
            error
        } else {
            self.fail(error)
        }
    }

    /// Refuses everything from now on, and tries to undo what may have been written, so that a refused commit is not found when the
    /// store is opened again. After a failed sync, this cannot be guaranteed.
    pub(super) fn give_up(&mut self, error: Error) -> Error {
        let _ = self.segment.file.set_len(self.end);
        self.fail(error)
    }

    /// The table after a relabel, with the digests of both logs.
    fn relabel(&self, core: &Core, relabel: &Relabel) -> Result<(Table, Digest, Digest)> {
        let Relabel { log, from, to } = relabel;
        let cut = entries::digest(core, log, from - 1)?.unwrap_or_default();
        let mut table = core.view.read().state.table.clone();
        let mut moved = Digest::default();
        for key in entries::keys(core, log, *from, table.seq(log))? {
            moved = moved.extend(&key);
        }
        let fits = table.relabel(log, *from, to, cut, moved);
        fits.ok_or_else(|| {
            Error::Internal(format!(
                "relabel of log {} from {from} to {} was checked and does not fit",
                quoted(log),
                quoted(to)
            ))
        })?;
        Ok((table, cut, moved))
    }

    /// Writes the group into the buffer. Returns the locations of its rows, and the logs that get new streams, in order.
    fn encode(
        &mut self,
        view: &View,
        commit: &Commit,
        relabelled: Option<&(Table, Digest, Digest)>,
    ) -> (Vec<Written>, Vec<LogId>) {
        let state = &view.state;
        let table = relabelled.map_or(&state.table, |(table, _, _)| table);
        begin_group(&mut self.buffer, self.end, GroupHeader { synced: self.end, base: state.end });
        let mut out = RecordWriter { out: &mut self.buffer, salt: self.segment.salt, base: self.end };
        if let (Some(Relabel { log, from, to }), Some((_, cut, moved))) = (&commit.relabel, relabelled) {
            out.relabel(log, *from, to, &cut.0, &moved.0);
        }
        let mut rows = Vec::with_capacity(commit.rows.len());
        let mut defined: Vec<LogId> = Vec::new();
        let mut streams: HashMap<&LogId, u32> = HashMap::new();
        let mut latest: Option<(&LogId, u32)> = None;
        let mut previous = state.last;
        for row in &commit.rows {
            let log = row.log();
            let stream = match latest {
                Some((latest, stream)) if latest == log => stream,
                _ => *streams.entry(log).or_insert_with(|| {
                    table.log(log).and_then(|log| log.writing).unwrap_or_else(|| {
                        out.stream(log);
                        defined.push(log.clone());
                        table.next_stream() + u32::try_from(defined.len() - 1).unwrap_or(u32::MAX)
                    })
                }),
            };
            latest = Some((log, stream));
            let offset = out.offset();
            match &row.body {
                Body::Node(node) => {
                    out.node(stream, node, &previous);
                    previous = node.key;
                }
                Body::Duplicate { change, key, seq, .. } => out.duplicate(stream, *seq, *change, key),
            }
            rows.push(Written { entry: EntryAt { stream, seq: row.seq() }, offset, len: out.offset() - offset });
        }
        for (fact, value) in &commit.meta {
            out.fact(fact, value.as_ref());
        }
        end_group(&mut self.buffer, self.segment.salt, self.end);
        (rows, defined)
    }

    /// Puts the buffer on the medium. A failed sync is final: the kernel may have dropped the pages that it could not write, and
    /// would report success the next time. A failed write is undone durably before the commit is answered.
    fn write(&mut self) -> Result<()> {
        let end = self.end + self.buffer.len() as u64;
        self.dirty = true;
        let segment = self.segment.clone();
        if let Err(error) = segment.file.write_at(&self.buffer, self.end) {
            let back = segment.file.set_len(self.end).and_then(|()| segment.file.sync());
            self.zeroed = self.end;
            return Err(match back {
                Ok(()) => self.refuse(segment.failed("write to", error)),
                Err(error) => self.fail(segment.failed("take back a failed write to", error)),
            });
        }
        if end > self.zeroed {
            self.zeroed = end;
            if self.buffer.len() <= SMALL_GROUP {
                self.write_ahead(end);
            }
        }
        segment.file.sync().map_err(|error| self.give_up(segment.failed("sync", error)))?;
        self.end = end;
        Ok(())
    }

    /// Writes zeros after `end`. They only save time, so it does not matter if there is no room for them.
    fn write_ahead(&mut self, end: u64) {
        let ahead = usize::try_from((end / AHEAD_PART).clamp(AHEAD_MIN, AHEAD_MAX)).unwrap_or(0);
        let group = self.buffer.len();
        self.buffer.resize(group + ahead, 0);
        let zeros = self.buffer.get(group..).unwrap_or(&[]);
        if self.segment.file.write_at(zeros, end).is_ok() {
            self.zeroed = end + ahead as u64;
        }
        self.buffer.truncate(group);
    }

    /// Computes the terms of the rows, without a lock that readers need.
    fn terms_of(&mut self, commit: &Commit) -> RowTerms {
        let count = commit.rows.len();
        let mut terms = RowTerms { all: Vec::with_capacity(count), ends: Vec::with_capacity(count) };
        for row in &commit.rows {
            if let Body::Node(node) = &row.body {
                self.terms.of_value(&node.value, |term| terms.all.push(term));
            }
            terms.ends.push(terms.all.len());
        }
        terms
    }

    /// Makes what is durable visible.
    fn publish(
        &self,
        core: &Core,
        commit: &Commit,
        relabelled: Option<(Table, Digest, Digest)>,
        (written, terms): (&[Written], &RowTerms),
        defined: &[LogId],
        mark: Mark,
    ) {
        let mut view = core.view.write();
        if let Some((table, _, _)) = relabelled {
            view.state.table = table;
        }
        for log in defined {
            view.state.table.define(log);
        }
        let mut start = 0;
        for ((row, written), end) in commit.rows.iter().zip(written).zip(&terms.ends) {
            let own = terms.all.get(start..*end).unwrap_or_default();
            start = *end;
            let added = match &row.body {
                Body::Node(node) => view.state.add_node(written.entry, node.key, node.links.iter(), |_| row.digest),
                Body::Duplicate { key, .. } => view.state.add_duplicate(written.entry, *key, |_| row.digest),
            };
            let location = Location { segment: self.segment.number, offset: written.offset };
            // Always `Some`: `check` has seen that the row continues its log.
            if let Some(added) = added {
                core.add(&mut view, &added, location, written.len, own);
            }
        }
        for (fact, value) in &commit.meta {
            view.state.set(fact.clone(), value.clone());
        }
        core.end_group(&mut view, Location { segment: self.segment.number, offset: self.end }, mark);
    }

    /// Marks the log as closed, so that later damage at its end can be distinguished from a crash. Does nothing after a failure.
    pub(super) fn close(&mut self, core: &Core) -> Result<()> {
        if self.failed.is_some() || !self.dirty {
            return Ok(());
        }
        let base = core.view.read().state.end;
        begin_group(&mut self.buffer, self.end, GroupHeader { synced: self.end, base });
        RecordWriter { out: &mut self.buffer, salt: self.segment.salt, base: self.end }.closed();
        end_group(&mut self.buffer, self.segment.salt, self.end);
        let end = self.end + self.buffer.len() as u64;
        let segment = &self.segment;
        let written = segment.file.write_at(&self.buffer, self.end).map_err(|error| segment.failed("write to", error));
        let cut = written.and_then(|()| segment.file.set_len(end).map_err(|error| segment.failed("shorten", error)));
        cut.and_then(|()| segment.file.sync().map_err(|error| segment.failed("sync", error)))?;
        (self.end, self.zeroed, self.dirty) = (end, end, false);
        core.view.write().end = Location { segment: self.segment.number, offset: end };
        Ok(())
    }
}

/// Checks that `commit` continues what `view` shows.
fn check(view: &View, commit: &Commit) -> Result<()> {
    let table = &view.open()?.state.table;
    let relabel: Option<(&Relabel, Seq)> = commit.relabel.as_ref().map(|relabel| (relabel, table.seq(&relabel.log)));
    if let Some((relabel, last)) = relabel {
        check_relabel(relabel, last, table.log(&relabel.to).is_some())?;
    }
    let mut staged = Staged::new(relabel);
    let mut end = view.state.end;
    for row in &commit.rows {
        staged.check(row, &mut end, |log| table.seq(log))?;
    }
    Ok(())
}
