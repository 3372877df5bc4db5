//! Errors as JavaScript sees them: `err.code` is the core's stable code, details are fields (`failure` in lib/errors.js).

use napi::Status;
use serde_json::Value;

use crate::error::{Details, Error};

/// What napi puts into `err.code`.
#[derive(Debug)]
pub struct Code(&'static str);

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl From<Status> for Code {
    // Errors of Node-API itself are defects, because lib/ calls with valid arguments.
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

/// The error as JSON text: code, message, and the details that it has.
#[must_use]
pub fn json(error: &Error) -> String {
    let mut fields = serde_json::Map::new();
    fields.insert("code".into(), error.code().into());
    fields.insert("message".into(), error.to_string().into());
    let Details { system, errno, log, seq, change, path, address } = error.details();
    let details: [(&str, Option<Value>); 7] = [
        ("system", system.map(Into::into)),
        ("errno", errno.map(Into::into)),
        ("log", log.map(Into::into)),
        ("seq", seq.map(Into::into)),
        ("change", change.map(Into::into)),
        ("path", path.map(|path| path.to_string_lossy().into())),
        ("address", address.map(Into::into)),
    ];
    fields.extend(details.into_iter().filter_map(|(name, value)| Some((name.into(), value?))));
    Value::Object(fields).to_string()
}
