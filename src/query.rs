//! Queries: which events are wanted. Reads, conditions and subscriptions share this form.
//!
//! It is that of the Dynamic Consistency Boundary specification: items are alternatives; the names of an item are
//! alternatives; an event must have all tags of an item. Pure: stores find candidates, and this module decides which match.

use std::sync::Arc;

use crate::error::{quoted, Error, Result};
use crate::event::{self, Parts, MAX_TAG_LEN};

/// Alternatives of a query. Each costs look-ups of its own.
pub const MAX_ITEMS: usize = 64;

/// Names of an item.
pub const MAX_NAMES: usize = 64;

/// Tags of an item. More than an event can have, so that tools may join conditions without counting.
pub const MAX_QUERY_TAGS: usize = 64;

/// One alternative of a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// The event has one of these names; if there are none, any name.
    pub names: Vec<Box<str>>,
    /// The event has all of these tags.
    pub tags: Vec<Box<str>>,
}

/// A query. Without items every event matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Shared by clones of the query, because the condition of an append is also kept to be checked against later events.
    items: Arc<[Item]>,
}

/// A query, and bounds on the time at which its events were emitted, by their emitters' clocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Which names and tags the events have.
    pub query: Query,
    /// The first millisecond, counted from 1970. With a bound on time, events without a time (those of 1.x) do not match.
    pub from: Option<u64>,
    /// The last millisecond.
    pub to: Option<u64>,
}

impl Query {
    /// A query with these alternatives; without any, every event matches.
    ///
    /// # Errors
    /// `InvalidArgument` if there are too many, or if one is empty or has a tag that no event can have.
    pub fn new(items: Vec<Item>) -> Result<Self> {
        let refuse = |why: String| Err(Error::InvalidArgument(why));
        if items.len() > MAX_ITEMS {
            return refuse(format!("a query has {MAX_ITEMS} items at the most, not {}", items.len()));
        }
        for Item { names, tags } in &items {
            if names.is_empty() && tags.is_empty() {
                return refuse(
                    "an item of a query needs names or tags; a query without items matches every event".into(),
                );
            }
            if names.len() > MAX_NAMES {
                return refuse(format!("an item of a query has {MAX_NAMES} names at the most, not {}", names.len()));
            }
            if tags.len() > MAX_QUERY_TAGS {
                return refuse(format!("an item of a query has {MAX_QUERY_TAGS} tags at the most, not {}", tags.len()));
            }
            if let Some(tag) = tags.iter().find(|tag| !(1..=MAX_TAG_LEN).contains(&tag.len())) {
                return refuse(format!("no event has tag {}: tags have 1 to {MAX_TAG_LEN} bytes", quoted(tag)));
            }
        }
        Ok(Query { items: items.into() })
    }

    /// The alternatives.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Whether every event matches.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether an event matches.
    pub(crate) fn wants(&self, event: &Parts<'_>) -> bool {
        if self.items.is_empty() {
            return true;
        }
        let name = String::from_utf8_lossy(event.name);
        let tags = event.tags.list();
        self.items.iter().any(|item| {
            (item.names.is_empty() || item.names.iter().any(|wanted| **wanted == *name))
                && item.tags.iter().all(|wanted| tags.contains(&&**wanted))
        })
    }

    /// Whether the event in this container is wanted; a value that is no container never is.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        event::parse(value).is_some_and(|event| self.wants(&event))
    }
}

impl Filter {
    /// The query without bounds on time.
    #[must_use]
    pub fn of(query: Query) -> Self {
        Filter { query, ..Filter::default() }
    }

