//! Where a schema and its imports come from.

use std::collections::HashMap;
use std::path::PathBuf;

/// Where imports are found. The well-known types are always there.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sources {
    /// Name of the schema itself, for errors.
    pub file: Option<String>,
    /// Files by import path.
    pub files: HashMap<String, String>,
    /// Directories, searched in order after `files`.
    pub directories: Vec<PathBuf>,
}
