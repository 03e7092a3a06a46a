//! From the command line to the daemon of an instance: how its subscriptions go, on both sides.
//!
//! Served on the control socket, as everything in [`control`](super::control) is.

use serde::{Deserialize, Serialize};

use crate::id::SubscriptionId;
use crate::name::ReceiverName;

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
