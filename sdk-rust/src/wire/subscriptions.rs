//! From the command line to the daemon of an instance: how its subscriptions go, on both sides.
//!
//! Served on the control socket, as everything in [`control`](super::control) is.

use serde::{Deserialize, Serialize};

use super::method;
use crate::filter::Filter;
use crate::id::{IssuerHash, PeerId, SubscriptionId};
use crate::name::{ActionName, ReceiverName};

/// Lists what this instance is subscribed to, and what became of what came with it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListSubscriptions {}
method!(ListSubscriptions, "subscriptions.list", Vec<HeldSubscription>);

/// A subscription of this instance, or what one that has ended has left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HeldSubscription {
    /// The `jti` of the subscription token, the same at both ends.
    pub id: SubscriptionId,
    /// At whom; absent if it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// Whose publications.
    pub issuer: IssuerHash,
    /// Of which action.
    pub action: ActionName,
    /// Who handles them here.
    pub receiver: ReceiverName,
    /// Which of them; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Stored up to this sequence of the publisher's log; absent if that is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
    /// How many publications wait for the receiver.
    pub waiting: u64,
    /// How many were given up.
    pub dead: u64,
    /// How many came too late for the receiver: their time was over.
    #[serde(default)]
    pub expired: u64,
    /// How it goes.
    pub state: Flow,
    /// Since when the first that waits does so (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<String>,
    /// Why the last call of the receiver failed for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When the receiver is called again for it (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
}

/// How a subscription goes, at either end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flow {
    /// What comes is passed on.
    #[default]
    Running,
    /// The last attempt has failed, and there will be another.
    Failing,
    /// There is no room for what comes: the publisher keeps it, until enough was handled.
    Full,
    /// Its owner wants nothing to be passed on for now.
    Paused,
    /// It has ended, and something of it is left.
    Ended,
}

impl Flow {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Failing => "failing",
            Self::Full => "full",
            Self::Paused => "paused",
            Self::Ended => "ended",
        }
    }
}

/// Calls the receiver of a subscription of ours no more, until it is resumed. What comes is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PauseSubscription {
    /// Which one.
    pub subscription: SubscriptionId,
}
method!(PauseSubscription, "subscriptions.pause", Pausing);

/// Calls the receiver again, first for what waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResumeSubscription {
    /// Which one.
    pub subscription: SubscriptionId,
}
method!(ResumeSubscription, "subscriptions.resume", Pausing);

/// Delivers nothing for a subscription that a remote instance holds here, until it is resumed. What is published
/// meanwhile is delivered then, as far as it is kept for so long.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PauseSubscriber {
    /// Which one.
    pub subscription: SubscriptionId,
}
method!(PauseSubscriber, "subscribers.pause", Pausing);

/// Delivers again, from where it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ResumeSubscriber {
    /// Which one.
    pub subscription: SubscriptionId,
}
method!(ResumeSubscriber, "subscribers.resume", Pausing);

/// What a subscription is from now on.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Pausing {
    /// Which one.
    pub id: SubscriptionId,
    /// Whether it is paused.
    pub paused: bool,
}

/// A subscription of this instance of which a publication has waited for more than an hour: its receiver is missing, or
/// fails, or is too slow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stuck {
    /// Which one.
    pub subscription: SubscriptionId,
    /// Who does not take it.
    pub receiver: ReceiverName,
    /// Since when it waits (RFC 3339).
    pub since: String,
    /// How often the receiver was called for it.
    pub attempts: u32,
    /// Why the last call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
