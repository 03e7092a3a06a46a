//! The keys behind tokens: one that signs, and those whose signatures count.

use std::fmt;

use jiff::Timestamp;

use super::jwt::{JwtSigner, JwtVerifier};
use super::{Identity, PublicIdentity, SharedSecret};

/// Signs the tokens of an instance.
#[derive(Debug)]
pub enum TokenKey {
    /// A pair, Ed25519 or RSA.
    Pair(Box<Identity>),
    /// A secret of an instance of the original, which both signs and verifies.
    Secret(SharedSecret),
}

impl TokenKey {
    /// What verifies its signatures, for as long as it is in use.
    pub fn verifier(&self) -> TokenVerifier {
        let key = match self {
            Self::Pair(pair) => Verifying::Pair(Box::new(pair.public().clone())),
            Self::Secret(secret) => Verifying::Secret(secret.clone()),
        };
        TokenVerifier { key, until: None }
    }

    pub(crate) fn jwt_signer(&self) -> JwtSigner {
        match self {
            Self::Pair(pair) => pair.jwt_signer(),
            Self::Secret(secret) => secret.jwt_signer(),
        }
    }
}

impl From<Identity> for TokenKey {
    fn from(pair: Identity) -> Self {
        Self::Pair(Box::new(pair))
    }
}

/// A key whose signatures count on tokens of this instance: the present one, or an older one for a while yet. Cheap
/// to clone.
#[derive(Clone)]
pub struct TokenVerifier {
    key: Verifying,
    until: Option<Timestamp>,
}

#[derive(Clone)]
enum Verifying {
    Pair(Box<PublicIdentity>),
    Secret(SharedSecret),
}

impl TokenVerifier {
    /// The same, of a key that was replaced: from this moment on its signatures no longer count.
    #[must_use]
    pub fn until(self, end: Timestamp) -> Self {
        Self { until: Some(end), ..self }
    }

    /// Whether its signatures count now. There is no leeway: the clock is our own.
    pub fn counts_at(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|end| now < end)
    }

    /// Names the key in the header of the tokens that it signs.
    pub fn key_id(&self) -> String {
        match &self.key {
            Verifying::Pair(public) => public.key_id(),
            Verifying::Secret(secret) => secret.key_id(),
        }
    }

    pub(crate) fn jwt_verifier(&self) -> JwtVerifier {
        match &self.key {
            Verifying::Pair(public) => public.jwt_verifier(),
            Verifying::Secret(secret) => secret.jwt_verifier(),
        }
    }
}

impl From<PublicIdentity> for TokenVerifier {
    fn from(public: PublicIdentity) -> Self {
        Self { key: Verifying::Pair(Box::new(public)), until: None }
    }
}

impl fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenVerifier").field("key_id", &self.key_id()).field("until", &self.until).finish()
    }
}
