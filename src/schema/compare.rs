//! Decides whether events that one schema writes can be read with another, by the rules of protobuf's wire format.

use std::collections::HashSet;

use serde::Serialize;

use super::walk::{Pair, Place, Progress, Walk};
use super::{Event, Field, Kind, Schema, Value};
use crate::quoted::one_line;

/// The most differences that are listed: enough to see what is wrong.
pub const MAX_DIFFERENCES: usize = 16;

/// A field that the reader's schema cannot read in the form in which the writer's schema writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Names from the event to the field, with dots in between.
    pub path: String,
    /// The field as the writer has it, as `uint32 = 3`.
    pub was: String,
    /// The field as the reader has it.
    pub is: String,
}

/// The fields that one schema cannot read of another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// The first differences.
    pub first: Vec<Difference>,
    /// How many more there are.
    pub more: usize,
}

impl Differences {
    /// Whether everything can be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Adds a difference, which is described only if it is one of the first: a hostile schema may have many.
    fn note(&mut self, difference: impl FnOnce() -> Difference) {
        if self.first.len() >= MAX_DIFFERENCES {
            self.more += 1;
        } else {
            self.first.push(difference());
        }
    }

    /// Adds a difference, unless it is among the first ones already.
    pub(super) fn note_new(&mut self, difference: Difference) {
        if !self.first.contains(&difference) {
            self.note(|| difference);
        }
    }

    /// Adds differences that only the opposite comparison found, with the two sides exchanged.
    #[must_use]
    pub fn with_reverse(mut self, reverse: Differences) -> Self {
        // Most differences are found in both directions.
        self.more = self.more.max(reverse.more);
        for Difference { path, was, is } in reverse.first {
            if !self.first.iter().any(|known| known.path == path) {
                self.note(|| Difference { path, was: is, is: was });
            }
        }
        self
    }

    /// The differences in words. The parameters name the two sides.
    #[must_use]
    pub fn in_words(&self, was: &str, is: &str) -> String {
        let each = |found: &Difference| format!("{}: {was} {}, {is} {}", found.path, found.was, found.is);
        let first: Vec<String> = self.first.iter().map(each).collect();
        let more = if self.more > 0 { format!("; and {} more", self.more) } else { String::new() };
        format!("{}{more}", first.join("; "))
    }
}

/// What `reader` cannot read of the events that both schemas have, as `writer` writes them. What differs in a message that several
/// events contain is told once. Stops after [`MAX_COMPARED`](super::MAX_COMPARED) fields.
#[must_use]
pub fn unreadable(reader: &Schema, writer: &Schema) -> Differences {
    let mut found = Differences::default();
    let mut progress = Progress::new();
    // A message that others contain is a part of them first, since few such messages are events, too.
    let (outer, inner): (Vec<_>, Vec<_>) = writer.events.iter().partition(|Event(_, index, _)| !writer.is_part(*index));
    for Event(name, _, standard) in outer.into_iter().chain(inner) {
        let Some(walk) = Walk::new(reader, writer, name) else { continue };
        let encoding = Encoding {
            standard: *standard == 1,
            shared: reader.event(name).is_some_and(|Event(_, _, ours)| ours == standard),
        };
        walk.run(&mut progress, |place, path| {
            let pair = match place {
                Place::Fields(pair) => pair,
                Place::Enums(pair, ours, theirs) => {
                    if let Some((value, number)) = refused_value(ours, theirs).filter(|_| !encoding.standard) {
                        let [was, is] = [(writer, pair.writer), (reader, pair.reader)]
                            .map(|(schema, field)| field.map_or_else(String::new, |field| schema.describe(field)));
                        let value = one_line(&format!("{value} = {number}"));
                        found.note(|| Difference {
                            path: path(),
                            was: format!("{was} with {value}"),
                            is: format!("{is} without it"),
                        });
                    }
                    return false;
                }
            };
            let fits = fits(reader, writer, pair, encoding);
            if !fits {
                let describe = |schema: &Schema, field: Option<&Field>| {
                    field.map_or_else(|| "not there".to_owned(), |field| schema.describe(field))
                };
                found.note(|| Difference {
                    path: path(),
                    was: describe(writer, pair.writer),
                    is: describe(reader, pair.reader),
                });
            }
            fits
        });
    }
    found
}

