//! The schemas that a store keeps: for each event name what its events were encoded with, as a JSON list of schemas of one event.

use std::collections::HashSet;

use super::compare::{gone, unreadable, Differences};
use super::walk::{Pair, Place, Progress, Walk};
use super::{invalid, Event, Field, Kind, Schema};
use crate::error::{Error, Result};

/// Largest record, in bytes of text. Every checkpoint of an embedded store repeats it, once for some 50,000 events.
pub const MAX_STORED: usize = 256 * 1024;

/// Forms of one event that are kept: a new one replaces those that differ from it only in fields that it adds.
pub const MAX_VERSIONS: usize = 8;

/// Reads the record; no text is an empty one.
fn read(text: &str) -> Result<Vec<Schema>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let parts: Vec<Schema> = serde_json::from_str(text).map_err(|error| invalid(&error))?;
    parts.into_iter().map(Schema::checked).collect()
}

/// Adds forms in which events have been written to the record; `used` is a list like the record. Returns the new text of the
/// record, or `None` if it has all of them already.
///
/// # Errors
/// `InvalidArgument` if either text cannot be read, or the record would become too large.
pub fn record(stored: &str, used: &str) -> Result<Option<String>> {
    let mut versions = read(stored)?;
    let mut changed = false;
    for new in read(used)? {
        let Some(Event(name, ..)) = new.events.first() else { continue };
        let of_name = |version: &Schema| version.event(name).is_some();
        if versions.iter().any(|version| contains(version, &new, name)) {
            continue;
        }
        versions.retain(|version| !contains(&new, version, name));
        if versions.iter().filter(|version| of_name(version)).count() >= MAX_VERSIONS {
            let oldest = versions.iter().position(of_name);
            oldest.map(|oldest| versions.remove(oldest));
        }
        versions.push(new);
        changed = true;
    }
    if !changed {
        return Ok(None);
    }
    let text = serde_json::to_string(&versions).map_err(|error| invalid(&error))?;
    if text.len() > MAX_STORED {
        return Err(Error::InvalidArgument(format!(
            "the store no longer records with which messages events are encoded: that would take {} bytes, the limit is {MAX_STORED}",
            text.len()
        )));
    }
    Ok(Some(text))
}

/// The recorded fields that `ours` cannot read. Of the names that `ours` does not have, those in `missing` are listed.
///
/// # Errors
/// `InvalidArgument` if either text cannot be read.
pub fn stored_differences(stored: &str, ours: &str, missing: &[String]) -> Result<Differences> {
    let ours = Schema::parse(ours.as_bytes())?;
    let mut found = Differences::default();
    for version in read(stored)? {
        let differences = unreadable(&ours, &version);
        found.more += differences.more;
        let gone = gone(&version, missing);
        // Forms of an event may have the same one.
        differences.first.into_iter().chain(gone).for_each(|each| found.note_new(each));
    }
    Ok(found)
}

/// Whether each reader of the form `new` can also read the form `old`: `new` has all fields and enum values of `old`, with the same
/// types, and requires no other fields.
fn contains(new: &Schema, old: &Schema, name: &str) -> bool {
    let same_encoding =
        new.event(name).map(|Event(_, _, standard)| standard) == old.event(name).map(|Event(_, _, standard)| standard);
    let mut holds = same_encoding;
    let Some(walk) = Walk::new(new, old, name) else { return false };
    let complete = walk.run(&mut Progress::new(), |place, _| {
        holds &= match place {
            Place::Enums(_, values, old_values) => {
                let values: HashSet<_> = values.iter().collect();
                old_values.iter().all(|each| values.contains(each))
            }
            Place::Fields(Pair {
                reader: Some(Field(name, _, kind, words)),
                writer: Some(Field(old_name, _, old_kind, old_words)),
            }) => {
                let same_kind = match (kind, old_kind) {
                    (Kind::Type(index), Kind::Type(old_index)) => new.is_message(*index) == old.is_message(*old_index),
                    (kind, old_kind) => kind == old_kind,
                };
                same_kind && name == old_name && words == old_words
            }
            Place::Fields(Pair { reader: Some(added), writer: None }) => !added.is("required"),
            Place::Fields(Pair { reader: None, .. }) => false,
        };
        holds
    });
    holds && complete
}
