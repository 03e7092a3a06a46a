//! From the command line to the daemon of an instance: publications that its receivers did not take.
//!
//! Served on the control socket, as everything in [`control`](super::control) is.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Raw, method};
use crate::id::{IssuerHash, PublicationId, SubscriptionId};
use crate::name::{ActionName, ReceiverName};

/// The number of a dead letter at its instance. It is never given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeadLetterId(u64);

impl DeadLetterId {
    /// That with this number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for DeadLetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DeadLetterId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

/// Lists dead letters, those given up first first, without payloads.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListDeadLetters {
    /// Those of one receiver only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<ReceiverName>,
    /// How many at most: 500 if absent, 2,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
method!(ListDeadLetters, "dead_letters.list", Vec<DeadLetter>);

/// Shows one dead letter, with its payload and what the receiver printed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowDeadLetter {
    /// Which one.
    pub id: DeadLetterId,
}
method!(ShowDeadLetter, "dead_letters.show", DeadLetter);

/// A publication that a receiver of this instance did not take, and is not called for any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its number here.
    pub id: DeadLetterId,
    /// The subscription with which it came.
    pub subscription: SubscriptionId,
    /// Its place in the publisher's log.
    pub sequence: u64,
    /// The publication's own id, the same at everyone who got it.
    pub publication: PublicationId,
    /// Who published it.
    pub issuer: IssuerHash,
    /// For which action.
    pub action: ActionName,
    /// Who did not take it.
    pub receiver: ReceiverName,
    /// When it was accepted by its publisher (RFC 3339).
    pub published: String,
    /// How often the receiver was called.
    pub attempts: u32,
    /// When the first of these calls began (RFC 3339).
    pub first_attempt: String,
    /// When the last of them ended (RFC 3339).
    pub last_attempt: String,
    /// Why the last one failed.
    pub reason: String,
    /// What the receiver printed last, line by line: only when it is shown alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
    /// What was published: only when it is shown alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Raw>,
}

/// Puts dead letters back among what waits, as if their receivers had never been called for them: in the order of the
/// publisher's log, before what came later. Either `id`, `receiver` or `all` says which.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReplayDeadLetters {
    /// This one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<DeadLetterId>,
    /// Those of this receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<ReceiverName>,
    /// All of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Only tells how many they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}
method!(ReplayDeadLetters, "dead_letters.replay", Replayed);

/// What was put back.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Replayed {
    /// How many.
    pub replayed: u64,
}

/// Deletes dead letters for good. Either `id`, `receiver` or `all` says which.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DropDeadLetters {
    /// This one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<DeadLetterId>,
    /// Those of this receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<ReceiverName>,
    /// All of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Only tells how many they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}
method!(DropDeadLetters, "dead_letters.drop", Dropped);

/// What was deleted.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Dropped {
    /// How many.
    pub dropped: u64,
}
