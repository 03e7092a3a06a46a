use coattail::id::IssuerHash;
use coattail::wire::ErrorCode;
use jiff::Timestamp;

/// Why a token is not accepted. For the log and for the owner: a peer is told the code alone.
///
/// None of these holds a token, or a part of one that is a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Larger than any token.
    #[error("the token has {bytes} bytes, and at most {} are taken", super::MAX_TOKEN)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not three parts of base64 with JSON in them.
    #[error("this is not a token")]
    Garbage,
    /// A claim is missing, or is not what it should be.
    #[error("the token's `{claim}` is missing or not valid")]
    Malformed {
        /// Which claim.
        claim: &'static str,
    },
    /// Signed in another way than the key that should have signed it does, or not at all.
    #[error("the token is signed with `{found}`, and {expected} is expected")]
    Algorithm {
        /// What its header says.
        found: String,
        /// What the key is for.
        expected: &'static str,
    },
    /// It names a key that is not, or no longer, used here.
    #[error("the token is signed by a key that is not known here")]
    UnknownKey,
    /// Somebody else made or changed it.
    #[error("the token's signature does not verify")]
    BadSignature,
    /// It is of another instance.
    #[error("the token was issued by {issuer}, and not by this instance")]
    ForeignIssuer {
        /// Who says to have issued it.
        issuer: IssuerHash,
    },
    /// Too early.
    #[error("the token may be used from {from} on")]
    NotYetValid {
        /// From when.
        from: Timestamp,
    },
    /// Too late.
    #[error("the token expired at {at}")]
    Expired {
        /// When it ended.
        at: Timestamp,
    },
    /// A validation token where one is expected that opens a session.
    #[error("this is a validation token, which opens no session")]
    IsValidation,
    /// Another token where a validation token is expected.
    #[error("this is not a validation token")]
    NotValidation,
    /// The public key of a validation token cannot be used.
    #[error("the validation token carries no usable public key")]
    UnusableKey,
    /// The validation token of an instance that uses a shared secret, which it gives away by that.
    #[error("the validation token carries a shared secret")]
    SharedSecret,
}

impl TokenError {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::TooLarge { .. } | Self::Garbage | Self::Malformed { .. } => {
                    "check that the whole token was copied, and nothing else"
                }
                Self::Expired { .. } | Self::UnknownKey | Self::BadSignature => "ask its issuer for a new token",
                Self::Algorithm { found, .. } if found == "none" => {
                    "unsigned tokens come from the original program, or from an attacker"
                }
                Self::Algorithm { .. } => "ask its issuer for a new token",
                Self::ForeignIssuer { .. } => "use it at the instance that issued it",
                Self::NotYetValid { .. } => {
                    "wait until then; if it should be valid, compare the clocks of both machines"
                }
                Self::IsValidation => {
                    "store it with `coattail validation add`; ask the peer for a token made by `token issue`"
                }
                Self::NotValidation => {
                    "ask the peer for one made by `validation issue`; add a peer with `coattail peer add`"
                }
                Self::UnusableKey => "its issuer needs an Ed25519 key pair, or an RSA one of at least 2048 bits",
                // Whoever holds the secret can be that instance, so its owner must change it anyway (fault S10).
                Self::SharedSecret => "its issuer needs a key pair, and a new secret: this one is known now",
            }
            .to_owned(),
        )
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        ErrorCode::TokenRefused
    }
}
