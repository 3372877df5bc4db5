//! Conditions of an append: that certain events have not been stored, and that the append is made only once. Also the facts that
//! are stored together with it.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::MAX_REQUEST_LEN;
use crate::node::Change;
use crate::query::Query;
use crate::store::Meta;

/// The append fails if an event that matches the query was stored after the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Events that must not have been stored.
    pub query: Query,
    /// The caller knows all events up to this change.
    pub after: Change,
}

/// Conditions that apply to all events of an append, and facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// The append's id. A second append with the same id is taken for a repetition, and answered with the same nodes.
    pub id: Option<Box<str>>,
    /// The condition under which the append fails.
    pub fail_if: Option<Condition>,
    /// Facts that are stored in the same commit, so that after a crash either both are there or neither.
    pub facts: Vec<(Meta, Option<Bytes>)>,
}

impl Demands {
    /// Whether the index has to be searched to check them.
    pub(crate) fn need_search(&self) -> bool {
        self.id.is_some() || self.fail_if.as_ref().is_some_and(|condition| !condition.query.is_all())
    }

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
