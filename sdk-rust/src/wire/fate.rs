//! Between two daemons: what has become of a publication, as far as the other side may know it.
//!
//! The wire is that of [`peer`](super::peer).

use serde::{Deserialize, Serialize};

use super::{Place, method};
use crate::id::{PublicationId, SubscriptionId};
use crate::name::ActionName;

/// Asks how many of those who were subscribed when something was published have stored it. Who they are is not told.
/// Needs the right to publish for the action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reach {
    /// In whose log.
    pub action: ActionName,
    /// Which publication.
    pub publication: PublicationId,
    /// How many have stored it as far as the caller knows: answers when that has changed. Absent: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// How many milliseconds to wait for that: not at all if absent, 30,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}
method!(Reach, "publications.reach", Reaching);

/// How far a publication has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Reaching {
    /// How many subscriptions there were when it was published, without those that have ended since.
    pub subscribers: u64,
    /// How many of them have it on disk.
    pub stored: u64,
    /// How many have not, and get nothing for now, since they are paused.
    pub paused: u64,
}

impl Reaching {
    /// Whether everybody has it.
    pub fn is_complete(self) -> bool {
        self.stored >= self.subscribers
    }

    /// Whether nobody will have it who has not yet, unless somebody is resumed.
    pub fn is_at_rest(self) -> bool {
        self.stored + self.paused >= self.subscribers
    }
}

/// Asks what the other side knows of a publication: what it is, what its receivers did with it, and what it published
/// meanwhile. It tells of an action to whom may subscribe to it, or is subscribed, and of a subscription to whom may
/// deliver to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Trace {
    /// Which publication.
    pub publication: PublicationId,
    /// If it is one of the caller's, where it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<DeliveredTo>,
}
method!(Trace, "publications.trace", Traced);

/// Where a publication was delivered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveredTo {
    /// In whose log it stands.
    pub action: ActionName,
    /// Where.
    pub place: Place,
    /// To which subscriptions of the other side: at most 64.
    pub subscriptions: Vec<SubscriptionId>,
}

/// What an instance tells of a publication.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Traced {
    /// What it is, if it is one of the answering side's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<TracedPublication>,
    /// What receivers did with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub receivers: Vec<TracedReceiver>,
    /// What the answering side published while it was handled: at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<TracedPublication>,
    /// How much more that was, of which the caller may not know.
    #[serde(default, skip_serializing_if = "super::raw::is_zero")]
    pub hidden: u64,
}

/// A publication of the answering side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedPublication {
    /// Its id.
    pub id: PublicationId,
    /// In whose log.
    pub action: ActionName,
    /// Its place there.
    pub sequence: u64,
    /// When it was accepted, in milliseconds since 1970-01-01 UTC.
    pub time: i64,
    /// How many publications led to it.
    pub hops: u8,
    /// The publication that was being handled when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<PublicationId>,
}

/// What a receiver did with a publication.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TracedReceiver {
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// What became of it.
    pub state: Handling,
    /// How often the receiver was called for it.
    pub attempts: u32,
    /// When it was stored, in milliseconds since 1970-01-01 UTC.
    pub stored: i64,
    /// When it had been handled or was given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<i64>,
    /// How many milliseconds the last call of the receiver took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// What became of a publication in a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handling {
    /// The subscriber has not stored it yet.
    Undelivered,
    /// The subscriber has stored it, and what it did with it is not known any more, or not told; or its filter has passed
    /// it over.
    Stored,
    /// It waits for its receiver.
    Waiting,
    /// Its receiver is not called for now.
    Paused,
    /// Its receiver has failed, and is tried again.
    Failing,
    /// Its receiver has handled it.
    Handled,
    /// It was given up.
    Dead,
    /// It came to its receiver when its time was over, and was passed over.
    Expired,
}

impl Handling {
    /// The words for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undelivered => "not delivered yet",
            Self::Stored => "stored, or not for it",
            Self::Waiting => "waits",
            Self::Paused => "paused",
            Self::Failing => "fails, and is tried again",
            Self::Handled => "handled",
            Self::Dead => "dead letter",
            Self::Expired => "expired",
        }
    }
}
