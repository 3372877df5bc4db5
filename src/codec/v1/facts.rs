//! What 1.x knows about a schema and a descriptor cannot hold: defaults as written, octal numbers read as decimal ones, names that
//! are not identifiers, tags in the reserved range. The keys are the descriptor's names.

use std::collections::HashMap;

/// Facts about every type of one file. Keys are descriptor paths without the package, such as `Outer.Inner`.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Facts about messages.
    pub messages: HashMap<String, MessageFacts>,
    /// Facts about enums.
    pub enums: HashMap<String, EnumFacts>,
}

/// One message.
#[derive(Debug, Default)]
pub(crate) struct MessageFacts {
    /// Its name as written.
    pub name: String,
    /// Another message of the same name replaces it. In 1.x the last one wins.
    pub replaced_by: Option<String>,
    /// Fields by the descriptor's field name.
    pub fields: HashMap<String, FieldFacts>,
}

/// One field.
#[derive(Debug, Default, Clone)]
pub(crate) struct FieldFacts {
    /// Its name as written.
    pub name: String,
    /// Its position in the order of encoding: as declared, extensions last.
    pub order: usize,
    /// Its tag, read as a decimal number.
    pub tag: u32,
    /// The default as written.
    pub default: Option<String>,
    /// Whether there is a `[packed = …]` with a value other than `false`.
    pub packed: bool,
    /// A map's entry name in 1.x, `Map_<key>_<value>`.
    pub map_entry: Option<String>,
    /// The type is `varint` or `enum`, which 1.x takes for uint64.
    pub is_varint: bool,
    /// Descriptor path of the enum that a map is keyed by.
    pub key_enum: Option<String>,
    /// Name of its oneof.
    pub oneof: Option<String>,
    /// proto3 without a label: standard encoding leaves zero values out.
    pub implicit: bool,
}

/// One enum.
#[derive(Debug, Default)]
pub(crate) struct EnumFacts {
    /// Its name as written.
    pub name: String,
    /// Names and values as written, in order.
    pub values: Vec<(String, String)>,
}
