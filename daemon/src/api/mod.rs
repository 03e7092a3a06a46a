//! The tables of methods: each handler converts, authorizes, calls, converts.

mod control;
mod dead_letters;
mod dev;
mod host;
mod jobs;
mod peer;
mod said;
mod subscriptions;

pub(crate) use control::control_service;
pub(crate) use host::host_service;
pub(crate) use peer::peer_service;

use coattail::rpc::Facts;
use coattail::wire::{ErrorCode, Failure};

/// A fact that whoever made the session has put there.
fn fact<T: Clone + Send + Sync + 'static>(facts: &Facts) -> Result<T, Failure> {
    facts.get().ok_or_else(|| Failure::new(ErrorCode::UnknownMethod, "the session is not authenticated"))
}