    /// Whether the event in this container is wanted; a value that is no container never is.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        event::parse(value).is_some_and(|event| self.is_timely(event.time) && self.query.wants(&event))
    }

    fn is_timely(&self, time: Option<u64>) -> bool {
        let (from, to) = (self.from.unwrap_or(0), self.to.unwrap_or(u64::MAX));
        time.map_or(self.from.is_none() && self.to.is_none(), |time| (from..=to).contains(&time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{encode_tagged, put_tag, Encoding, ID_LEN};

    fn texts(texts: &[&str]) -> Vec<Box<str>> {
        texts.iter().map(|text| Box::from(*text)).collect()
    }

    fn item(names: &[&str], tags: &[&str]) -> Item {
        Item { names: texts(names), tags: texts(tags) }
    }

    fn value(name: &str, tags: &[&str], time: u64) -> Vec<u8> {
        let (mut out, mut encoded) = (Vec::new(), Vec::new());
        tags.iter().for_each(|tag| put_tag(&mut encoded, tag));
        encode_tagged(&mut out, name, b"payload", &[7; ID_LEN], time, Encoding::V1, &encoded);
        out
    }

    #[test]
    fn items_and_names_are_alternatives_and_tags_are_not() {
        let query = Query::new(vec![item(&["a", "b"], &["x", "y"]), item(&[], &["z"]), item(&["c"], &[])]).unwrap();
        for (name, tags, wanted) in [
            ("a", &["x", "y"][..], true),
            ("b", &["q", "y", "x"], true),
            ("a", &["x"], false),
            ("d", &["x", "y"], false),
            ("d", &["z"], true),
            ("a", &["z"], true),
            ("c", &[], true),
            ("a", &[], false),
        ] {
            assert_eq!(query.matches(&value(name, tags, 1)), wanted, "{name} {tags:?}");
        }
        assert!(Query::default().matches(&value("anything", &[], 1)));
        assert!(!Query::default().matches(b"no container"));
    }

    #[test]
    fn names_that_are_no_text_are_those_1x_reads() {
        let query = Query::new(vec![item(&["a\u{FFFD}"], &[])]).unwrap();
        assert!(query.matches(b"\x0a\x02a\xff\x12\x00"));
        assert!(!query.matches(b"\x0a\x01a\x12\x00"));
    }

    #[test]
    fn time_is_bounded_at_both_ends_and_events_without_any_are_left_out() {
        let filter = Filter { from: Some(10), to: Some(20), ..Filter::default() };
        let wanted = [9, 10, 20, 21].map(|time| filter.matches(&value("a", &[], time)));
        assert_eq!(wanted, [false, true, true, false]);
        let old = b"\x0a\x01a\x12\x00";
        assert!(!filter.matches(old) && Filter::default().matches(old));
        assert!(!Filter { from: Some(0), ..Filter::default() }.matches(old));
    }

    #[test]
    fn queries_without_end_are_refused_with_a_reason() {
        let many = |count: usize| (0..count).map(|number| number.to_string().into()).collect::<Vec<Box<str>>>();
        let long = "x".repeat(MAX_TAG_LEN + 1);
        for (items, why) in [
            (vec![item(&["a"], &[]); MAX_ITEMS + 1], "64 items at the most, not 65"),
            (vec![Item { names: many(MAX_NAMES + 1), tags: Vec::new() }], "64 names at the most, not 65"),
            (vec![Item { names: Vec::new(), tags: many(MAX_QUERY_TAGS + 1) }], "64 tags at the most, not 65"),
            (vec![item(&[], &[])], "names or tags"),
            (vec![item(&[], &[""])], "1 to 256 bytes"),
            (vec![item(&[], &[&long])], "1 to 256 bytes"),
        ] {
            let error = Query::new(items).unwrap_err();
            assert_eq!(error.code(), "ERR_HYPER_INVALID_ARG");
            assert!(error.to_string().contains(why), "{error}");
        }
        let most = Item { names: many(MAX_NAMES), tags: many(MAX_QUERY_TAGS) };
        assert_eq!(Query::new(vec![most; MAX_ITEMS]).unwrap().items().len(), MAX_ITEMS);
        assert!(Query::new(Vec::new()).unwrap().is_all());
    }
}
