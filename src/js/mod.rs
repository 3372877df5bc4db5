//! The Node-API face: the only code that names napi.

pub mod codec;
