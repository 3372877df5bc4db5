//! Reads: first from the rows that are still in memory, then through the index.

use super::core::{Core, View};
use super::fault::Fault;
use super::index_keys::{hash_of, rows_of_hash, RowLocations};
use super::layout::Location;
use super::scan::{Found, FoundBody, Scan, LARGE_READ, SMALL_READ};
use super::scan_start::Start;
use super::table::{resolve, EntryAt, Streams};
use crate::error::{Error, Result};
use crate::node::{Change, Key, LogId, Node, NodeRef, Seq};
use crate::row::{Located, Position, Row};
use crate::store::ReadLimit;

/// The durable content when a read began, which is all that it may return.
#[derive(Clone)]
pub(super) struct Horizon {
    pub(super) end: Location,
    streams: Streams,
}

impl Horizon {
    pub(super) fn of(view: &View) -> Self {
        Horizon { end: view.end, streams: view.state.table.streams().clone() }
    }
}

/// A start, and how many rows to skip from there.
type Ahead = (Start, usize);

pub(super) fn unreadable(core: &Core, what: &str) -> Error {
    core.faulty(&Fault::content(format!("{what} is unreadable")))
}

/// Where a scan for the rows after `after` begins; `None` if there are none.
fn start_after(core: &Core, after: Position) -> Result<Option<(Start, Horizon)>> {
    let (number, horizon) = {
        let view = core.view.read();
        let view = view.open()?;
        if after >= view.state.end {
            return Ok(None);
        }
        let horizon = Horizon::of(view);
        if let Some(chunk) = view.tail().find(|chunk| !chunk.rows.is_empty() && chunk.before.0 <= after) {
            let start = chunk.start(chunk.after(after));
            // The first row of the next chunk begins where this chunk ends.
            return match start.or_else(|| chunk.start(chunk.rows.len() - 1)) {
                Some(start) => Ok(Some((start, horizon))),
                None => Err(Error::Internal("a chunk without rows".to_owned())),
            };
        }
        let oldest = view.tail().filter(|chunk| !chunk.rows.is_empty()).last();
        match view.firsts.partition_point(|first| *first <= after).checked_sub(1) {
            Some(number) => (u32::try_from(number).unwrap_or(u32::MAX), horizon),
            None => {
                let start = oldest.and_then(|chunk| chunk.start(0));
                return start
                    .map(|start| Some((start, horizon)))
                    .ok_or_else(|| Error::Internal("no chunk begins the store".to_owned()));
            }
        }
    };
    let locations = core.index.row_locations(number).map_err(|fault| core.faulty(&fault))?;
    let locations = RowLocations::read(&locations).ok_or_else(|| unreadable(core, "a chunk"))?;
    Ok(Some((locations.last(|_, at| at <= after).1, horizon)))
}

/// A row's log and seq. A record that names an undefined stream is damage.
fn name(horizon: &Horizon, entry: EntryAt) -> Result<(LogId, Seq)> {
    let found = resolve(&horizon.streams, entry.stream, entry.seq).map(|(log, seq)| (log.clone(), seq));
    found.ok_or_else(|| {
        Error::damaged(format!("entry {} of stream {}", entry.seq, entry.stream), "no log has this stream")
    })
}

pub(super) fn node_of(horizon: &Horizon, found: Found) -> Result<Node> {
    let (log, seq) = name(horizon, found.entry)?;
    match found.body {
        FoundBody::Node { links: Some(links), signed, value } => {
            Ok(Node { key: found.key, change: found.at.change, log, seq, links, value, signed: signed.map(Into::into) })
        }
        _ => Err(Error::damaged(format!("change {}", found.at.change), "a node was expected here")),
    }
}

