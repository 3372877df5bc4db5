//! Walks through two schemas of the same event side by side.

use std::collections::{HashSet, VecDeque};

use super::{Event, Field, Kind, Schema, Value};
use crate::quoted::one_line;

/// Fields and enum values looked at in one comparison: more than any schema of [`MAX_SCHEMA`](super::MAX_SCHEMA) has, unless its
/// types refer to each other in order to make comparing slow.
pub const MAX_COMPARED: usize = 64 * 1024;

/// Messages in messages that are compared: as deep as decoders go.
pub const MAX_DEPTH: usize = 100;

/// The fields with the same tag in two messages that are compared; `None` for a message without such a field.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) reader: Option<&'a Field>,
    pub(super) writer: Option<&'a Field>,
}

impl<'a> Pair<'a> {
    fn name(&self) -> &'a str {
        self.reader.or(self.writer).map_or("", |Field(name, ..)| name)
    }
}

/// What two schemas have at the same place.
pub(super) enum Place<'a> {
    Fields(Pair<'a>),
    /// The enums of two fields: names and values.
    Enums(Pair<'a>, &'a [Value], &'a [Value]),
}

/// Two messages or two enums to compare.
#[derive(Clone, Copy)]
struct Visit<'a> {
    reader: usize,
    writer: usize,
    depth: usize,
    /// The visit that led here, and the fields.
    from: Option<(usize, Pair<'a>)>,
}

/// Two schemas of one event.
pub(super) struct Walk<'a> {
    reader: &'a Schema,
    writer: &'a Schema,
    name: &'a str,
    visits: Vec<Visit<'a>>,
}

/// What has been compared, in one or several walks through the same two schemas.
pub(super) struct Progress {
    seen: HashSet<(usize, usize)>,
    /// Fields and values that may still be looked at.
    left: usize,
}

impl Progress {
    pub(super) fn new() -> Self {
        Progress { seen: HashSet::new(), left: MAX_COMPARED }
    }
}

impl<'a> Walk<'a> {
    /// `None` if one of the two does not have the event.
    pub(super) fn new(reader: &'a Schema, writer: &'a Schema, name: &'a str) -> Option<Self> {
        let (Event(_, ours, _), Event(_, theirs, _)) = (reader.event(name)?, writer.event(name)?);
        let first = Visit { reader: *ours, writer: *theirs, depth: 0, from: None };
        Some(Walk { reader, writer, name, visits: vec![first] })
    }

    /// Passes every pair of fields to `judge`, with a function that gives the pair's path. `judge` returns whether the types of the
    /// two fields are to be compared, too. Each pair of types is compared once. Returns whether the walk came to the end; it stops
    /// when too many fields and values have been examined.
    pub(super) fn run(
        mut self,
        progress: &mut Progress,
        mut judge: impl FnMut(&Place<'a>, &dyn Fn() -> String) -> bool,
    ) -> bool {
        let mut due = VecDeque::from([0]);
        while let Some(index) = due.pop_front() {
            let Some(Visit { reader, writer, depth, from }) = self.visits.get(index).copied() else { continue };
            if !progress.seen.insert((reader, writer)) {
                continue;
            }
            let (ours, theirs) = (self.reader.fields(reader), self.writer.fields(writer));
            let (our_values, their_values) = (self.reader.values(reader), self.writer.values(writer));
            let size = ours.len() + theirs.len() + our_values.len() + their_values.len() + 1;
            let Some(rest) = progress.left.checked_sub(size) else { return false };
            progress.left = rest;
            if let (Some((before, pair)), false, false) =
                (from, self.reader.is_message(reader), self.writer.is_message(writer))
            {
                judge(&Place::Enums(pair, our_values, their_values), &|| self.path(before, &pair));
                continue;
            }
            let mut found = Vec::new();
            for pair in merged(ours, theirs) {
                let follow = judge(&Place::Fields(pair), &|| self.path(index, &pair));
                let (Some(Field(_, _, Kind::Type(ours), _)), Some(Field(_, _, Kind::Type(theirs), _))) =
                    (pair.reader, pair.writer)
                else {
                    continue;
                };
                if follow && depth < MAX_DEPTH {
                    found.push(Visit { reader: *ours, writer: *theirs, depth: depth + 1, from: Some((index, pair)) });
                }
            }
            for visit in found {
                due.push_back(self.visits.len());
                self.visits.push(visit);
            }
        }
        true
    }

    /// The names from the event to a field, with dots in between.
    fn path(&self, mut index: usize, pair: &Pair<'_>) -> String {
        let mut names = vec![pair.name()];
        while let Some(Visit { from: Some((before, pair)), .. }) = self.visits.get(index) {
            names.push(pair.name());
            index = *before;
        }
        names.push(self.name);
        names.reverse();
        one_line(&names.join("."))
    }
}

/// Fields of two messages with equal tags side by side. Both are in order of their tags.
fn merged<'a>(mut reader: &'a [Field], mut writer: &'a [Field]) -> Vec<Pair<'a>> {
    let mut pairs = Vec::with_capacity(reader.len().max(writer.len()));
    loop {
        let (ours, theirs) = match (reader.split_first(), writer.split_first()) {
            (None, None) => return pairs,
            (ours, theirs) => (ours, theirs),
        };
        let tag = |found: Option<(&Field, &[Field])>| found.map_or(u32::MAX, |(Field(_, tag, ..), _)| *tag);
        let (takes_ours, takes_theirs) = (tag(ours) <= tag(theirs), tag(theirs) <= tag(ours));
        let ours = ours.filter(|_| takes_ours);
        let theirs = theirs.filter(|_| takes_theirs);
        if let Some((_, rest)) = ours {
            reader = rest;
        }
        if let Some((_, rest)) = theirs {
            writer = rest;
        }
        pairs.push(Pair { reader: ours.map(|(field, _)| field), writer: theirs.map(|(field, _)| field) });
    }
}
