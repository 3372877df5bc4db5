//! A schema as 1.x reads it.

/// A whole file as 1.x reads it.
#[derive(Debug, Default)]
pub(crate) struct File<'a> {
    /// The file begins with `syntax = "proto3"`.
    pub proto3: bool,
    /// The package, if one is declared. If there are several, the last one counts.
    pub package: Option<&'a str>,
    /// Imports in order.
    pub imports: Vec<Import<'a>>,
    /// Top-level messages and enums.
    pub scope: Scope<'a>,
    /// Top-level `extend` blocks: 1.x adds their fields to the message of that name. It ignores nested ones.
    pub extends: Vec<Message<'a>>,
}

/// One `import`.
#[derive(Debug)]
pub(crate) struct Import<'a> {
    /// File name without quotes.
    pub file: &'a str,
    /// `public` or `weak`, which 1.x did not know.
    pub modifier: Option<&'a str>,
    /// Byte offset.
    pub at: usize,
}

/// The types declared in a file or a message.
#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    /// In source order.
    pub messages: Vec<Message<'a>>,
    /// In source order.
    pub enums: Vec<Enum<'a>>,
}

/// One message.
#[derive(Debug, Default)]
pub(crate) struct Message<'a> {
    /// Its name as written.
    pub name: &'a str,
    /// Byte offset of the name.
    pub at: usize,
    /// Nested types.
    pub scope: Scope<'a>,
    /// Fields in source order, members of oneofs among them.
    pub fields: Vec<Field<'a>>,
    /// The range of the last `extensions A to B;`.
    pub extensions: Option<(f64, f64)>,
}

/// One enum.
#[derive(Debug, Default)]
pub(crate) struct Enum<'a> {
    /// Its name as written.
    pub name: &'a str,
    /// Byte offset of the name.
    pub at: usize,
    /// Names and values as written, in source order.
    pub values: Vec<(&'a str, &'a str, usize)>,
}

/// One field.
#[derive(Debug, Clone, Default)]
pub(crate) struct Field<'a> {
    /// Its name as written.
    pub name: &'a str,
    /// Byte offset of the field.
    pub at: usize,
    /// Type name as written; of a map, the type of its values.
    pub kind: &'a str,
    /// Key type of a map.
    pub map_key: Option<&'a str>,
    /// Tag as written.
    pub tag: &'a str,
    /// `required`.
    pub required: bool,
    /// `repeated`.
    pub repeated: bool,
    /// A label was written.
    pub labelled: bool,
    /// Name of the oneof it belongs to.
    pub oneof: Option<&'a str>,
    /// `[default = …]` as written.
    pub default: Option<&'a str>,
    /// `[packed = …]` as written.
    pub packed: Option<&'a str>,
}