/// Rows after `after`.
pub(super) fn read(core: &Core, resume: &super::Cursors, after: Position, limit: ReadLimit) -> Result<Vec<Row>> {
    let known = resume.take(after);
    let (start, horizon) = match known {
        Some(start) => {
            let view = core.view.read();
            let view = view.open()?;
            (start, Horizon::of(view))
        }
        None => match start_after(core, after)? {
            Some(found) => found,
            None => return Ok(Vec::new()),
        },
    };
    // A row of a small event is about 128 bytes on disk.
    let ahead = limit.bytes.min(limit.rows.saturating_mul(128)).clamp(SMALL_READ, LARGE_READ);
    let mut scan = Scan::new(&core.segments, start, horizon.end, ahead)?;
    let mut rows = Rows::with_capacity(limit.rows.min(LARGE_READ / 128));
    let mut bytes = 0_usize;
    while rows.positions.len() < limit.rows.max(1) {
        let behind = scan.resume();
        let Some(found) = scan.next_row()? else { break };
        if found.at <= after {
            continue;
        }
        let (at, entry) = (found.at, found.entry);
        let known = match found.body {
            FoundBody::Duplicate(change) => rows.row(Position::of(change)),
            FoundBody::Node { .. } => None,
        };
        let node = match (known, &found.body) {
            (Some(_), _) => None,
            (None, FoundBody::Duplicate(change)) => Some(node_at(core, *change)?),
            (None, FoundBody::Node { .. }) => Some(node_of(&horizon, found)?),
        };
        bytes = bytes.saturating_add(node.as_ref().or_else(|| rows.node(known?)).map_or(0, |node| node.value.len()));
        if !rows.positions.is_empty() && bytes > limit.bytes {
            rows.remember(resume, behind);
            return Ok(rows.finish());
        }
        let again = match at.duplicate {
            0 => None,
            _ => Some(name(&horizon, entry)?),
        };
        rows.push(at, again, known, node);
    }
    rows.remember(resume, scan.resume());
    Ok(rows.finish())
}

/// A row's position, its entry if that is another than the node's, and the index of its node.
type RowPosition = (Position, Option<(LogId, Seq)>, usize);

/// Rows that are being read; their nodes will share one allocation.
struct Rows {
    nodes: Vec<Node>,
    positions: Vec<RowPosition>,
}

impl Rows {
    fn with_capacity(rows: usize) -> Self {
        Rows { nodes: Vec::with_capacity(rows), positions: Vec::with_capacity(rows) }
    }

    /// The index of the node at this position.
    fn row(&self, at: Position) -> Option<usize> {
        let found = self.positions.binary_search_by_key(&at, |(position, ..)| *position).ok()?;
        self.positions.get(found).map(|(_, _, node)| *node)
    }

    fn node(&self, index: usize) -> Option<&Node> {
        self.nodes.get(index)
    }

    /// Adds a row of one of the nodes, or of another.
    fn push(&mut self, at: Position, again: Option<(LogId, Seq)>, known: Option<usize>, node: Option<Node>) {
        self.positions.push((at, again, known.unwrap_or(self.nodes.len())));
        self.nodes.extend(node);
    }

    /// Remembers `start`, so that the next read can continue after the last of these rows.
    fn remember(&self, resume: &super::Cursors, start: Option<Start>) {
        if let (Some(start), Some((last, ..))) = (start, self.positions.last()) {
            resume.put(*last, start);
        }
    }

    fn finish(mut self) -> Vec<Row> {
        // As long as one row is kept, the whole allocation is.
        self.nodes.shrink_to_fit();
        let nodes: Vec<NodeRef> = NodeRef::all(self.nodes).collect();
        let row = |(at, again, node): RowPosition| Some(Row { at, node: nodes.get(node)?.clone(), again });
        self.positions.into_iter().filter_map(row).collect()
    }
}

/// The node with this change.
pub(super) fn node_at(core: &Core, change: Change) -> Result<Node> {
    let missing = || Error::damaged(format!("change {change}"), "a duplicate refers to this node, but it is missing");
    let before = Position { change: change.saturating_sub(1), duplicate: u32::MAX };
    let (start, horizon) = start_after(core, before)?.ok_or_else(missing)?;
    let mut scan = Scan::new(&core.segments, start, horizon.end, SMALL_READ)?;
    while let Some(found) = scan.next_row()? {
        if found.at == Position::of(change) {
            return node_of(&horizon, found);
        }
        if found.at > Position::of(change) {
            break;
        }
    }
    Err(missing())
}

