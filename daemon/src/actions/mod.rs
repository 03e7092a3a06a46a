//! What Coattail does: performs actions, here and at peers, publishes for them, and lists them.

mod calls;
mod local;
mod remote;

pub(crate) use calls::Calls;
pub(crate) use local::{Actions, LocalCall};
pub(crate) use remote::{Remote, RemoteCall};
