//! Between two daemons.
//!
//! Before authentication only [`Hello`] and [`Authenticate`] exist. Afterwards the wire is two-way: the
//! side that dialled calls what its token grants; the other side calls back for what it was asked
//! ([`IssueSubscription`]) and delivers to the subscriptions that were attached ([`Deliver`]).

use serde::{Deserialize, Serialize};

use super::host::Level;
use super::places::{Beginning, Begun};
use super::raw::{Raw, present};
use super::{Done, GroupProof, Place, Publication, Span, method};
use crate::address::PeerAddress;
use crate::filter::Filter;
use crate::id::{CallId, PublicationId, SessionId, SubscriptionId, TokenId};
use crate::key::Key;
use crate::name::{ActionName, ReceiverName};
use crate::secret::Secret;

/// Says who is calling. The first message of a connection, from the side that dialled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hello {
    /// The [`PROTOCOL`](super::PROTOCOL) that is spoken.
    pub protocol: u32,
    /// Name and version of the program, for logs.
    pub software: String,
    /// The text of the sender's public validation key file (PEM).
    pub identity: String,
    /// 32 random bytes, base64.
    pub nonce: String,
    /// How `identity` came to replace earlier ones, oldest first: for whoever knows the sender by one of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotations: Vec<Rotation>,
}
method!(Hello, "session.hello", Welcome);

/// Says who answers, and proves it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol that is spoken.
    pub protocol: u32,
    /// Name and version of the program, for logs.
    pub software: String,
    /// The text of the answering side's public validation key file (PEM).
    pub identity: String,
    /// 32 random bytes, base64.
    pub nonce: String,
    /// Signature by that key over this channel and both nonces; base64.
    pub proof: String,
    /// As in [`Hello`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rotations: Vec<Rotation>,
}

/// States that one identity replaces another, signed by both keys.
///
/// Whoever knows the instance by the old key may take the new one for it until the statement ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotation {
    /// The text of the old public validation key file (PEM).
    pub old: String,
    /// That of the new one.
    pub new: String,
    /// When it was replaced, in milliseconds since 1970-01-01 UTC.
    pub since: i64,
    /// When the statement ends, in milliseconds since 1970-01-01 UTC.
    pub until: i64,
    /// Signature by the old key; base64.
    pub by_old: String,
    /// Signature by the new key; base64.
    pub by_new: String,
}

/// Presents a token and proves the caller's key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Authenticate {
    /// The token that the other side issued.
    pub token: Secret,
    /// Signature by the caller's key over this channel, both nonces and the token's id; base64.
    pub proof: String,
    /// Bytes of a frame that the caller takes from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<usize>,
}
method!(Authenticate, "session.authenticate", Authenticated);

/// The token was accepted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Authenticated {
    /// Names the session in both sides' logs.
    pub session: SessionId,
    /// What the token allows.
    pub grants: Grants,
    /// The clock of the answering side, in milliseconds since 1970-01-01 UTC.
    pub server_time: i64,
    /// Where the answering side may be reached from now on, whatever the token says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whereabouts: Option<Whereabouts>,
    /// Bytes of a frame that the answering side takes from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame: Option<usize>,
}

/// Where the sender may be reached from now on, whatever the tokens that it issued say. Either side may say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whereabouts {
    /// Addresses, to be tried in this order.
    pub addresses: Vec<PeerAddress>,
    /// The certificate (PEM) that it presents where TLS is spoken; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
}
method!(Whereabouts, "session.whereabouts", Done);

/// Lists of action names; `*` stands for all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    /// May be performed.
    #[serde(default)]
    pub performable: Vec<String>,
    /// May be published for.
    #[serde(default)]
    pub publishable: Vec<String>,
    /// May be subscribed to.
    #[serde(default)]
    pub subscribable: Vec<String>,
}

/// Asks whether the other side still answers. Either side may.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Ping {}
method!(Ping, "session.ping", Done);

/// Lists the actions that the caller may use in any way.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListActions {
    /// Whether plugins that have not said yet what they take and return are started to ask them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub schemas: bool,
}
method!(ListActions, "actions.list", Vec<RemoteAction>);

