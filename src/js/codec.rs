//! Schemas for JavaScript: text in, plan out. Encoding itself is generated JavaScript (`lib/codec`).

use napi_derive::napi;

use crate::codec::{compile, Compiled, Sources};
use crate::error::{Error, Result};
use crate::panic::caught;
use crate::schema;

/// An error with one of the core's codes; `napi::Error` puts its status into `err.code`.
type Coded = napi::Error<String>;

/// Compiles schema text to its plan, as JSON.
///
/// `sources` is the JSON form of [`Sources`]: `{ file, files, directories }`, all optional.
///
/// # Errors
/// `ERR_HYPER_SCHEMA` with line, column and cause; `ERR_HYPER_INVALID_ARG` for unreadable `sources`.
#[napi(js_name = "compileSchema")]
pub fn compile_schema(text: String, sources: Option<String>) -> napi::Result<String, String> {
    guarded(|| {
        let compiled = compile_text(&text, sources.as_deref())?;
        serde_json::to_string(&compiled.plan).map_err(|error| Error::Internal(format!("the plan is not JSON: {error}")))
    })
}

fn compile_text(text: &str, sources: Option<&str>) -> Result<Compiled> {
    let sources: Sources = match sources {
        None => Sources::default(),
        Some(json) => {
            serde_json::from_str(json).map_err(|error| Error::InvalidArgument(format!("include: {error}")))?
        }
    };
    compile(text, &sources)
}

/// Adds forms of events to the record. Returns the new text of the record, or nothing if it stays as it is.
///
/// # Errors
/// `ERR_HYPER_INVALID_ARG` if either text cannot be read, or the record would become too large.
#[napi(js_name = "recordSchemas")]
pub fn record_schemas(stored: String, used: String) -> napi::Result<Option<String>, String> {
    guarded(|| schema::record(&stored, &used))
}

/// The fields of a record that a schema cannot read, as JSON: `{ first: [{ path, was, is }], more }`. Of the names that the schema
/// does not have, those in `missing` are listed.
///
/// # Errors
/// `ERR_HYPER_INVALID_ARG` if either text cannot be read.
#[napi(js_name = "schemaDifferences")]
pub fn schema_differences(stored: String, ours: String, missing: Vec<String>) -> napi::Result<String, String> {
    guarded(|| {
        let found = schema::stored_differences(&stored, &ours, &missing)?;
        serde_json::to_string(&found).map_err(|error| Error::Internal(format!("differences are not JSON: {error}")))
    })
}

/// A panic must not cross into C; it becomes an internal error.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> napi::Result<T, String> {
    caught("the schema compiler", work).map_err(|error| Coded::new(error.code().to_owned(), error.to_string()))
}
