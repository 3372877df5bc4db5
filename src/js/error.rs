//! Errors as JavaScript sees them: `err.code` is the core's stable code.

use napi::Status;

use crate::error::Error;

/// What napi puts into `err.code`.
#[derive(Debug)]
pub struct Code(&'static str);

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl From<Status> for Code {
    // Node-API's own complaints: lib/ calls with the right arguments, so they are defects.
    fn from(_: Status) -> Self {
        Code("ERR_HYPER_INTERNAL")
    }
}

/// Result of a synchronous call from JavaScript.
pub type Result<T, E = napi::Error<Code>> = std::result::Result<T, E>;

/// The core's error as one that napi throws.
#[must_use]
pub fn thrown(error: &Error) -> napi::Error<Code> {
    napi::Error::new(Code(error.code()), error.to_string())
}

/// A failure of Node-API itself.
#[must_use]
pub fn internal(error: &napi::Error) -> napi::Error<Code> {
    thrown(&Error::Internal(error.to_string()))
}
