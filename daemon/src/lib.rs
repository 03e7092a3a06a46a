//! The Coattail daemon as a library.

pub mod store;
