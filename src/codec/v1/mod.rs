//! How 1.x reads a schema (protocol-buffers-schema 3.6.1, protocol-buffers 3.2.1), and what follows from that.

pub(super) mod ast;
pub(super) mod bare_fields;
pub(super) mod facts;
mod js_number;
pub(super) mod lexer;
pub(super) mod lower;
pub(super) mod parser;
