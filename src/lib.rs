//! hyperemitter's core: a persistent, replicated event log on a Merkle DAG.
//!
//! Dependency rule, inwards only: `node`, `os_error`, `quoted`, `varint` ← `error` ← `panic`, `event`, `identity`, `schema` ← `row`, `store`,
//! `protocol`, `codec` ← `hyperlog` ← `net` ← `emitter` ← `js`. Only `js` names Node-API; it is compiled only with the feature
//! `js`.
#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod branch;
pub mod codec;
pub mod emitter;
pub mod error;
pub mod event;
pub mod hyperlog;
pub mod identity;
pub mod incoming;
#[cfg(feature = "js")]
pub mod js;
pub mod net;
pub mod node;
pub mod os_error;
pub mod panic;
pub mod protocol;
pub mod query;
pub mod quoted;
pub mod row;
pub mod schema;
pub mod store;
pub mod varint;
