//! A two-way JSON-RPC 2.0 session over lines of text: one engine for peers, plugins and the control socket.
//!
//! Frames are one JSON object per line ([`LineCodec`]). Those with a `method` go to a table of methods ([`Service`]),
//! those without one answer a call of ours. Both sides write through one bounded queue.
//!
//! The table and the types of the envelope are jsonrpsee's. The calls out are our own bookkeeping, because
//! jsonrpsee's client ends at the first answer to a call it does not know, hides the ids that cancellation
//! needs, and has a time limit of its own.

mod deadline;
mod encode;
mod error;
mod frame;
mod gate;
mod heard;
mod line;
mod memory;
mod pace;
mod pending;
mod service;
mod session;
mod stdio;

pub use deadline::Deadline;
pub use error::{CallError, Ended};
#[doc(hidden)]
pub use frame::is_frame;
pub use frame::{MAX_DEPTH, is_deeper_than};
pub use gate::Admission;
pub use line::{Limit, Line, LineCodec, LineError};
pub use memory::pair;
pub use pace::Pace;
pub use service::{Facts, Service, Stray};
pub use session::{Limits, Session};
pub use stdio::{Stdio, claim_stdio};
