//! Who gets a publication that is not for everyone.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{IssuerHash, PeerId};

/// A subscriber, by the hash of its key or, if it is a peer too, by the id of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Recipient {
    /// As in lists of subscribers.
    Issuer(IssuerHash),
    /// As in lists of peers.
    Peer(PeerId),
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer(issuer) => issuer.fmt(f),
            Self::Peer(peer) => peer.fmt(f),
        }
    }
}

impl From<Recipient> for String {
    fn from(recipient: Recipient) -> Self {
        recipient.to_string()
    }
}

impl FromStr for Recipient {
    type Err = InvalidRecipient;

    fn from_str(text: &str) -> Result<Self, InvalidRecipient> {
        let issuer = text.parse().map(Self::Issuer);
        issuer.or_else(|_| text.parse().map(Self::Peer)).map_err(|_| InvalidRecipient { text: text.to_owned() })
    }
}

impl TryFrom<String> for Recipient {
    type Error = InvalidRecipient;

    fn try_from(text: String) -> Result<Self, InvalidRecipient> {
        text.parse()
    }
}

/// A text that names no subscriber.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is neither an issuer hash (`coattail subscribers list` shows them) nor a peer id (`coattail peer list`)"
)]
pub struct InvalidRecipient {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_named_by_its_hash_or_as_a_peer() {
        let (issuer, peer) = (IssuerHash::of_public_key("them"), PeerId::new());
        assert_eq!(issuer.to_string().parse(), Ok(Recipient::Issuer(issuer)));
        assert_eq!(peer.to_string().parse(), Ok(Recipient::Peer(peer)));
        for text in ["", "desk", &format!("{issuer}=")] {
            assert_eq!(text.parse::<Recipient>(), Err(InvalidRecipient { text: text.to_owned() }));
        }
        assert_eq!(serde_json::to_string(&Recipient::Peer(peer)).unwrap(), format!("\"{peer}\""));
    }
}
