//! Opening: reads the log from the checkpoint to its end, and cuts off an incomplete end that a crash left.

use std::sync::Arc;

use super::core::Core;
use super::groups::{Group, Groups, Step};
use super::index::Checkpoint;
use super::layout::{Location, HEADER_LEN};
use super::record::Record;
use super::segments::{Segment, Segments};
use super::witness::Behind;
use super::Cut;
use crate::error::{Error, Result};
use crate::store::terms::Terms;
use crate::store::Progress;

/// Bytes between two reports of progress.
const REPORT: u64 = 4 << 20;

/// Where the log ends.
pub(super) struct Recovered {
    pub(super) segment: Arc<Segment>,
    pub(super) end: u64,
    pub(super) cut: Option<Cut>,
}

/// Reads the log from the end of `core`'s view to its own end, and cuts off what was never acknowledged.
///
/// The log is known to have been durable up to `known`. If it ends before that, it is damaged.
pub(super) fn recover(core: &Core, last: u32, known: Location, progress: Progress<'_>) -> Result<Recovered> {
    let mut report = reports(total(core, core.view.read().end, last)?, progress);
    let at = replay_sealed(core, last, &mut report)?;
    let segment = core.segments.get(last)?;
    let len = segment.file.size().map_err(|error| segment.failed("measure", error))?;
    let (end, why) = replay(core, &segment, at.min(len), len, &mut report)?;
    if let Some(why) = why.filter(|_| end == HEADER_LEN) {
        // A segment gets its name only once its first group is on the medium, so this is damage.
        return Err(segment.damaged(end, why));
    }
    let cut = match why {
        Some(why) => tail(core, &segment, end, len, why, known)?,
        None => None,
    };
    missing(&segment, Location { segment: last, offset: end }, known)?;
    if why.is_some() {
        let cut = segment.file.set_len(end).and_then(|()| segment.file.sync());
        cut.map_err(|error| segment.failed("cut off the unacknowledged end of", error))?;
    }
    core.view.write().end = Location { segment: last, offset: end };
    Ok(Recovered { segment, end, cut })
}

/// Reads the log from the end of `core`'s view up to the beginning of segment `last`. Returns the offset in that segment at which
/// to go on.
pub(super) fn replay_sealed(core: &Core, last: u32, report: &mut dyn FnMut(u64)) -> Result<u64> {
    let Location { segment: mut number, offset: mut at } = core.view.read().end;
    while number < last {
        let segment = core.segments.get(number)?;
        let end = core.segments.sealed_end(&segment)?;
        let (stopped, why) = replay(core, &segment, at, end, report)?;
        if let Some(why) = why {
            return Err(segment.damaged(stopped, why));
        }
        (number, at) = (number + 1, HEADER_LEN);
    }
    Ok(at)
}

/// Reports progress for every few MiB of `total` that are read.
pub(super) fn reports<'a>(total: u64, progress: Progress<'a>) -> impl FnMut(u64) + 'a {
    let mut done = 0_u64;
    move |bytes| {
        let before = done;
        done += bytes;
        if before / REPORT != done / REPORT {
            progress(done.min(total), total);
        }
    }
}

/// Whether a checkpoint was taken of this log: the group after which it was taken must be where it says.
pub(super) fn fits(segments: &Segments, checkpoint: &Checkpoint) -> bool {
    let Checkpoint { location, mark, .. } = checkpoint;
    let Ok(segment) = segments.get(location.segment) else { return false };
    let Ok(Step::Group(group)) = Groups::new(segment, location.offset).at(mark.offset) else { return false };
    group.crc == mark.crc && group.end == location.offset
}

/// Bytes of the log from `start` to the end of segment `last`.
pub(super) fn total(core: &Core, start: Location, last: u32) -> Result<u64> {
    let mut total = 0;
    for number in start.segment..=last {
        let segment = core.segments.get(number)?;
        total += segment.file.size().map_err(|error| segment.failed("measure", error))?;
    }
    Ok(total.saturating_sub(start.offset))
}

/// Applies groups from `at` to `end`. Returns where it stopped, and why if that is before `end`.
fn replay(
    core: &Core,
    segment: &Arc<Segment>,
    mut at: u64,
    end: u64,
    report: &mut dyn FnMut(u64),
) -> Result<(u64, Option<&'static str>)> {
    let mut groups = Groups::new(segment.clone(), end);
    if at == HEADER_LEN {
        continues(core, segment)?;
    }
    while at < end {
        match groups.at(at)? {
            Step::Bad(why) => return Ok((at, Some(why))),
            Step::Group(group) => {
                core.admit()?;
                apply(core, segment, &group)?;
                report(group.end - at);
                at = group.end;
            }
        }
    }
    Ok((at, None))
}

/// Fails unless this segment begins where the log ends.
pub(super) fn continues(core: &Core, segment: &Segment) -> Result<()> {
    if segment.header.base == core.view.read().state.end {
        Ok(())
    } else {
        Err(segment.damaged(0, "the header continues another log"))
    }
}

/// Applies a group that follows the last one.
pub(super) fn apply(core: &Core, segment: &Segment, group: &Group) -> Result<()> {
    let mut terms = Terms::new(&core.segments.store);
    let mut own = Vec::new();
    let mut view = core.view.write();
    if group.header.base != view.state.end {
        return Err(segment.damaged(
            group.offset,
            format!("the group continues {:?}, the log ends at {:?}", group.header.base, view.state.end),
        ));
    }
    group.records(segment, |record, location, len| {
        own.clear();
        if let Record::Node(node) = &record {
            terms.of_value(node.value, |term| own.push(term));
        }
        match view.state.apply(record) {
            Ok(Some(added)) => core.add(&mut view, &added, location, len, &own),
            Ok(None) => {}
            Err(detail) => return Err(segment.damaged(location.offset, detail)),
        }
        Ok(())
    })?;
    core.end_group(&mut view, Location { segment: segment.number, offset: group.end }, group.mark());
    Ok(())
}

/// Decides whether bytes at the end of the log that do not form a group are damage, or a commit that was never acknowledged. `None`
/// if they are only zeros written ahead.
pub(super) fn tail(
    core: &Core,
    segment: &Arc<Segment>,
    end: u64,
    len: u64,
    why: &str,
    known: Location,
) -> Result<Option<Cut>> {
    let mut behind = Behind::new(segment.clone(), end, len);
    let last = core.view.read().state.end;
    if let Some(witness) = behind.witness(last)? {
        let detail =
            format!("{why}, although the group at byte {witness} was written after these bytes had been synced");
        return Err(segment.damaged(end, detail));
    }
    missing(segment, Location { segment: segment.number, offset: end }, known)?;
    let bytes = behind.last_nonzero()? - end;
    Ok((bytes > 0).then(|| Cut { file: segment.path.clone(), offset: end, bytes }))
}

/// Fails if the log ends before what is known to have been durable.
fn missing(segment: &Segment, end: Location, known: Location) -> Result<()> {
    if end >= known {
        return Ok(());
    }
    let detail = format!(
        "the log ends here, but it had been synced up to byte {} of segment {} (if this is an old backup, remove the folder index to use it)",
        known.offset, known.segment
    );
    Err::<(), Error>(segment.damaged(end.offset, detail))
}