/// An action, and what the caller may do with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoteAction {
    /// Its name.
    pub name: ActionName,
    /// May be performed.
    pub performable: bool,
    /// May be published for.
    pub publishable: bool,
    /// May be subscribed to.
    pub subscribable: bool,
    /// What its owner says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of what it takes, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Raw>,
    /// JSON Schema of what it returns, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Raw>,
}

/// Lists the receivers that the caller may deliver to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListReceivers {}
method!(ListReceivers, "receivers.list", Vec<ReceiverName>);

/// Performs an action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Perform {
    /// Made by the caller; [`Cancel`] names it.
    pub call: CallId,
    /// What to perform.
    pub action: ActionName,
    /// What to give to it; absent and `null` differ.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub input: Option<Raw>,
    /// Whether to publish the result. Needs the right to publish, too.
    #[serde(default)]
    pub publish: bool,
    /// Milliseconds after which the caller stops waiting, so that the work can end, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Milliseconds until a worker has to have begun with it; after that nothing was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout_ms: Option<u64>,
    /// Whether [`Log`] and [`Progress`] of this call are sent on this session, before the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
    /// The idempotency key: whoever asks again with the same key joins this call, or gets its stored outcome, and nothing
    /// is done twice. Such a call does not end with its connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What was being handled when the caller asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CausedBy>,
}
method!(Perform, "actions.perform", Performed);

/// The publication that was being handled when something was asked for. What is published because of it carries that on,
/// so that a loop over calls stops, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CausedBy {
    /// Which publication.
    pub publication: PublicationId,
    /// How many publications led to what is published because of it.
    pub hops: u8,
}

/// The action succeeded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Performed {
    /// What it returned; absent if it returned nothing.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub result: Option<Raw>,
    /// The publication of the result, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Published>,
    /// Why the result could not be published, although the action succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication_error: Option<String>,
}

/// A publication was accepted: it is on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Published {
    /// Its id.
    pub id: PublicationId,
    /// Its place in the action's log.
    pub sequence: u64,
    /// Whether it was published before under the same id: this is the answer of that time, and nothing was stored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// Ends a call of this session. The call itself is answered as cancelled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cancel {
    /// Which call.
    pub call: CallId,
}
method!(Cancel, "actions.cancel", Done);

/// To the caller, of a call that it made on this session and follows: what was said on purpose, never raw output. A
/// notification.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Log {
    /// Which call.
    pub call: CallId,
    /// How important.
    pub level: Level,
    /// What.
    pub message: String,
}
method!(Log, "log", Done);

/// To the caller, of a call that it made on this session and follows: how far it has got. A notification.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Progress {
    /// Which call.
    pub call: CallId,
    /// From 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// What is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
method!(Progress, "progress", Done);

/// To the caller, of a call that it made on this session: its time limit starts anew. A notification.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Working {
    /// Which call.
    pub call: CallId,
}
method!(Working, "working", Done);

/// Publishes a value for an action without performing it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Publish {
    /// In whose log.
    pub action: ActionName,
    /// What to publish.
    pub input: Raw,
    /// What the caller calls it: a second publication of the same id is recognised for as long as the first is kept, and
    /// stored once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Key>,
    /// What was being handled when the caller asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<CausedBy>,
}
method!(Publish, "actions.publish", Published);

/// Subscribes one of the caller's receivers to an action. Before the answer, the other side calls
/// [`IssueSubscription`] on the same session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Subscribe {
    /// Whose publications.
    pub action: ActionName,
    /// Who handles them at the caller.
    pub receiver: ReceiverName,
    /// Where to begin.
    #[serde(default, skip_serializing_if = "Beginning::is_now")]
    pub from: Beginning,
    /// Which of them; absent: all. The other side repeats it in [`IssueSubscription`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
}
method!(Subscribe, "actions.subscribe", Subscribed);

/// The subscription is stored at the publisher.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Subscribed {
    /// The id of the subscription token.
    pub subscription: SubscriptionId,
    /// The sequence after which publications will be delivered.
    pub cursor: u64,
    /// The epoch of that place.
    #[serde(default)]
    pub epoch: i64,
    /// What will be delivered first. Absent from publishers that do not know [`from`](Subscribe::from): with those every
    /// subscription begins now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<Begun>,
}

