//! Identifiers. Each is its own type, so that one cannot be taken for another.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Names an instance by its key: SHA-256 of the text of its public validation key file.
///
/// Shown and sent as standard base64, 44 characters, as the original did (`iss` and `aud` of its
/// tokens, and the CN of its TLS certificate).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerHash([u8; 32]);

impl IssuerHash {
    /// The hash of a public key file's text, line ends included.
    pub fn of_public_key(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for IssuerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for IssuerHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerHash({self})")
    }
}

impl FromStr for IssuerHash {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        STANDARD
            .decode(text)
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(InvalidId { what: "an issuer hash (base64 of 32 bytes)" })
    }
}

impl Serialize for IssuerHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IssuerHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A text that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not {what}")]
pub struct InvalidId {
    what: &'static str,
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident: $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one. Those made later sort after those made earlier, to the millisecond.
            #[expect(clippy::new_without_default, reason = "each is different, so there is no default")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.parse().map(Self).map_err(|_| InvalidId { what: $what })
            }
        }
    )*};
}

uuid_ids! {
    /// A peer that was added here: the row of the token it gave us.
    PeerId: "a peer id (a UUID; `coattail peer list` shows them)";
    /// An issued token: its `jti`, and its row at the issuer.
    TokenId: "a token id (a UUID; `coattail token list` shows them)";
    /// A validation token that was stored here.
    ValidationId: "a validation token id (a UUID)";
    /// One request to an action or a receiver.
    CallId: "a call id (a UUID)";
    /// One publication, the same at its origin and at everyone who got it.
    PublicationId: "a publication id (a UUID)";
    /// One authenticated connection.
    SessionId: "a session id (a UUID)";
}

/// A subscription is named by the `jti` of the subscription token that the subscriber issued.
pub type SubscriptionId = TokenId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_hash_is_that_of_the_original() {
        let key = "-----BEGIN PUBLIC KEY-----\n";
        let hash = IssuerHash::of_public_key(key);
        assert_eq!(hash.to_string().len(), 44);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_ne!(hash, IssuerHash::of_public_key("-----BEGIN PUBLIC KEY-----\r\n"));
    }

    #[test]
    fn ids_refuse_what_is_no_uuid() {
        assert!("".parse::<CallId>().is_err());
        assert!("../x".parse::<TokenId>().is_err());
        assert!("x".repeat(44).parse::<IssuerHash>().is_err());
    }
}
