//! Checks the conditions of appends against stored rows and the rows planned before them.

use super::Writer;
use crate::error::{Error, Result};
use crate::event::{self, following};
use crate::hyperlog::{Batch, Condition};
use crate::node::{Change, Node, NodeRef};
use crate::query::Filter;
use crate::row::Position;
use crate::store::search::{Order, Span};
use crate::store::ReadLimit;

/// Up to this many new changes, it is cheaper to check each of the newest rows, which are in memory, than to search the index.
const FEW: Change = 64;

/// Up to this many rows for these changes; if duplicates make it more, the index is searched.
const FEW_ROWS: usize = 256;

const ONE: ReadLimit = ReadLimit { rows: 1, bytes: usize::MAX };

impl Writer {
    /// Checks the conditions of a batch. Returns the nodes of the append with the same id, if there has been one.
    ///
    /// # Errors
    /// `Condition`, `IdReused`, and the store's own; then the batch must not be stored.
    pub(super) fn meet(&mut self, batch: &Batch) -> Result<Option<Vec<NodeRef>>> {
        let Some(demands) = batch.demands() else { return Ok(None) };
        if let Some(id) = &demands.id {
            if let Some(nodes) = self.of_request(id, batch.len())? {
                let first = nodes.first().map_or(0, |node| node.change);
                let same =
                    nodes.len() == batch.len() && nodes.iter().zip(batch.iter()).all(|(node, event)| event.is_in(node));
                let reused = Error::IdReused { id: id.to_string(), change: first };
                return if same { Ok(Some(nodes)) } else { Err(reused) };
            }
        }
        match &demands.fail_if {
            Some(condition) => self.judge(condition).map(|()| None),
            None => Ok(None),
        }
    }

    /// The nodes of the append that had this id, if there was one: all of them, or `most` and one more.
    fn of_request(&mut self, id: &str, most: usize) -> Result<Option<Vec<NodeRef>>> {
        if let Some(first) = self.planner.uncommitted_of_request(id.as_bytes()) {
            let count = 1 + following(&first.value);
            return Ok(Some(first.and_next().take(count.min(most + 1)).collect()));
        }
        let store = &self.shared.store;
        let Some(row) = store.of_request(id.as_bytes())? else { return Ok(None) };
        let (log, seq) = (row.log().clone(), row.seq());
        let count = (1 + following(&row.node.value)).min(most + 1);
        let mut nodes = vec![row.node];
        for seq in (seq + 1..).take(count - 1) {
            // The rest of another emitter's batch may be missing.
            let Some(entry) = store.entry(&log, seq)? else { break };
            nodes.extend(store.node(&entry.key)?.map(NodeRef::from));
        }
        Ok(Some(nodes))
    }

    fn judge(&mut self, condition: &Condition) -> Result<()> {
        let Condition { query, after } = condition;
        let end = self.planner.end().change;
        if *after > end {
            return Err(Error::InvalidArgument(format!(
                "the condition is about events after change {after}, but the log ends with change {end}"
            )));
        }
        let found = match self.first_stored(condition)? {
            Some(found) => Some(found),
            None => self.planner.first_uncommitted(query, *after),
        };
        match found {
            Some(node) => Err(refusal(&node, *after)),
            None => Ok(()),
        }
    }

    /// The first event in the store that a condition forbids.
    fn first_stored(&self, condition: &Condition) -> Result<Option<NodeRef>> {
        let Condition { query, after } = condition;
        let shared = &self.shared;
        let end = shared.state.read().end.change;
        if *after >= end {
            return Ok(None);
        }
        if end - after <= FEW && !shared.store.is_immediate() {
            let behind = Position { change: *after, duplicate: u32::MAX };
            let limit = ReadLimit { rows: FEW_ROWS, bytes: usize::MAX };
            let rows =
                shared.read_recent(behind, limit).filter(|rows| rows.last().is_some_and(|row| row.at.change >= end));
            if let Some(rows) = rows {
                let mut nodes = rows.into_iter().filter(|row| row.at.duplicate == 0).map(|row| row.node);
                return Ok(nodes.find(|node| query.matches(&node.value)));
            }
        }
        let filter = Filter::of(query.clone());
        let mut span = Span { after: *after, until: Change::MAX };
        loop {
            let mut found = shared.store.search(&filter, span, Order::Up, ONE)?;
            if found.done || !found.rows.is_empty() {
                return Ok(found.rows.pop().map(|row| row.node));
            }
            span = found.rest;
        }
    }
}

fn refusal(node: &Node, after: Change) -> Error {
    let name = event::decode(&node.value).map_or(String::new(), |event| event.name.into_owned());
    Error::Condition { name, change: node.change, after }
}
