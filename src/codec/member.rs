//! What a message consists of, as descriptors declare it.

use prost_reflect::prost_types::FieldDescriptorProto;
use prost_reflect::{Cardinality, ExtensionDescriptor, FieldDescriptor, Kind};

/// A declared field or a top-level extension of a message.
pub(super) enum Member {
    Field(FieldDescriptor),
    Extension(ExtensionDescriptor),
}

/// What the descriptors of fields and of extensions have in common.
pub(super) struct Declared<'d> {
    pub name: &'d str,
    pub json: &'d str,
    pub number: u32,
    pub kind: Kind,
    pub cardinality: Cardinality,
    pub map: bool,
    pub group: bool,
    /// By the rules of standard protobuf.
    pub packed: bool,
    pub presence: bool,
    pub proto: &'d FieldDescriptorProto,
}

impl Member {
    pub fn declared(&self) -> Declared<'_> {
        match self {
            Member::Field(f) => Declared {
                name: f.name(),
                json: f.json_name(),
                number: f.number(),
                kind: f.kind(),
                cardinality: f.cardinality(),
                map: f.is_map(),
                group: f.is_group(),
                packed: f.is_packed(),
                presence: f.supports_presence(),
                proto: f.field_descriptor_proto(),
            },
            Member::Extension(f) => Declared {
                name: f.name(),
                json: f.json_name(),
                number: f.number(),
                kind: f.kind(),
                cardinality: f.cardinality(),
                map: f.is_map(),
                group: f.is_group(),
                packed: f.is_packed(),
                presence: f.supports_presence(),
                proto: f.field_descriptor_proto(),
            },
        }
    }
}
