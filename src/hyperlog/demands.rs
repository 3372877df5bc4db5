//! What an append asks for beside being stored: that nothing has happened that it depends on, that it happens once, and what is
//! stored with it.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::MAX_REQUEST_LEN;
use crate::node::Change;
use crate::query::Query;
use crate::store::Meta;

/// The append fails if an event that the query wants was stored behind the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// What must not have happened.
    pub query: Query,
    /// Whatever was stored up to here is known to the caller.
    pub after: Change,
}

/// What holds for all events of an append.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// Another append with this id is the same one, and is answered with the same nodes.
    pub id: Option<Box<str>>,
    /// When it fails.
    pub fail_if: Option<Condition>,
    /// Facts that are stored in the same commit, so that either both are there after a crash or neither.
    pub facts: Vec<(Meta, Option<Bytes>)>,
}

impl Demands {
    /// # Errors
    /// `InvalidArgument` if the id cannot be one.
    pub(super) fn check(&self) -> Result<()> {
        match &self.id {
            Some(id) if !(1..=MAX_REQUEST_LEN).contains(&id.len()) => {
                let why = format!("the id of an append has 1 to {MAX_REQUEST_LEN} bytes, not {}", id.len());
                Err(Error::InvalidArgument(why))
            }
            _ => Ok(()),
        }
    }
}
