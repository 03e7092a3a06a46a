//! The Coattail daemon as a library.

pub mod config;
pub mod instance;
pub mod keys;
pub mod store;
pub mod tokens;
