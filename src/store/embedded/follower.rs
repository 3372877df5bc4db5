//! Follows a log that another process writes, and shows only what is durable.
//!
//! A group that is complete in the file may not be on the medium yet. The writer writes a group only when the one before it is
//! synced. So a group is durable once another group, or another segment, follows it. If nothing follows, it is shown at the second
//! look, after this process has synced the file itself. While the writer is busy, that never happens.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use super::core::Core;
use super::groups::{Group, Groups, Mark, Step};
use super::layout::{group_frame, Location, GROUP, GROUP_HEADER_LEN, HEADER_LEN};
use super::record::Record;
use super::recovery::{apply, continues};
use super::segments::Segment;
use super::table::resolve;
use crate::error::{Error, Result};
use crate::node::Seq;
use crate::row::LogHead;
use crate::store::Growth;

/// Looks between two checks that the segment still has a name.
const NAME_EVERY: u32 = 64;

/// Goes after a log that grows.
pub(super) struct Follower {
    /// The segment that is being written.
    segment: Arc<Segment>,
    /// The last group that was taken in of this segment. It must stay what it is.
    last: Option<Mark>,
    /// A complete group, not known to be durable, that the last look found at the end.
    candidate: Option<Mark>,
    looks: u32,
    /// Why this log cannot be followed any more.
    failed: Option<Error>,
    grown: Grown,
}

/// What was taken in and has not been reported yet.
#[derive(Default)]
struct Grown {
    /// The last seq of each stream that has new entries.
    streams: HashMap<u32, Seq>,
    /// Whether entries have moved to another log.
    relabelled: bool,
}

impl Follower {
    /// Continues at the beginning of `segment`. The view of `core` ends before it.
    pub(super) fn new(core: &Core, segment: Arc<Segment>) -> Result<Self> {
        enter(core, &segment)?;
        Ok(Follower { segment, last: None, candidate: None, looks: 0, failed: None, grown: Grown::default() })
    }

    /// The segment that is being written.
    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Takes in what is durable by now. `None` if there are no new rows.
    ///
    /// # Errors
    /// `Storage` if the files were replaced, or do not continue what was shown: then the store has to be opened again. `Damaged` if
    /// they do not pass their checksums although they were synced.
    pub(super) fn advance(&mut self, core: &Core) -> Result<Option<Growth>> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let outcome = self.take_in(core);
        if let Err(error) = &outcome {
            self.failed = (!error.is_transient()).then(|| error.clone());
        }
        let grown = std::mem::take(&mut self.grown);
        if grown.streams.is_empty() && !grown.relabelled {
            return outcome.map(|()| None);
        }
        // What was taken in is shown. The error, if there is one, is returned by the next call.
        let view = core.view.read();
        let state = &view.open()?.state;
        let head = |(stream, seq): (u32, Seq)| {
            let (log, _) = resolve(state.table.streams(), stream, seq)?;
            let found = state.table.log(log)?;
            Some(LogHead { log: log.clone(), seq: found.seq, digest: found.digest })
        };
        let logs = (!grown.relabelled).then(|| grown.streams.into_iter().filter_map(head).collect());
        Ok(Some(Growth { end: state.end, logs }))
    }

    fn take_in(&mut self, core: &Core) -> Result<()> {
        self.inspect()?;
        loop {
            self.read_groups(core)?;
            let Some(next) = core.segments.find(self.segment.number + 1)? else { return Ok(()) };
            self.finish_segment(core, next.header.previous_end)?;
            enter(core, &next)?;
            (self.segment, self.last, self.candidate) = (next, None, None);
        }
    }

    /// Fails if the files are no longer those that were read.
    fn inspect(&mut self) -> Result<()> {
        self.looks = self.looks.wrapping_add(1);
        let named = !self.looks.is_multiple_of(NAME_EVERY)
            || self.segment.file.is_named().map_err(|error| self.segment.failed("look at", error))?;
        if named && self.last.map_or(Ok(true), |last| self.holds(last))? {
            Ok(())
        } else {
            Err(self.replaced())
        }
    }

    fn replaced(&self) -> Error {
        let changed = "it was removed, replaced or cut off while it was open here; open the store again";
        self.segment.failed("follow", io::Error::other(changed))
    }

    /// Whether this group is still where it was.
    fn holds(&self, mark: Mark) -> Result<bool> {
        let head = self.segment.read(mark.offset, GROUP_HEADER_LEN)?;
        Ok(group_frame(&head).is_some_and(|(_, crc)| crc == mark.crc))
    }

    /// Takes in the groups of this segment that are durable.
    fn read_groups(&mut self, core: &Core) -> Result<()> {
        let mut at = core.view.read().end.offset;
        // Mostly there is nothing new, which a few bytes show.
        if self.segment.read(at, 1)?.first() != Some(&GROUP) {
            self.candidate = None;
            return Ok(());
        }
        let len = self.segment.file.size().map_err(|error| self.segment.failed("measure", error))?;
        let mut groups = Groups::new(self.segment.clone(), len);
        let mut newest: Option<Group> = None;
        while let Step::Group(group) = groups.at(at)? {
            if newest.is_some() && group.header.synced < at {
                break;
            }
            at = group.end;
            if let Some(durable) = newest.replace(group) {
                self.apply(core, &durable)?;
            }
        }
        let Some(newest) = newest else {
            self.candidate = None;
            return Ok(());
        };
        if self.candidate.replace(newest.mark()) != Some(newest.mark()) {
            return Ok(());
        }
        sync(&self.segment)?;
        // If its sync has failed, the writer has taken it back.
        if self.holds(newest.mark())? {
            self.candidate = None;
            self.apply(core, &newest)?;
        }
        Ok(())
    }

    /// Takes in the rest of a segment that has a successor.
    fn finish_segment(&mut self, core: &Core, end: u64) -> Result<()> {
        let mut at = core.view.read().end.offset;
        let mut groups = Groups::new(self.segment.clone(), end);
        while at < end {
            match groups.at(at)? {
                Step::Group(group) => {
                    at = group.end;
                    self.apply(core, &group)?;
                }
                Step::Bad(why) => return Err(self.segment.damaged(at, why)),
            }
        }
        if at == end {
            Ok(())
        } else {
            Err(self.replaced())
        }
    }

    fn apply(&mut self, core: &Core, group: &Group) -> Result<()> {
        let grown = &mut self.grown;
        group.records(&self.segment, |record, _, _| {
            match record {
                Record::Node(node) => drop(grown.streams.insert(node.stream, node.seq)),
                Record::Duplicate { stream, seq, .. } => drop(grown.streams.insert(stream, seq)),
                Record::Relabel { .. } => grown.relabelled = true,
                _ => {}
            }
            Ok(())
        })?;
        core.admit()?;
        apply(core, &self.segment, group)?;
        self.last = Some(group.mark());
        Ok(())
    }
}

/// Continues the view of `core` at the beginning of a segment.
fn enter(core: &Core, segment: &Segment) -> Result<()> {
    continues(core, segment)?;
    core.view.write().end = Location { segment: segment.number, offset: HEADER_LEN };
    Ok(())
}

/// Puts the segment on the medium. File systems and systems that cannot do this for a file that is only read are believed: there
/// the newest group may be shown a moment before it is durable.
fn sync(segment: &Segment) -> Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    match segment.file.sync() {
        Err(error) if matches!(error.kind(), InvalidInput | PermissionDenied | ReadOnlyFilesystem | Unsupported) => {
            Ok(())
        }
        synced => synced.map_err(|error| segment.failed("sync", error)),
    }
}
