//! Schemas: `.proto` text to the plan that encoders and decoders are made from.
//!
//! protox and prost-reflect are the authority and stay in this module. Text is compiled strictly first; what strict
//! protobuf refuses but hyperemitter 1.x accepted goes through the 1.x dialect. The encoders
//! themselves are generated JavaScript (`lib/codec`), made from the same [`Plan`].
#![forbid(unsafe_code)]

mod bare;
mod build;
mod dialect;
mod facts;
mod imports;
mod legacy;
mod lexer;
mod nesting;
mod normal;
mod plan;
mod schema;

pub use plan::{EnumPlan, FieldPlan, MessagePlan, Named, Plan, TypeRef};
pub use schema::{compile, Compiled, Sources};

/// Largest tag that protobuf can express.
pub const MAX_TAG: u32 = (1 << 29) - 1;
