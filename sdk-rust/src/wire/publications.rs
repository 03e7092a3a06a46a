//! From the command line to the daemon of an instance: what it has published.
//!
//! Served on the control socket, as everything in [`control`](super::control) is.

use serde::{Deserialize, Serialize};

use super::fate::Reaching;
use super::host::Subscriber;
use super::method;
use super::raw::{Raw, present};
use crate::id::{CallId, IssuerHash, PeerId, PublicationId};
use crate::name::ActionName;
use crate::recipient::Recipient;

/// Lists what was published and is still kept: the newest, the oldest of them first. Without payloads.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListPublications {
    /// In whose log; absent: in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionName>,
    /// What was published since, in milliseconds since 1970-01-01 UTC; absent: everything that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// How many at most: 100 if absent, 10,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
method!(ListPublications, "publications.list", Vec<Entry>);

/// Shows one publication: named by its id, or by action and sequence.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ShowPublication {
    /// Its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PublicationId>,
    /// In whose log it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionName>,
    /// Its place there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u64>,
}
method!(ShowPublication, "publications.show", Entry);

/// Reads on in the log of an action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TailPublications {
    /// Whose log.
    pub action: ActionName,
    /// What comes after this sequence; absent: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many of the newest, or how many at most: 100 if absent. One answer has no more than 1,000, and fewer if they
    /// are large; `after` leads to the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// How many milliseconds to wait if there is none: not at all if absent, 30,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}
method!(TailPublications, "publications.tail", Stretch);

/// A stretch of a log.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stretch {
    /// What stands there, in order, with payloads.
    pub publications: Vec<Entry>,
    /// After which sequence to read on.
    pub after: u64,
    /// The last sequence of the log when it was read.
    pub head: u64,
}

/// Asks how many of those who were subscribed when something was published have stored it, and waits for news of that.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WatchReach {
    /// Where it was published; absent: here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
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
    /// Whether to tell who has not stored it. Peers do not tell.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub who: bool,
}
method!(WatchReach, "publications.reach", Reached);

/// How far a publication has got, and who has not stored it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Reached {
    /// The numbers.
    #[serde(flatten)]
    pub reaching: Reaching,
    /// Those that have not, the first 1,000.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Subscriber>,
}

/// A publication of this instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// The same at its origin and at everyone who gets it.
    pub id: PublicationId,
    /// In whose log.
    pub action: ActionName,
    /// Its place there; the first is 1.
    pub sequence: u64,
    /// When it was accepted (RFC 3339).
    pub time: String,
    /// What its payload takes.
    pub bytes: u64,
    /// How many publications led to it.
    pub hops: u8,
    /// The publication that was being handled when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<PublicationId>,
    /// The identity that signed it: this instance, under the key that it had then.
    pub signed_by: IssuerHash,
    /// When nobody wants it any more (RFC 3339); absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The subscribers that get it; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<IssuerHash>>,
    /// What was published; absent in lists.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub payload: Option<Raw>,
}

/// Computes leaf, inclusion path and signature of every publication anew. Reads whole logs, so that it may take a while.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct VerifyPublications {
    /// In whose log; absent: in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionName>,
}
method!(VerifyPublications, "publications.verify", Verified);

/// What was found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verified {
    /// How many publications hold.
    pub hold: u64,
    /// What does not: the first 1,000.
    pub faults: Vec<Fault>,
}

/// What does not hold in a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// In whose log.
    pub action: ActionName,
    /// Where, or where it begins.
    pub sequence: u64,
    /// Which publication, if it can be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<PublicationId>,
    /// What is wrong.
    pub message: String,
}

/// Publishes a value for an action of this instance later. It is on disk when this is answered, and in the log when its
/// time has come; if the service does not run then, as soon as it does.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SchedulePublication {
    /// In whose log.
    pub action: ActionName,
    /// What to publish.
    pub input: Raw,
    /// When, in milliseconds since 1970-01-01 UTC.
    pub due_ms: i64,
    /// For how many milliseconds somebody wants it, from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// The subscribers that get it, of those there are now; absent: all there are then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<Recipient>>,
    /// The call that a script is handling while it asks: carries cause and hops on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CallId>,
}
method!(SchedulePublication, "publications.schedule", Scheduled);

/// Lists what is to be published later, the next first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListScheduled {}
method!(ListScheduled, "publications.scheduled", Vec<Scheduled>);

/// Takes back what is to be published later.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnschedulePublication {
    /// Which one.
    pub id: PublicationId,
}
method!(UnschedulePublication, "publications.unschedule", Scheduled);

/// A publication whose time has not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The id that it will have.
    pub id: PublicationId,
    /// In whose log it will stand.
    pub action: ActionName,
    /// When (RFC 3339).
    pub due: String,
    /// What its payload takes.
    pub bytes: u64,
}
