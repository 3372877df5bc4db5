//! Finds the fields that 1.x writes *bare*: as wire type 0 and without a length, so that they are read to the end of the buffer.
//!
//! protocol-buffers 3.2.1 compiles the messages nested in a message before it registers the outer message. Code that it generates
//! meanwhile, for the nested messages and those they refer to, treats a field of the outer type as a scalar of wire type 0. Whether
//! that happens to a field depends on the order of compilation, which is simulated here: top-level messages in order, and for each
//! of them its nested messages, then the types of its fields.

use std::collections::HashMap;

use crate::codec::plan::{MessagePlan, Named, Plan, TypeRef};

/// Names that 1.x resolves to its built-in encodings. A message with such a name is never compiled.
const BUILT_IN: [&str; 17] = [
    "bool", "bytes", "double", "enum", "fixed32", "fixed64", "float", "int32", "int64", "sfixed32", "sfixed64",
    "sint32", "sint64", "string", "uint32", "uint64", "varint",
];

/// How far 1.x has compiled a message.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    Untouched,
    /// Its nested messages are being compiled, and it is not registered yet.
    Nested,
    /// It is registered as a message.
    Known,
}

/// A message that is being compiled. The stack is explicit, because chains of types can be long.
struct Frame {
    message: usize,
    /// What is compiled before its own code: nested messages, then types of fields.
    before: Vec<usize>,
    /// How many of them are nested messages.
    nested: usize,
    next: usize,
}

/// Marks the bare fields of a plan whose text 1.x could compile.
pub(crate) fn mark(plan: &mut Plan) {
    let entries = Entries::new(plan);
    let mut progress = vec![Progress::default(); plan.messages.len()];
    let mut bare = Vec::new();
    for message in compiled(&plan.top) {
        let mut stack = Vec::new();
        enter(message, plan, &entries, &mut progress, &mut stack);
        while let Some(frame) = stack.last_mut() {
            if frame.next == frame.nested {
                set(&mut progress, frame.message, Progress::Known);
            }
            if let Some(next) = frame.before.get(frame.next).copied() {
                frame.next += 1;
                enter(next, plan, &entries, &mut progress, &mut stack);
                continue;
            }
            let owner = frame.message;
            stack.pop();
            let Some(message) = plan.messages.get(owner) else { continue };
            for (index, field) in message.fields.iter().enumerate() {
                let TypeRef::Message(kind) = field.kind else { continue };
                if progress.get(entries.shared(owner, field.map, kind)) == Some(&Progress::Nested) {
                    bare.push((owner, index));
                }
            }
        }
    }
    for (owner, index) in bare {
        if let Some(field) = plan.messages.get_mut(owner).and_then(|message| message.fields.get_mut(index)) {
            field.bare = true;
        }
    }
    entries.spread(plan);
}

fn set(progress: &mut [Progress], message: usize, to: Progress) {
    if let Some(slot) = progress.get_mut(message) {
        *slot = to;
    }
}

fn enter(index: usize, plan: &Plan, entries: &Entries, progress: &mut [Progress], stack: &mut Vec<Frame>) {
    let Some(message) = plan.messages.get(index) else { return };
    if progress.get(index) != Some(&Progress::Untouched) {
        return;
    }
    set(progress, index, Progress::Nested);
    let mut before: Vec<usize> = compiled(&message.nested).collect();
    let nested = before.len();
    before.extend(message.fields.iter().filter_map(|field| match field.kind {
        TypeRef::Message(kind) => Some(entries.shared(index, field.map, kind)),
        _ => None,
    }));
    stack.push(Frame { message: index, before, nested, next: 0 });
}

/// The messages among `named` that 1.x compiles.
fn compiled(named: &[Named]) -> impl Iterator<Item = usize> + '_ {
    named.iter().filter_map(|named| match named.kind {
        TypeRef::Message(index) if !BUILT_IN.contains(&named.name.as_str()) => Some(index),
        _ => None,
    })
}

/// Entry messages of maps. In 1.x, maps of a scope with the same key and value types share one entry message; a plan has one for
/// each map.
struct Entries {
    /// Entries by the message or, for `None`, the file that exports them, and by name.
    exported: HashMap<(Option<usize>, String), usize>,
    /// The message that a message is nested in.
    parents: HashMap<usize, usize>,
    /// The name of each entry.
    names: HashMap<usize, String>,
}

