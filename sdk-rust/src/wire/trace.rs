//! From the command line to the daemon of an instance: what led to a publication, and what it has led to.
//!
//! Served on the control socket, as everything in [`control`](super::control) is.

use serde::{Deserialize, Serialize};

use super::fate::Handling;
use super::method;
use crate::id::{IssuerHash, PublicationId, SubscriptionId};
use crate::name::{ActionName, ReceiverName};

/// Asks what led to a publication and what it has led to, here and at those that tell it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TracePublication {
    /// Its id, or what that begins with: at least 8 characters, and no other may begin so.
    pub id: String,
}
method!(TracePublication, "publications.trace", Trace);

/// What is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trace {
    /// What led to it, the first first: at most 16.
    pub causes: Vec<Traced>,
    /// The publication, and what it has led to.
    pub publication: Traced,
    /// Whether there may be more: a limit of depth, breadth or time was reached.
    pub cut: bool,
}

/// A publication in a trace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Traced {
    /// Its id.
    pub id: PublicationId,
    /// How far it is known.
    pub known: Known,
    /// Who published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerHash>,
    /// Whether that is this instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub here: bool,
    /// For which action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionName>,
    /// Its place in the log of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// When it was accepted, in milliseconds since 1970-01-01 UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
    /// How many publications led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hops: Option<u8>,
    /// Where it came to, and what became of it there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<TracedAt>,
    /// How many more were subscribed, who are not shown.
    #[serde(default, skip_serializing_if = "super::raw::is_zero")]
    pub more: u64,
}

/// How far something is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// It is known.
    Known,
    /// Who knows it does not tell it to us.
    NotAllowed,
    /// Who would know it does not answer.
    Unreachable,
    /// Nobody whom we can ask knows it, or it is not kept any more.
    Unknown,
}

/// An instance to which a publication came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TracedAt {
    /// Which one.
    pub issuer: IssuerHash,
    /// Whether that is this instance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub here: bool,
    /// How far it is known what became of it there.
    pub known: Known,
    /// What receivers did with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receivers: Vec<TracedReceiver>,
    /// What was published there while it was handled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Traced>,
    /// How much more that was, which we may not know.
    #[serde(default, skip_serializing_if = "super::raw::is_zero")]
    pub hidden: u64,
    /// What was not published there, since it had come through too many hops.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looped: Vec<Looped>,
}

/// A receiver in a trace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TracedReceiver {
    /// Its name.
    pub receiver: ReceiverName,
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// What it did.
    pub state: Handling,
    /// How often it was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// When the publication was stored there, in milliseconds since 1970-01-01 UTC, by the clock there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<i64>,
    /// When it had been handled or was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
    /// How many milliseconds the last call took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it has not handled it: here, the last failure of the receiver; of a subscriber, that of the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The end of a loop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looped {
    /// For which action it was to be published.
    pub action: ActionName,
    /// How many publications had led to it.
    pub hops: u8,
}
