//! What JavaScript searches for.

use napi_derive::napi;

use crate::error::Result;
use crate::query::{Filter, Item, Query};

/// One alternative of a query.
#[napi(object)]
pub struct JsItem {
    /// The event has one of these names; any if there is none.
    pub names: Vec<String>,
    /// It has all of these tags.
    pub tags: Vec<String>,
}

/// A query, and the time within which its events were emitted.
#[napi(object)]
pub struct JsFilter {
    /// Alternatives; every event if there is none.
    pub items: Vec<JsItem>,
    /// Milliseconds since 1970.
    pub from: Option<f64>,
    /// The last millisecond.
    pub to: Option<f64>,
}

impl JsFilter {
    /// As the core knows it.
    ///
    /// # Errors
    /// `InvalidArgument` for a query that is refused.
    pub fn read(self) -> Result<Filter> {
        let texts = |texts: Vec<String>| texts.into_iter().map(String::into_boxed_str).collect();
        let item = |JsItem { names, tags }: JsItem| Item { names: texts(names), tags: texts(tags) };
        let query = Query::new(self.items.into_iter().map(item).collect())?;
        Ok(Filter { query, from: self.from.map(time), to: self.to.map(time) })
    }
}

/// Before 1970 there are no events.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Saturates, which is what is meant.
fn time(milliseconds: f64) -> u64 {
    milliseconds as u64
}
