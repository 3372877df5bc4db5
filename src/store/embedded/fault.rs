//! Failures of the index.

use std::fmt;
use std::io;
use std::sync::Arc;

/// The result of a call of the index.
pub(super) type Outcome<T> = std::result::Result<T, Fault>;

/// A failure of the index. The log is not affected: the index can be reopened or rebuilt.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// The system refused a call.
    System(Arc<io::Error>),
    /// Its content is not what was written, or sled failed in a way of its own.
    Content(String),
    /// The store was closed, or the index was opened anew meanwhile.
    Closed,
}

impl Fault {
    pub(super) fn content(detail: impl Into<String>) -> Self {
        Fault::Content(detail.into())
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Fault::System(Arc::new(error))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::System(error) => error.fmt(f),
            Fault::Content(detail) => f.write_str(detail),
            Fault::Closed => f.write_str("it is closed"),
        }
    }
}
