//! The one description that encoders and decoders are made from, exported to JavaScript as JSON.
//!
//! It holds 1.x's reading (declaration order, raw defaults, packing only where written) beside the standard one
//! (implicit presence, standard packing, typed defaults), so both encodings follow from one plan.

use serde::Serialize;

/// A compiled schema.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What the `messages` object holds, in key order: enums, messages, map entries.
    pub top: Vec<Named>,
    /// Every message that is reachable; [`TypeRef::Message`] is an index here.
    pub messages: Vec<MessagePlan>,
    /// Every enum that is reachable; [`TypeRef::Enum`] is an index here.
    pub enums: Vec<EnumPlan>,
}

/// A type under the name it is exported by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The key.
    pub name: String,
    /// The message or enum.
    #[serde(rename = "type")]
    pub kind: TypeRef,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TypeRef {
    /// A protobuf scalar, by its name.
    Scalar(&'static str),
    /// Index into [`Plan::messages`].
    Message(usize),
    /// Index into [`Plan::enums`].
    Enum(usize),
}

/// One message.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MessagePlan {
    /// Simple name, as written.
    pub name: String,
    /// Qualified name, as written.
    pub full: String,
    /// Nested types in key order: messages, map entries, enums.
    pub nested: Vec<Named>,
    /// Names of its oneofs, in order of first mention.
    pub oneofs: Vec<String>,
    /// Fields in declaration order, which is the order of encoding in 1.x.
    pub fields: Vec<FieldPlan>,
}

/// One enum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EnumPlan {
    /// Simple name, as written.
    pub name: String,
    /// Qualified name, as written.
    pub full: String,
    /// Names and values as written: JavaScript reads the numbers, as 1.x did.
    pub values: Vec<(String, String)>,
    /// Names and values by protobuf's rules (octal numbers differ).
    pub standard: Vec<(String, i32)>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldPlan {
    /// Name, as written.
    pub name: String,
    /// Name in protobuf JSON.
    pub json: String,
    /// Tag, from 1 to 2^29 - 1.
    pub tag: u32,
    /// Tag by protobuf's rules, when it differs (an octal literal).
    #[serde(rename = "standardTag", skip_serializing_if = "Option::is_none")]
    pub standard_tag: Option<u32>,
    /// What it holds; of a map, its entry message.
    #[serde(rename = "type")]
    pub kind: TypeRef,
    /// `required`.
    pub required: bool,
    /// `repeated`, maps included.
    pub repeated: bool,
    /// A map.
    pub map: bool,
    /// A group: standard encoding delimits it with tags.
    pub group: bool,
    /// Packed in 1.x: only where the schema says so.
    pub packed: bool,
    /// Packed in standard encoding.
    #[serde(rename = "standardPacked")]
    pub standard_packed: bool,
    /// No presence: standard encoding leaves zero values out.
    pub implicit: bool,
    /// Index into [`MessagePlan::oneofs`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oneof: Option<usize>,
    /// A message that 1.x writes as wire type 0 and without its length, by an accident of recursive schemas.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
    /// Default as written, which 1.x evaluates in its own way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Default as a descriptor holds it: text; enums by value name.
    #[serde(rename = "standardDefault", skip_serializing_if = "Option::is_none")]
    pub standard_default: Option<String>,
}
