//! Searches: finds candidates in the index of terms, and compares them with the query.

use super::chunk::Chunk;
use super::core::{Core, View};
use super::fault::Fault;
use super::index_keys::RowLocations;
use super::reads::{node_of, unreadable, Horizon};
use super::scan::{Found as OnDisk, FoundBody, Scan, SMALL_READ};
use super::scan_start::Start;
use super::term_blocks::Unit;
use super::term_index::IndexedRows;
use crate::error::Result;
use crate::node::Change;
use crate::row::{Position, Row};
use crate::store::search::{Found, Gather, Look, Order, Span};
use crate::store::terms::{Join, Plan, Runs};
use crate::store::ReadLimit;

/// Candidates that are looked up before the first of them is read. They are few at first, because rows may be large and the limit
/// small; then twice as many each time.
const FIRST_CANDIDATES: usize = 4;
const CANDIDATES: usize = 64;

/// If the next candidate is at most this many rows ahead, the rows up to it are read, instead of looking up its location.
const NEAR: usize = 64;

/// What is searched for, and what was found so far.
struct Search<'a> {
    core: &'a Core,
    plan: &'a Plan,
    wants: &'a dyn Fn(&[u8]) -> bool,
    order: Order,
    gather: Gather,
    at_once: usize,
}

/// Where a search continues.
enum Next {
    Chunk(u32),
    /// Nowhere: the search has reached the end of the store, at this change.
    Done(Change),
    /// Nowhere: this step ends.
    Stop,
}

/// A row that may match.
#[derive(Clone, Copy)]
struct Candidate {
    chunk: u32,
    row: usize,
    /// Its location, if it is known.
    start: Option<Start>,
}

/// Searches a span of the store. A query that matches all events must be a read instead.
pub(super) fn search(
    core: &Core,
    plan: &Plan,
    wants: &dyn Fn(&[u8]) -> bool,
    (span, order, limit): (Span, Order, ReadLimit),
) -> Result<Found> {
    let mut search =
        Search { core, plan, wants, order, gather: Gather::new(span, order, limit), at_once: FIRST_CANDIDATES };
    let mut next = search.first()?;
    loop {
        next = match next {
            Next::Chunk(chunk) => search.chunk(chunk)?,
            Next::Done(end) => return Ok(search.gather.finish(end)),
            Next::Stop => return Ok(search.gather.stop()),
        };
    }
}

/// The chunk with this number, if it is in memory.
fn tail(view: &View, number: u32) -> Option<&Chunk> {
    view.tail().find(|chunk| chunk.number == number)
}

/// The position after the node with this change and all its duplicates.
fn behind(change: Change) -> Position {
    Position { change, duplicate: u32::MAX }
}