/// Publisher to subscriber, only while it handles [`Subscribe`] of this very session, action and receiver:
/// asks for the token with which it may deliver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssueSubscription {
    /// As in [`Subscribe`].
    pub action: ActionName,
    /// As in [`Subscribe`].
    pub receiver: ReceiverName,
    /// As in [`Subscribe`]: a publisher that does not repeat it knows no filters, and gets no token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// The publisher's validation token: its public key, signed by that key.
    pub validation_token: String,
    /// The token with which the subscriber is authenticated.
    pub authentication_token: TokenId,
}
method!(IssueSubscription, "subscriptions.issue", IssuedSubscription);

/// The token with which the publisher may deliver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IssuedSubscription {
    /// The subscription token.
    pub token: Secret,
}

/// Subscriber to publisher: deliver over this session. Replaces what this session had attached before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attach {
    /// The subscriptions that the caller holds at this publisher.
    pub subscriptions: Vec<SubscriptionId>,
    /// How far each of them has got: what lies beyond is delivered again, whatever the publisher believes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Reached>,
}
method!(Attach, "subscriptions.attach", Attached);

/// What the publisher knows of what was attached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Attached {
    /// Those that it has never had or has revoked: the subscriber can forget them.
    pub unknown: Vec<SubscriptionId>,
    /// When the publisher's database was last restored from a backup, in milliseconds since 1970-01-01 UTC, as far as
    /// it knows: what it had accepted and not delivered before may be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<i64>,
}

/// How far a subscription has got, as the subscriber knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// Which one.
    pub subscription: SubscriptionId,
    /// The last place that it has on disk.
    #[serde(flatten)]
    pub place: Place,
}

/// Subscriber to publisher: the subscription ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// Which one; it must be the caller's.
    pub subscription: SubscriptionId,
}
method!(Unsubscribe, "subscriptions.end", Done);

/// Publisher to subscriber: the subscription ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revoke {
    /// Which one; it must be the caller's.
    pub subscription: SubscriptionId,
}
method!(Revoke, "subscriptions.revoke", Done);

/// Publisher to subscriber: publications of one action, in order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Deliver {
    /// Who gets them. Each takes what comes after its own cursor.
    pub to: Vec<Addressee>,
    /// Consecutive in the action's log but for what is skipped and for gaps that the publisher knows of. All of them are
    /// for everyone in `to`.
    pub publications: Vec<Publication>,
    /// Show who published them: the first as many of them as it has leaves, the second those that follow, and so on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<GroupProof>,
    /// What lies before or between them and cannot be delivered to the subscriber, whatever it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// What lies before, between or after them and is for nobody in `to`, in order: it was addressed to others, or its
    /// time is over, or the filter leaves it out. They move on over it, and have missed nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Span>,
}
method!(Deliver, "publications.deliver", Stored);

/// A publication that a subscriber misses, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Which one.
    pub sequence: u64,
    /// For people.
    pub reason: String,
}

/// A subscription, and how far it has got.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Addressee {
    /// The id of the subscription token.
    pub subscription: SubscriptionId,
    /// What comes after this sequence is for it.
    pub after: u64,
    /// The epoch of that place.
    #[serde(default)]
    pub epoch: i64,
}

impl Addressee {
    /// Up to where the publisher believes it to have everything.
    pub fn place(&self) -> Place {
        Place { epoch: self.epoch, sequence: self.after }
    }
}

/// What was delivered is on the subscriber's disk.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stored {
    /// Subscriptions that did not take it, and why. All others have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Subscriptions that did not take it because they lack something before it, and how far they have got: the
    /// subscriber was restored from a backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub behind: Vec<Reached>,
    /// Subscriptions that have publications which are not the publisher's any more: its database was put back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ahead: Vec<Ahead>,
    /// Whether the subscriptions have moved on over what was skipped, too. A subscriber that knows nothing of that has
    /// got as far as the last publication.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
}

/// A subscription that had got further than the publisher now knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// Which one.
    pub subscription: SubscriptionId,
    /// By how many publications.
    pub count: u64,
}

/// A subscription that did not take a delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Refused {
    /// Which one.
    pub subscription: SubscriptionId,
    /// An [`ErrorCode`](super::ErrorCode) number. `token-revoked` ends the subscription.
    pub code: i32,
    /// For people.
    pub message: String,
    /// Milliseconds after which it may be tried again; those who are not refused need not wait for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
