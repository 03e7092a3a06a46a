//! The Coattail API for Rust.
//!
//! # An action
//!
//! An executable in `actions/` of an instance. What it takes and returns are types; their JSON Schemas are shown to
//! callers and checked at every call. Its crate needs `coattail`, `serde`, and `schemars` for the derives.
//!
//! ```no_run
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! struct Input {
//!     text: String,
//! }
//!
//! fn main() -> coattail::Result<()> {
//!     coattail::plugin::action(|input: Input, _| async move { Ok(input.text.split_whitespace().count()) }).serve()
//! }
//! ```
//!
//! # A receiver
//!
//! An executable in `receivers/`, which is called with what a peer publishes.
//!
//! ```no_run
//! fn main() -> coattail::Result<()> {
//!     coattail::plugin::receiver(|count: u64, context| async move {
//!         context.log().info(format!("{count} words"));
//!         Ok(())
//!     })
//!     .serve()
//! }
//! ```
//!
//! # A client
//!
//! Any other program asks the service of an instance on its machine. The same [`Coattail`] is in the context of actions
//! and receivers.
//!
//! ```no_run
//! use coattail::{Client, Said};
//!
//! # async fn example() -> coattail::Result<()> {
//! let client = Client::connect("office").await?;
//! let words: u64 = client.coattail().perform("Count", &serde_json::json!({ "text": "as you like it" })).await?;
//!
//! let show = |said: Said| eprintln!("{said:?}");
//! let done = client.coattail().call("Primes").input(&1_000_000).follow(show).perform().await?;
//! let primes: u64 = done.read()?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is where
//!
//! * [`plugin`]: actions and receivers as native executables.
//! * [`api`]: what they, and clients, may ask of a daemon.
//! * [`name`], [`id`], [`address`], [`key`], [`filter`], [`recipient`]: the words both ends agree on, parsed once and valid ever after.
//! * [`secret`]: a token, which is never shown by accident.
//! * [`wire`]: every method of every wire, as types.
//! * [`rpc`]: a two-way JSON-RPC session over lines of text; one engine for peers, plugins and the
//!   control socket.
//! * [`control`]: connects to the daemon of an instance on this machine.
//!
//! This crate is floor 0 of the architecture: it knows nothing of the daemon.
#![deny(missing_docs)]

pub mod address;
pub mod api;
mod client;
pub mod control;
pub mod filter;
pub mod id;
pub mod key;
#[doc(hidden)] // What a macro expands to, in tests.
pub mod kill_points;
pub mod name;
pub mod plugin;
pub mod pointer;
pub mod recipient;
pub mod rpc;
pub mod secret;
pub mod wire;

pub use api::{Coattail, Said};
pub use client::Client;

/// The result of what can fail with a [`Failure`](wire::Failure).
pub type Result<T, E = wire::Failure> = std::result::Result<T, E>;
