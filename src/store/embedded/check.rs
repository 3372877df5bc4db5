//! Checks a whole store: every group and every record, and that the index agrees with the log.

use super::chunk::Chunk;
use super::core::Core;
use super::fault::Fault;
use super::groups::{Groups, Step};
use super::layout::{Location, HEADER_LEN};
use super::record::Record;
use super::recorded_state::RecordedState;
use super::term_blocks::Unit;
use super::term_index::TermSum;
use crate::error::Result;
use crate::row::Position;
use crate::store::terms::{Run, Terms};
use crate::store::Progress;

/// Bytes between two reports of progress.
const REPORT: u64 = 4 << 20;

/// Replays the log from its first byte, and compares index and state with the outcome.
pub(super) fn check(core: &Core, progress: Progress<'_>) -> Result<()> {
    let (end, expected, firsts, next) = {
        let view = core.view.read();
        let view = view.open()?;
        // The tail's first position ends the last indexed chunk.
        let next = view.tail().last().map_or(Position::START, |chunk| chunk.before.0);
        (view.end, view.state.clone(), view.firsts.clone(), next)
    };
    let mut state = RecordedState::default();
    let mut chunk = Chunk::new(0, (Position::START, state.last));
    // The last position of the current chunk, if it is indexed.
    let last_of = |number: u32| -> Option<Position> {
        let number = number as usize;
        (number < firsts.len()).then(|| firsts.get(number + 1).copied().unwrap_or(next))
    };
    let (mut terms, mut own, mut sums) = (Terms::new(&core.segments.store), Vec::new(), Sums::default());
    let (mut done, mut reported) = (0_u64, 0_u64);
    for number in 1..=end.segment {
        let segment = core.segments.get(number)?;
        let limit = if number < end.segment { core.segments.sealed_end(&segment)? } else { end.offset };
        let mut groups = Groups::new(segment.clone(), limit);
        if segment.header.base != state.end {
            return Err(segment.damaged(0, "the header continues another log"));
        }
        let mut at = HEADER_LEN;
        while at < limit {
            let group = match groups.at(at)? {
                Step::Group(group) if group.header.base == state.end => group,
                Step::Group(_) => return Err(segment.damaged(at, "the group does not continue the log")),
                Step::Bad(why) => return Err(segment.damaged(at, why)),
            };
            group.records(&segment, |record, location, len| {
                own.clear();
                if let Record::Node(node) = &record {
                    terms.of_value(node.value, |term| own.push(term));
                }
                let added = state.apply(record).map_err(|detail| segment.damaged(location.offset, detail))?;
                if let (Some(added), Some(last)) = (added, last_of(chunk.number)) {
                    chunk.push(&added, location, len, &own);
                    if added.at == last {
                        compare(core, &chunk)?;
                        sums.add(core, &chunk, firsts.len())?;
                        chunk = Chunk::new(chunk.number + 1, chunk.end());
                    }
                }
                Ok(())
            })?;
            done += group.end - at;
            at = group.end;
            if done - reported >= REPORT {
                reported = done;
                progress(done, done.max(remaining(core, Location { segment: number, offset: at }, end)? + done));
            }
        }
    }
    if state != expected {
        return Err(core.faulty(&Fault::content("its checkpoint differs from the log")));
    }
    Ok(())
}

/// Bytes from `at` to `end`.
fn remaining(core: &Core, at: Location, end: Location) -> Result<u64> {
    let mut bytes = 0;
    for number in at.segment..=end.segment {
        let segment = core.segments.get(number)?;
        bytes += if number < end.segment { core.segments.sealed_end(&segment)? } else { end.offset };
    }
    Ok(bytes.saturating_sub(at.offset))
}

fn compare(core: &Core, chunk: &Chunk) -> Result<()> {
    for (key, value) in chunk.encode(&chunk.pieces(&core.segments.store)) {
        if !core.index.holds(&key, &value).map_err(|fault| core.faulty(&fault))? {
            return Err(core.faulty(&Fault::content(format!("key {key:02x?} differs from the log"))));
        }
    }
    Ok(())
}

/// Sums of the terms that the index should hold.
#[derive(Default)]
struct Sums {
    sum: TermSum,
}

impl Sums {
    /// Adds a chunk, and compares once its unit is complete. `indexed` is the number of indexed chunks.
    fn add(&mut self, core: &Core, chunk: &Chunk, indexed: usize) -> Result<()> {
        let unit = Unit::of(chunk.number, indexed);
        for run in chunk.terms.sorted() {
            let [first, last] = [run.first, run.last].map(|row| unit.row(chunk.number, row as usize));
            self.sum.add(Run { first, last, ..run });
        }
        if chunk.number + 1 < unit.end() {
            return Ok(());
        }
        let expected = std::mem::take(&mut self.sum);
        let faulty = |fault: Fault| core.faulty(&fault);
        if core.index.sum_of_terms(unit).map_err(faulty)? == expected {
            return Ok(());
        }
        // The unit was merged in the meantime: its content is in another unit now.
        if Unit::of(chunk.number, core.view.read().open()?.firsts.len()) != unit {
            return Ok(());
        }
        Err(core.faulty(&Fault::content(format!("the terms of {unit:?} differ from the log"))))
    }
}