/// The events of a schema whose names are in `missing`, as differences: their message is not in the reader's schema.
pub(super) fn gone<'a>(writer: &'a Schema, missing: &'a [String]) -> impl Iterator<Item = Difference> + 'a {
    let gone = writer.events.iter().filter(|Event(name, ..)| missing.contains(name));
    gone.map(|Event(name, index, _)| Difference {
        path: one_line(name),
        was: format!("message {}", one_line(writer.type_name(*index))),
        is: "not in the schema".to_owned(),
    })
}

/// Classes of types. Values of the types in one class are written in the same form, so one can be read as another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class<'a> {
    Varint,
    Zigzag,
    Fixed32,
    Fixed64,
    Text,
    Bytes,
    Message,
    /// A message that standard protobuf delimits by tags.
    Group,
    /// A message that 1.x writes without its length.
    Bare,
    /// `float`, `double`, and types of later versions.
    Other(&'a str),
}

fn class_of<'a>(schema: &'a Schema, field: &'a Field, standard: bool) -> Class<'a> {
    match &field.2 {
        Kind::Type(index) if !schema.is_message(*index) => Class::Varint,
        Kind::Type(_) if field.is("group") && standard => Class::Group,
        Kind::Type(_) if field.is("bare") => Class::Bare,
        Kind::Type(_) => Class::Message,
        Kind::Scalar(name) => match name.as_str() {
            "int32" | "uint32" | "int64" | "uint64" | "bool" => Class::Varint,
            "sint32" | "sint64" => Class::Zigzag,
            "fixed32" | "sfixed32" => Class::Fixed32,
            "fixed64" | "sfixed64" => Class::Fixed64,
            "string" => Class::Text,
            "bytes" => Class::Bytes,
            other => Class::Other(other),
        },
    }
}

/// How the events of a name are encoded.
#[derive(Clone, Copy)]
struct Encoding {
    /// Standard protobuf.
    standard: bool,
    /// The reader's schema is described for the same encoding. If not, the reader has another form of it for these events, of which
    /// the description does not say which fields are packed or bare.
    shared: bool,
}

/// The first value that the writer's enum has and the reader's lacks. 1.x refuses messages with such values, and cannot write
/// negative ones.
fn refused_value<'a>(reader: &[Value], writer: &'a [Value]) -> Option<&'a Value> {
    let known: HashSet<&str> = reader.iter().map(|(_, number)| number.as_str()).collect();
    writer.iter().find(|(_, number)| !number.starts_with('-') && !known.contains(number.as_str()))
}

/// Whether the reader can read the field as it was written. The fields of messages and the values of enums are not examined here.
fn fits(reader: &Schema, writer: &Schema, pair: &Pair<'_>, Encoding { standard, shared }: Encoding) -> bool {
    let (ours, theirs) = match (pair.reader, pair.writer) {
        (Some(ours), Some(theirs)) => (ours, theirs),
        (Some(ours), None) => return !ours.is("required"),
        // An unknown field is skipped.
        (None, _) => return true,
    };
    if ours.is("required") && !theirs.is("required") {
        return false;
    }
    let alike = match (class_of(reader, ours, standard), class_of(writer, theirs, standard)) {
        (Class::Text | Class::Message, Class::Bytes) | (Class::Bytes, Class::Text | Class::Message) => true,
        (Class::Message, Class::Bare) | (Class::Bare, Class::Message) => !shared,
        (ours, theirs) => ours == theirs,
    };
    // Standard protobuf reads lists either way, 1.x only as the schema says.
    let packed = match (ours.is("packed"), theirs.is("packed")) {
        (ours, theirs) if ours == theirs => true,
        (true, false) => standard,
        _ => standard && ours.is("repeated"),
    };
    alike && (packed || !shared)
}
