//! From the command line to the daemon: for whoever writes plugins.
//!
//! The control socket serves these beside [`control`](super::control).

use serde::{Deserialize, Serialize};

use super::plugin::{Kind, Source};
use super::raw::{Raw, present};
use super::{Done, Failure, method};
use crate::id::{CallId, IssuerHash, PublicationId};
use crate::name::ReceiverName;

/// Runs a plugin's present files once, in a worker of its own beside the pool. What it does, it does in earnest; only
/// its result goes nowhere but to whoever asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestPlugin {
    /// Action or receiver.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// What to give to it; a receiver is always given something, `null` if this is absent.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub input: Option<Raw>,
    /// What to tell a receiver of the publication; absent: the first of this instance itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Source>,
    /// Milliseconds that the call may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether what it says and prints is sent to this session before the answer, as for a call that is followed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}
method!(TestPlugin, "plugins.test", Tested);

/// What came of a test.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tested {
    /// Names the call.
    pub call: CallId,
    /// What it returned; absent if it returned nothing, is a receiver, or failed.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub result: Option<Raw>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// Milliseconds that loading took; absent if it did not load, or runs once per call and has nothing to load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_ms: Option<f64>,
    /// Milliseconds that the call took; absent if it was not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_ms: Option<f64>,
}

/// Reads what a receiver was sent and has not handled: what waits, and what was given up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReadReceived {
    /// Which receiver.
    pub receiver: ReceiverName,
    /// Those after this place; absent: the last ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many at most; 1,000 at the most, and no more than fit into a frame.
    pub count: u32,
}
method!(ReadReceived, "publications.received", Vec<Received>);

/// A publication that was received and is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Received {
    /// Where it stands among those that were asked for.
    pub place: u64,
    /// Its id.
    pub id: PublicationId,
    /// Who published it.
    pub issuer: IssuerHash,
    /// For which action.
    pub action: String,
    /// Its place in that action's log.
    pub sequence: u64,
    /// When it was accepted there, in milliseconds since 1970-01-01 UTC.
    pub time: i64,
    /// How many publications led to it.
    pub hops: u8,
    /// What was published.
    pub payload: Raw,
}

/// Asks for the files of all plugins, as numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PluginFiles {}
method!(PluginFiles, "plugins.files", Vec<Files>);

/// The files of a plugin, as far as it is looked at them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Files {
    /// Action or receiver.
    pub kind: Kind,
    /// The plugin's name.
    pub name: String,
    /// Differs when a file, or what is wrong with it, has changed. It means nothing else, nor anything in another
    /// process.
    pub state: String,
}

/// Asks to be told what plugins are given from now on, as [`Given`], until the session ends.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct WatchPlugins {}
method!(WatchPlugins, "plugins.watch", Done);

/// From the daemon, as a notification: a plugin was given something.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Given {
    /// Action or receiver.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Names the call.
    pub call: CallId,
    /// What it was given.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub input: Option<Raw>,
    /// Of a receiver: where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Source>,
    /// How many more were not told since the last one, because the session was too slow.
    #[serde(default, skip_serializing_if = "super::raw::is_zero")]
    pub missed: u64,
}
method!(Given, "plugins.given", Done);
