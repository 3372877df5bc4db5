//! Builds the plan from a descriptor and 1.x's facts.

use std::collections::{HashMap, HashSet};

use prost_reflect::{
    Cardinality, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};

use super::member::{Declared, Member};
use super::plan::{EnumPlan, FieldPlan, MessagePlan, Named, Plan, TypeRef};
use super::v1::bare_fields;
use super::v1::facts::{Facts, FieldFacts, MessageFacts};

/// Builds the plan of `file`. `facts` is what 1.x knows about the text; it is empty if 1.x could not read it.
pub(crate) fn build(file: &FileDescriptor, facts: &Facts) -> Plan {
    let mut builder = Builder {
        file: file.clone(),
        prefix: match file.package_name() {
            "" => String::new(),
            package => format!("{package}."),
        },
        facts,
        messages: Vec::new(),
        enums: Vec::new(),
        message_index: HashMap::new(),
        enum_index: HashMap::new(),
        mentioned: Vec::new(),
        drained: 0,
        extensions: HashMap::new(),
    };
    for extension in file.extensions() {
        let extended = extension.containing_message().full_name().to_owned();
        builder.extensions.entry(extended).or_default().push(extension);
    }
    let mut top: Vec<Named> = file.enums().map(|descriptor| builder.named_enum(&descriptor)).collect();
    let declared: Vec<MessageDescriptor> = file.messages().collect();
    let mut messages: Vec<Named> = declared.iter().map(|descriptor| builder.named_message(descriptor)).collect();
    builder.add_map_entries(&declared, &mut messages);
    top.append(&mut messages);
    builder.drain();
    // 1.x does not resolve imported names.
    let known_to_v1 = !facts.messages.is_empty() && !builder.mentions_imported();
    builder.add_imported();
    let mut plan = Plan { top, messages: builder.messages.into_iter().flatten().collect(), enums: builder.enums };
    if known_to_v1 {
        bare_fields::mark(&mut plan);
    }
    plan
}

struct Builder<'f> {
    file: FileDescriptor,
    /// The package and a dot; empty without a package.
    prefix: String,
    facts: &'f Facts,
    /// Plans of the mentioned messages; `None` until a plan is made.
    messages: Vec<Option<MessagePlan>>,
    enums: Vec<EnumPlan>,
    message_index: HashMap<String, usize>,
    enum_index: HashMap<String, usize>,
    /// Every message that was mentioned, by index.
    mentioned: Vec<MessageDescriptor>,
    /// How many of these have been planned so far, in order.
    drained: usize,
    /// Top-level extensions, by the qualified name of what they extend.
    extensions: HashMap<String, Vec<ExtensionDescriptor>>,
}

