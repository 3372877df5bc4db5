//! Schemas: `.proto` text to the plan that encoders and decoders are made from.
//!
//! protox and prost-reflect decide what a schema means; nothing outside of this module names them. Text is compiled by strict
//! protobuf's rules first ([`compile()`]). Text that these refuse but hyperemitter 1.x accepted is read with 1.x's grammar and
//! rewritten (`v1`). Encoders and decoders are JavaScript (`lib/codec`) that is generated from the [`Plan`].
#![forbid(unsafe_code)]

mod build;
mod compile;
mod imports;
mod member;
mod nesting;
mod plan;
mod protox_text;
mod refusal;
mod sources;
mod v1;

pub use compile::{compile, Compiled};
pub use plan::{EnumPlan, FieldPlan, MessagePlan, Named, Plan, TypeRef};
pub use sources::Sources;

/// Largest tag that protobuf can express.
pub const MAX_TAG: u32 = (1 << 29) - 1;