impl Search<'_> {
    /// The chunk that holds the first row of the span.
    fn first(&self) -> Result<Next> {
        let view = self.core.view.read();
        let view = view.open()?;
        let Span { after, until } = self.gather.rest();
        let at = behind(if self.order == Order::Up { after } else { until });
        let number = match view.tail().find(|chunk| chunk.before.0 <= at) {
            Some(chunk) => Some(chunk.number),
            None => {
                view.firsts.partition_point(|first| *first <= at).checked_sub(1).and_then(|at| u32::try_from(at).ok())
            }
        };
        Ok(number.map_or(Next::Done(view.state.end.change), Next::Chunk))
    }

    /// Searches a chunk, or the whole unit that is indexed together with it.
    fn chunk(&mut self, number: u32) -> Result<Next> {
        let candidates = {
            let view = self.core.view.read();
            let view = view.open()?;
            match tail(view, number) {
                Some(chunk) => {
                    let horizon = Horizon::of(view);
                    let (candidates, all) = self.in_memory(chunk);
                    let end = (number == view.active.number).then_some(view.state.end.change);
                    Some((candidates, all, horizon, end))
                }
                None => None,
            }
        };
        let Some((candidates, all, horizon, end)) = candidates else { return self.indexed(number) };
        match self.look(&horizon, candidates)? {
            Look::Full => Ok(Next::Stop),
            Look::Past => self.done(),
            // The rest of the chunk comes next.
            Look::More if !all => Ok(Next::Chunk(number)),
            Look::More => match (self.order, end) {
                (Order::Up, Some(end)) => Ok(Next::Done(end)),
                (Order::Up, None) => Ok(Next::Chunk(number + 1)),
                (Order::Down, _) => self.before(number),
            },
        }
    }

    fn done(&self) -> Result<Next> {
        Ok(Next::Done(self.core.view.read().open()?.state.end.change))
    }

    fn before(&self, number: u32) -> Result<Next> {
        number.checked_sub(1).map_or_else(|| self.done(), |number| Ok(Next::Chunk(number)))
    }

    /// The next candidates in a chunk in memory, and whether there are no more.
    fn in_memory(&self, chunk: &Chunk) -> (Vec<Candidate>, bool) {
        let Span { after, until } = self.gather.rest();
        let number = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
        let (from, end) = (number(chunk.after(behind(after))), number(chunk.after(behind(until))));
        let Some(to) = end.checked_sub(1).filter(|to| from <= *to) else { return (Vec::new(), true) };
        let Ok(mut join) =
            Join::<Runs>::open(self.plan, self.order, |term| Ok(chunk.terms.find(term, from, to).some()));
        let mut candidates = Vec::new();
        let mut next = Some(if self.order == Order::Up { from } else { to });
        while let Some(row) = next.and_then(|row| join.seek(row).unwrap_or_else(|never| match never {})) {
            if candidates.len() == self.at_once() {
                return (candidates, false);
            }
            candidates.push(Candidate { chunk: chunk.number, row: row as usize, start: chunk.start(row as usize) });
            next = self.order.next(row);
        }
        (candidates, true)
    }

    fn at_once(&self) -> usize {
        self.gather.room().min(self.at_once)
    }

    /// The next chunk, from this one on, that may have a match. Skips units that have none, as far as is known without reading the
    /// index. `None` if no chunk is left below.
    fn skip(&self, mut number: u32, firsts: &[Position]) -> Option<u32> {
        let after = self.gather.rest().after;
        let known = self.core.known.read();
        while (number as usize) < firsts.len() {
            let unit = Unit::of(number, firsts.len());
            if known.lacks(unit, self.plan, after, firsts) != Some(true) {
                break;
            }
            number = match self.order {
                Order::Up => unit.end(),
                Order::Down => unit.first().checked_sub(1)?,
            };
        }
        Some(number)
    }

    /// Searches an indexed chunk, and with it the rest of its slab if that is complete.
    fn indexed(&mut self, number: u32) -> Result<Next> {
        let core = self.core;
        let faulty = |fault: Fault| core.faulty(&fault);
        let (horizon, indexed, next) = {
            let view = core.view.read();
            let view = view.open()?;
            (Horizon::of(view), view.firsts.len(), self.skip(number, &view.firsts))
        };
        let Some(number) = next else { return self.done() };
        if number as usize >= indexed {
            return Ok(Next::Chunk(number));
        }
        let unit = Unit::of(number, indexed);
        core.ask(unit);
        let (from, to) = self.bounds(number)?;
        let start = match self.order {
            Order::Up => unit.row(number, from),
            Order::Down => unit.row(number, to),
        };
        let join =
            Join::open(self.plan, self.order, |term| IndexedRows::open(&core.index, unit, term, start, self.order));
        let mut join = join.map_err(faulty)?;
        let mut next = Some(start);
        loop {
            let mut candidates = Vec::new();
            while candidates.len() < self.at_once() {
                let Some(row) = next.map(|row| join.seek(row)).transpose().map_err(faulty)?.flatten() else {
                    next = None;
                    break;
                };
                let (chunk, row_in_chunk) = unit.chunk_row(row);
                candidates.push(Candidate { chunk, row: row_in_chunk, start: None });
                next = self.order.next(row);
            }
            if self.is_gone(unit)? {
                return Ok(Next::Chunk(number));
            }
            match self.look(&horizon, candidates)? {
                Look::Full => return Ok(Next::Stop),
                Look::Past => return self.done(),
                Look::More if next.is_none() => break,
                Look::More => {}
            }
        }
        match self.order {
            Order::Up => Ok(Next::Chunk(unit.end())),
            Order::Down => self.before(unit.first()),
        }
    }

    /// Whether a chunk's own blocks have been replaced by those of its slab in the meantime.
    fn is_gone(&self, unit: Unit) -> Result<bool> {
        let indexed = self.core.view.read().open()?.firsts.len();
        Ok(Unit::of(unit.first(), indexed) != unit)
    }

    /// A range of rows of an indexed chunk that includes those of the span, as far as the index knows: up to 32 rows more at either
    /// end.
    fn bounds(&self, number: u32) -> Result<(usize, usize)> {
        let core = self.core;
        let Span { after, until } = self.gather.rest();
        let (before, last) = {
            let view = core.view.read();
            let view = view.open()?;
            let location = |number: u32| view.firsts.get(number as usize).copied();
            (location(number), location(number + 1))
        };
        let inside = |change: Change| {
            before.is_some_and(|before| before < behind(change)) && last.is_none_or(|last| behind(change) < last)
        };
        if !inside(after) && !inside(until) {
            return Ok((0, usize::MAX));
        }
        let locations = core.index.row_locations(number).map_err(|fault| core.faulty(&fault))?;
        let locations = RowLocations::read(&locations).ok_or_else(|| unreadable(core, "a chunk"))?;
        let from = locations.last(|_, at| at <= behind(after)).0;
        Ok((from, locations.first_row(|at| at > behind(until)).unwrap_or(usize::MAX)))
    }

    /// Reads candidates, which are in the order of the search, and checks each.
    fn look(&mut self, horizon: &Horizon, candidates: Vec<Candidate>) -> Result<Look> {
        self.at_once = (self.at_once * 2).min(CANDIDATES);
        let mut rows = Vec::with_capacity(candidates.len());
        let mut reader = Reader { core: self.core, horizon, at: None, locations: None };
        match self.order {
            Order::Up => {
                // One after the other: the first ones may be enough.
                for candidate in candidates {
                    let Some(row) = reader.read(candidate)? else { continue };
                    let look = self.gather.look(row, self.wants);
                    if look != Look::More {
                        return Ok(look);
                    }
                }
            }
            Order::Down => {
                for candidate in candidates.into_iter().rev() {
                    rows.extend(reader.read(candidate)?);
                }
                for row in rows.into_iter().rev() {
                    let look = self.gather.look(row, self.wants);
                    if look != Look::More {
                        return Ok(look);
                    }
                }
            }
        }
        Ok(Look::More)
    }
}

