//! From the command line to the daemon of an instance: administration.
//!
//! The control socket serves these and everything in [`host`](super::host). Whoever may open the socket,
//! which is the owner of the instance, may do all of it.

use serde::{Deserialize, Serialize};

use super::{Done, method};
use crate::address::PeerAddress;
use crate::id::{CallId, IssuerHash, PeerId, TokenId, ValidationId};
use crate::secret::Secret;
use crate::wire::doctor::Disk;
use crate::wire::host::{Level, Peer};
use crate::wire::plugin::Kind;
use crate::wire::subscriptions::Stuck;

/// Asks how the service is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {}
method!(Status, "service.status", ServiceStatus);

/// How the service is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// The folder of the instance.
    pub instance: String,
    /// The hash of its key.
    pub issuer: IssuerHash,
    /// The version of the program.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// Where it listens; absent when the instance was opened by a command, without a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<PeerAddress>,
    /// When it started (RFC 3339).
    pub started: String,
    /// Sessions with peers that are open now.
    pub sessions: u64,
    /// When the database was last restored from a backup (RFC 3339), as far as the service knows: what was accepted
    /// since the backup is lost, unless subscribers have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<String>,
    /// How the disk is; absent if the service is of a version that does not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// Subscriptions of ours whose receivers have left something waiting for more than an hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stuck: Vec<Stuck>,
    /// What was counted since the database was made.
    pub counts: Counts,
}

/// Publications and what became of them. All from the database, so that they survive restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Accepted here.
    pub published: u64,
    /// Stored by subscribers: the sum over all subscriptions.
    pub delivered: u64,
    /// Not yet stored by subscribers: the sum over all subscriptions.
    pub undelivered: u64,
    /// Taken into the inbox: the sum over all of our subscriptions.
    pub stored: u64,
    /// Handled by receivers.
    pub handled: u64,
    /// In the inbox and not yet handled.
    pub waiting: u64,
    /// Given up, with a reason.
    pub dead: u64,
    /// Never received: publishers told of them, and no longer had them. The sum over all of our subscriptions.
    #[serde(default)]
    pub missed: u64,
    /// How many were not delivered, or not given to a receiver, since their time was over.
    #[serde(default)]
    pub expired: u64,
    /// Not published, since too many publications had led to it: receivers that publish what leads back to themselves.
    #[serde(default)]
    pub looped: u64,
}

/// Stops the service: refuse new work, finish what is under way for a bounded time, end.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Stop {}
method!(Stop, "service.stop", Done);

/// Asks for the instance's issuer hash.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Issuer {}
method!(Issuer, "tokens.issuer", IssuerHash);

/// Issues an authentication token.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct IssueToken {
    /// Who may use it: `vt://ID`, `ipv4://CIDR`, `ipv6://CIDR`. Absent: everyone who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearers: Option<Vec<String>>,
    /// Actions that may be performed; `*` for all.
    #[serde(default)]
    pub performable: Vec<String>,
    /// Actions that may be published for; `*` for all.
    #[serde(default)]
    pub publishable: Vec<String>,
    /// Actions that may be subscribed to; `*` for all.
    #[serde(default)]
    pub subscribable: Vec<String>,
    /// Seconds from now until it may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// Seconds from now until it ends; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<i64>,
}
method!(IssueToken, "tokens.issue", Token);

/// Lists the tokens that this instance issued.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListTokens {}
method!(ListTokens, "tokens.list", Vec<Token>);

/// Shows one issued token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowToken {
    /// Which one.
    pub token: TokenId,
    /// Whether to include the token itself, which is a secret.
    #[serde(default)]
    pub raw: bool,
}
method!(ShowToken, "tokens.show", Token);

/// Deletes an issued token and closes the sessions that it opened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RevokeToken {
    /// Which one.
    pub token: TokenId,
    /// Only tells what would go with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}
method!(RevokeToken, "tokens.revoke", Revoked);

