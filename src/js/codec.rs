//! Schemas for JavaScript: text in, plan out. Encoding itself is generated JavaScript (`lib/codec`).

use napi_derive::napi;

use crate::codec::{compile, Compiled, Sources};
use crate::error::{Error, Result};
use crate::panic::caught;

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

/// A panic must not cross into C; it becomes an internal error.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> napi::Result<T, String> {
    caught("the schema compiler", work).map_err(|error| Coded::new(error.code().to_owned(), error.to_string()))
}
