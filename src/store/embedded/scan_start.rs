//! Where a scan of the log may begin.

use super::layout::Place;
use crate::node::{Change, Key};
use crate::row::Position;

/// Where a scan may begin: the place of a record, and what came before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Start {
    pub(super) place: Place,
    pub(super) before: Before,
}

/// What a scan knows of the records before it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Before {
    /// The last position, and the key of the node with its change.
    Known(Position, Key),
    /// Nothing, but the record is the node with this change; it only tells its key.
    At(Change),
}
