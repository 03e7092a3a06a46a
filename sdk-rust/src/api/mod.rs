//! What may be asked of a daemon, by whoever it serves: a handler in a [`plugin`](crate::plugin), through
//! [`Context::coattail`](crate::plugin::Context::coattail), or another program, through
//! [`Client::coattail`](crate::Client::coattail). Both get the same [`Coattail`].

mod call;
mod coattail;
mod followers;
mod jobs;
mod publish;

pub use call::Call;
pub use coattail::Coattail;
pub(crate) use followers::Followers;
pub use followers::Said;
pub use jobs::Jobs;
pub use publish::Publish;
