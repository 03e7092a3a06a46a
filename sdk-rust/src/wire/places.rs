//! Between two daemons: where in a log a subscription begins, or goes on.
//!
//! The publisher knows its log, so it says where that is ([`Locate`]). What the subscriber has on disk decides what it
//! takes, so a subscription goes on from elsewhere once the subscriber has stored that; then it tells the publisher
//! ([`Reset`]). A publisher whose owner wants it asks the subscriber to do so ([`Move`]).

use serde::{Deserialize, Serialize};

use super::peer::Reached;
use super::{Done, Place, method};
use crate::id::SubscriptionId;

/// Where in a log to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beginning {
    /// With what is published from now on.
    #[default]
    Now,
    /// With the first publication that is kept.
    Start,
    /// With this sequence.
    Sequence(u64),
    /// With the first that was published at this time or later, in milliseconds since 1970-01-01 UTC.
    Time(i64),
}

impl Beginning {
    /// Whether it is what everybody gets who does not say where to begin.
    pub fn is_now(&self) -> bool {
        *self == Self::Now
    }
}

/// What lies before whoever begins somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// How many publications the log has from there on, up to now.
    pub waiting: u64,
    /// The first that is kept, if what was asked for reaches further back: what came before it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Oldest>,
}

/// The first publication that a log still has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oldest {
    /// Its place.
    pub sequence: u64,
    /// When it was accepted, in milliseconds since 1970-01-01 UTC; absent if it has not been published yet, since
    /// nothing is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<i64>,
}

/// Subscriber to publisher: asks where in the log of a subscription something is. Changes nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Locate {
    /// Which one; it must be the caller's.
    pub subscription: SubscriptionId,
    /// What to look for.
    pub from: Beginning,
}
method!(Locate, "subscriptions.locate", Located);

/// Where it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Located {
    /// What was asked for comes after this place.
    #[serde(flatten)]
    pub place: Place,
    /// What comes after it.
    #[serde(flatten)]
    pub begun: Begun,
}

/// Subscriber to publisher: the subscription goes on after this place, whether it had got further or less far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reset {
    /// Which one, which must be the caller's, and after what it goes on.
    #[serde(flatten)]
    pub reached: Reached,
}
method!(Reset, "subscriptions.reset", Done);

/// Publisher to subscriber: go on after this place, whether you had got further or less far. Answered once that is on
/// disk. What waits there for its receiver is handled all the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Move {
    /// Which one, to which the caller must be allowed to deliver, and after what it goes on.
    #[serde(flatten)]
    pub reached: Reached,
}
method!(Move, "subscriptions.move", Done);
