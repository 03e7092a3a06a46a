//! Write an action or a receiver as a native executable.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Deserialize)]
//! struct Input {
//!     name: String,
//! }
//!
//! #[derive(Serialize)]
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

mod api;
mod calls;
mod context;
mod error;
mod handler;
mod serve;
mod until_eof;

pub use api::Coattail;
pub use context::{Context, Log};
pub use error::{Error, Reject, RetryLater};
pub use handler::{Plugin, action, receiver};
