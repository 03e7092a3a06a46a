//! The Coattail API: what a worker, and the command line, may ask of the daemon of its instance.
//!
//! It acts with the rights of the instance itself: on the local instance anything, on a peer what the
//! peer's token allows.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::peer::Published;
use super::plugin::Kind;
use super::raw::{Raw, present};
use super::subscriptions::Flow;
use super::{Done, ErrorCode, Failure, method};
use crate::address::PeerAddress;
use crate::filter::Filter;
use crate::id::{CallId, IssuerHash, PeerId, SubscriptionId};
use crate::key::Key;
use crate::name::{ActionName, ReceiverName};
use crate::recipient::Recipient;

/// Lists actions, of this instance or of a peer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListActions {
    /// Whose; absent for this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// Whether plugins that have not said yet what they take and return are started to ask them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub schemas: bool,
}
method!(ListActions, "actions.list", Vec<Entry>);

/// Lists receivers, of this instance or of a peer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListReceivers {
    /// Whose; absent for this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// Whether plugins that have not said yet what they take and return are started to ask them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub schemas: bool,
}
method!(ListReceivers, "receivers.list", Vec<Entry>);

/// An action or a receiver, and what may be done with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Which of the two it is.
    pub kind: Kind,
    /// May be performed.
    pub performable: bool,
    /// May be published for.
    pub publishable: bool,
    /// May be subscribed to.
    pub subscribable: bool,
    /// How it is run: `node`, `python`, `sh`, `executable`; absent for a peer's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// What its owner says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema of what it takes, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Raw>,
    /// JSON Schema of what it returns, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Raw>,
    /// Why it cannot be run: two files of one name, a missing runtime, no execute bit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// How its workers are; absent for a peer's, and for what runs once per call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<PluginState>,
    /// Why it is so, if something is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How the workers of a plugin are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginState {
    /// There is none: the next call starts one.
    Cold,
    /// The first is loading the user's code.
    Starting,
    /// At least one takes calls.
    Ready,
    /// One crashed; the next is started after a pause.
    BackingOff,
    /// They crashed again and again: calls are refused for a while.
    Broken,
}

impl PluginState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::BackingOff => "backing-off",
            Self::Broken => "broken",
        }
    }
}

/// Performs an action, here or at a peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Perform {
    /// Made by the caller; [`Cancel`] names it. Absent: the daemon makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// Where; absent for this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// What.
    pub action: ActionName,
    /// What to give to it; absent and `null` differ.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub input: Option<Raw>,
    /// Whether to publish the result.
    #[serde(default)]
    pub publish: bool,
    /// Milliseconds to wait; absent: the default of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Milliseconds to wait until a worker begins with it; after that nothing was done. Absent: as long as for the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout_ms: Option<u64>,
    /// Whether [`Log`] and [`Progress`] of this call are sent to the session that asks, before the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
    /// The idempotency key: whoever asks again with the same key joins this call, or gets its stored outcome, and nothing
    /// is done twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The call that a worker is handling while it asks: carries cause and hops on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CallId>,
}
method!(Perform, "actions.perform", Performed);

/// The action succeeded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Performed {
    /// Which call it was.
    pub call: CallId,
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

impl Performed {
    /// The result as this type. Nothing is read as `null`.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        read_result(self.result.as_ref())
    }
}

/// What an action returned, as a type.
pub(super) fn read_result<T: DeserializeOwned>(result: Option<&Raw>) -> Result<T, Failure> {
    serde_json::from_str(result.map_or("null", |raw| raw.get())).map_err(|error| {
        Failure::new(ErrorCode::Failed, format!("the result of the action is not what was expected: {error}"))
    })
}

/// Ends a call that this connection made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Cancel {
    /// Which call.
    pub call: CallId,
}
method!(Cancel, "actions.cancel", Done);

/// Publishes a value for an action without performing it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Publish {
    /// Where; absent for this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// In whose log.
    pub action: ActionName,
    /// What to publish.
    pub input: Raw,
    /// What the caller calls it: a second publication of the same id is recognised for as long as the first is kept, and
    /// stored once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Key>,
    /// For how many milliseconds somebody wants it: after that it is not delivered, and no receiver is called with it. Of an
    /// action of this instance only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// The subscribers that get it; absent: all. Of an action of this instance only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<Recipient>>,
    /// As in [`Perform`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CallId>,
}
method!(Publish, "actions.publish", Published);

/// Publishes several values for an action of this instance: all of them, or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PublishBatch {
    /// In whose log.
    pub action: ActionName,
    /// What to publish, in this order: 10,000 at most.
    pub publications: Vec<Item>,
    /// As in [`Publish`], for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_ms: Option<u64>,
    /// As in [`Publish`], for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Vec<Recipient>>,
    /// As in [`Perform`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CallId>,
}
method!(PublishBatch, "actions.publish_batch", Vec<Published>);

