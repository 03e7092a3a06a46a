//! Write an action or a receiver as a native executable.
//!
//! ```no_run
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize, JsonSchema)]
//! struct Input {
//!     name: String,
//! }
//!
//! #[derive(Serialize, JsonSchema)]
//! struct Output {
//!     greeting: String,
//! }
//!
//! fn main() -> coattail::Result<()> {
//!     coattail::plugin::action(|input: Input, context| async move {
//!         context.log().info(format!("greeting {}", input.name));
//!         Ok(Output { greeting: format!("Hello, {}", input.name) })
//!     })
//!     .serve()
//! }
//! ```
//!
//! Put the executable into `actions/`, or into `receivers/` for a [`receiver`]. The daemon starts it at the
//! first call and gives it many calls at once. Whatever it prints is logged.
//!
//! A receiver that cannot go on now says when to try again, and one that never will says so, too:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use coattail::plugin::{Reject, RetryLater, receiver};
//! use serde_json::Value;
//!
//! # fn is_open() -> bool { true }
//! fn main() -> coattail::Result<()> {
//!     receiver(|order: Value, context| async move {
//!         let Some(item) = order["item"].as_str() else { return Err(Reject("an order has an item".into()).into()) };
//!         if !is_open() {
//!             return Err(RetryLater::new("the shop is closed").after(Duration::from_hours(8)).into());
//!         }
//!         let from = context.source().map(|source| source.issuer);
//!         context.log().info(format!("{item} for {from:?}"));
//!         Ok(())
//!     })
//!     .serve()
//! }
//! ```

mod calls;
mod context;
mod error;
mod handler;
mod schema;
mod serve;
mod until_eof;

pub use context::{Context, Log};
pub use error::{Error, Reject, RetryLater};
pub use handler::{Plugin, action, receiver};
pub use schema::NoSchema;