/// Reads rows that come in the order of the log.
struct Reader<'a> {
    core: &'a Core,
    horizon: &'a Horizon,
    /// A scan, and the row in a chunk that it reads next.
    at: Option<(Scan<'a>, u32, usize)>,
    locations: Option<(u32, sled::IVec)>,
}

impl Reader<'_> {
    /// The row of a candidate, if it is a node.
    fn read(&mut self, candidate: Candidate) -> Result<Option<Row>> {
        let Candidate { chunk, row, start } = candidate;
        let near = self.at.as_ref().is_some_and(|(_, at, next)| *at == chunk && *next <= row && row - next <= NEAR);
        if !near {
            let (start, first) = match start {
                Some(start) => (start, row),
                None => self.start(chunk, row)?,
            };
            self.at = Some((Scan::new(&self.core.segments, start, self.horizon.end, SMALL_READ)?, chunk, first));
        }
        let Some((scan, _, next)) = &mut self.at else { return Ok(None) };
        loop {
            let found: OnDisk = scan.next_row()?.ok_or_else(|| unreadable(self.core, "a row"))?;
            *next += 1;
            if *next > row {
                return match found.body {
                    FoundBody::Node { .. } => Ok(Some(Row::first(node_of(self.horizon, found)?.into()))),
                    FoundBody::Duplicate(_) => Err(unreadable(self.core, "a block of terms")),
                };
            }
        }
    }

    /// Where the scan for a row of an indexed chunk begins, and which row is there.
    fn start(&mut self, chunk: u32, row: usize) -> Result<(Start, usize)> {
        if self.locations.as_ref().is_none_or(|(number, _)| *number != chunk) {
            let locations = self.core.index.row_locations(chunk).map_err(|fault| self.core.faulty(&fault))?;
            self.locations = Some((chunk, locations));
        }
        let locations = self.locations.as_ref().and_then(|(_, locations)| RowLocations::read(locations));
        let locations = locations.ok_or_else(|| unreadable(self.core, "a chunk"))?;
        // Strictly before: a row's links may need the row before it.
        let (first, start) = locations.last(|number, _| number < row);
        Ok((start, first))
    }
}
