//! What the original did, case by case, and what this program does: a test for each file in `tests-data/legacy`.
//!
//! A case is the original's unless a table of exceptions names it, with the reason. Reasons such as `C5` are faults of
//! the original: S is security, C its command line, R robustness.

mod bearers;
pub(crate) mod data;
mod durations;
mod instance;
mod tls;
mod tokens;