/// What went with the token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revoked {
    /// Which token it was.
    pub id: TokenId,
    /// How many live sessions ended.
    pub sessions: u64,
    /// How many subscriptions made with it ended.
    pub subscriptions: u64,
}

/// An issued token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Token {
    /// Its `jti`.
    pub id: TokenId,
    /// `Authentication` or `Publisher Authentication`, as in the original.
    #[serde(rename = "use")]
    pub usage: String,
    /// The hash of the issuing instance's key.
    pub issuer: IssuerHash,
    /// When it was issued (RFC 3339).
    pub issued: String,
    /// From when it may be used (RFC 3339).
    pub effective: String,
    /// When it ends (RFC 3339); absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// Where its holder will look for us.
    pub addresses: Vec<PeerAddress>,
    /// Who may use it.
    pub bearers: Vec<String>,
    /// What may be performed with it.
    pub performable: Vec<String>,
    /// What may be published for with it.
    pub publishable: Vec<String>,
    /// What may be subscribed to with it.
    pub subscribable: Vec<String>,
    /// For a subscription token: to which action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribed_to: Vec<String>,
    /// For a subscription token: the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver: Option<String>,
    /// How many live sessions were opened with it: only when it is shown alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u64>,
    /// How many subscriptions were made with it, which end with it: only when it is shown alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscriptions: Option<u64>,
    /// The token itself, a secret: only when it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Secret>,
}

/// Stores a token that another instance issued, after logging in with it once.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddPeer {
    /// The token.
    pub token: Secret,
}
method!(AddPeer, "peers.add", Peer);

/// Shows the token of a peer, which is a secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowPeerToken {
    /// Which peer.
    pub peer: PeerId,
}
method!(ShowPeerToken, "peers.token", PeerToken);

/// The token of a peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerToken {
    /// The token itself.
    pub raw: Secret,
}

/// Forgets a peer, ends the subscriptions held there, and closes its sessions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemovePeer {
    /// Which one.
    pub peer: PeerId,
    /// Only tells what would go with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}
method!(RemovePeer, "peers.remove", PeerRemoved);

/// What went with the peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PeerRemoved {
    /// Which peer it was.
    pub id: PeerId,
    /// How many of our subscriptions there ended.
    pub subscriptions: u64,
    /// How many live sessions ended.
    #[serde(default)]
    pub sessions: u64,
}

/// Says where a peer is reached from now on, in place of what it has said itself and before what its token says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetPeerAddress {
    /// Which one.
    pub peer: PeerId,
    /// Where, to be tried in this order; none means that nothing but what the token says is known.
    pub addresses: Vec<PeerAddress>,
}
method!(SetPeerAddress, "peers.set_address", Peer);

/// Replaces a key of this instance by a new one. What the old one is for goes on until the overlap has passed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RotateKey {
    /// Which key.
    pub kind: KeyKind,
    /// For how many seconds the old one counts beside it.
    pub overlap: u64,
}
method!(RotateKey, "keys.rotate", Vec<Key>);

/// Lists the keys of this instance, present and replaced.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListKeys {}
method!(ListKeys, "keys.list", Vec<Key>);

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKind {
    /// Signs the tokens that this instance issues.
    Auth,
    /// Is this instance: its validation key.
    Identity,
    /// The key and certificate of TLS.
    Tls,
}

impl KeyKind {
    /// Its name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Identity => "identity",
            Self::Tls => "tls",
        }
    }
}

/// A key of this instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// What names it: `kid` of tokens, issuer hash, or the start of the certificate's SHA-256.
    pub id: String,
    /// What it is for.
    pub kind: KeyKind,
    /// What it does now.
    pub state: KeyState,
    /// When it was replaced (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// Until when it counts (RFC 3339); absent: no end is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// What a key does now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// It is in use.
    Current,
    /// It was replaced, and still counts for those who knew it.
    Overlap,
    /// It no longer counts.
    Ended,
}

/// Makes a validation token of this instance: its public key, signed by that key. Stores nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct IssueValidation {
    /// Seconds from now until it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<i64>,
    /// Seconds from now until it no longer counts; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<i64>,
}
method!(IssueValidation, "validations.issue", Validation);

