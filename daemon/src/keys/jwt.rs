//! How keys sign and verify JWTs: which algorithms a kind of key takes part in, whatever a token says.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

/// A kind of key. It fixes the algorithm: a token that names one of another kind is refused before any key is
/// touched, so neither `none` nor an HMAC with a public key for its secret is ever computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ed25519,
    Rsa,
    Secret,
}

impl Kind {
    /// What keys of this kind sign with here; the last two as in the original.
    pub(crate) fn signs_with(self) -> Algorithm {
        match self {
            Self::Ed25519 => Algorithm::EdDSA,
            Self::Rsa => Algorithm::RS256,
            Self::Secret => Algorithm::HS256,
        }
    }

    /// The algorithm of this name, if such keys verify it: the family that the original took for each.
    pub(crate) fn verifies(self, name: &str) -> Option<Algorithm> {
        Some(match (self, name) {
            (Self::Ed25519, "EdDSA") => Algorithm::EdDSA,
            (Self::Rsa, "RS256") => Algorithm::RS256,
            (Self::Rsa, "RS384") => Algorithm::RS384,
            (Self::Rsa, "RS512") => Algorithm::RS512,
            (Self::Rsa, "PS256") => Algorithm::PS256,
            (Self::Rsa, "PS384") => Algorithm::PS384,
            (Self::Rsa, "PS512") => Algorithm::PS512,
            (Self::Secret, "HS256") => Algorithm::HS256,
            (Self::Secret, "HS384") => Algorithm::HS384,
            (Self::Secret, "HS512") => Algorithm::HS512,
            _ => return None,
        })
    }

    /// For people: what [`verifies`](Self::verifies) takes.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Ed25519 => "EdDSA",
            Self::Rsa => "RS256, RS384, RS512, PS256, PS384 or PS512",
            Self::Secret => "HS256, HS384 or HS512",
        }
    }
}

/// Signs a JWT. What it holds of the key is wiped when it is dropped.
pub(crate) struct JwtSigner {
    pub(crate) kind: Kind,
    /// Names the key in the header.
    pub(crate) key_id: String,
    pub(crate) key: EncodingKey,
}

/// Verifies a JWT.
pub(crate) struct JwtVerifier {
    pub(crate) kind: Kind,
    pub(crate) key: DecodingKey,
}
