//! Attacks on the real daemon, each by somebody who knows the protocol: the faults of the original by their numbers,
//! tokens, frames and handshakes that were made up, recorded or passed on, and every call in every state of a session.

pub(crate) mod channel;
pub(crate) mod fake_host;
mod frames;
mod old_faults;
mod replay;
mod states;
mod tokens;
