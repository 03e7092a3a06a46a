//! What passes over the wires, as types.
//!
//! Every method of every wire is a struct of its parameters that implements [`Method`]; the engine in
//! [`rpc`](crate::rpc) calls and serves them. Readers ignore fields they do not know, and a new field
//! is optional, so that versions can differ.
//!
//! | module | from | to |
//! |---|---|---|
//! | [`peer`] | a daemon | another daemon |
//! | [`fate`] | a daemon | another daemon: what has become of a publication |
//! | [`plugin`] | the daemon | a worker of a plugin |
//! | [`host`], [`jobs`] | a worker, or the command line | the daemon: the Coattail API |
//! | [`control`] | the command line | the daemon: administration |
//! | [`dead_letters`] | the command line | the daemon: what receivers did not take |
//! | [`doctor`] | the command line | the daemon: what is wrong |
//! | [`subscriptions`] | the command line | the daemon: how subscriptions go |
//! | [`plugins`] | the command line | the daemon: how its plugins are |
//! | [`publications`] | the command line | the daemon: what it has published |
//! | [`trace`] | the command line | the daemon: what led to a publication, and what it led to |
//! | [`dev`] | the command line | the daemon: for whoever writes plugins |

pub mod control;
pub mod dead_letters;
pub mod dev;
pub mod doctor;
mod error;
pub mod fate;
pub mod host;
pub mod jobs;
pub mod peer;
pub mod plugin;
pub mod plugins;
mod publication;
pub mod publications;
pub mod raw;
pub mod subscriptions;
pub mod trace;
mod version;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::{ErrorCode, Failure};
pub use publication::{GroupProof, Place, Publication, Span};
pub use raw::Raw;
pub use version::{PROTOCOL, SOFTWARE};

/// A method of a wire: the struct is its parameters, sent by name.
pub trait Method: Serialize + DeserializeOwned + Send + 'static {
    /// The name on the wire, such as `actions.perform`.
    const NAME: &'static str;
    /// What a call is answered with.
    type Reply: Serialize + DeserializeOwned + Clone + Send + 'static;
}

/// Declares `$params` to be the method `$name`, answered with `$reply`.
macro_rules! method {
    ($params:ty, $name:literal, $reply:ty) => {
        impl crate::wire::Method for $params {
            const NAME: &'static str = $name;
            type Reply = $reply;
        }
    };
}
pub(crate) use method;

/// The answer that says no more than that it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
pub struct Done {}
