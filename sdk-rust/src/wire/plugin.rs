//! From the daemon to a worker of a plugin, over the worker's stdin and stdout.
//!
//! The worker calls back with the methods of [`host`](super::host). A line of the worker that is no
//! JSON-RPC is logged as its output.

use serde::{Deserialize, Serialize};

use super::raw::{Raw, present};
use super::{Done, method};
use crate::id::{CallId, IssuerHash, PublicationId};

/// Which of the two a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Performs.
    Action,
    /// Handles publications.
    Receiver,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Action => "action",
            Kind::Receiver => "receiver",
        }
    }
}

/// The first call to a worker. It is answered when the user's code is loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Initialize {
    /// The [`PROTOCOL`](super::PROTOCOL) that is spoken.
    pub protocol: u32,
    /// Name and version of the daemon.
    pub software: String,
    /// What the worker is to be.
    pub kind: Kind,
    /// The name of the action or receiver.
    pub name: String,
    /// The folder of the instance, which is also the id of the local peer.
    pub instance: String,
    /// The instance's issuer hash.
    pub issuer: IssuerHash,
}
method!(Initialize, "initialize", Initialized);

/// The worker is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Initialized {
    /// The protocol that the worker speaks.
    pub protocol: u32,
    /// Name and version of its SDK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// What the plugin says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of what it takes. The daemon checks it before each call; the sidecar's wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Raw>,
    /// JSON Schema of what it returns. The daemon checks it after each call; the sidecar's wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Raw>,
}

/// Performs once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Perform {
    /// Names this call in [`Cancel`], logs and progress.
    pub call: CallId,
    /// Absent if the caller gave none.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub input: Option<Raw>,
    /// Under which circumstances.
    pub context: Context,
}
method!(Perform, "perform", Output);

/// What an action returned.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Output {
    /// Absent if it returned nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub output: Option<Raw>,
}

/// Handles one publication. Answered with an error of code `rejected` the publication goes to the dead
/// letters; with any other, the receiver is called again later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Receive {
    /// Names this call.
    pub call: CallId,
    /// What was published.
    pub input: Raw,
    /// Where it came from.
    pub publication: Source,
    /// Under which circumstances.
    pub context: Context,
}
method!(Receive, "receive", Done);

/// Where a publication came from. `id` is the same at every attempt, so that a receiver can recognise
/// what it has already done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Source {
    /// Its id.
    pub id: PublicationId,
    /// Who published it.
    pub issuer: IssuerHash,
    /// The action in whose log it stands there.
    pub action: String,
    /// Its place in that log.
    pub sequence: u64,
    /// When it was accepted there, in milliseconds since 1970-01-01 UTC.
    pub time: i64,
    /// How many publications led to it.
    pub hops: u8,
    /// The how manieth try this is, from 1.
    pub attempt: u32,
}

/// The circumstances of a call.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Context {
    /// Who asked for it: absent if this instance itself did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<IssuerHash>,
    /// Milliseconds that the call may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// A notification: the call is no longer wanted. It is answered all the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cancel {
    /// Which call.
    pub call: CallId,
}
method!(Cancel, "cancel", Done);

/// Finish what is under way, then exit. The end of stdin means the same.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Shutdown {}
method!(Shutdown, "shutdown", Done);
