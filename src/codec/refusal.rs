//! Why a schema's text was refused, and where.

use crate::error::SchemaError;

/// Why text was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Byte offset in the text.
    pub at: usize,
    /// The reason.
    pub message: String,
    /// Refuse the text even if protox accepts it.
    pub always: bool,
}

impl Refusal {
    pub(crate) fn new(at: usize, message: impl Into<String>) -> Self {
        Refusal { at, message: message.into(), always: false }
    }

    pub(crate) fn always(at: usize, message: impl Into<String>) -> Self {
        Refusal { always: true, ..Refusal::new(at, message) }
    }

    /// The error that users see, for a text that is in `file`.
    pub(crate) fn in_text(&self, file: Option<String>, text: &str) -> SchemaError {
        let before = text.get(..self.at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        SchemaError {
            file,
            line: one_based(before.bytes().filter(|byte| *byte == b'\n').count()),
            column: one_based(before.get(line_start..).unwrap_or("").chars().count()),
            message: self.message.clone(),
        }
    }
}

/// A line or column as users count it.
pub(crate) fn one_based(zero_based: usize) -> u32 {
    u32::try_from(zero_based).unwrap_or(u32::MAX).saturating_add(1)
}
