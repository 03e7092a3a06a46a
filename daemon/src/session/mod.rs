//! Authenticated two-way sessions with peers: the handshake, who is at the other end, and which sessions are open.
//!
//! Knows nothing of what the methods of a peer do: their table is handed down.

mod accept;
mod caller;
mod handshake;
mod open;
mod probe;
mod proof;
mod registry;
mod target;
mod vigil;
mod whereabouts;

pub(crate) use caller::Caller;
pub(crate) use registry::{OwnKeys, SessionSettings, Sessions};
pub(crate) use target::Target;