impl Entries {
    fn new(plan: &Plan) -> Self {
        let mut entries = Entries { exported: HashMap::new(), parents: HashMap::new(), names: HashMap::new() };
        for field in plan.messages.iter().flat_map(|message| &message.fields).filter(|field| field.map) {
            let TypeRef::Message(index) = field.kind else { continue };
            if let Some(entry) = plan.messages.get(index) {
                entries.names.insert(index, entry.name.clone());
            }
        }
        entries.add(None, &plan.top);
        for (index, message) in plan.messages.iter().enumerate() {
            entries.add(Some(index), &message.nested);
        }
        entries
    }

    fn add(&mut self, scope: Option<usize>, exported: &[Named]) {
        for named in exported {
            let TypeRef::Message(index) = named.kind else { continue };
            if self.names.contains_key(&index) {
                self.exported.insert((scope, named.name.clone()), index);
            } else if let Some(scope) = scope {
                self.parents.insert(index, scope);
            }
        }
    }

    /// The message that a field of `owner` refers to in 1.x: for a map the first entry of its name, searched outwards.
    fn shared(&self, owner: usize, map: bool, kind: usize) -> usize {
        let Some(name) = self.names.get(&kind).filter(|_| map) else { return kind };
        let mut scope = Some(owner);
        loop {
            if let Some(found) = self.exported.get(&(scope, name.clone())) {
                return *found;
            }
            let Some(inner) = scope else { return kind };
            scope = self.parents.get(&inner).copied();
        }
    }

    /// Copies to each entry the marks of the entry that 1.x uses instead of it.
    fn spread(&self, plan: &mut Plan) {
        let mut copies = Vec::new();
        for (owner, message) in plan.messages.iter().enumerate() {
            for field in message.fields.iter().filter(|field| field.map) {
                let TypeRef::Message(kind) = field.kind else { continue };
                let shared = self.shared(owner, true, kind);
                if shared != kind {
                    copies.push((kind, plan.messages.get(shared).is_some_and(holds_bare)));
                }
            }
        }
        for (entry, bare) in copies {
            let value = plan.messages.get_mut(entry).and_then(|entry| entry.fields.get_mut(1));
            if let Some(value) = value.filter(|value| matches!(value.kind, TypeRef::Message(_))) {
                value.bare = bare;
            }
        }
    }
}

fn holds_bare(message: &MessagePlan) -> bool {
    message.fields.iter().any(|field| field.bare)
}

#[cfg(test)]
mod tests {
    use crate::codec::{compile, Sources};

    /// `Message.field` of every bare field.
    fn bare(text: &str) -> Vec<String> {
        let plan = compile(text, &Sources::default()).unwrap().plan;
        let fields = plan.messages.iter().flat_map(|message| message.fields.iter().map(move |field| (message, field)));
        fields
            .filter(|(_, field)| field.bare)
            .map(|(message, field)| format!("{}.{}", message.name, field.name))
            .collect()
    }

    #[test]
    fn a_nested_message_that_refers_to_its_parent_does_it_bare() {
        let text = "message A { message C { optional A a = 1; } optional int32 x = 1; optional C c = 2; }";
        assert_eq!(bare(text), ["C.a"]);
    }

    #[test]
    fn so_does_a_message_that_a_nested_one_refers_to_if_it_is_declared_later() {
        let a = "message A { message C { optional D d = 1; } optional int32 x = 1; }";
        let d = "message D { optional A a = 1; }";
        assert_eq!(bare(&format!("{a} {d}")), ["D.a"]);
        assert!(bare(&format!("{d} {a}")).is_empty());
    }

    #[test]
    fn maps_written_alike_share_their_entry() {
        let text = "message A { message C { map<string, A> m = 1; } map<string, A> n = 1; optional D d = 2; } message D { map<string, A> m = 1; }";
        // A.n uses the entry that C adds to A. D.m uses the entry that A.n adds to the file.
        assert_eq!(bare(text), ["Map_string_A.value", "Map_string_A.value"]);
    }

    #[test]
    fn plain_recursion_has_lengths() {
        for text in [
            "message A { optional A a = 1; }",
            "message A { optional B b = 1; } message B { repeated A a = 1; }",
            "message A { message C { optional C c = 1; } optional C c = 2; }",
            "syntax = \"proto3\"; import \"google/protobuf/struct.proto\"; message A { google.protobuf.Struct s = 1; }",
        ] {
            assert!(bare(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn long_chains_of_types_need_no_stack() {
        let count = 20_000;
        let text: String =
            (0..count).map(|i| format!("message M{i} {{ optional M{} m = 1; }}\n", (i + 1) % count)).collect();
        assert!(bare(&text).is_empty());
    }
}
