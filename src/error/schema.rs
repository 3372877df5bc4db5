//! Errors in the text of a schema.

use std::fmt;

/// Where and why schema text was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaError {
    /// File name, where there is one.
    pub file: Option<String>,
    /// Line from 1, 0 when unknown.
    pub line: u32,
    /// Column from 1, 0 when unknown.
    pub column: u32,
    /// The cause.
    pub message: String,
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        f.write_str(&self.message)
    }
}
