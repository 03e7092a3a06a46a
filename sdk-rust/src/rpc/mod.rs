//! A two-way JSON-RPC 2.0 session over lines of text: one engine for peers, plugins and the control socket.
//!
//! Frames are one JSON object per line ([`LineCodec`]). Those with a `method` go to a table of methods ([`Service`]),
//! those without one answer a call of ours. Both sides write through one bounded queue. One task does all of it, so that
//! what comes together is handled, answered and written together.
//!
//! The types of the envelope are jsonrpsee's. The calls out are our own bookkeeping, because jsonrpsee's client ends at
//! the first answer to a call it does not know, hides the ids that cancellation needs, and has a time limit of its own;
//! so is the table, because jsonrpsee's copies each request and reads each answer that it has written once more.

mod deadline;
mod encode;
mod error;
mod facts;
mod frame;
mod gate;
mod handlers;
mod heard;
mod id;
mod line;
mod memory;
mod outbox;
mod pace;
mod pending;
mod service;
mod session;
mod stdio;

pub use deadline::Deadline;
pub use error::{CallError, Ended};
pub use facts::Facts;
#[doc(hidden)]
pub use frame::is_frame;
pub use frame::{MAX_DEPTH, is_deeper_than};
pub use gate::Admission;
pub use line::{Limit, Line, LineCodec, LineError};
pub use memory::pair;
pub use pace::Pace;
pub use service::{Service, Stray};
pub use session::{Limits, Session};
pub use stdio::{Stdio, claim_stdio};