/// Stores the validation token of another instance, so that tokens can be bound to its key.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddValidation {
    /// The token. One of the original, which is not signed, is taken too: the owner vouches for it.
    pub token: String,
}
method!(AddValidation, "validations.add", Validation);

/// Lists the validation tokens that are stored here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListValidations {}
method!(ListValidations, "validations.list", Vec<Validation>);

/// Shows one validation token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowValidation {
    /// Which one.
    pub validation: ValidationId,
}
method!(ShowValidation, "validations.show", Validation);

/// Forgets a validation token, and revokes the tokens that nobody else could use.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveValidation {
    /// Which one.
    pub validation: ValidationId,
    /// Only tells what would go with it.
    #[serde(default)]
    pub dry_run: bool,
}
method!(RemoveValidation, "validations.remove", ValidationRemoved);

/// What goes with a validation token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ValidationRemoved {
    /// Which one it is.
    pub id: ValidationId,
    /// Tokens of ours that have no other bearer.
    pub tokens: Vec<TokenId>,
    /// How many subscriptions at this instance were made with those.
    pub subscriptions: u64,
    /// How many subscriptions of this instance only this key may deliver to.
    pub held: u64,
    /// How many live sessions ended.
    pub sessions: u64,
}

/// A validation token.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Validation {
    /// Its id here, as in the bearer `vt://ID`; absent for one that was just issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<ValidationId>,
    /// The hash of the key in it.
    pub issuer: IssuerHash,
    /// Whether it is signed by that key.
    pub signed: bool,
    /// When it was issued (RFC 3339).
    pub issued: String,
    /// From when it counts (RFC 3339).
    pub effective: String,
    /// When it no longer counts (RFC 3339); absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// The peer from which it was learned by subscribing; absent if it was added by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// The token itself, which is no secret.
    pub raw: String,
}

/// Lists who was let in or refused, and what was changed: the newest, the oldest of them first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListAudit {
    /// What happened since, in milliseconds since 1970-01-01 UTC; absent: everything that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_ms: Option<i64>,
    /// How many entries at most: 1,000 if absent, 10,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}
method!(ListAudit, "audit.list", Vec<AuditEntry>);

/// Something that was allowed or refused. What happened more than once within a minute is one entry with a count.
///
/// Holds no secret: tokens appear by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When, or when first (RFC 3339).
    pub time: String,
    /// When last (RFC 3339); absent if it happened once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// How many times.
    pub count: u64,
    /// Whether it was allowed.
    pub outcome: Outcome,
    /// What was asked for: the name of a method, or `connect` for a connection that was closed before any.
    pub what: String,
    /// With which token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
    /// By whom: the instance that has proven this key. Absent for the owner, and for strangers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IssuerHash>,
    /// From which address; of a version 6 address, its network of 64 bits if it was refused before it proved anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// On what: the name of an action or of a receiver, or the id of what was changed or opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Why it was refused: the name of an [`ErrorCode`](super::ErrorCode), `penalty`, `rate`, `connections` or
    /// `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Let in, allowed, or done.
    Allowed,
    /// Refused.
    Refused,
}

/// Asks for the end of a plugin's log: what it said and printed, and when its workers came and went.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PluginLogs {
    /// Action or receiver.
    pub kind: Kind,
    /// Its name. One whose files are gone still has a log.
    pub name: String,
    /// How many lines at most: 100 if absent, 10,000 at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u32>,
    /// Whether what comes later is sent to this session as [`LogLine`], until it ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}
method!(PluginLogs, "plugins.logs", LogLines);

/// Lines of a log, the oldest first.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LogLines {
    /// The lines.
    pub lines: Vec<LogLine>,
}

/// A line of a log. From the daemon, as a notification: one of a log that is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When (RFC 3339).
    pub time: String,
    /// How important.
    pub level: Level,
    /// What.
    pub message: String,
    /// While which call was handled, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
}
method!(LogLine, "plugins.line", Done);
