//! Schemas as stores keep them and peers exchange them: what each event's payload consists of, in JSON.
//!
//! [`unreadable`] compares two of them by the rules of protobuf's wire format. docs/design/codecs.md has the form and the rules.
//! Everything here is pure, and bounded whatever a text says.
#![forbid(unsafe_code)]

mod compare;
mod stored;
mod walk;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use self::compare::{unreadable, Differences, MAX_DIFFERENCES};
pub use self::stored::{record, stored_differences, MAX_STORED, MAX_VERSIONS};
pub use self::walk::{MAX_COMPARED, MAX_DEPTH};
use crate::error::{Error, Result};
use crate::quoted::one_line;

/// Largest schema that peers exchange, as text in bytes: some 8,000 fields. With its frame it has to stay below the largest frame
/// of a link ([`MAX_SMALL_FRAME`](crate::protocol::frame::MAX_SMALL_FRAME)).
pub const MAX_SCHEMA: usize = 256 * 1024;

/// The events of a schema, and the types that their payloads consist of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// Events, in order of their names.
    events: Vec<Event>,
    /// Messages and enums; [`Kind::Type`] is an index here.
    types: Vec<Type>,
    /// For each type, whether another one has a field of it.
    #[serde(skip)]
    parts: Vec<bool>,
}

/// An event: its name, the index of its message, and whether payloads are standard protobuf (1) or 1.x's encoding (0).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Event(String, usize, u8);

/// A message, if it has fields; otherwise an enum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Type {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<Field>>,
    /// Names and values as written. 1.x allowed values that are fractions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    values: Option<Vec<Value>>,
}

/// The name of an enum value, and its number as written.
type Value = (String, String);

/// A field: name, tag, type, and words that say what else it is, separated by spaces: `required`, `repeated`, `packed`, `map`,
/// `group`, and `bare` (a message that 1.x writes without its length).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Field(String, u32, Kind, String);

/// The type of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Kind {
    /// An index into [`Schema::types`].
    Type(usize),
    /// A scalar, by its name.
    Scalar(String),
}

impl Field {
    fn is(&self, word: &str) -> bool {
        self.3.split(' ').any(|each| each == word)
    }
}

impl Schema {
    /// Reads a schema.
    ///
    /// # Errors
    /// `InvalidArgument` if the text is no schema, or refers to types that it does not have.
    pub fn parse(text: &[u8]) -> Result<Self> {
        serde_json::from_slice::<Schema>(text).map_err(|error| invalid(&error))?.checked()
    }

    fn checked(self) -> Result<Self> {
        let mut schema = self;
        let count = schema.types.len();
        let fields = || schema.types.iter().flat_map(|each| each.fields.iter().flatten());
        let refers = |field: &Field| match field.2 {
            Kind::Type(index) => index < count,
            Kind::Scalar(_) => true,
        };
        if !schema.events.iter().all(|Event(_, index, _)| schema.is_message(*index)) || !fields().all(refers) {
            return Err(invalid(&"it refers to a type that it does not have"));
        }
        schema.parts = vec![false; count];
        for (index, each) in schema.types.iter().enumerate() {
            for Field(_, _, kind, _) in each.fields.iter().flatten() {
                if let Kind::Type(part) = kind {
                    if let Some(is_part) = schema.parts.get_mut(*part) {
                        *is_part |= *part != index;
                    }
                }
            }
        }
        schema.events.sort_by(|Event(a, ..), Event(b, ..)| a.cmp(b));
        // Fields are compared in order of their tags.
        for each in &mut schema.types {
            each.fields.iter_mut().for_each(|fields| fields.sort_by_key(|Field(_, tag, ..)| *tag));
        }
        Ok(schema)
    }

    fn event(&self, name: &str) -> Option<&Event> {
        let index = self.events.binary_search_by(|Event(each, ..)| each.as_str().cmp(name)).ok()?;
        self.events.get(index)
    }

    fn is_message(&self, index: usize) -> bool {
        self.types.get(index).is_some_and(|each| each.fields.is_some())
    }

    /// Whether another message has a field of this type.
    fn is_part(&self, index: usize) -> bool {
        self.parts.get(index).copied().unwrap_or_default()
    }

    fn fields(&self, index: usize) -> &[Field] {
        self.types.get(index).and_then(|each| each.fields.as_deref()).unwrap_or_default()
    }

    fn values(&self, index: usize) -> &[Value] {
        self.types.get(index).and_then(|each| each.values.as_deref()).unwrap_or_default()
    }

    fn type_name(&self, index: usize) -> &str {
        self.types.get(index).map_or("", |each| &each.name)
    }

    /// The field in words, as `repeated uint32 = 3, packed`.
    fn describe(&self, field: &Field) -> String {
        let Field(_, tag, kind, _) = field;
        let kind = match kind {
            Kind::Type(index) => self.type_name(*index),
            Kind::Scalar(name) => name,
        };
        let label = ["required ", "repeated "].into_iter().find(|label| field.is(label.trim_end())).unwrap_or_default();
        let end = if field.is("packed") { ", packed" } else { "" };
        format!("{label}{} = {tag}{end}", one_line(kind))
    }
}

fn invalid(why: &dyn fmt::Display) -> Error {
    Error::InvalidArgument(format!("a schema cannot be read: {why}"))
}

/// A schema in the form that is sent to peers.
#[derive(Clone, Debug)]
pub struct ToldSchema {
    /// The schema.
    pub schema: Schema,
    /// Its text.
    pub text: Vec<u8>,
}

/// Bytes of a [`ToldSchema::fingerprint`].
pub const FINGERPRINT_LEN: usize = 16;

impl ToldSchema {
    /// Reads the schema that an emitter tells to its peers.
    ///
    /// # Errors
    /// As [`Schema::parse`].
    pub fn new(text: Vec<u8>) -> Result<Self> {
        Ok(ToldSchema { schema: Schema::parse(&text)?, text })
    }

    /// The beginning of BLAKE3 of the text. Peers with equal ones need not compare.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; FINGERPRINT_LEN] {
        let hash = blake3::hash(&self.text);
        std::array::from_fn(|index| hash.as_bytes().get(index).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
