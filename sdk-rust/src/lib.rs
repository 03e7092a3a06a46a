//! The Coattail API for Rust.
//!
//! * [`name`], [`id`], [`address`]: the words both ends agree on, parsed once and valid ever after.
//! * [`secret`]: a token, which is never shown by accident.
//! * [`wire`]: every method of every wire, as types.
//! * [`rpc`]: a two-way JSON-RPC session over lines of text; one engine for peers, plugins and the
//!   control socket.
//! * [`plugin`]: write an action or a receiver as a native executable.
//! * [`control`]: talk to the daemon of an instance on this machine.
//!
//! This crate is floor 0 of the architecture: it knows nothing of the daemon.
#![deny(missing_docs)]

pub mod address;
pub mod control;
pub mod id;
pub mod key;
pub mod name;
pub mod plugin;
pub mod rpc;
pub mod secret;
pub mod wire;

/// The result of what can fail with a [`Failure`](wire::Failure).
pub type Result<T, E = wire::Failure> = std::result::Result<T, E>;
