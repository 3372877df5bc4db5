//! Where a scan of the log may begin.

use super::layout::Location;
use crate::node::{Change, Key};
use crate::row::Position;

/// Where a scan may begin: the location of a record, and what came before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Start {
    pub(super) location: Location,
    pub(super) before: Before,
}

/// What a scan knows about the records before its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Before {
    /// The last position, and the key of the node with its change.
    Known(Position, Key),
    /// Nothing. The record is the node with this change, from which the scan learns its key.
    At(Change),
}