/// Where a stored key was found.
enum Hit {
    Tail(Located, Start),
    Indexed(Found),
}

pub(super) fn horizon(core: &Core) -> Result<Horizon> {
    let view = core.view.read();
    let view = view.open()?;
    Ok(Horizon::of(view))
}

fn hit(core: &Core, key: &Key) -> Result<Option<(Hit, Horizon)>> {
    let horizon = {
        let view = core.view.read();
        let view = view.open()?;
        let horizon = Horizon::of(view);
        for chunk in view.tail() {
            let Some(row) = chunk.find(key) else { continue };
            let found = chunk.rows.get(row).and_then(|at| view.state.located(*key, at.at.change, at.entry));
            if let Some((located, start)) = found.zip(chunk.start(row)) {
                return Ok(Some((Hit::Tail(located, start), horizon)));
            }
        }
        if view.firsts.is_empty() {
            return Ok(None);
        }
        horizon
    };
    let (piece, hash) = hash_of(&core.segments.store, key);
    let chunks: Vec<u32> = core.with_filter(|filter| filter.candidates(piece, hash).collect())?;
    for chunk in chunks {
        let hashes = core.index.hashes(chunk, piece).map_err(|fault| core.faulty(&fault))?;
        for row in rows_of_hash(&hashes, hash) {
            let found = row_of(core, &horizon, chunk, row)?;
            if found.key == *key && found.at.duplicate == 0 {
                return Ok(Some((Hit::Indexed(found), horizon)));
            }
        }
    }
    Ok(None)
}

/// Where the scan for a row of an indexed chunk begins, and how many rows to skip from there.
pub(super) fn ahead_of(core: &Core, chunk: u32, row: usize) -> Result<Ahead> {
    let locations = core.index.row_locations(chunk).map_err(|fault| core.faulty(&fault))?;
    let locations = RowLocations::read(&locations).ok_or_else(|| unreadable(core, "a chunk"))?;
    // Strictly before, because a row's links may need the row before it.
    let (from, start) = locations.last(|number, _| number < row);
    Ok((start, row - from))
}

pub(super) fn row_of(core: &Core, horizon: &Horizon, chunk: u32, row: usize) -> Result<Found> {
    let (start, skip) = ahead_of(core, chunk, row)?;
    let mut scan = Scan::new(&core.segments, start, horizon.end, SMALL_READ)?;
    for _ in 0..skip {
        scan.next_row()?;
    }
    scan.next_row()?.ok_or_else(|| unreadable(core, "a row"))
}

/// Where these nodes are.
pub(super) fn locate(core: &Core, keys: &[Key]) -> Result<Vec<Option<Located>>> {
    let mut out = Vec::with_capacity(keys.len());
    for key in keys {
        out.push(match hit(core, key)? {
            Some((Hit::Tail(located, _), _)) => Some(located),
            Some((Hit::Indexed(found), horizon)) => {
                let (log, seq) = name(&horizon, found.entry)?;
                Some(Located { key: *key, change: found.at.change, log, seq })
            }
            None => None,
        });
    }
    Ok(out)
}

/// The node with this key.
pub(super) fn node(core: &Core, key: &Key) -> Result<Option<Node>> {
    let (found, horizon) = match hit(core, key)? {
        Some((Hit::Tail(_, start), horizon)) => {
            let mut scan = Scan::new(&core.segments, start, horizon.end, 0)?;
            let found = scan.next_row()?.filter(|found| found.key == *key);
            let damaged = || Error::damaged(format!("node {key}"), "the index points to another record");
            (found.ok_or_else(damaged)?, horizon)
        }
        Some((Hit::Indexed(found), horizon)) => (found, horizon),
        None => return Ok(None),
    };
    let mut node = node_of(&horizon, found)?;
    // Copied, so that one node does not keep the whole read in memory.
    node.value = bytes::Bytes::copy_from_slice(&node.value);
    Ok(Some(node))
}
