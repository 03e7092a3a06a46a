//! What Coattail does: performs actions, here and at peers, publishes for them, and lists them; keeps those calls that outlive
//! whoever asked for them.

mod calls;
mod jobs;
mod local;
mod remote;

pub(crate) use calls::Calls;
pub(crate) use jobs::{JobRequest, Jobs};
pub(crate) use local::{Actions, LocalCall};
pub(crate) use remote::{Remote, RemoteCall};
