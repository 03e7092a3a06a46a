//! Types for callers, in TypeScript and in Python, from the JSON Schemas of actions.
//!
//! `read` turns schemas into a [`Module`](model::Module), which knows no language; `typescript` and `python` write it.
//! Schemas come from peers: every name, comment and text of theirs goes through `text` and `names`, so that nothing of
//! it can become code.

mod model;
mod names;
mod python;
mod read;
mod text;
mod typescript;

#[cfg(test)]
mod tests;

pub(crate) use python::python;
pub(crate) use read::{Described, read};
pub(crate) use typescript::typescript;