/// One of several values.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    /// What to publish.
    pub input: Raw,
    /// As in [`Publish`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Key>,
}

/// Subscribes a receiver of this instance to an action of a peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Subscribe {
    /// Whose publications.
    pub peer: PeerId,
    /// Of which action.
    pub action: ActionName,
    /// Who handles them here.
    pub receiver: ReceiverName,
    /// Which of them; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
}
method!(Subscribe, "actions.subscribe", Subscription);

/// A subscription of this instance at a peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Subscription {
    /// The `jti` of the subscription token, the same at both ends.
    pub id: SubscriptionId,
    /// At whom.
    pub peer: PeerId,
    /// To what.
    pub action: ActionName,
    /// Who handles it here.
    pub receiver: ReceiverName,
    /// Which publications; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// The sequence after which publications are delivered, as the publisher told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<u64>,
}

/// Ends a subscription of this instance. At the peer it ends now, or when the peer can be reached again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// At whom.
    pub peer: PeerId,
    /// To what.
    pub action: ActionName,
    /// Who handled it here.
    pub receiver: ReceiverName,
    /// Only tells what would go with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}
method!(Unsubscribe, "actions.unsubscribe", Unsubscribed);

/// The subscription is gone here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unsubscribed {
    /// Which one it was.
    pub id: SubscriptionId,
    /// Whether the peer has been told; if not, it learns of it at its next delivery.
    pub told: bool,
    /// How many publications were not delivered yet, and will not be: known where it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelivered: Option<u64>,
}

/// Lists the peers of this instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListPeers {}
method!(ListPeers, "peers.list", Vec<Peer>);

/// Shows one peer of this instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowPeer {
    /// Which one.
    pub peer: PeerId,
}
method!(ShowPeer, "peers.show", Peer);

/// A remote instance that gave us a token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Peer {
    /// Its id here.
    pub id: PeerId,
    /// The hash of its key.
    pub issuer: IssuerHash,
    /// Where it may be reached, tried in order.
    pub addresses: Vec<PeerAddress>,
    /// The id of the token it gave us.
    pub token: String,
    /// What the token says we may perform, until the peer says otherwise.
    pub performable: Vec<String>,
    /// What the token says we may publish for.
    pub publishable: Vec<String>,
    /// What the token says we may subscribe to.
    pub subscribable: Vec<String>,
    /// When the token ends (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Whether a session with it is open now.
    pub connected: bool,
}

/// Lists who is subscribed to this instance.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListSubscribers {}
method!(ListSubscribers, "subscribers.list", Vec<Subscriber>);

/// A subscription that a remote instance holds here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Subscriber {
    /// The `jti` of the subscription token, the same at both ends.
    pub id: SubscriptionId,
    /// The hash of the subscriber's key.
    pub issuer: IssuerHash,
    /// Where it may be reached when it has not attached itself.
    pub addresses: Vec<PeerAddress>,
    /// To what.
    pub action: ActionName,
    /// Who handles it there.
    pub receiver: ReceiverName,
    /// Which publications; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// The token with which it subscribed.
    pub token: String,
    /// Stored by the subscriber up to this sequence.
    pub cursor: u64,
    /// How many publications it is behind.
    pub lag: u64,
    /// How many it has stored that are not in the log here any more: this database was restored from a backup.
    #[serde(default, skip_serializing_if = "super::raw::is_zero")]
    pub ahead: u64,
    /// Whether it is attached to a session now.
    pub attached: bool,
    /// For how many seconds the first of those has been published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<u64>,
    /// How it goes.
    #[serde(default)]
    pub state: Flow,
    /// Why the last delivery failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When the next one is tried (RFC 3339), unless the subscriber comes by itself before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_attempt: Option<String>,
}

/// Ends a subscription that a remote instance holds here, and tells it now or when it comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokeSubscriber {
    /// Which one.
    pub subscription: SubscriptionId,
    /// Only tells what would go with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}
method!(RevokeSubscriber, "subscribers.revoke", Unsubscribed);

/// What is said while a call is handled, or outside of any; a notification. From the daemon: of a call that is followed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Log {
    /// While handling which call; absent outside of any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// How important.
    pub level: Level,
    /// What.
    pub message: String,
}
method!(Log, "log", Done);

/// How important a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// For whoever looks for a fault.
    Debug,
    /// What happens.
    Info,
    /// Not as it should be.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// How far a call has got; a notification. From the daemon: of a call that is followed.
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

/// The call is still worked on: its time limit starts anew, with its whole length. From the daemon: that of a call which
/// the session made has started anew.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Working {
    /// Which call.
    pub call: CallId,
}
method!(Working, "working", Done);

/// When to try again, should the call end with `retry-later`: for what can tell no more than an exit status.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetryAfter {
    /// Which call.
    pub call: CallId,
    /// After how many milliseconds.
    pub after_ms: u64,
}
method!(RetryAfter, "retry_after", Done);
