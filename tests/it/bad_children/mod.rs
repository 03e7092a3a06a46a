//! Programs that do everything wrong, in every language: their own calls end as they should and say why, nobody else
//! notices, and nothing of them is left.
//!
//! What each does is a program of a few lines in `programs/`; those in Rust are the `misdeeds` of the fixture plugin.

mod check;
mod left;
mod service;
mod table;