impl Builder<'_> {
    /// Plans every message that has been mentioned, until none is left.
    fn drain(&mut self) {
        while self.drained < self.mentioned.len() {
            self.drain_one(self.drained);
            self.drained += 1;
        }
    }

    /// Plans the mentioned message `index`, unless that was done already.
    fn drain_one(&mut self, index: usize) {
        let Some((descriptor, None)) = self.mentioned.get(index).cloned().zip(self.messages.get(index)) else { return };
        let plan = self.message(&descriptor);
        if let Some(slot) = self.messages.get_mut(index) {
            *slot = Some(plan);
        }
    }

    fn mentions_imported(&self) -> bool {
        let own = |parent: FileDescriptor| parent == self.file;
        let pool = self.file.parent_pool();
        !self.message_index.keys().all(|name| pool.get_message_by_name(name).is_some_and(|m| own(m.parent_file())))
            || !self.enum_index.keys().all(|name| pool.get_enum_by_name(name).is_some_and(|e| own(e.parent_file())))
    }

    /// An `Any` may hold every message of the imports, so then all of them count as mentioned.
    fn add_imported(&mut self) {
        if !self.message_index.contains_key("google.protobuf.Any") {
            return;
        }
        let (pool, own) = (self.file.parent_pool().clone(), self.file.clone());
        for descriptor in pool.all_messages().filter(|each| each.parent_file() != own && !each.is_map_entry()) {
            self.message_ref(&descriptor);
        }
        self.drain();
    }

    fn message_ref(&mut self, descriptor: &MessageDescriptor) -> usize {
        if let Some(index) = self.message_index.get(descriptor.full_name()) {
            return *index;
        }
        let index = self.messages.len();
        self.messages.push(None);
        self.message_index.insert(descriptor.full_name().to_owned(), index);
        self.mentioned.push(descriptor.clone());
        index
    }

    fn enum_ref(&mut self, descriptor: &EnumDescriptor) -> usize {
        if let Some(index) = self.enum_index.get(descriptor.full_name()) {
            return *index;
        }
        let index = self.enums.len();
        let standard: Vec<(String, i32)> = {
            // As declared; `values()` sorts by number.
            let declared = &descriptor.enum_descriptor_proto().value;
            declared.iter().map(|value| (value.name().to_owned(), value.number())).collect()
        };
        let plan = match self.path(descriptor.full_name()).and_then(|path| self.facts.enums.get(path)) {
            Some(facts) => EnumPlan {
                name: facts.name.clone(),
                full: self.written(descriptor.parent_message(), descriptor.full_name(), &facts.name),
                values: facts.values.clone(),
                // The lowered text holds made-up names, in the same order.
                standard: facts
                    .values
                    .iter()
                    .zip(&standard)
                    .map(|((name, _), (_, number))| (name.clone(), *number))
                    .collect(),
            },
            None => EnumPlan {
                name: descriptor.name().to_owned(),
                full: self.written(descriptor.parent_message(), descriptor.full_name(), descriptor.name()),
                values: standard.iter().map(|(name, number)| (name.clone(), number.to_string())).collect(),
                standard,
            },
        };
        self.enums.push(plan);
        self.enum_index.insert(descriptor.full_name().to_owned(), index);
        index
    }

    /// The key of the facts about a type of this file. There are none about imported types.
    fn path<'n>(&self, full_name: &'n str) -> Option<&'n str> {
        full_name.strip_prefix(self.prefix.as_str())
    }

    /// The qualified name of a type that is written `name`, with the names that it and its parents had before lowering.
    fn written(&self, parent: Option<MessageDescriptor>, full_name: &str, name: &str) -> String {
        let scope = parent.map(|parent| {
            let facts = self.path(parent.full_name()).and_then(|path| self.facts.messages.get(path));
            self.written(parent.parent_message(), parent.full_name(), facts_name(facts, &parent))
        });
        let scope = scope.or_else(|| full_name.rsplit_once('.').map(|(package, _)| package.to_owned()));
        scope.map_or_else(|| name.to_owned(), |scope| format!("{scope}.{name}"))
    }

    fn named_enum(&mut self, descriptor: &EnumDescriptor) -> Named {
        let index = self.enum_ref(descriptor);
        let name = self.enums.get(index).map_or_else(String::new, |plan| plan.name.clone());
        Named { name, kind: TypeRef::Enum(index) }
    }

    fn named_message(&mut self, descriptor: &MessageDescriptor) -> Named {
        let path = self.path(descriptor.full_name());
        let facts = path.and_then(|path| self.facts.messages.get(path));
        let name = facts.map_or_else(|| descriptor.name().to_owned(), |facts| facts.name.clone());
        let replacement = facts.and_then(|facts| facts.replaced_by.as_ref()).and_then(|path| {
            let pool = self.file.parent_pool().clone();
            pool.get_message_by_name(&format!("{}{path}", self.prefix))
        });
        let index = self.message_ref(&replacement.unwrap_or_else(|| descriptor.clone()));
        Named { name, kind: TypeRef::Message(index) }
    }

    /// 1.x exports the entry of each map beside the message that holds it, as `Map_<key>_<value>`, once per name.
    fn add_map_entries(&mut self, declared: &[MessageDescriptor], named: &mut Vec<Named>) {
        let mut seen: HashSet<String> = named.iter().map(|named| named.name.clone()).collect();
        for message in declared {
            for (field, facts) in self.members(message) {
                let Member::Field(field) = field else { continue };
                let Kind::Message(entry) = field.kind() else { continue };
                if !field.is_map() {
                    continue;
                }
                let name = facts.and_then(|facts| facts.map_entry).unwrap_or_else(|| map_entry_name(&entry));
                if seen.insert(name.clone()) {
                    let index = self.message_ref(&entry);
                    named.push(Named { name, kind: TypeRef::Message(index) });
                }
            }
        }
    }

    /// Fields and top-level extensions in 1.x's order.
    fn members(&self, message: &MessageDescriptor) -> Vec<(Member, Option<FieldFacts>)> {
        let facts = self.path(message.full_name()).and_then(|path| self.facts.messages.get(path));
        let own = message
            .descriptor_proto()
            .field
            .iter()
            .filter_map(|proto| message.get_field_by_name(proto.name()))
            .map(Member::Field);
        let added = self.extensions.get(message.full_name()).into_iter().flatten().cloned().map(Member::Extension);
        let mut members: Vec<(Member, Option<FieldFacts>)> = own
            .chain(added)
            .map(|member| {
                let facts = facts.and_then(|facts| facts.fields.get(member.declared().name)).cloned();
                (member, facts)
            })
            .collect();
        members.sort_by_key(|(_, facts)| facts.as_ref().map_or(usize::MAX, |facts| facts.order));
        members
    }

    fn message(&mut self, descriptor: &MessageDescriptor) -> MessagePlan {
        let path = self.path(descriptor.full_name());
        let facts = path.and_then(|path| self.facts.messages.get(path));
        let name = facts.map(|facts| facts.name.clone());
        let name = name.unwrap_or_else(|| {
            if descriptor.is_map_entry() {
                map_entry_name(descriptor)
            } else {
                descriptor.name().to_owned()
            }
        });
        let declared: Vec<MessageDescriptor> =
            descriptor.child_messages().filter(|child| !child.is_map_entry()).collect();
        let mut nested: Vec<Named> = declared.iter().map(|child| self.named_message(child)).collect();
        self.add_map_entries(&declared, &mut nested);
        nested.extend(descriptor.child_enums().map(|child| self.named_enum(&child)).collect::<Vec<_>>());
        let mut names = HashSet::new();
        let mut oneofs: Vec<String> = Vec::new();
        let mut fields = Vec::new();
        for (member, facts) in self.members(descriptor) {
            let oneof = match (&member, &facts) {
                (_, Some(facts)) => facts.oneof.clone(),
                (Member::Field(field), None) => {
                    field.containing_oneof().filter(|oneof| !oneof.is_synthetic()).map(|oneof| oneof.name().to_owned())
                }
                _ => None,
            };
            let oneof = oneof.map(|name| {
                oneofs.iter().position(|known| *known == name).unwrap_or_else(|| {
                    oneofs.push(name);
                    oneofs.len() - 1
                })
            });
            let mut plan = self.field(&member, facts.as_ref());
            plan.oneof = oneof;
            if let (false, Member::Extension(extension)) = (names.insert(plan.name.clone()), &member) {
                // This is how protobuf's JSON names extensions.
                plan.name = format!("[{}]", extension.full_name());
                plan.json.clone_from(&plan.name);
            }
            fields.push(plan);
        }
        let full = self.written(descriptor.parent_message(), descriptor.full_name(), facts_name(facts, descriptor));
        MessagePlan { name, full, nested, oneofs, fields }
    }

    fn field(&mut self, member: &Member, facts: Option<&FieldFacts>) -> FieldPlan {
        let Declared { name, json, number, kind, cardinality, map, group, packed, presence, proto } = member.declared();
        let repeated = cardinality == Cardinality::Repeated;
        let mut kind = self.kind(&kind);
        if facts.is_some_and(|facts| facts.is_varint) && !map {
            kind = TypeRef::Scalar("uint64");
        }
        if let (true, Some(facts), TypeRef::Message(entry)) = (map, facts, kind) {
            self.plan_map_entry(entry, facts);
        }
        let declared_packed = proto.options.as_ref().and_then(|options| options.packed).unwrap_or(false);
        let name = facts.map_or_else(|| name.to_owned(), |facts| facts.name.clone());
        let standard_default = proto.default_value.clone().map(|text| self.default_name(text, kind));
        FieldPlan {
            json: if facts.is_some_and(|facts| facts.name != proto.name()) { name.clone() } else { json.to_owned() },
            tag: facts.map_or(number, |facts| facts.tag),
            standard_tag: facts
                .filter(|facts| facts.tag != number && !(19_000..=19_999).contains(&facts.tag))
                .map(|_| number),
            kind,
            required: cardinality == Cardinality::Required,
            repeated,
            map,
            group,
            packed: repeated && facts.map_or(declared_packed, |facts| facts.packed),
            standard_packed: packed,
            implicit: facts.map_or(!presence && !repeated, |facts| {
                facts.implicit && !repeated && !matches!(kind, TypeRef::Message(_))
            }),
            oneof: None,
            bare: false,
            // 1.x could not read the text, so its rules are applied to the descriptor.
            default: match facts {
                Some(facts) => facts.default.clone(),
                None => standard_default.clone().map(|text| match kind {
                    TypeRef::Scalar("string") => serde_json::Value::String(text).to_string(),
                    _ => text,
                }),
            },
            standard_default,
            name,
        }
    }

    /// The entry of a map that 1.x can read: its name, and a key that is an enum.
    fn plan_map_entry(&mut self, entry: usize, facts: &FieldFacts) {
        self.drain_one(entry);
        let key_enum = facts.key_enum.as_ref().and_then(|path| {
            let pool = self.file.parent_pool().clone();
            pool.get_enum_by_name(&format!("{}{path}", self.prefix))
        });
        let key = key_enum.map(|descriptor| TypeRef::Enum(self.enum_ref(&descriptor)));
        let Some(Some(plan)) = self.messages.get_mut(entry) else { return };
        if let Some(name) = &facts.map_entry {
            plan.name.clone_from(name);
        }
        if let (Some(key), Some(field)) = (key, plan.fields.first_mut()) {
            field.kind = key;
        }
    }

    /// The name of an enum default as it was written before lowering.
    fn default_name(&self, text: String, kind: TypeRef) -> String {
        let TypeRef::Enum(index) = kind else { return text };
        let Some(plan) = self.enums.get(index) else { return text };
        if plan.values.iter().any(|(name, _)| *name == text) {
            return text;
        }
        let position = text.rsplit_once('_').and_then(|(_, position)| position.parse::<usize>().ok());
        position.and_then(|position| plan.values.get(position)).map_or(text, |(name, _)| name.clone())
    }

    fn kind(&mut self, kind: &Kind) -> TypeRef {
        TypeRef::Scalar(match kind {
            Kind::Message(descriptor) => return TypeRef::Message(self.message_ref(descriptor)),
            Kind::Enum(descriptor) => return TypeRef::Enum(self.enum_ref(descriptor)),
            Kind::Double => "double",
            Kind::Float => "float",
            Kind::Int32 => "int32",
            Kind::Int64 => "int64",
            Kind::Uint32 => "uint32",
            Kind::Uint64 => "uint64",
            Kind::Sint32 => "sint32",
            Kind::Sint64 => "sint64",
            Kind::Fixed32 => "fixed32",
            Kind::Fixed64 => "fixed64",
            Kind::Sfixed32 => "sfixed32",
            Kind::Sfixed64 => "sfixed64",
            Kind::Bool => "bool",
            Kind::String => "string",
            Kind::Bytes => "bytes",
        })
    }
}

/// A message's simple name, as written.
fn facts_name<'n>(facts: Option<&'n MessageFacts>, descriptor: &'n MessageDescriptor) -> &'n str {
    facts.map_or_else(|| descriptor.name(), |facts| facts.name.as_str())
}

/// `Map_<key>_<value>` for a map that 1.x could not read.
fn map_entry_name(entry: &MessageDescriptor) -> String {
    let part = |field: Option<FieldDescriptor>| match field.map(|field| field.kind()) {
        Some(Kind::Message(message)) => message.name().to_owned(),
        Some(Kind::Enum(descriptor)) => descriptor.name().to_owned(),
        Some(kind) => format!("{kind:?}"),
        None => String::new(),
    };
    format!("Map_{}_{}", part(entry.get_field(1)), part(entry.get_field(2)))
}
