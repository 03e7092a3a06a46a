//! What may go into a plugin and come out of it: JSON Schemas, from its sidecar or from itself.
//!
//! Inputs come from peers, so no input may cost much: whether it fits is decided in time that grows with the input,
//! and why it does not is worked out only as far as [`Effort`](effort::Effort) says that it is affordable.

mod checks;
mod compiled;
mod effort;

pub(super) use checks::Schemas;
pub(super) use compiled::{Schema, SchemaError};
