//! What type names mean.

use super::{is_identifier, join, Lowering};
use crate::codec::refusal::Refusal;

/// What a type name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    Scalar(&'static str),
    Message(usize),
    Enum(usize),
    /// A type of an import, which protox resolves.
    Imported,
}

impl Lowering<'_, '_> {
    /// What `name` means in the message with 1.x id `scope`. The innermost scope is searched first, then those around it.
    pub(super) fn resolve(&self, name: &str, scope: &str, at: usize) -> Result<Meaning, Refusal> {
        if let Some(scalar) = scalar(name) {
            return Ok(Meaning::Scalar(scalar));
        }
        if let Some(absolute) = name.strip_prefix('.') {
            if let Some(found) = self.lookup(absolute).or_else(|| self.lookup_qualified(absolute)) {
                return Ok(found);
            }
        }
        let mut inner = Some(scope);
        while let Some(scope) = inner {
            if let Some(found) = self.lookup(&join(scope, name)) {
                return Ok(found);
            }
            inner = scope.rfind('.').and_then(|dot| scope.get(..dot)).or((!scope.is_empty()).then_some(""));
        }
        if let Some(found) = self.lookup_qualified(name) {
            return Ok(found);
        }
        if self.has_imports && name.strip_prefix('.').unwrap_or(name).split('.').all(is_identifier) {
            return Ok(Meaning::Imported);
        }
        let missing: Vec<String> = self.missing.iter().map(|file| format!("import {file:?} not found")).collect();
        let hint = if missing.is_empty() { String::new() } else { format!(" ({})", missing.join(", ")) };
        Err(Refusal::new(at, format!("Could not resolve {name}{hint}")))
    }

    /// Looks up a name that begins with the package, or with the last parts of it.
    fn lookup_qualified(&self, name: &str) -> Option<Meaning> {
        let package = self.file.package?;
        let suffixes =
            std::iter::once(package).chain(package.match_indices('.').filter_map(|(dot, _)| package.get(dot + 1..)));
        suffixes.filter_map(|suffix| name.strip_prefix(suffix)?.strip_prefix('.')).find_map(|rest| self.lookup(rest))
    }

    fn lookup(&self, id: &str) -> Option<Meaning> {
        let message = self.messages.get(id).copied().map(Meaning::Message);
        message.or_else(|| self.enums.get(id).copied().map(Meaning::Enum))
    }
}

/// The scalar that 1.x takes `name` for, even if a message of that name is declared.
fn scalar(name: &str) -> Option<&'static str> {
    const SCALARS: [&str; 15] = [
        "double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32",
        "sfixed64", "bool", "string", "bytes",
    ];
    if matches!(name, "varint" | "enum") {
        return Some("uint64");
    }
    SCALARS.into_iter().find(|scalar| *scalar == name)
}
